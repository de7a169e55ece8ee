//! One overlay of all layers (Documentation/filesystems/overlayfs.rst of the kernel).

use super::mounts::clone_tree;
use super::root::place;
use crate::error::{Error, Kind, Result};
use crate::plan::{Overlay, Upper};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use sys::{Errno, called};

/// The options of mount(2) have to fit into one page, with their NUL.
const PAGE: usize = 4096;
/// How a user namespace shows owners that it has no id for (user_namespaces(7)).
const NOBODY: u32 = 65534;

/// The overlay at its mount point; nothing where it has to be made in pieces.
pub fn mount(overlay: &Overlay) -> Result<Option<OwnedFd>> {
    if is_closed(overlay) {
        // The pieces have theirs in there.
        upper_and_work(overlay)?;
        return Ok(None);
    }
    if !takes_layers_one_by_one() {
        return at_once(overlay, upper_and_work(overlay)?);
    }
    let tree = one_by_one(overlay, upper_and_work(overlay)?)?;
    tree.iter().try_for_each(|tree| place(tree, &overlay.mount_point))?;
    Ok(tree)
}

/// The overlay, attached nowhere; its directories for changes are there. The mount namespace is thrown away: where the kernel
/// wants a place for the overlay, it stays mounted there.
pub fn detached(overlay: &Overlay, upper_and_work: (PathBuf, PathBuf)) -> Result<OwnedFd> {
    let made = if takes_layers_one_by_one() {
        one_by_one(overlay, upper_and_work)?
    } else {
        let mounted = at_once(overlay, upper_and_work)?;
        mounted.map(|_| clone_tree(&overlay.mount_point, false)).transpose()?
    };
    made.ok_or_else(|| Error::new(Kind::Invalid, "the kernel has no overlay of this directory: EINVAL"))
}

/// Whether the directory belongs to a user that has no id in here: not even its root could make a file in it, and the
/// files for /etc need a place.
fn is_closed(overlay: &Overlay) -> bool {
    let [lower] = &overlay.lower[..] else { return false };
    let owner = || rustix::fs::stat(lower).is_ok_and(|stat| stat.st_uid == NOBODY);
    overlay.user_xattr && overlay.upper == Upper::Memory && owner()
}

/// Since Linux 6.7. Trying does not tell: a kernel before 6.5 takes any option, and refuses the mount and writes to its
/// log afterwards.
pub fn takes_layers_one_by_one() -> bool {
    kernel() >= (6, 7)
}

/// Whether the root of a user namespace can have contents of files in a directory of their own: since Linux 6.16, where the mark is
/// followed that leads there from a layer, without `metacopy`.
pub fn follows_marks() -> bool {
    kernel() >= (6, 16)
}

fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let mut parts = name.release().to_str().unwrap_or_default().split(|c: char| !c.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    (number(), number())
}

/// The directories that changes go to; a tmpfs for them is mounted where the overlay will cover it.
pub fn upper_and_work(overlay: &Overlay) -> Result<(PathBuf, PathBuf)> {
    match &overlay.upper {
        Upper::Directories { upper, work } => Ok((upper.clone(), work.clone())),
        Upper::Memory => {
            let at = &overlay.mount_point;
            rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
                .map_err(called::<Errno>(|| format!("mount(tmpfs, {at:?})")))?;
            for name in ["upper", "work"] {
                let path = at.join(name);
                rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755))
                    .map_err(called::<Errno>(|| format!("mkdir({path:?})")))?;
            }
            Ok((at.join("upper"), at.join("work")))
        }
    }
}

/// Whether what the kernel said to an overlay may be mended by one that is made in pieces.
fn mended_in_pieces(overlay: &Overlay, errno: Errno) -> bool {
    errno == Errno::INVAL && overlay.upper == Upper::Memory && overlay.lower.len() == 1
}

/// The flags that are wanted.
fn flags(overlay: &Overlay) -> impl Iterator<Item = &'static str> {
    let all = [("userxattr", overlay.user_xattr), ("volatile", overlay.volatile)];
    all.into_iter().filter_map(|(flag, wanted)| wanted.then_some(flag))
}

fn one_by_one(overlay: &Overlay, (upper, work): (PathBuf, PathBuf)) -> Result<Option<OwnedFd>> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(called::<Errno>(|| "fsopen(overlay)".to_owned()))?;
    let set = |key: &str, value: &Path| {
        fsconfig_set_string(context.as_fd(), key, value)
            .map_err(called::<Errno>(|| format!("fsconfig({key}={value:?})")))
    };
    // Top first, as lowerdir= of mount(8) has it.
    for layer in overlay.lower.iter().rev() {
        set("lowerdir+", layer)?;
    }
    if let Some(data) = &overlay.data {
        set("datadir+", data)?;
    }
    set("upperdir", &upper)?;
    set("workdir", &work)?;
    for flag in flags(overlay) {
        fsconfig_set_flag(context.as_fd(), flag).map_err(called::<Errno>(|| format!("fsconfig({flag})")))?;
    }
    match fsconfig_create(context.as_fd()) {
        Err(errno) if mended_in_pieces(overlay, errno) => return Ok(None),
        created => {
            created.map_err(called::<Errno>(|| format!("fsconfig(overlay {upper:?}, create)")))?;
        }
    }
    let tree = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(called::<Errno>(|| "fsmount(overlay)".to_owned()))?;
    Ok(Some(tree))
}

/// The way of mount(2). Options that are longer than a page, or have the characters that part them in a path, name
/// descriptors instead: 127 layers fit.
fn at_once(overlay: &Overlay, (upper, work): (PathBuf, PathBuf)) -> Result<Option<OwnedFd>> {
    let mut paths: Vec<PathBuf> = vec![upper, work];
    paths.extend(overlay.lower.iter().rev().cloned());
    let parts_options =
        |path: &PathBuf| path.as_os_str().as_encoded_bytes().iter().any(|b| b":,\\".contains(b));
    let mut options = options(overlay, &paths);
    let mut held: Vec<OwnedFd> = Vec::new();
    if options.len() >= PAGE || paths.iter().any(parts_options) {
        for path in &mut paths {
            let directory = open(path)?;
            *path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
            held.push(directory);
        }
        options = self::options(overlay, &paths);
    }
    let at = &overlay.mount_point;
    let data = CString::new(options).map_err(|_| Error::new(Kind::Invalid, "a layer's path has a NUL"))?;
    match rustix::mount::mount("overlay", at, "overlay", MountFlags::empty(), Some(data.as_c_str())) {
        Err(errno) if mended_in_pieces(overlay, errno) => return Ok(None),
        mounted => mounted.map_err(called::<Errno>(|| format!("mount(overlay, {at:?}, {data:?})")))?,
    }
    open(at).map(Some)
}

/// The options for the upper directory, the one the kernel works in, and the layers, top first.
fn options(overlay: &Overlay, paths: &[PathBuf]) -> Vec<u8> {
    let mut all = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        all.extend_from_slice(match index {
            0 => b"upperdir=",
            1 => b",workdir=",
            2 => b",lowerdir=",
            _ => b":",
        });
        all.extend_from_slice(path.as_os_str().as_encoded_bytes());
    }
    for flag in flags(overlay) {
        all.push(b',');
        all.extend_from_slice(flag.as_bytes());
    }
    all
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?}, O_PATH)")))?;
    Ok(opened)
}
