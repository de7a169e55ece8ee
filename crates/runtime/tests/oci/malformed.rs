//! What is not sound: refused in one line that names the field or the option, soon, with nothing left behind; and what
//! looks like it and is sound, which is taken. A refusal has 64 MiB of memory and 2 seconds of a processor, and gets no more.

mod amounts;
mod records;
mod surroundings;

use crate::world::{mount, namespace, push, root, stays, without_namespace};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};
use testkit::{Bundle, Oci, Outcome};

/// A refusal waits for nothing. This is beyond the 2 seconds of a processor that it has: time that others take on a busy
/// machine is none of its own.
const SOON: Duration = Duration::from_secs(10);

/// Calls the runtime with the time and the memory that a refusal has.
#[track_caller]
fn call(oci: &Oci, words: &[&str], what: &str) -> Outcome {
    let begin = Instant::now();
    let outcome = oci.call_bounded(words);
    let took = begin.elapsed();
    assert!(took < SOON, "{what} takes {took:?}: {outcome}");
    // Neither by a signal, such as that of too much time or memory, nor by a panic.
    assert!(outcome.code < 128 || outcome.code == 255, "{what}: {outcome}");
    assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome}");
    outcome
}

#[track_caller]
fn create(oci: &Oci, bundle: &Bundle, what: &str) -> Outcome {
    call(oci, &["create", "--bundle", &bundle.directory, &bundle.id], what)
}

#[track_caller]
fn refuses(oci: &Oci, bundle: &Bundle, words: &[&str], what: &str) {
    let outcome = create(oci, bundle, what);
    assert_ne!(outcome.code, 0, "{what} is taken: {outcome}");
    outcome.refused(words);
}

/// The container could not be made, and the same id can be used at once.
#[track_caller]
fn nothing_is_left(oci: &Oci, bundle: &mut Bundle, what: &str) {
    oci.assert_empty(what);
    bundle.config = testkit::bundle::config();
    bundle.save();
    bundle.try_run(&[]).ok();
}

