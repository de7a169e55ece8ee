//! What a container will be: owned, ordered, with nothing left to interpret.
//!
//! Made from a written Spec by [`crate::bundle`], carried out by `init`. Nothing here touches the system.

mod mount;
mod root;

pub use mount::{Bind, FileSystem, IdMap, Link, Mount, Propagation, Source};
pub use root::{ByParent, Overlay, Root, Upper};

use crate::hooks::Hooks;
use crate::id_map::IdMaps;
use crate::net_devices::NetDevice;
use crate::rdt;
use cgroup::Limits;
use std::collections::BTreeMap;
use std::path::PathBuf;
use sys::clone3::Namespaces;

/// A container, fully meant.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The id it is known by.
    pub id: String,
    /// The version of the specification that its config.json names.
    pub oci_version: String,
    /// The bundle's directory, absolute.
    pub bundle: PathBuf,
    /// What its config.json says about it beyond the specification.
    pub annotations: BTreeMap<String, String>,
    /// Namespaces made new at clone3; the cgroup namespace comes later, from inside the cgroup.
    pub namespaces: Namespaces,
    /// Namespaces that are there and joined.
    pub joined: Vec<Joined>,
    /// The ids of a new user namespace.
    pub id_maps: IdMaps,
    /// The clocks of a new time namespace.
    pub time_offsets: Vec<TimeOffset>,
    /// Whether it gets a cgroup namespace of its own.
    pub cgroup_namespace: bool,
    /// Whether device nodes are bound from the host instead of made, and no other device on the root can be opened:
    /// in a user namespace, and where the cgroup has no filter for devices.
    pub bind_devices: bool,
    /// Where the root comes from.
    pub root: Root,
    /// Whether the parent mounts it, and how: for a user namespace that may not, or not with the right ids.
    pub root_by_parent: Option<ByParent>,
    /// How the root takes part in mount events; none leaves it a slave of the host's.
    pub root_propagation: Option<Propagation>,
    /// Whether the root is read-only once everything is mounted.
    pub root_read_only: bool,
    /// What is mounted in it, in order.
    pub mounts: Vec<Mount>,
    /// SELinux's option for file systems and its value, for those that nobody wrote down.
    pub mount_label: Option<(String, String)>,
    /// What was found odd about its config.json.
    pub warnings: Vec<String>,
    /// Device nodes, in order.
    pub devices: Vec<Device>,
    /// Paths that are covered by something empty.
    pub masked: Vec<PathBuf>,
    /// Paths that are made read-only.
    pub read_only: Vec<PathBuf>,
    /// The host name; empty leaves it.
    pub hostname: String,
    /// The NIS domain name; empty leaves it.
    pub domainname: String,
    /// Kernel parameters as paths below /proc/sys, with their values.
    pub sysctls: Vec<(String, String)>,
    /// Devices of the host that move into its network namespace.
    pub net_devices: Vec<NetDevice>,
    /// Whether its parent waits for its network namespace, by [`crate::Launch::network`].
    pub shows_network: bool,
    /// The groups of resctrl that it asks for.
    pub rdt: Option<rdt::Wish>,
    /// What runs in it.
    pub process: Process,
    /// The cgroup's name, absolute in every hierarchy; empty for none.
    pub cgroup: String,
    /// The user outside of the container whom the cgroup is given to; the runtime's own keeps it otherwise.
    pub cgroup_owner: Option<u32>,
    /// What the cgroup limits.
    pub limits: Limits,
    /// Whether the new root is moved over the old one instead of exchanged with it.
    pub no_pivot: bool,
    /// What runs at points of its life.
    pub hooks: Hooks,
    /// The text of its config.json, where hooks may not find it in the bundle.
    pub config: Option<String>,
    /// The compiled seccomp program; empty for none.
    pub seccomp: seccomp::Program,
    /// Who answers what the program asks.
    pub listener: Option<Listener>,
}

/// Who answers the questions of a seccomp program (config-linux.md, "Seccomp", listenerPath).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// His socket.
    pub path: PathBuf,
    /// What he is told beside the descriptor.
    pub metadata: String,
}

/// A namespace to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its kind; one.
    pub kind: Namespaces,
    /// Its file.
    pub path: PathBuf,
}

