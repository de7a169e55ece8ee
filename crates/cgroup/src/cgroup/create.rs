//! Makes a cgroup in every hierarchy, new: a leftover without processes is removed first, with the limits it had.

use super::{Cgroup, remove};
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result, tree};
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use std::path::Path;
use sys::{CallError, Errno};

/// The controllers that every container has on v2, for its limits and its statistics; each that is on costs, so the
/// others are handed down when a limit needs them.
const WANTED: [&str; 6] = ["cpuset", "cpu", "io", "memory", "pids", "hugetlb"];
/// How often a parent may vanish under us: the removal of a neighbour takes an empty one with it.
const TRIES: usize = 64;

/// What becomes of a cgroup that is there before it is made.
#[derive(Clone, Copy)]
enum Leftover {
    /// It goes, with its limits.
    Removed,
    /// It is used as it is.
    Used,
}

impl Cgroup {
    /// Makes the cgroup in all hierarchies, and its parents where they lack. One with processes in it is
    /// [`Kind::InUse`]. If one hierarchy fails, what was made in the others is removed again.
    pub fn create(&self) -> Result<()> {
        self.make(Leftover::Removed)
    }

    /// Makes the cgroup, or takes the one that somebody prepared: without processes in it, and not frozen. Either is
    /// [`Kind::InUse`]. If one hierarchy fails, what was made in the others is removed again.
    pub fn adopt(&self) -> Result<()> {
        self.make(Leftover::Used)
    }

    /// Refuses one that has processes in it, before anything is written down of it: who removes by a record removes all that
    /// the record names. [`Kind::InUse`].
    pub fn check_unused(&self) -> Result<()> {
        if self.unit.is_some() {
            // systemd has its own word on it.
            return Ok(());
        }
        for place in &self.places {
            if let Some(dir) = place::open_beneath(&place.open()?, &self.name)?
                && populated(&dir, place.version)?
            {
                let path = place.path(&self.name);
                return Err(Error::new(Kind::InUse, format!("{} has processes in it", path.display()))
                    .with_hint("remove the container that uses it, or choose another name")
                    .within(format!("create cgroup {}", self.name)));
            }
        }
        Ok(())
    }

    fn make(&self, leftover: Leftover) -> Result<()> {
        if let Some(unit) = &self.unit {
            return self.create_in_unit(unit);
        }
        let mut made: Vec<&Place> = Vec::new();
        for place in &self.places {
            let Err(error) = self.make_in(place, leftover, &mut made) else { continue };
            for place in made.iter().rev() {
                // The failure that is told is the first one; an empty directory that stays is reused. One with
                // processes in it is not removed by this, whoever they are.
                drop(place.open().and_then(|mount| remove::rmdir_with_parents(&mount, &self.name)));
            }
            return Err(error.within(format!("create cgroup {}", self.name)));
        }
        Ok(())
    }

