//! `run`: from a wish to an exit code.

use crate::create::create;
use crate::error::{Error, Kind, Result};
use crate::explain::Trace;
use crate::host::Host;
use crate::output::Passed;
use crate::record::Record;
use crate::start::Attach;
use crate::wish::Wish;
use crate::{control, full, remove, start};
use runtime::steps::step;
use supervisor::Visit;

/// Who hears of the id of a container that has just been made; an error of theirs ends it.
pub type Told<'a> = &'a dyn Fn(&str) -> Result<()>;

/// Runs a container with this process attached to it; returns its exit code.
pub fn run(host: &Host<'_>, wish: &Wish, attach: Attach, told: Told<'_>, trace: &Trace) -> Result<i32> {
    check_terminal(wish)?;
    let passed = Passed::of(wish)?;
    let shares = passed.is_none();
    let (_, started) = new(host, wish, passed, true, told, trace)?;
    let visit = Visit {
        // What it has from the very start needs nobody between.
        input: attach.input && shares,
        output: shares,
        shown: attach.outputs,
        terminal: wish.terminal,
        signals: attach.signals,
        detach: attach.detach,
    };
    started.stay(host, &visit)
}

/// Runs a container on its own; returns its id when it has started.
pub fn run_detached(host: &Host<'_>, wish: &Wish, told: Told<'_>, trace: &Trace) -> Result<String> {
    let passed = Passed::of(wish)?;
    let (record, _) = new(host, wish, passed, false, told, trace)?;
    Ok(record.id)
}

/// A new container, and its start.
fn new(
    host: &Host<'_>,
    wish: &Wish,
    passed: Option<Passed>,
    attached: bool,
    told: Told<'_>,
    trace: &Trace,
) -> Result<(Record, start::Started)> {
    let made = || {
        let record = step("the container: a name, and what it is made of", "mkdir(2), symlink(2)", || {
            create(host, wish)
        })?;
        let started = begin(host, &record, passed, attached, told);
        // Also of a start that failed: how far it came.
        trace.finish()?;
        Ok((record, started?))
    };
    full::explained(host.paths, host.images, made())
}

fn begin(
    host: &Host<'_>,
    record: &Record,
    passed: Option<Passed>,
    attached: bool,
    told: Told<'_>,
) -> Result<start::Started> {
    let lock = told(&record.id).and_then(|()| control::try_lock(host.paths, &record.id)).and_then(|lock| {
        lock.ok_or_else(|| Error::new(Kind::Failed, format!("container {} is in use", record.name)))
    });
    match lock {
        Ok(lock) => start::start(host, record, lock, passed, attached, true),
        Err(error) => Err(match remove::discard(host.paths, &record.id, true) {
            Ok(()) => error,
            Err(left) => error.with_hint(format!("something is left behind: {left}")),
        }),
    }
}

fn check_terminal(wish: &Wish) -> Result<()> {
    if wish.terminal && wish.interactive && !rustix::termios::isatty(rustix::stdio::stdin()) {
        return Err(Error::new(Kind::Failed, "the input device is not a terminal")
            .with_hint("leave out -t when standard input is a pipe or a file"));
    }
    Ok(())
}
