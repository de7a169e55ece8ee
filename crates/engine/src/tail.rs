//! Files that grow by lines, and are rotated: read as far as they are, and watched for more.

use crate::error::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify;
use rustix::io::Errno;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use sys::called;

/// A watch of a directory, for a file in it that grows or is put in another's place.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// From now on.
    pub fn new(directory: &Path) -> Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).map_err(called::<Errno>(|| "inotify_init1".to_owned()))?;
        let flags = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        inotify::add_watch(&watch, directory, flags)
            .map_err(called::<Errno>(|| format!("inotify_add_watch({directory:?})")))?;
        Ok(Self(watch))
    }

    /// Waits for a change, or until the time is over; a change that came before counts.
    pub fn wait(&self, patience: Option<Duration>) -> Result<()> {
        let limit = patience.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(called::<Errno>(|| "poll(inotify)".to_owned())(errno).into()),
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        match rustix::io::read(&self.0, &mut buffer) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Err(errno) => Err(called::<Errno>(|| "read(inotify)".to_owned())(errno).into()),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The lines of one file.
#[derive(Debug)]
pub struct Lines {
    file: BufReader<File>,
    /// The beginning of a line that is still being written.
    begun: Vec<u8>,
}

/// The longest line that is read.
const LONGEST: u64 = 256 * 1024;

impl Lines {
    /// From where the file is read next.
    pub fn new(file: File) -> Self {
        Self { file: BufReader::new(file), begun: Vec::new() }
    }

    /// Whether another descriptor is of the same file.
    pub fn is_of(&self, other: &File) -> bool {
        let number = |file: &File| file.metadata().map(|stat| (stat.dev(), stat.ino())).ok();
        number(self.file.get_ref()) == number(other)
    }

    /// Gives the next whole line, with its break, to `read`, until that makes something of one.
    pub fn next<T>(&mut self, read: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>> {
        loop {
            let count = (&mut self.file)
                .take(LONGEST)
                .read_until(b'\n', &mut self.begun)
                .map_err(called(|| "read(log)".to_owned()))?;
            if !self.begun.ends_with(b"\n") {
                if count == 0 || self.begun.len() as u64 <= LONGEST {
                    // A reader at its end does not ask again by itself.
                    let here = self.file.stream_position().map_err(called(|| "lseek(log)".to_owned()))?;
                    self.file.seek(SeekFrom::Start(here)).map_err(called(|| "lseek(log)".to_owned()))?;
                    return Ok(None);
                }
                continue;
            }
            let made = read(&self.begun);
            self.begun.clear();
            if made.is_some() {
                return Ok(made);
            }
        }
    }
}
