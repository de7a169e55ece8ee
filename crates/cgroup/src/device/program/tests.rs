//! Programs are run by an interpreter of the instructions that they have, and compared with what the rules say, and
//! with what the list of cgroup v1 says.

use super::*;
use crate::device::{DeviceKind, MKNOD, READ, WRITE, list};
use proptest::prelude::*;

/// What is asked: kind, major, minor, rights.
type Question = (DeviceKind, u32, u32, u32);

/// Runs a program; panics on what the kernel's verifier would refuse.
fn run(program: &[u64], (kind, major, minor, rights): Question) -> bool {
    let mut registers = [None::<u64>; 7];
    let words = [rights << 16 | kind as u32, major, minor];
    let mut at = 0_usize;
    // Jumps go forwards, so each instruction is run at most once.
    for _ in 0..=program.len() {
        let one = program[at];
        let (to, from) = ((one >> 8 & 0xf) as usize, (one >> 12 & 0xf) as usize);
        let (offset, operand) = ((one >> 16) as u16, (one >> 32) as u32);
        let value = registers.get(to).copied().flatten();
        let low = || value.expect("a register that was never set") as u32;
        let jumps = match one as u8 {
            LOAD_WORD => {
                assert_eq!(from as u8, QUESTION);
                registers[to] = Some(u64::from(words[usize::from(offset) / 4]));
                false
            }
            AND32 => {
                registers[to] = Some(u64::from(low() & operand));
                false
            }
            OR32_REGISTER => {
                let other = registers[from].expect("a register that was never set") as u32;
                registers[to] = Some(u64::from(low() | other));
                false
            }
            SHIFT_LEFT32 => {
                registers[to] = Some(u64::from(low() << operand));
                false
            }
            SHIFT_RIGHT32 => {
                registers[to] = Some(u64::from(low() >> operand));
                false
            }
            MOVE32 => {
                registers[to] = Some(u64::from(operand));
                false
            }
            MOVE32_REGISTER => {
                registers[to] = Some(registers[from].expect("a register that was never set") & 0xffff_ffff);
                false
            }
            JUMP_IF_EQUAL32 => low() == operand,
            JUMP_UNLESS_EQUAL32 => low() != operand,
            JUMP_IF_SET32 => low() & operand != 0,
            JUMP => true,
            EXIT => return registers[0].expect("no answer") != 0,
            other => panic!("operation {other:#x}"),
        };
        at += 1 + if jumps { usize::from(offset) } else { 0 };
    }
    panic!("no end");
}

/// What rules say, right by right: the last one that names it.
fn says(rules: &[Rule], (kind, major, minor, rights): Question) -> bool {
    let names = |rule: &Rule| {
        rule.kind.is_none_or(|one| one == kind)
            && rule.major.is_none_or(|one| one == major)
            && rule.minor.is_none_or(|one| one == minor)
    };
    [MKNOD, READ, WRITE].into_iter().filter(|right| rights & right != 0).all(|right| {
        let last = rules.iter().rev().find(|rule| rule.access & right != 0 && names(rule));
        last.is_some_and(|rule| rule.allow)
    })
}

/// Instructions that no path reaches, for which the kernel refuses a program.
fn unreached(program: &[u64]) -> usize {
    let mut reached = vec![false; program.len()];
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let over = at + 1 + usize::from((program[at] >> 16) as u16);
        match program[at] as u8 {
            EXIT => {}
            JUMP => pending.push(over),
            JUMP_IF_EQUAL32 | JUMP_UNLESS_EQUAL32 | JUMP_IF_SET32 => pending.extend([at + 1, over]),
            _ => pending.push(at + 1),
        }
    }
    reached.iter().filter(|reached| !**reached).count()
}

const C: Option<DeviceKind> = Some(DeviceKind::Character);

fn rule(allow: bool, kind: Option<DeviceKind>, major: Option<u32>, minor: Option<u32>, access: u32) -> Rule {
    Rule { allow, kind, major, minor, access }
}

