//! The runtime's record of a container.

/// Whose record it has to be.
const ID: &str = "box";

/// Whatever is taken is the record of that container, and written again it is read as the same.
pub fn state(data: &[u8]) {
    let Ok(record) = runtime::state::parse(ID, data) else { return };
    assert_eq!(record.id, ID);
    let text = serde_json::to_vec(&record).expect("a record can be written");
    let again = runtime::state::parse(ID, &text).expect("what was written is read");
    assert_eq!(serde_json::to_vec(&again).ok(), Some(text));
}

pub fn seeds() -> Vec<Vec<u8>> {
    let record = runtime::state::Record { id: ID.to_owned(), ..Default::default() };
    let plain = serde_json::to_string(&record).expect("a record can be written");
    let init = r#"{"pid":4711,"start_time":123456}"#;
    let full = plain
        .replace(r#""init":null"#, &format!(r#""init":{init}"#))
        .replace(r#""maker":null"#, &format!(r#""maker":{init}"#))
        .replace(r#""criu":null"#, &format!(r#""criu":{init}"#))
        .replace(r#""annotations":{}"#, r#""annotations":{"a":"\u00fc","b":""}"#)
        .replace(r#""streams":[]"#, r#""streams":["/dev/null","pipe:[1]","tty:[1]"]"#)
        .replace(r#""creating""#, r#""created""#);
    let hook = r#"{"path":"/bin/true","args":["true"],"env":[],"timeout":3}"#;
    let hooked = full.replace(r#""poststop":[]"#, &format!(r#""poststop":[{hook}]"#));
    [plain, full, hooked, "{}".to_owned(), "[]".to_owned()].into_iter().map(String::into_bytes).collect()
}

pub const WORDS: &[&str] = &[
    "id",
    "box",
    "cgroup",
    "rdt",
    "init",
    "pid",
    "start_time",
    "phase",
    "creating",
    "created",
    "maker",
    "ociVersion",
    "bundle",
    "rootfs",
    "annotations",
    "owner",
    "configKept",
    "ownPidNamespace",
    "hooks",
    "poststart",
    "poststop",
    "streams",
    "criu",
    "4294967295",
    "2147483648",
    "-1",
    "null",
    "true",
    "[[[[",
    "\\u0000",
];
