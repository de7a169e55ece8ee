//! What has happened to a container: its last start and end. Written by its supervisor alone, at each change.

use crate::error::{Error, Kind, Result};
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

/// What has happened so far; nothing where nothing was written.
pub fn read(paths: &Paths, id: &str) -> Life {
    std::fs::read(paths.container(id).join("life.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// What container `id` does now.
pub fn status(paths: &Paths, id: &str, life: &Life) -> Status {
    let state = runtime::state::read(&paths.states(), id).ok();
    // What cannot be looked at has not ended.
    if let Some(state) = state.filter(|state| state.init.is_some_and(|init| init.is_alive().unwrap_or(true)))
    {
        let frozen = state.cgroup.is_some_and(|cgroup| cgroup.is_frozen().unwrap_or(false));
        return if frozen { Status::Paused } else { Status::Running };
    }
    if life.restarting && crate::control::is_attended(paths, id) {
        return Status::Restarting;
    }
    if life.started.is_none() { Status::Created } else { Status::Exited }
}
