//! wait4(2): the end of a child, and what it took.

use crate::errno::{CallError, called};
use std::process::Child;
use std::time::Duration;

/// What a process and those of its children that it waited for took (getrusage(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Time of processors, its own and the kernel's for it.
    pub cpu: Duration,
    /// The most memory that one of them had at a time, in bytes.
    pub peak: u64,
}

/// Waits for the end of a child: whether it ended by itself with code 0, and what it took. The child is reaped: nobody may wait for it
/// any more.
pub fn wait(child: Child) -> Result<(bool, Usage), CallError> {
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let mut status = 0;
    // SAFETY: rusage is plain integers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both are places for what the kernel writes, and live across the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited != pid {
        return Err(called(|| format!("wait4({pid})"))(std::io::Error::last_os_error()));
    }
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    let kilobytes = usage.ru_maxrss.unsigned_abs();
    Ok((status == 0, Usage { cpu: time(usage.ru_utime) + time(usage.ru_stime), peak: kilobytes * 1024 }))
}
