//! What an entry of an archive says: its type, owner, mode, time and extended attributes.
//!
//! It touches no file. Where headers contradict each other the entry is refused: two readers of the archive would
//! see two different layers.

use crate::{Error, Kind, Result};
use rustix::fs::{FileType, Gid, Mode, Timespec, Timestamps, Uid};
use std::io::Read;
use tar::{EntryType, PaxExtensions};

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    File {
        sparse: bool,
    },
    /// A file of so many bytes whose content is elsewhere.
    Hole {
        size: u64,
    },
    Directory,
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    Node {
        kind: FileType,
        device: u64,
    },
}

/// How it is described.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub owner: Uid,
    pub group: Gid,
    pub mode: Mode,
    pub time: Timespec,
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl Meta {
    pub fn times(&self) -> Timestamps {
        Timestamps { last_access: self.time, last_modification: self.time }
    }
}

/// The longest global header: git(1) writes a hundred bytes.
const GLOBAL: u64 = 64 << 10;

pub(super) fn corrupt(text: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, text)
}

/// Nothing for an entry that is no file, such as the comment that git(1) puts first.
pub(crate) fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Option<(What, Meta)>> {
    super::strict::check(entry.header())?;
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return global(entry).map(|()| None);
    }
    let extended = Extended::read(entry)?;
    let bad = |error: std::io::Error| corrupt(error.to_string().escape_debug().to_string());
    let header = entry.header();
    let id = |id: u64| {
        u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| corrupt(format!("owner {id}")))
    };
    let meta = Meta {
        owner: Uid::from_raw(id(header.uid().map_err(bad)?)?),
        group: Gid::from_raw(id(header.gid().map_err(bad)?)?),
        mode: Mode::from_raw_mode(header.mode().map_err(bad)? & 0o7777),
        // The crate reads a negative base-256 number as its two's complement.
        time: match extended.time {
            Some(time) => time,
            None => Timespec { tv_sec: header.mtime().map_err(bad)?.cast_signed(), tv_nsec: 0 },
        },
        attributes: extended.attributes,
    };
    let link = || match entry.link_name_bytes() {
        Some(link) if link.len() > 4096 || link.contains(&0) => Err(corrupt("the target is no path")),
        Some(link) if !link.is_empty() => Ok(link.into_owned()),
        _ => Err(corrupt("the link has no target")),
    };
    let device = || -> Result<u64> {
        let number =
            |number: std::io::Result<Option<u32>>| number.map(Option::unwrap_or_default).map_err(bad);
        Ok(rustix::fs::makedev(number(header.device_major())?, number(header.device_minor())?))
    };
    // A name that ends in a slash is a directory to readers of old archives.
    let slash = entry.path_bytes().ends_with(b"/");
    let what = match kind {
        // Some readers skip that much, others look for the next header there.
        _ if entry.size() != 0 && (slash || !is_file(kind)) => {
            return Err(corrupt(format!("{} bytes of something that has no content", entry.size())));
        }
        EntryType::Regular | EntryType::Continuous if slash => What::Directory,
        EntryType::Regular | EntryType::Continuous => What::File { sparse: false },
        EntryType::GNUSparse => What::File { sparse: true },
        EntryType::Directory => What::Directory,
        EntryType::Symlink => What::Symlink(link()?),
        EntryType::Link => What::Hardlink(link()?),
        EntryType::Fifo => What::Node { kind: FileType::Fifo, device: 0 },
        EntryType::Block => What::Node { kind: FileType::BlockDevice, device: device()? },
        EntryType::Char => match device()? {
            // To overlayfs it would be a whiteout.
            0 if !sys::mutant!("mutant_im_13_node") => return Err(corrupt("a character device 0:0")),
            device => What::Node { kind: FileType::CharacterDevice, device },
        },
        other => return Err(corrupt(format!("unknown type of entry {:#04x}", other.as_byte()))),
    };
    Ok(Some((what, meta)))
}

fn is_file(kind: EntryType) -> bool {
    matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse)
}

