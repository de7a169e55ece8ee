//! Images on disk: manifests and configurations as blobs, layers unpacked, one file of records that ties them.
//!
//! ```text
//! blobs/sha256/HEX    manifests and configurations, as they came
//! layers/HEX/diff     an unpacked layer, named by its diff id; shared by all images that have it
//! layers/HEX/split    what its archive has beside its files
//! layers/HEX/size     how many bytes they have, sealed together with `split`
//! layers/HEX/damaged  what is wrong with it, once that was found; see `damage`
//! mapped/HEX/         the layer once more, with other owners; see `mapped`
//! staging/HEX/        a layer that is being unpacked, in `overwritten` what its later entries take the place of; locks/HEX is
//!                     held by whoever does
//! records.json        which images there are, and their names
//! lock, busy          held while records.json is changed; while a pull runs
//! ```
//! A layer or record is there completely or not at all: each is renamed into place after it is on the disk. The store
//! does not fetch, and does not know containers but through what the caller says of them.

pub(crate) mod build;
mod check;
mod compare;
mod damage;
mod lock;
mod mapped;
mod mapped_check;
mod record;
mod remove;
mod staging;
mod tag;

use crate::digest::Digest;
use crate::kind::failed;
use crate::layer::Ownership;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::{Error, Kind, Result};
pub use build::{Hold, Layer};
pub use check::{LayerUse, Problem};
pub(crate) use lock::Lock;
pub use mapped::Mapped;
use oci_spec::image::ImageConfiguration;
pub(crate) use record::{Record, Records};
pub use remove::{Removal, Removed, User};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use sys::Context;

const RECORDS_LIMIT: u64 = 64 << 20;

/// A directory with images.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    pub(crate) ownership: Ownership,
}

/// An image that can be run.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration, `sha256:...`.
    pub id: String,
    /// Digest of the manifest.
    pub manifest_digest: String,
    /// The name it was found by.
    pub reference: String,
    /// The configuration (image-spec, config.md).
    pub config: ImageConfiguration,
    /// The same as it came from the registry.
    pub raw_config: Vec<u8>,
    /// Directories for `lowerdir` of overlayfs, bottom first.
    pub layers: Vec<PathBuf>,
    /// Bytes of all files of all layers.
    pub size: u64,
}

/// A line of the list of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its full name; nothing for an image whose name has moved on.
    pub reference: Option<String>,
    /// Digest of the configuration.
    pub id: String,
    /// When it was built (RFC 3339), if the image says.
    pub created: Option<String>,
    /// Bytes of all files of all layers.
    pub size: u64,
    /// For what it was built.
    pub platform: Platform,
    /// Digest of its manifest.
    pub manifest: String,
    /// `name@digest`, by which registries have it.
    pub aliases: Vec<String>,
}

impl Store {
    /// Opens a store, and makes it where there is none.
    pub fn open(root: &Path, ownership: Ownership) -> Result<Self> {
        let make = || -> Result<Self> {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            for directory in ["", "blobs/sha256", "blobs/sha512", "layers", "staging", "locks"] {
                let path = if directory.is_empty() { root.to_owned() } else { root.join(directory) };
                builder.create(&path).map_err(failed(|| format!("mkdir {path:?}")))?;
            }
            let root = fs::canonicalize(root).map_err(failed(|| format!("realpath {root:?}")))?;
            Ok(Self { root, ownership })
        };
        make().within(|| format!("open image store {}", root.display()))
    }

    /// The image of a name. Without a platform the one for this machine, or else the last that was pulled.
    pub fn find(&self, reference: &Reference, platform: Option<&Platform>) -> Result<Option<Image>> {
        let records = self.records()?;
        let name = reference.to_string();
        let mut digests = records.references.get(&name).cloned().unwrap_or_default();
        if let (Some(wanted), Some(digest_name)) = (&reference.digest, reference.digest_name()) {
            let same = records.images.iter().filter(|(_, record)| record.aliases.contains(&digest_name));
            digests.extend(same.map(|(digest, _)| digest.clone()));
            // A name is only written beside an image; the digest in it is a promise about the content.
            digests.retain(|digest| {
                let aliases = records.images.get(digest).map(|record| &record.aliases);
                wanted.to_string() == *digest || aliases.is_some_and(|known| known.contains(&digest_name))
            });
        }
        match records.choose(&digests, platform) {
            Some(digest) => self.load(&records, &digest, &name),
            None => Ok(None),
        }
    }

