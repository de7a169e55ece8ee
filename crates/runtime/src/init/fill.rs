//! Fills an empty volume from what the image has at its place, as docker does at first use.

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use sys::{Context, Errno, called};

/// Deeper than any real tree; a bound on recursion.
const DEEPEST: usize = 256;

/// Copies the tree at `from` into the volume `to`, when that is an empty directory and `from` a directory.
pub fn fill_when_empty(to: &OwnedFd, from: &OwnedFd) -> Result<()> {
    let stat = |fd: &OwnedFd| rustix::fs::fstat(fd).map_err(called::<Errno>(|| "fstat".to_owned()));
    let source = stat(from)?;
    let is_directory = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if !is_directory(&source) || !is_directory(&stat(to)?) || !is_empty(to.as_fd())? {
        return Ok(());
    }
    copy_tree(from.as_fd(), to.as_fd(), 0).within(|| "fill the volume from the image")?;
    own_like(to.as_fd(), &source)
}

/// Copies what is at `from` into a new tmpfs, if it is a directory (`tmpcopyup`).
pub fn copy_up(to: &OwnedFd, from: &OwnedFd) -> Result<()> {
    copy_tree(from.as_fd(), to.as_fd(), 0).within(|| "copy up what the root has there")
}

fn open_directory(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(at, name, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("openat({name:?})")))?;
    Ok(opened)
}

fn is_empty(directory: BorrowedFd<'_>) -> Result<bool> {
    let opened = open_directory(directory, c".")?;
    for entry in Dir::new(opened).map_err(called::<Errno>(|| "read directory".to_owned()))? {
        let entry = entry.map_err(called::<Errno>(|| "getdents64".to_owned()))?;
        if ![c".", c".."].contains(&entry.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::new(Kind::Invalid, format!("directories nest deeper than {DEEPEST}")));
    }
    let from = open_directory(from, c".")?;
    let to = open_directory(to, c".")?;
    for entry in Dir::read_from(&from).map_err(called::<Errno>(|| "read directory".to_owned()))? {
        let entry = entry.map_err(called::<Errno>(|| "getdents64".to_owned()))?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        copy_entry(from.as_fd(), to.as_fd(), name, depth).within(|| format!("copy {name:?}"))?;
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &std::ffi::CStr, depth: usize) -> Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(called::<Errno>(|| format!("fstatat({name:?})")))?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode).map_err(called::<Errno>(|| format!("mkdirat({name:?})")))?;
            let inner = open_directory(to, name)?;
            copy_tree(open_directory(from, name)?.as_fd(), inner.as_fd(), depth + 1)?;
            own_like(inner.as_fd(), &stat)
        }
        FileType::RegularFile => {
            let source = rustix::fs::openat(
                from,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(called::<Errno>(|| format!("openat({name:?})")))?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let copy = rustix::fs::openat(to, name, flags, mode)
                .map_err(called::<Errno>(|| format!("openat({name:?}, O_CREAT)")))?;
            let (copy, source) = (std::fs::File::from(copy), std::fs::File::from(source));
            std::io::copy(&mut &source, &mut &copy).map_err(called(|| format!("copy {name:?}")))?;
            own_like(copy.as_fd(), &stat)?;
            // Last: a change of owner takes the capabilities of a file.
            extend_like(copy.as_fd(), source.as_fd())
        }
        FileType::Symlink => {
            let link = rustix::fs::readlinkat(from, name, Vec::new())
                .map_err(called::<Errno>(|| format!("readlinkat({name:?})")))?;
            rustix::fs::symlinkat(&link, to, name)
                .map_err(called::<Errno>(|| format!("symlinkat({name:?})")))?;
            let (uid, gid) = owner(&stat);
            rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(called::<Errno>(|| format!("fchownat({name:?})")))?;
            Ok(())
        }
        kind => {
            rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)
                .map_err(called::<Errno>(|| format!("mknodat({name:?})")))?;
            Ok(())
        }
    }
}

fn owner(stat: &Stat) -> (rustix::fs::Uid, rustix::fs::Gid) {
    (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid))
}

/// What is written beside the bytes of a file: its capabilities, its access list, what a user noted on it.
fn extend_like(copy: BorrowedFd<'_>, source: BorrowedFd<'_>) -> Result<()> {
    let mut names = vec![0u8; 64 << 10];
    let length = match rustix::fs::flistxattr(source, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(called::<Errno>(|| "flistxattr".to_owned())(errno).into()),
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // Labels of the host's security modules are for them to give; an overlay's marks are of the other file system.
        let wanted = name == b"security.capability"
            || name.starts_with(b"system.posix_acl_")
            || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
        if !wanted {
            continue;
        }
        let shown = || String::from_utf8_lossy(name).into_owned();
        let mut value = vec![0u8; 64 << 10];
        let length = rustix::fs::fgetxattr(source, name, &mut value[..])
            .map_err(called::<Errno>(|| format!("fgetxattr({})", shown())))?;
        match rustix::fs::fsetxattr(copy, name, &value[..length], rustix::fs::XattrFlags::empty()) {
            // Not on every file system.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("fsetxattr({})", shown()))(errno).into()),
        }
    }
    Ok(())
}

/// Owner before mode: a change of owner clears the set-user-ID bit.
fn own_like(file: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
    let (uid, gid) = owner(stat);
    let flags = AtFlags::EMPTY_PATH;
    rustix::fs::chownat(file, c"", Some(uid), Some(gid), flags)
        .map_err(called::<Errno>(|| "fchown".to_owned()))?;
    // A volume's mount is open by path only, which fchmod(2) does not take: chmod "." beneath it instead.
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let changed = match rustix::fs::fchmod(file, mode) {
        Err(Errno::BADF) => rustix::fs::chmodat(file, c".", mode, AtFlags::empty()),
        other => other,
    };
    changed.map_err(called::<Errno>(|| "fchmod".to_owned()))?;
    Ok(())
}
