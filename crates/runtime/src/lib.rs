//! From `config.json` to a running process.
//!
//! ```text
//! Spec (written) -> Plan (meant) -> state on disk -> cgroup -> clone3 -> init (done) -> created -> start -> execve
//! ```
//!
//! It knows no image, no registry and no network beyond the namespace. The caller is single-threaded at the
//! moment of a launch, which is checked. Everything inside `init` runs in the child, everything else in the parent.

pub mod bundle;
pub mod channel;
pub mod container;
pub mod error;
mod init;
pub mod plan;
pub mod state;

pub use container::{Created, Launch, Running, Stdio, launch};
pub use error::{Error, Kind, Result};
pub use plan::Plan;
