//! Follows a program and all that it starts from one system call to the next (ptrace(2)): what the stop-killer and the injector of errors
//! share. What a container executes is not followed.

// Its registers are those of this processor.
#[cfg(target_arch = "x86_64")]
pub(crate) mod registers;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// What is done where a process of the program stands.
pub(crate) trait AtStops {
    /// It stands before a system call, or after one.
    fn stop(&mut self, tracer: &Tracer, pid: Pid);

    /// It has executed the program, anew perhaps.
    fn executed(&mut self, _pid: Pid) {}

    /// Whether nothing is done at any stop from now on: then nobody stops any more.
    fn is_done(&self) -> bool {
        false
    }
}

/// How the command that was typed has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Its exit code, 128 and its signal when one ended it.
    pub code: i32,
    /// Whether it never ended by itself and was killed for that.
    pub hung: bool,
}

/// Runs `command`, which executes `program` at some time, and calls `stops` at each stop of that and its children. Returns when the command
/// itself has ended; what it has left running runs on, untraced. Its output goes to two files, or nowhere.
#[track_caller]
pub(crate) fn traced<S: AtStops + Send>(
    command: Command,
    program: &str,
    output: Option<(&Path, &Path)>,
    limit: Duration,
    mut stops: S,
) -> (End, S) {
    // The kernel knows a thread as the tracer: what it still traces goes on when the thread ends.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("tracer".to_owned());
        let tracer = thread.spawn_scoped(scope, move || {
            let end = Tracer::start(command, program, output).run(limit, &mut stops);
            (end, stops)
        });
        let tracer = tracer.unwrap_or_else(|error| panic!("a thread: {error}"));
        tracer.join().unwrap_or_else(|_| panic!("the tracer failed; its reason stands above"))
    })
}

/// Who is followed.
pub(crate) struct Tracer {
    /// The command that was typed.
    pub first: Pid,
    /// Who is traced and runs the program.
    pub ours: BTreeSet<Pid>,
    program: String,
    /// Device and inode of its file.
    file: Option<(u64, u64)>,
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
    fn start(command: Command, program: &str, output: Option<(&Path, &Path)>) -> Self {
        // It stops itself first, so that it can be seized before it does anything.
        let mut stopped = Command::new("sh");
        stopped.args(["-c", "kill -STOP $$; exec \"$@\"", "tracer"]).arg(command.get_program());
        stopped.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                stopped.env(name, value);
            }
        }
        if let Some(directory) = command.get_current_dir() {
            stopped.current_dir(directory);
        }
        let file = |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        stopped.stdin(Stdio::null());
        match output {
            Some((out, err)) => stopped.stdout(file(out)).stderr(file(err)),
            None => stopped.stdout(Stdio::null()).stderr(Stdio::null()),
        };
        let child = stopped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let first = Pid::from_raw(child.id().cast_signed());
        let seen = waitpid(first, Some(WaitPidFlag::WUNTRACED));
        assert!(matches!(seen, Ok(WaitStatus::Stopped(..))), "{command:?} did not stop: {seen:?}");
        ptrace::seize(first, options()).unwrap_or_else(|errno| panic!("PTRACE_SEIZE: {errno}"));
        kill(first, Signal::SIGCONT).unwrap_or_else(|errno| panic!("SIGCONT: {errno}"));
        Self { first, program: program.to_owned(), file: None, ours: BTreeSet::new() }
    }

    fn run(mut self, limit: Duration, stops: &mut impl AtStops) -> End {
        let first = self.first;
        let hung = AtomicBool::new(false);
        let (ended, watched) = channel::<()>();
        let code = std::thread::scope(|scope| {
            let hung = &hung;
            scope.spawn(move || {
                if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                    hung.store(true, Ordering::Relaxed);
                    kill(first, Signal::SIGKILL).ok();
                }
            });
            let code = self.follow(stops);
            // Before the scope waits for who watches.
            drop(ended);
            code
        });
        End { code, hung: hung.load(Ordering::Relaxed) }
    }

    /// Follows everybody until the first has ended; its exit code.
    fn follow(&mut self, stops: &mut impl AtStops) -> i32 {
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
                        stops.stop(self, pid);
                    }
                    go_on(pid, None, stops);
                }
                WaitStatus::PtraceEvent(pid, _, event) => self.event(pid, event, stops),
                WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal), stops),
                _ => {}
            }
        }
    }

    fn event(&mut self, pid: Pid, event: i32, stops: &mut impl AtStops) {
        match event {
            nix::libc::PTRACE_EVENT_EXEC => {
                if self.is_the_program(pid) {
                    self.ours.insert(pid);
                    stops.executed(pid);
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
        go_on(pid, None, stops);
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
}

/// Lets it run to its next stop. It may have been killed meanwhile: its end is what comes next then.
fn go_on(pid: Pid, signal: Option<Signal>, stops: &impl AtStops) {
    let next = if stops.is_done() { ptrace::cont } else { ptrace::syscall };
    next(pid, signal).ok();
}
