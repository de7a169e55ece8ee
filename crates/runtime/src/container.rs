//! A container on its way from a plan to a running process, as its parent sees it.
//!
//! ```text
//! launch -> Launch (init is setting up; the parent may do other work) -> ready -> Created -> start -> Running
//!                                                                                         -> commit (init waits at the gate)
//! ```
//! Whatever fails, the record is worked off before the error is returned.

use crate::channel::{Channel, Heard, Message, pair};
use crate::criu::descriptors;
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::hooks::Hooks;
use crate::init::host_proc::HostProc;
use crate::init::mounts::{Opened, open_in_parent};
use crate::init::{self, Seen};
use crate::net_devices::{self, NetDevice};
use crate::plan::Plan;
use crate::rdt::Wish;
use crate::state::{self, Init, Phase, Record, Status};
use crate::steps::step;
use crate::{gate, id_map, namespace, notify, own_calls, stage};
use cgroup::systemd::Held;
use cgroup::{Cgroup, Entry};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::path::{Path, PathBuf};
use sys::clone3::{Child, Namespaces, clone3};
use sys::{Context, Errno, called};

/// Init is setting up.
#[derive(Debug)]
pub struct Launch {
    run: PathBuf,
    record: Record,
    /// What the record is to say of init, once it may live without its parent.
    init: Option<Init>,
    child: Child,
    channel: Channel,
    hooks: Hooks,
    net_devices: Vec<NetDevice>,
    /// Those that have moved, as long as they would come back.
    given: Option<net_devices::Given>,
    /// What keeps its unit of systemd until init is in it.
    held: Held,
    /// Whether it has a gate.
    gated: bool,
    /// What init finds not to be as it should.
    warnings: Vec<String>,
}

/// Everything is set up; the command has not been started.
#[derive(Debug)]
pub struct Created {
    launch: Launch,
    /// The master of the container's terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    /// Where seccomp's notifications come, where the profile has any.
    pub listener: Option<OwnedFd>,
}

/// The command runs.
#[derive(Debug)]
pub struct Running {
    /// Of PID 1.
    pub child: Child,
    /// The master of the container's terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    /// Its cgroup.
    pub cgroup: Option<Cgroup>,
}

/// The standard descriptors of a container; one that is not given is the caller's own.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Descriptor 0.
    pub input: Option<OwnedFd>,
    /// Descriptor 1.
    pub output: Option<OwnedFd>,
    /// Descriptor 2.
    pub error: Option<OwnedFd>,
}

impl Stdio {
    /// Puts them in place, in the child.
    pub(crate) fn take(&self) -> Result<()> {
        let done = |call: &str, result: rustix::io::Result<()>| {
            result.map_err(called::<Errno>(|| call.to_owned())).map_err(Error::from)
        };
        if let Some(fd) = &self.input {
            done("dup2(0)", rustix::stdio::dup2_stdin(fd))?;
        }
        if let Some(fd) = &self.output {
            done("dup2(1)", rustix::stdio::dup2_stdout(fd))?;
        }
        if let Some(fd) = &self.error {
            done("dup2(2)", rustix::stdio::dup2_stderr(fd))?;
        }
        Ok(())
    }
}

/// What a container is given besides its plan.
#[derive(Debug, Default)]
pub struct Given<'a> {
    /// Its standard descriptors.
    pub stdio: Stdio,
    /// The text of its config.json, kept for later commands, where they are to come.
    pub config: Option<&'a [u8]>,
    /// Whether another process starts it: then there is a gate for that, and [`Created::commit`] works.
    pub gate: bool,
    /// The directory for its readiness, to be made (`notify`).
    pub notify: Option<PathBuf>,
}

/// Writes the record of `plan` into `run`, makes the cgroup and clones init into it.
///
/// # Errors
/// `Exists` when the id is taken: then nothing is touched. Any other error leaves nothing behind.
pub fn launch(run: &Path, plan: &Plan, cgroup: Option<Cgroup>, given: Given<'_>) -> Result<Launch> {
    own_calls::check(&plan.process, &plan.seccomp, init::how_it_starts(plan, given.gate))?;
    let rdt = plan.rdt.as_ref().map(Wish::place).transpose()?;
    let (config_kept, maker) = (given.config.is_some(), Init::of_this_process()?);
    let record = Record { config_kept, maker, rdt, ..Record::of(plan, cgroup) };
    // Opened before anything is made: a path that leads nowhere is refused without a trace.
    let joined = namespace::open(&plan.joined)?;
    let held = claim(run, plan, &record)?;
    match launch_claimed(run, plan, record, given, &joined) {
        Ok(launch) if launch.is_born_in_its_cgroup() => Ok(launch),
        // It goes there by itself: a unit that is empty until then, systemd would end.
        Ok(launch) => Ok(Launch { held, ..launch }),
        Err(error) => {
            // Before a removal, which waits for its end.
            drop(held);
            Err(after_removal(run, &plan.id, error))
        }
    }
}

