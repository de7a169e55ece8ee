//! `linux.seccomp` on the real kernel: that the filter is there and does what it says. That it is the right one for every
//! call and argument is shown in the crate `seccomp`.

use crate::terminal::Receiver;
use crate::world::{root, rootless};
use serde_json::{Value, json};
use testkit::Oci;

fn profile(config: &mut Value, default: &str, rules: Value) {
    config["linux"]["seccomp"] =
        json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules});
}

#[test]
fn actions() {
    clause!(
        "config-linux.seccomp",
        "config-linux.seccomp.defaultAction",
        "config-linux.seccomp.syscalls",
        "config-linux.seccomp.syscalls.names"
    );
    clause!(
        "config-linux.seccomp.syscalls.action",
        "config-linux.seccomp.syscalls.errnoRet",
        "config-linux.seccomp.syscalls.args",
        "config-linux.seccomp.defaultErrnoRet",
        "config-linux.seccomp.architectures"
    );
    fn check(oci: &Oci) {
        let allow = |rules: Value, script: &str, expected: &str| {
            oci.run(|config| profile(config, "SCMP_ACT_ALLOW", rules), script).ok().prints(expected);
        };
        allow(json!([]), "sed -n 's/^Seccomp:[[:space:]]*//p' /proc/self/status", "2");
        let mkdir = json!(["mkdir", "mkdirat"]);
        let says = "mkdir /tmp/x 2>&1 | sed 's/.*: //'";
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_ERRNO"}]), says, "Operation not permitted");
        allow(
            json!([{"names": mkdir, "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]),
            says,
            "No space left on device",
        );
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]), says, "");
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_LOG"}]), "mkdir /tmp/x && echo made", "made");
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_KILL_PROCESS"}]), "mkdir /tmp/x; echo $?", "159");
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_KILL_THREAD"}]), "mkdir /tmp/x; echo $?", "159");
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_KILL"}]), "mkdir /tmp/x; echo $?", "159");
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_TRAP"}]), "mkdir /tmp/x; echo $?", "159");
        // Without a tracer the call is not there.
        allow(json!([{"names": mkdir, "action": "SCMP_ACT_TRACE"}]), says, "Function not implemented");
        // By its arguments: the signal of kill is the second, 0 only asks and 18 is SIGCONT.
        let of_signal = |op: &str, value: u32, two: u32| json!([{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "op": op, "value": value, "valueTwo": two}]}]);
        let both = "(kill -0 $$ && echo asked; kill -CONT $$ && echo sent) 2>/dev/null; true";
        allow(of_signal("SCMP_CMP_EQ", 0, 0), both, "sent");
        allow(of_signal("SCMP_CMP_NE", 0, 0), both, "asked");
        allow(of_signal("SCMP_CMP_LT", 18, 0), both, "sent");
        allow(of_signal("SCMP_CMP_LE", 17, 0), both, "sent");
        allow(of_signal("SCMP_CMP_GE", 18, 0), both, "asked");
        allow(of_signal("SCMP_CMP_GT", 17, 0), both, "asked");
        allow(of_signal("SCMP_CMP_MASKED_EQ", 16, 16), both, "asked");
        allow(of_signal("SCMP_CMP_EQ", 9, 0), both, "asked\nsent");
        // What the kernel does not know is no reason to refuse.
        allow(
            json!([{"names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]),
            says,
            "Operation not permitted",
        );
        // Denied by default: all that a shell needs is named, and mkdir is not.
        let needed = json!([
            "access",
            "arch_prctl",
            "brk",
            "close",
            "dup2",
            "dup3",
            "execve",
            "exit",
            "exit_group",
            "fcntl",
            "fork",
            "vfork",
            "clone",
            "clone3",
            "fstat",
            "newfstatat",
            "getcwd",
            "getegid",
            "geteuid",
            "getgid",
            "getpid",
            "getppid",
            "getrandom",
            "getuid",
            "getpgrp",
            "getpgid",
            "ioctl",
            "lstat",
            "mmap",
            "mprotect",
            "munmap",
            "open",
            "openat",
            "pipe",
            "pipe2",
            "poll",
            "prctl",
            "prlimit64",
            "read",
            "readlink",
            "rseq",
            "rt_sigaction",
            "rt_sigprocmask",
            "rt_sigreturn",
            "set_robust_list",
            "set_tid_address",
            "setgid",
            "setuid",
            "setgroups",
            "stat",
            "umask",
            "uname",
            "wait4",
            "write",
            "writev",
            "futex",
            "lseek",
            "sched_getaffinity",
            "sysinfo",
            "capset",
            "close_range",
            "fchdir",
            "chdir",
            "sigaltstack",
            "statx",
            "setresuid",
            "setresgid",
            "sendmsg",
            "recvmsg",
            "sendto",
            "recvfrom",
            "ppoll",
            "mremap"
        ]);
        let denied = |value: Value| {
            oci.run(
                |config| {
                    profile(config, "SCMP_ACT_ERRNO", json!([{"names": needed, "action": "SCMP_ACT_ALLOW"}]));
                    config["linux"]["seccomp"]["defaultErrnoRet"] = value;
                },
                says,
            )
            .ok()
        };
        denied(Value::Null).prints("Operation not permitted");
        denied(json!(38)).prints("Function not implemented");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn flags() {
    clause!("config-linux.seccomp.flags");
    let oci = root();
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC"]),
    ] {
        let edit = |config: &mut Value| {
            profile(config, "SCMP_ACT_ALLOW", json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]));
            config["linux"]["seccomp"]["flags"] = flags.clone();
        };
        oci.run(edit, "mkdir /tmp/x 2>/dev/null || echo denied").ok().prints("denied");
    }
}

