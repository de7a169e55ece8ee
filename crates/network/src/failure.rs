//! The kinds of failure of a network.

use sys::{Errno, FromErrno};

/// What a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A port that was to be published belongs to somebody else.
    PortInUse,
    /// An address that was asked for belongs to somebody else.
    AddressInUse,
    /// Every address of the pool is leased.
    PoolExhausted,
    /// What was asked for cannot be meant.
    Usage,
    /// The kernel refused for lack of privilege.
    Permission,
    /// A program that is needed is not installed.
    Missing,
    /// This machine has no way out that a container could share.
    NoRoute,
    /// Everything else.
    Other,
}

impl FromErrno for Kind {
    fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::ADDRINUSE => Self::PortInUse,
            Errno::PERM | Errno::ACCESS => Self::Permission,
            _ => Self::Other,
        }
    }
}

/// A failure of this crate.
pub type Error = sys::Failure<Kind>;
/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
