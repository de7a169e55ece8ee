//! Options of a command that are made when that command was typed: to make those of all commands takes longer than most of them run.

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether all of them are made at once.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// From now on all options are made at once: for whoever looks through all commands, as completion and the man pages do.
pub fn make_all_at_once() {
    AT_ONCE.store(true, Ordering::Relaxed);
}

/// The arguments of one command.
#[derive(Debug, Clone)]
pub struct Deferred<T>(T);

impl<T> Deref for Deferred<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: Command) -> Command {
        if AT_ONCE.load(Ordering::Relaxed) { T::augment_args(command) } else { command.defer(make::<T>) }
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }
}

/// What was said of the command in the list of commands goes on to hold.
fn make<T: Args>(command: Command) -> Command {
    let said = (command.get_about().cloned(), command.get_long_about().cloned());
    let made = T::augment_args(command);
    match said {
        (None, _) => made,
        (Some(about), None) => made.about(about).long_about(Resettable::Reset),
        (Some(about), Some(long)) => made.about(about).long_about(long),
    }
}
