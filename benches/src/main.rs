//! `make bench`: every runtime and engine of this machine beside the bare kernel, in one run.
//!
//! Each contestant does each work once a round, in a new random order every round, with a pause between, so that nobody pays for what
//! another one's end still does. What fails or hangs is counted and shown, and part of no median. Figures of different runs are not
//! to be compared: the report has ratios.

mod alive;
mod arguments;
mod census;
mod debian;
mod demand;
mod engines;
mod entry;
mod fact;
mod in_a_row;
mod machine;
mod markdown;
mod order;
mod picture;
mod publish;
mod pull;
mod report;
mod runtimes;
mod sample;
mod supervisors;
mod surroundings;
mod versions;
mod waits;

use arguments::{Arguments, Asked};
use entry::Entry;
use fact::{Facts, median};
use machine::Machine;
use order::Random;
use report::{Report, Said};
use std::path::Path;
use std::time::{Duration, Instant};

/// Rounds that are not counted: caches fill.
const WARM_UP: usize = 3;
/// Between two entries: what the kernel does after an end is done by then.
const PAUSE: Duration = Duration::from_millis(15);

fn main() {
    entry::own_name();
    let done = match arguments::read(std::env::args().skip(1)) {
        Err(usage) => Err(usage),
        Ok(Asked::Publish { from, docs }) => publish::publish(&from, &docs).map(|()| 0),
        Ok(Asked::Measure(arguments)) => {
            machine::alone(|| measure(&arguments).map_or_else(|error| complain(&error), |()| 0))
        }
    };
    std::process::exit(done.unwrap_or_else(|error| complain(&error)))
}

#[expect(clippy::print_stderr, reason = "a program")]
fn complain(text: &str) -> i32 {
    eprintln!("bench: {text}");
    1
}

#[expect(clippy::print_stderr, reason = "a program: how far it has come")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "a program")]
fn measure(asked: &Arguments) -> Result<(), String> {
    std::fs::create_dir_all(&asked.out).map_err(|error| format!("{}: {error}", asked.out.display()))?;
    let out = asked.out.canonicalize().map_err(|error| format!("{}: {error}", asked.out.display()))?;
    let machine = Machine::make()?;
    let (mut said, mut facts) = (Said::default(), Facts::default());
    let busy = load();
    let runtimes = runtimes::runtimes(&machine, &mut said)?;
    let bundles = runtimes::bundles(&machine)?;
    let mut engines = engines::engines(&machine, &mut said)?;
    let mut entries = runtimes::entries(&machine, &runtimes, &bundles, &mut said)?;
    if let Some(program) = &asked.unattested {
        entries.extend(runtimes::attestation(&machine, program, &bundles)?);
    }
    entries.extend(engines::entries(&mut engines));
    entries.retain(|entry| asked.wants(&entry.work));
    rounds(&mut entries, asked.rounds);
    if asked.wants("seccomp") {
        compiled(&mut facts)?;
    }
    if asked.wants(supervisors::SUBJECT) {
        say(supervisors::SUBJECT);
        supervisors::find(asked.kept, asked.idle, &engines, &mut facts);
    }
    if asked.wants(waits::SUBJECT) {
        say(waits::SUBJECT);
        let traced = entries.iter().filter(|entry| {
            ["run", engines::ALONE, engines::BRIDGE].contains(&entry.work.as_str())
                && (entry.who.starts_with("devoxx") || entry.who == "floor")
        });
        for entry in traced.filter(|entry| entry.out.is_none()) {
            for command in &entry.timed {
                let what = format!("{}, {}", entry.who, entry.work);
                let often = (asked.rounds, machine.work.as_path());
                waits::find(&entry.surroundings, &what, command, often, &mut facts);
            }
        }
    }
    if asked.wants(alive::SUBJECT) {
        say(alive::SUBJECT);
        alive::find(&machine, asked.alive, &runtimes, &engines, &bundles, &mut facts);
    }
    if asked.wants(in_a_row::SUBJECT) {
        say(in_a_row::SUBJECT);
        in_a_row::find(&machine, asked.starts, &runtimes, &engines, &bundles, &mut facts);
    }
    // Daemons have caches to fill and timers to run.
    engines.into_iter().for_each(|engine| drop(engine.daemons));
    if asked.wants(pull::WORK) {
        say(pull::WORK);
        entries.extend(pull::measure(&machine, &asked.debian, (asked.pulls, asked.layers), &mut said)?);
    }
    said.notes.push(format!(
        "processes that ran or wanted to, over a minute: {busy} at the beginning, {} at the end",
        load()
    ));
    let versions = versions::of(entries.iter().map(|entry| entry.who.as_str()));
    let report = Report::of(&entries, facts.all, asked.rounds, versions, said);
    let text = markdown::of(&report);
    print!("{text}");
    keep(&out.join("report.md"), &text)?;
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    keep(&out.join("report.json"), &format!("{json}\n"))?;
    keep(&out.join("report.svg"), &picture::of(&report.rows))
}

/// Of the whole machine: others may be at work on it (proc_loadavg(5)).
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn keep(place: &Path, text: &str) -> Result<(), String> {
    std::fs::write(place, text).map_err(|error| format!("{}: {error}", place.display()))
}

/// Each entry once a round.
fn rounds(entries: &mut [Entry], rounds: usize) {
    // What is run once, to see that it works, has no caches to fill.
    let warm_up = if rounds > 1 { WARM_UP } else { 0 };
    entries.iter_mut().for_each(Entry::set_up);
    let mut random = Random(std::process::id().into());
    for round in 0..warm_up + rounds {
        say(&format!("round {} of {}", round + 1, warm_up + rounds));
        let mut order: Vec<usize> = (0..entries.len()).collect();
        random.shuffle(&mut order);
        let counted = round.checked_sub(warm_up);
        for number in order {
            let entry = &mut entries[number];
            if !entry.has_turn(counted.unwrap_or(round)) {
                continue;
            }
            let sample = entry.run(round);
            if counted.is_some() {
                entry.samples.push(sample);
            }
            std::thread::sleep(PAUSE);
        }
    }
    entries.iter().for_each(Entry::tear_down);
}

/// What the profile of system calls takes that containers have by themselves.
fn compiled(facts: &mut Facts) -> Result<(), String> {
    let profile = seccomp::default_profile(&[]).map_err(|error| error.to_string())?;
    let once = |_| {
        let began = Instant::now();
        let compiled = seccomp::compile(std::hint::black_box(&profile), seccomp::Options::default());
        compiled.map(|_| began.elapsed().as_secs_f64() * 1e6).map_err(|error| error.to_string())
    };
    let times = (0..100).map(once).collect::<Result<Vec<f64>, String>>()?;
    let time = median(times).unwrap_or_default();
    facts.number(("seccomp", runtimes::OURS), "default profile compiled", time, "µs");
    Ok(())
}
