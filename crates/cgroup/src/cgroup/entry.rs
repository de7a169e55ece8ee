//! The way into a cgroup for a new process that takes itself there, without the kernel's wait for all others.
//!
//! Moving a process with `cgroup.procs` takes a lock over every fork and exit of the machine, and so an RCU grace
//! period of about 10 ms. Two ways lack it: to be born in the v2 cgroup (`CLONE_INTO_CGROUP`), and, on v1, to write
//! 0 to `tasks`, which moves the one thread that writes. A process with more threads would be torn apart by it.

use super::Cgroup;
use crate::Result;
use crate::place::{self, Version};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
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
}

impl Cgroup {
    /// Opens the way in. Together, `CLONE_INTO_CGROUP` with [`Entry::unified`] and [`Entry::enter`] in the child do
    /// what [`Cgroup::join`] does.
    pub fn entry(&self) -> Result<Entry> {
        let doing = || format!("enter cgroup {}", self.name);
        let mut entry = Entry { unified: None, tasks: Vec::new() };
        for place in &self.places {
            let dir = self.open(place).within(doing)?;
            if place.version == Version::V2 {
                entry.unified = Some(dir);
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
