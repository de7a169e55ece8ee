//! What the kernel takes as a filter (net/core/filter.c and kernel/seccomp.c, told in seccomp(2) and in
//! Documentation/networking/filter.rst), and what such a program answers.

use seccomp::Instruction;

/// The longest program (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;
/// `sizeof(struct seccomp_data)`.
const DATA: u32 = 64;

/// What the kernel would refuse in a program, if anything. Only the instructions that a filter needs are known here.
pub fn refused(program: &[Instruction]) -> Option<String> {
    if program.is_empty() || program.len() > LONGEST {
        return Some(format!("{} instructions", program.len()));
    }
    for (at, (code, yes, no, operand)) in program.iter().enumerate() {
        // How many instructions follow this one.
        let follow = program.len() - at - 1;
        let wrong = match code {
            // Loads are of words of the data.
            0x20 => *operand >= DATA || operand % 4 != 0,
            0x05 => *operand as usize >= follow,
            0x15 | 0x25 | 0x35 | 0x45 => usize::from(*yes.max(no)) >= follow,
            0x54 | 0x06 => false,
            _ => true,
        };
        if wrong {
            return Some(format!("[{at}]: ({code:#x}, {yes}, {no}, {operand:#x})"));
        }
    }
    (program[program.len() - 1].0 != 0x06).then(|| "the last instruction is no return".to_owned())
}

/// What a program that is not [`refused`] answers to a call.
pub fn answer(program: &[Instruction], data: &[u32; 16]) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let (code, yes, no, operand) = program[at];
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { yes } else { no });
        match code {
            0x20 => value = data[operand as usize / 4],
            0x54 => value &= operand,
            0x05 => at += operand as usize,
            0x15 => branch(value == operand),
            0x25 => branch(value > operand),
            0x35 => branch(value >= operand),
            0x45 => branch(value & operand != 0),
            _ => return operand,
        }
    }
}
