use super::*;
use proptest::prelude::*;
use sys::mount_setattr::{NOATIME, NODEV, NOEXEC, NOSUID, NOSYMFOLLOW, PRIVATE, SHARED, SLAVE, STRICTATIME};

fn read(mount: serde_json::Value) -> Result<(Mount, Vec<String>), String> {
    let written = serde_json::from_value(mount).expect("a mount");
    let maps = crate::id_map::IdMaps::default();
    let around = Around {
        bundle: Path::new("/b"),
        beneath: &[],
        fill: &[],
        user_namespace: UserNamespace { own: false, maps: &maps },
        label: None,
        systemd_cgroup: Some("/sys/fs/cgroup/old"),
    };
    let mut warnings = Vec::new();
    plan(&written, &around, |what| warnings.push(what))
        .map(|mount| (mount, warnings))
        .map_err(|error| error.to_string())
}

fn bind(options: &[&str]) -> Result<Mount, String> {
    read(serde_json::json!({"destination": "/x", "type": "bind", "source": "/y", "options": options}))
        .map(|(mount, _)| mount)
}

fn tmpfs(options: &[&str]) -> Result<Mount, String> {
    read(serde_json::json!({"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": options}))
        .map(|(mount, _)| mount)
}

#[test]
fn attributes_of_mounts() {
    fn check(options: &[&str], set: u64, clear: u64) {
        let mount = bind(options).unwrap();
        assert_eq!((mount.attributes.set, mount.attributes.clear), (set, clear), "{options:?}");
        assert_eq!(mount.recursive_attributes, MountAttributes::default(), "{options:?}");
    }
    check(&[], 0, 0);
    check(&["defaults", "silent", "loud", "sync", "mand", "iversion", "rsync", "rnomand"], 0, 0);
    check(&["ro", "nosuid"], RDONLY | NOSUID, 0);
    check(&["ro", "rw"], 0, RDONLY);
    check(&["rw", "ro"], RDONLY, 0);
    check(&["nodev", "noexec", "dev"], NOEXEC, NODEV);
    check(&["nosymfollow"], NOSYMFOLLOW, 0);
    check(&["noatime"], NOATIME, ATIME_MASK);
    check(&["noatime", "relatime"], 0, ATIME_MASK);
    check(&["noatime", "atime"], 0, ATIME_MASK);
    check(&["strictatime", "atime"], STRICTATIME, ATIME_MASK);
    check(&["strictatime", "nostrictatime"], 0, ATIME_MASK);
    check(&["relatime", "norelatime"], 0, 0);
    check(&["noatime", "norelatime"], NOATIME, ATIME_MASK);
}

#[test]
fn attributes_of_trees() {
    fn check(options: &[&str], set: u64, clear: u64) {
        let mount = bind(options).unwrap();
        let tree = mount.recursive_attributes;
        assert_eq!((tree.set, tree.clear), (set, clear), "{options:?}");
    }
    check(&["rbind", "ro"], 0, 0);
    check(&["rbind", "rro"], RDONLY, 0);
    check(&["rro", "rrw"], 0, RDONLY);
    check(&["rnosuid", "rnodev", "rnoexec", "rnosymfollow"], NOSUID | NODEV | NOEXEC | NOSYMFOLLOW, 0);
    check(&["rnoatime"], NOATIME, ATIME_MASK);
    check(&["rsuid", "rsymfollow"], 0, NOSUID | NOSYMFOLLOW);
}

#[test]
fn propagation_is_changed_in_order() {
    let change = |kind, recursive| Propagation { kind, recursive };
    let mount = bind(&["rslave", "shared", "rprivate"]).unwrap();
    assert_eq!(mount.propagation, [change(SLAVE, true), change(SHARED, false), change(PRIVATE, true)]);
}

#[test]
fn options_of_file_systems() {
    fn check(options: &[&str], expected: &[(&str, &str)]) {
        let Source::FileSystem(made) = tmpfs(options).unwrap().source else { panic!("{options:?}") };
        let expected: Vec<(String, String)> = std::iter::once(&("source", "tmpfs"))
            .chain(expected)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(made.options, expected, "{options:?}");
    }
    check(&["size=3m", "mode=1777"], &[("size", "3m"), ("mode", "1777")]);
    check(&["acl"], &[("acl", "")]);
    check(&["sync", "lazytime", "async"], &[("lazytime", "")]);
    check(&["nosuid", "x=a,b=c:d"], &[("x", "a,b=c:d")]);
    // One tmpfs, one mount: it is the mount that is read-only, so that it can be filled before.
    check(&["ro"], &[]);
    let written =
        serde_json::json!({"destination": "/x", "type": "ext4", "source": "/dev/x", "options": ["ro"]});
    let Source::FileSystem(made) = read(written).unwrap().0.source else { panic!("ext4") };
    assert_eq!(made.options[1], ("ro".to_owned(), String::new()));
}

#[test]
fn sources_of_binds() {
    fn check(options: &[&str], recursive: bool, link: Link) {
        let Source::Bind(found) = bind(options).unwrap().source else { panic!("{options:?}") };
        assert_eq!((found.recursive, found.link), (recursive, link), "{options:?}");
    }
    check(&[], false, Link::Follow);
    check(&["bind"], false, Link::Follow);
    check(&["rbind"], true, Link::Follow);
    check(&["rbind", "bind"], true, Link::Follow);
    check(&["copy-symlink"], false, Link::Copy);
    check(&["src-nofollow"], false, Link::Mount);
    assert!(!bind(&["dest-nofollow"]).unwrap().follow_target);
    let relative = serde_json::json!({"destination": "/x", "source": "y", "options": ["bind"]});
    let Source::Bind(found) = read(relative).unwrap().0.source else { panic!("relative") };
    assert_eq!(found.path, Path::new("/b/y"));
}

