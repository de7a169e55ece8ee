//! Bad input: one line that names it, docker's code, and a host as it was before.

use crate::world::{BUSYBOX, FAILED, World, program};
use std::fs;
use testkit::{Host, Outcome, Registry, Snapshot};

/// Hosts that have run a container already, so that what is made once for all of them is there.
fn used() -> [World; 2] {
    let both = World::both();
    for world in &both {
        world.sh(&["-p", "8080:80", "-m", "64m"], "true").ok();
        world.host.run(["network", "create", "first"]).ok();
        world.host.run(["network", "rm", "first"]).ok();
    }
    both
}

#[test]
fn arguments() {
    for world in used() {
        arguments_of(&world);
    }
}

fn arguments_of(world: &World) {
    let before = Snapshot::take(&world.host);
    let check = |family: &str, args: &[&str], code: i32, words: &[&str]| {
        world.host.run(args).refuses(code, words);
        before.assert_same(&world.host, &format!("{family}: {args:?}"));
    };
    check("CL5", &["run", "--no-such-option", BUSYBOX], 125, &["--no-such-option"]);
    check("CL5", &["run"], 125, &["image"]);
    check("CL5", &["no-such-command"], 125, &["no-such-command"]);
    check("M17", &["run", "UPPER/Case"], 125, &["UPPER/Case"]);
    check("M17", &["run", "a b"], 125, &["a b"]);
    check("M17", &["run", ""], 125, &["reference"]);
    check("M17", &["run", "x:"], 125, &["x:"]);
    check("M17", &["run", "x@sha256:1234"], 125, &["sha256:1234"]);
    check("M17", &["run", "127.0.0.1:99999/x"], 125, &["99999"]);
    check("C20", &["run", "--rm", BUSYBOX, "no-such-program"], 127, &["no-such-program"]);
    check("C20", &["run", "--rm", BUSYBOX, "/etc/passwd"], 126, &["/etc/passwd"]);
    check("C18", &["run", "--rm", "--rootfs", "/no/such/dir", "true"], 125, &["/no/such/dir"]);
    check("C18", &["run", "--rm", "--rootfs", "/etc/passwd", "true"], 125, &["/etc/passwd"]);
    check(
        "C23",
        &["run", "--rm", "--mount", "type=bind,src=/no/such,dst=/x", BUSYBOX, "true"],
        125,
        &["/no/such"],
    );
    check("C23", &["run", "--rm", "--mount", "type=odd,dst=/x", BUSYBOX, "true"], 125, &["odd"]);
    check(
        "C23",
        &["run", "--rm", "-v", "/tmp", "-v", "relative/path:/x", BUSYBOX, "true"],
        125,
        &["relative/path"],
    );
    check("C23", &["run", "--rm", "-v", "/tmp:/x:odd", BUSYBOX, "true"], 125, &["odd"]);
    check("C23", &["run", "--rm", "-v", "/tmp:/", BUSYBOX, "true"], 125, &["/"]);
    check("C34", &["run", "--rm", "-m", "1k", BUSYBOX, "true"], 125, &["memory"]);
    check("C34", &["run", "--rm", "-m", "lots", BUSYBOX, "true"], 125, &["lots"]);
    check("C34", &["run", "--rm", "--cpus", "-1", BUSYBOX, "true"], 125, &["cpus"]);
    check("C34", &["run", "--rm", "--cpus", "100000", BUSYBOX, "true"], 125, &["cpus"]);
    if !world.host.is_rootless() || world.has_cgroup2("cpuset") {
        // Elsewhere a warning says that no limit holds.
        check("C34", &["run", "--rm", "--cpuset-cpus", "9999", BUSYBOX, "true"], 125, &["9999"]);
    }
    check("CL5", &["run", "--rm", "-p", "nothing", BUSYBOX, "true"], 125, &["nothing"]);
    check("CL5", &["run", "--rm", "-p", "5000:80", BUSYBOX, "true"], 125, &["5000"]);
    check("CL5", &["run", "--rm", "--net", "no-such-net", BUSYBOX, "true"], 125, &["no-such-net"]);
    check("CL1", &["run", "--rm", "--name", "-bad", BUSYBOX, "true"], 125, &["-bad"]);
    check("CL1", &["run", "--rm", "--name", "a/b", BUSYBOX, "true"], 125, &["a/b"]);
    check("CL5", &["run", "--rm", "--env-file", "/no/such/file", BUSYBOX, "true"], 125, &["/no/such/file"]);
    check("C26", &["run", "--rm", "--device", "/no/such/device", BUSYBOX, "true"], 125, &["/no/such/device"]);
    check("CL5", &["run", "--rm", "--add-host", "bad", BUSYBOX, "true"], 125, &["bad"]);
    check("C35", &["run", "--rm", "--hostname", &"h".repeat(65), BUSYBOX, "true"], 125, &["hostname"]);
}

