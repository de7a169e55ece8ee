//! `process` of config.json: what runs, as whom, and with what.

use crate::world::{capabilities, mount, root, rootless, script, without_namespace};
use serde_json::{Value, json};
use testkit::Oci;

#[track_caller]
fn shows(oci: &Oci, edit: impl FnOnce(&mut Value), script: &str, expected: &str) {
    oci.run(edit, script).ok().prints(expected);
}

/// One line of /proc/self/status.
fn status(name: &str) -> String {
    format!("sed -n 's/^{name}:[[:space:]]*//p' /proc/self/status")
}

#[test]
fn arguments_and_environment() {
    clause!("config.process", "config.process.args", "config.process.args.path", "config.process.env");
    fn check(oci: &Oci) {
        let echo = |args: &[&str], expected: &str| {
            let bundle = oci.bundle(|config| config["process"]["args"] = json!(args));
            bundle.try_run(&[]).ok().prints(expected);
        };
        echo(&["/bin/echo", "absolute"], "absolute");
        echo(&["echo", "by", "PATH"], "by PATH");
        echo(&["bin/echo", "by cwd"], "by cwd");
        echo(&["echo", "", " a  b ", "$PATH", "*", "ünï"], "  a  b  $PATH * ünï");
        shows(
            oci,
            |config| {
                config["process"]["env"] = json!(["PATH=/bin", "ONE=1", "EMPTY=", "EQUALS=a=b", "SPACE=a b"])
            },
            "echo \"$ONE|$EMPTY|$EQUALS|$SPACE\"",
            "1||a=b|a b",
        );
        // The last of two is meant, and nothing of the caller's comes in.
        shows(
            oci,
            |config| config["process"]["env"] = json!(["PATH=/bin", "A=1", "A=2", "HOME=/x"]),
            "env | grep -vE '^(PWD|SHLVL|_)=' | sort",
            "A=2\nHOME=/x\nPATH=/bin",
        );
        let other = oci.bundle(|config| {
            config["process"]["env"] = json!(["PATH=/other"]);
            config["process"]["args"] = json!(["tool"]);
        });
        std::fs::create_dir(other.path("rootfs/other")).expect("mkdir");
        other.write("rootfs/other/tool", "#!/bin/sh\necho \"tool $0\"\n");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(other.path("rootfs/other/tool"), mode).expect("chmod");
        other.try_run(&[]).ok().prints("tool /other/tool");
        let many: Vec<String> = (0..2000).map(|n| format!("argument-{n}")).collect();
        let bundle = oci.bundle(|config| {
            config["process"]["args"] = json!(
                [vec!["sh".to_owned(), "-c".to_owned(), "echo $#".to_owned(), "sh".to_owned()], many]
                    .concat()
            )
        });
        bundle.try_run(&[]).ok().prints("2000");
    }
    check(&root());
    check(&rootless());
}

/// runc and crun both do, from the passwd of the container.
#[test]
fn the_home_of_the_user() {
    let oci = root();
    let home = |uid: u32, expected: &str| {
        shows(
            &oci,
            |config| config["process"]["user"] = json!({"uid": uid, "gid": 0}),
            "echo $HOME",
            expected,
        )
    };
    home(0, "/root");
    home(1000, "/home/app");
    home(4242, "/");
}

#[test]
fn the_working_directory() {
    clause!("config.process.cwd");
    let oci = root();
    shows(&oci, |config| config["process"]["cwd"] = json!("/etc"), "pwd; cat passwd | wc -l", "/etc\n2");
    shows(&oci, |config| config["process"]["cwd"] = json!("/made/for/it"), "pwd", "/made/for/it");
    shows(&oci, |config| config["process"]["cwd"] = json!("/proc/self"), "pwd", "/proc/1");
    for cwd in ["etc", "", "../etc"] {
        oci.run(|config| config["process"]["cwd"] = json!(cwd), "true").refused(&["cwd"]);
    }
    // A descriptor of the runtime's would lead out (CVE-2024-21626).
    for number in 3..12 {
        let cwd = format!("/proc/self/fd/{number}");
        oci.run(|config| config["process"]["cwd"] = json!(cwd), "true").refused(&[&cwd]);
    }
}

