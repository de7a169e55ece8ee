//! `diff`: what a container changed of its image, read from the upper directory of its overlay.

use crate::base;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::record::{self, Record};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use std::collections::BTreeSet;
use std::ffi::CString;
use sys::{Errno, called};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Deleted,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Added => "A",
            Self::Changed => "C",
            Self::Deleted => "D",
        })
    }
}

/// One descriptor a level.
const DEEPEST: usize = 400;

/// What the engine makes in a container's root for its own mounts, where the image does not have it.
const OURS: [&str; 13] = [
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
    "dev/fd",
    ".dockerenv",
];

/// Whether a file of the upper directory is only the place of a mount of ours.
pub fn is_ours(path: &[u8], stat: &Stat) -> bool {
    let empty = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_size == 0,
        FileType::Directory => true,
        _ => false,
    };
    empty && OURS.iter().any(|ours| ours.as_bytes() == path)
}

/// As [`is_ours`], of what is new: files alone, because a directory may have something in it.
pub fn is_place(path: &[u8], stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && is_ours(path, stat)
}

/// The upper directory of a container's overlay; an error where it has none. None when it was never started.
pub fn upper(host: &Host<'_>, record: &Record) -> Result<Option<OwnedFd>> {
    if record.image_id.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            format!("container {} was not made from an image", record.name),
        ));
    }
    let path = host.paths.container(&record.id).join("upper");
    match rustix::fs::open(&path, FLAGS, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        other => Ok(Some(other.map_err(called::<Errno>(|| format!("open({path:?})")))?)),
    }
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What container `wanted` changed, by path.
pub fn diff(host: &Host<'_>, wanted: &str) -> Result<Vec<(Change, String)>> {
    let record = record::get(host.paths, wanted)?.record;
    let Some(upper) = upper(host, &record)? else { return Ok(Vec::new()) };
    let layers = base::of_record(host, &record)?.layers.unwrap_or_default();
    let mut below = Vec::new();
    for layer in layers.iter().rev() {
        let opened = rustix::fs::open(layer, FLAGS, Mode::empty())
            .map_err(called::<Errno>(|| format!("open({layer:?})")))?;
        below.push(opened);
    }
    let opaque = if host.rootless.is_some() { "user.overlay.opaque" } else { "trusted.overlay.opaque" };
    let mut found = Found { opaque, changes: Vec::new() };
    found.directory(&upper, &below.iter().map(AsFd::as_fd).collect::<Vec<_>>(), &[], 0)?;
    Ok(found.changes)
}

struct Found {
    opaque: &'static str,
    changes: Vec<(Change, String)>,
}

impl Found {
    /// Compares a directory with those of the same path in the layers, top first. Whether there was any difference.
    fn directory(
        &mut self,
        upper: &OwnedFd,
        below: &[BorrowedFd<'_>],
        path: &[u8],
        depth: usize,
    ) -> Result<bool> {
        if depth > DEEPEST {
            return Err(Error::new(Kind::Failed, format!("directories nest deeper than {DEEPEST}")));
        }
        let mut any = false;
        for name in names(upper)? {
            let stat = match rustix::fs::statat(upper, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(called::<Errno>(|| format!("fstatat({name:?})")))?,
            };
            let path =
                if path.is_empty() { name.to_bytes().to_vec() } else { [path, name.to_bytes()].join(&b'/') };
            let shown = format!("/{}", String::from_utf8_lossy(&path));
            let lower = self.beneath(below, &name)?;
            if is_whiteout(&stat) {
                any |= lower.is_there;
                if lower.is_there {
                    self.changes.push((Change::Deleted, shown));
                }
                continue;
            }
            let change = if lower.is_there { Change::Changed } else { Change::Added };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                if lower.is_there || !is_ours(&path, &stat) {
                    any = true;
                    self.changes.push((change, shown));
                }
                continue;
            }
            let place = self.changes.len();
            self.changes.push((change, shown));
            let inner = rustix::fs::openat(upper, &name, FLAGS, Mode::empty())
                .map_err(called::<Errno>(|| format!("openat({name:?})")))?;
            let hidden = self.is_opaque(&inner)?;
            let directories: Vec<BorrowedFd<'_>> =
                if hidden { Vec::new() } else { lower.directories.iter().map(AsFd::as_fd).collect() };
            let within = self.directory(&inner, &directories, &path, depth + 1)?;
            let bare = if lower.is_there {
                // It was copied up for a place of ours, or for what was made in it and has gone again.
                lower.stat.is_some_and(|old| !hidden && same(&old, &stat))
            } else {
                is_ours(&path, &stat)
            };
            if within || !bare {
                any = true;
            } else {
                self.changes.remove(place);
            }
        }
        Ok(any)
    }

    /// What the layers have under a name, top first.
    fn beneath(&self, below: &[BorrowedFd<'_>], name: &CString) -> Result<Beneath> {
        let mut found = Beneath { is_there: false, stat: None, directories: Vec::new() };
        for layer in below {
            let stat = match rustix::fs::statat(layer, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(called::<Errno>(|| format!("fstatat({name:?})")))?,
            };
            if is_whiteout(&stat) {
                break;
            }
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                if !found.is_there {
                    (found.is_there, found.stat) = (true, Some(stat));
                }
                break;
            }
            if !found.is_there {
                (found.is_there, found.stat) = (true, Some(stat));
            }
            let directory = rustix::fs::openat(layer, name, FLAGS, Mode::empty())
                .map_err(called::<Errno>(|| format!("openat({name:?})")))?;
            let last = self.is_opaque(&directory)?;
            found.directories.push(directory);
            if last {
                break;
            }
        }
        Ok(found)
    }

    fn is_opaque(&self, directory: &OwnedFd) -> Result<bool> {
        let mut value = [0; 1];
        match rustix::fs::fgetxattr(directory, self.opaque, &mut value) {
            Ok(length) => Ok(length == 1 && value == *b"y"),
            // `x` is of overlays in overlays.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
            Err(errno) => Err(called::<Errno>(|| format!("fgetxattr({})", self.opaque))(errno).into()),
        }
    }
}

struct Beneath {
    is_there: bool,
    stat: Option<Stat>,
    directories: Vec<OwnedFd>,
}

fn same(old: &Stat, new: &Stat) -> bool {
    (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid)
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn names(directory: &OwnedFd) -> Result<BTreeSet<CString>> {
    let mut names = BTreeSet::new();
    for entry in Dir::read_from(directory).map_err(called::<Errno>(|| "getdents64".to_owned()))? {
        let entry = entry.map_err(called::<Errno>(|| "getdents64".to_owned()))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.insert(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
