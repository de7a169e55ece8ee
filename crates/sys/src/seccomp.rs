//! seccomp(2): installs a compiled filter, and says what this kernel knows of that.

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
    let installed = install(program, flags)?;
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

/// Whether this thread has a filter already, from whoever started it (`PR_GET_SECCOMP`).
pub fn has_filter() -> bool {
    // SAFETY: takes integers only.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
    // Who refuses the question is a filter.
    mode == libc::SECCOMP_MODE_FILTER as libc::c_int || mode < 0
}

/// Whether this kernel knows a flag of filters (`SECCOMP_FILTER_FLAG_*`).
pub fn has_flag(flag: u32) -> Result<bool, CallError> {
    // This one has a meaning only beside another.
    let asked = if flag & WAIT_KILLABLE != 0 { flag | NEW_LISTENER } else { flag };
    let nowhere: *const libc::sock_fprog = std::ptr::null();
    // SAFETY: the kernel looks at the flags first, then finds no program at this address, and nothing is installed.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, asked, nowhere) };
    let shown = || format!("seccomp(SECCOMP_SET_MODE_FILTER, {asked:#x}, NULL)");
    match called(shown)(std::io::Error::last_os_error()) {
        error if result < 0 && error.errno == Errno::FAULT => Ok(true),
        error if result < 0 && error.errno == Errno::INVAL => Ok(false),
        error => Err(error),
    }
}

/// Whether this kernel knows an action of filters (`SECCOMP_RET_*` without data): what it does not, it takes for
/// `SECCOMP_RET_KILL_PROCESS`.
pub fn has_action(action: u32) -> Result<bool, CallError> {
    // SAFETY: the kernel reads four bytes at this address, and keeps nothing of it.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if result >= 0 {
        return Ok(true);
    }
    let shown = || format!("seccomp(SECCOMP_GET_ACTION_AVAIL, {action:#x})");
    match called(shown)(std::io::Error::last_os_error()) {
        error if error.errno == Errno::OPNOTSUPP => Ok(false),
        error => Err(error),
    }
}
