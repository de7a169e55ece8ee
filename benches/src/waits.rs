//! Where the time of a command is: the system calls that took long, as perf-trace(1) saw them, without stopping anybody.

use crate::entry::{Words, own_name};
use crate::fact::{Facts, median};
use crate::machine::program;
use crate::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::path::Path;

/// The subject of these facts begins with it.
pub const SUBJECT: &str = "system calls that took long";
/// From how many milliseconds on a call is told.
const LONG: f64 = 0.2;
/// How many calls are told of each command.
const MOST: usize = 12;
/// How often each command is traced, at most.
const TIMES: usize = 20;
/// In milliseconds.
const HOUR: f64 = 3_600_000.0;
/// Where the kernel tells of calls.
const TRACEFS: &str = "/sys/kernel/tracing";

/// Traces a command, `@id` in which is a fresh id each time; `what` is how it is called in the report.
pub fn find(
    surroundings: &Surroundings,
    what: &str,
    command: &Words,
    (times, work): (usize, &Path),
    facts: &mut Facts,
) {
    let subject = format!("{SUBJECT}: {what}");
    if let Err(why) = trace(surroundings, &subject, command, (times.min(TIMES), work), facts) {
        facts.word((&subject, "not traced"), "why", &why);
    }
}

fn trace(
    surroundings: &Surroundings,
    subject: &str,
    command: &Words,
    (times, work): (usize, &Path),
    facts: &mut Facts,
) -> Result<(), String> {
    let perf = program("perf").ok_or("perf is not installed")?.to_string_lossy().into_owned();
    // In the mount namespace of the bench alone.
    if !Path::new(TRACEFS).join("events").exists() {
        rustix::mount::mount("tracefs", TRACEFS, "tracefs", rustix::mount::MountFlags::empty(), None)
            .map_err(|error| format!("mount tracefs on {TRACEFS}: {error}"))?;
    }
    let file = work.join("trace");
    let mut calls: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for time in 0..times {
        let id = format!("{}-traced-{time}", own_name());
        // Words with a `=` before the program are its environment, and stay in front.
        let program = command.iter().position(|word| !word.contains('=')).unwrap_or(0);
        let mut traced: Words = command[..program].to_vec();
        let long = LONG.to_string();
        let out = file.to_string_lossy();
        traced.extend([perf.as_str(), "trace", "-f", "--duration", &long, "-o", &out].map(str::to_owned));
        traced.extend(command[program..].iter().map(|word| word.replace("@id", &id)));
        surroundings.unmeasured(&[traced])?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for (call, milliseconds) in text.lines().filter_map(line) {
            calls.entry(call).or_default().push(milliseconds);
        }
    }
    let mut calls: Vec<(String, Vec<f64>)> = calls.into_iter().collect();
    let sum = |each: &[f64]| each.iter().sum::<f64>() / times as f64;
    calls.sort_by(|(_, a), (_, b)| sum(b).total_cmp(&sum(a)));
    for (call, each) in calls.into_iter().take(MOST) {
        let of = (subject, call.as_str());
        facts.number(of, "in a run", each.len() as f64 / times as f64, "x");
        facts.number(of, "in all, of a run", sum(&each), "ms");
        facts.number(of, "median of each", median(each).unwrap_or_default(), "ms");
    }
    Ok(())
}

/// Of `   12.345 ( 0.512 ms): program/123 call(arguments) = 0`: the program with the call, and how long it took.
fn line(text: &str) -> Option<(String, f64)> {
    let (_, rest) = text.split_once('(')?;
    let (took, rest) = rest.split_once(" ms): ")?;
    let (who, call) = rest.split_once('/')?;
    let call = call.split_once(' ')?.1.split('(').next()?.trim();
    let named = call.chars().all(|one| one.is_ascii_alphanumeric() || one == '_') && !call.is_empty();
    let took: f64 = took.trim().parse().ok()?;
    // Where perf-trace(1) has missed the beginning of a call it tells of centuries.
    (named && took < HOUR).then(|| (format!("{who}: {call}"), took))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_trace() {
        let check = |text: &str, expected: Option<(&str, f64)>| {
            let found = line(text);
            assert_eq!(found.as_ref().map(|(call, took)| (call.as_str(), *took)), expected, "{text}");
        };
        check(
            "   124.371 ( 0.840 ms): runtime/8053 clone3(uargs: 0x7ffd, size: 88)  = 8059",
            Some(("runtime: clone3", 0.84)),
        );
        check("    62.510 (184.937 ms): a-b/8047 ppoll(ufds: 0xc8cfb00) = 1", Some(("a-b: ppoll", 184.937)));
        check("     0.000 (         ): runtime/1 ... [continued]: wait4()", None);
        check("     1.000 (18446744073709.551 ms): a/1 ppoll(ufds: 0x1) = 1", None);
        check("LOST 3 events!", None);
        check("", None);
    }
}