/// How far a clock of a new time namespace is ahead (time_namespaces(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    /// Seconds, negative for behind.
    pub seconds: i64,
    /// Nanoseconds beside them.
    pub nanoseconds: u32,
}

impl Plan {
    /// Whether it is in a user namespace of its own or of another container.
    pub fn has_user_namespace(&self) -> bool {
        self.namespaces.has(Namespaces::USER) || self.joins(Namespaces::USER)
    }

    /// Whether it joins a namespace of this kind.
    pub fn joins(&self, kind: Namespaces) -> bool {
        self.joined.iter().any(|one| one.kind == kind)
    }

    /// Whether init has to be made from inside of other namespaces: a PID or time namespace is one for children, a
    /// namespace of the host can only be joined before the user namespace is ours, and another's user namespace has
    /// to be joined before anything is made in it.
    pub fn needs_stage(&self) -> bool {
        let user = self.namespaces.has(Namespaces::USER);
        self.joins(Namespaces::PID)
            || self.joins(Namespaces::USER)
            || (self.namespaces.has(Namespaces::TIME) && !self.time_offsets.is_empty())
            || (user && !self.joined.is_empty())
    }
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where, in the container.
    pub path: PathBuf,
    /// Where on the host, for a bind.
    pub host: PathBuf,
    /// `c`, `b` or `p`.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By number.
    Ids {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Further groups.
        groups: Vec<u32>,
    },
    /// Looked up in the container's own /etc/passwd and /etc/group.
    Written {
        /// As docker writes it, `name|uid[:group|gid]`.
        user: String,
        /// Further groups, each a name or a number.
        groups: Vec<String>,
    },
}

/// The process of a container.
#[derive(Debug, Clone)]
pub struct Process {
    /// The command and its arguments; never empty.
    pub args: Vec<String>,
    /// The environment, `KEY=value`.
    pub env: Vec<String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// Whether a missing working directory is made.
    pub make_cwd: bool,
    /// Who it is.
    pub user: User,
    /// A line for the container's /etc/passwd, which is added where the user has none in there.
    pub entry: Option<String>,
    /// Whether it keeps the groups of the runtime's caller (crun's `run.oci.keep_original_groups`).
    pub keep_groups: bool,
    /// The mask of new files' modes.
    pub umask: u32,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// Resource limits: the resource, soft and hard.
    pub rlimits: Vec<(rustix::process::Resource, u64, u64)>,
    /// Whether no execve may ever give it more privilege.
    pub no_new_privileges: bool,
    /// What /proc/self/oom_score_adj is set to.
    pub oom_score_adj: Option<i32>,
    /// Whether it gets a terminal of its own, and of which size (rows, columns).
    pub terminal: Option<(u16, u16)>,
    /// Whether a small init of ours is PID 1 and reaps, with the command as its child.
    pub reaper: bool,
    /// Scheduling, memory, labels.
    pub attributes: Attributes,
    /// How many descriptors from 3 up pass through the execve.
    pub preserved_fds: u32,
}

/// What a process is beyond its command and its user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// How it competes for processors (sched(7)).
    pub scheduler: Option<sys::scheduler::Attributes>,
    /// How it competes for disks: class and priority (ioprio_set(2)).
    pub io_priority: Option<(u32, u32)>,
    /// The processors of one that is executed in a container, before it is in its cgroup.
    pub initial_affinity: Option<Vec<usize>>,
    /// The same, after.
    pub final_affinity: Option<Vec<usize>>,
    /// Where its memory comes from (set_mempolicy(2)).
    pub memory_policy: Option<MemoryPolicy>,
    /// `PER_*` (personality(2)).
    pub personality: Option<u32>,
    /// An AppArmor profile.
    pub apparmor: Option<String>,
    /// An SELinux label.
    pub selinux: Option<String>,
    /// The name of the session keyring that it gets; none keeps the caller's.
    pub keyring: Option<String>,
}

/// A memory policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_*` with its flags.
    pub mode: u32,
    /// The nodes, as a bit mask.
    pub nodes: Vec<u64>,
}

/// Capability sets as bit masks (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// What execve may ever give.
    pub bounding: u64,
    /// What is in force.
    pub effective: u64,
    /// What can be put in force.
    pub permitted: u64,
    /// What passes through execve with the file's own inheritable set.
    pub inheritable: u64,
    /// What passes through execve of an ordinary file.
    pub ambient: u64,
}