#[test]
fn texts_that_are_no_configuration() {
    clause!("config.valid-values");
    let oci = root();
    let mut bundle = oci.bundle(|_| ());
    let sound = bundle.config.to_string();
    let twice = sound.replacen("\"process\":", "\"process\":{\"cwd\":\"/\"},\"process\":", 1);
    let surrogate = sound.replacen("\"true\"", "\"\\ud800\"", 1);
    let mut latin = sound.clone().into_bytes();
    let at = sound.find("true").expect("it runs true");
    latin[at] = 0xe9;
    let inner = sound.replacen("\"cwd\":", "\"cwd\":\"/x\",\"cwd\":", 1);
    let deep = |open: &str, close: &str| {
        format!("{{\"ociVersion\": \"1.0.2\", \"x\": {}{}}}", open.repeat(100_000), close.repeat(100_000))
    };
    let wide = |order: fn(u16) -> [u8; 2]| sound.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let number = |text: &str| sound.replacen("\"ociVersion\":", &format!("\"x\":{text},\"ociVersion\":"), 1);
    for (what, text, word) in [
        ("an empty file", Vec::new(), "config.json: empty"),
        ("an empty object", b"{}".to_vec(), "ociVersion"),
        ("an array", b"[]".to_vec(), "config.json"),
        ("null", b"null".to_vec(), "config.json"),
        ("a text", b"\"config\"".to_vec(), "config.json"),
        ("nothing but white space", b" \n\t ".to_vec(), "line"),
        ("NUL bytes", vec![0; 4096], "config.json"),
        ("more after the end", format!("{sound} x").into_bytes(), "config.json"),
        ("two of them", format!("{sound}{sound}").into_bytes(), "config.json"),
        ("a comma too much", sound.replacen('{', "{,", 1).into_bytes(), "line 1"),
        ("a comment", format!("// what\n{sound}").into_bytes(), "line 1"),
        ("a key twice", twice.into_bytes(), "\"process\" is there twice"),
        ("an inner key twice", inner.into_bytes(), "process: \"cwd\" is there twice"),
        ("a byte order mark", [b"\xef\xbb\xbf", sound.as_bytes()].concat(), "byte order mark"),
        ("UTF-16 with a mark", [b"\xff\xfe".to_vec(), wide(u16::to_le_bytes)].concat(), "UTF-16"),
        ("UTF-16 of the other order", [b"\xfe\xff".to_vec(), wide(u16::to_be_bytes)].concat(), "UTF-16"),
        ("UTF-16 without a mark", wide(u16::to_le_bytes), "UTF-16"),
        ("bytes that are no UTF-8", latin, "not UTF-8"),
        ("half a surrogate", surrogate.into_bytes(), "config.json"),
        ("a depth of 100,000 lists", deep("[", "]").into_bytes(), "recursion limit"),
        ("a depth of 100,000 objects", deep("{\"a\":", "}").into_bytes(), "config.json"),
        ("a number without an end", number("1e400").into_bytes(), "number"),
        ("a number that is none", number("01").into_bytes(), "config.json"),
        ("no number", number("NaN").into_bytes(), "config.json"),
        ("a number of 100,000 digits", number(&"9".repeat(100_000)).into_bytes(), "number"),
    ] {
        bundle.write("config.json", text);
        refuses(&oci, &bundle, &[word], what);
    }
    // Wherever it breaks off, it is told where.
    for length in (1..sound.len()).step_by(sound.len() / 40) {
        bundle.write("config.json", &sound[..length]);
        refuses(&oci, &bundle, &["config.json", "line 1 column"], &format!("the first {length} bytes"));
    }
    nothing_is_left(&oci, &mut bundle, "texts");
    // 1 GiB, of which next to nothing is on the disk, and in little memory.
    let file = std::fs::File::create(bundle.path("config.json")).expect("create");
    file.set_len(1 << 30).expect("truncate");
    refuses(&oci, &bundle, &["longer than"], "1 GiB");
    std::fs::remove_file(bundle.path("config.json")).expect("remove");
    oci.host.admin(&format!("mkfifo {}", bundle.inside("config.json")));
    refuses(&oci, &bundle, &["config.json"], "a FIFO");
    std::fs::remove_file(bundle.path("config.json")).expect("remove");
    refuses(&oci, &bundle, &["config.json"], "no file");
    std::fs::create_dir(bundle.path("config.json")).expect("mkdir");
    refuses(&oci, &bundle, &["config.json"], "a directory");
    std::fs::remove_dir(bundle.path("config.json")).expect("rmdir");
    nothing_is_left(&oci, &mut bundle, "files that are none");
}

