//! getsockopt(2) with `SO_PEERCRED` (unix(7)). rustix has it, with a process id that is never 0: that of a process of a PID namespace
//! outside of ours is.

use crate::errno::{CallError, called};
use rustix::fd::{AsFd, AsRawFd};

/// The user who connected to a socket, as this process's user namespace sees it: one that is not mapped there is 65534.
pub fn user(socket: impl AsFd) -> Result<u32, CallError> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of_val(&found)).unwrap_or_default();
    // SAFETY: the kernel writes at most `length` bytes to `found`, which is so long and takes any; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        return Ok(found.uid);
    }
    Err(called(|| "getsockopt(SO_PEERCRED)".to_owned())(std::io::Error::last_os_error()))
}

/// Whether that is the user of this process, or root.
pub fn is_ours(socket: impl AsFd) -> bool {
    user(socket).is_ok_and(|user| user == 0 || user == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_is_at_the_other_end() {
        let (one, other) = UnixStream::pair().expect("socketpair");
        assert_eq!(user(&one), Ok(rustix::process::geteuid().as_raw()));
        assert!(is_ours(&other));
        let file = std::fs::File::open("/proc/self/status").expect("a file");
        assert_eq!(user(&file).map_err(|error| error.errno), Err(Errno::NOTSOCK));
        assert!(!is_ours(&file));
    }
}
