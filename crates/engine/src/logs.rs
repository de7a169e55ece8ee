//! `logs`: what a container wrote, from its files, as long as they grow.

use crate::error::{Error, Kind, Result};
use crate::life::{self, Status};
use crate::paths::Paths;
use crate::record;
use crate::wish::LogDriver;
use rustix::fs::inotify;
use rustix::io::Errno;
use serde::Deserialize;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sys::called;

/// What of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct LogWish {
    /// `--follow`.
    pub follow: bool,
    /// `--tail`: the last so many lines; none for all.
    pub tail: Option<usize>,
    /// `--since`: not before this point of time (RFC 3339 in UTC, with nanoseconds).
    pub since: Option<String>,
    /// `--until`: not after this one.
    pub until: Option<String>,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// The line, with its line break where it has one.
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// RFC 3339 in UTC, with nanoseconds.
    pub time: String,
}

/// Gives each wanted entry to `sink`, until that wants no more.
pub fn logs(paths: &Paths, wanted: &str, wish: &LogWish, sink: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
    let listed = record::get(paths, wanted)?;
    let id = listed.record.id;
    if listed.record.wish.log == LogDriver::None {
        return Err(Error::new(Kind::Failed, format!("container {wanted} keeps no log (--log-driver none)")));
    }
    let path = record::log(paths, &id);
    let watch = if wish.follow { Some(watch(&paths.container(&id))?) } else { None };
    let mut last: VecDeque<Entry> = VecDeque::new();
    let wants = |entry: &Entry| {
        wish.since.as_ref().is_none_or(|since| entry.time >= *since)
            && wish.until.as_ref().is_none_or(|until| entry.time <= *until)
    };
    let mut give = |entry: Entry, sink: &mut dyn FnMut(&Entry) -> bool| -> bool {
        if !wants(&entry) {
            return true;
        }
        match wish.tail {
            Some(count) => {
                last.push_back(entry);
                if last.len() > count {
                    last.pop_front();
                }
                true
            }
            None => sink(&entry),
        }
    };
    // Oldest first.
    let mut older = Vec::new();
    while supervisor::log::older(&path, older.len() as u32 + 1).exists() {
        older.push(supervisor::log::older(&path, older.len() as u32 + 1));
    }
    for file in older.iter().rev() {
        if let Ok(file) = File::open(file) {
            let mut lines = Lines::new(file);
            while let Some(entry) = lines.next()? {
                if !give(entry, sink) {
                    return Ok(());
                }
            }
        }
    }
    let mut lines = match File::open(&path) {
        Ok(file) => Some(Lines::new(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(called(|| format!("open({path:?})"))(error).into()),
    };
    if let Some(lines) = &mut lines {
        while let Some(entry) = lines.next()? {
            if !give(entry, sink) {
                return Ok(());
            }
        }
    }
    if !last.drain(..).all(|entry| sink(&entry)) {
        return Ok(());
    }
    let Some(watch) = watch else { return Ok(()) };
    loop {
        // Before what is there is read: what comes after the reading is an event.
        let life = life::read(paths, &id);
        let over =
            !matches!(life::status(paths, &id, &life), Status::Running | Status::Paused | Status::Restarting);
        loop {
            if let Some(lines) = &mut lines {
                while let Some(entry) = lines.next()? {
                    if wish.until.as_ref().is_some_and(|until| entry.time > *until)
                        || (wants(&entry) && !sink(&entry))
                    {
                        return Ok(());
                    }
                }
            }
            // A rotated file has been read to its end; then comes the new one.
            match File::open(&path) {
                Ok(file) if lines.as_ref().is_none_or(|lines| !lines.is_of(&file)) => {
                    lines = Some(Lines::new(file))
                }
                _ => break,
            }
        }
        if over || !paths.container(&id).exists() {
            return Ok(());
        }
        wait(&watch)?;
    }
}

fn watch(directory: &Path) -> Result<rustix::fd::OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)
        .map_err(called::<Errno>(|| "inotify_init1".to_owned()))?;
    let flags = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE_SELF;
    inotify::add_watch(&watch, directory, flags)
        .map_err(called::<Errno>(|| format!("inotify_add_watch({directory:?})")))?;
    Ok(watch)
}

fn wait(watch: &rustix::fd::OwnedFd) -> Result<()> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
    match rustix::io::read(watch, &mut buffer) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| "read(inotify)".to_owned())(errno).into()),
    }
}

/// The entries of one file.
struct Lines {
    file: BufReader<File>,
    /// The beginning of an entry that is still being written.
    begun: Vec<u8>,
}

/// The longest entry that is read.
const LONGEST: u64 = 256 * 1024;

impl Lines {
    fn new(file: File) -> Self {
        Self { file: BufReader::new(file), begun: Vec::new() }
    }

    fn is_of(&self, other: &File) -> bool {
        let number = |file: &File| file.metadata().map(|stat| (stat.dev(), stat.ino())).ok();
        number(self.file.get_ref()) == number(other)
    }

    /// The next whole entry; a line that is none is passed over.
    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let read = (&mut self.file)
                .take(LONGEST)
                .read_until(b'\n', &mut self.begun)
                .map_err(called(|| "read(log)".to_owned()))?;
            if !self.begun.ends_with(b"\n") {
                if read == 0 || self.begun.len() as u64 <= LONGEST {
                    // A reader at its end does not ask again by itself.
                    let here = self.file.stream_position().map_err(called(|| "lseek(log)".to_owned()))?;
                    self.file.seek(SeekFrom::Start(here)).map_err(called(|| "lseek(log)".to_owned()))?;
                    return Ok(None);
                }
                continue;
            }
            let entry = serde_json::from_slice(&self.begun);
            self.begun.clear();
            if let Ok(entry) = entry {
                return Ok(Some(entry));
            }
        }
    }
}
