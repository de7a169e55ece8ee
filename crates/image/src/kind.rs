//! The kinds of failure that a caller branches on.

use sys::Errno;

/// What a program can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such image, here or in the registry.
    NotFound,
    /// The registry wants other credentials, or none were given.
    Unauthorized,
    /// The registry could not be reached, or broke off; trying again may help.
    Unreachable,
    /// The content is not what its digest or its format promises, or it is malicious.
    Corrupt,
    /// A platform, media type or feature that is not there.
    Unsupported,
    /// The disk or the quota is full.
    Full,
    /// A container uses the image.
    InUse,
    /// What was asked cannot be understood.
    Usage,
    /// The caller asked to stop.
    Cancelled,
    /// Anything else.
    Other,
}

impl sys::FromErrno for Kind {
    fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::Full,
            _ => Self::Other,
        }
    }
}

/// The hint for a full disk is the same wherever it is met.
pub(crate) const FULL: &str = "free some space, for example by removing images that are not needed";

/// An archive that could not be written. Where it goes is the caller's, and so is the hint.
pub(crate) fn unwritten(error: &std::io::Error) -> crate::Error {
    let call = || "write the archive".to_owned();
    match error.raw_os_error() {
        Some(code) => sys::called(call)(Errno::from_raw_os_error(code)).into(),
        None => crate::Error::new(Kind::Other, format!("{}: {error}", call())),
    }
}

/// A failure of a kernel call, with the hint of its kind.
pub(crate) fn failed<E: Into<sys::errno::ErrnoOf>>(
    call: impl FnOnce() -> String,
) -> impl FnOnce(E) -> crate::Error {
    move |error| {
        let failure = crate::Error::from(sys::called::<E>(call)(error));
        if failure.kind == Kind::Full { failure.with_hint(FULL) } else { failure }
    }
}
