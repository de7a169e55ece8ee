//! `kill`: a signal to a container (runtime.md, "Kill").

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::state::{self, Record, Status};
use rustix::fd::AsFd;
use std::path::Path;
use sys::Errno;

/// SIGKILL.
const KILL: i32 = 9;

/// Sends `signal` to init of container `id`; with SIGKILL, to all of a container without a PID namespace of its own.
pub fn kill(root: &Path, id: &str, signal: i32) -> Result<()> {
    let record = state::read(root, id)?;
    let status = record.status(root)?;
    if status == Status::Stopped {
        return Err(not_running());
    }
    if signal == KILL && !record.own_pid_namespace {
        return all(&record, signal);
    }
    let pidfd = record.init.map(state::Init::open).transpose()?.flatten().ok_or_else(not_running)?;
    match sys::signals::send(pidfd.as_fd(), signal) {
        Err(error) if error.errno == Errno::SRCH => return Err(not_running()),
        other => other?,
    }
    if signal == KILL && status == Status::Paused {
        // On v1 a frozen process does not even end.
        if let Some(cgroup) = &record.cgroup {
            cgroup.thaw().map_err(of_cgroup)?;
        }
    }
    Ok(())
}

/// Sends `signal` to every process of container `id`. One that has none left is fine.
pub fn kill_all(root: &Path, id: &str, signal: i32) -> Result<()> {
    let record = state::read(root, id)?;
    match all(&record, signal) {
        Err(error) if error.kind == Kind::NotRunning => Ok(()),
        other => other,
    }
}

fn all(record: &Record, signal: i32) -> Result<()> {
    let Some(cgroup) = &record.cgroup else {
        let pidfd = record.init.map(state::Init::open).transpose()?.flatten().ok_or_else(not_running)?;
        return match sys::signals::send(pidfd.as_fd(), signal) {
            Err(error) if error.errno == Errno::SRCH => Err(not_running()),
            other => Ok(other?),
        };
    };
    if signal == KILL {
        return cgroup.kill().map_err(of_cgroup);
    }
    let mut reached = false;
    for pid in cgroup.processes().map_err(of_cgroup)? {
        let Some(process) = state::Init::of(pid)? else { continue };
        let Some(pidfd) = process.open()? else { continue };
        match sys::signals::send(pidfd.as_fd(), signal) {
            Err(error) if error.errno == Errno::SRCH => {}
            other => {
                other?;
                reached = true;
            }
        }
    }
    if reached { Ok(()) } else { Err(not_running()) }
}

fn not_running() -> Error {
    Error::new(Kind::NotRunning, "container not running")
}
