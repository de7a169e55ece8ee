//! The parts: a name for the command line, and what makes it.

use crate::arguments::Arguments;
use crate::report::{Part, Report, of_kills, of_replays};
use crate::{
    archives, chaos, crowds, cycles, descriptors, engine, flips, kills, malformed, orphans, power, races,
    replay, replays, rootless, without_openat2,
};
#[cfg(target_arch = "x86_64")]
use crate::{errors, limits};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// What makes a part.
type Make = fn(&Arguments) -> Part;

/// In the order of the report.
const ALL: &[(&str, Make)] = &[
    ("replays", |arguments| {
        of_replays("replays", "Published escapes", &replay::all(arguments, replays::ALL, ""))
    }),
    ("attestation", |arguments| {
        let told = replay::all(arguments, replays::ATTESTED, "attestation");
        of_replays("attestation", "What is read again before a command may run", &told)
    }),
    ("kills", |arguments| {
        let (swept, notes) = kills::all(arguments);
        of_kills(&swept, &notes)
    }),
    ("engine", |arguments| engine::part(arguments).part()),
    ("descriptors", |arguments| descriptors::part(arguments).part()),
    ("crowds", |arguments| crowds::part(arguments).part()),
    ("cycles", |arguments| cycles::part(arguments).part()),
    ("chaos", |arguments| chaos::part(arguments).part()),
    ("rootless", |arguments| rootless::part(arguments).part()),
    ("openat2", |arguments| without_openat2::part(arguments).part()),
    ("races", |arguments| races::part(arguments).part()),
    #[cfg(target_arch = "x86_64")]
    ("errors", |arguments| errors::part(arguments).part()),
    #[cfg(target_arch = "x86_64")]
    ("engine-errors", |arguments| errors::part_of_engine(arguments).part()),
    #[cfg(target_arch = "x86_64")]
    ("limits", |arguments| limits::part(arguments).part()),
    ("flips", |arguments| flips::part(arguments).part()),
    ("power", |arguments| power::part(arguments).part()),
    ("orphans", |arguments| orphans::part(arguments).part()),
    ("archives", |arguments| archives::part(arguments).part()),
    ("malformed", |arguments| malformed::part(arguments).part()),
];

/// What keeps all processors busy by itself, or has to have one for whoever races against it.
const ALONE: [&str; 4] = ["kills", "engine", "crowds", "races"];

/// The names of all, in the order of the report.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// Runs all that is asked for, as many at a time as there are processors; whether all is as it must be.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn run(arguments: &Arguments) -> bool {
    let report = Mutex::new(Report::new(arguments));
    let run = |(name, make): &(&str, Make)| {
        let begun = std::time::Instant::now();
        let part = make(arguments);
        eprintln!("{name}: {} s", begun.elapsed().as_secs());
        report.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&part);
    };
    let wanted = ALL.iter().filter(|(name, _)| arguments.has(name));
    let (alone, beside): (Vec<_>, Vec<_>) = wanted.partition(|(name, _)| ALONE.contains(name));
    alone.into_iter().for_each(run);
    let next = AtomicUsize::new(0);
    let turns = || {
        while let Some(part) = beside.get(next.fetch_add(1, Ordering::Relaxed)) {
            run(part);
        }
    };
    let processors = available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(turns))));
    report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).publish()
}
