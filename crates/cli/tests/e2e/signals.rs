//! Signals to the client, and a store that stays whole whenever a pull is stopped.

use crate::world::{BUSYBOX, FAILED, World, await_file, program};
use rustix::process::{Pid, Signal, kill_process};
use testkit::deadline::wait_for;
use testkit::{Host, Running, Snapshot};

#[test]
fn a_signal_reaches_the_container() {
    for world in World::both() {
        world.host.admin("mkdir -m 777 /tmp/shared");
        world.sh(&[], "true").ok();
        let before = Snapshot::take(&world.host);
        let check = |signal: Signal, name: &str, code: i32| {
            std::fs::remove_file(world.host.path("/tmp/shared/up")).ok();
            let script =
                format!("trap 'exit {code}' {name}; echo up >/shared/up; while :; do usleep 10000; done");
            let running = world.start(&["-v", "/tmp/shared:/shared"], &script);
            await_file(&world.host, "/tmp/shared/up");
            running.signal(signal);
            running.wait().code(code);
            std::fs::remove_file(world.host.path("/tmp/shared/up")).ok();
            before.assert_same(&world.host, name);
        };
        check(Signal::TERM, "TERM", 41);
        check(Signal::INT, "INT", 42);
        check(Signal::HUP, "HUP", 43);
        check(Signal::USR1, "USR1", 44);
        check(Signal::QUIT, "QUIT", 45);
    }
}

#[test]
fn a_signal_does_not_wait_behind_input() {
    for world in World::both() {
        world.host.admin("mkdir -m 777 /tmp/shared");
        let script = "trap 'exit 42' INT; echo up >/shared/up; while :; do usleep 10000; done";
        let check = |first: &[&str], attach: &[&str]| {
            world.host.run(first).ok();
            // More than all buffers on the way hold, of which the container reads nothing.
            let mut client = world.host.command(attach);
            client.stdin(std::fs::File::open("/dev/zero").expect("zeros"));
            let client = Running::start(&mut client);
            await_file(&world.host, "/tmp/shared/up");
            let before = std::cell::Cell::new(0);
            wait_for("nobody takes its input any more", || {
                let counts = std::fs::read_to_string(format!("/proc/{}/io", client.pid)).ok()?;
                let read: u64 = counts.lines().next()?.strip_prefix("rchar: ")?.parse().ok()?;
                (read > 1 << 18 && before.replace(read) == read).then_some(())
            });
            client.signal(Signal::INT);
            client.wait().code(42);
            std::fs::remove_file(world.host.path("/tmp/shared/up")).expect("the container was up");
            world.host.run(["rm", "-f", "one"]);
        };
        let options = ["-i", "--name", "one", "-v", "/tmp/shared:/shared", BUSYBOX, "sh", "-c", script];
        check(&["ps"], &[&["run", "--rm"], &options[..]].concat());
        check(&[&["create"], &options[..]].concat(), &["start", "-ai", "one"]);
        check(&[&["run", "-d"], &options[..]].concat(), &["attach", "one"]);
    }
}

#[test]
fn stop_sends_the_signal_that_was_agreed_on() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let world = World::of(host);
        world.host.admin("mkdir -m 777 /tmp/shared");
        let image = world.registry.image("team/config:1");
        world.host.run(["pull", &image]).ok();
        let before = Snapshot::take(&world.host);
        let check = |options: &[&str], stop: &[&str], code: i32| {
            let script = "trap 'exit 41' TERM; trap 'exit 42' INT; trap 'exit 43' USR1; trap '' HUP
                echo up >/shared/up; while :; do usleep 10000; done";
            let run = [
                "run",
                "--rm",
                "--net",
                "none",
                "--name",
                "one",
                "-v",
                "/tmp/shared:/shared",
                "--entrypoint",
                "sh",
            ];
            let running = world.host.spawn([&run, options, &[&image, "-c", script]].concat());
            await_file(&world.host, "/tmp/shared/up");
            world.host.run([&["stop"], stop, &["one"]].concat()).ok().prints("one");
            running.wait().code(code);
            std::fs::remove_file(world.host.path("/tmp/shared/up")).expect("the container was up");
            before.assert_same(&world.host, &format!("stop {stop:?}"));
        };
        // The image says SIGINT.
        check(&[], &[], 42);
        check(&["--stop-signal", "USR1"], &[], 43);
        check(&["--stop-signal", "10"], &["--time", "60"], 43);
        check(&[], &["--signal", "SIGTERM"], 41);
        check(&[], &["-s", "HUP", "-t", "0"], 137);
        world.host.run(["stop", "one"]).refuses(FAILED, &["no such container: one"]);
    }
}

/// Stops a pull in the middle: the registry is halted as soon as something of the image is on the disk.
fn interrupt(world: &World, signal: Signal) {
    let registry = Pid::from_raw(world.registry.pid()).expect("the registry runs");
    let kilobytes =
        || world.host.admin("du -sk /tmp/data | cut -f1").line().parse::<u64>().unwrap_or_default();
    let empty = kilobytes();
    let pull = world.host.spawn(["pull", &world.registry.image("debian:12")]);
    wait_for("the pull has begun", || (kilobytes() > empty + 1000).then_some(()));
    kill_process(registry, Signal::STOP).expect("halt the registry");
    pull.signal(signal);
    let outcome = pull.wait();
    kill_process(registry, Signal::CONT).expect("let the registry go on");
    assert_ne!(outcome.code, 0, "{outcome}");
    assert!(!world.host.run(["images"]).ok().stdout.contains("debian"), "half an image is none");
}

#[test]
fn an_interrupted_pull_leaves_a_whole_store() {
    let world = World::of(Host::root(&program()));
    world.host.run(["pull", BUSYBOX]).ok();
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        interrupt(&world, signal);
        world.run(&[], &["echo", "whole"]).ok().prints("whole");
    }
    let image = world.registry.image("debian:12");
    world.host.run(["pull", &image]).ok();
    world.host.run(["run", "--rm", &image, "dpkg", "--audit"]).ok().prints("");
}

#[test]
fn a_pull_that_is_interrupted_leaves_no_files_but_those_it_may_resume() {
    let world = World::of(Host::root(&program()));
    world.host.run(["pull", BUSYBOX]).ok();
    let before = Snapshot::take(&world.host);
    interrupt(&world, Signal::INT);
    before.assert_same(&world.host, "Ctrl-C in a pull");
}
