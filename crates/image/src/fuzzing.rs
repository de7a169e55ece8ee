//! The readers of what comes from strangers, each as a function of bytes: for programs that give them anything at all (`fuzz/`,
//! `make torture`). Behind the feature `fuzzing`, so that no release has it.

use crate::challenge::{self, Challenge};
use crate::digest::Digest;
use crate::layer::budget::Budget;
use crate::layer::split::{self, Replay};
use crate::layer::{Expected, receive};
use crate::manifest::{self, Manifest};
use crate::registry::credential_goes_to;
use crate::{Ownership, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a manifest or an index names: digests, and how many bytes each has.
///
/// # Errors
/// Those of a manifest that is refused.
pub fn manifest(bytes: &[u8], served_as: &str) -> Result<Vec<(String, u64)>> {
    let blobs = match manifest::parse(bytes, served_as)? {
        Manifest::Index(entries) => entries.into_iter().map(|entry| entry.blob).collect(),
        Manifest::Image { config, layers } => std::iter::once(config).chain(layers).collect::<Vec<_>>(),
    };
    Ok(blobs.into_iter().map(|blob| (blob.digest.to_string(), blob.size)).collect())
}

/// The realms that a `WWW-Authenticate` header names.
pub fn realms(header: &str) -> Vec<String> {
    let realm = |challenge| match challenge {
        Challenge::Bearer { realm, .. } => Some(realm),
        Challenge::Basic => None,
    };
    challenge::parse(header).into_iter().filter_map(realm).collect()
}

/// The host that a credential of `registry` would go to when a header names this realm; none where it goes nowhere.
pub fn token_host(registry: &str, realm: &str) -> Option<String> {
    credential_goes_to(registry, realm).ok()
}

/// Unpacks a layer below `root` as a pull does, and returns the archive that it is. It may take so many bytes and so many files;
/// `beside`, a directory of the same file system, gets what the archive has beside its files.
///
/// # Errors
/// Those of a layer that is refused.
pub fn unpack(layer: &[u8], root: &Path, beside: &Path, most: (u64, u64)) -> Result<Vec<u8>> {
    let open = |path: &Path| File::open(path).map_err(crate::kind::failed(|| format!("open {path:?}")));
    // What it has to be is what it is: here nobody has promised anything.
    let mut archive = Vec::new();
    let inflated = crate::layer::decompressed(layer)
        .and_then(|from| from.take(most.0.saturating_mul(2)).read_to_end(&mut archive));
    let diff_id = Digest::of(if inflated.is_ok() { &archive } else { layer });
    let digest = Digest::of(layer);
    let budget = Budget::of(most.0, most.1);
    let expected =
        Expected { digest: Some(&digest), size: layer.len() as u64, diff_id: &diff_id, budget: &budget };
    let (root, beside) = (open(root)?.into(), open(beside)?.into());
    receive(Box::new(layer), &expected, root, beside, Ownership::Root, &|_| true)?;
    Ok(archive)
}

/// The archive of a layer again, from what [`unpack`] has made.
///
/// # Errors
/// Where files are not as they were unpacked.
pub fn archive_again(beside: &Path, root: &Path) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    Replay::open(&beside.join(split::NAME), root)?
        .read_to_end(&mut archive)
        .map_err(crate::kind::failed(|| "read the archive again".to_owned()))?;
    Ok(archive)
}
