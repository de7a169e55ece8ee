//! JSON for people: members in the order in which the specification names them, indented as runc does it.

use runtime::error::{Error, Kind, Result};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// Members of config.json and of features in their order. No two objects want two names the other way round.
const ORDER: &[&str] = &[
    // config.json
    "ociVersion",
    "process",
    "root",
    "terminal",
    "user",
    "uid",
    "gid",
    "args",
    "env",
    "cwd",
    // features
    "ociVersionMin",
    "ociVersionMax",
    "hooks",
    "mountOptions",
    "hostname",
    "mounts",
    "linux",
    "annotations",
    "potentiallyUnsafeConfigAnnotations",
    "uidMappings",
    "gidMappings",
    "containerID",
    "hostID",
    "size",
    "resources",
    "namespaces",
    "maskedPaths",
    "readonlyPaths",
    // features of Linux
    "capabilities",
    "cgroup",
    "seccomp",
    "apparmor",
    "selinux",
    "intelRdt",
    "memoryPolicy",
    "mountExtensions",
    "netDevices",
    "v1",
    "v2",
    "systemd",
    "systemdUser",
    "rdma",
    "enabled",
    "actions",
    "operators",
    "archs",
    "knownFlags",
    "supportedFlags",
    "schemata",
    "monitoring",
    "modes",
    "flags",
    // process, root, mounts and devices
    "rlimits",
    "noNewPrivileges",
    "bounding",
    "effective",
    "permitted",
    "path",
    "readonly",
    "destination",
    "type",
    "source",
    "options",
    "hard",
    "soft",
    "allow",
    "access",
];

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                // Those without a place come last, by name.
                members.sort_by_key(|(name, _)| {
                    (ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()), *name)
                });
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item))?;
                }
                list.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// The text of a value, with a line break at its end.
pub fn text(value: &Value, indent: &str) -> Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    let other = |why: String| Error::new(Kind::Other, format!("JSON: {why}"));
    Ordered(value).serialize(&mut serializer).map_err(|error| other(error.to_string()))?;
    text.push(b'\n');
    String::from_utf8(text).map_err(|error| other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_have_their_place() {
        let value = json!({"zebra": 1, "ape": 2, "process": {"cwd": "/", "args": []}, "ociVersion": "1"});
        let expected = "{\n\t\"ociVersion\": \"1\",\n\t\"process\": {\n\t\t\"args\": [],\n\t\t\"cwd\": \"/\"\n\t},\n\t\"ape\": 2,\n\t\"zebra\": 1\n}\n";
        assert_eq!(text(&value, "\t").unwrap(), expected);
    }
}