/// Each: a word that the error has, and what is done to a sound configuration.
type Case = (&'static str, fn(&mut Value));

/// The families by their places in config.json.
const FIELDS: &[Case] = &[
    ("ociVersion", |c| drop(c.as_object_mut().map(|c| c.remove("ociVersion")))),
    ("ociVersion", |c| c["ociVersion"] = json!("2.0.0")),
    ("ociVersion", |c| c["ociVersion"] = json!("1")),
    ("ociVersion", |c| c["ociVersion"] = json!("one")),
    ("ociVersion", |c| c["ociVersion"] = json!(1)),
    ("args", |c| c["process"]["args"] = json!(["a\0b"])),
    ("env", |c| c["process"]["env"] = json!(["A=a\0b"])),
    ("cwd", |c| c["process"]["cwd"] = json!("/a\0b")),
    ("hostname", |c| c["hostname"] = json!("a\0b")),
    ("hostname", |c| c["hostname"] = json!("x".repeat(65))),
    ("uid", |c| c["process"]["user"]["uid"] = json!("0")),
    ("uid", |c| c["process"]["user"]["uid"] = json!(-1)),
    ("uid", |c| c["process"]["user"]["uid"] = json!(0.5)),
    ("uid", |c| c["process"]["user"]["uid"] = json!(4_294_967_295_u32)),
    ("gid", |c| c["process"]["user"]["gid"] = json!(4_294_967_295_u32)),
    ("additionalGids", |c| c["process"]["user"]["additionalGids"] = json!([4_294_967_295_u32])),
    ("terminal", |c| c["process"]["terminal"] = json!("yes")),
    ("namespaces", |c| {
        c["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "mount"}, {"type": "pid"}])
    }),
    ("weather", |c| namespace(c, "weather", None)),
    ("/tmp/none", |c| namespace(c, "ipc", Some("/tmp/none"))),
    ("/etc/passwd", |c| namespace(c, "ipc", Some("/etc/passwd"))),
    ("/proc/self/ns/net", |c| namespace(c, "ipc", Some("/proc/self/ns/net"))),
    ("root", |c| c["root"]["path"] = json!("none")),
    ("root", |c| c["root"]["path"] = json!("config.json")),
    ("root", |c| c["root"]["path"] = json!("")),
    ("root", |c| c["root"]["path"] = json!("/")),
    ("root", |c| drop(c.as_object_mut().map(|c| c.remove("root")))),
    ("cwd", |c| c["process"]["cwd"] = json!("relative")),
    ("cwd", |c| c["process"]["cwd"] = json!("")),
    ("/proc/self/fd/7", |c| c["process"]["cwd"] = json!("/proc/self/fd/7")),
    ("args", |c| c["process"]["args"] = json!([])),
    ("args", |c| c["process"]["args"] = json!([""])),
    ("args", |c| c["process"]["args"] = json!("true")),
    ("/etc", |c| c["process"]["args"] = json!(["/etc"])),
    ("/etc/passwd", |c| c["process"]["args"] = json!(["/etc/passwd"])),
    ("argument list too long", |c| c["process"]["args"] = json!(["true", "x".repeat(200_000)])),
    ("mounts", |c| mount(c, "/", "tmpfs", "tmpfs", &[])),
    ("/proc/self", |c| mount(c, "/proc/self", "tmpfs", "tmpfs", &[])),
    ("no-such-option", |c| mount(c, "/x", "bind", "/tmp", &["bind", "no-such-option"])),
    ("mounts", |c| mount(c, "/x", "tmpfs", "tmpfs", &["size=\0"])),
    ("/tmp/none", |c| mount(c, "/x", "bind", "/tmp/none", &["bind"])),
    ("/etc", |c| mount(c, "/etc", "bind", "/etc/passwd", &["bind"])),
    ("/etc/passwd", |c| mount(c, "/etc/passwd", "bind", "/tmp", &["bind"])),
    ("mounts", |c| push(c, "/mounts", json!({"type": "tmpfs"}))),
    ("devices", |c| {
        push(c, "/linux/devices", json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 3}))
    }),
    ("devices", |c| {
        push(c, "/linux/devices", json!({"path": "/dev/x", "type": "c", "major": -1, "minor": 3}))
    }),
    ("/etc/passwd", |c| {
        push(c, "/linux/devices", json!({"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}))
    }),
    (
        "rlimits",
        |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]),
    ),
    ("rlimits", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_ROOM", "soft": 1, "hard": 1}])),
    ("rlimits", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}])),
    ("sysctl", |c| c["linux"]["sysctl"] = json!({"kernel.core_pattern": "x"})),
    ("sysctl", |c| c["linux"]["sysctl"] = json!({"net/../kernel/core_pattern": "x"})),
    ("seccomp", |c| c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_MAYBE"})),
    ("seccomp", |c| {
        c["linux"]["seccomp"] =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]})
    }),
    ("hooks", |c| c["hooks"] = json!({"prestart": [{"path": "relative"}]})),
    ("/none", |c| c["hooks"] = json!({"prestart": [{"path": "/none"}]})),
    ("hooks", |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/true", "timeout": 0}]})),
    ("hook", |c| {
        c["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -KILL $$"]}]})
    }),
    ("cgroup", |c| c["linux"]["cgroupsPath"] = json!("/a/../../b")),
    ("cgroup", |c| c["linux"]["cgroupsPath"] = json!("/")),
    ("memory", |c| c["linux"]["resources"] = json!({"memory": {"limit": -2}})),
    ("cpu", |c| c["linux"]["resources"] = json!({"cpu": {"quota": 1}})),
    ("3MB", |c| c["linux"]["resources"] = json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]})),
    ("unified", |c| c["linux"]["resources"] = json!({"unified": {"../x": "1"}})),
    ("unified", |c| c["linux"]["resources"] = json!({"unified": {"cgroup.procs": "1"}})),
    ("rootfsPropagation", |c| c["linux"]["rootfsPropagation"] = json!("sideways")),
    ("console socket", |c| c["process"]["terminal"] = json!(true)),
    ("oomScoreAdj", |c| c["process"]["oomScoreAdj"] = json!(1001)),
    ("personality", |c| c["linux"]["personality"] = json!({"domain": "VMS"})),
    ("time", |c| c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": ""})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!({"closID": "a/b"})),
    ("netDevices", |c| c["linux"]["netDevices"] = json!({"": {}})),
    ("uidMappings", |c| c["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 0}])),
    ("hostname", |c| without_namespace(c, "uts")),
    // Strings with what no name or argument can have in it.
    ("root", |c| c["root"]["path"] = json!("root\0fs")),
    ("mounts", |c| mount(c, "/x\0y", "tmpfs", "tmpfs", &[])),
    ("mounts", |c| mount(c, "/x", "bind", "/tmp\0/x", &["bind"])),
    ("maskedPaths", |c| c["linux"]["maskedPaths"] = json!(["/proc/a\0b"])),
    ("readonlyPaths", |c| c["linux"]["readonlyPaths"] = json!(["/proc/a\0b"])),
    ("sysctl", |c| c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1\0"})),
    ("cgroupsPath", |c| c["linux"]["cgroupsPath"] = json!("/a\0b")),
    ("hooks", |c| c["hooks"] = json!({"prestart": [{"path": "/bin/true\0"}]})),
    ("hooks", |c| c["hooks"] = json!({"prestart": [{"path": "/bin/true", "args": ["a\0b"]}]})),
    ("hostname", |c| c["hostname"] = json!("a\nb")),
    ("domainname", |c| c["domainname"] = json!("a\0b")),
    ("cwd", |c| c["process"]["cwd"] = json!("(unreachable)/x")),
    // Numbers beyond what they number.
    ("uid", |c| c["process"]["user"]["uid"] = json!(4_294_967_296_u64)),
    ("uid", |c| c["process"]["user"]["uid"] = json!(1e300)),
    ("umask", |c| c["process"]["user"]["umask"] = json!(-1)),
    ("height", |c| {
        c["process"]["consoleSize"] = json!({"height": -1, "width": 80});
    }),
    ("oomScoreAdj", |c| c["process"]["oomScoreAdj"] = json!(u64::MAX)),
    ("rlimits", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}])),
    ("limit", |c| c["linux"]["resources"] = json!({"memory": {"limit": u64::MAX}})),
    ("limit", |c| c["linux"]["resources"] = json!({"memory": {"limit": 1e30}})),
    ("shares", |c| c["linux"]["resources"] = json!({"cpu": {"shares": -1}})),
    ("pids", |c| c["linux"]["resources"] = json!({"pids": {"limit": "many"}})),
    ("swappiness", |c| c["linux"]["resources"] = json!({"memory": {"swappiness": 201}})),
    ("timeout", |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/true", "timeout": -1}]})),
    ("secs", |c| {
        namespace(c, "time", None);
        c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1e30}});
    }),
    ("timeOffsets", |c| {
        namespace(c, "time", None);
        c["linux"]["timeOffsets"] = json!({"realtime": {"secs": 1}});
    }),
    ("fileMode", |c| {
        let mode = u64::from(u32::MAX) + 1;
        push(
            c,
            "/linux/devices",
            json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": mode}),
        )
    }),
    // Ids of user namespaces.
    ("uidMappings", |c| {
        maps(
            c,
            json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 2000, "size": 10}]),
        )
    }),
    ("uidMappings", |c| {
        maps(
            c,
            json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 50, "hostID": 1005, "size": 10}]),
        )
    }),
    ("uidMappings", |c| maps(c, json!([{"containerID": 1, "hostID": 0, "size": u32::MAX}]))),
    ("uidMappings", |c| maps(c, json!([{"containerID": 0, "hostID": 0}]))),
    ("uidMappings", |c| maps(c, json!([]))),
    // A file that is no namespace, and would be waited for.
    ("/tmp/fifo", |c| namespace(c, "ipc", Some("/tmp/fifo"))),
    ("/proc/self/ns", |c| namespace(c, "ipc", Some("/proc/self/ns"))),
    ("ipc", |c| namespace(c, "ipc", Some("relative"))),
    ("namespaces", |c| c["linux"]["namespaces"] = json!([{"type": 7}])),
    ("namespaces", |c| c["linux"]["namespaces"] = json!({"type": "pid"})),
    ("/proc/1", |c| mount(c, "/proc/1", "tmpfs", "tmpfs", &[])),
    ("/proc/sys", |c| mount(c, "/proc/sys/kernel", "bind", "/tmp", &["bind"])),
    ("/proc/self", |c| mount(c, "/proc/../proc/./self/attr", "tmpfs", "tmpfs", &[])),
    ("mounts", |c| mount(c, "", "tmpfs", "tmpfs", &[])),
    ("mounts", |c| c["mounts"] = json!("tmpfs")),
    ("no-such-fs", |c| mount(c, "/x", "no-such-fs", "x", &[])),
    ("syscalls", |c| {
        seccomp(
            c,
            json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]),
        )
    }),
    ("syscalls", |c| {
        seccomp(
            c,
            json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_LIKE"}]}]),
        )
    }),
    ("syscalls", |c| seccomp(c, json!([{"names": ["read"], "action": "SCMP_ACT_PERHAPS"}]))),
    ("syscalls", |c| seccomp(c, json!([{"names": [], "action": "SCMP_ACT_ERRNO"}]))),
    ("listenerPath", |c| seccomp(c, json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]))),
    ("apparmor", |c| c["process"]["apparmorProfile"] = json!("docker-default")),
    ("selinux", |c| c["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0")),
    ("selinux", |c| c["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0")),
    ("cgroupsPath", |c| c["linux"]["cgroupsPath"] = json!("..")),
    ("cgroupsPath", |c| c["linux"]["cgroupsPath"] = json!("/a\nb")),
    ("cgroup", |c| c["linux"]["cgroupsPath"] = json!(format!("/{}", "x".repeat(256)))),
    ("cgroup", |c| c["linux"]["cgroupsPath"] = json!("/x".repeat(3000))),
    ("capabilities", |c| c["process"]["capabilities"] = json!({"bounding": "CAP_KILL"})),
    ("policy", |c| c["process"]["scheduler"] = json!({})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!({"closID": ""})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!({"closID": "x".repeat(4096)})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!({"l3CacheSchema": "MB:0=1"})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!({"schemata": ["L3:0=f\nMB:0=10"]})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!({"schemata": "L3:0=f"})),
    ("intelRdt", |c| c["linux"]["intelRdt"] = json!([])),
    ("netDevices", |c| c["linux"]["netDevices"] = json!(["eth0"])),
    ("netDevices", |c| c["linux"]["netDevices"] = json!({"../eth0": {}})),
    ("netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": {"name": "x".repeat(16)}})),
    ("netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": {"name": "%d%d"}})),
    ("netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": {"name": 0}})),
    ("netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": null})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_SOMEWHERE"})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND"})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": ","})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "3-1"})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0-4294967295"})),
    ("memoryPolicy", |c| {
        c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "99999999999999999999"})
    }),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "-1"})),
    ("memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_DEFAULT", "nodes": "0"})),
    ("memoryPolicy", |c| {
        c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MAYBE"]})
    }),
    ("execCPUAffinity", |c| c["process"]["execCPUAffinity"] = json!({"initial": "0-99999999999"})),
    ("execCPUAffinity", |c| c["process"]["execCPUAffinity"] = json!({"final": "1-"})),
    ("personality", |c| c["linux"]["personality"] = json!({"domain": "LINUX", "flags": ["ADDR_NO"]})),
];

