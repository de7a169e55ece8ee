//! Completion, as bash asks for it, and lists of what is broken.

use crate::{PROGRAM, call, directory};
use std::process::Command;
use testkit::outcome::run;

/// What bash offers for the last of these words. The program is asked for ids by a stand-in that says which root it was.
#[track_caller]
fn offers(words: &[&str], expected: &str) {
    let script = format!(
        "source <({PROGRAM} completion bash)\n\
         devoxx-runtime() {{ echo web db; [[ $1 != --root ]] || echo \"in$2\"; }}\n\
         COMP_WORDS=(devoxx-runtime \"$@\") COMP_CWORD=$# COMPREPLY=()\n\
         _devoxx_runtime\necho \"${{COMPREPLY[*]}}\""
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "bash"]).args(words);
    let outcome = run(&mut bash).ok().prints(expected);
    assert_eq!(outcome.stderr, "", "{words:?}");
}

#[test]
fn completion_in_bash() {
    offers(&["st"], "start state");
    offers(&["--ro"], "--root --rootless");
    offers(&["--root", "/r", "sta"], "start state");
    offers(&["--root", "=", "/r", "sta"], "start state");
    offers(&["--debug", "=", "true", "sta"], "start state");
    offers(&["--debug", "feat"], "features");
    offers(&["state", ""], "web db");
    offers(&["--root", "/r", "state", ""], "web db in/r");
    offers(&["--root", "=", "/r", "delete", "--force", ""], "web db in/r");
    offers(&["kill", "w"], "web");
    offers(&["kill", "--r"], "--regex");
    offers(&["exec", "--us"], "--user");
    offers(&["completion", ""], "bash zsh fish");
    offers(&["mounts", "a"], "add");
    offers(&["help", "cre"], "create");
    // Files, which bash offers itself.
    offers(&["--root", ""], "");
    offers(&["create", "--bundle", ""], "");
    offers(&["create", ""], "");
    offers(&["man", ""], "");
}

/// What cannot be read is told, and hides nothing.
#[test]
fn a_list_with_something_broken() {
    let directory = directory();
    std::fs::create_dir(directory.path().join("broken")).expect("mkdir");
    std::fs::write(directory.path().join("broken/state.json"), "nonsense").expect("write");
    let outcome = call(directory.path(), ["--root", ".", "list"]).ok();
    assert_eq!(outcome.stdout, "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    assert!(outcome.stderr.contains("level=warning") && outcome.stderr.contains("broken"), "{outcome}");
    call(directory.path(), ["--root", ".", "list", "--format", "json"]).ok().prints("[]");
}
