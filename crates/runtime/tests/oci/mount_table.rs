//! `mounts` of config.json: types, every option, propagation, destinations and sources, order.

use crate::world::{mount, push, root, rootless};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use testkit::Oci;

/// The mount's own flags, those of its file system, and its propagation.
const OWN: &str = "awk '$5 == \"/x\" {print $6}' /proc/self/mountinfo";
const SUPER: &str = "awk '$5 == \"/x\" {print $NF}' /proc/self/mountinfo";
const PROPAGATION: &str = "awk '$5 == \"/x\" {sub(/:.*/, \"\", $7); print $7}' /proc/self/mountinfo";
const TREE: &str = "awk '$5 ~ \"^/x\" {print $5, $6}' /proc/self/mountinfo";

/// A host directory with a file, and a mount below it; both go with the host.
fn source(oci: &Oci) {
    oci.host.admin("mkdir -p /tmp/source/sub; echo file >/tmp/source/file; chmod 755 /tmp/source; mount -t tmpfs sub /tmp/source/sub; echo below >/tmp/source/sub/file");
}

#[test]
fn plain_options() {
    clause!(
        "config.mounts.options",
        "config.mounts.linux.options",
        "config.mounts.type",
        "config.mounts.source"
    );
    fn check(oci: &Oci) {
        let own = |options: &[&str], expected: &str| {
            oci.run(|config| mount(config, "/x", "tmpfs", "tmpfs", options), OWN).ok().prints(expected);
        };
        own(&[], "rw,relatime");
        own(&["defaults"], "rw,relatime");
        own(&["ro"], "ro,relatime");
        own(&["ro", "rw"], "rw,relatime");
        own(&["nosuid"], "rw,nosuid,relatime");
        own(&["nosuid", "suid"], "rw,relatime");
        own(&["noexec"], "rw,noexec,relatime");
        own(&["noexec", "exec"], "rw,relatime");
        own(&["nodev"], "rw,nodev,relatime");
        own(&["noatime"], "rw,noatime");
        own(&["noatime", "relatime"], "rw,relatime");
        own(&["nodiratime"], "rw,nodiratime,relatime");
        own(&["strictatime"], "rw");
        own(&["nosuid", "nodev", "noexec", "ro"], "ro,nosuid,nodev,noexec,relatime");
        own(&["mode=700", "size=1m", "nosuid"], "rw,nosuid,relatime");
    }
    let oci = root();
    check(&oci);
    let of_all = |options: &[&str], expected: &str| {
        let shown = oci.run(|config| mount(config, "/x", "tmpfs", "tmpfs", options), SUPER).ok();
        let first: Vec<_> = shown.line().split(',').filter(|option| !option.starts_with("inode")).collect();
        assert_eq!(first.join(","), expected, "{options:?}");
    };
    of_all(&[], "rw");
    of_all(&["sync"], "rw,sync");
    of_all(&["sync", "async"], "rw");
    of_all(&["dirsync"], "rw,dirsync");
    of_all(&["mode=710"], "rw,mode=710");
    of_all(&["size=64k", "mode=700"], "rw,size=64k,mode=700");
    of_all(&["lazytime"], "rw,lazytime");
    let own = |options: &[&str], expected: &str| {
        oci.run(|config| mount(config, "/x", "tmpfs", "tmpfs", options), OWN).ok().prints(expected);
    };
    own(&["nosymfollow"], "rw,relatime,nosymfollow");
    own(&["nosymfollow", "symfollow"], "rw,relatime");
}

#[test]
fn options_of_rootless_mounts() {
    clause!("config.mounts.options");
    let oci = rootless();
    let own = |options: &[&str], expected: &str| {
        oci.run(|config| mount(config, "/x", "tmpfs", "tmpfs", options), OWN).ok().prints(expected);
    };
    own(&[], "rw,relatime");
    own(&["ro", "nosuid", "nodev", "noexec"], "ro,nosuid,nodev,noexec,relatime");
    own(&["noatime"], "rw,noatime");
}

