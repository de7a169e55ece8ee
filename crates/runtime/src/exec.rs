//! `exec`: another process in a container that runs.

use crate::bundle::{self, Beyond};
use crate::channel::{Channel, Message, pair};
use crate::console;
use crate::container::{Stdio, bring, end, go, pid_of, wait};
use crate::create::{check_open, write_pid_file};
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::init::enter::{self, Entering};
use crate::listener;
use crate::namespace;
use crate::own_calls;
use crate::state::{self, Record, Status};
use cgroup::Entry;
use oci_spec::runtime::{Process as Written, Spec};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::geteuid;
use std::path::{Path, PathBuf};
use sys::clone3::{Child, Namespaces, clone3};
use sys::{Errno, called};

/// What a caller asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A file with the whole process, instead of the words below.
    pub process: Option<PathBuf>,
    /// The command and its arguments.
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// `NAME=VALUE`, beside the container's own environment.
    pub env: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// User and group.
    pub user: Option<(u32, Option<u32>)>,
    /// A user to look up in the container's own files, instead of the numbers: `USER[:GROUP]`, as images have it.
    pub user_by_name: Option<String>,
    /// Further groups.
    pub additional_gids: Vec<u32>,
    /// Capabilities beside the container's own.
    pub capabilities: Vec<String>,
    /// Whether it goes without the container's filter of system calls.
    pub unfiltered: bool,
    /// Whether no execve may give it more privilege; none for as the container has it.
    pub no_new_privileges: Option<bool>,
    /// An SELinux label.
    pub process_label: Option<String>,
    /// An AppArmor profile.
    pub apparmor: Option<String>,
    /// Where the master of the terminal goes.
    pub console_socket: Option<PathBuf>,
    /// Where its pidfd goes.
    pub pidfd_socket: Option<PathBuf>,
    /// The file that its id is written to.
    pub pid_file: Option<PathBuf>,
    /// Whether nobody waits for it.
    pub detached: bool,
    /// How many descriptors from 3 up pass through.
    pub preserve_fds: u32,
    /// Cgroups beneath the container's own: the controllers whose it is (none for all), and its path. `/` is the
    /// container's own and no other.
    pub cgroups: Vec<(Vec<String>, String)>,
    /// Whether it may wait in a container that is paused.
    pub ignore_paused: bool,
}

/// A process that runs in a container.
#[derive(Debug)]
pub struct Executed {
    /// The process, a child of this one.
    pub child: Child,
    /// The master of its terminal, unless that was handed over.
    pub terminal: Option<OwnedFd>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
}

/// Executes a process in container `id`, with the caller's own streams; returns when its execve has worked.
pub fn exec(root: &Path, id: &str, options: &Options) -> Result<Executed> {
    exec_with(root, id, options, &Stdio::default())
}

