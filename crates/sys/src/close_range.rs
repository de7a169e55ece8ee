//! close_range(2): nothing but what was promised passes through an execve.

use crate::errno::{CallError, called};
use rustix::fd::{AsRawFd, BorrowedFd};

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

/// Closes every descriptor from `first` up but those in `kept`: what a child of ours has from its parent and does not need.
///
/// For the closure of [`clone3`](crate::clone3::clone3) alone. Values of the parent still own these descriptors; the child
/// never returns to them, so none of them is used or dropped in it.
pub fn close_inherited(first: u32, kept: &[BorrowedFd<'_>]) -> Result<(), CallError> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let mut from = first;
    for one in kept.into_iter().filter(|one| *one >= first) {
        if from < one {
            close(from, one - 1)?;
        }
        from = one.saturating_add(1);
    }
    close(from, u32::MAX)
}

fn close(first: u32, last: u32) -> Result<(), CallError> {
    // SAFETY: takes integers only; that no value of this process uses these descriptors any more is its callers' promise.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return Ok(());
    }
    Err(called(|| format!("close_range({first}, {last})"))(std::io::Error::last_os_error()))
}

/// Whether an execve(2) would keep a descriptor. One that is not open it does not keep.
pub fn stays_open(fd: i32) -> bool {
    // SAFETY: takes integers only; a number that is no descriptor answers EBADF.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Closes every descriptor from `first` up that whoever started this program left open: those that an execve(2) would keep. This
/// program opens none of that kind.
pub fn close_left_over(first: i32) -> Result<(), CallError> {
    let list = std::fs::read_dir("/proc/self/fd").map_err(called(|| "open(\"/proc/self/fd\")".to_owned()))?;
    let fds: Vec<i32> = list
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd >= first)
        .collect();
    // That of the directory just read is none any more.
    for fd in fds.into_iter().filter(|fd| stays_open(*fd)) {
        close(fd.cast_unsigned(), fd.cast_unsigned())?;
    }
    Ok(())
}
