//! `rm`, and what every end gives back: from the record alone, in reverse order.

use crate::error::{Error, Kind, Result, of_image, of_network, of_runtime};
use crate::life::{self, Status};
use crate::neighbours;
use crate::paths::Paths;
use crate::record::{Record, find, list, read, read_to_remove};
use crate::{birth, control, events, ids, names, pause, user_networks};
use network::pasta::Pasta;
use std::path::PathBuf;
use std::time::Duration;
use sys::{Context, called};

/// Removes a container by name or id; one that runs only with `force`, its volumes that have no name only with `volumes`.
pub fn remove(paths: &Paths, wanted: &str, force: bool, volumes: bool) -> Result<String> {
    let id = find(paths, wanted).inspect_err(|_| sweep(paths))?;
    let running = || {
        Error::new(Kind::Failed, format!("container {wanted} is running"))
            .with_hint(format!("devoxx-container rm --force {wanted}"))
    };
    let is_up = || -> Result<bool> {
        let status = life::status(paths, &id, &life::read(paths, &id)?)?;
        Ok(matches!(status, Status::Running | Status::Paused | Status::Restarting))
    };
    if !force && is_up()? {
        return Err(running());
    }
    if force {
        control::announce_stop(paths, &id)?;
        pause::release(paths, &id, Some(9))?;
        let done = runtime::state::stop(&paths.states(), &id, 9, Duration::from_secs(10));
        match done {
            Err(error) if error.kind == runtime::Kind::NoSuchContainer => {}
            other => other.map_err(of_runtime).within(|| format!("kill container {wanted}"))?,
        }
    }
    let Some(_lock) = control::wait_lock(paths, &id)? else {
        // Somebody else was faster, or was killed at it.
        sweep(paths);
        return Ok(id);
    };
    if !force && is_up()? {
        return Err(running());
    }
    discard(paths, &id, volumes)?;
    Ok(id)
}

/// Removes all that container `id` is made of, from its record alone: whatever was made, in reverse order. Keeps
/// going and says all that failed; then the record stays for the next attempt.
pub fn discard(paths: &Paths, id: &str, own_volumes: bool) -> Result<()> {
    let (record, unread) = to_remove(paths, id);
    let mut failures = stop_using(paths, id, record.as_ref());
    failures.extend(unread);
    forget(paths, id, own_volumes, failures)
}

/// The record of what is to be removed, and why it could not be read.
fn to_remove(paths: &Paths, id: &str) -> (Option<Record>, Option<String>) {
    match read_to_remove(&paths.container(id)) {
        Ok(record) => (record, None),
        Err(error) => (None, Some(error.to_string())),
    }
}

/// What [`discard`] does after [`stop_using`], which had these failures.
pub fn forget(paths: &Paths, id: &str, own_volumes: bool, mut failures: Vec<String>) -> Result<()> {
    let (record, unread) = to_remove(paths, id);
    failures.extend(unread);
    let removed = || format!("remove container {}", names::short(id));
    let all_or = |failures: Vec<String>| match failures.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Failed, failures.join("; ")).within(removed())),
    };
    // What stays keeps its name, and can be named.
    all_or(failures)?;
    let mut failures = Vec::new();
    for volume in record.iter().flat_map(|record| &record.own_volumes).filter(|_| own_volumes) {
        // Another that took its volumes has them still.
        let others = list(paths)?.into_iter().filter(|one| one.record.id != id).collect::<Vec<_>>();
        if !crate::volume::users(&others, volume).is_empty() {
            continue;
        }
        failures.extend(crate::volume::remove(paths, volume).err().map(|failure| failure.to_string()));
    }
    all_or(failures)?;
    // At once: should this process be killed now, or something fail, no half of a container is left, and the next removal has the rest.
    let (directory, gone) = (paths.container(id), gone(paths, id));
    match std::fs::rename(&directory, &gone) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(called(|| format!("rename({directory:?}, {gone:?})"))(error)).within(removed);
        }
        _ => {}
    }
    if let Some(record) = &record {
        events::of_container(paths, record, "destroy", &[]);
    }
    clear(paths, id, record.as_ref()).within(removed)?;
    sweep(paths);
    Ok(())
}

