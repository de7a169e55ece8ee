//! `events`: what a container uses, and what happens to it.

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::state::{self, Init, Record, Status};
use cgroup::Notice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use sys::{Errno, called};

fn running(root: &Path, id: &str) -> Result<Record> {
    let record = state::read(root, id)?;
    match record.status(root)? {
        Status::Stopped => {
            Err(Error::new(Kind::NotRunning, format!("container with id {id} is not running")))
        }
        _ => Ok(record),
    }
}

/// What container `id` uses now.
pub fn stats(root: &Path, id: &str) -> Result<Value> {
    of(&running(root, id)?)
}

fn of(record: &Record) -> Result<Value> {
    let Some(cgroup) = &record.cgroup else {
        return Err(Error::new(Kind::Unsupported, format!("container {} has no cgroup", record.id)));
    };
    let stats = cgroup.stats().map_err(of_cgroup)?;
    serde_json::to_value(stats).map_err(|error| Error::new(Kind::Other, format!("statistics: {error}")))
}

/// Tells what container `id` uses after each interval, and when it runs out of memory; until its end.
pub fn follow(
    root: &Path,
    id: &str,
    interval: Duration,
    tell: &mut dyn FnMut(&str, Option<Value>) -> Result<()>,
) -> Result<()> {
    let record = running(root, id)?;
    let Some(init) = record.init.map(Init::open).transpose()?.flatten() else { return Ok(()) };
    let Some(cgroup) = &record.cgroup else { return of(&record).map(drop) };
    let mut memory = match cgroup.oom_events() {
        Ok(notice) => Some(notice),
        // Then nothing is killed for the limit of its memory either.
        Err(error) if error.kind == cgroup::Kind::Unsupported => None,
        Err(error) => return Err(of_cgroup(error)),
    };
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let ended = wait(&init, memory.as_ref(), left)?;
        if let Some(notice) = &mut memory
            && notice.take().map_err(of_cgroup)? > 0
        {
            tell("oom", None)?;
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            match of(&record) {
                Ok(stats) => tell("stats", Some(stats))?,
                // Its cgroup is removed right after its end.
                Err(_) if init_has_ended(&init)? => return Ok(()),
                Err(error) => return Err(error),
            }
            next += interval;
        }
    }
}

/// Waits for the end of init, for memory, or for the time; returns whether init has ended.
fn wait(init: &OwnedFd, memory: Option<&Notice>, left: Duration) -> Result<bool> {
    let mut waiting = vec![PollFd::new(init, PollFlags::IN)];
    waiting.extend(memory.map(|notice| PollFd::new(&notice.fd, notice.flags)));
    let time = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    match poll(&mut waiting, Some(&time)) {
        Ok(_) => Ok(!waiting[0].revents().is_empty()),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
    }
}

fn init_has_ended(init: &OwnedFd) -> Result<bool> {
    wait(init, None, Duration::ZERO)
}
