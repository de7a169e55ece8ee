//! What is on disk of a container while it lives: one directory in a tmpfs, written before the first side effect.
//!
//! ```text
//! RUN/ID/state.json   every resource that will exist, by name; rewritten beside and renamed at each change
//! RUN/ID/config.json  what it was made from, where later commands come
//! RUN/ID/start        the gate that `start` comes to, see `gate`
//! ```
//! Removal works from this record alone and can be repeated.

use crate::error::{Error, Kind, Result};
use crate::hooks::Hooks;
use crate::plan::{Plan, Root};
use crate::rdt;
use crate::{gate, timestamp};
use cgroup::Cgroup;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use sys::clone3::Namespaces;
use sys::{Context, Errno, called};

/// The record of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its cgroup, in every hierarchy; none where no cgroup could be had.
    pub cgroup: Option<Cgroup>,
    /// Its groups of resctrl, where it asked for any.
    pub rdt: Option<rdt::Place>,
    /// Its init, once there is one.
    pub init: Option<Init>,
    /// How far it has come.
    pub phase: Phase,
    /// Who makes it: a container whose maker died before it was done is one that was never made.
    pub maker: Option<Init>,
    /// The version of the specification that its config.json names.
    pub oci_version: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The directory of its root.
    pub rootfs: PathBuf,
    /// When it was made (RFC 3339).
    pub created: String,
    /// From its config.json.
    pub annotations: BTreeMap<String, String>,
    /// The user id of who made it.
    pub owner: u32,
    /// Whether its config.json was kept in the container's directory.
    pub config_kept: bool,
    /// Whether a signal to its init reaches all of it: it has a PID namespace of its own.
    pub own_pid_namespace: bool,
    /// What is to run after its start and its end.
    pub hooks: Hooks,
    /// What its standard descriptors were when it was made, as CRIU calls them; empty where nobody could look.
    pub streams: Vec<String>,
    /// The CRIU that is at work on it: nothing else ends with the command that has started it.
    pub criu: Option<Init>,
}

/// How far a container has come on its way to its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is being made.
    #[default]
    Creating,
    /// It is made: waits, runs, or has ended.
    Created,
}

/// What a container does (runtime.md, "State").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Creating,
    /// It waits for its start.
    Created,
    /// Its command runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its command has ended.
    Stopped,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// The state of a container as hooks and callers read it (runtime.md, "State", and what runc has beyond).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification.
    pub oci_version: String,
    /// The id.
    pub id: String,
    /// Of init, in the caller's PID namespace; 0 when it has ended.
    pub pid: i32,
    /// What it does.
    pub status: Status,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The directory of its root.
    pub rootfs: PathBuf,
    /// When it was made (RFC 3339).
    pub created: String,
    /// From its config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who made it; empty where that is not asked for.
    pub owner: String,
}

impl Record {
    /// The record of a container that is about to be made. Whoever makes it puts itself into it.
    pub fn of(plan: &Plan, cgroup: Option<Cgroup>) -> Self {
        let rootfs = match &plan.root {
            Root::Directory(path) => path,
            Root::Overlay(overlay) => &overlay.mount_point,
        };
        Self {
            id: plan.id.clone(),
            cgroup,
            rdt: None,
            init: None,
            phase: Phase::Creating,
            maker: None,
            oci_version: plan.oci_version.clone(),
            bundle: plan.bundle.clone(),
            rootfs: rootfs.clone(),
            created: timestamp::now(),
            annotations: plan.annotations.clone(),
            owner: rustix::process::geteuid().as_raw(),
            config_kept: false,
            own_pid_namespace: plan.namespaces.has(Namespaces::PID),
            hooks: Hooks {
                poststart: plan.hooks.poststart.clone(),
                poststop: plan.hooks.poststop.clone(),
                stdout: plan.hooks.stdout.clone(),
                stderr: plan.hooks.stderr.clone(),
                ..Hooks::default()
            },
            streams: Vec::new(),
            criu: None,
        }
    }

