//! Which calls fail, and how.

use std::collections::BTreeMap;
use testkit::injector::Errno;

/// How the calls fail.
pub const ERRNOS: [Errno; 9] = [
    Errno::ENOSYS,
    Errno::EPERM,
    Errno::EIO,
    Errno::ENOMEM,
    Errno::ENOSPC,
    Errno::EMFILE,
    Errno::EINTR,
    Errno::EAGAIN,
    Errno::EBUSY,
];

/// Calls that hold a container, by which it is found out where it is to go, or that make it what it is: of these each fails at least once, and
/// none without being heard of. A container that runs all the same has the facts that it has without.
const HOLDING: [&str; 24] = [
    "prctl",
    "capset",
    "capget",
    "seccomp",
    "setresuid",
    "setresgid",
    "setgroups",
    "setns",
    "unshare",
    "clone3",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "umount2",
    "prlimit64",
    "keyctl",
    "sethostname",
    "setsid",
    "close_range",
    "newfstatat",
    "readlinkat",
    "openat2",
];

/// How often of one kind: one that is called for each of forty capabilities is the same each time.
const OF_A_KIND: usize = 6;

/// A way to fail by a number that goes on.
fn errno(number: u64) -> Errno {
    ERRNOS[usize::try_from(number % ERRNOS.len() as u64).unwrap_or_default()]
}

/// All of them, or so many spread over all calls and ways. `turn` is another for each command, so that they do not all meet the same ways.
pub fn spread(calls: u64, most: Option<u64>, turn: u64) -> Vec<(u64, Errno)> {
    let ways = ERRNOS.len() as u64;
    let all = calls * ways;
    let most = most.unwrap_or(all).min(all);
    if most == all {
        return (0..all).map(|number| (1 + number / ways, errno(number))).collect();
    }
    (0..most)
        .map(|number| (1 + (number * calls + turn * calls / 7) / most % calls, errno(number * 2 + turn)))
        .collect()
}

/// Those that hold a container, each in one way; `calls` are all calls by name, with the first argument of each.
pub fn holding(calls: &[(String, u64)], turn: u64) -> Vec<(u64, Errno)> {
    let mut seen: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    let mut found = Vec::new();
    for ((name, first), number) in calls.iter().zip(1..) {
        // What prctl(2) does is its first argument; of the others it is a descriptor or a place.
        let kind = (name.as_str(), if name == "prctl" { *first } else { 0 });
        let most = if name == "prctl" { OF_A_KIND } else { 4 * OF_A_KIND };
        let count = seen.entry(kind).or_default();
        if HOLDING.contains(&kind.0) && *count < most {
            *count += 1;
            found.push((number, errno(found.len() as u64 + turn)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_sample_has_every_way_and_calls_from_all_over() {
        assert_eq!(spread(10, None, 0).len(), 90);
        assert_eq!(spread(10, Some(1000), 3).len(), 90);
        for turn in 0..6 {
            let some = spread(700, Some(45), turn);
            let calls: BTreeSet<u64> = some.iter().map(|(call, _)| *call).collect();
            assert_eq!((some.len(), calls.len()), (45, 45), "{turn}");
            assert!(some.iter().all(|(call, _)| (1..=700).contains(call)));
            let ends = calls.first().zip(calls.last());
            assert!(ends.is_some_and(|(first, last)| *first < 20 && *last > 680), "{ends:?}");
            for errno in ERRNOS {
                assert_eq!(some.iter().filter(|(_, one)| *one == errno).count(), 5, "{errno}");
            }
        }
        assert_ne!(spread(700, Some(45), 0), spread(700, Some(45), 1));
    }

    #[test]
    fn each_call_that_holds_is_there() {
        let mut calls: Vec<(String, u64)> = (0..40).map(|_| ("prctl".to_owned(), 24)).collect();
        calls.extend([("read".to_owned(), 3), ("prctl".to_owned(), 38), ("setns".to_owned(), 5)]);
        let found: Vec<u64> = holding(&calls, 0).into_iter().map(|(number, _)| number).collect();
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 42, 43]);
    }
}
