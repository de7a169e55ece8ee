//! A disk that is full: an error says what could be removed, and how much that would give back.

use crate::disk::usage;
use crate::error::{Error, Kind, Result, of_image};
use crate::images::Images;
use crate::paths::Paths;
use crate::record::{self, is_up};
use crate::{size, volume};
use std::collections::BTreeSet;
use std::path::Path;

/// With less than this left, a file system counts as full: what failed may have given some of it back.
const LEFT: u64 = 4 << 20;

/// What a prune would give back, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reclaimable {
    /// `system prune`.
    plain: u64,
    /// `system prune --all --volumes`.
    most: u64,
}

/// The same result, its error explained where a disk is full.
pub fn explained<T>(paths: &Paths, images: &Images, result: Result<T>) -> Result<T> {
    result.map_err(|error| match said(&error) {
        // The image store knows where it writes.
        true if error.kind == Kind::Full || is_full(&paths.data) => explain(paths, images, error),
        true if is_full(&paths.run) => {
            let hint = format!("the file system of {} is full, which is for what runs", paths.run.display());
            Error { hint: Some(hint), ..error }
        }
        _ => error,
    })
}

/// Whether an error says that a disk is full.
pub fn said(error: &Error) -> bool {
    error.kind == Kind::Full
        || error.chain.iter().any(|text| text.contains("ENOSPC") || text.contains("EDQUOT"))
}

/// Whether a file system has hardly anything left, of bytes or of files.
pub fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|stat| {
        stat.f_bavail.saturating_mul(stat.f_frsize) < LEFT || (stat.f_files > 0 && stat.f_favail == 0)
    })
}

/// An error with what a prune would give back.
pub fn explain(paths: &Paths, images: &Images, error: Error) -> Error {
    let Ok(reclaimable) = reclaimable(paths, images) else { return error };
    Error { hint: Some(hint(paths, reclaimable)), ..error }
}

fn hint(paths: &Paths, Reclaimable { plain, most }: Reclaimable) -> String {
    let (command, shown) = ("devoxx-container system prune", size::shown);
    match (plain, most) {
        (0, 0) => {
            format!(
                "nothing here can be pruned: free some space on the file system of {}",
                paths.data.display()
            )
        }
        (0, most) => format!("{command} --all --volumes would free {}", shown(most)),
        (plain, most) if plain == most => format!("{command} would free {}", shown(plain)),
        (plain, most) => {
            format!("{command} would free {}, with --all --volumes {}", shown(plain), shown(most))
        }
    }
}

fn reclaimable(paths: &Paths, images: &Images) -> Result<Reclaimable> {
    let (up, down): (Vec<_>, Vec<_>) = record::list(paths)?.into_iter().partition(is_up);
    let mut plain = 0;
    for one in &down {
        plain += usage(&paths.container(&one.record.id))?;
    }
    let used: BTreeSet<&String> = up.iter().map(|one| &one.record.image_id).collect();
    let listed = images.list()?;
    let named: BTreeSet<&String> =
        listed.iter().filter(|one| one.reference.is_some()).map(|one| &one.id).collect();
    let mut most = plain;
    for layer in images.store().layers().map_err(of_image)?.into_values() {
        if layer.images.iter().any(|id| used.contains(id)) {
            continue;
        }
        let bytes = usage(&layer.path)?;
        most += bytes;
        if !layer.images.iter().any(|id| named.contains(id)) {
            plain += bytes;
        }
    }
    for path in images.store().unused_layers().map_err(of_image)? {
        let bytes = usage(&path)?;
        (plain, most) = (plain + bytes, most + bytes);
    }
    for one in volume::list_volumes(paths)? {
        if one.anonymous && volume::users(&up, &one.name).is_empty() {
            most += usage(&one.mountpoint)?;
        }
    }
    Ok(Reclaimable { plain, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints() {
        let paths = Paths { data: "/data".into(), run: "/run".into() };
        let check = |plain: u64, most: u64, expected: &str| {
            assert_eq!(hint(&paths, Reclaimable { plain, most }).replace("devoxx-container ", ""), expected);
        };
        check(0, 0, "nothing here can be pruned: free some space on the file system of /data");
        check(0, 1 << 20, "system prune --all --volumes would free 1MiB");
        check(1 << 20, 1 << 20, "system prune would free 1MiB");
        check(1 << 20, 3 << 30, "system prune would free 1MiB, with --all --volumes 3GiB");
    }
}
