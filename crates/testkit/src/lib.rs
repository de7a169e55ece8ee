//! For tests only: a private host for each test, a registry in it, and a snapshot that shows what was left behind.
//!
//! A host is namespaces and a cgroup subtree on the real kernel, so tests run in parallel and touch nothing of the
//! machine. This is not a mock and not a sandbox against malice. Failures panic: a test has nobody to return them to.

pub mod bundle;
pub mod datagrams;
pub mod deadline;
pub mod engine_kills;
pub mod fixture;
pub mod host;
mod host_cgroup;
// Its registers are those of this processor.
#[cfg(target_arch = "x86_64")]
pub mod injector;
pub mod outcome;
pub mod pty;
pub mod registry;
pub mod snapshot;
pub mod stop_killer;
pub mod sweep;
mod tracer;
pub mod web;

pub use bundle::{Bundle, Container, Oci};
pub use datagrams::Datagrams;
pub use host::Host;
pub use outcome::{Outcome, Running};
pub use pty::Pty;
pub use registry::Registry;
pub use snapshot::Snapshot;
pub use stop_killer::{Traced, Victim, When};
pub use sweep::{Share, Tally};
pub use web::{Web, inside};
