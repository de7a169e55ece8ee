//! Whoever only looks waits for nobody who changes something.

use crate::world::{BUSYBOX, World};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;

/// Takes the lock of every file and directory below, as somebody would who is in the middle of changing all of it. What somebody has
/// already, such as a supervisor, is held as well.
fn hold_all(below: &Path, held: &mut Vec<File>) {
    for entry in std::fs::read_dir(below).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() || kind.is_file() {
            let file = File::open(entry.path()).expect("root opens everything");
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                held.push(file);
            }
        }
        // What is in an image or a container is nobody's lock.
        if kind.is_dir() && !["diff", "upper", "root"].iter().any(|name| entry.file_name() == *name) {
            hold_all(&entry.path(), held);
        }
    }
}

#[test]
fn they_wait_for_no_lock() {
    fn check(world: &World) {
        world.host.run(["network", "create", "app"]).ok();
        world.host.run(["volume", "create", "data"]).ok();
        let run = [
            "run",
            "-d",
            "--name",
            "up",
            "-v",
            "data:/data",
            BUSYBOX,
            "sh",
            "-c",
            "echo said; exec sleep 1000",
        ];
        world.host.run(run).ok();
        world.host.run(["run", "--name", "down", "--net", "none", BUSYBOX, "true"]).ok();
        let mut held = Vec::new();
        for place in ["/tmp/data", "/tmp/run"] {
            hold_all(&world.host.path(place), &mut held);
        }
        assert!(held.len() > 10, "{} locks", held.len());
        let limited =
            |seconds: u32, words: &str| world.host.sh(&format!("timeout -s KILL {seconds} $C {words}"));
        for words in [
            "ps",
            "ps -a",
            "ps -as",
            "ps -aq --filter status=running --filter network=bridge",
            "inspect up",
            "inspect -s down",
            &format!("inspect {BUSYBOX}"),
            "logs up",
            "top up",
            "stats --no-stream",
            "port up",
            "diff down",
            "images",
            "images --tree",
            &format!("history {BUSYBOX}"),
            "volume ls",
            "volume inspect data",
            "network ls",
            "network inspect app bridge",
            "events --since 1h --until 0s",
            "info",
            "version",
            "system df",
            "system df -v",
        ] {
            let looked = limited(30, words);
            assert_eq!(looked.code, 0, "{words}: {looked}");
        }
        // They are the locks that a change waits for.
        for words in ["update --restart always down", "start down"] {
            let changed = limited(1, words);
            assert_eq!(changed.code, 137, "{words}: {changed}");
        }
        drop(held);
        world.host.run(["start", "down"]).ok();
        world.host.run(["rm", "-f", "up", "down"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}
