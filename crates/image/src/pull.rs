//! A pull: from a name to an image in the store, layers in parallel and each in one pass.
//!
//! It prints nothing; [`Event`] says how far it is. Finished layers stay when it is cancelled, so that the next pull
//! goes on from there.

use crate::credentials::CredentialSource;
use crate::digest::Digest;
use crate::layer::budget::Budget;
use crate::layer::{self, Expected};
use crate::manifest::{self, Blob, Manifest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Registry;
use crate::store::{Image, Lock, Record, Store, hold_shared, parse_config};
use crate::{Error, Kind, Result};
use oci_spec::image::ImageConfiguration;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use sys::{Context, called};

/// Layers that are fetched at the same time.
const PARALLEL: usize = 4;
/// How often a layer is fetched from its start when the registry breaks off.
const ATTEMPTS: u32 = 3;
/// Indexes in indexes.
const DEPTH: usize = 4;
/// Progress is told in steps of this many bytes.
pub(crate) const STEP: u64 = 256 << 10;

/// What a pull needs to know besides the name.
pub struct PullOptions<'a> {
    /// Nothing for this machine's.
    pub platform: Option<Platform>,
    /// Hears how far the pull is, from several threads.
    pub progress: &'a (dyn Fn(Event) + Sync),
    /// Set by the caller to stop; looked at whenever bytes arrive.
    pub cancelled: &'a AtomicBool,
    /// Who we are.
    pub credentials: CredentialSource,
}

/// How far a pull, a push or a load is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The registry is asked what the name means.
    Resolving,
    /// The layer begins to arrive.
    Layer {
        /// Digest of the compressed layer.
        digest: String,
        /// Its compressed bytes.
        total: u64,
    },
    /// The layer is here already.
    Existing {
        /// Digest of the compressed layer.
        digest: String,
    },
    /// So much of the layer has arrived. Less than before after a retry.
    Progress {
        /// Digest of the compressed layer.
        digest: String,
        /// Compressed bytes so far.
        done: u64,
    },
    /// The layer is in the registry.
    Pushed {
        /// Digest of the compressed layer.
        digest: String,
    },
    /// The layer is unpacked and verified.
    Done {
        /// Digest of the compressed layer.
        digest: String,
    },
}

/// What a name led to.
struct Resolved {
    manifest: Digest,
    config_digest: Digest,
    raw_config: Vec<u8>,
    config: ImageConfiguration,
    platform: Platform,
    /// Compressed blob and diff id, bottom first.
    layers: Vec<(Blob, Digest)>,
    aliases: BTreeSet<String>,
}

/// Fetches an image, unless it is here already, and gives it its name.
pub fn pull(store: &Store, reference: &Reference, options: &PullOptions<'_>) -> Result<Image> {
    let pulled = pull_it(store, reference, options);
    if let Err(failure) = pulled {
        // What cannot be swept now is found by the next sweep; the failure itself is what matters.
        let swept = store.sweep_after_failure();
        let failure = match swept {
            Ok(()) => failure,
            Err(left) => failure.with_hint(format!("something is left in the store: {left}")),
        };
        return Err(failure.within(format!("pull {}", reference.familiar())));
    }
    pulled
}

/// The tags that a registry has of a repository.
pub fn tags(
    reference: &Reference,
    credentials: CredentialSource,
    cancelled: &AtomicBool,
) -> Result<Vec<String>> {
    let list = || {
        let repository = Some(reference.repository.as_str());
        let registry = Registry::connect(&reference.registry, credentials, repository, cancelled)?;
        unless_cancelled(&registry, cancelled, || registry.tags())
    };
    list().within(|| format!("list the tags of {}", reference.name()))
}

fn pull_it(store: &Store, reference: &Reference, options: &PullOptions<'_>) -> Result<Image> {
    let _busy: Lock = hold_shared(store)?;
    store.clear_stale()?;
    (options.progress)(Event::Resolving);
    let repository = Some(reference.repository.as_str());
    let registry =
        Registry::connect(&reference.registry, options.credentials.clone(), repository, options.cancelled)?;
    let resolved = unless_cancelled(&registry, options.cancelled, || {
        let resolved = resolve(store, &registry, reference, options)?;
        fetch_layers(store, &registry, &resolved.layers, options)?;
        Ok(resolved)
    })?;
    store.keep_blob(&resolved.config_digest, &resolved.raw_config)?;
    let layers = once_each(resolved.layers.iter().map(|(_, diff_id)| diff_id));
    store.mend_trees(&layers)?;
    let record = Record {
        config: resolved.config_digest.to_string(),
        size: layers.iter().map(|layer| store.layer_size(layer)).sum(),
        layers,
        platform: resolved.platform,
        created: resolved.config.created().clone(),
        aliases: resolved.aliases,
    };
    let (name, digest) = (reference.to_string(), resolved.manifest.to_string());
    store.change(|records| {
        records.add(&name, &digest, record);
        Ok(())
    })?;
    store
        .load(&store.records()?, &digest, &name)?
        .ok_or_else(|| Error::new(Kind::Other, "the image was removed while it was pulled"))
}