    /// What the container does now.
    pub fn status(&self, run: &Path) -> Result<Status> {
        let is_alive = |one: Option<Init>| one.map_or(Ok(false), Init::is_alive);
        let alive = is_alive(self.init)?;
        if self.phase == Phase::Creating {
            let made = is_alive(self.maker)?;
            return Ok(if made { Status::Creating } else { Status::Stopped });
        }
        if !alive {
            return Ok(Status::Stopped);
        }
        // Before the gate: a container that is paused as long as it waits can do nothing else but go on.
        let frozen = match &self.cgroup {
            Some(cgroup) => cgroup.is_frozen().map_err(crate::error::of_cgroup)?,
            None => false,
        };
        if frozen {
            return Ok(Status::Paused);
        }
        let waits =
            self.config_kept && matches!(gate::knock(&directory(run, &self.id))?, gate::Gate::Waiting(_));
        Ok(if waits { Status::Created } else { Status::Running })
    }

    /// The state as callers see it.
    pub fn state(&self, status: Status, pid: i32) -> State {
        State {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: String::new(),
        }
    }

    /// The state as hooks get it: in one line.
    pub fn state_json(&self, status: Status, pid: i32) -> Result<String> {
        serde_json::to_string(&self.state(status, pid))
            .map_err(|error| Error::new(Kind::Other, error.to_string()))
    }
}

/// How long a process may take to end that was killed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A process, told apart from a later one of the same id by its start time (proc_pid_stat(5), field 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// In the namespace of who wrote it.
    pub pid: i32,
    /// In clock ticks since boot.
    pub start_time: u64,
}

impl Init {
    /// This process.
    pub fn of_this_process() -> Result<Option<Self>> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Looks a process up; none when it is gone.
    ///
    /// # Errors
    /// One that cannot be looked at is not one that is gone: what would be killed or waited for would run on.
    pub fn of(pid: i32) -> Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        // In one read, of what is needed: the line is longer, and its name need not be UTF-8.
        let mut line = [0; 1024];
        let read = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut line)));
        let length = match read {
            Ok(length) => length,
            Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(called::<Errno>(|| format!("read({path:?})"))(errno).into()),
        };
        Ok(Self::of_line(pid, &line[..length]))
    }

    fn of_line(pid: i32, line: &[u8]) -> Option<Self> {
        // The second field is the name and may hold anything but ends at the last parenthesis.
        let after = line.rsplit(|byte| *byte == b')').next()?;
        let mut fields = std::str::from_utf8(after).ok()?.split_ascii_whitespace();
        let state = fields.next()?;
        let start_time = fields.nth(18)?.parse().ok()?;
        (!state.starts_with(['Z', 'X'])).then_some(Self { pid, start_time })
    }

    /// This very process by descriptor, whose id cannot be reused any more; none when it is gone.
    pub fn open(self) -> Result<Option<OwnedFd>> {
        // No record has had another number from us: a negative one is a group to kill(2).
        let Some(pid) = Some(self.pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(self.is_alive()?.then_some(pidfd)),
            Err(Errno::SRCH) => Ok(None),
            Err(errno) => Err(called::<Errno>(|| format!("pidfd_open({pid:?})"))(errno).into()),
        }
    }

    /// Whether this very process is alive.
    pub fn is_alive(self) -> Result<bool> {
        Ok(Self::of(self.pid)? == Some(self))
    }
}

/// Where the containers of devoxx-runtime are that nobody names a directory for: below /run, or in the runtime directory of an ordinary
/// user.
pub fn default_root(rootless: bool) -> PathBuf {
    let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| rootless && !path.is_empty());
    base.map_or_else(|| PathBuf::from("/run"), PathBuf::from).join("devoxx-runtime")
}

/// The directory of a container.
pub fn directory(run: &Path, id: &str) -> PathBuf {
    run.join(id)
}

/// Keeps the text of config.json: what is in the bundle may change, the container does not.
pub fn keep_config(run: &Path, id: &str, text: &[u8]) -> Result<()> {
    let path = directory(run, id).join("config.json");
    std::fs::write(&path, text).map_err(called(|| format!("write {path:?}")))?;
    Ok(())
}

