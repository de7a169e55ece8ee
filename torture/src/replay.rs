//! A replay: an attack that has to fail, its control that has to work, and the build in which the attack gets through.

use crate::arguments::Arguments;
use crate::ground::Ground;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// One row.
pub struct Replay {
    /// Its row: `rt_07`; the feature that takes its defence out is `mutant_rt_07`.
    pub row: &'static str,
    /// What is tried, for people.
    pub what: &'static str,
    /// The attack: it panics when it gets through.
    pub attack: fn(&Ground),
    /// What looks like it and has to work: it panics when it does not.
    pub control: fn(&Ground),
}

/// What came of a row.
pub struct Told {
    /// Its row.
    pub row: &'static str,
    /// What was tried.
    pub what: &'static str,
    /// Why the attack got through, if it did.
    pub attack: Option<String>,
    /// Why the control does not work, if it does not.
    pub control: Option<String>,
    /// What the attack did in the build without the defence: none where there is no such build, `Err` where it did not get through.
    pub mutant: Option<Result<String, ()>>,
    /// Why the control does not work there.
    pub mutant_control: Option<String>,
}

impl Told {
    /// What is not as it must be.
    pub fn wrong(&self) -> Option<String> {
        let said =
            |what: &str, words: &Option<String>| words.as_ref().map(|words| format!("{what}: {words}"));
        let missed = self.mutant.as_ref().is_some_and(Result::is_err);
        let missed = missed.then(|| "the attack fails without the defence too".to_owned());
        let wrong = said("the attack succeeds", &self.attack)
            .or_else(|| said("the control fails", &self.control))
            .or(missed)
            .or_else(|| said("the control fails without the defence", &self.mutant_control))?;
        Some(format!("{}: {wrong}", self.row))
    }
}

/// Replays all that is asked for. What an attack that gets through says has to have `caught_by` in it, to count as caught.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn all(arguments: &Arguments, rows: &[&[Replay]], caught_by: &str) -> Vec<Told> {
    let mut told = Vec::new();
    for replay in rows.iter().copied().flatten().filter(|replay| arguments.wants(replay.row)) {
        let on = |programs: &Path, mutant: Option<&str>, act: fn(&Ground)| {
            tried(|| act(&Ground::new(programs, mutant)))
        };
        let mutant = format!("mutant_{}", replay.row);
        let mutants = arguments.mutants.as_deref();
        let one = Told {
            row: replay.row,
            what: replay.what,
            attack: on(&arguments.programs, None, replay.attack),
            control: on(&arguments.programs, None, replay.control),
            mutant: mutants.map(|programs| {
                let said = on(programs, Some(&mutant), replay.attack);
                said.filter(|words| words.contains(caught_by)).ok_or(())
            }),
            mutant_control: mutants.and_then(|programs| on(programs, Some(&mutant), replay.control)),
        };
        eprintln!("{} {}: {}", if one.wrong().is_none() { "ok " } else { "RED" }, one.row, one.what);
        told.push(one);
    }
    told
}

/// Does something; the words of its panic, if that is how it ends.
pub fn tried(act: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(act)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}
