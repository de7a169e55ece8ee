//! A container's record: written before anything of it exists, and enough to remove all of it.

use crate::error::{Error, Kind, Result, of_network, of_runtime};
use crate::names;
use crate::paths::Paths;
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
    /// Seconds since 1970.
    pub created: u64,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Volumes that go with it.
    pub own_volumes: Vec<String>,
    /// Whether it has a lease of the bridge.
    pub leased: bool,
    /// Where pasta wrote its id.
    pub pasta: Option<PathBuf>,
    /// What `stop` sends: typed, else the image's, else SIGTERM.
    pub stop_signal: String,
    /// The exit code, once it has ended.
    pub exit_code: Option<i32>,
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

fn read(paths: &Paths, id: &str) -> Result<Record> {
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

/// Every container, newest first, and whether it runs.
pub fn list(paths: &Paths) -> Result<Vec<(Record, bool)>> {
    let mut all: Vec<(Record, bool)> = ids(paths)?
        .iter()
        .filter_map(|id| read(paths, id).ok())
        .map(|record| {
            let alive = runtime::state::read(&paths.states(), &record.id)
                .is_ok_and(|state| state.init.is_some_and(runtime::state::Init::is_alive));
            (record, alive)
        })
        .collect();
    all.sort_by_key(|(record, _)| std::cmp::Reverse(record.created));
    Ok(all)
}

/// The id of a container by name, id, or the beginning of an id.
fn find(paths: &Paths, wanted: &str) -> Result<String> {
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

/// The process id of a container's PID 1, if there is such a container and it runs.
pub fn running(paths: &Paths, wanted: &str) -> Option<i32> {
    let state = runtime::state::read(&paths.states(), &find(paths, wanted).ok()?).ok()?;
    state.init.filter(|init| init.is_alive()).map(|init| init.pid)
}

/// Stops a container by name or id: its stop signal, or the one given, and SIGKILL when it is still there after
/// `patience`. Whoever waits for it sees its end; one that has ended already is fine.
pub fn stop(paths: &Paths, wanted: &str, signal: Option<&str>, patience: Duration) -> Result<()> {
    let id = find(paths, wanted)?;
    let own = read(paths, &id)?.stop_signal;
    let name = signal.unwrap_or(&own);
    let number = sys::signals::by_name(name).ok_or_else(|| {
        Error::new(Kind::Usage, format!("invalid value {name:?} for --signal: no such signal"))
    })?;
    match runtime::state::stop(&paths.states(), &id, number, patience) {
        Err(error) if error.kind == runtime::Kind::NoSuchContainer => Ok(()),
        done => done.map_err(of_runtime).within(|| format!("stop container {wanted}")),
    }
}

/// Removes a container by name or id; one that runs only with `force`.
pub fn remove(paths: &Paths, wanted: &str, force: bool) -> Result<String> {
    let id = find(paths, wanted)?;
    let alive = runtime::state::read(&paths.states(), &id)
        .is_ok_and(|state| state.init.is_some_and(runtime::state::Init::is_alive));
    if alive && !force {
        return Err(Error::new(Kind::Failed, format!("container {wanted} is running"))
            .with_hint(format!("devoxx-container rm --force {wanted}")));
    }
    discard(paths, &id, force)?;
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
            Err(called(|| format!("remove {directory:?}"))(error))
                .within(|| format!("remove container {}", names::short(id)))
        }
        _ => Ok(()),
    }
}

/// Ends processes and gives back everything but the files: what a container that has ended no longer needs.
pub fn stop_using(paths: &Paths, id: &str, record: Option<&Record>) -> Vec<String> {
    let mut failures = Vec::new();
    let runtime = runtime::state::remove(&paths.states(), id).map_err(of_runtime);
    failures.extend(runtime.err().map(|failure| failure.to_string()));
    if record.is_none_or(|record| record.leased) {
        let network = network::detach(&paths.network(), id).map_err(of_network);
        failures.extend(network.err().map(|failure| failure.to_string()));
    }
    if let Some(pid_file) = record.and_then(|record| record.pasta.as_ref()) {
        let pasta = network::pasta::Pasta::of(pid_file).stop().map_err(of_network);
        failures.extend(pasta.err().map(|failure| failure.to_string()));
    }
    failures
}