    /// The image of a name, or of the beginning of an id (four digits or more).
    pub fn find_by_name_or_id(&self, text: &str) -> Result<Option<Image>> {
        let records = self.records()?;
        let by_name = match Reference::parse(text) {
            Ok(reference) => self.find(&reference, None)?,
            Err(_) => None,
        };
        if by_name.is_some() {
            return Ok(by_name);
        }
        let Some(id) = records.id(text)? else {
            // What is neither a name nor an id is a mistake, and not just missing.
            return if record::is_id(text) { Ok(None) } else { Reference::parse(text).map(|_| None) };
        };
        let of_id = records.images.iter().filter(|(_, record)| record.config == id).map(|(digest, _)| digest);
        match of_id.into_iter().next() {
            Some(digest) => {
                let name = records.names(digest).into_iter().next().unwrap_or_else(|| id.clone());
                self.load(&records, digest, &name)
            }
            None => Ok(None),
        }
    }

    /// All images, one line a name.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let records = self.records()?;
        let mut lines = Vec::new();
        for (digest, record) in &records.images {
            let names = records.names(digest);
            let names = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            lines.extend(names.into_iter().map(|reference| Listed {
                reference,
                id: record.config.clone(),
                created: record.created.clone(),
                size: record.size,
                platform: record.platform.clone(),
                manifest: digest.clone(),
                aliases: record.aliases.iter().cloned().collect(),
            }));
        }
        lines.sort_by(|a, b| {
            (&a.reference.is_none(), &a.reference).cmp(&(&b.reference.is_none(), &b.reference))
        });
        Ok(lines)
    }

    /// Bytes of an image as registries have it: its layers compressed as they came, its configuration, its manifest.
    pub fn content_size(&self, manifest: &str) -> Result<u64> {
        let bytes = self.blob(&manifest.parse()?)?;
        let document: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| Error::new(Kind::Corrupt, error.to_string()))?;
        let size = |descriptor: &serde_json::Value| descriptor["size"].as_u64().unwrap_or_default();
        let layers = document["layers"].as_array().into_iter().flatten().map(size);
        Ok(layers.sum::<u64>() + size(&document["config"]) + bytes.len() as u64)
    }

    /// An image by its record. Nothing where a layer is gone: pulling again mends it.
    pub(crate) fn load(&self, records: &Records, digest: &str, name: &str) -> Result<Option<Image>> {
        let Some(record) = records.images.get(digest) else { return Ok(None) };
        let layers: Vec<PathBuf> = record.layers.iter().map(|layer| self.layer(layer).join("diff")).collect();
        if layers.iter().any(|layer| !layer.is_dir()) {
            return Ok(None);
        }
        for layer in &record.layers {
            if let Some(wrong) = damage::noted(&self.layer(layer))? {
                return Err(Error::new(Kind::Corrupt, format!("image {name}: layer {layer} {wrong}"))
                    .with_hint("pull or load the image again: that mends it"));
            }
        }
        let raw_config = self.blob(&record.config.parse()?)?;
        let config = parse_config(&raw_config)?;
        Ok(Some(Image {
            id: record.config.clone(),
            manifest_digest: digest.to_owned(),
            reference: name.to_owned(),
            config,
            raw_config,
            layers,
            size: record.size,
        }))
    }

    /// Where a layer is, or would be; diff ids are digests that were parsed.
    pub(crate) fn layer(&self, diff_id: &str) -> PathBuf {
        self.root.join("layers").join(diff_id.rsplit(':').next().unwrap_or_default())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn records(&self) -> Result<Records> {
        let path = self.path("records.json");
        let bytes = match read_file(&path, RECORDS_LIMIT) {
            Err(error) if error.kind == Kind::NotFound => return Ok(Records::default()),
            read => read?,
        };
        Records::read(&bytes).map_err(|why| {
            Error::new(Kind::Corrupt, format!("read {path:?}: {why}"))
                .with_hint("remove the file and pull again")
        })
    }

    /// Changes the records while no other process does.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Records) -> Result<T>) -> Result<T> {
        let _lock = Lock::wait(&self.path("lock"), lock::Hold::Alone, lock::MOMENTS)?;
        let mut records = self.records()?;
        let done = change(&mut records)?;
        write_file(&self.path("records.json"), &records.written()?)?;
        Ok(done)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs").join(digest.algorithm()).join(digest.hex())
    }

    /// A manifest or configuration, proven by its digest.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let bytes = read_file(&path, 16 << 20)?;
        if !sys::mutant!("mutant_im_12") {
            digest.verify(&bytes).within(|| format!("read {path:?}"))?;
        }
        Ok(bytes)
    }

    /// Keeps a manifest or configuration whose digest was verified.
    pub(crate) fn keep_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.blob(digest).is_ok() {
            return Ok(());
        }
        write_file(&self.blob_path(digest), bytes)
    }
}

