//! From `create` to `delete` (runtime.md, "Lifecycle" and "Operations"), and the options of these commands.

use crate::world::{cgroup2, plain, root, rootless, stays, without_namespace};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::{PermissionsExt, symlink};
use testkit::deadline::wait_for;
use testkit::{Container, Oci};

#[test]
fn from_create_to_delete() {
    clause!(
        "runtime.lifecycle.create",
        "runtime.lifecycle.start",
        "runtime.lifecycle.stop",
        "runtime.lifecycle.delete"
    );
    clause!("runtime.state.status.created", "runtime.state.status.running", "runtime.state.status.stopped");
    clause!("runtime.create.status", "runtime.start.runs", "runtime.start.status", "runtime.kill.status");
    clause!("runtime.kill.signal", "runtime.delete.resources", "runtime.delete.id-again");
    fn check(oci: &Oci) {
        for _again in 0..2 {
            let container = oci.bundle(stays).create(&[]);
            assert_eq!(container.status(), "created");
            assert!(
                container.bundle.read("rootfs/up").is_empty(),
                "the command does not run before its start"
            );
            assert!(container.pid() > 0);
            container.call("start", &[]).ok().prints("");
            assert_eq!(container.status(), "running");
            container.bundle.awaits("rootfs/up");
            container.call("kill", &["TERM"]).ok().prints("");
            container.becomes("stopped");
            assert_eq!(container.pid(), 0);
            container.call("delete", &[]).ok().prints("");
            container.call("state", &[]).refused(&["does not exist"]);
            oci.assert_empty("delete");
        }
    }
    check(&root());
    check(&cgroup2());
    check(&rootless());
}

#[test]
fn an_id_can_be_used_again() {
    clause!("runtime.delete.id-again");
    let oci = root();
    let bundle = oci.bundle(plain);
    for _ in 0..3 {
        bundle.try_run(&[]).ok();
    }
    oci.assert_empty("run");
}

#[test]
fn a_command_in_the_wrong_state_is_refused() {
    clause!(
        "runtime.state.no-id",
        "runtime.state.unknown",
        "runtime.create.no-id",
        "runtime.create.id-unique"
    );
    clause!("runtime.start.no-id", "runtime.start.unknown", "runtime.start.not-created");
    clause!("runtime.kill.no-id", "runtime.kill.not-running", "runtime.delete.no-id");
    clause!("runtime.delete.unknown", "runtime.delete.not-stopped");
    let oci = root();
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps", "exec", "update"] {
        assert_ne!(oci.call([verb]).code, 0, "{verb} without an id");
    }
    assert_ne!(oci.call(["create"]).code, 0, "create without an id");
    for words in [
        &["state", "x"][..],
        &["start", "x"],
        &["kill", "x"],
        &["delete", "x"],
        &["pause", "x"],
        &["resume", "x"],
    ] {
        oci.call(words).refused(&["does not exist"]);
    }
    oci.call(["delete", "--force", "x"]).ok().prints("");
    let container = oci.bundle(stays).create(&[]);
    let refused = |verb: &str, words: &[&str], text: &[&str]| {
        let before = container.state();
        container.call(verb, words).refused(text);
        assert_eq!(container.state(), before, "{verb} {words:?} changes nothing");
    };
    container.bundle.try_create(&[]).refused(&["exist"]);
    container.bundle.try_run(&[]).refused(&["exist"]);
    container.call("start", &[]).ok();
    container.bundle.awaits("rootfs/up");
    refused("start", &[], &["cannot start an already running container"]);
    refused("delete", &[], &["cannot delete container", "that is not stopped", "running"]);
    refused("kill", &["SIGFOO"], &["unknown signal \"SIGFOO\""]);
    refused("resume", &[], &["container not paused"]);
    container.bundle.try_create(&[]).refused(&["exist"]);
    container.call("pause", &[]).ok();
    assert_eq!(container.status(), "paused");
    refused("start", &[], &["cannot start"]);
    container.call("resume", &[]).ok();
    container.end();
    refused("start", &[], &["cannot start a container that has stopped"]);
    refused("kill", &["TERM"], &["container not running"]);
    refused("pause", &[], &["container not running"]);
    refused("exec", &["true"], &["cannot exec in a stopped container"]);
    container.call("delete", &[]).ok();
    oci.assert_empty("delete");
}

