//! config.json, as far as to what it means.

use crate::bpf;
use runtime::bundle::{self, Beyond};
use runtime::plan::Root;
use runtime::{Plan, id_map};
use serde_json::{Value, json};
use std::path::{Component, Path};

/// What a text means; none where it is refused.
pub(crate) fn plan(text: &[u8]) -> Option<Plan> {
    let (spec, _) = runtime::written::spec(text).ok()?;
    // The one thing that would be looked up on this machine.
    let beyond = Beyond { root: Some(Root::Directory("/".into())), ..Beyond::default() };
    bundle::plan("box", &spec, Path::new("/bundle"), beyond).ok()
}

/// Whatever is taken has targets inside of the root, ids that the kernel takes, a filter that it takes, and no string with a NUL.
pub fn config(data: &[u8]) {
    let Some(plan) = plan(data) else { return };
    for mount in &plan.mounts {
        let up =
            mount.target.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir));
        assert!(mount.target.is_absolute() && !up && mount.target != Path::new("/"), "{mount:?}");
    }
    id_map::check("uidMappings", &plan.id_maps.uid).expect("ids of users");
    id_map::check("gidMappings", &plan.id_maps.gid).expect("ids of groups");
    if !plan.seccomp.instructions.is_empty() {
        assert_eq!(bpf::refused(&plan.seccomp.instructions), None);
    }
    for (path, _) in &plan.sysctls {
        let plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        assert!(plain, "sysctl {path:?}");
    }
    assert!(plan.hostname.len() <= 64 && plan.domainname.len() <= 64);
    assert!(!plan.process.args.is_empty());
    let texts = plan.process.args.iter().chain(&plan.process.env);
    let paths =
        plan.masked.iter().chain(&plan.read_only).chain(plan.devices.iter().map(|device| &device.path));
    assert!(texts.into_iter().all(|text| !text.contains('\0')));
    assert!(paths.into_iter().all(|path| !path.as_os_str().as_encoded_bytes().contains(&0)));
    assert!(plan.process.cwd.is_absolute());
}

/// A sound one: what every container has.
pub(crate) fn sound() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/"},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 65_536}],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 65_536}]},
    })
}

