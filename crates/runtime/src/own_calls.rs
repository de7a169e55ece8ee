//! What the runtime itself calls in a process that has its filter of system calls already: a profile that leaves such a call out would end the
//! start without a word.
//!
//! With no_new_privs such a filter comes right before the execve, and a profile has to allow nothing but that. Without it, it takes a privilege
//! to set a filter (seccomp(2)), so that it comes before that goes, and all that is left to do then comes after it.

use crate::error::{Error, Kind, Result};
use crate::plan::Process;
use seccomp::{Program, Verdict};

/// How a process is to be started.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Whether another process starts it.
    pub gate: bool,
    /// Whether nothing but the execve comes after the word to start.
    pub at_once: bool,
}

impl Start {
    /// That of a process which enters a container.
    pub const ENTERING: Self = Self { gate: false, at_once: true };
}

/// `PR_SET_PDEATHSIG` (include/uapi/linux/prctl.h), the one of prctl(2)'s that each start needs.
const DEATH_SIGNAL: u64 = 1;

/// What makes the process another user's, with other privileges, in its directory. access(2) and dup2(2) are elsewhere calls with another name.
const BECOMES: &[&str] = &["setresgid", "setresuid", "capset", "umask", "chdir", "getcwd", ACCESS];
#[cfg(target_arch = "x86_64")]
const ACCESS: &str = "access";
#[cfg(not(target_arch = "x86_64"))]
const ACCESS: &str = "faccessat";

/// What says that it is ready, and hears that it may start.
const TALKS: &[&str] = &["prctl", "sendmsg", "recvmsg", "close_range"];

/// What waits for another process to start it.
const WAITS: &[&str] = &[DUP, "accept4", "shutdown"];
#[cfg(target_arch = "x86_64")]
const DUP: &str = "dup2";
#[cfg(not(target_arch = "x86_64"))]
const DUP: &str = "dup3";

/// Whether the filter comes last of all: where it may, and where what is left to do would not get through it. Every other one is there while
/// the process waits, when whoever is in its namespaces may reach it already.
pub fn filter_is_last(process: &Process, program: &Program, start: Start) -> bool {
    // Whoever asks somebody else hands over a descriptor while that one is still there.
    process.no_new_privileges
        && start.at_once
        && !program.notifies
        && !missing(program, left(start)).is_empty()
}

/// What is left to do for a process that is what it is to be, but for the execve.
fn left(start: Start) -> impl Iterator<Item = &'static str> {
    TALKS.iter().chain(if start.gate { WAITS } else { &[] }).copied()
}

/// Those that a program does not let through.
fn missing(program: &Program, called: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let is_missing = |name: &&str| match program.verdict(name, [DEATH_SIGNAL, 0, 0, 0, 0, 0]) {
        None | Some(Verdict::Made) => false,
        Some(Verdict::Fails) => true,
        // A question to somebody else is answered by him.
        Some(Verdict::Other) => !program.notifies,
    };
    called.filter(is_missing).collect()
}

/// Refuses a filter under which the start could not go on.
pub fn check(process: &Process, program: &Program, start: Start) -> Result<()> {
    let is_last = filter_is_last(process, program, start);
    let becomes = if process.no_new_privileges { &[] } else { BECOMES };
    let left = left(start).filter(|_| !is_last);
    let missing = missing(program, becomes.iter().copied().chain(left).chain(["execve"]));
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "config.json: linux.seccomp: does not let through {}: what starts the container calls it after the filter is set",
        missing.join(", ")
    );
    let hint = match process.no_new_privileges {
        true => "without it no command can be executed",
        false => "allow it, or set process.noNewPrivileges: then the filter comes right before the command",
    };
    Err(Error::new(Kind::Invalid, message).with_hint(hint))
}