#[test]
fn a_name_that_is_taken() {
    for world in used() {
        a_name_that_is_taken_of(&world);
    }
}

fn a_name_that_is_taken_of(world: &World) {
    world.host.run(["run", "--name", "taken", BUSYBOX, "true"]).ok();
    let before = Snapshot::take(&world.host);
    world.run(&["--name", "taken"], &["true"]).refuses(125, &["taken"]);
    before.assert_same(&world.host, "a name that is taken");
}

#[test]
fn registries() {
    for world in used() {
        registries_of(&world);
    }
}

fn registries_of(world: &World) {
    let closed = Registry::settings(&world.host).port(5001).login().start();
    let before = Snapshot::take(&world.host);
    let check = |family: &str, image: &str, words: &[&str]| {
        let began = std::time::Instant::now();
        world.host.run(["run", "--rm", "--quiet", image, "true"]).refuses(125, words);
        world.host.run(["pull", image]).refuses(FAILED, words);
        assert!(began.elapsed().as_secs() < 30, "{family}, {image}: it must not hang");
        before.assert_same(&world.host, image);
    };
    check("M15", "127.0.0.1:5000/no-such-image", &["no-such-image"]);
    check("M15", "127.0.0.1:5000/busybox:no-such-tag", &["no-such-tag"]);
    check("M15", &format!("127.0.0.1:5000/busybox@sha256:{}", "0".repeat(64)), &["000000"]);
    check("M15", "127.0.0.1:1/x", &["127.0.0.1:1", "refused"]);
    check("M15", "no-such-registry.invalid/x", &["no-such-registry.invalid"]);
    // Root's host has loopback alone, that of a user a link that leads nowhere: an address elsewhere is out of reach.
    check(
        "M15",
        "192.0.2.1:5000/x",
        &["192.0.2.1", if world.host.is_rootless() { "no route" } else { "unreachable" }],
    );
    check("M15", &closed.image("busybox"), &["5001"]);
    let other = ["run", "--rm", "--quiet", "127.0.0.1:5000/team/arm64:1", "true"];
    world.host.run(other).refuses(125, &["linux/arm64", "--platform"]);
}

#[test]
fn wrong_credentials() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        wrong_credentials_of(&host);
    }
}

fn wrong_credentials_of(host: &Host) {
    let registry = Registry::settings(host).login().start();
    let before = Snapshot::take(host);
    let outcome = host.sh(&format!("echo wrong | $C login -u tester --password-stdin {}", registry.address));
    outcome.refuses(FAILED, &["127.0.0.1:5000"]);
    before.assert_same(host, "a wrong password");
}

