//! Contents that the archive of a layer has and its files have not: a later entry took the place of an earlier one.
//!
//! While the layer is unpacked they lie beside it, each under the number of its inode, which no other file gets as long as this one
//! is there. At the end they are written into the layer's `split` (`split::anew`), and the directory goes.

use super::tree;
use crate::Result;
use crate::kind::failed;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const NAME: &str = "overwritten";

/// Where they lie, once there is one.
#[derive(Debug)]
pub(crate) struct Overwritten {
    beside: OwnedFd,
    kept: Option<OwnedFd>,
    changed: bool,
}

impl Overwritten {
    /// In a directory that is on the same file system as the files of the layer, and not seen from there.
    pub fn within(beside: OwnedFd) -> Self {
        Self { beside, kept: None, changed: false }
    }

    /// The directory that they are in.
    pub fn beside(&self) -> &OwnedFd {
        &self.beside
    }

    /// Whether a path may lead elsewhere than it did when its file was made, or nowhere.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Takes the content of what is about to be removed, if it has one.
    pub fn take(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        let shown = || format!("keep the content of {:?}", String::from_utf8_lossy(name));
        let found = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            found => found.map_err(failed(shown))?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile if found.st_size > 0 => {
                self.changed = true;
                let kept = self.directory()?;
                rustix::fs::renameat(parent, name, kept, number(found.st_ino)).map_err(failed(shown))
            }
            FileType::Directory | FileType::Symlink => {
                self.changed = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives a file that stays another name here: its path leads through a symbolic link, which may come to lead elsewhere.
    pub fn share(&mut self, parent: &OwnedFd, name: &[u8], inode: u64) -> Result<()> {
        let kept = self.directory()?;
        rustix::fs::linkat(parent, name, kept, number(inode), AtFlags::empty())
            .map_err(failed(|| format!("link {:?}", String::from_utf8_lossy(name))))
    }

    /// The content of a file, which is asked for once: only its descriptor has it then, if no name of the layer has.
    pub fn give(&self, inode: u64) -> Result<File> {
        let shown = || format!("open the content {inode} that was overwritten");
        let kept = self.kept.as_ref().ok_or(Errno::NOENT).map_err(failed(shown))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(kept, number(inode), flags, Mode::empty()).map_err(failed(shown))?;
        rustix::fs::unlinkat(kept, number(inode), AtFlags::empty()).map_err(failed(shown))?;
        Ok(file.into())
    }

    /// Removes what is left.
    pub fn clear(&mut self) -> Result<()> {
        match self.kept.take() {
            Some(_) => tree::remove(&self.beside, NAME.as_bytes()),
            None => Ok(()),
        }
    }

    fn directory(&mut self) -> Result<BorrowedFd<'_>> {
        if self.kept.is_none() {
            let shown = || format!("mkdir {NAME}");
            rustix::fs::mkdirat(&self.beside, NAME, Mode::RWXU).map_err(failed(shown))?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(&self.beside, NAME, flags, Mode::empty()).map_err(failed(shown))?;
            self.kept = Some(made);
        }
        self.kept.as_ref().map(AsFd::as_fd).ok_or(Errno::NOENT).map_err(failed(|| format!("open {NAME}")))
    }
}

impl Drop for Overwritten {
    fn drop(&mut self) {
        // Of a layer that is refused; what stays now goes with the directory that it is in.
        let _ = self.clear();
    }
}

fn number(inode: u64) -> String {
    inode.to_string()
}
