//! Whether everything that images need is there, and what it is that was put there; and who needs a layer.

use super::compare::difference;
use super::{Store, damage};
use crate::digest::{Digest, Hasher};
use crate::kind::failed;
use crate::layer::split::Replay;
use crate::layer::unpack::Unpacker;
use crate::{Kind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// Something that an image needs and that is not right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The image, by name or id.
    pub image: String,
    /// What is wrong.
    pub what: String,
}

/// A layer, or an image's files with other owners, and the images that have it.
#[derive(Debug, Clone)]
pub struct LayerUse {
    /// Its directory in the store.
    pub path: PathBuf,
    /// Ids of images.
    pub images: BTreeSet<String>,
}

impl Store {
    /// Every layer that some image refers to, by its diff id.
    pub fn layers(&self) -> Result<BTreeMap<String, LayerUse>> {
        let mut all: BTreeMap<String, LayerUse> = BTreeMap::new();
        for record in self.records()?.images.into_values() {
            for layer in record.layers {
                let path = self.layer(&layer);
                let of = all.entry(layer).or_insert_with(|| LayerUse { path, images: BTreeSet::new() });
                of.images.insert(record.config.clone());
            }
        }
        Ok(all)
    }

    /// Where layers are that no image refers to: of pulls that were broken off, for the next one. A prune removes them.
    pub fn unused_layers(&self) -> Result<Vec<PathBuf>> {
        let used: BTreeSet<PathBuf> = self.layers()?.into_values().map(|layer| layer.path).collect();
        let place = self.path("layers");
        let entries = fs::read_dir(&place).map_err(failed(|| format!("list {place:?}")))?;
        Ok(entries.flatten().map(|entry| entry.path()).filter(|path| !used.contains(path)).collect())
    }

    /// Looks for each manifest, configuration and layer; with `deep`, also at every byte, and
    /// at everything else that a layer's files are. In `told` is what is looked at. What is found to be damaged is not run any more.
    pub fn check(&self, deep: bool, told: &dyn Fn(&str)) -> Result<Vec<Problem>> {
        // No sweep takes away what a layer is compared with.
        let _hold = if deep { Some(self.hold()?) } else { None };
        let records = self.records()?;
        let mut problems = BTreeSet::new();
        let mut layers: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for (digest, record) in &records.images {
            let image = records.names(digest).into_iter().next().unwrap_or_else(|| record.config.clone());
            let mut found = |what: String| {
                problems.insert(Problem { image: image.clone(), what });
            };
            for (what, digest) in [("manifest", digest), ("configuration", &record.config)] {
                told(digest);
                let read = digest.parse::<Digest>().and_then(|digest| self.blob(&digest));
                match read {
                    Ok(_) => {}
                    Err(error) if error.kind == Kind::NotFound => {
                        found(format!("{what} {digest} is missing"))
                    }
                    Err(error) => found(format!("{what}: {error}")),
                }
            }
            let mut sound = true;
            for layer in &record.layers {
                let wrong = layers.entry(layer).or_insert_with(|| {
                    told(layer);
                    self.wrong_with(layer, deep)
                });
                if let Some(wrong) = wrong {
                    found(format!("layer {layer} {wrong}"));
                    sound = false;
                }
            }
            // What was made of layers is compared with them.
            match self.wrong_with_trees(&record.layers, deep && sound) {
                Ok(wrong) => wrong.into_iter().for_each(&mut found),
                Err(error) => found(format!("files with other owners cannot be looked at: {error}")),
            }
        }
        Ok(problems.into_iter().collect())
    }

    fn wrong_with(&self, layer: &str, deep: bool) -> Option<String> {
        let place = self.layer(layer);
        if !place.join("diff").is_dir() {
            return Some("is missing".to_owned());
        }
        let digest: Digest = match layer.parse() {
            Ok(digest) => digest,
            Err(error) => return Some(format!("has no digest: {error}")),
        };
        let replay = match self.replay(&digest) {
            Ok(replay) => replay,
            Err(error) => return Some(format!("cannot be saved: {error}")),
        };
        if !deep {
            return damage::noted(&place)
                .unwrap_or_else(|error| Some(format!("cannot be looked at: {error}")));
        }
        let changed = match damage::is_sealed(&place) {
            _ if sys::mutant!("mutant_im_12_layer") => Ok(None),
            Ok(true) => self.changed(replay, &digest),
            Ok(false) => Ok(Some("what is noted beside its files is another".to_owned())),
            Err(error) => Err(error),
        };
        let wrong = match changed {
            Ok(None) => None,
            Ok(Some(how)) => Some(format!("has been changed: {how}")),
            Err(error) if error.kind == Kind::Corrupt => Some(format!("is damaged: {error}")),
            // That says nothing of the layer.
            Err(error) => return Some(format!("cannot be looked at: {error}")),
        };
        match damage::note(&place, wrong.as_deref()) {
            Ok(()) => wrong,
            // Found all the same, where nothing can be written.
            Err(error) => Some(format!("{}; {error}", wrong.unwrap_or_default())),
        }
    }

    /// How the files of a layer differ from its archive, which is made of them again and unpacked without their contents.
    fn changed(&self, replay: Replay, digest: &Digest) -> Result<Option<String>> {
        let staged =
            self.stage_at(format!("check.{}", digest.hex()), PathBuf::new(), &|| Ok(false), &|| true)?;
        let Some(staged) = staged else { return Ok(None) };
        let root = staged.root()?;
        let again = root.try_clone().map_err(failed(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned()))?;
        let mut proven = Proven { from: replay, hasher: digest.hasher() };
        let sparse = Unpacker::new(again, self.ownership).skeleton(&mut proven)?;
        if proven.hasher.finish() != *digest {
            return Ok(Some("a file has another content".to_owned()));
        }
        let path = self.layer(digest.hex()).join("diff");
        let found = fs::File::open(&path).map_err(failed(|| format!("open {path:?}")))?;
        difference(&root, &found.into(), &sparse)
    }
}

/// What goes by, hashed.
struct Proven {
    from: Replay,
    hasher: Hasher,
}

impl Read for Proven {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
