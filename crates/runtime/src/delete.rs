//! `delete`: nothing of a container stays (runtime.md, "Delete").

use crate::error::{Error, Kind, Result};
use crate::state::{self, Status};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::path::Path;
use sys::{Errno, called};

/// Removes container `id` with all that its record names, and runs its poststop hooks; their failures are returned as
/// warnings. Many may ask for it at once: one removes, the others hear that there is none.
///
/// # Errors
/// One that runs is refused, unless `force` kills it.
pub fn delete(root: &Path, id: &str, force: bool) -> Result<Vec<String>> {
    let Some(_held) = hold(root, id)? else {
        let missing = || Error::new(Kind::NoSuchContainer, format!("container {id:?} does not exist"));
        return if force { Ok(Vec::new()) } else { Err(missing()) };
    };
    let record = match state::read(root, id) {
        // What cannot be read names nothing; its directory goes all the same.
        Err(error) if force && error.kind == Kind::Invalid => {
            state::Record { id: id.to_owned(), ..Default::default() }
        }
        other => other?,
    };
    let status = record.status(root)?;
    if !force && !matches!(status, Status::Stopped | Status::Created) {
        let message = format!("cannot delete container {id} that is not stopped: {status}");
        return Err(Error::new(Kind::Invalid, message));
    }
    removed(root, &record)
}

/// Keeps others from removing what stands under an id; none where there is nothing, or where another one was faster.
pub(crate) fn hold(root: &Path, id: &str) -> Result<Option<OwnedFd>> {
    state::check_id(id)?;
    let directory = state::directory(root, id);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = match rustix::fs::open(&directory, flags, Mode::empty()) {
        Ok(held) => held,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(called::<Errno>(|| format!("open({directory:?})"))(errno).into()),
    };
    rustix::fs::flock(&held, FlockOperation::LockExclusive)
        .map_err(called::<Errno>(|| format!("flock({directory:?})")))?;
    let about = rustix::fs::fstat(&held).map_err(called::<Errno>(|| "fstat".to_owned()))?;
    Ok((about.st_nlink > 0).then_some(held))
}

/// Removes what is left of container `id`, running or not, and runs its poststop hooks; one that is gone is fine. Whoever calls keeps
/// others from it.
pub fn clear(root: &Path, id: &str) -> Result<Vec<String>> {
    match state::read(root, id) {
        Err(error) if error.kind == Kind::NoSuchContainer => Ok(Vec::new()),
        other => removed(root, &other?),
    }
}

pub(crate) fn removed(root: &Path, record: &state::Record) -> Result<Vec<String>> {
    state::remove_recorded(root, record)?;
    if record.hooks.poststop.is_empty() {
        return Ok(Vec::new());
    }
    let json = record.state_json(Status::Stopped, 0)?;
    // One that fails does not keep the others from running (config.md, "Poststop").
    let failed = record.hooks.poststop.iter().enumerate().filter_map(|(index, hook)| {
        let one = std::slice::from_ref(hook);
        record
            .hooks
            .run("poststop", one, &json)
            .err()
            .map(|error| error.to_string().replace("[0]", &format!("[{index}]")))
    });
    Ok(failed.collect())
}
