//! Where `tests/fixtures.sh` put the images and the root directory, and where the program under test is.
//!
//! It makes nothing: a test that ran debootstrap by surprise would take minutes.

use std::path::{Path, PathBuf};

/// The user that the tests without root run as.
pub const USER: &str = "devoxx-test";

/// Name and password that a registry with credentials accepts.
pub const LOGIN: (&str, &str) = ("tester", "open sesame");

/// The directory of the fixtures; fails the test when they were never made.
pub fn directory() -> PathBuf {
    let target = std::env::var_os("DEVOXX_TESTKIT").map(PathBuf::from).unwrap_or_else(|| {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        std::env::var_os("CARGO_TARGET_DIR").map_or(built, PathBuf::from).join("testkit")
    });
    assert!(target.join("stamp").exists(), "no fixtures in {target:?}: run tests/fixtures.sh first");
    std::fs::canonicalize(&target).unwrap_or_else(|error| panic!("fixtures {target:?}: {error}"))
}
