//! What of a layer's archive is not in its files: headers, padding, whatever was left out. With the files it gives the archive
//! again, byte for byte, so that an image that is saved or pushed keeps its digests.
//!
//! A stream of records, compressed: `B`, a length (u32) and so many bytes of the archive; or `F`, a length (u64), the length of a
//! path (u16) and the path, for the content of a file. Numbers are little-endian.

use crate::kind::failed;
use crate::{Error, Kind, Result};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

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
    content: Option<(Vec<u8>, u64)>,
    failure: Option<io::Error>,
}

impl Recorder {
    /// Begins with bytes of the archive.
    pub fn new(file: File) -> Tape {
        let out = Some(GzEncoder::new(file, Compression::fast()));
        Rc::new(RefCell::new(Self { out, pending: Vec::with_capacity(CHUNK), content: None, failure: None }))
    }

    /// Takes bytes of the archive.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.content {
            Some((_, length)) => *length += bytes.len() as u64,
            None => {
                self.pending.extend_from_slice(bytes);
                if self.pending.len() >= CHUNK {
                    self.flush();
                }
            }
        }
    }

    /// From here on the bytes are the content of a file of the layer.
    pub fn begin(&mut self, path: Vec<u8>) {
        self.content = Some((path, 0));
    }

    /// The content of the file ends here.
    pub fn end(&mut self) {
        let Some((path, length)) = self.content.take() else { return };
        if length == 0 {
            return;
        }
        self.flush();
        let mut record = vec![b'F'];
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&(path.len() as u16).to_le_bytes());
        record.extend_from_slice(&path);
        self.write(&record);
    }

    fn flush(&mut self) {
        for chunk in std::mem::take(&mut self.pending).chunks(CHUNK) {
            self.write(b"B");
            self.write(&(chunk.len() as u32).to_le_bytes());
            self.write(chunk);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(bytes)
        {
            self.failure.get_or_insert(error);
        }
    }

    /// Everything is written, or this fails.
    pub fn finish(&mut self) -> Result<()> {
        self.end();
        self.flush();
        let ended = self.out.take().map(GzEncoder::finish).transpose().map(drop);
        self.failure.take().map_or(ended, Err).map_err(failed(|| "write the layer's split".to_owned()))
    }
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
        let opened = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), inside)?;
        Ok(opened.into())
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
