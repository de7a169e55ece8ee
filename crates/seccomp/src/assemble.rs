//! Ranges as a BPF program: by architecture, then by a binary search.
//!
//! The program is written from its end, since jumps only go forward: what one goes to is there already, and whoever comes to
//! the same end shares it. Short programs are what makes a container start: the kernel checks, translates and tries out each.

use crate::Instruction;
use crate::action::KILL_THREAD;
use crate::architecture::{Architecture, X32_BIT};
use crate::ranges::{Answer, Beyond, multiplexed, ranges};
use crate::rule::{Condition, Rule};
use oci_spec::runtime::LinuxSeccompOperator as Operator;

// Codes (include/uapi/linux/bpf_common.h).
pub(crate) const LOAD: u16 = 0x20;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const JUMP_EQUAL: u16 = 0x15;
pub(crate) const JUMP_GREATER: u16 = 0x25;
pub(crate) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(crate) const AND: u16 = 0x54;
pub(crate) const RETURN: u16 = 0x06;

// Places in struct seccomp_data (include/uapi/linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// How far a comparison jumps, and one less: of its two jumps, the second may put an instruction before the first.
const REACH: usize = 254;

/// The program.
pub(crate) fn program(architectures: &[Architecture], rules: &[Rule], beyond: Beyond) -> Vec<Instruction> {
    let shared = if architectures.contains(&Architecture::X86) { multiplexed(rules) } else { Vec::new() };
    let mut program = Assembly::default();
    // Of an architecture that nobody has thought of.
    let mut others = To::Answer(KILL_THREAD);
    for one in architectures.iter().rev().filter(|one| **one != Architecture::X32) {
        let with_x32 = *one == Architecture::X86_64 && architectures.contains(&Architecture::X32);
        let beside: &[Rule] = if *one == Architecture::X86 { &shared } else { &[] };
        let mut section = Vec::new();
        for range in ranges(*one, with_x32, rules.iter().chain(beside), beyond) {
            // Calls of x32 are compared as libseccomp does: like those of any 32 bits.
            let wide = one.is_wide() && range.first & X32_BIT == 0;
            section.push((range.first, program.answer(range.answer, wide, beyond.default)));
        }
        let mut section_begins = program.search(&section);
        if section.len() > 1 {
            section_begins = program.before(section_begins, (LOAD, NUMBER));
        }
        others = program.compare((JUMP_EQUAL, one.token()), section_begins, others);
    }
    program.before(others, (LOAD, ARCHITECTURE));
    program.reversed.reverse();
    program.reversed
}

/// Where a jump goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// To an instruction, the first one of so many to the end.
    At(usize),
    /// To any that returns this.
    Answer(u32),
}

#[derive(Default)]
struct Assembly<'a> {
    reversed: Vec<Instruction>,
    /// Where an answer was last returned.
    answers: Vec<(u32, usize)>,
    /// Where rules begin that there are already, and whether their arguments have 64 bits.
    rules: Vec<(Answer<'a>, bool, To)>,
}

impl<'a> Assembly<'a> {
    fn put(&mut self, instruction: Instruction) -> usize {
        self.reversed.push(instruction);
        self.reversed.len()
    }

    /// An instruction that is no further than `reach` from the one that is put next, and goes there.
    fn near(&mut self, to: To, reach: usize) -> usize {
        let here = self.reversed.len();
        match to {
            To::At(there) if here - there <= reach => there,
            To::At(there) => self.put((JUMP, 0, 0, (here - there) as u32)),
            To::Answer(code) => match self.answers.iter_mut().find(|(known, _)| *known == code) {
                Some((_, there)) if here - *there <= reach => *there,
                Some((_, there)) => {
                    *there = here + 1;
                    self.put((RETURN, 0, 0, code))
                }
                None => {
                    self.answers.push((code, here + 1));
                    self.put((RETURN, 0, 0, code))
                }
            },
        }
    }

    fn compare(&mut self, (code, operand): (u16, u32), yes: To, no: To) -> To {
        let yes = self.near(yes, REACH);
        let no = self.near(no, REACH);
        let here = self.reversed.len();
        To::At(self.put((code, (here - yes) as u8, (here - no) as u8, operand)))
    }

    /// What does not jump, before what follows it.
    fn before(&mut self, next: To, (code, operand): (u16, u32)) -> To {
        self.near(next, 0);
        To::At(self.put((code, 0, 0, operand)))
    }

    /// Halves the ranges until one is left. The number is in the accumulator.
    fn search(&mut self, ranges: &[(u32, To)]) -> To {
        match ranges {
            [(_, only)] => *only,
            more => {
                let (low, high) = more.split_at(more.len() / 2);
                let first = high[0].0;
                let high = self.search(high);
                let low = self.search(low);
                self.compare((JUMP_GREATER_OR_EQUAL, first), high, low)
            }
        }
    }

