//! The fields of runtime-spec 1.3.0 for Linux and their shapes (config.md, config-linux.md).

use super::shape::Shape::{self, *};
use super::shape::{may, must};

const U16: Shape = Whole(0, u16::MAX as i128);
const U32: Shape = Whole(0, u32::MAX as i128);
const U64: Shape = Whole(0, u64::MAX as i128);
const I32: Shape = Whole(i32::MIN as i128, i32::MAX as i128);
const I64: Shape = Whole(i64::MIN as i128, i64::MAX as i128);
/// The last number is no id: to the kernel it means "leave it as it is" (setresuid(2)).
const ID: Shape = Whole(0, u32::MAX as i128 - 1);
const TEXTS: Shape = List(&Text);
const TEXT_BY_NAME: Shape = Map(&Text);

/// A whole config.json.
pub const CONFIG: Shape = Object(&[
    must("ociVersion", &Version),
    may("root", &Object(&[must("path", &Text), may("readonly", &Bool)])),
    may("mounts", &List(&MOUNT)),
    may("process", &PROCESS),
    may("hostname", &Name),
    may("domainname", &Name),
    may("hooks", &HOOKS),
    may("annotations", &TEXT_BY_NAME),
    may("linux", &LINUX),
    may("solaris", &Elsewhere),
    may("windows", &Elsewhere),
    may("vm", &Elsewhere),
    may("zos", &Elsewhere),
    may("freebsd", &Elsewhere),
]);

const MOUNT: Shape = Object(&[
    must("destination", &Text),
    may("type", &Text),
    may("source", &Text),
    may("options", &TEXTS),
    may("uidMappings", &MAPPINGS),
    may("gidMappings", &MAPPINGS),
]);

const MAPPINGS: Shape = List(&Object(&[must("containerID", &ID), must("hostID", &ID), must("size", &U32)]));

/// The process of a config.json, or of `exec --process`.
pub const PROCESS: Shape = Object(&[
    may("terminal", &Bool),
    may("consoleSize", &Object(&[must("height", &U64), must("width", &U64)])),
    may("user", &USER),
    may("args", &TEXTS),
    may("commandLine", &Text),
    may("env", &TEXTS),
    must("cwd", &Text),
    may("capabilities", &CAPABILITIES),
    may("rlimits", &List(&RLIMIT)),
    may("noNewPrivileges", &Bool),
    may("apparmorProfile", &Text),
    // The range of /proc/PID/oom_score_adj (proc(5)).
    may("oomScoreAdj", &Whole(-1000, 1000)),
    may("selinuxLabel", &Text),
    may("ioPriority", &IO_PRIORITY),
    may("scheduler", &SCHEDULER),
    may("execCPUAffinity", &Object(&[may("initial", &Processors), may("final", &Processors)])),
]);

const USER: Shape = Object(&[
    may("uid", &ID),
    may("gid", &ID),
    may("umask", &Whole(0, 0o777)),
    may("additionalGids", &List(&ID)),
    may("username", &Text),
]);

const CAPABILITIES: Shape = Object(&[
    may("bounding", &Capabilities),
    may("effective", &Capabilities),
    may("inheritable", &Capabilities),
    may("permitted", &Capabilities),
    may("ambient", &Capabilities),
]);

const RLIMIT: Shape = Object(&[
    must(
        "type",
        &Word(&[
            "RLIMIT_AS",
            "RLIMIT_CORE",
            "RLIMIT_CPU",
            "RLIMIT_DATA",
            "RLIMIT_FSIZE",
            "RLIMIT_LOCKS",
            "RLIMIT_MEMLOCK",
            "RLIMIT_MSGQUEUE",
            "RLIMIT_NICE",
            "RLIMIT_NOFILE",
            "RLIMIT_NPROC",
            "RLIMIT_RSS",
            "RLIMIT_RTPRIO",
            "RLIMIT_RTTIME",
            "RLIMIT_SIGPENDING",
            "RLIMIT_STACK",
        ]),
    ),
    must("soft", &U64),
    must("hard", &U64),
]);

