//! What is shown of containers: `ps`, `inspect`, `top`, `stats`, `logs --since`, and what ran out of memory.

use crate::world::{BUSYBOX, FAILED, World, program};
use serde_json::Value;
use testkit::deadline::wait_for;
use testkit::{Host, Pty};

/// `run -d --name NAME OPTIONS busybox sh -c SCRIPT`; its id.
#[track_caller]
fn detached(world: &World, name: &str, options: &[&str], script: &str) -> String {
    let arguments = [&["run", "-d", "--name", name], options, &[BUSYBOX, "sh", "-c", script]].concat();
    world.host.run(arguments).ok().line().to_owned()
}

#[track_caller]
fn inspected(world: &World, name: &str) -> Value {
    let text = world.host.run(["inspect", name]).ok().stdout;
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all[0].clone()
}

#[test]
fn ps_finds_what_fits() {
    for world in World::both() {
        let data = world.host.path("/tmp").join("bound");
        std::fs::create_dir_all(&data).expect("a directory");
        let first = detached(
            &world,
            "first",
            &["--net", "none", "--label", "team=red", "-v", "/tmp/bound:/data"],
            "exec sleep 1000",
        );
        world
            .host
            .run([
                "run",
                "--net",
                "none",
                "--name",
                "second",
                "--label",
                "team=blue",
                BUSYBOX,
                "sh",
                "-c",
                "exit 3",
            ])
            .code(3);
        world.host.run(["create", "--name", "third", "-v", "things:/things", BUSYBOX, "true"]).ok();
        detached(
            &world,
            "fourth",
            &["-p", "127.0.0.1:8081:80", "-p", "127.0.0.1:8082:81", "-p", "9000:90/udp"],
            "exec sleep 1000",
        );
        let found = |options: &[&str], expected: &str| {
            let arguments = [&["ps", "--format", "{{.Names}}"], options].concat();
            let outcome = world.host.run(&arguments).ok();
            assert_eq!(
                outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" "),
                expected,
                "{options:?}"
            );
        };
        found(&[], "fourth first");
        found(&["-a"], "fourth third second first");
        found(&["-l"], "fourth");
        found(&["-n", "2"], "fourth third");
        found(&["-n", "0"], "");
        found(&["-n", "-1"], "fourth first");
        found(&["-a", "-f", "name=ir"], "third first");
        found(&["-a", "-f", "name=^first$"], "first");
        found(&["-a", "-f", "name=^/first$"], "first");
        found(&["-a", "-f", "name=fi.*t", "-f", "name=second"], "second first");
        found(&["-a", "-f", &format!("id={}", &first[..6])], "first");
        found(&["-a", "-f", "label=team"], "second first");
        found(&["-a", "-f", "label=team=red"], "first");
        found(&["-a", "-f", "label=team", "-f", "label=team=red"], "first");
        found(&["-f", "status=exited"], "second");
        found(&["-f", "status=created", "-f", "status=exited"], "third second");
        found(&["-f", "exited=3"], "second");
        found(&["-f", "exited=0"], "");
        found(&["-a", "-f", "ancestor=127.0.0.1:5000/busybox"], "fourth third second first");
        found(
            &["-a", "-f", "ancestor=127.0.0.1:5000/busybox:latest", "-f", "status=running"],
            "fourth first",
        );
        found(&["-a", "-f", "ancestor=busybox"], "");
        found(&["-a", "-f", "volume=things"], "third");
        found(&["-a", "-f", "volume=/things"], "third");
        found(&["-a", "-f", "volume=/tmp/bound"], "first");
        found(&["-a", "-f", "network=none"], "second first");
        found(&["-a", "-f", "publish=8081"], "fourth");
        found(&["-a", "-f", "publish=8000-9100/udp"], "fourth");
        found(&["-a", "-f", "publish=9000"], "");
        found(&["-a", "-f", "expose=81/tcp"], "fourth");
        found(&["-a", "-f", "before=third"], "second first");
        found(&["-a", "-f", "since=second"], "fourth third");
        found(&["-a", "-f", "before=fourth", "-f", "since=first"], "third second");
        found(&["-a", "-f", "health=none"], "fourth third second first");
        let status = |name: &str, format: &str| {
            let filter = format!("name=^{name}$");
            world
                .host
                .run(["ps", "-a", "--filter", &filter, "--format", format])
                .ok()
                .stdout
                .trim()
                .to_owned()
        };
        assert!(status("first", "{{.Status}}").starts_with("Up "));
        let ended = status("second", "{{.Status}}");
        assert!(ended.starts_with("Exited (3) ") && ended.ends_with(" ago"), "{ended}");
        assert_eq!(status("third", "{{.Status}}"), "Created");
        assert_eq!(
            status("fourth", "{{.Ports}}"),
            "127.0.0.1:8081-8082->80-81/tcp, 0.0.0.0:9000->90/udp, [::]:9000->90/udp"
        );
        world.host.run(["exec", "first", "dd", "if=/dev/zero", "of=/big", "bs=1000", "count=3000"]).ok();
        let size = world.host.run(["ps", "-s", "--filter", "name=first"]).ok();
        assert!(size.stdout.contains("SIZE") && size.stdout.contains("3MB (virtual "), "{size}");
        world.host.run(["rm", "-f", "first", "second", "third", "fourth"]).ok();
    }
}

