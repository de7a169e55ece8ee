//! `run`: from a wish to an exit code.

use crate::create::{create, discard_unclaimed};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::wish::Wish;
use crate::{control, start};
use supervisor::Visit;

/// Runs a container with this process attached to it; returns its exit code.
pub fn run(host: &Host<'_>, wish: &Wish, detach: Vec<u8>) -> Result<i32> {
    check_terminal(wish)?;
    let record = create(host, wish)?;
    let started = begin(host, &record, true)?;
    let visit =
        Visit { input: wish.interactive, output: true, terminal: wish.terminal, signals: true, detach };
    started.stay(&visit, host.warn)
}

/// Runs a container on its own; returns its id when it has started.
pub fn run_detached(host: &Host<'_>, wish: &Wish) -> Result<String> {
    let record = create(host, wish)?;
    begin(host, &record, false)?;
    Ok(record.id)
}

fn begin(host: &Host<'_>, record: &crate::record::Record, attached: bool) -> Result<start::Started> {
    let lock = control::try_lock(host.paths, &record.id).and_then(|lock| {
        lock.ok_or_else(|| Error::new(Kind::Failed, format!("container {} is in use", record.name)))
    });
    match lock {
        Ok(lock) => start::start(host, record, lock, attached, true),
        Err(error) => Err(match discard_unclaimed(host.paths, record) {
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
