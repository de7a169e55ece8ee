use super::*;
use proptest::prelude::*;
use serde_json::json;

fn minimal() -> Value {
    json!({"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"cwd": "/", "args": ["sh"]}, "linux": {}})
}

/// A config with `value` at `pointer`, made on the way.
fn with(pointer: &str, value: Value) -> Value {
    let mut config = minimal();
    let mut place = &mut config;
    for step in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[step];
    }
    *place = value;
    config
}

fn read_value(config: &Value) -> Result<(Box<Spec>, Vec<String>)> {
    spec(config.to_string().as_bytes())
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, expected: &str) {
    let error = spec(text.as_ref()).expect_err("is refused");
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.kind, Kind::Invalid);
}

#[test]
fn texts_that_are_no_config() {
    refused("", "config.json: empty");
    refused(" ", "config.json: EOF while parsing a value at line 1 column 1");
    refused("[]", "config.json: not an object but a list");
    refused("null", "config.json: not an object but null");
    refused("{}", "config.json: ociVersion: missing");
    refused("{]", "config.json: key must be a string at line 1 column 2");
    refused("{} x", "config.json: trailing characters at line 1 column 4");
    refused(
        "{\"process\": {\"args\": [\"sh\", ",
        "config.json: process.args[1]: EOF while parsing a value at line 1 column 28",
    );
    refused(
        "{\"process\": {},\n \"process\": {}}",
        "config.json: \"process\" is there twice at line 2 column 10",
    );
    refused(
        "{\"linux\": {\"namespaces\": [{\"type\": \"pid\", \"type\": \"user\"}]}}",
        "config.json: linux.namespaces[0]: \"type\" is there twice at line 1 column 48",
    );
    refused(b"\xef\xbb\xbf{}", "config.json: begins with a byte order mark (UTF-8)");
    refused(b"\xff\xfe{\0}\0", "config.json: is UTF-16, not UTF-8");
    refused(b"{\0}\0", "config.json: is UTF-16, not UTF-8");
    refused(b"\0{\0}", "config.json: is UTF-16, not UTF-8");
    refused(b"{\n\"a\": \"\xff\"}", "config.json: not UTF-8 at line 2 column 7");
    refused(
        r#"{"process": {"args": ["\ud800"]}}"#,
        "config.json: process.args[0]: unexpected end of hex escape at line 1 column 30",
    );
    refused(
        r#"{"process": {"user": {"uid": 1e400}}}"#,
        "config.json: process.user.uid: number out of range at line 1 column 34",
    );
}

#[test]
fn depth_is_bounded() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for text in [deep("[", "]"), format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))] {
        let error = spec(text.as_bytes()).expect_err("is refused").to_string();
        assert!(error.contains("recursion limit exceeded"), "{error}");
        assert!(error.len() < 200, "{error}");
    }
}

