//! The root and what covers parts of it: `root`, `rootfsPropagation`, `maskedPaths`, `readonlyPaths`.

use crate::world::{capabilities, mount, root, rootless, stays};
use serde_json::json;
use std::os::unix::fs::symlink;
use testkit::Oci;

#[test]
fn the_root() {
    clause!(
        "config.root",
        "config.root.path",
        "config.root.path.relative",
        "config.root.path.exists",
        "config.root.readonly"
    );
    fn check(oci: &Oci) {
        oci.run(|_| (), "ls -d /bin/busybox; cd /..; pwd; echo new >/new && cat /new")
            .ok()
            .prints("/bin/busybox\n/\nnew");
        oci.run(|config| config["root"]["readonly"] = json!(true), "(echo >/new) 2>/dev/null || echo no; echo x >/dev/shm/x && cat /dev/shm/x; awk '$5 == \"/\" {print substr($6, 1, 2)}' /proc/self/mountinfo")
            .ok()
            .prints("no\nx\nro");
        oci.run(|config| config["root"]["readonly"] = json!(false), "echo >/new && echo yes")
            .ok()
            .prints("yes");
        let bundle = oci.bundle(|config| config["process"]["args"] = json!(["echo", "absolute"]));
        let mut bundle = bundle;
        bundle.config["root"]["path"] = json!(bundle.inside("rootfs"));
        bundle.save();
        bundle.try_run(&[]).ok().prints("absolute");
        bundle.config["root"]["path"] = json!("none");
        bundle.save();
        bundle.try_run(&[]).refused(&["none"]);
        oci.assert_empty("runs");
    }
    check(&root());
    check(&rootless());
}

/// Nothing of the host is in sight: no mount but the container's own, no way up.
#[test]
fn nothing_of_the_host_is_left() {
    let oci = root();
    let shown = oci.run(|_| (), "awk '{print $5}' /proc/self/mountinfo | sort -u").ok();
    let mounts: Vec<_> = shown
        .line()
        .lines()
        .filter(|mount| !["/", "/proc", "/sys"].contains(mount) && !mount.starts_with("/dev"))
        .collect();
    assert!(mounts.is_empty(), "{mounts:?}");
    oci.run(
        |config| capabilities(config, &["CAP_SYS_CHROOT"]),
        "ls /proc/1/root/; cat /proc/1/root/etc/passwd | head -n1",
    )
    .ok();
}

#[test]
fn propagation_of_the_root() {
    clause!("config-linux.rootfsPropagation");
    let oci = root();
    let check = |value: &str, expected: &str| {
        oci.run(
            |config| config["linux"]["rootfsPropagation"] = json!(value),
            "awk '$5 == \"/\" {sub(/:.*/, \"\", $7); print $7}' /proc/self/mountinfo",
        )
        .ok()
        .prints(expected);
    };
    check("private", "-");
    check("rprivate", "-");
    check("unbindable", "unbindable");
    check("runbindable", "unbindable");
    check("shared", "shared");
    check("rshared", "shared");
    oci.run(|config| config["linux"]["rootfsPropagation"] = json!("sideways"), "true")
        .refused(&["rootfsPropagation"]);
    // What the host mounts in the root later is there or not.
    for (value, expected) in [("rslave", "later"), ("slave", "later"), ("rprivate", "")] {
        let bundle = oci.bundle(|config| {
            config["linux"]["rootfsPropagation"] = json!(value);
            stays(config);
        });
        let (directory, place) = (bundle.directory.clone(), bundle.inside("rootfs/tmp"));
        oci.host.admin(&format!("mount --bind {directory} {directory}; mount --make-shared {directory}"));
        let container = bundle.start(&[]);
        oci.host.admin(&format!("mount -t tmpfs later {place}; echo later >{place}/file"));
        container.exec(&[], "cat /tmp/file 2>/dev/null || :").ok().prints(expected);
        oci.host.admin(&format!("umount {place}; umount {directory}"));
    }
}

#[test]
fn masked_paths() {
    clause!("config-linux.maskedPaths", "config-linux.maskedPaths.absolute");
    fn check(oci: &Oci) {
        let bundle = oci.bundle(|config| {
            config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/secret", "/secrets", "/missing/one", "/link", "/climbs/secret2"]);
            config["process"]["args"] = json!(["sh", "-c", "cat /secret; ls -A /secrets; cat /proc/kcore | wc -c; (echo >/secrets/new) 2>/dev/null || echo no; cat /target; ls /missing 2>/dev/null || echo none; cat /secret2"]);
        });
        bundle.write("rootfs/secret", "secret\n");
        bundle.write("rootfs/secret2", "secret\n");
        bundle.write("rootfs/target", "secret\n");
        std::fs::create_dir(bundle.path("rootfs/secrets")).expect("mkdir");
        bundle.write("rootfs/secrets/file", "secret\n");
        symlink("target", bundle.path("rootfs/link")).expect("symlink");
        symlink("../../..", bundle.path("rootfs/climbs")).expect("symlink");
        bundle.try_run(&[]).ok().prints("0\nno\nnone");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn readonly_paths() {
    clause!("config-linux.readonlyPaths", "config-linux.readonlyPaths.absolute");
    fn check(oci: &Oci) {
        oci.run(
            |config| {
                config["linux"]["readonlyPaths"] = json!(["/etc", "/proc/sys", "/missing", "/root"]);
                mount(config, "/root", "tmpfs", "tmpfs", &["nosuid"]);
            },
            "for f in /etc/new /root/new /proc/sys/kernel/hostname; do (echo x >$f) 2>/dev/null || echo no; done; echo x >/tmp/new && echo yes
            awk '$5 == \"/root\" {last = $6} END {print last}' /proc/self/mountinfo",
        )
        .ok()
        .prints("no\nno\nno\nyes\nro,nosuid,relatime");
    }
    check(&root());
    check(&rootless());
}