/// Pulls an image whose storage was changed by `break_it`; nothing of it may stay.
fn check_broken(family: &str, what: &str, words: &[&str], break_it: impl Fn(&Registry)) {
    for world in used() {
        let registry = Registry::settings(&world.host).port(5002).copy().start();
        break_it(&registry);
        let image = registry.image("team/zstd:1");
        let before = Snapshot::take(&world.host);
        world.host.run(["pull", &image]).refuses(FAILED, words);
        before.assert_same(&world.host, &format!("{family}: {what}"));
        world.host.run(["run", "--rm", &image, "true"]).refuses(125, words);
        before.assert_same(&world.host, what);
        assert!(
            !world.host.run(["images"]).ok().stdout.contains("team/zstd"),
            "{what}: not an image of the store"
        );
        world.run(&[], &["true"]).ok();
    }
}

#[test]
fn broken_blobs() {
    check_broken("M5", "a layer that was changed", &["team/zstd"], |registry| {
        let file = registry.layer("team/zstd", "1");
        let mut bytes = fs::read(&file).expect("layer");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).expect("layer");
    });
    check_broken("M15", "a layer cut short", &["team/zstd"], |registry| {
        let file = registry.layer("team/zstd", "1");
        let bytes = fs::read(&file).expect("layer");
        fs::write(&file, &bytes[..bytes.len() / 2]).expect("layer");
    });
    check_broken("M15", "a layer that is gone", &["404"], |registry| {
        fs::remove_file(registry.layer("team/zstd", "1")).expect("layer");
    });
    check_broken("M5", "a layer that is longer", &["team/zstd"], |registry| {
        let file = registry.layer("team/zstd", "1");
        let mut bytes = fs::read(&file).expect("layer");
        bytes.extend([0; 4096]);
        fs::write(&file, bytes).expect("layer");
    });
    check_broken("M7", "a configuration that is no JSON", &["digest"], |registry| {
        let manifest = registry.manifest(&registry.digest("team/zstd", "1"));
        let config = manifest["config"]["digest"].as_str().expect("config");
        let file = registry.blob(config);
        let length = fs::metadata(&file).expect("config").len();
        fs::write(&file, "x".repeat(usize::try_from(length).expect("small"))).expect("config");
    });
}

#[test]
fn layers_that_try_to_leave_the_root() {
    for world in used() {
        layers_that_try_to_leave_the_root_of(&world);
    }
}

fn layers_that_try_to_leave_the_root_of(world: &World) {
    let before = Snapshot::take(&world.host);
    let escaped = |outcome: &Outcome| {
        let found =
            world.host.admin("find / -xdev -name devoxx-escaped; find /tmp -name devoxx-escaped").stdout;
        // Inside the image's own tree is where such a name may be: relative to the root that it was unpacked in.
        assert!(found.lines().all(|path| path.starts_with("/tmp/data/")), "{outcome}\nwrote {found}");
    };
    let check = |family: &str, image: &str, words: &[&str]| {
        let outcome = world.host.run(["run", "--rm", &world.registry.image(image), "true"]);
        escaped(&outcome);
        outcome.refuses(125, words);
        before.assert_same(&world.host, &format!("{family}: {image}"));
    };
    check("T1", "team/evil-dotdot:1", &["devoxx-escaped"]);
    check("T6", "team/evil-hardlink:1", &["hard"]);
    check("T20", "team/evil-noise:1", &["evil-noise"]);
    // A link and then a path through it: refused, or kept inside (then the image has no program to run).
    let outcome = world.host.run(["pull", &world.registry.image("team/evil-symlink:1")]);
    escaped(&outcome);
}

#[test]
fn a_full_disk() {
    for world in [Host::root(&program()), Host::rootless(&program())].map(World::of) {
        a_full_disk_of(&world);
    }
}

