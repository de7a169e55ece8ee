//! Standard descriptors that are not what a program expects.

use crate::{PROGRAM, command, directory};
use std::fs::File;
use std::process::{Command, Stdio};
use testkit::outcome::run;

/// A log that is opened must not become standard error, nor a config.json standard output.
#[test]
fn closed_at_entry() {
    let directory = directory();
    let closed = |words: &str| {
        let script = format!("exec {PROGRAM} {words} <&- >&- 2>&-");
        run(Command::new("sh").args(["-c", &script]).current_dir(directory.path())).code
    };
    assert_eq!(closed("--root . --log log --log-format json state box"), 1);
    let log = std::fs::read_to_string(directory.path().join("log")).expect("a log");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert_eq!(closed("--root . --log log --log-format json state"), 1);
    let log = std::fs::read_to_string(directory.path().join("log")).expect("a log");
    assert_eq!(log.lines().count(), 2, "no help among the records: {log}");
    assert_eq!(closed("spec --file config"), 0);
    let config = std::fs::read(directory.path().join("config")).expect("a config.json");
    serde_json::from_slice::<serde_json::Value>(&config).expect("nothing but JSON");
}

/// What could not be said is a failure, in one line and without a panic.
#[test]
fn output_that_goes_nowhere() {
    let directory = directory();
    let words: [&[&str]; 6] = [
        &["--help"],
        &["--version"],
        &["features"],
        &["info"],
        &["completion", "bash"],
        &["--root", ".", "list"],
    ];
    for words in words {
        let line = words.join(" ");
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let (reader, gone) = std::io::pipe().expect("a pipe");
        drop(reader);
        for (output, errno) in [(Stdio::from(full), "enospc"), (Stdio::from(gone), "epipe")] {
            let child = command(directory.path(), words)
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program");
            let output = child.wait_with_output().expect("its end");
            let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
            assert_eq!(output.status.code(), Some(1), "{line}: {said}");
            assert!(said.lines().count() == 1 && said.contains(errno), "{line}: {said}");
        }
    }
}
