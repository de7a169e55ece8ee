//! What the runtime tells: `state`, `list`, `ps`, `events`, `spec`, `features`, `--version`, and its log.

use crate::world::{cgroup2, plain, program, root, rootless, script, stays};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use testkit::{Oci, Outcome};

#[track_caller]
fn parse(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error} in {outcome}"))
}

/// Whether a text is a time of RFC 3339 in UTC.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

#[test]
fn the_state() {
    clause!(
        "runtime.state",
        "runtime.state.ociVersion",
        "runtime.state.id",
        "runtime.state.status",
        "runtime.state.pid"
    );
    clause!(
        "runtime.state.bundle",
        "runtime.state.annotations",
        "runtime.state.query",
        "config.annotations",
        "config.ociVersion"
    );
    let oci = root();
    let annotations = json!({"com.example.key": "value", "empty": "", "quote": "a \"b\" \\ ü"});
    let container = oci
        .bundle(|config| {
            stays(config);
            config["annotations"] = annotations.clone();
        })
        .start(&[]);
    let state = container.state();
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
    assert_eq!(state["id"], container.id());
    assert_eq!(state["status"], "running");
    assert_eq!(state["bundle"], container.bundle.directory.as_str());
    assert_eq!(state["rootfs"], container.bundle.inside("rootfs"));
    assert_eq!(state["annotations"], annotations);
    assert!(is_time(&state["created"]), "{state}");
    assert!(
        oci.host.processes().contains(&i32::try_from(container.pid()).expect("a pid")),
        "a process of the host"
    );
    assert!(state["owner"].is_string(), "{state}");
    assert_eq!(container.call("state", &[]).stderr, "");
    container.end();
    let state = container.state();
    assert_eq!((&state["status"], &state["pid"]), (&json!("stopped"), &json!(0)));
    let bare = oci.bundle(stays).create(&[]);
    assert!(bare.state()["annotations"].as_object().is_none_or(serde_json::Map::is_empty));
}

#[test]
fn the_list() {
    let oci = root();
    std::fs::create_dir_all(oci.host.path(testkit::bundle::ROOT)).expect("mkdir");
    let list = |options: &[&str]| oci.call([&["list"], options].concat()).ok();
    assert_eq!(parse(&list(&["--format", "json"])).as_array().map(Vec::len).unwrap_or(0), 0);
    let one = oci.bundle(stays).create(&[]);
    let two = oci.bundle(stays).start(&[]);
    two.bundle.awaits("rootfs/up");
    two.call("pause", &[]).ok();
    let all = parse(&list(&["--format=json"]));
    let find = |id: &str| {
        all.as_array()
            .and_then(|list| list.iter().find(|entry| entry["id"] == id))
            .unwrap_or_else(|| panic!("{id} in {all}"))
    };
    assert_eq!((&find(one.id())["status"], &find(two.id())["status"]), (&json!("created"), &json!("paused")));
    assert_eq!(find(one.id())["owner"], "root");
    assert_eq!(find(one.id())["pid"], one.pid());
    assert_eq!(find(one.id())["bundle"], one.bundle.directory.as_str());
    let table = list(&[]);
    let mut lines = table.stdout.lines();
    let head: Vec<_> = lines.next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows.iter().any(|row| row[0] == two.id() && row[2] == "paused" && row[5] == "root"), "{table}");
    let mut ids: Vec<_> = list(&["--quiet"]).stdout.lines().map(str::to_owned).collect();
    ids.sort();
    assert_eq!(ids, [one.id(), two.id()]);
    assert_eq!(list(&["-q"]).stdout.lines().count(), 2);
    assert_ne!(oci.call(["list", "--format", "yaml"]).code, 0);
    two.call("resume", &[]).ok();
    // One that is broken does not hide the others.
    oci.host.admin("mkdir /tmp/run/oci/broken; echo nonsense >/tmp/run/oci/broken/state.json");
    assert_eq!(list(&["-q"]).stdout.lines().filter(|line| *line != "broken").count(), 2);
    oci.host.admin("rm -r /tmp/run/oci/broken");
}

