//! Rules as a BPF program: by architecture, then by a binary search over ranges of numbers that have one answer each.

use crate::Instruction;
use crate::action::{KILL_THREAD, NO_SUCH_CALL};
use crate::architecture::{Architecture, X32_BIT};
use crate::rule::{Condition, Rule};
use oci_spec::runtime::LinuxSeccompOperator as Operator;
use std::collections::BTreeMap;

// Codes (include/uapi/linux/bpf_common.h).
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

// Places in struct seccomp_data (include/uapi/linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What is answered to a range of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer<'a> {
    Always(u32),
    /// The first of them that holds, or the default.
    Depends(Vec<&'a Rule<'a>>),
}

/// A range of numbers, from here to where the next one begins.
struct Range<'a> {
    first: u32,
    answer: Answer<'a>,
}

/// The program.
pub(crate) fn program(
    architectures: &[Architecture],
    rules: &[Rule<'_>],
    default: u32,
    enosys: bool,
) -> Vec<Instruction> {
    let socketcall = multiplexed(rules);
    let mut sections: Vec<(u32, Vec<Instruction>)> = Vec::new();
    for one in architectures.iter().filter(|one| **one != Architecture::X32) {
        let both = *one == Architecture::X86_64 && architectures.contains(&Architecture::X32);
        let rules = if *one == Architecture::X86 { &socketcall } else { rules };
        let ranges = ranges(*one, both, rules, default, enosys);
        let mut section = vec![(LOAD, 0, 0, NUMBER)];
        section.extend(search(&ranges, *one, default));
        sections.push((one.token(), section));
    }
    let mut all = vec![(LOAD, 0, 0, ARCHITECTURE)];
    for (token, section) in sections {
        all.push((JUMP_EQUAL, 1, 0, token));
        all.push((JUMP, 0, 0, section.len() as u32));
        all.extend(section);
    }
    // Of an architecture that nobody has thought of.
    all.push((RETURN, 0, 0, KILL_THREAD));
    all
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

/// The rules, and those for the numbers that several calls share.
fn multiplexed<'a>(rules: &[Rule<'a>]) -> Vec<Rule<'a>> {
    let mut all = rules.to_vec();
    for rule in rules {
        for (shared, calls) in [("socketcall", &SOCKETS[..]), ("ipc", &IPC[..])] {
            let Some((_, which)) = calls.iter().find(|(name, _)| *name == rule.name) else { continue };
            let mut conditions: Vec<Condition> =
                rule.conditions.iter().filter(|one| one.index != 0).copied().collect();
            conditions
                .insert(0, Condition { index: 0, operator: Operator::ScmpCmpEq, value: *which, masked: 0 });
            all.push(Rule { name: shared, conditions, answer: rule.answer });
        }
    }
    all
}

fn ranges<'a>(
    architecture: Architecture,
    with_x32: bool,
    rules: &'a [Rule<'a>],
    default: u32,
    enosys: bool,
) -> Vec<Range<'a>> {
    let mut by_number: BTreeMap<u32, Vec<&Rule<'_>>> = BTreeMap::new();
    let mut newest = BTreeMap::new();
    let halves: &[Architecture] =
        if with_x32 { &[Architecture::X86_64, Architecture::X32] } else { &[architecture] };
    for half in halves {
        for rule in rules {
            let Some(number) = half.number(rule.name) else { continue };
            by_number.entry(number).or_default().push(rule);
            let newest = newest.entry(*half == Architecture::X32).or_insert(0);
            *newest = number.max(*newest);
        }
    }
    let mut all: Vec<Range<'_>> = Vec::new();
    let mut put = |first: u32, answer: Answer<'a>| match all.last_mut() {
        Some(last) if last.answer == answer => {}
        Some(last) if last.first == first => last.answer = answer,
        _ => all.push(Range { first, answer }),
    };
    let x86_64 = architecture == Architecture::X86_64;
    put(0, Answer::Always(default));
    let newer = |half: bool| newest.get(&half).filter(|_| enosys).map(|number| number + 1);
    let mut borders: Vec<(u32, Answer<'_>)> = Vec::new();
    for (number, rules) in by_number {
        borders.push((number, answer(rules)));
        borders.push((number.wrapping_add(1), Answer::Always(default)));
    }
    borders.extend(newer(false).map(|number| (number, Answer::Always(NO_SUCH_CALL))));
    if x86_64 {
        let of_x32 = if with_x32 { default } else { KILL_THREAD };
        borders.push((X32_BIT, Answer::Always(of_x32)));
        if with_x32 {
            borders.extend(newer(true).map(|number| (number, Answer::Always(NO_SUCH_CALL))));
        }
    }
    if x86_64 {
        // How a tracer says that a call is to be passed over: no call of x32.
        borders.push((u32::MAX, Answer::Always(default)));
    }
    // Later ones of the same number win: a call before what follows the one before it.
    borders
        .sort_by_key(|(first, answer)| (*first, !matches!(answer, Answer::Always(code) if *code == default)));
    for (first, answer) in borders {
        put(first, answer);
    }
    all
}

