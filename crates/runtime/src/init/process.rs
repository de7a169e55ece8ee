//! What makes a process what it is, in the one order that init and `exec` share: attributes and limits while privileges are
//! there, then the user, the label, the command, the filter.

use super::exec::{self, Command};
use super::host_proc::HostProc;
use super::user::Identity;
use super::{attest, attributes, filter, label, terminal, user};
use crate::channel::Channel;
use crate::error::Result;
use crate::plan::Process;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

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
    /// Its SELinux label as the kernel says it.
    pub label: Option<String>,
    /// Lets go of everything of the host but these.
    pub let_go: &'a dyn Fn(&[BorrowedFd<'_>]) -> Result<()>,
}

/// Takes all of it on; what is left is the execve.
pub fn take_on(process: &Process, given: Given<'_>, channel: &Channel) -> Result<Command> {
    let Given { identity, terminal, seccomp, host_proc, keyring, enters, label, let_go } = given;
    // While privileges are there that a priority takes.
    attributes::set(&process.attributes)?;
    if let Some(pty) = terminal {
        terminal::take(pty, identity)?;
    }
    exec::own_standard_descriptors(identity.uid)?;
    if sys::mutant!("mutant_at_descriptors") {
        // One that an execve keeps.
        let leaked =
            rustix::io::dup(rustix::stdio::stderr()).map_err(sys::called::<sys::Errno>(String::new))?;
        let _kept_open = rustix::fd::IntoRawFd::into_raw_fd(leaked);
    }
    // Read again before the filter, which may refuse to let it be; the status is opened now, and read when all is set.
    attest::process(host_proc, process, keyring, enters)?;
    let status = attest::Status::open(host_proc)?;
    // Before the limit of descriptors, and before the filter: it may ask somebody who comes later, or have no place for it. A label is
    // still to be written.
    let labelled = process.attributes.apparmor.is_some() || process.attributes.selinux.is_some();
    let mut kept = status.descriptors();
    kept.extend(labelled.then(|| host_proc.as_fd()));
    let_go(&kept)?;
    exec::set_limits(process)?;
    attest::limits(process)?;
    // A process that may gain privilege can be given a filter only by one that has CAP_SYS_ADMIN still (seccomp(2)): the
    // profile then has to allow what is left to do.
    if !process.no_new_privileges {
        filter(seccomp, channel)?;
    }
    // The bounding set falls before the user id does: it takes CAP_SETPCAP, which the change of id may end.
    let groups_set = user::become_identity(process, identity)?;
    label::set(host_proc, &process.attributes)?;
    if labelled {
        attest::label(host_proc, process, label.as_deref())?;
        let_go(&status.descriptors())?;
    }
    let command = exec::prepare(process, identity)?;
    status.compare(process, identity, groups_set)?;
    // Last of all: whatever could still change the process comes before the filter.
    if process.no_new_privileges {
        filter(seccomp, channel)?;
    }
    // That one which asks is there says its descriptor; who would answer for this call comes later.
    if !seccomp.instructions.is_empty() && !seccomp.notifies {
        status.has_filter()?;
    }
    Ok(command)
}
