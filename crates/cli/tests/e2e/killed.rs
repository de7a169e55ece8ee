//! Commands, supervisors and inits that are killed at some system call: the next command repairs what they left.

use crate::world::program;
use testkit::engine_kills::{CASES, Ground};
use testkit::{Share, Tally};

/// How often each command is killed: as DEVOXX_KILLS says, which may be more than it has stops. `make torture` does it for each.
fn share() -> Share {
    let kills = std::env::var("DEVOXX_KILLS");
    Share::whole(Some(kills.map_or(6, |kills| kills.parse().expect("DEVOXX_KILLS is a number"))))
}

/// Kills commands at stops from their first to their last, their processes taking turns.
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