#[test]
fn the_user() {
    clause!(
        "config.process.user.uid",
        "config.process.user.gid",
        "config.process.user.additionalGids",
        "config.process.user.umask"
    );
    fn check(oci: &Oci) {
        let ids = "id -u; id -g; awk '/^Groups/ {$1 = \"\"; print}' /proc/self/status";
        let user = |value: Value, expected: &str| {
            shows(oci, |config| config["process"]["user"] = value, ids, expected)
        };
        user(json!({"uid": 0, "gid": 0}), "0\n0\n");
        user(json!({"uid": 1000, "gid": 1000}), "1000\n1000\n");
        user(json!({"uid": 1000, "gid": 2000, "additionalGids": [5, 6]}), "1000\n2000\n 5 6");
        user(json!({"uid": 4242, "gid": 4343}), "4242\n4343\n");
        // Whatever is in the place of /etc/passwd: a number is nobody's name.
        let null = json!({"destination": "/etc/passwd", "source": "/dev/null", "options": ["bind"]});
        shows(
            oci,
            |config| {
                config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
                config["mounts"].as_array_mut().expect("mounts").push(null.clone());
            },
            "id -u; test -c /etc/passwd && echo null",
            "1000\nnull",
        );
        let mask = |value: Value, expected: &str| {
            shows(
                oci,
                |config| config["process"]["user"]["umask"] = value,
                "umask; touch /tmp/f; mkdir /tmp/d; stat -c %a /tmp/f /tmp/d",
                expected,
            );
        };
        mask(json!(0o077), "0077\n600\n700");
        mask(json!(0o002), "0002\n664\n775");
        mask(json!(0), "0000\n666\n777");
        mask(Value::Null, "0022\n644\n755");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn capability_sets() {
    clause!(
        "config.process.capabilities",
        "config.process.capabilities.effective",
        "config.process.capabilities.bounding"
    );
    clause!(
        "config.process.capabilities.inheritable",
        "config.process.capabilities.permitted",
        "config.process.capabilities.ambient"
    );
    let oci = root();
    let script = "awk '/^Cap/ {print $1 $2}' /proc/self/status";
    let of = |sets: [&[&str]; 5], user: u32, expected: [&str; 5]| {
        let [inheritable, permitted, effective, bounding, ambient] = sets;
        let names = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];
        let expected: Vec<_> =
            names.iter().zip(expected).map(|(name, value)| format!("{name}{value:0>16}")).collect();
        shows(
            &oci,
            |config| {
                config["process"]["user"] = json!({"uid": user, "gid": user});
                config["process"]["capabilities"] = json!({
                    "inheritable": inheritable, "permitted": permitted, "effective": effective, "bounding": bounding, "ambient": ambient,
                });
            },
            script,
            &expected.join("\n"),
        );
    };
    let (kill, bind) = ("CAP_KILL", "CAP_NET_BIND_SERVICE");
    let both: &[&str] = &[kill, bind];
    of([&[], both, both, both, &[]], 0, ["0", "420", "420", "420", "0"]);
    of([&[], &[], &[], &[], &[]], 0, ["0", "0", "0", "0", "0"]);
    // exec by another user leaves what is ambient.
    of([&[], both, both, both, &[]], 1000, ["0", "0", "0", "420", "0"]);
    of([&[kill], both, both, both, &[kill]], 1000, ["20", "20", "20", "420", "20"]);
    of([both, both, both, both, both], 1000, ["420", "420", "420", "420", "420"]);
    // Root gets by exec all that is bounding, whatever was permitted before.
    of([&[], both, both, &["CAP_KILL"], &[]], 0, ["0", "20", "20", "20", "0"]);
    shows(
        &oci,
        |config| drop(config["process"].as_object_mut().map(|process| process.remove("capabilities"))),
        &status("CapEff"),
        "0000000000000000",
    );
    // What is no capability is a warning, and nothing else is lost by it.
    let bundle = oci.bundle(|config| {
        capabilities(config, &["CAP_KILL", "CAP_NO_SUCH"]);
        crate::world::script(config, &status("CapEff"));
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
    let outcome = oci.to_its_end(&mut oci.host.command(words)).ok().prints("0000000000000020");
    assert!(outcome.stderr.contains("CAP_NO_SUCH"), "{outcome}");
}

/// Keys of the caller are not for the container; and of an ordinary user, who may have few, not for its lack of room either.
#[test]
fn a_session_keyring_of_its_own() {
    let oci = root();
    let held = oci.bundle(crate::world::stays).start(&[]);
    let own = format!("grep -c '_ses.{}: ' /proc/keys", held.id());
    held.exec(&[], &own).ok().prints("1");
    oci.run(|_| (), "cat /proc/keys >/dev/null && echo seen").ok().prints("seen");
    // A user of whom nobody else is, and as whom a container's root counts.
    let user = 54_321;
    let warning = || {
        let bundle = oci.bundle(|config| {
            config["linux"]["namespaces"].as_array_mut().expect("an array").push(json!({"type": "user"}));
            for field in ["uidMappings", "gidMappings"] {
                config["linux"][field] = json!([{"containerID": 0, "hostID": user, "size": 1}]);
            }
            crate::world::script(config, "echo runs");
        });
        let root = testkit::bundle::ROOT;
        let words =
            ["--log-level", "warning", "--root", root, "run", "--bundle", &bundle.directory, &bundle.id];
        let outcome = oci.to_its_end(&mut oci.host.command(words)).ok().prints("runs");
        outcome.stderr.contains("keyring")
    };
    assert!(!warning());
    let number = if cfg!(target_arch = "x86_64") { 248 } else { 217 };
    oci.host.admin(&format!(
        "cat >/tmp/fill <<'END'
import ctypes, time
call, count = ctypes.CDLL(None).syscall, 0
while call({number}, b'user', str(count).encode(), b'x', ctypes.c_size_t(1), -2) > 0: count += 1
print(count, flush=True)
while True:
    time.sleep(0.01)
    call({number}, b'user', str(count).encode(), b'x', ctypes.c_size_t(1), -2) > 0 and (count := count + 1)
END
        setpriv --reuid={user} --regid={user} --clear-groups python3 /tmp/fill >/tmp/filled 2>&1 &
        until test -s /tmp/filled; do sleep 0.05; done"
    ));
    // The kernel gives back what the first container had at a time of its own (key_garbage_collector).
    assert!((0..50).any(|_| warning()), "{} keys", oci.host.admin("cat /tmp/filled").line());
}

/// The set that an image of setuid programs lives by, and its refusal: the same program may or may not.
#[test]
fn capabilities_count() {
    clause!("config.process.capabilities.effective");
    let oci = root();
    let attempt = "chown 1:1 /etc/passwd 2>/dev/null && echo may || echo may not";
    shows(&oci, |config| capabilities(config, &["CAP_CHOWN"]), attempt, "may");
    shows(&oci, |config| capabilities(config, &["CAP_KILL"]), attempt, "may not");
}

#[test]
fn no_new_privileges() {
    clause!("config.process.noNewPrivileges");
    let oci = root();
    shows(&oci, |config| config["process"]["noNewPrivileges"] = json!(true), &status("NoNewPrivs"), "1");
    shows(&oci, |config| config["process"]["noNewPrivileges"] = json!(false), &status("NoNewPrivs"), "0");
    shows(&oci, |_| (), &status("NoNewPrivs"), "0");
}

#[test]
fn resource_limits() {
    clause!("config.process.rlimits", "config.process.rlimits.type", "config.process.rlimits.duplicate");
    fn check(oci: &Oci) {
        let limits = |list: Value, script: &str, expected: &str| {
            shows(oci, |config| config["process"]["rlimits"] = list, script, expected)
        };
        limits(
            json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}]),
            "ulimit -Sn; ulimit -Hn",
            "512\n1024",
        );
        limits(
            json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_NPROC", "soft": 500, "hard": 600}, {"type": "RLIMIT_STACK", "soft": 1048576, "hard": 2097152}]),
            "ulimit -Sc; ulimit -Hc; awk '/^Max processes/ {print $3, $4}' /proc/self/limits; ulimit -Ss; ulimit -Hs",
            "0\n0\n500 600\n1024\n2048",
        );
        for (kind, name) in [
            ("RLIMIT_AS", "Max address space"),
            ("RLIMIT_CPU", "Max cpu time"),
            ("RLIMIT_DATA", "Max data size"),
            ("RLIMIT_FSIZE", "Max file size"),
            ("RLIMIT_LOCKS", "Max file locks"),
            ("RLIMIT_MEMLOCK", "Max locked memory"),
            ("RLIMIT_MSGQUEUE", "Max msgqueue size"),
            ("RLIMIT_NICE", "Max nice priority"),
            ("RLIMIT_RSS", "Max resident set"),
            ("RLIMIT_RTPRIO", "Max realtime priority"),
            ("RLIMIT_RTTIME", "Max realtime timeout"),
            ("RLIMIT_SIGPENDING", "Max pending signals"),
        ] {
            // Those that a hard limit of this machine may forbid to raise are lowered to nothing.
            let small =
                if ["RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_MEMLOCK"].contains(&kind) { 0 } else { 1 << 30 };
            let value = if kind == "RLIMIT_MSGQUEUE" || kind == "RLIMIT_SIGPENDING" { 1000 } else { small };
            let script =
                format!("sed -n 's/^{name} *\\([0-9]*\\) *\\([0-9]*\\).*/\\1 \\2/p' /proc/self/limits");
            limits(
                json!([{"type": kind, "soft": value, "hard": value}]),
                &script,
                &format!("{value} {value}"),
            );
        }
        let refused = |list: Value, words: &[&str]| {
            drop(oci.run(|config| config["process"]["rlimits"] = list, "true").refused(words))
        };
        refused(json!([{"type": "RLIMIT_NO_SUCH", "soft": 1, "hard": 1}]), &["RLIMIT_NO_SUCH"]);
        refused(
            json!([{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 5}, {"type": "RLIMIT_NOFILE", "soft": 6, "hard": 6}]),
            &["RLIMIT_NOFILE"],
        );
        refused(json!([{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 512}]), &["RLIMIT_NOFILE"]);
    }
    check(&root());
    check(&rootless());
}

