//! What makes a process what it is, in the one order that init and `exec` share: attributes and limits while privileges are
//! there, then the user, the label, the command, the filter.

use super::exec::{self, Command};
use super::host_proc::HostProc;
use super::user::Identity;
use super::{attest, attributes, filter, label, terminal, user};
use crate::channel::Channel;
use crate::error::Result;
use crate::plan::Process;
use rustix::fd::OwnedFd;

/// What a process is given beside its plan.
pub struct Given<'a> {
    /// Who it becomes.
    pub identity: &'a Identity,
    /// The container's end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// Its filter.
    pub seccomp: &'a seccomp::Program,
    /// /proc of the host.
    pub host_proc: &'a HostProc,
    /// Its session keyring, where it was given one.
    pub keyring: Option<i64>,
    /// Whether others run already where it goes.
    pub enters: bool,
}

/// Takes all of it on; what is left is the execve.
pub fn take_on(process: &Process, given: Given<'_>, channel: &Channel) -> Result<Command> {
    let Given { identity, terminal, seccomp, host_proc, keyring, enters } = given;
    // While privileges are there that a priority takes.
    attributes::set(&process.attributes)?;
    exec::set_limits(process)?;
    if let Some(pty) = terminal {
        terminal::take(pty, identity)?;
    }
    exec::own_standard_descriptors(identity.uid)?;
    // Read again before the filter, which may refuse to let it be; the status is opened now, and read when it is set.
    if sys::mutant!("mutant_at_descriptors") {
        // One that an execve keeps.
        let leaked =
            rustix::io::dup(rustix::stdio::stderr()).map_err(sys::called::<sys::Errno>(String::new))?;
        let _kept_open = rustix::fd::IntoRawFd::into_raw_fd(leaked);
    }
    attest::process(host_proc, process, keyring, enters)?;
    let status = attest::Status::open(host_proc)?;
    // A process that may gain privilege can be given a filter only by one that has CAP_SYS_ADMIN still (seccomp(2)): the
    // profile then has to allow what is left to do.
    if !process.no_new_privileges {
        filter(seccomp, channel)?;
    }
    // The bounding set falls before the user id does: it takes CAP_SETPCAP, which the change of id may end.
    let groups_set = user::become_identity(process, identity)?;
    label::set(host_proc, &process.attributes)?;
    attest::label(host_proc, process)?;
    let command = exec::prepare(process, identity)?;
    status.compare(process, identity, groups_set)?;
    // Last of all: whatever could still change the process comes before the filter.
    if process.no_new_privileges {
        filter(seccomp, channel)?;
    }
    if !seccomp.instructions.is_empty() {
        status.has_filter()?;
    }
    Ok(command)
}
