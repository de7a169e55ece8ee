//! The new root: prepared on the host's side, entered, and from then on the only one.

use super::{overlay, pieces};
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, Root};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount, open_tree,
    unmount,
};
use std::path::Path;
use sys::mount_setattr::{MountAttributes, NODEV, RDONLY, mount_setattr};
use sys::{Context, Errno, called};

/// Cuts this mount namespace off: what is mounted here must not appear on the host, nor keep its mounts busy.
pub fn make_private() -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(called::<Errno>(|| "mount(\"/\", MS_REC|MS_PRIVATE)".to_owned()))?;
    Ok(())
}

/// Makes the new root a mount of its own, as pivot_root(2) wants it, and returns it.
pub fn prepare(plan: &Plan) -> Result<OwnedFd> {
    let tree = tree(plan)?;
    if plan.bind_devices {
        // A node made in here, or carried by an image, opens nothing: only the bound ones do.
        mount_setattr(tree.as_fd(), false, MountAttributes { set: NODEV, ..MountAttributes::default() })?;
    }
    Ok(tree)
}

fn tree(plan: &Plan) -> Result<OwnedFd> {
    match &plan.root {
        Root::Directory(path) => {
            let tree = open_tree(
                CWD,
                path,
                OpenTreeFlags::OPEN_TREE_CLONE
                    | OpenTreeFlags::OPEN_TREE_CLOEXEC
                    | OpenTreeFlags::AT_RECURSIVE,
            )
            .map_err(called::<Errno>(|| format!("open_tree({path:?}, OPEN_TREE_CLONE)")))?;
            place(&tree, path)?;
            Ok(tree)
        }
        Root::Overlay(overlay) => {
            match overlay::mount(overlay)? {
                // Not as a whole: mounts below that are locked in a user namespace.
                None => pieces::build(overlay, plan.root_read_only),
                Some(tree) => Ok(tree),
            }
        }
    }
}

pub(super) fn place(tree: &OwnedFd, at: &Path) -> Result<()> {
    move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(called::<Errno>(|| format!("move_mount({at:?})")))?;
    Ok(())
}

/// Enters the new root and lets go of the old one.
pub fn pivot(new_root: &OwnedFd) -> Result<()> {
    rustix::process::fchdir(new_root).map_err(called::<Errno>(|| "fchdir(new root)".to_owned()))?;
    // Both ".": the old root lands on top of the new one, with no directory needed for it (pivot_root(2)).
    rustix::process::pivot_root(".", ".")
        .map_err(called::<Errno>(|| "pivot_root(\".\", \".\")".to_owned()))?;
    unmount(".", UnmountFlags::DETACH)
        .map_err(called::<Errno>(|| "umount2(old root, MNT_DETACH)".to_owned()))?;
    rustix::process::chdir("/").map_err(called::<Errno>(|| "chdir(\"/\")".to_owned()))?;
    Ok(())
}

/// Opens the root that every later path is resolved beneath.
pub fn open() -> Result<OwnedFd> {
    rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| "open(\"/\", O_PATH)".to_owned()))
        .within(|| "open the new root")
}

/// The root mount alone: what is mounted in it keeps its own flags.
pub fn make_read_only(root: &OwnedFd) -> Result<()> {
    let attributes = MountAttributes { set: RDONLY, ..MountAttributes::default() };
    mount_setattr(root.as_fd(), false, attributes).within(|| "make the root read-only")
}

/// A directory or file inside the root, resolved as if `root` were `/`; no link leads out (openat2(2)).
pub fn resolve(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, sys::CallError> {
    use rustix::fs::ResolveFlags;
    loop {
        let opened = rustix::fs::openat2(
            root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        match opened {
            // A rename or mount elsewhere raced with a "..": the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other.map_err(called::<Errno>(|| format!("openat2({path:?}, IN_ROOT)"))),
        }
    }
}

/// What a missing mount target becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// Opens the target of a mount, making what is missing of it, one component at a time and never through a link
/// that leads out.
pub fn target(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd> {
    match resolve(root, path, OFlags::PATH) {
        Ok(found) => return Ok(found),
        Err(error) if error.errno == Errno::NOENT => {}
        Err(error) => return Err(error.into()),
    }
    let parent_path = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = match parent_path {
        Some(parent) => target(root, parent, Missing::Directory)?,
        None => resolve(root, Path::new("/"), OFlags::PATH)?,
    };
    let name = path
        .file_name()
        .ok_or_else(|| Error::new(Kind::Invalid, format!("{path:?} does not name a directory or file")))?;
    let made = match missing {
        Missing::Directory => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
        Missing::File => rustix::fs::mknodat(
            &parent,
            name,
            rustix::fs::FileType::RegularFile,
            Mode::from_raw_mode(0o644),
            0,
        ),
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(called::<Errno>(|| format!("make mount target {path:?}"))(errno).into()),
    }
    // A dangling link is not followed to where it points: what is opened is what was just made.
    let opened =
        rustix::fs::openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(called::<Errno>(|| format!("openat({path:?}, O_PATH|O_NOFOLLOW)")))?;
    let kind = rustix::fs::FileType::from_raw_mode(
        rustix::fs::fstat(&opened).map_err(called::<Errno>(|| format!("fstat({path:?})")))?.st_mode,
    );
    if kind == rustix::fs::FileType::Symlink {
        return Err(Error::new(Kind::Invalid, format!("{path:?} is a dangling symbolic link")));
    }
    Ok(opened)
}
