//! A container that is being made: its directory has another name until the record, the ids and the container's name are its own, so
//! that a command which is killed meanwhile leaves nothing that anybody takes for a container.
//!
//! ```text
//! DATA/containers/.new-ID    locked by whoever makes the container; free, it was left behind
//! ```
//! Links lead to ids (names, ranges of user ids) from the moment on when that directory is there: a link to an id that has neither of
//! the two directories is one of a container that is gone, and stays so.

use crate::error::Result;
use crate::paths::Paths;
use crate::record::{self, Record};
use crate::{ids, names};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::path::{Path, PathBuf};
use sys::{Errno, called};

/// What stands before the id.
pub const UNBORN: &str = ".new-";

/// The directory of a container that is being made.
#[derive(Debug)]
pub struct Unborn {
    directory: PathBuf,
    _lock: OwnedFd,
}

fn place(paths: &Paths, id: &str) -> PathBuf {
    paths.containers().join(format!("{UNBORN}{id}"))
}

/// Opens a directory, unless it is gone.
pub fn open(directory: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::open(directory, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(called::<Errno>(|| format!("open({directory:?})"))(errno).into()),
    }
}

/// Whether that is the directory of this name still, now that it is locked: it may have been removed, or have got its own name.
pub fn is_there(opened: &OwnedFd, directory: &Path) -> bool {
    let (ours, theirs) = (rustix::fs::fstat(opened), rustix::fs::stat(directory));
    matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours.st_ino == theirs.st_ino)
}

/// Begins to make container `id`.
pub fn begin(paths: &Paths, id: &str) -> Result<Unborn> {
    let directory = place(paths, id);
    loop {
        crate::paths::make(&directory)?;
        let Some(lock) = open(&directory)? else { continue };
        rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))
            .map_err(called::<Errno>(|| format!("flock({directory:?})")))?;
        // Before it was locked it was taken for what somebody had left behind.
        if is_there(&lock, &directory) {
            return Ok(Unborn { directory, _lock: lock });
        }
    }
}

impl Unborn {
    /// Where its record is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// From now on it is a container.
    pub fn finish(&self, paths: &Paths, id: &str) -> Result<()> {
        let (directory, place) = (&self.directory, paths.container(id));
        std::fs::rename(directory, &place).map_err(called(|| format!("rename({directory:?}, {place:?})")))?;
        Ok(())
    }

    /// It does not become one: all that its record names is given back.
    pub fn undo(self, paths: &Paths, record: &Record) -> Result<()> {
        clear(paths, &record.id, Some(record))
    }
}

/// Whether container `id`, to which a link was seen, comes to be or is there already: one that is just being made is waited for.
pub fn comes_to_be(paths: &Paths, id: &str) -> Result<bool> {
    if let Some(unborn) = open(&place(paths, id))? {
        rustix::io::retry_on_intr(|| flock(&unborn, FlockOperation::LockShared))
            .map_err(called::<Errno>(|| format!("flock({UNBORN}{id})")))?;
    }
    paths.has_container(id)
}

/// Whether container `id`, to which a link was seen, is gone or never came to be; nobody is waited for.
pub fn is_gone(paths: &Paths, id: &str) -> Result<bool> {
    // In this order: one gets its own name in between, but none loses it.
    if let Some(unborn) = open(&place(paths, id))?
        && flock(&unborn, FlockOperation::NonBlockingLockShared).is_err()
    {
        return Ok(false);
    }
    Ok(!paths.has_container(id)?)
}

/// Whether nobody is at it any more where container `id` was begun.
pub fn is_left_behind(paths: &Paths, id: &str) -> bool {
    let directory = place(paths, id);
    let Ok(Some(unborn)) = open(&directory) else { return false };
    flock(&unborn, FlockOperation::NonBlockingLockShared).is_ok() && is_there(&unborn, &directory)
}

/// Removes the beginning of a container that was left behind; one that somebody is at stays.
pub fn sweep(paths: &Paths, id: &str) -> Result<()> {
    let directory = place(paths, id);
    let Some(lock) = open(&directory)? else { return Ok(()) };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::AGAIN) => return Ok(()),
        other => other.map_err(called::<Errno>(|| format!("flock({directory:?})")))?,
    }
    if !is_there(&lock, &directory) {
        return Ok(());
    }
    // One that is torn names nothing: links are made when it is whole.
    let record = record::read_in(&directory).ok();
    clear(paths, id, record.as_ref())
}

/// With the directory locked.
fn clear(paths: &Paths, id: &str, record: Option<&Record>) -> Result<()> {
    if let Some(record) = record {
        ids::release(paths, record)?;
        names::release_left(paths, &record.name, id)?;
    }
    let directory = place(paths, id);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(called(|| format!("remove {directory:?}"))(error).into())
        }
        _ => Ok(()),
    }
}
