//! Which system calls change nothing that outlives their process, and nothing that another one sees without a call of its own that is no such
//! one: who is killed before such a call leaves what it leaves after. A close(2), say, ends a pipe or a lock, as a death does; whoever waited
//! for that has another moment when it goes on.
//!
//! What is not named here counts as a change.

use crate::tracer::registers;
use nix::libc;
use nix::unistd::Pid;
use std::os::unix::fs::FileExt;

/// What is about the process alone: its memory, its signals, its descriptors, its own attributes, and what it waits for.
const OWN: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_umask,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_getcwd,
    libc::SYS_lseek,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_pidfd_open,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_sched_yield,
];

/// What only asks.
const ASKS: &[i64] = &[
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_clock_gettime,
    libc::SYS_sched_getaffinity,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_pread64,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
];

/// What makes a file without a name: O_TMPFILE without the O_DIRECTORY that is in it.
const NEW: libc::c_int = libc::O_TMPFILE & !libc::O_DIRECTORY;

fn makes_nothing(flags: u64) -> bool {
    flags & (libc::O_CREAT | libc::O_TRUNC | NEW) as u64 == 0
}

/// What is at an address of a process.
fn word(pid: Pid, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// Whether the call that a process stands after is one of these.
pub(super) fn is_quiet(pid: Pid) -> bool {
    let Some((number, [first, _, flags, _])) = registers::call(pid) else { return false };
    match number {
        // What is read from a file stays there; what comes from another process does not.
        libc::SYS_read | libc::SYS_readv => {
            std::fs::read_link(format!("/proc/{pid}/fd/{first}")).is_ok_and(|path| path.has_root())
        }
        libc::SYS_openat => makes_nothing(flags),
        // Its flags are the first member of what is pointed to.
        libc::SYS_openat2 => word(pid, flags).is_some_and(makes_nothing),
        number => OWN.contains(&number) || ASKS.contains(&number),
    }
}
