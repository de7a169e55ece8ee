//! The entries of a layer become files below one directory, with whiteouts as overlayfs wants them.
//!
//! The tar crate only parses. Every path is split here, its parent is resolved by the kernel inside the layer's own
//! root (openat2(2), RESOLVE_IN_ROOT), and the last component is never followed. No other layer is looked at.

pub(crate) mod entry;
mod place;
pub(super) mod strict;

use super::budget::Share;
use super::headers::{Gauge, Gauged, Headers, each};
use super::overwritten::Overwritten;
use super::split::{self, Tape};
use super::{Ownership, bad_data};
use crate::kind::failed;
use crate::{Error, Kind, Result};
pub(crate) use entry::{Meta, What};
use place::Place;
use rustix::fs::Timestamps;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::OwnedFd;
use sys::Context;
use tar::Archive;

/// What the paths of a layer's directories may take of memory.
const REMEMBERED: usize = 128 << 20;

pub(crate) struct Unpacker<'a> {
    place: Place,
    /// Directories get their time at the end: what is made in them changes it.
    directories: Vec<(Vec<u8>, Timestamps)>,
    remembered: usize,
    share: Share<'a>,
    buffer: Vec<u8>,
    /// The inodes of sparse files, where they are asked for.
    sparse: Option<BTreeSet<u64>>,
}

