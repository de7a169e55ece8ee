//! A person's terminal: what a container sees of it, and that it is as before afterwards.

use crate::world::{BUSYBOX, World, program};
use rustix::process::{Pid, Signal, kill_process};
use testkit::deadline::wait_for;
use testkit::{Host, Pty, Snapshot};

fn run<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--rm", "--net", "none"], options, &[BUSYBOX], command].concat()
}

#[test]
fn its_size_follows_the_window() {
    for world in [World::root(), World::rootless()] {
        let pty = Pty::new(33, 101);
        let script = "trap 'echo now $(stty size)' WINCH; echo first $(stty size); \
            while :; do read -t 1 word; test \"$word\" = end && exit 7; done";
        let words = run(&["-it"], &["sh", "-c", script]);
        let client = pty.start(&world.host.command(words));
        pty.shows("first 33 101");
        pty.resize(50, 120);
        pty.shows("now 50 120");
        pty.resize(24, 80);
        pty.shows("now 24 80");
        pty.types("end\n");
        assert_eq!(client.wait(), 7, "{}", pty.screen());
    }
}

#[test]
fn what_is_typed_is_the_containers() {
    for world in World::both() {
        let pty = Pty::new(24, 80);
        let client = pty.start(&world.host.command(run(&["-it"], &["sh"])));
        // The shell throws away what was typed before its prompt.
        pty.shows("/ # ");
        pty.types("echo typed-$((40 + 2))\n");
        pty.shows("typed-42");
        pty.types("sleep 1000\n");
        wait_for("the container sleeps", || {
            let sleeps = |pid: &i32| {
                std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words == b"sleep\x001000\x00")
            };
            world.host.processes().iter().any(sleeps).then_some(())
        });
        // Ctrl-C: a byte like any other to us, a signal in there.
        pty.types("\x03");
        pty.shows("^C\r\n/ # ");
        pty.types("echo code-$?\n");
        pty.shows("code-130");
        pty.types("tty; test -t 0 -a -t 1 -a -t 2 && exit 9\n");
        assert_eq!(client.wait(), 9, "{}", pty.screen());
        // Who reads the screen may be a moment behind the end.
        pty.shows("/dev/pts/0");
    }
}

#[test]
fn it_is_restored_whatever_happens() {
    let world = World::root();
    let clean = Snapshot::take(&world.host);
    let check = |command: &[&str], during: &dyn Fn(&Pty, i32), code: i32| {
        let pty = Pty::new(24, 80);
        let before = pty.modes();
        let client = pty.start(&world.host.command(run(&["-it", "--name", "one"], command)));
        during(&pty, client.pid());
        assert_eq!(client.wait(), code, "{command:?}: {}", pty.screen());
        assert_eq!(pty.modes(), before, "{command:?}");
        clean.assert_same(&world.host, &format!("{command:?}"));
    };
    // Only what was changed can be restored.
    let is_raw = |pty: &Pty| {
        pty.shows("is-up");
        assert_ne!(pty.modes(), Pty::new(24, 80).modes());
    };
    check(&["true"], &|_, _| (), 0);
    check(&["sh", "-c", "exit 3"], &|_, _| (), 3);
    check(&["no-such-program"], &|_, _| (), 127);
    check(&["/etc/passwd"], &|_, _| (), 126);
    check(&["sh", "-c", "stty raw -echo; exit 5"], &|_, _| (), 5);
    let trap = ["sh", "-c", "trap 'exit 4' TERM HUP QUIT; echo is-up; while :; do usleep 10000; done"];
    for signal in [Signal::TERM, Signal::HUP, Signal::QUIT] {
        let send = |pty: &Pty, pid: i32| {
            is_raw(pty);
            kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("signal the client");
        };
        check(&trap, &send, 4);
    }
    // Somebody else ends the container.
    let end = |pty: &Pty, _| {
        is_raw(pty);
        world.host.run(["rm", "--force", "one"]).ok();
    };
    check(&["sh", "-c", "echo is-up; exec sleep 1000"], &end, 137);
}

#[test]
fn a_pull_shows_what_it_does() {
    let world = World::of(Host::root(&program()));
    let image = world.registry.image("debian:12");
    let pulled = |options: &[&str]| {
        let pty = Pty::new(24, 120);
        let words = [&["pull"], options, &[&image]].concat();
        assert_eq!(pty.start(&world.host.command(words)).wait(), 0, "{}", pty.screen());
        world.host.run(["rmi", &image]).ok();
        pty.screen()
    };
    let manifest = world.registry.manifest(&world.registry.digest("debian", "12"));
    let layers: Vec<String> = manifest["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|layer| layer["digest"].as_str())
        .map(|digest| digest.trim_start_matches("sha256:")[..12].to_owned())
        .collect();
    let bars = pulled(&[]);
    for layer in &layers {
        assert!(bars.contains(&format!("{layer} [")), "a bar for {layer}: {bars:?}");
        assert!(bars.contains(&format!("{layer} pulled")), "its end: {bars:?}");
    }
    assert!(bars.contains("\x1b["), "drawn in place: {bars:?}");
    let quiet = pulled(&["--quiet"]);
    assert!(layers.iter().all(|layer| !quiet.contains(&**layer)), "{quiet:?}");
    let lines = world.host.run(["pull", &image]).ok().stderr;
    for layer in &layers {
        assert_eq!(lines.lines().filter(|line| line.contains(&**layer)).count(), 1, "one line each: {lines}");
    }
    assert!(!lines.contains('\x1b'), "{lines:?}");
}
