//! Kernel calls that rustix lacks, and the shape of every error of this project.
//!
//! The only crate with `unsafe`. Each module is named after the call it wraps; each block says which invariant
//! makes it sound. It does not decide anything: what a container is stands in `runtime`.
//!
//! Four modules are no calls: `early`, where a program begins, [`arena`], what it takes its memory from, [`patience`] and [`tries`].

pub mod affinity;
pub mod arena;
pub mod bpf;
pub mod clone3;
pub mod close_range;
pub mod command_line;
mod early;
pub mod errno;
pub mod execve;
pub mod failure;
pub mod io_priority;
pub mod keyring;
pub mod memory;
pub mod memory_policy;
pub mod mount_setattr;
pub mod mutant;
pub mod namespace;
pub mod parent_death_signal;
pub mod patience;
pub mod peer;
pub mod personality;
pub mod resource_limit;
pub mod resource_usage;
pub mod scheduler;
pub mod seccomp;
pub mod signals;
pub mod tries;

pub use errno::{CallError, called};
pub use failure::{Context, Failure, FromErrno};
pub use patience::Patience;
pub use rustix::io::Errno;
pub use tries::Tries;
