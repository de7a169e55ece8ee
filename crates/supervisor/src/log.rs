//! What a container wrote, line by line, to where it is kept.
//!
//! ```text
//! file      files of ours, in the form of docker's json-file
//! journal   systemd's journal, in its native protocol
//! syslog    a syslog server, as RFC 5424 has it
//! sent      what the last two have in common: a line is a message
//! outbox    messages to a socket that nobody waits on alone
//! ```

pub mod file;
pub mod journal;
mod outbox;
pub mod sent;
pub mod syslog;

use crate::Result;
use rustix::fd::OwnedFd;
use std::time::Duration;

pub use file::{File, Rotation};
pub use journal::Journal;
pub use syslog::Syslog;

/// As docker: what is longer is several entries, of which only the last ends with a line break.
const LONGEST_LINE: usize = 16 * 1024;

/// How long the last lines may take to be accepted by whoever keeps them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1, or the terminal.
    Output,
    /// Descriptor 2.
    Error,
}

/// Whoever keeps lines.
pub trait Keeper: std::fmt::Debug {
    /// Takes a line with its line break; without one it is a part of a longer line, or the very last.
    ///
    /// # Errors
    /// It is not kept.
    fn take(&mut self, stream: Stream, line: &[u8], time: &str) -> Result<()>;

    /// No more lines for now: what was taken is written.
    ///
    /// # Errors
    /// Some of it is not kept.
    fn flush(&mut self) -> Result<()>;

    /// Waits, for a limited time, until everything is where it belongs.
    ///
    /// # Errors
    /// Some of it is not.
    fn finish(&mut self) -> Result<()> {
        self.flush()
    }

    /// The descriptor that has to have room before more of what was taken can be written; none where all of it is.
    fn waits_for(&self) -> Option<&OwnedFd> {
        None
    }

    /// Whether no more should be read from the container for now.
    fn is_full(&self) -> bool {
        false
    }
}

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    keeper: Box<dyn Keeper>,
    /// The beginning of a line, of each stream.
    pending: [Vec<u8>; 2],
}

/// Whether it is the beginning or the middle of a line that is too long.
fn is_cut(line: &[u8]) -> bool {
    line.len() >= LONGEST_LINE && !line.ends_with(b"\n")
}

impl Log {
    /// A log of this keeper.
    pub fn new(keeper: impl Keeper + 'static) -> Self {
        Self { keeper: Box::new(keeper), pending: Default::default() }
    }

    /// Adds what came from a stream, whose whole lines are kept.
    ///
    /// # Errors
    /// Some of it is not kept.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending[stream as usize]);
        pending.extend_from_slice(bytes);
        let time = runtime::timestamp::now();
        let mut rest: &[u8] = &pending;
        let mut done = Ok(());
        loop {
            let line = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let length = match line {
                Some(length) if length <= LONGEST_LINE => length,
                _ if rest.len() >= LONGEST_LINE => LONGEST_LINE,
                _ => break,
            };
            // The rest may be kept all the same.
            done = done.and(self.keeper.take(stream, &rest[..length], &time));
            rest = &rest[length..];
        }
        let whole = pending.len() - rest.len();
        pending.drain(..whole);
        self.pending[stream as usize] = pending;
        done.and(self.keeper.flush())
    }

    /// Keeps what is left of both streams: nothing more comes.
    ///
    /// # Errors
    /// Some of it is not kept.
    pub fn end(&mut self) -> Result<()> {
        for stream in [Stream::Output, Stream::Error] {
            let rest = std::mem::take(&mut self.pending[stream as usize]);
            if !rest.is_empty() {
                self.keeper.take(stream, &rest, &runtime::timestamp::now())?;
            }
        }
        self.keeper.finish()
    }

    /// What was taken is written as far as there is room.
    ///
    /// # Errors
    /// Some of it is not kept.
    pub fn send(&mut self) -> Result<()> {
        self.keeper.flush()
    }

    /// See [`Keeper::waits_for`].
    pub fn waits_for(&self) -> Option<&OwnedFd> {
        self.keeper.waits_for()
    }

    /// See [`Keeper::is_full`].
    pub fn is_full(&self) -> bool {
        self.keeper.is_full()
    }
}
