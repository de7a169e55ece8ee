//! The replays of the runtime for an ordinary user: the same attacks and controls, against the canary that is this user's own.

use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::replay::{Replay, tried};
use crate::replays;
use crate::report::Section;
use std::path::Path;

/// Rows that make no sense there.
const SKIPPED: &[(&str, &str)] = &[
    (
        "rt_08",
        "no mount of a user namespace gets out of it: the race cannot be seen; what it makes is in `races`",
    ),
    ("rt_09", "who is no root maps ranges of ids by newuidmap(1), which has bounds of its own"),
    ("rt_10", "an ordinary user has no list of devices: none but those that are bound can be opened"),
];

/// Attack, control, and the attack without its defence: what it does not do then is held by the kernel too.
pub fn part(arguments: &Arguments) -> Section {
    let mut rows = Vec::new();
    let (mut wrong, mut held, mut skipped) = (Vec::new(), 0, 0);
    let wanted = |replay: &&Replay| replay.row.starts_with("rt_") && arguments.wants(replay.row);
    for replay in replays::ALL.iter().copied().flatten().filter(wanted) {
        let mut cells = vec![replay.row.to_owned(), replay.what.to_owned()];
        if let Some((_, why)) = SKIPPED.iter().find(|(row, _)| *row == replay.row) {
            skipped += 1;
            cells.extend(["skipped", why, ""].map(str::to_owned));
            rows.push(cells);
            continue;
        }
        let on = |programs: &Path, mutant: Option<&str>, act: fn(&Ground)| {
            tried(|| act(&Ground::rootless(programs, mutant)))
        };
        let attack = on(&arguments.programs, None, replay.attack);
        let control = on(&arguments.programs, None, replay.control);
        let mutant = format!("mutant_{}", replay.row);
        let without = match &arguments.mutants {
            None => "not built",
            Some(programs) if on(programs, Some(&mutant), replay.attack).is_some() => "caught",
            Some(_) => {
                held += 1;
                "held by something else"
            }
        };
        let row = replay.row;
        wrong.extend(attack.iter().map(|words| format!("{row}: the attack succeeds: {words}")));
        wrong.extend(control.iter().map(|words| format!("{row}: the control fails: {words}")));
        cells.push(attack.map_or_else(|| "fails".to_owned(), |words| format!("**succeeds**: {words}")));
        cells.push(control.map_or_else(|| "works".to_owned(), |words| format!("**fails**: {words}")));
        cells.push(without.to_owned());
        rows.push(cells);
    }
    let note = format!(
        "{} rows, of which {skipped} are skipped; {held} attacks fail without their own defence too.",
        rows.len()
    );
    Section {
        name: "rootless",
        title: "The same as an ordinary user",
        columns: &["row", "what is tried", "attack", "control", "without the defence"],
        rows,
        figures: note,
        notes: Vec::new(),
        wrong,
    }
}