#[test]
fn its_processes() {
    fn check(oci: &testkit::Oci) {
        let container = oci.bundle(|config| script(config, "sleep 1000 & echo up >/up; wait")).start(&[]);
        container.bundle.awaits("rootfs/up");
        let pids = parse(&container.with("ps", &["--format", "json"], &[]).ok());
        let pids: Vec<i64> = pids.as_array().expect("an array").iter().filter_map(Value::as_i64).collect();
        assert_eq!(pids.len(), 2, "{pids:?}");
        assert!(pids.contains(&container.pid()), "{pids:?}");
        let table = container.call("ps", &[]).ok();
        assert!(
            table.stdout.lines().next().is_some_and(|head| head.contains("PID") && head.contains("CMD")),
            "{table}"
        );
        assert_eq!(table.stdout.lines().count(), 3, "{table}");
        let own = container.call("ps", &["-e", "-o", "pid,comm"]).ok();
        assert!(own.stdout.contains("sleep") && own.stdout.lines().count() == 3, "{own}");
        assert_ne!(
            container.call("ps", &["-o", "comm"]).code,
            0,
            "without a column of ids nothing can be chosen"
        );
    }
    check(&root());
}

#[test]
fn paused_and_resumed() {
    fn check(oci: &testkit::Oci) {
        let container = oci
            .bundle(|config| {
                script(config, "i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.01; done")
            })
            .start(&[]);
        container.bundle.awaits("rootfs/count");
        container.call("pause", &[]).ok().prints("");
        assert_eq!(container.status(), "paused");
        let counts = || container.bundle.read("rootfs/count");
        let frozen = counts();
        container.call("kill", &["USR1"]).ok();
        assert_eq!(counts(), frozen);
        container.call("resume", &[]).ok().prints("");
        // What was sent meanwhile comes now; this one ends it unless it is init, which ignores it.
        assert_eq!(container.status(), "running");
        testkit::deadline::wait_for("it goes on", || (counts() != frozen).then_some(()));
        container.call("resume", &[]).refused(&["container not paused"]);
        container.call("pause", &[]).ok();
        container.call("kill", &["KILL"]).ok();
        container.with("delete", &["--force"], &[]).ok();
        oci.assert_empty("a container that was paused");
        // One that waits for its start.
        let waiting = oci.bundle(stays).create(&[]);
        waiting.call("pause", &[]).ok();
        assert_eq!(waiting.status(), "paused");
        waiting.call("start", &[]).refused(&["cannot start a container in the paused state"]);
        waiting.exec(&[], "true").refused(&["cannot exec in a paused container"]);
        waiting.call("resume", &[]).ok();
        assert_eq!(waiting.status(), "created");
        waiting.call("start", &[]).ok();
        assert_eq!(waiting.status(), "running");
    }
    check(&root());
    check(&cgroup2());
}

#[test]
fn statistics() {
    let oci = root();
    let container = oci
        .bundle(|config| {
            script(
                config,
                "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo up >/up; exec sleep 1000",
            );
            config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 50}});
        })
        .start(&[]);
    container.bundle.awaits("rootfs/up");
    let once = container.with("events", &["--stats"], &[]).ok();
    assert_eq!(once.stdout.lines().count(), 1, "{once}");
    let event = parse(&once);
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(container.id())));
    let number = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {event}"))
    };
    assert!(number("/data/cpu/usage/total") > 0);
    assert!(number("/data/memory/usage/usage") > 0);
    assert_eq!(number("/data/memory/usage/limit"), 67_108_864);
    assert_eq!(number("/data/pids/limit"), 50);
    assert_eq!(number("/data/pids/current"), 1);
    // This machine has no resctrl, and the container's network no interface but its loopback.
    assert_eq!(event["data"]["intel_rdt"], json!({}));
    assert_eq!(event["data"]["network_interfaces"], Value::Null);
    // The stream ends with the container.
    let stream = oci.spawn(["events", "--interval", "100ms", container.id()]);
    container.end();
    let all = stream.wait();
    assert!(all.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{all}");
    container.with("events", &["--stats"], &[]).refused(&["not running"]);
    let running = oci.bundle(stays).start(&[]);
    for interval in ["0", "-1s", "soon", ""] {
        assert_ne!(running.with("events", &["--interval", interval], &[]).code, 0, "{interval:?}");
    }
    running.with("events", &["--memory-pressure", "some"], &[]).refused(&["--memory-pressure", "some"]);
}

