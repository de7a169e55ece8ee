//! The program as a caller meets it where no container is needed: words, answers, exit codes, logs. Needs neither root nor
//! fixtures. What containers do is in `oci`.

mod descriptors;
mod files;
mod log;
mod refusals;
mod shell;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use testkit::Outcome;
use testkit::outcome::run;

/// The program that was just built.
const PROGRAM: &str = env!("CARGO_BIN_EXE_devoxx-runtime");

/// The program with these words, in a directory that has nothing of the machine's containers.
fn command<S: AsRef<OsStr>>(directory: &Path, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).current_dir(directory).env_remove("XDG_RUNTIME_DIR");
    command
}

/// Runs it to its end.
#[track_caller]
fn call<S: AsRef<OsStr>>(directory: &Path, words: impl IntoIterator<Item = S>) -> Outcome {
    run(&mut command(directory, words))
}

/// A directory of the test's own.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Each start of it executes it twice, and each time a dynamic loader would take half a millisecond.
#[test]
fn it_loads_no_library() {
    let said = Command::new("ldd").arg(PROGRAM).output().expect("ldd");
    let said = [said.stdout, said.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said).trim(), "not a dynamic executable");
}
