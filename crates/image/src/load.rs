//! Images from one file or directory: what docker and podman save, compressed or not, and a layout of OCI.
//!
//! The file is first listed and then read by place: what describes it may stand at its end. Everything is checked as a pull
//! checks it.

use crate::digest::Digest;
use crate::kind::failed;
use crate::layer::Expected;
use crate::layer::budget::Budget;
use crate::layer::headers::{Gauged, each};
use crate::layer::unpack::{What, entry};
use crate::manifest::{self, Blob, LAYERS, Manifest};
use crate::platform::Platform;
use crate::pull::{Event, STEP, platform_of};
use crate::reference::Reference;
use crate::store::build::scratch;
use crate::store::{Layer, Store, parse_config};
use crate::{Error, Kind, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Deserialize;
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use sys::Context;

/// Files of one archive.
const ENTRIES: usize = 100_000;
/// Images of one archive.
const IMAGES: usize = 1000;
const DOCUMENT: u64 = 4 << 20;
/// Indexes in indexes.
const DEPTH: usize = 4;

/// Loads every image of a file, of a directory, or of standard input; their names, or ids where they have none. With a platform,
/// those that are for it, of which there has to be one.
pub fn load(
    store: &Store,
    path: Option<&Path>,
    platform: Option<&Platform>,
    input: &mut dyn Read,
    progress: &(dyn Fn(Event) + Sync),
    cancelled: &AtomicBool,
) -> Result<Vec<String>> {
    let _hold = store.hold()?;
    let go_on = || !cancelled.load(Ordering::Relaxed);
    let bag = Bag::open(store, path, input)?;
    let load = Load { store, bag, platform, progress, go_on: &go_on };
    let loaded = match load.bag.document("manifest.json")? {
        Some(bytes) => Some(load.docker(&bytes)?),
        None => load.bag.document("index.json")?.map(|bytes| load.oci(&bytes)).transpose()?,
    };
    match (loaded, platform) {
        (Some(none), Some(platform)) if none.is_empty() => {
            Err(Error::new(Kind::NotFound, format!("no image in it is for {platform}")))
        }
        (Some(loaded), _) => Ok(loaded),
        (None, _) => Err(Error::new(Kind::Corrupt, "neither manifest.json nor index.json is in it")
            .with_hint("a root file system becomes an image with: devoxx-container import")),
    }
}

/// Files by name.
enum Bag {
    Archive { file: File, places: HashMap<String, Place> },
    Directory(OwnedFd),
}

enum Place {
    At(u64, u64),
    Link(String),
}

/// Part of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn unreadable(error: &io::Error) -> Error {
    let text: String = error.to_string().chars().take(300).collect();
    Error::new(Kind::Corrupt, format!("not an archive of images: {}", text.escape_debug()))
}

