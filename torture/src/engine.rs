//! Published escapes of engines, of their images, registries and networks: each replayed against the program as root and as an ordinary
//! user, each with something like it that has to work, and with the build that leaves the one defence out.

mod archive;
mod foreign_call;
mod ground;
mod outside;
mod registry;
mod rows;

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use ground::Ground;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Who the engine is when it is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Root of the host.
    Root,
    /// An ordinary user of it.
    Ordinary,
}

/// As whom most is replayed.
pub const BOTH: &[User] = &[User::Root, User::Ordinary];
/// What an ordinary user has not, or has by another way.
pub const ROOT: &[User] = &[User::Root];
/// What root has not.
pub const ORDINARY: &[User] = &[User::Ordinary];

/// One row.
pub struct Replay {
    /// Its row: `im_02`.
    pub row: &'static str,
    /// What is tried, for people.
    pub what: &'static str,
    /// As whom.
    pub users: &'static [User],
    /// The feature that takes its defence out; none where there is no one step to leave out.
    pub mutant: Option<&'static str>,
    /// The attack: it panics when it gets through.
    pub attack: fn(&Ground),
    /// What looks like it and has to work: it panics when it does not.
    pub control: fn(&Ground),
}

/// What came of a row, as one user.
#[derive(Default)]
struct Told {
    attack: Option<String>,
    control: Option<String>,
    /// What the attack did without the defence: nothing where it was not tried.
    mutant: Option<Result<(), String>>,
}

impl Told {
    /// What is not as it must be.
    fn wrong(&self) -> Option<String> {
        let said = |what: &str, words: Option<&String>| words.map(|words| format!("{what}: {words}"));
        let mutant = self.mutant.as_ref().and_then(|mutant| mutant.as_ref().err());
        said("the attack succeeds", self.attack.as_ref())
            .or_else(|| said("the control fails", self.control.as_ref()))
            .or_else(|| said("without the defence", mutant))
    }
}

fn told(replay: &Replay, user: User, arguments: &Arguments) -> Told {
    let on = |programs: &Path, mutant: Option<&str>, act: fn(&Ground)| {
        tried(|| act(&Ground::new(programs, user, mutant)))
    };
    let mutant = arguments.mutants.as_deref().zip(replay.mutant);
    // The step that is left out is the same for both.
    let mutant = mutant.filter(|_| replay.users.first() == Some(&user));
    Told {
        attack: on(&arguments.programs, None, replay.attack),
        control: on(&arguments.programs, None, replay.control),
        mutant: mutant.map(|(programs, mutant)| {
            let through = on(programs, Some(mutant), replay.attack);
            match (through, on(programs, Some(mutant), replay.control)) {
                (None, _) => Err("**not caught**".to_owned()),
                (Some(_), Some(words)) => Err(format!("caught; control fails: {words}")),
                (Some(_), None) => Ok(()),
            }
        }),
    }
}

/// All that is asked for, several at a time.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn part(arguments: &Arguments) -> Section {
    let rows: Vec<&Replay> =
        rows::ALL.iter().copied().flatten().filter(|one| arguments.wants(one.row)).collect();
    let work: Vec<(usize, User)> = rows
        .iter()
        .enumerate()
        .flat_map(|(index, row)| {
            // In minutes, every third row has its second user too.
            let users = if arguments.quick && index % 3 > 0 { 1 } else { row.users.len() };
            row.users.iter().take(users).map(move |user| (index, *user))
        })
        .collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let turns = || {
        while let Some((index, user)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let replay = rows[*index];
            let told = told(replay, *user, arguments);
            eprintln!(
                "{} {} {user:?}: {}",
                if told.wrong().is_none() { "ok " } else { "RED" },
                replay.row,
                replay.what
            );
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((*index, *user, told));
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(4);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(turns))));
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    section(&rows, &done)
}

fn section(rows: &[&Replay], done: &[(usize, User, Told)]) -> Section {
    let count = |fits: &dyn Fn(&Told) -> bool| done.iter().filter(|(_, _, told)| fits(told)).count();
    let without = rows.iter().filter(|row| row.mutant.is_none()).count();
    let figures = format!(
        "{} replays, {} succeed; {} of {} mutants caught; {} of {} controls pass. {without} rows have no one step to leave out: what \
         holds is how the program is made, or the kernel.",
        done.len(),
        count(&|told| told.attack.is_some()),
        count(&|told| told.mutant == Some(Ok(()))),
        count(&|told| told.mutant.is_some()),
        count(&|told| told.control.is_none()),
        done.len(),
    );
    let cells = |(index, row): (usize, &&Replay)| {
        let of = |user: User| done.iter().find(|(of, as_whom, _)| (*of, *as_whom) == (index, user));
        let shown = |user: User| match of(user).map(|(_, _, told)| told) {
            None => String::new(),
            Some(Told { attack: Some(words), .. }) => format!("**succeeds**: {}", short(words)),
            Some(Told { control: Some(words), .. }) => format!("**control fails**: {}", short(words)),
            Some(_) => "fails".to_owned(),
        };
        let mutants =
            || BOTH.iter().filter_map(|user| of(*user)).filter_map(|(_, _, told)| told.mutant.as_ref());
        let mutant = match (row.mutant, mutants().find_map(|one| one.as_ref().err())) {
            (None, _) => "no one step".to_owned(),
            (Some(_), Some(words)) => short(words),
            (Some(_), None) if mutants().next().is_some() => "caught".to_owned(),
            (Some(_), None) => "not built".to_owned(),
        };
        vec![row.row.to_owned(), row.what.to_owned(), shown(User::Root), shown(User::Ordinary), mutant]
    };
    Section {
        name: "engine",
        title: "Published escapes: images, registries, engine, networks",
        columns: &["row", "what is tried", "as root", "as a user", "without the defence"],
        rows: rows.iter().enumerate().map(cells).collect(),
        figures,
        notes: Vec::new(),
        wrong: done
            .iter()
            .filter_map(|(index, user, told)| {
                Some(format!("{} {user:?}: {}", rows[*index].row, told.wrong()?))
            })
            .collect(),
    }
}

fn short(words: &str) -> String {
    words.lines().take(5).collect::<Vec<_>>().join(" ").chars().take(600).collect()
}
