//! What is not sound: refused in one line that names the field or the option, soon, with nothing left behind; and what
//! looks like it and is sound, which is taken.

use crate::world::{mount, namespace, push, root, stays, without_namespace};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};
use testkit::{Bundle, Oci, Outcome};

/// A refusal takes milliseconds; this is for a machine on which much else runs.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn refuses(bundle: &Bundle, words: &[&str], what: &str) {
    let begin = Instant::now();
    let outcome = bundle.try_create(&[]);
    let took = begin.elapsed();
    assert_ne!(outcome.code, 0, "{what} is taken: {outcome}");
    assert!(took < SOON, "{what} takes {took:?}");
    assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome}");
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
    let deep =
        format!("{{\"ociVersion\": \"1.0.2\", \"x\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let wide: Vec<u8> = sound.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (what, text, word) in [
        ("an empty file", Vec::new(), "config.json"),
        ("an empty object", b"{}".to_vec(), "ociVersion"),
        ("an array", b"[]".to_vec(), "config.json"),
        ("half a file", sound.as_bytes()[..sound.len() / 2].to_vec(), "line"),
        ("more after the end", format!("{sound} x").into_bytes(), "config.json"),
        ("a key twice", twice.into_bytes(), "process"),
        ("a byte order mark", [b"\xef\xbb\xbf", sound.as_bytes()].concat(), "config.json"),
        ("UTF-16", [b"\xff\xfe".to_vec(), wide].concat(), "config.json"),
        ("bytes that are no UTF-8", latin, "config.json"),
        ("half a surrogate", surrogate.into_bytes(), "config.json"),
        ("a depth of 100,000", deep.into_bytes(), "config.json"),
    ] {
        bundle.write("config.json", text);
        refuses(&bundle, &[word], what);
    }
    nothing_is_left(&oci, &mut bundle, "texts");
    // 1 GiB, of which next to nothing is on the disk, and in little memory.
    let file = std::fs::File::create(bundle.path("config.json")).expect("create");
    file.set_len(1 << 30).expect("truncate");
    let line = format!(
        "ulimit -d 65536; exec $C --root /tmp/run/oci create --bundle {} {}",
        bundle.directory, bundle.id
    );
    oci.host.sh(&line).refused(&["longer than"]);
    std::fs::remove_file(bundle.path("config.json")).expect("remove");
    oci.host.admin(&format!("mkfifo {}", bundle.inside("config.json")));
    refuses(&bundle, &["config.json"], "a FIFO");
    std::fs::remove_file(bundle.path("config.json")).expect("remove");
    refuses(&bundle, &["config.json"], "no file");
    std::fs::create_dir(bundle.path("config.json")).expect("mkdir");
    refuses(&bundle, &["config.json"], "a directory");
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
];

#[test]
fn fields() {
    clause!("config.valid-values", "config.ociVersion.invalid");
    let oci = root();
    let mut wrong = Vec::new();
    for (number, (word, edit)) in FIELDS.iter().enumerate() {
        let bundle = oci.bundle(edit);
        let begin = Instant::now();
        let outcome = bundle.try_create(&[]);
        let took = begin.elapsed();
        let lines = outcome.stderr.lines().count();
        let said = outcome.stderr.to_lowercase().contains(&word.to_lowercase());
        if outcome.code == 0 {
            oci.call(["delete", "--force", &bundle.id]);
        }
        if outcome.code == 0 || lines != 1 || !said || took > SOON {
            wrong.push(format!("case {number} ({word}), {took:?}: {outcome}"));
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
        let begin = Instant::now();
        let outcome = oci.call(words);
        assert!(outcome.code != 0 && begin.elapsed() < SOON, "{outcome}");
        assert!(!outcome.stderr.is_empty() && !outcome.stderr.contains("panicked"), "{outcome}");
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

#[test]
fn records_that_are_broken() {
    let oci = root();
    let record = |id: &str| oci.host.path(format!("/tmp/run/oci/{id}/state.json"));
    let sound = |id: &str| std::fs::read_to_string(record(id)).expect("the record");
    let bystander = testkit::Running::start(&mut oci.host.script("exec sleep 1000"));
    for (what, change) in [
        ("empty", (|_: &str, _: i32| String::new()) as fn(&str, i32) -> String),
        ("half", |text, _| text[..text.len() / 2].to_owned()),
        ("not JSON", |_, _| "nonsense".to_owned()),
        ("of others", |_, pid| json!({"init": {"pid": pid, "started": 1}}).to_string()),
        ("deep", |_, _| "[".repeat(100_000)),
    ] {
        let container = oci.bundle(stays).start(&[]);
        container.bundle.awaits("rootfs/up");
        let (pid, text) = (container.pid(), sound(container.id()));
        std::fs::write(record(container.id()), change(&text, bystander.pid)).expect("write");
        for verb in ["state", "kill", "pause", "start"] {
            let outcome = container.call(verb, &[]);
            assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome}");
        }
        let outcome = container.with("delete", &["--force"], &[]);
        assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome}");
        assert!(
            std::path::Path::new(&format!("/proc/{}", bystander.pid)).exists(),
            "{what}: a stranger was killed"
        );
        // So that nothing is left whatever became of it.
        std::fs::create_dir_all(oci.host.path(format!("/tmp/run/oci/{}", container.id()))).expect("mkdir");
        std::fs::write(record(container.id()), text).expect("write");
        container.with("delete", &["--force"], &[]).ok();
        testkit::deadline::wait_for(what, || {
            (pid == 0 || !std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }
}
