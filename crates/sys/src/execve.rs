//! execve(2) and execveat(2): the last call of an init.

use crate::errno::{CallError, called};
use rustix::fd::{AsRawFd, BorrowedFd};
use std::ffi::{CStr, CString};

/// Replaces this process by the program at `path`; returns only on failure.
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> CallError {
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: every pointer is to a NUL-terminated string that outlives the call, and both arrays end with null.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    called(|| format!("execve({path:?})"))(std::io::Error::last_os_error())
}

/// Replaces this process by the program that `program` is open on (execveat(2), `AT_EMPTY_PATH`); returns only on failure.
pub fn execveat(program: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> CallError {
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: the path is an empty NUL-terminated string, every pointer is to one that outlives the call, and both arrays
    // end with null.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    called(|| format!("execveat({args:?})"))(std::io::Error::last_os_error())
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
