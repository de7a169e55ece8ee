//! Kills a program at the n-th system call stop of its whole process tree (ptrace(2)): each moment at which the kernel was asked for
//! something, and each at which it had answered.
//!
//! strace(1) counts by process and by call; a sweep over every moment of a command needs one count for all of them.

use crate::deadline::LIMIT;
use crate::tracer::{AtStops, Tracer, traced};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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
    let killer = StopKiller { kill_at, stops: 0, killed: false };
    let (end, killer) = traced(command, program, None, LIMIT, killer);
    Traced { stops: killer.stops, killed: killer.killed, code: end.code, hung: end.hung }
}

struct StopKiller {
    kill_at: Option<(u64, Victim)>,
    stops: u64,
    killed: bool,
}

impl AtStops for StopKiller {
    fn stop(&mut self, tracer: &Tracer, _pid: Pid) {
        self.stops += 1;
        if let Some((_, victim)) = self.kill_at.filter(|(at, _)| *at == self.stops) {
            self.killed |= killed(tracer, victim);
        }
    }
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
