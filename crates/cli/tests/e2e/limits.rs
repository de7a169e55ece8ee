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

/// On cgroup v2, as root and in a cgroup that was given to the user: what is changed holds at once, and at the next start. What this
/// machine's v2 has no controller for is left out.
#[test]
fn changed_while_it_runs() {
    for world in [World::cgroup2(), World::rootless()] {
        if ["memory", "cpu", "cpuset", "pids", "io"].iter().all(|controller| !world.has_cgroup2(controller)) {
            continue;
        }
        // With a limit from the start, and without any.
        let limit: &[&str] = if world.has_cgroup2("memory") { &["-m", "32m"] } else { &[] };
        for (name, limit) in [("box", limit), ("slow", &[])] {
            let run = ["run", "-d", "--net", "none", "--name", name];
            world.host.run([&run[..], limit, &[BUSYBOX, "sleep", "1000"]].concat()).ok();
        }
        let read = |name: &str, files: &[&str]| {
            let files =
                files.iter().map(|file| format!("/sys/fs/cgroup/{file}")).collect::<Vec<_>>().join(" ");
            // Of several the first that there is.
            let script = format!("for file in {files}; do test ! -e $file || exec cat $file; done");
            world.host.run(["exec", name, "sh", "-c", &script]).ok().stdout.trim_end().to_owned()
        };
        let check = |name: &str, options: &[&str], file: &str, expected: &str| {
            let controller = file.split('.').next().expect("a name");
            if world.has_cgroup2(controller) {
                world.host.run([&["update"], options, &[name]].concat()).ok().prints(name);
                assert_eq!(read(name, &[file]), expected, "{options:?}");
            }
        };
        check("box", &["-m", "64m"], "memory.max", "67108864");
        check("box", &["--memory-swap", "96m"], "memory.swap.max", "33554432");
        check("box", &["--memory-reservation", "16m"], "memory.low", "16777216");
        check("box", &["--cpus", "0.5"], "cpu.max", "50000 100000");
        check("box", &["--cpu-shares", "1024"], "cpu.weight", "100");
        check("box", &["--cpuset-cpus", "0"], "cpuset.cpus", "0");
        check("box", &["--cpuset-mems", "0"], "cpuset.mems", "0");
        check("box", &["--pids-limit", "33"], "pids.max", "33");
        check("box", &["--pids-limit", "-1"], "pids.max", "max");
        // The other way to say how long the processor is had.
        check("slow", &["--cpu-period", "50000", "--cpu-quota", "20000"], "cpu.max", "20000 50000");
        check("slow", &["--cpu-quota", "10000"], "cpu.max", "10000 50000");
        check("slow", &["--cpu-period", "20000"], "cpu.max", "10000 20000");
        check("slow", &["--cpu-quota", "-1"], "cpu.max", "max 20000");
        if world.has_cgroup2("cpu") {
            world.host.run(["update", "--cpus", "1", "slow"]).refuses(125, &["--cpus", "--cpu-"]);
        }
        // Of a kernel with BFQ and without (cgroup-v2.rst, "IO Interface Files").
        let weights = ["io.bfq.weight", "io.weight"];
        let known = "find /sys/fs/cgroup -maxdepth 2 -name io.weight -o -maxdepth 2 -name io.bfq.weight";
        if world.has_cgroup2("io") && !world.host.admin(known).stdout.is_empty() {
            for (weight, expected) in
                [("1000", ["default 1000", "default 10000"]), ("10", ["default 10", "default 1"])]
            {
                world.host.run(["update", "--blkio-weight", weight, "slow"]).ok().prints("slow");
                let now = read("slow", &weights);
                assert!(expected.contains(&now.as_str()), "{weight}: {now}");
            }
        }
        world.host.run(["restart", "-t", "0", "box", "slow"]).ok();
        let still = |name: &str, file: &str, expected: &str| {
            if world.has_cgroup2(file.split('.').next().expect("a name")) {
                assert_eq!(read(name, &[file]), expected);
            }
        };
        still("box", "memory.max", "67108864");
        still("box", "cpuset.mems", "0");
        still("slow", "cpu.max", "max 20000");
        world.host.run(["pause", "box"]).ok();
        world.host.run(["exec", "box", "true"]).refuses(125, &["box", "paused"]);
        world.host.run(["stop", "-t", "0", "box"]).ok();
        world.host.run(["rm", "-f", "box", "slow"]).ok();
    }
}
