//! Removal of names and images, and of what no image refers to any more.

use super::{Lock, Records, Store};
use crate::kind::failed;
use crate::layer::tree;
use crate::reference::Reference;
use crate::{Error, Kind, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use sys::Context;

/// What a removal did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone.
    pub untagged: Vec<String>,
    /// Ids of images that are gone.
    pub deleted: Vec<String>,
}

impl Store {
    /// Removes a name, and with its last name the image; or by its id an image with all its names. `in_use` gives
    /// the name of a container that needs the image of an id.
    pub fn remove(&self, text: &str, in_use: &dyn Fn(&str) -> Option<String>) -> Result<Removed> {
        let attempt = || {
            let removed = self.change(|records| forget(records, text, in_use))?;
            if !removed.deleted.is_empty() {
                self.sweep()?;
            }
            Ok::<_, Error>(removed)
        };
        attempt().within(|| format!("remove image {}", text.escape_debug()))
    }

    /// Removes every image that is wanted gone, with its names, and what no image refers to.
    pub fn prune(&self, wanted: &dyn Fn(&[super::Listed]) -> bool) -> Result<Removed> {
        let lines = self.list()?;
        let removed = self.change(|records| {
            let mut removed = Removed::default();
            let digests: Vec<String> = records.images.keys().cloned().collect();
            for digest in digests {
                let of: Vec<_> = lines.iter().filter(|line| line.manifest == digest).cloned().collect();
                // Names that it got in the meantime keep it.
                let known = of.iter().filter(|line| line.reference.is_some()).count();
                if of.is_empty() || records.names(&digest).len() != known || !wanted(&of) {
                    continue;
                }
                removed.untagged.extend(of.iter().filter_map(|line| line.reference.clone()));
                removed.deleted.push(of[0].id.clone());
                records.images.remove(&digest);
                for known in records.references.values_mut() {
                    known.retain(|one| *one != digest);
                }
                records.references.retain(|_, known| !known.is_empty());
            }
            Ok(removed)
        })?;
        self.sweep()?;
        Ok(removed)
    }

    /// Removes layers and blobs that no image refers to. Does nothing while a pull runs: it may be about to refer
    /// to them, and the next sweep finds them.
    fn sweep(&self) -> Result<()> {
        self.sweep_in(&["layers", "staging", "locks", "blobs/sha256", "blobs/sha512"])
    }

    /// After a pull that failed: all that it left but finished layers, from which the next one resumes.
    pub(crate) fn sweep_after_failure(&self) -> Result<()> {
        self.sweep_in(&["staging", "locks", "blobs/sha256", "blobs/sha512"])
    }

    fn sweep_in(&self, places: &[&str]) -> Result<()> {
        let Some(_alone) = Lock::try_alone(&self.path("busy"))? else { return Ok(()) };
        let records = self.records()?;
        let hex = |text: &String| text.rsplit(':').next().unwrap_or_default().to_owned();
        let layers: BTreeSet<String> =
            records.images.values().flat_map(|record| &record.layers).map(hex).collect();
        let configs = records.images.values().map(|record| &record.config);
        let blobs: BTreeSet<String> = records.images.keys().chain(configs).map(hex).collect();
        let nothing = BTreeSet::new();
        let all = [
            ("layers", &layers),
            ("staging", &nothing),
            ("locks", &nothing),
            ("blobs/sha256", &blobs),
            ("blobs/sha512", &blobs),
        ];
        for (directory, wanted) in all.into_iter().filter(|(directory, _)| places.contains(directory)) {
            let path = self.path(directory);
            let parent = File::open(&path).map_err(failed(|| format!("open {path:?}")))?;
            for entry in fs::read_dir(&path).map_err(failed(|| format!("list {path:?}")))? {
                let name = entry.map_err(failed(|| format!("list {path:?}")))?.file_name();
                if !name.to_str().is_some_and(|name| wanted.contains(name)) {
                    tree::remove(&parent, name.as_encoded_bytes())?;
                }
            }
        }
        Ok(())
    }
}

fn forget(records: &mut Records, text: &str, in_use: &dyn Fn(&str) -> Option<String>) -> Result<Removed> {
    let mut removed = Removed::default();
    let name = Reference::parse(text).map(|reference| reference.to_string());
    let digests: BTreeSet<String> = match &name {
        Ok(name) if records.references.contains_key(name) => {
            let digests = records.references.remove(name).unwrap_or_default();
            removed.untagged.push(name.clone());
            digests.into_iter().filter(|digest| records.names(digest).is_empty()).collect()
        }
        _ => {
            let of = |id: String, records: &Records| -> BTreeSet<String> {
                let same = records.images.iter().filter(|(_, record)| record.config == id);
                same.map(|(digest, _)| digest.clone()).collect()
            };
            let alias = |name: &String, records: &Records| -> BTreeSet<String> {
                let same = records.images.iter().filter(|(_, record)| record.aliases.contains(name));
                same.map(|(digest, _)| digest.clone()).collect()
            };
            let found = match (records.id(text)?, &name) {
                (Some(id), _) => of(id, records),
                (None, Ok(name)) => alias(name, records),
                (None, Err(_)) => BTreeSet::new(),
            };
            if found.is_empty() {
                return Err(match name {
                    Err(error) if !super::record::is_id(text) => error,
                    _ => Error::new(Kind::NotFound, "no such image"),
                });
            }
            for digest in &found {
                removed.untagged.extend(records.names(digest));
            }
            found
        }
    };
    for digest in &digests {
        let Some(record) = records.images.get(digest) else { continue };
        if let Some(container) = in_use(&record.config) {
            return Err(Error::new(Kind::InUse, format!("container {container} uses it"))
                .with_hint(format!("remove the container first: rm {container}")));
        }
        removed.deleted.push(record.config.clone());
    }
    records.images.retain(|digest, _| !digests.contains(digest));
    for known in records.references.values_mut() {
        known.retain(|digest| !digests.contains(digest));
    }
    records.references.retain(|_, known| !known.is_empty());
    removed.untagged.dedup();
    removed.deleted.dedup();
    Ok(removed)
}