/// Does it in a thread whose calls of seccomp(2), and those of its children, are answered as on another kernel.
fn on_kernel(rules: &[Value], test: impl FnOnce(&Oci) + Send) {
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| json!({"names": ["seccomp"], "action": "SCMP_ACT_ERRNO", "errnoRet": rule[0], "args": rule[1]}))
        .collect();
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
    let profile = serde_json::from_value(profile).expect("a profile");
    let program = seccomp::compile(&profile, seccomp::Options::default()).expect("it compiles");
    std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let oci = root();
            sys::seccomp::set_filter(&program.instructions, 0).expect("a filter of this thread");
            test(&oci);
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A condition of a call of seccomp(2).
fn is(index: u32, value: u32) -> Value {
    json!({"index": index, "op": "SCMP_CMP_EQ", "value": value})
}

#[test]
fn what_the_kernel_lacks_is_named() {
    const SET_MODE_FILTER: u32 = 1;
    const GET_ACTION_AVAIL: u32 = 2;
    const SPEC_ALLOW: u32 = 4;
    const WAIT_KILLABLE_RECV_AND_NEW_LISTENER: u32 = 0x28;
    fn flagged(oci: &Oci, flags: Value) -> testkit::Bundle<'_> {
        oci.bundle(|config| {
            profile(config, "SCMP_ACT_ALLOW", json!([]));
            config["linux"]["seccomp"]["flags"] = flags;
        })
    }
    let supported = |oci: &Oci| {
        let features: Value = serde_json::from_str(&oci.call(["features"]).ok().stdout).expect("JSON");
        assert_eq!(features["linux"]["seccomp"]["knownFlags"].as_array().map(Vec::len), Some(4));
        features["linux"]["seccomp"]["supportedFlags"].clone()
    };
    let three =
        json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]);
    // EINVAL, as Linux before 4.17 and 5.19 would say.
    let newer = json!([is(0, SET_MODE_FILTER), is(1, WAIT_KILLABLE_RECV_AND_NEW_LISTENER)]);
    on_kernel(&[json!([22, newer])], |oci| {
        assert_eq!(supported(oci), three);
        let bundle = flagged(oci, json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]));
        bundle.try_create(&[]).refused(&["linux.seccomp.flags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    });
    on_kernel(&[json!([22, [is(0, SET_MODE_FILTER), is(1, SPEC_ALLOW)]])], |oci| {
        let bundle = flagged(oci, three.clone());
        bundle.try_create(&[]).refused(&["linux.seccomp.flags", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
        flagged(oci, json!(["SECCOMP_FILTER_FLAG_LOG"])).try_run(&[]).ok();
    });
    // EOPNOTSUPP.
    on_kernel(&[json!([95, [is(0, GET_ACTION_AVAIL)]])], |oci| {
        let bundle = flagged(oci, json!([]));
        bundle.try_create(&[]).refused(&["linux.seccomp.defaultAction", "SCMP_ACT_ALLOW"]);
        oci.assert_empty("a kernel without the action");
    });
    // One that does not say, EPERM: the filter shows.
    on_kernel(&[json!([1, [is(0, GET_ACTION_AVAIL)]])], |oci| {
        flagged(oci, three.clone()).try_run(&[]).ok();
    });
    // As it is; and a way to wait for answers has no meaning where there are no questions.
    on_kernel(&[], |oci| {
        let supported = supported(oci);
        assert!(
            three
                .as_array()
                .is_some_and(|all| all.iter().all(|one| supported.to_string().contains(&one.to_string())))
        );
        flagged(oci, supported).try_run(&[]).ok();
    });
}

#[test]
fn architectures_of_other_machines_may_be_named() {
    let oci = root();
    let edit = |config: &mut Value| {
        profile(
            config,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]),
        );
        config["linux"]["seccomp"]["architectures"] = json!([
            "SCMP_ARCH_MIPS",
            "SCMP_ARCH_S390X",
            "SCMP_ARCH_PPC64LE",
            "SCMP_ARCH_RISCV64",
            "SCMP_ARCH_LOONGARCH64"
        ]);
    };
    oci.run(edit, "mkdir /tmp/x 2>/dev/null || echo denied").ok().prints("denied");
}

#[test]
fn refusals() {
    clause!("config-linux.seccomp.errno-unsupported", "config-linux.seccomp.listenerMetadata.alone");
    let oci = root();
    let refused = |edit: &dyn Fn(&mut Value)| {
        let bundle = oci.bundle(|config| {
            profile(config, "SCMP_ACT_ALLOW", json!([]));
            edit(&mut config["linux"]["seccomp"]);
        });
        bundle.try_create(&[]).refused(&["seccomp"]);
        oci.assert_empty("refused profiles");
    };
    refused(&|seccomp| seccomp["defaultAction"] = json!("SCMP_ACT_MAYBE"));
    refused(&|seccomp| seccomp["architectures"] = json!(["SCMP_ARCH_ABACUS"]));
    refused(&|seccomp| seccomp["flags"] = json!(["SECCOMP_FILTER_FLAG_NO_SUCH"]));
    refused(&|seccomp| seccomp["syscalls"] = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NO_SUCH"}]));
    refused(&|seccomp| seccomp["syscalls"] = json!([{"names": [], "action": "SCMP_ACT_ERRNO"}]));
    refused(
        &|seccomp| seccomp["syscalls"] = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "op": "SCMP_CMP_EQ", "value": 1}]}]),
    );
    refused(
        &|seccomp| seccomp["syscalls"] = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "op": "SCMP_CMP_LIKE", "value": 1}]}]),
    );
    refused(&|seccomp| {
        seccomp["syscalls"] = json!([{"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 1}])
    });
    refused(&|seccomp| seccomp["syscalls"] = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]));
    refused(&|seccomp| seccomp["listenerMetadata"] = json!("alone"));
    refused(&|seccomp| {
        seccomp["listenerPath"] = json!("/tmp/none.sock");
        seccomp["syscalls"] = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]);
    });
}

