//! A disk that is full: what is said, what is left, and that a prune mends it.

use crate::world::{BUSYBOX, FAILED, World, program};
use testkit::{Host, Registry};

const DEBIAN: &str = "127.0.0.1:5000/debian:12";

/// A host whose store is on a small file system of its own, with busybox in it.
fn small(host: Host, megabytes: u32) -> World {
    // Not in memory: before Linux 6.6 a tmpfs has no attributes of users, which the store of an ordinary user needs.
    let user = host.user();
    host.admin(&format!(
        "truncate -s {megabytes}M /tmp/disk; mkfs.ext4 -q -m 0 -O ^has_journal -E root_owner={user}:{user} /tmp/disk
        mount -o loop /tmp/disk /tmp/data; rmdir /tmp/data/lost+found; chmod 700 /tmp/data"
    ));
    let world = World { registry: Registry::start(&host), host };
    world.host.run(["pull", BUSYBOX]).ok();
    world
}

/// A container that has ended and has written so much.
#[track_caller]
fn written(world: &World, name: &str, megabytes: u32) {
    let count = format!("count={megabytes}");
    let words =
        ["run", "--net", "none", "--name", name, BUSYBOX, "dd", "if=/dev/zero", "of=/data", "bs=1M", &count];
    world.host.run(words).ok();
}

/// Takes all that is left of the store's file system; gives it back when `free` is called.
fn fill(world: &World) {
    world.host.sh("dd if=/dev/zero of=/tmp/data/filler bs=4k 2>/dev/null; dd if=/dev/zero of=/tmp/data/filler2 bs=512 2>/dev/null; true");
}

#[track_caller]
fn says(world: &World, words: &[&str], expected: &[&str]) {
    world.host.run(words).refuses(FAILED, expected);
}

#[test]
fn it_is_said_what_a_prune_would_free() {
    fn check(host: Host) {
        let world = small(host, 40);
        // Nothing to prune: a container that runs has all there is.
        world.host.run(["run", "-d", "--net", "none", "--name", "runs", BUSYBOX, "sleep", "1000"]).ok();
        world.host.sh("cd /tmp/home && dd if=/dev/urandom of=big bs=1M count=48 2>/dev/null && tar -cf root.tar big").ok();
        says(
            &world,
            &["import", "/tmp/home/root.tar"],
            &["ENOSPC", "nothing here can be pruned", "/tmp/data"],
        );
        written(&world, "one", 8);
        says(&world, &["pull", "-q", DEBIAN], &["ENOSPC", "system prune would free 8"]);
        // Of what failed no image is left, and what is there is whole.
        world.host.run(["system", "check"]).ok().prints("");
        assert_eq!(world.host.run(["images", "-q"]).ok().stdout.lines().count(), 1);
        // Copies and images of one's own.
        says(&world, &["cp", "/tmp/home/big", "one:/big"], &["ENOSPC", "system prune would free"]);
        world.host.run(["rm", "one"]).ok();
        written(&world, "two", 20);
        says(&world, &["commit", "two", "large:1"], &["commit two", "ENOSPC", "system prune would free 2"]);
        says(&world, &["import", "/tmp/home/root.tar", "mine:1"], &["ENOSPC", "system prune would free 2"]);
        world.host.sh("rm /tmp/home/*").ok();
        // A file system of the caller's, which no prune helps.
        world.host.admin(&format!(
            "mkdir /tmp/home/small; mount -t tmpfs -o size=1m,mode=777,uid={0} small /tmp/home/small",
            world.host.user()
        ));
        says(
            &world,
            &["cp", "two:/data", "/tmp/home/small"],
            &["ENOSPC", "free some space where it is copied to"],
        );
        world.host.admin("umount /tmp/home/small; rmdir /tmp/home/small");
        // Really full: a start says so too, and a prune works all the same.
        fill(&world);
        let failed = world.host.run(["run", "--rm", "--net", "none", BUSYBOX, "true"]);
        assert!(failed.code == 125 && failed.stderr.contains("ENOSPC"), "{failed}");
        assert!(failed.stderr.contains("system prune would free 2"), "{failed}");
        world.host.run(["ps", "-a"]).ok();
        world.host.run(["images"]).ok();
        world.host.run(["system", "prune", "--force"]).ok();
        assert!(!world.host.run(["ps", "-a"]).ok().stdout.contains("two"));
        world.host.run(["run", "--rm", "--net", "none", BUSYBOX, "echo", "again"]).ok().prints("again");
        world.host.run(["rm", "-f", "runs"]).ok();
        // Also where images are all that can go.
        fill(&world);
        says(
            &world,
            &["pull", "-q", "127.0.0.1:5000/team/plain:1"],
            &["ENOSPC", "system prune --all --volumes would free"],
        );
        world.host.run(["system", "prune", "--all", "--force"]).ok();
        world.host.run(["images", "-q"]).ok().prints("");
    }
    check(Host::root(&program()));
    check(Host::rootless(&program()));
}
