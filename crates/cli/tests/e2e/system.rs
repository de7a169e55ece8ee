//! All there is: what takes the disk, what can go, whether it is whole.

use crate::world::{BUSYBOX, FAILED, World, program};
use testkit::{Host, Snapshot};

fn worlds() -> [World; 2] {
    [Host::root(&program()), Host::rootless(&program())].map(|host| {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        // The files of the network are made with the first container, and stay.
        world.host.run(["create", "--name", "first", BUSYBOX]).ok();
        world.host.run(["rm", "first"]).ok();
        world
    })
}

/// A size as it is shown, in bytes.
fn bytes(text: &str) -> f64 {
    let end = text.find(|letter: char| letter.is_ascii_alphabetic()).expect("a unit");
    let factor = match &text[end..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        unit => panic!("{unit}"),
    };
    text[..end].parse::<f64>().expect("a number") * factor
}

#[test]
fn what_takes_the_disk() {
    for world in worlds() {
        world
            .host
            .run([
                "run",
                "--name",
                "one",
                "--net",
                "none",
                "-v",
                "data:/d",
                BUSYBOX,
                "sh",
                "-c",
                "head -c 3000000 /dev/zero >/d/f; head -c 2000000 /dev/zero >/f; ln /f /g",
            ])
            .ok();
        let table = world.host.run(["system", "df"]).ok();
        let row = |kind: &str| -> Vec<String> {
            let line = table.stdout.lines().find_map(|line| line.strip_prefix(kind)).expect(kind);
            line.split_whitespace().map(str::to_owned).collect()
        };
        for (kind, directory) in [
            ("Images", "image"),
            ("Containers", "containers/????*[0-9a-f]"),
            ("Local Volumes", "volumes/data/_data"),
        ] {
            let du =
                world.host.admin(&format!("du -s -B1 --total /tmp/data/{directory} | tail -n1 | cut -f1"));
            let du: f64 = du.line().parse().expect("a number");
            let ours = bytes(&row(kind)[2]);
            assert!((du - ours).abs() <= du * 0.05 + 100.0, "{kind}: du says {du}, df {ours}\n{table}");
        }
        assert_eq!(&row("Images")[..2], ["1", "1"]);
        assert_eq!(&row("Containers")[..2], ["1", "0"]);
        assert_eq!(&row("Local Volumes")[..2], ["1", "1"]);
        let one_by_one = world.host.run(["system", "df", "-v"]).ok();
        for name in ["data", "one", "busybox"] {
            assert!(one_by_one.stdout.lines().any(|line| line.contains(name)), "{name} in {one_by_one}");
        }
    }
}