/// Takes the id of a record and makes its cgroup: what keeps that until a process is in it.
///
/// # Errors
/// Nothing is left behind, and what another container uses is not touched.
pub(crate) fn claim(run: &Path, plan: &Plan, record: &Record) -> Result<Held> {
    if record.config_kept
        && let Some(cgroup) = &record.cgroup
    {
        state::check_free(run, &plan.id)?;
        // Its path is a caller's word, and may be another container's: a record that names it must never be.
        cgroup.check_unused().map_err(of_cgroup)?;
    }
    state::claim(run, record)?;
    let made = make(plan, record);
    if made.is_err() {
        // It is somebody else's, with what is in it: only the record goes.
        state::remove_recorded(run, &Record { cgroup: None, ..record.clone() })?;
    }
    made
}

/// Removes what an error left. A removal that fails too is told with it.
pub(crate) fn after_removal(run: &Path, id: &str, error: Error) -> Error {
    match state::remove(run, id) {
        Ok(()) => error,
        Err(left) => error.with_further_hint(format!("something is left behind: {left}")),
    }
}

fn launch_claimed(
    run: &Path,
    plan: &Plan,
    record: Record,
    given: Given<'_>,
    joined: &[namespace::Open],
) -> Result<Launch> {
    let entry = limit_cgroup(plan, &record)?;
    let mut gate = None;
    if given.gate {
        gate = Some(gate::make(&state::directory(run, &plan.id))?);
    }
    if let Some(path) = &given.notify {
        notify::make_directory(path)?;
    }
    let opened = step("mounts that only the caller may open", "open_tree(2)", || open_in_parent(plan))?;
    let host_proc = HostProc::open()?;
    let inside = Inside {
        plan,
        joined,
        entry: &entry,
        opened: &opened,
        gate: gate.as_ref(),
        namespaces: Seen::now(&host_proc)?,
        host_proc,
        cgroup: record.cgroup.as_ref(),
    };
    if let (Some(wish), Some(place)) = (&plan.rdt, &record.rdt) {
        wish.make(place)?;
    }
    let (child, channel) =
        step("namespaces: a process that is PID 1 in its own world", "clone3(2), namespaces(7)", || {
            make_init(&inside, given.stdio)
        })?;
    if let Some(Err(error)) = record.rdt.as_ref().map(|place| place.join(child.pid.as_raw_nonzero().get())) {
        end(&child)?;
        return Err(error);
    }
    // While init mounts: when it is ready, nothing is left to write or to look up.
    if let Some(Err(error)) = given.config.map(|config| state::keep_config(run, &plan.id, config)) {
        end(&child)?;
        return Err(error);
    }
    let mut record = record;
    let init = match Init::of(child.pid.as_raw_nonzero().get()) {
        Ok(init) => init,
        Err(error) => {
            end(&child)?;
            return Err(error);
        }
    };
    if record.config_kept && plan.process.terminal.is_none() && rustix::process::geteuid().is_root() {
        // Most containers are never checkpointed; where it could not be seen, a checkpoint looks for itself.
        record.streams = descriptors::of_this_process().unwrap_or_default();
    }
    Ok(Launch {
        run: run.to_owned(),
        record,
        init,
        child,
        channel,
        hooks: plan.hooks.clone(),
        net_devices: plan.net_devices.clone(),
        given: None,
        held: Held::default(),
        gated: given.gate,
        warnings: Vec::new(),
    })
}

fn make(plan: &Plan, record: &Record) -> Result<Held> {
    let Some(cgroup) = &record.cgroup else { return Ok(Held::default()) };
    let held = cgroup.hold(&plan.limits).map_err(of_cgroup)?;
    step("cgroup: a place for its limits", "mkdir(2), cgroups(7)", || make_or_adopt(cgroup, record))
        .map_err(of_cgroup)?;
    Ok(held)
}

/// Callers of a runtime may prepare a cgroup; those of the engine do not, and get no limits of others.
fn make_or_adopt(cgroup: &Cgroup, record: &Record) -> cgroup::Result<()> {
    if record.config_kept { cgroup.adopt() } else { cgroup.create() }
}

