//! What comes back after the machine has gone down and up again.

use crate::world::{BUSYBOX, FAILED, World, program};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use testkit::{Host, Snapshot};

/// Pulls the plug: every process but those in `stays` is killed at once, and everything that is in memory alone is gone.
fn power_cut(world: &World, stays: &BTreeSet<i32>) {
    testkit::deadline::wait_for("the end of all processes", || {
        let left: Vec<i32> =
            world.host.processes().into_iter().filter(|process| !stays.contains(process)).collect();
        for process in left.iter().filter_map(|process| Pid::from_raw(*process)) {
            // It may have ended by itself.
            kill_process(process, Signal::KILL).ok();
        }
        left.is_empty().then_some(())
    });
    world.host.admin(
        "find /sys/fs/cgroup/ -depth -mindepth 2 -type d -path '*devoxx*' -exec rmdir {} + 2>/dev/null || true
         rm -rf /tmp/run/* /tmp/xdg/* /dev/shm/*
         nft flush ruleset
         for link in $(ls /sys/class/net); do case $link in lo|uplink) ;; *) ip link delete $link 2>/dev/null || true ;; esac; done",
    );
}

fn states(world: &World) -> BTreeMap<String, String> {
    let list = world.host.run(["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;
    list.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, state)| (name.into(), state.into()))
        .collect()
}

#[test]
fn fifty_containers_after_a_power_cut() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        // The files of the network are made with the first container, and stay.
        world.run(&[], &["true"]).ok();
        let before = Snapshot::take(&world.host);
        let stays: BTreeSet<i32> = world.host.processes().into_iter().collect();
        let (mut expected, mut come_back) = (BTreeMap::new(), Vec::new());
        for number in 0..50 {
            // The policy, whether it is stopped before, what it does after.
            let (options, stopped, after): (&[&str], bool, Option<&str>) = match number % 10 {
                0 => (&["--restart", "always"], true, Some("running")),
                1 | 2 => (&["--restart", "always"], false, Some("running")),
                3 | 4 => (&["--restart", "unless-stopped"], false, Some("running")),
                5 => (&["--restart", "unless-stopped"], true, Some("exited")),
                6 => (&["--restart", "on-failure"], false, Some("exited")),
                7 => (&["--restart", "no", "--health-cmd", "true"], false, Some("exited")),
                8 => (&["--rm"], false, None),
                _ => (&["--restart", "always", "--network", "container:c1"], false, Some("running")),
            };
            let name = format!("c{number}");
            let sleep = [BUSYBOX, "sh", "-c", "echo up >>/starts; trap exit TERM; sleep 1000 & wait"];
            world.host.run([&["run", "-d", "--name", &name], options, &sleep[..]].concat()).ok();
            if stopped {
                world.host.run(["stop", &name]).ok();
            }
            if after == Some("running") {
                come_back.push(name.clone());
            }
            if let Some(after) = after {
                expected.insert(name, after.to_owned());
            }
        }
        world.host.run(["create", "--name", "new", "--restart", "always", BUSYBOX, "true"]).ok();
        expected.insert("new".into(), "created".into());
        power_cut(&world, &stays);
        world.host.run(["system", "boot"]).ok().prints(&come_back.join("\n"));
        assert_eq!(states(&world), expected);
        world.host.run(["exec", "c3", "cat", "/starts"]).ok().prints("up\nup");
        // A second time does no harm, and one that went on meanwhile is left alone.
        world.host.run(["system", "boot"]).ok().prints("");
        world.host.run(["exec", "c3", "cat", "/starts"]).ok().prints("up\nup");
        let names: Vec<&str> = expected.keys().map(String::as_str).collect();
        world.host.run([&["rm", "-f", "-v"], &names[..]].concat()).ok();
        before.assert_same(&world.host, "fifty containers and a power cut");
    }
}

#[test]
fn a_container_that_cannot_come_back() {
    for world in World::both() {
        a_container_that_cannot_come_back_of(&world);
    }
}

fn a_container_that_cannot_come_back_of(world: &World) {
    world.run(&[], &["true"]).ok();
    let stays: BTreeSet<i32> = world.host.processes().into_iter().collect();
    world.host.admin("mkdir /tmp/home/data");
    for (name, options) in [("lost", &["--mount", "type=bind,src=/tmp/home/data,dst=/d"][..]), ("found", &[])]
    {
        let run = ["run", "-d", "--restart", "always", "--name", name];
        world.host.run([&run[..], options, &[BUSYBOX, "sleep", "1000"]].concat()).ok();
    }
    power_cut(world, &stays);
    world.host.admin("rmdir /tmp/home/data");
    let boot = world.host.run(["system", "boot"]);
    assert!(boot.stderr.contains("start lost: bind source /tmp/home/data does not exist"), "{boot}");
    assert_eq!((boot.code, boot.line()), (FAILED, "found"), "{boot}");
    assert_eq!(states(world)["lost"], "exited");
    world.host.run(["rm", "-f", "lost", "found"]).ok();
}

#[test]
fn without_systemd() {
    for world in World::both() {
        without_systemd_of(&world);
    }
}

fn without_systemd_of(world: &World) {
    let before = Snapshot::take(&world.host);
    world.host.run(["system", "enable"]).refuses(FAILED, &["not run by systemd", "system boot"]);
    world.host.run(["system", "disable"]).refuses(FAILED, &["nothing is enabled"]);
    before.assert_same(&world.host, "system enable without systemd");
}
