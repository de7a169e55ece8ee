//! Files on their way: out of a tree or an archive, into a tree or an archive.
//!
//! A tree is walked by descriptors, nothing in it is followed, and what is opened is what was looked at. Where a tree is and what
//! may be done with it is the caller's decision.

mod ids;
pub(crate) mod merged;
mod walk;
mod write;

pub use ids::Ids;
pub(crate) use ids::changed;

use crate::kind::failed;
use crate::layer::Ownership;
use crate::layer::headers::{Gauged, each};
use crate::layer::unpack::{Meta, Unpacker, What, entry};
use crate::{Error, Kind, Result};
use rustix::fs::{Gid, Mode, OFlags, Stat, Timespec, Uid};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use sys::Context;
use write::Writer;

/// Where files come from.
pub enum From<'a> {
    /// A file or directory, open with `O_PATH`, under this name; with an empty name, what is in the directory.
    Tree(OwnedFd, Vec<u8>),
    /// A stream of tar(5), possibly compressed.
    Archive(Box<dyn Read + 'a>),
}

/// Where files go.
pub enum To<'a> {
    /// A directory; root of a user namespace makes no devices in it.
    Directory(OwnedFd, Ownership),
    /// A stream of tar(5).
    Archive(Box<dyn Write + 'a>),
}

/// Whether a file of a path is left out.
pub type Skip = dyn Fn(&[u8], &Stat) -> bool;

/// What is done to the files on their way.
#[derive(Default)]
pub struct Options<'a> {
    /// They get this owner and group, instead of their own.
    pub owner: Option<(u32, u32)>,
    /// Their own owners and groups, where they stay, under other numbers.
    pub ids: Option<&'a Ids<'a>>,
    /// Directories of other mounts are empty, and so are files that are mounts.
    pub one_mount: bool,
    /// The tree is the upper directory of an overlay: its marks become whiteouts of a layer.
    pub marks: Option<Ownership>,
    /// Leaves out a path of the tree.
    pub skip: Option<&'a Skip>,
    /// Set by the caller to stop, between two files.
    pub cancelled: Option<&'a AtomicBool>,
    /// Hears how many bytes of contents are copied so far.
    pub moved: Option<&'a dyn Fn(u64)>,
}

/// A content that goes by, told as it does.
struct Told<'a> {
    content: &'a mut dyn Read,
    done: u64,
    moved: &'a dyn Fn(u64),
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.done += count as u64;
        (self.moved)(self.done);
        Ok(count)
    }
}

/// One file.
pub(crate) struct Item<'a> {
    /// Without a slash at its beginning; empty for the top of what is copied.
    pub path: &'a [u8],
    pub what: &'a What,
    pub meta: &'a Meta,
    /// Bytes of its content.
    pub size: u64,
    pub content: &'a mut dyn Read,
}

enum Sink<'a> {
    Tree(Box<Unpacker<'static>>),
    Archive(Writer<'a>),
}

/// Copies all files; how many bytes their contents have.
pub fn transfer(from: From<'_>, to: To<'_>, options: &Options<'_>) -> Result<u64> {
    let mut sink = match to {
        To::Directory(directory, ownership) => Sink::Tree(Box::new(Unpacker::plain(directory, ownership))),
        To::Archive(out) => Sink::Archive(Writer::new(out)),
    };
    let mut sum = 0;
    let mut put = |item: Item<'_>| -> Result<()> {
        if options.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        let Item { path, what, meta, size, content } = item;
        let mut told;
        let content: &mut dyn Read = match options.moved {
            Some(moved) => {
                told = Told { content, done: sum, moved };
                &mut told
            }
            None => content,
        };
        sum += size;
        let owned;
        let meta = if options.owner.is_some() || options.ids.is_some() {
            owned = ids::changed(meta, options);
            &owned
        } else {
            meta
        };
        let done = match &mut sink {
            Sink::Tree(unpacker) => unpacker.put(path, what, meta, content),
            Sink::Archive(writer) => writer.put(path, what, meta, size, content),
        };
        done.within(|| format!("copy {:?}", String::from_utf8_lossy(path)))
    };
    match from {
        From::Tree(top, name) => walk::tree(&top, &name, options, &mut put)?,
        From::Archive(stream) => archive(stream, &mut put)?,
    }
    match sink {
        Sink::Tree(unpacker) => unpacker.finish().map(drop)?,
        Sink::Archive(writer) => writer.finish()?,
    }
    Ok(sum)
}

fn archive(stream: Box<dyn Read + '_>, put: &mut dyn FnMut(Item<'_>) -> Result<()>) -> Result<()> {
    let bad = |error: &std::io::Error| {
        let text: String = error.to_string().chars().take(300).collect();
        Error::new(Kind::Corrupt, format!("archive cannot be read: {}", text.escape_debug()))
    };
    let stream = crate::layer::decompressed(stream).map_err(|error| bad(&error))?;
    let (stream, gauge) = Gauged::new(stream);
    let mut archive = tar::Archive::new(stream);
    let entries = archive.entries().map_err(|error| bad(&error))?;
    each(entries, &gauge, &bad, &mut |next, _| {
        let path = next.path_bytes().into_owned();
        let read = entry::read(next).within(|| format!("{:?}", String::from_utf8_lossy(&path)))?;
        if let Some((what, meta)) = read {
            let path = path.strip_prefix(b"./").unwrap_or(&path).to_vec();
            let size = next.size();
            put(Item { path: &path, what: &what, meta: &meta, size, content: next })?;
        }
        std::io::copy(next, &mut std::io::sink()).map_err(|error| bad(&error))?;
        Ok(())
    })
}

/// The archive inside a stream that may be compressed.
pub fn decompressed<'a>(stream: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    crate::layer::decompressed(stream)
        .map_err(|error| Error::new(Kind::Corrupt, format!("archive cannot be read: {error}")))
}

/// What the kernel says of a file, for whoever gets it.
pub(crate) fn meta(stat: &Stat, attributes: Vec<(String, Vec<u8>)>) -> Meta {
    Meta {
        owner: Uid::from_raw(stat.st_uid),
        group: Gid::from_raw(stat.st_gid),
        mode: Mode::from_raw_mode(stat.st_mode & 0o7777),
        time: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
        attributes,
    }
}

/// Opens what an `O_PATH` descriptor is open on, to read it: no other file can be under its name meanwhile.
pub fn reopen(file: &OwnedFd, flags: OFlags) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(failed(|| "open".to_owned()))
}