/// Gives the cgroup of a record, if it has one, its limits: the way into it.
pub(crate) fn limit_cgroup(plan: &Plan, record: &Record) -> Result<Entry> {
    let Some(cgroup) = &record.cgroup else { return Ok(Entry::default()) };
    // Before the first process is in it: it must never run without its limits.
    step("cgroup: its limits, before anything is in it", "write(2), bpf(2)", || cgroup.apply(&plan.limits))
        .map_err(of_cgroup)?;
    let beneath = plan.annotations.get(DELEGATED).filter(|name| !name.is_empty());
    let beneath = beneath.map(|name| delegated(cgroup, name)).transpose()?;
    let innermost = beneath.as_ref().unwrap_or(cgroup);
    // An ordinary user cannot give anything away, and owns what root of the container is mapped to.
    if let Some(owner) = plan.cgroup_owner.filter(|_| rustix::process::geteuid().is_root()) {
        innermost.give_to(owner).map_err(of_cgroup)?;
    }
    innermost.entry().map_err(of_cgroup)
}

/// crun's annotation for a cgroup beneath the container's own that has no limits: the container may do with it what it wants,
/// and its limits stay above.
const DELEGATED: &str = "run.oci.delegate-cgroup";

fn delegated(cgroup: &Cgroup, name: &str) -> Result<Cgroup> {
    let refused = |kind, why: &str| Err(Error::new(kind, format!("annotation {DELEGATED}: {name:?}: {why}")));
    if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refused(Kind::Invalid, "not a name beneath the container's cgroup");
    }
    if cgroup.unit.is_some() {
        return refused(Kind::Unsupported, "of a unit of systemd that is run.oci.systemd.subgroup");
    }
    if cgroup.places.iter().any(|place| place.version == cgroup::Version::V1) {
        return refused(Kind::Unsupported, "needs cgroup v2 alone");
    }
    let mut beneath = cgroup.clone();
    beneath.name = format!("{}/{name}", cgroup.name);
    beneath.create().map_err(of_cgroup)?;
    Ok(beneath)
}

/// What init and the stage before it are told.
struct Inside<'a> {
    plan: &'a Plan,
    joined: &'a [namespace::Open],
    entry: &'a Entry,
    opened: &'a Opened,
    gate: Option<&'a OwnedFd>,
    /// Of the host, opened here: a mount namespace that is joined is somebody else's.
    host_proc: HostProc,
    namespaces: Seen,
    cgroup: Option<&'a Cgroup>,
}

impl Inside<'_> {
    /// Runs init, in the child.
    fn init(&self, channel: &mut Channel) -> i32 {
        let outside = crate::init::Outside {
            entry: self.entry,
            joined: self.joined,
            opened: self.opened,
            gate: self.gate,
            host_proc: &self.host_proc,
            namespaces: &self.namespaces,
            cgroup: self.cgroup,
        };
        crate::init::run(self.plan, channel, &outside)
    }

    /// Lets go of what only the parent needs: init may wait for its start for long, and who is at the other end of a
    /// descriptor, such as a console socket, would not hear that the parent has closed it.
    fn let_go(&self, channel: &Channel) -> Result<(), sys::CallError> {
        let mut kept: Vec<BorrowedFd<'_>> = vec![channel.as_fd()];
        kept.extend(self.gate.iter().map(|gate| gate.as_fd()));
        kept.extend(self.entry.tasks.iter().map(AsFd::as_fd));
        kept.extend(self.joined.iter().map(AsFd::as_fd));
        kept.push(self.host_proc.as_fd());
        kept.extend(self.opened.descriptors());
        kept.extend(crate::steps::descriptors());
        if sys::mutant!("mutant_rt_13") {
            return Ok(());
        }
        sys::close_range::close_inherited(3 + self.plan.process.preserved_fds, &kept)
    }

    /// What the child does before it is init, where there is no stage.
    fn directly(&self, channel: &Channel) -> Result<()> {
        if self.plan.namespaces.has(Namespaces::USER) {
            channel.send(&Message::Map, None)?;
            channel.proceed()?;
            stage::become_root(self.plan.process.keep_groups)
                .within(|| "become root of the user namespace")?;
            stage::set_dumpable(true)?;
        }
        for namespace in self.joined.iter().filter(|one| one.kind != Namespaces::CGROUP) {
            namespace.enter()?;
        }
        Ok(())
    }
}

