//! What keeps a detached container: its memory, and how often it wakes while nothing happens.

use crate::census::{Census, memory, wake_ups};
use crate::engines::Engine;
use crate::entry::{Words, own_name, words};
use crate::fact::Facts;
use std::path::Path;
use std::time::Duration;

/// The subject of these facts.
pub const SUBJECT: &str = "supervisor of a detached container";

/// After a start, before anything is looked at.
const SETTLED: Duration = Duration::from_secs(2);

/// No files are counted.
const NOWHERE: &str = "/nonexistent";

/// Of each engine, looked at for so long.
pub fn find(idle: Duration, engines: &[Engine], facts: &mut Facts) {
    for engine in engines {
        let of = (SUBJECT, engine.who);
        let named = |command: &Words| -> Words {
            let id = format!("{}-kept", own_name());
            command.iter().map(|word| word.replace("@id", &id)).collect()
        };
        let before = Census::take(Path::new(NOWHERE));
        match engine.surroundings.unmeasured(&[named(&words(&engine.detached))]) {
            Ok(()) => look(of, idle, &before, facts),
            Err(why) => facts.word(of, "failed", &why),
        }
        for command in &engine.remove {
            let _after_a_failure = engine.surroundings.unmeasured(&[named(command)]);
        }
    }
}

fn look(of: (&str, &str), idle: Duration, before: &Census, facts: &mut Facts) {
    std::thread::sleep(SETTLED);
    let now = Census::take(Path::new(NOWHERE));
    let stay: Vec<u32> = now.processes.difference(&before.processes).copied().collect();
    let woken = || -> u64 { stay.iter().map(|pid| wake_ups(*pid)).sum() };
    let at_first = woken();
    std::thread::sleep(idle);
    let more = woken().saturating_sub(at_first);
    let memories = || stay.iter().filter_map(|pid| memory(*pid));
    let (all, own) =
        memories().fold((0, 0), |(all, own), memory| (all + memory.proportional, own + memory.private));
    facts.number(of, "processes", stay.len() as f64, "");
    facts.number(of, "memory (PSS)", all as f64, "kB");
    facts.number(of, "its own alone", own as f64, "kB");
    facts.number(of, &format!("wake-ups in {} s", idle.as_secs()), more as f64, "");
}
