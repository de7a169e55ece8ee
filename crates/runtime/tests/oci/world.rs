//! The hosts that the tests here use, with the runtime under test in them.

use serde_json::Value;
use std::path::PathBuf;
use testkit::{Host, Oci};

/// The program under test.
pub fn program() -> PathBuf {
    std::env::var_os("DEVOXX_RUNTIME")
        .map_or_else(|| env!("CARGO_BIN_EXE_devoxx-runtime").into(), PathBuf::from)
}

/// Root, with the cgroups that the machine has.
#[track_caller]
pub fn root() -> Oci {
    Oci::new(Host::root(&program()))
}

/// Root, where cgroup v2 is all there is.
#[track_caller]
pub fn cgroup2() -> Oci {
    Oci::new(Host::root_cgroup2_view(&program()))
}

/// An ordinary user with ranges of subordinate ids.
#[track_caller]
pub fn rootless() -> Oci {
    Oci::new(Host::rootless(&program()))
}

/// An edit that changes nothing.
pub fn plain(_: &mut Value) {}
