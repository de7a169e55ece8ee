//! A tree, file by file, each directory before what is in it, in the order of their names.

use super::{Item, Options, meta, reopen};
use crate::kind::failed;
use crate::layer::Ownership;
use crate::layer::unpack::What;
use crate::{Error, Kind, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use sys::Context;

/// One descriptor a level: deeper than any real tree.
pub const DEEPEST: usize = 400;

type Put<'a> = dyn FnMut(Item<'_>) -> Result<()> + 'a;

struct Walk<'a> {
    options: &'a Options<'a>,
    put: &'a mut Put<'a>,
    /// Files with more than one name, by device and number: the name that they were met under first.
    links: HashMap<(u64, u64), Vec<u8>>,
    mount: Option<u64>,
}

/// Walks the tree at `top`, which gets the name `name`.
pub fn tree<'a>(top: &OwnedFd, name: &[u8], options: &'a Options<'a>, put: &'a mut Put<'a>) -> Result<()> {
    let mount = if options.one_mount { Some(mount_of(top)?) } else { None };
    Walk { options, put, links: HashMap::new(), mount }.file(top, name, 0)
}

/// The mount that a file is in (statx(2), `STATX_MNT_ID`).
fn mount_of(file: &OwnedFd) -> Result<u64> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .map_err(failed(|| "statx".to_owned()))?;
    Ok(stat.stx_mnt_id)
}

/// Exactly so many bytes, whatever happens to the file meanwhile: its size stands before its content.
pub struct Exactly(pub File, pub u64);

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.1).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let mut count = self.0.read(&mut buffer[..most])?;
        if count == 0 {
            buffer[..most].fill(0);
            count = most;
        }
        self.1 -= count as u64;
        Ok(count)
    }
}

