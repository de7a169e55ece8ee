//! The layers of an image as one tree, as overlayfs shows them (Documentation/filesystems/overlayfs.rst), without mounting them.

use super::walk::{DEEPEST, Exactly, attributes};
use super::{Item, meta, reopen};
use crate::kind::failed;
use crate::layer::Ownership;
use crate::layer::unpack::What;
use crate::{Error, Kind, Result};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use sys::{Context, Patience};

/// Hears of a file; of one with content also the layer, by its place among them, that it is of.
type Put<'a> = dyn FnMut(Item<'_>, usize) -> Result<()> + 'a;

struct Merge<'a> {
    layers: Vec<OwnedFd>,
    ownership: Ownership,
    put: &'a mut Put<'a>,
    /// Files with more than one name, by layer, device and number: the name that they were met under first.
    links: HashMap<(usize, u64, u64), Vec<u8>>,
}

/// Walks the tree that `layers`, bottom first, are together: each directory before what is in it.
pub fn tree<'a>(layers: &[PathBuf], ownership: Ownership, put: &'a mut Put<'a>) -> Result<()> {
    let open = |layer: &PathBuf| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(layer, flags, Mode::empty()).map_err(failed(|| format!("open {layer:?}")))
    };
    let layers = layers.iter().rev().map(open).collect::<Result<Vec<_>>>()?;
    let all: Vec<usize> = (0..layers.len()).collect();
    Merge { layers, ownership, put, links: HashMap::new() }.directory(b"", &all, 0)
}

/// What the layers have under a name.
struct Found {
    file: OwnedFd,
    stat: Stat,
    /// The layer that it is of.
    layer: usize,
    /// Of a directory, the layers that are merged in it, top first.
    merged: Vec<usize>,
}

impl Merge<'_> {
    /// A directory that these layers have, top first.
    fn directory(&mut self, path: &[u8], layers: &[usize], depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::new(Kind::Other, format!("directories nest deeper than {DEEPEST}")));
        }
        let mut open: Vec<(usize, OwnedFd)> = Vec::new();
        for layer in layers {
            let directory = self.open(*layer, path)?;
            open.push((*layer, directory));
            if self.is_opaque(open.last().map(|(_, directory)| directory))? {
                break;
            }
        }
        let mut names = BTreeSet::new();
        for (index, (_, directory)) in open.iter().enumerate() {
            if index == 0 {
                let stat = rustix::fs::fstat(directory).map_err(failed(|| "fstat".to_owned()))?;
                self.give(path, &What::Directory, &stat, attributes(directory)?, 0)?;
            }
            for entry in Dir::read_from(directory).map_err(failed(|| "getdents64".to_owned()))? {
                let name = entry.map_err(failed(|| "getdents64".to_owned()))?.file_name().to_owned();
                if !matches!(name.as_bytes(), b"." | b"..") {
                    names.insert(name);
                }
            }
        }
        let mut below = Vec::new();
        for name in names {
            let Some(found) = look(&open, &name)? else { continue };
            let path = match path {
                b"" => name.to_bytes().to_vec(),
                path => [path, name.to_bytes()].join(&b'/'),
            };
            if FileType::from_raw_mode(found.stat.st_mode) == FileType::Directory {
                below.push((path, found.merged));
            } else {
                self.file(&path, &found).within(|| format!("{:?}", String::from_utf8_lossy(&path)))?;
            }
        }
        // Closed before others are opened: not as many at once as there are layers and levels.
        drop(open);
        below.iter().try_for_each(|(path, layers)| self.directory(path, layers, depth + 1))
    }

    fn open(&self, layer: usize, path: &[u8]) -> Result<OwnedFd> {
        let root = self.layers.get(layer).ok_or_else(|| Error::new(Kind::Other, "no such layer"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let name = if path.is_empty() { b"." } else { path };
        let mut patience = Patience::default();
        loop {
            let opened = rustix::fs::openat2(root, name, flags, Mode::empty(), how);
            if !patience.goes_on(&opened) {
                return opened.map_err(failed(|| format!("openat2 {:?}", String::from_utf8_lossy(path))));
            }
        }
    }

    fn is_opaque(&self, directory: Option<&OwnedFd>) -> Result<bool> {
        let Some(directory) = directory else { return Ok(false) };
        let name = match self.ownership {
            Ownership::Root => "trusted.overlay.opaque",
            Ownership::UserNamespace => "user.overlay.opaque",
        };
        let mut value = [0; 1];
        match rustix::fs::fgetxattr(directory, name, &mut value) {
            Ok(length) => Ok(length == 1 && value == *b"y"),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
            Err(errno) => Err(failed(|| format!("fgetxattr {name}"))(errno)),
        }
    }

    fn give(
        &mut self,
        path: &[u8],
        what: &What,
        stat: &Stat,
        attributes: Vec<(String, Vec<u8>)>,
        layer: usize,
    ) -> Result<()> {
        let meta = meta(stat, attributes);
        (self.put)(Item { path, what, meta: &meta, size: 0, content: &mut io::empty() }, layer)
    }

    fn file(&mut self, path: &[u8], found: &Found) -> Result<()> {
        let Found { file, stat, .. } = found;
        // As layers are numbered outside of here.
        let layer = self.layers.len() - 1 - found.layer;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(file, c"", Vec::new())
                    .map_err(failed(|| "readlink".to_owned()))?;
                return self.give(path, &What::Symlink(target.into_bytes()), stat, Vec::new(), layer);
            }
            kind => {
                let what = What::Node { kind, device: stat.st_rdev };
                return self.give(path, &what, stat, Vec::new(), layer);
            }
        }
        if stat.st_nlink > 1 {
            let key = (found.layer, stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let what = What::Hardlink(first.clone());
                return self.give(path, &what, stat, Vec::new(), layer);
            }
            self.links.insert(key, path.to_vec());
        }
        let opened = reopen(file, OFlags::RDONLY | OFlags::NOCTTY)?;
        let meta = meta(stat, attributes(&opened)?);
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut content = Exactly(opened.into(), size);
        let what = What::File { sparse: stat.st_blocks * 512 < stat.st_size };
        (self.put)(Item { path, what: &what, meta: &meta, size, content: &mut content }, layer)
    }
}

fn look(open: &[(usize, OwnedFd)], name: &CString) -> Result<Option<Found>> {
    let mut found: Option<Found> = None;
    for (layer, directory) in open {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            file => file.map_err(failed(|| format!("open {name:?}")))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(failed(|| format!("fstat {name:?}")))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        // A whiteout, or a file that is hidden by a directory.
        let hides = (kind == FileType::CharacterDevice && stat.st_rdev == 0)
            || (found.is_some() && kind != FileType::Directory);
        if hides {
            break;
        }
        let one = found.get_or_insert_with(|| Found { file, stat, layer: *layer, merged: Vec::new() });
        if kind != FileType::Directory {
            break;
        }
        one.merged.push(*layer);
    }
    Ok(found)
}
