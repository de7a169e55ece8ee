//! A scratch copy of a directory with mounts below it, for a user who may not look beneath them.
//!
//! In a user namespace the mounts that came with it are locked together (mount_namespaces(7)), and the kernel refuses
//! an overlay on a directory that has one of them below. So the root is a tmpfs; each directory without mounts below
//! is an overlay of its own on it; what other mounts cover stays out, as it does under one overlay of the whole.

use crate::error::{Error, Kind, Result};
use crate::plan::Overlay;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree,
};
use std::fs::Metadata;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use sys::mount_setattr::{MountAttributes, RDONLY, mount_setattr};
use sys::{Context, Errno, called};

/// More overlays than this mean that something is mounted deep inside a large tree.
const MOST: usize = 2000;

/// A larger file beside a mount point is bound read-only instead of copied into memory.
const COPIED: u64 = 1 << 20;

/// Builds the root of an overlay that the kernel refused as a whole. The tmpfs with `upper` and `work` is mounted at
/// its mount point already.
pub fn build(overlay: &Overlay, read_only: bool) -> Result<OwnedFd> {
    let [lower] = overlay.lower.as_slice() else {
        return Err(Error::new(Kind::Invalid, "only one directory can be copied in pieces"));
    };
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(called(|| "read mountinfo".to_owned()))?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    if read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let mut pieces =
        Pieces { overlay, attributes, covered: mounts_below(&table, lower, &overlay.mount_point), made: 0 };
    let root = overlay.mount_point.join("root");
    make(&root, 0o755)?;
    mount("tmpfs", &root, "tmpfs", MountFlags::NODEV, Some(c"mode=0755"))
        .map_err(called::<Errno>(|| format!("mount(tmpfs, {root:?})")))?;
    pieces.descend(lower, &root)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(&root, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({root:?}, O_PATH)")))?)
}

struct Pieces<'a> {
    overlay: &'a Overlay,
    attributes: MountAttrFlags,
    covered: Vec<PathBuf>,
    made: usize,
}

impl Pieces<'_> {
    /// Makes every entry of a directory that has mounts below.
    fn descend(&mut self, from: &Path, to: &Path) -> Result<()> {
        let failed = |error| Error::from(called(|| format!("readdir({from:?})"))(error));
        let entries = match std::fs::read_dir(from) {
            Ok(entries) => entries,
            // Closed to this user, as it is without a container.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            // What vanished meanwhile is no part of the copy.
            if let Ok(about) = entry.metadata() {
                self.place(&source, &target, &about).within(|| format!("copy {source:?}"))?;
            }
        }
        Ok(())
    }

    fn place(&mut self, source: &Path, target: &Path, about: &Metadata) -> Result<()> {
        let kind = about.file_type();
        if kind.is_symlink() {
            let leads = std::fs::read_link(source).map_err(called(|| format!("readlink({source:?})")))?;
            symlink(&leads, target).map_err(called(|| format!("symlink({leads:?}, {target:?})")))?;
        } else if kind.is_dir() {
            make(target, about.mode())?;
            if self.covered.iter().any(|mount| mount == source) {
                return Ok(());
            }
            if self.covered.iter().any(|mount| mount.starts_with(source)) {
                return self.descend(source, target);
            }
            self.overlay(source, target, about.mode())?;
        } else if kind.is_file() && (about.len() > COPIED || std::fs::copy(source, target).is_err()) {
            bind(source, target)?;
        }
        // Sockets, pipes and nodes lead out of the copy.
        Ok(())
    }

    fn overlay(&mut self, lower: &Path, at: &Path, mode: u32) -> Result<()> {
        self.made += 1;
        if self.made > MOST {
            return Err(Error::new(
                Kind::Unsupported,
                format!("more than {MOST} directories beside mounts below {:?}", self.overlay.lower),
            )
            .with_hint("as root one overlay is enough"));
        }
        let base = &self.overlay.mount_point;
        let upper = base.join("upper").join(self.made.to_string());
        let work = base.join("work").join(self.made.to_string());
        make(&upper, mode)?;
        make(&work, 0o700)?;
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(called::<Errno>(|| "fsopen(overlay)".to_owned()))?;
        for (key, path) in [("lowerdir", option(lower)), ("upperdir", upper.into()), ("workdir", work.into())]
        {
            fsconfig_set_string(context.as_fd(), key, &path)
                .map_err(called::<Errno>(|| format!("fsconfig({key}={path:?})")))?;
        }
        if self.overlay.user_xattr {
            fsconfig_set_flag(context.as_fd(), "userxattr")
                .map_err(called::<Errno>(|| "fsconfig(userxattr)".to_owned()))?;
        }
        fsconfig_create(context.as_fd())
            .map_err(called::<Errno>(|| format!("fsconfig(overlay {lower:?}, create)")))?;
        let piece = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, self.attributes)
            .map_err(called::<Errno>(|| format!("fsmount(overlay {lower:?})")))?;
        place(&piece, at)
    }
}

