//! Kills a program at the n-th system call stop of its whole process tree (ptrace(2)): each moment at which the kernel was asked for
//! something, and each at which it had answered.
//!
//! strace(1) counts by process and by call; a sweep over every moment of a command needs one count for all of them.

use crate::deadline::LIMIT;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The command that was typed.
    Parent,
    /// Every other process of the program.
    Child,
    /// All of them.
    Both,
}

impl Victim {
    /// One after the other, for a sweep that takes turns.
    pub const ALL: [Self; 3] = [Self::Parent, Self::Child, Self::Both];
}

/// What became of a program that was traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// How many stops of system calls there were until the command that was typed had ended.
    pub stops: u64,
    /// Whether somebody was killed.
    pub killed: bool,
    /// The exit code of the command, 128 and its signal when one ended it.
    pub code: i32,
    /// Whether it never ended by itself and all of it was killed for that.
    pub hung: bool,
}

/// Runs `command`, which executes `program` at some time, and kills the victim when that and its children have come to their
/// `stop`-th system call stop, counted from 1; with `None` it counts. Returns when the command itself has ended; what it has left
/// running runs on, untraced. What the container executes is not traced.
///
/// # Panics
/// Where tracing itself fails.
#[track_caller]
pub fn trace(command: Command, program: &str, kill_at: Option<(u64, Victim)>) -> Traced {
    // The kernel knows a thread as the tracer: what it still traces goes on when the thread ends.
    let program = program.to_owned();
    let thread = std::thread::Builder::new().name("stop-killer".to_owned());
    let tracer = thread.spawn(move || Tracer::start(command, program).run(kill_at));
    let tracer = tracer.unwrap_or_else(|error| panic!("a thread: {error}"));
    tracer.join().unwrap_or_else(|_| panic!("the tracer failed; its reason stands above"))
}

struct Tracer {
    first: Pid,
    program: String,
    /// Device and inode of its file.
    file: Option<(u64, u64)>,
    /// Who is traced and runs the program.
    ours: BTreeSet<Pid>,
    stops: u64,
}

/// Everything that is asked of the kernel for each who is traced.
fn options() -> Options {
    Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
}

