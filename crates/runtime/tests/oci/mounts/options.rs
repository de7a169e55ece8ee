//! Every option of mounts.

use super::{adds, mount, options_of};
use crate::world::root;
use testkit::Oci;

/// A tree of the host to bind: a directory with a tmpfs below it.
fn tree(oci: &Oci) {
    oci.host.admin(
        "mkdir -p /tmp/tree/below; mount -t tmpfs tree /tmp/tree; mkdir /tmp/tree/below; \
         mount -t tmpfs below /tmp/tree/below; echo here >/tmp/tree/file; ln -s file /tmp/tree/link",
    );
}

#[test]
fn attributes_of_new_file_systems() {
    let oci = root();
    let check = |options: &[&str], expected: &str| {
        oci.run(adds(vec![mount("/x", "tmpfs", "tmpfs", options)]), &options_of("/x"))
            .ok()
            .prints(&format!("{expected} tmpfs rw"));
    };
    check(&[], "rw,relatime");
    check(&["ro", "nosuid", "nodev", "noexec"], "ro,nosuid,nodev,noexec,relatime");
    check(&["ro", "rw", "nosuid", "suid"], "rw,relatime");
    check(&["noatime", "nosymfollow"], "rw,noatime,nosymfollow");
    check(&["strictatime", "nodiratime"], "rw,nodiratime");
    check(&["strictatime", "nostrictatime"], "rw,relatime");
    check(&["defaults", "silent", "loud", "iversion", "noiversion", "nomand", "rasync"], "rw,relatime");
}

#[test]
fn flags_of_file_systems() {
    let oci = root();
    let check = |options: &[&str], expected: &str| {
        let shown = oci.run(adds(vec![mount("/x", "tmpfs", "tmpfs", options)]), &options_of("/x")).ok();
        assert!(shown.line().contains(expected), "{options:?}: {}", shown.line());
    };
    check(&["sync"], "tmpfs rw,sync");
    check(&["dirsync", "lazytime"], "tmpfs rw,dirsync,lazytime");
    check(&["sync", "async", "lazytime", "nolazytime"], "tmpfs rw");
    check(&["size=3m", "nr_inodes=77"], "size=3072k,nr_inodes=77");
    check(&["mode=0711"], "mode=711");
    // The sysfs of its own network: it is not enough to mount it again in another place.
    oci.run(|_| {}, &options_of("/sys")).ok().prints("ro,nosuid,nodev,noexec,relatime sysfs ro");
}

#[test]
fn options_that_a_file_system_does_not_know() {
    let oci = root();
    let check = |kind: &str, options: &[&str], words: &[&str]| {
        oci.run(adds(vec![mount("/x", kind, "/tmp", options)]), "true").refused(words);
        oci.assert_empty("a refusal");
    };
    check("tmpfs", &["nonsense=1"], &["mount /x", "nonsense"]);
    check("tmpfs", &["size=many"], &["mount /x", "size"]);
    check(
        "bind",
        &["nonsense"],
        &["nonsense", "bind mounts cannot have any filesystem-specific options applied"],
    );
    check("nosuchfs", &[], &["mount /x", "nosuchfs"]);
    check("", &[], &["mounts[6]", "type"]);
}

#[test]
fn attributes_of_binds() {
    let oci = root();
    tree(&oci);
    let check = |options: &[&str], top: &str, below: &str| {
        let script = format!("{}; {}", options_of("/x"), options_of("/x/below"));
        oci.run(adds(vec![mount("/x", "bind", "/tmp/tree", options)]), &script)
            .ok()
            .prints(&format!("{top} tmpfs rw\n{below} tmpfs rw").replace("\n tmpfs rw", ""));
    };
    check(&["bind"], "rw,relatime", "");
    check(&["bind", "ro", "noexec"], "ro,noexec,relatime", "");
    check(&["rbind"], "rw,relatime", "rw,relatime");
    check(&["rbind", "ro"], "ro,relatime", "rw,relatime");
    check(&["rbind", "rro"], "ro,relatime", "ro,relatime");
    check(&["rbind", "rro", "rrw"], "rw,relatime", "rw,relatime");
    check(
        &["rbind", "ro", "rnosuid", "rnodev", "rnoexec"],
        "ro,nosuid,nodev,noexec,relatime",
        "rw,nosuid,nodev,noexec,relatime",
    );
    check(&["rbind", "rnoatime", "rnosymfollow"], "rw,noatime,nosymfollow", "rw,noatime,nosymfollow");
    check(&["rbind", "rstrictatime", "rnodiratime"], "rw,nodiratime", "rw,nodiratime");
    check(&["rbind", "rsync", "rdirsync", "rmand", "rnomand", "sync"], "rw,relatime", "rw,relatime");
    // What the host's mount has is kept unless it is named.
    oci.host.admin("mount -o remount,bind,nosuid,noatime /tmp/tree");
    check(&["bind", "ro"], "ro,nosuid,noatime", "");
    check(&["bind", "suid", "relatime"], "rw,relatime", "");
}

