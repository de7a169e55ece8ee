//! Files and directories of the host: opened as a second mount of what is there, and not otherwise.

use crate::error::{Error, Kind, Result};
use crate::init::target;
use crate::plan::{Bind, Link};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::ffi::CString;
use std::path::Path;
use sys::{Errno, Patience, called};

/// proc's number in statfs(2).
pub const PROC_SUPER_MAGIC: rustix::fs::FsWord = 0x9fa0;
/// The root of every proc has this inode.
const PROC_ROOT_INO: u64 = 1;

/// What a bind becomes.
#[derive(Debug)]
pub enum Opened {
    /// A mount, attached nowhere.
    Tree(OwnedFd),
    /// A link like the source.
    Link(CString),
}

/// Opens the source. Nothing is read of it: a fifo does not stop us, a device does not notice.
pub fn open(bind: &Bind) -> Result<Opened> {
    // What is no link, or is not there at all, is for the call below.
    if bind.link == Link::Copy
        && let Ok(leads) = rustix::fs::readlink(&bind.path, Vec::new())
    {
        return Ok(Opened::Link(leads));
    }
    let mut flags = OpenTreeFlags::empty();
    if bind.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if bind.link == Link::Mount {
        flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    }
    match &bind.beneath {
        None => clone(&bind.path, flags).map(Opened::Tree),
        Some(part) => clone_part(&bind.path, part).map(Opened::Tree),
    }
}

/// A second mount of what is at a path beneath another. The kernel resolves it: a container that had the directory before may
/// have put any links there, and may be changing them now.
pub fn clone_part(path: &Path, part: &Path) -> Result<OwnedFd> {
    let root = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?})")))?;
    let inside = match sys::mutant!("mutant_en_08") {
        true => ResolveFlags::empty(),
        false => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    };
    let mut patience = Patience::default();
    let found = loop {
        let opened = rustix::fs::openat2(&root, part, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), inside);
        if !patience.goes_on(&opened) {
            break opened.map_err(called::<Errno>(|| format!("openat2({part:?}, RESOLVE_BENEATH)")))?;
        }
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(&found, c"", flags).map_err(called::<Errno>(|| format!("open_tree({part:?})")))?)
}

/// A second mount of what is at `path`, detached (open_tree(2)).
pub fn clone_tree(path: &Path, recursive: bool) -> Result<OwnedFd> {
    clone(path, if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() })
}

fn clone(path: &Path, flags: OpenTreeFlags) -> Result<OwnedFd> {
    let always = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree =
        open_tree(CWD, path, flags | always).map_err(called::<Errno>(|| format!("open_tree({path:?})")))?;
    Ok(tree)
}

/// Refuses to bind anything over /proc but a whole proc.
pub fn must_be_proc(tree: &OwnedFd, target: &Path) -> Result<()> {
    if sys::mutant!("mutant_rt_05") {
        return Ok(());
    }
    let magic = rustix::fs::fstatfs(tree).map_err(called::<Errno>(|| "fstatfs".to_owned()))?.f_type;
    let stat = rustix::fs::fstat(tree).map_err(called::<Errno>(|| "fstat".to_owned()))?;
    if magic == PROC_SUPER_MAGIC && stat.st_ino == PROC_ROOT_INO {
        return Ok(());
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{} cannot be mounted because it is not of type proc", target.display()),
    ))
}

/// Refuses a target in a proc but for the few files that may be covered, by whatever links it was found.
pub fn may_be_covered(root: &OwnedFd, at: &OwnedFd, shown: &Path) -> Result<()> {
    if sys::mutant!("mutant_rt_01") {
        return Ok(());
    }
    let magic = rustix::fs::fstatfs(at).map_err(called::<Errno>(|| "fstatfs".to_owned()))?.f_type;
    if magic != PROC_SUPER_MAGIC {
        return Ok(());
    }
    for file in crate::bundle::COVERED_IN_PROC {
        let path = Path::new("/proc").join(file);
        if let Ok(allowed) = target::resolve(root.as_fd(), &path, rustix::fs::OFlags::PATH)
            && target::same(&allowed, at)?
        {
            return Ok(());
        }
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{} cannot be mounted because it is inside /proc", shown.display()),
    ))
}