#[test]
fn the_last_rule_decides() {
    fn check(rules: &[Rule], allowed: &[Question], denied: &[Question]) {
        let program = compile(rules);
        assert_eq!(unreached(&program), 0, "{rules:?}");
        for question in allowed {
            assert!(run(&program, *question), "{rules:?} {question:?}");
        }
        for question in denied {
            assert!(!run(&program, *question), "{rules:?} {question:?}");
        }
    }
    use DeviceKind::{Block, Character};
    let (null, disk) = ((Character, 1, 3), (Block, 8, 0));
    let ask = |(kind, major, minor): (DeviceKind, u32, u32), rights| (kind, major, minor, rights);
    check(&[], &[ask(null, 0)], &[ask(null, READ), ask(disk, ALL)]);
    check(&[rule(true, None, None, None, ALL)], &[ask(null, ALL), ask(disk, WRITE)], &[]);
    check(
        &[rule(false, None, None, None, ALL), rule(true, C, Some(1), Some(3), ALL)],
        &[ask(null, ALL)],
        &[ask(disk, READ), (Character, 1, 4, READ), (Character, 2, 3, READ), (Block, 1, 3, READ)],
    );
    // Rights of several rules add up.
    check(
        &[rule(true, C, None, None, MKNOD), rule(true, C, Some(1), None, READ)],
        &[ask(null, READ | MKNOD), (Character, 9, 9, MKNOD)],
        &[ask(null, READ | WRITE), (Character, 9, 9, READ)],
    );
    // One right that is denied is enough, also beside rights that are allowed.
    check(
        &[rule(true, None, None, None, ALL), rule(false, C, Some(1), Some(3), WRITE)],
        &[ask(null, READ), ask(disk, ALL)],
        &[ask(null, WRITE), ask(null, READ | WRITE), ask(null, ALL)],
    );
    check(
        &[rule(false, C, Some(1), Some(3), ALL), rule(true, C, Some(1), None, READ)],
        &[ask(null, READ)],
        &[ask(null, READ | WRITE)],
    );
    check(
        &[rule(true, C, Some(u32::MAX), Some(1 << 31), ALL)],
        &[(Character, u32::MAX, 1 << 31, ALL)],
        &[(Character, u32::MAX, 0, ALL)],
    );
}

#[test]
fn many_rules_are_within_reach() {
    use DeviceKind::Character;
    let many: Vec<Rule> = (0..5000).map(|minor| rule(true, C, Some(7), Some(minor), READ)).collect();
    let program = compile(&many);
    assert_eq!(unreached(&program), 0);
    assert!(run(&program, (Character, 7, 0, READ)) && run(&program, (Character, 7, 4999, READ)));
    assert!(!run(&program, (Character, 7, 5000, READ)) && !run(&program, (Character, 7, 0, ALL)));
}

#[test]
fn the_rules_of_every_container_are_few_comparisons() {
    let numbers = [(1, 3), (1, 8), (1, 7), (5, 0), (1, 5), (1, 9), (5, 2)];
    let both = [Some(DeviceKind::Block), C].map(|kind| rule(true, kind, None, None, MKNOD));
    let usual = numbers.map(|(major, minor)| rule(true, C, Some(major), Some(minor), ALL));
    let mut rules = vec![rule(false, None, None, None, ALL)];
    rules.extend(both.into_iter().chain(usual));
    let program = compile(&rules);
    let compares =
        |one: &&u64| [JUMP_IF_EQUAL32, JUMP_UNLESS_EQUAL32, JUMP_IF_SET32].contains(&(**one as u8));
    assert_eq!(program.iter().filter(compares).count(), 12);
}

fn any_kind() -> impl Strategy<Value = DeviceKind> {
    prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Character)]
}

/// Few numbers, so that rules and questions meet.
fn any_rule() -> impl Strategy<Value = Rule> {
    let number = || proptest::option::of(0..3_u32);
    (any::<bool>(), proptest::option::of(any_kind()), number(), number(), 1..=ALL)
        .prop_map(|(allow, kind, major, minor, access)| rule(allow, kind, major, minor, access))
}

/// The controller of v1, fed with lines.
fn list_says(writes: &[(&str, String)], (kind, major, minor, rights): Question) -> bool {
    let default = writes[0].0 == "devices.allow";
    let letter = if kind == DeviceKind::Block { "b" } else { "c" };
    let names = |field: &str, number: u32| field == "*" || field.parse() == Ok(number);
    let mut lines = writes[1..].iter().filter_map(|(_, line)| {
        let fields: Vec<&str> = line.split([' ', ':']).collect();
        let meant = fields[0] == letter && names(fields[1], major) && names(fields[2], minor);
        let has = |(one, right): (char, u32)| if fields[3].contains(one) { right } else { 0 };
        meant.then(|| [('r', READ), ('w', WRITE), ('m', MKNOD)].into_iter().map(has).sum::<u32>())
    });
    // What is allowed is in one line whole; what is not may be there in part.
    if default {
        !lines.any(|access| access & rights != 0)
    } else {
        lines.any(|access| rights & !access == 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_program_says_what_the_rules_say(
        rules in proptest::collection::vec(any_rule(), 0..8),
        kind in any_kind(), major in 0..4_u32, minor in 0..4_u32, rights in 0..=ALL,
    ) {
        let program = compile(&rules);
        let question = (kind, major, minor, rights);
        prop_assert_eq!(run(&program, question), says(&rules, question));
        prop_assert_eq!(unreached(&program), 0);
    }

    #[test]
    fn a_list_says_what_the_rules_say_or_is_refused(
        rules in proptest::collection::vec(any_rule(), 0..5),
        kind in any_kind(), major in 0..4_u32, minor in 0..4_u32, rights in 1..=ALL,
    ) {
        let Ok(writes) = list::writes(&rules) else { return Ok(()) };
        let question = (kind, major, minor, rights);
        prop_assert_eq!(list_says(&writes, question), says(&rules, question), "{:?}", writes);
    }
}