#[test]
fn the_killer_of_memorys_choice() {
    clause!("config.process.oomScoreAdj");
    let oci = root();
    let adj = "cat /proc/self/oom_score_adj";
    for value in [1000, 100, 0] {
        shows(&oci, |config| config["process"]["oomScoreAdj"] = json!(value), adj, &value.to_string());
    }
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").expect("oom_score_adj");
    shows(&oci, |_| (), adj, own.trim());
    for value in [1001, -1001] {
        oci.run(|config| config["process"]["oomScoreAdj"] = json!(value), "true").refused(&["oomScoreAdj"]);
    }
}

#[test]
fn scheduling() {
    clause!("config.process.scheduler", "config.process.ioPriority", "config.process.execCPUAffinity");
    let oci = root();
    // The policy (SCHED_BATCH is 3, SCHED_IDLE 5) and the nice value of init, proc_pid_stat(5).
    let policy = |value: Value, expected: &str| {
        let edit = |config: &mut Value| {
            config["process"]["scheduler"] = value;
            capabilities(config, &["CAP_SYS_NICE"]);
        };
        shows(&oci, edit, "awk '{print $41, $19}' /proc/1/stat", expected);
    };
    policy(json!({"policy": "SCHED_OTHER"}), "0 0");
    policy(json!({"policy": "SCHED_BATCH", "nice": 5}), "3 5");
    policy(json!({"policy": "SCHED_IDLE"}), "5 0");
    policy(json!({"policy": "SCHED_OTHER", "nice": 7}), "0 7");
    oci.run(|config| config["process"]["scheduler"] = json!({"policy": "SCHED_SOMETIMES"}), "true")
        .refused(&["policy"]);
    oci.run(
        |config| {
            config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NO_SUCH"]})
        },
        "true",
    )
    .refused(&["flag"]);
    oci.run(|config| config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": 40}), "true")
        .refused(&["nice"]);
    let priority = |value: Value, expected: &str| {
        shows(&oci, |config| config["process"]["ioPriority"] = value, "ionice -p 1", expected)
    };
    priority(json!({"class": "IOPRIO_CLASS_BE", "priority": 3}), "best-effort: prio 3");
    priority(json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0}), "idle");
    oci.run(
        |config| config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_NONE_SUCH", "priority": 1}),
        "true",
    )
    .refused(&["ioPriority"]);
    oci.run(
        |config| config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
        "true",
    )
    .refused(&["ioPriority"]);
    // The final one holds for what exec brings in, not for the init.
    let container = oci
        .bundle(|config| {
            config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
            crate::world::stays(config);
        })
        .start(&[]);
    container.exec(&[], &status("Cpus_allowed_list")).ok().prints("0");
    // What the kernel leaves out, a machine of another size has.
    let exec = |affinity: Value| {
        let process = json!({
            "cwd": "/", "args": ["sh", "-c", status("Cpus_allowed_list")], "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0}, "execCPUAffinity": affinity,
        });
        container.bundle.write("process.json", process.to_string());
        container.with("exec", &["--process", &container.bundle.inside("process.json")], &[])
    };
    exec(json!({"initial": "0,1024-8191", "final": "0,4000"})).ok().prints("0");
    exec(json!({"final": "1024-8191"})).refused(&["execCPUAffinity", "sched_setaffinity", "EINVAL"]);
    oci.run(|config| config["process"]["execCPUAffinity"] = json!({"initial": "zero"}), "true")
        .refused(&["execCPUAffinity"]);
}