impl Bag {
    fn open(store: &Store, path: Option<&Path>, input: &mut dyn Read) -> Result<Self> {
        let Some(path) = path else { return Self::spooled(store, input) };
        let mut file = File::open(path).map_err(failed(|| format!("open {path:?}")))?;
        let kind = file.metadata().map_err(failed(|| format!("fstat {path:?}")))?.file_type();
        if kind.is_dir() {
            return Ok(Self::Directory(file.into()));
        }
        // An archive that is not compressed is read where it is.
        let mut magic = [0; 4];
        let compressed = match file.read_at(&mut magic, 0) {
            Ok(4) => magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd],
            Ok(_) => return Err(unreadable(&io::Error::other("it is too short"))),
            Err(_) => true,
        };
        if compressed || !kind.is_file() { Self::spooled(store, &mut file) } else { Self::listed(file) }
    }

    fn spooled(store: &Store, input: &mut dyn Read) -> Result<Self> {
        let mut from = crate::layer::decompressed(input).map_err(|error| unreadable(&error))?;
        let mut file = scratch(store)?;
        // Whatever it unpacks to: it is not known yet what is in it.
        let copied = io::copy(&mut from, &mut file).and_then(|_| file.into_file());
        let file = copied.map_err(|error| match error.raw_os_error() {
            Some(_) => failed(|| "write the archive beside the store".to_owned())(error),
            None => unreadable(&error),
        })?;
        Self::listed(file)
    }

    fn listed(file: File) -> Result<Self> {
        let whole = file.metadata().map_err(failed(|| "fstat".to_owned()))?.len();
        let mut places = HashMap::new();
        let (reader, gauge) = Gauged::new(BufReader::new(&file));
        let mut archive = tar::Archive::new(reader);
        let entries = archive.entries_with_seek().map_err(|error| unreadable(&error))?;
        each(entries, &gauge, &unreadable, &mut |entry, _| {
            if places.len() >= ENTRIES {
                return Err(Error::new(Kind::Corrupt, format!("the archive has more than {ENTRIES} files")));
            }
            let path = entry.path_bytes().into_owned();
            let shown = || format!("{:?}", String::from_utf8_lossy(&path));
            let Some((what, _)) = entry::read(entry).within(shown)? else { return Ok(()) };
            let Ok(name) = std::str::from_utf8(&path).map(normal) else { return Ok(()) };
            if entry.raw_file_position().saturating_add(entry.size()) > whole {
                return Err(unreadable(&io::Error::other("it is cut off")));
            }
            let target = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
            let place = match what {
                // Docker's of old name a layer that is there twice by a link.
                What::Symlink(beside) => {
                    let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
                    Place::Link(normal(&format!("{parent}/{}", target(&beside))))
                }
                What::Hardlink(name) => Place::Link(normal(&target(&name))),
                What::File { sparse: false } => Place::At(entry.raw_file_position(), entry.size()),
                _ => return Ok(()),
            };
            // One reader would take the first, another the last.
            match places.insert(name, place) {
                Some(_) => Err(Error::new(Kind::Corrupt, format!("{} is in the archive twice", shown()))),
                None => Ok(()),
            }
        })?;
        drop(archive);
        Ok(Self::Archive { file, places })
    }

    /// A file and its size; nothing where there is none.
    fn file(&self, name: &str) -> Result<Option<(Box<dyn Read + '_>, u64)>> {
        match self {
            Self::Archive { file, places } => {
                let place = match places.get(&normal(name)) {
                    Some(Place::Link(target)) => places.get(target),
                    other => other,
                };
                Ok(match place {
                    Some(Place::At(at, size)) => Some((Box::new(Part { file, at: *at, left: *size }), *size)),
                    _ => None,
                })
            }
            Self::Directory(directory) => {
                let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let file = match rustix::fs::openat2(directory, name, flags, Mode::empty(), inside) {
                    Err(rustix::io::Errno::NOENT) => return Ok(None),
                    other => File::from(other.map_err(failed(|| format!("open {name:?}")))?),
                };
                let stat = file.metadata().map_err(failed(|| format!("fstat {name:?}")))?;
                if !stat.is_file() {
                    return Err(Error::new(Kind::Corrupt, format!("{name:?} is no file")));
                }
                Ok(Some((Box::new(file), stat.len())))
            }
        }
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((file, size)) = self.file(name)? else { return Ok(None) };
        if size > DOCUMENT {
            return Err(Error::new(Kind::Corrupt, format!("{name:?} has more than {DOCUMENT} bytes")));
        }
        let mut bytes = Vec::new();
        file.take(DOCUMENT).read_to_end(&mut bytes).map_err(failed(|| format!("read {name:?}")))?;
        Ok(Some(bytes))
    }

    fn needed(&self, name: &str) -> Result<Vec<u8>> {
        self.document(name)?.ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Error {
    Error::new(Kind::Corrupt, format!("{name:?} is not in the archive"))
}

/// A path without what means nothing in it.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn bad_json(name: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string().escape_debug().to_string();
    Error::new(Kind::Corrupt, format!("{name}: {text}"))
}

/// An image in docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

struct Load<'a> {
    store: &'a Store,
    bag: Bag,
    platform: Option<&'a Platform>,
    progress: &'a (dyn Fn(Event) + Sync),
    go_on: &'a dyn Fn() -> bool,
}

