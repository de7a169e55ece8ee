//! `events`: what a container uses, and what happens to it.

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::state::{self, Record, Status};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn running(root: &Path, id: &str) -> Result<Record> {
    let record = state::read(root, id)?;
    match record.status(root)? {
        Status::Stopped => {
            Err(Error::new(Kind::NotRunning, format!("container with id {id} is not running")))
        }
        _ => Ok(record),
    }
}

/// What container `id` uses now.
pub fn stats(root: &Path, id: &str) -> Result<Value> {
    of(&running(root, id)?)
}

fn of(record: &Record) -> Result<Value> {
    let Some(cgroup) = &record.cgroup else {
        return Err(Error::new(Kind::Unsupported, format!("container {} has no cgroup", record.id)));
    };
    let stats = cgroup.stats().map_err(of_cgroup)?;
    serde_json::to_value(stats).map_err(|error| Error::new(Kind::Other, format!("statistics: {error}")))
}

/// Tells what container `id` uses, again and again, and when it runs out of memory; until its end.
pub fn follow(
    root: &Path,
    id: &str,
    _interval: Duration,
    tell: &mut dyn FnMut(&str, Option<Value>) -> Result<()>,
) -> Result<()> {
    tell("stats", Some(stats(root, id)?))
}
