//! Programs pasta whose file is gone, by which whoever ends a container would end them.
//!
//! What one was told is in its arguments: where to write its number, a file that is named after the container. The same path can be
//! another file on what is another host to the engine, such as a container, so it also has to be in the network namespace that the
//! engine was called in. Only from there can that be seen: pasta lets nobody look at it from another user namespace of its user.

use super::processes::{MOMENT, Process, started};
use crate::control;
use crate::life::is_up;
use crate::names::short;
use crate::paths::Paths;
use crate::record::Listed;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// All that are seen before a user namespace is entered: what each is told, and when it was started.
#[derive(Debug, Default)]
pub struct Pastas(BTreeMap<i32, (PathBuf, String)>);

impl Pastas {
    /// Looks for them.
    pub fn seen() -> Self {
        let Ok(own) = std::fs::read_link("/proc/self/ns/net") else { return Self::default() };
        let all = network::pasta::running().into_iter().filter_map(|(pid, file)| {
            let namespace = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
            (namespace == own).then_some((pid, (file, started(pid)?)))
        });
        Self(all.collect())
    }

    /// Those whose file is another's, or is gone together with the container, or with its end; now and a moment later.
    pub(super) fn lost(&self, paths: &Paths, listed: &[Listed]) -> Vec<Process> {
        let first = self.look(paths, listed);
        if first.is_empty() {
            return first;
        }
        std::thread::sleep(MOMENT);
        let now = self.look(paths, listed);
        first.into_iter().filter(|process| now.contains(process)).collect()
    }

    fn look(&self, paths: &Paths, listed: &[Listed]) -> Vec<Process> {
        let ours = self.0.iter().filter_map(|(pid, (file, started))| {
            let id = file.strip_prefix(&paths.run).ok()?.to_str()?.strip_suffix(".pasta")?;
            let whose = listed.iter().map(|one| one.record.id.as_str()).find(|known| short(known) == id);
            let is_there = super::processes::started(*pid).as_ref() == Some(started);
            (is_there && is_lost(paths, *pid, file, whose))
                .then(|| Process::pasta(*pid, started.clone(), id, whose.is_some()))
        });
        ours.collect()
    }
}

fn is_lost(paths: &Paths, pid: i32, file: &Path, whose: Option<&str>) -> bool {
    match std::fs::read(file) {
        // It is about to be written, or its number is there.
        Ok(text) if text.trim_ascii().is_empty() || text.trim_ascii() == pid.to_string().as_bytes() => false,
        Ok(_) => true,
        // One that runs would lose its network.
        Err(_) => whose.is_none_or(|id| !is_up(paths, id) && !control::is_attended(paths, id)),
    }
}