#[test]
fn ids() {
    clause!("runtime.create.id-valid");
    let oci = root();
    let bundle = oci.bundle(plain);
    for id in ["a", "A-b_c+d.e", &"0123456789abcdef".repeat(4), "9"] {
        oci.call(["run", "--bundle", &bundle.directory, id]).ok();
    }
    for id in ["", ".", "..", "a/b", "../x", "a b", "ü", "a\nb", &"x".repeat(1025)] {
        oci.call(["create", "--bundle", &bundle.directory, id]).refused(&["container id"]);
        oci.call(["state", id]).refused(&["container id"]);
    }
    oci.assert_empty("refused ids");
}

#[test]
fn delete_takes_what_waits_and_by_force_what_runs() {
    let oci = root();
    let container = oci.bundle(stays).create(&[]);
    container.call("delete", &[]).ok();
    oci.assert_empty("delete of what was created");
    for options in [&["--force"], &["-f"]] {
        let container = oci.bundle(stays).start(&[]);
        container.bundle.awaits("rootfs/up");
        container.with("delete", options, &[]).ok().prints("");
        oci.assert_empty("delete --force");
    }
    let container = oci.bundle(stays).start(&[]);
    container.call("delete", &["--force"]).ok().prints("");
    oci.assert_empty("delete ID --force");
}

#[test]
fn signals() {
    clause!("runtime.kill.signal");
    let oci = root();
    let script = "for s in HUP INT QUIT USR1 USR2 TERM WINCH; do trap \"echo $s >>/got\" $s; done; echo up >/up; while :; do sleep 1000 & wait $!; done";
    let container = oci.bundle(|config| config["process"]["args"] = json!(["sh", "-c", script])).start(&[]);
    container.bundle.awaits("rootfs/up");
    let mut expected = String::new();
    for (word, name) in [
        ("TERM", "TERM"),
        ("SIGHUP", "HUP"),
        ("sigusr1", "USR1"),
        ("12", "USR2"),
        ("int", "INT"),
        ("28", "WINCH"),
        ("SigQuit", "QUIT"),
    ] {
        container.call("kill", &[word]).ok().prints("");
        expected += &format!("{name}\n");
        wait_for(name, || (container.bundle.read("rootfs/got") == expected).then_some(()));
    }
    container.call("kill", &[]).ok();
    expected += "TERM\n";
    wait_for("TERM by default", || (container.bundle.read("rootfs/got") == expected).then_some(()));
    for word in ["", "0", "65", "SIGFOO", "1x", "-9", "9999999999999999999"] {
        assert_ne!(container.call("kill", &["--", word]).code, 0, "kill {word:?}");
    }
    assert_eq!(container.status(), "running");
    container.call("kill", &["KILL"]).ok();
    container.becomes("stopped");
}

#[test]
fn kill_all_reaches_every_process() {
    let oci = root();
    for options in [&["--all"], &["-a"]] {
        let script = "sleep 1000 & sleep 1000 & echo up >/up; wait; wait";
        let container = oci
            .bundle(|config| {
                config["process"]["args"] = json!(["sh", "-c", script]);
                without_namespace(config, "pid");
            })
            .start(&[]);
        container.bundle.awaits("rootfs/up");
        container.with("kill", options, &["KILL"]).ok();
        container.becomes("stopped");
        wait_for("all processes end", || oci.host.processes().is_empty().then_some(()));
        // What has ended is no error for those who want all of it ended.
        container.with("kill", options, &["9"]).ok();
    }
}

/// Without a namespace of their own the others would live on.
#[test]
fn kill_ends_what_shares_the_hosts_pid_namespace() {
    let oci = root();
    let container = oci
        .bundle(|config| {
            config["process"]["args"] = json!(["sh", "-c", "sleep 1000 & echo up >/up; wait"]);
            without_namespace(config, "pid");
        })
        .start(&[]);
    container.bundle.awaits("rootfs/up");
    container.end();
    wait_for("all processes end", || oci.host.processes().is_empty().then_some(()));
    container.call("delete", &[]).ok();
    oci.assert_empty("delete");
}

