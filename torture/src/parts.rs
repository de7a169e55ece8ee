//! The parts: a name for the command line, and what makes it.

use crate::arguments::Arguments;
use crate::kills::Group;
use crate::report::{Part, Section, of_kills, of_replays};
use crate::{
    archives, chaos, crowds, cycles, descriptors, engine, flips, kills, malformed, orphans, power, races,
    replay, replays, rootless, without_openat2,
};
#[cfg(target_arch = "x86_64")]
use crate::{errors, limits};

/// What makes a part.
pub type Make = fn(&Arguments) -> Part;

/// In the order of the report.
pub const ALL: &[(&str, Make)] = &[
    ("replays", |arguments| {
        of_replays("replays", "Published escapes", &replay::all(arguments, replays::ALL, ""))
    }),
    ("attestation", |arguments| {
        let told = replay::all(arguments, replays::ATTESTED, "attestation");
        of_replays("attestation", "What is read again before a command may run", &told)
    }),
    ("kills", |arguments| kills_of("Kills of the runtime's commands", arguments, Group::Runtime)),
    ("checkpoints", |arguments| {
        let title = "Kills of checkpoint and restore";
        match kills::without_criu(arguments) {
            Some(why) => not_here("checkpoints", title, &why),
            None => kills_of(title, arguments, Group::WithCriu),
        }
    }),
    ("engine-kills", |arguments| kills_of("Kills of the engine's commands", arguments, Group::Engine)),
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
    #[cfg(target_arch = "x86_64")]
    ("engine-limits", |arguments| limits::part_of_engine(arguments).part()),
    ("flips", |arguments| flips::part(arguments).part()),
    ("power", |arguments| power::part(arguments).part()),
    ("orphans", |arguments| orphans::part(arguments).part()),
    ("archives", |arguments| archives::part(arguments).part()),
    ("malformed", |arguments| malformed::part(arguments).part()),
];

fn kills_of(title: &str, arguments: &Arguments, group: Group) -> Part {
    let (swept, notes) = kills::all(arguments, group);
    of_kills(group.part(), title, &swept, &notes)
}

fn not_here(name: &'static str, title: &'static str, why: &str) -> Part {
    let figures = format!(
        "Not here: CRIU does not work on this kernel ({why}). `make torture-vm` has one where it does."
    );
    Section { figures, ..Section::new(name, title, &["program", "command"]) }.part()
}

/// The names of all, in the order of the report.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