pub fn seeds() -> Vec<Vec<u8>> {
    let part = |place: &str, value: Value| {
        let mut config = sound();
        match place.split_once('.') {
            Some((outer, inner)) => config[outer][inner] = value,
            None => config[place] = value,
        }
        config
    };
    let all = json!([{"type": "pid"}, {"type": "network"}, {"type": "ipc", "path": "/proc/1/ns/ipc"}, {"type": "uts"}, {"type": "mount"},
        {"type": "cgroup"}, {"type": "time"}]);
    let mut named = part("linux.namespaces", all.clone());
    named["hostname"] = json!("box");
    named["domainname"] = json!("domain");
    named["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "0"});
    named["linux"]["timeOffsets"] =
        json!({"monotonic": {"secs": -1, "nanosecs": 5}, "boottime": {"secs": 10}});
    named["linux"]["netDevices"] = json!({"eth0": {"name": "lan"}, "wlan0": {}});
    let hook = json!([{"path": "/bin/true", "args": ["true", "x"], "env": ["A=b"], "timeout": 3}]);
    let throttle = json!([{"major": 8, "minor": 0, "rate": 600}]);
    [
        sound(),
        named,
        part("process.user", json!({"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [10, 20], "username": "x"})),
        part("process.capabilities", json!({"bounding": ["CAP_KILL", "CAP_ROOM"], "effective": ["CAP_KILL"], "permitted": [], "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]})),
        part("process.rlimits", json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}, {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}])),
        part("process.scheduler", json!({"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"], "runtime": 10, "deadline": 20, "period": 30, "nice": 1, "priority": 0})),
        part("process.ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 3})),
        part("process.execCPUAffinity", json!({"initial": "0-1,3", "final": "2"})),
        part("process.consoleSize", json!({"height": 25, "width": 80})),
        part("process.oomScoreAdj", json!(-500)),
        part("mounts", json!([
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "data/../x", "source": "/tmp", "options": ["rbind", "ro", "rprivate", "idmap=uids=@0-1-10;gids=0-1-1"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]},
            {"destination": "/y", "type": "bind", "source": "z", "uidMappings": [{"containerID": 0, "hostID": 5, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 5, "size": 1}]},
        ])),
        part("hooks", json!({"prestart": hook, "createRuntime": hook, "createContainer": hook, "startContainer": hook, "poststart": hook, "poststop": hook})),
        part("annotations", json!({"run.oci.hooks.stdout": "/dev/null", "org.opencontainers.image.stopSignal": "9", "run.oci.keep_original_groups": "1", "run.oci.mount_context_type": "rootcontext"})),
        part("linux.devices", json!([{"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0}, {"type": "p", "path": "/dev/pipe"}])),
        part("linux.seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 5, "op": "SCMP_CMP_GT"}]}]})),
        part("linux.resources", json!({
            "unified": {"memory.high": "1000000"}, "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"}],
            "pids": {"limit": 100}, "network": {"classID": 5, "priorities": [{"name": "eth0", "priority": 1}]}, "rdma": {"mlx5_1": {"hcaHandles": 3}},
        })),
        part("linux.resources", json!({
            "cpu": {"cpus": "0-1", "mems": "0", "period": 100_000, "quota": 50_000, "burst": 10, "shares": 1024, "idle": 1},
            "memory": {"limit": 100_000_000, "reservation": -1, "swap": 200_000_000, "swappiness": 60, "disableOOMKiller": false, "checkBeforeUpdate": true},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 18_446_744_073_709_551_615_u64}],
            "blockIO": {"weight": 100, "weightDevice": [{"major": 8, "minor": 0, "weight": 500}], "throttleReadBpsDevice": throttle, "throttleWriteIOPSDevice": throttle},
        })),
        part("linux.intelRdt", json!({"closID": "group", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=70", "schemata": ["L2:0=3"], "enableMonitoring": true})),
        part("linux.memoryPolicy", json!({"mode": "MPOL_INTERLEAVE", "nodes": "0-3,5", "flags": ["MPOL_F_STATIC_NODES"]})),
        part("linux.personality", json!({"domain": "LINUX32", "flags": []})),
        part("linux.maskedPaths", json!(["/proc/kcore", "proc/../x"])),
        part("linux.cgroupsPath", json!("/a/b")),
        part("linux.cgroupsPath", json!("system.slice:prefix:name")),
        part("linux.rootfsPropagation", json!("rslave")),
    ]
    .iter()
    .map(|config| config.to_string().into_bytes())
    .collect()
}

pub const WORDS: &[&str] = &[
    "ociVersion",
    "process",
    "terminal",
    "user",
    "uid",
    "gid",
    "additionalGids",
    "args",
    "env",
    "cwd",
    "capabilities",
    "bounding",
    "ambient",
    "rlimits",
    "RLIMIT_CORE",
    "soft",
    "hard",
    "mounts",
    "destination",
    "source",
    "options",
    "type",
    "linux",
    "namespaces",
    "uidMappings",
    "gidMappings",
    "containerID",
    "hostID",
    "size",
    "devices",
    "resources",
    "memory",
    "limit",
    "cpu",
    "quota",
    "unified",
    "seccomp",
    "sysctl",
    "maskedPaths",
    "readonlyPaths",
    "hooks",
    "annotations",
    "intelRdt",
    "netDevices",
    "memoryPolicy",
    "nodes",
    "timeOffsets",
    "personality",
    "scheduler",
    "ioPriority",
    "../",
    "/proc/self",
    "\\u0000",
    "\\ud800",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "-9223372036854775808",
    "1e400",
    "0.5",
    "null",
    "[[[[[[",
    "idmap=",
    "uids=@0-0-1;gids=0-0-1",
];
