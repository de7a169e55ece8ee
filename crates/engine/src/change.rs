//! `pause`, `unpause` and `rename`: small changes of a container that there is.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::life::Status;
use crate::paths::Paths;
use crate::record::{self, Listed};
use crate::{events, names, neighbours};

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

/// Gives a container another name. The old one is given up only when it has the new one.
pub fn rename(paths: &Paths, wanted: &str, name: &str) -> Result<()> {
    names::check(name)?;
    let Listed { record, .. } = record::get(paths, wanted)?;
    let _lock = record::hold(paths, &record.id)?;
    let mut record = record::read(paths, &record.id)?;
    if record.name == name {
        return Err(Error::new(Kind::Usage, format!("container {wanted} has the name {name} already")));
    }
    names::claim(paths, name, &record.id)?;
    let old = std::mem::replace(&mut record.name, name.to_owned());
    record::write(paths, &record)?;
    events::of_container(paths, &record, "rename", &[("oldName", &format!("/{old}"))]);
    names::release(paths, &old)?;
    neighbours::tell_all(paths, record.networks.iter().map(|one| one.network.as_str()))
}