impl Tracer {
    #[expect(clippy::zombie_processes, reason = "waited for by its id, as everybody who is traced")]
    fn start(command: Command, program: String) -> Self {
        // It stops itself first, so that it can be seized before it does anything.
        let mut stopped = Command::new("sh");
        stopped.args(["-c", "kill -STOP $$; exec \"$@\"", "stop-killer"]).arg(command.get_program());
        stopped.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                stopped.env(name, value);
            }
        }
        if let Some(directory) = command.get_current_dir() {
            stopped.current_dir(directory);
        }
        let null = || Stdio::null();
        let child = stopped.stdin(null()).stdout(null()).stderr(null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let first = Pid::from_raw(child.id().cast_signed());
        let seen = waitpid(first, Some(WaitPidFlag::WUNTRACED));
        assert!(matches!(seen, Ok(WaitStatus::Stopped(..))), "{command:?} did not stop: {seen:?}");
        ptrace::seize(first, options()).unwrap_or_else(|errno| panic!("PTRACE_SEIZE: {errno}"));
        kill(first, Signal::SIGCONT).unwrap_or_else(|errno| panic!("SIGCONT: {errno}"));
        Self { first, program, file: None, ours: BTreeSet::new(), stops: 0 }
    }

    fn run(mut self, kill_at: Option<(u64, Victim)>) -> Traced {
        let first = self.first;
        let hung = AtomicBool::new(false);
        let (ended, watched) = channel::<()>();
        let mut killed = false;
        let code = std::thread::scope(|scope| {
            let hung = &hung;
            scope.spawn(move || {
                if watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                    hung.store(true, Ordering::Relaxed);
                    kill(first, Signal::SIGKILL).ok();
                }
            });
            let code = self.follow(kill_at, &mut killed);
            // Before the scope waits for who watches.
            drop(ended);
            code
        });
        Traced { stops: self.stops, killed, code, hung: hung.load(Ordering::Relaxed) }
    }

    /// Follows everybody until the first has ended; its exit code.
    fn follow(&mut self, kill_at: Option<(u64, Victim)>, killed: &mut bool) -> i32 {
        let anybody = Pid::from_raw(-1);
        // Other threads of the tests have children too.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let seen = match waitpid(anybody, Some(flags)) {
                Ok(seen) => seen,
                Err(Errno::EINTR) => continue,
                Err(errno) => panic!("waitpid: {errno}"),
            };
            match seen {
                WaitStatus::Exited(pid, code) if pid == self.first => return code,
                WaitStatus::Signaled(pid, signal, _) if pid == self.first => return 128 + signal as i32,
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    self.ours.remove(&pid);
                }
                WaitStatus::PtraceSyscall(pid) => {
                    if self.ours.contains(&pid) {
                        self.stops += 1;
                        if let Some((_, victim)) = kill_at.filter(|(at, _)| *at == self.stops) {
                            *killed |= self.kill(victim);
                        }
                    }
                    go_on(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, event) => self.event(pid, event),
                WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
                _ => {}
            }
        }
    }

    fn event(&mut self, pid: Pid, event: i32) {
        match event {
            nix::libc::PTRACE_EVENT_EXEC => {
                if self.is_the_program(pid) {
                    self.ours.insert(pid);
                } else if self.ours.remove(&pid) && pid != self.first {
                    // The command of a container, or a helper: the program's own calls are what is swept.
                    ptrace::detach(pid, None).ok();
                    return;
                }
            }
            nix::libc::PTRACE_EVENT_FORK | nix::libc::PTRACE_EVENT_VFORK | nix::libc::PTRACE_EVENT_CLONE => {
                if self.ours.contains(&pid)
                    && let Ok(child) = ptrace::getevent(pid)
                {
                    self.ours.insert(Pid::from_raw(i32::try_from(child).unwrap_or_default()));
                }
            }
            _ => {}
        }
        go_on(pid, None);
    }

    /// Whether a process executes the program: under its name, as the sealed copy that some make of themselves (`/memfd:NAME`), or as
    /// the same file by another way, where it may have no name at all.
    fn is_the_program(&mut self, pid: Pid) -> bool {
        let link = format!("/proc/{pid}/exe");
        let file = std::fs::metadata(&link).ok().map(|about| (about.dev(), about.ino()));
        let named =
            std::fs::read_link(&link).is_ok_and(|path| path.to_string_lossy().contains(&self.program));
        if named && self.file.is_none() {
            self.file = file;
        }
        named || (file.is_some() && file == self.file)
    }

    /// Kills; whether there was anybody.
    fn kill(&self, victim: Victim) -> bool {
        let is_meant = |pid: &&Pid| match victim {
            Victim::Parent => **pid == self.first,
            Victim::Child => **pid != self.first,
            Victim::Both => true,
        };
        let all: Vec<&Pid> = self.ours.iter().filter(is_meant).collect();
        all.iter().filter(|pid| kill(***pid, Signal::SIGKILL).is_ok()).count() > 0
    }
}

/// Lets it run to its next stop. It may have been killed meanwhile: its end is what comes next then.
fn go_on(pid: Pid, signal: Option<Signal>) {
    ptrace::syscall(pid, signal).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin");
        command
    }

    #[test]
    fn each_stop_of_the_program_is_counted_and_can_be_the_last() {
        let whole = trace(shell("exec env true"), "true", None);
        assert_eq!((whole.code, whole.killed, whole.hung), (0, false, false));
        assert!(whole.stops > 10, "{whole:?}");
        for stop in [1, whole.stops / 2, whole.stops - 1] {
            let killed = trace(shell("exec env true"), "true", Some((stop, Victim::Parent)));
            assert_eq!(
                killed,
                Traced { stops: killed.stops, killed: true, code: 137, hung: false },
                "{stop}"
            );
            assert!(killed.stops <= stop + 1, "{killed:?}");
        }
        let never = trace(shell("exec env true"), "true", Some((whole.stops + 100, Victim::Both)));
        assert_eq!((never.code, never.killed), (0, false));
    }

    #[test]
    fn children_are_counted_and_can_be_the_victims_alone() {
        // Its name is that of the program: a child of it that has not executed anything is the program still.
        let command = || {
            let mut command = Command::new("bash");
            command.args(["-c", "(read -r x </dev/null; exit 3) & wait $!; exit $?"]);
            command
        };
        let whole = trace(command(), "bash", None);
        assert_eq!(whole.code, 3);
        let codes: BTreeSet<i32> =
            (1..=whole.stops).map(|at| trace(command(), "bash", Some((at, Victim::Child))).code).collect();
        assert!(codes.contains(&137) && codes.contains(&3), "{codes:?}");
    }
}
