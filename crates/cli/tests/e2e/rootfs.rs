//! `--rootfs DIR`: a directory instead of an image.

use crate::world::program;
use testkit::{Host, Snapshot};

#[test]
fn a_directory_is_the_root() {
    let host = Host::root(&program());
    host.admin("cp -a /tmp/fixtures/rootfs/busybox /tmp/tree");
    let check = |root: &str, script: &str, expected: &str| {
        host.run(["run", "--rm", "--rootfs", root, "sh", "-c", script]).ok().prints(expected);
    };
    check("/tmp/tree", "read name </proc/1/comm; echo $$; echo $name", "1\nsh");
    check("/tmp/tree", "echo x >/written; ls /written", "/written");
    assert!(host.path("/tmp/tree/written").exists(), "the directory itself is written to");
    check("/tmp/tree:O", "echo y >/scratch; rm /written; ls /scratch", "/scratch");
    assert!(!host.path("/tmp/tree/scratch").exists(), "nothing of an overlay reaches the directory");
    assert!(host.path("/tmp/tree/written").exists(), "nor does a removal");
    check("/tmp/tree:O", "test ! -e /scratch && echo gone", "gone");
    let before = Snapshot::take(&host);
    check("/tmp/tree:O", "head -c 100000 /dev/zero >/big", "");
    before.assert_same(&host, "--rootfs DIR:O");
}

#[test]
fn mount_points_made_for_a_run_are_removed() {
    let host = Host::root(&program());
    host.admin("mkdir -p /tmp/tree/bin; cp /tmp/fixtures/rootfs/busybox/bin/busybox /tmp/tree/bin/sh");
    host.run(["run", "--rm", "--rootfs", "/tmp/tree:O", "sh", "-c", "echo runs"]).ok().prints("runs");
    assert!(!host.path("/tmp/tree/proc").exists(), "a root without /proc stays without");
}
