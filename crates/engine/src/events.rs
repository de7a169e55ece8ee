//! What happens to containers, images, volumes and networks, with docker's words: a file that whoever acts appends to.
//!
//! ```text
//! DATA/events/log      one JSON object a line, O_APPEND, the newest last
//! DATA/events/log.1    the ones before; together at most twice LONGEST
//! ```
//! No lock is waited for: a writer holds a shared one for its one write, and who finds the file too long takes it alone for the
//! renaming, or leaves that to the next.

use crate::error::{Error, Kind, Result};
use crate::paths::{Paths, make};
use crate::record::Record;
use crate::tail::{Lines, Watch};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sys::called;

/// Bytes of one file of events: thousands of them.
const LONGEST: u64 = 1 << 20;

/// What something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
        })
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// To what.
    pub subject: Subject,
    /// Docker's word for it, of `exec_create` and `health_status` with more behind a colon.
    pub action: String,
    /// Its id; of a volume its name.
    pub id: String,
    /// Further words.
    pub attributes: BTreeMap<String, String>,
}

fn directory(paths: &Paths) -> PathBuf {
    paths.data.join("events")
}

/// What happens at once: it is written at once.
#[derive(Debug, Default)]
pub struct Occurrences(Vec<u8>);

impl Occurrences {
    /// Adds what happens to something.
    pub fn add(&mut self, subject: Subject, action: &str, id: &str, attributes: &[(&str, &str)]) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let occurrence = Occurrence {
            time: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
            subject,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        if let Ok(line) = serde_json::to_vec(&occurrence) {
            self.0.extend(line);
            self.0.push(b'\n');
        }
    }

    /// As [`Occurrences::add`], of a container: with its name, its image and its labels.
    pub fn add_container(&mut self, record: &Record, action: &str, more: &[(&str, &str)]) {
        let mut attributes: Vec<(&str, &str)> =
            record.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        attributes.extend([("image", record.image.as_str()), ("name", record.name.as_str())]);
        attributes.extend(more);
        self.add(Subject::Container, action, &record.id, &attributes);
    }

    /// Writes it. It has happened whether or not that can be written down, so a full disk is no error here.
    pub fn write(self, paths: &Paths) {
        let _unwritten = append(paths, &self.0);
    }
}

/// Says that something happened.
pub fn tell(paths: &Paths, subject: Subject, action: &str, id: &str, attributes: &[(&str, &str)]) {
    let mut told = Occurrences::default();
    told.add(subject, action, id, attributes);
    told.write(paths);
}

/// As [`tell`], of a container: with its name, its image and its labels.
pub fn of_container(paths: &Paths, record: &Record, action: &str, more: &[(&str, &str)]) {
    let mut told = Occurrences::default();
    told.add_container(record, action, more);
    told.write(paths);
}

fn append(paths: &Paths, lines: &[u8]) -> std::io::Result<()> {
    let path = directory(paths).join("log");
    // More often than that nobody rotates at the same time.
    for _ in 0..4 {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::LockShared)?;
        let opened = file.metadata()?;
        if std::fs::metadata(&path).map(|found| found.ino()).ok() != Some(opened.ino()) {
            continue;
        }
        if opened.len() > LONGEST && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Between the two locks another may have been as quick.
            if std::fs::metadata(&path)?.ino() == opened.ino() {
                std::fs::rename(&path, path.with_extension("1"))?;
            }
            continue;
        }
        // At once, so that it is in the file whole, or not at all.
        return file.write_all(lines);
    }
    Ok(())
}

/// Makes the place for them.
pub fn prepare(paths: &Paths) -> Result<()> {
    let directory = directory(paths);
    make(&directory)?;
    let path = directory.join("log");
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(called(|| format!("open({path:?})")))?;
    Ok(())
}

/// Gives everything that happened since a point of time to `sink`, and then what happens, until another point or until `sink` wants
/// no more. Times are nanoseconds since 1970. Without `since` only what happens from now on.
pub fn events(
    paths: &Paths,
    since: Option<u64>,
    until: Option<u64>,
    sink: &mut dyn FnMut(&Occurrence) -> bool,
) -> Result<()> {
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(Error::new(Kind::Usage, "--since is after --until"));
    }
    let directory = directory(paths);
    let path = directory.join("log");
    // Before the reading: what comes after it is a change.
    let watch = Watch::new(&directory)?;
    let mut give = |occurrence: Occurrence| {
        let wanted = since.is_none_or(|since| occurrence.time >= since)
            && until.is_none_or(|until| occurrence.time <= until);
        !wanted || sink(&occurrence)
    };
    if since.is_some()
        && let Ok(file) = File::open(path.with_extension("1"))
    {
        let mut older = Lines::new(file);
        while let Some(occurrence) = older.next(occurrence_of)? {
            if !give(occurrence) {
                return Ok(());
            }
        }
    }
    let mut lines: Option<Lines> = None;
    loop {
        loop {
            if let Some(lines) = &mut lines {
                while let Some(occurrence) = lines.next(occurrence_of)? {
                    if !give(occurrence) {
                        return Ok(());
                    }
                }
            }
            // One that was rotated has been read to its end; then comes the new one.
            match File::open(&path) {
                Ok(mut file) if lines.as_ref().is_none_or(|lines| !lines.is_of(&file)) => {
                    if lines.is_none() && since.is_none() {
                        file.seek(SeekFrom::End(0)).map_err(called(|| "lseek(events)".to_owned()))?;
                    }
                    lines = Some(Lines::new(file));
                }
                _ => break,
            }
        }
        let left = until.map(|until| {
            let until = UNIX_EPOCH + Duration::from_nanos(until);
            until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
        });
        if left == Some(Duration::ZERO) {
            return Ok(());
        }
        watch.wait(left)?;
    }
}

fn occurrence_of(line: &[u8]) -> Option<Occurrence> {
    serde_json::from_slice(line).ok()
}