/// What a container was sent and has sent, by the names of its own interfaces.
#[test]
fn statistics_of_the_network() {
    let oci = root();
    oci.host.admin(
        "ip link add inside type veth peer name outside
         ip address add 192.0.2.5/24 dev inside
         ip address add 192.0.2.1/24 dev outside
         ip link set inside up; ip link set outside up",
    );
    let statistics = |container: &testkit::Container<'_>| {
        let event = parse(&container.with("events", &["--stats"], &[]).ok());
        event["data"]["network_interfaces"].clone()
    };
    let container = oci
        .bundle(|config| {
            stays(config);
            config["linux"]["netDevices"] = json!({"inside": {"name": "eth0"}});
        })
        .start(&[]);
    container.bundle.awaits("rootfs/up");
    let before = statistics(&container);
    let names: Vec<_> = before.as_array().expect("a list").iter().map(|one| one["Name"].clone()).collect();
    assert_eq!(names, ["eth0"]);
    // A datagram of 8 + 20 + 1000 bytes with its frame's 14 goes out, and nothing has to answer.
    oci.host
        .admin(&format!("nsenter -t {} -n bash -c 'printf %1000s x >/dev/udp/192.0.2.1/9'", container.pid()));
    testkit::deadline::wait_for("what was sent is counted", || {
        let after = statistics(&container);
        let sent = |shown: &Value, name: &str| shown[0][name].as_u64().expect("a number");
        let more = |name: &str| sent(&after, name) - sent(&before, name);
        (more("TxBytes") >= 1042 && more("TxPackets") >= 1 && more("RxPackets") >= 1).then_some(())
    });
    for name in ["RxErrors", "RxDropped", "TxErrors", "TxDropped", "RxBytes"] {
        assert!(before[0][name].is_u64(), "{name}: {before}");
    }
    drop(container);
    // What goes over the host's interfaces is not the container's.
    let container = oci.bundle(|config| {
        stays(config);
        crate::world::without_namespace(config, "network");
    });
    assert_eq!(statistics(&container.start(&[])), Value::Null);
}

/// What happens to the memory of a container that asks for more than it may have.
#[test]
fn memory_that_runs_out() {
    let has_memory = |oci: &Oci| {
        let v2 = oci.host.path("/sys/fs/cgroup/cgroup.controllers");
        let v2 =
            std::fs::read_to_string(v2).is_ok_and(|all| all.split_whitespace().any(|one| one == "memory"));
        v2 || oci.host.path("/sys/fs/cgroup/memory/memory.usage_in_bytes").exists()
    };
    for oci in [root(), cgroup2()] {
        let container = oci.bundle(|config| {
            script(
                config,
                "echo up >/up; until test -e /go; do sleep 0.05; done
                 tail -c 100000000 /dev/zero; echo $? >/code; exec sleep 1000",
            );
            if has_memory(&oci) {
                config["linux"]["resources"] = json!({"memory": {"limit": 33_554_432, "swap": 33_554_432}});
            }
        });
        let container = container.start(&[]);
        container.bundle.awaits("rootfs/up");
        let options = ["events", "--interval", "1h", "--memory-pressure", "low", container.id()];
        if !has_memory(&oci) {
            // Without the controller nothing runs out; the kernel may know all the same that memory is scarce.
            let stream = oci.spawn(["events", "--interval", "100ms", container.id()]);
            testkit::deadline::wait_for("events watches the container", || {
                let open = std::fs::read_dir(format!("/proc/{}/fd", stream.pid)).ok()?.flatten();
                let mut paths = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
                paths.any(|path| path.to_string_lossy().contains("pidfd")).then_some(())
            });
            container.end();
            let said = stream.wait().ok();
            assert!(!said.stdout.contains("oom"), "{said}");
            continue;
        }
        let stream = oci.spawn(options);
        testkit::deadline::wait_for("events listens", || {
            let open = std::fs::read_dir(format!("/proc/{}/fd", stream.pid)).ok()?.flatten();
            let mut paths = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
            paths.any(|path| path.to_string_lossy().contains("memory.p")).then_some(())
        });
        container.bundle.write("rootfs/go", "");
        assert_eq!(container.bundle.awaits("rootfs/code").trim(), "137");
        container.end();
        let said = stream.wait().ok();
        let events: Vec<Value> =
            said.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let count = |kind: &str| {
            events.iter().filter(|event| **event == json!({"type": kind, "id": container.id()})).count()
        };
        assert!(count("oom") >= 1, "{said}");
        // Of v2 it is an average over seconds, and the process is killed before.
        let v1 = oci.host.path("/sys/fs/cgroup/memory/memory.usage_in_bytes").exists();
        assert!(!v1 || count("pressure") >= 1, "{said}");
        assert_eq!(count("oom") + count("pressure"), events.len(), "{said}");
    }
}

