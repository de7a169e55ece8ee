//! Where a failure is told: in the log and on standard error, one record each.

use crate::{PROGRAM, call, directory};
use serde_json::Value;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use testkit::outcome::run;

#[track_caller]
fn record(line: &str) -> Value {
    let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    assert_eq!(record["level"], "error");
    let time = record["time"].as_str().unwrap_or_default();
    assert!(time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T'), "RFC 3339: {time}");
    record
}

/// podman decodes the whole log as one object, containerd takes the last one at level error.
#[test]
fn one_record_in_the_log() {
    #[track_caller]
    fn check(line: &[&str], words: &str) {
        let directory = directory();
        let options = ["--root", "root", "--log", "log.json", "--log-format", "json"];
        let outcome = call(directory.path(), [&options[..], line].concat());
        assert_ne!(outcome.code, 0, "{outcome}");
        let text = std::fs::read_to_string(directory.path().join("log.json")).expect("a log");
        assert_eq!(text.lines().count(), 1, "{text}");
        let message = record(&text)["msg"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(words), "{words:?} in {message:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        // Scripts look for the word.
        assert!(outcome.stderr.contains("level=error"), "{outcome}");
        assert!(outcome.stderr.replace("\\\"", "\"").contains(words), "{words:?} in {outcome}");
    }
    check(&["state", "box"], "does not exist");
    check(&["exec", "box", "true"], "does not exist");
    check(&["state"], "requires exactly 1 argument(s)");
    check(&["restore", "--lsm-mount-context"], "flag needs an argument");
    check(&["fly"], "no such command");
    check(&["--rootless=maybe", "list"], "--rootless");
    check(&["state", "two\nlines"], "invalid container ID format");
    check(&["--debug=false", "create", "box"], "JSON specification file");
}

/// Without a log, standard error is the log.
#[test]
fn the_form_on_standard_error() {
    let directory = directory();
    let at = directory.path();
    let json = call(at, ["--log-format", "json", "--root", ".", "state", "box"]);
    assert_eq!(json.stderr.lines().count(), 1, "{json}");
    record(&json.stderr);
    let text = call(at, ["--root", ".", "state", "box"]);
    assert!(text.stderr.starts_with("time=\"20"), "{text}");
    assert!(text.stderr.ends_with("level=error msg=\"container \\\"box\\\" does not exist\"\n"), "{text}");
}

#[test]
fn levels() {
    #[track_caller]
    fn check(options: &[&str], lines: usize) {
        let directory = directory();
        let fixed = ["--root", ".", "--criu", "/usr/sbin/criu", "--log", "file:log"];
        let outcome = call(directory.path(), [&fixed[..], options, &["list", "-q"]].concat()).ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""), "{outcome}");
        let text = std::fs::read_to_string(directory.path().join("log")).expect("a log");
        assert_eq!(text.lines().count(), lines, "{options:?}: {text}");
    }
    check(&[], 0);
    check(&["--log-level", "error"], 0);
    check(&["--log-level", "warning"], 1);
    check(&["--log-level", "warn"], 1);
    check(&["--log-level", "debug"], 2);
    check(&["--debug"], 2);
    check(&["--debug=false"], 0);
}

#[test]
fn records_are_appended() {
    let directory = directory();
    for _ in 0..2 {
        call(directory.path(), ["--root", ".", "--log", "log", "state", "box"]).refused(&["does not exist"]);
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("log")).expect("a log").lines().count(), 2);
}

/// Calls the program where /run/systemd/journal/socket and /dev/log are sockets of the test, and tells what they got.
fn with_daemons(options: &str) -> (Option<String>, Option<String>) {
    let directory = directory();
    let inside = |path: &str| directory.path().join(path);
    std::fs::create_dir_all(inside("run/systemd/journal")).expect("mkdir");
    std::fs::create_dir_all(inside("dev")).expect("mkdir");
    std::fs::write(inside("dev/null"), "").expect("a place for /dev/null");
    let journal = UnixDatagram::bind(inside("run/systemd/journal/socket")).expect("a socket");
    let syslog = UnixDatagram::bind(inside("dev/log")).expect("a socket");
    let script = format!(
        "mount --bind /dev/null dev/null && mount --rbind dev /dev && mount --rbind run /run && \
         exec {PROGRAM} --root . {options} state box"
    );
    let outcome = run(Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--propagation", "private", "sh", "-c", &script])
        .current_dir(directory.path()));
    outcome.refused(&["does not exist"]);
    let received = |socket: UnixDatagram| {
        socket.set_nonblocking(true).expect("fcntl");
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).ok()?;
        assert!(socket.recv(&mut [0; 8]).is_err(), "one record");
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    };
    (received(journal), received(syslog))
}

#[test]
fn daemons_of_the_host() {
    let message = "container \"box\" does not exist";
    let field = |id: &str| Some(format!("MESSAGE={message}\nPRIORITY=3\nSYSLOG_IDENTIFIER={id}\n"));
    assert_eq!(with_daemons("--log journald:web"), (field("web"), None));
    assert_eq!(with_daemons("--systemd-log"), (field("devoxx-runtime"), None));
    assert_eq!(with_daemons("--log syslog:web"), (None, Some(format!("<27>web: {message}"))));
    assert_eq!(with_daemons(""), (None, None));
}