/// As [`exec`], with these streams.
pub fn exec_with(root: &Path, id: &str, options: &Options, stdio: &Stdio) -> Result<Executed> {
    check_open(options.preserve_fds)?;
    let record = state::read(root, id)?;
    may_enter(&record, root, options.ignore_paused)?;
    let init = record.init.ok_or_else(stopped)?;
    let pidfd = init.open()?.ok_or_else(stopped)?;
    let kept = bundle::read(&state::directory(root, id).join("config.json"))?;
    let mut spec = with_process(kept.spec, options)?;
    if options.unfiltered
        && let Some(linux) = spec.linux_mut()
    {
        linux.set_seccomp(None);
    }
    let beyond = Beyond {
        preserved_fds: options.preserve_fds,
        seccomp_receiver: listener::of_environment(),
        user: options.user_by_name.clone(),
        ..Beyond::default()
    };
    let (mut process, seccomp, answers) = bundle::exec(&spec, &beyond)?;
    own_calls::check(&process, &seccomp, own_calls::Start::ENTERING)?;
    // As init's: keys of the container are for all of its processes, and no others.
    process.attributes.keyring = Some(format!("_ses.{id}"));
    console::check(process.terminal.is_some(), options.detached, options.console_socket.as_deref())?;
    let socket = options.console_socket.as_deref().map(console::connect).transpose()?;
    let pidfd_socket = options.pidfd_socket.as_deref().map(console::connect).transpose()?;
    let (namespaces, _) = namespace::foreign(init.pid)?;
    let entering = Entering { init: pidfd, namespaces, process, seccomp };
    let entry = way_in(&record, &options.cgroups)?;
    let mut warnings = Vec::new();
    let (child, channel) = match make(&entering, &entry, stdio) {
        // A container that hands controllers on keeps its own cgroup free of processes: then where its init is.
        Err(NotMade::CgroupBusy(_)) if options.cgroups.is_empty() => {
            make(&entering, &where_init_is(&record, init.pid)?, stdio).map_err(NotMade::error)?
        }
        // Between cgroups of a user a process goes only where that user has what is above both: not from a login shell
        // into what the user's own manager has (cgroups(7), "Cgroups delegation: delegation containment"). The process
        // is then held by all that holds the container but its limits, as with runc.
        Err(NotMade::CgroupClosed(error)) if options.cgroups.is_empty() && !is_root_of_the_host() => {
            warnings.push(format!(
                "the process is not in the container's cgroup, and its limits do not hold for it: {error}"
            ));
            let outside = Entry { unified: None, ..entry };
            make(&entering, &outside, stdio).map_err(NotMade::error)?
        }
        other => other.map_err(NotMade::error)?,
    };
    let joined = record.rdt.as_ref().map_or(Ok(()), |place| place.join(child.pid.as_raw_nonzero().get()));
    let done = joined.and_then(|()| until_ready(&channel, &mut warnings)).and_then(|(master, questions)| {
        let terminal = match (master, socket) {
            (Some(master), Some(socket)) => {
                console::send(&socket, "/dev/ptmx", master.as_fd())?;
                None
            }
            (master, _) => master,
        };
        if let Some(socket) = pidfd_socket {
            console::send(&socket, "pidfd", child.pidfd.as_fd())?;
        }
        if let Some(path) = &options.pid_file {
            write_pid_file(path, child.pid.as_raw_nonzero().get())?;
        }
        if let (Some(questions), Some(to)) = (questions, &answers) {
            let pid = child.pid.as_raw_nonzero().get();
            listener::hand_over(questions.as_fd(), to, &record, record.status(root)?, init.pid, pid)?;
        }
        go(&channel).map(|()| terminal)
    });
    match done {
        Ok(terminal) => Ok(Executed { child, terminal, warnings }),
        Err(error) => {
            end(&child)?;
            Err(error)
        }
    }
}

/// Whether this user may do as it likes with every cgroup: root, and not that of a user namespace alone.
fn is_root_of_the_host() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn stopped() -> Error {
    Error::new(Kind::NotRunning, "cannot exec in a stopped container")
}

fn may_enter(record: &Record, root: &Path, ignore_paused: bool) -> Result<()> {
    match record.status(root)? {
        Status::Running | Status::Created => Ok(()),
        Status::Paused if ignore_paused => Ok(()),
        Status::Paused => Err(Error::new(
            Kind::Invalid,
            "cannot exec in a paused container (use --ignore-paused to override)",
        )),
        Status::Creating => {
            Err(Error::new(Kind::Invalid, "cannot exec in a container that is still being created"))
        }
        Status::Stopped => Err(stopped()),
    }
}

