//! `events`: who acts says so, and who listens hears it.

use crate::world::{BUSYBOX, World};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use testkit::Registry;

/// What happened so far, as `type action` a line.
#[track_caller]
fn happened(world: &World, options: &[&str]) -> Vec<String> {
    let format = ["events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}"];
    let outcome = world.host.run([&format, options].concat()).ok();
    outcome.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn every_act_is_an_event() {
    // Without a cgroup there is nothing to be paused.
    fn check(world: World, pauses: bool) {
        let run = |arguments: &[&str]| drop(world.host.run(arguments).ok());
        run(&["create", "--net", "none", "--label", "team=red", "--name", "web", BUSYBOX, "sleep", "1000"]);
        run(&["start", "web"]);
        run(&["exec", "web", "true"]);
        if pauses {
            run(&["pause", "web"]);
            run(&["unpause", "web"]);
        }
        run(&["rename", "web", "www"]);
        run(&["restart", "-t", "0", "www"]);
        run(&["kill", "www"]);
        run(&["wait", "www"]);
        run(&["rm", "www"]);
        run(&["rmi", BUSYBOX]);
        let all = happened(&world, &[]);
        let expected = [
            "image pull",
            "container create",
            "network connect",
            "container start",
            "container exec_create: true",
            "container exec_start: true",
            "container exec_die",
            "container pause",
            "container unpause",
            "container rename",
            "container die",
            "network disconnect",
            "container stop",
            "network connect",
            "container start",
            "container restart",
            "container kill",
            "container die",
            "network disconnect",
            "container destroy",
            "image untag",
            "image delete",
        ];
        let happens = |what: &&str| pauses || !what.ends_with("pause");
        assert_eq!(all, expected.into_iter().filter(happens).collect::<Vec<_>>());
        let fewer = if pauses { 0 } else { 2 };
        let count = |options: &[&str], expected: usize| {
            assert_eq!(happened(&world, options).len(), expected, "{options:?}");
        };
        count(&["--filter", "type=image"], 3);
        count(&["--filter", "event=start"], 2);
        count(&["--filter", "event=exec_create", "--filter", "event=die"], 3);
        count(&["--filter", "container=web"], 7 - fewer);
        count(&["--filter", "container=nobody"], 0);
        count(&["--filter", "label=team=red"], 15 - fewer);
        count(&["--filter", "label=team=blue"], 0);
        count(&["--filter", "type=container", "--filter", "image=127.0.0.1:5000/busybox"], 15 - fewer);
        count(&["--filter", "scope=local"], 22 - fewer);
        count(&["--filter", "volume=x"], 0);
        count(&["--filter", "network=x"], 0);
        count(&["--filter", "network=none"], 4);
        let die = world
            .host
            .run(["events", "--since", "1h", "--until", "0s", "--filter", "event=die", "--format", "json"])
            .ok();
        let last: Value = serde_json::from_str(die.stdout.lines().last().unwrap_or_default()).expect("JSON");
        assert_eq!(last["Actor"]["Attributes"]["exitCode"], "137");
        assert_eq!(last["Actor"]["Attributes"]["name"], "www");
        assert_eq!(
            (&last["status"], &last["Type"], &last["scope"]),
            (&"die".into(), &"container".into(), &"local".into())
        );
        assert_eq!(last["timeNano"].as_u64().map(|time| time / 1_000_000_000), last["time"].as_u64());
        let kill =
            world.host.run(["events", "--since", "1h", "--until", "0s", "--filter", "event=kill"]).ok();
        let id = last["id"].as_str().expect("an id");
        assert!(
            kill.line().contains(&format!(" container kill {id} (")) && kill.line().contains("signal=9"),
            "{kill}"
        );
        world.host.run(["events", "--since", "2h", "--until", "1h"]).ok().prints("");
    }
    check(World::root(), true);
    check(World::rootless(), false);
}

#[test]
fn of_images_and_volumes() {
    for world in [World::root(), World::rootless()] {
        let run = |arguments: &[&str]| drop(world.host.run(arguments).ok());
        let own = Registry::settings(&world.host).port(5002).writable().start();
        let mine = own.image("mine");
        run(&["tag", BUSYBOX, &mine]);
        run(&["push", &mine]);
        run(&["save", "-o", "/tmp/home/saved.tar", &mine]);
        run(&["load", "-i", "/tmp/home/saved.tar"]);
        run(&["rmi", &mine]);
        run(&["create", "--name", "web", "-v", "data:/data", "-v", "/own", BUSYBOX, "true"]);
        run(&["start", "-a", "web"]);
        run(&["export", "-o", "/tmp/home/root.tar", "web"]);
        run(&["import", "/tmp/home/root.tar", "flat"]);
        run(&["commit", "web", "changed"]);
        run(&["rm", "-v", "web"]);
        run(&["volume", "create", "more"]);
        // It is there already.
        run(&["volume", "create", "more"]);
        run(&["volume", "rm", "data"]);
        run(&["volume", "prune", "-a", "-f"]);
        assert_eq!(
            happened(&world, &["--filter", "type=image"]),
            ["pull", "tag", "push", "save", "load", "untag", "import"]
                .map(|action| format!("image {action}"))
        );
        let of = ["events", "--since", "1h", "--until", "0s", "--filter", "type=volume", "--format"];
        let lines = world.host.run([&of[..], &["{{.Action}} {{.Actor.ID}}"]].concat()).ok().stdout;
        let own: Vec<&str> =
            lines.lines().filter(|line| line.len() > 40).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(own, ["create", "mount", "unmount", "destroy"], "its own volume: {lines}");
        let named: Vec<&str> = lines.lines().filter(|line| line.len() < 40).collect();
        let expected =
            ["create data", "mount data", "unmount data", "create more", "destroy data", "destroy more"];
        assert_eq!(named, expected);
        let mounts = |format: &str| {
            let words =
                ["events", "--since", "1h", "--until", "0s", "-f", "volume=data", "-f", "event=mount"];
            world.host.run([&words[..], &["--format", format]].concat()).ok().line().to_owned()
        };
        assert_eq!(mounts("{{.Actor.Attributes.destination}} {{.Actor.Attributes.driver}}"), "/data local");
        assert_eq!(mounts("{{index .Actor.Attributes \"read/write\"}}"), "true");
        assert_eq!(mounts("{{len .Actor.Attributes.container}}"), "64");
        assert!(happened(&world, &["--filter", "container=web"]).contains(&"container commit".to_owned()));
    }
}

#[test]
fn a_live_stream() {
    for world in World::both() {
        let mut command = world.host.command([
            "events",
            "--since",
            "1h",
            "--filter",
            "type=container",
            "--format",
            "{{.Action}} {{.Actor.Attributes.name}}",
        ]);
        let mut listener = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(listener.stdout.take().expect("a pipe")).lines();
        for name in ["one", "two"] {
            world.host.run(["run", "--rm", "--net", "none", "--name", name, BUSYBOX, "true"]).ok();
            for action in ["create", "start", "die", "destroy"] {
                let line = lines.next().expect("an event").expect("a line");
                assert_eq!(line, format!("{action} {name}"));
            }
        }
        // Nobody reads any more: the next event ends it.
        drop(lines);
        world.host.run(["run", "--rm", "--net", "none", BUSYBOX, "true"]).ok();
        listener.kill().expect("kill");
        listener.wait().expect("it ends");
    }
}

#[test]
fn it_ends_at_its_time() {
    let world = World::root();
    let began = std::time::Instant::now();
    world.host.run(["events", "--until", "-300ms"]).ok().prints("");
    assert!(began.elapsed() >= std::time::Duration::from_millis(250));
}

#[test]
fn the_file_is_rotated_and_garbage_in_it_is_passed_over() {
    let world = World::root();
    let log = world.host.path("/tmp/data/events/log");
    let mut text = std::fs::read_to_string(&log).expect("the file of events");
    text.push_str("garbage\n{\"time\": \"x\"}\n\u{0}\n{}\n");
    text.push_str(&format!("{}\n", "x".repeat(2 << 20)));
    std::fs::write(&log, text).expect("write");
    world.host.run(["create", "--net", "none", "--name", "one", BUSYBOX, "true"]).ok();
    let older = world.host.path("/tmp/data/events/log.1");
    assert!(older.exists(), "it was too long");
    assert_eq!(happened(&world, &[]), ["image pull", "container create"]);
    world.host.run(["rm", "one"]).ok();
    assert!(std::fs::metadata(&log).expect("a new one").len() < 10_000);
}

#[test]
fn many_at_once_lose_nothing() {
    for world in World::both() {
        let running: Vec<_> = (0..8)
            .map(|number| {
                let name = format!("one-{number}");
                world.host.spawn(["create", "--net", "none", "--name", &name, BUSYBOX, "true"])
            })
            .collect();
        running.into_iter().for_each(|one| drop(one.wait().ok()));
        assert_eq!(happened(&world, &["--filter", "event=create"]).len(), 8);
        let names: Vec<String> = (0..8).map(|number| format!("one-{number}")).collect();
        world.host.run([&["rm".to_owned()], &names[..]].concat()).ok();
    }
}

#[test]
fn health_and_networks_are_heard_of() {
    for world in World::both() {
        world
            .host
            .run([
                "run",
                "-d",
                "--net",
                "none",
                "--health-interval",
                "50ms",
                "--health-retries",
                "1",
                "--health-cmd",
                "test ! -e /tmp/ill",
                "--name",
                "web",
                BUSYBOX,
                "sleep",
                "1000",
            ])
            .ok();
        let status = |wanted: &str| {
            testkit::deadline::wait_for(wanted, || {
                let table = world.host.run(["ps", "--format", "{{.Status}}"]).ok();
                table.stdout.contains(wanted).then_some(())
            });
        };
        status("(healthy)");
        world.host.run(["inspect", "-f", "{{.State.Health.Status}}", "web"]).ok().prints("healthy");
        world.host.run(["ps", "-q", "--filter", "health=unhealthy"]).ok().prints("");
        world.host.run(["exec", "web", "touch", "/tmp/ill"]).ok();
        status("(unhealthy)");
        world.host.run(["ps", "--filter", "health=unhealthy", "--format", "{{.Names}}"]).ok().prints("web");
        world.host.run(["rm", "-f", "web"]).ok();
        assert_eq!(
            happened(&world, &["--filter", "event=health_status"]),
            ["container health_status: healthy", "container health_status: unhealthy"]
        );
        world.host.run(["network", "create", "app"]).ok();
        world.host.run(["inspect", "--type", "network", "-f", "{{.Name}}", "app"]).ok().prints("app");
        let run = ["run", "-d", "--net", "app", "--name", "one", BUSYBOX, "sleep", "1000"];
        let id = world.host.run(run).ok().line().to_owned();
        world.host.run(["rm", "-f", "one"]).ok();
        world.host.run(["network", "rm", "app"]).ok();
        assert_eq!(
            happened(&world, &["--filter", "network=app"]),
            ["network create", "network connect", "network disconnect", "network destroy"]
        );
        let on_it = happened(&world, &["--filter", "type=network", "--filter", &format!("container={id}")]);
        assert_eq!(on_it, ["network connect", "network disconnect"]);
    }
}

/// A connection is an event when it is made, and when it ends: at starts and ends of its container, and while that runs.
#[test]
fn connections_come_and_go() {
    for world in World::both() {
        let run = |arguments: &[&str]| drop(world.host.run(arguments).ok());
        let mut seen = 0;
        let mut check = |expected: &[&str]| {
            let format = "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}";
            let words = ["events", "--since", "1h", "--until", "0s", "--filter", "type=network", "--format"];
            let all = world.host.run([&words[..], &[format]].concat()).ok().stdout;
            assert_eq!(all.lines().skip(seen).collect::<Vec<_>>(), expected);
            seen += expected.len();
        };
        for (options, expected) in [
            (&[][..], &["connect bridge bridge", "disconnect bridge bridge"][..]),
            (&["--net", "host"], &["connect host host", "disconnect host host"]),
            (&["--net", "none"], &["connect none null", "disconnect none null"]),
        ] {
            world.run(options, &["true"]).ok();
            check(expected);
        }
        run(&["network", "create", "app"]);
        run(&["network", "create", "more"]);
        check(&["create app bridge", "create more bridge"]);
        run(&["create", "--net", "app", "--name", "web", BUSYBOX, "sleep", "1000"]);
        // Nothing is connected before it runs.
        run(&["network", "connect", "more", "web"]);
        run(&["network", "disconnect", "app", "web"]);
        check(&[]);
        run(&["start", "web"]);
        check(&["connect more bridge"]);
        run(&["network", "connect", "app", "web"]);
        check(&["connect app bridge"]);
        world.run(&["--net", "container:web"], &["true"]).ok();
        check(&[]);
        run(&["restart", "-t", "0", "web"]);
        let (on, off) = (
            ["connect more bridge", "connect app bridge"],
            ["disconnect more bridge", "disconnect app bridge"],
        );
        check(&[off, on].concat());
        run(&["network", "disconnect", "more", "web"]);
        check(&["disconnect more bridge"]);
        // Nobody sees its end; the next command says it.
        let pid = world.host.run(["inspect", "-f", "{{.State.Pid}}", "web"]).ok();
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.line())).expect("it runs");
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
        world.host.admin(&format!("kill -9 {parent} {}", pid.line()));
        run(&["stop", "web"]);
        check(&["disconnect app bridge"]);
        let of = ["--filter", "event=die", "--filter", "container=web"];
        assert_eq!(happened(&world, &of).len(), 2);
    }
}
