//! Removes a cgroup from every hierarchy, with those that the container made beneath it.

use super::Cgroup;
use super::freeze::{PATIENCE, await_event};
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result, tree};
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use std::time::{Duration, Instant};
use sys::{CallError, Context, Errno};

impl Cgroup {
    /// Removes the cgroup, waiting up to 5 s for its last process to end. One that is gone is no error. An empty
    /// parent goes too if it is one of ours (its name begins with `devoxx`). All hierarchies are tried, and the first
    /// failure is returned.
    pub fn remove(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            return self.remove_in_unit(unit).within(|| format!("remove cgroup {}", self.name));
        }
        let mut failure = None;
        // v2 first, since it can be waited for: v1 is empty then as well.
        for place in self.places.iter().rev() {
            if let Err(error) = self.remove_in(place, rmdir_with_parents) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), |error| Err(error.within(format!("remove cgroup {}", self.name))))
    }

    /// Removes it from one hierarchy, by `rmdir` in the end.
    pub(super) fn remove_in(&self, place: &Place, rmdir: fn(&OwnedFd, &str) -> Result<()>) -> Result<()> {
        let mount = place.open()?;
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::ZERO;
        loop {
            // Most often the last process is gone and nothing is beneath: one call.
            match rmdir(&mount, &self.name) {
                Err(error) if error.kind == Kind::InUse => {}
                other => return other,
            }
            let Some(dir) = place::open_beneath(&mount, &self.name)? else { continue };
            let path = place.path(&self.name);
            if place.version == Version::V2 {
                await_event(&dir, &path, "populated", 0)?;
            }
            let beneath = remove_beneath(&dir);
            match (beneath, Instant::now() < until) {
                (Err(error), _) if error.kind != Kind::InUse => return Err(error),
                // v1 tells nobody when the last process ends: asks again, with growing pauses.
                (_, true) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).clamp(Duration::from_micros(100), Duration::from_millis(50));
                }
                (_, false) => {
                    let why = format!("{} has processes in it for more than 5 s", path.display());
                    return Err(Error::new(Kind::InUse, why));
                }
            }
        }
    }
}

/// Removes one directory, and then the parents that are empty and ours.
pub(super) fn rmdir_with_parents(mount: &OwnedFd, name: &str) -> Result<()> {
    rmdir(mount, name)?;
    let mut name = name;
    while let Some((parent, _)) = name.rsplit_once('/') {
        // A parent with another name belongs to whoever made it, such as the pod of a kubelet.
        let ours = parent.rsplit_once('/').is_some_and(|(_, last)| last.starts_with("devoxx"));
        if !ours || rmdir(mount, parent).is_err() {
            // EBUSY: others are in it.
            break;
        }
        name = parent;
    }
    Ok(())
}

/// Removes one directory; one that is gone is no error.
pub(super) fn rmdir(mount: &OwnedFd, name: &str) -> Result<()> {
    let inside = name.trim_start_matches('/');
    match rustix::fs::unlinkat(mount, inside, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(CallError { call: format!("rmdir {inside:?}"), errno }.into()),
    }
}

/// Removes what is beneath a directory, deepest first.
pub(super) fn remove_beneath(dir: &OwnedFd) -> Result<()> {
    let leave = |parent: &OwnedFd, name: &std::ffi::CStr| match rustix::fs::unlinkat(
        parent,
        name,
        AtFlags::REMOVEDIR,
    ) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(CallError { call: format!("rmdir {name:?}"), errno }.into()),
    };
    tree::walk(dir, |_| Ok(()), leave)
}
