//! The parent of a running container: passes signals and streams on, reaps, and knows the exit code.
//!
//! Today it is the command that a person typed, in the foreground. It makes nothing and removes nothing: what a
//! container is made of stands in `runtime`, what it leaves behind in `engine`.

pub use runtime::foreground::{Foreground, Streams};

/// The error of this crate is that of the runtime, whose child is attended.
pub type Error = runtime::Error;
/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
