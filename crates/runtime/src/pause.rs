//! `pause` and `resume`: all processes of a container stop, and go on.

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::state::{self, Record, Status};
use cgroup::Cgroup;
use std::path::Path;

/// Stops all processes of container `id`; returns when they have.
pub fn pause(root: &Path, id: &str) -> Result<()> {
    let record = state::read(root, id)?;
    match record.status(root)? {
        Status::Running | Status::Created => cgroup(&record)?.freeze().map_err(of_cgroup),
        _ => Err(Error::new(Kind::NotRunning, "container not running")),
    }
}

/// Lets them go on.
pub fn resume(root: &Path, id: &str) -> Result<()> {
    let record = state::read(root, id)?;
    match record.status(root)? {
        Status::Paused => cgroup(&record)?.thaw().map_err(of_cgroup),
        _ => Err(Error::new(Kind::Invalid, "container not paused")),
    }
}

fn cgroup(record: &Record) -> Result<&Cgroup> {
    record.cgroup.as_ref().ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("container {} has no cgroup to stop", record.id))
    })
}