/// Does something that waits for the registry, and stops waiting as soon as it is cancelled.
pub(crate) fn unless_cancelled<T>(
    registry: &Registry<'_>,
    cancelled: &AtomicBool,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    // The flag is set by a signal, which can do no more than that; a person does not notice a tenth of a second.
    let watch = |over: Receiver<()>| {
        while over.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            if cancelled.load(Ordering::Relaxed) {
                return registry.hang_up();
            }
        }
    };
    let done = std::thread::scope(|scope| {
        let (busy, over) = channel();
        let watching = std::thread::Builder::new().spawn_scoped(scope, move || watch(over));
        watching.map_err(called(|| "clone3 of a thread".to_owned()))?;
        let done = act();
        drop(busy);
        done
    });
    match done {
        // Whatever it was that failed then.
        Err(_) if cancelled.load(Ordering::Relaxed) => Err(Error::new(Kind::Cancelled, "cancelled")),
        done => done,
    }
}

/// Each layer once, where it stands highest: overlayfs refuses a directory twice, and a lower one would be covered
/// by its double completely.
pub(crate) fn once_each<'a>(layers: impl DoubleEndedIterator<Item = &'a Digest>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut layers: Vec<String> =
        layers.rev().filter(|diff_id| seen.insert(*diff_id)).map(ToString::to_string).collect();
    layers.reverse();
    layers
}

/// Follows the name to a manifest for the platform, and reads its configuration.
fn resolve(
    store: &Store,
    registry: &Registry<'_>,
    reference: &Reference,
    options: &PullOptions<'_>,
) -> Result<Resolved> {
    let wish = options.platform.clone().unwrap_or_else(Platform::host);
    let mut wanted = reference.wanted();
    let mut expected = reference.digest.clone();
    let mut aliases = BTreeSet::new();
    // What the index says of the manifest that was chosen.
    let mut chosen: Option<Blob> = None;
    let most = if sys::mutant!("mutant_im_11") { usize::MAX } else { DEPTH };
    for _ in 0..most {
        let size = chosen.as_ref().map(|blob| blob.size);
        let document = registry.manifest(&wanted, size).within(|| "fetch manifest")?;
        let digest = match (&expected, &document.digest_header) {
            (Some(expected), _) => expected.clone(),
            (None, Some(header)) => header.parse().map_err(|e: Error| e.recast(|_| Kind::Corrupt))?,
            (None, None) => Digest::of(&document.bytes),
        };
        digest.verify(&document.bytes).within(|| "manifest")?;
        chosen.as_ref().map_or(Ok(()), |blob| blob.has(document.bytes.len() as u64)).within(|| "manifest")?;
        aliases.insert(format!("{}@{digest}", reference.name()));
        let called = match chosen.as_ref().map(|blob| &blob.media_type) {
            Some(kind) if document.media_type.is_empty() => kind,
            Some(kind) if !kind.is_empty() && *kind != document.media_type => {
                let text = format!("manifest: {kind:?} in the index but served as {:?}", document.media_type);
                return Err(Error::new(Kind::Corrupt, text));
            }
            _ => &document.media_type,
        };
        match manifest::parse(&document.bytes, called)? {
            Manifest::Index(entries) => {
                let blob = manifest::choose(&entries, &wish)?;
                wanted = blob.digest.to_string();
                expected = Some(blob.digest.clone());
                chosen = Some(blob.clone());
            }
            Manifest::Image { config, layers } => {
                store.keep_blob(&digest, &document.bytes)?;
                let raw_config = registry.small_blob(&config.digest.to_string(), config.size);
                let raw_config = raw_config.within(|| "fetch configuration")?;
                config.digest.verify(&raw_config).within(|| "configuration")?;
                config.has(raw_config.len() as u64).within(|| "configuration")?;
                let parsed = parse_config(&raw_config)?;
                let platform = platform_of(&parsed);
                // The name alone may lead to an image of one other platform; what was asked for expressly may not.
                if (options.platform.is_some() || chosen.is_some()) && wish.fit(&platform).is_none() {
                    return Err(Error::new(Kind::Unsupported, format!("no image for {wish}"))
                        .with_hint(format!("there is one for {platform}")));
                }
                let layers = pair(layers, &parsed)?;
                let config_digest = config.digest;
                return Ok(Resolved {
                    manifest: digest,
                    config_digest,
                    raw_config,
                    config: parsed,
                    platform,
                    layers,
                    aliases,
                });
            }
        }
    }
    Err(Error::new(Kind::Corrupt, format!("more than {DEPTH} indexes in each other")))
}

pub(crate) fn platform_of(config: &ImageConfiguration) -> Platform {
    Platform::normal(
        &config.os().to_string(),
        &config.architecture().to_string(),
        config.variant().as_deref(),
    )
}

