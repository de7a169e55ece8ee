//! Which parts run when: side by side, but for those that need the machine for themselves.

use crate::arguments::Arguments;
use crate::parts::{ALL, Make};
use crate::processors;
use crate::report::Report;
use std::sync::{Mutex, PoisonError};

/// What keeps all processors busy by itself, or has to have one for whoever races against it.
const ALONE: [&str; 8] =
    ["kills", "checkpoints", "engine-kills", "engine", "crowds", "races", "errors", "engine-errors"];

/// Runs all that is asked for, as many at a time as there are processors; what is not as it must be.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn run(arguments: &Arguments) -> Vec<String> {
    let report = Mutex::new(Report::new(arguments));
    let run = |(name, make): &(&str, Make)| {
        let begun = std::time::Instant::now();
        let part = make(arguments);
        eprintln!("{name}: {} s", begun.elapsed().as_secs());
        report.lock().unwrap_or_else(PoisonError::into_inner).add(&part);
    };
    let wanted = ALL.iter().filter(|(name, _)| arguments.has(name));
    let (alone, beside): (Vec<_>, Vec<_>) = wanted.partition(|(name, _)| ALONE.contains(name));
    alone.into_iter().for_each(run);
    processors::share(&beside, |part| run(part));
    report.into_inner().unwrap_or_else(PoisonError::into_inner).publish()
}
