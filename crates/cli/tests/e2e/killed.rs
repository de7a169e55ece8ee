//! Commands, supervisors and inits that are killed at some system call: the next command repairs what they left.

use crate::world::{BUSYBOX, World};
use testkit::{Host, Snapshot};

/// Runs a command whose every process is killed when it makes its `number`th system call, each by its own count; whether the command
/// itself was. It returns when that has ended; who else is there may be traced a little longer.
fn is_killed_at(host: &Host, number: u32, command: &str) -> bool {
    let tracer = format!("strace -DDD -f -qqq -o /dev/null -e inject=all:signal=KILL:when={number}");
    host.sh(&format!("{tracer} $C {command} >/dev/null 2>&1 </dev/null")).code == 137
}

/// A container that does nothing, and what the commands about it are given.
fn up(options: &str) -> String {
    format!("run -d --name it --label killed {options} -v data:/data -p 8080:80 {BUSYBOX} sleep 1000")
}

/// Kills each command at each of these calls; `before` is the host without the container.
fn check(
    world: &World,
    before: &Snapshot,
    options: &[&str],
    numbers: &[u32],
    all: &[(Option<String>, String)],
) {
    for (prepared, command) in all {
        let mut killed = 0;
        for number in numbers {
            if let Some(prepared) = prepared {
                world.host.sh(&format!("$C {prepared}")).ok();
            }
            killed += u32::from(is_killed_at(&world.host, *number, command));
            let after = format!("{command}, killed at call {number}");
            // Whatever its name is now, there is at most one.
            let left = world.host.run(["ps", "-aq", "-f", "label=killed"]).ok().stdout;
            assert!(left.lines().count() <= 1, "{after}: {left}");
            for id in left.lines() {
                world.host.run(["rm", "-f", "-v", id]).ok();
            }
            // The name, the port and the volume can be had at once.
            let again = [options, &["--name", "it", "-p", "8080:80", "-v", "data:/data"]].concat();
            world.run(&again, &["true"]).ok();
            world.host.run(["volume", "rm", "data"]).ok();
            before.assert_same(&world.host, &after);
        }
        assert!(killed >= 2, "{command} was killed only {killed} times");
    }
}

#[test]
fn what_is_killed_is_repaired_by_the_next_command() {
    let world = World::root();
    // The files of the network are made with the first container, and stay.
    world.run(&[], &["true"]).ok();
    let before = Snapshot::take(&world.host);
    let up = up("");
    let commands = [
        (None, up.clone()),
        (None, up.replacen("run -d", "create", 1)),
        (Some(up.replacen("run -d", "create", 1)), "start it".to_owned()),
        (Some(up.clone()), "stop -t 0 it".to_owned()),
        (Some(up.clone()), "restart -t 0 it".to_owned()),
        (Some(up.clone()), "exec it true".to_owned()),
        (Some(up.clone()), "rename it other".to_owned()),
        (Some(up.clone()), "rm -f -v it".to_owned()),
    ];
    let numbers = [1, 15, 30, 45, 60, 80, 100, 120, 140, 160, 190, 220, 260, 300];
    check(&world, &before, &[], &numbers, &commands);
}

/// As an ordinary user on a network. Another container stays on it: newuidmap(1), which the first one needs, cannot be traced.
#[test]
fn what_is_killed_on_a_users_network_too() {
    let world = World::rootless();
    world.host.run(["network", "create", "app"]).ok();
    world.host.run(["network", "create", "more"]).ok();
    world.run(&["--network", "app", "--network", "more"], &["true"]).ok();
    world.host.run(["run", "-d", "--name", "stays", "--network", "app", BUSYBOX, "sleep", "1000"]).ok();
    let before = Snapshot::take(&world.host);
    let up = up("--network app");
    let commands = [
        (None, up.clone()),
        (Some(up.replacen("run -d", "create", 1)), "start it".to_owned()),
        (Some(up.clone()), "stop -t 0 it".to_owned()),
        (Some(up.clone()), "network connect more it".to_owned()),
        (Some(up.clone()), "network disconnect app it".to_owned()),
        (Some(up.clone()), "rm -f -v it".to_owned()),
    ];
    let numbers = [1, 12, 24, 40, 60, 90, 120, 160, 210, 280];
    check(&world, &before, &["--network", "app"], &numbers, &commands);
    world.host.run(["exec", "stays", "ip", "link", "show", "eth0"]).ok();
}
