//! How namespaces lie in each other (ioctl_nsfs(2)).

use crate::errno::{CallError, called};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `NS_GET_PARENT` of linux/nsfs.h, `_IO(0xb7, 2)`.
const GET_PARENT: libc::Ioctl = 0xb702;

/// The user or PID namespace that the one of a descriptor was made in.
///
/// # Errors
/// EPERM where that is outside of the caller's own.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd, CallError> {
    // SAFETY: this request takes no argument and writes nowhere.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_PARENT) };
    if result < 0 {
        return Err(called::<std::io::Error>(|| "ioctl(NS_GET_PARENT)".to_owned())(
            std::io::Error::last_os_error(),
        ));
    }
    // SAFETY: the kernel has just opened it for this call, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}
