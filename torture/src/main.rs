//! `torture`: the two claims of this project, each shown by a run. Published escapes are replayed and refused, and every replay is shown
//! able to fail, by a build that has its one defence left out. Commands are killed at the stops of their system calls, and what they
//! leave is cleaned by one `delete --force`.
//!
//! ```text
//! torture --publish DOCS DIR...             docs/security.md, of each part what the first DIR has that has it
//! torture [--programs DIR] [--mutants DIR] [--out DIR] [--quick] [--kills N] [--errors N] [--starts N] [--seed N] [PART]...
//!                             parts: replays, attestation, kills, and those of `parts`
//! ```
//! DIR has the programs of a debug build; the mutants are the same, built with the feature `all_mutants`.

mod archives;
mod arguments;
mod canary;
mod chaos;
mod crowds;
mod cycles;
mod descriptors;
mod engine;
#[cfg(target_arch = "x86_64")]
mod errors;
mod flips;
mod ground;
mod kills;
#[cfg(target_arch = "x86_64")]
mod limits;
mod malformed;
mod orphans;
mod parts;
mod power;
mod processors;
mod races;
mod replay;
mod replays;
mod report;
mod rootless;
mod schedule;
mod seeded;
mod storm;
mod swapper;
mod without_openat2;

use arguments::Arguments;

/// How much is said at the end of one thing that is wrong, in characters; the report has all of it.
const LONGEST: usize = 600;

#[expect(clippy::print_stderr, reason = "a program, for who runs it")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((errno, command)) = without_openat2::asked(&words) {
        eprintln!("torture: {}", without_openat2::execute(errno, command));
        std::process::exit(126);
    }
    if let [word, directory, bytes, log] = words.as_slice()
        && word == power::SERVE
    {
        if let Err(error) = power::disk::serve(directory, bytes.parse().unwrap_or_default(), log) {
            eprintln!("torture {word}: {error}");
            std::process::exit(1);
        }
        return;
    }
    let arguments = match Arguments::of(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("torture: {wrong}");
            std::process::exit(2);
        }
    };
    // A mutant that cannot be started would seem to be caught.
    let programs = ["devoxx-runtime", "devoxx-container"];
    let missing = arguments
        .mutants
        .iter()
        .flat_map(|mutants| programs.map(|program| mutants.join(program)))
        .find(|one| !one.exists());
    if let Some(program) = missing {
        eprintln!("torture: {}: is not there", program.display());
        std::process::exit(2);
    }
    if let Some((docs, from)) = &arguments.publish {
        if let Err(wrong) = report::publish(from, docs) {
            eprintln!("torture: {wrong}");
            std::process::exit(1);
        }
        return;
    }
    // Each failure is a line of the report; what panics says is in it.
    std::panic::set_hook(Box::new(|_| ()));
    let wrong = schedule::run(&arguments);
    // At the end, since the report before it is long.
    for line in &wrong {
        eprintln!("torture: {}", line.chars().take(LONGEST).collect::<String>());
    }
    std::process::exit(i32::from(!wrong.is_empty()));
}
