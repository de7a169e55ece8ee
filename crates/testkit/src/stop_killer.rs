//! Kills a program at the n-th system call stop of its whole process tree (ptrace(2)): each at which the kernel was asked for
//! something, and each at which it had answered. Or at the n-th *moment*: the stops after which something is there, or gone, that
//! others can see. Who is killed between two moments leaves what it would have left at the first of them.
//!
//! strace(1) counts by process and by call; a sweep over every moment of a command needs one count for all of them.

#[cfg(target_arch = "x86_64")]
mod quiet;

use crate::deadline::LIMIT;
use crate::tracer::{AtStops, Tracer, traced};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;

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

/// When somebody is killed, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// At a stop of a system call.
    Stop(u64),
    /// At the first stop, and at each after a call that changed what others can see.
    Moment(u64),
}

impl std::fmt::Display for When {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stop(number) => write!(to, "stop {number}"),
            Self::Moment(number) => write!(to, "moment {number}"),
        }
    }
}

/// What became of a program that was traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// How many stops of system calls there were until the command that was typed had ended, or somebody was killed.
    pub stops: u64,
    /// How many of them were moments.
    pub moments: u64,
    /// Whether somebody was killed.
    pub killed: bool,
    /// The exit code of the command, 128 and its signal when one ended it.
    pub code: i32,
    /// Whether it never ended by itself and all of it was killed for that.
    pub hung: bool,
}

/// Runs `command`, which executes `program` at some time, and kills the victim when that and its children have come so far;
/// with `None` it counts. Returns when the command itself has ended; what it has left running runs on, untraced. What the container executes
/// is not traced.
///
/// # Panics
/// Where tracing itself fails.
#[track_caller]
pub fn trace(command: Command, program: &str, kill_at: Option<(When, Victim)>) -> Traced {
    trace_into(command, program, None, kill_at)
}

/// As [`trace`], with standard output and error in two files that are made for it, where there are any.
///
/// # Panics
/// Where tracing itself fails.
#[track_caller]
pub fn trace_into(
    command: Command,
    program: &str,
    output: Option<(&Path, &Path)>,
    kill_at: Option<(When, Victim)>,
) -> Traced {
    let killer = StopKiller { kill_at, stops: 0, moments: 0, killed: false };
    let (end, killer) = traced(command, program, output, LIMIT, killer);
    let StopKiller { stops, moments, killed, .. } = killer;
    Traced { stops, moments, killed, code: end.code, hung: end.hung }
}

struct StopKiller {
    kill_at: Option<(When, Victim)>,
    stops: u64,
    moments: u64,
    killed: bool,
}

impl AtStops for StopKiller {
    fn stop(&mut self, tracer: &Tracer, pid: Pid) {
        self.stops += 1;
        let is_moment = self.stops == 1 || has_changed_something(pid);
        self.moments += u64::from(is_moment);
        let is_now = |(when, _): &(When, Victim)| match when {
            When::Stop(number) => *number == self.stops,
            When::Moment(number) => is_moment && *number == self.moments,
        };
        if let Some((_, victim)) = self.kill_at.filter(is_now) {
            self.killed |= killed(tracer, victim);
        }
    }

    fn is_done(&self) -> bool {
        self.killed
    }
}

/// Whether a process stands after a call that others may see something of.
fn has_changed_something(pid: Pid) -> bool {
    // It may have been killed meanwhile.
    let Ok(stop) = ptrace::syscall_info(pid) else { return false };
    #[cfg(target_arch = "x86_64")]
    if quiet::is_quiet(pid) {
        return false;
    }
    stop.op == nix::libc::PTRACE_SYSCALL_INFO_EXIT
}

/// Kills; whether there was anybody.
fn killed(tracer: &Tracer, victim: Victim) -> bool {
    let is_meant = |pid: &&Pid| match victim {
        Victim::Parent => **pid == tracer.first,
        Victim::Child => **pid != tracer.first,
        Victim::Both => true,
    };
    let all: Vec<&Pid> = tracer.ours.iter().filter(is_meant).collect();
    all.iter().filter(|pid| kill(***pid, Signal::SIGKILL).is_ok()).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

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
            let killed = trace(shell("exec env true"), "true", Some((When::Stop(stop), Victim::Parent)));
            assert_eq!((killed.killed, killed.code, killed.hung), (true, 137, false), "{stop}");
            assert!(killed.stops <= stop + 1, "{killed:?}");
        }
        let at = When::Stop(whole.stops + 100);
        let never = trace(shell("exec env true"), "true", Some((at, Victim::Both)));
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
        let codes: BTreeSet<i32> = (1..=whole.stops)
            .map(|at| trace(command(), "bash", Some((When::Stop(at), Victim::Child))).code)
            .collect();
        assert!(codes.contains(&137) && codes.contains(&3), "{codes:?}");
    }

    /// What a program that was killed at a moment had made until then: directories, whose number the moments go by.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn moments_are_those_at_which_something_has_changed() {
        let directory = std::env::temp_dir().join(format!("moments-{}", std::process::id()));
        let made = |kill_at| {
            let place = directory.display();
            let command = shell(&format!("mkdir {place}; exec mkdir {place}/one {place}/two {place}/three"));
            let traced = trace(command, "mkdir", kill_at);
            let made = std::fs::read_dir(&directory).map(Iterator::count).unwrap_or_default();
            std::fs::remove_dir_all(&directory).ok();
            (traced, made)
        };
        let (whole, all) = made(None);
        assert_eq!((whole.code, all), (0, 3));
        assert!(whole.moments * 3 < whole.stops, "{whole:?}");
        let found = (1..=whole.moments).map(|at| made(Some((When::Moment(at), Victim::Both))).1);
        assert_eq!(found.collect::<BTreeSet<usize>>(), BTreeSet::from([0, 1, 2, 3]));
    }
}
