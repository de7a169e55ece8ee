//! What is refused: the words that callers look for, the exit code, and where each goes.

use crate::{call, command, directory};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use testkit::outcome::run;

/// A mistake in the words: help on standard output, one record on standard error, 1.
#[test]
fn mistakes_in_the_words() {
    #[track_caller]
    fn check(line: &str, words: &str) {
        let outcome = call(directory().path(), line.split_whitespace());
        assert_eq!(outcome.code, 1, "{outcome}");
        assert!(outcome.stdout.contains("Usage: devoxx-runtime "), "help in {outcome}");
        let record = outcome.stderr.replace("\\\"", "\"");
        assert_eq!(record.lines().count(), 1, "{outcome}");
        assert!(record.contains("level=error") && record.contains(words), "{words:?} in {outcome}");
    }
    check("fly", "no such command: \"fly\"");
    check("--fly", "flag provided but not defined: -fly");
    check("--log", "flag needs an argument: -log");
    check("state", "\"state\" requires exactly 1 argument(s)");
    check("state a b", "\"state\" requires exactly 1 argument(s)");
    check("kill a b c", "\"kill\" requires a maximum of 2 argument(s)");
    check("kill", "\"kill\" requires a minimum of 1 argument(s)");
    check("kill box -9", "flag provided but not defined: -9");
    // Not 255: nothing was executed, nothing was tried.
    check("exec box", "\"exec\" requires a minimum of 2 argument(s)");
    check("delete -x", "flag provided but not defined: -x");
    // How podman finds out whether checkpoints of pods can be had.
    check("restore --lsm-mount-context", "flag needs an argument");
    check("create --no-pivot=perhaps box", "invalid boolean value \"perhaps\" for -no-pivot");
}

/// Words that are well formed and cannot be carried out: nothing on standard output.
#[test]
fn what_cannot_be() {
    #[track_caller]
    fn check(family: &str, line: &[&str], code: i32, words: &str) {
        let directory = directory();
        let outcome = call(directory.path(), [&["--root", "root"], line].concat());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{family}: {outcome}");
        let record = outcome.stderr.replace("\\\"", "\"");
        assert_eq!(record.lines().count(), 1, "{outcome}");
        assert!(record.contains("level=error") && record.contains(words), "{words:?} in {outcome}");
        assert!(!directory.path().join("root").exists(), "nothing is left of {outcome}");
    }
    check("CL5", &["state", "box"], 1, "does not exist");
    check("CL5", &["start", "box"], 1, "does not exist");
    check("CL5", &["kill", "box"], 1, "does not exist");
    check("CL5", &["delete", "box"], 1, "does not exist");
    check("CL5", &["pause", "box"], 1, "does not exist");
    check("CL5", &["resume", "box"], 1, "does not exist");
    check("C34", &["update", "--memory", "1g", "box"], 1, "does not exist");
    check("CL5", &["events", "--stats", "box"], 1, "does not exist");
    check("CL5", &["ps", "box"], 1, "does not exist");
    check("CL5", &["exec", "box", "true"], 255, "does not exist");
    check("CL3", &["create", "box"], 1, "JSON specification file config.json not found");
    check("CL3", &["run", "box"], 1, "JSON specification file config.json not found");
    check("CL2", &["list"], 1, "no such file or directory");
    for (family, id) in [
        ("CL1", "a/b"),
        ("CL1", ".."),
        ("CL1", "."),
        ("CL1", "a b"),
        ("CL1", "a\nb"),
        ("CL1", "é"),
        ("CL1", &"x".repeat(1025)),
    ] {
        check(family, &["state", id], 1, "invalid container ID format");
        check(family, &["create", id], 1, "invalid container ID format");
    }
    check("CL1", &["state", ""], 1, "container id cannot be empty");
    check("CL1", &["state", "--", "-x"], 1, "does not exist");
    for (family, signal) in [
        ("CL6", ""),
        ("CL6", "0"),
        ("CL6", "65"),
        ("CL6", "SIGFOO"),
        ("CL6", "TERM "),
        ("CL6", "-0"),
        ("CL6", "+9"),
    ] {
        check(family, &["kill", "--", "box", signal], 1, &format!("unknown signal {signal:?}"));
    }
    check("CL6", &["kill", "--regex", "box(", "KILL"], 1, "--regex");
    for (family, user) in [
        ("CL7", "+0"),
        ("CL7", " 0"),
        ("CL7", "0 "),
        ("CL7", "-1"),
        ("CL7", "root"),
        ("CL7", "0:"),
        ("CL7", ":0"),
        ("CL7", "0x0"),
        ("CL7", "4294967295"),
        ("CL7", "1:+1"),
        ("CL7", ""),
    ] {
        check(family, &["exec", "--user", user, "box", "true"], 255, "--user");
    }
    check("CL7", &["exec", "--env", "NAME", "box", "true"], 255, "--env: \"NAME\" is not NAME=VALUE");
    check("CL7", &["exec", "--cwd", "here", "box", "true"], 255, "Cwd must be an absolute path");
    check("CL7", &["exec", "--additional-gids", "+1", "box", "true"], 255, "--additional-gids");
    check("CL8", &["exec", "--preserve-fds", "+1", "box", "true"], 255, "--preserve-fds");
    check("C34", &["update", "--memory", "1x", "box"], 1, "--memory: \"1x\" is not a size");
    check("C34", &["update", "--cpu-quota", "much", "box"], 1, "--cpu-quota");
    check("CL5", &["events", "--interval", "0", "box"], 1, "--interval");
    check("CL5", &["events", "--interval", "soon", "box"], 1, "--interval");
    check("CL5", &["list", "--format", "xml"], 1, "invalid format option");
    check("CL5", &["completion", "csh"], 1, "bash, zsh and fish");
    check("CL5", &["mounts", "move", "box", "file"], 1, "neither add nor remove");
    check("CL5", &["checkpoint", "--empty-ns", "user", "box"], 1, "--empty-ns");
    check("CL5", &["checkpoint", "--manage-cgroups-mode", "hard", "box"], 1, "hard");
}

