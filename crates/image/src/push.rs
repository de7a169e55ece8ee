//! A push: layers that the registry lacks, the configuration, the manifest, in this order.
//!
//! A layer is kept unpacked. What the registry has in the form in which it was pulled, and not only said to have been, stays in that
//! form; any other is compressed again, always to the same bytes. The image keeps its id; its manifest is the one it was pulled with where all layers are.

use crate::credentials::CredentialSource;
use crate::digest::{Digest, Hasher};
use crate::kind::failed;
use crate::manifest::{self, Manifest};
use crate::pull::{Event, STEP, unless_cancelled};
use crate::reference::Reference;
use crate::registry::{Media, Registry};
use crate::store::build::{CONFIG, Hashing, MANIFEST, TAR, manifest_of, scratch};
use crate::store::{Image, Layer, Store};
use crate::{Error, Kind, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use sys::Context;

/// What a push needs to know besides the image and its name.
pub struct PushOptions<'a> {
    /// Hears how far the push is.
    pub progress: &'a (dyn Fn(Event) + Sync),
    /// Set by the caller to stop.
    pub cancelled: &'a AtomicBool,
    /// Who we are.
    pub credentials: CredentialSource,
}

/// What is in the registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest.
    pub digest: String,
    /// Bytes of the manifest.
    pub size: usize,
}

/// Puts an image into a registry under a name.
pub fn push(store: &Store, image: &Image, to: &Reference, options: &PushOptions<'_>) -> Result<Pushed> {
    let push = || {
        if to.digest.is_some() {
            return Err(Error::new(Kind::Usage, "a push goes to a tag, not to a digest"));
        }
        let _hold = store.hold()?;
        let registry = Registry::connect_to_push(
            &to.registry,
            options.credentials.clone(),
            &to.repository,
            options.cancelled,
        )?;
        unless_cancelled(&registry, options.cancelled, || it(store, image, to, &registry, options))
    };
    push().within(|| format!("push {}", to.familiar()))
}

fn it(
    store: &Store,
    image: &Image,
    to: &Reference,
    registry: &Registry<'_>,
    options: &PushOptions<'_>,
) -> Result<Pushed> {
    let layers = store.layers_of(image)?;
    let from = repositories(store, image, to)?;
    let mut changed = false;
    let mut there = Vec::new();
    for layer in layers {
        if options.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        let descriptor =
            one(store, &layer, &from, registry, options).within(|| format!("layer {}", layer.diff_id))?;
        changed |= descriptor != layer.descriptor;
        there.push(Layer { diff_id: layer.diff_id, descriptor });
    }
    let id: Digest = image.id.parse()?;
    if !registry.has_blob(&id.to_string())? {
        registry.upload(&id, Media::Bytes(&image.raw_config)).within(|| "configuration")?;
    }
    let old = store.blob(&image.manifest_digest.parse()?)?;
    let manifest = if changed { manifest_of(&id, image.raw_config.len(), &there)? } else { old };
    // It has to be one that can be pulled.
    let kind = kind_of(&manifest);
    match manifest::parse(&manifest, &kind)? {
        Manifest::Image { .. } => {}
        Manifest::Index(_) => return Err(Error::new(Kind::Corrupt, "not an image")),
    }
    registry.put_manifest(&to.wanted(), &kind, &manifest).within(|| "manifest")?;
    let digest = Digest::of(&manifest).to_string();
    store.note_alias(&image.manifest_digest, &format!("{}@{digest}", to.name()))?;
    Ok(Pushed { digest, size: manifest.len() })
}

fn kind_of(manifest: &[u8]) -> String {
    let document: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let said = document["mediaType"].as_str().map(str::to_owned);
    let of_config = document["config"]["mediaType"].as_str();
    said.unwrap_or_else(|| match of_config {
        Some(CONFIG) | None => MANIFEST.to_owned(),
        Some(_) => "application/vnd.docker.distribution.manifest.v2+json".to_owned(),
    })
}

/// Repositories of the same registry that may have the layers already.
fn repositories(store: &Store, image: &Image, to: &Reference) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for listed in store.list()?.into_iter().filter(|listed| listed.id == image.id) {
        for alias in listed.aliases {
            if let Ok(known) = Reference::parse(&alias)
                && known.registry == to.registry
                && known.repository != to.repository
                && !found.contains(&known.repository)
            {
                found.push(known.repository);
            }
        }
    }
    Ok(found)
}

/// Sees to it that the registry has a layer; how a manifest describes it there.
fn one(
    store: &Store,
    layer: &Layer,
    from: &[String],
    registry: &Registry<'_>,
    options: &PushOptions<'_>,
) -> Result<Value> {
    let existing = |digest: &str| (options.progress)(Event::Existing { digest: digest.to_owned() });
    let noted = store.layer(layer.diff_id.hex()).join("gzip.json");
    let gzip: Option<Value> = fs::read(&noted).ok().and_then(|text| serde_json::from_slice(&text).ok());
    // As it was pulled, then as it was pushed before.
    let compressed = Some(&layer.descriptor).filter(|known| known["mediaType"] != TAR);
    let proven =
        |known: &&Value| known["digest"].as_str().is_some_and(|digest| store.came_as(&layer.diff_id, digest));
    for known in compressed.filter(proven).into_iter().chain(gzip.as_ref()) {
        let Some(digest) = known["digest"].as_str() else { continue };
        if registry.has_blob(digest)? {
            existing(digest);
            return Ok(known.clone());
        }
        for repository in from {
            if registry.mount_blob(digest, repository)? {
                existing(digest);
                return Ok(known.clone());
            }
        }
    }
    let (file, digest, size) = compress(store, layer)?;
    let text = digest.to_string();
    (options.progress)(Event::Layer { digest: text.clone(), total: size });
    let told = std::cell::Cell::new(0);
    let sent = |done: u64| {
        if done >= told.get() + STEP || done == size {
            told.set(done);
            (options.progress)(Event::Progress { digest: text.clone(), done });
        }
    };
    registry.upload(&digest, Media::File(&file, &sent))?;
    (options.progress)(Event::Pushed { digest: text.clone() });
    let same = compressed.filter(|known| known["digest"] == text);
    let descriptor = json!({"mediaType": format!("{TAR}+gzip"), "digest": text, "size": size});
    // For the next push; without it the layer is compressed once more.
    let _unnoted = fs::write(&noted, descriptor.to_string());
    Ok(same.cloned().unwrap_or(descriptor))
}

/// The layer's archive, proven and compressed.
fn compress(store: &Store, layer: &Layer) -> Result<(File, Digest, u64)> {
    let out = Hashing::new(BufWriter::new(scratch(store)?));
    let mut encoder = GzEncoder::new(out, Compression::default());
    let mut replay = store.replay(&layer.diff_id)?;
    let mut hasher: Hasher = layer.diff_id.hasher();
    let mut buffer = vec![0; 128 << 10];
    let write = |error: io::Error| failed(|| "write the layer".to_owned())(error);
    loop {
        let count = replay
            .read(&mut buffer)
            .map_err(|error| Error::new(Kind::Corrupt, format!("the layer is damaged: {error}")))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        encoder.write_all(&buffer[..count]).map_err(write)?;
    }
    layer.diff_id.expect(&hasher.finish())?;
    let out = encoder.finish().map_err(write)?;
    let (digest, size) = (out.hasher.finish(), out.count);
    let spool = out.to.into_inner().map_err(|error| write(error.into_error()))?;
    let file = spool.into_file().map_err(write)?;
    Ok((file, digest, size))
}
