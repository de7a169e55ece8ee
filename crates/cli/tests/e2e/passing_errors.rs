//! System calls of a supervisor that fail once: what passes ends no container, loses none of its output, and leaves nothing behind.

use crate::world::{BUSYBOX, World};
use testkit::Snapshot;
use testkit::deadline::{LIMIT, poll};
use testkit::injector::{Errno, Injected, inject};

/// read(2) on x86_64, the only processor that the injector knows.
const READ: i64 = 0;

/// A container with a port, whose lease has to be found again at its end.
const OPTIONS: [&str; 4] = ["--name", "it", "-p", "8080:80"];

/// Runs a command, of whose calls one fails.
fn injected(world: &World, words: &[&str], wanted: Option<(u64, Errno)>) -> Injected {
    let file = |kind: &str| world.host.path(format!("/tmp/{kind}"));
    let command = world.host.command(words.iter().copied());
    inject(command, "devoxx-container", (&file("out"), &file("err")), LIMIT, wanted)
}

fn told(one: &Injected) -> String {
    let Injected { met, code, hung, stdout, stderr, .. } = one;
    format!("{met:?}: code {code}, hung {hung}, {stdout:?}, {stderr:?}")
}

/// After one `rm -f`, if there is anything to be removed.
fn leaves_nothing(world: &World, before: &Snapshot, told: &str) {
    world.host.run(["rm", "-f", "it"]);
    let mut left = Vec::new();
    let clean = poll(LIMIT, || {
        left = before.difference(&Snapshot::take(&world.host));
        left.is_empty().then_some(())
    });
    assert!(clean.is_some(), "{told}: left {left:?}");
}

/// The bridge that is always there, and the image's files, come with the first.
fn begun() -> (World, Snapshot) {
    let world = World::root();
    world.run(&OPTIONS, &["true"]).ok();
    let before = Snapshot::take(&world.host);
    (world, before)
}

#[test]
fn reads_at_the_end_of_a_run() {
    let (world, before) = begun();
    let words = [&["run", "--rm"], &OPTIONS[..], &[BUSYBOX, "sh", "-c", "echo said; echo told >&2"]].concat();
    let whole = injected(&world, &words, None);
    assert_eq!((whole.code, whole.stdout.as_str(), whole.stderr.as_str()), (0, "said\n", "told\n"));
    let reads = whole.kinds.iter().zip(1..).filter(|((number, _), _)| *number == READ).map(|(_, call)| call);
    let last: Vec<u64> = reads.collect();
    let last = &last[last.len().saturating_sub(30)..];
    let mut met = 0;
    for call in last {
        let one = injected(&world, &words, Some((*call, Errno::EIO)));
        let told = told(&one);
        met += usize::from(one.met.as_ref().is_some_and(|met| met.number == READ));
        match one.code {
            0 => assert_eq!((one.stdout.as_str(), &one.stderr[..5]), ("said\n", "told\n"), "{told}"),
            _ => assert!(one.stderr.contains("EIO"), "{told}"),
        }
        leaves_nothing(&world, &before, &told);
    }
    // The calls of several processes do not come in the same order each time.
    assert!(met > 2, "{met} of {last:?}");
}

#[test]
fn calls_after_a_start() {
    let (world, before) = begun();
    let words = [&["run", "-d"], &OPTIONS[..], &[BUSYBOX, "sh", "-c", "echo said; exec sleep 1000"]].concat();
    let whole = injected(&world, &words, None);
    assert_eq!(whole.code, 0, "{whole:?}");
    leaves_nothing(&world, &before, "without an error");
    for call in whole.calls - 30..whole.calls {
        let one = injected(&world, &words, Some((call, Errno::ENOMEM)));
        let told = told(&one);
        assert!(!one.hung, "{told}");
        if one.code == 0 {
            let status = world.host.run(["inspect", "--format", "{{.State.Status}}", "it"]);
            assert_eq!(status.stdout.trim(), "running", "{told}: {status}");
            let kept = poll(LIMIT, || (world.host.run(["logs", "it"]).stdout == "said\n").then_some(()));
            assert!(kept.is_some(), "{told}");
        } else {
            assert!(one.stderr.contains("ENOMEM"), "{told}");
        }
        leaves_nothing(&world, &before, &told);
    }
}
