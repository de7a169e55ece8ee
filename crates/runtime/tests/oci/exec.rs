//! `exec`: another process in a running container, and each of its options.

use crate::terminal::Receiver;
use crate::world::{capabilities, cgroup2, namespace, root, rootless, stays};
use serde_json::{Value, json};
use std::io::Read;
use testkit::{Container, Oci};

fn running<'a>(oci: &'a Oci, edit: impl FnOnce(&mut Value)) -> Container<'a> {
    let container = oci
        .bundle(|config| {
            stays(config);
            edit(config);
        })
        .start(&[]);
    container.bundle.awaits("rootfs/up");
    container
}

#[test]
fn it_is_in_the_container() {
    fn check(oci: &Oci) {
        let container = running(oci, |config| {
            namespace(config, "cgroup", None);
            config["process"]["env"] = json!(["PATH=/bin", "OF=config"]);
        });
        let same = "for n in pid net ipc uts mnt user cgroup time; do test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) || echo $n; done; hostname; echo $OF";
        container.exec(&[], same).ok().prints("box\nconfig");
        let cgroup = "test \"$(cat /proc/1/cgroup)\" = \"$(cat /proc/self/cgroup)\" && echo same";
        // In this host each command of an ordinary user is in a cgroup of its own.
        if !oci.host.is_rootless() {
            container.exec(&[], cgroup).ok().prints("same");
        }
        container.exec(&[], "awk '/^Cap/ {print $2}' /proc/self/status >/mine; awk '/^Cap/ {print $2}' /proc/1/status | cmp - /mine && echo same; ls /proc/self/fd | wc -l").ok().prints("same\n4");
        container.exec(&[], "echo out; echo err >&2; exit 42").code(42).prints("out");
        container.exec(&[], "kill -KILL $$").code(137);
        container.exec(&[], "kill -TERM $$").code(143);
        container.exec(&[], "exit 0").ok().prints("");
        assert_eq!(container.status(), "running");
    }
    check(&root());
    check(&cgroup2());
    check(&rootless());
}

#[test]
fn options() {
    let oci = root();
    let edit = |config: &mut Value| {
        crate::world::script(config, "exec sleep 1000");
        config["process"]["env"] = json!(["PATH=/bin", "A=of config", "B=b"]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [2000]});
        config["process"]["cwd"] = json!("/tmp");
    };
    let container = oci.bundle(edit).start(&[]);
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(container.exec(options, script).ok().prints(expected))
    };
    let ids = "id -u; id -g; awk '/^Groups/ {$1 = \"\"; print}' /proc/self/status";
    check(&[], ids, "1000\n1000\n 2000");
    check(&["--user", "0"], "id -u", "0");
    check(&["--user", "5:6"], "id -u; id -g", "5\n6");
    check(&["-u", "7:8"], "id -u; id -g", "7\n8");
    check(
        &["--user=0:0", "--additional-gids", "77", "--additional-gids", "88"],
        "awk '/^Groups/ {print /[ \\t]77 /, /[ \\t]88 /}' /proc/self/status",
        "1 1",
    );
    check(&["--user=0:0", "-g", "99"], "awk '/^Groups/ {print /[ \\t]99 /}' /proc/self/status", "1");
    check(&[], "pwd", "/tmp");
    check(&["--cwd", "/etc"], "pwd", "/etc");
    check(&[], "echo $A $B", "of config b");
    check(&["--env", "C=c", "-e", "A=given", "--env=D=e=f"], "echo $A $B $C $D", "given b c e=f");
    check(&["--no-new-privs"], "sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status", "1");
    check(&["--no-new-privs=false"], "sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status", "0");
    check(
        &["--user", "0:0", "--cap", "CAP_NET_BIND_SERVICE"],
        "awk '/^CapEff/ {print $2}' /proc/self/status",
        "00000000000004eb",
    );
    check(
        &["--user", "0:0", "-c", "CAP_NET_BIND_SERVICE", "-c", "CAP_SYS_CHROOT"],
        "awk '/^CapEff/ {print $2}' /proc/self/status",
        "00000000000404eb",
    );
    // After the id everything is the command's.
    container.with("exec", &[], &["echo", "--user", "0", "-e", "--", "x"]).ok().prints("--user 0 -e -- x");
    container.with("exec", &["--"], &["echo", "x"]).ok().prints("x");
}

