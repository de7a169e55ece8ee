//! What the layers of one image may take of this machine, together; and the space of a disk that none of them gets.

use crate::kind::failed;
use crate::{Error, Kind, Result};
use rustix::fs::StatVfs;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of an image, compressed or not.
pub(crate) const BYTES: u64 = 100 << 30;

/// Files and directories of an image, also those that only stand in paths.
pub(super) const FILES: u64 = 2_000_000;

/// How much is written between two looks at the disk: little beside a tenth of a small one.
const STEP: u64 = 1 << 20;

/// What stays free on a large disk; on a small one it is a tenth.
const RESERVE: u64 = 1 << 30;

/// Bytes of a disk for each of its inodes, as mke2fs(8) makes one. A file of no bytes takes an inode too.
const INODE: u64 = 16 << 10;

/// Whether a disk can take something and has enough left for all others, of which it needs to keep no more than `reserve`.
fn suffices(size: u64, free: u64, something: u64, reserve: u64) -> bool {
    if size == 0 || sys::mutant!("mutant_im_06") {
        // A file system that does not say.
        return true;
    }
    let reserve = reserve.min(size / 10);
    free >= reserve.saturating_add(something)
}

/// Whether a disk has room for so many bytes more.
fn has_room(disk: &StatVfs, something: u64) -> bool {
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    suffices(bytes(disk.f_blocks), bytes(disk.f_bavail), something, RESERVE)
}

/// Whether it has inodes for other files.
fn has_inodes(disk: &StatVfs) -> bool {
    suffices(disk.f_files, disk.f_favail, 0, RESERVE / INODE)
}

/// What an image has left.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    bytes: AtomicU64,
    files: AtomicU64,
}

#[cfg(feature = "fuzzing")]
impl Budget {
    /// One of which so much is left.
    pub fn of(bytes: u64, files: u64) -> Self {
        Self {
            bytes: AtomicU64::new(BYTES.saturating_sub(bytes)),
            files: AtomicU64::new(FILES.saturating_sub(files)),
        }
    }
}

/// What one layer takes of it, given back unless the layer is kept.
pub(super) struct Share<'a> {
    of: Option<&'a Budget>,
    bytes: u64,
    files: u64,
    unchecked: u64,
}

impl<'a> Share<'a> {
    /// Without a budget nothing is counted.
    pub fn new(of: Option<&'a Budget>) -> Self {
        Self { of, bytes: 0, files: 0, unchecked: 0 }
    }

    /// Takes what is about to be written to `place`, of which so many bytes do not lie in holes.
    pub fn take(&mut self, place: impl AsFd, bytes: u64, real: u64, files: u64) -> Result<()> {
        let Some(budget) = self.of else { return Ok(()) };
        if !taken(&budget.bytes, bytes, BYTES) {
            return Err(Error::new(Kind::Corrupt, format!("the image unpacks to more than {BYTES} bytes")));
        }
        self.bytes += bytes;
        if !taken(&budget.files, files, FILES) {
            return Err(Error::new(Kind::Corrupt, format!("the image has more than {FILES} files")));
        }
        self.files += files;
        self.unchecked = self.unchecked.saturating_add(real).saturating_add(files * INODE);
        if self.unchecked >= STEP {
            self.unchecked = 0;
            let disk = rustix::fs::fstatvfs(place).map_err(failed(|| "fstatvfs".to_owned()))?;
            // Like a write to a full disk, before it is one.
            let full = |what: String| Err(failed(|| what)(Errno::NOSPC));
            if !has_room(&disk, real) {
                return full(format!("keep room on the disk beside {real} bytes"));
            }
            if !has_inodes(&disk) {
                return full("keep inodes of the disk for other files".to_owned());
            }
        }
        Ok(())
    }

    /// The layer is there; how many bytes it has.
    pub fn keep(mut self) -> u64 {
        self.of = None;
        self.bytes
    }
}

/// Adds to a sum, unless it would be more than the most.
fn taken(sum: &AtomicU64, more: u64, most: u64) -> bool {
    let add = |known: u64| known.checked_add(more).filter(|new| *new <= most);
    sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if let Some(budget) = self.of {
            budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            budget.files.fetch_sub(self.files, Ordering::Relaxed);
        }
    }
}

/// A file that takes what it is given up to the bytes of an image, and leaves the others their room.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    written: u64,
    unchecked: u64,
}

impl Spool {
    pub fn new(file: File) -> Self {
        Self { file, written: 0, unchecked: 0 }
    }

    /// The file from its beginning.
    pub fn into_file(mut self) -> io::Result<File> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(self.file)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= BYTES {
            return Err(Errno::FBIG.into());
        }
        if self.unchecked >= STEP {
            self.unchecked = 0;
            if !has_room(&rustix::fs::fstatvfs(&self.file)?, 0) {
                return Err(Errno::NOSPC.into());
            }
        }
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        self.unchecked += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_keeps_a_reserve() {
        fn check(size: u64, free: u64, something: u64, room: bool) {
            assert_eq!(suffices(size, free, something, RESERVE), room, "{size} {free} {something}");
        }
        const GIB: u64 = 1 << 30;
        check(100, 10, 0, true);
        check(100, 9, 0, false);
        check(100, 30, 20, true);
        check(100, 30, 21, false);
        check(1000 * GIB, GIB, 0, true);
        check(1000 * GIB, GIB - 1, 0, false);
        check(1000 * GIB, 3 * GIB, 2 * GIB, true);
        check(1000 * GIB, 3 * GIB, 3 * GIB, false);
        // What says nothing of itself.
        check(0, 0, 0, true);
    }

    #[test]
    fn what_fails_is_given_back() {
        let place = File::open("/").unwrap();
        let budget = Budget::default();
        let share = || Share::new(Some(&budget));
        let mut kept = share();
        kept.take(&place, 60 << 30, 0, 1_500_000).unwrap();
        assert_eq!(kept.keep(), 60 << 30);
        for _ in 0..3 {
            let mut other = share();
            other.take(&place, 30 << 30, 0, 400_000).unwrap();
            assert_eq!(other.take(&place, 0, 0, 100_001).unwrap_err().kind, Kind::Corrupt);
            let mut other = share();
            assert_eq!(other.take(&place, 11 << 30, 0, 0).unwrap_err().kind, Kind::Corrupt);
            assert_eq!(share().take(&place, u64::MAX, 0, 0).unwrap_err().kind, Kind::Corrupt);
        }
        share().take(&place, 40 << 30, 0, 500_000).unwrap();
        Share::new(None).take(&place, u64::MAX, u64::MAX, 1).unwrap();
    }
}
