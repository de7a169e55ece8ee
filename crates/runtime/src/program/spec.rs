//! `spec`: an example of a config.json, the one that runc's users start from.

use super::arguments::Words;
use super::{Program, ordered};
use runtime::error::{Error, Kind, Result};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use sys::called;

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// `spec`.
pub fn spec(_: &mut Program, words: &Words) -> Result<i32> {
    let mut config = config();
    if words.is_set("rootless") {
        rootless(&mut config, rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    }
    let text = ordered::text(&config, "\t")?;
    let named = words.value("file").filter(|file| !file.is_empty());
    let mut options = std::fs::File::options();
    let path = match named {
        Some(file) => {
            options.write(true).create(true).truncate(true);
            PathBuf::from(file)
        }
        None => {
            options.write(true).create_new(true);
            let bundle = words.value("bundle").filter(|bundle| !bundle.is_empty());
            Path::new(bundle.unwrap_or(".")).join("config.json")
        }
    };
    let mut file = options.open(&path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::new(Kind::Exists, "File config.json exists. Remove it first"),
        _ => called(|| format!("open({path:?}, O_CREAT)"))(error).into(),
    })?;
    file.write_all(text.as_bytes()).map_err(called(|| format!("write({path:?})")))?;
    Ok(0)
}

/// The example, for root.
pub fn config() -> Value {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    json!({
        "ociVersion": super::SPEC,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "devoxx-runtime",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// What an ordinary user can have of it: one id, that of the caller.
fn rootless(config: &mut Value, uid: u32, gid: u32) {
    let own = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    let linux = &mut config["linux"];
    linux["uidMappings"] = own(uid);
    linux["gidMappings"] = own(gid);
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        // The network of the user goes on to be the container's: to make one takes more than a user has.
        namespaces.retain(|one| one["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|one| one["type"] != "cgroup");
        for mount in mounts {
            if mount["type"] == "sysfs" {
                // sysfs belongs to the network's owner: that of the host is bound, and with it the cgroups that are mounted in it, of
                // which some may be the user's to write to (CVE-2023-25809).
                *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "rro"]});
            }
            if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
                // A group that a single id has no place for.
                options.retain(|option| option != "gid=5");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Spec;

    #[test]
    fn examples_are_configurations() {
        let mut example = config();
        for (kind, namespaces) in [("root", 6), ("rootless", 6)] {
            let spec: Spec = serde_json::from_value(example.clone()).unwrap();
            let linux = spec.linux().as_ref().unwrap();
            assert_eq!(linux.namespaces().as_ref().unwrap().len(), namespaces, "{kind}");
            assert_eq!(linux.uid_mappings().is_some(), kind == "rootless");
            assert!(!example.to_string().contains("null"), "{kind}");
            rootless(&mut example, 1000, 100);
        }
        assert_eq!(example["linux"]["gidMappings"][0]["hostID"], 100);
        assert!(!example.to_string().contains("gid=5"));
    }
}