#[test]
fn refusals() {
    let oci = root();
    let container = running(&oci, |_| ());
    let check = |options: &[&str], words: &[&str], expected: &[&str]| {
        let outcome = container.with("exec", options, words).refused(expected);
        assert_eq!(outcome.code, 255, "{outcome}");
    };
    check(&[], &["no-such-program"], &["no-such-program", "executable file not found in $PATH"]);
    check(&[], &["/bin/none"], &["/bin/none", "no such file or directory"]);
    check(&[], &["/etc/passwd"], &["permission denied"]);
    check(&["--cwd", "etc"], &["true"], &["cwd"]);
    check(&["--cwd", "/proc/self/fd/9"], &["true"], &["/proc/self/fd/9"]);
    for user in ["root", "-1", "", "4294967295", "1:", ":1", "1:2:3", "0x10", "99999999999"] {
        check(&["--user", user], &["true"], &["user"]);
    }
    check(&["--additional-gids", "-1"], &["true"], &["gid"]);
    check(&["--cap", "CAP_NO_SUCH"], &["true"], &["CAP_NO_SUCH"]);
    check(&["--process", "/tmp/none.json"], &[], &["/tmp/none.json"]);
    check(&["--cgroup", "../.."], &["true"], &["cgroup"]);
    check(&["--preserve-fds", "5"], &["true"], &["preserve"]);
    assert_ne!(container.with("exec", &[], &[]).code, 0, "without a command");
    assert_eq!(container.status(), "running");
    container.exec(&[], "ls /proc | grep -E '^[0-9]+$' | wc -l").ok();
}

