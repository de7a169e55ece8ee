//! `events`: what a container uses, and what happens to it.

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::interfaces::{self, Interface};
use crate::rdt::Usage;
use crate::state::{self, Init, Record, Status};
use cgroup::{Notice, Scarcity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use sys::{Errno, called};

/// The `data` of an event of the type `stats`, in the words of runc.
#[derive(Debug, Serialize)]
struct Stats {
    #[serde(flatten)]
    cgroup: cgroup::Stats,
    intel_rdt: Usage,
    network_interfaces: Option<Vec<Interface>>,
}

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
    let network_interfaces = match record.init.map(|init| (init, interfaces::of(init.pid))) {
        // Asked after: an id may be another's by now.
        Some((init, found)) if init.is_alive()? => found?,
        _ => None,
    };
    let stats = Stats {
        cgroup: cgroup.stats().map_err(of_cgroup)?,
        intel_rdt: record.rdt.as_ref().map(|place| place.usage()).transpose()?.unwrap_or_default(),
        network_interfaces,
    };
    serde_json::to_value(stats).map_err(|error| Error::new(Kind::Other, format!("statistics: {error}")))
}

/// What is told of a container until its end.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// How often it is told what it uses.
    pub interval: Duration,
    /// How scarce memory must be to be told of it; never without.
    pub pressure: Option<Scarcity>,
}

/// Tells what container `id` uses after each interval, and when its memory runs out or gets scarce; until its end.
pub fn follow(
    root: &Path,
    id: &str,
    wish: Wish,
    tell: &mut dyn FnMut(&str, Option<Value>) -> Result<()>,
) -> Result<()> {
    let record = running(root, id)?;
    let Some(init) = record.init.map(Init::open).transpose()?.flatten() else { return Ok(()) };
    let Some(cgroup) = &record.cgroup else { return of(&record).map(drop) };
    let mut notices = Vec::new();
    match cgroup.oom_events() {
        Ok(notice) => notices.push(("oom", notice)),
        // Then nothing is killed for the limit of its memory either.
        Err(error) if error.kind == cgroup::Kind::Unsupported => {}
        Err(error) => return Err(of_cgroup(error)),
    }
    if let Some(scarcity) = wish.pressure {
        notices.push(("pressure", cgroup.memory_pressure(scarcity).map_err(of_cgroup)?));
    }
    let mut next = Instant::now() + wish.interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let Awake { ended, told } = wait(&init, &notices, left)?;
        for ((kind, notice), _) in notices.iter_mut().zip(told).filter(|(_, told)| *told) {
            if notice.take().map_err(of_cgroup)? > 0 {
                tell(kind, None)?;
            }
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            match of(&record) {
                Ok(stats) => tell("stats", Some(stats))?,
                // Its cgroup is removed right after its end.
                Err(_) if has_ended(&init)? => return Ok(()),
                Err(error) => return Err(error),
            }
            next += wish.interval;
        }
    }
}

/// What woke a wait; neither, when the time is over.
struct Awake {
    /// Whether init has ended.
    ended: bool,
    /// Of each notice, whether it has something to tell.
    told: Vec<bool>,
}

fn wait(init: &OwnedFd, notices: &[(&str, Notice)], left: Duration) -> Result<Awake> {
    let mut waiting = vec![PollFd::new(init, PollFlags::IN)];
    waiting.extend(notices.iter().map(|(_, notice)| PollFd::new(&notice.fd, notice.flags)));
    let time = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    match poll(&mut waiting, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
    }
    let mut woken = waiting.iter().map(|one| !one.revents().is_empty());
    Ok(Awake { ended: woken.next().unwrap_or_default(), told: woken.collect() })
}

fn has_ended(init: &OwnedFd) -> Result<bool> {
    Ok(wait(init, &[], Duration::ZERO)?.ended)
}
