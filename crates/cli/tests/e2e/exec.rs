//! `exec` beyond its command: what runs on when the person is gone, with its terminal or without.

use crate::world::{BUSYBOX, FAILED, World};
use testkit::deadline::wait_for;
use testkit::{Pty, Snapshot};

/// A container named box that only sleeps.
fn asleep(world: &World) {
    world.host.run(["run", "-d", "--net", "none", "--name", "box", BUSYBOX, "sleep", "1000"]).ok();
}

/// Waits until a file of the container is there.
#[track_caller]
fn await_file(world: &World, path: &str) {
    wait_for(path, || (world.host.run(["exec", "box", "test", "-e", path]).code == 0).then_some(()));
}

#[test]
fn on_its_own() {
    fn check(world: &World) {
        asleep(world);
        let before = Snapshot::take(&world.host);
        let exec = |options: &[&str], script: &str| {
            world.host.run([&["exec"], options, &["box", "sh", "-c", script]].concat())
        };
        // Its terminal does not hang up, and takes all that is written to it.
        let script = "test -t 0 && test -t 1 && while test ! -e /tmp/go; do usleep 10000; done; seq 100000; touch /tmp/alive; exit 7";
        exec(&["-dt"], script).ok().prints("");
        exec(&["-d", "-it"], "test -t 1 && touch /tmp/both").ok().prints("");
        exec(&["-di"], "cat; touch /tmp/read").ok().prints("");
        exec(&[], "touch /tmp/go").ok();
        for path in ["/tmp/alive", "/tmp/both", "/tmp/read"] {
            await_file(world, path);
        }
        // Its end is told, also without anybody who waits.
        wait_for("the end with its code", || {
            let arguments = ["events", "--since", "1h", "--until", "0s", "--filter", "event=exec_die"];
            world.host.run(arguments).ok().stdout.contains("exitCode=7").then_some(())
        });
        // It is said at once that it cannot be executed.
        world.host.run(["exec", "-d", "box", "no-such-program"]).refuses(127, &["no-such-program"]);
        world.host.run(["exec", "-dt", "box", "/etc/passwd"]).refuses(126, &["/etc/passwd"]);
        world
            .host
            .run(["exec", "-d", "-u", "nobody-knows", "box", "true"])
            .refuses(FAILED, &["nobody-knows"]);
        exec(&[], "rm /tmp/*").ok();
        wait_for("nobody is left", || {
            before.difference(&Snapshot::take(&world.host)).is_empty().then_some(())
        });
        world.host.run(["rm", "-f", "box"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn a_terminal_is_left() {
    fn check(world: &World) {
        asleep(world);
        let before = Snapshot::take(&world.host);
        let visit = |keys: &str, options: &[&str]| {
            let script = "while read line; do echo got $line; test $line = end && break; done; seq 100000; touch /tmp/over";
            let pty = Pty::new(24, 80);
            let modes = pty.modes();
            let client = pty.start(
                &world.host.command([&["exec", "-it"], options, &["box", "sh", "-c", script]].concat()),
            );
            // What is typed before the terminal is raw is thrown away.
            wait_for("raw mode", || (pty.modes() != modes).then_some(()));
            pty.types("hello\r");
            pty.shows("got hello");
            // The last words and the keys at once.
            pty.types(&format!("end\r{keys}"));
            assert_eq!(client.wait(), 0, "{}", pty.screen());
            assert_eq!(pty.modes(), modes);
            await_file(world, "/tmp/over");
            world.host.run(["exec", "box", "rm", "/tmp/over"]).ok();
        };
        visit("\x10\x11", &[]);
        visit("\x01x", &["--detach-keys", "ctrl-a,x"]);
        let arguments = ["events", "--since", "1h", "--until", "0s", "--filter", "event=exec_detach"];
        assert_eq!(world.host.run(arguments).ok().stdout.lines().count(), 2);
        wait_for("nobody is left", || {
            before.difference(&Snapshot::take(&world.host)).is_empty().then_some(())
        });
        for keys in ["ctrl-1", "ctrl-", "ab", "a,", "ctrl-A", "\u{e4}"] {
            world
                .host
                .run(["exec", "--detach-keys", keys, "box", "true"])
                .refuses(FAILED, &["--detach-keys"]);
        }
        world.host.run(["exec", "-it", "box", "true"]).refuses(FAILED, &["not a terminal", "leave out -t"]);
        world.host.run(["rm", "-f", "box"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}
