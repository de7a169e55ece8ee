//! A container's record: written before anything of it exists, and enough to remove all of it.

use crate::error::{Error, Kind, Result, of_network, of_runtime};
use crate::health::Check;
use crate::life::{self, Life, Status};
use crate::names;
use crate::neighbours::{self, Held};
use crate::paths::Paths;
use crate::wish::{Attachment, Network, Wish};
use crate::{control, events, user_networks};
use network::pasta::Pasta;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use sys::{Context, called};

/// What a container is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image's name, or the directory.
    pub image: String,
    /// The image's id; empty for a directory.
    pub image_id: String,
    /// The command.
    pub command: Vec<String>,
    /// When it was made (RFC 3339, with nanoseconds).
    pub created: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Volumes that go with it: those that were typed without a name, then those of the image.
    pub own_volumes: Vec<String>,
    /// Where the image's volumes are.
    #[serde(default)]
    pub image_volumes: Vec<PathBuf>,
    /// Whether it has leases of networks while it runs.
    pub leased: bool,
    /// The networks that it is on, or will be when it starts: those of the wish, and what came of them.
    #[serde(default)]
    pub networks: Vec<Attachment>,
    /// Where pasta wrote its id.
    pub pasta: Option<PathBuf>,
    /// What `stop` sends: typed, else the image's, else SIGTERM.
    pub stop_signal: String,
    /// Its user, as typed or as the image has it: that of further processes too.
    pub user: Option<String>,
    /// The check of its health.
    #[serde(default)]
    pub check: Option<Check>,
    /// What was asked for.
    pub wish: Wish,
}

impl Record {
    /// Whether it is on a network of an ordinary user that other containers are on too: `bridge` is none.
    pub fn has_neighbours(&self) -> bool {
        self.pasta.is_some() && self.networks.iter().any(|one| one.network != network::definition::DEFAULT)
    }
}

/// A container as it is now.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What it is made of.
    pub record: Record,
    /// What has happened to it.
    pub life: Life,
    /// What it does.
    pub status: Status,
}

/// Whether it runs, is paused, or is about to be started again.
pub fn is_up(one: &Listed) -> bool {
    matches!(one.status, Status::Running | Status::Paused | Status::Restarting)
}

/// Writes the record beside the old one and puts it in its place.
pub fn write(paths: &Paths, record: &Record) -> Result<()> {
    let directory = paths.container(&record.id);
    let (new, place) = (directory.join("container.json.new"), directory.join("container.json"));
    let text =
        serde_json::to_vec_pretty(record).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    std::fs::write(&new, text).map_err(called(|| format!("write {new:?}")))?;
    std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?})")))?;
    Ok(())
}

/// Keeps others from changing a container's record; none when the container is gone.
pub fn hold(paths: &Paths, id: &str) -> Result<Option<Held>> {
    neighbours::hold(&paths.container(id).join("change.lock"))
}

/// The record of container `id`.
pub fn read(paths: &Paths, id: &str) -> Result<Record> {
    let path = paths.container(id).join("container.json");
    let text = std::fs::read(&path).map_err(called(|| format!("read {path:?}")))?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::new(Kind::Failed, format!("{}: {error}", path.display())))
}

/// Every container's id, in no order.
fn ids(paths: &Paths) -> Result<Vec<String>> {
    let directory = paths.containers();
    let entries = std::fs::read_dir(&directory).map_err(called(|| format!("read {directory:?}")))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.len() == 64)
        .collect())
}

/// The file that holds what the container wrote.
pub fn log(paths: &Paths, id: &str) -> PathBuf {
    paths.container(id).join("container.log")
}

/// Every container, newest first. No lock is taken: whoever writes is not waited for.
pub fn list(paths: &Paths) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = ids(paths)?
        .iter()
        .filter_map(|id| read(paths, id).ok())
        .map(|record| with_life(paths, record))
        .collect();
    all.sort_by(|a, b| b.record.created.cmp(&a.record.created));
    Ok(all)
}

fn with_life(paths: &Paths, record: Record) -> Listed {
    let life = life::read(paths, &record.id);
    let status = life::status(paths, &record.id, &life);
    Listed { record, life, status }
}

