//! `logs` of a container that writes to systemd's journal: what journalctl(1) finds there by the container's id.

use crate::error::{Error, Kind, Result};
use crate::life::{self, Status};
use crate::logs::{Entry, LogWish};
use crate::paths::Paths;
use crate::tail::Watch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sys::{Errno, called};

/// The longest entry that is read: a line of 16 KiB, byte by byte as numbers, and its fields.
const LONGEST: u64 = 8 << 20;

/// Fields that are no details of a line.
const KNOWN: [&str; 12] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_TIMESTAMP",
    "IMAGE_NAME",
    "CONTAINER_ID",
    "CONTAINER_ID_FULL",
    "CONTAINER_NAME",
    "CONTAINER_TAG",
    "CONTAINER_PARTIAL_ID",
    "CONTAINER_PARTIAL_ORDINAL",
    "CONTAINER_PARTIAL_LAST",
];
/// Whether its line goes on.
const PARTIAL: &str = "CONTAINER_PARTIAL_MESSAGE";

/// A journalctl that writes entries; ended when it is dropped.
struct Reader {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    begun: Vec<u8>,
}

fn missing(wanted: &str) -> Error {
    let message = format!(
        "container {wanted} writes to the journal (--log-driver journald), and journalctl is not here"
    );
    Error::new(Kind::Failed, message).with_hint("journalctl is part of systemd")
}

impl Reader {
    fn start(wanted: &str, id: &str, options: &[String]) -> Result<Self> {
        let child = Command::new("journalctl")
            .args(["--quiet", "--no-pager", "--all", "--output=json"])
            .args(options)
            .arg(format!("CONTAINER_ID_FULL={id}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing(wanted)),
            other => other.map_err(called(|| "execve(journalctl)".to_owned()))?,
        };
        let out = child.stdout.take().ok_or_else(|| missing(wanted))?;
        Ok(Self { child, out: BufReader::new(out), begun: Vec::new() })
    }

    /// Reads once. None when there is no more.
    fn read(&mut self) -> Result<Option<Vec<(Entry, String)>>> {
        let mut all = Vec::new();
        loop {
            let left = LONGEST.saturating_sub(self.begun.len() as u64).max(1);
            let count = (&mut self.out)
                .take(left)
                .read_until(b'\n', &mut self.begun)
                .map_err(called(|| "read(journalctl)".to_owned()))?;
            if count == 0 {
                return Ok(if all.is_empty() { None } else { Some(all) });
            }
            if self.begun.ends_with(b"\n") || self.begun.len() as u64 >= LONGEST {
                all.extend(entry_of(&std::mem::take(&mut self.begun)));
            }
            // What it has already; more would have to be waited for.
            if !self.out.buffer().contains(&b'\n') {
                return Ok(Some(all));
            }
        }
    }

    /// What journalctl said, when it found nothing to read.
    fn end(mut self) -> Result<()> {
        let status = self.child.wait().map_err(called(|| "wait4(journalctl)".to_owned()))?;
        let mut said = String::new();
        if let Some(mut err) = self.child.stderr.take() {
            err.read_to_string(&mut said).map_err(called(|| "read(journalctl)".to_owned()))?;
        }
        match said.lines().next() {
            Some(line) if !status.success() => Err(Error::new(Kind::Failed, format!("journalctl: {line}"))),
            _ => Ok(()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An entry and where it is in the journal.
fn entry_of(line: &[u8]) -> Option<(Entry, String)> {
    let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let text = |name: &str| fields.get(name).map(text_of).unwrap_or_default();
    let mut log = text("MESSAGE");
    if text(PARTIAL) != "true" {
        log.push('\n');
    }
    let attrs: BTreeMap<String, String> = fields
        .iter()
        .filter(|(name, _)| !name.starts_with('_') && *name != PARTIAL && !KNOWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), text_of(value)))
        .collect();
    let stream = if text("PRIORITY") == "3" { "stderr" } else { "stdout" };
    Some((Entry { log, stream: stream.to_owned(), time: text("SYSLOG_TIMESTAMP"), attrs }, text("__CURSOR")))
}

/// The value of a field: a text, or its bytes where it is none.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::new(),
    }
}

/// Gives each wanted entry to `sink`, until that wants no more.
pub fn logs(
    paths: &Paths,
    id: &str,
    wanted: &str,
    wish: &LogWish,
    sink: &mut dyn FnMut(&Entry) -> bool,
) -> Result<()> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut options: Vec<String> =
        wish.since_time.iter().map(|time| format!("--since=@{}", seconds(*time))).collect();
    let wants = |entry: &Entry| {
        wish.since.as_ref().is_none_or(|since| entry.time >= *since)
            && wish.until.as_ref().is_none_or(|until| entry.time <= *until)
    };
    // Before anything is read: what happens to the container later is seen.
    let watch = if wish.follow { Some(Watch::new(&paths.container(id))?) } else { None };
    sync();
    let (mut last, mut cursor) = (VecDeque::new(), String::new());
    let mut reader = Reader::start(wanted, id, &options)?;
    while let Some(entries) = reader.read()? {
        for (entry, place) in entries {
            cursor = place;
            if !wants(&entry) {
                continue;
            }
            match wish.tail {
                Some(count) => {
                    last.push_back(entry);
                    if last.len() > count {
                        last.pop_front();
                    }
                }
                None if !sink(&entry) => return Ok(()),
                None => {}
            }
        }
    }
    reader.end()?;
    if !last.drain(..).all(|entry| sink(&entry)) {
        return Ok(());
    }
    let Some(watch) = watch else { return Ok(()) };
    let after = |cursor: &str| (!cursor.is_empty()).then(|| format!("--after-cursor={cursor}"));
    let mut follow = options.clone();
    follow.extend(["--follow".to_owned(), "--no-tail".to_owned()]);
    follow.extend(after(&cursor));
    let mut reader = Reader::start(wanted, id, &follow)?;
    let mut give = |entries: Vec<(Entry, String)>, cursor: &mut String| {
        entries.into_iter().all(|(entry, place)| {
            *cursor = place;
            let late = wish.until.as_ref().is_some_and(|until| entry.time > *until);
            !late && (!wants(&entry) || sink(&entry))
        })
    };
    loop {
        let life = life::read(paths, id)?;
        let status = life::status(paths, id, &life)?;
        let over = !matches!(status, Status::Running | Status::Paused | Status::Restarting);
        let left =
            wish.until_time.map(|until| until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO));
        if over || left == Some(Duration::ZERO) || !paths.has_container(id)? {
            break;
        }
        let limit = left.and_then(|left| Timespec::try_from(left).ok());
        let mut waiting =
            [PollFd::new(reader.out.get_ref(), PollFlags::IN), PollFd::new(&watch, PollFlags::IN)];
        match poll(&mut waiting, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
        }
        let [readable, changed] = waiting.map(|one| !one.revents().is_empty());
        if changed {
            watch.wait(Some(Duration::ZERO))?;
        }
        if readable {
            let Some(entries) = reader.read()? else { return reader.end() };
            if !give(entries, &mut cursor) {
                return Ok(());
            }
        }
    }
    // The last lines may not have reached the reader that followed.
    drop(reader);
    sync();
    options.extend(after(&cursor));
    let mut reader = Reader::start(wanted, id, &options)?;
    while let Some(entries) = reader.read()? {
        if !give(entries, &mut cursor) {
            return Ok(());
        }
    }
    reader.end()
}