fn a_full_disk_of(world: &World) {
    world.host.admin("mkdir /tmp/small; mount -t tmpfs -o size=8m,mode=700 small /tmp/small");
    world.host.admin(&format!("chown {0}:{0} /tmp/small", world.host.user()));
    let run =
        |args: &[&str]| testkit::outcome::run(world.host.command(args).env("DEVOXX_ROOT", "/tmp/small"));
    run(&["run", "--rm", BUSYBOX, "true"]).ok();
    let files = "find /tmp/small -xdev -not -path '*/layers/*' -not -path '*/locks/*' | sort";
    let before = world.host.admin(files).stdout;
    let image = world.registry.image("debian:12");
    run(&["pull", "--quiet", &image]).refuses(FAILED, &["no space left"]);
    assert_eq!(world.host.admin(files).stdout, before, "left on a full disk");
    run(&["run", "--rm", BUSYBOX, "echo", "works"]).ok().prints("works");
}

/// Every verb that takes a container, with none, with one that is not there, with an id that two have, with a name that is none;
/// and with one that is in the wrong state for it.
#[test]
fn containers_that_do_not_fit() {
    for world in used() {
        containers_that_do_not_fit_of(&world);
    }
}

fn containers_that_do_not_fit_of(world: &World) {
    world.host.run(["create", "--name", "made", "--net", "none", BUSYBOX, "true"]).ok();
    world.host.run(["run", "-d", "--name", "up", "--net", "none", BUSYBOX, "sleep", "1000"]).ok();
    // Two ids with the same beginning: as many containers as hex digits, and one more.
    for _ in 0..17 {
        world.host.run(["create", "--net", "none", BUSYBOX, "true"]).ok();
    }
    let ids = world.host.run(["ps", "-aq", "--no-trunc"]).ok().stdout;
    let first = |id: &str| id.chars().next().expect("an id has digits");
    let twice = ids
        .lines()
        .map(first)
        .find(|digit| ids.lines().filter(|id| first(id) == *digit).count() > 1)
        .expect("17 ids, 16 digits")
        .to_string();
    let before = Snapshot::take(&world.host);
    let refuses = |words: &[&str], says: &[&str]| {
        let said = world.host.run(words).refuses(FAILED, says);
        assert_eq!(said.stderr.lines().count(), 1, "{said}");
    };
    // `_` is where the container goes.
    let verbs: &[&[&str]] = &[
        &["start", "_"],
        &["stop", "_"],
        &["restart", "_"],
        &["kill", "_"],
        &["wait", "_"],
        &["attach", "_"],
        &["exec", "_", "true"],
        &["logs", "_"],
        &["pause", "_"],
        &["unpause", "_"],
        &["rename", "_", "other"],
        &["update", "--restart", "no", "_"],
        &["port", "_"],
        &["cp", "_:/etc/passwd", "/tmp/home/copied"],
        &["cp", "/etc/hostname", "_:/etc/copied"],
        &["diff", "_"],
        &["export", "-o", "/tmp/home/exported", "_"],
        &["commit", "_", "new:image"],
        &["top", "_"],
        &["stats", "--no-stream", "_"],
        &["rm", "_"],
        &["inspect", "_"],
        &["container", "inspect", "_"],
        &["network", "connect", "bridge", "_"],
        &["network", "disconnect", "bridge", "_"],
        &["run", "--net", "container:_", BUSYBOX, "true"],
        &["run", "--volumes-from", "_", BUSYBOX, "true"],
        &["run", "--pid", "container:_", BUSYBOX, "true"],
    ];
    for verb in verbs {
        let with = |name: &str| -> Vec<String> { verb.iter().map(|word| word.replace('_', name)).collect() };
        let refuses_with = |name: &str, says: &[&str]| {
            let words = with(name);
            refuses(&words.iter().map(String::as_str).collect::<Vec<_>>(), says);
        };
        if verb.last() == Some(&"_") && verb[0] != "run" {
            let (_, without) = verb.split_last().expect("it has words");
            if verb[0] != "stats" {
                refuses(without, &["<", ">"]);
            }
        }
        refuses_with("nobody", &["nobody"]);
        refuses_with("a/../b", &["a/../b"]);
        refuses_with(&"x".repeat(300), &["xxx"]);
        refuses_with("caf\u{e9}\n", &["caf"]);
        refuses_with(&twice, &[&twice, "more than one"]);
        before.assert_same(&world.host, &format!("{verb:?}"));
    }
    for (words, says) in [
        (&["kill", "made"][..], "not running"),
        (&["attach", "made"], "not running"),
        (&["exec", "made", "true"], "not running"),
        (&["pause", "made"], "not running"),
        (&["unpause", "made"], "not paused"),
        (&["unpause", "up"], "not paused"),
        (&["top", "made"], "not running"),
        (&["rm", "up"], "is running"),
        (&["rename", "up", "made"], "already taken"),
        (&["rename", "up", "up"], "already"),
        (&["rename", "up", "-x"], "-x"),
        (&["rename", "up", "a b"], "a b"),
        (&["kill", "--signal", "LOUD", "up"], "LOUD"),
        (&["kill", "--signal", "0x9", "up"], "0x9"),
        (&["stop", "--time", "soon", "up"], "soon"),
        (&["update", "--memory", "lots", "up"], "lots"),
        (&["update", "--restart", "sometimes", "up"], "sometimes"),
        (&["update", "up"], "up"),
        (&["exec", "up"], "COMMAND"),
        (&["exec", "-w", "relative", "up", "true"], "relative"),
        (&["exec", "-e", "=x", "up", "true"], "=x"),
        (&["cp", "up:/nothing", "/tmp/home/x"], "/nothing"),
        (&["cp", "up:/etc", "made:/etc"], "between containers"),
        (&["cp", "/etc/hostname", "/tmp/home/x"], "container"),
        (&["logs", "--tail", "some", "up"], "some"),
        (&["commit", "up", "UPPER"], "UPPER"),
        (&["network", "connect", "bridge", "up"], "none"),
    ] {
        refuses(words, &[says]);
        before.assert_same(&world.host, &format!("{words:?}"));
    }
}

