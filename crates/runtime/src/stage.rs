//! The process between a parent and init, where init has to be made from inside of namespaces that the parent is not in.
//!
//! It is born in the container's cgroup, goes into the namespaces one after the other, makes init as a child of its own
//! parent, and ends. Nothing of it stays.

use crate::channel::{Channel, Message};
use crate::error::{Error, Result};
use crate::namespace::Open;
use crate::plan::{Plan, TimeOffset};
use rustix::fd::AsFd;
use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use sys::clone3::{Namespaces, clone3_sibling, unshare};
use sys::{Context, Errno, called};

/// Goes into the namespaces of `plan` and makes a sibling that runs `init`.
pub fn run(
    plan: &Plan,
    joined: &[Open],
    channel: &mut Channel,
    init: impl FnOnce(&mut Channel) -> i32,
) -> Result<()> {
    // A parent that is killed leaves nobody to go on for.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG)".to_owned()))?;
    if plan.joins(Namespaces::USER) {
        // For init, which has a copy of it: in there its own memory is not in reach, see below.
        sys::command_line::replace(c"init")?;
    }
    let refused = join_what_may_be(joined)?;
    enter_user_namespace(plan, joined, channel)?;
    for namespace in refused {
        namespace.enter()?;
    }
    let mut rest = plan.namespaces.without(Namespaces::USER);
    if rest.has(Namespaces::TIME) {
        // Before the first process is in it: afterwards its clocks are fixed (time_namespaces(7)).
        unshare(Namespaces::TIME)?;
        set_dumpable(true)?;
        set_clocks(&plan.time_offsets)?;
        rest = rest.without(Namespaces::TIME);
    }
    // Last of the joined: behind it paths lead elsewhere.
    for namespace in joined.iter().filter(|one| one.kind == Namespaces::MOUNT) {
        namespace.enter()?;
    }
    // Init may be seen by processes that are in these namespaces already: not to be read nor traced by them.
    set_dumpable(plan.namespaces.has(Namespaces::USER) && !plan.joins(Namespaces::PID))?;
    let child = clone3_sibling(rest, || init(channel))?;
    channel.send(&Message::Init, Some(child.pidfd.as_fd()))
}

/// Joins with the parent's privileges; returns those that only the owner of the user namespace may join.
fn join_what_may_be(joined: &[Open]) -> Result<Vec<&Open>> {
    let mut refused = Vec::new();
    for namespace in joined {
        // The cgroup namespace is init's to join, from inside its cgroup.
        if [Namespaces::USER, Namespaces::MOUNT, Namespaces::CGROUP].contains(&namespace.kind) {
            continue;
        }
        match namespace.enter() {
            Ok(()) => {}
            Err(error) if error.errno == Errno::PERM => refused.push(namespace),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused)
}

/// A process that has changed its ids is not dumpable, and its files in /proc are not its own (proc(5)).
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    let behavior = if dumpable { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    set_dumpable_behavior(behavior)
        .map_err(called::<Errno>(|| format!("prctl(PR_SET_DUMPABLE, {})", u8::from(dumpable))))?;
    Ok(())
}

fn enter_user_namespace(plan: &Plan, joined: &[Open], channel: &Channel) -> Result<()> {
    if let Some(namespace) = joined.iter().find(|one| one.kind == Namespaces::USER) {
        namespace.enter()?;
        return become_root(plan.process.keep_groups).within(|| "become root of the user namespace");
    }
    if plan.namespaces.has(Namespaces::USER) {
        unshare(Namespaces::USER)?;
        channel.send(&Message::Map, None)?;
        channel.proceed()?;
        return become_root(plan.process.keep_groups).within(|| "become root of the user namespace");
    }
    Ok(())
}

/// Takes on the ids of root in a user namespace, where it has them: what is made from here on belongs to it.
pub fn become_root(keep_groups: bool) -> Result<()> {
    let not_there = |error: &Errno| *error == Errno::INVAL;
    // Groups of the host mean nothing in here; where setgroups(2) is denied there is nothing to be done about them.
    match if keep_groups { Ok(()) } else { set_thread_groups(&[]) } {
        Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
        Err(errno) => return Err(called::<Errno>(|| "setgroups([])".to_owned())(errno).into()),
    }
    match set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT) {
        Err(errno) if !not_there(&errno) => {
            return Err(called::<Errno>(|| "setresgid(0)".to_owned())(errno).into());
        }
        _ => {}
    }
    match set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT) {
        Err(errno) if !not_there(&errno) => Err(called::<Errno>(|| "setresuid(0)".to_owned())(errno).into()),
        _ => Ok(()),
    }
}

fn set_clocks(offsets: &[TimeOffset]) -> Result<()> {
    let path = "/proc/self/timens_offsets";
    let text: String =
        offsets.iter().map(|one| format!("{} {} {}\n", one.clock, one.seconds, one.nanoseconds)).collect();
    if text.is_empty() {
        return Ok(());
    }
    std::fs::write(path, &text)
        .map_err(called(|| format!("write({path:?}, {text:?})")))
        .map_err(Error::from)
        .within(|| "set the clocks of the time namespace")
}
