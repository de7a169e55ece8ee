//! `start`: a container gets a supervisor, a child of this process that outlives it.

use crate::attach;
use crate::control::{self, Lock};
use crate::error::{Error, Kind, Result, of_runtime};
use crate::full;
use crate::host::Host;
use crate::life::Status;
use crate::output::Passed;
use crate::record::{self, Listed, Record};
use crate::stop;
use crate::supervise::{self, Start};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use supervisor::{Outcome, Visit, Visitor};
use sys::clone3::{Child, Namespaces, clone3};
use sys::{Errno, called};

/// A container that was started, from the side of who started it.
pub struct Started {
    visitor: Visitor,
    child: Child,
    id: String,
    name: String,
}

/// Starts a container; `attached` is whether this process wants its streams from the first byte. `fresh` says that it was made
/// for this: then a start that fails leaves nothing of it.
pub fn start(
    host: &Host<'_>,
    record: &Record,
    lock: Lock,
    passed: Option<Passed>,
    attached: bool,
    fresh: bool,
) -> Result<Started> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(called::<Errno>(|| "socketpair".to_owned()))?;
    let size = runtime::foreground::terminal_size();
    // Before the child is made: no signal that comes from now on is lost.
    let mut visitor = Visitor::new(ours).map_err(of_runtime)?;
    let start = Start { attached, fresh, size };
    let passed = passed.as_ref();
    let child = clone3(Namespaces::NONE, None, || supervise::supervise(host, record, theirs, start, passed))?;
    // The supervisor has them now.
    drop(lock);
    let failed = match visitor.until_started(host.warn).map_err(of_runtime)? {
        None => {
            let (id, name) = (record.id.clone(), record.name.clone());
            return Ok(Started { visitor, child, id, name });
        }
        Some(Outcome::Failed(error)) => supervise::error_of(&error),
        Some(_) => Error::new(Kind::Failed, format!("the supervisor of {} was killed", record.name)),
    };
    runtime::container::wait(&child).map_err(of_runtime)?;
    Err(failed)
}

/// Starts a container that there is. With `visit` this process stays attached, and the exit code is the container's; one that runs
/// already is fine without it.
pub fn start_again(host: &Host<'_>, wanted: &str, visit: Option<Attach>) -> Result<i32> {
    let Listed { record, status, .. } = record::get(host.paths, wanted)?;
    let lock = match control::try_lock(host.paths, &record.id)? {
        Some(lock) => lock,
        // Its supervisor may be at the end of its work; one that waits to start it again does so now.
        None if status == Status::Restarting || status == Status::Exited => {
            control::announce_stop(host.paths, &record.id)?;
            control::wait_lock(host.paths, &record.id)?
                .ok_or_else(|| Error::new(Kind::Failed, format!("no such container: {wanted}")))?
        }
        None => return running(host, wanted, visit),
    };
    if matches!(status, Status::Running | Status::Paused) {
        drop(lock);
        return running(host, wanted, visit);
    }
    // Meanwhile it may have been removed.
    let record = record::read(host.paths, &record.id)?;
    stop::settle(host.paths, &record.id)?;
    let passed = Passed::of(&record.wish)?;
    let shares = passed.is_none();
    let started = start(host, &record, lock, passed, visit.is_some(), false);
    let started = full::explained(host.paths, host.images, started)
        .map_err(|error| error.within(format!("start {}", record.name)))?;
    match visit {
        None => Ok(0),
        Some(attach) => {
            let visit = Visit {
                input: attach.input && record.wish.interactive && shares,
                output: shares,
                shown: attach.outputs,
                terminal: record.wish.terminal,
                signals: attach.signals,
                detach: attach.detach,
            };
            started.stay(host, &visit)
        }
    }
}

fn running(host: &Host<'_>, wanted: &str, visit: Option<Attach>) -> Result<i32> {
    match visit {
        None => Ok(0),
        Some(one) => attach::attach(host.paths, wanted, one.input, one.signals, one.detach, host.warn),
    }
}

/// How a person is attached to a container.
#[derive(Debug, Clone)]
pub struct Attach {
    /// `-i`: standard input too.
    pub input: bool,
    /// Standard output and standard error.
    pub outputs: [bool; 2],
    /// `--sig-proxy`.
    pub signals: bool,
    /// `--detach-keys`.
    pub detach: Vec<u8>,
}

impl Started {
    /// Stays until the container ends, or the person leaves it; its exit code.
    pub fn stay(mut self, host: &Host<'_>, visit: &Visit) -> Result<i32> {
        let beside = || control::visit(host.paths, &self.id).ok().flatten();
        let outcome = self.visitor.stay(visit, host.warn, &beside).map_err(of_runtime)?;
        if !matches!(outcome, Outcome::Detached | Outcome::Lost) {
            // It says its last words when everything is put away.
            runtime::container::wait(&self.child).map_err(of_runtime)?;
        }
        code_of(outcome, &self.name)
    }
}

/// The exit code of a visit.
pub fn code_of(outcome: Outcome, name: &str) -> Result<i32> {
    match outcome {
        Outcome::Ended(code) => Ok(code),
        Outcome::Unwritten(why) => Err(Error::new(Kind::Failed, why)),
        Outcome::Detached => Ok(0),
        Outcome::Failed(error) => Err(supervise::error_of(&error)),
        Outcome::Lost => Err(Error::new(Kind::Failed, format!("the supervisor of {name} was killed"))
            .with_hint(format!("devoxx-container stop {name}, or rm --force {name}"))),
    }
}
