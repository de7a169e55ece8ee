//! `start`: the command of a container that was created (runtime.md, "Start").

use crate::container::go_first;
use crate::error::{Error, Kind, Result};
use crate::gate::{self, Gate};
use crate::notify;
use crate::state::{self, Record, Status};
use rustix::fd::AsFd;
use std::path::Path;

/// Lets the command of container `id` run; returns when it does and the poststart hooks have run.
pub fn start(root: &Path, id: &str) -> Result<()> {
    let record = state::read(root, id)?;
    let directory = state::directory(root, id);
    let refused = |why: &str| Err(Error::new(Kind::Invalid, why));
    match record.status(root)? {
        Status::Created => {}
        Status::Creating => return refused("cannot start a container that is still being created"),
        Status::Running => return refused("cannot start an already running container"),
        Status::Paused => return refused("cannot start a container in the paused state"),
        Status::Stopped => return refused("cannot start a container that has stopped"),
    }
    let outside = notify::given();
    let readiness = outside.as_ref().map(|_| notify::listen(&directory)).transpose()?.flatten();
    let came_first = match gate::knock(&directory)? {
        Gate::Open => false,
        Gate::Waiting(channel) => go_first(&channel)?,
    };
    if !came_first {
        // Another start was faster, or it was killed.
        return refused(match record.status(root)? {
            Status::Stopped => "cannot start a container that has stopped",
            _ => "cannot start an already running container",
        });
    }
    gate::remove(&directory)?;
    poststart(root, &record)?;
    if let (Some(socket), Some(outside), Some(init)) = (readiness, outside, record.init)
        && let Some(pidfd) = init.open()?
    {
        notify::attend(&socket, pidfd.as_fd(), init.pid, &outside)?;
    }
    Ok(())
}

fn poststart(root: &Path, record: &Record) -> Result<()> {
    if record.hooks.poststart.is_empty() {
        return Ok(());
    }
    let pid = record.init.map_or(0, |init| init.pid);
    let state = record.state_json(Status::Running, pid)?;
    match record.hooks.run("poststart", &record.hooks.poststart, &state) {
        Ok(()) => Ok(()),
        // The container is stopped then (runtime.md, "Lifecycle").
        Err(error) => match state::stop(root, &record.id, 9, state::PATIENCE) {
            Ok(()) => Err(error),
            Err(left) => Err(error.with_hint(format!("the container still runs: {left}"))),
        },
    }
}
