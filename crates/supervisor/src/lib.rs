//! The parent of a running container: keeps its streams and its log, reaps it, and knows its exit code.
//!
//! ```text
//! supervise   the loop of the parent; `log` what it keeps, `connection` whom it talks to, `frame` in which words
//! visitor     the other side: a command that a person typed, attached for a while
//! ```
//! It makes nothing and removes nothing: what a container is made of stands in `runtime`, what it leaves behind in `engine`.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a mutant leaves a defence out: it is for tests, and never in a release");

pub mod connection;
pub mod frame;
pub mod log;
pub mod supervise;
pub mod visitor;

pub use connection::Connection;
pub use frame::Frame;
pub use log::{Log, Rotation};
pub use runtime::foreground::Foreground;
pub use supervise::{Aside, Streams, Supervisor};
pub use visitor::{Outcome, Visit, Visitor};

/// The error of this crate is that of the runtime, whose child is attended.
pub type Error = runtime::Error;
/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