/// As `lowerdir` wants it: a colon would part two layers.
fn option(path: &Path) -> std::ffi::OsString {
    let mut escaped = Vec::new();
    for byte in path.as_os_str().to_owned().into_vec() {
        if matches!(byte, b':' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    std::ffi::OsString::from_vec(escaped)
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    // What a copy that failed has left; most often there is nothing.
    std::fs::remove_file(target).ok();
    std::fs::File::create(target).map_err(called(|| format!("create({target:?})")))?;
    let clone = open_tree(CWD, source, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(called::<Errno>(|| format!("open_tree({source:?}, OPEN_TREE_CLONE)")))?;
    mount_setattr(clone.as_fd(), false, MountAttributes { set: RDONLY, ..MountAttributes::default() })?;
    place(&clone, target)
}

fn place(tree: &OwnedFd, at: &Path) -> Result<()> {
    move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(called::<Errno>(|| format!("move_mount({at:?})")))?;
    Ok(())
}

/// The mode is set apart from the making, which the umask would narrow.
fn make(directory: &Path, mode: u32) -> Result<()> {
    std::fs::create_dir(directory).map_err(called(|| format!("mkdir({directory:?})")))?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode & 0o7777))
        .map_err(called(|| format!("chmod({directory:?})")))?;
    Ok(())
}

/// Where something is mounted below a directory, but for our own tmpfs (proc_pid_mountinfo(5), the fifth field).
fn mounts_below(table: &str, directory: &Path, own: &Path) -> Vec<PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .filter(|mount| mount != directory && mount.starts_with(directory) && !mount.starts_with(own))
        .collect()
}

/// Space, tab, newline and backslash are written in octal.
pub fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).and_then(|three| std::str::from_utf8(three).ok());
        match octal.and_then(|three| u8::from_str_radix(three, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_below_a_directory() {
        fn check(table: &str, directory: &str, expected: &[&str]) {
            let found = mounts_below(table, Path::new(directory), Path::new("/own"));
            assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{table:?}");
        }
        let line = |place: &str| format!("36 35 98:0 / {place} rw - ext4 /dev/root rw");
        check("", "/", &[]);
        check("no mount table", "/", &[]);
        check(&line("/"), "/", &[]);
        check(&line("/proc"), "/", &["/proc"]);
        check(&line("/own"), "/", &[]);
        check(&line("/own/x"), "/", &[]);
        check(&line("/srv"), "/srv", &[]);
        check(&line("/srvx"), "/srv", &[]);
        check(&line("/srv/a\\040b\\134c"), "/srv", &["/srv/a b\\c"]);
        check(&line("/srv/\\"), "/srv", &["/srv/\\"]);
        check(&line("/srv/\\9"), "/srv", &["/srv/\\9"]);
    }

    #[test]
    fn options_are_escaped() {
        assert_eq!(option(Path::new("/a:b,c\\d")), "/a\\:b,c\\\\d");
        assert_eq!(option(Path::new("/plain")), "/plain");
    }
}
