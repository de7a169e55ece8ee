//! A program that does not outlive the process that starts it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The program is killed when the thread that starts it ends (`PR_SET_PDEATHSIG`, prctl(2)); what it has forked by then is not. So nobody
/// comes to run who was on the way when the caller was killed, and whoever cleans up after that has seen everything.
pub fn ends_with_us(command: &mut Command) -> &mut Command {
    let parent = std::process::id().cast_signed();
    // SAFETY: between fork(2) and execve(2) two calls are made that are safe there (signal-safety(7)), and no memory is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // It may have ended before the kernel was told.
            match libc::getppid() == parent {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        })
    }
}
