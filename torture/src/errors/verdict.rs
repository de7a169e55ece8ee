//! What came of a command that met an error, and what is to be said of that.

use super::Subject;
use testkit::injector::{Errno, Injected};

/// Words of what ends without an error being told.
const PANICS: [&str; 4] = ["panicked", "RUST_BACKTRACE", "stack overflow", "memory allocation of"];

/// What came of one command, again and again.
#[derive(Default)]
pub struct Swept {
    /// How many calls it has.
    pub calls: u64,
    /// How often it met an error.
    pub injections: u64,
    /// How often it did its work all the same.
    pub succeeded: u64,
    /// How often it said what failed.
    pub refused: u64,
    /// How often it said something else than the error: what was heard is the end of somebody else.
    pub unnamed: u64,
    /// All that is not as it must be, in the order in which it was found.
    pub found: Vec<(What, String)>,
}

/// What is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It never ended.
    Hung,
    /// It ended without a word.
    Panicked,
    /// Something stayed.
    Left,
    /// It said what is not so.
    Wrong,
}

impl Swept {
    /// Its row.
    pub fn row(&self, command: &str) -> Vec<String> {
        let kinds = [What::Hung, What::Panicked, What::Left, What::Wrong];
        let counts = kinds.map(|kind| self.found.iter().filter(|(what, _)| *what == kind).count());
        let numbers = [self.calls, self.injections, self.succeeded, self.refused, self.unnamed];
        let numbers = numbers.iter().map(u64::to_string).chain(counts.iter().map(usize::to_string));
        std::iter::once(command.to_owned()).chain(numbers).collect()
    }

    /// Takes in what another host has found of the same command.
    pub fn add(&mut self, other: Self) {
        self.calls = self.calls.max(other.calls);
        self.injections += other.injections;
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        self.unnamed += other.unnamed;
        self.found.extend(other.found);
    }

    /// Takes in what was found.
    pub fn find(&mut self, what: What, text: String) {
        self.found.push((what, text));
    }

    /// All that is not as it must be, for people.
    pub fn findings(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|(what, text)| format!("{what:?}: {text}"))
    }
}

/// Looks at one command that has met an error, of these or others; `told` is the finding for a reason.
pub fn judge(
    swept: &mut Swept,
    subject: &dyn Subject,
    injected: &Injected,
    errno: Option<Errno>,
    told: &dyn Fn(&str) -> String,
) {
    let says_panic = PANICS.iter().any(|word| injected.stderr.contains(word));
    // What exec(8) takes for its own failures is 255.
    let by_signal = (129..=192).contains(&injected.code);
    if injected.hung {
        swept.find(What::Hung, told("never ended"));
    } else if says_panic || by_signal {
        swept.find(What::Panicked, told("panicked"));
    } else if injected.code == 0 {
        swept.succeeded += 1;
        if let Err(why) = subject.has_succeeded(injected) {
            swept.find(What::Wrong, told(&why));
        }
    } else {
        swept.refused += 1;
        if subject.lines_of_error(&injected.stderr) != 1 {
            swept.find(What::Wrong, told("not one line"));
        }
        let named = errno.is_none_or(|errno| injected.stderr.contains(&format!("{errno:?}")));
        swept.unnamed += u64::from(!named);
        if let Err(why) = subject.has_failed(injected) {
            swept.find(What::Wrong, told(&why));
        }
    }
}
