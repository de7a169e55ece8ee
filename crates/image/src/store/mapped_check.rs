//! Whether an image's files with other owners are those of its layers: the same tree, the same contents, one owner for each.

use crate::archive::{Item, merged, reopen};
use crate::kind::failed;
use crate::layer::Ownership;
use crate::layer::unpack::What;
use crate::{Error, Kind, Result};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What is first found to differ: the path, and how. The layers themselves are proven already.
pub(super) fn difference(
    layers: &[PathBuf],
    ownership: Ownership,
    tree: &Path,
    marked: bool,
) -> Result<Option<String>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(tree, flags, Mode::empty()).map_err(failed(|| format!("open {tree:?}")))?;
    let mut check = Check { root, marked, owners: HashMap::new(), paths: BTreeSet::new() };
    let mut wrong: Option<String> = None;
    merged::tree(layers, ownership, &mut |item, layer| {
        check.paths.insert(item.path.to_vec());
        if wrong.is_none() {
            let of = layers.get(layer).and_then(|layer| layer.parent()).and_then(Path::file_name);
            let of = of.unwrap_or_default().as_encoded_bytes();
            let path = shown(item.path);
            wrong = check.differs(item, of)?.map(|how| format!("{path} {how}"));
        }
        Ok(())
    })?;
    match wrong {
        Some(wrong) => Ok(Some(wrong)),
        None => check.added(),
    }
}

fn shown(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(if path.is_empty() { b"/" } else { path }))
}

struct Check {
    root: OwnedFd,
    /// Whether the contents are those of the layers.
    marked: bool,
    /// What a user or a group of the layers is here: the same everywhere.
    owners: HashMap<(bool, u32), u32>,
    paths: BTreeSet<Vec<u8>>,
}

impl Check {
    fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn differs(&mut self, item: Item<'_>, of: &[u8]) -> Result<Option<&'static str>> {
        let file = match self.open(item.path, OFlags::PATH | OFlags::NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Some("is missing")),
            opened => opened.map_err(failed(|| "openat2".to_owned()))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(failed(|| "fstat".to_owned()))?;
        if let Some(how) = self.described(&item, &file, &stat)? {
            return Ok(Some(how));
        }
        match item.what {
            What::File { .. } | What::Hole { .. } => self.content(item, of, &file, &stat),
            _ => Ok(None),
        }
    }

    fn described(&mut self, item: &Item<'_>, file: &OwnedFd, stat: &Stat) -> Result<Option<&'static str>> {
        let found = FileType::from_raw_mode(stat.st_mode);
        let kind = match item.what {
            What::Directory => FileType::Directory,
            What::Symlink(_) => FileType::Symlink,
            What::Node { kind, .. } => *kind,
            What::File { .. } | What::Hole { .. } => FileType::RegularFile,
            What::Hardlink(first) => {
                let first = self.open(first, OFlags::PATH | OFlags::NOFOLLOW).and_then(rustix::fs::fstat);
                let same = first.is_ok_and(|first| first.st_ino == stat.st_ino);
                return Ok((!same).then_some("is another file"));
            }
        };
        if found != kind {
            return Ok(Some("is another kind of file"));
        }
        for (is_group, original, now) in
            [(false, item.meta.owner.as_raw(), stat.st_uid), (true, item.meta.group.as_raw(), stat.st_gid)]
        {
            if *self.owners.entry((is_group, original)).or_insert(now) != now {
                return Ok(Some("has another owner"));
            }
        }
        match item.what {
            What::Symlink(target) => {
                let found = rustix::fs::readlinkat(file, c"", Vec::new())
                    .map_err(failed(|| "readlinkat".to_owned()))?;
                Ok((found.as_bytes() != target.as_slice()).then_some("leads elsewhere"))
            }
            What::Node { device, .. } if kind != FileType::Fifo && stat.st_rdev != *device => {
                Ok(Some("is another device"))
            }
            _ if stat.st_mode & 0o7777 != item.meta.mode.as_raw_mode() => Ok(Some("has another mode")),
            _ => Ok(None),
        }
    }

    fn content(
        &self,
        item: Item<'_>,
        of: &[u8],
        file: &OwnedFd,
        stat: &Stat,
    ) -> Result<Option<&'static str>> {
        if u64::try_from(stat.st_size).ok() != Some(item.size) {
            return Ok(Some("has another size"));
        }
        if item.size == 0 {
            return Ok(None);
        }
        let opened = reopen(file, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK)?;
        let same = if self.marked {
            let place = [b"/", of, b"/diff/", item.path].concat();
            let mut value = vec![0; place.len() + 1];
            let found = rustix::fs::fgetxattr(&opened, "user.overlay.redirect", &mut value[..]);
            let leads = found.is_ok_and(|length| value.get(..length) == Some(&place[..]));
            let mut length = [0; 0];
            let marks = rustix::fs::fgetxattr(&opened, "user.overlay.metacopy", &mut length);
            if !leads || marks.is_err() {
                return Ok(Some("has other attributes"));
            }
            is_empty(opened)?
        } else {
            is_same(item.content, &mut File::from(opened))?
        };
        Ok((!same).then_some("has another content"))
    }

    /// What no layer has.
    fn added(&self) -> Result<Option<String>> {
        let mut directories = vec![Vec::new()];
        while let Some(path) = directories.pop() {
            let directory = self
                .open(&path, OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(failed(|| format!("openat2 {}", shown(&path))))?;
            for entry in Dir::read_from(&directory).map_err(failed(|| "getdents64".to_owned()))? {
                let entry = entry.map_err(failed(|| "getdents64".to_owned()))?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let below = if path.is_empty() { name.to_vec() } else { [&path[..], name].join(&b'/') };
                if !self.paths.contains(&below) {
                    return Ok(Some(format!("{} was added", shown(&below))));
                }
                let about = rustix::fs::statat(&directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(failed(|| format!("fstatat {}", shown(&below))))?;
                if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
                    directories.push(below);
                }
            }
        }
        Ok(None)
    }
}

/// Whether a file is one hole: overlayfs takes the content from elsewhere.
fn is_empty(file: OwnedFd) -> Result<bool> {
    match rustix::fs::seek(&file, SeekFrom::Data(0)) {
        Err(Errno::NXIO) => return Ok(true),
        other => other.map(drop).map_err(failed(|| "lseek SEEK_DATA".to_owned()))?,
    }
    let mut file = File::from(file);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = file.read(&mut buffer).map_err(failed(|| "read".to_owned()))?;
        if count == 0 {
            return Ok(true);
        }
        if buffer[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

/// Whether two contents of one length are the same.
fn is_same(one: &mut dyn Read, other: &mut dyn Read) -> Result<bool> {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one.read(&mut left).map_err(failed(|| "read".to_owned()))?;
        if count == 0 {
            return Ok(true);
        }
        match other.read_exact(&mut right[..count]) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read.map_err(failed(|| "read".to_owned()))?,
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

/// Of a directory that `mapped` has made, whether its contents are those of the layers.
pub(super) fn is_marked(name: &str) -> Result<bool> {
    match name.split_once('-') {
        Some(("marked", _)) => Ok(true),
        Some(("whole", _)) => Ok(false),
        _ => Err(Error::new(Kind::Corrupt, format!("{name:?} is no tree of a user namespace"))),
    }
}
