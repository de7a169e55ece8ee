//! What devoxx-runtime left where containers are that somebody else makes with it, under its own default `--root`.
//!
//! Those containers are not the engine's: one that waits, runs, is paused or has ended is its maker's, who deletes it. Only what
//! nobody can use any more is an orphan, see `runtime::leftover`. A cgroup there has the name that its maker gave it, or that of the
//! container: without a record nobody knows it, and with one that cannot be read, by the id.

use super::orphans::{hierarchies, is_empty, is_old};
use super::{Finding, Remedy};
use crate::error::{Result, of_runtime};
use runtime::leftover::{self, Leftover};
use runtime::state;
use std::path::{Path, PathBuf};

pub(super) fn leftovers(rootless: bool, all: &mut Vec<Finding>) -> Result<()> {
    let root = state::default_root(rootless);
    // Without a runtime directory of the user's it is root's.
    if rustix::fs::access(&root, rustix::fs::Access::READ_OK | rustix::fs::Access::EXEC_OK).is_err() {
        return Ok(());
    }
    for id in state::ids(&root).map_err(of_runtime)? {
        if !is_old(&root.join(&id)) {
            continue;
        }
        let why = match leftover::of(&root, &id).map_err(of_runtime)? {
            None => continue,
            Some(Leftover::Unfinished) => "whose maker died before it was done",
            Some(Leftover::Unreadable) => {
                let cgroups = named_after(&id);
                if cgroups.iter().any(|path| !is_empty(path)) {
                    continue;
                }
                all.extend(cgroups.into_iter().filter(|path| is_old(path)).map(|path| {
                    let what = format!("cgroup {}, which has no process and no container", path.display());
                    Finding::orphan(what, Remedy::Cgroup(path))
                }));
                "whose record cannot be read"
            }
        };
        let what = format!("container {id} of devoxx-runtime, {why}, {}", root.join(&id).display());
        all.push(Finding::orphan(what, Remedy::OwnRuntime(root.clone(), id)));
    }
    Ok(())
}

/// The cgroups that a container of this id has where nobody named another one, for one made by systemd too.
fn named_after(id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in hierarchies() {
        below(&mount, id, 0, &mut found);
    }
    found
}

/// Nobody runs the runtime deeper than user.slice/user-N.slice/user@N.service/app.slice/UNIT.
const DEEPEST: usize = 6;

fn below(directory: &Path, id: &str, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let of_unit = name.strip_suffix(".scope").and_then(|name| name.strip_suffix(id));
        if name == id || of_unit.is_some_and(|prefix| prefix.ends_with('-')) {
            found.push(path);
        } else if depth < DEEPEST {
            below(&path, id, depth + 1, found);
        }
    }
}
