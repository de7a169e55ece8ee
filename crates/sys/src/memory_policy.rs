//! set_mempolicy(2): on which nodes a process gets its memory.

use crate::errno::{CallError, called};

/// Sets the policy of this process: `MPOL_*` with its flags, and the nodes as a bit mask.
pub fn set(mode: u32, nodes: &[u64]) -> Result<(), CallError> {
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the mask has as many bits as is said, less the one that the kernel takes off, and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    if result == 0 {
        return Ok(());
    }
    Err(called(|| format!("set_mempolicy({mode:#x}, {nodes:x?})"))(std::io::Error::last_os_error()))
}