/// Options before the command that cannot be.
#[test]
fn options_before_the_command() {
    #[track_caller]
    fn check(family: &str, line: &str, words: &str) {
        let outcome = call(directory().path(), line.split_whitespace());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{family}: {outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        assert!(outcome.stderr.contains(words), "{words:?} in {outcome}");
    }
    check("CL2", "--log-format xml list", "invalid log-format: xml");
    check("CL2", "--log-level loud list", "invalid log-level: loud");
    check("CL2", "--log rfc5424:x list", "unknown log type");
    check("CL2", "--log /no/such/directory/log list", "no such file or directory");
    for (family, root) in [("CL2", "/"), ("CL2", "//"), ("CL2", "/.."), ("CL2", "/tmp/.."), ("CL2", "/./")] {
        check(family, &format!("--root {root} list"), "Option --root argument should not be set to /");
    }
    check("CL2", "--rootless maybe list", "--rootless");
    check("CL2", "--root /nowhere --rootless maybe list", "--rootless");
    check("CL2", "--root /nowhere list", "no such file or directory");
    call(directory().path(), ["--root", ".", "--rootless", "auto", "list", "-q"]).ok().prints("");
}

#[test]
fn words_that_are_no_text() {
    let directory = directory();
    let outcome = run(&mut command(directory.path(), [OsStr::new("state"), OsStr::from_bytes(b"b\xffx")]));
    outcome.refused(&["level=error", "not utf-8"]);
}

/// Help and version are asked for in many ways, and are never an error.
#[test]
fn help_is_no_mistake() {
    for line in
        ["", "-h", "--help", "help", "h", "--debug", "help kill", "kill -h", "kill box --help", "exec -h"]
    {
        let outcome = call(directory().path(), line.split_whitespace()).ok();
        assert!(outcome.stdout.contains("Usage: devoxx-runtime ") && outcome.stderr.is_empty(), "{outcome}");
    }
    call(directory().path(), ["kill", "--help"]).ok().prints(
        "kill: send a signal to a container, TERM by default

Usage: devoxx-runtime kill [OPTION...] ID [SIGNAL]

Options:
  --all, -a                        all processes of the container
  --regex, -r                      ID is a regular expression
  --help, -h                       print this help",
    );
    for word in ["--version", "-v", "-V", "-version"] {
        let outcome = call(directory().path(), [word]).ok();
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(lines[0], format!("devoxx-runtime version {}", env!("CARGO_PKG_VERSION")));
        assert_eq!(lines.last(), Some(&"spec: 1.3.0"));
    }
}

/// A missing container is deleted by force already.
#[test]
fn delete_of_nothing_by_force() {
    let outcome = call(directory().path(), ["--root", ".", "delete", "--force", "box"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}
