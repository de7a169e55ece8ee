//! execve(2): the last call of an init.

use crate::errno::{CallError, called};
use std::ffi::{CStr, CString};

/// Replaces this process by the program at `path`; returns only on failure.
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> CallError {
    let pointers = |strings: &[CString]| {
        let mut pointers: Vec<*const libc::c_char> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: every pointer is to a NUL-terminated string that outlives the call, and both arrays end with null.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    called(|| format!("execve({path:?})"))(std::io::Error::last_os_error())
}
