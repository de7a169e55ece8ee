//! Lets the n-th system call of a program's whole process tree fail (ptrace(2)): the kernel is asked for nothing, and the program hears an
//! error.
//!
//! strace(1) can do that too, and counts by process and by call; a sweep over every call of a command needs one count for all of them.
//! What follows is left out of the count, each for its reason: [`BEGINNING`], [`NEVER`] and what [`may_fail_with`] says.

use crate::tracer::{AtStops, Tracer, registers, traced};
use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use nix::errno::Errno;

/// Calls that a program makes before its own `main`: those of its C library and of Rust's standard library are not its own, and an error
/// that the kernel never gives there ends it at once. Those of `sys::early` are, and so these count; all others do from the first file of the
/// program's own that is opened.
const BEGINNING: &[i64] =
    &[libc::SYS_statfs, libc::SYS_open_tree, libc::SYS_mount_setattr, libc::SYS_execveat, libc::SYS_close];

/// What the C library opens, to look for its stack.
const BY_LIBRARY: &str = "\"/proc/self/maps\"";

/// What never fails, or fails and nobody hears of it.
const NEVER: &[(&[i64], &str)] = &[
    (
        &[libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn, libc::SYS_restart_syscall],
        "does not return",
    ),
    (
        &[
            libc::SYS_getpid,
            libc::SYS_getppid,
            libc::SYS_gettid,
            libc::SYS_getuid,
            libc::SYS_geteuid,
            libc::SYS_getgid,
            libc::SYS_getegid,
            libc::SYS_umask,
            libc::SYS_uname,
            libc::SYS_sysinfo,
            libc::SYS_sched_yield,
        ],
        "has no error",
    ),
    (
        &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_madvise, libc::SYS_sigaltstack],
        "memory of the C library and of threads, which takes no error for an answer, or asks in another way",
    ),
    (
        &[libc::SYS_set_robust_list, libc::SYS_set_tid_address, libc::SYS_rseq, libc::SYS_arch_prctl],
        "threads of the C library",
    ),
    (
        &[libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask],
        "fails for a wrong number or address alone, and those are the program's constants",
    ),
];

/// What does its work although it fails: close(2) lets go of a descriptor whatever it says.
const DOES_IT_ANYWAY: &[i64] = &[libc::SYS_close];

/// Bytes of a stack that is none of a thread.
const SMALL: u64 = 64 << 10;

/// Whether a call, about a directory perhaps, may fail in this way: those of the libraries that end the program for an error that the
/// kernel does not give there may with those that it gives.
fn may_fail_with(number: i64, arguments: [u64; 4], is_directory: bool, errno: Errno) -> bool {
    let given: &[Errno] = match number {
        // Of a thread that begins, for its signals: Rust's standard library ends the program without it, and says so.
        libc::SYS_mmap if arguments[3] & libc::MAP_STACK as u64 != 0 && arguments[1] < SMALL => &[],
        libc::SYS_futex => &[Errno::EAGAIN, Errno::EINTR],
        libc::SYS_clock_nanosleep | libc::SYS_nanosleep => &[Errno::EINTR],
        // Nothing is written back when a directory is let go of, and Rust's standard library relies on that.
        libc::SYS_close if is_directory => &[Errno::EINTR],
        libc::SYS_close => &[Errno::EINTR, Errno::EIO, Errno::ENOSPC],
        // EAGAIN is an answer to GRND_NONBLOCK alone.
        libc::SYS_getrandom => &[Errno::EINTR, Errno::ENOSYS, Errno::EPERM],
        _ => return true,
    };
    given.contains(&errno)
}

/// The call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Its number.
    pub number: i64,
    /// Its first four arguments, as text where one is a word or a path.
    pub arguments: String,
    /// Whether the command that was typed made it, and not one of its children.
    pub by_first: bool,
}

/// What became of a program, one of whose calls failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// How many calls there were that count, until the command that was typed had ended, or one of them failed.
    pub calls: u64,
    /// Their numbers, and the first argument of each.
    pub kinds: Vec<(i64, u64)>,
    /// The one that failed; none where there were fewer, or where it cannot fail in that way.
    pub met: Option<Met>,
    /// The exit code of the command, 128 and its signal when one ended it.
    pub code: i32,
    /// Whether it never ended by itself and was killed for that.
    pub hung: bool,
    /// What is in its standard output.
    pub stdout: String,
    /// What is in its standard error.
    pub stderr: String,
}

/// Runs `command`, which executes `program` at some time, and lets the `n`-th call of that and its children that counts, from 1, fail with
/// an error; with `None` it counts. Standard output and error are files that are made for it. As for the rest, see [`crate::stop_killer`].
///
/// # Panics
/// Where tracing itself fails.
#[track_caller]
pub fn inject(
    command: Command,
    program: &str,
    (out, err): (&Path, &Path),
    limit: Duration,
    wanted: Option<(u64, Errno)>,
) -> Injected {
    let injector =
        Injector { wanted, kinds: Vec::new(), beginning: BTreeSet::new(), failing: None, met: None };
    let (end, injector) = traced(command, program, Some((out, err)), limit, injector);
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let (stdout, stderr) = (read(out), read(err));
    Injected {
        calls: injector.kinds.len() as u64,
        kinds: injector.kinds,
        met: injector.met,
        code: end.code,
        hung: end.hung,
        stdout,
        stderr,
    }
}

