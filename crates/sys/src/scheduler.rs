//! sched_setattr(2): how a process competes for processors.

use crate::errno::{CallError, called};

/// A policy with its parameters (`struct sched_attr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH: -20 to 19.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR: 1 to 99.
    pub priority: u32,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub runtime: u64,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub deadline: u64,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub period: u64,
}

/// The first version of the kernel's structure, 48 bytes.
#[repr(C)]
struct Raw {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Gives this process another policy.
pub fn set(attributes: &Attributes) -> Result<(), CallError> {
    let raw = Raw {
        size: size_of::<Raw>() as u32,
        policy: attributes.policy,
        flags: attributes.flags,
        nice: attributes.nice,
        priority: attributes.priority,
        runtime: attributes.runtime,
        deadline: attributes.deadline,
        period: attributes.period,
    };
    // SAFETY: `raw` is what the kernel expects, says its own size and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) };
    if result == 0 {
        return Ok(());
    }
    Err(called(|| format!("sched_setattr({attributes:?})"))(std::io::Error::last_os_error()))
}
