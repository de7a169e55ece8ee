//! The archive's bytes on their way to the parser: bounded between two entries, and hashed for the diff id of a layer.
//!
//! The parser reads long names and extended headers into memory; how much that is, is bounded here.

use super::split::Tape;
use crate::digest::{Digest, Hasher};
use crate::{Error, Kind, Result};
use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;
use tar::{Entries, Entry};

/// What may stand between the data of two entries: names, extended attributes, sparse maps.
pub(super) const BETWEEN: u64 = 1 << 20;

/// Entries of one archive.
const ENTRIES: u64 = 2_000_000;

/// How many bytes may still be read.
pub(crate) type Gauge = Rc<Cell<u64>>;

/// Bytes up to where a gauge says.
pub(crate) struct Gauged<R> {
    from: R,
    left: Gauge,
}

impl<R> Gauged<R> {
    pub fn new(from: R) -> (Self, Gauge) {
        let left = Gauge::new(Cell::new(BETWEEN));
        (Self { from, left: Rc::clone(&left) }, left)
    }
}

impl<R: Read> Read for Gauged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("more than the archive may hold here"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut buffer[..most])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

impl<R: Seek> Seek for Gauged<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.from.seek(to)
    }
}

/// Gives each entry of an archive to `one`, with how many bytes of headers stood before it; `one` must leave nothing of its data unread but where the archive can seek. What
/// cannot be read is an error in the words of `bad`.
pub(crate) fn each<R: Read>(
    mut entries: Entries<'_, R>,
    gauge: &Gauge,
    bad: &dyn Fn(&io::Error) -> Error,
    one: &mut dyn FnMut(&mut Entry<'_, R>, u64) -> Result<()>,
) -> Result<()> {
    let mut count = 0;
    loop {
        gauge.set(BETWEEN);
        let Some(entry) = entries.next() else { return Ok(()) };
        let mut entry = entry.map_err(|error| bad(&error))?;
        count += 1;
        if count > ENTRIES {
            return Err(Error::new(Kind::Corrupt, format!("the archive has more than {ENTRIES} entries")));
        }
        let headers = BETWEEN - gauge.get();
        gauge.set(u64::MAX);
        one(&mut entry, headers)?;
    }
}

pub(super) struct Headers<R> {
    from: Gauged<R>,
    hasher: Hasher,
    tape: Tape,
}

impl<R: Read> Headers<R> {
    pub fn new(from: R, hasher: Hasher, tape: Tape) -> (Self, Gauge) {
        let (from, gauge) = Gauged::new(from);
        (Self { from, hasher, tape }, gauge)
    }

    /// Reads what follows the archive: it belongs to the digest, but to no file.
    pub fn finish(mut self, limit: u64) -> io::Result<Digest> {
        self.from.left.set(limit);
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Headers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.tape.borrow_mut().bytes(&buffer[..count]);
        Ok(count)
    }
}
