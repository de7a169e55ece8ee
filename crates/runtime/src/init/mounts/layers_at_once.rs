//! An overlay with a long list of layers on a kernel that does not take them one by one (before Linux 6.7): all of its options
//! at once, as mount(2) has them, with descriptors for paths so that they fit into one page.

use super::bind::clone_tree;
use super::file_system::{LONGEST, by_descriptor, layers};
use crate::error::{Error, Kind, Result};
use crate::init::overlay::takes_layers_one_by_one;
use rustix::fd::{AsFd, OwnedFd};
use rustix::mount::{MountFlags, UnmountFlags, unmount};
use std::ffi::CString;
use std::path::Path;
use sys::mount_setattr::{MountAttributes, mount_setattr};
use sys::{Errno, called};

/// Whether a file system has to be made in this way.
pub fn are_needed(kind: &str, options: &[(String, String)]) -> bool {
    let is_long = |(key, value): &(String, String)| key == "lowerdir" && value.len() > LONGEST;
    kind == "overlay" && options.iter().any(is_long) && !takes_layers_one_by_one()
}

/// The overlay, detached, with these `MOUNT_ATTR_*` bits; mount(2) wants a place for it, where it is for a moment.
pub fn mount(options: &[(String, String)], at: &Path, attributes: u64) -> Result<OwnedFd> {
    let mut held = Vec::new();
    let data = data(options, &mut held)?;
    rustix::mount::mount("overlay", at, "overlay", MountFlags::empty(), Some(data.as_c_str()))
        .map_err(called::<Errno>(|| format!("mount(overlay, {at:?}, {data:?})")))?;
    let tree = clone_tree(at, false);
    unmount(at, UnmountFlags::DETACH).map_err(called::<Errno>(|| format!("umount2({at:?}, MNT_DETACH)")))?;
    let tree = tree?;
    mount_setattr(tree.as_fd(), false, MountAttributes { set: attributes, ..MountAttributes::default() })?;
    Ok(tree)
}

fn data(options: &[(String, String)], held: &mut Vec<OwnedFd>) -> Result<CString> {
    let mut all = Vec::new();
    for (key, value) in options {
        // Which mount(2) has as an argument of its own.
        if key == "source" {
            continue;
        }
        let value = match key.as_str() {
            "lowerdir" => {
                let mut list = String::new();
                for (layer, data) in layers(value) {
                    list += if list.is_empty() {
                        ""
                    } else if data {
                        "::"
                    } else {
                        ":"
                    };
                    list += &by_descriptor(&layer, held)?;
                }
                list
            }
            "upperdir" | "workdir" => by_descriptor(value, held)?,
            _ => value.clone(),
        };
        all.push(if value.is_empty() { key.clone() } else { format!("{key}={value}") });
    }
    CString::new(all.join(","))
        .map_err(|_| Error::new(Kind::Invalid, "an option of the overlay has a NUL byte"))
}
