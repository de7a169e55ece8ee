//! Jobs that are done side by side.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// How many there are.
pub fn count() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// Does all jobs, begun in their order, as many at a time as there are processors.
pub fn share<Job: Sync>(jobs: &[Job], work: impl Fn(&Job) + Sync) {
    let next = AtomicUsize::new(0);
    let turns = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(job);
        }
    };
    std::thread::scope(|scope| (0..count()).for_each(|_| drop(scope.spawn(turns))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn each_is_done_once() {
        let done = Mutex::new(Vec::new());
        share(&[1, 2, 3, 4, 5], |job| done.lock().unwrap().push(*job));
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, [1, 2, 3, 4, 5]);
    }
}
