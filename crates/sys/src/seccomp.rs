//! seccomp(2): installs a compiled filter.

use crate::errno::{CallError, called};
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;

/// `SECCOMP_FILTER_FLAG_*` (include/uapi/linux/seccomp.h).
const TSYNC: u32 = 1;
const NEW_LISTENER: u32 = 1 << 3;
const WAIT_KILLABLE: u32 = 1 << 5;

/// One instruction of a classic BPF program (`struct sock_filter`): code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// Gives this thread and all its children the filter (`SECCOMP_SET_MODE_FILTER`).
pub fn set_filter(program: &[Instruction], flags: u32) -> Result<(), CallError> {
    install(program, flags).map(drop)
}

/// As [`set_filter`], for a program that asks somebody else: the descriptor that its questions come to
/// (`SECCOMP_FILTER_FLAG_NEW_LISTENER`, seccomp_unotify(2)).
pub fn set_filter_with_listener(program: &[Instruction], flags: u32) -> Result<OwnedFd, CallError> {
    // The kernel takes only one of the two, and a process of one thread has none to synchronize with.
    let flags = (flags | NEW_LISTENER) & !TSYNC;
    let installed = match install(program, flags) {
        // Before Linux 5.19: then a signal may interrupt a call that is being answered.
        Err(error) if error.errno == Errno::INVAL && flags & WAIT_KILLABLE != 0 => {
            install(program, flags & !WAIT_KILLABLE)
        }
        other => other,
    }?;
    // SAFETY: with this flag the call returns a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(installed as i32) })
}

fn install(program: &[Instruction], flags: u32) -> Result<i64, CallError> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let shown = || format!("seccomp(SECCOMP_SET_MODE_FILTER, {} instructions)", program.len());
    let len = u16::try_from(filter.len()).map_err(|_| CallError { call: shown(), errno: Errno::TOOBIG })?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel copies them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if result >= 0 {
        return Ok(result);
    }
    Err(called(shown)(std::io::Error::last_os_error()))
}