/// What `spec` writes runs, and says what the schema asks for.
#[test]
fn a_configuration_to_begin_with() {
    for (oci, options) in [(root(), &[][..]), (rootless(), &["--rootless"])] {
        let bundle = oci.bundle(plain);
        let spec =
            |more: &[&str]| oci.call([&["spec", "--bundle", &bundle.directory], options, more].concat());
        spec(&[]).refused(&["config.json", "exists"]);
        oci.host.admin(&format!("rm {}", bundle.inside("config.json")));
        spec(&[]).ok().prints("");
        let mut config: Value = serde_json::from_str(&bundle.read("config.json")).expect("JSON");
        assert!(config["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")));
        for pointer in [
            "/process/cwd",
            "/process/args/0",
            "/process/user/uid",
            "/root/path",
            "/hostname",
            "/mounts/0/destination",
            "/linux/namespaces/0/type",
        ] {
            assert!(!config.pointer(pointer).is_none_or(Value::is_null), "{pointer} in {config}");
        }
        let has_user = config["linux"]["namespaces"]
            .as_array()
            .is_some_and(|list| list.iter().any(|one| one["type"] == "user"));
        assert_eq!(has_user, oci.host.is_rootless());
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["echo", "from spec"]);
        bundle.write("config.json", config.to_string());
        bundle.try_run(&[]).ok().prints("from spec");
    }
}

#[test]
fn its_features() {
    clause!(
        "features.format",
        "features.ociVersionMin",
        "features.ociVersionMax",
        "features.hooks",
        "features.mountOptions",
        "features.annotations"
    );
    clause!(
        "features.potentiallyUnsafeConfigAnnotations",
        "features-linux.namespaces",
        "features-linux.capabilities",
        "features-linux.cgroup"
    );
    clause!(
        "features-linux.seccomp",
        "features-linux.apparmor",
        "features-linux.selinux",
        "features-linux.intelRdt",
        "features-linux.memoryPolicy"
    );
    clause!("features-linux.mountExtensions", "features-linux.netDevices");
    let oci = root();
    let features = parse(&oci.call(["features"]).ok());
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(
        features["ociVersionMax"].as_str().is_some_and(|version| version.starts_with("1.")),
        "{features}"
    );
    let has = |pointer: &str, names: &[&str]| {
        let list = features
            .pointer(pointer)
            .and_then(Value::as_array)
            .unwrap_or_else(|| panic!("{pointer} in {features}"));
        for name in names {
            assert!(list.iter().any(|one| one == name), "{name} in {pointer}");
        }
    };
    has(
        "/hooks",
        &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
    );
    has(
        "/mountOptions",
        &[
            "bind",
            "rbind",
            "ro",
            "rro",
            "nosuid",
            "rnosuid",
            "rshared",
            "slave",
            "unbindable",
            "tmpcopyup",
            "strictatime",
        ],
    );
    has("/linux/namespaces", &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]);
    has("/linux/capabilities", &["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"]);
    has(
        "/linux/seccomp/actions",
        &[
            "SCMP_ACT_ALLOW",
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_KILL",
            "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG",
            "SCMP_ACT_NOTIFY",
            "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP",
        ],
    );
    has(
        "/linux/seccomp/operators",
        &[
            "SCMP_CMP_EQ",
            "SCMP_CMP_GE",
            "SCMP_CMP_GT",
            "SCMP_CMP_LE",
            "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE",
        ],
    );
    has("/linux/seccomp/archs", &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]);
    has("/linux/memoryPolicy/modes", &["MPOL_BIND", "MPOL_INTERLEAVE"]);
    for pointer in [
        "/linux/cgroup/v1",
        "/linux/cgroup/v2",
        "/linux/seccomp/enabled",
        "/linux/mountExtensions/idmap/enabled",
        "/linux/netDevices/enabled",
        "/linux/intelRdt/enabled",
    ] {
        assert_eq!(features.pointer(pointer), Some(&json!(true)), "{pointer}");
    }
    for pointer in
        ["/linux/apparmor/enabled", "/linux/selinux/enabled", "/linux/cgroup/systemd", "/linux/cgroup/rdma"]
    {
        assert!(features.pointer(pointer).is_some_and(Value::is_boolean), "{pointer}");
    }
    assert!(features["annotations"].is_object());
    has("/potentiallyUnsafeConfigAnnotations", &["org.criu.config", "org.systemd.property."]);
    assert!(
        features["mountOptions"].as_array().is_some_and(|list| list.is_sorted_by_key(|one| one.as_str()))
    );
}

