//! `logs`: what a container wrote, from its files, as long as they grow.

use crate::error::{Error, Kind, Result};
use crate::journal_logs;
use crate::life::{self, Status};
use crate::paths::Paths;
use crate::record;
use crate::tail::{Lines, Watch};
use crate::wish::LogDriver;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::time::{Duration, SystemTime};
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
    /// The same for the clock.
    pub since_time: Option<SystemTime>,
    /// `--until`: not after this one.
    pub until: Option<String>,
    /// The same for the clock: `--follow` ends there.
    pub until_time: Option<SystemTime>,
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
    /// What `--log-opt` chose to go with it.
    #[serde(default)]
    pub attrs: BTreeMap<String, String>,
}

/// Gives each wanted entry to `sink`, until that wants no more.
pub fn logs(paths: &Paths, wanted: &str, wish: &LogWish, sink: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
    let listed = record::get(paths, wanted)?;
    let id = listed.record.id.clone();
    let elsewhere = |where_: &str| {
        let driver = listed.record.wish.log.name();
        Err(Error::new(Kind::Failed, format!("container {wanted} {where_} (--log-driver {driver})")))
    };
    match listed.record.wish.log {
        LogDriver::JsonFile { .. } | LogDriver::Local { .. } => {}
        LogDriver::Journald => return journal_logs::logs(paths, &id, wanted, wish, sink),
        LogDriver::None => return elsewhere("keeps no log"),
        LogDriver::Syslog => return elsewhere("writes to a syslog server, which has its log"),
        LogDriver::Passthrough => return elsewhere("has the streams of who started it, and keeps no log"),
    }
    let path = record::log(paths, &id);
    let watch = if wish.follow { Some(Watch::new(&paths.container(&id))?) } else { None };
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
    while supervisor::log::file::older(&path, older.len() as u32 + 1).exists() {
        older.push(supervisor::log::file::older(&path, older.len() as u32 + 1));
    }
    for file in older.iter().rev() {
        if let Ok(file) = File::open(file) {
            let mut lines = Lines::new(file);
            while let Some(entry) = lines.next(entry_of)? {
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
        while let Some(entry) = lines.next(entry_of)? {
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
        let status = life::status(paths, &id, &life::read(paths, &id)?)?;
        let over = !matches!(status, Status::Running | Status::Paused | Status::Restarting);
        loop {
            if let Some(lines) = &mut lines {
                while let Some(entry) = lines.next(entry_of)? {
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
        let left =
            wish.until_time.map(|until| until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO));
        if over || left == Some(Duration::ZERO) || !paths.has_container(&id)? {
            return Ok(());
        }
        watch.wait(left)?;
    }
}

/// An entry of a line that is one.
fn entry_of(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice(line).ok()
}
