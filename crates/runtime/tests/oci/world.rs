//! The hosts that the tests here use, with the runtime under test in them.

use serde_json::{Value, json};
use std::path::PathBuf;
use testkit::{Host, Oci};

/// The program under test.
pub fn program() -> PathBuf {
    std::env::var_os("DEVOXX_RUNTIME")
        .map_or_else(|| env!("CARGO_BIN_EXE_devoxx-runtime").into(), PathBuf::from)
}

/// Root, with the cgroups that the machine has.
#[track_caller]
pub fn root() -> Oci {
    Oci::new(Host::root(&program()))
}

/// Root, where cgroup v2 is all there is.
#[track_caller]
pub fn cgroup2() -> Oci {
    Oci::new(Host::root_cgroup2_view(&program()))
}

/// An ordinary user with ranges of subordinate ids.
#[track_caller]
pub fn rootless() -> Oci {
    Oci::new(Host::rootless(&program()))
}

/// An edit that changes nothing.
pub fn plain(_: &mut Value) {}

/// Appends to the array at a JSON pointer; makes it when it is not there.
#[track_caller]
pub fn push(config: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let array = &mut config.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"))[name];
    if array.is_null() {
        *array = Value::Array(Vec::new());
    }
    array.as_array_mut().unwrap_or_else(|| panic!("{pointer} is no array")).push(value);
}

/// Adds a mount.
#[track_caller]
pub fn mount(config: &mut Value, destination: &str, kind: &str, source: &str, options: &[&str]) {
    let value = json!({"destination": destination, "type": kind, "source": source, "options": options});
    push(config, "/mounts", value);
}

/// Takes the namespace of one type out.
pub fn without_namespace(config: &mut Value, kind: &str) {
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
    namespaces.retain(|namespace| namespace["type"] != kind);
}

/// Has one namespace as it is given.
pub fn namespace(config: &mut Value, kind: &str, path: Option<&str>) {
    without_namespace(config, kind);
    let value = path.map_or_else(|| json!({"type": kind}), |path| json!({"type": kind, "path": path}));
    push(config, "/linux/namespaces", value);
}

/// Gives a process these capabilities in the sets that make it have them.
pub fn capabilities(config: &mut Value, names: &[&str]) {
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(names);
    }
}

/// What the process of a container runs.
pub fn script(config: &mut Value, script: &str) {
    config["process"]["args"] = json!(["sh", "-c", script]);
}

/// A command that stays until SIGTERM, which it answers with code 7; it writes a line to /up first.
pub fn stays(config: &mut Value) {
    script(config, "trap 'exit 7' TERM; echo up >/up; while :; do sleep 1000 & wait; done");
}