impl Load<'_> {
    fn docker(&self, bytes: &[u8]) -> Result<Vec<String>> {
        let images: Vec<Described> =
            serde_json::from_slice(bytes).map_err(|error| bad_json("manifest.json", &error))?;
        if images.is_empty() || images.len() > IMAGES {
            return Err(Error::new(Kind::Corrupt, format!("manifest.json: {} images", images.len())));
        }
        let mut loaded = Vec::new();
        for image in images {
            if image.layers.len() > LAYERS {
                let text = format!("manifest.json: {} layers, more than {LAYERS}", image.layers.len());
                return Err(Error::new(Kind::Unsupported, text));
            }
            let config = self.bag.needed(&image.config)?;
            if !self.is_wanted(&config)? {
                continue;
            }
            let diff_ids = diff_ids(&config)?;
            if diff_ids.len() != image.layers.len() {
                let text = format!("{} layers but {} diff ids", image.layers.len(), diff_ids.len());
                return Err(Error::new(Kind::Corrupt, text));
            }
            // Its manifest is made here: no digest of one can be right.
            let names = names(image.repo_tags.unwrap_or_default().iter(), None)?;
            let (mut layers, budget) = (Vec::new(), Budget::default());
            for (path, diff_id) in image.layers.iter().zip(&diff_ids) {
                layers.push(self.layer(path, None, diff_id, &budget)?);
            }
            loaded.extend(self.keep(&names, |name| self.store.keep_image(&config, &layers, name))?);
        }
        Ok(loaded)
    }

    /// Whether an image is for the platform that was asked for, by its configuration.
    fn is_wanted(&self, config: &[u8]) -> Result<bool> {
        let Some(wanted) = self.platform else { return Ok(true) };
        Ok(wanted.fit(&platform_of(&parse_config(config)?)).is_some())
    }

    fn layer(&self, path: &str, blob: Option<&Blob>, diff_id: &Digest, budget: &Budget) -> Result<Layer> {
        let (file, size) = self.bag.file(path)?.ok_or_else(|| missing(path))?;
        blob.map_or(Ok(()), |blob| blob.has(size)).within(|| path.to_owned())?;
        let name = diff_id.to_string();
        (self.progress)(Event::Layer { digest: name.clone(), total: size });
        let told = Cell::new(0);
        let moved = |done: u64| {
            if done >= told.get() + STEP || done == size {
                told.set(done);
                (self.progress)(Event::Progress { digest: name.clone(), done });
            }
            (self.go_on)()
        };
        let expected = Expected { digest: blob.map(|blob| &blob.digest), size, diff_id, budget };
        let kept = self.store.keep_layer(file, &expected, &moved);
        let kept = kept.within(|| format!("layer {diff_id}"))?;
        (self.progress)(Event::Done { digest: name.clone() });
        Ok(kept)
    }

    fn keep(
        &self,
        names: &[Reference],
        keep: impl Fn(Option<&Reference>) -> Result<String>,
    ) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(vec![keep(None)?]);
        }
        names.iter().map(|name| keep(Some(name)).map(|_| name.familiar())).collect()
    }

    fn oci(&self, bytes: &[u8]) -> Result<Vec<String>> {
        let index: Index = serde_json::from_slice(bytes).map_err(|error| bad_json("index.json", &error))?;
        if index.manifests.is_empty() || index.manifests.len() > IMAGES {
            return Err(Error::new(
                Kind::Corrupt,
                format!("index.json: {} manifests", index.manifests.len()),
            ));
        }
        let mut loaded = Vec::new();
        for listed in index.manifests {
            let annotations = listed.annotations.unwrap_or_default();
            let named = annotations.get("io.containerd.image.name");
            // A word alone is a tag, of nobody knows what.
            let noted = annotations.get("org.opencontainers.image.ref.name");
            let name = named.or_else(|| noted.filter(|name| name.contains(['/', ':'])));
            let digest = listed.digest.parse::<Digest>().map_err(|error| error.recast(|_| Kind::Corrupt))?;
            let names = names(name.into_iter(), Some(&digest))?;
            loaded.extend(self.described(digest, &listed.media_type, &names)?);
        }
        Ok(loaded)
    }

    /// The image of a manifest, or of an index for this machine.
    fn described(&self, mut digest: Digest, media_type: &str, names: &[Reference]) -> Result<Vec<String>> {
        let mut media_type = media_type.to_owned();
        let mut chosen: Option<Blob> = None;
        let most = if sys::mutant!("mutant_im_11") { usize::MAX } else { DEPTH };
        for _ in 0..most {
            let bytes = self.blob(&digest)?;
            chosen.map_or(Ok(()), |blob| blob.has(bytes.len() as u64)).within(|| path_of(&digest))?;
            match manifest::parse(&bytes, &media_type)? {
                Manifest::Index(entries) => {
                    let host = Platform::host();
                    let wanted = self.platform.unwrap_or(&host);
                    let found = manifest::choose(&entries, wanted);
                    // Another of the archive may have it.
                    if self.platform.is_some() && found.is_err() {
                        return Ok(Vec::new());
                    }
                    let blob = found?.clone();
                    (digest, media_type) = (blob.digest.clone(), blob.media_type.clone());
                    chosen = Some(blob);
                }
                Manifest::Image { config, layers } => {
                    let raw = self.blob(&config.digest)?;
                    config.has(raw.len() as u64).within(|| path_of(&config.digest))?;
                    if !self.is_wanted(&raw)? {
                        return Ok(Vec::new());
                    }
                    let diff_ids = diff_ids(&raw)?;
                    if diff_ids.len() != layers.len() {
                        let text = format!("{} layers but {} diff ids", layers.len(), diff_ids.len());
                        return Err(Error::new(Kind::Corrupt, text));
                    }
                    let (mut kept, budget) = (Vec::new(), Budget::default());
                    for (blob, diff_id) in layers.iter().zip(&diff_ids) {
                        let path = path_of(&blob.digest);
                        kept.push(self.layer(&path, Some(blob), diff_id, &budget)?);
                    }
                    return self.keep(names, |name| {
                        self.store.keep_manifest((&bytes, &media_type), &raw, &kept, name)
                    });
                }
            }
        }
        Err(Error::new(Kind::Corrupt, format!("more than {DEPTH} indexes in each other")))
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = path_of(digest);
        let bytes = self.bag.needed(&path)?;
        digest.verify(&bytes).within(|| path)?;
        Ok(bytes)
    }
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn diff_ids(config: &[u8]) -> Result<Vec<Digest>> {
    let parsed = parse_config(config)?;
    let parse = |text: &String| text.parse::<Digest>().map_err(|error| error.recast(|_| Kind::Corrupt));
    parsed.rootfs().diff_ids().iter().map(parse).collect()
}