/// The container's config.json with the process that was asked for in it.
fn with_process(mut spec: Box<Spec>, options: &Options) -> Result<Box<Spec>> {
    let invalid = |why: &str| Error::new(Kind::Invalid, why);
    if let Some(path) = &options.process {
        let mut process = bundle::read_process(path)?;
        // A file that says no label must not lead out of that of the container.
        let unless = |said: &Option<String>| said.as_ref().is_none_or(String::is_empty);
        if let Some(container) = spec.process() {
            if unless(process.apparmor_profile()) {
                process.set_apparmor_profile(container.apparmor_profile().clone());
            }
            if unless(process.selinux_label()) {
                process.set_selinux_label(container.selinux_label().clone());
            }
        }
        spec.set_process(Some(process));
        return Ok(spec);
    }
    if options.args.is_empty() {
        return Err(invalid("exec args cannot be empty"));
    }
    let mut process: Written =
        spec.process().clone().ok_or_else(|| invalid("process property must not be empty"))?;
    process.set_args(Some(options.args.clone()));
    process.set_terminal(Some(options.tty));
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(options.env.iter().cloned());
    process.set_env(Some(env));
    let mut user = process.user().clone();
    if let Some((uid, gid)) = options.user {
        user.set_uid(uid);
        user.set_gid(gid.unwrap_or_else(|| user.gid()));
    }
    if !options.additional_gids.is_empty() {
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        groups.extend(&options.additional_gids);
        user.set_additional_gids(Some(groups));
    }
    process.set_user(user);
    if let Some(wanted) = options.no_new_privileges {
        process.set_no_new_privileges(Some(wanted));
    }
    if let Some(label) = &options.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if let Some(profile) = &options.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    add_capabilities(&mut process, &options.capabilities)?;
    spec.set_process(Some(process));
    Ok(spec)
}

/// As runc has it: into the bounding, effective and permitted sets; into the ambient one only where an inheritable one is.
fn add_capabilities(process: &mut Written, names: &[String]) -> Result<()> {
    if sys::mutant!("mutant_rt_22") {
        return add_these(process, &[names, &["CAP_SYS_ADMIN".to_owned()]].concat());
    }
    add_these(process, names)
}

fn add_these(process: &mut Written, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut wanted = oci_spec::runtime::Capabilities::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let one = bare
            .parse::<oci_spec::runtime::Capability>()
            .map_err(|_| Error::new(Kind::Invalid, format!("--cap: unknown capability {name:?}")))?;
        wanted.insert(one);
    }
    let mut sets = process.capabilities().clone().unwrap_or_default();
    let with = |set: &Option<oci_spec::runtime::Capabilities>| {
        let mut all = set.clone().unwrap_or_default();
        all.extend(wanted.iter().copied());
        Some(all)
    };
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    let ambient = match sets.inheritable() {
        Some(set) if !set.is_empty() => with(sets.ambient()),
        _ => sets.ambient().clone(),
    };
    sets.set_bounding(bounding);
    sets.set_effective(effective);
    sets.set_permitted(permitted);
    sets.set_ambient(ambient);
    process.set_capabilities(Some(sets));
    Ok(())
}

/// The way into the container's cgroup, or into one beneath it that is there already.
fn way_in(record: &Record, beneath: &[(Vec<String>, String)]) -> Result<Entry> {
    let Some(cgroup) = &record.cgroup else {
        return match beneath {
            [] => Ok(Entry::default()),
            _ => Err(Error::new(Kind::Invalid, format!("--cgroup: container {} has no cgroup", record.id))),
        };
    };
    for (_, path) in beneath {
        if path.split('/').any(|part| part == "..") {
            return Err(Error::new(
                Kind::Invalid,
                format!("--cgroup {path}: leads out of the container's cgroup"),
            ));
        }
    }
    let mut entry = Entry::default();
    for place in &cgroup.places {
        let of_place = |controllers: &Vec<String>| {
            controllers.is_empty() || controllers.iter().any(|one| place.controllers.contains(one))
        };
        let path = beneath.iter().find(|(controllers, _)| of_place(controllers)).map_or("", |(_, path)| path);
        let path = path.trim_matches('/');
        let name = if path.is_empty() { cgroup.name.clone() } else { format!("{}/{path}", cgroup.name) };
        let mut one = cgroup.clone();
        (one.name, one.places) = (name, vec![place.clone()]);
        let found = one.entry().map_err(of_cgroup)?;
        entry.unified = entry.unified.or(found.unified);
        entry.tasks.extend(found.tasks);
        entry.escort = entry.escort.or(found.escort);
    }
    Ok(entry)
}

fn where_init_is(record: &Record, pid: i32) -> Result<Entry> {
    let path = format!("/proc/{pid}/cgroup");
    let table = std::fs::read_to_string(&path).map_err(called(|| format!("read({path:?})")))?;
    let name = table.lines().find_map(|line| line.strip_prefix("0::"));
    match (&record.cgroup, name) {
        (Some(cgroup), Some(name)) => {
            let mut its = cgroup.clone();
            its.name = name.to_owned();
            its.entry().map_err(of_cgroup)
        }
        _ => Ok(Entry::default()),
    }
}