/// Layers with their diff ids (image-spec, config.md, `rootfs.diff_ids`).
fn pair(layers: Vec<Blob>, config: &ImageConfiguration) -> Result<Vec<(Blob, Digest)>> {
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != layers.len() {
        let text = format!("{} layers but {} diff ids", layers.len(), diff_ids.len());
        return Err(Error::new(Kind::Corrupt, text));
    }
    let parse = |text: &String| text.parse::<Digest>().map_err(|error| error.recast(|_| Kind::Corrupt));
    layers.into_iter().zip(diff_ids).map(|(layer, diff_id)| Ok((layer, parse(diff_id)?))).collect()
}

/// Several layers at a time; the first failure stops the others.
fn fetch_layers(
    store: &Store,
    registry: &Registry<'_>,
    layers: &[(Blob, Digest)],
    options: &PullOptions<'_>,
) -> Result<()> {
    // A diff id twice is one layer: two threads would wait for each other's place.
    let distinct: Vec<(&Digest, &Blob)> = layers
        .iter()
        .map(|(blob, diff_id)| (diff_id, blob))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect();
    let budget = Budget::default();
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let work = || {
        let go_on = || !stop.load(Ordering::Relaxed) && !options.cancelled.load(Ordering::Relaxed);
        while let Some((diff_id, blob)) = distinct.get(next.fetch_add(1, Ordering::Relaxed)) {
            let fetched = fetch_layer(store, registry, (blob, diff_id), &budget, options.progress, &go_on);
            if let Err(error) = fetched.within(|| format!("layer {}", blob.digest)) {
                let others = !stop.swap(true, Ordering::Relaxed);
                let mut first = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                // The others end as cancelled; why they were is what counts.
                if first.as_ref().is_none_or(|known| known.kind == Kind::Cancelled) {
                    *first = Some(error);
                }
                drop(first);
                if others {
                    // They would be for nothing.
                    registry.hang_up();
                }
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..PARALLEL.min(distinct.len()) {
            // Where there is no room for a thread, fewer layers are fetched at a time.
            let _fewer = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    if options.cancelled.load(Ordering::Relaxed) {
        return Err(Error::new(Kind::Cancelled, "cancelled"));
    }
    failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}

fn fetch_layer(
    store: &Store,
    registry: &Registry<'_>,
    (blob, diff_id): (&Blob, &Digest),
    budget: &Budget,
    progress: &(dyn Fn(Event) + Sync),
    go_on: &dyn Fn() -> bool,
) -> Result<()> {
    let digest = blob.digest.to_string();
    if !go_on() {
        return Err(Error::new(Kind::Cancelled, "cancelled"));
    }
    let Some(staged) = store.stage(diff_id, go_on)? else {
        progress(Event::Existing { digest });
        return Ok(());
    };
    progress(Event::Layer { digest: digest.clone(), total: blob.size });
    let expected = Expected { digest: Some(&blob.digest), size: blob.size, diff_id, budget };
    let mut attempt = 1;
    let size = loop {
        let told = Cell::new(0);
        let moved = |done: u64| {
            if done >= told.get() + STEP || done == blob.size {
                told.set(done);
                progress(Event::Progress { digest: digest.clone(), done });
            }
            go_on()
        };
        let received = registry.blob(&digest).and_then(|reader| {
            layer::receive(reader, &expected, staged.root()?, staged.beside()?, store.ownership, &moved)
        });
        match received {
            Err(error) if error.kind == Kind::Unreachable && attempt < ATTEMPTS && go_on() => attempt += 1,
            received => break received?,
        }
    };
    staged.commit(size, Some(&blob.digest))?;
    progress(Event::Done { digest });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_diff_ids_are_pairs() {
        fn check(family: &str, layers: usize, diff_ids: &[&str], expected: Result<(), &str>) {
            let digest = Digest::of(b"");
            let blob = Blob { media_type: String::new(), digest: digest.clone(), size: 1 };
            let ids: Vec<String> = diff_ids.iter().map(|id| id.replace('_', &digest.to_string())).collect();
            let rootfs = serde_json::json!({"type": "layers", "diff_ids": ids});
            let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs});
            let config = parse_config(config.to_string().as_bytes()).unwrap();
            match (pair(vec![blob; layers], &config), expected) {
                (Ok(pairs), Ok(())) => assert_eq!(pairs.len(), layers, "{family}: {diff_ids:?}"),
                (Err(error), Err(says)) => {
                    assert!(
                        error.kind == Kind::Corrupt && error.to_string().contains(says),
                        "{family}: {error}"
                    );
                }
                (found, _) => panic!("{family}: {layers} layers, {diff_ids:?}: {found:?}"),
            }
        }
        check("M6", 0, &[], Ok(()));
        check("M6", 1, &["_"], Ok(()));
        check("M6", 2, &["_", "_"], Ok(()));
        check("M6", 0, &["_"], Err("0 layers but 1 diff ids"));
        check("M6", 1, &[], Err("1 layers but 0 diff ids"));
        check("M6", 2, &["_"], Err("2 layers but 1 diff ids"));
        check("M6", 1, &["_", "_"], Err("1 layers but 2 diff ids"));
        check("M6", 1, &["sha256:../x"], Err("hexadecimal digits"));
        check("M6", 1, &[""], Err("digest"));
    }
}
