//! `make bench`: every runtime and engine of this machine beside the bare kernel, in one run.
//!
//! Each contestant does each work once a round, in a new random order every round, with a pause between, so that nobody pays for what
//! another one's end still does. What fails or hangs is counted and shown, and part of no median. Figures of different runs are not
//! to be compared: the report has ratios.

mod contest;
mod machine;
mod picture;
mod report;
mod sample;

use contest::Entry;
use std::path::PathBuf;
use std::time::Duration;

/// Rounds that are not counted: caches fill.
const WARM_UP: usize = 3;
/// Between two entries: what the kernel does after an end is done by then.
const PAUSE: Duration = Duration::from_millis(15);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut rounds, mut words, mut out) = (50, Vec::new(), PathBuf::from("target/bench"));
    while let Some(word) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| usage());
        match word.as_str() {
            "--rounds" => rounds = value().parse().unwrap_or_else(|_| usage()),
            "--out" => out = value().into(),
            word if word.starts_with('-') => usage(),
            _ => words.push(word),
        }
    }
    match machine::alone(|| measure(rounds, &words, &out).map_or_else(|error| complain(&error), |()| 0)) {
        Ok(code) => std::process::exit(code),
        Err(error) => fail(&error),
    }
}

fn usage() -> ! {
    fail("usage: bench [--rounds N] [--out DIRECTORY] [WORD-OF-A-WORK...]")
}

fn fail(text: &str) -> ! {
    std::process::exit(complain(text))
}

#[expect(clippy::print_stderr, reason = "a program")]
fn complain(text: &str) -> i32 {
    eprintln!("bench: {text}");
    1
}

#[expect(clippy::print_stderr, reason = "a program: how far it has come")]
fn measure(rounds: usize, words: &[String], out: &std::path::Path) -> Result<(), String> {
    std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let out = out.canonicalize().map_err(|error| format!("{}: {error}", out.display()))?;
    let machine = machine::Machine::make()?;
    let mut entries = contest::entries(&machine)?;
    entries.retain(|entry| words.is_empty() || words.iter().any(|word| entry.work.contains(word)));
    for entry in &mut entries {
        entry.set_up();
    }
    let mut random = Random(std::process::id().into());
    for round in 0..WARM_UP + rounds {
        eprint!("\rround {} of {}", round + 1, WARM_UP + rounds);
        let mut order: Vec<usize> = (0..entries.len()).collect();
        random.shuffle(&mut order);
        for entry in order {
            let sample = entries[entry].run(round);
            if round >= WARM_UP {
                entries[entry].samples.push(sample);
            }
            std::thread::sleep(PAUSE);
        }
    }
    eprintln!();
    entries.iter().for_each(Entry::tear_down);
    report::write(&entries, rounds, &out)
}

/// An order of no meaning (xorshift64*): not for anything that has to be secret.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn shuffle(&mut self, list: &mut [usize]) {
        for last in (1..list.len()).rev() {
            let other = usize::try_from(self.next() >> 33).unwrap_or(0) % (last + 1);
            list.swap(last, other);
        }
    }
}
