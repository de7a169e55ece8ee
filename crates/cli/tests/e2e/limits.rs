//! Limits hold, and are where an administrator looks for them.

use crate::world::{BUSYBOX, World, await_file};

#[test]
fn memory() {
    let world = World::root();
    if limit_is_absent(&world, "memory") {
        return;
    }
    let check = |options: &[&str], script: &str, code: i32| drop(world.sh(options, script).code(code));
    check(&["-m", "32m"], "exec tail /dev/zero", 137);
    check(&["--memory", "32m", "--memory-swap", "32m"], "tail /dev/zero; exit $?", 137);
    check(&["-m", "64m"], "head -c 10000000 /dev/zero | tail -c 5000000 >/dev/null", 0);
}

#[test]
fn processes() {
    let world = World::root();
    if limit_is_absent(&world, "pids") {
        return;
    }
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 30 & done";
    let refused = world.sh(&["--pids-limit", "6"], many);
    assert!(refused.code != 0 && refused.stderr.contains("fork"), "{refused}");
    world.sh(&["--pids-limit", "100"], many).ok();
}

#[test]
fn values_stand_in_the_cgroup() {
    let world = World::root();
    world.host.admin("mkdir -m 777 /tmp/shared");
    let check = |options: &[&str], v1: (&str, &str), v2: (&str, &str)| {
        std::fs::remove_file(world.host.path("/tmp/shared/up")).ok();
        let options = [options, &["-v", "/tmp/shared:/shared"]].concat();
        let running = world.start(&options, "echo up >/shared/up; exec sleep 60");
        await_file(&world.host, "/tmp/shared/up");
        let has = |(file, expected): (&str, &str)| {
            let mut values =
                world.host.cgroups().into_iter().filter_map(|cgroup| world.host.cgroup_file(&cgroup, file));
            values.any(|value| value.trim() == expected)
        };
        assert!(has(v1) || has(v2), "{options:?}: neither {v1:?} nor {v2:?} in {:?}", world.host.cgroups());
        drop(running);
    };
    check(&["--cpus", "0.5"], ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"));
    check(&["-m", "64m"], ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"));
    check(&["--pids-limit", "33"], ("pids.max", "33"), ("pids.max", "33"));
    check(&["--cpuset-cpus", "0"], ("cpuset.cpus", "0"), ("cpuset.cpus", "0"));
    world
        .sh(&["--cpuset-cpus", "0"], "sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status")
        .ok()
        .prints("0");
}

/// A host whose kernel lacks a controller cannot show that the limit holds; the tests of bad input show what is said.
fn limit_is_absent(world: &World, controller: &str) -> bool {
    let v1 = world.host.path(format!("/sys/fs/cgroup/{controller}")).is_dir();
    !v1 && !world.has_cgroup2(controller)
}

#[test]
fn a_limit_that_the_host_cannot_hold_is_refused() {
    let world = World::cgroup2();
    if !limit_is_absent(&world, "memory") {
        return;
    }
    world.sh(&["-m", "64m"], "true").refuses(125, &["memory"]);
    world.sh(&["--pids-limit", "64"], "true").refuses(125, &["pids"]);
    world.sh(&[], "echo runs").ok().prints("runs");
}

/// In a cgroup that was given to the user, with the user's own processes in it: they make room.
#[test]
fn without_root() {
    let world = World::rootless();
    let check = |controller: &str, options: &[&str], script: &str, file: &str, expected: &str| {
        let shown = world.sh(options, &format!("cat /sys/fs/cgroup/{file}; {script}"));
        if world.has_cgroup2(controller) {
            let shown = shown.ok();
            assert_eq!(shown.line(), expected, "{shown}");
            assert!(!shown.stderr.contains("limits"), "{shown}");
        } else {
            let shown = world.sh(options, "echo runs").ok().prints("runs");
            assert!(shown.stderr.contains("limits are not enforced: "), "{shown}");
            // The one thing that mends it, whatever it is here.
            let mends = ["systemd-run --user --scope -p Delegate=yes", "systemd.unified_cgroup_hierarchy=1"];
            assert!(mends.iter().any(|words| shown.stderr.contains(words)), "{shown}");
            assert_eq!(shown.stderr.lines().count(), 1, "{shown}");
        }
    };
    check(
        "memory",
        &["-m", "64m"],
        "head -c 200000000 /dev/zero | tail | wc -c",
        "memory.max",
        "67108864\n0",
    );
    check("memory", &["-m", "64m", "--memory-swap", "96m"], ":", "memory.swap.max", "33554432");
    check("cpu", &["--cpus", "0.5"], ":", "cpu.max", "50000 100000");
    check("cpu", &["--cpu-shares", "1024"], ":", "cpu.weight", "100");
    check("cpuset", &["--cpuset-cpus", "0"], ":", "cpuset.cpus", "0");
    check("pids", &["--pids-limit", "33"], ":", "pids.max", "33");
    world.sh(&[], "echo unlimited").ok().prints("unlimited");
}

/// On cgroup v2, as root and in a cgroup that was given to the user: what is changed holds at once, and at the next start.
#[test]
fn changed_while_it_runs() {
    for world in [World::cgroup2(), World::rootless()] {
        if limit_is_absent_in_v2(&world) {
            continue;
        }
        let run = ["run", "-d", "--net", "none", "--name", "box", "-m", "32m", BUSYBOX, "sleep", "1000"];
        world.host.run(run).ok();
        let check = |options: &[&str], file: &str, expected: &str| {
            world.host.run([&["update"], options, &["box"]].concat()).ok().prints("box");
            let read = ["exec", "box", "cat", &format!("/sys/fs/cgroup/{file}")];
            world.host.run(read).ok().prints(expected);
        };
        check(&["-m", "64m"], "memory.max", "67108864");
        check(&["--memory-swap", "96m"], "memory.swap.max", "33554432");
        check(&["--memory-reservation", "16m"], "memory.low", "16777216");
        check(&["--cpus", "0.5"], "cpu.max", "50000 100000");
        check(&["--cpu-shares", "1024"], "cpu.weight", "100");
        check(&["--cpuset-cpus", "0"], "cpuset.cpus", "0");
        check(&["--pids-limit", "33"], "pids.max", "33");
        check(&["--pids-limit", "-1"], "pids.max", "max");
        world.host.run(["restart", "-t", "0", "box"]).ok();
        world.host.run(["exec", "box", "cat", "/sys/fs/cgroup/memory.max"]).ok().prints("67108864");
        world.host.run(["pause", "box"]).ok();
        world.host.run(["exec", "box", "true"]).refuses(125, &["box", "paused"]);
        world.host.run(["stop", "-t", "0", "box"]).ok();
        world.host.run(["rm", "box"]).ok();
    }
}

/// Whether some controller that is asked for above is not on v2.
fn limit_is_absent_in_v2(world: &World) -> bool {
    !["memory", "cpu", "cpuset", "pids"].iter().all(|controller| world.has_cgroup2(controller))
}
