//! `run`: create, start, and in the foreground everything until the end.

use crate::container::Running;
use crate::create::{self, Made, Options};
use crate::delete::delete;
use crate::error::{Error, Kind, Result};
use crate::foreground::Foreground;
use crate::{notify, state};
use rustix::fd::AsFd;
use std::path::{Path, PathBuf};
use sys::clone3::{Namespaces, clone3};
use sys::{Errno, called};

/// What a caller of `run` asks for beyond what one of `create` does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attendance {
    /// Whether nobody stays with the container.
    pub detached: bool,
    /// Whether what it leaves behind stays after its end.
    pub keep: bool,
    /// Whether processes that lose their parent go to this one, which reaps them.
    pub subreaper: bool,
}

/// Runs container `id` in `root`; hears warnings as they come. Returns the exit code: of the command, 128 and its signal, or
/// 0 where nobody stays.
///
/// # Errors
/// Nothing is left of the container then.
pub fn run(
    root: &Path,
    id: &str,
    options: &Options,
    attendance: Attendance,
    warn: &mut dyn FnMut(&str),
) -> Result<i32> {
    if attendance.subreaper && !attendance.detached {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(called::<Errno>(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned()))?;
    }
    let options = Options { detached: attendance.detached, started_here: true, ..options.clone() };
    let Made { created, warnings, handed_over } = create::create(root, id, &options)?;
    warnings.iter().for_each(|warning| warn(warning));
    // Blocked before the start: a signal that comes early is the container's too.
    let foreground = match attendance.detached {
        true => None,
        false => match Foreground::inherit(created.terminal.is_some() && !handed_over) {
            Ok(foreground) => Some(foreground),
            Err(error) => return Err(created.discard(error)),
        },
    };
    let outside = notify::given();
    let readiness = outside.as_ref().map(|_| notify::listen(&state::directory(root, id))).transpose();
    let readiness = match readiness {
        Ok(readiness) => readiness.flatten().zip(outside),
        Err(error) => return Err(created.discard(error)),
    };
    let running = created.start()?;
    let Some(foreground) = foreground else {
        if let Some((socket, outside)) = readiness {
            notify::attend(&socket, running.child.pidfd.as_fd(), pid(&running), &outside)?;
        }
        return Ok(0);
    };
    if let Some((socket, outside)) = readiness {
        messenger(&running, socket, outside)?;
    }
    let terminal = running.terminal.as_ref().filter(|_| !handed_over);
    let ended = foreground.attend_child(&running.child, terminal)?;
    if !attendance.keep {
        delete(root, id, true)?.iter().for_each(|warning| warn(warning));
    }
    ended.whole(warn)
}

fn pid(running: &Running) -> i32 {
    running.child.pid.as_raw_nonzero().get()
}

/// A process that passes on the readiness while this one attends; it ends with the container at the latest.
fn messenger(running: &Running, socket: rustix::fd::OwnedFd, outside: PathBuf) -> Result<()> {
    let init = running.child.pidfd.as_fd();
    clone3(Namespaces::NONE, None, || {
        i32::from(notify::attend(&socket, init, pid(running), &outside).is_err())
    })
    .map(drop)
    .map_err(|error| Error::new(Kind::Other, error.to_string()))
}
