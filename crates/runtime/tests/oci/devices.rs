//! `linux.devices` and the devices of every container; the list of those that are allowed is in `cgroups`.

use crate::world::{capabilities, push, root, rootless};
use serde_json::{Value, json};
use testkit::Oci;

#[test]
fn those_of_every_container() {
    clause!(
        "config-linux.devices.default",
        "config-linux.devices.default.ptmx",
        "runtime-linux.dev-symbolic-links"
    );
    fn check(oci: &Oci, owner: &str) {
        oci.run(
            |_| (),
            "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; stat -c %u /dev/null
            echo x >/dev/null; head -c 2 /dev/zero | od -An -tx1 | tr -d ' '; (echo x >/dev/full) 2>/dev/null || echo full; head -c 8 /dev/urandom | wc -c",
        )
        .ok()
        .prints(&format!(
            "/dev/null character special file 1:3 666
/dev/zero character special file 1:5 666
/dev/full character special file 1:7 666
/dev/random character special file 1:8 666
/dev/urandom character special file 1:9 666
/dev/tty character special file 5:0 666
{owner}
0000
full
8"
        ));
        let links = "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; test -c /dev/pts/ptmx && echo ptmx";
        oci.run(|_| (), links)
            .ok()
            .prints("/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\nptmx");
    }
    check(&root(), "0");
    check(&rootless(), "65534");
}

#[test]
fn those_of_the_list() {
    clause!(
        "config-linux.devices",
        "config-linux.devices.type",
        "config-linux.devices.path",
        "config-linux.devices.numbers"
    );
    clause!("config-linux.devices.fileMode", "config-linux.devices.uid", "config-linux.devices.gid");
    let oci = root();
    let check = |device: Value, path: &str, expected: &str| {
        oci.run(
            |config| push(config, "/linux/devices", device),
            &format!("stat -c '%F %t:%T %a %u:%g' {path}"),
        )
        .ok()
        .prints(expected);
    };
    check(
        json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}),
        "/dev/fuse",
        "character special file a:e5 666 0:0",
    );
    check(
        json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 1000, "gid": 2000}),
        "/dev/mine",
        "character special file 1:3 640 1000:2000",
    );
    check(
        json!({"path": "/dev/block", "type": "b", "major": 7, "minor": 5, "fileMode": 0o600}),
        "/dev/block",
        "block special file 7:5 600 0:0",
    );
    check(json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o622}), "/dev/pipe", "fifo 0:0 622 0:0");
    check(
        json!({"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5}),
        "/dev/unbuffered",
        "character special file 1:5 666 0:0",
    );
    check(
        json!({"path": "/dev/deep/er/null", "type": "c", "major": 1, "minor": 3}),
        "/dev/deep/er/null",
        "character special file 1:3 666 0:0",
    );
    check(
        json!({"path": "/opt/null", "type": "c", "major": 1, "minor": 3}),
        "/opt/null",
        "character special file 1:3 666 0:0",
    );
    // The mask of the caller's files is not that of devices.
    check(
        json!({"path": "/dev/open", "type": "c", "major": 1, "minor": 3, "fileMode": 0o777}),
        "/dev/open",
        "character special file 1:3 777 0:0",
    );
    // One that is there already and is the same is what is meant; anything else in its place is not.
    check(
        json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}),
        "/dev/null",
        "character special file 1:3 666 0:0",
    );
    let refused = |device: Value, word: &str| {
        oci.run(|config| push(config, "/linux/devices", device), "true").refused(&[word]);
        oci.assert_empty("refused devices");
    };
    refused(json!({"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}), "/etc/passwd");
    refused(json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 3}), "type");
    refused(json!({"path": "/dev/x", "type": "c", "major": -1, "minor": 3}), "/dev/x");
}

/// One in a directory that is a link of the root's stays in the root.
#[test]
fn links_of_the_root_lead_within_it() {
    clause!("config-linux.devices.path");
    let oci = root();
    let bundle = oci.bundle(|config| {
        push(
            config,
            "/linux/devices",
            json!({"path": "/climbs/devoxx-null", "type": "c", "major": 1, "minor": 3}),
        );
        config["process"]["args"] = json!(["stat", "-c", "%t:%T", "/tmp/devoxx-null"]);
    });
    std::os::unix::fs::symlink("../../../../../tmp", bundle.path("rootfs/climbs")).expect("symlink");
    bundle.try_run(&[]).ok().prints("1:3");
    assert!(!oci.host.path("/tmp/devoxx-null").exists());
}

/// An ordinary user has no mknod(2): they are bound from the host.
#[test]
fn rootless_devices_are_those_of_the_host() {
    clause!("config-linux.devices");
    let oci = rootless();
    let device = json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 5});
    let outcome =
        oci.run(|config| push(config, "/linux/devices", device), "head -c 1 /dev/mine | od -An -tx1");
    assert!(outcome.code != 0 || outcome.line() == " 00", "it is there, or refused: {outcome}");
    oci.assert_empty("rootless devices");
}

#[test]
fn others_are_not_for_the_container() {
    clause!("config-linux.devices.others");
    let oci = root();
    let script = "mknod /tmp/mem c 1 1 2>/dev/null && head -c 1 /tmp/mem 2>/dev/null || echo no";
    oci.run(
        |config| capabilities(config, &["CAP_MKNOD"]),
        "mknod /tmp/null c 1 3 && echo x >/tmp/null && echo may",
    )
    .ok()
    .prints("may");
    let denied = |config: &mut Value| {
        capabilities(config, &["CAP_MKNOD"]);
        config["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    };
    oci.run(denied, script).ok().prints("no");
    oci.run(denied, "echo x >/dev/null && head -c 1 /dev/zero | wc -c").ok().prints("1");
}