#[test]
fn personality() {
    clause!("config-linux.personality", "config-linux.personality.domain", "config-linux.personality.flags");
    let oci = root();
    shows(&oci, |config| config["linux"]["personality"] = json!({"domain": "LINUX"}), "uname -m", "x86_64");
    shows(&oci, |config| config["linux"]["personality"] = json!({"domain": "LINUX32"}), "uname -m", "i686");
    oci.run(|config| config["linux"]["personality"] = json!({"domain": "WINDOWS"}), "true")
        .refused(&["personality"]);
}

#[test]
fn labels_without_their_module() {
    clause!("config.process.apparmorProfile", "config.process.selinuxLabel", "config-linux.mountLabel");
    let oci = root();
    let on = |module: &str| {
        std::fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|list| list.contains(module))
    };
    if !on("selinux") {
        oci.run(
            |config| config["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0"),
            "true",
        )
        .refused(&["selinux"]);
        oci.run(
            |config| config["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0"),
            "true",
        )
        .refused(&["selinux"]);
    }
    if !on("apparmor") {
        oci.run(|config| config["process"]["apparmorProfile"] = json!("a-profile"), "true")
            .refused(&["apparmor"]);
    }
    shows(&oci, |config| config["process"]["apparmorProfile"] = json!(""), "echo yes", "yes");
}