const IO_PRIORITY: Shape = Object(&[
    must("class", &Word(&["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"])),
    may("priority", &I32),
]);

const SCHEDULER: Shape = Object(&[
    must(
        "policy",
        &Word(&[
            "SCHED_OTHER",
            "SCHED_FIFO",
            "SCHED_RR",
            "SCHED_BATCH",
            "SCHED_ISO",
            "SCHED_IDLE",
            "SCHED_DEADLINE",
        ]),
    ),
    may("nice", &I32),
    may("priority", &I32),
    may(
        "flags",
        // oci_spec 0.10 derives its words from names in Rust.
        &List(&Renamed(&[
            ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
            ("SCHED_FLAG_RECLAIM", "SCHED_FLAG_RECLAIM"),
            ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
            ("SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_POLICY"),
            ("SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_KEEP_PARAMS"),
            ("SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MIN"),
            ("SCHED_FLAG_UTIL_CLAMP_MAX", "SCHED_FLAG_UTIL_CLAMP_MAX"),
        ])),
    ),
    may("runtime", &U64),
    may("deadline", &U64),
    may("period", &U64),
]);

const HOOK: Shape = List(&Object(&[
    must("path", &Text),
    may("args", &TEXTS),
    may("env", &TEXTS),
    may("timeout", &Whole(1, i64::MAX as i128)),
]));

const HOOKS: Shape = Object(&[
    may("prestart", &HOOK),
    may("createRuntime", &HOOK),
    may("createContainer", &HOOK),
    may("startContainer", &HOOK),
    may("poststart", &HOOK),
    may("poststop", &HOOK),
]);

const LINUX: Shape = Object(&[
    may("devices", &List(&DEVICE)),
    may("netDevices", &Map(&Object(&[may("name", &Text)]))),
    may("uidMappings", &MAPPINGS),
    may("gidMappings", &MAPPINGS),
    may("namespaces", &List(&NAMESPACE)),
    may("resources", &RESOURCES),
    may("cgroupsPath", &Text),
    may("rootfsPropagation", &Text),
    may("seccomp", &SECCOMP),
    may("sysctl", &TEXT_BY_NAME),
    may("maskedPaths", &TEXTS),
    may("readonlyPaths", &TEXTS),
    may("mountLabel", &Text),
    may("intelRdt", &INTEL_RDT),
    may("memoryPolicy", &MEMORY_POLICY),
    may("personality", &Object(&[may("domain", &Word(&["LINUX", "LINUX32"])), may("flags", &TEXTS)])),
    may("timeOffsets", &Map(&Object(&[may("secs", &I64), may("nanosecs", &U32)]))),
]);

const NAMESPACE: Shape = Object(&[
    must("type", &Word(&["mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"])),
    may("path", &Text),
]);

const DEVICE: Shape = Object(&[
    must("type", &Word(&["c", "b", "u", "p"])),
    must("path", &Text),
    // Engines write the type of the file into it too.
    may("fileMode", &Whole(0, 0o177_777)),
    may("major", &I64),
    may("minor", &I64),
    may("uid", &ID),
    may("gid", &ID),
]);

const INTEL_RDT: Shape = Object(&[
    may("closID", &Text),
    may("schemata", &TEXTS),
    may("l3CacheSchema", &Text),
    may("memBwSchema", &Pattern(is_memory_bandwidth, "a line that begins with MB:")),
    may("enableMonitoring", &Bool),
]);

fn is_memory_bandwidth(text: &str) -> bool {
    text.starts_with("MB:") && !text.contains('\n')
}

