//! The file systems of a container, as it sees them (config.md, "Mounts").

pub mod devices;
pub mod ids;
pub mod options;
pub mod root;
pub mod running;
pub mod targets;

use serde_json::{Value, json};

/// A mount with options.
pub fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": source, "options": options})
}

/// An edit that adds mounts.
pub fn adds(mounts: Vec<Value>) -> impl FnOnce(&mut Value) {
    move |config| config["mounts"].as_array_mut().expect("mounts are an array").extend(mounts)
}

/// Prints the options of the mount at a path, those of the mount before those of its file system; `inode64` is left out,
/// which some kernels are built to give every tmpfs.
pub fn options_of(path: &str) -> String {
    format!(
        "awk '$5 == \"{path}\" {{ mount = $6; rest = $0; sub(/.* - /, \"\", rest); split(rest, words, \" \"); \
         sub(/,inode64/, \"\", words[3]); print mount \" \" words[1] \" \" words[3] }}' /proc/self/mountinfo | tail -n 1"
    )
}
