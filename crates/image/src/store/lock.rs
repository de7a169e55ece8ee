//! Locks between processes (flock(2)): the kernel takes them back from a process that dies.

use crate::kind::failed;
use crate::{Error, Kind, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at a lock: there is no flock(2) that waits for some time.
const PAUSE: Duration = Duration::from_millis(5);

/// For the records, which are held while they are written.
pub(crate) const MOMENTS: Duration = Duration::from_secs(60);

/// For what is held while layers are removed.
pub(crate) const REMOVAL: Duration = Duration::from_secs(600);

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
    /// Waits a while: whoever holds it may have been stopped, and nobody is to wait for that for ever.
    pub fn wait(path: &Path, hold: Hold, patience: Duration) -> Result<Self> {
        let file = open(path)?;
        let operation = match hold {
            Hold::Shared => FlockOperation::NonBlockingLockShared,
            Hold::Alone => FlockOperation::NonBlockingLockExclusive,
        };
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => {
                    let text = format!("{path:?} has been locked by another command for {patience:?}");
                    return Err(Error::new(Kind::Other, text)
                        .with_hint(format!("fuser {} shows which", path.display())));
                }
                Err(errno) => return Err(failed(|| format!("flock {path:?}"))(errno)),
            }
        }
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

    /// Whether somebody holds it; it is not made for that.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever() {
        fn check(held: Hold, wanted: Hold, comes: bool) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("lock");
            let first = Lock::wait(&path, held, Duration::ZERO).unwrap();
            match Lock::wait(&path, wanted, Duration::from_millis(20)) {
                Ok(_) => assert!(comes, "{held:?} {wanted:?}"),
                Err(error) => assert!(!comes && error.to_string().contains("another command"), "{error}"),
            }
            drop(first);
            // What another test executes just now has the descriptor until it is executed.
            Lock::wait(&path, wanted, Duration::from_secs(10)).unwrap();
        }
        check(Hold::Shared, Hold::Shared, true);
        check(Hold::Shared, Hold::Alone, false);
        check(Hold::Alone, Hold::Shared, false);
        check(Hold::Alone, Hold::Alone, false);
    }
}
