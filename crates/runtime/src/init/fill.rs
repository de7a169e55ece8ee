//! Fills an empty volume from what the image has at its place, as docker does at first use: completely, or at the next start.

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};
use sys::{Context, Errno, called};

/// Deeper than any real tree; a bound on recursion.
const DEEPEST: usize = 256;

/// How long another start may take to fill the volume.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the copy is made, in the volume: a start that was killed leaves it, and the next one begins anew.
const COPYING: &CStr = c".devoxx-copying";

/// Where the copy is when it is whole, and moves into its place from.
const COPIED: &CStr = c".devoxx-copied";

/// Copies the tree at `from` into the volume `to`, when that is an empty directory and `from` a directory.
pub fn fill_when_empty(to: &OwnedFd, from: &OwnedFd) -> Result<()> {
    let stat = |fd: &OwnedFd| rustix::fs::fstat(fd).map_err(called::<Errno>(|| "fstat".to_owned()));
    let source = stat(from)?;
    let is_directory = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if !is_directory(&source) || !is_directory(&stat(to)?) {
        return Ok(());
    }
    let fill = || -> Result<()> {
        let volume = open_directory(to.as_fd(), c".")?;
        // Most volumes are somebody's already: nothing is waited for then.
        let is_mark = |name: &CString| **name == *COPYING || **name == *COPIED;
        let is_ours = || open_directory(volume.as_fd(), COPIED).is_ok();
        let is_anybodys = names(&volume)?.iter().any(|name| !is_mark(name)) && !is_ours();
        if is_anybodys && !sys::mutant!("mutant_en_07") {
            return Ok(());
        }
        // Of several containers that start at once the first fills it, and the others find it filled.
        lock(&volume)?;
        let there = names(&volume)?;
        if there.iter().any(|name| **name == *COPIED) {
            if !is_ours() {
                return Ok(());
            }
            move_up(&volume)?;
            return own_like(to.as_fd(), &source);
        }
        // What cannot be a copy that was broken off is somebody's.
        let broken_off = there.iter().all(|name| **name == *COPYING) || sys::mutant!("mutant_en_07");
        if !broken_off || (!there.is_empty() && remove_tree(&volume, COPYING, 0).is_err()) {
            return Ok(());
        }
        if !names(&open_directory(from.as_fd(), c".")?)?.is_empty() {
            if let Err(error) = copy(&volume, from) {
                // Room for others; what cannot be removed now is removed by the next start.
                return Err(remove_tree(&volume, COPYING, 0).err().map_or(error.clone(), |left| {
                    error.with_hint(format!("a part of the copy is left in the volume: {left}"))
                }));
            }
            move_up(&volume)?;
        }
        own_like(to.as_fd(), &source)
    };
    fill().within(|| "fill the volume from the image")
}

fn copy(volume: &OwnedFd, from: &OwnedFd) -> Result<()> {
    rustix::fs::mkdirat(volume, COPYING, Mode::RWXU)
        .map_err(called::<Errno>(|| format!("mkdirat({COPYING:?})")))?;
    copy_tree(from.as_fd(), open_directory(volume.as_fd(), COPYING)?.as_fd(), 0)?;
    rustix::fs::renameat(volume, COPYING, volume, COPIED)
        .map_err(called::<Errno>(|| format!("renameat({COPYING:?}, {COPIED:?})")))?;
    Ok(())
}

/// Whoever has the volume can take this lock too: it is not waited for without end.
fn lock(volume: &OwnedFd) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(volume, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN | Errno::INTR) if Instant::now() < limit => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(errno) => return Err(called::<Errno>(|| "flock".to_owned())(errno).into()),
        }
    }
}

/// Moves a whole copy into its place, as far as nothing is there yet: what somebody has written meanwhile is his.
fn move_up(volume: &OwnedFd) -> Result<()> {
    let copied = open_directory(volume.as_fd(), COPIED)?;
    for name in names(&copied)? {
        match rustix::fs::renameat_with(&copied, &name, volume, &name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => remove_tree(&copied, &name, 0)?,
            Err(errno) => return Err(called::<Errno>(|| format!("renameat2({name:?})"))(errno).into()),
        }
    }
    rustix::fs::unlinkat(volume, COPIED, AtFlags::REMOVEDIR)
        .map_err(called::<Errno>(|| format!("unlinkat({COPIED:?})")))?;
    Ok(())
}

/// Removes a directory and what is in it.
fn remove_tree(parent: &OwnedFd, name: &CStr, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::new(Kind::Invalid, format!("directories nest deeper than {DEEPEST}")));
    }
    let directory = match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(_) => open_directory(parent.as_fd(), name)?,
    };
    for below in names(&directory)? {
        remove_tree(&directory, &below, depth + 1)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        .map_err(called::<Errno>(|| format!("unlinkat({name:?})")))?;
    Ok(())
}

/// Copies what is at `from` into a new tmpfs, if it is a directory (`tmpcopyup`).
pub fn copy_up(to: &OwnedFd, from: &OwnedFd) -> Result<()> {
    copy_tree(from.as_fd(), to.as_fd(), 0).within(|| "copy up what the root has there")
}

fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(at, name, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("openat({name:?})")))?;
    Ok(opened)
}

fn names(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(called::<Errno>(|| "read directory".to_owned()))? {
        let entry = entry.map_err(called::<Errno>(|| "getdents64".to_owned()))?;
        if ![c".", c".."].contains(&entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
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

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<()> {
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
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
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