/// A header for all entries that follow. Some readers heed it and others do not, so it may say nothing that makes other files of them.
fn global<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<()> {
    if entry.size() > GLOBAL {
        return Err(corrupt(format!("a global header of {} bytes", entry.size())));
    }
    // To some readers what stands before it is meant for it, to others for the next file.
    let stray = || corrupt("a header for one file before a global one");
    if entry.path_bytes() != entry.header().path_bytes() {
        return Err(stray());
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(|error| corrupt(error.to_string().escape_debug().to_string()))?;
    if text.last().is_some_and(|last| *last != b'\n') {
        return Err(corrupt("a malformed PAX record"));
    }
    for record in PaxExtensions::new(&text) {
        let record = record.map_err(|_| corrupt("a malformed PAX record"))?;
        let key = record.key_bytes();
        let matters = matches!(key, b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime");
        if matters || key.starts_with(b"GNU.sparse.") || key.starts_with(b"SCHILY.xattr.") {
            let key = String::from_utf8_lossy(key).escape_debug().to_string();
            return Err(corrupt(format!("a global header with {key}")));
        }
    }
    // All of its own is read; these would be another's.
    let others = entry.pax_extensions().map_err(|error| corrupt(error.to_string()))?;
    if others.into_iter().flatten().next().is_some_and(|record| record.is_ok()) {
        Err(stray())
    } else {
        Ok(())
    }
}

/// The records of a PAX header (pax(1)) that matter here; path, link, size and owner the crate has applied.
#[derive(Default)]
struct Extended {
    time: Option<Timespec>,
    attributes: Vec<(String, Vec<u8>)>,
}

impl Extended {
    fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Self> {
        let plain = entry.header().entry_size().unwrap_or_default();
        let (size, sparse) = (entry.size(), entry.header().entry_type() == EntryType::GNUSparse);
        let path = entry.path_bytes().into_owned();
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let mut this = Self::default();
        let Some(records) = entry.pax_extensions().map_err(|error| corrupt(error.to_string()))? else {
            return Ok(this);
        };
        let mut seen = Vec::new();
        for record in records {
            let record = record.map_err(|_| corrupt("a malformed PAX record"))?;
            let (key, value) = (record.key_bytes(), record.value_bytes());
            match key {
                _ if sys::mutant!("mutant_im_04") => (),
                b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" => {
                    if seen.contains(&key) {
                        return Err(corrupt("two PAX records for one field"));
                    }
                    seen.push(key);
                    this.field(key, value)?;
                    // GNU's headers for long names stand against it.
                    let others = match key {
                        b"path" => path != value,
                        b"linkpath" => link.as_deref().is_some_and(|link| link != value),
                        _ => false,
                    };
                    if others {
                        return Err(corrupt("two different names"));
                    }
                    // A reader without PAX would find the next entry elsewhere.
                    if key == b"size" && !sparse && plain != 0 && plain != size {
                        return Err(corrupt("two different sizes"));
                    }
                }
                // What tar(1) does with the others is not known here either.
                _ if key.starts_with(b"GNU.") => {
                    return Err(Error::new(Kind::Unsupported, "a sparse file in PAX form"));
                }
                // Not kept, but whoever cannot read it stops there.
                b"atime" | b"ctime" if std::str::from_utf8(value).ok().and_then(seconds).is_none() => {
                    return Err(corrupt("a PAX time that is none"));
                }
                _ => this.attribute(key, value),
            }
        }
        Ok(this)
    }

    fn field(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let text = || std::str::from_utf8(value).map_err(|_| corrupt("a PAX number that is none"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match key {
            b"mtime" => self.time = Some(seconds(text()?).ok_or_else(|| corrupt("a PAX time that is none"))?),
            b"size" | b"uid" | b"gid" if !digits(text()?) || text()?.parse::<u64>().is_err() => {
                return Err(corrupt("a PAX number that is none"));
            }
            // Without a value it would mean that of the plain header, to some.
            _ if value.is_empty() => return Err(corrupt("a PAX name that is none")),
            _ if value.contains(&0) => return Err(corrupt("a name has a NUL byte")),
            _ => (),
        }
        Ok(())
    }

    /// Only what a file carries for its own sake: overlayfs's marks, labels and trusted.* are this machine's.
    fn attribute(&mut self, key: &[u8], value: &[u8]) {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.").and_then(|name| std::str::from_utf8(name).ok())
        else {
            return;
        };
        let user = name.starts_with("user.") && !name.starts_with("user.overlay.");
        let wanted = user || name == "security.capability" || sys::mutant!("mutant_im_13");
        if wanted && !name.contains('\0') {
            self.attributes.push((name.to_owned(), value.to_vec()));
        }
    }
}

/// A decimal number of seconds, possibly negative, possibly with a fraction.
fn seconds(text: &str) -> Option<Timespec> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // A plus sign is none of a number here.
    if !digits(fraction) || !digits(whole.strip_prefix('-').unwrap_or(whole)) {
        return None;
    }
    let tv_sec: i64 = whole.parse().ok()?;
    let (kept, beyond) = fraction.split_at(fraction.len().min(9));
    let mut nanoseconds: i64 = format!("{kept:0<9}").parse().ok()?;
    if !text.starts_with('-') {
        return Some(Timespec { tv_sec, tv_nsec: nanoseconds });
    }
    // To the earlier one, as a point of time is cut off on the other side of 0 too.
    nanoseconds += i64::from(beyond.bytes().any(|digit| digit != b'0'));
    Some(match nanoseconds {
        0 => Timespec { tv_sec, tv_nsec: 0 },
        1_000_000_000 => Timespec { tv_sec: tv_sec.checked_sub(1)?, tv_nsec: 0 },
        _ => Timespec { tv_sec: tv_sec.checked_sub(1)?, tv_nsec: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        fn check(text: &str, time: Option<(i64, i64)>) {
            assert_eq!(seconds(text).map(|t| (t.tv_sec, t.tv_nsec)), time, "{text:?}");
        }
        check("0", Some((0, 0)));
        check("1.5", Some((1, 500_000_000)));
        check("1.1234567891", Some((1, 123_456_789)));
        check("-1", Some((-1, 0)));
        check("-1.25", Some((-2, 750_000_000)));
        check("-0.5", Some((-1, 500_000_000)));
        check("-1.0000000001", Some((-2, 999_999_999)));
        check("-1.9999999999", Some((-2, 0)));
        check("-1.0000000000", Some((-1, 0)));
        check("+1", None);
        check("--1", None);
        check("-", None);
        check("1.x", None);
        check("", None);
        check("1.é", None);
    }
}