/// Clones init, or a stage that does.
fn make_init(inside: &Inside<'_>, stdio: Stdio) -> Result<(Child, Channel)> {
    let (mut ours, mut theirs) = pair()?;
    let plan = inside.plan;
    let staged = plan.needs_stage();
    let namespaces = if staged { Namespaces::NONE } else { plan.namespaces };
    let namespaces =
        if sys::mutant!("mutant_at_namespaces") { namespaces.without(Namespaces::IPC) } else { namespaces };
    let parents_end = &mut ours;
    let child = clone3(namespaces, inside.entry.unified.as_ref().map(AsFd::as_fd), move || {
        // A copy of the parent's end would hide its death from us.
        let taken = parents_end.close().and_then(|()| stdio.take());
        // Its descriptors are its own to close, before the rest is closed by number.
        drop(stdio);
        if let Err(failure) = taken {
            return crate::init::report(&theirs, failure);
        }
        if let Err(failed) = inside.let_go(&theirs) {
            return crate::init::report(&theirs, failed.into());
        }
        if let Err(failure) = be_brought(inside.entry, &theirs) {
            return crate::init::report(&theirs, failure);
        }
        let done = if staged {
            stage::run(plan, inside.joined, &mut theirs, |channel| match channel.proceed() {
                Ok(()) => inside.init(channel),
                Err(_) => 71,
            })
            .map(|()| 0)
        } else {
            inside.directly(&theirs).map(|()| inside.init(&mut theirs))
        };
        done.unwrap_or_else(|failure| crate::init::report(&theirs, failure))
    })?;
    if let Err(error) = bring(inside.entry, &child, &ours) {
        end(&child)?;
        return Err(error);
    }
    if !staged && !plan.namespaces.has(Namespaces::USER) {
        return Ok((child, ours));
    }
    match accompany(plan, child.pid.as_raw_nonzero().get(), &ours, staged) {
        Ok(None) => Ok((child, ours)),
        Ok(Some(init)) => {
            wait(&child)?;
            ours.send(&Message::Proceed, None)?;
            Ok((init, ours))
        }
        Err(error) => {
            end(&child)?;
            Err(error)
        }
    }
}

/// In the child: waits to be brought into its cgroup, where it could not be born in it. Before it has made or entered
/// anything, so that all of that is in there too.
pub(crate) fn be_brought(entry: &Entry, channel: &Channel) -> Result<()> {
    if entry.escort.is_none() {
        return Ok(());
    }
    channel.send(&Message::Outside, None)?;
    channel.proceed()
}

/// In the parent: has the child brought into its cgroup.
pub(crate) fn bring(entry: &Entry, child: &Child, channel: &Channel) -> Result<()> {
    let Some(escort) = &entry.escort else { return Ok(()) };
    match channel.receive()? {
        Some((Message::Outside, _)) => {
            escort.bring(child.pid.as_raw_nonzero().get().cast_unsigned()).map_err(of_cgroup)?;
            channel.send(&Message::Proceed, None)
        }
        Some((Message::Failed { kind, chain, hint }, _)) => Err(Error { kind, chain, hint }),
        Some((other, _)) => Err(unexpected(&other)),
        None => Err(Error::new(Kind::Other, "init ended without a word")),
    }
}

/// Gives a child what only the parent can: ids, and what init there is after a stage.
fn accompany(plan: &Plan, child: i32, channel: &Channel, staged: bool) -> Result<Option<Child>> {
    loop {
        match channel.receive()? {
            Some((Message::Map, _)) => {
                id_map::write(child, &plan.id_maps)?;
                channel.send(&Message::Proceed, None)?;
                if !staged {
                    return Ok(None);
                }
            }
            Some((Message::Init, Some(pidfd))) => return Ok(Some(Child { pid: pid_of(&pidfd)?, pidfd })),
            Some((Message::Failed { kind, chain, hint }, _)) => return Err(Error { kind, chain, hint }),
            Some((other, _)) => return Err(unexpected(&other)),
            None => return Err(Error::new(Kind::Other, "init ended without a word")),
        }
    }
}

fn unexpected(message: &Message) -> Error {
    Error::new(Kind::Other, format!("unexpected message {message:?} of init"))
}

/// The id of the process that a pidfd is open on, in this process's PID namespace (pidfd_open(2)).
pub(crate) fn pid_of(pidfd: &OwnedFd) -> Result<Pid> {
    use rustix::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(called(|| format!("read({path:?})")))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.and_then(Pid::from_raw).ok_or_else(|| Error::new(Kind::Other, "init ended before it was seen"))
}

