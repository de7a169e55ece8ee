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

/// A directory has its owners: without root no mount changes them, so the container has to have them too.
#[test]
fn a_directory_with_user_ids_of_its_own() {
    let host = Host::rootless(&program());
    let user = host.user();
    host.admin("for tree in his roots; do cp -a /tmp/fixtures/rootfs/busybox /tmp/$tree; done; chown -R devoxx-test: /tmp/his");
    let run = |options: &[&str], root: &str, script: &str| {
        let words = ["run", "--rm", "--net", "none"];
        host.run([&words[..], options, &["--rootfs", root, "sh", "-c", script]].concat())
    };
    let keep = ["--userns", "keep-id"];
    let own =
        "id -u; stat -c %u /etc /bin/busybox; echo x >/etc/new && stat -c %u /etc/new; hostname | wc -c";
    run(&keep, "/tmp/his:O", own).ok().prints(&format!("{user}\n{user}\n{user}\n{user}\n13"));
    assert!(!host.path("/tmp/his/etc/new").exists(), "nothing of it reaches the directory");
    run(&["--userns", "keep-id", "-u", "root"], "/tmp/his:O", "id -u; echo x >/root/f && cat /root/f")
        .ok()
        .prints("0\nx");
    run(&keep, "/tmp/his", "echo x >/tmp/kept && stat -c %u /tmp/kept").ok().prints(&user.to_string());
    assert!(host.path("/tmp/his/tmp/kept").exists());
    let refuses = |userns: &str, root: &str, words: &[&str]| {
        let said = run(&["--userns", userns], root, "true");
        let all = [&["--rootfs", userns, "belongs to a user or group", "import"], words].concat();
        said.refuses(125, &all);
    };
    refuses("keep-id", "/tmp/roots:O", &["/tmp/roots", "chown"]);
    refuses("keep-id", "/tmp/roots", &["/tmp/roots", "chown"]);
    refuses("keep-id", "/:O", &["chown"]);
    for root in ["/tmp/his:O", "/tmp/his", "/tmp/roots:O", "/:O"] {
        refuses("auto", root, &["keep-id"]);
    }
    host.run(["ps", "-aq"]).ok().prints("");
}