/// Where a container's directory is while it is removed.
fn gone(paths: &Paths, id: &str) -> PathBuf {
    paths.containers().join(format!("{GONE}{id}"))
}

/// What stands before the id then.
pub const GONE: &str = ".gone-";

/// Removes what a container was whose removal was broken off.
pub fn clear_away(paths: &Paths, id: &str) -> Result<()> {
    let record = read_to_remove(&gone(paths, id))?;
    clear(paths, id, record.as_ref())
}

/// Removes what a container was: its name and its ids by its record, and then that with everything else. What another was faster with is fine.
fn clear(paths: &Paths, id: &str, record: Option<&Record>) -> Result<()> {
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let gone = gone(paths, id);
    if let Some(record) = record {
        for name in crate::rename::unfinished(&gone).iter().chain([&record.name]) {
            names::release(paths, name, id)?;
        }
        ids::release(paths, record)?;
    }
    for entry in std::fs::read_dir(&gone).into_iter().flatten().flatten() {
        let path = entry.path();
        // At any depth: the container made what is in its upper directory.
        image::remove_at(&path).map_err(of_image)?;
    }
    // With it goes the lock that the caller holds.
    control::remove(paths, id)?;
    match std::fs::remove_dir(&gone) {
        Err(error) if !missing(&error) => Err(called(|| format!("rmdir({gone:?})"))(error).into()),
        _ => Ok(()),
    }
}

/// Goes on where others were killed in the middle of a removal, and undoes what was begun by those that were killed in the middle of a
/// `create`. What cannot be removed now is left to the next.
pub fn sweep(paths: &Paths) {
    for entry in std::fs::read_dir(paths.containers()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(id) = name.strip_prefix(birth::UNBORN) {
            let _left = birth::sweep(paths, id);
        }
        if let Some(id) = name.strip_prefix(GONE).filter(|id| !control::is_attended(paths, id)) {
            let _left = clear_away(paths, id);
        }
    }
}

/// Ends processes and gives back everything but the files: what a container that has ended no longer needs.
pub fn stop_using(paths: &Paths, id: &str, record: Option<&Record>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut note = |result: Result<()>| failures.extend(result.err().map(|failure| failure.to_string()));
    let pasta = record.and_then(|record| record.pasta.as_deref()).map(Pasta::of);
    // First: while it ends, the rest is done.
    let ending = pasta.as_ref().map(|pasta| pasta.kill().map_err(of_network)).transpose();
    let mut ending = ending.map_err(|error| note(Err(error))).ok().flatten();
    let mut ended = || ending.take().map_or(Ok(()), |ending| ending.wait().map_err(of_network));
    match runtime::delete::clear(&paths.states(), id) {
        Ok(hooks) => hooks.into_iter().for_each(|failed| note(Err(Error::new(Kind::Failed, failed)))),
        Err(error) => note(Err(of_runtime(error))),
    }
    // A container of an ordinary user may have come to networks since whoever calls has read the record.
    // What cannot be read may be: then there is nothing to be found, and no harm done.
    let is_leased = |record: &Record| record.leased;
    if record.is_none_or(is_leased) || (pasta.is_some() && read(paths, id).as_ref().map_or(true, is_leased)) {
        note(user_networks::find(paths));
        if !user_networks::is_known() {
            // With it go the container's links, which nobody else can take off now.
            note(ended());
        }
        note(network::detach(&paths.network(), id).map_err(of_network));
        let now = read(paths, id).ok();
        let networks = now.iter().flat_map(|record| record.networks.iter().map(|one| one.network.as_str()));
        note(neighbours::tell_all(paths, networks));
    }
    note(ended());
    failures
}
