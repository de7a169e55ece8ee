//! Paths that a container must not read or write, and kernel parameters it is given.

use super::attest::Attached;
use super::mounts::{clone_tree, file_system};
use super::root::resolve;
use super::target::resolve_without_links;
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::io::Write;
use std::path::Path;
use sys::mount_setattr::{MountAttributes, NODEV, NOEXEC, NOSUID, RDONLY, mount_setattr};
use sys::{Context, Errno, called};

/// proc's number in statfs(2), and the inode of its root.
const PROC_SUPER_MAGIC: rustix::fs::FsWord = 0x9fa0;
const PROC_ROOT_INO: u64 = 1;

/// What covers a masked path: the host's null for a file, one empty read-only tmpfs for every directory.
pub struct Empty {
    null: Cover,
    directory: Cover,
}

/// A mount to cover many paths with: itself first, then copies of it. Before Linux 6.15 only a mount that is
/// attached can be copied.
struct Cover {
    tree: OwnedFd,
    attached: bool,
}

impl Cover {
    fn put(&mut self, at: &OwnedFd, attached: &mut Attached) -> Result<()> {
        if self.attached {
            return cover(&clone(self.tree.as_fd(), false)?, at, attached);
        }
        cover(&self.tree, at, attached)?;
        self.attached = true;
        Ok(())
    }
}

/// Opened on the host's side: the container's own /dev/null could be anything (CVE-2025-31133). `given` is the host's where there is
/// another one in this mount namespace.
pub fn prepare(plan: &Plan, given: Option<&OwnedFd>) -> Result<Option<Empty>> {
    if plan.masked.is_empty() {
        return Ok(None);
    }
    let null = match given {
        Some(null) => null.try_clone().map_err(called(|| "dup(null)".to_owned()))?,
        None => null()?,
    };
    let mut options = vec![("nr_blocks".into(), "1".into()), ("nr_inodes".into(), "2".into())];
    options.extend(plan.mount_label.clone());
    let directory = file_system("tmpfs", &options)?;
    let attributes = MountAttributes { set: RDONLY | NOSUID | NODEV | NOEXEC, ..MountAttributes::default() };
    mount_setattr(directory.as_fd(), false, attributes)?;
    let fresh = |tree| Cover { tree, attached: false };
    Ok(Some(Empty { null: fresh(null), directory: fresh(directory) }))
}

/// The null device: where the host's own /dev/null is something else, what it is would be what is read.
pub fn null() -> Result<OwnedFd> {
    let tree = clone_tree(Path::new("/dev/null"), false)?;
    let stat = rustix::fs::fstat(&tree).map_err(called::<Errno>(|| "fstat(\"/dev/null\")".to_owned()))?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_device && stat.st_rdev == rustix::fs::makedev(1, 3) {
        // It is the host's own node: its mode and owner are not for a container to change, and only a mount that is read-only says so.
        let attributes = MountAttributes { set: RDONLY | NOSUID | NOEXEC, ..MountAttributes::default() };
        mount_setattr(tree.as_fd(), false, attributes)?;
        return Ok(tree);
    }
    Err(Error::new(Kind::Invalid, "/dev/null of the host is not the null device"))
}

/// Covers the masked paths and makes the read-only ones so. A path that is not there needs neither.
pub fn attach(root: &OwnedFd, plan: &Plan, empty: Option<Empty>, attached: &mut Attached) -> Result<()> {
    for path in plan.read_only.iter().filter(|_| !sys::mutant!("mutant_at_read_only")) {
        let Some(found) = existing(root, path)? else { continue };
        let again = clone(found.as_fd(), true).within(|| format!("make {} read-only", path.display()))?;
        let attributes = MountAttributes { set: RDONLY, ..MountAttributes::default() };
        mount_setattr(again.as_fd(), true, attributes)
            .within(|| format!("make {} read-only", path.display()))?;
        cover(&again, &found, attached).within(|| format!("make {} read-only", path.display()))?;
    }
    let Some(mut empty) = empty.filter(|_| !sys::mutant!("mutant_rt_15", "mutant_at_masks")) else {
        return Ok(());
    };
    for path in &plan.masked {
        let Some(found) = existing(root, path)? else { continue };
        let stat = rustix::fs::fstat(&found).map_err(called::<Errno>(|| format!("fstat({path:?})")))?;
        let with = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => &mut empty.directory,
            _ => &mut empty.null,
        };
        with.put(&found, attached).within(|| format!("mask {}", path.display()))?;
    }
    Ok(())
}

fn existing(root: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
    match resolve(root.as_fd(), path, OFlags::PATH) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn clone(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree =
        open_tree(fd, "", flags).map_err(called::<Errno>(|| "open_tree(OPEN_TREE_CLONE)".to_owned()))?;
    Ok(tree)
}

fn cover(tree: &OwnedFd, at: &OwnedFd, attached: &mut Attached) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", at, "", flags).map_err(called::<Errno>(|| "move_mount".to_owned()))?;
    attached.note(tree.as_fd())
}

/// Sets kernel parameters through the container's own /proc, which is checked to be one, whole; by no link, and by nothing that is mounted
/// in it: a value that goes to another file of proc is another parameter, and may be the host's.
pub fn write_sysctls(root: &OwnedFd, plan: &Plan) -> Result<()> {
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    let proc = resolve_without_links(root.as_fd(), Path::new("/proc")).within(|| "set kernel parameters")?;
    let magic = rustix::fs::fstatfs(&proc).map_err(called::<Errno>(|| "fstatfs".to_owned()))?.f_type;
    let stat = rustix::fs::fstat(&proc).map_err(called::<Errno>(|| "fstat".to_owned()))?;
    if (magic != PROC_SUPER_MAGIC || stat.st_ino != PROC_ROOT_INO) && !sys::mutant!("mutant_rt_17") {
        return Err(Error::new(Kind::Invalid, "set kernel parameters: /proc is not proc"));
    }
    let how = match sys::mutant!("mutant_rt_17") {
        true => ResolveFlags::empty(),
        false => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    };
    for (path, value) in &plan.sysctls {
        let doing = || format!("set sysctl {}", path.replace('/', "."));
        let file = Path::new("sys").join(path);
        let file = rustix::fs::openat2(&proc, &file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), how)
            .map_err(called::<Errno>(|| format!("openat2(\"/proc/sys/{path}\")")))
            .within(doing)?;
        std::fs::File::from(file)
            .write_all(value.as_bytes())
            .map_err(called(|| format!("write({value:?})")))
            .within(doing)?;
    }
    Ok(())
}
