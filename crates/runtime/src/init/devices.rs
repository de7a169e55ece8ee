//! /dev: nodes and links.

use super::attest::Attached;
use super::mounts::clone_tree;
use super::target::{Missing, kind, parent, resolve, target};
use crate::error::{Error, Kind, Result};
use crate::plan::{Device, Plan, Source};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, Uid, makedev};
use rustix::mount::{MoveMountFlags, move_mount};
use std::ffi::OsStr;
use std::path::Path;
use sys::mount_setattr::{MountAttributes, NOEXEC, NOSUID, RDONLY, mount_setattr};
use sys::{Context, Errno, called};

/// Links that every container's /dev has (config-linux.md, "Dev symbolic links").
const LINKS: [(&str, &str); 5] = [
    ("/proc/kcore", "core"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// Puts every node and link into the container's /dev, while the host's nodes are in reach to be bound.
pub fn attach(root: &OwnedFd, plan: &Plan, attached: &mut Attached) -> Result<()> {
    // A directory of the host's has what it has: nothing is made there.
    let theirs = |source: &Source| matches!(source, Source::Bind(_));
    if plan.mounts.iter().any(|mount| mount.target == Path::new("/dev") && theirs(&mount.source)) {
        return Ok(());
    }
    let before = rustix::process::umask(Mode::empty());
    let made = plan.devices.iter().try_for_each(|device| {
        put(root, device, plan, attached).within(|| format!("make device {}", device.path.display()))
    });
    rustix::process::umask(before);
    made?;
    link(root, plan, attached)
}

/// Refuses a directory that a link of the image has led to, where it is one of the host's: nodes are made in the container.
fn must_be_inside(directory: &OwnedFd, path: &Path, plan: &Plan, attached: &Attached) -> Result<()> {
    let Some(number) = attached.number_of(directory.as_fd())? else { return Ok(()) };
    let mount = &plan.mounts[number];
    if sys::mutant!("mutant_rt_18")
        || !matches!(mount.source, Source::Bind(_))
        || path.starts_with(&mount.target)
    {
        return Ok(());
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{} leads into {}, which is the host's", path.display(), mount.target.display()),
    ))
}

fn put(root: &OwnedFd, device: &Device, plan: &Plan, attached: &mut Attached) -> Result<()> {
    // A pipe leads nowhere on the host, and anybody may make one.
    if plan.bind_devices && device.kind != 'p' {
        return bind_node(root, device, plan, attached);
    }
    match make(root, device, plan, attached) {
        // Without the privilege of the host's root.
        Err(error) if error.kind == Kind::Permission && device.kind != 'p' => {
            bind_node(root, device, plan, attached).map_err(|_| error)
        }
        other => other,
    }
}

fn bind_node(root: &OwnedFd, device: &Device, plan: &Plan, attached: &mut Attached) -> Result<()> {
    let node = clone_tree(&device.host, false)?;
    let stat = rustix::fs::fstat(&node).map_err(called::<Errno>(|| format!("fstat({:?})", device.host)))?;
    if FileType::from_raw_mode(stat.st_mode) != file_type(device) || stat.st_rdev != number(device) {
        return Err(Error::new(
            Kind::Invalid,
            format!(
                "{} of the host is not {} {}:{}",
                device.host.display(),
                device.kind,
                device.major,
                device.minor
            ),
        ));
    }
    let (directory, _) = parent(root.as_fd(), &device.path)?;
    must_be_inside(&directory, &device.path, plan, attached)?;
    let at = target(root.as_fd(), &device.path, Missing::File)?;
    // Once more, of the very place: the directory may have been exchanged for a link meanwhile.
    must_be_inside(&at, &device.path, plan, attached)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&node, "", &at, "", flags)
        .map_err(called::<Errno>(|| format!("move_mount({:?})", device.path)))?;
    // It is the host's own node: on a mount that is read-only its mode and owner stay the host's to change, and it is written to all the
    // same.
    let attributes = MountAttributes { set: RDONLY | NOSUID | NOEXEC, ..MountAttributes::default() };
    mount_setattr(node.as_fd(), false, attributes)?;
    attached.note(node.as_fd())
}