    fn make_in<'a>(&'a self, place: &'a Place, leftover: Leftover, made: &mut Vec<&'a Place>) -> Result<()> {
        let mount = place.open()?;
        let inside = self.name.trim_start_matches('/');
        for _ in 0..TRIES {
            match rustix::fs::mkdirat(&mount, inside, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    made.push(place);
                    return self.equip(place, &mount);
                }
                Err(Errno::NOENT) => make_parents(&mount, inside, &place.mount)?,
                Err(Errno::EXIST) => match leftover {
                    Leftover::Removed => self.clear_leftover(place, &mount)?,
                    Leftover::Used => {
                        self.check_prepared(&mount)?;
                        return self.equip(place, &mount);
                    }
                },
                Err(errno) => return Err(failed("mkdir", &place.path(inside), errno)),
            }
        }
        Err(failed("mkdir", &place.path(inside), Errno::NOENT))
    }

    /// What processes and limits need.
    pub(super) fn equip(&self, place: &Place, mount: &OwnedFd) -> Result<()> {
        match place.version {
            Version::V2 => self.enable(place, mount, &WANTED),
            Version::V1 if place.has("cpuset") => self.fill_cpuset(place, mount),
            Version::V1 => Ok(()),
        }
    }

    fn check_prepared(&self, mount: &OwnedFd) -> Result<()> {
        let Some(dir) = place::open_beneath(mount, &self.name)? else { return Ok(()) };
        let found = super::kill::processes(&dir)?.len();
        if found > 0 {
            let why = format!("container's cgroup is not empty: {found} process(es) found");
            return Err(Error::new(Kind::InUse, why));
        }
        if self.is_frozen()? {
            return Err(Error::new(Kind::InUse, "container's cgroup unexpectedly frozen"));
        }
        Ok(())
    }

    /// Removes what an earlier container of this name left, unless processes are in it.
    fn clear_leftover(&self, place: &Place, mount: &OwnedFd) -> Result<()> {
        let Some(dir) = place::open_beneath(mount, &self.name)? else { return Ok(()) };
        let path = place.path(&self.name);
        let in_use = || {
            Error::new(Kind::InUse, format!("{} has processes in it", path.display()))
                .with_hint("remove the container that uses it, or choose another name")
        };
        if populated(&dir, place.version)? {
            return Err(in_use());
        }
        match remove::remove_beneath(&dir).and_then(|()| remove::rmdir(mount, &self.name)) {
            Err(error) if error.kind == Kind::InUse => Err(in_use()),
            other => other,
        }
    }

    /// A new v1 cpuset has no processors and no memory, and nothing can be moved into it: takes the parent's, from
    /// the top down.
    fn fill_cpuset(&self, place: &Place, mount: &OwnedFd) -> Result<()> {
        let mut above = mount.try_clone().map_err(sys::called::<std::io::Error>(|| "dup".to_owned()))?;
        let mut from = place.mount.clone();
        let ends = self.name.match_indices('/').map(|(at, _)| at).skip(1).chain([self.name.len()]);
        for end in ends {
            let name = &self.name[..end];
            let path = place.path(name);
            let Some(dir) = place::open_beneath(mount, name)? else {
                return Err(failed("open", &path, Errno::NOENT));
            };
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if place::read(&dir, &path, file)?.trim().is_empty() {
                    place::write(&dir, &path, file, place::read(&above, &from, file)?.trim())?;
                }
            }
            (above, from) = (dir, path);
        }
        Ok(())
    }

    /// Hands controllers down to the new cgroup. What cannot be handed down is found missing by [`Cgroup::apply`],
    /// if a limit needs it: only then is it an error.
    fn enable(&self, place: &Place, mount: &OwnedFd, wanted: &[&str]) -> Result<()> {
        // The v2 name of a controller is another in one case.
        let v1 = |controller: &str| {
            self.places.iter().any(|other| other.has(if controller == "io" { "blkio" } else { controller }))
        };
        let mut wanted: Vec<&str> = wanted.iter().copied().filter(|controller| !v1(controller)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let controllers = |dir: &OwnedFd, path: &Path| -> Result<Vec<String>> {
            let list = place::read(dir, path, "cgroup.controllers")?;
            Ok(list.split_ascii_whitespace().map(str::to_owned).collect())
        };
        let top = controllers(mount, &place.mount)?;
        wanted.retain(|controller| top.iter().any(|one| one == controller));
        let path = place.path(&self.name);
        let Some(dir) = place::open_beneath(mount, &self.name)? else {
            return Err(failed("open", &path, Errno::NOENT));
        };
        // Beside a running container all of it is on already: two reads, and done.
        let leaf = if wanted.is_empty() { Vec::new() } else { controllers(&dir, &path)? };
        if wanted.iter().all(|controller| leaf.iter().any(|one| one == controller)) {
            return Ok(());
        }
        for (at, _) in self.name.match_indices('/') {
            let Some(dir) = place::open_beneath(mount, &self.name[..at])? else { break };
            hand_down(&dir, &place.path(&self.name[..at]), &wanted);
        }
        Ok(())
    }
}

impl Cgroup {
    /// Hands down one controller more.
    pub(super) fn enable_late(&self, place: &Place, controller: &str) -> Result<()> {
        if place.version == Version::V1 {
            return Ok(());
        }
        self.enable(place, &place.open()?, &[controller])
    }
}

/// Writes `cgroup.subtree_control`: all at once, else one by one, since the kernel takes all or none.
///
/// Not where processes are, but in the root of the hierarchy: the kernel would refuse memory, and cpu and pids would
/// turn the cgroup into the root of a threaded one, beneath which no process can be started any more (cgroups(7)).
fn hand_down(dir: &OwnedFd, path: &Path, wanted: &[&str]) {
    let is_root = place::read(dir, path, "cgroup.type").is_err_and(|error| error.errno == Errno::NOENT);
    if !is_root && !place::read(dir, path, "cgroup.procs").is_ok_and(|list| list.trim().is_empty()) {
        return;
    }
    let each: Vec<String> = wanted.iter().map(|controller| format!("+{controller}")).collect();
    if place::try_write(dir, path, "cgroup.subtree_control", &each.join(" ")).is_ok() {
        return;
    }
    for one in &each {
        if place::try_write(dir, path, "cgroup.subtree_control", one).is_err() {
            // EBUSY (processes in it), EACCES (not ours): the limit that needs it will say so.
        }
    }
}

/// Whether a process is in the cgroup or beneath.
pub(super) fn populated(dir: &OwnedFd, version: Version) -> Result<bool> {
    if version == Version::V2 {
        let events = place::read(dir, Path::new(""), "cgroup.events")?;
        return Ok(place::keyed(&events, "populated") == Some(1));
    }
    let mut found = false;
    let enter = |dir: &OwnedFd| {
        match place::read(dir, Path::new(""), "cgroup.procs") {
            Ok(list) => found |= !list.trim().is_empty(),
            Err(error) if matches!(error.errno, Errno::NODEV | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    };
    tree::walk(dir, enter, |_, _| Ok(()))?;
    Ok(found)
}

/// Makes the directories above a name, one by one.
pub(super) fn make_parents(mount: &OwnedFd, inside: &str, shown: &Path) -> Result<()> {
    for (at, _) in inside.match_indices('/') {
        let parent = &inside[..at];
        match rustix::fs::mkdirat(mount, parent, Mode::from_raw_mode(0o755)) {
            // ENOENT: removed by a neighbour between two of them; the caller begins again.
            Ok(()) | Err(Errno::EXIST | Errno::NOENT) => {}
            Err(errno) => return Err(failed("mkdir", &shown.join(parent), errno)),
        }
    }
    Ok(())
}

fn failed(call: &str, path: &Path, errno: Errno) -> Error {
    Error::from(CallError { call: format!("{call} {path:?}"), errno })
}
