//! A supervisor gives back what the command line and the start took: once, when its container has lived for a moment, so that no start and no
//! short life waits for it.

use rustix::event::PollFd;
use std::time::{Duration, Instant};
use supervisor::Aside;

/// Who lives longer may live for months.
const MOMENT: Duration = Duration::from_millis(250);

/// What is still to be given back, and when.
pub struct Settling(Option<Instant>);

impl Settling {
    /// From a start on.
    pub fn begin() -> Self {
        Self(Instant::now().checked_add(MOMENT))
    }
}

impl Aside for Settling {
    fn due(&self) -> Option<Instant> {
        self.0
    }

    fn waits_for(&self) -> Vec<PollFd<'_>> {
        Vec::new()
    }

    fn step(&mut self) {
        if self.0.is_some_and(|due| due <= Instant::now()) {
            self.0 = None;
            sys::memory::give_back();
        }
    }
}
