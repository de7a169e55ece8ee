//! `spec`: an example of a config.json, the one that runc's users start from.

use super::arguments::Words;
use super::{Program, invalid};
use runtime::error::Result;
use runtime::id_map::{IdMaps, Range};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use sys::called;

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// `spec`.
pub fn spec(_: &mut Program, words: &Words) -> Result<i32> {
    let path = match words.value("file") {
        Some(file) => PathBuf::from(file),
        None => {
            let path = Path::new(words.value("bundle").unwrap_or(".")).join("config.json");
            if path.symlink_metadata().is_ok() {
                return Err(invalid(&format!("File {} exists. Remove it first", path.display())));
            }
            path
        }
    };
    let mut config = config();
    if words.is_set("rootless") {
        let own = |container: u32, host: u32| vec![Range { container, host, size: 1 }];
        rootless(
            &mut config,
            &IdMaps {
                uid: own(0, rustix::process::geteuid().as_raw()),
                gid: own(0, rustix::process::getegid().as_raw()),
            },
        );
    }
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(
        &mut text,
        serde_json::ser::PrettyFormatter::with_indent(b"\t"),
    );
    serde::Serialize::serialize(&config, &mut serializer)
        .map_err(|error| invalid(&format!("config.json: {error}")))?;
    text.push(b'\n');
    std::fs::write(&path, text).map_err(called(|| format!("write({path:?})")))?;
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

/// What an ordinary user can have of it.
fn rootless(config: &mut Value, maps: &IdMaps) {
    let ranges = |ranges: &[Range]| -> Vec<Value> {
        ranges
            .iter()
            .map(|one| json!({"containerID": one.container, "hostID": one.host, "size": one.size}))
            .collect()
    };
    let linux = &mut config["linux"];
    linux["uidMappings"] = json!(ranges(&maps.uid));
    linux["gidMappings"] = json!(ranges(&maps.gid));
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
                // sysfs belongs to the network's owner: that of the host is bound.
                *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
            }
            if let Some(options) = mount["options"].as_array_mut() {
                // A group that a single id has no place for.
                options.retain(|option| option != "gid=5");
            }
        }
    }
}