/// What an entry does, from the last component of its name (image-spec, layer.md#whiteouts).
enum Name<'a> {
    Root,
    File(&'a [u8]),
    Whiteout(&'a [u8]),
    Opaque,
    Ignored,
}

impl<'a> Unpacker<'a> {
    /// For files that are this machine's already.
    pub fn new(root: OwnedFd, ownership: Ownership) -> Self {
        Self::with(Place::new(root, ownership, false, None), Share::new(None))
    }

    /// For the layers of an image that may have so much, and are to be an archive again.
    pub(in crate::layer) fn within(
        root: OwnedFd,
        ownership: Ownership,
        share: Share<'a>,
        overwritten: Overwritten,
    ) -> Self {
        Self::with(Place::new(root, ownership, false, Some(overwritten)), share)
    }

    /// For files that are copied: nothing is a whiteout, and no file takes the place of a directory.
    pub fn plain(root: OwnedFd, ownership: Ownership) -> Self {
        Self::with(Place::new(root, ownership, true, None), Share::new(None))
    }

    fn with(place: Place, share: Share<'a>) -> Self {
        Self {
            place,
            directories: Vec::new(),
            remembered: 0,
            share,
            buffer: vec![0; 128 << 10],
            sparse: None,
        }
    }

    /// Makes one file that is copied.
    pub fn put(&mut self, path: &[u8], what: &What, meta: &Meta, content: &mut dyn Read) -> Result<()> {
        let components = components(path)?;
        match components.split_last() {
            // The directory that is copied into keeps what it is.
            None => Ok(()),
            Some((last, parents)) => self.make(&parents.join(&b'/'), last, what, meta, content, None),
        }
    }

    /// Unpacks all entries and gives the reader back, which stands behind the archive.
    pub(in crate::layer) fn run<R: Read>(
        &mut self,
        headers: Headers<R>,
        gauge: &Gauge,
        tape: &Tape,
    ) -> Result<Headers<R>> {
        let mut archive = Archive::new(headers);
        let entries = archive.entries().map_err(|error| bad_data(&error))?;
        each(entries, gauge, &bad_data, &mut |entry, headers| {
            let path = entry.path_bytes().into_owned();
            self.one(&path, entry, headers, tape).within(|| {
                let shown: String = String::from_utf8_lossy(&path).chars().take(300).collect();
                format!("layer entry {shown:?}")
            })?;
            // What this entry carries beyond need is read here, so that only headers are read between entries.
            std::io::copy(entry, &mut std::io::sink()).map_err(|error| bad_data(&error))?;
            tape.borrow_mut().end();
            Ok(())
        })?;
        Ok(archive.into_inner())
    }

    /// Unpacks an archive that is proven, without the contents of its files but those of sparse ones, which stand in it in a form of
    /// their own; the inodes of these.
    pub fn skeleton(mut self, from: &mut dyn Read) -> Result<BTreeSet<u64>> {
        self.sparse = Some(BTreeSet::new());
        let (from, gauge) = Gauged::new(from);
        let mut archive = Archive::new(from);
        let entries = archive.entries().map_err(|error| bad_data(&error))?;
        each(entries, &gauge, &bad_data, &mut |entry, _| {
            let path = entry.path_bytes().into_owned();
            if let Some((mut what, meta)) = entry::read(entry)? {
                if what == (What::File { sparse: false }) {
                    what = What::Hole { size: entry.size() };
                }
                self.layered(&path, &what, &meta, entry, None)?;
            }
            std::io::copy(entry, &mut std::io::sink()).map(drop).map_err(|error| bad_data(&error))
        })?;
        gauge.allow(u64::MAX);
        std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(|error| bad_data(&error))?;
        let sparse = self.sparse.take().unwrap_or_default();
        self.finish()?;
        Ok(sparse)
    }

    /// Writes into the layer's `split` what its files do not have any more under the paths in it, because later entries took their
    /// places; `inodes` are those of the files in it.
    pub(in crate::layer) fn keep_overwritten(&mut self, inodes: &[u64]) -> Result<()> {
        let Self { place, share, .. } = self;
        let Some(overwritten) = place.overwritten().filter(|overwritten| overwritten.changed()) else {
            return Ok(());
        };
        split::anew(overwritten.beside(), inodes, &mut |path, length, inode| {
            if place.has(path, inode) {
                return Ok(None);
            }
            // Its bytes are counted already; whether the disk has room for them a second time is not known.
            share.take(overwritten.beside(), 0, length, 0)?;
            overwritten.give(inode).map(Some)
        })
    }

    /// The last touches; how many bytes were taken.
    pub fn finish(mut self) -> Result<u64> {
        self.place.clear_overwritten()?;
        for (path, times) in &self.directories {
            self.place.touch(path, times)?;
        }
        Ok(self.share.keep())
    }

    fn one<R: Read>(
        &mut self,
        path: &[u8],
        entry: &mut tar::Entry<'_, R>,
        headers: u64,
        tape: &Tape,
    ) -> Result<()> {
        let Some((what, meta)) = entry::read(entry)? else {
            return self.share.take(self.place.directory_itself(), headers, headers, 1);
        };
        let attributes: u64 = meta.attributes.iter().map(|(_, value)| value.len() as u64).sum();
        // Headers stay too, beside the files.
        let beside = headers.saturating_add(attributes);
        let content = if matches!(what, What::File { sparse: true }) { 0 } else { entry.size() };
        let (bytes, real) = (beside.saturating_add(entry.size()), beside.saturating_add(content));
        self.share.take(self.place.directory_itself(), bytes, real, 1)?;
        self.layered(path, &what, &meta, entry, Some(tape))?;
        let made = self.place.parents_made();
        self.share.take(self.place.directory_itself(), 0, 0, made)
    }

    /// For a directory, whose time is set when all is in it.
    fn remember(&mut self, path: Vec<u8>, times: Timestamps) -> Result<()> {
        self.remembered += path.len() + size_of::<(Vec<u8>, Timestamps)>();
        if self.remembered > REMEMBERED {
            let text = format!("the paths of its directories have more than {REMEMBERED} bytes");
            return Err(Error::new(Kind::Corrupt, text));
        }
        self.directories.push((path, times));
        Ok(())
    }

    /// Makes one file of a layer, whose name may be a whiteout.
    pub fn layered(
        &mut self,
        path: &[u8],
        what: &What,
        meta: &Meta,
        content: &mut dyn Read,
        tape: Option<&Tape>,
    ) -> Result<()> {
        let components = components(path)?;
        let (name, parents) = match components.split_last() {
            None => (Name::Root, &[][..]),
            Some((last, parents)) => (name(last)?, parents),
        };
        if parents.iter().any(|parent| parent.starts_with(b".wh.") && !parent.starts_with(b".wh..wh.")) {
            return Err(Error::new(Kind::Corrupt, "below a whiteout"));
        }
        match name {
            Name::Ignored => Ok(()),
            _ if parents.iter().any(|parent| parent.starts_with(b".wh.")) => Ok(()),
            Name::Opaque => self.place.opaque(&parents.join(&b'/')),
            Name::Whiteout(name) => self.place.whiteout(&parents.join(&b'/'), name),
            Name::Root => match what {
                What::Directory => {
                    self.remember(Vec::new(), meta.times())?;
                    self.place.root(meta)
                }
                _ => Err(Error::new(Kind::Corrupt, "the root of a layer must be a directory")),
            },
            Name::File(name) => self.make(&parents.join(&b'/'), name, what, meta, content, tape),
        }
    }

    /// Notes whether a new file is a sparse one, where that is asked for. One that is gone may have had its inode.
    fn note_sparse(&mut self, file: &OwnedFd, is_sparse: bool) -> Result<()> {
        let Some(known) = &mut self.sparse else { return Ok(()) };
        let inode = inode_of(file)?;
        if is_sparse {
            known.insert(inode);
        } else {
            known.remove(&inode);
        }
        Ok(())
    }

    fn make(
        &mut self,
        parent: &[u8],
        name: &[u8],
        what: &What,
        meta: &Meta,
        content: &mut dyn Read,
        tape: Option<&Tape>,
    ) -> Result<()> {
        match what {
            What::File { sparse } => {
                let file = self.place.file(parent, name)?;
                self.note_sparse(&file, *sparse)?;
                // The bytes of a sparse one are no content of a file.
                let tape = tape.filter(|_| !sparse);
                let inode = tape.map(|_| inode_of(&file)).transpose()?;
                if let (Some(tape), Some(inode)) = (tape, inode) {
                    tape.borrow_mut().begin(joined(parent, name), inode);
                }
                write(&file, content, &mut self.buffer, *sparse)?;
                if let Some(inode) = inode {
                    self.place.share(parent, name, inode)?;
                }
                place::describe(&file, meta)?;
                rustix::fs::futimens(&file, &meta.times()).map_err(failed(|| "futimens".to_owned()))
            }
            What::Hole { size } => {
                let file = self.place.file(parent, name)?;
                self.note_sparse(&file, false)?;
                rustix::fs::ftruncate(&file, *size).map_err(failed(|| format!("ftruncate to {size}")))?;
                place::describe(&file, meta)?;
                rustix::fs::futimens(&file, &meta.times()).map_err(failed(|| "futimens".to_owned()))
            }
            What::Directory => {
                let directory = self.place.directory(parent, name)?;
                place::describe(&directory, meta)?;
                self.remember(joined(parent, name), meta.times())
            }
            What::Symlink(target) => self.place.symlink(parent, name, target, meta),
            What::Hardlink(target) => {
                let target = components(target).within(|| "hard link")?;
                let Some((last, parents)) = target.split_last() else {
                    return Err(Error::new(Kind::Corrupt, "hard link to a directory"));
                };
                self.place.hardlink(parent, name, &parents.join(&b'/'), last)
            }
            What::Node { kind, device } => self.place.node(parent, name, *kind, *device, meta),
        }
    }
}

fn inode_of(file: &OwnedFd) -> Result<u64> {
    rustix::fs::fstat(file).map(|stat| stat.st_ino).map_err(failed(|| "fstat".to_owned()))
}

fn joined(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, name].join(&b'/') }
}

