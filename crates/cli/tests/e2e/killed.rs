//! Commands, supervisors and inits that are killed at some system call: the next command repairs what they left.

use crate::world::{BUSYBOX, World, program};
use testkit::engine_kills::{CASES, Ground};
use testkit::stop_killer::trace;
use testkit::{Share, Tally, Victim, When};

/// How often each command is killed: as DEVOXX_KILLS says, which may be more than it has moments. `make torture` does it for each.
fn share() -> Share {
    let kills = std::env::var("DEVOXX_KILLS");
    Share::whole(Some(kills.map_or(6, |kills| kills.parse().expect("DEVOXX_KILLS is a number"))))
}

/// Kills commands at moments from their first to their last, their processes taking turns.
fn check(mut ground: Ground, commands: &[&str]) {
    for case in CASES.iter().filter(|case| commands.contains(&case.name)) {
        let mut tally = Tally::default();
        assert!(ground.sweep(&mut tally, case, share()), "{} fails: {tally:?}", case.name);
        assert!(tally.is_fine(), "{}: {tally:#?}", case.name);
        // There is no child at first, and for some commands never.
        assert!(tally.kills * 2 > tally.turns, "{} was killed only {tally:?}", case.name);
    }
}

#[test]
fn what_is_killed_is_repaired_by_the_next_command() {
    let commands = ["run -d", "create", "start", "stop", "restart", "exec", "rename", "rm -f", "network rm"];
    check(Ground::root(&program()), &commands);
}

/// As an ordinary user on a network, with another container that stays on it.
#[test]
fn what_is_killed_on_a_users_network_too() {
    let commands =
        ["run -d", "start", "stop", "network connect", "network disconnect", "network rm", "rm -f"];
    check(Ground::rootless(&program()), &commands);
}

/// A removal that is killed has begun to take files away; a pull must not take the rest for a layer.
#[test]
fn an_image_whose_removal_is_killed_is_whole_after_a_pull() {
    let world = World::root();
    let (store, command) = ("/tmp/data/image", format!("rmi {BUSYBOX}"));
    // Files are removed in the order of a directory, which is not known: `size` and `split` may be the first or the last.
    let traced = |kill_at| trace(world.host.command(command.split_whitespace()), "devoxx-container", kill_at);
    let whole = traced(None);
    let kills = share().most.unwrap_or(u64::MAX).max(24).min(whole.moments);
    for turn in 0..kills {
        world.host.run(["pull", "-q", BUSYBOX]).ok();
        let moment = 1 + turn * (whole.moments - 1) / kills;
        let after = format!("killed at moment {moment} of {}", whole.moments);
        traced(Some((When::Moment(moment), Victim::Both)));
        world.host.run(["system", "check", "--deep"]).ok().prints("");
        world.host.run(["pull", "-q", BUSYBOX]).ok();
        let checked = world.host.run(["system", "check", "--deep"]);
        assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{after}: {checked}");
        world.run(&["--net", "none"], &["true"]).ok();
    }
    world.host.run(["rmi", BUSYBOX]).ok();
    world
        .host
        .admin(&format!("cd {store}; ls layers staging; find blobs -type f"))
        .prints("layers:\n\nstaging:");
}
