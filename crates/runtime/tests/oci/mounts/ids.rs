//! Mounts with ids of their own (config.md, "idmap"), and mounts in user namespaces.

use super::{adds, mount};
use crate::world::root;
use serde_json::{Value, json};
use testkit::{Oci, Outcome};

/// A container whose ids begin at 100000 of the host.
fn user_namespace(config: &mut Value) {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    config["linux"]["namespaces"].as_array_mut().expect("an array").push(json!({"type": "user"}));
}

/// Runs a script in such a container, whose root is its own.
fn run(oci: &Oci, edit: impl FnOnce(&mut Value), script: &str) -> Outcome {
    let bundle = oci.bundle(|config| {
        user_namespace(config);
        config["process"]["args"] = json!(["sh", "-c", script]);
        edit(config);
    });
    oci.host.admin(&format!("cd {}/rootfs; chown -h 100000:100000 . proc sys dev tmp bin", bundle.directory));
    bundle.try_run(&[])
}

/// Files of several owners, each directory a mount of its own; the bundles can be read by everybody. They are binds of what
/// the host's /tmp is on: a tmpfs maps ids since Linux 6.3 only, and there /tmp is on a disk.
fn files(oci: &Oci) {
    oci.host.admin(
        "mkdir -p /tmp/files /tmp/top/below /tmp/low; mount --bind /tmp/top /tmp/files; mount --bind /tmp/low /tmp/files/below; \
         chmod 0755 /tmp/files /tmp/files/below; for owner in 0 7 100000; do touch /tmp/files/$owner /tmp/files/below/$owner; \
         chown $owner:$owner /tmp/files/$owner /tmp/files/below/$owner; done; chmod 0755 /tmp /tmp/bundles",
    );
}

const OWNERS: &str = "cd /x; stat -c '%n %u %g' 0 7 100000 below/7";

#[test]
fn ids_of_a_mount() {
    let oci = root();
    files(&oci);
    let map = json!([{"containerID": 0, "hostID": 5000, "size": 100}]);
    let check = |options: &[&str], maps: bool, expected: &str| {
        let mut one = mount("/x", "bind", "/tmp/files", options);
        if maps {
            one["uidMappings"] = map.clone();
            one["gidMappings"] = map.clone();
        }
        oci.run(adds(vec![one]), OWNERS).ok().prints(expected);
    };
    check(&["rbind"], false, "0 0 0\n7 7 7\n100000 100000 100000\nbelow/7 7 7");
    let top = "0 5000 5000\n7 5007 5007\n100000 65534 65534\nbelow/7 7 7";
    check(&["rbind"], true, top);
    check(&["rbind", "idmap"], true, top);
    let all = "0 5000 5000\n7 5007 5007\n100000 65534 65534\nbelow/7 5007 5007";
    check(&["rbind", "ridmap"], true, all);
    check(&["rbind", "idmap=uids=0-5000-100;gids=0-5000-100"], false, top);
    check(&["rbind", "idmap=uids=0-5000-3#7-5007-1;gids=0-5000-100"], false, top);
    // What is written through it belongs to the ids of the file system.
    oci.host.admin("mkdir /tmp/files/nine; chown 9:9 /tmp/files/nine");
    let mut one = mount("/x", "bind", "/tmp/files/nine", &["bind", "idmap=uids=9-0-1;gids=9-0-1"]);
    oci.run(adds(vec![one.clone()]), "touch /x/new").ok();
    oci.host.admin("test \"$(stat -c %u:%g /tmp/files/nine/new)\" = 9:9");
    one["options"] = json!(["bind", "idmap"]);
    oci.run(adds(vec![one]), "true").refused(&["mounts[6]", "id-mapped"]);
}

#[test]
fn ids_of_a_mount_in_a_user_namespace() {
    let oci = root();
    files(&oci);
    let check = |options: &[&str], expected: &str| {
        run(&oci, adds(vec![mount("/x", "bind", "/tmp/files", options)]), OWNERS).ok().prints(expected);
    };
    check(&["rbind"], "0 65534 65534\n7 65534 65534\n100000 0 0\nbelow/7 65534 65534");
    check(&["rbind", "idmap"], "0 0 0\n7 7 7\n100000 65534 65534\nbelow/7 65534 65534");
    check(&["rbind", "ridmap"], "0 0 0\n7 7 7\n100000 65534 65534\nbelow/7 7 7");
    // Relative to the container's: its id 50 is 100050 of the host.
    check(
        &["rbind", "idmap=uids=@0-50-10;gids=@0-50-10"],
        "0 50 50\n7 57 57\n100000 65534 65534\nbelow/7 65534 65534",
    );
}

