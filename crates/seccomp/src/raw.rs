//! A program that somebody else has compiled: crun's annotation `run.oci.seccomp_bpf_data`.

use crate::{Instruction, LONGEST, Program, Refused, action, refused};
use base64::Engine;

/// Bytes of an instruction (`struct sock_filter`).
const SIZE: usize = 8;
/// `BPF_RET | BPF_K`, and the part of its operand that is the action (`SECCOMP_RET_ACTION_FULL`).
const RETURN: u16 = 0x06;
const ACTION: u32 = 0xffff_0000;

impl Program {
    /// Reads instructions as they lie in the memory of this machine, in base64. That they are sound the kernel sees to;
    /// `flags` are names of the profile that they replace.
    pub fn from_base64(
        text: &str,
        flags: &[oci_spec::runtime::LinuxSeccompFilterFlag],
    ) -> Result<Self, Refused> {
        const FIELD: &str = "annotations: run.oci.seccomp_bpf_data";
        let bytes = match base64::engine::general_purpose::STANDARD.decode(text.trim()) {
            Ok(bytes) => bytes,
            Err(error) => return refused(FIELD, format!("no base64: {error}")),
        };
        let (instructions, rest) = bytes.as_chunks::<SIZE>();
        if instructions.is_empty() || !rest.is_empty() {
            return refused(FIELD, format!("{} bytes are no instructions of {SIZE} bytes each", bytes.len()));
        }
        if instructions.len() > LONGEST {
            return refused(
                FIELD,
                format!("{} instructions, the kernel takes {LONGEST}", instructions.len()),
            );
        }
        let instruction = |one: &[u8; SIZE]| -> Instruction {
            let [code, code_high, yes, no, operand @ ..] = *one;
            (u16::from_ne_bytes([code, code_high]), yes, no, u32::from_ne_bytes(operand))
        };
        let instructions: Vec<Instruction> = instructions.iter().map(instruction).collect();
        let notifies = instructions
            .iter()
            .any(|(code, _, _, operand)| *code == RETURN && operand & ACTION == action::USER_NOTIF);
        Ok(Self { instructions, flags: action::flags(flags, notifies), notifies })
    }
}
