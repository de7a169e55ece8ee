//! What is on disk of a container while it lives: one directory in a tmpfs, written before the first side effect.
//!
//! ```text
//! RUN/ID/state.json   every resource that will exist, by name; rewritten beside and renamed at each change
//! ```
//! Removal works from this record alone and can be repeated.

use crate::error::{Error, Kind, Result};
use cgroup::Cgroup;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use sys::{Context, Errno, called};

/// The record of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its cgroup, in every hierarchy; none where no cgroup could be had.
    pub cgroup: Option<Cgroup>,
    /// Its init, once there is one.
    pub init: Option<Init>,
}

/// A process, told apart from a later one of the same id by its start time (proc_pid_stat(5), field 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// In the namespace of who wrote it.
    pub pid: i32,
    /// In clock ticks since boot.
    pub start_time: u64,
}

impl Init {
    /// Looks a process up; none when it is gone.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name and may hold anything but ends at the last parenthesis.
        let after = stat.rsplit_once(')')?.1;
        let mut fields = after.split_ascii_whitespace();
        let state = fields.next()?;
        let start_time = fields.nth(18)?.parse().ok()?;
        (!state.starts_with(['Z', 'X'])).then_some(Self { pid, start_time })
    }

    /// This very process by descriptor, whose id cannot be reused any more; none when it is gone.
    fn open(self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(self.is_alive().then_some(pidfd)),
            Err(Errno::SRCH) => Ok(None),
            Err(errno) => Err(called::<Errno>(|| format!("pidfd_open({pid:?})"))(errno).into()),
        }
    }

    /// Whether this very process is alive.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

fn directory(run: &Path, id: &str) -> PathBuf {
    run.join(id)
}

/// Checks an id: a file name that needs no quoting, as runc has it.
pub fn check_id(id: &str) -> Result<()> {
    let fine = !id.is_empty()
        && id.len() <= 128
        && id != "."
        && id != ".."
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte));
    if fine { Ok(()) } else { Err(Error::new(Kind::Invalid, format!("invalid container id {id:?}"))) }
}

/// Takes the id and writes the record. The only step that can find the id taken.
pub fn claim(run: &Path, record: &Record) -> Result<()> {
    check_id(&record.id)?;
    let path = directory(run, &record.id);
    match rustix::fs::mkdir(&path, rustix::fs::Mode::RWXU) {
        Ok(()) => write(run, record),
        Err(Errno::EXIST) => {
            Err(Error::new(Kind::Exists, format!("container {:?} exists already", record.id)))
        }
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

/// Reads the record; a torn or missing one is that of a container that was never made.
pub fn read(run: &Path, id: &str) -> Result<Record> {
    check_id(id)?;
    let directory = directory(run, id);
    match std::fs::read(directory.join("state.json")) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| Error::new(Kind::Invalid, format!("state of container {id:?}: {error}"))),
        Err(_) if directory.is_dir() => Ok(Record { id: id.to_owned(), cgroup: None, init: None }),
        Err(_) => Err(Error::new(Kind::NoSuchContainer, format!("no such container: {id}"))),
    }
}

/// Kills whatever is left of a container and removes all that its record names. Keeps going and says all that failed.
pub fn remove(run: &Path, id: &str) -> Result<()> {
    let record = match read(run, id) {
        Err(error) if error.kind == Kind::NoSuchContainer => return Ok(()),
        other => other?,
    };
    let mut failures = Vec::new();
    if let Some(init) = record.init
        && let Err(failure) = kill_and_wait(init)
    {
        failures.push(failure.to_string());
    }
    if let Some(cgroup) = &record.cgroup {
        for done in [cgroup.kill(), cgroup.remove()] {
            failures.extend(done.err().map(|failure| failure.to_string()));
        }
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
    ends_within(&pidfd, Duration::from_secs(10))?;
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
    for (signal, patience) in [(signal, patience), (9, Duration::from_secs(10))] {
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
