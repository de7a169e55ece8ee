//! Containers that live on their own: from `create` and `run -d` to `rm`, with everything in between.

use crate::world::{BUSYBOX, FAILED, World, program};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::process::Stdio;
use testkit::deadline::wait_for;
use testkit::{Host, Outcome, Pty, Snapshot};

/// `run -d --name NAME OPTIONS busybox sh -c SCRIPT`.
#[track_caller]
fn detached(world: &World, name: &str, options: &[&str], script: &str) -> String {
    let arguments =
        [&["run", "-d", "--net", "none", "--name", name], options, &[BUSYBOX, "sh", "-c", script]].concat();
    let outcome = world.host.run(arguments).ok();
    let id = outcome.line().to_owned();
    assert!(
        id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "an id and nothing else: {outcome}"
    );
    id
}

/// Waits until `ps -a` shows a status, such as `running` or `exited (7)`.
#[track_caller]
fn await_status(world: &World, name: &str, status: &str) {
    wait_for(&format!("{name} is {status}"), || shows(world, name, status).then_some(()));
}

fn shows(world: &World, name: &str, status: &str) -> bool {
    let table = world.host.run(["ps", "-a", "--format", "{{.Names}}: {{.State}} {{.Status}}"]).ok();
    let line = table.stdout.lines().find(|line| line.starts_with(&format!("{name}: ")));
    line.is_some_and(|line| line.to_lowercase().contains(status))
}

#[test]
fn a_container_on_its_own() {
    fn check(host: Host) {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        let before = Snapshot::take(&world.host);
        let id = detached(
            &world,
            "web",
            &[],
            "echo out; echo err >&2; trap 'exit 7' TERM; while :; do usleep 10000; done",
        );
        let listed = world.host.run(["ps", "-q"]).ok();
        listed.prints(&id[..12]);
        wait_for("both lines", || {
            let log = world.host.run(["logs", "web"]).ok();
            (log.stdout == "out\n" && log.stderr == "err\n").then_some(())
        });
        world.host.run(["exec", &id[..6], "hostname"]).ok().prints(&id[..12]);
        world.host.run(["stop", "web"]).ok().prints("web");
        assert!(shows(&world, "web", "exited (7)"));
        world.host.run(["wait", "web"]).ok().prints("7");
        world.host.run(["start", "web"]).ok().prints("web");
        world.host.run(["start", "web"]).ok().prints("web");
        await_status(&world, "web", "running");
        world.host.run(["restart", "-t", "5", "web"]).ok().prints("web");
        world.host.run(["rm", "web"]).refuses(FAILED, &["web", "is running", "rm --force web"]);
        world.host.run(["kill", "web"]).ok().prints("web");
        world.host.run(["wait", "web"]).ok().prints("137");
        let log = world.host.run(["logs", "web"]).ok();
        assert_eq!(log.stdout, "out\n".repeat(3), "one for each start");
        world.host.run(["logs", "--tail", "1", "web"]).ok();
        world.host.run(["rm", "web"]).ok().prints("web");
        before.assert_same(&world.host, "from run -d to rm");
    }
    check(Host::root(&program()));
    check(Host::root_cgroup2_view(&program()));
    check(Host::rootless(&program()));
}

#[test]
fn what_is_made_and_started_later() {
    for world in World::both() {
        let before = Snapshot::take(&world.host);
        let created = world
            .host
            .run(["create", "-i", "--net", "none", "--name", "later", BUSYBOX, "sh", "-c", "cat; exit 3"])
            .ok();
        assert_eq!(created.line().len(), 64);
        assert!(shows(&world, "later", "created"));
        for _ in 0..2 {
            let mut command = world.host.command(["start", "-ai", "later"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("the program starts");
            child.stdin.take().expect("a pipe").write_all(b"typed\n").expect("write");
            let output = child.wait_with_output().expect("the program ends");
            assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"typed\n"[..], Some(3)));
        }
        let failed =
            world.host.run(["create", "--net", "none", "--name", "broken", BUSYBOX, "no-such-program"]).ok();
        assert_eq!(failed.line().len(), 64);
        world.host.run(["start", "broken"]).refuses(127, &["start broken", "no-such-program"]);
        assert!(shows(&world, "broken", "created"));
        world.host.run(["rm", "later", "broken"]).ok().prints("later\nbroken");
        before.assert_same(&world.host, "create, start, rm");
    }
}

