//! A keeper whose lines are messages to a socket: what is said is its own, how it gets there is the outbox's.

use super::outbox::{Address, Outbox};
use super::{Keeper, Stream};
use crate::Result;
use rustix::fd::OwnedFd;

/// What a line is as a message.
pub trait Words: std::fmt::Debug {
    /// The message for a line, or for a part of one; `ends` says that it needs an end of its own, because the socket's have none.
    fn message(&mut self, stream: Stream, line: &[u8], time: &str, ends: bool) -> Vec<u8>;
}

/// Lines as messages.
#[derive(Debug)]
pub struct Sent<W> {
    outbox: Outbox,
    pub(super) words: W,
}

impl<W: Words> Sent<W> {
    /// A connection to where messages go. `most` as in the outbox: none lets the container wait for whoever is slow.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: Address, words: W, most: Option<usize>) -> Result<Self> {
        Ok(Self { outbox: Outbox::open(address, most)?, words })
    }
}

impl<W: Words> Keeper for Sent<W> {
    fn take(&mut self, stream: Stream, line: &[u8], time: &str) -> Result<()> {
        let message = self.words.message(stream, line, time, self.outbox.is_stream());
        self.outbox.put(message);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.outbox.send()
    }

    fn finish(&mut self) -> Result<()> {
        self.outbox.finish()
    }

    fn waits_for(&self) -> Option<&OwnedFd> {
        self.outbox.waits_for()
    }

    fn is_full(&self) -> bool {
        self.outbox.is_full()
    }
}
