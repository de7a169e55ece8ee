//! A cgroup that belongs to a unit of systemd: who makes it is another, what is in it is the same.

use super::{Cgroup, create, remove};
use crate::layout::{Layout, Scope};
use crate::limits::Limits;
use crate::place::{self, Place, Version};
use crate::systemd::{Held, Unit};
use crate::{Error, Kind, Result};
use rustix::fs::Mode;
use sys::{CallError, Errno};

impl Cgroup {
    /// As [`Cgroup::plan`], for one of systemd's: that of its unit, or `subgroup` right beneath it. What is beneath it
    /// is ours alone; the files of the unit's own cgroup are written by systemd too.
    pub fn plan_unit(layout: &Layout, unit: Unit, subgroup: &str) -> Result<Self> {
        if subgroup.contains('/') {
            return Err(Error::new(
                Kind::Refused,
                format!("subgroup {subgroup:?}: a name has no slash in it"),
            ));
        }
        let name = match subgroup {
            "" => unit.cgroup.clone(),
            name => format!("{}/{name}", unit.cgroup),
        };
        Ok(Self { unit: Some(unit), ..Self::plan(layout, &name, &Scope::Root)? })
    }

    /// Has systemd start its unit with these limits, if it belongs to one. To be called before [`Cgroup::create`]; what
    /// is returned must live until a process is in the cgroup. [`Kind::InUse`] where the unit is there already.
    ///
    /// The calling process must have one thread.
    pub fn hold(&self, limits: &Limits) -> Result<Held> {
        let Some(unit) = &self.unit else { return Ok(Held::default()) };
        let held = unit.start(limits, self.version())?;
        let Some(pid) = held.pid().filter(|_| self.name != unit.cgroup) else { return Ok(held) };
        // With a process in it, a cgroup hands no controller on: it waits where the container will be.
        let moved = self.make_beneath(unit).and_then(|()| self.join(pid));
        moved.map_err(|error| self.give_up(unit, error))?;
        Ok(held)
    }

    /// How systemd speaks of limits.
    pub(super) fn version(&self) -> Version {
        let v1 = self.places.iter().any(|place| place.version == Version::V1);
        if v1 { Version::V1 } else { Version::V2 }
    }

    /// Makes what systemd leaves to us: the cgroup beneath its own, and those in hierarchies that it has no use for.
    pub(super) fn create_in_unit(&self, unit: &Unit) -> Result<()> {
        let made = self
            .make_beneath(unit)
            .and_then(|()| self.places.iter().try_for_each(|place| self.equip(place, &place.open()?)));
        made.map_err(|error| self.give_up(unit, error).within(format!("create cgroup {}", self.name)))
    }

    fn make_beneath(&self, unit: &Unit) -> Result<()> {
        for place in &self.places {
            let mount = place.open()?;
            // On a host with v1 systemd has hierarchies that it does not use.
            let whole = self.places.len() == 1;
            if whole && place::open_beneath(&mount, &unit.cgroup)?.is_none() {
                let path = place.path(&unit.cgroup);
                let why = format!("systemd started {}, and {} is not there", unit.name, path.display());
                return Err(Error::new(Kind::Other, why));
            }
            self.make_directory(place, &mount)?;
        }
        Ok(())
    }

    fn make_directory(&self, place: &Place, mount: &rustix::fd::OwnedFd) -> Result<()> {
        let inside = self.name.trim_start_matches('/');
        create::make_parents(mount, inside, &place.mount)?;
        match rustix::fs::mkdirat(mount, inside, Mode::from_raw_mode(0o755)) {
            // A cpuset of v1 takes no process before it is filled.
            Ok(()) if place.version == Version::V1 => self.equip(place, mount),
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(CallError { call: format!("mkdir {:?}", place.path(inside)), errno }.into()),
        }
    }

    /// A unit that is of no use is stopped again.
    fn give_up(&self, unit: &Unit, error: Error) -> Error {
        match unit.stop() {
            Ok(()) => error,
            Err(left) => error.with_hint(format!("something is left behind: {left}")),
        }
    }

    /// Stops the unit, and removes what systemd leaves.
    pub(super) fn remove_in_unit(&self, unit: &Unit) -> Result<()> {
        let mut failure = None;
        if self.name != unit.cgroup {
            for place in &self.places {
                failure = self.remove_in(place, remove::rmdir).err().or(failure);
            }
        }
        if let Some(error) = failure {
            // Processes are in it: systemd would end them by its own rules, and so late.
            return Err(error);
        }
        unit.stop()?;
        let whole = Self { name: unit.cgroup.clone(), ..self.clone() };
        for place in self.places.iter().rev() {
            failure = whole.remove_in(place, remove::rmdir).err().or(failure);
        }
        failure.map_or(Ok(()), Err)
    }
}
