//! A walk through the cgroups beneath a directory. It holds one descriptor, however deep a container nested them.

use crate::{Error, Kind, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags};
use std::ffi::{CStr, CString};
use sys::{CallError, Errno, called};

/// Deeper than this no container nests on purpose.
const DEEPEST: usize = 4096;

/// Walks `top` and all beneath: `enter` for each directory, `leave` with its parent and its name after those beneath
/// it (not for `top`). What others remove meanwhile is passed over.
pub(crate) fn walk(
    top: &OwnedFd,
    mut enter: impl FnMut(&OwnedFd) -> Result<()>,
    mut leave: impl FnMut(&OwnedFd, &CStr) -> Result<()>,
) -> Result<()> {
    let Some(mut here) = open(top, c".")? else { return Ok(()) };
    enter(&here)?;
    let mut pending = vec![children(&here)?];
    let mut names: Vec<CString> = Vec::new();
    while let Some(level) = pending.last_mut() {
        if let Some(name) = level.pop() {
            let Some(child) = open(&here, &name)? else { continue };
            if names.len() >= DEEPEST {
                return Err(Error::new(Kind::Other, format!("cgroups nested deeper than {DEEPEST}")));
            }
            enter(&child)?;
            pending.push(children(&child)?);
            names.push(name);
            here = child;
        } else {
            pending.pop();
            let Some(name) = names.pop() else { break };
            let Some(parent) = open(&here, c"..")? else { return Ok(()) };
            here = parent;
            leave(&here, &name)?;
        }
    }
    Ok(())
}

fn open(dir: &OwnedFd, name: &CStr) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(errno) => Err(CallError { call: format!("open {name:?}"), errno }.into()),
    }
}

/// The cgroups right beneath a directory.
fn children(dir: &OwnedFd) -> Result<Vec<CString>> {
    let list = |call: &'static str| called::<Errno>(move || call.to_owned());
    let mut found = Vec::new();
    for entry in Dir::read_from(dir).map_err(list("open \".\""))? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::NOENT | Errno::NODEV) => break,
            Err(errno) => return Err(list("getdents64")(errno).into()),
        };
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}
