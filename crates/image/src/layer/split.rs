//! What of a layer's archive is not in its files: headers, padding, whatever was left out. With the files it gives the archive
//! again, byte for byte, so that an image that is saved or pushed keeps its digests.
//!
//! A stream of records, compressed: `B`, a length (u32) and so many bytes of the archive; or `F`, a length (u64), the length of a
//! path (u16) and the path, for the content of a file. Numbers are little-endian.
//!
//! While the archive goes by it is not known which of its files a later entry will take the place of. Where one did, the records are
//! written once more at the end ([`anew`]), with such contents in them.

use crate::kind::failed;
use crate::{Error, Kind, Result};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

/// The file of the records.
pub(crate) const NAME: &str = "split";
/// The same while it is written once more.
const NEW: &str = "split.new";

/// Bytes of the archive in one record.
const CHUNK: usize = 32 << 10;
/// No record is longer; a file that says otherwise is damaged.
const LONGEST: u32 = 1 << 20;

/// Where the reader of the archive and the unpacker meet: the one knows the bytes, the other what they are.
pub(crate) type Tape = Rc<RefCell<Recorder>>;

/// Writes the records while an archive goes by.
pub(crate) struct Recorder {
    out: Option<GzEncoder<File>>,
    pending: Vec<u8>,
    content: Option<Content>,
    inodes: Vec<u64>,
    failure: Option<io::Error>,
}

/// A file that is being unpacked.
struct Content {
    path: Vec<u8>,
    inode: u64,
    length: u64,
}

impl Recorder {
    /// In a directory; begins with bytes of the archive.
    pub fn new(directory: &OwnedFd) -> Result<Tape> {
        Ok(Rc::new(RefCell::new(Self::to(created(directory, NAME)?))))
    }

    fn to(file: File) -> Self {
        let out = Some(GzEncoder::new(file, Compression::fast()));
        let pending = Vec::with_capacity(CHUNK);
        Self { out, pending, content: None, inodes: Vec::new(), failure: None }
    }

    /// Takes bytes of the archive.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.content {
            Some(content) => content.length += bytes.len() as u64,
            None => {
                self.pending.extend_from_slice(bytes);
                if self.pending.len() >= CHUNK {
                    self.flush();
                }
            }
        }
    }

    /// From here on the bytes are the content of a file of the layer.
    pub fn begin(&mut self, path: Vec<u8>, inode: u64) {
        self.content = Some(Content { path, inode, length: 0 });
    }

    /// The content of the file ends here.
    pub fn end(&mut self) {
        let Some(Content { path, inode, length }) = self.content.take() else { return };
        if length > 0 {
            self.inodes.push(inode);
            self.file(&path, length);
        }
    }

    fn file(&mut self, path: &[u8], length: u64) {
        self.flush();
        let mut record = vec![b'F'];
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&(path.len() as u16).to_le_bytes());
        record.extend_from_slice(path);
        self.write(&record);
    }

    fn flush(&mut self) {
        for chunk in std::mem::take(&mut self.pending).chunks(CHUNK) {
            self.write(b"B");
            self.write(&(chunk.len() as u32).to_le_bytes());
            self.write(chunk);
        }
    }

    /// Takes so many bytes of the archive from where they are already.
    fn copy(&mut self, from: &mut dyn Read, length: u64) -> Result<()> {
        let (mut from, mut buffer) = (from.take(length), vec![0; CHUNK]);
        let mut left = length;
        while left > 0 {
            let count = from
                .read(&mut buffer)
                .map_err(failed(|| "read what goes into the layer's split".to_owned()))?;
            if count == 0 {
                return Err(damaged("a content is shorter than it was"));
            }
            left -= count as u64;
            self.bytes(&buffer[..count]);
            self.failure.take().map_or(Ok(()), Err).map_err(failed(unwritten))?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(bytes)
        {
            self.failure.get_or_insert(error);
        }
    }

    /// Everything is written, or this fails; the inodes of the files, in the order of their records.
    pub fn finish(&mut self) -> Result<Vec<u64>> {
        self.end();
        self.flush();
        let ended = self.out.take().map(GzEncoder::finish).transpose().map(drop);
        self.failure.take().map_or(ended, Err).map_err(failed(unwritten))?;
        Ok(std::mem::take(&mut self.inodes))
    }
}

fn unwritten() -> String {
    "write the layer's split".to_owned()
}

fn created(directory: &OwnedFd, name: &str) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let created = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o666));
    created.map(File::from).map_err(failed(|| format!("create {name}")))
}

/// Gives the content of a file, by its path, its length and its inode; none where the path leads to it.
type Contents<'a> = dyn FnMut(&[u8], u64, u64) -> Result<Option<File>> + 'a;