/// Waits until the journal has written what was sent to it. That an ordinary user may not ask for it, or that nobody answers, only
/// means that the newest lines may be missing for a moment.
fn sync() {
    let _unsynced = Command::new("journalctl")
        .arg("--sync")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let check = |json: &str, log: &str, stream: &str, attrs: &[(&str, &str)]| {
            let (entry, cursor) = entry_of(json.as_bytes()).expect(json);
            let attrs: BTreeMap<String, String> =
                attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!((entry.log.as_str(), entry.stream.as_str(), entry.attrs), (log, stream, attrs));
            assert_eq!((entry.time.as_str(), cursor.as_str()), ("T", "c"));
        };
        let with =
            |more: &str| format!("{{\"SYSLOG_TIMESTAMP\":\"T\",\"__CURSOR\":\"c\",\"_PID\":\"7\",{more}}}");
        check(&with("\"MESSAGE\":\"a\",\"PRIORITY\":\"6\""), "a\n", "stdout", &[]);
        check(&with("\"MESSAGE\":[97,255],\"PRIORITY\":\"3\""), "a\u{fffd}\n", "stderr", &[]);
        check(&with("\"MESSAGE\":\"a\",\"CONTAINER_PARTIAL_MESSAGE\":\"true\""), "a", "stdout", &[]);
        check(
            &with("\"MESSAGE\":null,\"TIER\":\"web\",\"IMAGE_NAME\":\"x\""),
            "\n",
            "stdout",
            &[("TIER", "web")],
        );
        assert!(entry_of(b"no entry\n").is_none());
    }
}