#[test]
fn values_that_are_refused_by_the_name_of_their_field() {
    #[track_caller]
    fn check(pointer: &str, value: Value, expected: &str) {
        let error = read_value(&with(pointer, value)).expect_err("is refused").to_string();
        assert_eq!(error, format!("config.json: {expected}"));
    }
    check("/ociVersion", json!("2.0.0"), "ociVersion: version 2.0.0 is not supported, 1.3.0 is");
    check("/ociVersion", json!("1"), "ociVersion: \"1\" is not a semantic version");
    check("/ociVersion", json!("1.0"), "ociVersion: \"1.0\" is not a semantic version");
    check("/ociVersion", json!("01.0.0"), "ociVersion: \"01.0.0\" is not a semantic version");
    check("/ociVersion", json!(1), "ociVersion: not a text but the number 1");
    check("/process", json!({"args": ["sh"]}), "process.cwd: missing");
    check("/process/user/uid", json!("0"), "process.user.uid: not a whole number but the text \"0\"");
    check("/process/user/uid", json!(0.5), "process.user.uid: not a whole number but the number 0.5");
    check("/process/user/uid", json!(-1), "process.user.uid: -1 is out of range, 0 to 4294967294");
    check(
        "/process/user/gid",
        json!(u32::MAX),
        "process.user.gid: 4294967295 is out of range, 0 to 4294967294",
    );
    check(
        "/process/user/additionalGids",
        json!([1, 4294967296u64]),
        "process.user.additionalGids[1]: 4294967296 is out of range, 0 to 4294967294",
    );
    check("/process/args", json!(["sh", "a\0b"]), "process.args[1]: has a NUL in it");
    check("/process/env", json!(["A=\0"]), "process.env[0]: has a NUL in it");
    check("/process/cwd", json!("/\0"), "process.cwd: has a NUL in it");
    check("/process/args", json!(["sh", null]), "process.args[1]: not a text but null");
    check("/process/args", json!("sh"), "process.args: not a list but the text \"sh\"");
    check("/process/terminal", json!(1), "process.terminal: not true or false but the number 1");
    check("/process/oomScoreAdj", json!(1001), "process.oomScoreAdj: 1001 is out of range, -1000 to 1000");
    check("/hostname", json!("a\0"), "hostname: has a NUL in it");
    check("/hostname", json!("a".repeat(65)), "hostname: 65 bytes, the kernel takes 64");
    check("/hostname", json!("a\nb"), "hostname: has a control character in it");
    check("/domainname", json!("a".repeat(65)), "domainname: 65 bytes, the kernel takes 64");
    check("/root", json!({}), "root.path: missing");
    check("/annotations", json!({"a": 1}), "annotations.a: not a text but the number 1");
    check("/annotations", json!({"a.b": 1}), "annotations.\"a.b\": not a text but the number 1");
    check("/annotations", json!({"a\0": "1"}), "annotations.\"a\\0\": has a NUL in its name");
    check("/linux/namespaces", json!([{"type": "pit"}]), "linux.namespaces[0].type: unknown value \"pit\"");
    check("/linux/namespaces", json!([{"path": "/x"}]), "linux.namespaces[0].type: missing");
    check(
        "/linux/uidMappings",
        json!([{"containerID": 0, "size": 1}]),
        "linux.uidMappings[0].hostID: missing",
    );
    check(
        "/linux/devices",
        json!([{"type": "x", "path": "/dev/x"}]),
        "linux.devices[0].type: unknown value \"x\"",
    );
    check("/linux/personality", json!({"domain": "BSD"}), "linux.personality.domain: unknown value \"BSD\"");
    check("/linux/seccomp", json!({}), "linux.seccomp.defaultAction: missing");
    check(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_MAYBE"}),
        "linux.seccomp.defaultAction: unknown value \"SCMP_ACT_MAYBE\"",
    );
    check(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]}),
        "linux.seccomp.architectures[0]: unknown value \"SCMP_ARCH_Z80\"",
    );
    check(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_KILL"}]}),
        "linux.seccomp.syscalls[0].names: empty",
    );
    check(
        "/process/rlimits",
        json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]),
        "process.rlimits[0].type: unknown value \"RLIMIT_X\"",
    );
    check("/process/rlimits", json!([{"type": "RLIMIT_AS", "soft": 1}]), "process.rlimits[0].hard: missing");
    check(
        "/linux/resources/hugepageLimits",
        json!([{"pageSize": "64kB", "limit": 1}]),
        "linux.resources.hugepageLimits[0].pageSize: \"64kB\" is not a page size such as 2MB",
    );
    check("/linux/memoryPolicy", json!({"nodes": "0"}), "linux.memoryPolicy.mode: missing");
    check(
        "/linux/intelRdt",
        json!({"memBwSchema": "L3:0=1"}),
        "linux.intelRdt.memBwSchema: \"L3:0=1\" is not a line that begins with MB:",
    );
    check(
        "/hooks/poststop",
        json!([{"path": "/x", "timeout": 0}]),
        "hooks.poststop[0].timeout: 0 is out of range, 1 to 9223372036854775807",
    );
    check(
        "/process/execCPUAffinity",
        json!({"initial": "3-1"}),
        "process.execCPUAffinity.initial: \"3-1\" is not a list of processors such as 0-3,7",
    );
}

