//! `restore`: an image becomes a running container (runc-restore(8)).

use crate::bundle::{self, Beyond};
use crate::checkpoint::{OUTSIDE, needs_root, require_lock};
use crate::container::{after_removal, claim, end, limit_cgroup};
use crate::create::{absolute, make_root, write_pid_file};
use crate::criu::choices::{Choices, Directories};
use crate::criu::message::{CgroupsMode, Options as Asked, Wish};
use crate::criu::outside::Seen;
use crate::criu::{
    Apart, Criu, Mounts, Notification, Surroundings, WRITTEN, cgroups, descriptors, explain, is_own_file,
    outside, targets,
};
use crate::delete::delete;
use crate::error::{Error, Kind, Result};
use crate::foreground::Foreground;
use crate::init::{label, mounts};
use crate::place::{self, Manager};
use crate::plan::Plan;
use crate::state::{self, Init, Phase, Record, Status};
use crate::{console, namespace};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::FileType;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::{Path, PathBuf};
use sys::clone3::{Child, Namespaces};
use sys::mount_setattr::{NODEV, RDONLY};
use sys::{Context, Errno, called};

/// The kinds of namespaces that CRIU enters by path rather than to restore them, with their files in /proc/PID/ns. PID and
/// network namespaces are inherited.
const ENTERED: [(Namespaces, &str); 3] =
    [(Namespaces::UTS, "uts"), (Namespaces::IPC, "ipc"), (Namespaces::TIME, "time")];
/// The name of CRIU's log.
const LOG: &str = "restore.log";

/// What a caller asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What a checkpoint takes as well.
    pub choices: Choices,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Where the master of the terminal goes.
    pub console_socket: Option<PathBuf>,
    /// The file that init's id is written to.
    pub pid_file: Option<PathBuf>,
    /// Whether nobody stays with the container.
    pub detached: bool,
    /// Whether processes that lose their parent go to this one, which reaps them.
    pub subreaper: bool,
    /// Who makes its cgroup.
    pub manager: Manager,
    /// TCP connections are closed.
    pub tcp_close: bool,
    /// The profile of its processes, as `apparmor:NAME` or `selinux:LABEL`.
    pub lsm_profile: Option<String>,
    /// The SELinux context of its mounts.
    pub lsm_mount_context: Option<String>,
}

/// Makes container `id` in `root` from an image; hears warnings as they come. Returns the exit code: that of the container,
/// or 0 where nobody stays.
///
/// # Errors
/// Nothing is left of the container then.
pub fn restore(root: &Path, id: &str, options: &Options, warn: &mut dyn FnMut(&str)) -> Result<i32> {
    state::check_id(id)?;
    needs_root("restore")?;
    let bundle = absolute(&options.bundle)?;
    let written = bundle::read(&bundle.join("config.json"))?;
    let plan = bundle::plan(id, &written.spec, &bundle, Beyond::default())?;
    check_joined(&plan)?;
    console::check(plan.process.terminal.is_some(), options.detached, options.console_socket.as_deref())?;
    let socket = options.console_socket.as_deref().map(console::connect).transpose()?;
    let directories = options.choices.directories(false).within(|| format!("restore {id}"))?;
    make_root(root)?;
    if options.subreaper && !options.detached {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(called::<Errno>(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned()))?;
    }
    let mut warnings = written.warnings;
    let cgroup = place::decide(&plan, &options.manager, &mut warnings)?;
    warnings.iter().for_each(|warning| warn(warning));
    let record = Record { config_kept: true, maker: Init::of_this_process()?, ..Record::of(&plan, cgroup) };
    // Blocked before anything runs: a signal that comes early is the container's.
    let foreground = match options.detached {
        true => None,
        false => Some(Foreground::inherit(plan.process.terminal.is_some())?),
    };
    let held = claim(root, &plan, &record)?;
    let mut restored =
        Restoration { root, plan: &plan, options, record, socket, terminal: None, streams: Vec::new() };
    let made = state::keep_config(root, id, &written.text)
        .and_then(|()| restored.make(&directories))
        .within(|| format!("restore {id}"));
    // Before a removal, which waits for its end.
    drop(held);
    let child = made.map_err(|error| after_removal(root, id, error))?;
    let Some(foreground) = foreground else { return Ok(0) };
    let ended = foreground.attend_child(&child, restored.terminal.as_ref())?;
    delete(root, id, true)?.iter().for_each(|warning| warn(warning));
    ended.whole(warn)
}

