//! /dev: nodes and links.

use super::mounts::clone_tree;
use super::root::{Missing, resolve, target};
use crate::error::Result;
use crate::plan::{Device, Plan};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, makedev};
use rustix::mount::{MoveMountFlags, move_mount};
use std::path::Path;
use sys::{Context, Errno, called};

/// Links that every container's /dev has (config-linux.md, "Dev symbolic links").
const LINKS: [(&str, &str); 6] = [
    ("/proc/kcore", "core"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Where device nodes are bound instead of made, the host's are opened here. Otherwise nothing.
pub fn prepare(plan: &Plan) -> Result<Vec<OwnedFd>> {
    if !plan.bind_devices {
        return Ok(Vec::new());
    }
    plan.devices
        .iter()
        .map(|device| {
            clone_tree(&device.host, false).within(|| format!("bind device {}", device.host.display()))
        })
        .collect()
}

/// Puts every node and link into the container's /dev.
pub fn attach(root: &OwnedFd, plan: &Plan, nodes: Vec<OwnedFd>) -> Result<()> {
    if plan.bind_devices {
        for (device, node) in plan.devices.iter().zip(nodes) {
            let at = target(root.as_fd(), &device.path, Missing::File)?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&node, "", &at, "", flags)
                .map_err(called::<Errno>(|| format!("move_mount({:?})", device.path)))?;
        }
    } else {
        let before = rustix::process::umask(Mode::empty());
        for device in &plan.devices {
            make(root, device).within(|| format!("make device {}", device.path.display()))?;
        }
        rustix::process::umask(before);
    }
    let Ok(dev) = resolve(root.as_fd(), Path::new("/dev"), OFlags::PATH | OFlags::DIRECTORY) else {
        return Ok(());
    };
    for (points_to, name) in LINKS {
        // A kernel may be built without it; a link to nothing helps nobody.
        if name == "core" && resolve(root.as_fd(), Path::new(points_to), OFlags::PATH).is_err() {
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

fn make(root: &OwnedFd, device: &Device) -> Result<()> {
    let parent = device.path.parent().unwrap_or(Path::new("/"));
    let parent = target(root.as_fd(), parent, Missing::Directory)?;
    let name = device.path.file_name().unwrap_or_default();
    let kind = match device.kind {
        'b' => FileType::BlockDevice,
        'p' => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    let mode = Mode::from_raw_mode(device.mode & 0o777);
    match rustix::fs::mknodat(&parent, name, kind, mode, makedev(device.major, device.minor)) {
        Ok(()) => {}
        // A /dev of the image's own: what is there must be the very device, checked by type and number both.
        Err(Errno::EXIST) => return is_same(&parent, name, device),
        Err(errno) => return Err(called::<Errno>(|| format!("mknodat({:?})", device.path))(errno).into()),
    }
    rustix::fs::chownat(
        &parent,
        name,
        Some(rustix::fs::Uid::from_raw(device.uid)),
        Some(rustix::fs::Gid::from_raw(device.gid)),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(called::<Errno>(|| format!("fchownat({:?})", device.path)))?;
    Ok(())
}

fn is_same(parent: &OwnedFd, name: &std::ffi::OsStr, device: &Device) -> Result<()> {
    let stat =
        rustix::fs::statat(parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_err(called::<Errno>(|| format!("fstatat({:?})", device.path)))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if (kind == FileType::CharacterDevice || kind == FileType::BlockDevice)
        && stat.st_rdev == makedev(device.major, device.minor)
    {
        return Ok(());
    }
    Err(crate::error::Error::new(
        crate::error::Kind::Invalid,
        format!("{} is there already and is something else", device.path.display()),
    ))
}
