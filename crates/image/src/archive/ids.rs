//! Owners under other numbers: a container's user namespace has other ids than whoever copies its files.

use super::Options;
use crate::layer::unpack::Meta;
use rustix::fs::{Gid, Uid};

/// A user and a group, and what they are on the other side.
pub type Ids<'a> = dyn Fn(u32, u32) -> (u32, u32) + 'a;

/// What a file is on the other side.
pub fn changed(meta: &Meta, options: &Options<'_>) -> Meta {
    let mut meta = meta.clone();
    let owner = options.owner.or_else(|| {
        let ids = options.ids?;
        Some(ids(meta.owner.as_raw(), meta.group.as_raw()))
    });
    if let Some((uid, gid)) = owner {
        (meta.owner, meta.group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    }
    if let Some(ids) = options.ids {
        for (name, value) in &mut meta.attributes {
            if name == "security.capability" {
                *value = capabilities(value, |root| ids(root, root).0);
            }
        }
    }
    meta
}

/// `VFS_CAP_REVISION_2` and `_3` (linux/capability.h): without and with the user whose namespaces they hold in.
const OF_ALL: u8 = 2;
const OF_ONE: u8 = 3;
/// Bytes of the form without a user.
const SHORT: usize = 20;

/// The capabilities of a file, which belong to the root of a user namespace (capabilities(7), "File capability extended attribute
/// versioning"). What is not understood stays as it is.
fn capabilities(value: &[u8], changed: impl Fn(u32) -> u32) -> Vec<u8> {
    let root = match (value.get(3), value.len()) {
        (Some(&OF_ALL), SHORT) => 0,
        (Some(&OF_ONE), _) => match value.get(SHORT..).and_then(|rest| rest.try_into().ok()) {
            Some(bytes) => u32::from_le_bytes(bytes),
            None => return value.to_vec(),
        },
        _ => return value.to_vec(),
    };
    let mut new: Vec<u8> = value.iter().take(SHORT).copied().collect();
    let root = changed(root);
    if let Some(revision) = new.get_mut(3) {
        *revision = if root == 0 { OF_ALL } else { OF_ONE };
    }
    if root != 0 {
        new.extend(root.to_le_bytes());
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_another_root() {
        let short = [&[1, 0, 0, OF_ALL][..], &[7; 16]].concat();
        let long = [&[1, 0, 0, OF_ONE][..], &[7; 16], &500u32.to_le_bytes()].concat();
        assert_eq!(capabilities(&short, |root| root + 500), long);
        assert_eq!(capabilities(&long, |root| root - 500), short);
        assert_eq!(capabilities(&long, |root| root), long);
        for odd in [&[][..], &[1, 0, 0, 1, 5], &short[..19], &long[..23], &[0, 0, 0, 9]] {
            assert_eq!(capabilities(odd, |_| 1), odd, "{odd:?}");
        }
    }
}