/// A container on its way from its image.
struct Restoration<'a> {
    root: &'a Path,
    plan: &'a Plan,
    options: &'a Options,
    record: Record,
    /// Where the terminal is to go.
    socket: Option<OwnedFd>,
    /// The master of the container's terminal, where it stays here.
    terminal: Option<OwnedFd>,
    /// What its standard descriptors were when the image was made.
    streams: Vec<String>,
}

impl Restoration<'_> {
    /// Has CRIU make it, and writes it down.
    fn make(&mut self, directories: &Directories) -> Result<Child> {
        let entry = limit_cgroup(self.plan, &self.record)?;
        let place = state::directory(self.root, &self.plan.id);
        let (root_at, empty_at) = (place.join("criu-root"), place.join("criu-empty"));
        for directory in [&root_at, &empty_at] {
            std::fs::create_dir(directory).map_err(called(|| format!("mkdir({directory:?})")))?;
        }
        targets::make(self.plan, &self.record.rootfs)?;
        let ours = outside::mounts_of("self")?;
        let apart = open_apart(self.plan, &place, &ours)?;
        let joined = self.joined()?;
        let inherited = self.inherited()?;
        let surroundings = Surroundings {
            directories,
            entry,
            inherited: inherited.iter().map(|(_, descriptor)| descriptor.as_fd()).collect(),
            // Who is made by CRIU has what CRIU has; it does not bring it along from an image (before 3.18).
            no_new_privileges: self.plan.process.no_new_privileges,
            mounts: Some(Mounts {
                root: &self.record.rootfs,
                root_at: &root_at,
                root_flags: self.root_flags(),
                empty_at: &empty_at,
                apart: &apart,
            }),
        };
        let mut asked = self.asked(&root_at, &empty_at, &apart, &ours)?;
        asked.inherited =
            inherited.iter().map(|(name, fd)| (name.clone(), fd.as_raw_fd().unsigned_abs())).collect();
        asked.joined = joined
            .iter()
            .map(|(kind, open)| {
                ((*kind).to_owned(), format!("/proc/{}/fd/{}", std::process::id(), open.as_fd().as_raw_fd()))
            })
            .collect();
        for name in WRITTEN {
            is_own_file(&directories.work.join(name))?;
            is_own_file(&directories.image.join(name))?;
        }
        let mut criu = Criu::start(&surroundings)?;
        let made = criu.process().and_then(|process| {
            self.record.criu = process;
            self.carry_out(&mut criu, &asked)
        });
        let made = made.map_err(|error| explain(error, &directories.work, LOG));
        match made {
            Ok(child) => {
                criu.finish()?;
                Ok(child)
            }
            Err(error) => {
                criu.abandon()?;
                Err(error)
            }
        }
    }

    fn asked(&self, root_at: &Path, empty_at: &Path, apart: &[Apart], ours: &[Seen]) -> Result<Asked> {
        let shown = |path: &Path| path.display().to_string();
        let mut mounts = outside::sources(self.plan, ours, &self.record, empty_at);
        for Apart { target, at, .. } in apart {
            let name = shown(target);
            mounts.retain(|(known, _)| *known != name);
            mounts.push((name, shown(at)));
        }
        let choices = &self.options.choices;
        // None was there before: it was just made.
        let cgroups = match choices.cgroups {
            CgroupsMode::Strict => CgroupsMode::Full,
            other => other,
        };
        Ok(Asked {
            cgroups,
            evasive_devices: true,
            log_file: LOG.to_owned(),
            root: shown(root_at),
            restore_sibling: true,
            mounts,
            cgroup_roots: self.cgroup_roots(ours)?,
            tcp_close: self.options.tcp_close,
            lsm_profile: self.options.lsm_profile.clone(),
            lsm_mount_context: self.options.lsm_mount_context.clone(),
            ..choices.options(self.plan)
        })
    }

    /// The namespaces that CRIU enters by path, each with its name; open, so that they are what was checked.
    fn joined(&self) -> Result<Vec<(&'static str, namespace::Open)>> {
        let mut joined = Vec::new();
        for (kind, name) in ENTERED {
            let of_kind: Vec<_> = self.plan.joined.iter().filter(|one| one.kind == kind).cloned().collect();
            joined.extend(namespace::open(&of_kind)?.into_iter().map(|open| (name, open)));
        }
        Ok(joined)
    }

    /// What stands outside for what the image names: the namespaces that are joined, and our own standard descriptors, under
    /// numbers that CRIU has no use for itself.
    fn inherited(&mut self) -> Result<Vec<(String, OwnedFd)>> {
        let mut inherited = Vec::new();
        for (kind, _, name) in OUTSIDE {
            let joined: Vec<_> = self.plan.joined.iter().filter(|one| one.kind == kind).cloned().collect();
            for open in namespace::open(&joined)? {
                inherited.push((name.to_owned(), high(open.descriptor())?));
            }
        }
        self.streams = descriptors::read(&self.options.choices.image)?;
        let own = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        for (index, name) in descriptors::replaced(&self.streams) {
            inherited.push((name.clone(), high(own[index])?));
        }
        Ok(inherited)
    }

    /// What a create sets on the root once everything in it is made.
    fn root_flags(&self) -> u64 {
        let read_only = if self.plan.root_read_only { RDONLY } else { 0 };
        let no_devices = if self.plan.bind_devices { NODEV } else { 0 };
        read_only | no_devices
    }

    /// The container's cgroup may have had another name when it was dumped. Where CRIU is to leave cgroups alone, its
    /// processes stay where CRIU is, which is there already.
    fn cgroup_roots(&self, ours: &[Seen]) -> Result<Vec<cgroups::Root>> {
        let managed = self.options.choices.cgroups != CgroupsMode::Ignore;
        let Some(cgroup) = self.record.cgroup.as_ref().filter(|_| managed) else { return Ok(Vec::new()) };
        let path = "/proc/self/cgroup";
        let own = std::fs::read_to_string(path).map_err(called(|| format!("read({path:?})")))?;
        Ok(cgroups::roots(cgroup, &own, ours))
    }

    fn carry_out(&mut self, criu: &mut Criu, asked: &Asked) -> Result<Child> {
        require_lock(criu, self.options.choices.network_lock)?;
        state::write(self.root, &self.record)?;
        if self.options.lsm_mount_context.is_some() {
            criu.require(31_600, "--lsm-mount-context")?;
        }
        let answer = criu.carry_out(Wish::Restore, asked, &mut |notification| self.notified(notification))?;
        let pid = answer
            .restored
            .and_then(Pid::from_raw)
            .ok_or_else(|| Error::new(Kind::Other, "criu restored no process"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(called::<Errno>(|| format!("pidfd_open({pid:?})")))?;
        let child = Child { pid, pidfd };
        let number = pid.as_raw_nonzero().get();
        match self.check_labels(number).and_then(|()| self.write_down(number)) {
            Ok(()) => Ok(child),
            Err(error) => {
                end(&child)?;
                Err(error)
            }
        }
    }

    /// CRIU brings labels along, where it is built to; a container without those that it was to have is none of ours.
    fn check_labels(&self, pid: i32) -> Result<()> {
        let named = self.options.lsm_profile.as_deref().and_then(|text| text.split_once(':'));
        let mut wanted = self.plan.process.attributes.clone();
        match named {
            Some(("apparmor", name)) => wanted.apparmor = Some(name.to_owned()),
            Some((_, name)) => wanted.selinux = Some(name.to_owned()),
            None => {}
        }
        let Some((module, found)) = label::missing(pid, &wanted)? else { return Ok(()) };
        let (asked, hint) = match (module, &wanted.apparmor, &wanted.selinux) {
            ("apparmor", Some(name), _) => (name, format!("--lsm-profile apparmor:{name} changes it")),
            (_, _, Some(label)) => {
                (label, "is criu built with libselinux, and /etc/selinux/config there?".to_owned())
            }
            _ => return Ok(()),
        };
        let why = format!("{module}: {asked:?} was asked for, and from the image it has {found:?}");
        Err(Error::new(Kind::Invalid, why).with_hint(hint))
    }

    fn write_down(&mut self, pid: i32) -> Result<()> {
        self.record.init = Init::of(pid)?;
        self.record.phase = Phase::Created;
        self.record.streams = descriptors::of_restored(pid, &self.streams)?;
        self.record.criu = None;
        state::write(self.root, &self.record)?;
        if let Some(path) = &self.options.pid_file {
            write_pid_file(path, pid)?;
        }
        Ok(())
    }

    fn notified(&mut self, notification: Notification) -> Result<()> {
        let Notification { script, pid, descriptor } = notification;
        match (script.as_str(), descriptor) {
            // The namespaces are there and empty, as at a create.
            ("setup-namespaces", _) => {
                // A hook may ask for the state; and if we end here, what there is of it is found.
                self.record.init = Init::of(pid)?;
                state::write(self.root, &self.record)?;
                let hooks = &self.plan.hooks;
                let state = self.record.state_json(Status::Creating, pid)?;
                hooks.run("prestart", &hooks.prestart, &state)?;
                hooks.run("createRuntime", &hooks.create_runtime, &state)
            }
            ("orphan-pts-master", Some(master)) => match &self.socket {
                Some(socket) => {
                    console::send(socket, "/dev/ptmx", master.as_fd()).within(|| "hand over the terminal")
                }
                None => {
                    self.terminal = Some(master);
                    Ok(())
                }
            },
            _ => Ok(()),
        }
    }
}

/// Refuses to join what CRIU can only make anew.
fn check_joined(plan: &Plan) -> Result<()> {
    let refused = [(Namespaces::USER, "user"), (Namespaces::MOUNT, "mount"), (Namespaces::CGROUP, "cgroup")];
    match refused.iter().find(|(kind, _)| plan.joins(*kind)) {
        None => Ok(()),
        Some((_, name)) => Err(Error::new(
            Kind::Unsupported,
            format!(
                "linux.namespaces: {name}: path: CRIU cannot restore into a {name} namespace that is there"
            ),
        )),
    }
}

/// Opens what has to be mounted by itself, and makes what it is mounted on in a container's directory.
fn open_apart(plan: &Plan, place: &Path, ours: &[Seen]) -> Result<Vec<Apart>> {
    let beneath = |source: &Path| {
        let below = ours.iter().filter(|seen| seen.at.starts_with(source) && seen.at != source);
        let mut paths: Vec<PathBuf> = below.map(|seen| seen.at.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    };
    let mut apart = Vec::new();
    for (index, (target, tree)) in mounts::open_apart(plan, beneath)?.into_iter().enumerate() {
        let at = place.join(format!("criu-apart-{index}"));
        let about = rustix::fs::fstat(&tree).map_err(called::<Errno>(|| "fstat".to_owned()))?;
        match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => {
                std::fs::create_dir(&at).map_err(called(|| format!("mkdir({at:?})")))?;
            }
            _ => drop(std::fs::File::create_new(&at).map_err(called(|| format!("open({at:?}, O_EXCL)")))?),
        }
        apart.push(Apart { target, tree, at });
    }
    Ok(apart)
}

/// A copy under a number that is not one of the standard descriptors'.
fn high(descriptor: rustix::fd::BorrowedFd<'_>) -> Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 10).map_err(called::<Errno>(|| "dup".to_owned()))?)
}
