//! Signals as a descriptor to read (signalfd(2)), and a clean slate before an execve.

use crate::errno::{CallError, called};
use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

/// The highest signal number of Linux (signal(7)).
pub const HIGHEST: i32 = 64;

/// Every signal that can be blocked, arriving by a descriptor instead of a handler.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks all signals of this thread but those of a fault (SIGSEGV and its kin), and opens a descriptor on them.
    pub fn block_all() -> Result<Self, CallError> {
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT];
        // SAFETY: `set` is made valid by sigfillset before any other use, and outlives the calls.
        let fd = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut set);
            for fault in faults {
                libc::sigdelset(&raw mut set, fault);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(called(|| "signalfd".to_owned())(std::io::Error::last_os_error()));
        }
        // SAFETY: the kernel just made this descriptor and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has arrived, or none. Never waits.
    pub fn next(&self) -> Result<Option<i32>, CallError> {
        let mut buffer = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut buffer) {
            // The number is the first field of the record.
            Ok(_) => Ok(Some(i32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]))),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(called(|| "read signalfd".to_owned())(errno)),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A file that would become longer than the limit of this process (`RLIMIT_FSIZE`) is an error of its write(2), EFBIG, and not the end of
/// the program. What a container executes has the default action again, see [`reset_for_exec`].
pub fn take_long_files_for_errors() {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Gives every signal its default action and unblocks it, as a new program expects; Rust itself ignores SIGPIPE.
pub fn reset_for_exec() {
    for signal in 1..=HIGHEST {
        // SAFETY: SIG_DFL installs no handler. SIGKILL, SIGSTOP and the two that libc reserves answer EINVAL.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: `set` is made valid by sigemptyset before use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Sends `signal` to the process that `pidfd` is open on (pidfd_send_signal(2)); real-time signals too.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), CallError> {
    use rustix::fd::AsRawFd;
    // SAFETY: takes integers and a null siginfo, which the call documents.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(called(|| format!("pidfd_send_signal({signal})"))(std::io::Error::last_os_error()))
}

/// Sends `signal` to a process by id: for an init whose only children are its own (kill(2)).
pub fn send_to_all_children(signal: i32) {
    // SAFETY: takes integers only. -1 reaches every process of this PID namespace but its init, which calls this.
    unsafe { libc::kill(-1, signal) };
}

/// The number of a signal from its name (`TERM`, `SIGTERM`, `RTMIN+3`) or number; none if there is no such signal.
pub fn by_name(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>()
        && !text.starts_with('+')
    {
        return (1..=HIGHEST).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse::<i32>().ok()? };
        return (0..=30).contains(&offset).then(|| 34 + offset);
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('-')?.parse::<i32>().ok()? };
        return (0..=30).contains(&offset).then(|| HIGHEST - offset);
    }
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    NAMES.iter().position(|known| *known == name).map(|index| index as i32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_signals() {
        fn check(text: &str, number: Option<i32>) {
            assert_eq!(by_name(text), number, "{text}");
        }
        check("TERM", Some(15));
        check("sigkill", Some(9));
        check("SIGRTMIN+3", Some(37));
        check("RTMAX", Some(64));
        check("RTMAX-1", Some(63));
        check("28", Some(28));
        check("0", None);
        check("+9", None);
        check("65", None);
        check("RTMIN+99", None);
        check("NOPE", None);
        check("", None);
    }
}
