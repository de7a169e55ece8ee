//! Removal of a directory with all below it, by descriptors, at any depth and with three of them.
//!
//! Deep directories are lifted to the top as they are found, so that neither the stack nor the descriptor limit
//! decides how deep a tree may be.

use crate::Result;
use crate::kind::failed;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Hears of a name in a directory.
pub(crate) type Before<'a> = dyn FnMut(BorrowedFd<'_>, &[u8]) -> Result<()> + 'a;

/// Removes what is at `path`, whatever it is. False where there is nothing.
pub fn remove_at(path: &Path) -> Result<bool> {
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let shown = || format!("remove {path:?}");
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(shown)(Errno::INVAL));
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if missing(&error) => return Ok(false),
        other => other.map(drop).map_err(failed(shown))?,
    }
    match std::fs::File::open(parent) {
        Err(error) if missing(&error) => Ok(false),
        opened => remove(&opened.map_err(failed(shown))?, name.as_encoded_bytes()).map(|()| true),
    }
}

/// Removes `name` in `parent`, whatever it is. A name that is not there is no error.
pub(crate) fn remove(parent: impl AsFd, name: &[u8]) -> Result<()> {
    remove_after(parent, name, &mut |_, _| Ok(()))
}

/// The same, where `before` hears of each name before it goes, and may take away what has it.
pub(crate) fn remove_after(parent: impl AsFd, name: &[u8], before: &mut Before<'_>) -> Result<()> {
    let parent = parent.as_fd();
    let shown = || format!("remove {:?}", String::from_utf8_lossy(name));
    before(parent, name)?;
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => (),
        Err(error) => return Err(failed(shown)(error)),
    }
    let top = open(parent, name).map_err(failed(shown))?;
    let mut lifted = 0_u64;
    loop {
        let names = entries(&top).map_err(failed(shown))?;
        if names.is_empty() {
            return rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(failed(shown));
        }
        for name in names {
            before(top.as_fd(), name.to_bytes())?;
            if gone(&top, &name).map_err(failed(shown))? {
                continue;
            }
            let below = open(&top, &name).map_err(failed(shown))?;
            for deep in entries(&below).map_err(failed(shown))? {
                before(below.as_fd(), deep.to_bytes())?;
                if !gone(&below, &deep).map_err(failed(shown))? {
                    lift(&below, &deep, &top, &mut lifted).map_err(failed(shown))?;
                }
            }
            rustix::fs::unlinkat(&top, &name, AtFlags::REMOVEDIR).map_err(failed(shown))?;
        }
    }
}

fn open(parent: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn entries(directory: &OwnedFd) -> rustix::io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes a file or an empty directory; false for one that is not empty.
fn gone(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => (),
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn lift(from: &OwnedFd, name: &CStr, top: &OwnedFd, lifted: &mut u64) -> rustix::io::Result<()> {
    loop {
        *lifted += 1;
        let new = format!(".lifted.{lifted}");
        match rustix::fs::renameat_with(from, name, top, new.as_str(), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => (),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_go_at_any_depth() {
        let directory = tempfile::tempdir().unwrap();
        let parent = OwnedFd::from(std::fs::File::open(directory.path()).unwrap());
        rustix::fs::mkdirat(&parent, "t", Mode::RWXU).unwrap();
        let mut at = open(&parent, "t").unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            rustix::fs::symlinkat("/", &at, "l").unwrap();
            at = open(&at, "d").unwrap();
        }
        drop(at);
        assert!(remove_at(&directory.path().join("t")).unwrap());
        assert!(!remove_at(&directory.path().join("t")).unwrap());
        assert!(!remove_at(&directory.path().join("no/t")).unwrap());
        remove(&parent, b"t").unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
