//! The directory that a layer is unpacked to: every file is made beside an open parent, under its last name.
//!
//! A symbolic link as a parent is resolved as a process in that root would resolve it; as the last component it is
//! replaced, never followed.

use super::super::overwritten::Overwritten;
use super::super::{Ownership, tree};
use super::entry::Meta;
use crate::kind::failed;
use crate::{Error, Kind, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// A mutant: links and `..` lead where the kernel takes them by itself.
fn follows_links_out() -> bool {
    sys::mutant!("mutant_im_02", "mutant_im_02_up", "mutant_im_03", "mutant_en_06")
}

pub(super) struct Place {
    root: OwnedFd,
    ownership: Ownership,
    /// Whether a directory only takes the place of a directory, and a file that of a file.
    careful: bool,
    /// Archives list directory after directory: the last parent is mostly the next one.
    last: Option<(Vec<u8>, Parent)>,
    /// Directories that were made for their place in a path.
    made: u64,
    /// What later entries took the place of, where that is to be kept.
    overwritten: Option<Overwritten>,
}

/// The directory of an entry.
#[derive(Clone)]
struct Parent {
    directory: Rc<OwnedFd>,
    /// Whether its path leads through a symbolic link.
    linked: bool,
}

fn shown(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}

impl Place {
    pub fn new(root: OwnedFd, ownership: Ownership, careful: bool, overwritten: Option<Overwritten>) -> Self {
        Self { root, ownership, careful, last: None, made: 0, overwritten }
    }

    /// The parent of an entry, made as far as it is missing.
    fn parent(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        self.parent_and_way(path).map(|parent| parent.directory)
    }

    fn parent_and_way(&mut self, path: &[u8]) -> Result<Parent> {
        if let Some((known, parent)) = &self.last
            && known == path
        {
            return Ok(parent.clone());
        }
        let plain =
            if follows_links_out() { ResolveFlags::empty() } else { INSIDE | ResolveFlags::NO_SYMLINKS };
        let found = match self.resolved(path, plain) {
            Err(Errno::LOOP) => self.inside(path).map(|opened| (opened, true)),
            found => found.map(|opened| (opened, false)),
        };
        let (opened, linked) = match found {
            Err(Errno::NOENT) => self.make_parents(path)?,
            found => found.map_err(|errno| unresolved(path, errno))?,
        };
        let parent = Parent { directory: Rc::new(opened), linked };
        self.last = Some((path.to_vec(), parent.clone()));
        Ok(parent)
    }

    fn inside(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.resolved(path, if follows_links_out() { ResolveFlags::empty() } else { INSIDE })
    }

    fn resolved(&self, path: &[u8], how: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        loop {
            match rustix::fs::openat2(&self.root, path, OPEN, Mode::empty(), how) {
                // The kernel could not rule out a race with a rename elsewhere; openat2(2) says to try again.
                Err(Errno::AGAIN | Errno::INTR) => (),
                opened => return opened,
            }
        }
    }

    /// The directory that all of it goes to.
    pub fn directory_itself(&self) -> &OwnedFd {
        &self.root
    }

    /// What later entries took the place of, where that is kept.
    pub fn overwritten(&self) -> Option<&Overwritten> {
        self.overwritten.as_ref()
    }

    /// Removes what is left of it.
    pub fn clear_overwritten(&mut self) -> Result<()> {
        self.overwritten.as_mut().map_or(Ok(()), Overwritten::clear)
    }

    /// Whether a path leads to the file with this inode.
    pub fn has(&self, path: &[u8], inode: u64) -> bool {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), INSIDE) {
                Err(Errno::AGAIN | Errno::INTR) => (),
                found => break found,
            }
        };
        found.and_then(rustix::fs::fstat).is_ok_and(|stat| {
            stat.st_ino == inode && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        })
    }

    /// Sees to it that the content of a file can be found, also when its path comes to lead elsewhere.
    pub fn share(&mut self, parent: &[u8], name: &[u8], inode: u64) -> Result<()> {
        let parent = self.parent_and_way(parent)?;
        match &mut self.overwritten {
            Some(overwritten) if parent.linked => overwritten.share(&parent.directory, name, inode),
            _ => Ok(()),
        }
    }

    /// How many directories were made since the last time only because they stand in a path.
    pub fn parents_made(&mut self) -> u64 {
        std::mem::take(&mut self.made)
    }

    /// The last directory of a path, and whether it leads through a link.
    fn make_parents(&mut self, path: &[u8]) -> Result<(OwnedFd, bool)> {
        let mut linked = false;
        let mut at = self.inside(b"").map_err(|errno| unresolved(b".", errno))?;
        let mut end = 0;
        for name in path.split(|b| *b == b'/') {
            end += name.len() + usize::from(end > 0);
            // From the last one: from the root, a path of two thousand names would be looked up two thousand times.
            at = match rustix::fs::openat(&at, name, OPEN | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(found) => found,
                Err(Errno::NOENT) => {
                    self.made += 1;
                    make_directory(&at, name)?
                }
                // A link, or a file.
                Err(Errno::LOOP | Errno::NOTDIR) => match self.inside(&path[..end]) {
                    Ok(found) => {
                        linked = true;
                        found
                    }
                    Err(Errno::NOENT) => make_directory(&at, name)?,
                    Err(errno) => return Err(unresolved(&path[..end], errno)),
                },
                Err(errno) => return Err(unresolved(&path[..end], errno)),
            };
        }
        Ok((at, linked))
    }

    /// Runs a call that makes `name`; whatever has the name already goes first. True if that was a whiteout.
    fn replacing<T>(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<(T, bool)> {
        let call = || format!("make {}", shown(name));
        match make() {
            Err(Errno::EXIST) => {
                let found = kind_of(parent, name)?;
                if self.careful && found == Some(Found::Directory) {
                    let text = format!("cannot put a file over the directory {}", shown(name));
                    return Err(Error::new(Kind::Other, text));
                }
                let whiteout = found == Some(Found::Whiteout);
                // It may have been the parent that is remembered, or one above it.
                self.last = None;
                match &mut self.overwritten {
                    Some(overwritten) => {
                        tree::remove_after(parent, name, &mut |parent, name| overwritten.take(parent, name))?;
                    }
                    None => tree::remove(parent, name)?,
                }
                Ok((make().map_err(failed(call))?, whiteout))
            }
            made => Ok((made.map_err(failed(call))?, false)),
        }
    }

    pub fn file(&mut self, parent: &[u8], name: &[u8]) -> Result<OwnedFd> {
        let parent = self.parent(parent)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(self.replacing(&parent, name, || rustix::fs::openat(&*parent, name, flags, mode))?.0)
    }

    pub fn directory(&mut self, parent: &[u8], name: &[u8]) -> Result<OwnedFd> {
        let parent = self.parent(parent)?;
        let nofollow = if sys::mutant!("mutant_im_01") { OFlags::empty() } else { OFlags::NOFOLLOW };
        let open = || rustix::fs::openat(&*parent, name, OPEN | nofollow, Mode::empty());
        match rustix::fs::mkdirat(&*parent, name, Mode::RWXU) {
            Err(Errno::EXIST) if kind_of(&parent, name)? == Some(Found::Directory) => (),
            Err(Errno::EXIST) if self.careful => {
                let text = format!("cannot put a directory over the file {}", shown(name));
                return Err(Error::new(Kind::Other, text));
            }
            Err(Errno::EXIST) => {
                let (_, whiteout) =
                    self.replacing(&parent, name, || rustix::fs::mkdirat(&*parent, name, Mode::RWXU))?;
                // The lower directory is gone, and this one is new: without the mark they would be merged.
                if whiteout {
                    self.mark(&open().map_err(failed(|| format!("open {}", shown(name))))?)?;
                }
            }
            made => made.map_err(failed(|| format!("mkdir {}", shown(name))))?,
        }
        open().map_err(failed(|| format!("open {}", shown(name))))
    }

    pub fn symlink(&mut self, parent: &[u8], name: &[u8], target: &[u8], meta: &Meta) -> Result<()> {
        let parent = self.parent(parent)?;
        self.replacing(&parent, name, || rustix::fs::symlinkat(target, &*parent, name))?;
        own(&parent, name, meta)?;
        rustix::fs::utimensat(&*parent, name, &meta.times(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed(|| format!("utimensat {}", shown(name))))
    }

    /// A second name for a file of the same layer; for a symbolic link, of the link itself.
    pub fn hardlink(
        &mut self,
        parent: &[u8],
        name: &[u8],
        target_parent: &[u8],
        target: &[u8],
    ) -> Result<()> {
        let how = if sys::mutant!("mutant_im_02_hard") { ResolveFlags::empty() } else { INSIDE };
        let from = self.resolved(target_parent, how).map_err(|errno| unresolved(target_parent, errno))?;
        let missing =
            || Error::new(Kind::Corrupt, format!("hard link to {}, which is not there", shown(target)));
        let wanted = rustix::fs::statat(&from, target, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        if FileType::from_raw_mode(wanted.st_mode) == FileType::Directory || is_whiteout(&wanted) {
            return Err(Error::new(
                Kind::Corrupt,
                format!("hard link to {}, which is no file", shown(target)),
            ));
        }
        let parent = self.parent(parent)?;
        if let Ok(there) = rustix::fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW)
            && (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino)
        {
            return Ok(());
        }
        self.replacing(&parent, name, || rustix::fs::linkat(&from, target, &*parent, name, AtFlags::empty()))
            .map(drop)
    }

    /// A device or FIFO; it is never opened.
    pub fn node(
        &mut self,
        parent: &[u8],
        name: &[u8],
        kind: FileType,
        device: u64,
        meta: &Meta,
    ) -> Result<()> {
        if self.ownership == Ownership::UserNamespace && kind != FileType::Fifo {
            // mknod(2) is refused there, and such a node would not open either.
            return Ok(());
        }
        let parent = self.parent(parent)?;
        self.replacing(&parent, name, || rustix::fs::mknodat(&*parent, name, kind, Mode::empty(), device))?;
        self.describe_node(&parent, name, kind, device, meta)
    }

    /// By a descriptor: whoever shares the directory may have put a link under the name meanwhile, or a file that it may not change
    /// itself.
    fn describe_node(
        &self,
        parent: &OwnedFd,
        name: &[u8],
        kind: FileType,
        device: u64,
        meta: &Meta,
    ) -> Result<()> {
        let call = |call: &'static str| move || format!("{call} {}", shown(name));
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed(call("open")))?;
        let stat = rustix::fs::fstat(&made).map_err(failed(call("fstat")))?;
        let same = FileType::from_raw_mode(stat.st_mode) == kind
            && (kind == FileType::Fifo || stat.st_rdev == device);
        if !same || stat.st_nlink != 1 {
            return Err(Error::new(Kind::Other, format!("{} became another file", shown(name))));
        }
        rustix::fs::chownat(&made, c"", Some(meta.owner), Some(meta.group), AtFlags::EMPTY_PATH)
            .map_err(|errno| unmapped(errno, meta))?;
        // What an O_PATH descriptor is open on cannot be changed by fchmod(2), nor by fchmodat2(2) before Linux 6.6.
        let path = format!("/proc/self/fd/{}", made.as_raw_fd());
        rustix::fs::chmod(&path, meta.mode).map_err(failed(call("chmod")))?;
        rustix::fs::utimensat(rustix::fs::CWD, &path, &meta.times(), AtFlags::empty())
            .map_err(failed(call("utimensat")))
    }

    /// Hides a name of the layers below. What this layer itself has under the name stays (layer.md#whiteouts).
    pub fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Result<()> {
        let parent = self.parent(parent)?;
        match rustix::fs::mknodat(&*parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::EXIST) if kind_of(&parent, name)? == Some(Found::Directory) => {
                let directory = rustix::fs::openat(&*parent, name, OPEN | OFlags::NOFOLLOW, Mode::empty())
                    .map_err(failed(|| format!("open {}", shown(name))))?;
                self.mark(&directory)
            }
            Err(Errno::EXIST) => Ok(()),
            made => made.map_err(failed(|| format!("mknod whiteout {}", shown(name)))),
        }
    }

    /// Hides all that the layers below have in a directory.
    pub fn opaque(&mut self, path: &[u8]) -> Result<()> {
        self.parent(path)?;
        let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let name = if path.is_empty() { b"." } else { path };
        let directory = rustix::fs::openat2(&self.root, name, OPEN, Mode::empty(), strict)
            .map_err(|errno| unresolved(path, errno))?;
        self.mark(&directory)
    }

    fn mark(&self, directory: &OwnedFd) -> Result<()> {
        let name = match self.ownership {
            Ownership::Root => "trusted.overlay.opaque",
            Ownership::UserNamespace => "user.overlay.opaque",
        };
        rustix::fs::fsetxattr(directory, name, b"y", XattrFlags::empty()).map_err(|errno| {
            failed(|| format!("fsetxattr {name}"))(errno)
                .with_hint("the image store must be on a file system with extended attributes")
        })
    }

    /// Describes the root itself.
    pub fn root(&self, meta: &Meta) -> Result<()> {
        describe(&self.root, meta)
    }

    /// Sets the time of a directory, if it is still one.
    pub fn touch(&self, path: &[u8], times: &Timestamps) -> Result<()> {
        match self.inside(path) {
            Ok(directory) => rustix::fs::futimens(&directory, times)
                .map_err(failed(|| format!("futimens {}", shown(path)))),
            Err(_) => Ok(()),
        }
    }
}