/// One container, by name, id, or the beginning of an id.
pub fn get(paths: &Paths, wanted: &str) -> Result<Listed> {
    Ok(with_life(paths, read(paths, &find(paths, wanted)?)?))
}

/// The id of a container by name, id, or the beginning of an id.
pub fn find(paths: &Paths, wanted: &str) -> Result<String> {
    let missing = || Error::new(Kind::Failed, format!("no such container: {wanted}"));
    if names::check(wanted).is_ok()
        && let Ok(id) = std::fs::read_link(paths.names().join(wanted))
    {
        return Ok(id.display().to_string());
    }
    let mut found = ids(paths)?.into_iter().filter(|id| !wanted.is_empty() && id.starts_with(wanted));
    let id = found.next().ok_or_else(missing)?;
    match found.next() {
        None => Ok(id),
        Some(_) => Err(Error::new(Kind::Usage, format!("more than one container's id begins with {wanted}"))),
    }
}

/// The process id of a container's PID 1, if there is such a container and it runs; else that of the container whose network it
/// is to have: both are in one user namespace.
pub fn running(paths: &Paths, wanted: &str) -> Option<i32> {
    let id = find(paths, wanted).ok()?;
    let alive = |id: &str| {
        let state = runtime::state::read(&paths.states(), id).ok()?;
        state.init.filter(|init| init.is_alive()).map(|init| init.pid)
    };
    alive(&id).or_else(|| match read(paths, &id).ok()?.wish.network {
        Network::Container(other) => alive(&other),
        _ => None,
    })
}

/// Stops a container by name or id: its stop signal, or the one given, and SIGKILL when it is still there after `patience`, or
/// after its own. Returns when everything of its run is put away; one that has ended already is fine.
pub fn stop(paths: &Paths, wanted: &str, signal: Option<&str>, patience: Option<Duration>) -> Result<()> {
    let id = find(paths, wanted)?;
    let record = read(paths, &id)?;
    let number = match signal {
        Some(name) => signal_number(name)?,
        None => sys::signals::by_name(&record.stop_signal).unwrap_or(15),
    };
    let was_up = runtime::state::read(&paths.states(), &id).is_ok();
    let own = record.wish.stop_timeout.map(Duration::from_secs);
    let patience = patience.or(own).unwrap_or(Duration::from_secs(10));
    control::announce_stop(paths, &id)?;
    match runtime::state::stop(&paths.states(), &id, number, patience) {
        Err(error) if error.kind == runtime::Kind::NoSuchContainer => {}
        done => done.map_err(of_runtime).within(|| format!("stop container {wanted}"))?,
    }
    let done = match control::wait_lock(paths, &id)? {
        Some(_lock) => settle(paths, &id),
        // It was removed with its end.
        None => Ok(()),
    };
    if was_up {
        events::of_container(paths, &record, "stop", &[]);
    }
    done
}

fn signal_number(name: &str) -> Result<i32> {
    sys::signals::by_name(name).ok_or_else(|| {
        Error::new(Kind::Usage, format!("invalid value {name:?} for --signal: no such signal"))
    })
}

/// Sends a signal to a container's PID 1. One that ends it is not followed by another start.
pub fn kill(paths: &Paths, wanted: &str, signal: &str) -> Result<()> {
    let number = signal_number(signal)?;
    let id = find(paths, wanted)?;
    let not_running = || Error::new(Kind::Failed, format!("container {wanted} is not running"));
    let init = runtime::state::read(&paths.states(), &id)
        .ok()
        .and_then(|state| state.init)
        .ok_or_else(not_running)?;
    let pidfd = init.open().map_err(of_runtime)?.ok_or_else(not_running)?;
    if number == 9 || Some(number) == sys::signals::by_name(&read(paths, &id)?.stop_signal) {
        control::announce_stop(paths, &id)?;
    }
    match sys::signals::send(rustix::fd::AsFd::as_fd(&pidfd), number) {
        Err(error) if error.errno == sys::Errno::SRCH => Err(not_running()),
        other => {
            other?;
            if let Ok(record) = read(paths, &id) {
                events::of_container(paths, &record, "kill", &[("signal", &number.to_string())]);
            }
            Ok(())
        }
    }
}

