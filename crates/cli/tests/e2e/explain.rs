//! What a start is made of, told while it happens; and what a shell and man(1) are told of the commands.

use crate::world::{BUSYBOX, World};

#[test]
fn each_step_of_a_start() {
    fn check(world: &World) {
        let run = world
            .host
            .run([
                "run",
                "--rm",
                "--net",
                "none",
                "--explain",
                "--trace",
                "/tmp/data/trace",
                BUSYBOX,
                "echo",
                "out",
            ])
            .ok();
        let run = run.prints("out");
        // In their order: each line has the time, who did it, what it is and the calls.
        let mut rest = run.stderr.as_str();
        for word in [
            "clone3(2)",
            "fsopen(2)",
            "move_mount(2)",
            "pivot_root(2)",
            "sethostname(2)",
            "seccomp(2)",
            "execve(2)",
        ] {
            // The one that clones may be told after what its child does.
            let from = if word == "clone3(2)" || word == "fsopen(2)" { run.stderr.as_str() } else { rest };
            let at = from.find(word).unwrap_or_else(|| panic!("{word} after what comes before it: {run}"));
            rest = &from[at..];
        }
        for line in run.stderr.lines() {
            let mut words = line.split_whitespace();
            assert!(words.next().is_some_and(|time| time.parse::<f64>().is_ok()), "{line}");
            assert_eq!(words.next(), Some("ms"), "{line}");
            assert!(
                words.next().is_some_and(|who| ["command", "supervisor", "init"].contains(&who)),
                "{line}"
            );
        }
        let trace: serde_json::Value =
            serde_json::from_str(&world.host.admin("cat /tmp/data/trace").stdout).expect("JSON");
        let events = trace.as_array().expect("an array");
        let steps = events.iter().filter(|event| event["ph"] == "X");
        assert_eq!(steps.count(), run.stderr.lines().count());
        assert!(
            events.iter().all(|event| event["ph"] == "M" || (event["ts"].is_u64() && event["dur"].is_u64())),
            "{trace}"
        );
        let picture = world.host.admin("cat /tmp/data/trace.svg").stdout;
        assert!(
            picture.starts_with("<svg ")
                && picture.ends_with("</svg>\n")
                && picture.contains("pivot_root(2)"),
            "{picture}"
        );
        let silent = world.host.run(["run", "--rm", "--net", "none", BUSYBOX, "ls", "/proc/self/fd"]).ok();
        assert_eq!((silent.stdout.lines().count(), silent.stderr.as_str()), (4, ""));
        let told = world
            .host
            .run(["run", "--rm", "--net", "none", "--explain", BUSYBOX, "ls", "/proc/self/fd"])
            .ok();
        assert_eq!(told.stdout.lines().count(), 4, "who is told is no descriptor of the container");
        world
            .host
            .run(["run", "--rm", "--trace", "/no/such/file", BUSYBOX, "true"])
            .refuses(125, &["--trace /no/such/file"]);
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn a_shell_completes_commands_options_and_names() {
    let world = World::root();
    world.host.run(["create", "--name", "a-container", BUSYBOX, "true"]).ok();
    world.host.run(["volume", "create", "a-volume"]).ok();
    world.host.run(["network", "create", "a-network"]).ok();
    let check = |line: &str, expected: &[&str], other: &[&str]| {
        let words: Vec<&str> = line.split(' ').collect();
        let (count, last) = (words.len() - 1, words[words.len() - 1]);
        // As bash calls it: the words, the index of the last one, and that word.
        let script = format!(
            "source <($C completion bash); PATH=$(dirname $C):$PATH; COMP_WORDS=({}); COMP_CWORD={count}; COMP_TYPE=9; \
             _clap_complete_devoxx_container devoxx-container '{last}' '' 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
        );
        let offered = world.host.sh(&format!("exec bash -c '{}'", script.replace('\'', "'\\''"))).ok();
        let offered: Vec<&str> = offered.stdout.lines().map(str::trim).collect();
        for word in expected {
            assert!(offered.contains(word), "{line:?}: {word} in {offered:?}");
        }
        for word in other {
            assert!(!offered.contains(word), "{line:?}: {word} in {offered:?}");
        }
    };
    check("devoxx-container ru", &["run"], &["rm"]);
    check("devoxx-container run --memory-", &["--memory-swap", "--memory-reservation"], &["--rm"]);
    check("devoxx-container rm ", &["a-container"], &[]);
    check("devoxx-container exec ", &["a-container"], &[]);
    check("devoxx-container rmi ", &[BUSYBOX], &["a-container"]);
    check("devoxx-container run --pull ", &["always", "never", "missing"], &[]);
    // In groups too, each thing where it belongs.
    let (container, image, volume, network) = ("a-container", BUSYBOX, "a-volume", "a-network");
    for verb in
        ["stop", "start", "rm", "logs", "exec", "inspect", "rename", "kill", "top", "attach", "port", "diff"]
    {
        check(&format!("devoxx-container container {verb} "), &[container], &[image, volume, network]);
    }
    check("devoxx-container container stop a-container a-", &[container], &[volume]);
    for verb in ["rm", "inspect", "tag", "push", "save", "history", "mount"] {
        check(&format!("devoxx-container image {verb} "), &[image], &[container, volume, network]);
    }
    for verb in ["rm", "inspect"] {
        check(&format!("devoxx-container volume {verb} "), &[volume], &[container, image, network]);
        check(
            &format!("devoxx-container network {verb} "),
            &[network, "bridge"],
            &[container, image, volume],
        );
    }
    for verb in ["connect", "disconnect"] {
        check(&format!("devoxx-container network {verb} "), &[network, "bridge"], &[container]);
        check(&format!("devoxx-container network {verb} a-network "), &[container], &[network, volume]);
    }
    check("devoxx-container network connect --ip 10.0.0.1 a-network a-", &[container], &[network]);
    check("devoxx-container inspect ", &[container, image, volume, network], &[]);
    check("devoxx-container volume ", &["create", "ls", "rm", "prune", "inspect"], &[]);
    check("devoxx-container run --network ", &[network, "host", "none"], &[container]);
    check("devoxx-container run --volumes-from ", &[container], &[volume]);
    check("devoxx-container run --log-driver ", &["journald", "passthrough"], &[container]);
    check("devoxx-container run --rm ", &[image], &[container]);
    check("devoxx-container cp a", &["a-container:/"], &[]);
    for shell in ["zsh", "fish"] {
        let script = world.host.run(["completion", shell]).ok();
        assert!(script.stdout.contains("COMPLETE") && script.stdout.contains("devoxx-container"), "{script}");
    }
    world.host.run(["completion", "tcsh"]).refuses(125, &["tcsh"]);
    world.host.run(["rm", "a-container"]).ok();
    world.host.run(["volume", "rm", "a-volume"]).ok();
    world.host.run(["network", "rm", "a-network"]).ok();
}

#[test]
fn man_pages() {
    let world = World::root();
    world.host.admin("mkdir /tmp/man");
    world.host.run(["man", "/tmp/man"]).ok();
    world.host.admin("grep -q '\\-\\-memory' /tmp/man/devoxx-container-run.1 || grep -q 'memory' /tmp/man/devoxx-container-run.1");
    let rendered = world
        .host
        .admin("test ! -x /usr/bin/man || MANWIDTH=100 man -l /tmp/man/devoxx-container-run.1 | head -n 12");
    assert!(rendered.stdout.is_empty() || rendered.stdout.contains("devoxx-container-run"), "{rendered}");
    world.host.run(["man", "/no/such/place"]).refuses(125, &["/no/such/place"]);
}
