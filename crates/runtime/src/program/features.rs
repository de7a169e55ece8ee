//! `features`: what this runtime can do (features.md, features-linux.md); `info`: what this machine has.

use super::arguments::Words;
use super::{Program, print};
use runtime::error::{Error, Kind, Result};
use serde_json::json;
use std::fmt::Write as _;

/// Hooks of a container (config.md, "POSIX-platform Hooks").
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Annotations that change what happens on the host: those who take bundles from strangers must know them.
const UNSAFE: [&str; 4] = ["bundle", "org.systemd.property.", "org.criu.config", "run.oci."];

/// `features`.
pub fn features(_: &mut Program, _: &Words) -> Result<i32> {
    let capabilities: Vec<String> =
        runtime::bundle::ALL_CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let mut options: Vec<&str> = runtime::bundle::mount_options().collect();
    options.sort_unstable();
    let value = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": super::SPEC,
        "hooks": HOOKS,
        "mountOptions": options,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": seccomp(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {
                "modes": ["MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED",
                    "MPOL_PREFERRED_MANY", "MPOL_LOCAL"],
                "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"],
            },
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "true",
            "run.oci.crun.checkpoint.enabled": "true",
            "devoxx.runtime.version": super::VERSION,
        },
        "potentiallyUnsafeConfigAnnotations": UNSAFE,
    });
    let text =
        serde_json::to_string_pretty(&value).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
    print(&format!("{text}\n"))
}

fn seccomp() -> serde_json::Value {
    json!({
        "enabled": true,
        "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
        "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE"],
        "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
        "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
    })
}

/// `info`.
pub fn info(program: &mut Program, _: &Words) -> Result<i32> {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<18}{value}").unwrap_or_default();
    let system = rustix::system::uname();
    line("Version", super::VERSION);
    line("Kernel-Release", &system.release().to_string_lossy());
    line("Kernel-Version", &system.version().to_string_lossy());
    line("Architecture", &system.machine().to_string_lossy());
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|one| one.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    line("Operating System", name.trim_matches('"'));
    line("Cores", &std::thread::available_parallelism().map_or(0, usize::from).to_string());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|one| one.strip_prefix("MemTotal:")).unwrap_or(" unknown");
    line("Total Memory", total.trim());
    let layout = match cgroup::Layout::detect() {
        Ok(cgroup::Layout::Unified { .. }) => "unified".to_owned(),
        Ok(cgroup::Layout::Legacy { unified: Some(_), .. }) => "hybrid".to_owned(),
        Ok(cgroup::Layout::Legacy { .. }) => "legacy".to_owned(),
        Err(error) => format!("none ({error})"),
    };
    line("Cgroup setup", &layout);
    for (name, file) in [
        ("mount", "mnt"),
        ("uts", "uts"),
        ("ipc", "ipc"),
        ("user", "user"),
        ("pid", "pid"),
        ("network", "net"),
        ("cgroup", "cgroup"),
        ("time", "time"),
    ] {
        let there = std::path::Path::new("/proc/self/ns").join(file).symlink_metadata().is_ok();
        line(&format!("Namespace {name}"), if there { "enabled" } else { "disabled" });
    }
    line("State", &program.root.display().to_string());
    print(&text)
}
