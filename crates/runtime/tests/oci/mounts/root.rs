//! The root itself: read-only or not, how it takes part in mount events, how it is entered (config.md, "Root").

use super::{adds, mount};
use crate::world::{root, rootless};
use serde_json::{Value, json};

#[test]
fn a_read_only_root() {
    let check = |oci: testkit::Oci| {
        let read_only = |config: &mut Value| config["root"]["readonly"] = json!(true);
        let script = "! touch /new 2>/dev/null && touch /dev/shm/x && echo read-only";
        oci.run(read_only, script).ok().prints("read-only");
        oci.run(|_| {}, "touch /new && echo written").ok().prints("written");
    };
    check(root());
    check(rootless());
}

#[test]
fn propagation_of_the_root() {
    let oci = root();
    let tags = "awk '$5 == \"/\" { for (i = 7; $i != \"-\"; i++) { sub(/:.*/, \"\", $i); print $i } }' /proc/self/mountinfo";
    let check = |mode: Option<&str>, expected: &str| {
        let edit = |config: &mut Value| {
            if let Some(mode) = mode {
                config["linux"]["rootfsPropagation"] = json!(mode);
            }
        };
        let shown = oci.run(edit, tags).ok();
        assert_eq!(shown.line().trim(), expected, "{mode:?}");
    };
    // The bundle's own directory is on a shared mount of the host.
    oci.host.admin("mount --make-shared /tmp");
    let oci_mounts = oci.host.admin("grep -c . /proc/self/mountinfo");
    check(None, "master");
    check(Some("slave"), "master");
    check(Some("rslave"), "master");
    check(Some("private"), "");
    check(Some("rprivate"), "");
    check(Some("shared"), "shared");
    check(Some("rshared"), "shared");
    check(Some("unbindable"), "unbindable");
    check(Some("runbindable"), "unbindable");
    assert_eq!(oci.host.admin("grep -c . /proc/self/mountinfo").line(), oci_mounts.line());
    oci.run(|config| config["linux"]["rootfsPropagation"] = json!("sideways"), "true")
        .refused(&["linux.rootfsPropagation", "sideways"]);
}

#[test]
fn without_pivot_root() {
    let oci = root();
    let run = |edit: &dyn Fn(&mut Value), script: &str| {
        let bundle = oci.bundle(|config| {
            config["process"]["args"] = json!(["sh", "-c", script]);
            edit(config);
        });
        bundle.try_run(&["--no-pivot"])
    };
    run(&|_| {}, "ls /tmp | wc -l; test -d /proc/1 && touch /new && echo inside").ok().prints("0\ninside");
    run(&|config| config["linux"]["rootfsPropagation"] = json!("private"), "true")
        .refused(&["rootfsPropagation of [r]private is not safe without pivot_root"]);
    oci.assert_empty("a root that was moved");
    let rootless = rootless();
    let bundle = rootless.bundle(|config| {
        config["process"]["args"] =
            json!(["sh", "-c", "ls /tmp | wc -l; test -d /proc/1 && touch /new && echo inside"]);
    });
    bundle.try_run(&["--no-pivot"]).ok().prints("0\ninside");
}

#[test]
fn the_root_is_resolved_once() {
    let oci = root();
    let bundle = oci.bundle(|config| {
        config["root"]["path"] = json!("link");
        config["process"]["args"] = json!(["sh", "-c", "test -d /proc/1 && echo inside"]);
    });
    oci.host.admin(&format!("ln -s rootfs {}/link", bundle.directory));
    bundle.try_run(&[]).ok().prints("inside");
}

#[test]
fn masked_and_read_only_paths() {
    let check = |oci: testkit::Oci| {
        let edit = |config: &mut Value| {
            config["linux"]["maskedPaths"] = json!([
                "/proc/filesystems",
                "/proc/timer_list",
                "/sys/firmware",
                "/etc",
                "/nowhere",
                "/bin/../root",
                "/none/x"
            ]);
            config["linux"]["readonlyPaths"] =
                json!(["/proc/sys", "/proc/sysrq-trigger", "/home", "/nowhere"]);
        };
        let script = "cat /proc/timer_list; ls -A /etc /root /sys/firmware; touch /etc/x /root/x /home/x 2>/dev/null; \
                      (echo 1 >/proc/sys/kernel/domainname) 2>/dev/null || echo refused; test -c /proc/filesystems && echo null; \
                      awk '$5 == \"/etc\" || $5 == \"/root\" { print $3, $6 }' /proc/self/mountinfo | sort -u | wc -l; \
                      awk '$5 == \"/home\" { print $6 }' /proc/self/mountinfo | cut -d, -f1";
        // One file system for all directories.
        oci.run(edit, script).prints("/etc:\n\n/root:\n\n/sys/firmware:\nrefused\nnull\n1\nro");
    };
    check(root());
}

#[test]
fn many_masked_paths_and_mounts() {
    let oci = root();
    let many = |config: &mut Value| {
        config["linux"]["maskedPaths"] = (0..10_000).map(|number| format!("/none/{number}")).collect();
        config["linux"]["readonlyPaths"] = config["linux"]["maskedPaths"].clone();
        let mounts =
            (0..1000).map(|number| mount(&format!("/m/{number}"), "bind", "/etc/passwd", &["bind", "ro"]));
        adds(mounts.collect())(config);
    };
    oci.run(many, "ls /m | wc -l").ok().prints("1000");
    // With fewer descriptors than mounts, of which the container has as many as it was given.
    let bundle = oci.bundle(|config| {
        many(config);
        config["process"]["args"] = json!(["sh", "-c", "ls /m | wc -l; ulimit -n"]);
    });
    let call = format!("ulimit -S -n 300; $C --root /tmp/run/oci run --bundle {} few", bundle.directory);
    oci.host.sh(&call).ok().prints("1000\n300");
    oci.assert_empty("1000 mounts");
}

#[test]
fn what_covers_a_masked_file_is_null() {
    let oci = root();
    let masks = |config: &mut Value| config["linux"]["maskedPaths"] = json!(["/proc/filesystems"]);
    oci.run(masks, "wc -c </proc/filesystems").ok().prints("0");
    // CVE-2025-31133: something else in its place would be what is read.
    oci.host.admin("echo other >/tmp/other; mount --bind /tmp/other /dev/null");
    oci.run(masks, "true").refused(&["/dev/null", "is not the null device"]);
    oci.host.admin("umount /dev/null");
}
