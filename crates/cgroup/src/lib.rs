//! Where a container's cgroup is, and which limits it has: cgroup v2, v1 and hybrid hosts, through cgroupfs.
//!
//! ```text
//! Layout::detect -> Cgroup::plan -> create -> apply -> dir or entry (clone3 into it) or join -> kill -> remove
//! ```
//!
//! It does not start processes. Devices are filtered by the controller of v1, or by an eBPF program on v2 where this
//! user may load one: [`Cgroup::enforces_devices`] says whether a list of devices will hold.
//!
//! A path is spent once, to open the mount point of a hierarchy; everything beneath goes by descriptor, and only
//! after the file system has been seen to be a cgroup file system.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a mutant leaves a defence out: it is for tests, and never in a release");

mod cgroup;
mod device;
mod layout;
mod limits;
mod place;
mod stats;
pub mod systemd;
mod tree;

pub use cgroup::{Cgroup, Entry, Escort, Notice, Scarcity};
pub use device::DeviceRule;
pub use layout::{Delegation, Hierarchy, Layout, Scope, delegated};
pub use limits::{
    BlockIo, Cpu, DeviceRate, DeviceWeight, HugepageLimit, Limits, Memory, Network, RdmaLimit, Warning,
};
pub use place::{Place, Version};
pub use stats::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, CpusetStats, HugetlbStats, MemoryEntry, MemoryStats,
    PidsStats, Pressure, Stall, Stats, Throttling,
};

use sys::Errno;

/// What a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Processes are in the cgroup.
    InUse,
    /// The kernel or this hierarchy lacks the controller or the file.
    Unsupported,
    /// The value is one that the kernel does not take.
    Refused,
    /// This user may not.
    Permission,
    /// Anything else.
    Other,
}

impl sys::FromErrno for Kind {
    fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::BUSY | Errno::NOTEMPTY => Self::InUse,
            Errno::OPNOTSUPP | Errno::NOSYS => Self::Unsupported,
            Errno::INVAL | Errno::RANGE | Errno::NAMETOOLONG | Errno::TOOBIG => Self::Refused,
            Errno::PERM | Errno::ACCESS | Errno::ROFS => Self::Permission,
            _ => Self::Other,
        }
    }
}

/// Every error of this crate.
pub type Error = sys::Failure<Kind>;
/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
