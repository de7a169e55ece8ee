//! The root of a container in a user namespace, mounted by its parent.
//!
//! Only who has privileges over a file system may map the ids of a mount of it, and read the marks of an overlay that root of
//! the host writes. The directories are mapped in a mount namespace that is thrown away: nobody else sees them so.

use super::bind::clone_tree;
use super::parent::{Namespaced, from_child, hint, open as open_bind};
use crate::error::{Error, Kind, Result};
use crate::id_map::{Range, act_as, outside};
use crate::init::{overlay, root};
use crate::plan::{Bind, ByParent, IdMap, Link, Overlay, Plan, Root, Upper};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Uid, chown};
use rustix::mount::{MountPropagationFlags, mount_change};
use std::path::Path;
use sys::clone3::Namespaces;
use sys::mount_setattr::set_id_map;
use sys::{Errno, called};

/// The root, attached nowhere.
pub fn open(plan: &Plan, how: ByParent, namespaces: &mut Namespaced<'_>) -> Result<OwnedFd> {
    match &plan.root {
        Root::Directory(path) => {
            // What is mounted below keeps its ids: not every file system can be mapped.
            let map = (how == ByParent::Mapped).then_some(IdMap { maps: None, recursive: false });
            let bind = Bind {
                path: path.clone(),
                recursive: true,
                beneath: None,
                fill: false,
                link: Link::Follow,
                id_map: map,
            };
            match open_bind(&bind, namespaces)? {
                super::bind::Opened::Tree(tree) => Ok(tree),
                super::bind::Opened::Link(_) => Err(Error::new(Kind::Invalid, "the root is a link")),
            }
        }
        Root::Overlay(overlay) => {
            let ids = (root_outside(&plan.id_maps.uid), root_outside(&plan.id_maps.gid));
            let map = match how {
                ByParent::Mapped => Some(namespaces.find(None)?.as_fd()),
                ByParent::AsItIs => None,
            };
            from_child(Namespaces::MOUNT, || mount(overlay, map, ids))
        }
    }
}

/// The id that the container's root has outside; of one without a root, that of its first user.
fn root_outside(ranges: &[Range]) -> u32 {
    outside(ranges, 0).or_else(|| ranges.first().map(|first| first.host)).unwrap_or(0)
}

/// In the child, whose mounts nobody else sees.
fn mount(overlay: &Overlay, map: Option<BorrowedFd<'_>>, (uid, gid): (u32, u32)) -> Result<OwnedFd> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", flags).map_err(called::<Errno>(|| "mount(\"/\", MS_REC|MS_PRIVATE)".to_owned()))?;
    let (upper, work) = overlay::upper_and_work(overlay)?;
    let (owner, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if overlay.upper == Upper::Memory {
        // The container's "/" and no more: what is made in it later has its maker's ids.
        chown(&upper, Some(owner), Some(group)).map_err(called::<Errno>(|| format!("chown({upper:?})")))?;
    }
    let Some(map) = map else { return overlay::detached(overlay, (upper, work)) };
    for layer in &overlay.lower {
        map_over(layer, map)?;
    }
    if overlay.upper != Upper::Memory {
        // Both at once: the kernel wants them in one mount.
        let both = upper.parent().filter(|both| work.starts_with(both)).unwrap_or(&upper);
        map_over(both, map)?;
    }
    // The kernel works in an overlay as whoever has mounted it.
    act_as(uid, gid)?;
    overlay::detached(overlay, (upper, work))
}

/// Covers a directory by a mount of itself with other ids.
fn map_over(directory: &Path, map: BorrowedFd<'_>) -> Result<()> {
    let tree = clone_tree(directory, false)?;
    set_id_map(tree.as_fd(), false, map).map_err(Error::from).map_err(|error| hint(error, directory))?;
    root::place(&tree, directory)
}