/// A rule without conditions leaves nothing to those beside it.
fn answer<'a>(rules: Vec<&'a Rule<'a>>) -> Answer<'a> {
    match rules.iter().find(|rule| rule.conditions.is_empty()) {
        Some(rule) => Answer::Always(rule.answer),
        None => Answer::Depends(rules),
    }
}

/// Halves the ranges until one is left. The number is in the accumulator.
fn search(ranges: &[Range<'_>], architecture: Architecture, default: u32) -> Vec<Instruction> {
    match ranges {
        [] => vec![(RETURN, 0, 0, default)],
        [one] => match &one.answer {
            Answer::Always(code) => vec![(RETURN, 0, 0, *code)],
            // Calls of x32 are compared as libseccomp does: like those of any 32 bits.
            Answer::Depends(rules) if one.first & X32_BIT != 0 => depends(rules, Architecture::X32, default),
            Answer::Depends(rules) => depends(rules, architecture, default),
        },
        more => {
            let (low, high) = more.split_at(more.len() / 2);
            let lower = search(low, architecture, default);
            let mut all = Vec::new();
            match u8::try_from(lower.len()) {
                Ok(far) => all.push((JUMP_GREATER_OR_EQUAL, far, 0, high[0].first)),
                Err(_) => {
                    all.push((JUMP_GREATER_OR_EQUAL, 0, 1, high[0].first));
                    all.push((JUMP, 0, 0, lower.len() as u32));
                }
            }
            all.extend(lower);
            all.extend(search(high, architecture, default));
            all
        }
    }
}

/// Where a comparison goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// To the instruction behind it.
    Next,
    /// To the next condition, past the end of this one.
    Holds,
    /// To the next rule.
    Fails,
}

fn depends(rules: &[&Rule<'_>], architecture: Architecture, default: u32) -> Vec<Instruction> {
    let mut all = Vec::new();
    for rule in rules {
        all.extend(one_rule(rule, architecture));
    }
    all.push((RETURN, 0, 0, default));
    all
}

fn one_rule(rule: &Rule<'_>, architecture: Architecture) -> Vec<Instruction> {
    let conditions: Vec<Vec<(u16, To, To, u32)>> =
        rule.conditions.iter().map(|one| compare(one, architecture)).collect();
    let length: usize = conditions.iter().map(Vec::len).sum();
    let mut all = Vec::new();
    let mut end = 0;
    for condition in conditions {
        end += condition.len();
        for (code, yes, no, operand) in condition {
            let at = all.len() + 1;
            // A rule has six conditions of at most six instructions: never further than 37.
            let far = |to: To| match to {
                To::Next => 0,
                To::Holds => (end - at) as u8,
                To::Fails => (length + 1 - at) as u8,
            };
            all.push((code, far(yes), far(no), operand));
        }
    }
    all.push((RETURN, 0, 0, rule.answer));
    all
}

/// One comparison of 64 bits by halves; where arguments have 32, of the lower one alone.
fn compare(condition: &Condition, architecture: Architecture) -> Vec<(u16, To, To, u32)> {
    use To::{Fails, Holds, Next};
    let halves = |number: u64| ((number >> 32) as u32, number as u32);
    let place = ARGUMENTS + 8 * condition.index as u32;
    // Both architectures are little-endian: the lower half comes first.
    let low = (LOAD, Next, Next, place);
    let high = (LOAD, Next, Next, place + 4);
    let (above, below) = halves(condition.value);
    let wide = architecture.is_wide();
    let mut all = Vec::new();
    // What the upper half decides alone: larger, and not equal.
    let (greater, differs) = match condition.operator {
        Operator::ScmpCmpEq => (Fails, Fails),
        Operator::ScmpCmpNe => (Holds, Holds),
        Operator::ScmpCmpGt | Operator::ScmpCmpGe => (Holds, Fails),
        Operator::ScmpCmpLt | Operator::ScmpCmpLe => (Fails, Holds),
        Operator::ScmpCmpMaskedEq => {
            let (mask_above, mask_below) = halves(condition.value);
            let (wanted_above, wanted_below) = halves(condition.masked);
            if wide {
                all.extend([high, (AND, Next, Next, mask_above), (JUMP_EQUAL, Next, Fails, wanted_above)]);
            }
            all.extend([low, (AND, Next, Next, mask_below), (JUMP_EQUAL, Next, Fails, wanted_below)]);
            return all;
        }
    };
    if wide {
        all.push(high);
        if !matches!(condition.operator, Operator::ScmpCmpEq | Operator::ScmpCmpNe) {
            all.push((JUMP_GREATER, greater, Next, above));
        }
        all.push((JUMP_EQUAL, Next, differs, above));
    }
    all.push(low);
    all.push(match condition.operator {
        Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq => (JUMP_EQUAL, Next, Fails, below),
        Operator::ScmpCmpNe => (JUMP_EQUAL, Fails, Next, below),
        Operator::ScmpCmpGt => (JUMP_GREATER, Next, Fails, below),
        Operator::ScmpCmpGe => (JUMP_GREATER_OR_EQUAL, Next, Fails, below),
        Operator::ScmpCmpLt => (JUMP_GREATER_OR_EQUAL, Fails, Next, below),
        Operator::ScmpCmpLe => (JUMP_GREATER, Fails, Next, below),
    });
    all
}