#[test]
fn questions_go_to_a_listener() {
    clause!(
        "config-linux.seccomp.listenerPath",
        "config-linux.seccomp.listenerPath.one-state",
        "config-linux.seccomp.listenerMetadata"
    );
    clause!("config-linux.seccomp.containerProcessState", "config-linux.seccomp.containerProcessState.fds");
    let oci = root();
    let mut bundle = oci.bundle(|config| {
        profile(config, "SCMP_ACT_ALLOW", json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]));
        config["process"]["args"] = json!(["true"]);
        config["annotations"] = json!({"a": "b"});
    });
    let path = bundle.inside("listener.sock");
    let receiver = Receiver::at(&oci, &path);
    bundle.config["linux"]["seccomp"]["listenerPath"] = json!(path);
    bundle.config["linux"]["seccomp"]["listenerMetadata"] = json!("opaque words");
    bundle.save();
    let (directory, id) = (bundle.directory.clone(), bundle.id.clone());
    let running = oci.spawn(["run", "--bundle", &directory, &id]);
    let (fd, text) = receiver.take();
    running.wait().ok();
    let sent: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
    assert!(sent["ociVersion"].is_string());
    assert_eq!(sent["fds"], json!(["seccompFd"]));
    assert_eq!(sent["metadata"], "opaque words");
    assert!(sent["pid"].as_i64().is_some_and(|pid| pid > 0), "{sent}");
    assert_eq!(sent["state"]["id"], id);
    assert_eq!(sent["state"]["status"], "creating");
    assert_eq!(sent["state"]["bundle"], directory);
    assert_eq!(sent["state"]["annotations"]["a"], "b");
    let link = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)))
        .expect("readlink");
    assert!(link.display().to_string().contains("seccomp notify"), "{link:?}");
    oci.assert_empty("a listener");
}

