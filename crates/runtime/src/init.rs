//! Everything that runs in the child, in its order. Each step says why it stands where it does.
//!
//! A new root comes first and everything after it happens inside: no path is resolved again on the host. What has
//! to come from the host (bind sources, new file systems, device nodes to bind) is opened before, as detached
//! mounts, and then only moved.

mod attest;
mod attributes;
mod devices;
mod diagnosis;
pub mod enter;
mod exec;
mod fill;
mod hook_place;
pub mod host_proc;
pub mod label;
mod masks;
pub mod mounts;
pub mod offline;
mod overlay;
mod pieces;
mod process;
mod reaper;
mod root;
mod target;
mod terminal;
mod user;

pub use attest::Seen;
pub use overlay::follows_marks;
pub(crate) use target::{Missing, target};

use crate::channel::{Channel, Message};
use crate::error::{Error, Kind, Result, of_cgroup, shortened};
use crate::gate;
use crate::namespace::Open;
use crate::net_devices::route::Route;
use crate::own_calls::Start;
use crate::plan::{Plan, Process};
use crate::state::{Record, Status};
use crate::steps::step;
use cgroup::Entry;
use host_proc::HostProc;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::system::{setdomainname, sethostname};
use sys::clone3::{Namespaces, unshare};
use sys::{Context, Errno, called};

/// The index of the first link of a network namespace.
const LOOPBACK: i32 = 1;

/// What init brings from outside.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// The way into its cgroup.
    pub entry: &'a Entry,
    /// The namespaces that are joined; only a cgroup namespace is left to init.
    pub joined: &'a [Open],
    /// The sources of mounts that the parent has opened.
    pub opened: &'a mounts::Opened,
    /// Where `start` comes to, when it is another process.
    pub gate: Option<&'a OwnedFd>,
    /// /proc of the host.
    pub host_proc: &'a HostProc,
    /// The parent's namespaces.
    pub namespaces: &'a attest::Seen,
    /// Its cgroup.
    pub cgroup: Option<&'a cgroup::Cgroup>,
}

/// Opens the root that this process is in.
pub fn open_root() -> Result<OwnedFd> {
    root::open()
}

/// Runs the child: sets everything up, waits for the start, executes. Returns only the exit code of a failure.
pub fn run(plan: &Plan, channel: &mut Channel, outside: &Outside<'_>) -> i32 {
    let failure = match set_up_and_execute(plan, channel, outside) {
        // The parent went away before the start: there is nobody to tell.
        Ok(code) => return code,
        Err(failure) => failure,
    };
    report(channel, failure)
}

/// The longest part of an error that is told to the parent.
const LONGEST: usize = 2048;

/// Tells the parent what failed; the exit code says whether that worked.
pub fn report(channel: &Channel, failure: Error) -> i32 {
    let Error { kind, chain, hint } = failure;
    // What does not fit into a message is not told at all.
    let short = |text: String| shortened(&text, LONGEST).into_owned();
    let (chain, hint) = (chain.into_iter().map(short).collect(), hint.map(short));
    // If even this cannot be said, the parent sees the end of the stream, which it reports as a death of init.
    let told = channel.send(&Message::Failed { kind, chain, hint }, None);
    if told.is_err() { 71 } else { 70 }
}

