//! Images as one file: the archive that docker loads, or a layout of OCI in an archive. The same images give the same bytes.
//!
//! Layers go in as the archives that their diff ids are of: whoever wants the file smaller compresses it whole.

use crate::digest::{Digest, Hasher};
use crate::kind::unwritten;
use crate::reference::Reference;
use crate::store::build::{MANIFEST, TAR, manifest_of};
use crate::store::{Image, Layer, Store};
use crate::{Error, Kind, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use sys::Context;
use tar::{Builder, EntryType, Header};

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `manifest.json` and layers.
    Docker,
    /// `index.json` and blobs (image-spec, image-layout.md).
    Oci,
}

/// An image and the names that it is saved under.
pub struct Saved {
    /// The image.
    pub image: Image,
    /// None for one that was named by its id.
    pub names: Vec<Reference>,
}

struct Out<'a>(Builder<&'a mut dyn Write>);

impl Out<'_> {
    fn put(&mut self, name: &str, size: u64, content: impl Read) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        self.0.append_data(&mut header, name, content).map_err(|error| unwritten(&error))
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, bytes.len() as u64, bytes)
    }
}

/// What goes by, hashed: a layer that was damaged must not go out unseen.
struct Proven<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Read for &mut Proven<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn layer(store: &Store, out: &mut Out<'_>, name: &str, diff_id: &Digest) -> Result<()> {
    let mut write = || {
        let size = store.replay(diff_id)?.size()?;
        let mut proven = Proven { from: store.replay(diff_id)?, hasher: diff_id.hasher() };
        out.put(name, size, &mut proven)?;
        diff_id.expect(&proven.hasher.finish())
    };
    write().within(|| format!("layer {diff_id}"))
}

fn json(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::new(Kind::Other, error.to_string()))
}

/// Writes images into one archive.
pub fn save(store: &Store, images: &[Saved], format: Format, out: &mut dyn Write) -> Result<()> {
    let _hold = store.hold()?;
    let mut out = Out(Builder::new(out));
    match format {
        Format::Docker => docker(store, images, &mut out)?,
        Format::Oci => oci(store, images, &mut out)?,
    }
    let inner = out.0.into_inner().map_err(|error| unwritten(&error))?;
    inner.flush().map_err(|error| unwritten(&error))
}

fn docker(store: &Store, images: &[Saved], out: &mut Out<'_>) -> Result<()> {
    let mut written = BTreeSet::new();
    let mut manifest = Vec::new();
    for Saved { image, names } in images {
        let config = format!("{}.json", image.id.rsplit(':').next().unwrap_or_default());
        if written.insert(config.clone()) {
            out.bytes(&config, &image.raw_config)?;
        }
        let mut paths = Vec::new();
        for Layer { diff_id, .. } in store.layers_of(image)? {
            let path = format!("{}/layer.tar", diff_id.hex());
            if written.insert(path.clone()) {
                layer(store, out, &path, &diff_id)?;
            }
            paths.push(path);
        }
        let tags: Vec<String> = names.iter().map(Reference::familiar).collect();
        manifest.push(json!({"Config": config, "RepoTags": tags, "Layers": paths}));
    }
    out.bytes("manifest.json", &json(&Value::Array(manifest))?)
}

fn oci(store: &Store, images: &[Saved], out: &mut Out<'_>) -> Result<()> {
    out.bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let mut written = BTreeSet::new();
    let mut manifests = Vec::new();
    for Saved { image, names } in images {
        let mut layers = Vec::new();
        for Layer { diff_id, .. } in store.layers_of(image)? {
            let path = format!("blobs/{}/{}", diff_id.algorithm(), diff_id.hex());
            if written.insert(path.clone()) {
                layer(store, out, &path, &diff_id)?;
            }
            let size = store.replay(&diff_id)?.size()?;
            let descriptor = json!({"mediaType": TAR, "digest": diff_id.to_string(), "size": size});
            layers.push(Layer { diff_id, descriptor });
        }
        let id: Digest = image.id.parse()?;
        let manifest = manifest_of(&id, image.raw_config.len(), &layers)?;
        let digest = Digest::of(&manifest);
        for (digest, bytes) in [(&id, &image.raw_config), (&digest, &manifest)] {
            let path = format!("blobs/{}/{}", digest.algorithm(), digest.hex());
            if written.insert(path.clone()) {
                out.bytes(&path, bytes)?;
            }
        }
        let platform = json!({"os": image.config.os(), "architecture": image.config.architecture()});
        let descriptor = |name: Option<&Reference>| {
            let mut descriptor = json!({"mediaType": MANIFEST, "digest": digest.to_string(),
                "size": manifest.len(), "platform": platform});
            if let Some(name) = name {
                descriptor["annotations"] = json!({"io.containerd.image.name": name.to_string(),
                    "org.opencontainers.image.ref.name": name.to_string()});
            }
            descriptor
        };
        match names.as_slice() {
            [] => manifests.push(descriptor(None)),
            names => manifests.extend(names.iter().map(|name| descriptor(Some(name)))),
        }
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests});
    out.bytes("index.json", &json(&index)?)
}
