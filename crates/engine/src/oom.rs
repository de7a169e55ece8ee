//! That the memory of a container ran out while it goes on: told when it happens, by its supervisor.

use cgroup::{Cgroup, Notice};
use rustix::event::PollFd;
use std::time::Instant;
use supervisor::Aside;

/// A watch of a container's memory.
pub struct MemoryWatch<'a> {
    notice: Notice,
    tell: &'a dyn Fn(),
    /// Whether it ran out at all.
    pub seen: bool,
}

impl<'a> MemoryWatch<'a> {
    /// Watches a cgroup; `tell` is called each time. None where the kernel has no such notice: then the end tells it all.
    pub fn new(cgroup: &Cgroup, tell: &'a dyn Fn()) -> Option<Self> {
        Some(Self { notice: cgroup.oom_events().ok()?, tell, seen: false })
    }
}

impl Aside for MemoryWatch<'_> {
    fn due(&self) -> Option<Instant> {
        None
    }

    fn waits_for(&self) -> Vec<PollFd<'_>> {
        vec![PollFd::new(&self.notice.fd, self.notice.flags)]
    }

    fn step(&mut self) {
        if matches!(self.notice.take(), Ok(1..)) {
            self.seen = true;
            (self.tell)();
        }
    }
}
