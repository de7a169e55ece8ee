//! What the runtime itself calls in a process that has its filter of system calls already: a profile that leaves such a call out would end the
//! start without a word.
//!
//! With no_new_privs the filter comes right before the execve, and a profile has to allow nothing but that. Without it, it takes a privilege
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

/// Whether the filter comes last of all.
pub fn filter_is_last(process: &Process, program: &Program, at_once: bool) -> bool {
    // Whoever asks somebody else hands over a descriptor while that one is still there.
    process.no_new_privileges && at_once && !program.notifies
}

/// Refuses a filter under which the start could not go on.
pub fn check(process: &Process, program: &Program, start: Start) -> Result<()> {
    let is_last = filter_is_last(process, program, start.at_once);
    let becomes = if process.no_new_privileges { &[] } else { BECOMES };
    let (talks, waits) = match (is_last, start.gate) {
        (true, _) => (&[][..], &[][..]),
        (false, gate) => (TALKS, if gate { WAITS } else { &[] }),
    };
    let called = becomes.iter().chain(talks).chain(waits).chain(&["execve"]);
    // A question to somebody else is answered by him.
    let is_missing = |name: &&&str| match program.verdict(name, [DEATH_SIGNAL, 0, 0, 0, 0, 0]) {
        None | Some(Verdict::Made) => false,
        Some(Verdict::Fails) => true,
        Some(Verdict::Other) => !program.notifies,
    };
    let missing: Vec<&str> = called.filter(is_missing).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "config.json: linux.seccomp: does not let through {}: what starts the container calls it after the filter is set",
        missing.join(", ")
    );
    let hint = match is_last {
        true => "without it no command can be executed",
        false => "allow it, or set process.noNewPrivileges: then the filter comes right before the command",
    };
    Err(Error::new(Kind::Invalid, message).with_hint(hint))
}
