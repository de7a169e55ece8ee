//! The way into a cgroup for a new process that takes itself there, without the kernel's wait for all others.
//!
//! Moving a process with `cgroup.procs` takes a lock over every fork and exit of the machine, and so an RCU grace
//! period of about 10 ms. Two ways lack it: to be born in the v2 cgroup (`CLONE_INTO_CGROUP`), and, on v1, to write
//! 0 to `tasks`, which moves the one thread that writes. A process with more threads would be torn apart by it.
//!
//! Without root there is a third: whoever is born in a cgroup, or moves, needs the right to write to the one that has both
//! the old place and the new one beneath it (cgroups(7), "Delegation containment"). From a login shell to what the user's own
//! systemd has made that is root's; but systemd moves a user's own process there for him.

use super::Cgroup;
use crate::place::{self, Place, Version};
use crate::systemd::Unit;
use crate::{Error, Kind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use sys::{Context, Errno, called};

/// What a new process needs to enter, opened before it is cloned: nothing is resolved or allocated in the child.
///
/// The default is the way into none.
#[derive(Debug, Default)]
pub struct Entry {
    /// The v2 directory, for `CLONE_INTO_CGROUP`; also that of a hybrid host.
    pub unified: Option<OwnedFd>,
    /// `tasks` of each v1 hierarchy; none on a host that has v2 alone.
    pub tasks: Vec<OwnedFd>,
    /// Who moves the new process, where it may not go there by itself: then it waits for [`Escort::bring`].
    pub escort: Option<Escort>,
}

/// systemd, that moves processes into the cgroup of a unit, or beneath it.
#[derive(Debug)]
pub struct Escort {
    unit: Unit,
    /// From the unit's own cgroup on, with a slash before it; or empty.
    beneath: String,
}

impl Escort {
    /// Moves a process of this user, and waits until it is there.
    ///
    /// # Errors
    /// systemd before version 238 knows no such call.
    pub fn bring(&self, pid: u32) -> Result<()> {
        self.unit.attach(&self.beneath, pid)
    }
}

impl Cgroup {
    /// Opens the way in. Together, `CLONE_INTO_CGROUP` with [`Entry::unified`] and [`Entry::enter`] in the child do
    /// what [`Cgroup::join`] does.
    pub fn entry(&self) -> Result<Entry> {
        let doing = || format!("enter cgroup {}", self.name);
        let mut entry = Entry::default();
        for place in &self.places {
            let dir = self.open(place).within(doing)?;
            if place.version == Version::V2 {
                match self.unit.as_ref().filter(|unit| unit.user) {
                    Some(unit) if !self.is_within_reach(place).within(doing)? => {
                        entry.escort = Some(self.escort(unit)?);
                    }
                    _ => entry.unified = Some(dir),
                }
                continue;
            }
            let path = place.path(&self.name).join("tasks");
            let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let tasks = rustix::fs::openat(&dir, "tasks", flags, Mode::empty())
                .map_err(called::<Errno>(|| format!("open {path:?}")))
                .within(doing)?;
            entry.tasks.push(tasks);
        }
        Ok(entry)
    }

    /// Whether the kernel lets this process make another one in there: asked before, since there is no second try for what
    /// goes into a clone.
    fn is_within_reach(&self, place: &Place) -> Result<bool> {
        let table = place::read_path("/proc/self/cgroup")?;
        let Some(own) = table.lines().find_map(|line| line.strip_prefix("0::")) else { return Ok(false) };
        let procs = place.path(&common_parent(own, &self.name)).join("cgroup.procs");
        match rustix::fs::accessat(CWD, &procs, Access::WRITE_OK, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            // Not there in a cgroup namespace whose root is somewhere else.
            Err(Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::ROFS) => Ok(false),
            Err(errno) => Err(called::<Errno>(|| format!("faccessat {procs:?}"))(errno).into()),
        }
    }

    fn escort(&self, unit: &Unit) -> Result<Escort> {
        let beneath = self.name.strip_prefix(&unit.cgroup).ok_or_else(|| {
            Error::new(Kind::Other, format!("cgroup {} is not beneath unit {}", self.name, unit.name))
        })?;
        Ok(Escort { unit: unit.clone(), beneath: beneath.to_owned() })
    }
}

/// The cgroup that has both of these beneath it, or is one of them.
fn common_parent(one: &str, other: &str) -> String {
    let both = one.trim_matches('/').split('/').zip(other.trim_matches('/').split('/'));
    both.take_while(|(one, other)| one == other).map(|(part, _)| format!("/{part}")).collect()
}

impl Entry {
    /// Moves the calling thread into the v1 hierarchies. To be called by a process that has one thread, before it
    /// forks or executes anything.
    pub fn enter(&self) -> Result<()> {
        for tasks in &self.tasks {
            place::write_open(tasks, "0", || "write \"0\" to tasks".to_owned()).within(|| "enter cgroup")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_parent() {
        fn check(one: &str, other: &str, expected: &str) {
            assert_eq!(common_parent(one, other), expected);
            assert_eq!(common_parent(other, one), expected);
        }
        check("/a/b", "/a/c", "/a");
        check("/a/b", "/a/b", "/a/b");
        check("/a", "/a/b/c", "/a");
        check("/a", "/ab", "");
        check("/", "/a", "");
        check("/../x", "/a", "");
    }
}
