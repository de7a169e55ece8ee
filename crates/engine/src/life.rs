//! What has happened to a container: its last start and end. Written by its supervisor alone, at each change.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::paths::Paths;
use serde::{Deserialize, Serialize};
use sys::called;

/// The last start and end of a container. Times are as RFC 3339 has them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// When it was last started.
    pub started: Option<String>,
    /// When it last ended.
    pub finished: Option<String>,
    /// The exit code of its last end.
    pub exit_code: Option<i32>,
    /// Whether the kernel ended it for its memory limit.
    pub oom_killed: bool,
    /// Its memory limit and the most that it used, in bytes, as far as they were known at its last end.
    pub memory_limit: Option<u64>,
    /// See above.
    pub memory_peak: Option<u64>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it was ended on purpose: then a reboot does not bring it back, unless it is to run always.
    pub stopped: bool,
    /// Whether its supervisor waits to start it again.
    pub restarting: bool,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was never started.
    Created,
    /// Its command runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It will be started again.
    Restarting,
    /// Its command has ended.
    Exited,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        })
    }
}

/// Writes it beside the old one and puts it in its place.
pub fn write(paths: &Paths, id: &str, life: &Life) -> Result<()> {
    let directory = paths.container(id);
    let (new, place) = (directory.join("life.json.new"), directory.join("life.json"));
    let text = serde_json::to_vec(life).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    std::fs::write(&new, text).map_err(called(|| format!("write {new:?}")))?;
    std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?})")))?;
    Ok(())
}

/// What has happened so far; nothing where nothing was written, or what is no life.
pub fn read(paths: &Paths, id: &str) -> Result<Life> {
    let path = paths.container(id).join("life.json");
    match std::fs::read(&path) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Life::default()),
        Err(error) => Err(called(|| format!("read {path:?}"))(error).into()),
    }
}

/// What the runtime has noted of container `id`; none where there is nothing, or what is no record.
pub fn state(paths: &Paths, id: &str) -> Result<Option<runtime::state::Record>> {
    match runtime::state::read(&paths.states(), id) {
        Ok(state) => Ok(Some(state)),
        Err(error) if [runtime::Kind::NoSuchContainer, runtime::Kind::Invalid].contains(&error.kind) => {
            Ok(None)
        }
        Err(error) => Err(of_runtime(error)),
    }
}

/// Whether a container runs, or is made and about to. What cannot be looked at has not ended.
pub fn is_up(paths: &Paths, id: &str) -> bool {
    match state(paths, id) {
        Ok(state) => state.and_then(|state| state.init).is_some_and(|init| init.is_alive().unwrap_or(true)),
        Err(_) => true,
    }
}

/// What container `id` does now.
pub fn status(paths: &Paths, id: &str, life: &Life) -> Result<Status> {
    let state = state(paths, id)?;
    // What cannot be looked at has not ended.
    if let Some(state) = state.filter(|state| state.init.is_some_and(|init| init.is_alive().unwrap_or(true)))
    {
        let frozen = state.cgroup.is_some_and(|cgroup| cgroup.is_frozen().unwrap_or(false));
        return Ok(if frozen { Status::Paused } else { Status::Running });
    }
    if life.restarting && crate::control::is_attended(paths, id) {
        return Ok(Status::Restarting);
    }
    Ok(if life.started.is_none() { Status::Created } else { Status::Exited })
}
