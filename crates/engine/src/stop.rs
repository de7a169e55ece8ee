//! `stop` and `kill`, and what is left to do for a container whose end nobody has seen.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::life::{self, Status};
use crate::paths::Paths;
use crate::record::{find, read, read_to_remove};
use crate::remove::stop_using;
use crate::supervise::tell_ended;
use crate::{control, events, networks, pause};
use std::time::Duration;
use sys::Context;

/// Stops a container by name or id: its stop signal, or the one given, and SIGKILL when it is still there after `patience`, or
/// after its own. Returns when everything of its run is put away; one that has ended already is fine.
pub fn stop(paths: &Paths, wanted: &str, signal: Option<&str>, patience: Option<Duration>) -> Result<()> {
    let id = find(paths, wanted)?;
    let record = read(paths, &id)?;
    let number = match signal {
        Some(name) => signal_number(name)?,
        None => sys::signals::by_name(&record.stop_signal).unwrap_or(15),
    };
    let was_up = runtime::state::read(&paths.states(), &id).is_ok();
    let own = record.wish.stop_timeout.map(Duration::from_secs);
    let patience = patience.or(own).unwrap_or(Duration::from_secs(10));
    control::announce_stop(paths, &id)?;
    pause::release(paths, &id, None)?;
    match runtime::state::stop(&paths.states(), &id, number, patience) {
        Err(error) if error.kind == runtime::Kind::NoSuchContainer => {}
        done => done.map_err(of_runtime).within(|| format!("stop container {wanted}"))?,
    }
    let done = match control::wait_lock(paths, &id)? {
        Some(_lock) => settle(paths, &id),
        // It was removed with its end.
        None => Ok(()),
    };
    if was_up {
        events::of_container(paths, &record, "stop", &[]);
    }
    done
}

fn signal_number(name: &str) -> Result<i32> {
    sys::signals::by_name(name).ok_or_else(|| {
        Error::new(Kind::Usage, format!("invalid value {name:?} for --signal: no such signal"))
    })
}

/// Sends a signal to a container's PID 1. One that ends it is not followed by another start.
pub fn kill(paths: &Paths, wanted: &str, signal: &str) -> Result<()> {
    let number = signal_number(signal)?;
    let id = find(paths, wanted)?;
    let not_running = || Error::new(Kind::Failed, format!("container {wanted} is not running"));
    let init = runtime::state::read(&paths.states(), &id)
        .ok()
        .and_then(|state| state.init)
        .ok_or_else(not_running)?;
    let pidfd = init.open().map_err(of_runtime)?.ok_or_else(not_running)?;
    let record = read(paths, &id)?;
    let ends = number == 9 || Some(number) == sys::signals::by_name(&record.stop_signal);
    if ends {
        control::announce_stop(paths, &id)?;
    }
    // Before it: what it brings about comes after it.
    events::of_container(paths, &record, "kill", &[("signal", &number.to_string())]);
    match sys::signals::send(rustix::fd::AsFd::as_fd(&pidfd), number) {
        Err(error) if error.errno == sys::Errno::SRCH => return Err(not_running()),
        other => other?,
    }
    if ends { pause::release(paths, &id, None) } else { Ok(()) }
}

/// With the lock held: what a supervisor that was killed could not do any more at the end of its container.
pub fn settle(paths: &Paths, id: &str) -> Result<()> {
    let Some(record) = read_to_remove(&paths.container(id))? else { return Ok(()) };
    let mut life = life::read(paths, id)?;
    if life::status(paths, id, &life)? != Status::Exited || life.exit_code.is_some() {
        return Ok(());
    }
    let networks = networks::of_container(paths, &record);
    let failures = stop_using(paths, id, Some(&record));
    if !failures.is_empty() {
        return Err(Error::new(Kind::Failed, failures.join("; ")));
    }
    // Nobody has seen its end.
    (life.exit_code, life.finished) = (Some(UNKNOWN), Some(runtime::timestamp::now()));
    life.restarting = false;
    life::write(paths, id, &life)?;
    tell_ended(paths, &record, &networks, UNKNOWN);
    Ok(())
}

/// The exit code of a container whose end nobody has seen.
const UNKNOWN: i32 = 255;
