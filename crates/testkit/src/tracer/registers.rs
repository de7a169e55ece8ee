//! A system call of another process, in its registers.

use nix::sys::ptrace::{getregs, setregs};
use nix::unistd::Pid;

/// The number of the call that it stands before, and its first four arguments.
pub(crate) fn call(pid: Pid) -> Option<(i64, [u64; 4])> {
    let registers = getregs(pid).ok()?;
    let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
    Some((registers.orig_rax.cast_signed(), arguments))
}

/// Makes it a call that there is not.
pub(crate) fn leave_out(pid: Pid) {
    if let Ok(mut registers) = getregs(pid) {
        registers.orig_rax = u64::MAX;
        // It may have been killed meanwhile.
        setregs(pid, registers).ok();
    }
}

/// What the call that it stands after has returned.
pub(crate) fn answer(pid: Pid, value: i64) {
    if let Ok(mut registers) = getregs(pid) {
        registers.rax = value.cast_unsigned();
        setregs(pid, registers).ok();
    }
}