/// The components of a path below the root. An absolute path is meant from there; `..` would leave it.
fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    // With its end, the longest that the kernel takes (PATH_MAX): the file is to be found again.
    if path.len() > 4095 {
        return Err(Error::new(Kind::Corrupt, "the path is longer than 4095 bytes"));
    }
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    let leaves = |part: &[u8]| part == b".." && !sys::mutant!("mutant_im_02_up");
    match parts.iter().find(|part| leaves(part) || part.len() > 255 || part.contains(&0)) {
        None => Ok(parts),
        Some(part) if *part == b".." => Err(Error::new(Kind::Corrupt, "leaves the root")),
        Some(part) if part.len() > 255 => Err(Error::new(Kind::Corrupt, "a name is longer than 255 bytes")),
        Some(_) => Err(Error::new(Kind::Corrupt, "a name has a NUL byte")),
    }
}

fn name(last: &[u8]) -> Result<Name<'_>> {
    match last.strip_prefix(b".wh.") {
        None => Ok(Name::File(last)),
        Some(b".wh..opq") => Ok(Name::Opaque),
        Some(b"" | b"." | b"..") => Err(Error::new(Kind::Corrupt, "a whiteout of nothing")),
        Some(rest) if rest.starts_with(b".wh.") => Ok(Name::Ignored),
        Some(rest) => Ok(Name::Whiteout(rest)),
    }
}

/// Writes the data of an entry; the holes of a sparse file stay holes.
fn write(file: &OwnedFd, entry: &mut dyn Read, buffer: &mut [u8], sparse: bool) -> Result<()> {
    let mut size = 0_u64;
    loop {
        let count = match entry.read(buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(bad_data(&error)),
        };
        if !sparse || buffer[..count].iter().any(|byte| *byte != 0) {
            let mut done = 0;
            while done < count {
                done += rustix::io::pwrite(file, &buffer[done..count], size + done as u64)
                    .map_err(failed(|| format!("write at {size}")))?;
            }
        }
        size += count as u64;
    }
    if sparse {
        rustix::fs::ftruncate(file, size).map_err(failed(|| format!("ftruncate to {size}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
