//! Two trees of one layer: the one in the store, and one without contents that was made of the layer's archive just now.
//!
//! Contents are proven by the archive's digest; here is what it cannot prove: that there is nothing else.

use crate::Result;
use crate::kind::failed;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

/// What is first found to differ: the path, and how. `sparse` files, by their inodes in `expected`, are compared to the byte.
pub(super) fn difference(
    expected: &OwnedFd,
    found: &OwnedFd,
    sparse: &BTreeSet<u64>,
) -> Result<Option<String>> {
    let different = |path: &[u8], how: &str| {
        let path = if path.is_empty() { b"/" } else { path };
        Ok(Some(format!("{:?} {how}", String::from_utf8_lossy(path))))
    };
    if let Some(how) = described(expected, found, b".")? {
        return different(b"", how);
    }
    let mut directories = vec![Vec::new()];
    while let Some(path) = directories.pop() {
        let (here, there) = (directory(expected, &path)?, directory(found, &path)?);
        let (names, names_found) = (names(&here)?, names(&there)?);
        let below =
            |name: &Vec<u8>| if path.is_empty() { name.clone() } else { [&path[..], name].join(&b'/') };
        if let Some(name) = names_found.difference(&names).next() {
            return different(&below(name), "was added");
        }
        if let Some(name) = names.difference(&names_found).next() {
            return different(&below(name), "is missing");
        }
        for name in &names {
            let path = below(name);
            if let Some(how) = described(&here, &there, name)? {
                return different(&path, how);
            }
            let about = stat(&here, name)?;
            match FileType::from_raw_mode(about.st_mode) {
                FileType::RegularFile
                    if sparse.contains(&about.st_ino) && !same_content(&here, &there, name)? =>
                {
                    return different(&path, "has another content");
                }
                FileType::Directory => directories.push(path),
                _ => {}
            }
        }
    }
    Ok(None)
}

fn directory(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = if path.is_empty() { b"." } else { path };
    rustix::fs::openat2(root, path, flags, Mode::empty(), inside)
        .map_err(failed(|| format!("openat2 {:?}", String::from_utf8_lossy(path))))
}

fn names(directory: &OwnedFd) -> Result<BTreeSet<Vec<u8>>> {
    let list = || -> rustix::io::Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for entry in Dir::read_from(directory)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if !matches!(&name[..], b"." | b"..") {
                names.insert(name);
            }
        }
        Ok(names)
    };
    list().map_err(failed(|| "getdents64".to_owned()))
}

fn stat(directory: impl AsFd, name: &[u8]) -> Result<Stat> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(failed(|| format!("fstatat {:?}", String::from_utf8_lossy(name))))
}

/// How two files of a name differ, but for their times and contents.
fn described(here: &OwnedFd, there: &OwnedFd, name: &[u8]) -> Result<Option<&'static str>> {
    let (one, other) = (stat(here, name)?, stat(there, name)?);
    let kind = FileType::from_raw_mode(one.st_mode);
    if FileType::from_raw_mode(other.st_mode) != kind {
        return Ok(Some("is another kind of file"));
    }
    if one.st_mode != other.st_mode {
        return Ok(Some("has another mode"));
    }
    if (one.st_uid, one.st_gid) != (other.st_uid, other.st_gid) {
        return Ok(Some("has another owner"));
    }
    let differs = match kind {
        FileType::RegularFile if one.st_size != other.st_size => Some("has another size"),
        FileType::BlockDevice | FileType::CharacterDevice if one.st_rdev != other.st_rdev => {
            Some("is another device")
        }
        FileType::Symlink if target(here, name)? != target(there, name)? => Some("leads elsewhere"),
        FileType::RegularFile | FileType::Directory
            if attributes(here, name)? != attributes(there, name)? =>
        {
            Some("has other attributes")
        }
        _ => None,
    };
    Ok(differs)
}

fn target(directory: &OwnedFd, name: &[u8]) -> Result<Vec<u8>> {
    let target = rustix::fs::readlinkat(directory, name, Vec::new());
    target.map(std::ffi::CString::into_bytes).map_err(failed(|| "readlinkat".to_owned()))
}

fn open(directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
        .map_err(failed(|| format!("open {:?}", String::from_utf8_lossy(name))))
}

/// Attributes that a layer can give a file, and those by which overlayfs hides files; labels are the machine's.
fn attributes(directory: &OwnedFd, name: &[u8]) -> Result<BTreeSet<(Vec<u8>, Vec<u8>)>> {
    let file = open(directory, name)?;
    let call = || "flistxattr".to_owned();
    let mut list = vec![0; 64 << 10];
    let length = match rustix::fs::flistxattr(&file, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length.map_err(failed(call))?,
    };
    let ours = |name: &&[u8]| {
        name.starts_with(b"user.") || name.starts_with(b"trusted.overlay.") || *name == b"security.capability"
    };
    let mut found = BTreeSet::new();
    for name in list[..length].split(|byte| *byte == 0).filter(ours) {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::fgetxattr(&file, name, &mut value[..]).map_err(failed(call))?;
        value.truncate(length);
        found.insert((name.to_vec(), value));
    }
    Ok(found)
}

fn same_content(here: &OwnedFd, there: &OwnedFd, name: &[u8]) -> Result<bool> {
    let (mut one, mut other) = (File::from(open(here, name)?), File::from(open(there, name)?));
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let count = one.read(&mut left).map_err(failed(|| "read".to_owned()))?;
        match other.read_exact(&mut right[..count]) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read.map_err(failed(|| "read".to_owned()))?,
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}