/// Kills and reaps a child that is of no use any more.
pub(crate) fn end(child: &Child) -> Result<()> {
    match sys::signals::send(child.pidfd.as_fd(), 9) {
        Err(error) if error.errno != Errno::SRCH => return Err(error.into()),
        _ => {}
    }
    wait(child).map(drop)
}

impl Launch {
    /// The id of init, in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.child.pid.as_raw_nonzero().get()
    }

    /// Its network namespace, of a plan with [`Plan::shows_network`]. To be called once, before [`Launch::ready`].
    ///
    /// # Errors
    /// The failure of init, if it failed before; the container is still to be discarded.
    pub fn network(&mut self) -> Result<OwnedFd> {
        match self.channel.receive()? {
            Some((Message::Network, Some(namespace))) if !self.net_devices.is_empty() => {
                let copy = namespace.try_clone().map_err(called(|| "dup".to_owned()))?;
                self.given = Some(net_devices::give(&self.net_devices, namespace)?);
                self.channel.send(&Message::Proceed, None)?;
                Ok(copy)
            }
            Some((Message::Network, Some(namespace))) => Ok(namespace),
            Some((Message::Failed { kind, chain, hint }, _)) => Err(Error { kind, chain, hint }),
            Some((other, _)) => Err(unexpected(&other)),
            None => Err(self.died()),
        }
    }

    /// Waits until everything is set up, and runs the hooks that are due meanwhile; then the record has init.
    pub fn ready(mut self) -> Result<Created> {
        match self.until_ready() {
            Ok((terminal, listener)) => Ok(Created { launch: self, terminal, listener }),
            Err(error) => Err(self.discard(error)),
        }
    }

    /// systemd looks at the cgroup of v2, where there is one.
    fn is_born_in_its_cgroup(&self) -> bool {
        let places = self.record.cgroup.iter().flat_map(|cgroup| &cgroup.places);
        places.into_iter().any(|place| place.version == cgroup::Version::V2)
    }

    fn until_ready(&mut self) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        let (mut terminal, mut listener) = (None, None);
        loop {
            match self.channel.receive()? {
                Some((Message::Network, Some(namespace))) if !self.net_devices.is_empty() => {
                    self.given = Some(net_devices::give(&self.net_devices, namespace)?);
                    self.channel.send(&Message::Proceed, None)?;
                }
                Some((Message::Hooks, _)) => {
                    // Init is in its cgroup, and whoever looks at that finds it alone.
                    self.held = Held::default();
                    // A hook may ask for the state.
                    self.write_down(Phase::Creating)?;
                    let state = self.record.state_json(Status::Creating, self.pid())?;
                    self.hooks.run("prestart", &self.hooks.prestart, &state)?;
                    self.hooks.run("createRuntime", &self.hooks.create_runtime, &state)?;
                    self.channel.send(&Message::Proceed, None)?;
                }
                Some((Message::Terminal, master)) => terminal = master,
                Some((Message::Listener, descriptor)) => listener = descriptor,
                Some((Message::Warning(text), _)) => self.warnings.push(text),
                Some((Message::Ready, _)) => {
                    self.see_terminal(terminal.is_some());
                    self.held = Held::default();
                    self.write_down(Phase::Created)?;
                    return Ok((terminal, listener));
                }
                Some((Message::Failed { kind, chain, hint }, _)) => return Err(Error { kind, chain, hint }),
                Some((other, _)) => return Err(unexpected(&other)),
                None => return Err(self.died()),
            }
        }
    }

    /// Notes what the standard descriptors are, for a checkpoint: later the command may have them elsewhere for a moment. Those of a
    /// terminal of its own are known now.
    fn see_terminal(&mut self, is_there: bool) {
        if is_there && self.record.config_kept && rustix::process::geteuid().is_root() {
            self.record.streams = descriptors::of_process(self.pid()).unwrap_or_default();
        }
    }

    /// Writes the record with init in it. Not before: until then init ends with its parent.
    fn write_down(&mut self, phase: Phase) -> Result<()> {
        self.record.init = self.init;
        self.record.phase = phase;
        state::write(&self.run, &self.record)
    }

    /// Ends the container and removes all of it; returns the error to report.
    pub fn discard(self, error: Error) -> Error {
        // While it is there: with the last of its processes its network may go, and a virtual device with it.
        let error = match self.given {
            Some(given) => given.after_return(error),
            None => error,
        };
        drop(self.held);
        after_removal(&self.run, &self.record.id, error)
    }

    /// What to say of an init that is gone without a word.
    fn died(&self) -> Error {
        let killed = self
            .record
            .cgroup
            .as_ref()
            .is_some_and(|cgroup| cgroup.memory_events().is_ok_and(|kills| kills > 0));
        let status =
            waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                .ok()
                .flatten()
                .and_then(|status| status.terminating_signal());
        match status {
            _ if killed => {
                Error::new(Kind::Invalid, "init was killed: the memory limit is too small to start in")
                    .with_hint("a container needs some MiB to start: use a larger -m")
            }
            Some(signal) => Error::new(Kind::Other, format!("init was killed by signal {signal}")),
            None => Error::new(Kind::Other, "init ended without a word"),
        }
    }
}

