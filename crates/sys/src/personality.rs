//! personality(2): as which system the kernel behaves.

use crate::errno::{CallError, called};

/// `PER_LINUX`.
pub const LINUX: u32 = 0;
/// `PER_LINUX32`: uname(2) says that the machine has 32 bits.
pub const LINUX32: u32 = 8;

/// Sets the personality of this process.
pub fn set(domain: u32) -> Result<(), CallError> {
    // SAFETY: takes an integer only.
    if unsafe { libc::personality(libc::c_ulong::from(domain)) } >= 0 {
        return Ok(());
    }
    Err(called(|| format!("personality({domain:#x})"))(std::io::Error::last_os_error()))
}