#[test]
fn what_has_no_effect_is_a_warning() {
    #[track_caller]
    fn check(pointer: &str, value: Value, expected: &[&str]) {
        let (_, warnings) = read_value(&with(pointer, value)).expect("is read");
        assert_eq!(warnings, expected);
    }
    check("/extension", json!({"a": [1.5]}), &["config.json: extension: unknown, ignored"]);
    check("/process/extension", json!(1), &["config.json: process.extension: unknown, ignored"]);
    check("/windows", json!({"layerFolders": 5}), &["config.json: windows: for another platform, ignored"]);
    check(
        "/process/capabilities",
        json!({"bounding": ["CAP_CHOWN", "CAP_FLY"]}),
        &["config.json: process.capabilities.bounding: unknown capability \"CAP_FLY\", ignored"],
    );
    check("/hostname", json!("ü"), &[]);
}

#[test]
fn what_is_right_and_unusual() {
    #[track_caller]
    fn check(pointer: &str, value: Value) -> Spec {
        let (spec, warnings) = read_value(&with(pointer, value)).expect("is read");
        assert_eq!(warnings, [""; 0]);
        *spec
    }
    for version in ["1.0.0-rc0", "1.2.1+dev", "1.3.0-rc.1+x", "0.5.0-dev"] {
        check("/ociVersion", json!(version));
    }
    check("/process/args", json!(null));
    check("/linux/resources/memory/limit", json!(-1));
    check("/process/env", json!(["NAME=wert äöü 😀"]));
    check("/linux/rootfsPropagation", json!(""));
    check("/linux/resources/devices", json!([{"allow": false, "type": "", "access": "rwm"}]));
    let spec = check("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": u64::MAX}]));
    let limits = spec.linux().as_ref().and_then(|linux| linux.resources().clone()).expect("resources");
    assert_eq!(limits.hugepage_limits().as_ref().map(|list| list[0].limit()), Some(i64::MAX));
    let spec = check("/process/execCPUAffinity", json!({"initial": " 0-3, 7 ,", "final": ""}));
    let affinity =
        spec.process().as_ref().and_then(|process| process.exec_cpu_affinity().clone()).expect("it");
    assert_eq!(
        (affinity.initial().as_deref(), affinity.cpu_affinity_final().as_deref()),
        (Some("0-3,7"), None)
    );
    let spec = check("/linux/personality", json!({}));
    assert!(spec.linux().as_ref().is_some_and(|linux| linux.personality().is_some()));
}

/// One value of every shape, for every field there is: what the walk takes, oci_spec has to take as well.
fn samples(shape: &shape::Shape) -> Vec<Value> {
    use shape::Shape;
    match shape {
        Shape::Object(fields) => {
            let mut all = vec![serde_json::Map::new()];
            for field in *fields {
                let values = samples(field.shape);
                if values.is_empty() {
                    continue;
                }
                // Every value of this field once, with some value of each other one.
                let longest = all.len().max(values.len());
                all = (0..longest)
                    .map(|index| {
                        let mut one = all[index % all.len()].clone();
                        one.insert(field.name.to_owned(), values[index % values.len()].clone());
                        one
                    })
                    .collect();
            }
            all.into_iter().map(Value::Object).collect()
        }
        Shape::Map(inner) => samples(inner).into_iter().map(|value| json!({"name": value})).collect(),
        Shape::List(inner) | Shape::Filled(inner) => vec![Value::Array(samples(inner))],
        Shape::Text | Shape::Name => vec![json!("text")],
        Shape::Version => vec![json!("1.3.0")],
        Shape::Pattern(right, _) => {
            ["MB:0=10", "2MB"].into_iter().filter(|text| right(text)).map(Value::from).collect()
        }
        Shape::Processors => vec![json!("0-1")],
        Shape::Bool => vec![json!(true)],
        Shape::Whole(least, most) => [*least, *most]
            .into_iter()
            .map(|number| match i64::try_from(number) {
                Ok(number) => json!(number),
                Err(_) => json!(u64::try_from(number).expect("a number of JSON")),
            })
            .collect(),
        Shape::Capped => vec![json!(u64::MAX)],
        Shape::Word(words) => words.iter().map(|word| json!(word)).collect(),
        Shape::Renamed(pairs) => pairs.iter().map(|(word, _)| json!(word)).collect(),
        Shape::Capabilities => {
            vec![crate::bundle::ALL_CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect()]
        }
        Shape::Elsewhere => Vec::new(),
    }
}