#[test]
fn volumes_that_do_not_fit() {
    for world in used() {
        volumes_that_do_not_fit_of(&world);
    }
}

fn volumes_that_do_not_fit_of(world: &World) {
    world.host.run(["volume", "create", "there"]).ok();
    world.host.run(["create", "--name", "made", "-v", "there:/d", BUSYBOX, "true"]).ok();
    let before = Snapshot::take(&world.host);
    for (words, says) in [
        (&["volume", "create", "a/b"][..], "a/b"),
        (&["volume", "create", "-x"], "-x"),
        (&["volume", "create", ""], "\"\""),
        (&["volume", "create", "."], "\".\""),
        (&["volume", "create", ".."], "\"..\""),
        (&["volume", "create", "caf\u{e9}"], "caf"),
        (&["volume", "create", "--driver", "cloud", "x"], "cloud"),
        (&["volume", "create", "--opt", "type=nfs", "x"], "type=nfs"),
        (&["volume", "inspect"], "<"),
        (&["volume", "inspect", "nothing"], "nothing"),
        (&["volume", "rm"], "<"),
        (&["volume", "rm", "nothing"], "nothing"),
        (&["volume", "rm", "../there"], "../there"),
        (&["volume", "rm", "there"], "in use by container made"),
        (&["run", "--rm", "-v", "a b:/d", BUSYBOX, "true"], "a b"),
        (&["run", "--rm", "-v", "there:relative", BUSYBOX, "true"], "relative"),
        (&["run", "--rm", "-v", ":/d", BUSYBOX, "true"], ":/d"),
        (&["run", "--rm", "--mount", "type=volume,src=there", BUSYBOX, "true"], "--mount"),
        (&["run", "--rm", "--mount", "type=volume,dst=/d,volume-subpath=../x", BUSYBOX, "true"], "../x"),
        (&["run", "--rm", "--tmpfs", "relative", BUSYBOX, "true"], "relative"),
        (&["run", "--rm", "--tmpfs", "/x:size=big", BUSYBOX, "true"], "big"),
    ] {
        let said = world.host.run(words).refuses(FAILED, &[says]);
        assert_eq!(said.stderr.lines().count(), 1, "{said}");
        before.assert_same(&world.host, &format!("{words:?}"));
    }
}

