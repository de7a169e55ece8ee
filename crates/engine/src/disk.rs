//! How many bytes of the disk something takes, as du(1) counts.

use crate::error::Result;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::collections::HashSet;
use std::ffi::CString;
use std::path::Path;
use sys::{Errno, called};

/// Bytes that files below a path take, each file once however many names it has. Nothing for a path that is not there.
pub fn usage(path: &Path) -> Result<u64> {
    let mut counted = Counted { seen: HashSet::new(), bytes: 0 };
    let stat = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(0),
        other => other.map_err(called::<Errno>(|| format!("stat({path:?})")))?,
    };
    counted.bytes += blocks(&stat);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let opened = rustix::fs::open(path, FLAGS, Mode::empty())
            .map_err(called::<Errno>(|| format!("open({path:?})")))?;
        counted.directory(opened)?;
    }
    Ok(counted.bytes)
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// In units of 512 bytes, whatever the file system's own (stat(2)).
fn blocks(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default() * 512
}

struct Counted {
    seen: HashSet<(u64, u64)>,
    bytes: u64,
}

/// A directory that is gone into, and what is still to be done in it.
struct Level {
    identity: (u64, u64),
    below: Vec<CString>,
}

impl Counted {
    /// With two descriptors at any depth. What moves away meanwhile is not followed.
    fn directory(&mut self, opened: OwnedFd) -> Result<()> {
        let mut at = opened;
        let mut levels = vec![self.level(&at)?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.below.pop() {
                match rustix::fs::openat(&at, &name, FLAGS, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    other => {
                        at = other.map_err(called::<Errno>(|| format!("openat({name:?})")))?;
                        levels.push(self.level(&at)?);
                    }
                }
                continue;
            }
            levels.pop();
            let Some(above) = levels.last() else { break };
            at = rustix::fs::openat(&at, c"..", FLAGS, Mode::empty())
                .map_err(called::<Errno>(|| "openat(..)".to_owned()))?;
            if identity(&at)? != above.identity {
                break;
            }
        }
        Ok(())
    }

    /// Counts what is in a directory, whose own directories are to be gone into.
    fn level(&mut self, opened: &OwnedFd) -> Result<Level> {
        let mut below = Vec::new();
        for entry in Dir::read_from(opened).map_err(called::<Errno>(|| "getdents64".to_owned()))? {
            let entry = entry.map_err(called::<Errno>(|| "getdents64".to_owned()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match rustix::fs::statat(opened.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
                // Gone meanwhile.
                Err(Errno::NOENT) => continue,
                other => other.map_err(called::<Errno>(|| format!("fstatat({name:?})")))?,
            };
            let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if directory || stat.st_nlink < 2 || self.seen.insert((stat.st_dev, stat.st_ino)) {
                self.bytes += blocks(&stat);
            }
            if directory {
                below.push(name.to_owned());
            }
        }
        Ok(Level { identity: identity(opened)?, below })
    }
}

fn identity(directory: &OwnedFd) -> Result<(u64, u64)> {
    let stat = rustix::fs::fstat(directory).map_err(called::<Errno>(|| "fstat".to_owned()))?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_counted_at_any_depth() {
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path().join("top");
        std::fs::create_dir(&top).expect("mkdir");
        std::fs::write(top.join("first"), "x".repeat(10_000)).expect("a file");
        std::fs::hard_link(top.join("first"), top.join("second")).expect("a link");
        std::os::unix::fs::symlink("/", top.join("link")).expect("a link");
        let mut at = rustix::fs::open(&top, FLAGS, Mode::empty()).expect("open");
        for _ in 0..2000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("mkdir");
            rustix::fs::mkdirat(&at, "e", Mode::RWXU).expect("mkdir");
            at = rustix::fs::openat(&at, "d", FLAGS, Mode::empty()).expect("open");
        }
        drop(at);
        let du = std::process::Command::new("du").args(["-s", "-B1"]).arg(&top).output().expect("du");
        let du = String::from_utf8_lossy(&du.stdout);
        assert_eq!(du.split_whitespace().next(), Some(usage(&top).expect("counted").to_string().as_str()));
        assert_eq!(usage(&top.join("none")).expect("nothing"), 0);
        image::remove_at(&top).expect("removed");
    }
}