#[test]
fn binds() {
    clause!("config.mounts.bind", "config.mounts.bind.rbind", "config.mounts.options");
    let oci = root();
    source(&oci);
    let check = |options: &[&str], script: &str, expected: &str| {
        oci.run(|config| mount(config, "/x", "bind", "/tmp/source", options), script).ok().prints(expected);
    };
    check(&["bind"], "cat /x/file; ls /x/sub", "file");
    check(&["rbind"], "cat /x/file /x/sub/file", "file\nbelow");
    check(&["bind"], TREE, "/x rw,relatime");
    check(&["rbind"], TREE, "/x rw,relatime\n/x/sub rw,relatime");
    check(&["bind", "ro"], "cat /x/file; (echo >/x/new) 2>/dev/null || echo no", "file\nno");
    check(&["rbind", "ro"], TREE, "/x ro,relatime\n/x/sub rw,relatime");
    check(&["rbind", "rro"], TREE, "/x ro,relatime\n/x/sub ro,relatime");
    check(&["rbind", "ro", "rrw"], TREE, "/x rw,relatime\n/x/sub rw,relatime");
    check(
        &["rbind", "nosuid", "nodev", "noexec"],
        TREE,
        "/x rw,nosuid,nodev,noexec,relatime\n/x/sub rw,relatime",
    );
    for (option, flag) in [("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec")] {
        check(&["rbind", option], TREE, &format!("/x rw,{flag},relatime\n/x/sub rw,{flag},relatime"));
    }
    check(&["rbind", "rnoatime"], TREE, "/x rw,noatime\n/x/sub rw,noatime");
    check(&["rbind", "rstrictatime"], TREE, "/x rw\n/x/sub rw");
    check(&["rbind", "rnodiratime"], TREE, "/x rw,nodiratime,relatime\n/x/sub rw,nodiratime,relatime");
    check(&["rbind", "rnosymfollow"], TREE, "/x rw,relatime,nosymfollow\n/x/sub rw,relatime,nosymfollow");
    // The type is for people: with `bind` among the options it is a bind whatever it says.
    oci.run(|config| mount(config, "/x", "none", "/tmp/source", &["bind"]), "cat /x/file")
        .ok()
        .prints("file");
    oci.run(
        |config| {
            push(
                config,
                "/mounts",
                json!({"destination": "/x", "source": "/tmp/source", "options": ["rbind", "ro"]}),
            )
        },
        "cat /x/sub/file",
    )
    .ok()
    .prints("below");
    // A file on a file, which is made.
    oci.run(
        |config| mount(config, "/etc/made", "bind", "/tmp/source/file", &["bind", "ro"]),
        "cat /etc/made; (echo >/etc/made) 2>/dev/null || echo no",
    )
    .ok()
    .prints("file\nno");
    oci.run(
        |config| mount(config, "/deep/er/file", "bind", "/tmp/source/file", &["bind"]),
        "cat /deep/er/file",
    )
    .ok()
    .prints("file");
    oci.run(|config| mount(config, "/etc/passwd", "bind", "/tmp/source/file", &["bind"]), "cat /etc/passwd")
        .ok()
        .prints("file");
    // Relative to the bundle.
    let bundle = oci.bundle(|config| {
        mount(config, "/x", "bind", "beside", &["bind"]);
        config["process"]["args"] = json!(["cat", "/x/file"]);
    });
    std::fs::create_dir(bundle.path("beside")).expect("mkdir");
    bundle.write("beside/file", "beside\n");
    bundle.try_run(&[]).ok().prints("beside");
    oci.run(|config| mount(config, "/x", "bind", "/tmp/none", &["bind"]), "true").refused(&["/tmp/none"]);
    oci.run(|config| mount(config, "/etc/passwd", "bind", "/tmp/source", &["bind"]), "true")
        .refused(&["/etc/passwd"]);
    oci.run(|config| mount(config, "/etc", "bind", "/tmp/source/file", &["bind"]), "true").refused(&["/etc"]);
}