#[derive(PartialEq)]
enum Found {
    Directory,
    Whiteout,
    Other,
}

fn kind_of(parent: &OwnedFd, name: &[u8]) -> Result<Option<Found>> {
    let nofollow = if sys::mutant!("mutant_im_01") { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    match rustix::fs::statat(parent, name, nofollow) {
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(failed(|| format!("stat {}", shown(name)))(errno)),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            Ok(Some(Found::Directory))
        }
        Ok(stat) if is_whiteout(&stat) => Ok(Some(Found::Whiteout)),
        Ok(_) => Ok(Some(Found::Other)),
    }
}

fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn unresolved(path: &[u8], errno: Errno) -> Error {
    let failure = failed(|| format!("openat2 {}", shown(path)))(errno);
    // These are properties of the archive, not of the machine.
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG => {
            failure.recast(|_| Kind::Corrupt)
        }
        _ => failure,
    }
}

/// A parent that the archive does not list: root's, 0755.
fn make_directory(at: &OwnedFd, name: &[u8]) -> Result<OwnedFd> {
    let call = || format!("mkdir {}", shown(name));
    match rustix::fs::mkdirat(at, name, Mode::RWXU) {
        // A symbolic link to nowhere stands there.
        Err(Errno::EXIST) => {
            return Err(Error::new(Kind::Corrupt, format!("{} is no directory", shown(name))));
        }
        made => made.map_err(failed(call))?,
    }
    let made = rustix::fs::openat(at, name, OPEN | OFlags::NOFOLLOW, Mode::empty()).map_err(failed(call))?;
    // In a directory with set-group-id it has got that one's group.
    rustix::fs::fchown(&made, None, Some(rustix::process::getegid())).map_err(failed(call))?;
    // Not at mkdir: the umask would take away from it.
    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755)).map_err(failed(call))?;
    Ok(made)
}

