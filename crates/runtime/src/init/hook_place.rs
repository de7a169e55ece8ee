//! What hooks of a container find in a user namespace: its bundle and its root, in a place that they can reach.
//!
//! The bundle's own directory may be closed to root of the user namespace, and the root is mounted over that of the host, where no path
//! leads to it (`root`). All of this goes with the old root.

use super::root::place;
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use rustix::fd::OwnedFd;
use rustix::mount::{MountFlags, OpenTreeFlags, mount, open_tree};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// Directories that systems have for what is mounted for a while (hier(7)): one of them is covered, for the hooks alone.
const PLACES: [&str; 3] = ["/mnt", "/media", "/srv"];

/// Makes the place, where one is needed: a directory with config.json and the root.
pub fn prepare(plan: &Plan, new_root: &OwnedFd) -> Result<Option<PathBuf>> {
    let Some(config) = plan.config.as_ref().filter(|_| plan.root_by_parent.is_some()) else {
        return Ok(None);
    };
    make(config, new_root).map(Some).within(|| "make a place for hooks")
}

fn make(config: &str, new_root: &OwnedFd) -> Result<PathBuf> {
    let at = PLACES.into_iter().map(Path::new).find(|place| place.is_dir());
    let at =
        at.ok_or_else(|| Error::new(Kind::Unsupported, format!("none of {} is there", PLACES.join(", "))))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", at, "tmpfs", flags, Some(c"mode=0755"))
        .map_err(called::<Errno>(|| format!("mount(tmpfs, {at:?})")))?;
    let root = at.join("rootfs");
    std::fs::create_dir(&root).map_err(called(|| format!("mkdir({root:?})")))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree =
        open_tree(new_root, c"", flags).map_err(called::<Errno>(|| "open_tree(new root)".to_owned()))?;
    place(&tree, &root)?;
    let mut config: serde_json::Value =
        serde_json::from_str(config).map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
    config["root"]["path"] = root.display().to_string().into();
    let path = at.join("config.json");
    std::fs::write(&path, config.to_string()).map_err(called(|| format!("write {path:?}")))?;
    Ok(at.to_owned())
}
