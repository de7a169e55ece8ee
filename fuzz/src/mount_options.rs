//! The options of a mount, one a line.

use crate::config::{plan, sound};
use runtime::plan::{Mount, Source};
use serde_json::json;
use sys::mount_setattr::{
    ATIME_MASK, MountAttributes, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, PRIVATE, RDONLY,
    SHARED, SLAVE, STRICTATIME, UNBINDABLE,
};

/// Whatever is taken can be written again, in other words, and means the same; and of `ro` and `rw` the last one holds.
pub fn mount_options(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let options: Vec<String> = text.lines().map(str::to_owned).collect();
    for kind in ["tmpfs", "bind", "proc"] {
        let Some(mount) = read(kind, &options) else { continue };
        let written = options_of(&mount);
        let again = read(kind, &written).unwrap_or_else(|| panic!("{options:?} as {written:?}"));
        assert_eq!(again, mount, "{options:?} as {written:?}");
        for (last, is_set) in [("ro", true), ("rw", false)] {
            let more: Vec<String> = options.iter().cloned().chain([last.to_owned()]).collect();
            let more = read(kind, &more).unwrap_or_else(|| panic!("{options:?} and {last}"));
            assert_eq!(more.attributes.set & RDONLY != 0, is_set, "{options:?} and {last}");
            assert_eq!(more.attributes.clear & RDONLY != 0, !is_set, "{options:?} and {last}");
        }
    }
}

fn read(kind: &str, options: &[String]) -> Option<Mount> {
    let mut config = sound();
    let destination = if kind == "proc" { "/proc" } else { "/x" };
    config["mounts"] =
        json!([{"destination": destination, "type": kind, "source": "/source", "options": options}]);
    plan(config.to_string().as_bytes())?.mounts.pop()
}

/// The options that mean this.
fn options_of(mount: &Mount) -> Vec<String> {
    let mut options = attributes("", mount.attributes);
    options.extend(attributes("r", mount.recursive_attributes));
    for one in &mount.propagation {
        let name = [("shared", SHARED), ("slave", SLAVE), ("private", PRIVATE), ("unbindable", UNBINDABLE)]
            .iter()
            .find_map(|(name, bit)| (one.kind == *bit).then_some(*name))
            .expect("a propagation");
        options.push(if one.recursive { format!("r{name}") } else { name.to_owned() });
    }
    if !mount.follow_target {
        options.push("dest-nofollow".to_owned());
    }
    // With `ro`, a file system gets it too, as its last option.
    let data = |pairs: &[(String, String)], with_ro: bool| -> Vec<String> {
        let without = if with_ro && mount.attributes.set & RDONLY != 0 {
            pairs.len().saturating_sub(1)
        } else {
            pairs.len()
        };
        pairs[..without].iter().map(|(key, value)| format!("{key}={value}")).collect()
    };
    match &mount.source {
        Source::FileSystem(one) => {
            options.extend(data(&one.options[1..], one.kind != "tmpfs"));
            options.extend(one.copy_up.then(|| "tmpcopyup".to_owned()));
        }
        Source::Remount(pairs) => {
            options.push("remount".to_owned());
            options.extend(data(pairs, true));
        }
        Source::Bind(bind) => {
            options.push(if bind.recursive { "rbind" } else { "bind" }.to_owned());
            options.extend(match bind.link {
                runtime::plan::Link::Follow => None,
                runtime::plan::Link::Mount => Some("src-nofollow".to_owned()),
                runtime::plan::Link::Copy => Some("copy-symlink".to_owned()),
            });
            if let Some(map) = &bind.id_map {
                let word = if map.recursive { "ridmap" } else { "idmap" };
                options.push(match &map.maps {
                    None => word.to_owned(),
                    Some(maps) => format!("{word}={}", crate::id_maps::text(maps)),
                });
            }
        }
        Source::Cgroups | Source::SystemdCgroup => {}
    }
    options
}

fn attributes(prefix: &str, attributes: MountAttributes) -> Vec<String> {
    let mut words = Vec::new();
    for (bit, set, clear) in [
        (RDONLY, "ro", "rw"),
        (NOSUID, "nosuid", "suid"),
        (NODEV, "nodev", "dev"),
        (NOEXEC, "noexec", "exec"),
        (NODIRATIME, "nodiratime", "diratime"),
        (NOSYMFOLLOW, "nosymfollow", "symfollow"),
    ] {
        assert!(attributes.set & attributes.clear & bit == 0, "{attributes:?}");
        words.extend((attributes.set & bit != 0).then_some(set));
        words.extend((attributes.clear & bit != 0).then_some(clear));
    }
    if attributes.clear & ATIME_MASK != 0 {
        words.push(match attributes.set & ATIME_MASK {
            NOATIME => "noatime",
            STRICTATIME => "strictatime",
            _ => "relatime",
        });
    }
    words.iter().map(|word| format!("{prefix}{word}")).collect()
}

pub fn seeds() -> Vec<Vec<u8>> {
    let all: Vec<&str> = runtime::bundle::mount_options().collect();
    let mut seeds: Vec<Vec<u8>> = all.chunks(7).map(|some| some.join("\n").into_bytes()).collect();
    for text in [
        "ro\nnosuid\nmode=755\nsize=64k\nsync",
        "rbind\nrro\nrslave\nidmap=uids=0-1-10;gids=0-1-10",
        "bind\nridmap=uids=@1-2-3#10-20-3;gids=@0-0-1\ncopy-symlink",
        "remount\nro\nsize=3m\ntmpcopyup",
        "context=\"system_u:object_r:x:s0:c1,c2\"\nrw\nro\n=\n=x\nlowerdir=a:b,c",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}

pub const WORDS: &[&str] = &[
    "\nro",
    "\nrw",
    "\nrro",
    "\nrbind",
    "\nbind",
    "\nremount",
    "\nnoatime",
    "\nrelatime",
    "\nstrictatime",
    "\nnorelatime",
    "\natime",
    "\nnostrictatime",
    "\nrshared",
    "\nprivate",
    "\nidmap=uids=0-0-1;gids=0-0-1",
    "\nridmap",
    "\ntmpcopyup",
    "\nsize=1k",
    "=",
    "\"",
    "\ncontext=",
    "\nro=",
    "\nsource=x",
    "\nsync",
    "\nasync",
    "\ndest-nofollow",
    ",",
    ":",
    "\0",
];
