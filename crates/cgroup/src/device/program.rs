//! Rules as an eBPF program of the kind that cgroup v2 asks before a device is opened or made
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`). Pure: rules in, instructions out.
//!
//! The program holds the rights that are asked for and not yet granted, and goes from the last rule to the first: one
//! that allows takes its rights out of them, one that denies any of them ends it.
//!
//! The kernel follows both ways of each comparison before it takes a program, which is most of what a filter costs at a
//! start. So rules of one kind of device that follow each other are asked for that kind once, both numbers of a device are
//! compared as one, and who decides jumps to an answer that they share.

use super::{ALL, Rule};

/// Operations (instruction-set.rst): class, source of the operand, what is done.
const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND32: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const OR32_REGISTER: u8 = 0x4c; // BPF_ALU | BPF_OR | BPF_X
const SHIFT_LEFT32: u8 = 0x64; // BPF_ALU | BPF_LSH | BPF_K
const SHIFT_RIGHT32: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MOVE32: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOVE32_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const JUMP_IF_EQUAL32: u8 = 0x16; // BPF_JMP32 | BPF_JEQ | BPF_K
const JUMP_UNLESS_EQUAL32: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP_IF_SET32: u8 = 0x46; // BPF_JMP32 | BPF_JSET | BPF_K
const JUMP: u8 = 0x05; // BPF_JMP | BPF_JA
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

/// Registers: the answer, the question (`struct bpf_cgroup_dev_ctx`), and what is kept of it.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const RIGHTS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// Both numbers, as the kernel has them itself (`MKDEV`, linux/kdev_t.h).
const DEVICE: u8 = 6;
const MINOR_BITS: u32 = 20;
const LARGEST_MAJOR: u32 = (1 << (32 - MINOR_BITS)) - 1;
const LARGEST_MINOR: u32 = (1 << MINOR_BITS) - 1;

/// As many rules share an answer: a jump has 16 bits.
const SHARING: usize = 256;

/// One instruction in the kernel's encoding, on a little-endian machine.
fn encode(operation: u8, to: u8, from: u8, offset: i16, operand: u32) -> u64 {
    u64::from(operation)
        | u64::from(to) << 8
        | u64::from(from) << 12
        | u64::from(offset.cast_unsigned()) << 16
        | u64::from(operand) << 32
}

fn answer(allow: bool) -> [u64; 2] {
    [encode(MOVE32, ANSWER, 0, 0, u32::from(allow)), encode(EXIT, 0, 0, 0, 0)]
}

/// The instructions that say what the rules say.
pub(crate) fn compile(rules: &[Rule]) -> Vec<u64> {
    let mut program = vec![
        // The kind is in the lower half of the first word, the rights in the upper one.
        encode(LOAD_WORD, KIND, QUESTION, 0, 0),
        encode(MOVE32_REGISTER, RIGHTS, KIND, 0, 0),
        encode(AND32, KIND, 0, 0, 0xffff),
        encode(SHIFT_RIGHT32, RIGHTS, 0, 0, 16),
        encode(LOAD_WORD, MAJOR, QUESTION, 4, 0),
        encode(LOAD_WORD, MINOR, QUESTION, 8, 0),
        encode(MOVE32_REGISTER, DEVICE, MAJOR, 0, 0),
        encode(SHIFT_LEFT32, DEVICE, 0, 0, MINOR_BITS),
        encode(OR32_REGISTER, DEVICE, MINOR, 0, 0),
        // Nothing is asked for, as by access(2) with X_OK.
        encode(JUMP_UNLESS_EQUAL32, RIGHTS, 0, 2, 0),
    ];
    program.extend(answer(true));
    let latest_first: Vec<Rule> = rules.iter().rev().copied().collect();
    for alike in latest_first.chunk_by(|one, next| one.kind == next.kind).flat_map(|all| all.chunks(SHARING))
    {
        let part = of_one_kind(alike);
        let ends = part.decides_all && alike[0].kind.is_none();
        program.extend(part.instructions);
        if ends {
            // It decides everything, and the kernel takes no program with instructions that are never reached.
            return program;
        }
    }
    program.extend(answer(sys::mutant!("mutant_rt_10")));
    program
}

/// A part of the program, which goes on after its end with what it has not decided.
struct Part {
    instructions: Vec<u64>,
    /// Whether it has decided about all devices of its kind.
    decides_all: bool,
}

/// What rules that are all of one kind of device say, or all of both kinds.
fn of_one_kind(rules: &[Rule]) -> Part {
    let mut part = Part { instructions: Vec::new(), decides_all: false };
    // Jumps to the two answers.
    let (mut to_deny, mut to_allow) = (Vec::new(), Vec::new());
    for rule in rules {
        let program = &mut part.instructions;
        let to = if rule.allow { &mut to_allow } else { &mut to_deny };
        let mut tests = tests(rule);
        if rule.access == ALL {
            let Some((register, value)) = tests.pop() else {
                program.extend(answer(rule.allow));
                part.decides_all = true;
                break;
            };
            unless(program, &tests, 1);
            to.push(program.len());
            program.push(encode(JUMP_IF_EQUAL32, register, 0, 0, value));
        } else if rule.allow {
            unless(program, &tests, 2);
            program.push(encode(AND32, RIGHTS, 0, 0, ALL & !rule.access));
            to.push(program.len());
            program.push(encode(JUMP_IF_EQUAL32, RIGHTS, 0, 0, 0));
        } else {
            unless(program, &tests, 1);
            to.push(program.len());
            program.push(encode(JUMP_IF_SET32, RIGHTS, 0, 0, rule.access));
        }
    }
    let program = &mut part.instructions;
    if !part.decides_all {
        let answers = [&to_deny, &to_allow].into_iter().filter(|jumps| !jumps.is_empty()).count();
        program.push(encode(JUMP, 0, 0, 2 * answers as i16, 0));
    }
    for (allow, jumps) in [(false, to_deny), (true, to_allow)] {
        if !jumps.is_empty() {
            jumps.into_iter().for_each(|at| program[at] |= over(program.len() - at - 1));
            program.extend(answer(allow));
        }
    }
    if let Some(kind) = rules.first().and_then(|rule| rule.kind) {
        let past = encode(JUMP_UNLESS_EQUAL32, KIND, 0, 0, kind as u32) | over(program.len());
        program.insert(0, past);
    }
    part
}

/// The numbers of a device that a rule names: the register that has one, and its value.
fn tests(rule: &Rule) -> Vec<(u8, u32)> {
    match (rule.major, rule.minor) {
        // No device has larger ones; a rule may.
        (Some(major @ ..=LARGEST_MAJOR), Some(minor @ ..=LARGEST_MINOR)) => {
            vec![(DEVICE, major << MINOR_BITS | minor)]
        }
        (major, minor) => {
            let both = [(MAJOR, major), (MINOR, minor)];
            both.into_iter().filter_map(|(register, value)| Some((register, value?))).collect()
        }
    }
}

/// Goes past so many instructions, unless all tests are passed.
fn unless(program: &mut Vec<u64>, tests: &[(u8, u32)], instructions: usize) {
    for (at, (register, value)) in tests.iter().enumerate() {
        let past = over(tests.len() - at - 1 + instructions);
        program.push(encode(JUMP_UNLESS_EQUAL32, *register, 0, 0, *value) | past);
    }
}

/// The part of a jump that says over how many instructions it goes.
fn over(instructions: usize) -> u64 {
    // A part of a program has no more than five instructions for each of its rules.
    encode(0, 0, 0, i16::try_from(instructions).unwrap_or(i16::MAX), 0)
}

#[cfg(test)]
pub(crate) mod tests;
