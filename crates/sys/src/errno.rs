//! A failed system call, shown as a line of strace would show it.

use rustix::io::Errno;
use std::fmt;

/// A call with its arguments, and the errno it failed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The call with the arguments that matter, such as `openat2([7], "etc/passwd")`.
    pub call: String,
    /// What the kernel answered.
    pub errno: Errno,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.call, name(self.errno), text(self.errno))
    }
}

impl std::error::Error for CallError {}

/// Turns an errno into a [`CallError`]: `rustix::fs::open(..).map_err(called(|| format!("open {path:?}")))`.
pub fn called<E: Into<ErrnoOf>>(call: impl FnOnce() -> String) -> impl FnOnce(E) -> CallError {
    move |error| CallError { call: call(), errno: error.into().0 }
}

/// The errno inside an error of rustix or of the standard library.
pub struct ErrnoOf(Errno);

impl From<Errno> for ErrnoOf {
    fn from(errno: Errno) -> Self {
        Self(errno)
    }
}

impl From<std::io::Error> for ErrnoOf {
    fn from(error: std::io::Error) -> Self {
        // An error that the standard library made up itself has no number: EIO is what a caller can do with it.
        Self(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// The kernel's own words for an errno, in lower case (strerror(3)).
pub fn text(errno: Errno) -> String {
    let shown = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let words = shown.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    match letters.next() {
        // "RPC failed" keeps its capitals, "No such file" does not.
        Some(first) if !words.chars().nth(1).is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => words.to_owned(),
    }
}

/// The symbolic name of an errno (errno(3)), or its number where it is a rare one.
pub fn name(errno: Errno) -> String {
    const NAMES: &[(Errno, &str)] = &[
        (Errno::PERM, "EPERM"),
        (Errno::NOENT, "ENOENT"),
        (Errno::SRCH, "ESRCH"),
        (Errno::INTR, "EINTR"),
        (Errno::IO, "EIO"),
        (Errno::NXIO, "ENXIO"),
        (Errno::TOOBIG, "E2BIG"),
        (Errno::NOEXEC, "ENOEXEC"),
        (Errno::BADF, "EBADF"),
        (Errno::CHILD, "ECHILD"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::NOMEM, "ENOMEM"),
        (Errno::ACCESS, "EACCES"),
        (Errno::FAULT, "EFAULT"),
        (Errno::BUSY, "EBUSY"),
        (Errno::EXIST, "EEXIST"),
        (Errno::XDEV, "EXDEV"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::ISDIR, "EISDIR"),
        (Errno::INVAL, "EINVAL"),
        (Errno::NFILE, "ENFILE"),
        (Errno::MFILE, "EMFILE"),
        (Errno::NOTTY, "ENOTTY"),
        (Errno::TXTBSY, "ETXTBSY"),
        (Errno::FBIG, "EFBIG"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::SPIPE, "ESPIPE"),
        (Errno::ROFS, "EROFS"),
        (Errno::MLINK, "EMLINK"),
        (Errno::PIPE, "EPIPE"),
        (Errno::RANGE, "ERANGE"),
        (Errno::DEADLK, "EDEADLK"),
        (Errno::NAMETOOLONG, "ENAMETOOLONG"),
        (Errno::NOLCK, "ENOLCK"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::NOTEMPTY, "ENOTEMPTY"),
        (Errno::LOOP, "ELOOP"),
        (Errno::NODATA, "ENODATA"),
        (Errno::OVERFLOW, "EOVERFLOW"),
        (Errno::USERS, "EUSERS"),
        (Errno::NOTSOCK, "ENOTSOCK"),
        (Errno::MSGSIZE, "EMSGSIZE"),
        (Errno::PROTONOSUPPORT, "EPROTONOSUPPORT"),
        (Errno::OPNOTSUPP, "EOPNOTSUPP"),
        (Errno::AFNOSUPPORT, "EAFNOSUPPORT"),
        (Errno::ADDRINUSE, "EADDRINUSE"),
        (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (Errno::NETDOWN, "ENETDOWN"),
        (Errno::NETUNREACH, "ENETUNREACH"),
        (Errno::CONNRESET, "ECONNRESET"),
        (Errno::NOBUFS, "ENOBUFS"),
        (Errno::TIMEDOUT, "ETIMEDOUT"),
        (Errno::CONNREFUSED, "ECONNREFUSED"),
        (Errno::HOSTUNREACH, "EHOSTUNREACH"),
        (Errno::ALREADY, "EALREADY"),
        (Errno::STALE, "ESTALE"),
        (Errno::DQUOT, "EDQUOT"),
    ];
    NAMES
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| format!("errno {}", errno.raw_os_error()), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_strace() {
        fn check(call: &str, errno: Errno, shown: &str) {
            assert_eq!(called::<Errno>(|| call.to_owned())(errno).to_string(), shown);
        }
        check("clone3()", Errno::PERM, "clone3(): EPERM (operation not permitted)");
        check("open \"x\"", Errno::NOENT, "open \"x\": ENOENT (no such file or directory)");
        check("bind", Errno::XFULL, "bind: errno 54 (exchange full)");
    }
}
