//! A disk that writes down what is written to it, in order, with every flush: a file of a FUSE file system (fuse(4)), for a loop device
//! to stand on. What device mapper's log-writes does in kernels that have it.
//!
//! The file system has two files: `disk`, and `mark`, to which a line is written that is to stand in the log.

use super::log::Entry;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Bytes of one write or read at most, as the kernel is told.
const MOST: usize = 1 << 20;
/// Length of `struct fuse_in_header`.
const HEADER: usize = 40;
/// Length of `struct fuse_write_in`.
const WRITE: usize = 40;
/// The numbers of what there is.
const ROOT: u64 = 1;
const DISK: u64 = 2;
const MARK: u64 = 3;

/// The calls, of `enum fuse_opcode` (include/uapi/linux/fuse.h).
mod call {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const SETATTR: u32 = 4;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const WRITE: u32 = 16;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const FSYNC: u32 = 20;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const INTERRUPT: u32 = 36;
    pub const DESTROY: u32 = 38;
    pub const BATCH_FORGET: u32 = 42;
    pub const FALLOCATE: u32 = 43;
}

struct Disk {
    device: File,
    /// What is on it now.
    content: File,
    log: File,
    bytes: u64,
}

/// Mounts it at `directory`, and serves until it is unmounted.
pub fn serve(directory: &str, bytes: u64, log: &str) -> io::Result<()> {
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let scratch = format!("{log}.content");
    let content = File::options().read(true).write(true).create_new(true).open(&scratch)?;
    std::fs::remove_file(&scratch)?;
    content.set_len(bytes)?;
    let log = File::options().append(true).create_new(true).open(log)?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    let options = CString::new(options)?;
    mount("recorded", directory, "fuse", MountFlags::empty(), options.as_c_str())?;
    Disk { device, content, log, bytes }.run()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_ne_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |eight| u64::from_ne_bytes(*eight))
}

