//! What a container wrote, line by line, in the form of docker's `json-file`: one object a line with `log`, `stream` and
//! `time`, in files that are rotated.

use crate::Result;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::path::{Path, PathBuf};
use sys::{Errno, called};

/// As docker: what is longer is several entries, of which only the last ends with a line break.
const LONGEST_LINE: usize = 16 * 1024;

/// Where something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1, or the terminal.
    Output,
    /// Descriptor 2.
    Error,
}

/// How large a log may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of one file.
    pub max_size: u64,
    /// Files, the current one among them.
    pub max_files: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { max_size: 10 << 20, max_files: 3 }
    }
}

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: OwnedFd,
    size: u64,
    rotation: Rotation,
    /// The beginning of a line, of each stream.
    pending: [Vec<u8>; 2],
}

/// The name of an older file: `LOG.1` is the youngest of them.
pub fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open(path: &Path) -> Result<(OwnedFd, u64)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(called::<Errno>(|| format!("open({path:?})")))?;
    let stat = rustix::fs::fstat(&file).map_err(called::<Errno>(|| format!("fstat({path:?})")))?;
    Ok((file, u64::try_from(stat.st_size).unwrap_or_default()))
}

impl Log {
    /// Goes on with the log at `path`.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self> {
        let (file, size) = open(path)?;
        Ok(Self { path: path.to_owned(), file, size, rotation, pending: Default::default() })
    }

    /// Adds what came from a stream, whose whole lines are written.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending[stream as usize]);
        pending.extend_from_slice(bytes);
        let time = runtime::timestamp::now();
        let (mut text, mut one) = (Vec::new(), Vec::new());
        let mut rest: &[u8] = &pending;
        loop {
            let line = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let length = match line {
                Some(length) if length <= LONGEST_LINE => length,
                _ if rest.len() >= LONGEST_LINE => LONGEST_LINE,
                _ => break,
            };
            entry(&mut one, stream, &rest[..length], &time);
            if self.size + (text.len() + one.len()) as u64 > self.rotation.max_size {
                self.put(&text)?;
                text.clear();
            }
            text.append(&mut one);
            rest = &rest[length..];
        }
        let left = rest.len();
        let done = pending.len() - left;
        pending.drain(..done);
        self.pending[stream as usize] = pending;
        self.put(&text)
    }

    /// Writes what is left of both streams: nothing more comes.
    pub fn end(&mut self) -> Result<()> {
        for stream in [Stream::Output, Stream::Error] {
            let rest = std::mem::take(&mut self.pending[stream as usize]);
            if !rest.is_empty() {
                let mut text = Vec::new();
                entry(&mut text, stream, &rest, &runtime::timestamp::now());
                self.put(&text)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, text: &[u8]) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.size > 0 && self.size + text.len() as u64 > self.rotation.max_size {
            self.rotate()?;
        }
        let mut rest = text;
        while !rest.is_empty() {
            match rustix::io::write(&self.file, rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.size += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(called::<Errno>(|| format!("write({:?})", self.path))(errno).into()),
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        let files = self.rotation.max_files.max(1);
        if files == 1 {
            std::fs::remove_file(&self.path).map_err(called(|| format!("unlink({:?})", self.path)))?;
        }
        for number in (1..files).rev() {
            let from = if number == 1 { self.path.clone() } else { older(&self.path, number - 1) };
            match std::fs::rename(&from, older(&self.path, number)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(called(|| format!("rename({from:?})"))(error).into());
                }
                _ => {}
            }
        }
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }
}

/// One entry as JSON. What is no UTF-8 is replaced, as docker does.
fn entry(to: &mut Vec<u8>, stream: Stream, line: &[u8], time: &str) {
    let stream = match stream {
        Stream::Output => "stdout",
        Stream::Error => "stderr",
    };
    to.extend_from_slice(b"{\"log\":\"");
    for part in line.utf8_chunks() {
        for letter in part.valid().chars() {
            match letter {
                '"' => to.extend_from_slice(b"\\\""),
                '\\' => to.extend_from_slice(b"\\\\"),
                '\n' => to.extend_from_slice(b"\\n"),
                '\r' => to.extend_from_slice(b"\\r"),
                '\t' => to.extend_from_slice(b"\\t"),
                control if control < ' ' => {
                    to.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
                }
                letter => to.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !part.invalid().is_empty() {
            to.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    to.extend_from_slice(format!("\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_entries() {
        let mut text = Vec::new();
        entry(&mut text, Stream::Error, b"a \"b\" \\ \x01\t\xff\n", "T");
        let text = String::from_utf8(text).expect("UTF-8");
        assert_eq!(
            text,
            "{\"log\":\"a \\\"b\\\" \\\\ \\u0001\\t\u{fffd}\\n\",\"stream\":\"stderr\",\"time\":\"T\"}\n"
        );
    }
}
