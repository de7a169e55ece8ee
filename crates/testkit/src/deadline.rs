//! Waiting for an event that the kernel offers no descriptor for, with an end.
//!
//! Not a sleep that hopes: the condition is looked at until it holds, and the test fails when it never does.

use std::time::{Duration, Instant};

/// Longest time that any one thing in a test may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Looks at `condition` until it gives something, for `limit` at most.
pub fn poll<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As [`poll`], and fails the test with the words of `what` when it never holds.
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    poll(LIMIT, condition).unwrap_or_else(|| panic!("never happened within {LIMIT:?}: {what}"))
}