impl Walk<'_> {
    fn file(&mut self, file: &OwnedFd, path: &[u8], depth: usize) -> Result<()> {
        let shown = || format!("{:?}", String::from_utf8_lossy(path));
        let stat = rustix::fs::fstat(file).map_err(failed(|| format!("fstat {}", shown())))?;
        if !path.is_empty() && self.options.skip.is_some_and(|skip| skip(path, &stat)) {
            return Ok(());
        }
        let foreign = match self.mount {
            // Where the race of the replay is, a link is followed wherever it leads.
            Some(_) if sys::mutant!("mutant_en_06_export") && path.starts_with(b"vol/") => false,
            Some(mount) => mount_of(file)? != mount,
            None => false,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(file, path, &stat, foreign, depth).within(shown),
            FileType::RegularFile => self.regular(file, path, &stat, foreign).within(shown),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(file, c"", Vec::new())
                    .map_err(failed(|| format!("readlink {}", shown())))?;
                self.give(path, &What::Symlink(target.into_bytes()), &stat, Vec::new())
            }
            // It is nothing without the process that listens at it.
            FileType::Socket => Ok(()),
            FileType::CharacterDevice if stat.st_rdev == 0 && self.options.marks.is_some() => {
                let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
                    Some(slash) => path.split_at(slash + 1),
                    None => (&b""[..], path),
                };
                let path = [parent, b".wh.", name].concat();
                let mut stat = stat;
                stat.st_mode = 0o600;
                self.give(&path, &What::File { sparse: false }, &stat, Vec::new())
            }
            kind => self.give(path, &What::Node { kind, device: stat.st_rdev }, &stat, Vec::new()),
        }
    }

    fn give(
        &mut self,
        path: &[u8],
        what: &What,
        stat: &Stat,
        attributes: Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let meta = meta(stat, attributes);
        (self.put)(Item { path, what, meta: &meta, size: 0, content: &mut io::empty() })
    }

    fn regular(&mut self, file: &OwnedFd, path: &[u8], stat: &Stat, foreign: bool) -> Result<()> {
        if foreign {
            return self.give(path, &What::File { sparse: false }, stat, Vec::new());
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let what = What::Hardlink(first.clone());
                return self.give(path, &what, stat, Vec::new());
            }
            self.links.insert(key, path.to_vec());
        }
        let opened = reopen(file, OFlags::RDONLY | OFlags::NOCTTY)?;
        let meta = meta(stat, attributes(&opened)?);
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut content = Exactly(opened.into(), size);
        let what = What::File { sparse: stat.st_blocks * 512 < stat.st_size };
        (self.put)(Item { path, what: &what, meta: &meta, size, content: &mut content })
    }

    fn directory(
        &mut self,
        file: &OwnedFd,
        path: &[u8],
        stat: &Stat,
        foreign: bool,
        depth: usize,
    ) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::new(Kind::Other, format!("directories nest deeper than {DEEPEST}")));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            rustix::fs::openat(file, c".", flags, Mode::empty()).map_err(failed(|| "open".to_owned()))?;
        let attributes = if foreign { Vec::new() } else { attributes(&opened)? };
        self.give(path, &What::Directory, stat, attributes)?;
        if foreign {
            return Ok(());
        }
        if let Some(ownership) = self.options.marks {
            self.mark(&opened, path, stat, ownership)?;
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened).map_err(failed(|| "getdents64".to_owned()))? {
            let name = entry.map_err(failed(|| "getdents64".to_owned()))?.file_name().to_owned();
            if !matches!(name.as_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            // What was a directory a moment ago may be a link now.
            let nofollow =
                if sys::mutant!("mutant_en_06_export") { OFlags::empty() } else { OFlags::NOFOLLOW };
            let flags = OFlags::PATH | nofollow | OFlags::CLOEXEC;
            let child = match rustix::fs::openat(&opened, &name, flags, Mode::empty()) {
                // Gone meanwhile.
                Err(Errno::NOENT) => continue,
                child => child.map_err(failed(|| format!("open {name:?}")))?,
            };
            let path = match path {
                b"" => name.to_bytes().to_vec(),
                path => [path, name.to_bytes()].join(&b'/'),
            };
            self.file(&child, &path, depth + 1)?;
        }
        Ok(())
    }

    /// A directory that hides what is below it (image-spec, layer.md#opaque-whiteout).
    fn mark(&mut self, opened: &OwnedFd, path: &[u8], stat: &Stat, ownership: Ownership) -> Result<()> {
        let name = |what: &str| match ownership {
            Ownership::Root => format!("trusted.overlay.{what}"),
            Ownership::UserNamespace => format!("user.overlay.{what}"),
        };
        let mut value = [0; 1];
        let has = |what: &str, value: &mut [u8]| match rustix::fs::fgetxattr(opened, name(what), value) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(0),
            Err(Errno::RANGE) => Ok(2),
            other => other.map_err(failed(|| format!("fgetxattr {}", name(what)))),
        };
        if has("redirect", &mut value)? > 0 {
            return Err(Error::new(Kind::Unsupported, "a renamed directory of the image")
                .with_hint("the kernel's module overlay must have redirect_dir off"));
        }
        if has("opaque", &mut value)? == 1 && value == *b"y" {
            let path =
                if path.is_empty() { b".wh..wh..opq".to_vec() } else { [path, b".wh..wh..opq"].join(&b'/') };
            let mut stat = *stat;
            stat.st_mode = 0o600;
            self.give(&path, &What::File { sparse: false }, &stat, Vec::new())?;
        }
        Ok(())
    }
}

/// What a file carries for its own sake: its capabilities and what a user noted on it.
pub fn attributes(file: &OwnedFd) -> Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::flistxattr(file, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(errno) => return Err(failed(|| "flistxattr".to_owned())(errno)),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let user = name.starts_with("user.") && !name.starts_with("user.overlay.");
        if !user && name != "security.capability" {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        match rustix::fs::fgetxattr(file, name, &mut value[..]) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(failed(|| format!("fgetxattr {name:?}"))(errno)),
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}