#[test]
fn binds_of_an_ordinary_user() {
    clause!("config.mounts.bind");
    let oci = rootless();
    oci.host.admin("mkdir -p /tmp/source; echo file >/tmp/source/file; mount -t tmpfs -o nosuid,nodev,mode=777 s /tmp/source; echo file >/tmp/source/file");
    let check = |options: &[&str], script: &str, expected: &str| {
        oci.run(|config| mount(config, "/x", "bind", "/tmp/source", options), script).ok().prints(expected);
    };
    check(&["bind"], "cat /x/file; echo new >/x/new; stat -c %u /x/new", "file\n0");
    // What the mount has locked stays: it belongs to another user namespace.
    check(&["bind", "ro"], OWN, "ro,nosuid,nodev,relatime");
    check(&["bind", "noexec"], OWN, "rw,nosuid,nodev,noexec,relatime");
}

#[test]
fn propagation() {
    clause!("config.mounts.propagation");
    let oci = root();
    let check = |options: &[&str], expected: &str| {
        oci.run(|config| mount(config, "/x", "tmpfs", "tmpfs", options), PROPAGATION).ok().prints(expected);
    };
    check(&[], "-");
    check(&["private"], "-");
    check(&["rprivate"], "-");
    check(&["shared"], "shared");
    check(&["rshared"], "shared");
    check(&["unbindable"], "unbindable");
    check(&["runbindable"], "unbindable");
    oci.host.admin("mkdir /tmp/shared; mount -t tmpfs s /tmp/shared; mount --make-shared /tmp/shared; mkdir /tmp/shared/later");
    let bind = |options: &[&str], expected: &str| {
        oci.run(|config| mount(config, "/x", "bind", "/tmp/shared", options), PROPAGATION)
            .ok()
            .prints(expected);
    };
    bind(&["bind", "slave"], "master");
    bind(&["rbind", "rslave"], "master");
    bind(&["bind", "private"], "-");
    // What the host mounts later comes to the container, and only with that.
    for (option, expected) in [("rslave", "later"), ("rprivate", "")] {
        let container = oci
            .bundle(|config| {
                mount(config, "/x", "bind", "/tmp/shared", &["rbind", option]);
                crate::world::stays(config);
            })
            .start(&[]);
        oci.host.admin("mount -t tmpfs later /tmp/shared/later; echo later >/tmp/shared/later/file");
        container.exec(&[], "cat /x/later/file 2>/dev/null || :").ok().prints(expected);
        oci.host.admin("umount /tmp/shared/later");
    }
}

