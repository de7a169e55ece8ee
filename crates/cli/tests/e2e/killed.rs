//! Commands, supervisors and inits that are killed at some system call: the next command repairs what they left.

use crate::world::{BUSYBOX, World};
use testkit::{Host, Snapshot};

/// Runs a command whose every process is killed when it makes its `number`th system call, each by its own count; whether the command
/// itself was. It returns when that has ended; who else is there may be traced a little longer.
fn is_killed_at(host: &Host, number: u32, command: &str) -> bool {
    let tracer = format!("strace -DDD -f -qqq -o /dev/null -e inject=all:signal=KILL:when={number}");
    host.sh(&format!("{tracer} $C {command} >/dev/null 2>&1 </dev/null")).code == 137
}

#[test]
fn what_is_killed_is_repaired_by_the_next_command() {
    let world = World::root();
    // The files of the network are made with the first container, and stay.
    world.run(&[], &["true"]).ok();
    let before = Snapshot::take(&world.host);
    let sleeps = format!("{BUSYBOX} sleep 1000");
    let up = format!("run -d --name it -v data:/data -p 8080:80 {sleeps}");
    for (prepared, command) in [
        (None, up.clone()),
        (None, format!("create --name it -v data:/data {sleeps}")),
        (Some(format!("create --name it -v data:/data -p 8080:80 {sleeps}")), "start it".to_owned()),
        (Some(up.clone()), "stop -t 0 it".to_owned()),
        (Some(up.clone()), "restart -t 0 it".to_owned()),
        (Some(up.clone()), "exec it true".to_owned()),
        (Some(up.clone()), "rename it other".to_owned()),
        (Some(up.clone()), "rm -f -v it".to_owned()),
    ] {
        let mut killed = 0;
        for number in [1, 15, 30, 45, 60, 80, 100, 120, 140, 160, 190, 220, 260, 300] {
            if let Some(prepared) = &prepared {
                world.host.sh(&format!("$C {prepared}")).ok();
            }
            killed += u32::from(is_killed_at(&world.host, number, &command));
            let after = format!("{command}, killed at call {number}");
            // Whatever its name is now, there is at most one.
            let left = world.host.run(["ps", "-aq"]).ok().stdout;
            assert!(left.lines().count() <= 1, "{after}: {left}");
            for id in left.lines() {
                world.host.run(["rm", "-f", "-v", id]).ok();
            }
            // The name, the port and the volume can be had at once.
            world.run(&["--name", "it", "-p", "8080:80", "-v", "data:/data"], &["true"]).ok();
            world.host.run(["volume", "rm", "data"]).ok();
            before.assert_same(&world.host, &after);
        }
        assert!(killed >= 2, "{command} was killed only {killed} times");
    }
}
