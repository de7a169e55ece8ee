//! The person's terminal: raw while the container has it, and as it was afterwards, whatever happens.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use sys::{CallError, Errno, called};

/// A terminal in raw mode; dropping it restores the mode that was before.
#[derive(Debug)]
pub struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Sets raw mode (termios(3), cfmakeraw).
    pub fn set(terminal: BorrowedFd<'_>) -> Result<Self, CallError> {
        let terminal = rustix::io::fcntl_dupfd_cloexec(terminal, 3)
            .map_err(called::<Errno>(|| "dup(terminal)".to_owned()))?;
        let before = tcgetattr(&terminal).map_err(called::<Errno>(|| "tcgetattr".to_owned()))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Flush, &raw)
            .map_err(called::<Errno>(|| "tcsetattr".to_owned()))?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has hung up has no mode to restore.
        let _gone = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// The size of a terminal as rows and columns.
pub fn size(terminal: BorrowedFd<'_>) -> Option<(u16, u16)> {
    tcgetwinsize(terminal).ok().map(|size| (size.ws_row, size.ws_col))
}

/// Gives the container's terminal the size of the person's.
pub fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    // Best effort by nature: either end may have gone, and a window that has no size needs none copied.
    if let Ok(size) = tcgetwinsize(from) {
        let _gone = tcsetwinsize(to, size);
    }
}