impl Created {
    /// The id of init, in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.launch.pid()
    }

    /// Ends the container and removes all of it; returns the error to report.
    pub fn discard(self, error: Error) -> Error {
        self.launch.discard(error)
    }

    /// The id and start time of init, and everything else that stands in the record.
    pub fn record(&self) -> &Record {
        &self.launch.record
    }

    /// What is not as it should be.
    pub fn warnings(&self) -> &[String] {
        &self.launch.warnings
    }

    /// The pidfd of init.
    pub fn pidfd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.launch.child.pidfd.as_fd()
    }

    /// Lets init live on without this process: `start` comes to its gate.
    pub fn commit(self) -> Result<()> {
        match self.launch.channel.send(&Message::Commit, None) {
            Ok(()) => {}
            Err(error) => return Err(self.launch.discard(error)),
        }
        // Its answer is the end of the stream: it has left it.
        match self.launch.channel.receive() {
            Ok(None) => Ok(()),
            Ok(Some((Message::Failed { kind, chain, hint }, _))) => {
                Err(self.launch.discard(Error { kind, chain, hint }))
            }
            Ok(Some((other, _))) => Err(self.launch.discard(unexpected(&other))),
            Err(error) => Err(self.launch.discard(error)),
        }
    }

    /// Lets the command run; returns when its execve has worked and the poststart hooks have run.
    ///
    /// # Errors
    /// `CommandNotFound` and `CommandNotExecutable` are for the exit codes 127 and 126. Nothing is left behind.
    pub fn start(mut self) -> Result<Running> {
        let went = step("the command takes the place of init", "execve(2)", || go(&self.launch.channel));
        if let Err(error) = went {
            return Err(self.launch.discard(error));
        }
        // From here on it ends as any container does.
        self.launch.given = None;
        if let Err(error) = self.launch.poststart() {
            return Err(self.launch.discard(error));
        }
        let Launch { record, child, .. } = self.launch;
        Ok(Running { child, terminal: self.terminal, cgroup: record.cgroup })
    }
}

impl Launch {
    fn poststart(&self) -> Result<()> {
        if self.gated {
            gate::remove(&state::directory(&self.run, &self.record.id))?;
        }
        if self.hooks.poststart.is_empty() {
            return Ok(());
        }
        let state = self.record.state_json(Status::Running, self.pid())?;
        self.hooks.run("poststart", &self.hooks.poststart, &state)
    }
}

/// Tells init to execute; returns when it has.
pub(crate) fn go(channel: &Channel) -> Result<()> {
    channel.send(&Message::Go, None)?;
    match channel.hear()? {
        Heard::End => Ok(()),
        Heard::Reset => Err(Error::new(Kind::Other, "the process ended before it was told to go on")),
        Heard::Message(message, _) => Err(failure(message)),
    }
}

/// Tells an init that waits at its gate to execute, and returns when it has; false where it has let in another, and whoever came after
/// that is turned away unheard.
pub(crate) fn go_first(channel: &Channel) -> Result<bool> {
    if !channel.reaches(&Message::Go)? {
        return Ok(false);
    }
    match channel.hear()? {
        Heard::End => Ok(true),
        Heard::Reset => Ok(false),
        Heard::Message(message, _) => Err(failure(message)),
    }
}

/// Why init does not execute.
fn failure(message: Message) -> Error {
    match message {
        Message::Failed { kind, chain, hint } => Error { kind, chain, hint },
        other => unexpected(&other),
    }
}

/// Waits for the end of PID 1, which must be this process's child: its exit code, or 128 and its signal.
pub fn wait(child: &Child) -> Result<i32> {
    loop {
        match waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(status
                    .exit_status()
                    .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(called::<Errno>(|| "waitid(pidfd)".to_owned())(errno)).within(|| "wait for init");
            }
        }
    }
}
