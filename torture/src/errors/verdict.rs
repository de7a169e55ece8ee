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
    /// Where it never ended.
    pub hung: Vec<String>,
    /// Where it ended without a word.
    pub panicked: Vec<String>,
    /// Where something stayed.
    pub left: Vec<String>,
    /// Where it said what is not so.
    pub wrong: Vec<String>,
}

impl Swept {
    /// Its row.
    pub fn row(&self, command: &str) -> Vec<String> {
        let lists = [&self.hung, &self.panicked, &self.left, &self.wrong].map(Vec::len);
        let numbers = [self.calls, self.injections, self.succeeded, self.refused, self.unnamed];
        let numbers = numbers.iter().map(u64::to_string).chain(lists.iter().map(usize::to_string));
        std::iter::once(command.to_owned()).chain(numbers).collect()
    }

    /// All that is not as it must be.
    pub fn findings(&self) -> impl Iterator<Item = String> {
        let kinds = [
            ("hung", &self.hung),
            ("panicked", &self.panicked),
            ("left", &self.left),
            ("wrong", &self.wrong),
        ];
        kinds.into_iter().flat_map(|(kind, list)| list.iter().map(move |one| format!("{kind}: {one}")))
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
        swept.hung.push(told("never ended"));
    } else if says_panic || by_signal {
        swept.panicked.push(told("panicked"));
    } else if injected.code == 0 {
        swept.succeeded += 1;
        if let Err(why) = subject.has_succeeded(injected) {
            swept.wrong.push(told(&why));
        }
    } else {
        swept.refused += 1;
        if subject.lines_of_error(&injected.stderr) != 1 {
            swept.wrong.push(told("not one line"));
        }
        let named = errno.is_none_or(|errno| injected.stderr.contains(&format!("{errno:?}")));
        swept.unnamed += u64::from(!named);
        if let Err(why) = subject.has_failed(injected) {
            swept.wrong.push(told(&why));
        }
    }
}