#[test]
fn what_nothing_needs_goes() {
    for world in worlds() {
        world.host.run(["image", "prune", "-f"]).ok().prints("Total reclaimed space: 0B");
        world.host.run(["system", "prune", "-f"]).ok().prints("Total reclaimed space: 0B");
        let before = Snapshot::take(&world.host);
        let run = |words: &[&str], script: &str| {
            world.host.run([&["run", "--net", "none"], words, &[BUSYBOX, "sh", "-c", script]].concat()).ok();
        };
        let containers = |expected: &str| {
            let table = world.host.run(["ps", "-a"]).ok().stdout;
            for name in ["ended", "labelled", "up"] {
                let there = table.lines().any(|line| line.split_whitespace().any(|word| word == name));
                assert_eq!(there, expected.contains(name), "{name} in {table}");
            }
        };
        run(&["--name", "ended", "-v", "/anonymous", "-v", "named:/named"], "true");
        run(&["--name", "labelled", "--label", "keep=1"], "true");
        run(&["-d", "--name", "up"], "exec sleep 1000");
        world
            .host
            .run(["container", "prune", "-f", "--filter", "until=24h"])
            .ok()
            .prints("Total reclaimed space: 0B");
        containers("ended labelled up");
        world.host.sh("echo | $C container prune").code(FAILED);
        containers("ended labelled up");
        let pruned = world.host.run(["container", "prune", "-f", "--filter", "label!=keep"]).ok();
        assert!(pruned.stdout.starts_with("Deleted Containers:\n"), "{pruned}");
        containers("labelled up");
        world.host.run(["container", "prune", "-f", "--filter", "label=keep=1"]).ok();
        containers("up");
        // Images: without a name, then all that no container has.
        world.host.run(["pull", "127.0.0.1:5000/team/plain:1"]).ok();
        world.host.run(["pull", "127.0.0.1:5000/team/zstd:1"]).ok();
        world.host.run(["tag", "127.0.0.1:5000/team/zstd:1", "127.0.0.1:5000/team/plain:1"]).ok();
        let images = || world.host.run(["images", "-q"]).ok().stdout.lines().count();
        let all = images();
        world.host.run(["image", "prune", "--force", "--filter", "label=none"]).ok();
        assert_eq!(images(), all);
        world.host.run(["image", "prune", "--force"]).ok();
        let named = images();
        assert!(named <= all, "{named} of {all}");
        let pruned = world.host.run(["system", "prune", "--all", "--volumes", "--force"]).ok();
        assert!(
            pruned.stdout.contains("Deleted Volumes:") && pruned.stdout.contains("Deleted Images:"),
            "{pruned}"
        );
        assert_eq!(images(), 1, "that of the container which runs");
        containers("up");
        world.host.run(["exec", "up", "echo", "runs"]).ok().prints("runs");
        world.host.run(["volume", "rm", "named"]).ok();
        world.host.run(["rm", "-f", "up"]).ok();
        before.assert_same(&world.host, "prunes");
        world.host.run(["system", "prune", "-a", "-f"]).ok();
        world.host.admin("find /tmp/data/image -mindepth 2 -type f; ls /tmp/data/image/layers").prints("");
    }
}

#[test]
fn whether_the_store_is_whole() {
    let world = World::root();
    let check = |damage: &str, deep: bool, words: &[&str]| {
        world.host.run(["system", "check", "--deep"]).ok().prints("");
        world.host.admin(&format!("cd /tmp/data/image && {damage}"));
        let words_of = if deep { vec!["system", "check", "--deep"] } else { vec!["system", "check"] };
        let found = world.host.run(words_of);
        assert_eq!(found.code, FAILED, "{damage}: {found}");
        for word in [&["127.0.0.1:5000/busybox:latest: "], words].concat() {
            assert!(found.stdout.contains(word), "{damage}: {word} in {found}");
        }
        assert_eq!(found.stderr.lines().count(), 1, "{found}");
        world.host.run(["system", "prune", "-a", "-f"]);
        world.host.admin("rm -rf /tmp/data/image");
        world.host.run(["pull", BUSYBOX]).ok();
    };
    check("rm -r layers/*/diff", false, &["layer sha256:", "is missing"]);
    check("rm layers/*/split", false, &["cannot be saved"]);
    check("for f in blobs/sha256/*; do echo x >>$f; done", false, &["manifest", "configuration", "digest"]);
    check("rm blobs/sha256/*", false, &["manifest", "is missing"]);
    check(
        "printf y | dd status=none conv=notrunc bs=1 seek=99 of=$(find layers -type f -path '*/diff/*' -size +2 | head -n1)",
        true,
        &["has been changed"],
    );
}

#[test]
fn mistakes() {
    let world = World::root();
    let refuses = |words: &[&str], said: &[&str]| drop(world.host.run(words).refuses(FAILED, said));
    refuses(&["system", "prune", "-f", "--filter", "what=1"], &["the keys are"]);
    refuses(&["system", "prune", "-f", "--filter", "until=never"], &["until=never"]);
    refuses(&["system", "prune", "-f", "--volumes", "--filter", "until=1h"], &["contradict"]);
    refuses(&["container", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h"], &["until"]);
    refuses(&["image", "prune", "-f", "--filter", "label"], &["KEY=VALUE"]);
    refuses(&["system", "frobnicate"], &["frobnicate"]);
    refuses(&["system", "df", "x"], &["x"]);
    refuses(&["system", "check", "--what"], &["--what"]);
}
