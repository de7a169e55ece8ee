//! `features`: what this runtime can do (features.md, features-linux.md); `info`: what this machine has.

use super::arguments::Words;
use super::{Program, ordered, print};
use oci_spec::runtime::LinuxSeccompFilterFlag;
use runtime::error::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Hooks of a container (config.md, "POSIX-platform Hooks").
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Annotations that change what happens on the host: those who take bundles from strangers must know them.
const UNSAFE: [&str; 4] = ["bundle", "org.systemd.property.", "org.criu.config", "run.oci."];

/// Namespaces of a container and their files in /proc/PID/ns, sorted.
const NAMESPACES: [(&str, &str); 8] = [
    ("cgroup", "cgroup"),
    ("ipc", "ipc"),
    ("mount", "mnt"),
    ("network", "net"),
    ("pid", "pid"),
    ("time", "time"),
    ("user", "user"),
    ("uts", "uts"),
];

/// Comparisons of arguments of system calls (config-linux.md, "Seccomp").
const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Modes and flags of set_mempolicy(2).
const MODES: [&str; 7] = [
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];
const FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

/// `features`.
pub fn features(_: &mut Program, _: &Words) -> Result<i32> {
    print(&ordered::text(&all(), "    ")?)
}

fn all() -> Value {
    let mut capabilities: Vec<String> =
        runtime::bundle::ALL_CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    capabilities.sort_unstable();
    let mut options: Vec<&str> = runtime::bundle::mount_options().collect();
    options.sort_unstable();
    options.dedup();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": super::SPEC,
        "hooks": HOOKS,
        "mountOptions": options,
        "linux": {
            "namespaces": NAMESPACES.map(|(name, _)| name),
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": seccomp::action_names(),
                "operators": OPERATORS,
                "archs": seccomp::architecture_names(),
                "knownFlags": seccomp::flags_known(),
                "supportedFlags": supported_flags(),
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {"modes": MODES, "flags": FLAGS},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "true",
            "run.oci.crun.checkpoint.enabled": "true",
            "devoxx.runtime.version": super::VERSION,
            "devoxx.runtime.commit": super::COMMIT,
        },
        "potentiallyUnsafeConfigAnnotations": UNSAFE,
    })
}

/// Those that this kernel takes as well; none where it does not say.
fn supported_flags() -> Vec<LinuxSeccompFilterFlag> {
    let has = |flag: &LinuxSeccompFilterFlag| sys::seccomp::has_flag(seccomp::bit_of(*flag)).unwrap_or(false);
    seccomp::flags_known().into_iter().filter(has).collect()
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
    for (name, file) in NAMESPACES {
        let there = std::path::Path::new("/proc/self/ns").join(file).symlink_metadata().is_ok();
        line(&format!("Namespace {name}"), if there { "enabled" } else { "disabled" });
    }
    line("Commit", super::COMMIT);
    line("Specification", super::SPEC);
    line("State", &program.root.display().to_string());
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{
        LinuxNamespaceType, LinuxSeccompAction, LinuxSeccompOperator, MemoryPolicyFlagType,
        MemoryPolicyModeType,
    };
    use serde::de::DeserializeOwned;

    /// What is promised is what a config.json is read with.
    #[test]
    fn every_name_is_one_of_the_specification() {
        fn check<T: DeserializeOwned>(pointer: &str) {
            let features = all();
            let names = features.pointer(pointer).and_then(Value::as_array).unwrap();
            assert!(!names.is_empty() && names.is_sorted_by_key(|name| name.as_str()), "{pointer} is sorted");
            for name in names {
                let read = serde_json::from_value::<T>(name.clone());
                assert!(read.is_ok(), "{name} of {pointer}");
            }
        }
        check::<LinuxNamespaceType>("/linux/namespaces");
        check::<oci_spec::runtime::Capability>("/linux/capabilities");
        check::<LinuxSeccompAction>("/linux/seccomp/actions");
        check::<LinuxSeccompOperator>("/linux/seccomp/operators");
        check::<oci_spec::runtime::Arch>("/linux/seccomp/archs");
        check::<LinuxSeccompFilterFlag>("/linux/seccomp/knownFlags");
        check::<MemoryPolicyModeType>("/linux/memoryPolicy/modes");
        check::<MemoryPolicyFlagType>("/linux/memoryPolicy/flags");
        check::<String>("/mountOptions");
        assert!(serde_json::from_value::<LinuxSeccompOperator>(json!("SCMP_CMP_NO")).is_err());
    }
}
