//! What was set is read again, through a /proc that is proc, before the command may run. Whatever differs from the plan is an
//! error: then nothing is executed, and all of the container is taken back.
//!
//! A call that reports success and did nothing, a step that somebody leaves out, a file that is not the kernel's: none of them is
//! seen by the step itself.

mod mounts;
mod namespaces;
mod status;

pub use mounts::{Attached, mounts};
pub use namespaces::Seen;
pub use status::Status;

use super::host_proc::HostProc;
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, Process};
use rustix::process::{DumpableBehavior, dumpable_behavior};
use sys::{Errno, called};

/// What is said of a difference.
fn differs(what: &str, found: &dyn std::fmt::Display, meant: &dyn std::fmt::Display) -> Error {
    Error::new(
        Kind::Other,
        format!("attestation: {what} is {found}, and is to be {meant}: nothing was executed"),
    )
}

/// Whether nothing is read again: never, but in a build that shows what the reading takes.
fn left_out() -> bool {
    sys::mutant!("mutant_at_all")
}

/// The cgroup, as whoever is outside of it sees it; before a cgroup namespace makes this process's own the root.
pub fn cgroup(proc: &HostProc, cgroup: &cgroup::Cgroup) -> Result<()> {
    if left_out() {
        return Ok(());
    }
    let table = proc.read("cgroup")?;
    match cgroup.missing(&table) {
        None => Ok(()),
        Some((hierarchy, found)) => Err(differs(&format!("the cgroup of {hierarchy}"), &found, &cgroup.name)),
    }
}

/// What belongs to the container and not to one process.
pub fn names(plan: &Plan) -> Result<()> {
    if left_out() {
        return Ok(());
    }
    let uname = rustix::system::uname();
    for (what, wanted, found) in [
        ("the host name", &plan.hostname, uname.nodename()),
        ("the domain name", &plan.domainname, uname.domainname()),
    ] {
        if !wanted.is_empty() && found.to_bytes() != wanted.as_bytes() {
            return Err(differs(what, &found.to_string_lossy(), wanted));
        }
    }
    Ok(())
}

/// What a process has beside what its status says; before its filter, which may refuse to let it look.
pub fn process(proc: &HostProc, process: &Process, keyring: Option<i64>, enters: bool) -> Result<()> {
    if left_out() {
        return Ok(());
    }
    if let Some(score) = process.oom_score_adj {
        let found = proc.read("oom_score_adj")?;
        if found.trim() != score.to_string() {
            return Err(differs("oom_score_adj", &found.trim(), &score));
        }
    }
    if let Some(meant) = keyring {
        let found = sys::keyring::session()?;
        if found != meant {
            return Err(differs("the session keyring", &found, &meant));
        }
    }
    if enters {
        // While processes of the container are there that could read it, or trace it (CVE-2016-9962).
        let found = dumpable_behavior().map_err(called::<Errno>(|| "prctl(PR_GET_DUMPABLE)".to_owned()))?;
        if found == DumpableBehavior::Dumpable {
            return Err(differs("PR_GET_DUMPABLE", &1, &0));
        }
    }
    descriptors(proc, process)
}

/// Resource limits.
pub fn limits(process: &Process) -> Result<()> {
    if left_out() {
        return Ok(());
    }
    for (resource, soft, hard) in &process.rlimits {
        let found = sys::resource_limit::get(*resource)?;
        let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let (found, meant) = ((number(found.current), number(found.maximum)), (*soft, *hard));
        if found != meant {
            return Err(differs(&format!("{resource:?}"), &format!("{found:?}"), &format!("{meant:?}")));
        }
    }
    Ok(())
}

/// The label that the next execve gives; `selinux` is what the kernel makes of the one that was asked for.
pub fn label(proc: &HostProc, process: &Process, selinux: Option<&str>) -> Result<()> {
    if left_out() {
        return Ok(());
    }
    let attributes = &process.attributes;
    let Some((name, found)) = super::label::differs(proc, attributes, selinux)? else { return Ok(()) };
    let meant = if name == "apparmor" { &attributes.apparmor } else { &attributes.selinux };
    Err(differs(&format!("the label of {name}"), &found, meant.as_ref().unwrap_or(&String::new())))
}

/// Only what was promised passes through the execve: everything else is closed by it, from its birth on.
fn descriptors(proc: &HostProc, process: &Process) -> Result<()> {
    use rustix::fs::{Dir, OFlags};
    let list = proc.own("fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let list = Dir::new(list).map_err(called::<Errno>(|| "opendir(\"/proc/thread-self/fd\")".to_owned()))?;
    for entry in list {
        let entry = entry.map_err(called::<Errno>(|| "readdir(\"/proc/thread-self/fd\")".to_owned()))?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok());
        let Some(number) = number.filter(|number| i64::from(*number) >= 3 + i64::from(process.preserved_fds))
        else {
            continue;
        };
        if sys::close_range::stays_open(number) && !sys::mutant!("mutant_rt_13") {
            return Err(differs(&format!("descriptor {number}"), &"open for the command", &"closed"));
        }
    }
    Ok(())
}
