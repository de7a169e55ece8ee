//! Ends every process of a cgroup, also those that fork while it happens.

use super::Cgroup;
use super::freeze::{PATIENCE, await_ready, freeze_v1};
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result, tree};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::Path;
use std::time::Instant;
use sys::{Context, Errno, called};

impl Cgroup {
    /// Sends SIGKILL to every process in the cgroup and beneath. On v2 the kernel does it in one write, and
    /// [`Cgroup::remove`] waits for their end; elsewhere it returns when none is left. A cgroup that is gone has none.
    pub fn kill(&self) -> Result<()> {
        self.kill_all().within(|| format!("kill cgroup {}", self.name))
    }

    /// The processes in the cgroup and beneath, as ids in this PID namespace. A cgroup that is gone has none.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let doing = || format!("list the processes of cgroup {}", self.name);
        let mut all = Vec::new();
        for place in &self.places {
            if let Some(dir) = self.find(place).within(doing)? {
                all.extend(processes(&dir).within(doing)?.into_iter().map(u32::cast_signed));
            }
        }
        all.retain(|pid| *pid > 0);
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    fn kill_all(&self) -> Result<()> {
        let mut by_kernel = false;
        if let Some(place) = self.places.iter().find(|place| place.version == Version::V2) {
            let Some(dir) = self.find(place)? else { return self.kill_one_by_one() };
            match place::try_write(&dir, &place.path(&self.name), "cgroup.kill", "1") {
                Ok(()) => by_kernel = true,
                // Before Linux 5.14; or removed since it was opened.
                Err(error) if matches!(error.errno, Errno::NOENT | Errno::NODEV) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // On a hybrid host a process may have left v2 and still be in a v1 hierarchy.
        if by_kernel && self.places.len() == 1 { Ok(()) } else { self.kill_one_by_one() }
    }

    fn kill_one_by_one(&self) -> Result<()> {
        let freezer = self.places.iter().find(|place| place.has("freezer"));
        let Some(place) = freezer.or(self.places.first()) else { return Ok(()) };
        let Some(dir) = self.find(place)? else { return Ok(()) };
        let until = Instant::now() + PATIENCE;
        loop {
            let pids = processes(&dir)?;
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                let why = format!("processes {} did not end within 5 s", list(&pids));
                return Err(Error::new(Kind::InUse, why));
            }
            // Frozen, nobody forks; we must not freeze ourselves.
            let own = rustix::process::getpid().as_raw_pid().cast_unsigned();
            let frozen = place.has("freezer") && !pids.contains(&own) && self.freeze_for_kill(place, &dir);
            let signalled = signal(&dir);
            if frozen {
                // SIGKILL reaches a frozen process only when it is let go.
                place::write(&dir, &place.path(&self.name), "freezer.state", "THAWED")?;
            }
            for pidfd in signalled? {
                await_ready(&pidfd, PollFlags::IN, until.saturating_duration_since(Instant::now()))?;
            }
        }
    }

    /// A cgroup that does not freeze is killed round by round instead.
    fn freeze_for_kill(&self, place: &Place, dir: &OwnedFd) -> bool {
        freeze_v1(dir, &place.path(&self.name)).is_ok()
    }
}

/// Signals all processes and returns what to wait on. Between the listing and pidfd_open(2) a process may end and its
/// number go to a stranger, so only those are signalled that a second listing has.
fn signal(dir: &OwnedFd) -> Result<Vec<OwnedFd>> {
    let mut opened = Vec::new();
    // Bounded, for the descriptors: the next round takes the others.
    for pid in processes(dir)?.into_iter().take(256) {
        let Some(number) = Pid::from_raw(pid.cast_signed()) else { continue };
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => opened.push((pid, pidfd)),
            Err(Errno::SRCH | Errno::INVAL) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("pidfd_open({pid})"))(errno).into()),
        }
    }
    let still = processes(dir)?;
    opened.retain(|(pid, _)| still.binary_search(pid).is_ok());
    let mut waiting = Vec::new();
    for (pid, pidfd) in opened {
        match pidfd_send_signal(&pidfd, Signal::KILL) {
            Ok(()) => waiting.push(pidfd),
            Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(called::<Errno>(|| format!("pidfd_send_signal({pid}, SIGKILL)"))(errno).into());
            }
        }
    }
    Ok(waiting)
}

/// The processes in a cgroup and beneath, sorted. Those outside this pid namespace read as 0.
pub(super) fn processes(dir: &OwnedFd) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    let enter = |dir: &OwnedFd| {
        match place::read(dir, Path::new(""), "cgroup.procs") {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            // A threaded one: its processes are those of the one above.
            Err(error) if matches!(error.errno, Errno::NODEV | Errno::NOENT | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    };
    tree::walk(dir, enter, |_, _| Ok(()))?;
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn list(pids: &[u32]) -> String {
    let shown: Vec<String> = pids.iter().take(8).map(u32::to_string).collect();
    let more = if pids.len() > 8 { " and more" } else { "" };
    shown.join(", ") + more
}
