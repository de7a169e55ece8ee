//! State files that are broken, or are not what the runtime has written.

use super::call;
use crate::world::{root, stays};
use serde_json::{Value, json};
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use testkit::deadline::wait_for;

fn is_alive(pid: i64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// What is done to the file at a path that has this text; the id is that of a process that is no container's.
type Change = fn(&Path, &str, i32);

/// Another text in it, by the record as a tree.
fn changed(path: &Path, text: &str, edit: impl FnOnce(&mut Value)) {
    let mut record: Value = serde_json::from_str(text).expect("the record is JSON");
    edit(&mut record);
    std::fs::write(path, record.to_string()).expect("write");
}

fn replaced(path: &Path, by: impl FnOnce(&Path)) {
    std::fs::remove_file(path).expect("remove");
    by(path);
}

/// Each with its family, and with a word of what `state` says of it, where that is an error, or the status.
const CHANGES: &[(&str, &str, &str, Change)] = &[
    ("CL10", "empty", "EOF", |path, _, _| std::fs::write(path, "").expect("write")),
    ("CL10", "half", "EOF", |path, text, _| std::fs::write(path, &text[..text.len() / 2]).expect("write")),
    ("CL10", "not JSON", "expected", |path, _, _| std::fs::write(path, "nonsense").expect("write")),
    ("CL10", "an array", "names container \"\"", |path, _, _| std::fs::write(path, "[]").expect("write")),
    ("CL10", "no UTF-8", "state of container", |path, _, _| {
        std::fs::write(path, [b'"', 0xff, b'"']).expect("write")
    }),
    ("CL10", "deep", "state of container", |path, _, _| {
        std::fs::write(path, "[".repeat(100_000)).expect("write")
    }),
    ("CL10", "deep in what is not known", "EOF", |path, _, _| {
        std::fs::write(path, format!("{{\"x\":{}", "[".repeat(100_000))).expect("write")
    }),
    ("CL10", "nothing in it", "names container \"\"", |path, _, _| {
        std::fs::write(path, "{}").expect("write")
    }),
    ("CL10", "another's process with another start", "stopped", |path, text, stranger| {
        changed(path, text, |record| record["init"] = json!({"pid": stranger, "start_time": 1}))
    }),
    ("CL10", "process 1", "stopped", |path, text, _| {
        changed(path, text, |record| record["init"] = json!({"pid": 1, "start_time": 1}))
    }),
    ("CL10", "process 0", "stopped", |path, text, _| {
        changed(path, text, |record| record["init"] = json!({"pid": 0, "start_time": 0}))
    }),
    ("CL10", "all processes", "stopped", |path, text, _| {
        changed(path, text, |record| record["init"] = json!({"pid": -1, "start_time": 0}))
    }),
    ("CL10", "a process beyond all", "invalid value", |path, text, _| {
        changed(path, text, |record| record["init"]["pid"] = json!(u64::MAX))
    }),
    ("CL10", "another container's", "names container \"other\"", |path, text, _| {
        changed(path, text, |record| record["id"] = json!("other"))
    }),
    ("CL10", "a field of a later version", "running", |path, text, _| {
        changed(path, text, |record| record["later"] = json!({"of": ["what"]}))
    }),
    ("CL10", "a phase of a later version", "unknown variant", |path, text, _| {
        changed(path, text, |record| record["phase"] = json!("melting"))
    }),
    ("CL10", "1 GiB", "longer than", |path, _, _| {
        std::fs::File::create(path).and_then(|file| file.set_len(1 << 30)).expect("truncate")
    }),
    ("CL10", "a symbolic link", "a symbolic link", |path, text, _| {
        replaced(path, |path| {
            std::fs::write(path.with_file_name("other"), text).expect("write");
            symlink("other", path).expect("symlink");
        })
    }),
    ("CL10", "a FIFO", "not a regular file", |path, _, _| {
        replaced(path, |path| {
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("mkfifo");
        })
    }),
    ("CL10", "a directory", "not a regular file", |path, _, _| {
        replaced(path, |path| std::fs::create_dir(path).expect("mkdir"))
    }),
    ("CL10", "another user's", "belongs to user 1000", |path, _, _| {
        chown(path, Some(1000), None).expect("chown")
    }),
    ("CL10", "missing", "stopped", |path, _, _| std::fs::remove_file(path).expect("remove")),
];

#[test]
fn records_that_are_broken() {
    let oci = root();
    let bystander = testkit::Running::start(&mut oci.host.script("exec sleep 1000"));
    for (family, what, word, change) in CHANGES {
        let what = &format!("{family}: {what}");
        let container = oci.bundle(stays).start(&[]);
        container.bundle.awaits("rootfs/up");
        let (pid, id) = (container.pid(), container.id());
        let directory = oci.host.path(format!("/tmp/run/oci/{id}"));
        let path = directory.join("state.json");
        let text = std::fs::read_to_string(&path).expect("the record");
        change(&path, &text, bystander.pid);
        let state = call(&oci, &["state", id], what);
        let said = if state.code == 0 { state.stdout.clone() } else { state.stderr.replace("\\\"", "\"") };
        assert!(said.contains(word), "{what}: {state}");
        assert_eq!(state.code == 0, ["stopped", "running"].contains(word), "{what}: {state}");
        if *word != "running" {
            for words in [&["kill", id, "CONT"][..], &["pause", id], &["start", id], &["exec", id, "true"]] {
                assert_ne!(call(&oci, words, what).code, 0, "{what}: {words:?}");
            }
            assert!(is_alive(pid), "{what}: what was not to be had was ended all the same");
        }
        call(&oci, &["list"], what);
        let outcome = call(&oci, &["delete", "--force", id], what);
        assert_eq!(outcome.code, 0, "{what}: {outcome}");
        assert!(!directory.exists(), "{what}: its directory stays");
        assert!(is_alive(bystander.pid.into()), "{what}: a stranger was killed");
        // What the record did not name is found by it again.
        std::fs::create_dir_all(&directory).expect("mkdir");
        std::fs::write(&path, text).expect("write");
        container.with("delete", &["--force"], &[]).ok();
        wait_for(what, || (!is_alive(pid)).then_some(()));
    }
}

/// The directories of containers, and what is in their place.
#[test]
fn what_is_no_directory_of_a_container() {
    let oci = root();
    let (mine, other) = (oci.host.path("/tmp/run/oci"), oci.host.path("/tmp/other"));
    std::fs::create_dir_all(mine.join("empty")).expect("mkdir");
    std::fs::write(mine.join("file"), "").expect("write");
    std::fs::create_dir_all(&other).expect("mkdir");
    std::fs::write(other.join("state.json"), json!({"id": "link"}).to_string()).expect("write");
    symlink("/tmp/other", mine.join("link")).expect("symlink");
    symlink("/tmp/nowhere", mine.join("dangling")).expect("symlink");
    for id in ["empty", "file", "link", "dangling"] {
        for verb in ["start", "kill", "pause", "resume", "events"] {
            assert_ne!(call(&oci, &[verb, id], id).code, 0, "{verb} {id}");
        }
        let bundle = oci.bundle(|_| ());
        call(&oci, &["create", "--bundle", &bundle.directory, id], id).refused(&["already exists"]);
    }
    let all = call(&oci, &["list", "--quiet"], "list").ok();
    assert_eq!(all.line(), "empty", "{all}");
    call(&oci, &["delete", "--force", "empty"], "delete").ok();
    for id in ["file", "link", "dangling"] {
        assert_ne!(call(&oci, &["delete", "--force", id], id).code, 0, "{id}");
    }
    assert!(other.join("state.json").exists(), "what a link leads to is not ours");
    for name in ["file", "link", "dangling"] {
        std::fs::remove_file(mine.join(name)).expect("remove");
    }
    oci.assert_empty("what is none");
}
