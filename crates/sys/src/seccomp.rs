//! seccomp(2): installs a compiled filter.

use crate::errno::{CallError, called};

/// One instruction of a classic BPF program (`struct sock_filter`): code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// Gives this thread and all its children the filter (`SECCOMP_SET_MODE_FILTER`).
pub fn set_filter(program: &[Instruction], flags: u32) -> Result<(), CallError> {
    let mut filter: Vec<libc::sock_filter> =
        program.iter().map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k }).collect();
    let shown = || format!("seccomp(SECCOMP_SET_MODE_FILTER, {} instructions)", program.len());
    let len = u16::try_from(filter.len())
        .map_err(|_| CallError { call: shown(), errno: rustix::io::Errno::TOOBIG })?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel copies them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if result >= 0 {
        return Ok(());
    }
    Err(called(shown)(std::io::Error::last_os_error()))
}
