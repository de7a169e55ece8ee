//! Ctrl-C while an image is pulled: the pull is asked to end, so that it leaves nothing half done.

use engine::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use sys::called;

/// A flag that SIGINT and SIGTERM set; a second one ends the program at once.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the shutdown looks at a flag that only the first signal has set.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancelled))
            .and_then(|_| flag::register(signal, Arc::clone(&cancelled)))
            .map_err(called(|| format!("sigaction({signal})")))?;
    }
    Ok(cancelled)
}
