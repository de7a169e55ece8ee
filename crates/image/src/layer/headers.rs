//! The archive's bytes on their way to the parser: bounded between two entries, and hashed for the diff id of a layer.
//!
//! The parser reads long names and extended headers into memory; how much that is, is bounded here.

use super::split::Tape;
use super::unpack::strict;
use crate::digest::{Digest, Hasher};
use crate::{Error, Kind, Result};
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;
use tar::{Entries, Entry};

/// What may stand between the data of two entries: names, extended attributes, sparse maps.
pub(super) const BETWEEN: u64 = 1 << 20;

/// Entries of one archive.
const ENTRIES: u64 = 2_000_000;

/// What the parser has read, and may still read.
pub(crate) struct Gauge {
    /// How many bytes may still be read.
    left: Cell<u64>,
    /// How many there have been.
    at: Cell<u64>,
    /// Whether they are kept.
    keeps: Cell<bool>,
    /// Those that are, and where they begin.
    kept: RefCell<(u64, Vec<u8>)>,
}

impl Gauge {
    /// Bounds what follows.
    pub fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }

    /// What follows is no data of an entry, until [`Gauge::stop`].
    fn between(&self) {
        self.left.set(BETWEEN);
        self.keeps.set(true);
        self.kept_from(self.at.get());
    }

    /// What follows is not looked at: data of an entry, or what stands behind the archive and may be long.
    fn stop(&self) {
        self.keeps.set(false);
    }

    fn kept_from(&self, at: u64) {
        let mut kept = self.kept.borrow_mut();
        kept.0 = at;
        kept.1.clear();
    }

    fn read(&self, bytes: &[u8]) {
        let count = bytes.len() as u64;
        self.left.set(self.left.get() - count);
        self.at.set(self.at.get() + count);
        if self.keeps.get() {
            self.kept.borrow_mut().1.extend_from_slice(bytes);
        }
    }

    /// Fails where what stood before the entry whose header is at `own`, and is about it, is read in different ways.
    fn check(&self, own: u64) -> Result<()> {
        let kept = self.kept.borrow();
        // Behind the rest of a block of data.
        let first = kept.0.next_multiple_of(BLOCK);
        let place = |at: u64| usize::try_from(at.checked_sub(kept.0)?).ok();
        let before = place(first).zip(place(own)).and_then(|(first, own)| kept.1.get(first..own));
        let lost = || Error::new(Kind::Corrupt, format!("headers before byte {own} that cannot be followed"));
        strict::check_before(before.ok_or_else(lost)?)
    }
}

/// The unit of an archive.
const BLOCK: u64 = 512;

/// Bytes up to where a gauge says.
pub(crate) struct Gauged<R> {
    from: R,
    gauge: Rc<Gauge>,
}

impl<R> Gauged<R> {
    pub fn new(from: R) -> (Self, Rc<Gauge>) {
        let gauge = Rc::new(Gauge {
            left: Cell::new(BETWEEN),
            at: Cell::default(),
            keeps: Cell::default(),
            kept: RefCell::default(),
        });
        (Self { from, gauge: Rc::clone(&gauge) }, gauge)
    }
}

impl<R: Read> Read for Gauged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.gauge.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("more than the archive may hold here"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut buffer[..most])?;
        self.gauge.read(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Seek> Seek for Gauged<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.from.seek(to)?;
        self.gauge.at.set(at);
        self.gauge.kept_from(at);
        Ok(at)
    }
}

/// Gives each entry of an archive to `one`, with how many bytes of headers stood before it; `one` must leave nothing of its data unread but
/// where the archive can seek. What cannot be read is an error in the words of `bad`; headers that are read in different ways are one too.
pub(crate) fn each<R: Read>(
    mut entries: Entries<'_, R>,
    gauge: &Gauge,
    bad: &dyn Fn(&io::Error) -> Error,
    one: &mut dyn FnMut(&mut Entry<'_, R>, u64) -> Result<()>,
) -> Result<()> {
    let mut count = 0;
    loop {
        gauge.between();
        let next = entries.next();
        gauge.stop();
        let Some(entry) = next else { return Ok(()) };
        let mut entry = entry.map_err(|error| bad(&error))?;
        gauge.check(entry.raw_header_position())?;
        count += 1;
        if count > ENTRIES {
            return Err(Error::new(Kind::Corrupt, format!("the archive has more than {ENTRIES} entries")));
        }
        let headers = BETWEEN - gauge.left.get();
        gauge.allow(u64::MAX);
        one(&mut entry, headers)?;
    }
}

pub(super) struct Headers<R> {
    from: Gauged<R>,
    hasher: Hasher,
    tape: Tape,
}

impl<R: Read> Headers<R> {
    pub fn new(from: R, hasher: Hasher, tape: Tape) -> (Self, Rc<Gauge>) {
        let (from, gauge) = Gauged::new(from);
        (Self { from, hasher, tape }, gauge)
    }

    /// Reads what follows the archive: it belongs to the digest, but to no file.
    pub fn finish(mut self, limit: u64) -> io::Result<Digest> {
        self.from.gauge.allow(limit);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept to be looked at is what stands between two entries: the end of an archive may be as long as it likes.
    #[test]
    fn nothing_behind_the_archive_is_kept() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_path("f").unwrap();
        header.set_size(4 << 20);
        header.set_cksum();
        archive.append(&header, io::repeat(1).take(4 << 20)).unwrap();
        let archive = archive.into_inner().unwrap();
        let whole = io::Cursor::new(archive).chain(io::repeat(2).take(4 << 20));
        let (from, gauge) = Gauged::new(whole);
        let mut archive = tar::Archive::new(from);
        let bad = |error: &io::Error| Error::new(Kind::Corrupt, error.to_string());
        let mut count = 0;
        each(archive.entries().unwrap(), &gauge, &bad, &mut |entry, _| {
            count += io::copy(entry, &mut io::sink()).unwrap();
            Ok(())
        })
        .unwrap();
        gauge.allow(u64::MAX);
        // The second of the two blocks of zeros too.
        let behind = io::copy(&mut archive.into_inner(), &mut io::sink()).unwrap();
        assert_eq!((count, behind), (4 << 20, (4 << 20) + 512));
        let kept = gauge.kept.borrow().1.len();
        assert!(kept <= 2 * 512, "{kept} bytes are kept");
    }
}