const MEMORY_POLICY: Shape = Object(&[
    must(
        "mode",
        &Word(&[
            "MPOL_DEFAULT",
            "MPOL_BIND",
            "MPOL_INTERLEAVE",
            "MPOL_WEIGHTED_INTERLEAVE",
            "MPOL_PREFERRED",
            "MPOL_PREFERRED_MANY",
            "MPOL_LOCAL",
        ]),
    ),
    may("nodes", &Text),
    may("flags", &List(&Word(&["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]))),
]);

/// What a cgroup limits; also that of `update --resources`.
pub const RESOURCES: Shape = Object(&[
    may("unified", &TEXT_BY_NAME),
    may(
        "devices",
        &List(&Object(&[
            must("allow", &Bool),
            may("type", &Word(&["a", "b", "c", "u", "p"])),
            may("major", &I64),
            may("minor", &I64),
            may("access", &Text),
        ])),
    ),
    may("pids", &Object(&[must("limit", &I64)])),
    may("blockIO", &BLOCK_IO),
    may(
        "cpu",
        &Object(&[
            may("cpus", &Text),
            may("mems", &Text),
            may("period", &U64),
            may("quota", &I64),
            may("burst", &U64),
            may("realtimePeriod", &U64),
            may("realtimeRuntime", &I64),
            may("shares", &U64),
            may("idle", &I64),
        ]),
    ),
    may(
        "hugepageLimits",
        &List(&Object(&[
            must("pageSize", &Pattern(is_page_size, "a page size such as 2MB")),
            must("limit", &Capped),
        ])),
    ),
    may(
        "memory",
        &Object(&[
            may("kernel", &I64),
            may("kernelTCP", &I64),
            may("limit", &I64),
            may("reservation", &I64),
            may("swap", &I64),
            may("swappiness", &U64),
            may("disableOOMKiller", &Bool),
            may("useHierarchy", &Bool),
            may("checkBeforeUpdate", &Bool),
        ]),
    ),
    may(
        "network",
        &Object(&[
            may("classID", &U32),
            may("priorities", &List(&Object(&[must("name", &Text), must("priority", &U32)]))),
        ]),
    ),
    may("rdma", &Map(&Object(&[may("hcaHandles", &U32), may("hcaObjects", &U32)]))),
]);

fn is_page_size(text: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| text.strip_suffix(unit));
    number.is_some_and(|number| {
        !number.is_empty() && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

const THROTTLE: Shape = List(&Object(&[must("major", &I64), must("minor", &I64), may("rate", &U64)]));

const BLOCK_IO: Shape = Object(&[
    may("weight", &U16),
    may("leafWeight", &U16),
    may("throttleReadBpsDevice", &THROTTLE),
    may("throttleWriteBpsDevice", &THROTTLE),
    may("throttleReadIOPSDevice", &THROTTLE),
    may("throttleWriteIOPSDevice", &THROTTLE),
    may(
        "weightDevice",
        &List(&Object(&[
            must("major", &I64),
            must("minor", &I64),
            may("weight", &U16),
            may("leafWeight", &U16),
        ])),
    ),
]);

const ACTION: Shape = Word(&[
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
]);

const SECCOMP: Shape = Object(&[
    must("defaultAction", &ACTION),
    may("defaultErrnoRet", &U32),
    may(
        "flags",
        &List(&Word(&[
            "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_LOG",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        ])),
    ),
    may("listenerPath", &Text),
    may("listenerMetadata", &Text),
    may("architectures", &List(&ARCHITECTURE)),
    may("syscalls", &List(&SYSCALL)),
]);

const ARCHITECTURE: Shape = Word(&[
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
]);

const SYSCALL: Shape = Object(&[
    must("names", &Filled(&Text)),
    must("action", &ACTION),
    may("errnoRet", &U32),
    may("args", &List(&ARGUMENT)),
]);

const ARGUMENT: Shape = Object(&[
    // A system call has six (syscall(2)).
    must("index", &Whole(0, 5)),
    must("value", &U64),
    may("valueTwo", &U64),
    must(
        "op",
        &Word(&[
            "SCMP_CMP_NE",
            "SCMP_CMP_LT",
            "SCMP_CMP_LE",
            "SCMP_CMP_EQ",
            "SCMP_CMP_GE",
            "SCMP_CMP_GT",
            "SCMP_CMP_MASKED_EQ",
        ]),
    ),
]);
