//! How many bytes of the disk something takes, as du(1) counts.

use crate::error::Result;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::collections::HashSet;
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

impl Counted {
    fn directory(&mut self, opened: OwnedFd) -> Result<()> {
        let mut below = Vec::new();
        for entry in Dir::read_from(&opened).map_err(called::<Errno>(|| "getdents64".to_owned()))? {
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
        for name in below {
            match rustix::fs::openat(&opened, &name, FLAGS, Mode::empty()) {
                Err(Errno::NOENT) => {}
                other => self.directory(other.map_err(called::<Errno>(|| format!("openat({name:?})")))?)?,
            }
        }
        Ok(())
    }
}