/// With the lock held: what a supervisor that was killed could not do any more at the end of its container.
pub fn settle(paths: &Paths, id: &str) -> Result<()> {
    let Ok(record) = read(paths, id) else { return Ok(()) };
    let mut life = life::read(paths, id);
    if life::status(paths, id, &life) != Status::Exited || life.exit_code.is_some() {
        return Ok(());
    }
    let failures = stop_using(paths, id, Some(&record));
    if !failures.is_empty() {
        return Err(Error::new(Kind::Failed, failures.join("; ")));
    }
    // Nobody has seen its end.
    (life.exit_code, life.finished) = (Some(UNKNOWN), Some(runtime::timestamp::now()));
    life.restarting = false;
    life::write(paths, id, &life)?;
    events::of_container(paths, &record, "die", &[("exitCode", &UNKNOWN.to_string())]);
    Ok(())
}

/// The exit code of a container whose end nobody has seen.
const UNKNOWN: i32 = 255;

/// Removes a container by name or id; one that runs only with `force`, its volumes that have no name only with `volumes`.
pub fn remove(paths: &Paths, wanted: &str, force: bool, volumes: bool) -> Result<String> {
    let id = find(paths, wanted)?;
    let running = || {
        Error::new(Kind::Failed, format!("container {wanted} is running"))
            .with_hint(format!("devoxx-container rm --force {wanted}"))
    };
    let is_up = || {
        let life = life::read(paths, &id);
        matches!(life::status(paths, &id, &life), Status::Running | Status::Paused | Status::Restarting)
    };
    if !force && is_up() {
        return Err(running());
    }
    if force {
        control::announce_stop(paths, &id)?;
        let done = runtime::state::stop(&paths.states(), &id, 9, Duration::from_secs(10));
        match done {
            Err(error) if error.kind == runtime::Kind::NoSuchContainer => {}
            other => other.map_err(of_runtime).within(|| format!("kill container {wanted}"))?,
        }
    }
    let Some(_lock) = control::wait_lock(paths, &id)? else { return Ok(id) };
    if !force && is_up() {
        return Err(running());
    }
    discard(paths, &id, volumes)?;
    Ok(id)
}

/// Removes all that container `id` is made of, from its record alone: whatever was made, in reverse order. Keeps
/// going and says all that failed; then the record stays for the next attempt.
pub fn discard(paths: &Paths, id: &str, own_volumes: bool) -> Result<()> {
    let record = read(paths, id).ok();
    let mut failures: Vec<String> = stop_using(paths, id, record.as_ref());
    if let Some(record) = &record {
        let name = names::release(paths, &record.name);
        failures.extend(name.err().map(|failure| failure.to_string()));
        for volume in record.own_volumes.iter().filter(|_| own_volumes) {
            // Another that took its volumes has them still.
            let others = list(paths)?.into_iter().filter(|one| one.record.id != id).collect::<Vec<_>>();
            if !crate::volume::users(&others, volume).is_empty() {
                continue;
            }
            failures.extend(crate::volume::remove(paths, volume).err().map(|failure| failure.to_string()));
        }
    }
    if !failures.is_empty() {
        return Err(Error::new(Kind::Failed, failures.join("; "))
            .within(format!("remove container {}", names::short(id))));
    }
    let directory = paths.container(id);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(called(|| format!("remove {directory:?}"))(error))
                .within(|| format!("remove container {}", names::short(id)));
        }
        _ => {}
    }
    if let Some(record) = &record {
        events::of_container(paths, record, "destroy", &[]);
    }
    // Last: with it goes the lock that the caller holds.
    control::remove(paths, id)
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
    note(runtime::state::remove(&paths.states(), id).map_err(of_runtime));
    // A container of an ordinary user may have come to networks since whoever calls has read the record.
    let is_leased = |record: &Record| record.leased;
    if record.is_none_or(is_leased) || (pasta.is_some() && read(paths, id).as_ref().is_ok_and(is_leased)) {
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
