//! What can go wrong for a person, and the exit code it has.

use sys::Errno;

/// What a caller branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line has a mistake.
    Usage,
    /// The command is not there.
    CommandNotFound,
    /// The command cannot be executed.
    CommandNotExecutable,
    /// The person asked to stop.
    Cancelled,
    /// A disk is full.
    Full,
    /// Everything else that the engine could not do.
    Failed,
}

impl Kind {
    /// The exit code of `run`, docker's: 125 for the engine, 126 and 127 for the command.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::CommandNotFound => 127,
            Self::CommandNotExecutable => 126,
            Self::Cancelled => 130,
            Self::Usage | Self::Full | Self::Failed => 125,
        }
    }
}

impl sys::FromErrno for Kind {
    fn from_errno(_: Errno) -> Self {
        Self::Failed
    }
}

/// The error of this crate.
pub type Error = sys::Failure<Kind>;
/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the runtime, as this crate's.
pub fn of_runtime(error: runtime::Error) -> Error {
    error.recast(|kind| match kind {
        runtime::Kind::CommandNotFound => Kind::CommandNotFound,
        runtime::Kind::CommandNotExecutable => Kind::CommandNotExecutable,
        _ => Kind::Failed,
    })
}

/// An error of the images, as this crate's.
pub fn of_image(error: image::Error) -> Error {
    error.recast(|kind| match kind {
        image::Kind::Usage => Kind::Usage,
        image::Kind::Cancelled => Kind::Cancelled,
        image::Kind::Full => Kind::Full,
        _ => Kind::Failed,
    })
}

/// An error of the network, as this crate's.
pub fn of_network(error: network::Error) -> Error {
    error.recast(|kind| if kind == network::Kind::Usage { Kind::Usage } else { Kind::Failed })
}

/// An error of the cgroups, as this crate's.
pub fn of_cgroup(error: cgroup::Error) -> Error {
    error.recast(|_| Kind::Failed)
}
