//! Where mounts go, and what they come from.

use super::{adds, mount};
use crate::world::{root, rootless};
use serde_json::json;

#[test]
fn missing_targets_are_made_inside_the_root() {
    let oci = root();
    oci.host.admin("mkdir -p /tmp/src; echo text >/tmp/src/file; mkdir /tmp/canary");
    let check = |prepare: &str, mounts: Vec<serde_json::Value>, script: &str, expected: &str| {
        let bundle = oci.bundle(|config| {
            adds(mounts)(config);
            config["process"]["args"] = json!(["sh", "-c", script]);
        });
        oci.host.admin(&format!("cd {}/rootfs; {prepare}", bundle.directory));
        bundle.try_run(&[]).ok().prints(expected);
        oci.host.admin("test -z \"$(ls -A /tmp/canary)\"");
    };
    let dir = |at: &str| mount(at, "bind", "/tmp/src", &["rbind"]);
    let file = |at: &str| mount(at, "bind", "/tmp/src/file", &["bind"]);
    check(":", vec![dir("/a/b/c")], "cat /a/b/c/file; stat -c %a /a/b", "text\n755");
    check(":", vec![file("/a/b/c")], "cat /a/b/c", "text");
    check(":", vec![dir("relative")], "cat /relative/file", "text");
    check(":", vec![dir("/../../a/../up")], "cat /up/file", "text");
    // Links in the image: absolute, relative, dangling, and those that mean to leave.
    check("mkdir -p run var; ln -s /run var/run", vec![dir("/var/run/x")], "cat /run/x/file", "text");
    check("mkdir var; ln -s /run var/run", vec![file("/var/run/x")], "cat /run/x", "text");
    check("ln -s /tmp/canary/new out", vec![dir("/out")], "cat /tmp/canary/new/file", "text");
    check("ln -s /tmp/canary/new out", vec![file("/out")], "cat /tmp/canary/new", "text");
    check("ln -s ../../../../../../tmp/canary out", vec![dir("/out/in")], "cat /tmp/canary/in/file", "text");
    // Of several at one place, the last is on top.
    check(":", vec![dir("/x"), mount("/x", "tmpfs", "tmpfs", &[])], "ls /x | wc -l", "0");
}

#[test]
fn targets_that_are_refused() {
    let oci = root();
    oci.host.admin("mkdir -p /tmp/src; echo text >/tmp/src/file");
    let check = |prepare: &str, one: serde_json::Value, words: &[&str]| {
        let bundle = oci.bundle(adds(vec![one]));
        oci.host.admin(&format!("cd {}/rootfs; {prepare}", bundle.directory));
        bundle.try_create(&[]).refused(words);
        oci.assert_empty("a refusal");
    };
    let dir = |at: &str| mount(at, "bind", "/tmp/src", &["rbind"]);
    check(":", dir("/"), &["mounts[6]", "root"]);
    check(":", dir("/.."), &["mounts[6]", "root"]);
    check("ln -s / all", dir("/all"), &["mount /all", "root"]);
    check("ln -s b a; ln -s a b", dir("/a/x"), &["mount /a/x", "ELOOP"]);
    check("touch file", dir("/file"), &["mount /file", "not a directory"]);
    check("mkdir dir", mount("/dir", "bind", "/tmp/src/file", &["bind"]), &["mount /dir", "not a directory"]);
    check(":", mount("/x", "bind", "/nowhere", &["bind"]), &["mount /x", "no such file or directory"]);
    check(":", mount("/x", "bind", "", &["bind"]), &["mounts[6]", "source"]);
    // Over proc and inside of it.
    for inside in ["/proc", "/proc/self", "/proc/sys", "/proc/1", "/proc/acpi"] {
        check(":", dir(inside), &[inside, "cannot be mounted because"]);
        check(":", mount(inside, "tmpfs", "tmpfs", &[]), &[inside, "cannot be mounted because"]);
    }
    check("ln -s /proc/sys there", dir("/there"), &["mount /there", "inside /proc"]);
    check("ln -s /proc there", dir("/there/sys/kernel"), &["mount /there/sys/kernel", "inside /proc"]);
}

#[test]
fn proc_and_sys_are_what_they_are() {
    let oci = root();
    let check = |prepare: &str, words: &[&str]| {
        let bundle = oci.bundle(|_| {});
        oci.host.admin(&format!("mkdir -p /tmp/canary; cd {}/rootfs; {prepare}", bundle.directory));
        bundle.try_create(&[]).refused(words);
    };
    check("rmdir proc; ln -s /tmp/canary proc", &["mount /proc", "must be mounted on ordinary directory"]);
    check("rmdir sys; ln -s canary sys", &["mount /sys", "must be mounted on ordinary directory"]);
    check("rmdir proc; touch proc", &["mount /proc", "not a directory"]);
    // Neither has to be there.
    let bundle = oci.bundle(|_| {});
    oci.host.admin(&format!("cd {}/rootfs; rmdir proc sys", bundle.directory));
    bundle.try_run(&[]).ok();
    // A whole proc may be bound over /proc, and the files that others replace may be covered.
    let bound =
        |config: &mut serde_json::Value| config["mounts"][0] = mount("/proc", "bind", "/proc", &["rbind"]);
    oci.run(bound, "test -e /proc/self/stat && echo proc").ok().prints("proc");
    oci.host.admin("echo ours >/tmp/meminfo");
    for file in ["/proc/meminfo", "/proc/cpuinfo", "/proc/uptime", "/proc/stat"] {
        let covers = adds(vec![mount(file, "bind", "/tmp/meminfo", &["bind"])]);
        oci.run(covers, &format!("cat {file}")).ok().prints("ours");
    }
}