/// Checks an id: a file name that needs no quoting, as runc has it.
pub fn check_id(id: &str) -> Result<()> {
    if sys::mutant!("mutant_rt_26") {
        return Ok(());
    }
    let fine = !id.is_empty()
        && id.len() <= 255
        && id != "."
        && id != ".."
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte));
    if id.is_empty() {
        return Err(Error::new(Kind::Invalid, "container id cannot be empty"));
    }
    if fine { Ok(()) } else { Err(Error::new(Kind::Invalid, format!("invalid container ID format: {id:?}"))) }
}

fn taken(id: &str) -> Error {
    Error::new(Kind::Exists, format!("container with given ID already exists: {id:?}"))
}

/// Refuses an id that is taken now, before anything else is looked at. Whether it stays free only [`claim`] decides.
pub fn check_free(run: &Path, id: &str) -> Result<()> {
    check_id(id)?;
    match rustix::fs::lstat(directory(run, id)) {
        Ok(_) => Err(taken(id)),
        // Whatever is wrong with the directory is said by the one that makes it.
        Err(_) => Ok(()),
    }
}

/// Takes the id and writes the record.
pub fn claim(run: &Path, record: &Record) -> Result<()> {
    check_id(&record.id)?;
    let path = directory(run, &record.id);
    match rustix::fs::mkdir(&path, rustix::fs::Mode::RWXU) {
        Ok(()) => write(run, record),
        Err(Errno::EXIST) => Err(taken(&record.id)),
        Err(errno) => Err(called::<Errno>(|| format!("mkdir({path:?})"))(errno).into()),
    }
}

/// Writes the record beside the old one and puts it in its place.
pub fn write(run: &Path, record: &Record) -> Result<()> {
    let directory = directory(run, &record.id);
    let (new, place) = (directory.join("state.json.new"), directory.join("state.json"));
    let text = serde_json::to_vec(record).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
    std::fs::write(&new, text).map_err(called(|| format!("write {new:?}")))?;
    std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?}, {place:?})")))?;
    Ok(())
}

/// Reads the record; a missing one is that of a container that was never made.
///
/// # Errors
/// `Invalid` for one that nobody of us has written: it names what will be killed and removed.
pub fn read(run: &Path, id: &str) -> Result<Record> {
    check_id(id)?;
    let directory = directory(run, id);
    match text(&directory.join("state.json"), &|why| invalid(id, &why))? {
        Some(text) => parse(id, &text),
        // Only what is known not to be there is gone: of anything else there is something to remove.
        None => match rustix::fs::stat(&directory) {
            Ok(about) if FileType::from_raw_mode(about.st_mode) == FileType::Directory => {
                Ok(Record { id: id.to_owned(), ..Record::default() })
            }
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(Error::new(Kind::NoSuchContainer, format!("container {id:?} does not exist")))
            }
            Err(errno) => Err(called::<Errno>(|| format!("stat({directory:?})"))(errno).into()),
        },
    }
}

fn invalid(id: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("state of container {id:?}: {why}"))
}

/// Reads the text of the record of container `id`.
///
/// # Errors
/// `Invalid` for a text that is no record, and for the record of another container.
pub fn parse(id: &str, text: &[u8]) -> Result<Record> {
    let record: Record = serde_json::from_slice(text).map_err(|error| invalid(id, &error.to_string()))?;
    if record.id == id { Ok(record) } else { Err(invalid(id, &format!("names container {:?}", record.id))) }
}

/// The longest record, in bytes: that of the longest config.json, and as much again.
const LONGEST: usize = 32 << 20;

/// The text of a record, if there is one: of a regular file of this user's own, which is not waited for.
fn text(path: &Path, invalid: &dyn Fn(String) -> Error) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(invalid("a symbolic link".to_owned())),
        Err(errno) => return Err(called::<Errno>(|| format!("open({path:?})"))(errno).into()),
    };
    let about = rustix::fs::fstat(&file).map_err(called::<Errno>(|| format!("fstat({path:?})")))?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err(invalid("not a regular file".to_owned()));
    }
    if about.st_uid != rustix::process::geteuid().as_raw() {
        return Err(invalid(format!("belongs to user {}", about.st_uid)));
    }
    // It is replaced and never written to in its place: its size is what it is.
    let size = usize::try_from(about.st_size).unwrap_or(usize::MAX);
    if size > LONGEST {
        return Err(invalid(format!("longer than {LONGEST} bytes")));
    }
    let mut text = Vec::with_capacity(size);
    let read = std::fs::File::from(file).take(size as u64).read_to_end(&mut text);
    read.map_err(called(|| format!("read({path:?})")))?;
    Ok(Some(text))
}