#[test]
fn destinations() {
    clause!(
        "config.mounts.destination",
        "config.mounts.order",
        "config.mounts.destination.relative",
        "runtime.warnings"
    );
    let oci = root();
    // Relative: from the root, with a word about it.
    let bundle = oci.bundle(|config| {
        mount(config, "x", "tmpfs", "tmpfs", &[]);
        crate::world::script(config, OWN);
    });
    let words = [
        "--log-level",
        "warning",
        "--root",
        testkit::bundle::ROOT,
        "run",
        "--bundle",
        &bundle.directory,
        &bundle.id,
    ];
    let outcome = oci.to_its_end(&mut oci.host.command(words)).ok();
    assert_eq!(outcome.line(), "rw,relatime", "{outcome}");
    assert!(outcome.stderr.contains("level=warning") && outcome.stderr.contains("not absolute"), "{outcome}");
    oci.run(|config| mount(config, "/a/../x/./", "tmpfs", "tmpfs", &[]), OWN).ok().prints("rw,relatime");
    oci.run(|config| mount(config, "/../../../x", "tmpfs", "tmpfs", &[]), OWN).ok().prints("rw,relatime");
    oci.run(|config| mount(config, "/made/of/new", "tmpfs", "tmpfs", &[]), "stat -f -c %T /made/of/new")
        .ok()
        .prints("tmpfs");
    // Links of the root lead within the root.
    let bundle = oci.bundle(|config| {
        mount(config, "/absolute/x", "tmpfs", "tmpfs", &[]);
        mount(config, "/climbs/y", "tmpfs", "tmpfs", &[]);
        mount(config, "/dangles", "tmpfs", "tmpfs", &[]);
        config["process"]["args"] = json!(["sh", "-c", "stat -f -c %T /target/x /y /nowhere"]);
    });
    std::fs::create_dir(bundle.path("rootfs/target")).expect("mkdir");
    symlink("/target", bundle.path("rootfs/absolute")).expect("symlink");
    symlink("../../../../../..", bundle.path("rootfs/climbs")).expect("symlink");
    symlink("/nowhere", bundle.path("rootfs/dangles")).expect("symlink");
    bundle.try_run(&[]).ok().prints("tmpfs\ntmpfs\ntmpfs");
    assert!(
        !oci.host.path("/nowhere").exists() && !oci.host.path("/y").exists(),
        "nothing of the host is made"
    );
    // In the order of the list: a later one covers an earlier one, and one below another needs it first.
    let order = |first: &str, second: &str, script: &str, expected: &str| {
        oci.run(
            |config| {
                for (destination, mode) in [(first, "mode=711"), (second, "mode=722")] {
                    mount(config, destination, "tmpfs", "tmpfs", &[mode]);
                }
            },
            script,
        )
        .ok()
        .prints(expected);
    };
    order("/x", "/x", "stat -c %a /x", "722");
    order("/x", "/x/y", "stat -c %a /x /x/y", "711\n722");
    order("/x/y", "/x", "stat -c %a /x; ls /x", "722");
    // The root itself, and what the runtime looks at itself by.
    oci.run(|config| mount(config, "/", "tmpfs", "tmpfs", &[]), "true").refused(&["/"]);
    oci.run(|config| mount(config, "/proc/self", "tmpfs", "tmpfs", &[]), "true").refused(&["/proc/self"]);
}

#[test]
fn file_systems() {
    clause!("config.mounts.type", "config-linux.default-file-systems");
    let oci = root();
    let kinds = "awk '{for (i = 7; $i != \"-\"; i++); print $5, $(i + 1)}' /proc/self/mountinfo | grep -E '^/(proc|dev|dev/pts|dev/shm|dev/mqueue|sys) '";
    oci.run(|_| (), kinds)
        .ok()
        .prints("/proc proc\n/dev tmpfs\n/dev/pts devpts\n/dev/shm tmpfs\n/dev/mqueue mqueue\n/sys sysfs");
    oci.host
        .admin("mkdir -p /tmp/over/lower /tmp/over/upper /tmp/over/work; echo lower >/tmp/over/lower/file");
    let options = ["lowerdir=/tmp/over/lower", "upperdir=/tmp/over/upper", "workdir=/tmp/over/work"];
    oci.run(
        |config| mount(config, "/x", "overlay", "overlay", &options),
        "cat /x/file; echo new >/x/new; awk '$5 == \"/x\" {for (i = 7; $i != \"-\"; i++); print $(i + 1)}' /proc/self/mountinfo",
    )
    .ok()
    .prints("lower\noverlay");
    assert!(oci.host.path("/tmp/over/upper/new").exists());
    oci.run(|config| mount(config, "/x", "nosuchfs", "none", &[]), "true").refused(&["nosuchfs"]);
    oci.run(|config| mount(config, "/x", "tmpfs", "tmpfs", &["no-such-option=1"]), "true").refused(&["/x"]);
    // The words of a file system: a size that holds.
    oci.run(
        |config| mount(config, "/x", "tmpfs", "tmpfs", &["size=64k"]),
        "dd if=/dev/zero of=/x/f bs=1k count=128 2>/dev/null; stat -c %s /x/f",
    )
    .ok()
    .prints("65536");
}

