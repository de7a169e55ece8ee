//! The order of a process that is executed in a container that runs. An order of its own: nothing is mounted, nothing is
//! made, and it shares the steps with init that make a process what it is.

use super::host_proc::HostProc;
use super::{Message, attest, attributes, exec, label, process, report, terminal, user};
use crate::channel::Channel;
use crate::container::be_brought;
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::namespace::kinds;
use crate::own_calls::Start;
use crate::plan::Process;
use crate::stage;
use cgroup::Entry;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use sys::clone3::{Namespaces, clone3_sibling};
use sys::{Context, Errno, called};

/// A process on its way into a container.
#[derive(Debug)]
pub struct Entering {
    /// The container's init.
    pub init: OwnedFd,
    /// Its namespaces that are not the caller's.
    pub namespaces: ThreadNameSpaceType,
    /// What it will be.
    pub process: Process,
    /// Its filter.
    pub seccomp: seccomp::Program,
}

/// Goes into the container's namespaces, and sets up and executes the process there: in a sibling where there is a PID
/// namespace to be born in. Returns only the exit code of a failure, or of a stage that has done its part.
pub fn run(entering: &Entering, channel: &mut Channel, entry: &Entry) -> i32 {
    match stage(entering, channel, entry) {
        Ok(code) => code,
        Err(failure) => report(channel, failure),
    }
}

fn stage(entering: &Entering, channel: &mut Channel, entry: &Entry) -> Result<i32> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG)".to_owned()))?;
    // Where it may run until it is in its cgroup, whose processors may be others (config.md, "execCPUAffinity").
    attributes::set_affinity(entering.process.attributes.initial_affinity.as_ref())?;
    be_brought(entry, channel)?;
    // Before the cgroup namespace is joined, and before anything costs memory.
    entry.enter().map_err(of_cgroup)?;
    // While /proc of the host is in reach, and privileges are there to lower the score.
    let host_proc = HostProc::open()?;
    super::set_oom_score(&host_proc, &entering.process)?;
    attributes::set_affinity(entering.process.attributes.final_affinity.as_ref())?;
    let label = label::check(&entering.process.attributes)?;
    let before = attest::Seen::now(&host_proc)?;
    // What was typed on the host is not for there, and anybody there may read it until the execve.
    if !sys::mutant!("mutant_rt_03") {
        sys::command_line::replace(c"exec")?;
    }
    // Processes of the container are to come: they must not read nor trace this one (CVE-2016-9962).
    if !sys::mutant!("mutant_rt_03_traced") {
        stage::set_dumpable(false)?;
    }
    let types = entering.namespaces;
    if !types.is_empty() {
        // All at once, in the order that the kernel needs: no half of a container is ever seen.
        move_into_thread_name_spaces(entering.init.as_fd(), types)
            .map_err(called::<Errno>(|| format!("setns(init, {types:?})")))?;
    }
    if types.contains(ThreadNameSpaceType::USER) {
        stage::become_root(entering.process.keep_groups).within(|| "become root of the user namespace")?;
    }
    if !types.contains(ThreadNameSpaceType::PROCESS_ID) {
        return Ok(set_up_and_execute(entering, channel, (&host_proc, &before, label))
            .unwrap_or_else(|failure| report(channel, failure)));
    }
    let child = clone3_sibling(Namespaces::NONE, || {
        let done = channel
            .proceed()
            .and_then(|()| set_up_and_execute(entering, channel, (&host_proc, &before, label)));
        done.unwrap_or_else(|failure| report(channel, failure))
    })?;
    channel.send(&Message::Init, Some(child.pidfd.as_fd()))?;
    Ok(0)
}

fn set_up_and_execute(
    entering: &Entering,
    channel: &Channel,
    (host_proc, before, label): (&HostProc, &attest::Seen, Option<String>),
) -> Result<i32> {
    let process = &entering.process;
    before.compare(host_proc, kinds(entering.namespaces), &[])?;
    // Not inherited from a stage.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG)".to_owned()))?;
    // No terminal of the caller is in reach.
    if !sys::mutant!("mutant_rt_29") || process.terminal.is_some() {
        rustix::process::setsid().map_err(called::<Errno>(|| "setsid".to_owned()))?;
    }
    let root = super::root::open()?;
    let pty = terminal::pair(&root, process, channel)?;
    let identity = user::identify(&root, process)?;
    exec::check_working_directory(&root, process)?;
    label::label_keys(host_proc, &process.attributes)?;
    let keyring = attributes::join_keyring(process.attributes.keyring.as_deref(), channel)?;
    let given = process::Given {
        identity: &identity,
        terminal: pty,
        host_proc,
        keyring,
        enters: true,
        start: Start::ENTERING,
        label,
        // Of the host it has nothing but what it needs until its execve, and nobody can look at that.
        let_go: &|_| Ok(()),
    };
    let taken = process::take_on((process, &entering.seccomp), given, channel)?;
    channel.send(&Message::Ready, None)?;
    match channel.receive()? {
        Some((Message::Go, _)) => {}
        Some((other, _)) => return Err(Error::new(Kind::Other, format!("unexpected message {other:?}"))),
        None => return Ok(0),
    }
    set_parent_process_death_signal(None)
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG, 0)".to_owned()))?;
    Err(taken.execute(channel))
}
