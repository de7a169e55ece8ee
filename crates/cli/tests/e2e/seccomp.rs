//! The filter of system calls: Docker's by default, another by `--security-opt seccomp=FILE`.

use crate::world::{BUSYBOX, World, program};
use testkit::Host;

/// Runs `script` in perl, which can make any call, and prints what became of each.
fn perl(host: &Host, options: &[&str], script: &str) -> String {
    let mut arguments = vec!["run", "--rm", "--network", "none", "--rootfs", "/:O"];
    arguments.extend(options);
    let script = format!(
        "sub did {{ print $_[0] ? 'done' : $!{{ENOSYS}} ? 'ENOSYS' : $!{{EPERM}} ? 'EPERM' : $!, ' ' }}\n{script}"
    );
    arguments.extend(["perl", "-MErrno", "-e", &script]);
    host.run(arguments).ok().line().trim().to_owned()
}

#[test]
fn calls_are_filtered_as_dockers() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let check = |options: &[&str], script: &str, expected: &str| {
            assert_eq!(perl(&host, options, script), expected, "{options:?} {script}");
        };
        // AF_INET, AF_NETLINK, AF_ALG, AF_VSOCK
        let sockets = "did(socket(my $s, $_->[0], $_->[1], 0)) for [2, 2], [16, 3], [38, 5], [40, 1]";
        check(&[], sockets, "done done EPERM EPERM");
        check(&["--cap-add", "SYS_ADMIN"], sockets, "done done EPERM EPERM");
        let open = perl(&host, &["--security-opt", "seccomp=unconfined"], sockets);
        assert!(open.starts_with("done done") && !open.contains("EPERM"), "{open}");
        // unshare(CLONE_NEWUSER), keyctl(KEYCTL_GET_KEYRING_ID, user session), add_key, io_uring_setup, clone3,
        // file_getattr
        let calls = "did(0 <= syscall($_->[0], $_->[1], $_->[2], 0, 0, 0)) for [272, 0x10000000, 0], [250, 0, -4], \
            [248, 0, 0], [425, 0, 0], [435, 0, 0], [468, 0, 0]";
        check(&[], calls, "EPERM EPERM EPERM EPERM ENOSYS ENOSYS");
        let open = perl(&host, &["--security-opt", "seccomp=unconfined"], calls);
        assert!(open.starts_with("done") && !open.contains("EPERM"), "{open}");
        // ptrace(PTRACE_TRACEME), personality(PER_LINUX32), and that of no random addresses.
        let others = "did(0 <= syscall($_->[0], $_->[1], 0, 0, 0)) for [101, 0], [135, 0x8], [135, 0x40000]";
        check(&[], others, "done done EPERM");
        check(&["--init"], others, "done done EPERM");
        check(&["--security-opt", "no-new-privileges", "-u", "1"], others, "done done EPERM");
    }
}

#[test]
fn one_filter_and_who_has_none() {
    let world = World::root();
    let check = |options: &[&str], expected: &str| {
        let script = "sed -n 's/^Seccomp[_a-z]*:[[:space:]]*//p' /proc/self/status | tr '\\n' ' '";
        world.sh(options, script).ok().prints(expected);
    };
    check(&[], "2 1 ");
    check(&["--init", "-u", "app"], "2 1 ");
    check(&["--security-opt", "seccomp=builtin"], "2 1 ");
    check(&["--security-opt", "no-new-privileges", "--cap-drop", "ALL"], "2 1 ");
    check(&["--security-opt", "seccomp=unconfined"], "0 0 ");
    check(&["--security-opt", "seccomp:unconfined"], "0 0 ");
    check(&["--privileged"], "0 0 ");
    check(&["--privileged", "--security-opt", "seccomp=builtin"], "2 1 ");
}

/// What is executed later has the container's filter; with --privileged none, unless somebody has chosen the container's (moby#21984).
#[test]
fn what_is_executed_later() {
    for world in World::both() {
        let check = |options: &[&str], filter: &str, privileged: &str| {
            let run = ["run", "-d", "--net", "none", "--name", "up"];
            world.host.run([&run[..], options, &[BUSYBOX, "sleep", "1000"]].concat()).ok();
            for (exec, expected) in [(&["exec"][..], filter), (&["exec", "--privileged"], privileged)] {
                let status = ["up", "sed", "-n", "s/^Seccomp:[[:space:]]*//p", "/proc/self/status"];
                world.host.run([exec, &status].concat()).ok().prints(expected);
            }
            if filter != privileged {
                let mount = ["up", "mount", "-t", "tmpfs", "none", "/tmp"];
                assert_ne!(world.host.run([&["exec"], &mount[..]].concat()).code, 0);
                world.host.run([&["exec", "--privileged"], &mount[..]].concat()).ok();
            }
            world.host.run(["rm", "-f", "up"]).ok();
        };
        check(&[], "2", "0");
        check(&["--security-opt", "no-new-privileges"], "2", "0");
        check(&["--privileged"], "0", "0");
        check(&["--security-opt", "seccomp=unconfined"], "0", "0");
        check(&["--security-opt", "seccomp=builtin"], "2", "2");
        check(&["--privileged", "--security-opt", "seccomp=builtin"], "2", "2");
    }
}

#[test]
fn a_profile_of_ones_own() {
    let world = World::root();
    let profile = |text: &str| {
        let path = world.host.path("/tmp/profile.json");
        std::fs::write(path, text).expect("write a profile");
        "seccomp=/tmp/profile.json"
    };
    let own = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64",
        "subArchitectures": ["SCMP_ARCH_X86"]}], "syscalls": [
            {"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
            {"name": "sethostname", "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"name": "symlink", "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}}]}"#,
    );
    let script = "mkdir /tmp/x 2>&1; ln -s a /tmp/b && readlink /tmp/b";
    let denied = "mkdir: can't create directory '/tmp/x': No space left on device\na";
    world.sh(&["--security-opt", own], script).ok().prints(denied);
    world.sh(&["--privileged", "--security-opt", own], script).ok().prints(denied);
    world.sh(&["--privileged", "--security-opt", own], "hostname other && hostname").ok().prints("other");
    world.sh(&[], "mkdir /tmp/x && echo made").ok().prints("made");
    let refused = |text: &str, words: &[&str]| {
        let mut all = vec!["--security-opt seccomp=/tmp/profile.json"];
        all.extend(words);
        world.sh(&["--security-opt", profile(text)], "true").refuses(125, &all);
    };
    refused("{", &["EOF"]);
    refused("{}", &["defaultAction"]);
    refused(r#"{"defaultAction": "SCMP_ACT_MAYBE"}"#, &["SCMP_ACT_MAYBE"]);
    refused(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, &["defaultAction", "SCMP_ACT_NOTIFY"]);
    refused(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
        &["syscalls[0].args[0].index"],
    );
    world.sh(&["--security-opt", "seccomp=/no/such"], "true").refuses(125, &["/no/such", "ENOENT"]);
    world.sh(&["--security-opt", "seccomp="], "true").refuses(125, &["--security-opt"]);
    world.sh(&["--security-opt", "secomp=unconfined"], "true").refuses(125, &["secomp=unconfined"]);
}
