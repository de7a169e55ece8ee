//! What keeps detached containers: its memory, and how often it wakes while nothing happens.

use crate::census::{Census, memory, wake_ups};
use crate::engines::Engine;
use crate::entry::{Words, own_name, words};
use crate::fact::Facts;
use std::path::Path;
use std::time::Duration;

/// The subject of these facts.
pub const SUBJECT: &str = "supervisors of detached containers";

/// After a start, before anything is looked at.
const SETTLED: Duration = Duration::from_secs(2);

/// No files are counted.
const NOWHERE: &str = "/nonexistent";

/// Of each engine with so many containers, looked at for so long. One alone would bear what all of them share: the program itself.
pub fn find(count: usize, idle: Duration, engines: &[Engine], facts: &mut Facts) {
    for engine in engines {
        let of = (SUBJECT, engine.who);
        let named = |command: &Words, number: usize| -> Words {
            let id = format!("{}-kept-{number}", own_name());
            command.iter().map(|word| word.replace("@id", &id)).collect()
        };
        let before = Census::take(Path::new(NOWHERE));
        let starts: Vec<Words> = (0..count).map(|number| named(&words(&engine.detached), number)).collect();
        match engine.surroundings.unmeasured(&starts) {
            Ok(()) => look(of, count, idle, &before, facts),
            Err(why) => facts.word(of, "failed", &why),
        }
        for number in 0..count {
            for command in &engine.remove {
                let _after_a_failure = engine.surroundings.unmeasured(&[named(command, number)]);
            }
        }
    }
}

fn look(of: (&str, &str), count: usize, idle: Duration, before: &Census, facts: &mut Facts) {
    std::thread::sleep(SETTLED);
    let now = Census::take(Path::new(NOWHERE));
    let stay: Vec<u32> = now.processes.difference(&before.processes).copied().collect();
    let woken = || -> u64 { stay.iter().map(|pid| wake_ups(*pid)).sum() };
    let at_first = woken();
    std::thread::sleep(idle);
    let more = woken().saturating_sub(at_first);
    let memories = || stay.iter().filter_map(|pid| memory(*pid));
    let (all, own) =
        memories().fold((0, 0), |(all, own), memory| (all + memory.proportional, own + memory.anonymous));
    let each = |sum: u64| sum as f64 / count as f64;
    facts.number(of, "containers", count as f64, "");
    facts.number(of, "processes for each", stay.len() as f64 / count as f64, "x");
    facts.number(of, "memory (PSS) for each", each(all), "kB");
    facts.number(of, "of it anonymous", each(own), "kB");
    facts.number(of, &format!("wake-ups of each in {} s", idle.as_secs()), each(more), "x");
}
