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

/// A case and its family.
fn of(family: &str, what: &str) -> String {
    format!("{family}: {what}")
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
    for (family, what, text, word) in [
        ("C1", "an empty file", Vec::new(), "config.json: empty"),
        ("C2", "an empty object", b"{}".to_vec(), "ociVersion"),
        ("C12", "an array", b"[]".to_vec(), "config.json"),
        ("C12", "null", b"null".to_vec(), "config.json"),
        ("C12", "a text", b"\"config\"".to_vec(), "config.json"),
        ("C1", "nothing but white space", b" \n\t ".to_vec(), "line"),
        ("C7", "NUL bytes", vec![0; 4096], "config.json"),
        ("C3", "more after the end", format!("{sound} x").into_bytes(), "config.json"),
        ("C3", "two of them", format!("{sound}{sound}").into_bytes(), "config.json"),
        ("C3", "a comma too much", sound.replacen('{', "{,", 1).into_bytes(), "line 1"),
        ("C3", "a comment", format!("// what\n{sound}").into_bytes(), "line 1"),
        ("C5", "a key twice", twice.into_bytes(), "\"process\" is there twice"),
        ("C5", "an inner key twice", inner.into_bytes(), "process: \"cwd\" is there twice"),
        ("C6", "a byte order mark", [b"\xef\xbb\xbf", sound.as_bytes()].concat(), "byte order mark"),
        ("C6", "UTF-16 with a mark", [b"\xff\xfe".to_vec(), wide(u16::to_le_bytes)].concat(), "UTF-16"),
        (
            "C6",
            "UTF-16 of the other order",
            [b"\xfe\xff".to_vec(), wide(u16::to_be_bytes)].concat(),
            "UTF-16",
        ),
        ("C6", "UTF-16 without a mark", wide(u16::to_le_bytes), "UTF-16"),
        ("C7", "bytes that are no UTF-8", latin, "not UTF-8"),
        ("C7", "half a surrogate", surrogate.into_bytes(), "config.json"),
        ("C4", "a depth of 100,000 lists", deep("[", "]").into_bytes(), "recursion limit"),
        ("C4", "a depth of 100,000 objects", deep("{\"a\":", "}").into_bytes(), "config.json"),
        ("C12", "a number without an end", number("1e400").into_bytes(), "number"),
        ("C12", "a number that is none", number("01").into_bytes(), "config.json"),
        ("C12", "no number", number("NaN").into_bytes(), "config.json"),
        ("C12", "a number of 100,000 digits", number(&"9".repeat(100_000)).into_bytes(), "number"),
    ] {
        bundle.write("config.json", text);
        refuses(&oci, &bundle, &[word], &format!("{family}: {what}"));
    }
    // Wherever it breaks off, it is told where.
    for length in (1..sound.len()).step_by(sound.len() / 40) {
        bundle.write("config.json", &sound[..length]);
        refuses(
            &oci,
            &bundle,
            &["config.json", "line 1 column"],
            &of("C3", &format!("the first {length} bytes")),
        );
    }
    nothing_is_left(&oci, &mut bundle, "texts");
    // 1 GiB, of which next to nothing is on the disk, and in little memory.
    let file = std::fs::File::create(bundle.path("config.json")).expect("create");
    file.set_len(1 << 30).expect("truncate");
    refuses(&oci, &bundle, &["longer than"], &of("C9", "1 GiB"));
    std::fs::remove_file(bundle.path("config.json")).expect("remove");
    oci.host.admin(&format!("mkfifo {}", bundle.inside("config.json")));
    refuses(&oci, &bundle, &["config.json"], &of("CL3", "a FIFO"));
    std::fs::remove_file(bundle.path("config.json")).expect("remove");
    refuses(&oci, &bundle, &["config.json"], &of("CL3", "no file"));
    std::fs::create_dir(bundle.path("config.json")).expect("mkdir");
    refuses(&oci, &bundle, &["config.json"], &of("CL3", "a directory"));
    std::fs::remove_dir(bundle.path("config.json")).expect("rmdir");
    nothing_is_left(&oci, &mut bundle, "files that are none");
}

/// Each: its family, a word that the error has, and what is done to a sound configuration.
type Case = (&'static str, &'static str, fn(&mut Value));

