//! Who exchanges a directory or a file for links, over and over, while others use its name (renameat2(2), `RENAME_EXCHANGE`).

use rustix::fs::{Mode, OFlags, RenameFlags, renameat_with};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A thread that does it until it is dropped. Half of the time the name is what it was; at the end it is.
pub struct Swapper {
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    /// Exchanges `name` in a directory for `name.0`, `name.1` and so on, as many as there are, and each time back.
    #[track_caller]
    pub fn start(directory: &Path, name: &str, others: usize) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held = rustix::fs::open(directory, flags, Mode::empty())
            .unwrap_or_else(|error| panic!("{directory:?}: {error}"));
        let exchange =
            move |name: &str, other: &str| renameat_with(&held, name, &held, other, RenameFlags::EXCHANGE);
        let others: Vec<String> = (0..others).map(|number| format!("{name}.{number}")).collect();
        let name = name.to_owned();
        for other in &others {
            for _ in 0..2 {
                exchange(&name, other).unwrap_or_else(|error| panic!("exchange {name} for {other}: {error}"));
            }
        }
        let stops = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stops);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for other in &others {
                    // What a container has put in the way makes one fail; the way back is then the next one's.
                    if exchange(&name, other).is_ok() {
                        exchange(&name, other).ok();
                    }
                }
            }
        });
        Self { stops, thread: Some(thread) }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics.
            thread.join().ok();
        }
    }
}
