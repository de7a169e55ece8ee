//! `rename`: a container gets another name.

use crate::error::{Error, Kind, Result};
use crate::paths::Paths;
use crate::record::{self, Listed};
use crate::{events, names, neighbours};
use std::path::Path;
use sys::called;

/// The names that a container has while it gets another one, a line each.
const INTENT: &str = "renaming";

/// The names that a rename in which somebody was killed has left with the container in a directory.
pub fn unfinished(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join(INTENT)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
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
    // The intent: killed in the middle, it has both, and whoever removes it gives both back.
    let intent = paths.container(&record.id).join(INTENT);
    std::fs::write(&intent, format!("{}\n{name}\n", record.name))
        .map_err(called(|| format!("write {intent:?}")))?;
    if let Err(taken) = names::claim(paths, name, &record.id) {
        std::fs::remove_file(&intent).map_err(called(|| format!("unlink {intent:?}")))?;
        return Err(taken);
    }
    let old = std::mem::replace(&mut record.name, name.to_owned());
    record::write(paths, &record)?;
    events::of_container(paths, &record, "rename", &[("oldName", &format!("/{old}"))]);
    names::release(paths, &old, &record.id)?;
    std::fs::remove_file(&intent).map_err(called(|| format!("unlink {intent:?}")))?;
    neighbours::tell_all(paths, record.networks.iter().map(|one| one.network.as_str()))
}
