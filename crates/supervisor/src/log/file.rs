//! Files of ours, in the form of docker's `json-file`: one object a line with `log`, `stream` and `time`, rotated.

use super::{Keeper, Stream};
use crate::Result;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::path::{Path, PathBuf};
use sys::{Errno, Tries, called};

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

/// A file that is being written.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: OwnedFd,
    size: u64,
    rotation: Rotation,
    /// What every entry has besides, as JSON with a comma in front.
    attributes: String,
    /// Entries that are not written yet.
    text: Vec<u8>,
    /// Whether the file ends in the middle of an entry: its disk was full.
    torn: bool,
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

impl File {
    /// Goes on with the log at `path`. `attributes` is an object of JSON that every entry has as `attrs`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path, rotation: Rotation, attributes: Option<&str>) -> Result<Self> {
        let (file, size) = open(path)?;
        let attributes = attributes.map(|text| format!(",\"attrs\":{text}")).unwrap_or_default();
        Ok(Self { path: path.to_owned(), file, size, rotation, attributes, text: Vec::new(), torn: false })
    }

    fn put(&mut self, text: &[u8]) -> Result<()> {
        if self.size > 0 && self.size + text.len() as u64 > self.rotation.max_size {
            self.rotate()?;
        }
        if self.torn {
            // What comes next is not to be lost with it.
            self.write(b"\n")?;
            self.torn = false;
        }
        self.write(text)
    }

    fn write(&mut self, mut rest: &[u8]) -> Result<()> {
        let (whole, mut tries) = (rest.len(), Tries::default());
        while !rest.is_empty() {
            match rustix::io::write(&self.file, rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.size += count as u64;
                }
                Err(Errno::INTR) => {}
                // Room does not come back within a moment, and what else fails may have passed.
                Err(errno)
                    if ![Errno::NOSPC, Errno::DQUOT, Errno::FBIG].contains(&errno) && tries.go_on() => {}
                Err(errno) => {
                    self.torn |= rest.len() < whole;
                    return Err(called::<Errno>(|| format!("write({:?})", self.path))(errno).into());
                }
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        // After a rotation that could not begin the next file there is none to be put aside, and an older one would be lost.
        if std::fs::exists(&self.path).map_err(called(|| format!("stat({:?})", self.path)))? {
            self.put_aside()?;
        }
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }

    fn put_aside(&self) -> Result<()> {
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
        Ok(())
    }
}

impl Keeper for File {
    fn take(&mut self, stream: Stream, line: &[u8], time: &str) -> Result<()> {
        let before = self.text.len();
        entry(&mut self.text, stream, line, &self.attributes, time);
        if before > 0 && self.size + self.text.len() as u64 > self.rotation.max_size {
            let one = self.text.split_off(before);
            let written = self.flush();
            self.text = one;
            return written;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Ok(()) } else { self.put(&text) }
    }
}

/// One entry as JSON. What is no UTF-8 is replaced, as docker does.
fn entry(to: &mut Vec<u8>, stream: Stream, line: &[u8], attributes: &str, time: &str) {
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
    to.extend_from_slice(
        format!("\",\"stream\":\"{stream}\"{attributes},\"time\":\"{time}\"}}\n").as_bytes(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_that_is_broken_off_loses_nothing() {
        let directory = std::env::temp_dir().join(format!("devoxx-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("log");
        let content = |path: &Path| std::fs::read_to_string(path).ok();
        for max_files in [1, 3] {
            let mut log = File::open(&path, Rotation { max_size: 4, max_files }, None).expect("a log");
            log.put(b"one\n").expect("room");
            log.put(b"two\n").expect("another file");
            // As far as one comes that cannot open the next file.
            log.put_aside().expect("it is there");
            log.put(b"three\n").expect("another file");
            let all = [path.clone(), older(&path, 1), older(&path, 2)].map(|path| content(&path));
            let kept = |text: &str| (max_files == 3).then(|| text.to_owned());
            assert_eq!(all, [Some("three\n".to_owned()), kept("two\n"), kept("one\n")]);
            std::fs::remove_file(&path).expect("it is there");
        }
        std::fs::remove_dir_all(&directory).expect("it goes");
    }

    #[test]
    fn lines_become_entries() {
        let mut text = Vec::new();
        entry(&mut text, Stream::Error, b"a \"b\" \\ \x01\t\xff\n", "", "T");
        let text = String::from_utf8(text).expect("UTF-8");
        assert_eq!(
            text,
            "{\"log\":\"a \\\"b\\\" \\\\ \\u0001\\t\u{fffd}\\n\",\"stream\":\"stderr\",\"time\":\"T\"}\n"
        );
    }
}
