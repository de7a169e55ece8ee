//! Processes without a container: what ran in one whose directory somebody has removed, and its supervisor.
//!
//! A process is known by what it has: a supervisor holds its lock, and in the mount namespace of a container are files of the container's
//! directory. A path says nothing by itself: an engine inside of a container has the same. So it is the file system that counts, and
//! where in it a file is.

use super::ENDING;
use super::orphans::{is_id, unescaped};
use crate::birth::UNBORN;
use crate::error::Result;
use crate::names::short;
use crate::paths::Paths;
use crate::remove::GONE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::{Errno, called};

/// Whoever removes a container is done in a moment.
pub(super) const MOMENT: Duration = Duration::from_secs(1);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pid: i32,
    /// When it was started: another one can have its number later.
    started: String,
    what: &'static str,
    /// Of the container that there is not.
    pub id: String,
    why: &'static str,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}, {} of {}, {}", self.pid, self.what, short(&self.id), self.why)
    }
}

const NO_CONTAINER: &str = "which is no container";

impl Process {
    /// A pasta that no file names.
    pub fn pasta(pid: i32, started: String, id: &str, is_known: bool) -> Self {
        let why = if is_known { "whose file is not its own" } else { NO_CONTAINER };
        Self { pid, started, what: "a pasta", id: id.to_owned(), why }
    }

    /// Ends it, and waits for that.
    pub fn kill(&self) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(()),
            other => other.map_err(called::<Errno>(|| format!("pidfd_open({})", self.pid)))?,
        };
        if started(self.pid).as_ref() != Some(&self.started) {
            return Ok(());
        }
        match pidfd_send_signal(&pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(
                    called::<Errno>(|| format!("pidfd_send_signal({}, SIGKILL)", self.pid))(errno).into()
                );
            }
        }
        let patience = Timespec::try_from(ENDING).ok();
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, patience.as_ref()))
            .map_err(called::<Errno>(|| "poll(pidfd)".to_owned()))?;
        Ok(())
    }
}

/// The moment at which a process was started, field 22 of proc_pid_stat(5).
pub(super) fn started(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of its program, in brackets, may have anything in it.
    text.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// All that are there now and a moment later.
pub(super) fn without_containers(paths: &Paths) -> Vec<Process> {
    let first = look(paths);
    if first.is_empty() {
        return Vec::new();
    }
    std::thread::sleep(MOMENT);
    let now = look(paths);
    first.into_iter().filter(|process| now.contains(process)).collect()
}

fn look(paths: &Paths) -> BTreeSet<Process> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let containers = Origin::of(&paths.containers(), &table);
    let mut seen: BTreeMap<PathBuf, Option<String>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid == own {
            continue;
        }
        let place = entry.path();
        let found = supervised(paths, &place).map(|id| ("the supervisor", id)).or_else(|| {
            let id = inside(containers.as_ref()?, &place, &mut seen)?;
            Some(("a process", id))
        });
        let Some((what, id)) = found.filter(|(_, id)| is_gone(paths, id)) else { continue };
        if let Some(started) = started(pid) {
            all.insert(Process { pid, started, what, id, why: NO_CONTAINER });
        }
    }
    all
}

/// Whether there is no such container, none that is being made and none that is being removed.
fn is_gone(paths: &Paths, id: &str) -> bool {
    let has = |prefix: &&str| crate::directory::has(&paths.containers().join(format!("{prefix}{id}")));
    ["", UNBORN, GONE].iter().all(|prefix| matches!(has(prefix), Ok(false)))
}

/// The container whose supervisor's directory a process has a file of open.
fn supervised(paths: &Paths, place: &Path) -> Option<String> {
    let all = paths.supervisors();
    let device = std::fs::metadata(&all).ok()?.dev();
    let descriptors = std::fs::read_dir(place.join("fd")).ok()?;
    descriptors.flatten().find_map(|entry| {
        let file = std::fs::read_link(entry.path()).ok()?;
        let id = file.strip_prefix(&all).ok()?.iter().next()?.to_str()?;
        let is_here = std::fs::metadata(entry.path()).is_ok_and(|about| about.dev() == device);
        (is_here && is_id(id)).then(|| id.to_owned())
    })
}

/// The container in whose mount namespace a process is.
fn inside(containers: &Origin, place: &Path, seen: &mut BTreeMap<PathBuf, Option<String>>) -> Option<String> {
    let namespace = std::fs::read_link(place.join("ns/mnt")).ok()?;
    if let Some(known) = seen.get(&namespace) {
        return known.clone();
    }
    let table = std::fs::read_to_string(place.join("mountinfo")).unwrap_or_default();
    let found = table.lines().find_map(|line| containers.id_in(line));
    seen.insert(namespace, found.clone());
    found
}

/// Where a directory is in its file system.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    device: String,
    path: PathBuf,
}

impl Origin {
    /// By a table of mounts (proc_pid_mountinfo(5)): the innermost mount that it is in.
    fn of(directory: &Path, table: &str) -> Option<Self> {
        let mounts = table.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let (device, root, at) = (fields.next()?, unescaped(fields.next()?), unescaped(fields.next()?));
            let below = directory.strip_prefix(&at).ok()?.to_owned();
            Some((at.iter().count(), device.to_owned(), root.join(below)))
        });
        // Of several at one place the last one is seen.
        let innermost = mounts.max_by_key(|(depth, ..)| *depth);
        innermost.map(|(_, device, path)| Self { device, path })
    }

    /// The id of the container whose directory a mount is out of.
    fn id_in(&self, line: &str) -> Option<String> {
        let mut fields = line.split(' ').skip(2);
        let (device, root) = (fields.next()?, unescaped(fields.next()?));
        let id = root.strip_prefix(&self.path).ok()?.iter().next()?.to_str()?;
        (device == self.device && is_id(id)).then(|| id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_of_a_container_by_its_file_system() {
        let table = "20 1 8:1 / / rw - ext4 /dev/sda rw\n21 20 8:2 /sub /data rw - ext4 /dev/sdb rw\n22 20 0:9 / /run rw - tmpfs x rw";
        let origin = Origin::of(Path::new("/data/containers"), table).expect("a mount");
        assert_eq!(origin, Origin { device: "8:2".to_owned(), path: "/sub/containers".into() });
        let id = "0123456789abcdef".repeat(4);
        let check = |root: &str, device: &str, expected: bool| {
            let line = format!("30 29 {device} {root} /etc/hosts rw - ext4 /dev/sdb rw");
            assert_eq!(origin.id_in(&line), expected.then(|| id.clone()), "{line}");
        };
        check(&format!("/sub/containers/{id}/hosts"), "8:2", true);
        check(&format!("/sub/containers/{id}/hosts"), "8:1", false);
        check(&format!("/data/containers/{id}/hosts"), "8:2", false);
        check("/sub/containers/by-name/hosts", "8:2", false);
    }
}
