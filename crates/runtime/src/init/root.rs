//! The new root: prepared on the host's side, entered, and from then on the only one.

use super::pieces;
use crate::error::{Error, Kind, Result};
use crate::plan::{Overlay, Plan, Root, Upper};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    mount, mount_change, move_mount, open_tree, unmount,
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
            let made = match mount_overlay(overlay) {
                // Before Linux 6.5 layers cannot be given one by one.
                Err(error) if error.kind == Kind::Unsupported => mount_overlay_at_once(overlay),
                other => other,
            };
            match made {
                // Not as a whole: mounts below that are locked in a user namespace.
                Ok(None) => pieces::build(overlay, plan.root_read_only),
                Ok(Some(tree)) => Ok(tree),
                Err(error) => Err(error),
            }
        }
    }
}

/// The directories that changes go to; a tmpfs for them is mounted where the overlay will cover it.
fn upper_and_work(overlay: &Overlay) -> Result<(String, String)> {
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::new(Kind::Invalid, format!("path {path:?} is not UTF-8")))
    };
    match &overlay.upper {
        Upper::Directories { upper, work } => Ok((text(upper)?, text(work)?)),
        Upper::Memory => {
            let at = &overlay.mount_point;
            mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
                .map_err(called::<Errno>(|| format!("mount(tmpfs, {at:?})")))?;
            for name in ["upper", "work"] {
                let path = at.join(name);
                rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755))
                    .map_err(called::<Errno>(|| format!("mkdir({path:?})")))?;
            }
            Ok((text(&at.join("upper"))?, text(&at.join("work"))?))
        }
    }
}

/// Whether what the kernel said to an overlay may be mended by one that is made in pieces.
fn mended_in_pieces(overlay: &Overlay, errno: Errno) -> bool {
    errno == Errno::INVAL && overlay.upper == Upper::Memory && overlay.lower.len() == 1
}

/// The overlay at its mount point; nothing where it has to be made in pieces.
fn mount_overlay(overlay: &Overlay) -> Result<Option<OwnedFd>> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(called::<Errno>(|| "fsopen(overlay)".to_owned()))?;
    let set = |key: &str, value: &str| {
        fsconfig_set_string(context.as_fd(), key, value)
            .map_err(called::<Errno>(|| format!("fsconfig({key}={value:?})")))
    };
    // Top first, as lowerdir= of mount(8) has it.
    for layer in overlay.lower.iter().rev() {
        let path = layer.to_str().unwrap_or_default();
        if let Err(refused) = set("lowerdir+", path) {
            if refused.errno == Errno::INVAL && layer.exists() {
                return Err(Error::new(Kind::Unsupported, refused.to_string()));
            }
            return Err(refused.into());
        }
    }
    let (upper, work) = upper_and_work(overlay)?;
    set("upperdir", &upper)?;
    set("workdir", &work)?;
    for (flag, wanted) in [("userxattr", overlay.user_xattr), ("volatile", overlay.volatile)] {
        if wanted {
            fsconfig_set_flag(context.as_fd(), flag)
                .map_err(called::<Errno>(|| format!("fsconfig({flag})")))?;
        }
    }
    match fsconfig_create(context.as_fd()) {
        Err(errno) if mended_in_pieces(overlay, errno) => return Ok(None),
        created => {
            created.map_err(called::<Errno>(|| format!("fsconfig(overlay {upper:?}, create)")))?;
        }
    }
    let tree = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(called::<Errno>(|| "fsmount(overlay)".to_owned()))?;
    place(&tree, &overlay.mount_point)?;
    Ok(Some(tree))
}

/// The way of mount(2), whose options have to fit into one page.
fn mount_overlay_at_once(overlay: &Overlay) -> Result<Option<OwnedFd>> {
    let lower: Vec<&str> = overlay.lower.iter().rev().filter_map(|layer| layer.to_str()).collect();
    let (upper, work) = upper_and_work(overlay)?;
    let mut options = format!("lowerdir={},upperdir={upper},workdir={work}", lower.join(":"));
    for (flag, wanted) in [(",userxattr", overlay.user_xattr), (",volatile", overlay.volatile)] {
        if wanted {
            options.push_str(flag);
        }
    }
    let at = &overlay.mount_point;
    let data =
        std::ffi::CString::new(options).map_err(|_| Error::new(Kind::Invalid, "a layer's path has a NUL"))?;
    match mount("overlay", at, "overlay", MountFlags::empty(), Some(data.as_c_str())) {
        Err(errno) if mended_in_pieces(overlay, errno) => return Ok(None),
        mounted => mounted.map_err(called::<Errno>(|| format!("mount(overlay, {at:?}, {data:?})")))?,
    }
    let tree = rustix::fs::open(at, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({at:?}, O_PATH)")))?;
    Ok(Some(tree))
}

fn place(tree: &OwnedFd, at: &Path) -> Result<()> {
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