#[test]
fn oci_spec_takes_whatever_the_walk_takes() {
    let all = samples(&config::CONFIG);
    assert!(all.len() > 1);
    for config in all {
        let (spec, warnings) = read_value(&config).expect("is read");
        assert_eq!(warnings, [""; 0]);
        // Nothing was lost on the way: what is written again is what was read.
        let again = serde_json::to_value(&spec).expect("is written");
        assert_eq!(leaves(&again), leaves(&config), "{config}\n{again}");
    }
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(leaves).sum(),
        Value::Object(map) => map.values().map(leaves).sum(),
        _ => 1,
    }
}

/// The specification's own examples, where its repository lies beside this one.
#[test]
fn examples_of_the_specification() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/schema/test/config");
    for (kind, good) in [("good", true), ("bad", false)] {
        for entry in std::fs::read_dir(shared.join(kind)).into_iter().flatten().flatten() {
            let read = read(&entry.path());
            assert_eq!(read.is_ok(), good, "{:?}: {:?}", entry.path(), read.err());
        }
    }
}

#[test]
fn files_that_are_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.json");
    let check = |expected: &str| {
        let error = read(&path).expect_err("is refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("JSON specification file");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).expect("a fifo");
    check("is not a regular file");
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a directory");
    check("is not a regular file");
    std::fs::remove_dir(&path).expect("removed");
    std::fs::File::create(&path).and_then(|file| file.set_len(LONGEST + 1)).expect("a file");
    check("config.json: longer than 16777216 bytes");
    std::fs::write(&path, minimal().to_string()).expect("written");
    assert_eq!(read(&path).expect("is read").text, minimal().to_string().as_bytes());
}

#[test]
fn a_process_by_itself() {
    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = process(text.as_bytes()).map(|process| process.cwd().display().to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }
    check(r#"{"cwd": "/x", "args": ["a"], "user": {"uid": 0, "gid": 0}}"#, Ok("/x"));
    check(r#"{"cwd": "/x"}"#, Ok("/x"));
    check(r#"{"args": ["a"]}"#, Err("cwd: missing"));
    check(r#"{"cwd": "/", "user": {"uid": -1}}"#, Err("user.uid: -1 is out of range, 0 to 4294967294"));
    check("", Err("empty"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-zA-Z]{1,6}",
        prop::sample::select(vec![
            "process",
            "linux",
            "user",
            "uid",
            "args",
            "namespaces",
            "type",
            "resources"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(spec(&text).is_err());
    }

    #[test]
    fn no_tree_makes_it_panic(process in json_value(), linux in json_value(), cut in 0.0..1.0f64) {
        let mut config = minimal();
        config["process"] = process;
        config["linux"] = linux;
        let text = config.to_string();
        if let Err(error) = spec(text.as_bytes()) {
            prop_assert!(!error.to_string().contains('\n'));
        }
        let shorter = &text.as_bytes()[..(text.len() as f64 * cut) as usize];
        prop_assert!(spec(shorter).is_err());
    }
}
