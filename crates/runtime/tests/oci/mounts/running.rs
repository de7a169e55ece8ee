//! Mounts that a container gets and loses while it runs (crun's `mounts add` and `mounts remove`), and those that only
//! annotations ask for.

use super::{adds, mount, options_of};
use crate::world::{cgroup2, root};
use serde_json::{Value, json};
use testkit::{Container, Oci};

fn sleeps(config: &mut Value) {
    config["process"]["args"] = json!(["sleep", "1000"]);
}

fn change(oci: &Oci, container: &Container<'_>, what: &str, list: &Value) -> testkit::Outcome {
    container.bundle.write("list", list.to_string());
    oci.call(["mounts", what, container.id(), &container.bundle.inside("list")])
}

#[test]
fn mounts_come_and_go() {
    let oci = root();
    oci.host.admin("mkdir -p /tmp/src/below; echo text >/tmp/src/file; mount -t tmpfs below /tmp/src/below; touch /tmp/src/below/x");
    let container = oci.bundle(sleeps).start(&[]);
    let list = json!([
        mount("/made/dir", "bind", "/tmp/src", &["rbind", "ro"]),
        mount("/made/file", "bind", "/tmp/src/file", &["bind"]),
        mount("/made/tmp", "tmpfs", "tmpfs", &["size=1m", "nosuid"]),
        mount("/made/proc", "proc", "proc", &["ro"]),
    ]);
    change(&oci, &container, "add", &json!({"mounts": list})).ok().prints("");
    let script = "cat /made/dir/file /made/file; ls /made/dir/below; touch /made/dir/new 2>/dev/null || echo read-only; \
                  touch /made/tmp/new; readlink /made/proc/1/exe | grep -c busybox";
    container.exec(&[], script).ok().prints("text\ntext\nx\nread-only\n1");
    container.exec(&[], &options_of("/made/tmp")).ok().prints("rw,nosuid,relatime tmpfs rw,size=1024k");
    // The host has none of them.
    oci.host.admin("! grep made /proc/self/mountinfo");
    change(&oci, &container, "remove", &list).ok().prints("");
    container.exec(&[], "grep -c ' /made' /proc/self/mountinfo; ls /made").prints("0\ndir\nfile\nproc\ntmp");
    container.end();
}

#[test]
fn what_cannot_come_or_go() {
    let oci = root();
    let container = oci.bundle(sleeps).start(&[]);
    let check = |what: &str, list: Value, words: &[&str]| {
        change(&oci, &container, what, &list).refused(words);
    };
    check(
        "add",
        json!([mount("/x", "bind", "/nowhere", &["bind"])]),
        &["mount /x", "no such file or directory"],
    );
    check("add", json!([mount("/proc/sys", "tmpfs", "tmpfs", &[])]), &["mounts[0]", "inside /proc"]);
    check("add", json!([mount("/x", "tmpfs", "tmpfs", &["nonsense"])]), &["mount /x", "nonsense"]);
    check("add", json!({"destination": "/x"}), &["list", "mounts"]);
    check("remove", json!([{"destination": "/nowhere"}]), &["unmount /nowhere"]);
    check("remove", json!([{"destination": "/etc"}]), &["unmount /etc"]);
    check("remove", json!([{"destination": "/"}]), &["root"]);
    oci.call(["mounts", "change", container.id(), "/tmp/list"])
        .refused(&["change", "neither add nor remove"]);
    oci.call(["mounts", "add", "nobody", "/tmp/list"]).refused(&["does not exist"]);
    container.end();
    check("add", json!([]), &["not running"]);
}

#[test]
fn mounts_of_a_container_with_its_own_ids() {
    let oci = root();
    oci.host.admin("mkdir -p /tmp/src; touch /tmp/src/file; chown 100003 /tmp/src/file");
    let bundle = oci.bundle(|config| {
        sleeps(config);
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["linux"]["namespaces"].as_array_mut().expect("an array").push(json!({"type": "user"}));
    });
    oci.host.admin(&format!("chown -h 100000:100000 {}/rootfs", bundle.directory));
    let container = bundle.start(&[]);
    let list = json!([
        mount("/plain", "bind", "/tmp/src", &["bind"]),
        mount("/mapped", "bind", "/tmp/src", &["bind", "idmap"]),
        mount("/t", "tmpfs", "tmpfs", &[]),
    ]);
    change(&oci, &container, "add", &list).ok();
    container.exec(&[], "stat -c %u /plain/file /mapped /t").ok().prints("3\n0\n0");
    container.end();
}

#[test]
fn the_cgroup_of_an_old_systemd() {
    let oci = cgroup2();
    let edit = |config: &mut Value| {
        adds(vec![mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid"])])(config);
        config["linux"]["namespaces"].as_array_mut().expect("an array").push(json!({"type": "cgroup"}));
        config["annotations"] = json!({"run.oci.systemd.force_cgroup_v1": "/sys/fs/cgroup"});
    };
    let script = "ls /sys/fs/cgroup; grep -c 'name=systemd' /proc/self/mountinfo";
    // It can only be mounted once more: a hierarchy is made by root of the host.
    if oci.host.admin("grep -c :name=systemd: /proc/self/cgroup || :").line() == "1" {
        oci.run(edit, script).ok().prints("systemd\n1");
    } else {
        oci.run(edit, script).refused(&["mount /sys/fs/cgroup", "mount -t cgroup -o none,name=systemd"]);
    }
}

#[test]
fn labels_where_there_is_no_selinux() {
    let oci = root();
    let said = "selinux label is specified in config, but selinux is disabled or not supported";
    let label = "system_u:object_r:container_file_t:s0";
    oci.run(|config| config["linux"]["mountLabel"] = json!(label), "true")
        .refused(&["linux.mountLabel", said]);
    oci.run(|config| config["linux"]["mountLabel"] = json!(""), "echo fine").ok().prints("fine");
    oci.run(
        |config| {
            config["linux"]["mountLabel"] = json!(label);
            config["annotations"] = json!({"run.oci.mount_context_type": "nonsense"});
        },
        "true",
    )
    .refused(&["run.oci.mount_context_type", "nonsense"]);
}