fn own(parent: impl AsFd, name: &[u8], meta: &Meta) -> Result<()> {
    rustix::fs::chownat(parent, name, Some(meta.owner), Some(meta.group), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| unmapped(errno, meta))
}

/// Owner, attributes and mode, in this order: chown(2) takes away capabilities and set-user-id.
pub(super) fn describe(file: &OwnedFd, meta: &Meta) -> Result<()> {
    rustix::fs::fchown(file, Some(meta.owner), Some(meta.group)).map_err(|errno| unmapped(errno, meta))?;
    for (name, value) in &meta.attributes {
        match rustix::fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty()) {
            // A store without user.* attributes can still hold the image.
            Err(Errno::OPNOTSUPP) if name.starts_with("user.") => (),
            set => set.map_err(failed(|| format!("fsetxattr {name:?} of {} bytes", value.len())))?,
        }
    }
    rustix::fs::fchmod(file, meta.mode).map_err(failed(|| format!("fchmod {:o}", meta.mode.as_raw_mode())))
}

fn unmapped(errno: Errno, meta: &Meta) -> Error {
    let failure = failed(|| format!("chown {}:{}", meta.owner.as_raw(), meta.group.as_raw()))(errno);
    if errno == Errno::INVAL {
        return failure.with_hint(
            "this owner has no id in the user namespace: give the user more in /etc/subuid and /etc/subgid",
        );
    }
    failure
}