/// The families by their places in config.json.
const FIELDS: &[Case] = &[
    ("C11", "ociVersion", |c| drop(c.as_object_mut().map(|c| c.remove("ociVersion")))),
    ("C11", "ociVersion", |c| c["ociVersion"] = json!("2.0.0")),
    ("C11", "ociVersion", |c| c["ociVersion"] = json!("1")),
    ("C11", "ociVersion", |c| c["ociVersion"] = json!("one")),
    ("C11", "ociVersion", |c| c["ociVersion"] = json!(1)),
    ("C8", "args", |c| c["process"]["args"] = json!(["a\0b"])),
    ("C8", "env", |c| c["process"]["env"] = json!(["A=a\0b"])),
    ("C8", "cwd", |c| c["process"]["cwd"] = json!("/a\0b")),
    ("C8", "hostname", |c| c["hostname"] = json!("a\0b")),
    ("C35", "hostname", |c| c["hostname"] = json!("x".repeat(65))),
    ("C12", "uid", |c| c["process"]["user"]["uid"] = json!("0")),
    ("C12", "uid", |c| c["process"]["user"]["uid"] = json!(-1)),
    ("C12", "uid", |c| c["process"]["user"]["uid"] = json!(0.5)),
    ("C13", "uid", |c| c["process"]["user"]["uid"] = json!(4_294_967_295_u32)),
    ("C13", "gid", |c| c["process"]["user"]["gid"] = json!(4_294_967_295_u32)),
    ("C13", "additionalGids", |c| c["process"]["user"]["additionalGids"] = json!([4_294_967_295_u32])),
    ("C12", "terminal", |c| c["process"]["terminal"] = json!("yes")),
    ("C15", "namespaces", |c| {
        c["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "mount"}, {"type": "pid"}])
    }),
    ("C16", "weather", |c| namespace(c, "weather", None)),
    ("C17", "/tmp/none", |c| namespace(c, "ipc", Some("/tmp/none"))),
    ("C17", "/etc/passwd", |c| namespace(c, "ipc", Some("/etc/passwd"))),
    ("C17", "/proc/self/ns/net", |c| namespace(c, "ipc", Some("/proc/self/ns/net"))),
    ("C18", "root", |c| c["root"]["path"] = json!("none")),
    ("C18", "root", |c| c["root"]["path"] = json!("config.json")),
    ("C18", "root", |c| c["root"]["path"] = json!("")),
    ("C18", "root", |c| c["root"]["path"] = json!("/")),
    ("C18", "root", |c| drop(c.as_object_mut().map(|c| c.remove("root")))),
    ("C19", "cwd", |c| c["process"]["cwd"] = json!("relative")),
    ("C19", "cwd", |c| c["process"]["cwd"] = json!("")),
    ("C19", "/proc/self/fd/7", |c| c["process"]["cwd"] = json!("/proc/self/fd/7")),
    ("C20", "args", |c| c["process"]["args"] = json!([])),
    ("C20", "args", |c| c["process"]["args"] = json!([""])),
    ("C20", "args", |c| c["process"]["args"] = json!("true")),
    ("C20", "/etc", |c| c["process"]["args"] = json!(["/etc"])),
    ("C20", "/etc/passwd", |c| c["process"]["args"] = json!(["/etc/passwd"])),
    ("C20", "argument list too long", |c| c["process"]["args"] = json!(["true", "x".repeat(200_000)])),
    ("C21", "mounts", |c| mount(c, "/", "tmpfs", "tmpfs", &[])),
    ("C21", "/proc/self", |c| mount(c, "/proc/self", "tmpfs", "tmpfs", &[])),
    ("C22", "no-such-option", |c| mount(c, "/x", "bind", "/tmp", &["bind", "no-such-option"])),
    ("C22", "mounts", |c| mount(c, "/x", "tmpfs", "tmpfs", &["size=\0"])),
    ("C23", "/tmp/none", |c| mount(c, "/x", "bind", "/tmp/none", &["bind"])),
    ("C23", "/etc", |c| mount(c, "/etc", "bind", "/etc/passwd", &["bind"])),
    ("C23", "/etc/passwd", |c| mount(c, "/etc/passwd", "bind", "/tmp", &["bind"])),
    ("C21", "mounts", |c| push(c, "/mounts", json!({"type": "tmpfs"}))),
    ("C26", "devices", |c| {
        push(c, "/linux/devices", json!({"path": "/dev/x", "type": "x", "major": 1, "minor": 3}))
    }),
    ("C26", "devices", |c| {
        push(c, "/linux/devices", json!({"path": "/dev/x", "type": "c", "major": -1, "minor": 3}))
    }),
    ("C26", "/etc/passwd", |c| {
        push(c, "/linux/devices", json!({"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}))
    }),
    (
        "C28",
        "rlimits",
        |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]),
    ),
    ("C28", "rlimits", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_ROOM", "soft": 1, "hard": 1}])),
    ("C28", "rlimits", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}])),
    ("C29", "sysctl", |c| c["linux"]["sysctl"] = json!({"kernel.core_pattern": "x"})),
    ("C29", "sysctl", |c| c["linux"]["sysctl"] = json!({"net/../kernel/core_pattern": "x"})),
    ("C30", "seccomp", |c| c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_MAYBE"})),
    ("C30", "seccomp", |c| {
        c["linux"]["seccomp"] =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]})
    }),
    ("C32", "hooks", |c| c["hooks"] = json!({"prestart": [{"path": "relative"}]})),
    ("C32", "/none", |c| c["hooks"] = json!({"prestart": [{"path": "/none"}]})),
    ("C32", "hooks", |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/true", "timeout": 0}]})),
    ("C32", "hook", |c| {
        c["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -KILL $$"]}]})
    }),
    ("C33", "cgroup", |c| c["linux"]["cgroupsPath"] = json!("/a/../../b")),
    ("C33", "cgroup", |c| c["linux"]["cgroupsPath"] = json!("/")),
    ("C34", "memory", |c| c["linux"]["resources"] = json!({"memory": {"limit": -2}})),
    ("C34", "cpu", |c| c["linux"]["resources"] = json!({"cpu": {"quota": 1}})),
    ("C34", "3MB", |c| {
        c["linux"]["resources"] = json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]})
    }),
    ("C34", "unified", |c| c["linux"]["resources"] = json!({"unified": {"../x": "1"}})),
    ("C34", "unified", |c| c["linux"]["resources"] = json!({"unified": {"cgroup.procs": "1"}})),
    ("C36", "rootfsPropagation", |c| c["linux"]["rootfsPropagation"] = json!("sideways")),
    ("C37", "console socket", |c| c["process"]["terminal"] = json!(true)),
    ("C40", "oomScoreAdj", |c| c["process"]["oomScoreAdj"] = json!(1001)),
    ("C41", "personality", |c| c["linux"]["personality"] = json!({"domain": "VMS"})),
    ("C42", "time", |c| c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": ""})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!({"closID": "a/b"})),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!({"": {}})),
    ("C14", "uidMappings", |c| {
        c["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 0}])
    }),
    ("C35", "hostname", |c| without_namespace(c, "uts")),
    // Strings with what no name or argument can have in it.
    ("C8", "root", |c| c["root"]["path"] = json!("root\0fs")),
    ("C21", "mounts", |c| mount(c, "/x\0y", "tmpfs", "tmpfs", &[])),
    ("C21", "mounts", |c| mount(c, "/x", "bind", "/tmp\0/x", &["bind"])),
    ("C24", "maskedPaths", |c| c["linux"]["maskedPaths"] = json!(["/proc/a\0b"])),
    ("C25", "readonlyPaths", |c| c["linux"]["readonlyPaths"] = json!(["/proc/a\0b"])),
    ("C8", "sysctl", |c| c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1\0"})),
    ("C8", "cgroupsPath", |c| c["linux"]["cgroupsPath"] = json!("/a\0b")),
    ("C8", "hooks", |c| c["hooks"] = json!({"prestart": [{"path": "/bin/true\0"}]})),
    ("C8", "hooks", |c| c["hooks"] = json!({"prestart": [{"path": "/bin/true", "args": ["a\0b"]}]})),
    ("C35", "hostname", |c| c["hostname"] = json!("a\nb")),
    ("C8", "domainname", |c| c["domainname"] = json!("a\0b")),
    ("C19", "cwd", |c| c["process"]["cwd"] = json!("(unreachable)/x")),
    // Numbers beyond what they number.
    ("C12", "uid", |c| c["process"]["user"]["uid"] = json!(4_294_967_296_u64)),
    ("C12", "uid", |c| c["process"]["user"]["uid"] = json!(1e300)),
    ("C12", "umask", |c| c["process"]["user"]["umask"] = json!(-1)),
    ("C12", "height", |c| {
        c["process"]["consoleSize"] = json!({"height": -1, "width": 80});
    }),
    ("C12", "oomScoreAdj", |c| c["process"]["oomScoreAdj"] = json!(u64::MAX)),
    ("C28", "rlimits", |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}])),
    ("C34", "limit", |c| c["linux"]["resources"] = json!({"memory": {"limit": u64::MAX}})),
    ("C34", "limit", |c| c["linux"]["resources"] = json!({"memory": {"limit": 1e30}})),
    ("C34", "shares", |c| c["linux"]["resources"] = json!({"cpu": {"shares": -1}})),
    ("C34", "pids", |c| c["linux"]["resources"] = json!({"pids": {"limit": "many"}})),
    ("C34", "swappiness", |c| c["linux"]["resources"] = json!({"memory": {"swappiness": 201}})),
    ("C32", "timeout", |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/true", "timeout": -1}]})),
    ("C42", "secs", |c| {
        namespace(c, "time", None);
        c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1e30}});
    }),
    ("C42", "timeOffsets", |c| {
        namespace(c, "time", None);
        c["linux"]["timeOffsets"] = json!({"realtime": {"secs": 1}});
    }),
    ("C26", "fileMode", |c| {
        let mode = u64::from(u32::MAX) + 1;
        push(
            c,
            "/linux/devices",
            json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": mode}),
        )
    }),
    // Ids of user namespaces.
    ("C14", "uidMappings", |c| {
        maps(
            c,
            json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 2000, "size": 10}]),
        )
    }),
    ("C14", "uidMappings", |c| {
        maps(
            c,
            json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 50, "hostID": 1005, "size": 10}]),
        )
    }),
    ("C14", "uidMappings", |c| maps(c, json!([{"containerID": 1, "hostID": 0, "size": u32::MAX}]))),
    ("C14", "uidMappings", |c| maps(c, json!([{"containerID": 0, "hostID": 0}]))),
    ("C14", "uidMappings", |c| maps(c, json!([]))),
    // A file that is no namespace, and would be waited for.
    ("C17", "/tmp/fifo", |c| namespace(c, "ipc", Some("/tmp/fifo"))),
    ("C17", "/proc/self/ns", |c| namespace(c, "ipc", Some("/proc/self/ns"))),
    ("C17", "ipc", |c| namespace(c, "ipc", Some("relative"))),
    ("C16", "namespaces", |c| c["linux"]["namespaces"] = json!([{"type": 7}])),
    ("C16", "namespaces", |c| c["linux"]["namespaces"] = json!({"type": "pid"})),
    ("C21", "/proc/1", |c| mount(c, "/proc/1", "tmpfs", "tmpfs", &[])),
    ("C21", "/proc/sys", |c| mount(c, "/proc/sys/kernel", "bind", "/tmp", &["bind"])),
    ("C21", "/proc/self", |c| mount(c, "/proc/../proc/./self/attr", "tmpfs", "tmpfs", &[])),
    ("C21", "mounts", |c| mount(c, "", "tmpfs", "tmpfs", &[])),
    ("C21", "mounts", |c| c["mounts"] = json!("tmpfs")),
    ("C21", "no-such-fs", |c| mount(c, "/x", "no-such-fs", "x", &[])),
    ("C30", "syscalls", |c| {
        seccomp(
            c,
            json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]),
        )
    }),
    ("C30", "syscalls", |c| {
        seccomp(
            c,
            json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_LIKE"}]}]),
        )
    }),
    ("C30", "syscalls", |c| seccomp(c, json!([{"names": ["read"], "action": "SCMP_ACT_PERHAPS"}]))),
    ("C30", "syscalls", |c| seccomp(c, json!([{"names": [], "action": "SCMP_ACT_ERRNO"}]))),
    ("C30", "listenerPath", |c| seccomp(c, json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]))),
    ("C31", "apparmor", |c| c["process"]["apparmorProfile"] = json!("docker-default")),
    ("C31", "selinux", |c| c["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0")),
    ("C31", "selinux", |c| c["linux"]["mountLabel"] = json!("system_u:object_r:container_file_t:s0")),
    ("C33", "cgroupsPath", |c| c["linux"]["cgroupsPath"] = json!("..")),
    ("C33", "cgroupsPath", |c| c["linux"]["cgroupsPath"] = json!("/a\nb")),
    ("C33", "cgroup", |c| c["linux"]["cgroupsPath"] = json!(format!("/{}", "x".repeat(256)))),
    ("C33", "cgroup", |c| c["linux"]["cgroupsPath"] = json!("/x".repeat(3000))),
    ("C12", "capabilities", |c| c["process"]["capabilities"] = json!({"bounding": "CAP_KILL"})),
    ("C12", "policy", |c| c["process"]["scheduler"] = json!({})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!({"closID": ""})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!({"closID": "x".repeat(4096)})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!({"l3CacheSchema": "MB:0=1"})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!({"schemata": ["L3:0=f\nMB:0=10"]})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!({"schemata": "L3:0=f"})),
    ("C39", "intelRdt", |c| c["linux"]["intelRdt"] = json!([])),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!(["eth0"])),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!({"../eth0": {}})),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": {"name": "x".repeat(16)}})),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": {"name": "%d%d"}})),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": {"name": 0}})),
    ("C39", "netDevices", |c| c["linux"]["netDevices"] = json!({"eth0": null})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_SOMEWHERE"})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND"})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": ","})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "3-1"})),
    ("C39", "memoryPolicy", |c| {
        c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0-4294967295"})
    }),
    ("C39", "memoryPolicy", |c| {
        c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "99999999999999999999"})
    }),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "-1"})),
    ("C39", "memoryPolicy", |c| c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_DEFAULT", "nodes": "0"})),
    ("C39", "memoryPolicy", |c| {
        c["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MAYBE"]})
    }),
    ("C12", "execCPUAffinity", |c| c["process"]["execCPUAffinity"] = json!({"initial": "0-99999999999"})),
    ("C12", "execCPUAffinity", |c| c["process"]["execCPUAffinity"] = json!({"final": "1-"})),
    ("C41", "personality", |c| c["linux"]["personality"] = json!({"domain": "LINUX", "flags": ["ADDR_NO"]})),
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
    for (number, (family, word, edit)) in FIELDS.iter().enumerate() {
        let bundle = oci.bundle(edit);
        let outcome = create(&oci, &bundle, &format!("case {number} ({family}, {word})"));
        let lines = outcome.stderr.lines().count();
        let said = outcome.stderr.to_lowercase().contains(&word.to_lowercase());
        if outcome.code == 0 {
            oci.call(["delete", "--force", &bundle.id]);
        }
        if outcome.code == 0 || lines != 1 || !said {
            wrong.push(format!("case {number} ({family}, {word}): {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    oci.assert_empty("refused fields");
}

#[test]
fn sound_neighbours() {
    clause!("config.extensibility");
    let oci = root();
    let taken = |family: &str, edit: &dyn Fn(&mut Value)| {
        let outcome = oci.run(edit, "echo taken");
        assert_eq!(outcome.code, 0, "{family}: {outcome}");
        outcome.prints("taken");
    };
    taken("C11", &|c| c["ociVersion"] = json!("1.3.0"));
    taken("C11", &|c| c["ociVersion"] = json!("1.0.0"));
    taken("C11", &|c| c["ociVersion"] = json!("1.9.0"));
    taken("C10", &|c| {
        c["extension"] = json!({"of": ["somebody"]});
        c["linux"]["extension"] = json!(1);
        c["process"]["extension"] = Value::Null;
    });
    taken("C7", &|c| c["annotations"] = json!({"ünï": "çødé"}));
    taken("C7", &|c| c["process"]["env"] = json!(["PATH=/bin", "Ü=ü"]));
    taken("C35", &|c| c["hostname"] = json!("x".repeat(64)));
    taken("C24", &|c| c["linux"]["maskedPaths"] = json!(["/missing", "/proc/missing"]));
    taken("C34", &|c| c["linux"]["resources"] = json!({"memory": {"limit": -1}, "cpu": {"shares": 0}}));
    taken("C21", &|c| {
        c["mounts"].as_array_mut().expect("an array").extend(
            (0..100).map(|n| json!({"destination": format!("/m/{n}"), "type": "tmpfs", "source": "tmpfs"})),
        )
    });
    taken("C24", &|c| c["linux"]["maskedPaths"] = (0..200).map(|n| json!(format!("/none/{n}"))).collect());
    taken("C20", &|c| c["process"]["args"] = json!(["sh", "-c", "echo taken", "x".repeat(100_000)]));
    taken("C38", &|c| c["annotations"] = json!({"long": "x".repeat(1 << 20)}));
    taken("C32", &|c| c["hooks"] = json!({}));
    taken("C20", &|c| c["linux"]["sysctl"] = json!({}));
    let bundle = oci.bundle(|c| c["process"]["args"] = json!(["echo", "link"]));
    std::fs::rename(bundle.path("rootfs"), bundle.path("other")).expect("rename");
    symlink("other", bundle.path("rootfs")).expect("symlink");
    assert_eq!(bundle.try_run(&[]).line(), "link", "{}", of("C18", "a link"));
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
    let refused = |family: &str, words: &[&str]| -> Outcome {
        let outcome = call(&oci, words, &of(family, &words.join(" ")));
        assert!(outcome.code != 0 && !outcome.stderr.is_empty(), "{outcome}");
        outcome
    };
    let (id, directory) = (container.id(), container.bundle.directory.as_str());
    for (family, words) in [
        ("CL5", &["create", "--bundle", directory, id][..]),
        ("CL1", &["create", "--bundle", directory, "-x"]),
        ("CL8", &["create", "--bundle", directory, "--preserve-fds", "-1", "x"]),
        ("CL8", &["create", "--bundle", directory, "--preserve-fds", "many", "x"]),
        ("CL4", &["create", "--bundle", directory, "--pid-file", "/none/pid", "x"]),
        ("CL3", &["create", "--bundle", "", "x"]),
        ("CL6", &["kill", id, "SIGFOO"]),
        ("CL6", &["kill", id, "65"]),
        ("CL6", &["kill", id, ""]),
        ("CL6", &["kill", id, "TERM", "more"]),
        ("CL7", &["exec", "--env", "=x", id, "true"]),
        ("CL7", &["exec", "--user", "4294967295", id, "true"]),
        ("CL7", &["exec", "--user", "1:2:3", id, "true"]),
        ("CL7", &["exec", "--cwd", "relative", id, "true"]),
        ("CL7", &["exec", id, ""]),
        ("CL7", &["exec", "--cap", "CAP_ROOM", id, "true"]),
        ("C34", &["update", "--memory", "much", id]),
        ("C34", &["update", "--resources", "/none", id]),
        ("C34", &["update", "--resources", "/etc/passwd", id]),
        ("", &["events", "--interval", "0", id]),
        ("", &["events", "--interval", "-1s", id]),
        ("", &["list", "--format", "yaml"]),
        ("", &["ps", "--format", "yaml", id]),
        ("", &["state"]),
        ("", &["state", id, id]),
        ("", &["delete", "--no-such", id]),
        ("", &["no-such-command"]),
    ] {
        refused(family, words);
    }
    assert_eq!(container.status(), "running");
    // Where there is no room for what is said, that is an error and no more.
    for (family, place) in [("CL9", "/dev/full"), ("CL9", "/dev/null")] {
        let said = oci.host.sh(&format!("exec $C --root /tmp/run/oci state {id} >{place}"));
        assert_eq!(said.code == 0, place == "/dev/null", "{family}: {said}");
        assert!(!said.stderr.contains("panicked"), "{said}");
    }
    oci.host.sh(&format!("$C --root /tmp/run/oci state {id} | true")).ok();
    // What the caller is like.
    for (family, around) in [
        ("CL11", "umask 0777;"),
        ("CL11", "trap '' PIPE CHLD;"),
        ("CL11", "ulimit -n 64;"),
        ("CL11", "ulimit -s 256;"),
        ("CL11", "exec env -i"),
    ] {
        let state =
            oci.host.sh(&format!("{around} {} --root /tmp/run/oci state {id}", "/tmp/bin/$(basename $C)"));
        assert!(!state.stderr.contains("panicked"), "{family}: {around} {state}");
        assert_eq!(state.code, 0, "{family}: {around} {state}");
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