    fn answer(&mut self, answer: Answer<'a>, wide: bool, default: u32) -> To {
        let rules = match &answer {
            Answer::Always(code) => return To::Answer(*code),
            Answer::Depends(rules) => rules,
        };
        let known = self.rules.iter().find(|(known, width, _)| *width == wide && known.is(&answer));
        if let Some((_, _, begin)) = known {
            return *begin;
        }
        let mut begin = To::Answer(default);
        for alike in rules.chunk_by(|one, other| asks_the_same(one, other)).rev() {
            begin = match alike {
                [rule] => self.rule(rule, wide, begin),
                rules => self.one_of(rules, wide, begin),
            };
        }
        self.rules.push((answer, wide, begin));
        begin
    }

    fn rule(&mut self, rule: &Rule, wide: bool, fails: To) -> To {
        let answer = To::Answer(rule.answer);
        rule.conditions.iter().rev().fold(answer, |holds, one| self.condition(one, wide, holds, fails))
    }

    /// Rules that differ in the lower half of what one argument is to be: it is loaded once.
    fn one_of(&mut self, rules: &[&Rule], wide: bool, fails: To) -> To {
        let Condition { index, value, .. } = rules[0].conditions[0];
        let (high, low) = places(index);
        let mut begin = fails;
        for rule in rules.iter().rev() {
            let (_, below) = halves(rule.conditions[0].value);
            begin = self.compare((JUMP_EQUAL, below), To::Answer(rule.answer), begin);
        }
        begin = self.before(begin, low);
        if wide {
            begin = self.compare((JUMP_EQUAL, halves(value).0), begin, fails);
            begin = self.before(begin, high);
        }
        begin
    }

    /// One comparison of 64 bits by halves; where arguments have 32, of the lower one alone.
    fn condition(&mut self, condition: &Condition, wide: bool, holds: To, fails: To) -> To {
        let (high, low) = places(condition.index);
        let (above, below) = halves(condition.value);
        if condition.operator == Operator::ScmpCmpMaskedEq {
            let (wanted_above, wanted_below) = halves(condition.masked);
            let parts = [(low, below, wanted_below), (high, above, wanted_above)];
            let mut begin = holds;
            for (load, mask, wanted) in parts.into_iter().take(if wide { 2 } else { 1 }) {
                // Of nothing, nothing is left.
                if mask != 0 {
                    begin = self.compare((JUMP_EQUAL, wanted), begin, fails);
                    begin = self.before(begin, (AND, mask));
                    begin = self.before(begin, load);
                }
            }
            return begin;
        }
        // What the upper half decides alone: larger, and not equal.
        let (greater, differs) = match condition.operator {
            Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq => (fails, fails),
            Operator::ScmpCmpNe => (holds, holds),
            Operator::ScmpCmpGt | Operator::ScmpCmpGe => (holds, fails),
            Operator::ScmpCmpLt | Operator::ScmpCmpLe => (fails, holds),
        };
        let mut begin = match condition.operator {
            Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq => {
                self.compare((JUMP_EQUAL, below), holds, fails)
            }
            Operator::ScmpCmpNe => self.compare((JUMP_EQUAL, below), fails, holds),
            Operator::ScmpCmpGt => self.compare((JUMP_GREATER, below), holds, fails),
            Operator::ScmpCmpGe => self.compare((JUMP_GREATER_OR_EQUAL, below), holds, fails),
            Operator::ScmpCmpLt => self.compare((JUMP_GREATER_OR_EQUAL, below), fails, holds),
            Operator::ScmpCmpLe => self.compare((JUMP_GREATER, below), fails, holds),
        };
        begin = self.before(begin, low);
        if wide {
            begin = self.compare((JUMP_EQUAL, above), begin, differs);
            if greater != differs {
                begin = self.compare((JUMP_GREATER, above), greater, begin);
            }
            begin = self.before(begin, high);
        }
        begin
    }
}

/// Whether both ask only whether one argument is a number, and the upper half of that is the same.
fn asks_the_same(one: &Rule, other: &Rule) -> bool {
    match (&one.conditions[..], &other.conditions[..]) {
        ([one], [other]) => {
            one.operator == Operator::ScmpCmpEq
                && other.operator == Operator::ScmpCmpEq
                && one.index == other.index
                && halves(one.value).0 == halves(other.value).0
        }
        _ => false,
    }
}

/// Upper and lower.
fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

/// How the halves of an argument are loaded. All of these architectures are little-endian: the lower one comes first.
fn places(index: usize) -> ((u16, u32), (u16, u32)) {
    let place = ARGUMENTS + 8 * index as u32;
    ((LOAD, place + 4), (LOAD, place))
}
