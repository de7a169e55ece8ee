//! A container's record: written before anything of it exists, and enough to remove all of it.

use crate::directory;
use crate::error::{Error, Kind, Result};
use crate::health::Check;
use crate::ids::Ids;
use crate::life::{self, Life, Status};
use crate::names;
use crate::neighbours::{self, Held};
use crate::paths::Paths;
use crate::pause;
use crate::wish::{Attachment, Wish};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use sys::called;

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
    /// Its user namespace; none for that of the engine.
    #[serde(default)]
    pub ids: Option<Ids>,
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
    put(&new, record)?;
    std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?})")))?;
    Ok(())
}

/// Writes the record of a container whose directory nobody knows yet.
pub fn write_in(directory: &Path, record: &Record) -> Result<()> {
    put(&directory.join("container.json"), record)
}

fn put(path: &Path, record: &Record) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(record).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    std::fs::write(path, text).map_err(called(|| format!("write {path:?}")))?;
    Ok(())
}

/// Keeps others from changing a container's record; none when the container is gone.
pub fn hold(paths: &Paths, id: &str) -> Result<Option<Held>> {
    neighbours::hold(&paths.container(id).join("change.lock"))
}

/// The record of container `id`.
pub fn read(paths: &Paths, id: &str) -> Result<Record> {
    read_in(&paths.container(id))
}

/// The record in a container's directory.
pub fn read_in(directory: &Path) -> Result<Record> {
    let path = directory.join("container.json");
    let text = std::fs::read(&path).map_err(called(|| format!("read {path:?}")))?;
    parse(&text, &path)
}

fn parse(text: &[u8], path: &Path) -> Result<Record> {
    serde_json::from_slice(text)
        .map_err(|error| Error::new(Kind::Failed, format!("{}: {error}", path.display())))
}

/// The record in the directory of a container that is to be removed: none where there is none, or garbage, which has nothing that could be given back. A record
/// that could not be read is an error: its name and its ids would stay.
pub fn read_to_remove(directory: &Path) -> Result<Option<Record>> {
    let path = directory.join("container.json");
    match std::fs::read(&path) {
        Ok(text) => Ok(parse(&text, &path).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(called(|| format!("read {path:?}"))(error).into()),
    }
}

/// Every container's id, in no order.
fn ids(paths: &Paths) -> Result<Vec<String>> {
    let mut names = directory::names(&paths.containers())?;
    names.retain(|name| name.len() == 64);
    Ok(names)
}

/// The file that holds what the container wrote.
pub fn log(paths: &Paths, id: &str) -> PathBuf {
    paths.container(id).join("container.log")
}

/// From how many containers on a second thread is faster than the time that it takes to begin.
const MANY: usize = 64;

/// Every container, newest first. No lock is taken: whoever writes is not waited for.
pub fn list(paths: &Paths) -> Result<Vec<Listed>> {
    let ids = ids(paths)?;
    let look = |ids: &[String]| -> Result<Vec<Listed>> {
        ids.iter().filter_map(|id| look_at(paths, id).transpose()).collect()
    };
    let mut all = if ids.len() < MANY {
        look(&ids)?
    } else {
        // Some 40 calls for each, in files that nobody else has open.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        std::thread::scope(|scope| -> Result<Vec<Listed>> {
            let begun: Vec<_> = ids
                .chunks(ids.len().div_ceil(threads))
                .map(|part| {
                    let thread = std::thread::Builder::new();
                    // Where there is no room for a thread, it is done here.
                    thread.spawn_scoped(scope, move || look(part)).map_err(|_| part)
                })
                .collect();
            let mut all = Vec::new();
            for one in begun {
                all.extend(match one {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
                    Err(part) => look(part)?,
                });
            }
            Ok(all)
        })?
    };
    all.sort_by(|a, b| b.record.created.cmp(&a.record.created));
    Ok(all)
}

/// A container; none where it was removed meanwhile, or is damaged, which is for `system doctor`.
fn look_at(paths: &Paths, id: &str) -> Result<Option<Listed>> {
    let path = paths.container(id).join("container.json");
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).ok().map(|record| with_life(paths, record)).transpose(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // What it uses would be taken for unused, and go.
        Err(error) => Err(called(|| format!("read {path:?}"))(error).into()),
    }
}

fn with_life(paths: &Paths, record: Record) -> Result<Listed> {
    let life = life::read(paths, &record.id)?;
    let status = life::status(paths, &record.id, &life)?;
    Ok(Listed { record, life, status })
}

/// One container, by name, id, or the beginning of an id.
pub fn get(paths: &Paths, wanted: &str) -> Result<Listed> {
    let listed = with_life(paths, read(paths, &find(paths, wanted)?)?)?;
    if listed.status == Status::Paused && pause::repair(paths, &listed.record.id) {
        return Ok(Listed { status: Status::Running, ..listed });
    }
    Ok(listed)
}

/// The id of a container by name, id, or the beginning of an id.
pub fn find(paths: &Paths, wanted: &str) -> Result<String> {
    let missing = || Error::new(Kind::Failed, format!("no such container: {wanted}"));
    if names::check(wanted).is_ok()
        && let Some(id) = names::owner(paths, wanted)?
        && is_there(&paths.container(&id))?
    {
        return Ok(id);
    }
    let mut found = ids(paths)?.into_iter().filter(|id| !wanted.is_empty() && id.starts_with(wanted));
    let id = found.next().ok_or_else(missing)?;
    match found.next() {
        None => Ok(id),
        Some(_) => Err(Error::new(Kind::Usage, format!("more than one container's id begins with {wanted}"))),
    }
}

/// Whether something is there. What cannot be looked at is no container that there is not.
fn is_there(path: &Path) -> Result<bool> {
    Ok(path.try_exists().map_err(called(|| format!("stat({path:?})")))?)
}

/// The process id of a container's PID 1, if there is such a container and it runs; else that of the container of which it is to
/// have a namespace: both are in one user namespace.
pub fn running(paths: &Paths, wanted: &str) -> Option<i32> {
    let id = find(paths, wanted).ok()?;
    let alive = |id: &str| {
        let state = runtime::state::read(&paths.states(), id).ok()?;
        state.init.filter(|init| init.is_alive().unwrap_or(true)).map(|init| init.pid)
    };
    alive(&id).or_else(|| {
        let record = read(paths, &id).ok()?;
        alive(&find(paths, record.wish.joined()?).ok()?)
    })
}