/// LD nr; JEQ mkdir; JEQ mkdirat; RET, RET ALLOW: the first RET is ERRNO 28, or USER_NOTIF.
const RAW: &str = "IAAAAAAAAAAVAAEAUwAAABUAAAECAQAABgAAABwABQAGAAAAAAD/fw==";
const RAW_NOTIFY: &str = "IAAAAAAAAAAVAAEAUwAAABUAAAECAQAABgAAAAAAwH8GAAAAAAD/fw==";

#[test]
fn annotations_of_crun() {
    let oci = root();
    let check = |name: &str, value: &str, rules: Value, expected: &str| {
        let edit = |config: &mut Value| {
            profile(config, "SCMP_ACT_ALLOW", rules);
            config["annotations"] = json!({name: value});
        };
        oci.run(edit, "mkdir /tmp/x 2>&1 | sed 's/.*: //'; ln -s a /tmp/y 2>&1 | sed 's/.*: //'")
            .ok()
            .prints(expected);
    };
    let refused = |name: &str, value: &str, rules: Value, words: &[&str]| {
        let bundle = oci.bundle(|config| {
            profile(config, "SCMP_ACT_ALLOW", rules);
            config["annotations"] = json!({name: value});
        });
        bundle.try_create(&[]).refused(words);
        oci.assert_empty("a refused annotation");
    };
    let symlink = json!([{"names": ["symlink", "symlinkat", "no_such_call"], "action": "SCMP_ACT_ERRNO"}]);
    let raw = "run.oci.seccomp_bpf_data";
    check("another", RAW, symlink.clone(), "Operation not permitted");
    // In the place of the profile, which is not looked at.
    check(raw, RAW, symlink.clone(), "No space left on device");
    oci.run(|config| config["annotations"] = json!({raw: RAW}), "mkdir /tmp/x 2>/dev/null || echo denied")
        .ok()
        .prints("denied");
    refused(raw, "no base64!", json!([]), &[raw]);
    refused(raw, "AAAA", json!([]), &[raw, "3 bytes"]);
    refused(raw, "", json!([]), &[raw]);
    refused(raw, RAW_NOTIFY, json!([]), &[raw, "no listener"]);
    // Eight zeros are an instruction, but no program.
    refused(raw, "AAAAAAAAAAA=", json!([]), &["seccomp", "EINVAL"]);
    let unknown = "run.oci.seccomp_fail_unknown_syscall";
    check(unknown, "0", symlink.clone(), "Operation not permitted");
    refused(unknown, "1", symlink, &["linux.seccomp.syscalls[0].names", "no_such_call"]);
    let notify = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]);
    refused("run.oci.seccomp.receiver", "relative.sock", notify.clone(), &["run.oci.seccomp.receiver"]);
    refused("run.oci.seccomp.receiver", "/no/such.sock", notify, &["/no/such.sock"]);
    refused("run.oci.seccomp.plugins", "/lib/x.so", json!([]), &["run.oci.seccomp.plugins", "not supported"]);
}

#[test]
fn questions_of_every_process_go_to_the_receiver() {
    let oci = root();
    for raw in [false, true] {
        let mut bundle = oci.bundle(|config| {
            crate::world::stays(config);
            profile(config, "SCMP_ACT_ALLOW", json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]));
        });
        let path = bundle.inside("receiver.sock");
        let receiver = Receiver::at(&oci, &path);
        bundle.config["annotations"] = json!({"run.oci.seccomp.receiver": path});
        if raw {
            bundle.config["annotations"]["run.oci.seccomp_bpf_data"] = json!(RAW_NOTIFY);
        }
        bundle.save();
        let container = bundle.start(&[]);
        let sent = |status: &str| {
            let (fd, text) = receiver.take();
            let sent: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
            assert_eq!(sent["fds"], json!(["seccompFd"]));
            assert_eq!(sent["state"]["status"], status);
            (fd, sent)
        };
        let (_of_init, first) = sent("creating");
        assert_eq!(first["pid"], first["state"]["pid"]);
        let id = container.bundle.id.clone();
        let executed = oci.spawn(["exec", &id, "true"]);
        let (_of_exec, second) = sent("running");
        executed.wait().ok();
        assert_eq!(second["state"]["pid"], first["pid"]);
        assert_ne!(second["pid"], first["pid"]);
    }
}