/// Why a process was not made.
enum NotMade {
    /// Its cgroup takes no processes.
    CgroupBusy(Error),
    /// Its cgroup takes none from where we are.
    CgroupClosed(Error),
    /// Anything else.
    Other(Error),
}

impl NotMade {
    fn error(self) -> Error {
        match self {
            Self::CgroupBusy(error) | Self::CgroupClosed(error) | Self::Other(error) => error,
        }
    }
}

/// Clones the process, or a stage that does.
fn make(entering: &Entering, entry: &Entry, stdio: &Stdio) -> Result<(Child, Channel), NotMade> {
    let (mut ours, mut theirs) = pair().map_err(NotMade::Other)?;
    let parents_end = &mut ours;
    let child = clone3(Namespaces::NONE, entry.unified.as_ref().map(AsFd::as_fd), move || {
        // A copy of the parent's end would hide its death from us.
        if let Err(failure) = parents_end.close().and_then(|()| stdio.take()) {
            return crate::init::report(&theirs, failure);
        }
        let mut kept = vec![theirs.as_fd(), entering.init.as_fd()];
        kept.extend(entry.tasks.iter().map(AsFd::as_fd));
        match sys::close_range::close_inherited(3 + entering.process.preserved_fds, &kept) {
            Ok(()) => enter::run(entering, &mut theirs, entry),
            Err(failed) => crate::init::report(&theirs, failed.into()),
        }
    });
    let child = child.map_err(|error| match error.errno {
        Errno::BUSY | Errno::OPNOTSUPP => NotMade::CgroupBusy(error.into()),
        Errno::ACCESS if entry.unified.is_some() => NotMade::CgroupClosed(error.into()),
        _ => NotMade::Other(error.into()),
    })?;
    if let Err(error) = bring(entry, &child, &ours) {
        end(&child).map_err(NotMade::Other)?;
        // systemd does not say why it could not.
        return Err(NotMade::CgroupBusy(error));
    }
    process_of(entering, child, ours).map_err(NotMade::Other)
}

/// The process itself, where the child that was cloned is a stage.
fn process_of(entering: &Entering, child: Child, ours: Channel) -> Result<(Child, Channel)> {
    use rustix::thread::ThreadNameSpaceType;
    if !entering.namespaces.contains(ThreadNameSpaceType::PROCESS_ID) {
        return Ok((child, ours));
    }
    let made = match ours.receive() {
        Ok(Some((Message::Init, Some(pidfd)))) => {
            pid_of(&pidfd).map(|pid| Child { pid, pidfd }).and_then(|init| {
                // The stage ends while the process becomes what it is to be.
                ours.send(&Message::Proceed, None)?;
                wait(&child)?;
                Ok(init)
            })
        }
        Ok(Some((Message::Failed { kind, chain, hint }, _))) => Err(Error { kind, chain, hint }),
        Ok(Some((other, _))) => Err(Error::new(Kind::Other, format!("unexpected message {other:?}"))),
        Ok(None) => Err(Error::new(Kind::Other, "the process ended without a word")),
        Err(error) => Err(error),
    };
    match made {
        Ok(init) => Ok((init, ours)),
        Err(error) => {
            end(&child)?;
            Err(error)
        }
    }
}

/// The terminal, and the descriptor of seccomp's questions, where there are any.
fn until_ready(channel: &Channel, warnings: &mut Vec<String>) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let (mut terminal, mut questions) = (None, None);
    loop {
        match channel.receive()? {
            Some((Message::Terminal, master)) => terminal = master,
            Some((Message::Listener, descriptor)) => questions = descriptor,
            Some((Message::Warning(text), _)) => warnings.push(text),
            Some((Message::Ready, _)) => return Ok((terminal, questions)),
            Some((Message::Failed { kind, chain, hint }, _)) => return Err(Error { kind, chain, hint }),
            Some((other, _)) => return Err(Error::new(Kind::Other, format!("unexpected message {other:?}"))),
            None => return Err(Error::new(Kind::Other, "the process ended without a word")),
        }
    }
}
