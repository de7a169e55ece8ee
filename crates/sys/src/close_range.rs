//! close_range(2): nothing but what was promised passes through an execve.

use crate::errno::{CallError, called};

/// Marks every descriptor from `first` up to be closed by the next execve(2) (`CLOSE_RANGE_CLOEXEC`).
pub fn cloexec_from(first: u32) -> Result<(), CallError> {
    // SAFETY: takes integers only; marking descriptors does not close any that a Rust value owns.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    };
    if result == 0 {
        return Ok(());
    }
    Err(called(|| format!("close_range({first}, CLOEXEC)"))(std::io::Error::last_os_error()))
}
