//! From `config.json` to a running process.
//!
//! ```text
//! Spec (written) -> Plan (meant) -> state on disk -> cgroup -> clone3 -> init (done) -> created -> start -> execve
//! ```
//!
//! It knows no image, no registry and no network beyond the namespace. The caller is single-threaded at the
//! moment of a launch, which is checked. Everything inside `init` runs in the child, everything else in the parent.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a mutant leaves a defence out: it is for tests, and never in a release");

pub mod bundle;
pub mod channel;
pub mod checkpoint;
pub mod console;
pub mod container;
pub mod create;
pub mod criu;
pub mod delete;
pub mod error;
pub mod events;
pub mod exec;
pub mod foreground;
mod gate;
pub mod hooks;
pub mod id_map;
mod init;
pub mod interfaces;
pub mod kill;
pub mod leftover;
mod listener;
pub mod mounts;
pub mod namespace;
pub mod net_devices;
pub mod notify;
mod own_calls;
pub mod own_program;
pub mod pause;
pub mod place;
pub mod plan;
pub mod rdt;
pub mod restore;
pub mod run;
mod stage;
pub mod start;
pub mod state;
pub mod steps;
pub mod timestamp;
pub mod update;
pub mod written;

pub use container::{Created, Given, Launch, Running, Stdio, launch};
pub use error::{Error, Kind, Result};
pub use init::follows_marks;
pub use init::offline;
pub use plan::Plan;
