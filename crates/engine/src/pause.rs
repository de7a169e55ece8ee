//! `pause` and `unpause`: all processes of a container stand still; and how they do for a while, for a command that may be killed.

use crate::error::{Error, Kind, Result, of_cgroup, of_runtime};
use crate::events;
use crate::life::Status;
use crate::paths::Paths;
use crate::record::{self, Listed};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::path::PathBuf;
use sys::{Errno, called};

/// Freezes all processes of a container.
pub fn pause(paths: &Paths, wanted: &str) -> Result<()> {
    let id = that_is(paths, wanted, Status::Running)?;
    runtime::pause::pause(&paths.states(), &id).map_err(of_runtime)?;
    said(paths, &id, "pause")
}

/// Lets them go on.
pub fn unpause(paths: &Paths, wanted: &str) -> Result<()> {
    let id = that_is(paths, wanted, Status::Paused)?;
    runtime::pause::resume(&paths.states(), &id).map_err(of_runtime)?;
    said(paths, &id, "unpause")
}

fn said(paths: &Paths, id: &str, action: &str) -> Result<()> {
    events::of_container(paths, &record::read(paths, id)?, action, &[]);
    Ok(())
}

fn that_is(paths: &Paths, wanted: &str, needed: Status) -> Result<String> {
    let Listed { record, status, .. } = record::get(paths, wanted)?;
    if status == needed {
        return Ok(record.id);
    }
    Err(Error::new(Kind::Failed, format!("container {wanted} is not {needed}: it is {status}")))
}

/// Lets a container go on that stands still and is to end: a signal comes to nobody who is frozen, on cgroup v1 not even SIGKILL. One
/// that is given is there first.
pub fn release(paths: &Paths, id: &str, signal: Option<i32>) -> Result<()> {
    let Ok(state) = runtime::state::read(&paths.states(), id) else { return Ok(()) };
    let frozen = |cgroup: &&cgroup::Cgroup| cgroup.is_frozen().unwrap_or(false);
    let Some(cgroup) = state.cgroup.as_ref().filter(frozen) else { return Ok(()) };
    let pidfd = state.init.map(|init| init.open()).transpose().map_err(of_runtime)?.flatten();
    if let (Some(pidfd), Some(signal)) = (pidfd, signal) {
        // One that has just ended needs none.
        let _sent = sys::signals::send(pidfd.as_fd(), signal);
    }
    match cgroup.thaw() {
        // It has ended, or somebody else was faster.
        Err(_) if matches!(cgroup.is_frozen(), Ok(false)) => Ok(()),
        other => other.map_err(of_cgroup),
    }
}

/// A container that stands still as long as a command needs it. Should that be killed, its lock is free, and the next command that comes
/// to the container lets it go on.
pub struct StandStill {
    file: PathBuf,
    _lock: OwnedFd,
}

/// Beside the socket of its supervisor: in memory, and gone with the container.
fn file_of(paths: &Paths, id: &str) -> PathBuf {
    paths.supervisors().join(id).join("stands-still")
}

impl StandStill {
    /// Freezes all processes of a container that runs; none where another command has just done so.
    pub fn begin(paths: &Paths, id: &str) -> Result<Option<Self>> {
        let file = file_of(paths, id);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(&file, flags, Mode::RUSR | Mode::WUSR)
            .map_err(called::<Errno>(|| format!("open({file:?})")))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        runtime::pause::pause(&paths.states(), id).map_err(of_runtime)?;
        Ok(Some(Self { file, _lock: lock }))
    }

    /// Lets it go on.
    pub fn end(self, paths: &Paths, id: &str) -> Result<()> {
        runtime::pause::resume(&paths.states(), id).map_err(of_runtime)?;
        std::fs::remove_file(&self.file).map_err(called(|| format!("unlink({:?})", self.file)))?;
        Ok(())
    }
}

/// Lets a container go on that stands still for a command which is gone; whether it was one.
pub fn repair(paths: &Paths, id: &str) -> bool {
    let file = file_of(paths, id);
    let Ok(lock) = rustix::fs::open(&file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        && runtime::pause::resume(&paths.states(), id).is_ok()
        && std::fs::remove_file(&file).is_ok()
}