/// What busybox calls to do nothing, and to make a directory; and of prctl(2) the name of its thread.
const OF_BUSYBOX: [&str; 14] = [
    "arch_prctl",
    "brk",
    "execve",
    "exit_group",
    "getrandom",
    "getuid",
    "mkdir",
    "mprotect",
    "prlimit64",
    "readlink",
    "rseq",
    "set_robust_list",
    "set_tid_address",
    "write",
];
const PR_GET_NAME: u32 = 16;

/// A start came after the filter: "init ended without a word" for each profile that allowed a command what it needs and nothing else, and a
/// panic where umask(2) was not among that.
#[test]
fn a_profile_allows_the_command_what_it_needs_and_no_more() {
    fn only(config: &mut Value, default: &str, calls: &[&str], args: &[&str]) {
        config["process"]["args"] = json!(args);
        config["process"]["noNewPrivileges"] = json!(true);
        let name = [is(0, PR_GET_NAME)];
        let rules = json!([{"names": calls, "action": "SCMP_ACT_ALLOW"},
            {"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": name}]);
        profile(config, default, rules);
    }
    fn check(oci: &Oci) {
        for default in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"] {
            let bundle = |args: &[&str]| oci.bundle(|config| only(config, default, &OF_BUSYBOX, args));
            bundle(&["mkdir", "/tmp/made"]).try_run(&[]).ok();
            let container = bundle(&["true"]).start(&[]);
            container.becomes("stopped");
            // It is in force all the same.
            let refused = bundle(&["rmdir", "/tmp"]).try_run(&[]);
            let code = if default == "SCMP_ACT_ERRNO" { 1 } else { 128 + 31 };
            assert_eq!(refused.code, code, "{default}: {refused}");
            // Nor does what comes in later need more.
            let stays = container_that_stays(oci, default);
            stays.call("exec", &["true"]).ok();
            let refused = stays.call("exec", &["rmdir", "/tmp"]);
            assert_eq!(refused.code, code, "{default}: {refused}");
        }
        // What the kernel says of a command is heard all the same.
        let bundle = oci.bundle(|config| only(config, "SCMP_ACT_ERRNO", &OF_BUSYBOX, &["/bin/broken"]));
        bundle.write("rootfs/bin/broken", "no program");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bundle.path("rootfs/bin/broken"), mode).expect("chmod");
        bundle.try_run(&[]).refused(&["/bin/broken", "ENOEXEC"]);
    }
    fn container_that_stays<'a>(oci: &'a Oci, default: &str) -> testkit::Container<'a> {
        let calls = [&OF_BUSYBOX[..], &["clock_nanosleep", "nanosleep"]].concat();
        oci.bundle(|config| only(config, default, &calls, &["sleep", "1000"])).start(&[])
    }
    check(&root());
    check(&rootless());
}

#[test]
fn a_profile_that_leaves_out_what_a_start_calls_is_named() {
    fn check(oci: &Oci) {
        let without = |calls: &[&str], no_new_privileges: bool| {
            let rules = json!([{"names": calls, "action": "SCMP_ACT_ERRNO"}]);
            oci.bundle(|config| {
                config["process"]["noNewPrivileges"] = json!(no_new_privileges);
                config["process"]["args"] = json!(["true"]);
                profile(config, "SCMP_ACT_ALLOW", rules);
            })
        };
        for call in ["setresuid", "umask", "getcwd", "sendmsg", "recvmsg", "accept4", "close_range"] {
            without(&[call], false).try_create(&[]).refused(&["linux.seccomp", call, "noNewPrivileges"]);
            without(&[call], true).start(&[]).becomes("stopped");
        }
        without(&["accept4"], false).try_run(&[]).ok();
        // One that lets it all through is there while the container waits: in a user namespace it could be traced by then.
        let waits = without(&["mkdir"], true).create(&[]);
        let status = oci.host.admin(&format!("grep Seccomp: /proc/{}/status", waits.pid()));
        status.prints("Seccomp:\t2");
        drop(waits);
        for no_new_privileges in [false, true] {
            without(&["execve"], no_new_privileges).try_create(&[]).refused(&[
                "linux.seccomp",
                "execve",
                "command",
            ]);
        }
        oci.assert_empty("refused profiles");
    }
    check(&root());
    check(&rootless());
}
