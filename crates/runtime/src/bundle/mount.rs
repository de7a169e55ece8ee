//! One entry of `mounts` as a mount operation.

use crate::error::{Error, Kind, Result};
use crate::plan::{Mount, Source};
use std::path::{Path, PathBuf};
use sys::mount_setattr::{
    ATIME_MASK, MountAttributes, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME,
};

/// What an option does to the attributes: the bits it sets and the bits it clears.
fn attribute(option: &str) -> Option<(u64, u64)> {
    Some(match option {
        "ro" => (RDONLY, 0),
        "rw" => (0, RDONLY),
        "nosuid" => (NOSUID, 0),
        "suid" => (0, NOSUID),
        "nodev" => (NODEV, 0),
        "dev" => (0, NODEV),
        "noexec" => (NOEXEC, 0),
        "exec" => (0, NOEXEC),
        "noatime" => (NOATIME, ATIME_MASK),
        "strictatime" => (STRICTATIME, ATIME_MASK),
        "relatime" | "atime" => (0, ATIME_MASK),
        "nodiratime" => (NODIRATIME, 0),
        "diratime" => (0, NODIRATIME),
        "nosymfollow" => (NOSYMFOLLOW, 0),
        "symfollow" => (0, NOSYMFOLLOW),
        _ => return None,
    })
}

/// `MS_*` numbers of propagation, as mount_setattr(2) takes them.
fn propagation(option: &str) -> Option<u64> {
    Some(match option {
        "private" | "rprivate" => 1 << 18,
        "slave" | "rslave" => 1 << 19,
        "shared" | "rshared" => 1 << 20,
        "unbindable" | "runbindable" => 1 << 17,
        _ => return None,
    })
}

/// Reads one mount; `fill` has the bind targets that are filled from the root.
pub fn plan(written: &oci_spec::runtime::Mount, bundle: &Path, fill: &[PathBuf]) -> Result<Mount> {
    let target = written.destination().clone();
    if !target.is_absolute() {
        return Err(Error::new(Kind::Invalid, format!("destination {target:?} is not an absolute path")));
    }
    let kind = written.typ().clone().unwrap_or_default();
    let empty = Vec::new();
    let options = written.options().as_ref().unwrap_or(&empty);
    let mut attributes = MountAttributes::default();
    let mut recursive_attributes = false;
    let mut data = Vec::new();
    let (mut bind, mut recursive) = (kind == "bind", false);
    for option in options {
        if let Some((set, clear)) = attribute(option) {
            attributes.clear |= clear | (attributes.set & clear);
            attributes.set = (attributes.set & !clear) | set;
        } else if let Some(mode) = propagation(option) {
            attributes.propagation = mode;
        } else if let Some((set, _)) = option.strip_prefix('r').and_then(attribute) {
            // rro and its kin (config.md, "Linux mount options"): for everything below it too.
            attributes.set |= set;
            recursive_attributes = true;
        } else {
            match option.as_str() {
                "bind" => bind = true,
                "rbind" => (bind, recursive) = (true, true),
                "defaults" | "async" | "norelatime" | "silent" | "loud" => {}
                _ => data.push(match option.split_once('=') {
                    Some((key, value)) => (key.to_owned(), value.to_owned()),
                    None => (option.clone(), String::new()),
                }),
            }
        }
    }
    // A bit that is set at last must not be cleared as well, except where one of several modes is chosen.
    attributes.clear &= !attributes.set | ATIME_MASK;
    if attributes.clear & ATIME_MASK == 0 && attributes.set & ATIME_MASK != 0 {
        attributes.clear |= ATIME_MASK;
    }
    let source = written.source().clone();
    let source = if bind {
        let path = source.ok_or_else(|| Error::new(Kind::Invalid, "a bind needs a source"))?;
        if let Some((option, _)) = data.first() {
            return Err(Error::new(Kind::Invalid, format!("option {option:?} has no meaning for a bind")));
        }
        Source::Bind { path: bundle.join(path), recursive, fill: fill.contains(&target) }
    } else if kind == "cgroup" || kind == "cgroup2" {
        Source::Cgroups
    } else if kind.is_empty() {
        return Err(Error::new(Kind::Invalid, "type missing"));
    } else {
        if let Some(source) = source.and_then(|source| source.to_str().map(str::to_owned)) {
            data.insert(0, ("source".to_owned(), source));
        }
        Source::FileSystem { kind, options: data }
    };
    Ok(Mount { target, source, attributes, recursive_attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_mounts() {
        fn check(options: &[&str], set: u64, clear: u64, recursive: bool) {
            let json =
                serde_json::json!({"destination": "/x", "type": "bind", "source": "/y", "options": options});
            let written = serde_json::from_value(json).expect("a mount");
            let mount = plan(&written, Path::new("/b"), &[]).expect("a plan");
            assert_eq!(
                (mount.attributes.set, mount.attributes.clear, mount.recursive_attributes),
                (set, clear, recursive),
                "{options:?}"
            );
        }
        check(&[], 0, 0, false);
        check(&["ro", "nosuid"], RDONLY | NOSUID, 0, false);
        check(&["ro", "rw"], 0, RDONLY, false);
        check(&["rw", "ro"], RDONLY, 0, false);
        check(&["noatime"], NOATIME, ATIME_MASK, false);
        check(&["rbind", "rro"], RDONLY, 0, true);
    }
}
