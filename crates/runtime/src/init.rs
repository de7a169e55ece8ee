//! Everything that runs in the child, in its order. Each step says why it stands where it does.
//!
//! A new root comes first and everything after it happens inside: no path is resolved again on the host. What has
//! to come from the host (bind sources, new file systems, device nodes to bind) is opened before, as detached
//! mounts, and then only moved.

mod devices;
mod exec;
mod fill;
mod masks;
mod mounts;
mod overlay;
mod pieces;
mod reaper;
mod root;
mod terminal;
mod user;

use crate::channel::{Channel, Message};
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::plan::Plan;
use cgroup::Entry;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::system::sethostname;
use sys::clone3::{Namespaces, unshare};
use sys::{Context, Errno, called};

/// Runs the child: sets everything up, waits for the start, executes. Returns only the exit code of a failure.
pub fn run(plan: &Plan, channel: &mut Channel, entry: &Entry) -> i32 {
    let failure = match set_up_and_execute(plan, channel, entry) {
        // The parent went away before the start: there is nobody to tell.
        Ok(code) => return code,
        Err(failure) => failure,
    };
    report(channel, failure)
}

/// Tells the parent what failed; the exit code says whether that worked.
fn report(channel: &Channel, failure: Error) -> i32 {
    let Error { kind, chain, hint } = failure;
    // If even this cannot be said, the parent sees the end of the stream, which it reports as a death of init.
    let told = channel.send(&Message::Failed { kind, chain, hint }, None);
    if told.is_err() { 71 } else { 70 }
}

fn set_up_and_execute(plan: &Plan, channel: &mut Channel, entry: &Entry) -> Result<i32> {
    // Before anything is made: a parent that is killed takes this process along, and the kernel all that it holds.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG)".to_owned()))?;
    // Given, not looked up by the parent: once we are another user, /proc shows it to root of the host alone. And at once,
    // so that the network is made while we mount.
    if plan.namespaces.has(Namespaces::NETWORK) {
        let path = "/proc/self/ns/net";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open(path, flags, Mode::empty())
            .map_err(called::<Errno>(|| format!("open({path:?})")))?;
        channel.send(&Message::Network, Some(own.as_fd()))?;
    }
    // Born in the v2 cgroup, if there is one; into those of v1 we go ourselves. Before anything costs memory, and
    // before the namespace below takes its root from where we are.
    entry.enter().map_err(of_cgroup)?;
    // Not at clone3: there it would take the parent's cgroup as its root, not ours (cgroup_namespaces(7)).
    if plan.cgroup_namespace {
        unshare(Namespaces::CGROUP)?;
    }
    // A session of its own before the terminal becomes its controlling one; keeps the caller's terminal out of reach.
    rustix::process::setsid().map_err(called::<Errno>(|| "setsid".to_owned()))?;
    // While /proc of the host is in reach, and privileges are there to lower the score.
    if let Some(score) = plan.process.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", score.to_string())
            .map_err(called(|| format!("write \"/proc/self/oom_score_adj\" {score}")))?;
    }

    root::make_private()?;
    let new_root = root::prepare(plan).within(|| "prepare the root file system")?;
    // Opened before the old root goes: sources are on the host, and proc may only be made new where one is seen.
    let sources = mounts::prepare(plan)?;
    let nodes = devices::prepare(plan)?;
    let empty = masks::prepare(plan)?;
    root::pivot(&new_root)?;

    // From here every path is resolved in the new root, with the old one out of reach.
    let root = root::open()?;
    mounts::attach(&root, sources)?;
    devices::attach(&root, plan, nodes)?;
    // After /dev/pts is there and before descriptors 0 to 2 are the container's.
    let pty = terminal::open(&root, plan, channel)?;

    if !plan.hostname.is_empty() {
        sethostname(plan.hostname.as_bytes())
            .map_err(called::<Errno>(|| format!("sethostname({:?})", plan.hostname)))
            .within(|| format!("set host name {:?}", plan.hostname))?;
    }
    // Before /proc/sys is made read-only, after the namespaces they belong to are ours.
    masks::write_sysctls(&root, plan)?;
    // After every mount and write: nothing below may change any more.
    masks::attach(&root, plan, empty)?;
    // The working directory is made while the root can still be written.
    let identity = user::identify(&root, plan)?;
    exec::make_working_directory(&root, plan)?;
    if plan.root_read_only {
        root::make_read_only(&root)?;
    }

    exec::set_limits(plan)?;
    if let Some(pty) = pty {
        terminal::take(pty, &identity)?;
    }
    // The bounding set falls before the user id does: it takes CAP_SETPCAP, which the change of id may end.
    user::become_identity(plan, &identity)?;
    let command = exec::prepare(plan, &identity)?;
    // Last of all: whatever could still change the process comes before the filter.
    if !plan.seccomp.instructions.is_empty() {
        sys::seccomp::set_filter(&plan.seccomp.instructions, plan.seccomp.flags)?;
    }

    channel.send(&Message::Ready, None)?;
    if !proceeds(channel)? {
        return Ok(0);
    }
    // The parent has written down that we live: from here we do so without it.
    set_parent_process_death_signal(None)
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG, 0)".to_owned()))?;
    if plan.process.reaper {
        return reaper::attend(channel, |channel| report(channel, exec::execute(plan, &command)));
    }
    Err(exec::execute(plan, &command))
}

/// Waits for the parent's word; false when the parent is gone.
fn proceeds(channel: &Channel) -> Result<bool> {
    match channel.receive()? {
        Some((Message::Go, _)) => Ok(true),
        Some((other, _)) => Err(Error::new(Kind::Other, format!("unexpected message {other:?}"))),
        None => Ok(false),
    }
}
