//! What can go wrong between a config.json and a running process.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
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

/// A text for people in so many bytes at most, or a few more: of a longer one, such as what stands in a config.json of a
/// megabyte, the beginning and the end.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let begin = text.floor_char_boundary(most / 4 * 3);
    let end = text.ceil_char_boundary(text.len() - most / 4);
    Cow::Owned(format!("{} [{} bytes] {}", &text[..begin], end - begin, &text[end..]))
}

/// A failure of the cgroup's, in this crate's kinds.
pub fn of_cgroup(error: cgroup::Error) -> Error {
    error.recast(|kind| match kind {
        cgroup::Kind::Permission => Kind::Permission,
        cgroup::Kind::Unsupported => Kind::Unsupported,
        cgroup::Kind::Refused => Kind::Invalid,
        _ => Kind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn beginning_and_end() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("0123456789abcdef", 8), "012345 [8 bytes] ef");
        assert_eq!(shortened("ääääääää", 8), "äää [8 bytes] ä");
    }

    proptest! {
        #[test]
        fn any_text(text in "(?s).{0,200}", most in 0_usize..100) {
            let short = shortened(&text, most);
            prop_assert!(short.len() <= most + 32);
            prop_assert!(text.len() > most || short == text);
        }
    }
}
