//! Device nodes and the links of /dev (config-linux.md, "Devices").

use super::{adds, mount};
use crate::world::{root, rootless};
use serde_json::{Value, json};

fn devices(list: Value) -> impl FnOnce(&mut Value) {
    move |config| config["linux"]["devices"] = list
}

#[test]
fn what_every_container_has() {
    let check = |oci: testkit::Oci| {
        let script = "for one in null zero full random urandom tty; do test -c /dev/$one || echo no $one; done; \
                      for one in fd stdin stdout stderr ptmx; do readlink /dev/$one; done; stat -c %a,%t,%T /dev/full; \
                      echo x >/dev/null && head -c 2 /dev/zero | wc -c";
        oci.run(|_| {}, script)
            .ok()
            .prints("/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n666,1,7\n2");
    };
    check(root());
    check(rootless());
}

#[test]
fn devices_are_made_as_written() {
    let oci = root();
    let list = json!([
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 3, "gid": 4},
        {"path": "/dev/loopX", "type": "b", "major": 7, "minor": 0},
        {"path": "/dev/u", "type": "u", "major": 1, "minor": 3},
        {"path": "/dev/deep/er/pipe", "type": "p", "fileMode": 0o640},
        {"path": "/srv/null", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o622},
    ]);
    let script =
        "stat -c '%F %a %u %g %t:%T' /dev/fuse /dev/loopX /dev/u /dev/deep/er/pipe /srv/null /dev/null";
    oci.run(devices(list), script).ok().prints(
        "character special file 600 3 4 a:e5\nblock special file 666 0 0 7:0\ncharacter special file 666 0 0 1:3\n\
         fifo 640 0 0 0:0\ncharacter special file 666 0 0 1:3\ncharacter special file 622 0 0 1:3",
    );
}

#[test]
fn devices_that_are_refused() {
    let oci = root();
    let check = |list: Value, prepare: &str, words: &[&str]| {
        let bundle = oci.bundle(|config| {
            // A /dev of the image's own.
            config["mounts"].as_array_mut().expect("an array").remove(1);
            devices(list)(config);
        });
        oci.host.admin(&format!(
            "mkdir -p /tmp/canary; echo text >/tmp/canary/file; cd {}/rootfs; {prepare}",
            bundle.directory
        ));
        bundle.try_create(&[]).refused(words);
        oci.host.admin("test \"$(stat -c %u%F /tmp/canary/file)\" = '0regular file'");
    };
    let null =
        |path: &str, uid: u32| json!([{"path": path, "type": "c", "major": 1, "minor": 3, "uid": uid}]);
    check(null("dev/x", 0), ":", &["linux.devices", "dev/x"]);
    check(null("/", 0), ":", &["linux.devices"]);
    check(
        json!([{"path": "/dev/x", "type": "c", "major": -1, "minor": 3}]),
        ":",
        &["linux.devices", "/dev/x"],
    );
    check(json!([{"path": "/dev/x", "type": "a", "major": 1, "minor": 3}]), ":", &["linux.devices", "type"]);
    check(null("/dev/x", 7), "touch dev/x", &["/dev/x", "something else"]);
    check(null("/dev/x", 7), "ln -s /tmp/canary/file dev/x", &["/dev/x", "something else"]);
    check(null("/dev/x", 7), "mknod dev/x c 1 5", &["/dev/x", "something else"]);
    check(json!([]), "ln -s /tmp/canary/file dev/null", &["/dev/null", "something else"]);
}

#[test]
fn a_dev_of_the_hosts_is_left_alone() {
    let oci = root();
    oci.host.admin("mkdir /tmp/dev; mknod /tmp/dev/null c 1 3");
    let edit = |config: &mut Value| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts[1] = mount("/dev", "bind", "/tmp/dev", &["rbind"]);
        mounts.retain(|one| !one["destination"].as_str().is_some_and(|at| at.starts_with("/dev/")));
        devices(json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]))(config);
    };
    oci.run(edit, "ls /dev").ok().prints("null");
    oci.host.admin("test \"$(ls /tmp/dev)\" = null");
}

#[test]
fn a_read_only_dev_has_its_nodes() {
    let oci = root();
    let edit = |config: &mut Value| config["mounts"][1]["options"] = json!(["nosuid", "mode=755", "ro"]);
    oci.run(edit, "echo x >/dev/null && ! touch /dev/x 2>/dev/null && test -L /dev/fd && echo fine")
        .ok()
        .prints("fine");
}

#[test]
fn devices_are_bound_without_root() {
    let oci = rootless();
    let zero = |path: &str, host: &str| json!([{"path": path, "type": "c", "major": 1, "minor": if host == "zero" { 5 } else { 3 }}]);
    oci.run(devices(zero("/dev/zero", "zero")), "head -c 1 /dev/zero | wc -c").ok().prints("1");
    oci.run(devices(json!([{"path": "/dev/pipe", "type": "p"}])), "test -p /dev/pipe && echo pipe")
        .ok()
        .prints("pipe");
    // The node of the host is another device.
    oci.run(devices(zero("/dev/zero", "null")), "true").refused(&["/dev/zero", "is not c 1:3"]);
    let nosuid = adds(vec![mount("/x", "bind", "/dev/null", &["bind"])]);
    oci.run(nosuid, "echo x >/x && echo bound").ok().prints("bound");
}