/// Held by a pull from its beginning to its record: nothing is swept away meanwhile.
pub(crate) fn hold_shared(store: &Store) -> Result<Lock> {
    Lock::wait(&store.path("busy"), lock::Hold::Shared, lock::REMOVAL)
}

pub(crate) fn parse_config(bytes: &[u8]) -> Result<ImageConfiguration> {
    let bad = |why: String| Error::new(Kind::Corrupt, format!("image configuration: {why}"));
    let whole: ImageConfiguration =
        serde_json::from_slice(bytes).map_err(|error| bad(error.to_string().escape_debug().to_string()))?;
    let Some(config) = whole.config() else { return Ok(whole) };
    // A name alone would mean the value that this machine has for it, to some.
    let is_variable = |entry: &&String| {
        entry.split_once('=').is_some_and(|(name, _)| !name.is_empty()) && !entry.contains('\0')
    };
    let odd = config.env().iter().flatten().find(|entry| !is_variable(entry));
    if let Some(entry) = odd.filter(|_| !sys::mutant!("mutant_en_19")) {
        let shown: String = entry.chars().take(100).collect();
        return Err(bad(format!("the variable {shown:?} is no NAME=VALUE")));
    }
    // For each of them something is made when it runs.
    let counts = [
        ("volumes", config.volumes().as_ref().map_or(0, Vec::len), 1000),
        ("ports", config.exposed_ports().as_ref().map_or(0, Vec::len), 10_000),
        ("variables", config.env().as_ref().map_or(0, Vec::len), 10_000),
    ];
    match counts.into_iter().find(|(_, count, most)| count > most) {
        Some((what, count, most)) => Err(bad(format!("{count} {what}, more than {most}"))),
        None => Ok(whole),
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::new(Kind::NotFound, format!("read {path:?}: not there")))
        }
        Err(error) => Err(failed(|| format!("read {path:?}"))(error)),
        Ok(_) if bytes.len() as u64 > limit => {
            Err(Error::new(Kind::Corrupt, format!("read {path:?}: more than {limit} bytes")))
        }
        Ok(_) => Ok(bytes),
    }
}

/// A new file that nobody else has, beside `path` under a name that begins like it. Numbers of processes are no names: those of
/// another PID namespace on the same store have them too.
fn fresh(path: &Path) -> Result<(fs::File, PathBuf)> {
    let mut options = fs::File::options();
    options.read(true).write(true).create_new(true);
    let mut number = rustix::thread::gettid().as_raw_nonzero().get();
    loop {
        let one = path.with_extension(format!("new.{number}"));
        match options.open(&one) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(1)
            }
            other => return Ok((other.map_err(failed(|| format!("create {one:?}")))?, one)),
        }
    }
}

/// Complete on the disk under its name, or not there.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let (mut file, scratch) = fresh(path)?;
    let mut write = || -> std::io::Result<()> {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&scratch);
        failed(|| format!("write {path:?}"))(error)
    })
}

#[cfg(test)]
mod tests;