#[test]
fn inspect_has_dockers_names() {
    // Without a cgroup there is nothing to be paused.
    fn check(world: World, pauses: bool) {
        let options = [
            "--net",
            "none",
            "-e",
            "A=b",
            "-w",
            "/tmp",
            "-u",
            "1000",
            "--restart",
            "on-failure:3",
            "--hostname",
            "box",
            "-v",
            "things:/things:ro",
            "--tmpfs",
            "/scratch",
            "--label",
            "x=y",
            "--stop-signal",
            "INT",
        ];
        let id = detached(&world, "web", &options, "trap 'exit 5' INT; while :; do usleep 10000; done");
        let one = inspected(&world, "web");
        for (place, expected) in [
            ("/Id", Value::from(id.as_str())),
            ("/Name", "/web".into()),
            ("/Path", "sh".into()),
            ("/RestartCount", 0.into()),
            ("/State/Status", "running".into()),
            ("/State/Running", true.into()),
            ("/State/Paused", false.into()),
            ("/State/OOMKilled", false.into()),
            ("/State/ExitCode", 0.into()),
            ("/State/Error", "".into()),
            ("/State/FinishedAt", "0001-01-01T00:00:00Z".into()),
            ("/Config/Hostname", "box".into()),
            ("/Config/User", "1000".into()),
            ("/Config/WorkingDir", "/tmp".into()),
            ("/Config/Tty", false.into()),
            ("/Config/Labels/x", "y".into()),
            ("/Config/Image", BUSYBOX.into()),
            ("/Config/StopSignal", "INT".into()),
            ("/HostConfig/RestartPolicy/Name", "on-failure".into()),
            ("/HostConfig/RestartPolicy/MaximumRetryCount", 3.into()),
            ("/HostConfig/NetworkMode", "none".into()),
            ("/HostConfig/LogConfig/Type", "json-file".into()),
            ("/Mounts/0/Type", "volume".into()),
            ("/Mounts/0/Name", "things".into()),
            ("/Mounts/0/RW", false.into()),
            ("/Mounts/1/Type", "tmpfs".into()),
            ("/Mounts/1/Destination", "/scratch".into()),
            ("/NetworkSettings/Networks/none/IPAddress", "".into()),
        ] {
            assert_eq!(one.pointer(place), Some(&expected), "{place}");
        }
        assert!(one["Created"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 30));
        assert!(one["State"]["StartedAt"].as_str() > one["Created"].as_str());
        assert!(one["Image"].as_str().is_some_and(|id| id.starts_with("sha256:")));
        let env: Vec<&str> =
            one["Config"]["Env"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(env.contains(&"A=b") && env.iter().any(|entry| entry.starts_with("PATH=")), "{env:?}");
        let pid = one["State"]["Pid"].as_i64().expect("a pid");
        let words =
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it is a process of this host");
        assert!(words.starts_with("sh\0-c\0trap"), "{words}");
        if pauses {
            world.host.run(["pause", "web"]).ok();
            let one = inspected(&world, &id[..8]);
            assert_eq!((&one["State"]["Paused"], &one["State"]["Status"]), (&true.into(), &"paused".into()));
            world.host.run(["unpause", "web"]).ok();
        }
        world.host.run(["stop", "web"]).ok();
        let one = inspected(&world, "web");
        for (place, expected) in [
            ("/State/Status", Value::from("exited")),
            ("/State/Running", false.into()),
            ("/State/Pid", 0.into()),
            ("/State/ExitCode", 5.into()),
        ] {
            assert_eq!(one.pointer(place), Some(&expected), "{place}");
        }
        assert!(one["State"]["FinishedAt"].as_str() > one["State"]["StartedAt"].as_str());
        let sized =
            world.host.run(["inspect", "--size", "-f", "{{.SizeRw}} {{ge .SizeRootFs .SizeRw}}", "web"]).ok();
        assert!(sized.line().ends_with(" true"), "{sized}");
        world.host.run(["inspect", "web", "nobody"]).code(FAILED);
        world.host.run(["inspect", "nobody"]).refuses(FAILED, &["no such object: nobody"]);
        world.host.run(["inspect", "--type", "image", "web"]).refuses(FAILED, &["no such image: web"]);
        world.host.run(["inspect", "--type", "container", BUSYBOX]).refuses(FAILED, &["no such container"]);
        world.host.run(["inspect", "--type", "planet", "web"]).refuses(FAILED, &["--type", "planet"]);
        world.host.run(["inspect", "--type", "image", "-f", "{{.Os}}", BUSYBOX]).ok().prints("linux");
        world.host.run(["rm", "web"]).ok();
    }
    check(World::root(), true);
    check(World::rootless(), false);
}

#[test]
fn addresses_and_ports_of_a_bridge() {
    let world = World::root();
    detached(&world, "web", &["-p", "80"], "exec sleep 1000");
    let ip =
        world.host.run(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"]).ok().line().to_owned();
    world
        .host
        .run(["exec", "web", "sh", "-c", "ip addr show eth0"])
        .ok()
        .stdout
        .contains(&ip)
        .then_some(())
        .expect("its address");
    let port = world
        .host
        .run(["inspect", "-f", "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "web"])
        .ok();
    assert!(port.line().parse::<u16>().is_ok_and(|port| port > 0), "{port}");
    let shown = world.host.run(["ps", "--format", "{{.Ports}}"]).ok();
    assert!(shown.line().starts_with(&format!("0.0.0.0:{}->80/tcp", port.line())), "{shown}");
    world.host.run(["rm", "-f", "web"]).ok();
}

#[test]
fn top_shows_the_processes() {
    fn check(world: World) {
        detached(&world, "web", &["--net", "none"], "sleep 1111 & exec sleep 2222");
        wait_for("both processes", || {
            let table = world.host.run(["top", "web"]).ok();
            let lines: Vec<&str> = table.stdout.lines().collect();
            (lines.len() == 3 && table.stdout.contains("sleep 1111") && table.stdout.contains("sleep 2222"))
                .then_some(())
        });
        let table = world.host.run(["top", "web", "-o", "pid,args"]).ok();
        assert!(
            table.stdout.lines().next().is_some_and(|line| line.trim_start().starts_with("PID")),
            "{table}"
        );
        assert_eq!(table.stdout.lines().count(), 3, "{table}");
        world.host.run(["top", "web", "-o", "args"]).refuses(FAILED, &["no column PID"]);
        world.host.run(["top", "web", "-o", "nonsense"]).refuses(FAILED, &["ps -o nonsense"]);
        world.host.run(["top", "nobody"]).refuses(FAILED, &["no such container: nobody"]);
        world.host.run(["stop", "-t", "0", "web"]).ok();
        world.host.run(["top", "web"]).refuses(FAILED, &["not running"]);
        world.host.run(["rm", "web"]).ok();
    }
    check(World::root());
    check(World::rootless());
}

#[test]
fn stats_are_those_of_the_kernel() {
    fn check(world: World, all: bool) {
        let limit: &[&str] = if all { &["--memory", "64m"] } else { &[] };
        detached(&world, "busy", limit, "while :; do :; done");
        detached(&world, "idle", &["--net", "none"], "exec sleep 1000");
        world.host.run(["create", "--name", "still", BUSYBOX, "true"]).ok();
        let stats = |options: &[&str]| world.host.run([&["stats", "--no-stream"], options].concat()).ok();
        let table = stats(&[]);
        let header: Vec<&str> = table
            .stdout
            .lines()
            .next()
            .unwrap_or_default()
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(
            header,
            ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
        );
        assert_eq!(table.stdout.lines().count(), 3, "{table}");
        assert_eq!(stats(&["-a"]).stdout.lines().count(), 4);
        let id = world.host.run(["inspect", "-f", "{{.Id}}", "idle"]).ok();
        assert!(stats(&["--no-trunc", "idle"]).stdout.contains(id.line()));
        assert!(!stats(&["idle"]).stdout.contains(&id.line()[..13]));
        let line = stats(&["--format", "json", "busy"]);
        let busy: Value = serde_json::from_str(line.line()).expect("JSON");
        if all {
            let cpu: f64 =
                busy["CPUPerc"].as_str().unwrap_or_default().trim_end_matches('%').parse().expect("percent");
            assert!((5.0..150.0).contains(&cpu), "one busy loop: {busy}");
            assert!(busy["MemUsage"].as_str().is_some_and(|text| text.ends_with("/ 64MiB")), "{busy}");
            assert_eq!(busy["PIDs"], "1");
        }
        assert!(stats(&["--format", "{{.Name}} {{.CPUPerc}}", "still"]).line().starts_with("still --"));
        world.host.run(["stats", "--no-stream", "nobody"]).refuses(FAILED, &["no such container: nobody"]);
        world.host.run(["rm", "-f", "busy", "idle", "still"]).ok();
        world.host.run(["stats", "--no-stream", "--format", "{{.Name}}"]).ok().prints("");
    }
    check(World::root(), true);
    check(World::cgroup2(), false);
    check(World::rootless(), false);
}

#[test]
fn stats_in_a_terminal_go_on() {
    let world = World::root();
    detached(&world, "one", &["--net", "none"], "exec sleep 1000");
    let pty = Pty::new(24, 120);
    let client = pty.start(&world.host.command(["stats"]));
    pty.shows("\u{1b}[H");
    pty.shows("one");
    detached(&world, "another", &["--net", "none"], "exec sleep 1000");
    pty.shows("another");
    pty.types("\x03");
    assert_eq!(client.wait(), 130);
    world.host.run(["rm", "-f", "one", "another"]).ok();
}

#[test]
fn logs_of_a_time() {
    for world in World::both() {
        detached(
            &world,
            "web",
            &["--net", "none"],
            "echo early; while test ! -e /tmp/go; do usleep 10000; done; echo late; sleep 1000",
        );
        let stamped = wait_for("the first line", || {
            let log = world.host.run(["logs", "-t", "web"]).ok();
            log.stdout.contains("early").then(|| log.stdout.split(' ').next().unwrap_or_default().to_owned())
        });
        world.host.run(["exec", "web", "touch", "/tmp/go"]).ok();
        let late = wait_for("the second line", || {
            let log = world.host.run(["logs", "-t", "web"]).ok();
            let line = log.stdout.lines().find(|line| line.contains("late")).map(str::to_owned);
            line.map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        });
        let logs = |options: &[&str], expected: &str| {
            world.host.run([&["logs"], options, &["web"]].concat()).ok().prints(expected);
        };
        logs(&["--since", &late], "late");
        logs(&["--since", &stamped], "early\nlate");
        logs(&["--until", &stamped], "early");
        logs(&["--since", &stamped, "--until", &stamped], "early");
        logs(&["--since", "1h"], "early\nlate");
        logs(&["--since", "0s"], "");
        logs(&["--until", "1h"], "");
        logs(&["--since", "2020-01-01"], "early\nlate");
        logs(&["--until", "2020-01-01T00:00:00"], "");
        logs(&["--since", "1577836800.5", "--tail", "1"], "late");
        logs(&["--details", "--since", &late], " late");
        // The clock ends it, not the container.
        logs(&["-f", "--until", "-300ms"], "early\nlate");
        world.host.run(["rm", "-f", "web"]).ok();
    }
}

#[test]
fn out_of_memory_is_said() {
    fn check(host: Host) {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        let hungry = [
            "run",
            "--net",
            "none",
            "--name",
            "hungry",
            "--memory",
            "8m",
            "--memory-swap",
            "8m",
            BUSYBOX,
            "sh",
            "-c",
            "exec tail -c 100000000 /dev/zero",
        ];
        let outcome = world.host.run(hungry).code(137);
        let lines: Vec<&str> =
            outcome.stderr.lines().filter(|line| line.contains("ran out of memory")).collect();
        assert_eq!(lines.len(), 1, "{outcome}");
        assert!(
            lines[0].contains("hungry") && lines[0].contains("limit 8MiB") && lines[0].contains("peak "),
            "{}",
            lines[0]
        );
        world
            .host
            .run(["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry"])
            .ok()
            .prints("true 137");
        let events = world
            .host
            .run([
                "events",
                "--since",
                "1h",
                "--until",
                "0s",
                "--filter",
                "event=oom",
                "--format",
                "{{.Actor.Attributes.name}}",
            ])
            .ok();
        events.prints("hungry");
        world.host.run(["rm", "hungry"]).ok();
        let fine = world.host.run(["run", "--rm", "--net", "none", "--memory", "64m", BUSYBOX, "true"]).ok();
        assert!(!fine.stderr.contains("memory"), "{fine}");
    }
    check(Host::root(&program()));
}

#[test]
fn out_of_memory_while_it_goes_on() {
    let world = World::root();
    detached(
        &world,
        "hungry",
        &["--net", "none", "--memory", "8m", "--memory-swap", "8m"],
        "exec sleep 1000",
    );
    let told = |count: usize| {
        wait_for(&format!("{count} events"), || {
            let arguments = ["events", "--since", "1h", "--until", "0s", "--filter", "event=oom"];
            (world.host.run(arguments).ok().stdout.lines().count() >= count).then_some(())
        });
    };
    let eat = || world.host.run(["exec", "hungry", "tail", "-c", "100000000", "/dev/zero"]).code(137);
    eat();
    told(1);
    let state = ["inspect", "-f", "{{.State.Running}} {{.State.OOMKilled}}", "hungry"];
    world.host.run(state).ok().prints("true true");
    eat();
    told(2);
    world.host.run(["rm", "-f", "hungry"]).ok();
    // What was watched in vain says nothing.
    detached(&world, "modest", &["--net", "none", "--memory", "64m"], "true");
    world.host.run(["wait", "modest"]).ok();
    world.host.run(["inspect", "-f", "{{.State.OOMKilled}}", "modest"]).ok().prints("false");
    world.host.run(["rm", "modest"]).ok();
}
