//! ioprio_set(2): how a process competes for disks.

use crate::errno::{CallError, called};

/// `IOPRIO_WHO_PROCESS`.
const PROCESS: libc::c_int = 1;
/// `IOPRIO_CLASS_SHIFT`.
const SHIFT: u32 = 13;

/// Gives this process a class (1 real-time, 2 best effort, 3 idle) and a priority in it (0 to 7).
pub fn set(class: u32, priority: u32) -> Result<(), CallError> {
    let value = class << SHIFT | priority;
    // SAFETY: takes integers only.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, value) };
    if result == 0 {
        return Ok(());
    }
    Err(called(|| format!("ioprio_set(class {class}, {priority})"))(std::io::Error::last_os_error()))
}
