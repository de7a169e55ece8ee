//! The archive's bytes on their way to the parser: hashed for the diff id, and bounded between two entries.
//!
//! The parser reads long names and extended headers into memory; how much that is, is bounded here.

use super::split::Tape;
use crate::digest::{Digest, Hasher};
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// What may stand between the data of two entries: names, extended attributes, sparse maps.
pub(super) const BETWEEN: u64 = 1 << 20;

/// How many bytes may still be read.
pub(super) type Gauge = Rc<Cell<u64>>;

pub(super) struct Headers<R> {
    from: R,
    hasher: Hasher,
    left: Gauge,
    tape: Tape,
}

impl<R: Read> Headers<R> {
    pub fn new(from: R, hasher: Hasher, tape: Tape) -> (Self, Gauge) {
        let left = Gauge::new(Cell::new(BETWEEN));
        (Self { from, hasher, left: Rc::clone(&left), tape }, left)
    }

    /// Reads what follows the archive: it belongs to the digest, but to no file.
    pub fn finish(mut self, limit: u64) -> io::Result<Digest> {
        self.left.set(limit);
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Headers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("more than the archive may hold here"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut buffer[..most])?;
        self.hasher.update(&buffer[..count]);
        self.tape.borrow_mut().bytes(&buffer[..count]);
        self.left.set(left - count as u64);
        Ok(count)
    }
}
