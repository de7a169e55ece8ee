//! What can go wrong between a config.json and a running process.

use serde::{Deserialize, Serialize};
use sys::Errno;

/// What a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The command is not there: exit code 127.
    CommandNotFound,
    /// The command is there and cannot be executed: exit code 126.
    CommandNotExecutable,
    /// What was asked for has no meaning, or none here.
    Invalid,
    /// The kernel or this version cannot do it.
    Unsupported,
    /// Not allowed.
    Permission,
    /// A container of this id exists.
    Exists,
    /// There is no container of this id.
    NoSuchContainer,
    /// Its processes have ended.
    NotRunning,
    /// No room.
    Full,
    /// Everything else.
    Other,
}

impl sys::FromErrno for Kind {
    fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::Permission,
            Errno::NOSPC | Errno::DQUOT => Self::Full,
            Errno::NOSYS | Errno::OPNOTSUPP => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

/// The error of this crate.
pub type Error = sys::Failure<Kind>;
/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the cgroup's, in this crate's kinds.
pub fn of_cgroup(error: cgroup::Error) -> Error {
    error.recast(|kind| match kind {
        cgroup::Kind::Permission => Kind::Permission,
        cgroup::Kind::Unsupported => Kind::Unsupported,
        cgroup::Kind::Refused => Kind::Invalid,
        _ => Kind::Other,
    })
}
