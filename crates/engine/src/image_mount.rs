//! `image mount`: the root of an image, read-only, at a place in the mount namespace of the caller.

use crate::directory::names;
use crate::error::{Error, Kind, Result};
use crate::images::Images;
use crate::paths::{Paths, make};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

fn places(paths: &Paths) -> PathBuf {
    paths.run.join("images")
}

fn place(paths: &Paths, id: &str) -> PathBuf {
    places(paths).join(id.rsplit(':').next().unwrap_or_default())
}

/// Whether something is mounted there. What cannot be looked at is nobody's to be taken away.
pub fn is_mount_point(path: &Path) -> bool {
    is_mounted(path).unwrap_or(true)
}

fn is_mounted(path: &Path) -> Result<bool> {
    let mount_of = |path: &Path| match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID) {
        Ok(found) => Ok(Some(found.stx_mnt_id)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(called::<Errno>(|| format!("statx({path:?})"))(errno)),
    };
    let (here, above) = (mount_of(path)?, path.parent().map(mount_of).transpose()?.flatten());
    Ok(here.zip(above).is_some_and(|(here, above)| here != above))
}

/// Mounts an image that is here; where.
pub fn mount_image(paths: &Paths, images: &Images, name: &str, rootless: bool) -> Result<PathBuf> {
    if rootless {
        return Err(Error::new(
            Kind::Failed,
            "image mount needs root: an ordinary user's mounts are seen by nobody",
        )
        .with_hint("use: devoxx-container save, or export of a container"));
    }
    let image = images.get(name)?;
    let at = place(paths, &image.id);
    if is_mounted(&at)? {
        return Ok(at);
    }
    make(&places(paths))?;
    make(&at)?;
    let mounted = match image.layers.as_slice() {
        [] => Err(Error::new(Kind::Failed, "it has no layers")),
        [one] => bind(one, &at),
        layers => overlay(layers, &at),
    };
    if mounted.is_err() {
        // Nothing is mounted on it.
        let _left = std::fs::remove_dir(&at);
    }
    mounted.within(|| format!("mount image {name}"))?;
    Ok(at)
}

fn bind(layer: &Path, at: &Path) -> Result<()> {
    mount_bind(layer, at).map_err(called::<Errno>(|| format!("mount({layer:?}, {at:?}, MS_BIND)")))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY;
    mount_remount(at, flags, c"").map_err(|errno| {
        let _left = unmount(at, UnmountFlags::DETACH);
        called::<Errno>(|| format!("mount({at:?}, MS_REMOUNT|MS_RDONLY)"))(errno)
    })?;
    Ok(())
}

/// All options have to fit into one page: paths are relative to the directory that all layers are in.
fn overlay(layers: &[PathBuf], at: &Path) -> Result<()> {
    let all = layers[0].ancestors().nth(2).unwrap_or(Path::new("/"));
    std::env::set_current_dir(all).map_err(called(|| format!("chdir({all:?})")))?;
    let mut options = String::new();
    for layer in layers.iter().rev() {
        options += if options.is_empty() { "lowerdir=" } else { ":" };
        options += &layer.strip_prefix(all).unwrap_or(layer).display().to_string();
    }
    if options.len() >= 4096 {
        return Err(Error::new(Kind::Failed, format!("{} layers are too many for one mount", layers.len())));
    }
    let data = CString::new(options).map_err(|_| Error::new(Kind::Failed, "a path has a NUL byte"))?;
    mount("overlay", at, "overlay", MountFlags::RDONLY, Some(data.as_c_str()))
        .map_err(called::<Errno>(|| format!("mount(overlay, {at:?})")))?;
    Ok(())
}

/// Images that are mounted: id and place.
pub fn mounted_images(paths: &Paths) -> Result<Vec<(String, PathBuf)>> {
    let places = places(paths);
    let mut all = Vec::new();
    for name in names(&places)? {
        let path = places.join(&name);
        if is_mounted(&path)? {
            all.push((format!("sha256:{name}"), path));
        }
    }
    all.sort();
    Ok(all)
}

/// Unmounts an image; its id.
pub fn unmount_image(paths: &Paths, images: &Images, name: &str) -> Result<String> {
    let id = images.get(name)?.id;
    let at = place(paths, &id);
    if !is_mounted(&at)? {
        return Err(Error::new(Kind::Failed, format!("image {name} is not mounted")));
    }
    unmount(&at, UnmountFlags::empty())
        .map_err(called::<Errno>(|| format!("umount2({at:?})")))
        .within(|| format!("unmount image {name}"))?;
    std::fs::remove_dir(&at).map_err(called(|| format!("rmdir({at:?})")))?;
    // The last one takes the directory of all with it.
    let _others = std::fs::remove_dir(places(paths));
    Ok(id)
}
