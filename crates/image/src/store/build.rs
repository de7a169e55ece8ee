//! Images that are made here: layers from archives on this disk, a configuration, a manifest of our own.

use super::{Record, Store, parse_config};
use crate::digest::{Digest, Hasher};
use crate::kind::failed;
use crate::layer::budget::{Budget, Spool};
use crate::layer::split::Replay;
use crate::layer::{self, Expected};
use crate::manifest::{self, Manifest};
use crate::pull::{once_each, platform_of};
use crate::reference::Reference;
use crate::{Error, Kind, Result};
use serde_json::{Value, json};
use std::io::{self, Read, Write};

/// A file without a name, in the store: it goes with its descriptor.
pub(crate) fn scratch(store: &Store) -> Result<Spool> {
    let (file, path) = super::fresh(&store.path("locks").join("scratch"))?;
    std::fs::remove_file(&path).map_err(failed(|| format!("unlink {path:?}")))?;
    Ok(Spool::new(file))
}

/// Hashes what is written.
pub(crate) struct Hashing<W> {
    pub to: W,
    pub hasher: Hasher,
    pub count: u64,
}

impl<W> Hashing<W> {
    pub fn new(to: W) -> Self {
        Self { to, hasher: Hasher::sha256(), count: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A layer of an image that is put together.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Digest of its archive.
    pub(crate) diff_id: Digest,
    /// How a manifest describes it.
    pub(crate) descriptor: Value,
}

impl Layer {
    /// Digest of its archive.
    pub fn id(&self) -> String {
        self.diff_id.to_string()
    }
}

pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

fn plain(diff_id: &Digest, size: u64) -> Value {
    json!({"mediaType": TAR, "digest": diff_id.to_string(), "size": size})
}

/// As long as it lives, layers that no image refers to yet stay.
pub struct Hold(#[expect(dead_code, reason = "held for its lock")] super::Lock);

impl Store {
    /// For the making of an image in several steps.
    pub fn hold(&self) -> Result<Hold> {
        super::hold_shared(self).map(Hold)
    }

    /// Writes an archive and keeps it as a layer.
    pub fn layer_of(&self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Layer> {
        let mut out = Hashing::new(io::BufWriter::new(scratch(self)?));
        write(&mut out)?;
        out.flush().map_err(failed(|| "write the layer".to_owned()))?;
        let (digest, size) = (out.hasher.finish(), out.count);
        let spool = out
            .to
            .into_inner()
            .map_err(|error| failed(|| "write the layer".to_owned())(error.into_error()))?;
        let file = spool.into_file().map_err(failed(|| "lseek".to_owned()))?;
        let expected = Expected { digest: None, size, diff_id: &digest, budget: &Budget::default() };
        self.keep_layer(Box::new(file), &expected, &|_| true)
    }

    /// Keeps the layer of an archive, compressed or not. `moved` hears how many bytes have come, and says whether to go on.
    pub(crate) fn keep_layer(
        &self,
        from: Box<dyn Read + '_>,
        expected: &Expected<'_>,
        moved: &dyn Fn(u64) -> bool,
    ) -> Result<Layer> {
        let diff_id = expected.diff_id;
        if let Some(staged) = self.stage(diff_id, &|| moved(0))? {
            let (root, beside) = (staged.root()?, staged.beside()?);
            let bytes = layer::receive(from, expected, root, beside, self.ownership, moved)?;
            staged.commit(bytes, expected.digest)?;
        }
        let size = self.replay(diff_id)?.size()?;
        Ok(Layer { diff_id: diff_id.clone(), descriptor: plain(diff_id, size) })
    }

    /// The archive of a layer.
    pub(crate) fn replay(&self, diff_id: &Digest) -> Result<Replay> {
        let layer = self.layer(diff_id.hex());
        Replay::open(&layer.join("split"), &layer.join("diff"))
    }

    /// The layers of an image that is here, as its manifest describes them.
    pub fn layers_of(&self, image: &super::Image) -> Result<Vec<Layer>> {
        let bytes = self.blob(&image.manifest_digest.parse()?)?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|error| Error::new(Kind::Corrupt, error.to_string()))?;
        let descriptors = document["layers"].as_array().cloned().unwrap_or_default();
        let diff_ids = image.config.rootfs().diff_ids();
        if descriptors.len() != diff_ids.len() {
            return Err(Error::new(
                Kind::Corrupt,
                "the manifest and the configuration differ in their layers",
            ));
        }
        let parse = |text: &String| text.parse::<Digest>().map_err(|error| error.recast(|_| Kind::Corrupt));
        let pairs = descriptors.into_iter().zip(diff_ids);
        pairs.map(|(descriptor, id)| Ok(Layer { diff_id: parse(id)?, descriptor: oci(descriptor) })).collect()
    }

    /// Keeps an image of layers that are here and held. `config` is its configuration, to the byte.
    ///
    /// Without a name it can only be found by its id.
    pub fn keep_image(&self, config: &[u8], layers: &[Layer], name: Option<&Reference>) -> Result<String> {
        let manifest = manifest_of(&Digest::of(config), config.len(), layers)?;
        self.keep_manifest((&manifest, MANIFEST), config, layers, name)
    }

    /// As [`Store::keep_image`], with a manifest that is there already. A digest in the name is that of the manifest, or of an index
    /// that was found to lead to it.
    pub(crate) fn keep_manifest(
        &self,
        (manifest, media_type): (&[u8], &str),
        config: &[u8],
        layers: &[Layer],
        name: Option<&Reference>,
    ) -> Result<String> {
        let id = Digest::of(config);
        let parsed = parse_config(config)?;
        let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        if *parsed.rootfs().diff_ids() != diff_ids {
            return Err(Error::new(Kind::Corrupt, "the configuration has other layers than the image"));
        }
        let digest = Digest::of(manifest);
        // What we would not pull we do not make.
        match manifest::parse(manifest, media_type)? {
            Manifest::Image { .. } => {}
            Manifest::Index(_) => return Err(Error::new(Kind::Corrupt, "not an image")),
        }
        self.keep_blob(&id, config)?;
        self.keep_blob(&digest, manifest)?;
        let distinct = once_each(layers.iter().map(|layer| &layer.diff_id));
        self.mend_trees(&distinct)?;
        let record = Record {
            config: id.to_string(),
            size: distinct.iter().map(|layer| self.layer_size(layer)).sum(),
            layers: distinct,
            platform: platform_of(&parsed),
            created: parsed.created().clone(),
            aliases: name.into_iter().filter_map(Reference::digest_name).collect(),
        };
        self.change(|records| {
            match name {
                Some(name) => records.add(&name.to_string(), &digest.to_string(), record),
                None => records.add_nameless(&digest.to_string(), record),
            }
            Ok(())
        })?;
        Ok(id.to_string())
    }

    /// Bytes of a layer's files.
    pub fn size_of(&self, diff_id: &str) -> u64 {
        self.layer_size(diff_id)
    }
}

/// A descriptor of docker's manifests in the words of OCI's.
fn oci(mut descriptor: Value) -> Value {
    let kind = descriptor["mediaType"].as_str().unwrap_or_default();
    let kind = match kind.strip_prefix("application/vnd.docker.image.rootfs.diff.tar") {
        Some(rest) => format!("{TAR}{}", rest.replace('.', "+")),
        None => kind.to_owned(),
    };
    descriptor["mediaType"] = json!(kind);
    descriptor
}

/// The manifest of an image, always the same bytes for the same image.
pub(crate) fn manifest_of(id: &Digest, size: usize, layers: &[Layer]) -> Result<Vec<u8>> {
    let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": id.to_string(), "size": size},
        "layers": layers,
    });
    serde_json::to_vec(&manifest).map_err(|error| Error::new(Kind::Other, error.to_string()))
}
