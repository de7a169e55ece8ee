//! The runtime as an engine meets it: every clause of runtime-spec 1.3.0 for Linux and every option, on the real kernel.
//!
//! The program is the one that was just built, or that `DEVOXX_RUNTIME` names, so that the same tests can be tried on
//! another runtime. `clause!` says which clauses a test shows: docs/conformance.md is made from it, see `conformance`.

/// Names the clauses of `clauses.txt` that the test around it shows.
macro_rules! clause {
    ($($id:literal),+ $(,)?) => {};
}

mod cgroups;
mod conformance;
mod descriptors;
mod devices;
mod exec;
mod filesystem;
mod groups;
mod hooks;
mod image;
mod lifecycle;
mod malformed;
mod mount_table;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod rdt;
mod seccomp;
mod state;
mod terminal;
mod world;
