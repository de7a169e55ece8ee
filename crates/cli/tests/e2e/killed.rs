//! Commands, supervisors and inits that are killed at some system call: the next command repairs what they left.

use crate::world::{BUSYBOX, World};
use testkit::stop_killer::trace;
use testkit::{Snapshot, Traced, Victim};

/// The command in a world, killed at a stop of its processes, or counted.
fn traced(world: &World, command: &str, kill_at: Option<(u64, Victim)>) -> Traced {
    trace(world.host.command(command.split_whitespace()), "devoxx-container", kill_at)
}

/// A container that does nothing, and what the commands about it are given.
fn up(options: &str) -> String {
    format!("run -d --name it --label killed {options} -v data:/data -p 8080:80 {BUSYBOX} sleep 1000")
}

/// How often each command is killed: as DEVOXX_KILLS says, which may be more than it has stops.
fn kills() -> u64 {
    std::env::var("DEVOXX_KILLS").map_or(12, |kills| kills.parse().expect("DEVOXX_KILLS is a number"))
}

/// Kills each command at stops from its first to its last, its processes taking turns; `before` is the host without the container.
fn check(world: &World, before: &Snapshot, options: &[&str], all: &[(Option<String>, String)]) {
    for (prepared, command) in all {
        let prepare = || {
            if let Some(prepared) = prepared {
                world.host.sh(&format!("$C {prepared}")).ok();
            }
        };
        // Whatever its name is now, there is at most one.
        let clean = |after: &str| {
            let left = world.host.run(["ps", "-aq", "-f", "label=killed"]).ok().stdout;
            assert!(left.lines().count() <= 1, "{after}: {left}");
            for id in left.lines() {
                world.host.run(["rm", "-f", "-v", id]).ok();
            }
            // The name, the port and the volume can be had at once.
            let again = [options, &["--name", "it", "-p", "8080:80", "-v", "data:/data"]].concat();
            let ran = world.run(&again, &["true"]);
            assert_eq!(ran.code, 0, "after {after}: {ran}");
            world.host.run(["volume", "rm", "data"]).ok();
            before.assert_same(&world.host, after);
        };
        prepare();
        let whole = traced(world, command, None);
        assert_eq!((whole.code, whole.hung), (0, false), "{command}");
        clean(command);
        let mut killed = 0;
        let kills = kills().min(whole.stops);
        for turn in 0..kills {
            prepare();
            let stop = 1 + turn * (whole.stops - 1) / kills;
            // Each victim at early and at late stops.
            let victim = Victim::ALL[usize::try_from(turn).expect("a few") % Victim::ALL.len()];
            let one = traced(world, command, Some((stop, victim)));
            assert!(!one.hung, "{command} hangs when {victim:?} is killed at stop {stop}");
            killed += u64::from(one.killed);
            clean(&format!("{command}, {victim:?} killed at stop {stop} of {}", whole.stops));
        }
        // There is no child at first, and for some commands never.
        assert!(killed * 2 > kills, "{command} was killed only {killed} times of {kills}");
    }
}

#[test]
fn what_is_killed_is_repaired_by_the_next_command() {
    let world = World::root();
    // The files of the network are made with the first container, and stay.
    world.run(&[], &["true"]).ok();
    // There will be one at some time: so many commands have much to tell.
    world.host.sh("touch $DEVOXX_ROOT/events/log.1").ok();
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
    check(&world, &before, &[], &commands);
}

/// As an ordinary user on a network, with another container that stays on it.
#[test]
fn what_is_killed_on_a_users_network_too() {
    let world = World::rootless();
    world.host.run(["network", "create", "app"]).ok();
    world.host.run(["network", "create", "more"]).ok();
    world.run(&["--network", "app", "--network", "more"], &["true"]).ok();
    world.host.run(["run", "-d", "--name", "stays", "--network", "app", BUSYBOX, "sleep", "1000"]).ok();
    // There will be one at some time: so many commands have much to tell.
    world.host.sh("touch $DEVOXX_ROOT/events/log.1").ok();
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
    check(&world, &before, &["--network", "app"], &commands);
    world.host.run(["exec", "stays", "ip", "link", "show", "eth0"]).ok();
}