#[test]
fn a_run_that_never_started_leaves_nothing() {
    for world in World::both() {
        let before = Snapshot::take(&world.host);
        let check = |options: &[&str], command: &str, code: i32, words: &[&str]| {
            world
                .host
                .run([&["run", "-d", "--net", "none"], options, &[BUSYBOX, command]].concat())
                .refuses(code, words);
            before.assert_same(&world.host, command);
        };
        check(&[], "no-such-program", 127, &["no-such-program"]);
        check(&[], "/etc/passwd", 126, &["/etc/passwd"]);
        check(&["-u", "nobody-knows"], "true", 125, &["nobody-knows"]);
        check(&["--rm", "--restart", "always"], "true", 125, &["--rm and --restart contradict each other"]);
        check(&["--restart", "sometimes"], "true", 125, &["--restart", "sometimes"]);
        check(&["--log-driver", "carrier-pigeon"], "true", 125, &["--log-driver", "carrier-pigeon"]);
        check(&["--log-opt", "max-file=0"], "true", 125, &["--log-opt"]);
    }
}

#[test]
fn further_commands_in_it() {
    fn check(world: &World) {
        detached(world, "box", &["-e", "A=of run", "-w", "/tmp"], "exec sleep 1000");
        let exec = |options: &[&str], script: &str| -> Outcome {
            world.host.run([&["exec"], options, &["box", "sh", "-c", script]].concat())
        };
        exec(&[], "echo out; echo err >&2; exit 42").code(42).prints("out");
        exec(&[], "kill -TERM $$").code(143);
        exec(&[], "id -u; pwd; echo $A; cat /proc/1/cmdline | tr '\\0' ' '")
            .ok()
            .prints("0\n/tmp\nof run\nsleep 1000 ");
        exec(&["-e", "A=given", "--env", "B=b", "-w", "/etc"], "pwd; echo $A $B")
            .ok()
            .prints("/etc\ngiven b");
        exec(&["-u", "app"], "id -u; id -g").ok().prints("1000\n1000");
        exec(&["-u", "5:6"], "id -u; id -g").ok().prints("5\n6");
        exec(&["--privileged"], "awk '/^CapEff/ {print ($2 > \"00000000a80425fb\")}' /proc/self/status")
            .ok()
            .prints("1");
        world.host.admin("printf '# two\\nFILED=file\\nA=file\\n' >/tmp/env");
        exec(&["--env-file", "/tmp/env", "-e", "A=option"], "echo $FILED $A").ok().prints("file option");
        exec(&["--env-file", "/no/such/file"], "true").refuses(FAILED, &["/no/such/file"]);
        exec(&[], "test -t 1 || echo none").ok().prints("none");
        exec(&["-d"], "echo detached >/tmp/mark").ok().prints("");
        wait_for("the detached command", || {
            exec(&[], "cat /tmp/mark 2>/dev/null").stdout.contains("detached").then_some(())
        });
        let terminal = world.host.sh("script -qec '$C exec -it box sh -c \"tty; exit 5\"' /dev/null");
        assert!(terminal.stdout.contains("/dev/pts/") && terminal.code == 5, "{terminal}");
        let mut command = world.host.command(["exec", "-i", "box", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(b"through\n").expect("write");
        assert_eq!(child.wait_with_output().expect("it ends").stdout, b"through\n");
        exec(&[], "exit 0").ok();
        world.host.run(["exec", "box", "no-such-program"]).refuses(127, &["no-such-program"]);
        world.host.run(["exec", "box", "/etc/passwd"]).refuses(126, &["/etc/passwd"]);
        world.host.run(["exec", "-u", "nobody-knows", "box", "true"]).refuses(FAILED, &["nobody-knows"]);
        world.host.run(["rm", "-f", "box"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn the_wrong_state_is_said() {
    World::both().iter().for_each(the_wrong_state_is_said_of);
}

fn the_wrong_state_is_said_of(world: &World) {
    // Without a cgroup there is nothing to be paused.
    let pauses = !world.host.is_rootless();
    detached(world, "up", &[], "exec sleep 1000");
    world.host.run(["run", "--net", "none", "--name", "down", BUSYBOX, "true"]).ok();
    let check = |arguments: &[&str], words: &[&str]| drop(world.host.run(arguments).refuses(FAILED, words));
    for command in ["start", "stop", "restart", "kill", "wait", "attach", "logs", "pause", "unpause", "rm"] {
        check(&[command, "nobody"], &["no such container: nobody"]);
        check(&[command], &["--help"]);
    }
    check(&["exec", "nobody", "true"], &["no such container: nobody"]);
    check(&["exec", "down", "true"], &["down", "not running"]);
    check(&["attach", "down"], &["down", "not running"]);
    check(&["kill", "down"], &["down", "not running"]);
    check(&["kill", "-s", "NOSUCH", "up"], &["--signal", "NOSUCH"]);
    check(&["pause", "down"], &["down", "not running"]);
    if pauses {
        check(&["unpause", "up"], &["up", "not paused"]);
    }
    check(&["rename", "up", "down"], &["down", "already taken"]);
    check(&["rename", "up", "a/b"], &["a/b"]);
    check(&["rename", "nobody", "x1"], &["no such container: nobody"]);
    check(&["logs", "--tail", "many", "up"], &["--tail", "many"]);
    check(&["attach", "--detach-keys", "ctrl-1", "up"], &["--detach-keys", "ctrl-1"]);
    check(&["start", "-a", "up", "down"], &["only one"]);
    if pauses {
        world.host.run(["pause", "up"]).ok().prints("up");
        assert!(shows(world, "up", "paused"));
        check(&["exec", "up", "true"], &["up", "paused"]);
        world.host.run(["unpause", "up"]).ok().prints("up");
    }
    world.host.run(["rename", "up", "other"]).ok();
    world.host.run(["exec", "other", "true"]).ok();
    check(&["stop", "up"], &["no such container: up"]);
    world.host.run(["rm", "-f", "other", "down"]).ok().prints("other\ndown");
}

#[test]
fn it_is_started_again() {
    for world in World::both() {
        let before = Snapshot::take(&world.host);
        let count = |name: &str| world.host.run(["logs", name]).ok().stdout.lines().count();
        detached(&world, "thrice", &["--restart", "on-failure:2"], "echo again; exit 9");
        await_status(&world, "thrice", "exited (9)");
        assert_eq!(count("thrice"), 3, "once, and twice again");
        detached(&world, "fine", &["--restart", "on-failure"], "echo once");
        await_status(&world, "fine", "exited (0)");
        assert_eq!(count("fine"), 1);
        detached(&world, "always", &["--restart", "always"], "echo again");
        wait_for("three starts", || (count("always") >= 3).then_some(()));
        world.host.run(["stop", "always"]).ok();
        assert!(shows(&world, "always", "exited"), "stop is for good");
        let stays = count("always");
        world.host.run(["start", "always"]).ok();
        wait_for("started again", || (count("always") > stays).then_some(()));
        world.host.run(["rm", "-f", "always"]).ok();
        world.host.run(["rm", "thrice", "fine"]).ok();
        before.assert_same(&world.host, "restart policies");
    }
}

/// A container that ends at once is no load for the machine: each pause is twice the one before.
#[test]
fn it_is_started_again_later_and_later() {
    let world = World::root();
    detached(&world, "storm", &["--restart", "on-failure:4"], "exit 1");
    let times = |event: &str| -> Vec<u64> {
        let words = ["events", "--since", "1h", "--until", "0s", "--format", "{{.TimeNano}}", "-f"];
        let lines = world.host.run([&words[..], &[event]].concat()).ok().stdout;
        lines.lines().map(|line| line.parse().expect("nanoseconds")).collect()
    };
    let (starts, ends) = wait_for("the last end", || {
        let ends = times("event=die");
        (ends.len() == 5).then(|| (times("event=start"), ends))
    });
    assert_eq!(starts.len(), 5);
    for (number, (end, start)) in ends.iter().zip(&starts[1..]).enumerate() {
        let (pause, least) = (start.saturating_sub(*end) / 1_000_000, 100 << number);
        assert!(pause >= least, "pause {number} is {pause} ms, not {least}");
    }
    await_status(&world, "storm", "exited (1)");
    world.host.run(["inspect", "-f", "{{.RestartCount}}", "storm"]).ok().prints("4");
    world.host.run(["rm", "storm"]).ok();
}

/// What stays behind a command (a supervisor, what leads out of a network, what holds networks) has nothing open of its caller: who waits
/// for the end of a pipe, or for a lock, would wait for the end of a container.
#[test]
fn what_stays_behind_holds_nothing_of_the_caller() {
    for world in World::both() {
        world.host.run(["pull", BUSYBOX]).ok();
        world.host.admin("mkfifo -m 666 /tmp/held");
        for command in [
            "run -d --name one busybox sleep 1000",
            "network create app",
            "run -d --name two --net app -p 8080:80 busybox sleep 1000",
            "restart -t 0 two",
            "stop -t 0 one",
            "start one",
            "network connect app one",
            "exec -d one sleep 1000",
        ] {
            let command = command.replace("busybox", BUSYBOX);
            let script = format!(
                "timeout 20 sh -c 'cat /tmp/held; echo end' & exec 9>/tmp/held; $C {command} </dev/null >/dev/null && exec 9>&-; wait"
            );
            let outcome = world.host.sh(&script).ok();
            assert_eq!(outcome.stdout, "end\n", "{command} left it open: {outcome}");
        }
        world.host.run(["rm", "-f", "one", "two"]).ok();
        world.host.run(["network", "rm", "app"]).ok();
    }
}

#[test]
fn a_visit_can_be_left() {
    for world in World::both() {
        detached(&world, "shell", &["-it"], "while read line; do echo got $line; done");
        let visit = |keys: &str, options: &[&str]| {
            let pty = Pty::new(24, 80);
            let before = pty.modes();
            let client = pty.start(&world.host.command([options, &["shell"]].concat()));
            // What is typed before the terminal is raw is thrown away.
            wait_for("raw mode", || (pty.modes() != before).then_some(()));
            pty.types("hello\r");
            pty.shows("got hello");
            pty.types(keys);
            assert_eq!(client.wait(), 0, "{}", pty.screen());
            assert_eq!(pty.modes(), before);
            assert!(shows(&world, "shell", "running"), "it runs on");
        };
        visit("\x10\x11", &["attach"]);
        visit("x", &["attach", "--detach-keys", "x"]);
        world.host.run(["stop", "-t", "0", "shell"]).ok();
        visit("\x02", &["start", "-ai", "--detach-keys", "ctrl-b"]);
        world.host.run(["rm", "-f", "shell"]).ok();
    }
}

#[test]
fn several_see_the_same() {
    for world in World::both() {
        detached(&world, "loud", &[], "while test ! -e /tmp/go; do usleep 10000; done; seq 1000; exit 4");
        let attached = || world.host.spawn(["attach", "--no-stdin", "loud"]);
        let followed = world.host.spawn(["logs", "-f", "loud"]);
        let (one, other) = (attached(), attached());
        let waits = world.host.spawn(["wait", "loud"]);
        // Each is there before the first line: a visit is a connection to the supervisor's socket.
        wait_for("three visitors", || {
            let table = world.host.admin("grep -c '/proc/self/fd/.*/socket' /proc/net/unix || :");
            (table.line().parse::<i32>().unwrap_or(0) >= 4).then_some(())
        });
        world.host.run(["exec", "loud", "touch", "/tmp/go"]).ok();
        let all: String = (1..=1000).map(|number| format!("{number}\n")).collect();
        for visitor in [one, other] {
            let outcome = visitor.wait().code(4);
            assert_eq!(outcome.stdout, all);
        }
        assert_eq!(followed.wait().ok().stdout, all);
        waits.wait().ok().prints("4");
        world.host.run(["rm", "loud"]).ok();
    }
}

#[test]
fn a_log_is_rotated_and_read_in_order() {
    for world in World::both() {
        let options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
        detached(&world, "much", &options, "seq 100000 101999");
        await_status(&world, "much", "exited (0)");
        let log = world.host.run(["logs", "much"]).ok();
        let lines: Vec<i32> = log.stdout.lines().map(|line| line.parse().expect("a number")).collect();
        assert_eq!(lines.last(), Some(&101_999));
        assert!(lines.windows(2).all(|pair| pair[1] == pair[0] + 1), "in order, nothing between them lost");
        assert!((300..1500).contains(&lines.len()), "{} lines are about three files", lines.len());
        world.host.run(["logs", "-n", "2", "much"]).ok().prints("101998\n101999");
        world.host.run(["rm", "much"]).ok();
        // Nobody has to ask for it.
        let script = "line=$(seq 1000 2999 | tr '\\n' ' '); yes \"$line\" | head -c 45000000";
        detached(&world, "usual", &[], script);
        await_status(&world, "usual", "exited (0)");
        let sizes = world.host.admin("stat -c %s /tmp/data/containers/*/container.log*");
        let sizes: Vec<u64> = sizes.stdout.lines().map(|line| line.parse().expect("a number")).collect();
        assert_eq!(sizes.len(), 3, "{sizes:?}");
        assert!(
            sizes.iter().all(|size| *size <= (10 << 20) + 20_000) && sizes.iter().sum::<u64>() > 20 << 20,
            "{sizes:?}"
        );
        world.host.run(["rm", "usual"]).ok();
        detached(&world, "none", &["--log-driver", "none"], "echo silent");
        world.host.run(["wait", "none"]).ok();
        world.host.run(["logs", "none"]).refuses(FAILED, &["none", "keeps no log"]);
        world.host.run(["rm", "none"]).ok();
    }
}

/// The supervisor of a container: the parent of its PID 1.
fn supervisor_of(world: &World, name: &str) -> Pid {
    let pid = world.host.run(["exec", name, "cat", "/proc/1/stat"]).ok();
    drop(pid);
    let state = world.host.admin("cat /tmp/run/containers/*/state.json").stdout;
    let state: serde_json::Value = serde_json::from_str(state.trim()).expect("one container");
    let init = state["init"]["pid"].as_i64().expect("a pid");
    let status = std::fs::read_to_string(format!("/proc/{init}/status")).expect("it runs");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    Pid::from_raw(parent.trim().parse().expect("a number")).expect("not 0")
}

/// What is its own and no other process's: the kernel's "anonymous" memory.
#[test]
fn a_supervisor_is_small() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        detached(&world, "long", &["--health-cmd", "true", "--restart", "always"], "exec sleep 1000");
        let supervisor = supervisor_of(&world, "long").as_raw_nonzero();
        let field = |file: &str, name: &str| -> u64 {
            let text = std::fs::read_to_string(format!("/proc/{supervisor}/{file}")).expect("it runs");
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        // When the container has lived for a moment; a release build has half of it.
        let small = || (field("smaps_rollup", "Anonymous:") < 450).then_some(());
        wait_for("its start is given back", small);
        assert_eq!(field("status", "Threads:"), 1);
        world.host.run(["rm", "-f", "long"]).ok();
    }
}

#[test]
fn a_supervisor_that_is_killed() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        let before = Snapshot::take(&world.host);
        for end in [&["stop", "-t", "0", "orphan"][..], &["kill", "orphan"], &["rm", "-f", "orphan"]] {
            detached(&world, "orphan", &["--restart", "always"], "exec sleep 1000");
            kill_process(supervisor_of(&world, "orphan"), Signal::KILL).expect("kill");
            world.host.run(["exec", "orphan", "echo", "lives"]).ok().prints("lives");
            assert!(shows(&world, "orphan", "running"));
            world.host.run(["attach", "orphan"]).refuses(FAILED, &["supervisor of orphan"]);
            world.host.run(end).ok().prints("orphan");
            if end[0] != "rm" {
                world.host.run(["wait", "orphan"]).ok();
                assert!(shows(&world, "orphan", "exited"));
                world.host.run(["start", "orphan"]).ok();
                world.host.run(["exec", "orphan", "echo", "again"]).ok().prints("again");
                world.host.run(["rm", "-f", "orphan"]).ok();
            }
            before.assert_same(&world.host, end[0]);
        }
    }
}

#[test]
fn many_at_once() {
    fn check(world: &World, options: &[&str]) {
        // The files of the network are made with the first container, and stay.
        world.run(&[], &["true"]).ok();
        let before = Snapshot::take(&world.host);
        let names: Vec<String> = (0..50).map(|number| format!("one-{number}")).collect();
        let all = |words: &dyn Fn(&str) -> Vec<String>| {
            let running: Vec<_> = names.iter().map(|name| world.host.spawn(words(name))).collect();
            running.into_iter().for_each(|one| drop(one.wait().ok()));
        };
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let run = |name: &str| {
            words(&[&["run", "-d", "--name", name], options, &[BUSYBOX, "sleep", "1000"]].concat())
        };
        all(&run);
        assert_eq!(world.host.run(["ps", "-q"]).ok().stdout.lines().count(), 50);
        all(&|name| words(&["stop", "-t", "0", name]));
        all(&|name| words(&["rm", name]));
        before.assert_same(&world.host, "50 at once");
    }
    // `networks_verbs` has those on a network of one's own.
    for world in World::both() {
        check(&world, &[]);
        check(&world, &["--net", "none"]);
    }
}

/// The supervisor once took a log that could not be written for the end of its container.
#[test]
fn a_log_on_a_full_disk() {
    let world = World::root();
    world.host.admin("mkdir /tmp/small; mount -t tmpfs -o size=8m,mode=700 small /tmp/small");
    let run =
        |args: &[&str]| testkit::outcome::run(world.host.command(args).env("DEVOXX_ROOT", "/tmp/small"));
    let script = "yes | head -c 20000000; exec sleep 1000";
    run(&["run", "-d", "--net", "none", "--name", "loud", BUSYBOX, "sh", "-c", script]).ok();
    wait_for("all is written", || {
        let first = run(&["exec", "loud", "cat", "/proc/1/cmdline"]).ok();
        first.stdout.starts_with("sleep").then_some(())
    });
    run(&["logs", "-n", "1", "loud"]).ok().prints("y");
    run(&["rm", "-f", "loud"]).ok();
    world.host.admin("umount /tmp/small");
}

#[test]
fn input_of_a_passer_by() {
    for world in World::both() {
        detached(&world, "cat", &["-i"], "exec cat");
        let mut command = world.host.command(["attach", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(b"hello\n").expect("write");
        wait_for("the echo", || (world.host.run(["logs", "cat"]).ok().stdout == "hello\n").then_some(()));
        assert!(shows(&world, "cat", "running"), "its input goes on without this one's");
        world.host.run(["rm", "-f", "cat"]).ok();
        assert_eq!(child.wait_with_output().expect("it ends").stdout, b"hello\n");
    }
}

/// Until the container has its record and its name nobody sees anything of it, and what is left of it when its maker is killed goes
/// with the next command that comes by.
#[test]
fn a_create_that_was_killed() {
    for world in World::both() {
        // The first of an ordinary user on a network needs newuidmap(1), which cannot be traced.
        world.host.run(["network", "create", "app"]).ok();
        world.host.run(["run", "-d", "--name", "stays", "--net", "app", BUSYBOX, "sleep", "1000"]).ok();
        let before = Snapshot::take(&world.host);
        let create = ["create", "--net", "app", "--name", "it", "--label", "it", BUSYBOX];
        let mends: [&[&str]; 4] =
            [&create, &["rm", "-f", "it"], &["container", "prune", "-f"], &["system", "doctor", "--fix"]];
        let mut mend = mends.iter().cycle();
        for call in ["mkdir", "flock", "symlinkat", "rename", "fstat"] {
            let mut number = 0;
            loop {
                number += 1;
                let inject =
                    format!("strace -f -qqq -o /dev/null -e inject={call}:signal=KILL:when={number}");
                let outcome = world.host.sh(&format!("{inject} $C {}", create.join(" ")));
                if outcome.code != 137 {
                    outcome.ok();
                    break;
                }
                let after = format!("{call} {number}");
                let is_there = || {
                    let listed = world.host.run(["ps", "-aq", "--filter", "label=it"]).ok();
                    !listed.stdout.is_empty()
                };
                // Either it is a container, or it is nothing.
                if !is_there() {
                    world.host.run(["start", "it"]).refuses(FAILED, &["no such container: it"]);
                    let mend = mend.next().expect("without end");
                    let mended = world.host.run(*mend);
                    assert!(mended.code == 0 || mend[0] != "create", "{after}: {mended}");
                }
                if is_there() {
                    world.host.run(["rm", "-f", "it"]).ok();
                }
                before.assert_same(&world.host, &after);
            }
            assert!(number > 1, "{call}");
            world.host.run(["rm", "it"]).ok();
        }
        world.host.run(["rm", "-f", "stays"]).ok();
    }
}

/// What is begun is not taken for what was left behind, and of many with one name one has it, also where it was left behind.
#[test]
fn many_with_one_name() {
    for world in World::both() {
        let before = Snapshot::take(&world.host);
        for left in [false, true, true] {
            if left {
                let gone = "0123456789abcdef".repeat(4);
                world.host.sh(&format!("ln -s {gone} /tmp/data/containers/by-name/same")).ok();
            }
            let all: Vec<_> = (0..10)
                .map(|_| {
                    let sweeps = world.host.spawn(["rm", "nobody"]);
                    (world.host.spawn(["create", "--net", "none", "--name", "same", BUSYBOX]), sweeps)
                })
                .collect();
            let mut made = 0;
            for (create, sweeps) in all {
                sweeps.wait().refuses(FAILED, &["no such container"]);
                match create.wait() {
                    outcome if outcome.code == 0 => made += 1,
                    outcome => drop(outcome.refuses(FAILED, &["same", "already taken"])),
                }
            }
            assert_eq!(made, 1);
            world.host.run(["rm", "same"]).ok();
            before.assert_same(&world.host, "many of one name");
        }
    }
}

/// Regression: while a container did not read what was typed to it, its supervisor heard nobody, and no end of it ended.
#[test]
fn one_that_does_not_read_its_input_is_ended_all_the_same() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::io::Write;
    for world in World::both() {
        for end in [&["rm", "-f", "it"][..], &["kill", "it"], &["stop", "-t", "0", "it"]] {
            let mut client =
                world.host.command(["run", "--rm", "-i", "--name", "it", BUSYBOX, "sleep", "1000"]);
            client.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
            let mut client = client.spawn().expect("a client");
            let mut input = client.stdin.take().expect("a pipe");
            // Until nobody takes any more of it for a second: everything on the way is full.
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            while poll(&mut [PollFd::new(&input, PollFlags::OUT)], Some(&second)) == Ok(1) {
                input.write_all(&[b'x'; 4096]).expect("the client reads");
            }
            world.host.run(end).ok();
            client.wait().expect("the client ends");
        }
    }
}