#[test]
fn names_of_the_machine() {
    clause!("config.hostname", "config.domainname");
    fn check(oci: &Oci) {
        shows(
            oci,
            |config| config["hostname"] = json!("named"),
            "hostname; cat /proc/sys/kernel/hostname",
            "named\nnamed",
        );
        shows(
            oci,
            |config| config["domainname"] = json!("example.test"),
            "cat /proc/sys/kernel/domainname",
            "example.test",
        );
        oci.run(|config| without_namespace(config, "uts"), "true").refused(&["hostname", "uts namespace"]);
        oci.run(
            |config| {
                without_namespace(config, "uts");
                config["hostname"] = Value::Null;
                config["domainname"] = json!("example.test");
            },
            "true",
        )
        .refused(&["domainname", "uts namespace"]);
    }
    check(&root());
    check(&rootless());
    let name = |name: &str| root().run(|config| config["hostname"] = json!(name), "hostname");
    name(&"x".repeat(64)).ok().prints(&"x".repeat(64));
    name(&"x".repeat(65)).refused(&["hostname"]);
    name("a\nb").refused(&["hostname"]);
}

#[test]
fn kernel_parameters() {
    clause!("config-linux.sysctl");
    let oci = root();
    let sets = |key: &str, value: &str| {
        let path = key.replace('.', "/");
        shows(
            &oci,
            |config| config["linux"]["sysctl"] = json!({key: value}),
            &format!("cat /proc/sys/{path} | tr '\\t' ' '"),
            value,
        );
    };
    sets("net.ipv4.ip_forward", "1");
    sets("net.core.somaxconn", "256");
    sets("net.ipv4.ping_group_range", "0 100");
    sets("kernel.msgmax", "16384");
    sets("kernel.shmmni", "1000");
    sets("kernel.sem", "250 32000 100 128");
    sets("fs.mqueue.msg_max", "20");
    sets("kernel.domainname", "example.test");
    // With slashes a name may have dots of its own.
    shows(
        &oci,
        |config| config["linux"]["sysctl"] = json!({"net/ipv4/conf/lo/forwarding": "1"}),
        "cat /proc/sys/net/ipv4/conf/lo/forwarding",
        "1",
    );
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
    let refused = |edit: &dyn Fn(&mut Value), key: &str, words: &[&str]| {
        let set = |config: &mut Value| {
            edit(config);
            config["linux"]["sysctl"] = json!({key: "1"});
        };
        oci.run(set, "true").refused(words);
    };
    let same = |_: &mut Value| ();
    refused(&same, "kernel.core_pattern", &["kernel.core_pattern"]);
    refused(&same, "net/../kernel/core_pattern", &["net/../kernel/core_pattern"]);
    refused(&same, "vm.swappiness", &["vm.swappiness"]);
    refused(&same, "kernel.panic", &["kernel.panic"]);
    refused(&same, "net.no.such", &["net.no.such"]);
    refused(&|config| without_namespace(config, "network"), "net.ipv4.ip_forward", &["net.ipv4.ip_forward"]);
    refused(&|config| without_namespace(config, "ipc"), "kernel.msgmax", &["kernel.msgmax"]);
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern"), before);
}