/// Writes the records once more: of each file whose content is given, with that.
pub(super) fn anew(directory: &OwnedFd, inodes: &[u64], content: &mut Contents<'_>) -> Result<()> {
    let unread = || format!("read {NAME}");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let old = rustix::fs::openat(directory, NAME, flags, Mode::empty()).map_err(failed(unread))?;
    let mut records = GzDecoder::new(BufReader::new(File::from(old)));
    let mut out = Recorder::to(created(directory, NEW)?);
    let mut inodes = inodes.iter();
    while let Some(next) = next(&mut records).map_err(failed(unread))? {
        match next {
            Next::Bytes(length) => out.copy(&mut records, length)?,
            Next::File(path, length) => {
                let inode = inodes.next().ok_or_else(|| damaged("a file has no inode"))?;
                match content(&path, length, *inode)? {
                    Some(mut content) => out.copy(&mut content, length)?,
                    None => out.file(&path, length),
                }
            }
        }
    }
    out.finish()?;
    rustix::fs::renameat(directory, NEW, directory, NAME)
        .map_err(failed(|| format!("rename {NEW} to {NAME}")))
}

/// The archive of a layer again.
pub(crate) struct Replay {
    records: GzDecoder<BufReader<File>>,
    root: OwnedFd,
    now: Now,
}

enum Now {
    Between,
    Bytes(u64),
    File(File, u64),
    End,
}

enum Next {
    Bytes(u64),
    File(Vec<u8>, u64),
}

impl Replay {
    /// From the records at `split` and the files below `root`.
    pub fn open(split: &Path, root: &Path) -> Result<Self> {
        let file = match File::open(split) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::new(
                    Kind::NotFound,
                    "it was stored by an old version, without what its archive needs",
                )
                .with_hint("pull or load the image again: that adds it"));
            }
            other => other.map_err(failed(|| format!("open {split:?}")))?,
        };
        let root = File::open(root).map_err(failed(|| format!("open {root:?}")))?;
        Ok(Self { records: GzDecoder::new(BufReader::new(file)), root: root.into(), now: Now::Between })
    }

    /// How many bytes the archive has.
    pub fn size(mut self) -> Result<u64> {
        let mut sum = 0_u64;
        let bad = |error: io::Error| damaged(&error.to_string());
        while let Some(next) = next(&mut self.records).map_err(bad)? {
            sum += match next {
                Next::Bytes(length) => {
                    io::copy(&mut (&mut self.records).take(length), &mut io::sink()).map_err(bad)?;
                    length
                }
                Next::File(_, length) => length,
            };
        }
        Ok(sum)
    }

    fn file(&self, path: &[u8]) -> io::Result<File> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), inside) {
                // A rename elsewhere; openat2(2) says to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                opened => return Ok(opened?.into()),
            }
        }
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Kind::Corrupt, format!("the archive of a layer cannot be made again: {why}"))
        .with_hint("remove the image and pull it again")
}

fn next(records: &mut impl Read) -> io::Result<Option<Next>> {
    let mut kind = [0; 1];
    if records.read(&mut kind)? == 0 {
        return Ok(None);
    }
    match kind[0] {
        b'B' => {
            let mut length = [0; 4];
            records.read_exact(&mut length)?;
            let length = u32::from_le_bytes(length);
            if length > LONGEST {
                return Err(io::Error::other("a record is too long"));
            }
            Ok(Some(Next::Bytes(length.into())))
        }
        b'F' => {
            let (mut length, mut path) = ([0; 8], [0; 2]);
            records.read_exact(&mut length)?;
            records.read_exact(&mut path)?;
            let mut name = vec![0; u16::from_le_bytes(path).into()];
            records.read_exact(&mut name)?;
            Ok(Some(Next::File(name, u64::from_le_bytes(length))))
        }
        _ => Err(io::Error::other("an unknown record")),
    }
}

impl Read for Replay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let most = |left: u64| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match &mut self.now {
                Now::End => return Ok(0),
                Now::Between => {
                    self.now = match next(&mut self.records)? {
                        None => Now::End,
                        Some(Next::Bytes(length)) => Now::Bytes(length),
                        Some(Next::File(path, length)) => Now::File(self.file(&path)?, length),
                    }
                }
                Now::Bytes(0) | Now::File(_, 0) => self.now = Now::Between,
                Now::Bytes(left) => {
                    let most = most(*left);
                    let count = self.records.read(&mut buffer[..most])?;
                    if count == 0 && most > 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *left -= count as u64;
                    return Ok(count);
                }
                Now::File(file, left) => {
                    let most = most(*left);
                    let count = file.read(&mut buffer[..most])?;
                    if count == 0 && most > 0 {
                        return Err(io::Error::other("a file of the layer is shorter than it was"));
                    }
                    *left -= count as u64;
                    return Ok(count);
                }
            }
        }
    }
}