fn maps(config: &mut Value, uid: Value) {
    namespace(config, "user", None);
    config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    config["linux"]["uidMappings"] = uid;
}

fn seccomp(config: &mut Value, rules: Value) {
    config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
}

#[test]
fn fields() {
    clause!("config.valid-values", "config.ociVersion.invalid");
    let oci = root();
    oci.host.admin("mkfifo /tmp/fifo");
    let mut wrong = Vec::new();
    for (number, (word, edit)) in FIELDS.iter().enumerate() {
        let bundle = oci.bundle(edit);
        let outcome = create(&oci, &bundle, &format!("case {number} ({word})"));
        let lines = outcome.stderr.lines().count();
        let said = outcome.stderr.to_lowercase().contains(&word.to_lowercase());
        if outcome.code == 0 {
            oci.call(["delete", "--force", &bundle.id]);
        }
        if outcome.code == 0 || lines != 1 || !said {
            wrong.push(format!("case {number} ({word}): {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    oci.assert_empty("refused fields");
}

#[test]
fn sound_neighbours() {
    clause!("config.extensibility");
    let oci = root();
    let taken = |edit: &dyn Fn(&mut Value)| drop(oci.run(edit, "echo taken").ok().prints("taken"));
    taken(&|c| c["ociVersion"] = json!("1.3.0"));
    taken(&|c| c["ociVersion"] = json!("1.0.0"));
    taken(&|c| c["ociVersion"] = json!("1.9.0"));
    taken(&|c| {
        c["extension"] = json!({"of": ["somebody"]});
        c["linux"]["extension"] = json!(1);
        c["process"]["extension"] = Value::Null;
    });
    taken(&|c| c["annotations"] = json!({"ünï": "çødé"}));
    taken(&|c| c["process"]["env"] = json!(["PATH=/bin", "Ü=ü"]));
    taken(&|c| c["hostname"] = json!("x".repeat(64)));
    taken(&|c| c["linux"]["maskedPaths"] = json!(["/missing", "/proc/missing"]));
    taken(&|c| c["linux"]["resources"] = json!({"memory": {"limit": -1}, "cpu": {"shares": 0}}));
    taken(&|c| {
        c["mounts"].as_array_mut().expect("an array").extend(
            (0..100).map(|n| json!({"destination": format!("/m/{n}"), "type": "tmpfs", "source": "tmpfs"})),
        )
    });
    taken(&|c| c["linux"]["maskedPaths"] = (0..200).map(|n| json!(format!("/none/{n}"))).collect());
    taken(&|c| c["process"]["args"] = json!(["sh", "-c", "echo taken", "x".repeat(100_000)]));
    taken(&|c| c["annotations"] = json!({"long": "x".repeat(1 << 20)}));
    taken(&|c| c["hooks"] = json!({}));
    taken(&|c| c["linux"]["sysctl"] = json!({}));
    let bundle = oci.bundle(|c| c["process"]["args"] = json!(["echo", "link"]));
    std::fs::rename(bundle.path("rootfs"), bundle.path("other")).expect("rename");
    symlink("other", bundle.path("rootfs")).expect("symlink");
    bundle.try_run(&[]).ok().prints("link");
    oci.assert_empty("sound neighbours");
}

/// A process is there to be run: without one there is nothing to start.
#[test]
fn without_a_process() {
    clause!("runtime.start.no-process");
    let oci = root();
    let bundle = oci.bundle(|config| drop(config.as_object_mut().map(|config| config.remove("process"))));
    let made = bundle.try_create(&[]);
    let container = bundle.container();
    if made.code == 0 {
        assert_ne!(container.call("start", &[]).code, 0);
    } else {
        made.refused(&["process"]);
    }
    drop(container);
    oci.assert_empty("a configuration without a process");
}

#[test]
fn command_lines() {
    let oci = root();
    let container = oci.bundle(stays).start(&[]);
    container.bundle.awaits("rootfs/up");
    let refused = |words: &[&str]| -> Outcome {
        let outcome = call(&oci, words, &words.join(" "));
        assert!(outcome.code != 0 && !outcome.stderr.is_empty(), "{outcome}");
        outcome
    };
    let (id, directory) = (container.id(), container.bundle.directory.as_str());
    for words in [
        &["create", "--bundle", directory, id][..],
        &["create", "--bundle", directory, "-x"],
        &["create", "--bundle", directory, "--preserve-fds", "-1", "x"],
        &["create", "--bundle", directory, "--preserve-fds", "many", "x"],
        &["create", "--bundle", directory, "--pid-file", "/none/pid", "x"],
        &["create", "--bundle", "", "x"],
        &["kill", id, "SIGFOO"],
        &["kill", id, "65"],
        &["kill", id, ""],
        &["kill", id, "TERM", "more"],
        &["exec", "--env", "=x", id, "true"],
        &["exec", "--user", "4294967295", id, "true"],
        &["exec", "--user", "1:2:3", id, "true"],
        &["exec", "--cwd", "relative", id, "true"],
        &["exec", id, ""],
        &["exec", "--cap", "CAP_ROOM", id, "true"],
        &["update", "--memory", "much", id],
        &["update", "--resources", "/none", id],
        &["update", "--resources", "/etc/passwd", id],
        &["events", "--interval", "0", id],
        &["events", "--interval", "-1s", id],
        &["list", "--format", "yaml"],
        &["ps", "--format", "yaml", id],
        &["state"],
        &["state", id, id],
        &["delete", "--no-such", id],
        &["no-such-command"],
    ] {
        refused(words);
    }
    assert_eq!(container.status(), "running");
    // Where there is no room for what is said, that is an error and no more.
    for place in ["/dev/full", "/dev/null"] {
        let said = oci.host.sh(&format!("exec $C --root /tmp/run/oci state {id} >{place}"));
        assert_eq!(said.code == 0, place == "/dev/null", "{said}");
        assert!(!said.stderr.contains("panicked"), "{said}");
    }
    oci.host.sh(&format!("$C --root /tmp/run/oci state {id} | true")).ok();
    // What the caller is like.
    for around in ["umask 0777;", "trap '' PIPE CHLD;", "ulimit -n 64;", "ulimit -s 256;", "exec env -i"] {
        let state =
            oci.host.sh(&format!("{around} {} --root /tmp/run/oci state {id}", "/tmp/bin/$(basename $C)"));
        assert!(!state.stderr.contains("panicked"), "{around} {state}");
        assert_eq!(state.code, 0, "{around} {state}");
    }
    let bundle = oci.bundle(|config| crate::world::script(config, "echo ran"));
    for around in [
        "umask 0777;",
        "trap '' CHLD;",
        "trap '' PIPE;",
        "ulimit -n 64;",
        "cd /tmp; mkdir gone; cd gone; rmdir ../gone;",
    ] {
        oci.host
            .sh(&format!(
                "{around} exec $C --root /tmp/run/oci run --bundle {} {}",
                bundle.directory, bundle.id
            ))
            .ok()
            .prints("ran");
    }
    container.end();
    container.call("delete", &[]).ok();
    oci.assert_empty("command lines");
}
