//! What is done on the way to a running container, told as it happens: each step with its kernel calls and the time it took.
//!
//! Off unless somebody listens, and then at the cost of one load. A process and the children that it clones tell to the same
//! descriptors.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// Who listens.
#[derive(Debug)]
struct Listeners {
    /// A line for a person.
    text: Option<OwnedFd>,
    /// A line for a viewer of traces: an event of its JSON format, with a comma behind it.
    trace: Option<OwnedFd>,
}

static LISTENERS: OnceLock<Listeners> = OnceLock::new();

/// Which of the processes this is.
static ROLE: AtomicU8 = AtomicU8::new(0);

/// The processes that take part.
pub const ROLES: [&str; 3] = ["command", "supervisor", "init"];

/// Tells every step from now on; what is told already stays so.
pub fn tell(text: Option<OwnedFd>, trace: Option<OwnedFd>) {
    // A second caller would be told nothing: there is one command line in a process.
    let _first = LISTENERS.set(Listeners { text, trace });
}

/// Says which of [`ROLES`] this process has.
pub fn play(role: u8) {
    ROLE.store(role, Ordering::Relaxed);
}

/// The descriptors that are told to: a child that closes what it does not need keeps them.
pub fn descriptors() -> Vec<BorrowedFd<'static>> {
    LISTENERS
        .get()
        .map(|all| all.text.iter().chain(&all.trace).map(AsFd::as_fd).collect())
        .unwrap_or_default()
}

fn microseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000
}

/// Does one step. `what` is for people; `calls` are its system calls, each as its man page is called.
pub fn step<T>(what: &str, calls: &str, work: impl FnOnce() -> T) -> T {
    let Some(listeners) = LISTENERS.get() else { return work() };
    let began = microseconds();
    let done = work();
    let took = microseconds().saturating_sub(began);
    let role = usize::from(ROLE.load(Ordering::Relaxed));
    if let Some(text) = &listeners.text {
        let who = ROLES.get(role).copied().unwrap_or_default();
        let line = format!("{:>9.3} ms  {who:<10}  {what:<58}  {calls}\n", took as f64 / 1000.0);
        // Who listens to no more wants no more.
        let _unheard = rustix::io::write(text, line.as_bytes());
    }
    if let Some(trace) = &listeners.trace {
        let event = serde_json::json!({"name": what, "cat": "start", "ph": "X", "ts": began, "dur": took,
            "pid": 1, "tid": role, "args": {"calls": calls}});
        let _unheard = rustix::io::write(trace, format!("{event},\n").as_bytes());
    }
    done
}
