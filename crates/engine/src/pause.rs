//! `pause` and `unpause`: all processes of a container stand still.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::events;
use crate::life::Status;
use crate::paths::Paths;
use crate::record::{self, Listed};

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
