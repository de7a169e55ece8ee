//! What makes a process what it is, in the one order that init and `exec` share: attributes and limits while privileges are
//! there, then the user, the label, the command, the filter.

use super::exec::{self, Command};
use super::host_proc::HostProc;
use super::user::Identity;
use super::{attest, attributes, filter, label, terminal, user};
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::own_calls;
use crate::plan::Process;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a process is given beside its plan.
pub struct Given<'a> {
    /// Who it becomes.
    pub identity: &'a Identity,
    /// The container's end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// /proc of the host.
    pub host_proc: &'a HostProc,
    /// Its session keyring, where it was given one.
    pub keyring: Option<i64>,
    /// Whether others run already where it goes.
    pub enters: bool,
    /// How it is to be started.
    pub start: own_calls::Start,
    /// Its SELinux label as the kernel says it.
    pub label: Option<String>,
    /// Lets go of everything of the host but these.
    pub let_go: &'a dyn Fn(&[BorrowedFd<'_>]) -> Result<()>,
}

/// A process that is what it is to be.
pub struct Taken<'a> {
    process: &'a Process,
    command: Command,
    /// The filter, where it is still to be set, and what tells whether it was.
    last: Option<(&'a seccomp::Program, attest::Status)>,
}

impl Taken<'_> {
    /// Executes the command; returns only what failed.
    pub fn execute(&self, channel: &Channel) -> Error {
        exec::execute(self.process, &self.command, || {
            let Some((seccomp, status)) = &self.last else { return Ok(()) };
            filter(seccomp, channel)?;
            status.has_filter(seccomp)
        })
    }
}

/// Takes all of it on; what is left is the execve, and right before it the filter where that may come so late.
pub fn take_on<'a>(
    (process, seccomp): (&'a Process, &'a seccomp::Program),
    given: Given<'_>,
    channel: &Channel,
) -> Result<Taken<'a>> {
    let Given { identity, terminal, host_proc, keyring, enters, start, label, let_go } = given;
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
    if own_calls::filter_is_last(process, seccomp, start) {
        // A profile has to allow the command what it needs, and nothing that is done here.
        return Ok(Taken { process, command, last: Some((seccomp, status)) });
    }
    // Whatever could still change the process comes before the filter.
    if process.no_new_privileges {
        filter(seccomp, channel)?;
    }
    // That one which asks is there says its descriptor; who would answer for this call comes later.
    if !seccomp.instructions.is_empty() && !seccomp.notifies {
        status.has_filter(seccomp)?;
    }
    Ok(Taken { process, command, last: None })
}
