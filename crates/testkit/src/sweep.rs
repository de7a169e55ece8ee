//! A sweep: one command that is killed at its stops, one after the other, and what each kill has left after the next command.

use crate::stop_killer::{Traced, Victim, When};
use std::time::{Duration, Instant};

/// Which kills of a command are made: each victim at each moment, or so many from its first moment to its last, or, of more than that, of all
/// stops; and of these every so-many-th, so that several hosts can share them.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// At most so many.
    pub most: Option<u64>,
    /// The first that is made.
    pub first: u64,
    /// How far it is to the next.
    pub step: usize,
}

impl Share {
    /// All of so many.
    pub fn whole(most: Option<u64>) -> Self {
        Self { most, first: 0, step: 1 }
    }

    /// When who is killed: with all kills each victim each time, with fewer the victims take turns at early and at late times.
    pub fn kills(self, traced: &Traced) -> impl Iterator<Item = (When, Victim)> + use<> {
        let at_each_moment = traced.moments * victims();
        let (times, when): (u64, fn(u64) -> When) = match self.most {
            Some(most) if most > at_each_moment => (traced.stops, When::Stop),
            _ => (traced.moments, When::Moment),
        };
        let kills = self.most.unwrap_or(at_each_moment).min(times * victims());
        let turn = move |turn| {
            (
                when(1 + turn * times / kills.max(1)),
                Victim::ALL[usize::try_from(turn % victims()).unwrap_or(0)],
            )
        };
        (self.first..kills).step_by(self.step).map(turn)
    }
}

fn victims() -> u64 {
    Victim::ALL.len() as u64
}

/// One run of the command.
#[derive(Debug)]
pub struct Turn {
    /// How it went.
    pub traced: Traced,
    /// What was left after the one command that has to clean up; empty where nothing was.
    pub left: String,
    /// Whether the names that it had can be had again.
    pub usable: bool,
}

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many stops the command has.
    pub stops: u64,
    /// How many of them are moments.
    pub moments: u64,
    /// How often it was run to be killed.
    pub turns: u64,
    /// How many of them met somebody.
    pub kills: u64,
    /// Where it never ended.
    pub hung: Vec<String>,
    /// What was left, and where it was killed.
    pub left: Vec<(String, String)>,
    /// Where its names could not be used again.
    pub unusable: Vec<String>,
    /// How long the turns took.
    pub spent: Duration,
}

impl Tally {
    /// Whether nothing was left anywhere.
    pub fn is_fine(&self) -> bool {
        self.hung.is_empty() && self.left.is_empty() && self.unusable.is_empty()
    }

    /// Takes in what another host has found of the same command.
    pub fn add(&mut self, other: Self) {
        self.stops = self.stops.max(other.stops);
        self.moments = self.moments.max(other.moments);
        self.turns += other.turns;
        self.kills += other.kills;
        self.hung.extend(other.hung);
        self.left.extend(other.left);
        self.unusable.extend(other.unusable);
        self.spent += other.spent;
    }

    /// How long each victim at each moment would take, one after the other; nothing where no kill was made that could be timed.
    pub fn full_form(&self) -> Option<(u64, Duration)> {
        let kills = self.moments * victims();
        let seconds = self.spent.as_secs_f64() / self.turns as f64;
        (self.turns > 0).then(|| (kills, Duration::from_secs_f64(seconds * kills as f64)))
    }

    fn note(&mut self, turn: Turn, at: &str) {
        if turn.traced.hung {
            self.hung.push(at.to_owned());
        }
        if !turn.left.is_empty() {
            self.left.push((turn.left, at.to_owned()));
        }
        if !turn.usable {
            self.unusable.push(at.to_owned());
        }
    }
}

/// Counts the stops of a command with `once(None)`, then has it killed whenever the share says. What is found goes to the tally at
/// once: should a turn panic, the rest is told. Returns false where the command does not even work when nobody is killed.
pub fn sweep(tally: &mut Tally, share: Share, mut once: impl FnMut(Option<(When, Victim)>) -> Turn) -> bool {
    let whole = once(None);
    let traced = whole.traced;
    (tally.stops, tally.moments) = (traced.stops, traced.moments);
    tally.note(whole, "its end");
    if traced.code != 0 {
        return false;
    }
    let begun = Instant::now();
    for (when, victim) in share.kills(&traced) {
        let turn = once(Some((when, victim)));
        tally.turns += 1;
        tally.kills += u64::from(turn.traced.killed);
        tally.note(turn, &format!("{victim:?} at {when}"));
        tally.spent = begun.elapsed();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn traced(stops: u64, moments: u64) -> Traced {
        Traced { stops, moments, killed: false, code: 0, hung: false }
    }

    #[test]
    fn a_share_is_what_it_says() {
        let kills = |most, stops, moments| -> Vec<(When, Victim)> {
            Share::whole(most).kills(&traced(stops, moments)).collect()
        };
        let all = kills(None, 20, 5);
        assert_eq!(all.len(), 15);
        assert!(
            (1..=5).all(|at| Victim::ALL.iter().all(|victim| all.contains(&(When::Moment(at), *victim))))
        );
        let every = kills(Some(1000), 20, 5);
        assert_eq!(every.len(), 60);
        assert!(
            (1..=20).all(|at| Victim::ALL.iter().all(|victim| every.contains(&(When::Stop(at), *victim))))
        );
        let few = kills(Some(12), 5000, 1000);
        assert_eq!((few.len(), few[0]), (12, (When::Moment(1), Victim::Parent)));
        assert!(few[11].0 > When::Moment(900) && few[11].0 <= When::Moment(1000));
        let victims: BTreeSet<u8> = few[..3].iter().map(|(_, victim)| *victim as u8).collect();
        assert_eq!(victims.len(), 3);
        let mut shared: Vec<_> = (0..4)
            .flat_map(|first| Share { most: None, first, step: 4 }.kills(&traced(20, 5)))
            .map(|(when, victim)| (when, victim as u8))
            .collect();
        shared.sort_unstable();
        let mut all: Vec<_> = all.into_iter().map(|(when, victim)| (when, victim as u8)).collect();
        all.sort_unstable();
        assert_eq!(shared, all);
        assert!(kills(None, 0, 0).is_empty());
    }

    #[test]
    fn what_is_found_is_counted() {
        let turn = |at: Option<(When, Victim)>, code| Turn {
            traced: Traced {
                killed: at.is_some(),
                code,
                hung: at.is_some_and(|(when, _)| when == When::Moment(2)),
                ..traced(10, 4)
            },
            left: if at.is_some_and(|(when, _)| when == When::Moment(3)) {
                "a file".to_owned()
            } else {
                String::new()
            },
            usable: at != Some((When::Moment(4), Victim::Both)),
        };
        let mut tally = Tally::default();
        assert!(sweep(&mut tally, Share::whole(None), |at| turn(at, 0)));
        assert_eq!((tally.stops, tally.moments, tally.turns, tally.kills), (10, 4, 12, 12));
        assert_eq!((tally.hung.len(), tally.left.len(), tally.unusable.len()), (3, 3, 1));
        assert_eq!(tally.full_form().map(|(kills, _)| kills), Some(12));
        assert!(!tally.is_fine());
        let mut none = Tally::default();
        assert!(!sweep(&mut none, Share::whole(None), |at| turn(at, 1)));
        assert_eq!((none.stops, none.turns), (10, 0));
    }
}
