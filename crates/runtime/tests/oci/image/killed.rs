//! A command that is killed in the middle: what it leaves is found by its record.

use super::{at, checkpoint, counts, counts_on, restore_words, with_criu};
use crate::world::plain;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::bundle::ROOT;
use testkit::deadline::wait_for;
use testkit::{Container, Oci, Running};

/// The process id of the CRIU that is at work on a container.
fn criu_of(oci: &Oci, container: &Container<'_>) -> Pid {
    let path = oci.host.path(format!("{ROOT}/{}/state.json", container.id()));
    wait_for("CRIU in the record", || {
        let record: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        Pid::from_raw(record["criu"]["pid"].as_i64()?.try_into().ok()?)
    })
}

fn is_gone(pid: Pid) {
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    wait_for("the end of CRIU", || (!std::path::Path::new(&process).exists()).then_some(()));
}

#[test]
fn a_checkpoint_that_is_killed() {
    let Some(oci) = with_criu() else { return };
    let container = oci.bundle(counts).start(&[]);
    counts_on(&container);
    // With a page server that never answers.
    let unanswered = || {
        // Its input never ends: it has both ends of a fifo.
        let server = "cd /tmp/output; rm -f fifo; mkfifo fifo
            echo $$ >server; exec /tmp/template/busybox nc -l -p 27001 <>fifo >pages";
        let server = Running::start(&mut oci.host.script(server));
        wait_for("a page server", || oci.host.listens(27_001).then_some(()));
        let options = ["--page-server", "127.0.0.1:27001", container.id()].map(str::to_owned);
        let words: Vec<String> =
            ["checkpoint".to_owned()].into_iter().chain(at(&container)).chain(options).collect();
        let running = oci.spawn(words);
        let pages = oci.host.path("/tmp/output/pages");
        wait_for("pages", || std::fs::metadata(&pages).is_ok_and(|about| about.len() > 0).then_some(()));
        let criu = criu_of(&oci, &container);
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        (server, criu)
    };
    let (server, criu) = unanswered();
    oci.host.admin("kill $(cat /tmp/output/server) || :");
    server.wait();
    // It has failed, and nobody is there to hear of it: the container goes on.
    is_gone(criu);
    counts_on(&container);
    assert_eq!(container.status(), "running");
    let whole = container.bundle.inside("whole");
    checkpoint(&oci, &container, &["--image-path", &whole, "--leave-running"]);
    // As a page server that nobody asks: CRIU waits for good, with the container's processes in its hands.
    let options = ["--lazy-pages", "--page-server", "127.0.0.1:27002", container.id()].map(str::to_owned);
    let words: Vec<String> =
        ["checkpoint".to_owned()].into_iter().chain(at(&container)).chain(options).collect();
    let running = oci.spawn(words);
    wait_for("CRIU as a page server", || oci.host.listens(27_002).then_some(()));
    let criu = criu_of(&oci, &container);
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, 128 + 9);
    oci.call(["delete", "--force", container.id()]).ok();
    is_gone(criu);
    oci.assert_empty("a checkpoint that was killed");
}

#[test]
fn a_restore_that_is_killed() {
    let Some(oci) = with_criu() else { return };
    let check = |edit: &dyn Fn(&mut Value), stopped: bool| {
        let mut bundle = oci.bundle(|config| {
            counts(config);
            edit(config);
        });
        // At a restore, it waits with the namespaces made and CRIU waiting for it.
        let hook = format!(
            "cd {}; [ ! -e wait ] || {{ echo >waits; while [ -e wait ]; do sleep 0.1; done; }}",
            bundle.directory
        );
        bundle.config["hooks"]["createRuntime"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", hook]}]);
        bundle.save();
        let container = bundle.start(&[]);
        counts_on(&container);
        checkpoint(&oci, &container, &[]);
        container.bundle.write("wait", "");
        let words = || restore_words(&container, &["--detach"], container.id());
        let running = oci.spawn(words());
        wait_for("the hook", || container.bundle.path("waits").exists().then_some(()));
        let criu = criu_of(&oci, &container);
        if stopped {
            // One that does not end of itself.
            kill_process(criu, Signal::STOP).expect("stop CRIU");
        }
        running.signal(Signal::KILL);
        std::fs::remove_file(container.bundle.path("wait")).expect("remove");
        container.becomes("stopped");
        oci.call(words()).refused(&["already exists"]);
        oci.call(["delete", "--force", container.id()]).ok();
        is_gone(criu);
        // Not before: CRIU has its streams, for the container.
        assert_eq!(running.wait().code, 128 + 9);
        oci.assert_empty("a restore that was killed");
        oci.call(words()).ok();
        counts_on(&container);
        container.end();
        container.call("delete", &[]).ok();
    };
    check(&plain, false);
    check(&plain, true);
}