/// Names that an archive gives to what has a digest. One that promises another content would stand for it from then on.
fn names<'a>(texts: impl Iterator<Item = &'a String>, described: Option<&Digest>) -> Result<Vec<Reference>> {
    let parse = |text: &String| {
        let name = Reference::parse(text).map_err(|error| error.recast(|_| Kind::Corrupt))?;
        match &name.digest {
            Some(digest) if described != Some(digest) && !sys::mutant!("mutant_im_09") => {
                Err(Error::new(Kind::Corrupt, format!("the image is named {text}, but has not that digest")))
            }
            _ => Ok(name),
        }
    };
    texts.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_normal() {
        fn check(path: &str, expected: &str) {
            assert_eq!(normal(path), expected, "{path}");
        }
        check("./a/b", "a/b");
        check("a/../b", "b");
        check("a/b/../../../c", "c");
        check("a//layer.tar", "a/layer.tar");
        check("", "");
    }

    /// An entry of an archive as it stands there, with what follows it.
    fn entry(kind: tar::EntryType, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_link_name_literal(link).unwrap();
        header.set_cksum();
        let padding = vec![0; data.len().next_multiple_of(512) - data.len()];
        [header.as_bytes(), data, &padding].concat()
    }

    /// The archive of the layer of a number.
    fn numbered(number: u8) -> Vec<u8> {
        [&entry(tar::EntryType::Regular, &format!("f{number}"), "", b"x")[..], &[0; 1024]].concat()
    }

    /// One image as docker saves it and as a layout of OCI, an index in the other: layers by their numbers, as they are listed and as
    /// the configuration has them; and what has a byte less than is said.
    fn saved(layers: &[u8], ids: &[u8], short: &str) -> [(&'static str, Vec<u8>); 2] {
        use serde_json::json;
        let whole = |files: &[(String, Vec<u8>)]| {
            let files = files.iter().map(|(name, bytes)| entry(tar::EntryType::Regular, name, "", bytes));
            files.chain([vec![0; 1024]]).collect::<Vec<_>>().concat()
        };
        let described = |what: &str, bytes: &[u8]| {
            let size = bytes.len() + usize::from(what == short);
            let kind = format!(
                "application/vnd.oci.image.{what}{}",
                if what == "layer" { ".v1.tar" } else { ".v1+json" }
            );
            json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": size})
        };
        let ids: Vec<String> = ids.iter().map(|number| Digest::of(&numbered(*number)).to_string()).collect();
        let (host, rootfs) = (Platform::host(), json!({"type": "layers", "diff_ids": ids}));
        let config = json!({"architecture": host.architecture, "os": host.os, "rootfs": rootfs}).to_string();
        let parts: Vec<(String, Vec<u8>)> = (0..3)
            .map(|number| (format!("{number}.tar"), numbered(number)))
            .chain([("config.json".to_owned(), config.clone().into_bytes())])
            .collect();
        let names: Vec<String> = layers.iter().map(|number| format!("{number}.tar")).collect();
        let docker = json!([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": names}]);
        let docker = [&[("manifest.json".to_owned(), docker.to_string().into_bytes())], &parts[..]].concat();
        let layers: Vec<_> = layers.iter().map(|number| described("layer", &numbered(*number))).collect();
        let of_config = described("config", config.as_bytes());
        let image = json!({"schemaVersion": 2, "config": of_config, "layers": layers}).to_string();
        let index =
            json!({"schemaVersion": 2, "manifests": [described("manifest", image.as_bytes())]}).to_string();
        let top =
            json!({"schemaVersion": 2, "manifests": [described("index", index.as_bytes())]}).to_string();
        let blobs = parts.into_iter().map(|(_, bytes)| bytes).chain([image, index].map(String::into_bytes));
        let blobs = blobs.map(|bytes| (path_of(&Digest::of(&bytes)), bytes));
        let oci: Vec<_> = blobs.chain([("index.json".to_owned(), top.into_bytes())]).collect();
        [("docker", whole(&docker)), ("oci", whole(&oci))]
    }

    #[test]
    fn layers_and_sizes_are_what_documents_say() {
        fn check(family: &str, layers: &[u8], ids: &[u8], short: &str, expected: Result<(), &str>) {
            // No size stands in docker's.
            for (form, archive) in saved(layers, ids, short).into_iter().skip(usize::from(!short.is_empty()))
            {
                let what = format!("{family}, {form}: {} layers, {} ids, {short}", layers.len(), ids.len());
                let store = tempfile::tempdir().unwrap();
                let staging = store.path().join("staging");
                let store = Store::open(store.path(), crate::Ownership::Root).unwrap();
                let found = load(&store, None, None, &mut &archive[..], &|_| (), &AtomicBool::new(false));
                match (found, expected) {
                    (Ok(names), Ok(())) => assert_eq!(names.len(), 1, "{what}"),
                    (Err(error), Err(says)) => {
                        assert!(error.to_string().contains(says), "{what}: {error}");
                        assert!(store.list().unwrap().is_empty(), "{what}");
                    }
                    (found, _) => panic!("{what}: {found:?}"),
                }
                assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0, "{what}");
            }
        }
        check("M6", &[], &[], "", Ok(()));
        check("M6", &[0, 1, 2], &[0, 1, 2], "", Ok(()));
        check("M6", &[0, 0, 1, 0], &[0, 0, 1, 0], "", Ok(()));
        check("M6", &[0; 500], &[0; 500], "", Ok(()));
        check("M6", &[0; 501], &[0; 501], "", Err("501 layers, more than 500"));
        check("M6", &[0; 10_000], &[0; 10_000], "", Err("10000 layers, more than 500"));
        check("M6", &[0; 10_000], &[0], "", Err("10000 layers, more than 500"));
        check("M6", &[0, 1], &[0], "", Err("2 layers but 1 diff ids"));
        check("M6", &[0], &[0, 1], "", Err("1 layers but 2 diff ids"));
        check("M6", &[], &[0], "", Err("0 layers but 1 diff ids"));
        check("M6", &[0], &[], "", Err("1 layers but 0 diff ids"));
        check("M6", &[0, 1], &[1, 0], "", Err("content has digest"));
        check("M6", &[0, 1], &[0, 2], "", Err("content has digest"));
        check("M5", &[0], &[0], "layer", Err("bytes, not the"));
        check("M5", &[0], &[0], "config", Err("bytes, not the"));
        check("M5", &[0], &[0], "manifest", Err("bytes, not the"));
    }

    #[test]
    fn archives_are_listed_in_one_way() {
        use tar::EntryType as Type;
        fn check(family: &str, what: &str, entries: &[Vec<u8>], expected: Result<&[(&str, &str)], &str>) {
            let what = format!("{family}, {what}");
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, &[&entries.concat()[..], &[0; 1024]].concat()).unwrap();
            io::Seek::rewind(&mut file).unwrap();
            let bag = Bag::listed(file);
            match expected {
                Err(says) => {
                    let error = bag.map(drop).unwrap_err();
                    assert_eq!(error.kind, Kind::Corrupt, "{what}: {error}");
                    assert!(error.to_string().contains(says), "{what}: {error}");
                }
                Ok(documents) => {
                    let bag = bag.unwrap_or_else(|error| panic!("{what}: {error}"));
                    for (name, text) in documents {
                        assert_eq!(bag.needed(name).unwrap(), text.as_bytes(), "{what}: {name}");
                    }
                }
            }
        }
        let file = |name: &str, text: &str| entry(Type::Regular, name, "", text.as_bytes());
        let (one, two) = (file("index.json", "one"), file("index.json", "two"));
        let long = |name: &str| entry(Type::GNULongName, "././@LongLink", "", name.as_bytes());
        let pax = |text: &str| entry(Type::XHeader, "x", "", text.as_bytes());
        check("M18", "one", &[one.clone(), file("a/b", "")], Ok(&[("index.json", "one"), ("a/b", "")]));
        check("M18", "two", &[one.clone(), two.clone()], Err("twice"));
        check("M18", "two of one name", &[one.clone(), file("./a/../index.json", "two")], Err("twice"));
        check(
            "M18",
            "a link beside it",
            &[one.clone(), entry(Type::Symlink, "index.json", "x", b"")],
            Err("twice"),
        );
        let directory = entry(Type::Directory, "a/", "", b"");
        check(
            "M18",
            "a directory twice",
            &[directory.clone(), directory, one.clone()],
            Ok(&[("index.json", "one")]),
        );
        let link = entry(Type::Symlink, "a/l", "../index.json", b"");
        check("M18", "a link", &[one.clone(), link], Ok(&[("a/l", "one")]));
        check(
            "M18",
            "a link with a size",
            &[entry(Type::Symlink, "a", "b", &one), two.clone()],
            Err("no content"),
        );
        check(
            "M18",
            "a hard link with a size",
            &[entry(Type::Link, "a", "b", &one), two.clone()],
            Err("no content"),
        );
        check("M18", "a long name", &[long("a/b\0"), one.clone()], Ok(&[("a/b", "one")]));
        check("M18", "two names", &[long("a\0"), pax("9 path=b\n"), one.clone()], Err("two different names"));
        check(
            "M18",
            "a size for all",
            &[entry(Type::XGlobalHeader, "g", "", b"10 size=3\n"), one.clone()],
            Err("size"),
        );
        check(
            "M18",
            "a long header",
            &[pax(&"x".repeat(2 << 20)), one.clone()],
            Err("more than the archive may hold"),
        );
        check(
            "M18",
            "a very long name",
            &[long(&"x".repeat(2 << 20)), one.clone()],
            Err("more than the archive may hold"),
        );
        check("M18", "cut off", &[entry(Type::Regular, "a", "", &[1; 4096])[..512].to_vec()], Err("cut off"));
    }
}