/// Every verb that takes an image, with none, with one that is not there, with an id that two have, with a name that is none.
#[test]
fn images_that_do_not_fit() {
    for world in used() {
        images_that_do_not_fit_of(&world);
    }
}

fn images_that_do_not_fit_of(world: &World) {
    world.host.run(["create", "--name", "made", "--net", "none", BUSYBOX, "true"]).ok();
    // Two ids with the same beginning: as many images as hex digits, and one more.
    world.host.sh(
        "cd /tmp/home; for n in $(seq 17); do echo $n >f; tar -cf root.tar f; $C import root.tar; done; rm f root.tar",
    )
    .ok();
    let ids = world.host.run(["images", "-q"]).ok().stdout;
    let twice = ids
        .lines()
        .map(|id| &id[..1])
        .find(|digit| ids.lines().filter(|id| id.starts_with(digit)).count() > 1)
        .expect("17 ids, 16 digits");
    let before = Snapshot::take(&world.host);
    let refuses = |words: &[&str], says: &[&str]| {
        let said = world.host.run(words).refuses(FAILED, says);
        assert_eq!(said.stderr.lines().count(), 1, "{words:?}: {said}");
        before.assert_same(&world.host, &format!("{words:?}"));
    };
    // `_` is where the image goes; what a registry may have is asked for there, so that nothing else is out of reach.
    let here: &[&[&str]] = &[
        &["rmi", "_"],
        &["rmi", "--platform", "linux/amd64", "_"],
        &["image", "rm", "_"],
        &["tag", "_", "other:1"],
        &["image", "tag", "_", "other:1"],
        &["history", "_"],
        &["image", "history", "-q", "_"],
        &["save", "-o", "/tmp/home/x.tar", "_"],
        &["image", "save", "-o", "/tmp/home/x.tar", "_"],
        &["inspect", "--type", "image", "_"],
        &["image", "inspect", "_"],
        &["image", "inspect", "--platform", "linux/amd64", "_"],
        &["image", "mount", "_"],
        &["image", "unmount", "_"],
        &["images", "--filter", "before=_"],
        &["images", "--filter", "since=_"],
        &["run", "--rm", "--pull", "never", "_", "true"],
        &["create", "--pull", "never", "_"],
    ];
    // Mounts of an ordinary user would be seen by nobody.
    let needs_root = |verb: &[&str]| verb.first() == Some(&"image") && verb.get(1) == Some(&"mount");
    for verb in here.iter().filter(|verb| !(world.host.is_rootless() && needs_root(verb))) {
        let with = |name: &str, says: &[&str]| {
            let words: Vec<String> = verb.iter().map(|word| word.replace('_', name)).collect();
            refuses(&words.iter().map(String::as_str).collect::<Vec<_>>(), says);
        };
        with("nothing:1", &["nothing:1"]);
        with("UPPER", &["UPPER"]);
        with("a/../b", &["a/../b"]);
        with("caf\u{e9}", &["caf"]);
        with("two words", &["two words"]);
        with(&"x".repeat(300), &["xxx"]);
        with("x@sha256:12", &["sha256:12"]);
        with(&"f".repeat(64), &["fff"]);
        with(twice, &[twice]);
    }
    for words in [
        &["pull"][..],
        &["push"],
        &["rmi"],
        &["tag"],
        &["tag", BUSYBOX],
        &["history"],
        &["save"],
        &["import"],
        &["image", "inspect"],
        &["image", "rm"],
        &["image", "unmount"],
        &["inspect"],
        &["login", "a", "b"],
        &["completion"],
    ] {
        refuses(words, &["--help"]);
    }
    for (words, says) in [
        (&["rmi", BUSYBOX][..], "container made uses it"),
        (&["pull", "UPPER"], "UPPER"),
        (&["pull", ""], "reference"),
        (&["pull", "--platform", "a/b/c/d", BUSYBOX], "a/b/c/d"),
        (&["pull", "--all-tags", "127.0.0.1:5000/busybox:latest"], "--all-tags"),
        (&["push", "UPPER"], "UPPER"),
        (&["push", "nothing:1"], "no such image"),
        (&["push", "--platform", "a/b/c/d", BUSYBOX], "a/b/c/d"),
        (&["tag", BUSYBOX, "UPPER"], "UPPER"),
        (&["tag", BUSYBOX, "x@sha256:12"], "sha256:12"),
        (&["save", "--format", "zip", BUSYBOX], "zip"),
        (&["save", "-o", "/no/such/x.tar", BUSYBOX], "/no/such"),
        (&["save", "-o", "/tmp/home", BUSYBOX], "/tmp/home"),
        (&["load", "-i", "/no/such.tar"], "/no/such.tar"),
        (&["load", "-i", "/tmp/bin/devoxx-container"], "archive"),
        (&["import", "/no/such.tar"], "/no/such.tar"),
        (&["import", "-c", "RUN x", "/no/such.tar"], "RUN x"),
        (&["import", "--platform", "a/b/c/d", "/tmp/bin/devoxx-container"], "platform"),
        (&["import", "/tmp/bin/devoxx-container", "UPPER"], "UPPER"),
        (&["images", "--filter", "reference=["], "reference=["),
        (&["inspect", "--type", "planet", BUSYBOX], "planet"),
        (&["history", "--platform", "linux/s390x", BUSYBOX], "linux/s390x"),
        (&["image", "unmount", "--all", BUSYBOX], "--all"),
        (&["image", "frobnicate"], "frobnicate"),
        (&["login", "-u", "x", "127.0.0.1:1"], "password"),
        (&["login", "--password-stdin", "127.0.0.1:5000"], "username"),
        (&["login", "-u", "x", "-p", "y", "http:///"], "http:///"),
        (&["completion", "tcsh"], "tcsh"),
        (&["info", "x"], "x"),
        (&["version", "x"], "x"),
        (&["events", "x"], "x"),
    ] {
        refuses(words, &[says]);
    }
}