#[test]
fn propagation() {
    let oci = root();
    tree(&oci);
    oci.host.admin("mount --make-rshared /tmp/tree");
    let check = |mode: Option<&str>, options: &[&str], expected: &str| {
        let shown = oci
            .run(
                |config| {
                    adds(vec![mount("/x", "bind", "/tmp/tree", options)])(config);
                    if let Some(mode) = mode {
                        config["linux"]["rootfsPropagation"] = mode.into();
                    }
                },
                "awk '$5 ~ /^.x/ { tags = \"\"; for (i = 7; $i != \"-\"; i++) { sub(/:.*/, \"\", $i); \
                 tags = tags \" \" $i }; print $5 tags }' /proc/self/mountinfo",
            )
            .ok();
        assert_eq!(shown.line(), expected, "{mode:?} {options:?}");
    };
    // Without a word: a slave of the host's, as with runc.
    check(None, &["rbind"], "/x master\n/x/below master");
    check(None, &["rbind", "rprivate"], "/x\n/x/below");
    check(None, &["rbind", "private"], "/x\n/x/below master");
    check(None, &["rbind", "rslave"], "/x master\n/x/below master");
    check(None, &["rbind", "rslave", "shared"], "/x shared master\n/x/below master");
    check(None, &["rbind", "runbindable"], "/x unbindable\n/x/below unbindable");
    check(None, &["rbind", "rprivate", "rshared"], "/x shared\n/x/below shared");
    check(Some("rprivate"), &["rbind"], "/x\n/x/below");
    check(Some("rslave"), &["rbind"], "/x master\n/x/below master");
}

#[test]
fn a_shared_mount_reaches_the_host_and_back() {
    let oci = root();
    tree(&oci);
    oci.host.admin("mount --make-rshared /tmp/tree");
    let shared = |options: &'static [&'static str]| {
        move |config: &mut serde_json::Value| {
            adds(vec![mount("/x", "bind", "/tmp/tree", options)])(config);
            config["linux"]["rootfsPropagation"] = "rshared".into();
            let sets = ["bounding", "effective", "permitted"];
            for set in sets {
                config["process"]["capabilities"][set] = serde_json::json!(["CAP_SYS_ADMIN"]);
            }
            config["process"]["args"] = serde_json::json!([
                "sh",
                "-c",
                "mkdir -p /x/new; mount -t tmpfs new /x/new && echo up >/up; sleep 1000"
            ]);
        }
    };
    let seen = |path: &str| oci.host.admin(&format!("grep -c ' {path} ' /proc/self/mountinfo || true"));
    let container = oci.bundle(shared(&["rbind", "rshared"])).start(&[]);
    container.bundle.awaits("rootfs/up");
    assert_eq!(seen("/tmp/tree/new").line(), "1");
    oci.host.admin("mkdir /tmp/tree/back; mount -t tmpfs back /tmp/tree/back");
    container.exec(&[], "grep -c ' /x/back ' /proc/self/mountinfo").ok().prints("1");
    container.end();
    oci.host.admin("umount /tmp/tree/new /tmp/tree/back");
    drop(container);
    // The other way round: what a slave mounts stays in it.
    let container = oci.bundle(shared(&["rbind", "rslave"])).start(&[]);
    container.bundle.awaits("rootfs/up");
    assert_eq!(seen("/tmp/tree/new").line(), "0");
    oci.host.admin("mount -t tmpfs back /tmp/tree/back");
    container.exec(&[], "grep -c ' /x/back ' /proc/self/mountinfo").ok().prints("1");
    oci.host.admin("umount /tmp/tree/back");
    container.end();
}

