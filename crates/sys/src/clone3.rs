//! clone3(2): a child in new namespaces, born in its cgroup.

use crate::errno::{CallError, called};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Namespaces a child is given new, as a set of `CLONE_NEW*` bits (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces(u64);

impl Namespaces {
    /// No new namespace.
    pub const NONE: Self = Self(0);
    /// Mounts (mount_namespaces(7)).
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// Host name (uts_namespaces(7)).
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// System V IPC and POSIX queues (ipc_namespaces(7)).
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// User and group ids (user_namespaces(7)).
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    /// Process ids (pid_namespaces(7)).
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// Network (network_namespaces(7)).
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);
    /// The root of the cgroup tree (cgroup_namespaces(7)).
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    /// Offsets of clocks (time_namespaces(7)).
    pub const TIME: Self = Self(0x80);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other one.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every namespace of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::USER, "CLONE_NEWUSER"),
            (Self::PID, "CLONE_NEWPID"),
            (Self::UTS, "CLONE_NEWUTS"),
            (Self::MOUNT, "CLONE_NEWNS"),
            (Self::IPC, "CLONE_NEWIPC"),
            (Self::NETWORK, "CLONE_NEWNET"),
            (Self::CGROUP, "CLONE_NEWCGROUP"),
            (Self::TIME, "CLONE_NEWTIME"),
        ];
        let shown: Vec<&str> =
            names.iter().filter(|(set, _)| self.has(*set)).map(|(_, name)| *name).collect();
        f.write_str(&shown.join("|"))
    }
}

/// libc's constant of this name is too narrow for its value.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child as its parent sees it.
#[derive(Debug)]
pub struct Child {
    /// Its id in the parent's PID namespace.
    pub pid: Pid,
    /// What to wait on and signal by: unlike the id it is never reused.
    pub pidfd: OwnedFd,
}

/// Starts `child` as a new process, in new `namespaces` and, on cgroup v2, in the cgroup that `cgroup` is open on.
///
/// The child is a copy of this process (no `CLONE_VM`) and ends with what `child` returns; it never returns here.
///
/// # Errors
/// EDEADLK for a process with more than one thread: a lock held by another thread would stay locked in the copy
/// for ever. Otherwise what clone3(2) says.
pub fn clone3(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> Result<Child, CallError> {
    let threads = threads_left()?;
    if threads > 1 {
        let call = format!("clone3({namespaces}) with {threads} threads");
        return Err(CallError { call, errno: Errno::DEADLK });
    }
    clone(namespaces, cgroup, libc::SIGCHLD as u64, 0, child)
}

/// Starts `child` as a sibling of this process: its parent is this process's own (`CLONE_PARENT`).
///
/// For a process that was made by [`clone3`] itself, and so has one thread: it looks for others nowhere, because what
/// is at /proc may be a container's by now.
pub fn clone3_sibling(namespaces: Namespaces, child: impl FnOnce() -> i32) -> Result<Child, CallError> {
    // The kernel wants no signal of its own here: a sibling ends with that of its maker.
    clone(namespaces, None, 0, libc::CLONE_PARENT as u64, child)
}

fn clone(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    exit_signal: u64,
    flags: u64,
    child: impl FnOnce() -> i32,
) -> Result<Child, CallError> {
    let shown = || format!("clone3({namespaces})");
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain integers, for which zero is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = namespaces.0 | flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = exit_signal;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` lives across the call and `pidfd` is a place for an int. Without CLONE_VM and with no other
    // thread (both callers see to it), the child has its own consistent copy of memory: no lock can be held in it.
    let mut pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    if pid < 0 && Errno::from_io_error(&std::io::Error::last_os_error()) == Some(Errno::NOSYS) {
        // A seccomp filter says so of clone3, whose flags it cannot see (docker's does, and ours): what the older call has
        // room for, it can do. It has none for a cgroup and for CLONE_NEWTIME.
        let flags = args.flags | exit_signal;
        if cgroup.is_none() && !namespaces.has(Namespaces::TIME) {
            // SAFETY: as above: no CLONE_VM, no other thread, a copy of this very stack (0), and with CLONE_PIDFD the third
            // argument is the place for the descriptor.
            pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
        }
    }
    match pid {
        0 => {
            // The child must never unwind into its parent's frames.
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(70);
            // SAFETY: _exit(2) takes any int and does not return; exit handlers belong to the parent.
            unsafe { libc::_exit(code) }
        }
        pid if pid > 0 => {
            // SAFETY: the kernel filled `pidfd` with a new descriptor that nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            match Pid::from_raw(pid as i32) {
                Some(pid) => Ok(Child { pid, pidfd }),
                None => Err(CallError { call: shown(), errno: Errno::SRCH }),
            }
        }
        _ => Err(called::<std::io::Error>(shown)(std::io::Error::last_os_error())),
    }
}

/// The number of threads, once those that have been joined are gone: joining returns a moment before they are.
fn threads_left() -> Result<u64, CallError> {
    // Enough turns for a thread that is on its way out, nothing for one that stays.
    const TURNS: usize = 10_000;
    let mut threads = 0;
    for _ in 0..TURNS {
        // /proc/self/task has one directory a thread, and a directory one link for each directory in it.
        let links = rustix::fs::stat("/proc/self/task")
            .map_err(called::<Errno>(|| "stat \"/proc/self/task\"".to_owned()))?
            .st_nlink;
        threads = links.saturating_sub(2);
        if threads <= 1 {
            break;
        }
        std::thread::yield_now();
    }
    Ok(threads)
}

/// Moves this process into new `namespaces` (unshare(2)).
pub fn unshare(namespaces: Namespaces) -> Result<(), CallError> {
    // SAFETY: takes an integer; only namespace bits can be in it, so no descriptor table is taken apart.
    if unsafe { libc::unshare(namespaces.0 as libc::c_int) } == 0 {
        return Ok(());
    }
    Err(called(|| format!("unshare({namespaces})"))(std::io::Error::last_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_shown_by_their_flags() {
        assert_eq!(Namespaces::PID.and(Namespaces::UTS).to_string(), "CLONE_NEWPID|CLONE_NEWUTS");
        assert!(!Namespaces::NONE.has(Namespaces::PID));
    }

    #[test]
    fn refuses_a_process_with_threads() {
        // The test harness itself runs each test in a thread of its own.
        let refused = clone3(Namespaces::NONE, None, || 0).unwrap_err();
        assert_eq!(refused.errno, Errno::DEADLK);
    }
}