/// An id that several have the beginning of, and names that are none, for every verb that takes a network.
#[test]
fn networks_that_do_not_fit() {
    for world in used() {
        networks_that_do_not_fit_of(&world);
    }
}

fn networks_that_do_not_fit_of(world: &World) {
    let mut ids = Vec::new();
    for number in 0..17 {
        let words = ["network", "create", "--internal", &format!("net{number}")];
        ids.push(world.host.run(words).ok().line().to_owned());
    }
    world.host.run(["create", "--name", "made", BUSYBOX, "true"]).ok();
    let twice = ids
        .iter()
        .map(|id| &id[..1])
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1)
        .expect("17 ids, 16 digits");
    let before = Snapshot::take(&world.host);
    let verbs: &[&[&str]] = &[
        &["network", "inspect", "_"],
        &["inspect", "--type", "network", "_"],
        &["network", "rm", "_"],
        &["network", "connect", "_", "made"],
        &["network", "disconnect", "_", "made"],
        &["run", "--rm", "--network", "_", BUSYBOX, "true"],
        &["create", "--network", "_", BUSYBOX],
    ];
    for verb in verbs {
        for name in [twice, "nowhere", "../x", "a b", "caf\u{e9}", &"x".repeat(300)] {
            let words: Vec<String> = verb.iter().map(|word| word.replace('_', name)).collect();
            let said = world.host.run(&words).refuses(FAILED, &[name]);
            assert_eq!(said.stderr.lines().count(), 1, "{words:?}: {said}");
            if name == twice {
                assert!(said.stderr.contains("more than one"), "{said}");
            }
            before.assert_same(&world.host, &format!("{words:?}"));
        }
    }
}