#[test]
fn copying_up() {
    clause!("config.mounts.tmpcopyup");
    let oci = root();
    let script =
        "stat -f -c %T /etc; head -n1 /etc/group; echo new >/etc/new; cat /etc/new; stat -c %a /etc/script";
    let bundle = oci.bundle(|config| {
        mount(config, "/etc", "tmpfs", "tmpfs", &["tmpcopyup"]);
        config["process"]["args"] = json!(["sh", "-c", script]);
    });
    bundle.write("rootfs/etc/script", "x");
    std::fs::set_permissions(
        bundle.path("rootfs/etc/script"),
        std::os::unix::fs::PermissionsExt::from_mode(0o750),
    )
    .expect("chmod");
    bundle.try_run(&[]).ok().prints("tmpfs\nroot:x:0:\nnew\n750");
    assert!(!bundle.path("rootfs/etc/new").exists(), "the root stays as it was");
    oci.run(
        |config| {
            mount(config, "/etc", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]);
            config["root"]["readonly"] = json!(true);
        },
        "head -n1 /etc/group; (echo >/etc/new) 2>/dev/null || echo no",
    )
    .ok()
    .prints("root:x:0:\nno");
}

/// Owners of files through the mappings of a mount (config.md, "POSIX-platform Mounts").
#[test]
fn mapped_ids() {
    clause!(
        "config.mounts.uidMappings",
        "config.mounts.gidMappings",
        "config.mounts.idmap",
        "config.mounts.ridmap"
    );
    let oci = root();
    // Of what the host's /tmp is on: a tmpfs maps ids since Linux 6.3 only.
    oci.host.admin("mkdir -p /tmp/source/sub /tmp/sub; mount --bind /tmp/source /tmp/source; mount --bind /tmp/sub /tmp/source/sub");
    oci.host.admin("touch /tmp/source/a /tmp/source/sub/b; chown 1000:2000 /tmp/source/a /tmp/source/sub/b");
    let maps = |container: u32, host: u32| json!([{"containerID": container, "hostID": host, "size": 5000}]);
    let mapped = |config: &mut Value, options: &[&str], uid: Value, gid: Value| {
        let mut value =
            json!({"destination": "/x", "type": "bind", "source": "/tmp/source", "options": options});
        value["uidMappings"] = uid;
        value["gidMappings"] = gid;
        push(config, "/mounts", value);
    };
    let owners = "stat -c %u:%g /x/a /x/sub/b";
    let check = |options: &[&str], expected: &str| {
        oci.run(|config| mapped(config, options, maps(1000, 4000), maps(2000, 7000)), owners)
            .ok()
            .prints(expected);
    };
    check(&["rbind", "ridmap"], "4000:7000\n4000:7000");
    check(&["rbind", "idmap"], "4000:7000\n1000:2000");
    check(&["rbind"], "4000:7000\n1000:2000");
    let without = |edit: &dyn Fn(&mut Value)| drop(oci.run(edit, "true").refused(&["map"]));
    without(&|config| mapped(config, &["rbind"], maps(0, 1000), Value::Null));
    without(&|config| {
        let mut value = json!({"destination": "/x", "type": "tmpfs", "source": "tmpfs"});
        value["uidMappings"] = maps(0, 1000);
        value["gidMappings"] = maps(0, 1000);
        push(config, "/mounts", value);
    });
}

/// crun's options for links.
#[test]
fn links_as_they_are() {
    let oci = root();
    oci.host.admin("mkdir /tmp/source; echo file >/tmp/source/file; ln -s file /tmp/source/link");
    let check = |options: &[&str], script: &str, expected: &str| {
        oci.run(|config| mount(config, "/x/new", "bind", "/tmp/source/link", options), script)
            .ok()
            .prints(expected);
    };
    check(&["bind"], "test ! -L /x/new && cat /x/new", "file");
    check(&["bind", "copy-symlink"], "readlink /x/new", "file");
    check(&["bind", "src-nofollow"], "readlink /x/new", "file");
    let bundle = oci.bundle(|config| {
        mount(config, "/link", "bind", "/tmp/source/file", &["bind", "dest-nofollow"]);
        config["process"]["args"] = json!(["cat", "/link"]);
    });
    std::fs::write(bundle.path("rootfs/target"), "target\n").expect("write");
    symlink("target", bundle.path("rootfs/link")).expect("symlink");
    bundle.try_run(&[]);
    assert_eq!(
        bundle.read("rootfs/target"),
        "target\n",
        "what the link leads to is not covered for the host"
    );
}
