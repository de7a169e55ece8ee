//! Scheduling, memory, personality, keyring: what a process has before it becomes its user, while it may still be given.

use crate::channel::{Channel, Message};
use crate::error::{Error, Kind, Result};
use crate::plan::Attributes;
use std::ffi::CString;
use sys::{Context, Errno};

/// Sets all of them but the labels, which are for the execve.
pub fn set(attributes: &Attributes) -> Result<()> {
    if let Some(scheduler) = &attributes.scheduler {
        sys::scheduler::set(scheduler).within(|| "set the scheduler").map_err(explain_deadline)?;
    }
    if let Some((class, priority)) = attributes.io_priority {
        sys::io_priority::set(class, priority).within(|| "set the I/O priority")?;
    }
    if let Some(policy) = &attributes.memory_policy {
        sys::memory_policy::set(policy.mode, &policy.nodes).within(|| "set the memory policy")?;
    }
    if let Some(domain) = attributes.personality {
        sys::personality::set(domain).within(|| "set the personality")?;
    }
    Ok(())
}

/// A deadline is refused for reasons that the errno does not tell (sched(7)).
fn explain_deadline(error: Error) -> Error {
    if error.chain.iter().any(|part| part.contains("policy: 6")) {
        return error.with_hint("SCHED_DEADLINE needs room on the processors, and all of them in its cpuset");
    }
    error
}

/// Restricts the process to processors of its list.
pub fn set_affinity(list: Option<&Vec<usize>>) -> Result<()> {
    let Some(list) = list else { return Ok(()) };
    sys::affinity::set(list).within(|| "process.execCPUAffinity: set the affinity")
}

/// A session keyring of its own: keys of the caller are not for the container (keyrings(7)). Its serial number, where one is made.
pub fn join_keyring(name: Option<&str>, channel: &Channel) -> Result<Option<i64>> {
    let Some(name) = name else { return Ok(None) };
    let name = CString::new(name).map_err(|_| Error::new(Kind::Invalid, "the keyring's name has a NUL"))?;
    if sys::mutant!("mutant_at_keyring") {
        return Ok(Some(1));
    }
    match sys::keyring::join_session(&name) {
        // A kernel without keys has none to leak.
        Err(error) if error.errno == Errno::NOSYS => Ok(None),
        // So few are allowed to an ordinary user that it is no reason to run nothing.
        Err(error) if error.errno == Errno::DQUOT => {
            let text =
                format!("the container has the session keyring of who started it: {error} (keyrings(7))");
            channel.send(&Message::Warning(text), None).map(|()| None)
        }
        other => other.map(Some).within(|| "make a session keyring"),
    }
}
