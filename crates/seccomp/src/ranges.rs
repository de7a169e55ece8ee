//! Rules as ranges of numbers that have one answer each, for one architecture.

use crate::action::{KILL_THREAD, NO_SUCH_CALL};
use crate::architecture::{Architecture, X32_BIT};
use crate::rule::{Condition, Rule};
use crate::tables::{CALLS, Call};
use oci_spec::runtime::LinuxSeccompOperator as Operator;

/// What is answered to a range of calls.
#[derive(Debug, Clone)]
pub(crate) enum Answer<'a> {
    Always(u32),
    /// The first of them that holds, or the default.
    Depends(Vec<&'a Rule>),
}

impl Answer<'_> {
    /// Whether the two cannot be told apart.
    pub(crate) fn is(&self, other: &Answer<'_>) -> bool {
        match (self, other) {
            (Answer::Always(one), Answer::Always(other)) => one == other,
            (Answer::Depends(some), Answer::Depends(others)) => {
                some.len() == others.len() && some.iter().zip(others).all(|(one, other)| one.says(other))
            }
            _ => false,
        }
    }
}

/// A range of numbers, from here to where the next one begins.
#[derive(Debug)]
pub(crate) struct Range<'a> {
    pub(crate) first: u32,
    pub(crate) answer: Answer<'a>,
}

/// What is the same for all architectures of a profile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beyond {
    /// The answer to what no rule is about.
    pub(crate) default: u32,
    /// Whether calls above all that have rules are answered with ENOSYS.
    pub(crate) enosys: bool,
}

/// All numbers of an architecture, x86_64 with those of x32.
pub(crate) fn ranges<'a>(
    architecture: Architecture,
    with_x32: bool,
    rules: impl Iterator<Item = &'a Rule> + Clone,
    beyond: Beyond,
) -> Vec<Range<'a>> {
    let mut all = Vec::with_capacity(2 * rules.size_hint().0);
    put_half(&mut all, 0, numbered(architecture, rules.clone()), beyond);
    if architecture == Architecture::X86_64 {
        if with_x32 {
            put_half(&mut all, X32_BIT, numbered(Architecture::X32, rules), beyond);
        } else {
            put(&mut all, X32_BIT, Answer::Always(KILL_THREAD));
        }
        // How a tracer says that a call is to be passed over: no call of x32.
        put(&mut all, u32::MAX, Answer::Always(beyond.default));
    }
    all
}

/// The rules of an architecture by number, and in their order.
fn numbered<'a>(architecture: Architecture, rules: impl Iterator<Item = &'a Rule>) -> Vec<(u32, &'a Rule)> {
    let mut all = Vec::with_capacity(rules.size_hint().0);
    all.extend(rules.filter_map(|rule| rule.call.number(architecture).map(|number| (number, rule))));
    all.sort_by_key(|(number, _)| *number);
    all
}

/// The numbers from `first` on.
fn put_half<'a>(all: &mut Vec<Range<'a>>, first: u32, rules: Vec<(u32, &'a Rule)>, beyond: Beyond) {
    put(all, first, Answer::Always(beyond.default));
    for same in rules.chunk_by(|(one, _), (other, _)| one == other) {
        let number = same[0].0;
        put(all, number, answer(same));
        put(all, number + 1, Answer::Always(beyond.default));
    }
    if let Some((newest, _)) = rules.last().filter(|_| beyond.enosys) {
        put(all, newest + 1, Answer::Always(NO_SUCH_CALL));
    }
}

/// From `first` on, in the place of what was put there.
fn put<'a>(all: &mut Vec<Range<'a>>, first: u32, answer: Answer<'a>) {
    all.pop_if(|last| last.first == first);
    if !all.last().is_some_and(|last| last.answer.is(&answer)) {
        all.push(Range { first, answer });
    }
}

/// A rule without conditions leaves nothing to those beside it.
fn answer<'a>(rules: &[(u32, &'a Rule)]) -> Answer<'a> {
    match rules.iter().find(|(_, rule)| rule.conditions.is_empty()) {
        Some((_, rule)) => Answer::Always(rule.answer),
        None => Answer::Depends(rules.iter().map(|(_, rule)| *rule).collect()),
    }
}

/// Calls of x86 that share one number there, with what tells them apart in its first argument: sockets and System V IPC
/// (socketcall(2), ipc(2)). They can be called either way.
const SOCKETS: [(&str, u64); 20] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];
const IPC: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// The rules of x86 for the numbers that several calls share.
pub(crate) fn multiplexed(rules: &[Rule]) -> Vec<Rule> {
    let mut shared: [Option<(Call, u64)>; CALLS.len()] = [None; CALLS.len()];
    for (name, calls) in [("socketcall", &SOCKETS[..]), ("ipc", &IPC[..])] {
        for (one, which) in calls {
            if let (Some(number), Some(one)) = (Call::named(name), Call::named(one)) {
                shared[one.index()] = Some((number, *which));
            }
        }
    }
    let mut all = Vec::new();
    for rule in rules {
        let Some((call, value)) = shared[rule.call.index()] else { continue };
        let which = Condition { index: 0, operator: Operator::ScmpCmpEq, value, masked: 0 };
        let others = rule.conditions.iter().filter(|one| one.index != 0).copied();
        let conditions = std::iter::once(which).chain(others).collect();
        all.push(Rule { call, conditions, answer: rule.answer });
    }
    all
}
