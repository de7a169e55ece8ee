//! `--log-driver` and `--log-opt`: where what a container writes goes, and what `logs` shows of it.

use crate::world::{BUSYBOX, FAILED, World};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;
use testkit::deadline::{LIMIT, wait_for};
use testkit::{Datagrams, Pty, Snapshot, inside};

const JOURNAL: &str = "/run/systemd/journal/socket";

/// `run --net none OPTIONS busybox sh -c SCRIPT`.
fn arguments<'a>(options: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["run", "--net", "none"], options, &[BUSYBOX, "sh", "-c", script]].concat()
}

/// A place for the sockets of a journal, on this host alone.
fn place_of_journal(world: &World) {
    world.host.admin("test -d /run/systemd || mkdir /run/systemd; mount -t tmpfs -o mode=755 journal /run/systemd; mkdir /run/systemd/journal");
}

type Fields = BTreeMap<String, String>;

fn field<'a>(entry: &'a Fields, name: &str) -> &'a str {
    entry.get(name).map_or("", String::as_str)
}

/// The entries of a container, when there are so many.
#[track_caller]
fn entries(journal: &Datagrams, name: &str, count: usize) -> Vec<Fields> {
    wait_for(&format!("{count} entries of {name}"), || {
        let all: Vec<Fields> = journal
            .all()
            .iter()
            .map(|got| got.fields())
            .filter(|one| field(one, "CONTAINER_NAME") == name)
            .collect();
        (all.len() >= count).then_some(all)
    })
}

#[test]
fn options_that_are_none() {
    let world = World::root();
    let before = Snapshot::take(&world.host);
    let check = |driver: &str, option: &str, words: &[&str]| {
        let options = ["--log-driver", driver, "--log-opt", option];
        world.host.run(arguments(&options, "true")).refuses(125, words);
    };
    for driver in ["", " ", "none,", "JSON-FILE", "journal", "\u{1b}[31m", "fluentd", "-", "json-file\n"] {
        world
            .host
            .run(arguments(&["--log-driver", driver], "true"))
            .refuses(125, &["--log-driver", "json-file"]);
    }
    for driver in ["json-file", "local", "journald", "syslog", "none", "passthrough"] {
        for garbage in ["", "=", "tag", "nope=1", "=tag", "tag =x", "\n=x", "max-sizE=1m", "t\u{e4}g=x"] {
            check(driver, garbage, &["--log-opt"]);
        }
    }
    for bad in [
        "max-size=0",
        "max-size=x",
        "max-size=",
        "max-file=0",
        "max-file=x",
        "compress=true",
        "mode=quick",
        "max-buffer-size=1m",
    ] {
        check("json-file", bad, &["--log-opt"]);
    }
    for bad in ["tag={{", "tag={{.Nope}}", "tag={{range .ID}}", "env-regex=(", "labels-regex=*"] {
        check("journald", bad, &["--log-opt"]);
    }
    for bad in [
        "syslog-address=",
        "syslog-address=udp://",
        "syslog-address=log:514",
        "syslog-facility=99",
        "syslog-format=rfc3164",
    ] {
        check("syslog", bad, &["--log-opt"]);
    }
    check("none", "max-size=1m", &["none has no options"]);
    check("passthrough", "tag=x", &["passthrough has no options"]);
    check("journald", "max-size=1m", &["journald has tag"]);
    before.assert_same(&world.host, "options that are none");
}