#[test]
fn a_remount_changes_what_is_there() {
    let oci = root();
    let tmpfs = mount("/x", "tmpfs", "tmpfs", &["size=1m"]);
    let check = |again: serde_json::Value, expected: &str| {
        oci.run(adds(vec![tmpfs.clone(), again]), &options_of("/x")).ok().prints(expected);
    };
    check(mount("/x", "tmpfs", "tmpfs", &["remount", "noexec"]), "rw,noexec,relatime tmpfs rw,size=1024k");
    check(mount("/x", "tmpfs", "tmpfs", &["remount", "size=2m"]), "rw,relatime tmpfs rw,size=2048k");
    let nowhere = mount("/nowhere", "tmpfs", "tmpfs", &["remount", "ro"]);
    oci.run(adds(vec![nowhere]), "true").refused(&["mount /nowhere"]);
}

#[test]
fn a_tmpfs_begins_with_a_copy() {
    let oci = root();
    let bundle = oci.bundle(|config| {
        adds(vec![mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup", "nosuid"])])(config);
        let script = "cat /etc/deep/file; readlink /etc/link; stat -c '%a %u' /etc /etc/deep/file; echo x >/etc/new; \
                      grep -c ' /etc ' /proc/self/mountinfo";
        config["process"]["args"] = serde_json::json!(["sh", "-c", script]);
    });
    oci.host.admin(&format!(
        "cd {}/rootfs/etc; chmod 0751 .; mkdir deep; echo copied >deep/file; chmod 0604 deep/file; \
         chown 7 deep/file; ln -s deep/file link",
        bundle.directory
    ));
    bundle.try_run(&[]).ok().prints("copied\ndeep/file\n751 0\n604 7\n1");
    assert!(!bundle.path("rootfs/etc/new").exists());
}

#[test]
fn a_copy_keeps_what_is_beside_the_bytes() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let oci = root();
    let bundle = oci.bundle(|config| {
        adds(vec![mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup"])])(config);
        config["process"]["args"] = serde_json::json!(["sleep", "1000"]);
    });
    bundle.write("rootfs/etc/tool", "text");
    // CAP_NET_BIND_SERVICE, permitted and effective (linux/capability.h, struct vfs_cap_data of revision 2).
    let capability = [&[1, 0, 0, 2, 0, 4, 0, 0][..], &[0; 12]].concat();
    setxattr(bundle.path("rootfs/etc/tool"), "security.capability", &capability, XattrFlags::empty())
        .expect("set it");
    let container = bundle.start(&[]);
    let copy = format!("/proc/{}/root/etc/tool", container.pid());
    let mut found = [0; 64];
    let length = getxattr(copy, "security.capability", &mut found[..]).expect("the copy has it");
    assert_eq!(found[..length], capability);
    container.end();
}

#[test]
fn the_mode_of_a_tmpfs() {
    let oci = root();
    let check = |target: &str, options: &[&str], expected: &str| {
        let script = format!("stat -c %a {target}");
        let bundle = oci.bundle(|config| {
            adds(vec![mount(target, "tmpfs", "tmpfs", options)])(config);
            config["process"]["args"] = serde_json::json!(["sh", "-c", script]);
        });
        oci.host.admin(&format!("chmod 0710 {}/rootfs/home", bundle.directory));
        bundle.try_run(&[]).ok().prints(expected);
    };
    check("/home", &[], "710");
    check("/home", &["mode=0700"], "700");
    check("/new", &[], "1777");
    check("/new", &["ro"], "1777");
}

#[test]
fn a_read_only_tmpfs_takes_the_targets_of_others_first() {
    let oci = root();
    for (option, inner) in [("ro", "rw"), ("rro", "ro")] {
        let mounts = vec![
            mount("/x", "tmpfs", "tmpfs", &[option]),
            mount("/x/inner", "tmpfs", "tmpfs", &[]),
            mount("/x/file", "bind", "/etc/passwd", &["bind"]),
        ];
        let script = format!("test -s /x/file && ! touch /x/new 2>/dev/null && {}", options_of("/x/inner"));
        oci.run(adds(mounts), &script).ok().prints(&format!("{inner},relatime tmpfs rw"));
    }
}

#[test]
fn links_as_sources_and_targets() {
    let oci = root();
    tree(&oci);
    let check = |mounts: Vec<serde_json::Value>, script: &str, expected: &str| {
        oci.run(adds(mounts), script).ok().prints(expected);
    };
    let link = |options: &[&str]| mount("/x", "bind", "/tmp/tree/link", options);
    check(vec![link(&["bind"])], "cat /x; test -L /x || echo file", "here\nfile");
    check(
        vec![link(&["bind", "copy-symlink"])],
        "readlink /x; grep ' /x ' /proc/self/mountinfo | wc -l",
        "file\n0",
    );
    check(vec![link(&["bind", "copy-symlink"]), link(&["bind", "copy-symlink"])], "readlink /x", "file");
    check(
        vec![link(&["bind", "src-nofollow"])],
        "readlink /x; grep ' /x ' /proc/self/mountinfo | wc -l",
        "file\n1",
    );
    let no_link = mount("/x", "bind", "/tmp/tree/file", &["bind", "copy-symlink"]);
    check(vec![no_link], "cat /x; grep ' /x ' /proc/self/mountinfo | wc -l", "here\n1");
    // The target is a link itself, and stays one beneath.
    let target = mount("/tmp/l", "bind", "/tmp/tree/link", &["copy-symlink", "bind"]);
    let over = mount("/tmp/l", "bind", "/etc/passwd", &["bind", "dest-nofollow"]);
    check(
        vec![target.clone(), over],
        "test -L /tmp/l || grep -c . /tmp/l | grep -qv '^0' && echo covered",
        "covered",
    );
    let taken = mount("/etc", "bind", "/tmp/tree/link", &["bind", "copy-symlink"]);
    oci.run(adds(vec![taken]), "true").refused(&["mount /etc", "something else is there already"]);
}

#[test]
fn many_long_options_reach_the_file_system() {
    let oci = root();
    // Together far beyond the one page that mount(2) takes.
    let names: Vec<String> = (0..40).map(|layer| format!("/tmp/layers/{layer}{}", "x".repeat(150))).collect();
    oci.host.admin(&format!(
        "mkdir -p /tmp/layers/up/upper /tmp/layers/up/work; mkdir -p {}; echo deep >{}/file",
        names.join(" "),
        names[39]
    ));
    let lower = format!("lowerdir={}", names.join(":"));
    let overlay = mount(
        "/x",
        "overlay",
        "overlay",
        &[&lower, "upperdir=/tmp/layers/up/upper", "workdir=/tmp/layers/up/work"],
    );
    oci.run(adds(vec![overlay]), "cat /x/file; touch /x/new").ok().prints("deep");
    oci.host.admin("test -e /tmp/layers/up/upper/new");
    // Each of them longer than fsconfig(2) takes.
    let deep = format!("/tmp/{}/{}", "d".repeat(200), "e".repeat(200));
    oci.host.admin(&format!("mkdir -p {deep}/up {deep}/work {deep}/low; echo low >{deep}/low/file"));
    let options =
        ["lowerdir", "upperdir", "workdir"].map(|key| format!("{key}={deep}/{}", &key[..key.len() - 3]));
    let options =
        [options[0].replace("/lower", "/low"), options[1].replace("/upper", "/up"), options[2].clone()];
    let overlay = mount("/x", "overlay", "overlay", &[&options[0], &options[1], &options[2]]);
    oci.run(adds(vec![overlay]), "cat /x/file; touch /x/new").ok().prints("low");
    oci.host.admin(&format!("test -e {deep}/up/new"));
    let long = format!("size={}", "1".repeat(300));
    oci.run(adds(vec![mount("/x", "tmpfs", "tmpfs", &[&long])]), "true").refused(&["mount /x", "size"]);
}