#[test]
fn run_gives_the_code_of_its_command() {
    fn check(oci: &Oci) {
        let run = |script: &str| oci.run(plain, script);
        run("exit 0").ok().prints("");
        run("echo out; echo err >&2; exit 42").code(42).prints("out");
        assert_eq!(run("echo err >&2").ok().stderr, "err\n");
        let bundle = oci.bundle(stays);
        let running = oci.spawn(["run", "--bundle", &bundle.directory, &bundle.id]);
        bundle.awaits("rootfs/up");
        oci.call(["kill", &bundle.id, "KILL"]).ok();
        running.wait().code(128 + 9);
        oci.assert_empty("run");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn run_passes_signals_and_input_on() {
    let oci = root();
    let bundle = oci.bundle(stays);
    let running = oci.spawn(["run", "--bundle", &bundle.directory, &bundle.id]);
    bundle.awaits("rootfs/up");
    // What entered the host was replaced by the runtime: the process is the runtime's own.
    running.signal(Signal::TERM);
    running.wait().code(7);
    oci.assert_empty("run");
    let cat = oci.bundle(|config| config["process"]["args"] = json!(["cat"]));
    let mut command = oci.command(["run", "--bundle", &cat.directory, &cat.id]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("spawn");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"through\n").expect("write");
    let output = child.wait_with_output().expect("wait");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through\n");
}

#[test]
fn run_detached_and_run_keep() {
    let oci = root();
    for options in [&["--detach"], &["-d"]] {
        let bundle = oci.bundle(stays);
        bundle.try_run(options).ok().prints("");
        let container = bundle.container();
        assert_eq!(container.status(), "running");
        container.bundle.awaits("rootfs/up");
        container.end();
    }
    let bundle = oci.bundle(plain);
    bundle.try_run(&["--keep"]).ok();
    let container = bundle.container();
    assert_eq!(container.status(), "stopped");
    container.call("delete", &[]).ok();
    oci.assert_empty("delete of what was kept");
}

#[test]
fn the_pid_file() {
    let oci = root();
    let bundle = oci.bundle(stays);
    let file = bundle.inside("pid");
    let container = bundle.create(&["--pid-file", &file]);
    let written = container.bundle.read("pid");
    assert_eq!(written, container.pid().to_string(), "a decimal number and nothing else");
    container.call("delete", &["--force"]).ok();
    // Relative to where the caller is, which is / in the host.
    let bundle = oci.bundle(stays);
    let container = bundle.create(&["--pid-file", "tmp/output/relative.pid"]);
    let written = std::fs::read_to_string(oci.host.path("/tmp/output/relative.pid")).expect("the pid file");
    assert_eq!(written, container.pid().to_string());
    // Never through a link, never half of it: what the link leads to stays as it is.
    let bundle = oci.bundle(stays);
    bundle.write("victim", "precious");
    symlink("victim", bundle.path("pid")).expect("symlink");
    let file = format!("--pid-file={}", bundle.inside("pid"));
    let container = bundle.create(&[&file]);
    assert_eq!(container.bundle.read("victim"), "precious");
    // A failure takes the container with it.
    let bundle = oci.bundle(stays);
    assert_ne!(bundle.try_create(&["--pid-file", "/proc/none/pid"]).code, 0);
    oci.call(["state", &bundle.id]).refused(&["does not exist"]);
}

#[test]
fn the_bundle() {
    clause!("bundle.config-at-top", "bundle.root-directory", "runtime.create.no-bundle");
    let oci = root();
    let bundle = oci.bundle(|config| config["process"]["args"] = json!(["echo", "made"]));
    let enters =
        |script: &str| oci.host.sh(&format!("cd {}; exec $C --root /tmp/run/oci {script}", bundle.directory));
    enters("run one").ok().prints("made");
    enters("run -b . two").ok().prints("made");
    enters(&format!("run -b ../{} three", bundle.id)).ok().prints("made");
    enters(&format!("run --bundle={} four", bundle.directory)).ok().prints("made");
    enters(&format!("run five --bundle {}", bundle.directory)).ok().prints("made");
    oci.call(["create", "--bundle", "/tmp/none", "x"]).refused(&["/tmp/none"]);
    std::fs::create_dir(oci.host.path("/tmp/bundles/empty")).expect("mkdir");
    oci.call(["create", "--bundle", "/tmp/bundles/empty", "x"]).refused(&["config.json"]);
    oci.call(["create", "x"]).refused(&["config.json"]);
    oci.assert_empty("bundles that are none");
}

#[test]
fn what_changes_in_the_bundle_later_changes_nothing() {
    clause!("runtime.lifecycle.later-changes", "runtime.create.properties");
    let oci = root();
    let mut container =
        oci.bundle(|config| config["process"]["args"] = json!(["sh", "-c", "echo first >/said"])).create(&[]);
    container.bundle.config["process"]["args"] = json!(["sh", "-c", "echo second >/said"]);
    container.bundle.config["annotations"] = json!({"late": "yes"});
    container.bundle.save();
    container.call("start", &[]).ok();
    container.becomes("stopped");
    assert_eq!(container.bundle.read("rootfs/said"), "first\n");
    assert_eq!(container.state()["annotations"]["late"], json!(null));
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    clause!("runtime.lifecycle.create-fails", "runtime.errors", "config.process.args.missing");
    fn check(oci: &Oci) {
        let fails = |words: &[&str], edit: &dyn Fn(&mut serde_json::Value)| {
            let bundle = oci.bundle(edit);
            bundle.try_create(&[]).refused(words);
            oci.call(["state", &bundle.id]).refused(&["does not exist"]);
            oci.assert_empty(&format!("a creation that fails with {words:?}"));
        };
        fails(&["no-such-program"], &|config| config["process"]["args"] = json!(["no-such-program"]));
        fails(&["no such file or directory"], &|config| config["process"]["args"] = json!(["/bin/none"]));
        fails(&["executable file not found in $path"], &|config| config["process"]["args"] = json!([""]));
        fails(&["permission denied"], &|config| config["process"]["args"] = json!(["/etc/passwd"]));
        fails(&["/etc", "is a directory", "permission denied"], &|config| {
            config["process"]["args"] = json!(["/etc"])
        });
        fails(&["/none"], &|config| {
            config["mounts"]
                .as_array_mut()
                .expect("an array")
                .push(json!({"destination": "/x", "type": "bind", "source": "/none", "options": ["bind"]}));
        });
    }
    check(&root());
    check(&rootless());
}

#[test]
fn the_root_of_the_runtime() {
    let oci = root();
    let bundle = oci.bundle(stays);
    let here = |words: &[&str]| oci.to_its_end(&mut oci.host.command(words));
    let create = ["create", "--bundle", &bundle.directory, "a"];
    here(&[&["--root", "/tmp/run/made"][..], &create].concat()).ok();
    let mode = std::fs::metadata(oci.host.path("/tmp/run/made")).expect("made").permissions().mode();
    assert_eq!(mode & 0o7777 & !0o1000, 0o700, "for its owner alone");
    here(&["--root=/tmp/run/made", "state", "a"]).ok();
    here(&["--root", "/tmp/run/other", "state", "a"]).refused(&["does not exist"]);
    here(&["--root", "/tmp/run/made", "delete", "--force", "a"]).ok();
    std::fs::write(oci.host.path("/tmp/run/file"), "").expect("write");
    assert_ne!(here(&[&["--root", "/tmp/run/file"][..], &create].concat()).code, 0);
    here(&["--root", "/", "list"]).refused(&["root", "/"]);
}

/// The container is its callers': one that came through another process is the same.
#[test]
fn anyone_with_the_root_can_go_on() {
    clause!("runtime.scope");
    let oci = root();
    let container: Container = oci.bundle(stays).create(&[]);
    oci.host.sh(&format!("$C --root /tmp/run/oci start {}", container.id())).ok();
    container.bundle.awaits("rootfs/up");
    container.end();
}
