//! What a program says to a call, asked without the kernel: it runs as the kernel would run it (seccomp(2), bpf(4)).

use crate::action::{ALLOW, ERRNO, LOG};
use crate::architecture::Architecture;
use crate::assemble::{AND, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN};
use crate::{Instruction, Program, tables};

// What other compilers make beside that (linux/bpf_common.h).
const LOAD_CONSTANT: u16 = 0x00;
const LOAD_MEMORY: u16 = 0x60;
const STORE: u16 = 0x02;
const JUMP_ANY_BIT: u16 = 0x45;

/// A call as a filter sees it (`struct seccomp_data`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) architecture: u32,
    pub(crate) arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Made,
    /// Whoever makes it hears an error.
    Fails,
    /// Something else: the caller ends, or somebody is asked.
    Other,
}

impl Program {
    /// What becomes of a call of this machine's own architecture, with these arguments; none where that cannot be told: there is no such
    /// call, or the program was not made here and has instructions that are not known.
    pub fn verdict(&self, name: &str, arguments: [u64; 6]) -> Option<Verdict> {
        let native = Architecture::native();
        let number = tables::Call::named(name)?.number(native)?;
        if self.instructions.is_empty() {
            return Some(Verdict::Made);
        }
        let call = Call { number, architecture: native.token(), arguments };
        let (answer, _) = walk(&self.instructions, &call)?;
        Some(match answer & 0xffff_0000 {
            ALLOW | LOG => Verdict::Made,
            ERRNO => Verdict::Fails,
            _ => Verdict::Other,
        })
    }
}

impl Call {
    fn word(&self, place: u32) -> Option<u32> {
        Some(match place {
            0 => self.number,
            4 => self.architecture,
            // Where it is called from is nowhere.
            8 | 12 => 0,
            place => {
                let argument = self.arguments.get(usize::try_from(place.checked_sub(16)? / 8).ok()?)?;
                let bytes = argument.to_le_bytes();
                let at = if place % 8 == 0 { 0 } else { 4 };
                u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)
            }
        })
    }
}

/// What a program answers, and after how many instructions; none where it has one that is not known here. It ends, since a program only
/// goes forward.
pub(crate) fn walk(program: &[Instruction], call: &Call) -> Option<(u32, usize)> {
    let (mut at, mut steps, mut a) = (0_usize, 0, 0_u32);
    let mut memory = [0_u32; 16];
    loop {
        let (code, yes, no, k) = *program.get(at)?;
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { yes } else { no });
        match code {
            LOAD => a = call.word(k)?,
            LOAD_CONSTANT => a = k,
            AND => a &= k,
            STORE => *memory.get_mut(usize::try_from(k).ok()?)? = a,
            LOAD_MEMORY => a = *memory.get(usize::try_from(k).ok()?)?,
            JUMP => at = at.checked_add(usize::try_from(k).ok()?)?,
            JUMP_EQUAL => branch(a == k),
            JUMP_GREATER => branch(a > k),
            JUMP_GREATER_OR_EQUAL => branch(a >= k),
            JUMP_ANY_BIT => branch(a & k != 0),
            RETURN => return Some((k, steps)),
            _ => return None,
        }
    }
}
