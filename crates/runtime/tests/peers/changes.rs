//! Configs that are made from a list of changes.

use serde_json::{Value, json};

type Change = (&'static str, fn(&mut Value));

fn push(config: &mut Value, pointer: &str, value: Value) {
    let place = config.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer} in the config"));
    if place.is_null() {
        *place = json!([]);
    }
    place.as_array_mut().expect("a list").push(value);
}

fn without(config: &mut Value, kind: &str) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|one| one["type"] != kind);
}

fn mount(config: &mut Value, destination: &str, kind: &str, source: &str, options: &[&str]) {
    let one = json!({"destination": destination, "type": kind, "source": source, "options": options});
    push(config, "/mounts", one);
}

fn user_namespace(config: &mut Value) {
    push(config, "/linux/namespaces", json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
}

fn capabilities(config: &mut Value, sets: &[(&str, &[&str])]) {
    let mut all = json!({});
    for (set, names) in sets {
        all[set] = json!(names);
    }
    config["process"]["capabilities"] = all;
}

/// Each with the name that `explained.txt` calls it by.
const CHANGES: &[Change] = &[
    ("no pid namespace", |c| without(c, "pid")),
    ("no network namespace", |c| {
        without(c, "network");
        // Nobody but the owner of the network may mount its sysfs.
        let mounts = c["mounts"].as_array_mut().expect("a list");
        mounts.retain(|one| one["type"] != "sysfs");
    }),
    ("no ipc namespace", |c| {
        without(c, "ipc");
        let mounts = c["mounts"].as_array_mut().expect("a list");
        mounts.retain(|one| one["type"] != "mqueue");
    }),
    ("no uts namespace", |c| {
        without(c, "uts");
        c.as_object_mut().expect("a config").remove("hostname");
    }),
    ("hostname without uts", |c| without(c, "uts")),
    ("cgroup namespace", |c| push(c, "/linux/namespaces", json!({"type": "cgroup"}))),
    ("user namespace", user_namespace),
    ("user namespace without maps", |c| push(c, "/linux/namespaces", json!({"type": "user"}))),
    ("maps without user namespace", |c| {
        c["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    }),
    ("namespace twice", |c| push(c, "/linux/namespaces", json!({"type": "pid"}))),
    ("namespace of a wrong path", |c| {
        without(c, "uts");
        push(c, "/linux/namespaces", json!({"type": "uts", "path": "/dev/null"}));
    }),
    ("host's uts by path", |c| {
        without(c, "uts");
        c.as_object_mut().expect("a config").remove("hostname");
        push(c, "/linux/namespaces", json!({"type": "uts", "path": "/proc/self/ns/uts"}));
    }),
    ("no hostname", |c| drop(c.as_object_mut().expect("a config").remove("hostname"))),
    ("hostname", |c| c["hostname"] = json!("another.example")),
    ("hostname too long", |c| c["hostname"] = json!("x".repeat(65))),
    ("domainname", |c| c["domainname"] = json!("example")),
    ("cwd", |c| c["process"]["cwd"] = json!("/tmp")),
    ("cwd missing", |c| c["process"]["cwd"] = json!("/made/for/it")),
    ("cwd relative", |c| c["process"]["cwd"] = json!("tmp")),
    ("no args", |c| c["process"]["args"] = json!([])),
    ("command missing", |c| c["process"]["args"] = json!(["/no/such"])),
    ("command not in PATH", |c| c["process"]["args"] = json!(["no-such"])),
    ("command a directory", |c| c["process"]["args"] = json!(["/tmp"])),
    ("environment", |c| push(c, "/process/env", json!("A=b c"))),
    ("environment twice", |c| {
        push(c, "/process/env", json!("TWICE=1"));
        push(c, "/process/env", json!("TWICE=2"));
    }),
    ("home", |c| push(c, "/process/env", json!("HOME=/elsewhere"))),
    ("user", |c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000})),
    ("user without a name", |c| c["process"]["user"] = json!({"uid": 4321, "gid": 8765})),
    ("groups", |c| c["process"]["user"]["additionalGids"] = json!([5, 10])),
    ("umask", |c| c["process"]["user"]["umask"] = json!(0o077)),
    ("uid -1", |c| c["process"]["user"]["uid"] = json!(4_294_967_295u32)),
    ("no capabilities", |c| drop(c["process"].as_object_mut().expect("a process").remove("capabilities"))),
    ("empty capabilities", |c| capabilities(c, &[])),
    ("one capability", |c| {
        capabilities(
            c,
            &[("bounding", &["CAP_KILL"]), ("effective", &["CAP_KILL"]), ("permitted", &["CAP_KILL"])],
        );
    }),
    ("all sets of capabilities", |c| {
        let all: &[&str] = &["CAP_KILL", "CAP_CHOWN"];
        let sets = ["bounding", "effective", "permitted", "inheritable", "ambient"];
        capabilities(c, &sets.map(|set| (set, all)));
    }),
    ("ambient capabilities alone", |c| {
        let all: &[&str] = &["CAP_KILL"];
        capabilities(c, &["bounding", "effective", "permitted", "ambient"].map(|set| (set, all)));
    }),
    ("unknown capability", |c| {
        capabilities(c, &[("bounding", &["CAP_KILL", "CAP_NO_SUCH"])]);
    }),
    ("no new privileges", |c| c["process"]["noNewPrivileges"] = json!(true)),
    ("oom score", |c| c["process"]["oomScoreAdj"] = json!(321)),
    ("oom score too high", |c| c["process"]["oomScoreAdj"] = json!(1001)),
    ("rlimits", |c| {
        c["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    }),
    ("rlimit twice", |c| {
        c["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]);
    }),
    ("rlimit unknown", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NO", "soft": 1, "hard": 1}])),
    ("rlimit soft above hard", |c| {
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]);
    }),
    ("scheduler", |c| c["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3})),
    ("io priority", |c| c["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 5})),
    ("read-only root", |c| c["root"]["readonly"] = json!(true)),
    ("root missing", |c| c["root"]["path"] = json!("no-such")),
    ("root a file", |c| c["root"]["path"] = json!("config.json")),
    ("root empty", |c| c["root"]["path"] = json!("")),
    ("root of the host", |c| c["root"]["path"] = json!("/")),
    ("tmpfs", |c| mount(c, "/mnt/a", "tmpfs", "tmpfs", &["nosuid", "size=1m", "mode=700"])),
    ("tmpfs read-only", |c| mount(c, "/mnt/b", "tmpfs", "tmpfs", &["ro", "noexec", "nodev"])),
    ("tmpfs relatime", |c| mount(c, "/mnt/c", "tmpfs", "tmpfs", &["relatime"])),
    ("tmpfs noatime", |c| mount(c, "/mnt/d", "tmpfs", "tmpfs", &["noatime", "nodiratime"])),
    ("tmpfs ro then rw", |c| mount(c, "/mnt/e", "tmpfs", "tmpfs", &["ro", "rw"])),
    ("tmpfs sync", |c| mount(c, "/mnt/f", "tmpfs", "tmpfs", &["sync", "dirsync"])),
    ("tmpcopyup", |c| mount(c, "/locked", "tmpfs", "tmpfs", &["tmpcopyup"])),
    ("unknown option", |c| mount(c, "/mnt/g", "tmpfs", "tmpfs", &["no-such-option"])),
    ("unknown file system", |c| mount(c, "/mnt/h", "no-such-fs", "none", &[])),
    ("bind", |c| mount(c, "/mnt/i", "bind", "/tmp/template", &["bind"])),
    ("bind read-only", |c| mount(c, "/mnt/j", "bind", "/tmp/template", &["rbind", "ro", "nosuid"])),
    ("bind rro", |c| mount(c, "/mnt/k", "bind", "/tmp/template", &["rbind", "rro"])),
    ("bind private", |c| mount(c, "/mnt/l", "bind", "/tmp/template", &["rbind", "rprivate"])),
    ("bind slave", |c| mount(c, "/mnt/m", "bind", "/tmp/template", &["rbind", "rslave"])),
    ("bind shared", |c| mount(c, "/mnt/n", "bind", "/tmp/template", &["rbind", "rshared"])),
    ("bind without a type", |c| mount(c, "/mnt/o", "", "/tmp/template", &["rbind"])),
    ("bind of a file", |c| mount(c, "/mnt/file", "bind", "/tmp/template/busybox", &["bind", "ro"])),
    ("bind of a relative source", |c| mount(c, "/mnt/p", "bind", "source", &["bind"])),
    ("bind missing", |c| mount(c, "/mnt/q", "bind", "/no/such", &["bind"])),
    ("bind with data", |c| mount(c, "/mnt/r", "bind", "/tmp/template", &["bind", "mode=755"])),
    ("bind over /proc/uptime", |c| mount(c, "/proc/uptime", "bind", "/tmp/template/busybox", &["bind"])),
    ("bind over /proc/version", |c| mount(c, "/proc/version", "bind", "/tmp/template/busybox", &["bind"])),
    ("bind over /proc", |c| mount(c, "/proc", "bind", "/tmp/template", &["bind"])),
    ("destination relative", |c| mount(c, "mnt/s", "tmpfs", "tmpfs", &[])),
    ("destination with dots", |c| mount(c, "/mnt/../../t", "tmpfs", "tmpfs", &[])),
    ("masked", |c| c["linux"]["maskedPaths"] = json!(["/proc/kcore", "/proc/keys", "/masked", "/no/such"])),
    ("read-only paths", |c| c["linux"]["readonlyPaths"] = json!(["/proc/sys", "/locked", "/no/such"])),
    ("device", |c| {
        c["linux"]["devices"] = json!([
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 1, "gid": 2}]);
    }),
    ("fifo", |c| c["linux"]["devices"] = json!([{"path": "/dev/pipe", "type": "p", "fileMode": 0o600}])),
    ("device type unknown", |c| {
        c["linux"]["devices"] = json!([{"path": "/dev/x", "type": "x", "major": 1, "minor": 3}]);
    }),
    ("sysctl", |c| c["linux"]["sysctl"] = json!({"kernel.msgmax": "9000", "net.ipv4.ip_forward": "1"})),
    ("sysctl of the host", |c| c["linux"]["sysctl"] = json!({"kernel.core_pattern": "/x"})),
    ("sysctl of no namespace of its own", |c| {
        without(c, "network");
        let mounts = c["mounts"].as_array_mut().expect("a list");
        mounts.retain(|one| one["type"] != "sysfs");
        c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    }),
    ("clocks", |c| {
        push(c, "/linux/namespaces", json!({"type": "time"}));
        c["linux"]["timeOffsets"] =
            json!({"boottime": {"secs": 1000}, "monotonic": {"secs": 5, "nanosecs": 7}});
    }),
    ("clocks without a namespace", |c| c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1000}})),
    ("propagation private", |c| c["linux"]["rootfsPropagation"] = json!("private")),
    ("propagation slave", |c| c["linux"]["rootfsPropagation"] = json!("rslave")),
    ("propagation shared", |c| c["linux"]["rootfsPropagation"] = json!("shared")),
    ("propagation unknown", |c| c["linux"]["rootfsPropagation"] = json!("no-such")),
    ("personality", |c| c["linux"]["personality"] = json!({"domain": "LINUX32"})),
    ("seccomp", |c| {
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["sethostname", "no_such_call"], "action": "SCMP_ACT_ERRNO"}]});
    }),
    ("seccomp action unknown", |c| c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_NO"})),
    ("hooks", |c| {
        c["hooks"] = json!({"createRuntime": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]})
    }),
    ("hook that fails", |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]})),
    ("hook missing", |c| c["hooks"] = json!({"prestart": [{"path": "/no/such"}]})),
    ("hook relative", |c| c["hooks"] = json!({"prestart": [{"path": "bin/true"}]})),
    ("annotation", |c| c["annotations"] = json!({"org.example.key": "value"})),
    ("unknown field", |c| c["extension"] = json!({"a": 1})),
    ("version missing", |c| drop(c.as_object_mut().expect("a config").remove("ociVersion"))),
    ("version 2", |c| c["ociVersion"] = json!("2.0.0")),
    ("hugetlb", |c| {
        c["linux"]["resources"] = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]})
    }),
    ("devices denied", |c| c["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]})),
    ("unified", |c| c["linux"]["resources"] = json!({"unified": {"cgroup.max.depth": "5"}})),
    ("cgroups path", |c| c["linux"]["cgroupsPath"] = json!("/devoxx-peers/one")),
    ("cgroups path upwards", |c| c["linux"]["cgroupsPath"] = json!("/../../devoxx-peers-up")),
];

/// The next of a sequence of numbers that looks like chance and is always the same (xorshift64).
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap_or(0)
}

/// The config of a number, with the names of its changes: each change alone first, then two or three of them.
pub fn config(number: u32) -> (Vec<String>, Value) {
    let mut config = testkit::bundle::config();
    config["process"]["args"] = json!(["PROBE"]);
    let index = number as usize;
    let chosen = if index < CHANGES.len() {
        vec![index]
    } else {
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ (u64::from(number) << 7);
        let count = 2 + next(&mut state) % 2;
        (0..count).map(|_| next(&mut state) % CHANGES.len()).collect()
    };
    let mut names = Vec::new();
    for one in chosen {
        let (name, change) = CHANGES[one];
        if !names.contains(&name.to_owned()) {
            change(&mut config);
            names.push(name.to_owned());
        }
    }
    (names, config)
}
