//! `attach` and `wait`: a visit at a container's supervisor.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::life::Status;
use crate::paths::Paths;
use crate::record::{self, Listed};
use crate::start::code_of;
use crate::wish::LogDriver;
use crate::{control, events, stop};
use supervisor::{Outcome, Visit, Visitor};

/// Attaches this process to a container that runs; returns its exit code, or 0 when it was left.
pub fn attach(
    paths: &Paths,
    wanted: &str,
    input: bool,
    signals: bool,
    detach: Vec<u8>,
    warn: &dyn Fn(&str),
) -> Result<i32> {
    let Listed { record, status, .. } = record::get(paths, wanted)?;
    if !matches!(status, Status::Running | Status::Restarting) {
        return Err(Error::new(Kind::Failed, format!("container {wanted} is not running: it is {status}")));
    }
    if record.wish.log == LogDriver::Passthrough {
        let message =
            format!("container {wanted} has the streams of who started it (--log-driver passthrough)");
        return Err(Error::new(Kind::Failed, message));
    }
    let socket = control::visit(paths, &record.id)?.ok_or_else(|| {
        Error::new(Kind::Failed, format!("the supervisor of {wanted} was killed"))
            .with_hint(format!("devoxx-container restart {wanted}"))
    })?;
    events::of_container(paths, &record, "attach", &[]);
    let visit = Visit {
        input: input && record.wish.interactive,
        output: true,
        shown: [true, true],
        terminal: record.wish.terminal,
        signals,
        detach,
    };
    let beside = || control::visit(paths, &record.id).ok().flatten();
    let outcome = Visitor::new(socket)
        .and_then(|mut visitor| visitor.stay(&visit, warn, &beside))
        .map_err(of_runtime)?;
    code_of(outcome, &record.name)
}

/// Waits for the end of a container; its exit code, also of one that has ended already.
pub fn wait(paths: &Paths, wanted: &str) -> Result<i32> {
    let Listed { record, status, life } = record::get(paths, wanted)?;
    let up = matches!(status, Status::Running | Status::Paused | Status::Restarting);
    // It may have ended just now, and its supervisor be about to write that down.
    if up || (status == Status::Exited && life.exit_code.is_none()) {
        if let Some(socket) = control::visit(paths, &record.id)? {
            match Visitor::new(socket).and_then(|mut visitor| visitor.until_ended()).map_err(of_runtime)? {
                Outcome::Lost => {}
                outcome => return code_of(outcome, &record.name),
            }
        }
        // Without a supervisor only its end can be seen, and not how.
        if up {
            runtime::state::wait(&paths.states(), &record.id).map_err(of_runtime)?;
        }
        let _lock = control::wait_lock(paths, &record.id)?;
        stop::settle(paths, &record.id)?;
    }
    let life = crate::life::read(paths, &record.id)?;
    Ok(life.exit_code.unwrap_or(0))
}
