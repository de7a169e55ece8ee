//! What the kernel tells while it happens: that memory ran out, and that it is about to.

use super::Cgroup;
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::path::PathBuf;
use sys::{Context, Errno, called};

/// Something to poll(2) on. The kernel forgets it when it is dropped.
#[derive(Debug)]
pub struct Notice {
    /// Waits for [`Notice::flags`].
    pub fd: OwnedFd,
    /// `POLLIN` or `POLLPRI`.
    pub flags: PollFlags,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// v1 adds to a counter, for the file that is held open.
    Counter { watched: OwnedFd, path: PathBuf },
    /// v2 counts in the file itself.
    Events { path: PathBuf, seen: u64 },
    /// The file of pressure wakes, and has nothing to read.
    Pressure,
}

/// How scarce memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarcity {
    /// Caches are reclaimed; on v2 some process waits for more than 7 % of a time.
    Low,
    /// Processes are slowed by it; some process waits for more than 15 % of a time.
    Medium,
    /// It is about to run out; all processes wait for more than 15 % of a time.
    Critical,
}

impl Cgroup {
    /// Tells when the memory of the cgroup or of one beneath runs out. Look at [`Notice::take`] when it wakes.
    pub fn oom_events(&self) -> Result<Notice> {
        let doing = || format!("watch the memory of cgroup {}", self.name);
        let (place, dir) = self.memory().within(doing)?;
        match place.version {
            Version::V1 => self.counter(place, &dir, "memory.oom_control", None).within(doing),
            Version::V2 => {
                let path = place.path(&self.name);
                let fd = place::open_file(&dir, &path, "memory.events").map_err(|error| {
                    let absent = error.errno == Errno::NOENT;
                    if absent { no_controller() } else { error.into() }
                });
                let fd = fd.within(doing)?;
                // A file that was read wakes at its next change.
                let seen = kills(&fd, &path).within(doing)?.unwrap_or(0);
                Ok(Notice { fd, flags: PollFlags::PRI, source: Source::Events { path, seen } })
            }
        }
    }

    /// Tells when memory gets scarce: by pressure stall information on v2 (psi.rst), by `memory.pressure_level` on v1.
    pub fn memory_pressure(&self, scarcity: Scarcity) -> Result<Notice> {
        let doing = || format!("watch the memory pressure of cgroup {}", self.name);
        let (place, dir) = self.memory().within(doing)?;
        if place.version == Version::V1 {
            let level = match scarcity {
                Scarcity::Low => "low",
                Scarcity::Medium => "medium",
                Scarcity::Critical => "critical",
            };
            return self.counter(place, &dir, "memory.pressure_level", Some(level)).within(doing);
        }
        let path = place.path(&self.name).join("memory.pressure");
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&dir, "memory.pressure", flags, Mode::empty())
            .map_err(called::<Errno>(|| format!("open {path:?}")))
            .within(doing)?;
        // Microseconds of waiting in each 2 s, the shortest time that a user without privilege may name.
        let trigger = match scarcity {
            Scarcity::Low => "some 150000 2000000",
            Scarcity::Medium => "some 300000 2000000",
            Scarcity::Critical => "full 300000 2000000",
        };
        place::write_open(&fd, trigger, || format!("write {trigger:?} to {path:?}")).within(doing)?;
        Ok(Notice { fd, flags: PollFlags::PRI, source: Source::Pressure })
    }

    fn memory(&self) -> Result<(&Place, OwnedFd)> {
        let place = self.place_of("memory").ok_or_else(no_controller)?;
        Ok((place, self.open(place)?))
    }

    /// Asks v1 to count in an eventfd(2) what happens to a file (cgroups.rst, "Notification API").
    fn counter(&self, place: &Place, dir: &OwnedFd, file: &str, level: Option<&str>) -> Result<Notice> {
        let path = place.path(&self.name);
        let watched = place::open_file(dir, &path, file)?;
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(called::<Errno>(|| "eventfd".to_owned()))?;
        let mut line = format!("{} {}", fd.as_raw_fd(), watched.as_raw_fd());
        if let Some(level) = level {
            line = format!("{line} {level}");
        }
        place::write(dir, &path, "cgroup.event_control", &line)?;
        let path = path.join(file);
        Ok(Notice { fd, flags: PollFlags::IN, source: Source::Counter { watched, path } })
    }
}

impl Notice {
    /// How often it has happened since the last call, and makes the next time wake again. 0 also when the cgroup was
    /// removed, which wakes too.
    pub fn take(&mut self) -> Result<u64> {
        match &mut self.source {
            Source::Counter { watched, path } => {
                let count = counted(&self.fd)?;
                let call = || format!("read {path:?}");
                match place::read_all(watched, call) {
                    Err(error) if error.errno == Errno::NODEV => Ok(0),
                    // `memory.pressure_level` cannot be read.
                    Err(error) if error.errno == Errno::INVAL => Ok(count),
                    other => Ok(other.map(|_| count)?),
                }
            }
            Source::Events { path, seen } => {
                let Some(now) = kills(&self.fd, path)? else { return Ok(0) };
                Ok(now.saturating_sub(std::mem::replace(seen, now)))
            }
            Source::Pressure => Ok(u64::from(!is_removed(&self.fd)?)),
        }
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn no_controller() -> Error {
    Error::new(Kind::Unsupported, "the memory controller is not available in /sys/fs/cgroup")
}

/// Processes that were killed for memory; `None` of a cgroup that is gone.
fn kills(file: &OwnedFd, path: &std::path::Path) -> Result<Option<u64>> {
    match place::read_all(file, || format!("read {:?}", path.join("memory.events"))) {
        Ok(text) => Ok(Some(place::keyed(&text, "oom_kill").unwrap_or(0))),
        Err(error) if error.errno == Errno::NODEV => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the cgroup of a file of pressure is gone: only then is there an error to wait for.
fn is_removed(file: &OwnedFd) -> Result<bool> {
    let mut waiting = [PollFd::new(file, PollFlags::empty())];
    rustix::io::retry_on_intr(|| poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))
        .map_err(called::<Errno>(|| "poll".to_owned()))?;
    Ok(waiting[0].revents().contains(PollFlags::ERR))
}

fn counted(counter: &OwnedFd) -> Result<u64> {
    let mut count = [0; 8];
    match rustix::io::retry_on_intr(|| rustix::io::read(counter, &mut count)) {
        Ok(_) => Ok(u64::from_ne_bytes(count)),
        Err(Errno::AGAIN) => Ok(0),
        Err(errno) => Err(called::<Errno>(|| "read an eventfd".to_owned())(errno).into()),
    }
}