fn numbers(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn longs(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

impl Disk {
    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; MOST + 4096];
        loop {
            let length = match self.device.read(&mut buffer) {
                Ok(length) => length,
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    // It is unmounted.
                    Some(Errno::NODEV) => return Ok(()),
                    Some(Errno::INTR | Errno::AGAIN | Errno::NOENT) => continue,
                    _ => return Err(error),
                },
            };
            let request = buffer.get(..length).unwrap_or_default();
            let (kind, unique) = (u32_at(request, 4), u64_at(request, 8));
            if matches!(kind, call::FORGET | call::BATCH_FORGET | call::INTERRUPT) {
                continue;
            }
            let answer = self.answer(kind, u64_at(request, 16), request.get(HEADER..).unwrap_or_default());
            self.reply(unique, answer)?;
            if kind == call::DESTROY {
                return Ok(());
            }
        }
    }

    fn reply(&mut self, unique: u64, answer: Result<Vec<u8>, Errno>) -> io::Result<()> {
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(errno) => (-errno.raw_os_error(), Vec::new()),
        };
        let length = u32::try_from(body.len() + 16).unwrap_or_default();
        let head = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &unique.to_ne_bytes(), &body].concat();
        match self.device.write(&head) {
            // Whoever asked has been killed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written.map(drop),
        }
    }

    fn answer(&mut self, kind: u32, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        match kind {
            call::INIT => Ok(Self::greeting(body)),
            call::LOOKUP => {
                let node = match body {
                    b"disk\0" => DISK,
                    b"mark\0" => MARK,
                    _ => return Err(Errno::NOENT),
                };
                // struct fuse_entry_out: node, generation, how long both are valid.
                Ok([longs(&[node, 0, 3600, 3600]), numbers(&[0, 0]), self.attributes(node)].concat())
            }
            call::GETATTR | call::SETATTR => {
                Ok([longs(&[3600]), numbers(&[0, 0]), self.attributes(node)].concat())
            }
            // FOPEN_DIRECT_IO for the marks: each write comes as it is.
            call::OPEN => Ok([longs(&[0]), numbers(&[u32::from(node == MARK), 0])].concat()),
            call::READ => self.read(node, u64_at(body, 8), u32_at(body, 16)),
            call::WRITE => self.write(node, u64_at(body, 8), body.get(WRITE..).unwrap_or_default()),
            call::FALLOCATE => self.zeros(node, u64_at(body, 8), u64_at(body, 16), u32_at(body, 24)),
            call::FSYNC => {
                if node == DISK {
                    self.note(&Entry::Flush)?;
                }
                Ok(Vec::new())
            }
            call::FLUSH | call::RELEASE | call::DESTROY => Ok(Vec::new()),
            call::STATFS => Ok(vec![0; 80]),
            _ => Err(Errno::NOSYS),
        }
    }

    /// `struct fuse_init_out`: version 7.31, writes of up to [`MOST`] bytes.
    fn greeting(body: &[u8]) -> Vec<u8> {
        const ASYNC_READ: u32 = 1;
        const BIG_WRITES: u32 = 1 << 5;
        const MAX_PAGES: u32 = 1 << 22;
        let flags = u32_at(body, 12) & (ASYNC_READ | BIG_WRITES | MAX_PAGES);
        let most = u32::try_from(MOST).unwrap_or_default();
        let mut out = numbers(&[7, 31, u32_at(body, 8), flags]);
        for half in [16_u16, 12] {
            out.extend(half.to_ne_bytes());
        }
        out.extend(numbers(&[most, 1]));
        for half in [256_u16, 0] {
            out.extend(half.to_ne_bytes());
        }
        out.resize(64, 0);
        out
    }

    /// `struct fuse_attr`.
    fn attributes(&self, node: u64) -> Vec<u8> {
        let (size, mode) = match node {
            ROOT => (0, 0o040_755),
            DISK => (self.bytes, 0o100_600),
            _ => (0, 0o100_600),
        };
        let mut out = longs(&[node, size, size / 512, 0, 0, 0]);
        out.extend(numbers(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]));
        out
    }

    fn read(&self, node: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        if node != DISK {
            return Ok(Vec::new());
        }
        let length = u64::from(size).min(self.bytes.saturating_sub(offset)).min(MOST as u64);
        let mut out = vec![0; usize::try_from(length).unwrap_or_default()];
        self.content.read_exact_at(&mut out, offset).map_err(|_| Errno::IO)?;
        Ok(out)
    }

    fn write(&mut self, node: u64, offset: u64, data: &[u8]) -> Result<Vec<u8>, Errno> {
        match node {
            DISK if offset.saturating_add(data.len() as u64) > self.bytes => return Err(Errno::NOSPC),
            DISK => {
                self.content.write_all_at(data, offset).map_err(|_| Errno::IO)?;
                self.note(&Entry::Write { offset, data: data.to_vec() })?;
            }
            MARK => self.note(&Entry::Mark(String::from_utf8_lossy(data).trim().to_owned()))?,
            _ => return Err(Errno::ISDIR),
        }
        Ok(numbers(&[u32::try_from(data.len()).unwrap_or_default(), 0]))
    }

    /// A hole that is punched, or a range of zeros: `FALLOC_FL_PUNCH_HOLE` or `FALLOC_FL_ZERO_RANGE`.
    fn zeros(&mut self, node: u64, offset: u64, length: u64, mode: u32) -> Result<Vec<u8>, Errno> {
        if node != DISK || mode & (0x02 | 0x10) == 0 {
            return Err(Errno::OPNOTSUPP);
        }
        let end = offset.saturating_add(length).min(self.bytes);
        let mut at = offset;
        while at < end {
            let count = (end - at).min(MOST as u64);
            self.write(DISK, at, &vec![0; usize::try_from(count).unwrap_or_default()])?;
            at += count;
        }
        Ok(Vec::new())
    }

    fn note(&mut self, entry: &Entry) -> Result<(), Errno> {
        self.log.write_all(&entry.written()).map_err(|_| Errno::IO)
    }
}