#[test]
fn a_process_from_a_file() {
    let oci = root();
    let container = running(&oci, |_| ());
    let process = json!({
        "user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o077}, "args": ["sh", "-c", "id -u; id -g; umask; pwd; echo $A; ulimit -Sn; awk '/^Cap(Eff|Bnd|Amb)/ {print $2}' /proc/self/status; cat /proc/self/oom_score_adj; sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status"],
        "env": ["PATH=/bin", "A=a"], "cwd": "/etc", "noNewPrivileges": true, "oomScoreAdj": 500,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
        "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
    });
    container.bundle.write("process.json", process.to_string());
    let file = container.bundle.inside("process.json");
    let expected = "5\n6\n0077\n/etc\na\n77\n0000000000000020\n0000000000000020\n0000000000000020\n500\n1";
    container.with("exec", &["--process", &file], &[]).ok().prints(expected);
    container.with("exec", &["-p", &file], &[]).ok().prints(expected);
    for (broken, word) in [
        (json!({"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "etc"}), "cwd"),
        (json!({"user": {"uid": 0, "gid": 0}, "args": [], "cwd": "/"}), "args"),
        (json!({"user": {"uid": 0, "gid": 0}, "cwd": "/"}), "args"),
        (json!({"user": {"uid": "zero", "gid": 0}, "args": ["true"], "cwd": "/"}), "uid"),
    ] {
        container.bundle.write("broken.json", broken.to_string());
        container.with("exec", &["--process", &container.bundle.inside("broken.json")], &[]).refused(&[word]);
    }
}

#[test]
fn detached_with_a_pid_file() {
    let oci = root();
    let container = running(&oci, |_| ());
    let file = container.bundle.inside("exec.pid");
    for option in ["--detach", "-d"] {
        container
            .with("exec", &[option, "--pid-file", &file], &["sh", "-c", "echo up >/execup; exec sleep 1000"])
            .ok()
            .prints("");
        container.bundle.awaits("rootfs/execup");
        let pid: i32 = container.bundle.read("exec.pid").parse().expect("a number and nothing else");
        assert!(oci.host.processes().contains(&pid), "{pid} runs in the host's cgroups");
        std::fs::remove_file(container.bundle.path("rootfs/execup")).expect("remove");
    }
    let listed: Value =
        serde_json::from_str(&container.with("ps", &["--format", "json"], &[]).ok().stdout).expect("JSON");
    assert!(listed.as_array().is_some_and(|pids| pids.len() >= 3), "{listed}");
    container.end();
    container.call("delete", &[]).ok();
    oci.assert_empty("delete with processes of exec");
}

#[test]
fn a_terminal_of_its_own() {
    fn check(oci: &Oci) {
        let container = running(oci, |_| ());
        for option in ["--tty", "-t"] {
            let path = container.bundle.inside(&format!("{}.sock", option.trim_matches('-')));
            let receiver = Receiver::at(oci, &path);
            container
                .with(
                    "exec",
                    &["--detach", option, "--console-socket", &path],
                    &["sh", "-c", "test -t 0 && echo terminal; tty"],
                )
                .ok();
            let (master, _) = receiver.take();
            let mut shown = String::new();
            let mut file = std::fs::File::from(master);
            let mut buffer = [0; 1024];
            // EIO, not the end of a file, when the last process is gone.
            while let Ok(count @ 1..) = file.read(&mut buffer) {
                shown += &String::from_utf8_lossy(&buffer[..count]);
            }
            assert!(shown.starts_with("terminal\r\n/dev/pts/"), "{shown:?}");
        }
        container.exec(&[], "test -t 0 || echo none").ok().prints("none");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn a_paused_container() {
    let oci = root();
    let container = running(&oci, |_| ());
    container.call("pause", &[]).ok();
    container
        .exec(&[], "true")
        .refused(&["cannot exec in a paused container (use --ignore-paused to override)"]);
    let file = container.bundle.inside("paused.pid");
    let mut waits =
        oci.command(["exec", "--ignore-paused", "--pid-file", &file, container.id(), "echo", "went on"]);
    let running = testkit::Running::start(&mut waits);
    container.call("resume", &[]).ok();
    running.wait().ok().prints("went on");
}

/// The cgroup of an exec: below that of the container, where it must be there (runc's --cgroup).
#[test]
fn a_cgroup_below() {
    let oci = cgroup2();
    let container = running(&oci, |config| {
        config["linux"]["cgroupsPath"] = json!("/boxed");
        capabilities(config, &["CAP_KILL"]);
    });
    oci.host.admin("mkdir /sys/fs/cgroup/boxed/below");
    container
        .exec(&["--cgroup", "below"], "sed -n 's/^0:://p' /proc/self/cgroup")
        .ok()
        .prints("/boxed/below");
    container
        .exec(&["--cgroup", "/below"], "sed -n 's/^0:://p' /proc/self/cgroup")
        .ok()
        .prints("/boxed/below");
    container.exec(&["--cgroup", "none"], "true").refused(&["none"]);
    container.end();
    oci.host.admin("rmdir /sys/fs/cgroup/boxed/below 2>/dev/null || :");
    container.call("delete", &[]).ok();
    oci.assert_empty("exec in a cgroup below");
}

#[test]
fn preserved_descriptors() {
    let oci = root();
    let container = running(&oci, |_| ());
    let line = format!(
        "echo three >/tmp/three; exec 3</tmp/three 4</dev/null; exec $C --root /tmp/run/oci exec --preserve-fds 1 {} sh -c 'cat <&3; ls /proc/self/fd | wc -l'",
        container.id()
    );
    oci.host.sh(&line).ok().prints("three\n5");
    let line = line.replace("--preserve-fds 1", "").replace("cat <&3; ", "");
    oci.host.sh(&line).ok().prints("4");
}