#[test]
fn targets_stay_in_the_root() {
    fn check(written: &str, expected: &str, warnings: usize) {
        let mount = serde_json::json!({"destination": written, "type": "tmpfs"});
        let (mount, warned) = read(mount).unwrap();
        assert_eq!((mount.target.as_path(), warned.len()), (Path::new(expected), warnings), "{written}");
    }
    check("/a/b", "/a/b", 0);
    check("a/b", "/a/b", 1);
    check("/a/./b//c/", "/a/b/c", 0);
    check("/../../a/../b", "/b", 0);
    check("/proc/meminfo", "/proc/meminfo", 0);
    check("/proc/sys/../uptime", "/proc/uptime", 0);
}

#[test]
fn what_is_refused() {
    fn check(mount: serde_json::Value, said: &str) {
        assert_eq!(read(mount.clone()).map(drop), Err(said.to_owned()), "{mount}");
    }
    let at = |target: &str, kind: &str| serde_json::json!({"destination": target, "type": kind});
    check(at("/", "tmpfs"), "destination \"/\": nothing is mounted over the root");
    check(at("/a/..", "tmpfs"), "destination \"/a/..\": nothing is mounted over the root");
    check(at("", "tmpfs"), "destination \"\": nothing is mounted over the root");
    check(at("/x", ""), "type: missing");
    check(at("/x", "bind"), "source: missing; a bind needs one");
    check(at("/proc", "tmpfs"), "/proc cannot be mounted because it is not of type proc");
    for inside in ["/proc/sys", "/proc/self", "/proc/1/attr", "/proc/meminfo/x"] {
        check(at(inside, "tmpfs"), &format!("{inside} cannot be mounted because it is inside /proc"));
    }
    check(at("/a\0b", "tmpfs"), "destination: has a NUL");
    let options = |kind: &str, options: &[&str]| serde_json::json!({"destination": "/x", "type": kind, "source": "/y", "options": options});
    check(options("tmpfs", &["size=1\0"]), "options: has a NUL");
    check(
        options("bind", &["ro", "size=3m"]),
        "option \"size=3m\": bind mounts cannot have any filesystem-specific options applied",
    );
    check(options("proc", &["tmpcopyup"]), "option \"tmpcopyup\": only for a tmpfs");
    check(
        options("cgroup", &["memory"]),
        "option \"memory\": the container's cgroups have no options of their own",
    );
    check(
        options("tmpfs", &["idmap=uids=0-1-1;gids=0-1-1"]),
        "id-mapped mounts are only supported for bind-mounts",
    );
    check(options("bind", &["idmap"]), "id-mapped without mappings, its own or those of a user namespace");
    let mut mapped = options("bind", &["idmap"]);
    mapped["uidMappings"] = serde_json::json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    check(mapped, "id-mapped mounts must have both uid and gid mappings specified");
}

#[test]
fn ids_of_mounts() {
    let one = serde_json::json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    for (options, recursive) in [(vec![], false), (vec!["idmap"], false), (vec!["ridmap"], true)] {
        let mount = serde_json::json!({"destination": "/x", "type": "bind", "source": "/y", "options": options,
            "uidMappings": one, "gidMappings": one});
        let Source::Bind(bind) = read(mount).unwrap().0.source else { panic!("{options:?}") };
        let map = bind.id_map.expect("mapped");
        assert_eq!(
            (map.recursive, map.maps.map(|maps| maps.uid[0].host)),
            (recursive, Some(1000)),
            "{options:?}"
        );
    }
}

#[test]
fn a_remount_changes_what_is_there() {
    assert_eq!(tmpfs(&["remount", "nosuid"]).unwrap().source, Source::Remount(Vec::new()));
    let Source::Remount(options) = tmpfs(&["remount", "ro", "size=1m"]).unwrap().source else { panic!() };
    assert_eq!(options.len(), 2);
    assert!(matches!(bind(&["remount", "ro"]).unwrap().source, Source::Bind(_)));
}

#[test]
fn the_cgroup_of_an_old_systemd() {
    let mount = serde_json::json!({"destination": "/sys/fs/cgroup/old/", "type": "cgroup"});
    assert_eq!(read(mount).unwrap().0.source, Source::SystemdCgroup);
}

proptest! {
    /// Whatever is written: no panic, a target inside the root, no bit both set and cleared but to choose one of several.
    #[test]
    fn any_options(words in prop::collection::vec(prop_oneof![
        prop::sample::select(option::ALL.to_vec()).prop_map(|(name, _)| name.to_owned()),
        "\\PC{0,12}",
    ], 0..12), target in "\\PC{0,20}") {
        let mount = serde_json::json!({"destination": target, "type": "tmpfs", "options": words});
        if let Ok((mount, _)) = read(mount) {
            prop_assert!(mount.target.is_absolute() && mount.target != Path::new("/"));
            prop_assert!(!mount.target.components().any(|part| part == Component::ParentDir));
            for attributes in [mount.attributes, mount.recursive_attributes] {
                prop_assert_eq!(attributes.set & attributes.clear & !ATIME_MASK, 0);
            }
        }
    }

    /// The last of two that contradict each other wins, whatever stands between.
    #[test]
    fn the_last_one_wins(between in prop::collection::vec(prop::sample::select(vec!["nosuid", "noatime", "rro"]), 0..5)) {
        for (one, other, set) in [("ro", "rw", 0), ("rw", "ro", RDONLY)] {
            let words: Vec<&str> = [one].into_iter().chain(between.iter().copied()).chain([other]).collect();
            prop_assert_eq!(bind(&words).unwrap().attributes.set & RDONLY, set);
        }
    }
}
