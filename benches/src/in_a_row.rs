//! Thousands of starts, one after the other: what hangs, what stays, and whether the last are as fast as the first.

use crate::census::Census;
use crate::engines::{self, Engine};
use crate::entry::{Words, own_name, words};
use crate::fact::{Facts, median};
use crate::machine::Machine;
use crate::runtimes::{Bundles, OURS, Runtime};
use crate::sample::Failure;
use crate::surroundings::Surroundings;
use std::path::PathBuf;

/// The subject of these facts.
pub const SUBJECT: &str = "starts in a row";

/// So many of ours, the runtime and the engine.
pub fn find(
    machine: &Machine,
    count: usize,
    runtimes: &[Runtime],
    engines: &[Engine],
    bundles: &Bundles,
    facts: &mut Facts,
) {
    for runtime in runtimes.iter().filter(|runtime| runtime.who == OURS) {
        let run = words(&format!("{} run --bundle {} @id", runtime.command, bundles.plain.display()));
        let places = [machine.work.join(format!("{OURS}-state"))];
        one((SUBJECT, OURS), &runtime.surroundings, &run, &places, count, facts);
    }
    for engine in engines.iter().filter(|engine| engine.who == engines::OURS) {
        let places = ["data/containers", "data/network", "run"].map(|name| machine.work.join(name));
        one((SUBJECT, engine.who), &engine.surroundings, &words(&engine.run), &places, count, facts);
    }
}

fn one(
    of: (&str, &str),
    surroundings: &Surroundings,
    run: &Words,
    places: &[PathBuf],
    count: usize,
    facts: &mut Facts,
) {
    let census = || -> Vec<Census> { places.iter().map(|place| Census::take(place)).collect() };
    // What the first one makes for all that follow is no leak.
    let named = |number: usize| -> Words {
        run.iter().map(|word| word.replace("@id", &format!("{}-row-{number}", own_name()))).collect()
    };
    let _warm = surroundings.take(&[named(count)], false);
    let (before, mut starts, mut hung, mut failed) = (census(), Vec::new(), 0, Vec::new());
    for number in 0..count {
        match surroundings.take(&[named(number)], false) {
            Ok(sample) => starts.push(sample.milliseconds()),
            Err(Failure::Hung) => hung += 1,
            Err(Failure::Failed(why)) => failed.push(why),
        }
        // Something is broken: the rest would take hours.
        if hung > 2 || failed.len() > 20 {
            break;
        }
    }
    facts.number(of, "starts", (starts.len() + hung + failed.len()) as f64, "");
    facts.number(of, "hung", hung as f64, "");
    facts.number(of, "failed", failed.len() as f64, "");
    if let Some(why) = failed.first() {
        facts.word(of, "why", why);
    }
    // A tenth at either end.
    let part = starts.len() / 10;
    let (Some(first), Some(last)) =
        (median(starts[..part].to_vec()), median(starts[starts.len() - part..].to_vec()))
    else {
        return;
    };
    facts.number(of, "first tenth", first, "ms");
    facts.number(of, "last tenth", last, "ms");
    facts.number(of, "last of first", last / first, "x");
    let left: Vec<String> =
        census().iter().zip(&before).filter_map(|(now, before)| now.more_than(before)).collect();
    facts.word(of, "left", if left.is_empty() { "nothing" } else { &left[0] });
}
