//! How long something is tried that others change all the time.

use rustix::io::Errno;
use std::time::{Duration, Instant};

/// Somebody who renames without end must not hold up what is asked for, for ever.
#[derive(Debug, Default)]
pub struct Patience(Option<Instant>);

impl Patience {
    const LIMIT: Duration = Duration::from_secs(10);

    /// Whether to try once more.
    pub fn lasts(&mut self) -> bool {
        self.0.get_or_insert_with(Instant::now).elapsed() < Self::LIMIT
    }

    /// Whether to call openat2(2) once more, which answers so when it could not rule out a race with a rename or a mount elsewhere.
    pub fn goes_on<T>(&mut self, opened: &Result<T, Errno>) -> bool {
        matches!(opened, Err(Errno::AGAIN | Errno::INTR)) && self.lasts()
    }
}