#[test]
fn sources_that_are_closed_to_the_containers_root() {
    let oci = root();
    files(&oci);
    oci.host.admin(
        "mkdir -p -m 0700 /tmp/closed/in; echo secret >/tmp/closed/in/file; chmod 0644 /tmp/closed/in/file",
    );
    let edit = adds(vec![
        mount("/x", "bind", "/tmp/closed/in/file", &["bind", "ro"]),
        mount("/y", "bind", "/tmp/files", &["rbind", "ro"]),
    ]);
    run(&oci, edit, "cat /x; ls /y/below | wc -l; ! touch /y/new 2>/dev/null && echo read-only")
        .ok()
        .prints("secret\n3\nread-only");
}

#[test]
fn flags_of_the_hosts_mounts_stay() {
    let oci = root();
    files(&oci);
    oci.host.admin("mount -o remount,bind,nosuid,nodev,noexec /tmp/files");
    let check = |options: &'static [&'static str]| {
        let script = format!("{} | cut -d' ' -f1", super::options_of("/x"));
        run(&oci, adds(vec![mount("/x", "bind", "/tmp/files", options)]), &script)
    };
    check(&["rbind", "ro"]).ok().prints("ro,nosuid,nodev,noexec,relatime");
    check(&["rbind", "rw"]).ok().prints("rw,nosuid,nodev,noexec,relatime");
    check(&["rbind", "exec"]).refused(&["mount /x", "EPERM"]);
    // Nor can they be taken from it later, by whatever way it was opened.
    oci.host.admin(
        "mkdir -m 0700 /tmp/closed; mkdir /tmp/closed/in; mount --rbind /tmp/files /tmp/closed/in; \
                    mount -o remount,bind,ro,nosuid /tmp/closed/in",
    );
    let tries = "mount -o remount,bind,rw /x 2>/dev/null && echo written to; mount -o remount,bind,ro,nosuid,noexec /x && echo fine";
    let mut checked = Vec::new();
    for (source, options) in [
        ("/tmp/closed/in", &["rbind"][..]),
        ("/tmp/closed/in", &["rbind", "idmap"]),
        ("/tmp/files", &["rbind"]),
    ] {
        let edit = |config: &mut Value| {
            adds(vec![mount("/x", "bind", source, options)])(config);
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
            }
        };
        checked.push(run(&oci, edit, tries).stdout);
    }
    // The last one is not read-only on the host.
    assert_eq!(checked, ["fine\n", "fine\n", "written to\nfine\n"]);
}

#[test]
fn mounts_of_a_user_namespace() {
    let oci = root();
    files(&oci);
    let script = "test -e /dev/pts/ptmx && test -c /dev/null && test -d /proc/1 && test -d /sys/class && \
                  id -u && touch /tmp/x && stat -c %u /dev/shm";
    run(&oci, |_| {}, script).ok().prints("0\n0");
}

#[test]
fn ids_of_a_user_namespace_that_is_joined() {
    let oci = root();
    files(&oci);
    let bundle = oci.bundle(|config| {
        user_namespace(config);
        config["process"]["args"] = json!(["sleep", "1000"]);
    });
    oci.host.admin(&format!("chown -h 100000:100000 {}/rootfs", bundle.directory));
    let first = bundle.start(&[]);
    let joins = |config: &mut Value| {
        adds(vec![mount("/x", "bind", "/tmp/files", &["rbind", "idmap"])])(config);
        let path = format!("/proc/{}/ns/user", first.pid());
        config["linux"]["namespaces"]
            .as_array_mut()
            .expect("an array")
            .push(json!({"type": "user", "path": path}));
        config["process"]["args"] = json!(["sh", "-c", OWNERS]);
    };
    let second = oci.bundle(joins);
    oci.host.admin(&format!("cd {}/rootfs; chown -h 100000:100000 . proc sys dev", second.directory));
    second.try_run(&[]).ok().prints("0 0 0\n7 7 7\n100000 65534 65534\nbelow/7 65534 65534");
    first.end();
}
