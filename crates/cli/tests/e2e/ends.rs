//! How a container is ended: by which signal, after how long, and who passes signals on.

use crate::world::{BUSYBOX, World};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use testkit::Running;
use testkit::deadline::wait_for;

/// `run -d --name NAME OPTIONS busybox sh -c SCRIPT`, which says `up` when it hears signals.
#[track_caller]
fn listening(world: &World, name: &str, options: &[&str], traps: &str) {
    let script = format!("{traps}; echo up; while :; do usleep 10000; done");
    let words = ["run", "-d", "--net", "none", "--name", name];
    world.host.run([&words[..], options, &[BUSYBOX, "sh", "-c", &script]].concat()).ok();
    await_log(world, name, "up");
}

/// Waits until the last line of a container's log is this one.
#[track_caller]
fn await_log(world: &World, name: &str, line: &str) {
    wait_for(&format!("{name} says {line}"), || {
        let log = world.host.run(["logs", "--tail", "1", name]).ok();
        (log.line() == line).then_some(())
    });
}

/// The exit codes that a container ended with, the last one last.
#[track_caller]
fn codes(world: &World, name: &str) -> Vec<String> {
    let of = format!("container={name}");
    let words = ["events", "--since", "1h", "--until", "0s", "-f", "event=die", "-f", &of];
    let format = ["--format", "{{.Actor.Attributes.exitCode}}"];
    world.host.run([&words[..], &format].concat()).ok().stdout.lines().map(str::to_owned).collect()
}

const TRAPS: &str = "trap 'exit 41' TERM; trap 'exit 42' USR1; trap 'echo heard' HUP";