#[test]
fn sources_that_could_stop_us() {
    let oci = root();
    oci.host.admin(
        "mkfifo /tmp/fifo; mknod /tmp/node c 1 3; \
         perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"/tmp/socket\", Listen => 1)'",
    );
    for (source, test) in [("/tmp/fifo", "-p"), ("/tmp/node", "-c"), ("/tmp/socket", "-S")] {
        let one = adds(vec![mount("/x", "bind", source, &["bind"])]);
        oci.run(one, &format!("test {test} /x && echo {test}")).ok().prints(test);
    }
}

#[test]
fn a_relative_source_is_in_the_bundle() {
    let oci = root();
    let bundle = oci.bundle(|config| {
        adds(vec![mount("/x", "bind", "beside", &["bind"])])(config);
        config["process"]["args"] = json!(["cat", "/x"]);
    });
    bundle.write("beside", "from the bundle\n");
    bundle.try_run(&[]).ok().prints("from the bundle");
}

#[test]
fn cgroups_as_mounts() {
    let cgroup = |config: &mut serde_json::Value| {
        adds(vec![mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"])])(config);
    };
    let own = |config: &mut serde_json::Value| {
        cgroup(config);
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
        namespaces.push(json!({"type": "cgroup"}));
    };
    let me = "grep -qx $$ /sys/fs/cgroup/cgroup.procs && ! mkdir /sys/fs/cgroup/x 2>/dev/null && echo fine";
    let v2 = crate::world::cgroup2();
    v2.run(own, me).ok().prints("fine");
    v2.run(cgroup, me).ok().prints("fine");
    let v1 = root();
    let me = "for one in memory pids cpu cpuacct unified; do \
              test ! -d /sys/fs/cgroup/$one || grep -qx $$ /sys/fs/cgroup/$one/cgroup.procs || echo not in $one; done; \
              mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo read-only";
    v1.run(own, me).prints("read-only");
    v1.run(cgroup, me).prints("read-only");
}

#[test]
fn without_root() {
    let oci = rootless();
    oci.host.admin("mkdir -p /tmp/src; echo text >/tmp/src/file; chmod 0711 /tmp/src");
    let mounts = || {
        vec![
            mount("/x", "bind", "/tmp/src/file", &["bind", "ro"]),
            mount("/t", "tmpfs", "tmpfs", &["size=1m", "ro"]),
        ]
    };
    let script = "cat /x; ! touch /t/x 2>/dev/null && echo read-only; test -c /dev/null && echo >/dev/null && echo null";
    oci.run(adds(mounts()), script).ok().prints("text\nread-only\nnull");
    // Its group of terminals is not there, nor a network of its own.
    oci.run(
        |config| {
            config["mounts"][2]["options"].as_array_mut().expect("an array").push(json!("gid=70000"));
            config["linux"]["namespaces"] =
                json!([{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "user"}]);
            config.as_object_mut().expect("an object").remove("hostname");
        },
        "test -e /dev/pts/ptmx && test -d /sys/class && test -d /dev/mqueue && echo fine",
    )
    .ok()
    .prints("fine");
}

/// Another container, or whoever has a directory of the root in common with this one, changes it while it is made.
#[test]
fn targets_that_are_exchanged_meanwhile() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use std::sync::atomic::{AtomicBool, Ordering};
    const ROUNDS: usize = 40;
    let oci = root();
    oci.host.admin("mkdir /tmp/canary /tmp/shared /tmp/shared/a; ln -s /tmp/canary /tmp/shared/b");
    let shared = oci.host.path("/tmp/shared");
    let done = AtomicBool::new(false);
    let mut made = 0;
    std::thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            let mut swaps = 0_u64;
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, shared.join("a"), CWD, shared.join("b"), RenameFlags::EXCHANGE)
                    .expect("both are there");
                swaps += 1;
            }
            swaps
        });
        for _ in 0..ROUNDS {
            let mounts = vec![
                mount("/shared", "bind", "/tmp/shared", &["rbind"]),
                mount("/shared/a/dir/new", "tmpfs", "tmpfs", &[]),
                mount("/shared/b/file", "bind", "/etc/passwd", &["bind"]),
            ];
            // Whether it is made or refused, it is so in the root alone.
            made += usize::from(oci.run(adds(mounts), "true").code == 0);
        }
        done.store(true, Ordering::Relaxed);
        assert!(swaps.join().expect("it swaps") > 1000, "nothing was exchanged");
    });
    oci.host.admin("test -z \"$(ls -A /tmp/canary)\"; ! grep canary /proc/self/mountinfo");
    assert!(made > 0, "all of them were refused: the test shows nothing");
}

#[test]
fn cgroups_in_a_user_namespace() {
    let check =
        |oci: &testkit::Oci, own: bool, expected: &str| {
            let bundle = oci.bundle(|config| {
            adds(vec![mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev"])])(config);
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
            namespaces.push(json!({"type": "user"}));
            if own {
                namespaces.push(json!({"type": "cgroup"}));
            }
            config["process"]["args"] = json!(["sh", "-c",
                "cd /sys/fs/cgroup; test ! -d memory || cd memory; grep -qx $$ cgroup.procs && echo mine; \
                 mkdir x 2>&1 | grep -o 'Read-only\\|denied'"]);
        });
            oci.host.admin(&format!("chown -h 100000:100000 {}/rootfs", bundle.directory));
            bundle.try_run(&[]).prints(expected);
        };
    for oci in [crate::world::cgroup2(), root()] {
        // On v2 it owns its own cgroup, which it may write to.
        let v1 = oci.host.admin("test ! -d /sys/fs/cgroup/memory || echo v1").line() == "v1";
        let own = if v1 { "mine\ndenied" } else { "mine" };
        check(&oci, true, own);
        // What is shown without a namespace of its own is the host's.
        check(&oci, false, "mine\nRead-only");
    }
}