fn set_up_and_execute(plan: &Plan, channel: &mut Channel, outside: &Outside<'_>) -> Result<i32> {
    let Outside { entry, joined, gate, opened, host_proc, namespaces, cgroup } = *outside;
    let process = &plan.process;
    crate::steps::play(2);
    // Before anything is made: a parent that is killed takes this process along, and the kernel all that it holds.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG)".to_owned()))?;
    // Given, not looked up by the parent: once we are another user, /proc shows it to root of the host alone. And at once,
    // so that the network is made while we mount.
    if plan.shows_network || !plan.net_devices.is_empty() {
        let path = "/proc/self/ns/net";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open(path, flags, Mode::empty())
            .map_err(called::<Errno>(|| format!("open({path:?})")))?;
        channel.send(&Message::Network, Some(own.as_fd()))?;
        if !plan.net_devices.is_empty() {
            // Before the hooks and the kernel parameters, which may be about them.
            channel.proceed()?;
        }
    }
    if plan.namespaces.has(Namespaces::NETWORK) {
        // A program that speaks to itself works in any container, as with runc; a new namespace has this one link, and it is down.
        step("loopback: up", "netlink(7)", || Route::open()?.set_up(LOOPBACK))
            .within(|| "set the loopback up")?;
    }
    // Born in the v2 cgroup, if there is one; into those of v1 we go ourselves. Before anything costs memory, and
    // before the namespace below takes its root from where we are.
    if !sys::mutant!("mutant_at_cgroup") {
        step("cgroups of v1 are entered from within", "write(2)", || entry.enter().map_err(of_cgroup))?;
    }
    if let Some(cgroup) = cgroup {
        attest::cgroup(host_proc, cgroup)?;
    }
    // Not at clone3: there it would take the parent's cgroup as its root, not ours (cgroup_namespaces(7)).
    if plan.cgroup_namespace {
        step("cgroup namespace: it sees its own as the root", "unshare(2), cgroup_namespaces(7)", || {
            unshare(Namespaces::CGROUP)
        })?;
    }
    for namespace in joined.iter().filter(|one| one.kind == Namespaces::CGROUP) {
        namespace.enter()?;
    }
    if gate.is_some() && !plan.joins(Namespaces::USER) {
        // It is seen in the container until its start: what was typed on the host is not for there.
        sys::command_line::replace(c"init")?;
    }
    // A session of its own before the terminal becomes its controlling one; keeps the caller's terminal out of reach.
    if !sys::mutant!("mutant_rt_29") || process.terminal.is_some() {
        step("session of its own: no terminal of the caller is in reach", "setsid(2)", || {
            rustix::process::setsid().map_err(called::<Errno>(|| "setsid".to_owned()))
        })?;
    }
    // While /proc of the host is in reach, and privileges are there to lower the score.
    set_oom_score(host_proc, process)?;
    let label = label::check(&process.attributes)?;
    label::label_keys(host_proc, &process.attributes)?;
    let keyring = attributes::join_keyring(process.attributes.keyring.as_deref(), channel)?;

    step("mount namespace: what is mounted in here stays in here", "mount(2), mount_namespaces(7)", || {
        root::set_host_propagation(plan)
    })?;
    let new_root = step(
        "new root: the image's layers, and a layer for changes",
        "mount(2), open_tree(2), fsconfig(2)",
        || root::prepare(plan, opened.root.as_ref()).within(|| "prepare the root file system"),
    )?;
    // Opened before the old root goes: sources are on the host, and proc may only be made new where one is seen.
    let sources = step(
        "mounts: opened on the host's side, attached nowhere",
        "fsopen(2), fsmount(2), open_tree(2)",
        || mounts::prepare(plan, opened),
    )?;
    let empty = step("an empty directory for all that is masked", "fsmount(2)", || {
        masks::prepare(plan, opened.null.as_ref())
    })?;
    // Inside the new root, by descriptor: the hooks below are to find it as the container will.
    let mut late =
        step("mounts: moved into the new root, by descriptor", "openat2(2), move_mount(2)", || {
            mounts::attach(&new_root, sources)
        })?;
    step("devices: the few that every container has", "mknod(2)", || {
        devices::attach(&new_root, plan, &mut late.attached)
    })?;
    run_create_hooks(plan, channel, &new_root)?;
    exec::make_working_directory_by_path(&new_root, process);
    step("the new root is entered, and the host's is gone", "pivot_root(2), umount2(2)", || {
        root::enter(&new_root, plan)
    })?;

    // From here every path is resolved in the new root, with the old one out of reach.
    let root = root::open()?;
    root::set_propagation(&root, plan)?;
    // After /dev/pts is there and before descriptors 0 to 2 are the container's.
    let pty = step("a terminal of its own, where one is wanted", "openpty(3)", || {
        terminal::open(&root, process, channel, &mut late.attached)
    })?;

    if !plan.hostname.is_empty() && !sys::mutant!("mutant_at_names") {
        step("host name: its own", "sethostname(2), uts_namespaces(7)", || {
            sethostname(plan.hostname.as_bytes())
        })
        .map_err(called::<Errno>(|| format!("sethostname({:?})", plan.hostname)))
        .within(|| format!("set host name {:?}", plan.hostname))?;
    }
    if !plan.domainname.is_empty() && !sys::mutant!("mutant_at_domain") {
        setdomainname(plan.domainname.as_bytes())
            .map_err(called::<Errno>(|| format!("setdomainname({:?})", plan.domainname)))
            .within(|| format!("set domain name {:?}", plan.domainname))?;
    }
    // Before /proc/sys is made read-only, after the namespaces they belong to are ours.
    step("kernel parameters of its namespaces", "proc_sys(5)", || masks::write_sysctls(&root, plan))?;
    // After every mount and write: nothing below may change any more.
    let mut attached =
        step("mounts that are read-only become so", "mount_setattr(2)", || mounts::finish(late))?;
    // The working directory is made while the root can still be written, and before masks: it may be one, or be in one.
    exec::make_working_directory(&root, process)?;
    step(
        "paths of the kernel that tell or change too much are masked",
        "mount_setattr(2), move_mount(2)",
        || masks::attach(&root, plan, empty, &mut attached),
    )?;
    let identity = step("its user, looked up in the container's own files", "openat2(2), passwd(5)", || {
        user::identify(&root, process)
    })?;
    exec::check_working_directory(&root, process)?;
    if plan.root_read_only && !sys::mutant!("mutant_at_root") {
        root::make_read_only(&root)?;
    }
    // After the last mount, and while it may be looked at: the user may not see everything.
    step(
        "what was set is read again: names, mounts, namespaces",
        "statx(2), statfs(2), namespaces(7)",
        || {
            attest::names(plan)?;
            attest::mounts(&root, plan, &attached)?;
            namespaces.compare(host_proc, plan.namespaces.and(own_cgroup(plan)), joined)
        },
    )?;

    drop((root, new_root));
    let let_go = |kept: &[BorrowedFd<'_>]| let_go(plan, (channel, gate), kept);
    let given = process::Given {
        identity: &identity,
        terminal: pty,
        host_proc,
        keyring,
        enters: false,
        start: how_it_starts(plan, gate.is_some()),
        label,
        let_go: &let_go,
    };
    let taken = step(
        "limits, user, capabilities, label, filter of system calls",
        "prlimit(2), setresuid(2), capset(2), seccomp(2)",
        || process::take_on((process, &plan.seccomp), given, channel),
    )?;

    channel.send(&Message::Ready, None)?;
    if !proceeds(channel, gate)? {
        return Ok(0);
    }
    if !plan.hooks.start_container.is_empty() {
        // The last before the command, in its place and as its user (config.md, "StartContainer Hooks").
        let state = Record::of(plan, None).state_json(Status::Created, inner_id())?;
        plan.hooks.run("startContainer", &plan.hooks.start_container, &state)?;
    }
    if process.reaper {
        return reaper::attend(channel, |channel| report(channel, taken.execute(channel)));
    }
    Err(taken.execute(channel))
}

/// How a container is started: at once without a hook, which may be a program of the container's, and without a small init, which is to have
/// the filter too.
pub fn how_it_starts(plan: &Plan, gate: bool) -> Start {
    Start { gate, at_once: plan.hooks.start_container.is_empty() && !plan.process.reaper }
}

/// The cgroup namespace is not made with the others.
fn own_cgroup(plan: &Plan) -> Namespaces {
    if plan.cgroup_namespace { Namespaces::CGROUP } else { Namespaces::NONE }
}

fn set_oom_score(host_proc: &HostProc, process: &Process) -> Result<()> {
    if let Some(score) = process.oom_score_adj.filter(|_| !sys::mutant!("mutant_at_oom_score")) {
        host_proc.write("oom_score_adj", &score.to_string())?;
    }
    Ok(())
}

/// Nothing of the host is in reach from here on: a command that is looked up by a descriptor, a process that comes in before the
/// start, and a small init that stays would find it.
fn let_go(plan: &Plan, (channel, gate): (&Channel, Option<&OwnedFd>), kept: &[BorrowedFd<'_>]) -> Result<()> {
    let mut kept = kept.to_vec();
    kept.push(channel.as_fd());
    kept.extend(gate.map(AsFd::as_fd));
    kept.extend(crate::steps::descriptors());
    if sys::mutant!("mutant_rt_13") {
        return Ok(());
    }
    sys::close_range::close_inherited(3 + plan.process.preserved_fds, &kept)?;
    if !plan.has_user_namespace() {
        // Its memory is a copy of the runtime's. In a user namespace of its own the parent, who may be no more than its owner, could not
        // look after it then, and what comes in there has its own capabilities alone.
        crate::stage::set_dumpable(false)?;
    }
    Ok(())
}

fn filter(program: &seccomp::Program, channel: &Channel) -> Result<()> {
    if program.notifies {
        let listener = sys::seccomp::set_filter_with_listener(&program.instructions, program.flags)?;
        return channel.send(&Message::Listener, Some(listener.as_fd()));
    }
    if !program.instructions.is_empty() && !sys::mutant!("mutant_at_filter") {
        sys::seccomp::set_filter(&program.instructions, program.flags)?;
    }
    Ok(())
}

/// Waits for the word to go on: from the parent, or from `start` at the gate. False when the parent is gone.
fn proceeds(channel: &mut Channel, gate: Option<&OwnedFd>) -> Result<bool> {
    let heard = channel.receive()?;
    let live_on = || {
        // The parent has written down that we live: from here we do so without it.
        set_parent_process_death_signal(None)
            .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG, 0)".to_owned()))
    };
    match (heard, gate) {
        (None, _) => Ok(false),
        (Some((Message::Go, _)), _) => {
            live_on()?;
            Ok(true)
        }
        (Some((Message::Commit, _)), Some(gate)) => {
            live_on()?;
            // The parent takes the end of the stream for the answer.
            channel.close()?;
            *channel = gate::wait(gate)?;
            // Nobody may come after the one that was let in: the next one hears at once that nobody waits.
            rustix::net::shutdown(gate, rustix::net::Shutdown::Both)
                .map_err(called::<Errno>(|| "shutdown(gate)".to_owned()))?;
            Ok(true)
        }
        (Some((other, _)), _) => Err(Error::new(Kind::Other, format!("unexpected message {other:?}"))),
    }
}

/// The hooks of create: those of the runtime's namespaces by the parent, those of the container's here. The root is mounted
/// and not yet entered (config.md, "CreateRuntime Hooks", "CreateContainer Hooks").
fn run_create_hooks(plan: &Plan, channel: &Channel, new_root: &OwnedFd) -> Result<()> {
    let hooks = &plan.hooks;
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        channel.send(&Message::Hooks, None)?;
        channel.proceed()?;
    }
    if hooks.create_container.is_empty() {
        return Ok(());
    }
    let mut record = Record::of(plan, None);
    if let Some(place) = hook_place::prepare(plan, new_root)? {
        record.bundle = place;
    }
    hooks.run("createContainer", &hooks.create_container, &record.state_json(Status::Creating, inner_id())?)
}

/// The id that init has in the container's namespaces, where the state is read.
fn inner_id() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