#[test]
fn by_the_signal_that_was_asked_for() {
    fn check(world: &World) {
        listening(world, "one", &[], TRAPS);
        // What it goes on with is no end.
        for signal in ["HUP", "SIGHUP", "hup", "1"] {
            world.host.run(["kill", "-s", signal, "one"]).ok().prints("one");
            await_log(world, "one", "heard");
            world.host.run(["exec", "one", "true"]).ok();
        }
        let waits = world.host.spawn(["wait", "one"]);
        world.host.run(["kill", "--signal", "USR1", "one"]).ok();
        waits.wait().ok().prints("42");
        world.host.run(["start", "one"]).ok();
        await_log(world, "one", "up");
        world.host.run(["restart", "-s", "USR1", "-t", "60", "one"]).ok();
        await_log(world, "one", "up");
        world.host.run(["restart", "--signal", "TERM", "one"]).ok();
        world.host.run(["restart", "-s", "KILL", "one"]).ok();
        await_log(world, "one", "up");
        assert_eq!(codes(world, "one"), ["42", "42", "41", "137"]);
        world.host.run(["rm", "-f", "one"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn after_the_time_that_was_agreed_on() {
    fn check(world: &World) {
        let stops = |name: &str, options: &[&str], stop: &[&str]| {
            listening(world, name, options, "trap '' TERM");
            let began = Instant::now();
            world.host.run([&["stop"], stop, &[name]].concat()).ok();
            // Docker's ten seconds are what nobody asked for.
            assert!(began.elapsed() < Duration::from_secs(9), "{options:?} {stop:?}: {:?}", began.elapsed());
            assert_eq!(codes(world, name), ["137"], "{options:?} {stop:?}");
            let shown = world.host.run(["inspect", "-f", "{{.Config.StopTimeout}}", name]).ok();
            world.host.run(["rm", name]).ok();
            shown.line().to_owned()
        };
        assert_eq!(stops("none", &["--stop-timeout", "0"], &[]), "0");
        assert_eq!(stops("long", &["--stop-timeout", "600"], &["-t", "0"]), "600");
        assert_eq!(stops("usual", &[], &["--timeout", "0"]), "<nil>");
    }
    check(&World::root());
    check(&World::rootless());
    let world = World::root();
    world.run(&["--stop-timeout", "soon"], &["true"]).refuses(125, &["--stop-timeout", "soon"]);
}

#[test]
fn who_passes_signals_on() {
    fn check(world: &World) {
        let script = format!("{TRAPS}; echo up; while :; do usleep 10000; done");
        let run = |name: &str, options: &[&str]| {
            let words = ["run", "--net", "none", "--name", name];
            let client = world.host.spawn([&words[..], options, &[BUSYBOX, "sh", "-c", &script]].concat());
            wait_for("it is up", || (world.host.run(["logs", name]).stdout == "up\n").then_some(()));
            client
        };
        let ended = |client: Running, signal: Signal| {
            client.signal(signal);
            client.wait()
        };
        ended(run("passes", &[]), Signal::TERM).code(41);
        ended(run("too", &["--sig-proxy"]), Signal::USR1).code(42);
        // The visit alone ends.
        ended(run("keeps", &["--sig-proxy=false"]), Signal::TERM).ok();
        world.host.run(["exec", "keeps", "true"]).ok();
        let visit = |options: &[&str]| {
            let attached = || {
                let words = ["events", "--since", "1h", "--until", "0s", "-f", "event=attach"];
                world.host.run(words).ok().stdout.lines().count()
            };
            let before = attached();
            let client = world.host.spawn([&["attach", "--no-stdin"], options, &["keeps"]].concat());
            wait_for("it is attached", || (attached() > before).then_some(()));
            // The event is told before the first byte is shared: its next line is.
            let log = || world.host.run(["logs", "keeps"]).ok().stdout.lines().count();
            let lines = log();
            world.host.run(["kill", "-s", "HUP", "keeps"]).ok();
            wait_for("it has heard", || (log() > lines).then_some(()));
            client
        };
        ended(visit(&["--sig-proxy=false"]), Signal::TERM).ok();
        world.host.run(["exec", "keeps", "true"]).ok();
        ended(visit(&[]), Signal::TERM).code(41);
        world.host.run(["rm", "passes", "too", "keeps"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}

/// A signal comes to nobody who stands still: who is to end is let go first.
#[test]
fn one_that_stands_still() {
    for world in [World::root(), World::cgroup2()] {
        let check = |end: &[&str], code: &str| {
            listening(&world, "one", &[], TRAPS);
            world.host.run(["pause", "one"]).ok();
            let began = Instant::now();
            world.host.run([end, &["one"]].concat()).ok().prints("one");
            if end[0] != "rm" {
                world.host.run(["wait", "one"]).ok().prints(code);
                world.host.run(["rm", "-f", "one"]).ok();
            }
            assert!(began.elapsed() < Duration::from_secs(9), "{end:?}: {:?}", began.elapsed());
        };
        check(&["stop"], "41");
        check(&["stop", "-s", "USR1"], "42");
        check(&["stop", "-t", "0", "-s", "HUP"], "137");
        check(&["kill"], "137");
        check(&["kill", "-s", "TERM"], "41");
        check(&["rm", "-f"], "");
        // What is no end waits until it goes on.
        listening(&world, "one", &[], TRAPS);
        world.host.run(["pause", "one"]).ok();
        world.host.run(["kill", "-s", "HUP", "one"]).ok();
        world.host.run(["inspect", "-f", "{{.State.Status}}", "one"]).ok().prints("paused");
        world.host.run(["unpause", "one"]).ok();
        await_log(&world, "one", "heard");
        world.host.run(["pause", "one"]).ok();
        world.host.run(["restart", "one"]).ok();
        await_log(&world, "one", "up");
        world.host.run(["rm", "-f", "one"]).ok();
    }
}

/// Guards: what could not be removed stayed, and nobody heard of it.
#[test]
fn what_cannot_be_removed_is_told() {
    let world = World::root();
    let script = "mkdir /busy; until [ -e /go ]; do usleep 10000; done; exit 3";
    let words = ["run", "--rm", "--net", "none", "--name", "it", BUSYBOX, "sh", "-c", script];
    let client = world.host.spawn(words);
    wait_for("its directory", || {
        let there = world.host.run(["exec", "it", "test", "-d", "/busy"]);
        (there.code == 0).then_some(())
    });
    world.host.admin("mount -t tmpfs busy $(find $DEVOXX_ROOT/containers -name busy)");
    world.host.run(["exec", "it", "touch", "/go"]).ok();
    let ended = client.wait();
    assert_eq!(ended.code, 3, "{ended}");
    for words in ["warning: something is left of container it: ", "EBUSY", "system doctor --fix"] {
        assert!(ended.stderr.contains(words), "{words}: {ended}");
    }
    world.host.admin("umount $(sed -n 's/^busy \\([^ ]*\\) .*/\\1/p' /proc/mounts)");
    world.host.run(["system", "doctor", "--fix"]).ok();
    world.host.admin("find $DEVOXX_ROOT/containers -mindepth 1 ! -name by-name").prints("");
}

/// Guards: half an output with the code 0 was taken for all of it.
#[test]
fn output_that_cannot_be_written_is_told() {
    let world = World::root();
    let check = |script: &str, behind: &str, code: i32, words: &[&str]| {
        let run = format!("$C run --rm --net none {BUSYBOX} sh -c '{script}' {behind}");
        let outcome = world.host.sh(&run);
        assert_eq!(outcome.code, code, "{outcome}");
        assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{words:?}: {outcome}");
        assert_eq!(outcome.stderr.is_empty(), words.is_empty(), "{outcome}");
    };
    check("echo text", ">/dev/full", 125, &["not all that the container wrote is here", "ENOSPC"]);
    // The container's own failure is what matters more.
    check("echo text; exit 3", ">/dev/full", 3, &["warning", "standard output", "ENOSPC"]);
    check("echo text >&2", "2>/dev/full", 125, &[]);
    check("exit 0", ">/dev/full", 0, &[]);
    // Who reads no more has all that he wants.
    check("yes | head -n 100000", "| head -n 1", 0, &[]);
}