struct Injector {
    wanted: Option<(u64, Errno)>,
    kinds: Vec<(i64, u64)>,
    /// Who has executed the program and not come to its `main`.
    beginning: BTreeSet<Pid>,
    /// Who is in the call that fails.
    failing: Option<(Pid, Errno)>,
    met: Option<Met>,
}

impl Injector {
    /// Whether a call counts.
    fn counts(&mut self, pid: Pid, number: i64, [_, path, ..]: [u64; 4]) -> bool {
        if number == libc::SYS_openat && self.beginning.contains(&pid) && shown(pid, path) != BY_LIBRARY {
            self.beginning.remove(&pid);
        }
        let begins = self.beginning.contains(&pid);
        !NEVER.iter().any(|(numbers, _)| numbers.contains(&number))
            && (!begins || BEGINNING.contains(&number))
    }
}

impl AtStops for Injector {
    fn stop(&mut self, tracer: &Tracer, pid: Pid) {
        // It may have been killed meanwhile.
        let Ok(stop) = ptrace::syscall_info(pid) else { return };
        if stop.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            if let Some((_, errno)) = self.failing.take_if(|(failing, _)| *failing == pid) {
                registers::answer(pid, -(errno as i64));
            }
            return;
        }
        let Some((number, arguments)) = registers::call(pid) else { return };
        if !self.counts(pid, number, arguments) {
            return;
        }
        self.kinds.push((number, arguments[0]));
        let calls = self.kinds.len() as u64;
        let Some((_, errno)) = self.wanted.filter(|(at, _)| *at == calls) else { return };
        let is_directory = Path::new(&format!("/proc/{pid}/fd/{}", arguments[0])).is_dir();
        if !may_fail_with(number, arguments, is_directory, errno) {
            return;
        }
        let arguments = arguments.map(|argument| shown(pid, argument)).join(", ");
        self.met = Some(Met { number, arguments, by_first: pid == tracer.first });
        self.failing = Some((pid, errno));
        if !DOES_IT_ANYWAY.contains(&number) {
            registers::leave_out(pid);
        }
    }

    fn executed(&mut self, pid: Pid) {
        self.beginning.insert(pid);
    }

    fn is_done(&self) -> bool {
        self.met.is_some() && self.failing.is_none()
    }
}

/// The longest text of an argument that is shown.
const LONGEST: usize = 60;

/// An argument: the text that it points to, if that is what is there.
fn shown(pid: Pid, argument: u64) -> String {
    let mut bytes = [0; LONGEST];
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"));
    let read = memory.and_then(|memory| memory.read_at(&mut bytes, argument)).unwrap_or_default();
    let text = bytes[..read].split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(text) {
        Ok(text) if text.len() > 1 && text.chars().all(|one| one.is_ascii_graphic() || one == ' ') => {
            format!("{text:?}")
        }
        _ if argument > 0xffff_ffff => format!("{:#x}", argument),
        _ => argument.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::LIMIT;

    fn injected(script: &str, wanted: Option<(u64, Errno)>) -> Injected {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = |kind: &str| {
            std::env::temp_dir().join(format!("injector-{}-{number}.{kind}", std::process::id()))
        };
        let (out, err) = (file("out"), file("err"));
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        let injected = inject(command, "cat", (&out, &err), LIMIT, wanted);
        for file in [&out, &err] {
            std::fs::remove_file(file).ok();
        }
        injected
    }

    #[test]
    fn each_call_of_the_program_can_fail_and_no_other() {
        let script = "exec cat /proc/sys/kernel/ostype";
        let whole = injected(script, None);
        assert_eq!((whole.code, whole.stdout.as_str(), whole.met.clone()), (0, "Linux\n", None), "{whole:?}");
        assert!(whole.calls > 5, "{whole:?}");
        let mut said = Vec::new();
        for call in 1..=whole.calls {
            let one = injected(script, Some((call, Errno::EIO)));
            let Some(met) = one.met.clone() else {
                let number =
                    usize::try_from(call).ok().and_then(|call| one.kinds.get(call - 1)).map(|kind| kind.0);
                assert!(
                    number.is_some_and(|number| !may_fail_with(number, [0; 4], false, Errno::EIO)),
                    "{call}: {one:?}"
                );
                continue;
            };
            assert!(met.by_first && !one.hung, "{one:?}");
            if met.number == libc::SYS_openat && met.arguments.contains("ostype") {
                assert_eq!((one.code, one.stdout.as_str()), (1, ""), "{one:?}");
                assert!(one.stderr.contains("Input/output error"), "{one:?}");
            }
            said.push(one.code);
        }
        assert!(said.contains(&0) && said.contains(&1), "{said:?}");
        let never = injected(script, Some((whole.calls + 100, Errno::EIO)));
        assert_eq!((never.code, never.met), (0, None));
    }

    #[test]
    fn what_does_its_work_anyway_has_done_it() {
        let script = "exec cat /proc/sys/kernel/ostype";
        let whole = injected(script, None);
        let closes = (1..=whole.calls).filter_map(|call| {
            let one = injected(script, Some((call, Errno::EINTR)));
            one.met.as_ref().is_some_and(|met| met.number == libc::SYS_close).then_some(one)
        });
        let closes: Vec<Injected> = closes.collect();
        assert!(!closes.is_empty() && closes.iter().all(|one| !one.hung), "{closes:?}");
    }
}