fn file_type(device: &Device) -> FileType {
    match device.kind {
        'b' => FileType::BlockDevice,
        'p' => FileType::Fifo,
        _ => FileType::CharacterDevice,
    }
}

fn number(device: &Device) -> Dev {
    if device.kind == 'p' { 0 } else { makedev(device.major, device.minor) }
}

fn make(root: &OwnedFd, device: &Device, plan: &Plan, attached: &Attached) -> Result<()> {
    let (directory, name) = parent(root.as_fd(), &device.path)?;
    must_be_inside(&directory, &device.path, plan, attached)?;
    let mode = Mode::from_raw_mode(device.mode & 0o7777);
    match rustix::fs::mknodat(&directory, &*name, file_type(device), mode, number(device)) {
        Ok(()) => {}
        // A /dev of the image's own: what is there must be the very device, checked by type and number both.
        Err(Errno::EXIST) => return is_same(directory.as_fd(), &name, device),
        Err(errno) => return Err(called::<Errno>(|| format!("mknodat({:?})", device.path))(errno).into()),
    }
    rustix::fs::chownat(
        &directory,
        &*name,
        Some(Uid::from_raw(device.uid)),
        Some(Gid::from_raw(device.gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(called::<Errno>(|| format!("fchownat({:?})", device.path)))?;
    if device.mode & 0o6000 != 0 {
        // Taken by the change of owner.
        chmod_node(&directory, &name, device, mode)?;
    }
    Ok(())
}

/// By a descriptor of the node itself: in its place there may be a link by now.
fn chmod_node(directory: &OwnedFd, name: &OsStr, device: &Device, mode: Mode) -> Result<()> {
    let doing = |call: &str| format!("{call}({:?})", device.path);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(directory, name, flags, Mode::empty())
        .map_err(called::<Errno>(|| doing("openat")))?;
    is_same(node.as_fd(), OsStr::new(""), device)?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", node.as_raw_fd()), mode)
        .map_err(called::<Errno>(|| doing("chmod")))?;
    Ok(())
}

fn is_same(directory: BorrowedFd<'_>, name: &OsStr, device: &Device) -> Result<()> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)
        .map_err(called::<Errno>(|| format!("fstatat({:?})", device.path)))?;
    if FileType::from_raw_mode(stat.st_mode) == file_type(device) && stat.st_rdev == number(device) {
        return Ok(());
    }
    if sys::mutant!("mutant_rt_19") {
        rustix::fs::chownat(
            directory,
            name,
            Some(Uid::from_raw(device.uid)),
            Some(Gid::from_raw(device.gid)),
            AtFlags::empty(),
        )
        .map_err(called::<Errno>(String::new))?;
        return Ok(());
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{} is there already and is something else", device.path.display()),
    ))
}

/// What is at a path beneath a directory; none where nothing is, or something else than is asked for.
fn there(directory: &OwnedFd, path: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
    match resolve(directory.as_fd(), Path::new(path), flags) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn link(root: &OwnedFd, plan: &Plan, attached: &Attached) -> Result<()> {
    let Some(dev) = there(root, "/dev", OFlags::PATH | OFlags::DIRECTORY)? else { return Ok(()) };
    must_be_inside(&dev, Path::new("/dev"), plan, attached)?;
    // Terminals come from the container's own devpts, whatever an image has in this place.
    if let Some(found) = there(&dev, "ptmx", OFlags::PATH | OFlags::NOFOLLOW)?
        && kind(found)? != FileType::Directory
    {
        match rustix::fs::unlinkat(&dev, "ptmx", AtFlags::empty()) {
            Ok(()) | Err(Errno::ROFS | Errno::BUSY) => {}
            Err(errno) => return Err(called::<Errno>(|| "unlinkat(\"/dev/ptmx\")".to_owned())(errno).into()),
        }
    }
    for (points_to, name) in LINKS.into_iter().chain([("pts/ptmx", "ptmx")]) {
        // A kernel may be built without it; a link to nothing helps nobody.
        if name == "core" && there(root, points_to, OFlags::PATH)?.is_none() {
            continue;
        }
        match rustix::fs::symlinkat(points_to, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            // A directory used as it is may be read-only; the container then has what that /dev has.
            Err(Errno::ROFS) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("symlinkat(\"/dev/{name}\")"))(errno).into()),
        }
    }
    Ok(())
}