#[test]
fn memory_policy() {
    clause!(
        "config-linux.memoryPolicy",
        "config-linux.memoryPolicy.mode",
        "config-linux.memoryPolicy.nodes",
        "config-linux.memoryPolicy.flags"
    );
    let oci = root();
    let maps = "grep -c ' bind:0' /proc/1/numa_maps | sed 's/[1-9][0-9]*/some/'";
    shows(
        &oci,
        |config| config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"}),
        maps,
        "some",
    );
    shows(&oci, |_| (), maps, "0");
    shows(
        &oci,
        |config| {
            config["linux"]["memoryPolicy"] =
                json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]})
        },
        "echo yes",
        "yes",
    );
    for policy in [
        json!({"mode": "MPOL_NO_SUCH", "nodes": "0"}),
        json!({"mode": "MPOL_BIND", "nodes": ""}),
        json!({"mode": "MPOL_BIND", "nodes": "x"}),
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NO_SUCH"]}),
    ] {
        oci.run(|config| config["linux"]["memoryPolicy"] = policy, "true").refused(&["memoryPolicy"]);
    }
}

/// Nothing of who made it is open in it, and nobody else is in its PID namespace.
#[test]
fn init_is_alone() {
    let oci = root();
    // ls has the directory open beside the three streams.
    shows(&oci, |config| script(config, "echo $$; ls /proc/self/fd | wc -l"), "", "1\n4");
}

/// Regression: what is read again before the command runs has to be as it was meant, and there is more than one way to mean it.
#[test]
fn what_is_read_again_refuses_nothing_that_is_right() {
    let oci = root();
    oci.host.admin("mkdir -p /tmp/a/b; mount -t tmpfs inner /tmp/a/b; touch /tmp/a/b/inner");
    let check = |edit: &dyn Fn(&mut Value), says: &str, expected: &str| {
        oci.run(|config| edit(config), says).ok().prints(expected);
    };
    // A later mount has one of its own where an earlier one was.
    let nested = |config: &mut Value| {
        mount(config, "/a/b", "tmpfs", "tmpfs", &["nosuid"]);
        mount(config, "/a", "bind", "/tmp/a", &["rbind"]);
    };
    check(&nested, "ls /a/b", "inner");
    // A working directory that was made under what is read-only, or masked.
    let made = |config: &mut Value| {
        config["process"]["cwd"] = json!("/new/here");
        config["linux"]["readonlyPaths"] = json!(["/new"]);
    };
    check(&made, "pwd; mkdir x 2>/dev/null || echo read-only", "/new/here\nread-only");
    let few = |config: &mut Value| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 8, "hard": 8}]);
        config["process"]["oomScoreAdj"] = json!(300);
    };
    check(&few, "ulimit -n", "8");
    let masked = |config: &mut Value| config["linux"]["maskedPaths"] = json!(["/proc/keys", "/etc"]);
    check(&masked, "ls /etc", "");
    // Groups are sorted by the numbers that they have outside.
    let mapped = |config: &mut Value| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
        namespaces.push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["gidMappings"] = json!([
            {"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 5000, "size": 999},
            {"containerID": 1000, "hostID": 1000, "size": 1}]);
        config["process"]["user"]["additionalGids"] = json!([1000, 50]);
    };
    check(&mapped, "id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '", "0 50 1000 ");
}
