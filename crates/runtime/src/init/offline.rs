//! The root of a container that does not run, in a mount namespace of the caller's own: for whoever copies files.
//!
//! The mounts go with the caller, nobody else sees them.

use super::mounts::bind::{clone_part, clone_tree};
use super::target::{Missing, found_or_made};
use crate::error::{Error, Kind, Result};
use crate::plan::{Overlay, Root};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use std::path::Path;
use sys::clone3::{Namespaces, unshare};
use sys::{Context, Errno, called};

/// Mounts the root. The process must have one thread; from now on it is in a mount namespace of its own.
pub fn root(root: &Root) -> Result<OwnedFd> {
    unshare(Namespaces::MOUNT)?;
    let downward = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", downward).map_err(called::<Errno>(|| "mount(/, MS_SLAVE)".to_owned()))?;
    match root {
        Root::Directory(path) => open(path),
        Root::Overlay(overlay) => layers(overlay),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty()).map_err(called::<Errno>(|| format!("open({path:?})")))?)
}

fn layers(overlay: &Overlay) -> Result<OwnedFd> {
    let mounted = super::overlay::mount(overlay).within(|| "mount the root")?;
    mounted.ok_or_else(|| Error::new(Kind::Other, "this root can only be made for a container that runs"))
}

/// Mounts a directory or file of the host, or a part of it, at a path of the root; makes the place where it is missing, and fills an empty
/// volume from what the root has there.
pub fn bind(
    root: BorrowedFd<'_>,
    source: &Path,
    part: Option<&Path>,
    at: &Path,
    read_only: bool,
    fill: bool,
) -> Result<()> {
    let tree = match part {
        Some(part) => clone_part(source, part)?,
        None => clone_tree(source, true)?,
    };
    let stat = rustix::fs::statat(&tree, c"", AtFlags::EMPTY_PATH)
        .map_err(called::<Errno>(|| "fstat".to_owned()))?;
    let is_directory = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
    let missing = if is_directory { Missing::Directory } else { Missing::File };
    let (place, made_now) = found_or_made(root, at, missing)?;
    if fill && !made_now {
        super::fill::fill_when_empty(&tree, &place)?;
    }
    if read_only {
        let attributes =
            sys::mount_setattr::MountAttributes { set: sys::mount_setattr::RDONLY, ..Default::default() };
        sys::mount_setattr::mount_setattr(tree.as_fd(), true, attributes)?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, c"", &place, c"", flags).map_err(called::<Errno>(|| format!("move_mount({at:?})")))?;
    Ok(())
}