/// The ids of all containers, sorted. A missing directory has none.
pub fn ids(run: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(run) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(called(|| format!("open({run:?})")))?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(called(|| format!("getdents64({run:?})")))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && check_id(&name).is_ok() {
            ids.push(name);
        }
    }
    ids.sort();
    Ok(ids)
}

/// Kills whatever is left of a container and removes all that its record names. Keeps going and says all that failed.
pub fn remove(run: &Path, id: &str) -> Result<()> {
    let record = match read(run, id) {
        Err(error) if error.kind == Kind::NoSuchContainer => return Ok(()),
        other => other?,
    };
    remove_recorded(run, &record)
}

/// As [`remove`], by a record that was read.
pub fn remove_recorded(run: &Path, record: &Record) -> Result<()> {
    let id = &record.id;
    let mut failures = Vec::new();
    // CRIU first: it makes processes, or holds them.
    for process in record.criu.into_iter().chain(record.init) {
        failures.extend(kill_and_wait(process).err().map(|failure| failure.to_string()));
    }
    if let Some(cgroup) = &record.cgroup {
        for done in [cgroup.kill(), cgroup.remove()] {
            failures.extend(done.err().map(|failure| failure.to_string()));
        }
    }
    if let Some(Err(failure)) = record.rdt.as_ref().map(rdt::Place::remove) {
        failures.push(failure.to_string());
    }
    if !failures.is_empty() {
        // The record stays: the next removal finds what is left by it.
        return Err(Error::new(Kind::Other, failures.join("; ")).within(format!("remove container {id}")));
    }
    let directory = directory(run, id);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(called(|| format!("remove {directory:?}"))(error).into())
        }
        _ => Ok(()),
    }
}

/// Ends a process and waits for it.
fn kill_and_wait(init: Init) -> Result<()> {
    let Some(pidfd) = init.open()? else { return Ok(()) };
    match sys::signals::send(pidfd.as_fd(), 9) {
        Err(error) if error.errno != Errno::SRCH => return Err(error.into()),
        _ => {}
    }
    ends_within(&pidfd, PATIENCE)?;
    // Ours to reap only when it is our child; otherwise its parent does.
    match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| "waitid(pidfd)".to_owned())(errno)).within(|| "reap init"),
    }
}

/// Sends a signal to a container's PID 1 and, if it is still there after `patience`, kills it. Nothing is removed. One that
/// has ended already is fine.
pub fn stop(run: &Path, id: &str, signal: i32, patience: Duration) -> Result<()> {
    let Some(init) = read(run, id)?.init else { return Ok(()) };
    let Some(pidfd) = init.open()? else { return Ok(()) };
    for (signal, patience) in [(signal, patience), (9, PATIENCE)] {
        match sys::signals::send(pidfd.as_fd(), signal) {
            Err(error) if error.errno == Errno::SRCH => return Ok(()),
            other => other?,
        }
        if ends_within(&pidfd, patience)? {
            return Ok(());
        }
    }
    Err(Error::new(Kind::Other, format!("container {id} does not end, not even by SIGKILL")))
}

/// Waits for the end of a container's PID 1, however long that takes.
pub fn wait(run: &Path, id: &str) -> Result<()> {
    match read(run, id) {
        Err(error) if error.kind == Kind::NoSuchContainer => Ok(()),
        other => match other?.init.map(Init::open).transpose()?.flatten() {
            Some(pidfd) => ends_within(&pidfd, Duration::MAX).map(drop),
            None => Ok(()),
        },
    }
}

fn ends_within(pidfd: &OwnedFd, patience: Duration) -> Result<bool> {
    let end = Instant::now().checked_add(patience);
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let limit = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], limit.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(called::<Errno>(|| "poll(pidfd)".to_owned())(errno).into()),
        }
    }
}
