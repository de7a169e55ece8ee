//! What the store remembers: images by the digest of their manifest, and names for them.
//!
//! A line of JSON, and a second one with its digest: one wrong letter in a name, or a digit of a size, would be believed otherwise.

use crate::digest::Digest;
use crate::platform::Platform;
use crate::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All images and names. `records.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Records {
    /// Manifest digest to image.
    pub images: BTreeMap<String, Record>,
    /// Full name to manifest digests, one for a platform, the last pulled first.
    pub references: BTreeMap<String, Vec<String>>,
}

/// One image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Digest of the configuration.
    pub config: String,
    /// Diff ids, bottom first, each once.
    pub layers: Vec<String>,
    pub size: u64,
    pub platform: Platform,
    pub created: Option<String>,
    /// `name@digest` of the manifest and of the index that it was chosen from.
    pub aliases: BTreeSet<String>,
}

/// Whether a text can only mean an image's id.
pub(super) fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() >= 4 && hex.len() <= 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl Records {
    /// From the text of the file. An old version has written no second line.
    pub fn read(text: &[u8]) -> std::result::Result<Self, String> {
        let end = text.iter().position(|byte| *byte == b'\n');
        let (records, seal) = text.split_at(end.unwrap_or(text.len()));
        if end.is_some() && seal != Self::seal(records).as_bytes() {
            return Err("it has been changed: its digest is another".to_owned());
        }
        serde_json::from_slice(records).map_err(|error| error.to_string())
    }

    /// The text of the file.
    pub fn written(&self) -> Result<Vec<u8>> {
        let mut text =
            serde_json::to_vec(self).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
        let seal = Self::seal(&text);
        text.extend_from_slice(seal.as_bytes());
        Ok(text)
    }

    fn seal(records: &[u8]) -> String {
        format!("\n\"{}\"\n", Digest::of(records))
    }

    /// The best of some images for a platform.
    pub fn choose(&self, digests: &[String], platform: Option<&Platform>) -> Option<String> {
        let host = Platform::host();
        let wish = platform.unwrap_or(&host);
        let known =
            digests.iter().filter_map(|digest| self.images.get(digest).map(|record| (digest, record)));
        let fits = known.filter_map(|(digest, record)| wish.fit(&record.platform).map(|fit| (fit, digest)));
        let best = fits.max_by_key(|(fit, _)| *fit).map(|(_, digest)| digest.clone());
        match platform {
            Some(_) => best,
            // What was pulled for another platform on purpose is also run.
            None => best.or_else(|| digests.iter().find(|digest| self.images.contains_key(*digest)).cloned()),
        }
    }

    /// The full id that a beginning means.
    pub fn id(&self, text: &str) -> Result<Option<String>> {
        if !is_id(text) {
            return Ok(None);
        }
        let prefix = format!("sha256:{}", text.strip_prefix("sha256:").unwrap_or(text));
        let ids: BTreeSet<&String> =
            self.images.values().map(|record| &record.config).filter(|id| id.starts_with(&prefix)).collect();
        match ids.len() {
            0 => Ok(None),
            1 => Ok(ids.into_iter().next().cloned()),
            count => Err(Error::new(Kind::Usage, format!("image id {text:?}: {count} images begin with it"))
                .with_hint("give more digits")),
        }
    }

    /// The names of an image.
    pub fn names(&self, digest: &str) -> Vec<String> {
        let has = |digests: &Vec<String>| digests.iter().any(|known| known == digest);
        self.references.iter().filter(|(_, digests)| has(digests)).map(|(name, _)| name.clone()).collect()
    }

    /// Gives images that are here one more name; whatever had it loses it.
    pub fn tag(&mut self, name: &str, digests: &[String]) {
        self.references.insert(name.to_owned(), digests.to_vec());
    }

    /// Adds an image that has no name.
    pub fn add_nameless(&mut self, digest: &str, record: Record) {
        self.images.entry(digest.to_owned()).or_insert(record);
    }

    /// Adds an image under a name. The name's earlier image for the same platform loses it.
    pub fn add(&mut self, name: &str, digest: &str, mut record: Record) {
        if let Some(known) = self.images.get(digest) {
            record.aliases.extend(known.aliases.iter().cloned());
        }
        let images = &self.images;
        let digests = self.references.entry(name.to_owned()).or_default();
        digests.retain(|known| images.get(known).is_some_and(|image| image.platform != record.platform));
        digests.retain(|known| known != digest);
        digests.insert(0, digest.to_owned());
        self.images.insert(digest.to_owned(), record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut records = Records::default();
        records.references.insert("docker.io/library/a:1".to_owned(), vec!["sha256:1".to_owned()]);
        let text = records.written().unwrap();
        assert_eq!(Records::read(&text).unwrap().references, records.references);
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Records::read(&flipped).is_err(), "{bit}: {}", String::from_utf8_lossy(&flipped));
        }
        // As it was written before it had a second line.
        let end = text.iter().position(|byte| *byte == b'\n').unwrap();
        assert_eq!(Records::read(&text[..end]).unwrap().references, records.references);
    }
}