#[test]
fn its_version() {
    let oci = root();
    for words in ["--version", "-v"] {
        let said = oci.call([words]).ok();
        let lines: Vec<_> = said.stdout.lines().collect();
        assert!(lines[0].contains(" version "), "{said}");
        assert!(lines.iter().any(|line| line.starts_with("spec: 1.")), "{said}");
        assert!(lines.iter().any(|line| line.starts_with("commit: ")), "{said}");
    }
    oci.call(["--help"]).ok();
    oci.call(["help"]).ok();
    oci.call(["checkpoint", "--help"]).ok();
    assert_ne!(oci.call(["no-such-command"]).code, 0);
    assert!(program().exists());
}

#[test]
fn its_log() {
    let oci = root();
    let here = |options: &[&str], words: &[&str]| {
        oci.to_its_end(&mut oci.host.command([options, &["--root", "/tmp/run/oci"], words].concat()))
    };
    let log = |name: &str| std::fs::read_to_string(oci.host.path(name)).unwrap_or_default();
    let outcome = here(&["--log", "/tmp/output/log.json", "--log-format", "json"], &["state", "none"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("does not exist"), "the error is told too: {outcome}");
    let text = log("/tmp/output/log.json");
    assert_eq!(text.lines().count(), 1, "{text}");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(record["level"], "error");
    assert!(record["msg"].as_str().is_some_and(|text| text.contains("does not exist")), "{record}");
    assert!(record["time"].as_str().is_some_and(|time| time.contains('T')), "{record}");
    here(&["--log", "/tmp/output/log.json", "--log-format=json"], &["start", "none"]);
    assert_eq!(log("/tmp/output/log.json").lines().count(), 2, "appended");
    here(&["--log=/tmp/output/log.text"], &["state", "none"]);
    let text = log("/tmp/output/log.text");
    assert!(text.contains("level=error") && text.contains("msg=") && text.contains("time="), "{text}");
    let refused = here(&["--log-format", "xml"], &["state", "none"]);
    assert!(refused.code != 0 && refused.stderr.contains("log-format"), "{refused}");
    // What succeeds says nothing, there or here.
    let bundle = oci.bundle(plain);
    let quiet = here(
        &["--log", "/tmp/output/quiet", "--log-format", "json"],
        &["run", "--bundle", &bundle.directory, &bundle.id],
    )
    .ok();
    assert_eq!((quiet.stderr.as_str(), log("/tmp/output/quiet").as_str()), ("", ""));
    let mode = std::fs::metadata(oci.host.path("/tmp/output/log.json")).expect("log").mode();
    assert_eq!(mode & 0o777, 0o644);
}

/// How callers write their words (runc's, from Go's package flag).
#[test]
fn forms_of_options() {
    let oci = root();
    let bundle = oci.bundle(|config| script(config, "echo ran"));
    let (directory, id) = (bundle.directory.as_str(), bundle.id.as_str());
    let runs = |words: &[&str]| drop(oci.call(words).ok().prints("ran"));
    runs(&["run", "-bundle", directory, id]);
    runs(&["run", "-b", directory, id]);
    runs(&["run", &format!("-bundle={directory}"), id]);
    runs(&["run", "--no-pivot=false", "--keep=false", "--bundle", directory, id]);
    runs(&["run", id, "--bundle", directory]);
    runs(&["run", "--no-new-keyring", "-no-subreaper", "--bundle", directory, id]);
    let says = |words: &[&str], text: &str| {
        let outcome = oci.call(words);
        assert!(
            outcome.code == 1 && format!("{}{}", outcome.stdout, outcome.stderr).contains(text),
            "{outcome}"
        );
    };
    says(&["run", "--bundle"], "flag needs an argument");
    says(&["run", "--no-such-flag", id], "no-such-flag");
    says(&["state", "one", "two"], "requires exactly 1 argument");
    says(&["delete"], "requires exactly 1 argument");
    oci.assert_empty("forms of options");
}
