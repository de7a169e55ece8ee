//! What a program left: its code and what it wrote, with the assertions that every test makes of them.

use crate::deadline::LIMIT;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was run, for messages.
    pub command: String,
    /// Exit code, or 128+N as a shell shows a signal.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Outcome {
    /// Fails the test unless the code is `code`.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of {self}");
        self
    }

    /// Fails the test unless it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Fails the test unless standard output is exactly `expected`, less white space at its end.
    #[track_caller]
    pub fn prints(self, expected: &str) -> Self {
        assert_eq!(self.stdout.trim_end(), expected.trim_end(), "stdout of {self}");
        self
    }

    /// Standard output without the line break at its end.
    pub fn line(&self) -> &str {
        self.stdout.trim_end()
    }

    /// Fails the test unless it refused with `code`, no output, and one line that has the name of the program in
    /// front and every one of `words` in it.
    #[track_caller]
    pub fn refuses(self, code: i32, words: &[&str]) -> Self {
        let lines: Vec<_> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one line of stderr from {self}");
        assert!(lines[0].starts_with("devoxx-container: "), "name of the program in front: {self}");
        for word in words {
            assert!(lines[0].to_lowercase().contains(&word.to_lowercase()), "{word:?} missing in {self}");
        }
        assert_eq!(self.stdout, "", "stdout of {self}");
        self.code(code)
    }
}

impl Outcome {
    /// Fails the test unless a runtime refused: a code other than 0, no output, and a line of error with every one of
    /// `words` in it.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        assert_ne!(self.code, 0, "a refusal of {self}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "one line of stderr from {self}");
        // A record in the form of logfmt escapes the quotes of its message.
        let line = self.stderr.to_lowercase().replace("\\\"", "\"");
        for word in words {
            assert!(line.contains(&word.to_lowercase()), "{word:?} missing in {self}");
        }
        assert_eq!(self.stdout, "", "stdout of {self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n  code {}\n  stdout {:?}\n  stderr {}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// A program that runs; killed when a test drops it.
pub struct Running {
    command: String,
    /// Process id of the program.
    pub pid: i32,
    ended: Receiver<std::io::Result<Output>>,
    done: bool,
}

impl Running {
    /// Starts a program with its output caught. Standard input is what the caller set, else empty.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = shown(command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        Self::of(child, shown)
    }

    fn of(child: Child, command: String) -> Self {
        let pid = i32::try_from(child.id()).expect("a process id is an i32");
        let (sender, ended) = channel();
        // The receiver is gone only when the test failed already.
        std::thread::spawn(move || sender.send(child.wait_with_output()).ok());
        Self { command, pid, ended, done: false }
    }

    /// Sends a signal to the program itself.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid).expect("a child has a process id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("kill {} {signal:?}: {error}", self.command));
    }

    /// Waits until it has ended and closed its output; fails the test after [`LIMIT`].
    #[track_caller]
    pub fn wait(self) -> Outcome {
        self.wait_within(LIMIT)
    }

    /// The same for what does a lot.
    #[track_caller]
    pub fn wait_within(mut self, limit: Duration) -> Outcome {
        let output = match self.ended.recv_timeout(limit) {
            Ok(result) => result.unwrap_or_else(|error| panic!("{}: {error}", self.command)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("{} still runs, or something holds its output, after {limit:?}", self.command)
            }
        };
        self.done = true;
        let status = output.status;
        Outcome {
            command: std::mem::take(&mut self.command),
            code: status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    #[expect(clippy::print_stderr, reason = "the test that fails says it")]
    fn drop(&mut self) {
        if !self.done
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may have ended on its own: then there is nothing to kill, and what it said may be why the test fails.
            if std::thread::panicking()
                && let Ok(Ok(output)) = self.ended.try_recv()
            {
                let said = String::from_utf8_lossy(&output.stderr);
                eprintln!("{} had ended by itself: {}, {said:?}", self.command, output.status);
                return;
            }
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// Runs a program to its end, within [`LIMIT`].
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    Running::start(command).wait()
}

/// Runs a program to its end with its output in two files, so that a process which inherits them is not waited for.
#[track_caller]
pub fn run_into(command: &mut Command, out: &Path, err: &Path) -> Outcome {
    let shown = shown(command);
    let create = |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let child = command.stdout(create(out)).stderr(create(err)).spawn();
    let running = Running::of(child.unwrap_or_else(|error| panic!("{shown}: {error}")), shown);
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let outcome = running.wait();
    Outcome { stdout: read(out), stderr: read(err), ..outcome }
}

/// The part of a command that a reader cares for: without what enters the host.
fn shown(command: &Command) -> String {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let start = words.iter().position(|word| word == crate::host::ENTER).map_or(0, |at| at + 1);
    words[start..].join(" ")
}
