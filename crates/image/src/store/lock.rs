//! Locks between processes (flock(2)): the kernel takes them back from a process that dies.

use crate::kind::failed;
use crate::{Error, Kind, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// A file that is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Who else may hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Shared,
    Alone,
}

impl Lock {
    /// Waits as long as it takes; for locks that are held for moments.
    pub fn wait(path: &Path, hold: Hold) -> Result<Self> {
        let file = open(path)?;
        let operation = match hold {
            Hold::Shared => FlockOperation::LockShared,
            Hold::Alone => FlockOperation::LockExclusive,
        };
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))
            .map_err(failed(|| format!("flock {path:?}")))?;
        Ok(Self(file))
    }

    /// Nothing if someone else holds it.
    pub fn try_alone(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(errno) => Err(failed(|| format!("flock {path:?}"))(errno)),
            // Its file may have been removed between open and flock: then it locks nothing.
            Ok(()) if is_there(&file, path) => Ok(Some(Self(file))),
            Ok(()) => Ok(None),
        }
    }

    /// Waits until it is free or nobody wants it any more: whoever holds it may be downloading.
    pub fn wait_alone(path: &Path, go_on: &dyn Fn() -> bool) -> Result<Self> {
        loop {
            if let Some(lock) = Self::try_alone(path)? {
                return Ok(lock);
            }
            if !go_on() {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(failed(|| format!("open {path:?}")))
}

fn is_there(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}
