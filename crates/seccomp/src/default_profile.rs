//! The profile of a container that nobody gave one: equal in effect to Docker's default of 2026 (moby/profiles, whose lists
//! of calls, families and values are the facts used here), compiled like any other.
//!
//! What is not listed fails with EPERM; what is newer than all that is listed, with ENOSYS. Of note among what fails:
//! keyrings, io_uring, userfaultfd, new namespaces and mounts without CAP_SYS_ADMIN, sockets of AF_ALG and AF_VSOCK. Docker's
//! condition of Linux 4.8 for ptrace(2) is gone: this project needs 5.14.

use crate::{Refused, refused};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator as Operator, LinuxSyscall,
};

/// Allowed always. Of socketcall(2) on 32-bit x86 the family cannot be seen: it is in memory.
pub(crate) const ALWAYS: &str = "
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
    clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
    close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
    ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list
    get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
    getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid
    getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek
    lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir
    mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2
    prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2
    read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
    removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
    sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
    setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
    setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown
    sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount
    statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
    timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime
    utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// Allowed on one machine.
pub(crate) const OF_X86: &str = "arch_prctl modify_ldt";
const OF_ARM: &str = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";

/// Allowed to who has the capability.
pub(crate) const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_BPF", "bpf"),
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ("CAP_PERFMON", "perf_event_open"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
];

/// Families of socket(2) below this one are all allowed: AF_DECnet, which Linux 6.1 lost.
const FIRST_FAMILY_IN_DOUBT: u64 = 12;
/// Those allowed from there on (AF_* of include/linux/socket.h): not the ones that the kernel lost (AF_ECONET, AF_ATMSVC,
/// AF_IRDA, AF_WANPIPE, AF_ISDN, AF_CAIF), not AF_ALG (38), where the kernel computes for everybody (CVE-2026-31431), not
/// AF_VSOCK (40), which knows no network namespace.
pub(crate) const FAMILIES: [u64; 25] =
    [13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45];

/// Values of personality(2): Linux, Linux as 2.6 (UNAME26), either in 32 bits (PER_LINUX32), and the question.
pub(crate) const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `CLONE_NEW*` of clone(2): all but CLONE_NEWTIME, which only clone3 knows.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

fn rule(names: &str, action: Action, errno: Option<u32>, argument: Option<LinuxSeccompArg>) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names.split_whitespace().map(str::to_owned).collect());
    rule.set_action(action);
    rule.set_errno_ret(errno);
    rule.set_args(argument.map(|one| vec![one]));
    rule
}

fn allow(names: &str) -> LinuxSyscall {
    rule(names, Action::ScmpActAllow, None, None)
}

/// Allows a call whose first argument compares so.
fn allow_if(name: &str, op: Operator, value: u64) -> Result<LinuxSyscall, Refused> {
    let argument =
        LinuxSeccompArgBuilder::default().index(0usize).op(op).value(value).value_two(0u64).build();
    match argument {
        Ok(argument) => Ok(rule(name, Action::ScmpActAllow, None, Some(argument))),
        Err(error) => refused(name, error.to_string()),
    }
}

/// The architectures that a kernel of this machine runs programs of.
pub(crate) fn native_architectures() -> Vec<Arch> {
    if cfg!(target_arch = "aarch64") {
        vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]
    } else {
        vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
    }
}

/// The default for a container whose bounding set has these capabilities, written as `CAP_CHOWN`.
pub fn default_profile(capabilities: &[String]) -> Result<LinuxSeccomp, Refused> {
    let has = |name: &str| capabilities.iter().any(|one| one == name);
    let mut rules = vec![allow(ALWAYS), allow(if cfg!(target_arch = "aarch64") { OF_ARM } else { OF_X86 })];
    rules.push(allow_if("socket", Operator::ScmpCmpLt, FIRST_FAMILY_IN_DOUBT)?);
    for family in FAMILIES {
        rules.push(allow_if("socket", Operator::ScmpCmpEq, family)?);
    }
    for value in PERSONALITIES {
        rules.push(allow_if("personality", Operator::ScmpCmpEq, value)?);
    }
    let with = WITH_CAPABILITY.iter().filter(|(capability, _)| has(capability));
    rules.extend(with.map(|(_, names)| allow(names)));
    if !has("CAP_SYS_ADMIN") {
        rules.push(allow_if("clone", Operator::ScmpCmpMaskedEq, NEW_NAMESPACES)?);
        // Its flags are in memory, where a filter cannot see them: a C library then asks for clone(2).
        rules.push(rule("clone3", Action::ScmpActErrno, Some(ENOSYS), None));
    }
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(Action::ScmpActErrno);
    profile.set_default_errno_ret(Some(EPERM));
    profile.set_architectures(Some(native_architectures()));
    profile.set_syscalls(Some(rules));
    Ok(profile)
}
