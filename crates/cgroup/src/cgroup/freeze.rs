//! Stops all processes of a cgroup, and lets them run again (cgroup-v2.rst, freezer-subsystem.rst).

use super::Cgroup;
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use sys::{Context, Errno, called};

/// How long processes may take to stop, or to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Stops all processes, and returns when they have stopped.
    pub fn freeze(&self) -> Result<()> {
        let doing = || format!("freeze cgroup {}", self.name);
        let (place, dir) = self.freezer().within(doing)?;
        let path = place.path(&self.name);
        match place.version {
            Version::V1 => freeze_v1(&dir, &path).within(doing),
            Version::V2 => place::write(&dir, &path, "cgroup.freeze", "1")
                .and_then(|()| await_event(&dir, &path, "frozen", 1))
                .within(doing),
        }
    }

    /// Lets the processes run again.
    pub fn thaw(&self) -> Result<()> {
        let doing = || format!("thaw cgroup {}", self.name);
        let (place, dir) = self.freezer().within(doing)?;
        let (file, value) = match place.version {
            Version::V1 => ("freezer.state", "THAWED"),
            Version::V2 => ("cgroup.freeze", "0"),
        };
        place::write(&dir, &place.path(&self.name), file, value).within(doing)
    }

    /// Whether all processes are stopped; not where this host cannot freeze, or the cgroup is gone.
    pub fn is_frozen(&self) -> Result<bool> {
        let Some(place) = self.place_of("freezer") else { return Ok(false) };
        let file = match place.version {
            Version::V1 => "freezer.state",
            Version::V2 => "cgroup.events",
        };
        // In one step from the mount point: lists ask this of every container.
        let text = match place::read_beneath(&place.open()?, &self.name, file) {
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::NODEV) => return Ok(false),
            other => other.map_err(Error::from).within(|| format!("{:?}", place.path(&self.name)))?,
        };
        Ok(match place.version {
            Version::V1 => text.trim() == "FROZEN",
            Version::V2 => place::keyed(&text, "frozen") == Some(1),
        })
    }

    fn freezer(&self) -> Result<(&Place, OwnedFd)> {
        let lacking =
            || Error::new(Kind::Unsupported, "the freezer controller is not available in /sys/fs/cgroup");
        let place = self.place_of("freezer").ok_or_else(lacking)?;
        Ok((place, self.open(place)?))
    }
}

/// v1 freezes while one writes and reads, and there is nothing to wait on: asks again, with growing pauses.
pub(super) fn freeze_v1(dir: &OwnedFd, path: &Path) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(50);
    loop {
        // Written each time: processes that were forked meanwhile are caught by the next write.
        place::write(dir, path, "freezer.state", "FROZEN")?;
        if place::read(dir, path, "freezer.state")?.trim() == "FROZEN" {
            return Ok(());
        }
        if Instant::now() >= until {
            // Half frozen is the worst of both: lets go before it says so.
            place::write(dir, path, "freezer.state", "THAWED")?;
            return Err(Error::new(Kind::InUse, "processes did not stop within 5 s"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits until a key of `cgroup.events` has a value: the kernel wakes poll(2) at each change.
pub(super) fn await_event(dir: &OwnedFd, path: &Path, key: &str, value: u64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let file = place::open_file(dir, path, "cgroup.events")?;
    loop {
        let text = match place::read_all(&file, || format!("read {:?}", path.join("cgroup.events"))) {
            // Removed meanwhile: nobody is in it.
            Err(error) if error.errno == Errno::NODEV => return Ok(()),
            other => other?,
        };
        if place::keyed(&text, key) == Some(value) {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let why = format!("{} did not come to {key} {value} within 5 s", path.display());
            return Err(Error::new(Kind::InUse, why));
        }
        await_ready(&file, PollFlags::PRI, left)?;
    }
}

/// Waits for one descriptor, no longer than `left`.
pub(super) fn await_ready(file: impl AsFd, flags: PollFlags, left: Duration) -> Result<()> {
    let mut waiting = [PollFd::new(&file, flags)];
    let time = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
    match poll(&mut waiting, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
    }
}