#[test]
fn a_journal_gets_every_line() {
    fn check(world: &World) {
        place_of_journal(world);
        let journal = Datagrams::listen(&world.host.path(JOURNAL));
        let driver = ["--log-driver", "journald"];
        let run =
            |options: &[&str], script: &str| world.host.run(arguments(&[&driver, options].concat(), script));
        let shown = run(&["--name", "plain"], "echo out; echo err >&2; printf 'a\\tb\\n\\nlast'").ok();
        assert_eq!((shown.stdout.as_str(), shown.stderr.as_str()), ("out\na\tb\n\nlast", "err\n"));
        let all = entries(&journal, "plain", 5);
        let message = |priority: &str| -> Vec<&str> {
            all.iter()
                .filter(|one| field(one, "PRIORITY") == priority)
                .map(|one| field(one, "MESSAGE"))
                .collect()
        };
        assert_eq!(message("6"), ["out", "a\tb", "", "last"]);
        assert_eq!(message("3"), ["err"]);
        let one = &all[0];
        let id = field(one, "CONTAINER_ID_FULL");
        assert_eq!((id.len(), field(one, "CONTAINER_ID")), (64, &id[..12]));
        assert_eq!((field(one, "CONTAINER_TAG"), field(one, "SYSLOG_IDENTIFIER")), (&id[..12], &id[..12]));
        assert!(field(one, "IMAGE_NAME").starts_with(BUSYBOX), "{one:?}");
        let time = field(one, "SYSLOG_TIMESTAMP");
        assert!(time.len() == 30 && time.ends_with('Z'), "{time}");
        // A tag, labels and variables of it, by name and by pattern.
        let options = [
            "--name",
            "tagged",
            "--log-opt",
            "tag={{.ImageName}}/{{.Name}}",
            "--log-opt",
            "labels=com.example/tier,nothing",
            "--label",
            "com.example/tier=web\nand more",
            "--label",
            "other=x",
            "--log-opt",
            "env-regex=^SH",
            "-e",
            "SHOWN=yes",
            "-e",
            "HIDDEN=x",
            "--label",
            "message=not mine",
            "--log-opt",
            "labels-regex=^mess",
        ];
        run(&options, "echo x").ok();
        let one = &entries(&journal, "tagged", 1)[0];
        assert!(
            field(one, "CONTAINER_TAG").ends_with("/tagged")
                && field(one, "CONTAINER_TAG").starts_with("127.")
        );
        assert_eq!(field(one, "COM_EXAMPLE_TIER"), "web\nand more");
        assert_eq!((field(one, "SHOWN"), one.get("HIDDEN"), one.get("OTHER")), ("yes", None, None));
        assert_eq!(field(one, "MESSAGE"), "x", "a label is no message");
        // A long line comes in parts.
        run(&["--name", "long"], "head -c 40000 /dev/zero | tr '\\0' x; echo; echo short").ok();
        let all = entries(&journal, "long", 4);
        let parts: Vec<(&str, &str, &str)> = all
            .iter()
            .map(|one| {
                (
                    field(one, "CONTAINER_PARTIAL_MESSAGE"),
                    field(one, "CONTAINER_PARTIAL_ORDINAL"),
                    field(one, "CONTAINER_PARTIAL_LAST"),
                )
            })
            .collect();
        assert_eq!(parts, [("true", "1", "false"), ("true", "2", "false"), ("", "3", "true"), ("", "", "")]);
        assert_eq!(
            all.iter().map(|one| field(one, "MESSAGE").len()).collect::<Vec<_>>(),
            [16384, 16384, 7232, 5]
        );
        let ids: Vec<&str> = all.iter().map(|one| field(one, "CONTAINER_PARTIAL_ID")).collect();
        assert!(ids[0] == ids[2] && !ids[0].is_empty() && ids[3].is_empty(), "{ids:?}");
        // More than a datagram holds goes as a file.
        let file = world.host.path("/tmp").join("labels");
        std::fs::write(&file, format!("huge={}\n", "y".repeat(300_000))).expect("a file");
        run(&["--name", "huge", "--label-file", "/tmp/labels", "--log-opt", "labels=huge"], "echo big").ok();
        let one = &entries(&journal, "huge", 1)[0];
        assert_eq!((field(one, "HUGE").len(), field(one, "MESSAGE")), (300_000, "big"));
        assert!(journal.all().last().is_some_and(|got| got.is_file), "as a file");
        world.host.run(["rm", "plain", "tagged", "long", "huge"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn where_there_is_no_journal() {
    let world = World::root();
    place_of_journal(&world);
    let before = Snapshot::take(&world.host);
    for options in [&["--log-driver", "journald"][..], &["--log-driver", "journald", "-d"]] {
        world.host.run(arguments(options, "echo x")).refuses(125, &["journald", "no journal", JOURNAL]);
        before.assert_same(&world.host, "no journal");
    }
    world
        .host
        .run(["create", "--net", "none", "--name", "later", "--log-driver", "journald", BUSYBOX, "echo", "x"])
        .ok();
    world.host.run(["start", "later"]).refuses(125, &["start later", "no journal"]);
    let journal = Datagrams::listen(&world.host.path(JOURNAL));
    world.host.run(["start", "-a", "later"]).ok().prints("x");
    assert_eq!(field(&entries(&journal, "later", 1)[0], "MESSAGE"), "x");
    // One that is started anew while a container writes is found again.
    let script = "while :; do echo tick; usleep 50000; done";
    world.host.run(arguments(&["-d", "--name", "ticks", "--log-driver", "journald"], script)).ok();
    entries(&journal, "ticks", 1);
    drop(journal);
    let journal = Datagrams::listen(&world.host.path(JOURNAL));
    entries(&journal, "ticks", 1);
    world.host.run(["rm", "-f", "ticks", "later"]).ok();
}

#[test]
fn a_journal_that_reads_nothing() {
    let world = World::root();
    place_of_journal(&world);
    let deaf = Datagrams::deaf(&world.host.path(JOURNAL));
    let script = "i=0; while test $i -lt 20000; do echo line $i of many; i=$((i+1)); done; touch /tmp/done; sleep 1000";
    // It waits with what it writes, and everything else goes on.
    world.host.run(arguments(&["-d", "--name", "waits", "--log-driver", "journald"], script)).ok();
    world.host.run(["exec", "waits", "true"]).ok();
    let options = [
        "-d",
        "--name",
        "drops",
        "--log-driver",
        "journald",
        "--log-opt",
        "mode=non-blocking",
        "--log-opt",
        "max-buffer-size=8k",
    ];
    world.host.run(arguments(&options, script)).ok();
    wait_for("the end of what it writes", || {
        (world.host.run(["exec", "drops", "test", "-e", "/tmp/done"]).code == 0).then_some(())
    });
    world.host.run(["exec", "waits", "test", "-e", "/tmp/done"]).code(1);
    world.host.run(["stop", "-t", "0", "waits"]).ok();
    drop(deaf);
    world.host.run(["rm", "-f", "waits", "drops"]).ok();
}

/// systemd's own journal, in memory and on this host alone; ended with it.
fn real_journal(world: &World) {
    place_of_journal(world);
    world.host.admin(
        "mount -t tmpfs log /run/log 2>/dev/null || { mkdir -p /run/log; mount -t tmpfs log /run/log; }
        mkdir -p /var/log; mount -t tmpfs log /var/log
        mkdir /tmp/etc; mount -t tmpfs etc /tmp/etc
        printf '[Journal]\\nStorage=volatile\\nAudit=no\\nReadKMsg=no\\nRateLimitIntervalSec=0\\n' >/tmp/etc/journald.conf
        mount --bind /tmp/etc /etc/systemd
        setsid /usr/lib/systemd/systemd-journald </dev/null >/dev/null 2>&1 &",
    );
    wait_for("the journal", || {
        world.host.path("/run/systemd/journal/io.systemd.journal").exists().then_some(())
    });
    wait_for("the journal", || world.host.path(JOURNAL).exists().then_some(()));
}

#[test]
fn logs_out_of_the_journal() {
    let world = World::root();
    real_journal(&world);
    let driver = ["--log-driver", "journald"];
    let run =
        |options: &[&str], script: &str| world.host.run(arguments(&[&driver, options].concat(), script));
    run(
        &["--name", "said", "--log-opt", "labels=tier", "--label", "tier=a b"],
        "echo one; printf 'b\\377d\\n'; head -c 20000 /dev/zero | tr '\\0' x; echo; echo end",
    )
    .ok();
    let logs = |options: &[&str]| world.host.run([&["logs"], options, &["said"]].concat()).ok();
    let all = logs(&[]);
    assert_eq!(all.stdout, format!("one\nb\u{fffd}d\n{}\nend\n", "x".repeat(20_000)));
    run(&["--name", "errs"], "echo two >&2").ok();
    let errors = world.host.run(["logs", "errs"]).ok();
    assert_eq!((errors.stdout.as_str(), errors.stderr.as_str()), ("", "two\n"));
    logs(&["--tail", "1"]).prints("end");
    logs(&["--details", "--tail", "1"]).prints("TIER=a+b end");
    logs(&["--since", "1h", "-n", "1"]).prints("end");
    logs(&["--until", "1h"]).prints("");
    let timed = logs(&["-t", "-n", "1"]);
    assert!(timed.stdout.starts_with("20") && timed.stdout.ends_with("Z end\n"), "{timed}");
    logs(&["-f", "-n", "1"]).prints("end");
    // It is followed to its end.
    run(&["-d", "--name", "goes"], "echo first; while test ! -e /tmp/go; do usleep 10000; done; seq 500")
        .ok();
    let followed = world.host.spawn(["logs", "-f", "goes"]);
    wait_for("the first line", || {
        world.host.run(["logs", "goes"]).ok().stdout.contains("first").then_some(())
    });
    world.host.run(["exec", "goes", "touch", "/tmp/go"]).ok();
    let expected: String =
        std::iter::once("first\n".to_owned()).chain((1..=500).map(|n| format!("{n}\n"))).collect();
    assert_eq!(followed.wait().ok().stdout, expected);
    assert_eq!(world.host.run(["logs", "goes"]).ok().stdout, expected);
    world
        .host
        .sh("PATH=/nowhere $C logs goes")
        .refuses(FAILED, &["goes", "journald", "journalctl is not here"]);
    world.host.run(["rm", "said", "goes", "errs"]).ok();
}

#[test]
fn a_syslog_server_gets_every_line() {
    let world = World::root();
    let run = |options: &[&str], script: &str| {
        let driver = ["--rm", "--hostname", "h", "--name", "web", "--log-driver", "syslog"];
        world.host.run(arguments(&[&driver, options].concat(), script))
    };
    run(&["--log-opt", "syslog-address=unix:///tmp/log"], "echo x")
        .refuses(125, &["syslog", "no server at unix:///tmp/log", "ENOENT"]);
    run(&["--log-opt", "syslog-address=tcp://127.0.0.1:1"], "echo x")
        .refuses(125, &["syslog", "tcp://127.0.0.1:1", "ECONNREFUSED"]);
    run(&["--log-opt", "syslog-address=udp://no.such.host.invalid"], "echo x")
        .refuses(125, &["syslog", "no.such.host.invalid"]);
    // The server of this host: without a time, which it knows.
    let server = Datagrams::listen(&world.host.path("/tmp").join("log"));
    run(
        &["--log-opt", "syslog-address=unix:///tmp/log", "--log-opt", "tag={{.Name}}"],
        "echo out; echo err >&2",
    )
    .ok();
    let lines = wait_for("two lines", || {
        let all: Vec<String> =
            server.all().iter().map(|got| String::from_utf8_lossy(&got.bytes).into_owned()).collect();
        (all.len() == 2).then_some(all)
    });
    let has = |lines: &[String], start: &str, end: &str| {
        assert!(
            lines.iter().any(|line| line.starts_with(start) && line.ends_with(end)),
            "{start}...{end} in {lines:?}"
        );
    };
    has(&lines, "<30>web[", "]: out");
    has(&lines, "<27>web[", "]: err");
    // Servers on the network of this host, by RFC 5424.
    let (udp, tcp) = inside(&world.host, || {
        let udp = UdpSocket::bind("127.0.0.1:5140").expect("bind");
        (udp, TcpListener::bind("127.0.0.1:5141").expect("bind"))
    });
    udp.set_read_timeout(Some(LIMIT)).expect("a limit");
    let remote = |address: &'static str, more: &'static str| {
        ["--log-opt", address, "--log-opt", "tag={{.Name}}", "--log-opt", more]
    };
    run(&remote("syslog-address=udp://127.0.0.1:5140", "syslog-facility=local7"), "echo out").ok();
    let mut buffer = [0; 65536];
    let count = udp.recv(&mut buffer).expect("a datagram");
    let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
    assert!(line.starts_with("<190>1 20") && line.ends_with(" web - out") && line.contains("Z "), "{line}");
    // All of it is there when the container has ended, however late it is read.
    run(&remote("syslog-address=tcp://127.0.0.1:5141", "syslog-format=rfc5424micro"), "seq 2000").ok();
    let (mut stream, _) = tcp.accept().expect("a connection");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read");
    let numbers: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("<30>1 20")?.rsplit(' ').next()).collect();
    assert_eq!(numbers, (1..=2000).map(|number| number.to_string()).collect::<Vec<_>>());
    world
        .host
        .run(arguments(
            &["--name", "kept", "--log-driver", "syslog", "--log-opt", "syslog-address=unix:///tmp/log"],
            "echo x",
        ))
        .ok();
    world.host.run(["logs", "kept"]).refuses(FAILED, &["kept", "syslog server"]);
    world.host.run(["rm", "kept"]).ok();
}

#[test]
fn descriptors_are_passed_through() {
    fn check(world: &World) {
        let run = |options: &[&str], script: &str| {
            let mut command =
                world.host.command(arguments(&[&["--log-driver", "passthrough"], options].concat(), script));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        // The very descriptors: a file of the host's that is redirected to.
        let script = format!(
            "echo in >/tmp/in; $C run --rm --net none --log-driver passthrough {BUSYBOX} sh -c 'read line; echo got $line; echo err >&2; readlink /proc/self/fd/1 >&2' </tmp/in >/tmp/out 2>/tmp/err; cat /tmp/out /tmp/err"
        );
        let shown = world.host.sh(&script).ok();
        assert!(shown.stdout.starts_with("got in\nerr\n/"), "{shown}");
        let mut child = run(&["--rm"], "cat; exit 3").spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(b"typed\n").expect("write");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"typed\n"[..], Some(3)));
        // On its own it has them still; who started it is gone.
        let mut command = run(&["-d", "--name", "own"], "read line; echo $line; exec sleep 1000");
        let mut child = command.spawn().expect("the program starts");
        let (mut input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).expect("its id");
        assert_eq!(line.trim().len(), 64);
        assert!(child.wait().expect("it ends").success());
        input.write_all(b"later\n").expect("write");
        line.clear();
        output.read_line(&mut line).expect("a line");
        assert_eq!(line, "later\n");
        world.host.run(["logs", "own"]).refuses(FAILED, &["own", "passthrough"]);
        world.host.run(["attach", "own"]).refuses(FAILED, &["own", "passthrough"]);
        world.host.run(["rm", "-f", "own"]).ok();
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("nobody has it any more");
        assert!(rest.is_empty());
        // Made now and started later: those of the start.
        world
            .host
            .run([
                "create",
                "--net",
                "none",
                "--name",
                "later",
                "--log-driver",
                "passthrough",
                BUSYBOX,
                "echo",
                "x",
            ])
            .ok();
        world.host.run(["start", "-a", "later"]).ok().prints("x");
        let both = world.host.run(["start", "later"]).ok().stdout;
        assert!(both.contains("later\n") && both.contains("x\n"), "its name and its line: {both}");
        world.host.run(["rm", "later"]).ok();
        let before = Snapshot::take(&world.host);
        world
            .host
            .run(arguments(&["-t", "--log-driver", "passthrough"], "true"))
            .refuses(125, &["--tty", "passthrough"]);
        world
            .host
            .sh(&format!("$C run --log-driver passthrough {BUSYBOX} true </"))
            .refuses(125, &["standard input", "directory"]);
        let pty = Pty::new(24, 80);
        let client = pty.start(&world.host.command(arguments(&["--log-driver", "passthrough"], "true")));
        assert_eq!(client.wait(), 125);
        pty.shows("standard input is a terminal");
        before.assert_same(&world.host, "passthrough that is refused");
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn files_of_ours() {
    let world = World::root();
    let options = ["--log-driver", "local", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"];
    world.host.run(arguments(&[&["--name", "much"], &options[..]].concat(), "seq 100000 101999")).ok();
    let log = world.host.run(["logs", "much"]).ok();
    assert!(log.stdout.ends_with("101999\n") && log.stdout.lines().count() < 1000, "rotated");
    let options = [
        "--name",
        "details",
        "--log-opt",
        "tag={{.Name}}/{{.ID}}",
        "--log-opt",
        "labels=b,a",
        "--label",
        "a=x=\"y\"",
        "--label",
        "b=1",
        "--log-opt",
        "env=E",
        "-e",
        "E=e",
    ];
    world.host.run(arguments(&options, "echo one; echo two")).ok();
    let id = world.host.run(["inspect", "-f", "{{.Id}}", "details"]).ok().line()[..12].to_owned();
    let expected = |line: &str| format!("E=e,a=x%3D%22y%22,b=1,tag=details%2F{id} {line}");
    world.host.run(["logs", "--details", "details"]).ok().prints(&format!(
        "{}\n{}",
        expected("one"),
        expected("two")
    ));
    world.host.run(["logs", "details"]).ok().prints("one\ntwo");
    let of = |name: &str| {
        world
            .host
            .run([
                "inspect",
                "-f",
                "{{.HostConfig.LogConfig.Type}} {{json .HostConfig.LogConfig.Config}} {{.LogPath}}",
                name,
            ])
            .ok()
    };
    assert!(
        of("much")
            .stdout
            .starts_with("local {\"max-file\":\"2\",\"max-size\":\"20k\"} /tmp/data/containers/")
    );
    world.host.run(["rm", "much", "details"]).ok();
    world.host.run(arguments(&["--name", "plain"], "echo x")).ok();
    assert!(of("plain").stdout.starts_with("json-file {} /tmp/data/"));
    world.host.run(["logs", "--details", "plain"]).ok().prints(" x");
    world.host.run(["rm", "plain"]).ok();
}
