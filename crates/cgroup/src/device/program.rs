//! Rules as an eBPF program of the kind that cgroup v2 asks before a device is opened or made
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`). Pure: rules in, instructions out.
//!
//! The program holds the rights that are asked for and not yet granted, and goes from the last rule to the first: one
//! that allows takes its rights out of them, one that denies any of them ends it.

use super::{ALL, Rule};

/// Operations (instruction-set.rst): class, source of the operand, what is done.
const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND32: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT32: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MOVE32: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOVE32_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
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
        // Nothing is asked for, as by access(2) with X_OK.
        encode(JUMP_UNLESS_EQUAL32, RIGHTS, 0, 2, 0),
    ];
    program.extend(answer(true));
    for rule in rules.iter().rev() {
        let decision = decision(rule);
        let tests = [(KIND, rule.kind.map(|kind| kind as u32)), (MAJOR, rule.major), (MINOR, rule.minor)];
        let tests: Vec<(u8, u32)> =
            tests.into_iter().filter_map(|(register, value)| Some((register, value?))).collect();
        for (at, (register, value)) in tests.iter().enumerate() {
            // Over the tests that are left, and over the decision.
            let over = i16::try_from(tests.len() - at - 1 + decision.len()).unwrap_or(i16::MAX);
            program.push(encode(JUMP_UNLESS_EQUAL32, *register, 0, over, *value));
        }
        program.extend(&decision);
        if rule.has_everything() {
            // It decides everything, and the kernel takes no program with instructions that are never reached.
            return program;
        }
    }
    program.extend(answer(false));
    program
}

/// What is done with a device that a rule names.
fn decision(rule: &Rule) -> Vec<u64> {
    let mut all = Vec::with_capacity(4);
    match (rule.allow, rule.access == ALL) {
        (_, true) => {}
        (true, false) => {
            all.push(encode(AND32, RIGHTS, 0, 0, ALL & !rule.access));
            all.push(encode(JUMP_UNLESS_EQUAL32, RIGHTS, 0, 2, 0));
        }
        (false, false) => {
            all.push(encode(JUMP_IF_SET32, RIGHTS, 0, 1, rule.access));
            all.push(encode(JUMP, 0, 0, 2, 0));
        }
    }
    all.extend(answer(rule.allow));
    all
}

#[cfg(test)]
pub(crate) mod tests;
