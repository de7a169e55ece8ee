//! One hierarchy that a cgroup is in, and its control files: opened by descriptor, written in one write(2).

use crate::{Error, Kind, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatFs};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use sys::{CallError, Errno, called};

/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` (statfs(2)).
const CGROUP: u64 = 0x0027_e0eb;
const CGROUP2: u64 = 0x6367_7270;
/// More than the process ids of the largest kernel configuration take.
const LONGEST: usize = 64 << 20;

/// The two ways in which the kernel does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// One hierarchy that a cgroup is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where names begin: where the hierarchy is mounted, or a cgroup in it.
    pub mount: PathBuf,
    /// How its files are named.
    pub version: Version,
    /// The v1 controllers; on v2 empty, since each directory says so itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
}

impl Place {
    /// Opens the mount point.
    pub(crate) fn open(&self) -> Result<OwnedFd> {
        open_mount(&self.mount, self.version)
    }

    /// The directory of a name in this hierarchy, for people to read.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mount.join(name.trim_start_matches('/'))
    }

    /// Whether this is the v1 hierarchy of a controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|one| one == controller)
    }
}

/// Whether this is cgroup v2.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "f_type differs by architecture")]
pub(crate) fn is_cgroup2(found: &StatFs) -> bool {
    found.f_type as u64 == CGROUP2
}

/// Opens a mount point and refuses anything that is not the cgroup file system it is said to be: names from a state
/// file must not become files elsewhere.
#[allow(clippy::unnecessary_cast, reason = "f_type differs by architecture")]
pub(crate) fn open_mount(path: &Path, version: Version) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open {path:?}")))?;
    let found = rustix::fs::fstatfs(&dir).map_err(called::<Errno>(|| format!("fstatfs {path:?}")))?;
    let (magic, kind) = match version {
        Version::V1 => (CGROUP, "cgroup"),
        Version::V2 => (CGROUP2, "cgroup2"),
    };
    if found.f_type as u64 == magic {
        Ok(dir)
    } else {
        Err(Error::new(Kind::Other, format!("{} is not a {kind} file system", path.display())))
    }
}

/// How names are resolved that were read from a file: not out of the hierarchy.
const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// Opens the directory of a name beneath a mount point; `None` where there is none.
pub(crate) fn open_beneath(mount: &OwnedFd, name: &str) -> Result<Option<OwnedFd>> {
    let inside = name.trim_matches('/');
    let inside = if inside.is_empty() { "." } else { inside };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(mount, inside, flags, Mode::empty(), BENEATH) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(CallError { call: format!("openat2 {inside:?}"), errno }.into()),
    }
}

/// Writes a control file in one write(2), as the kernel wants it. The file is never made.
pub(crate) fn try_write(
    dir: impl AsFd,
    at: &Path,
    file: &str,
    value: &str,
) -> std::result::Result<(), CallError> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat(dir, file, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open {:?}", at.join(file))))?;
    write_open(&opened, value, || format!("write {value:?} to {:?}", at.join(file)))
}

/// Writes an open control file in one write(2).
pub(crate) fn write_open(
    file: &OwnedFd,
    value: &str,
    call: impl Fn() -> String,
) -> std::result::Result<(), CallError> {
    let written = rustix::io::retry_on_intr(|| rustix::io::write(file, value.as_bytes()))
        .map_err(called::<Errno>(&call))?;
    if written == value.len() { Ok(()) } else { Err(CallError { call: call(), errno: Errno::IO }) }
}

/// As [`try_write`], with the error of this crate.
pub(crate) fn write(dir: impl AsFd, at: &Path, file: &str, value: &str) -> Result<()> {
    Ok(try_write(dir, at, file, value)?)
}

/// Opens a control file for reading.
pub(crate) fn open_file(dir: impl AsFd, at: &Path, file: &str) -> std::result::Result<OwnedFd, CallError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(dir, file, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open {:?}", at.join(file))))
}

/// Reads a control file.
pub(crate) fn read(dir: impl AsFd, at: &Path, file: &str) -> std::result::Result<String, CallError> {
    let opened = open_file(dir, at, file)?;
    read_all(&opened, || format!("read {:?}", at.join(file)))
}

/// Reads a control file of a name beneath a mount point.
pub(crate) fn read_beneath(
    mount: &OwnedFd,
    name: &str,
    file: &str,
) -> std::result::Result<String, CallError> {
    let inside = Path::new(name.trim_matches('/')).join(file);
    let opened =
        rustix::fs::openat2(mount, &inside, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), BENEATH)
            .map_err(called::<Errno>(|| format!("openat2 {inside:?}")))?;
    read_all(&opened, || format!("read {inside:?}"))
}

/// Reads a file of `/proc`.
pub(crate) fn read_path(path: &str) -> std::result::Result<String, CallError> {
    let opened = open_file(CWD, Path::new(""), path)?;
    read_all(&opened, || format!("read {path:?}"))
}

/// Reads from the start of an open file to its end.
pub(crate) fn read_all(file: &OwnedFd, call: impl Fn() -> String) -> std::result::Result<String, CallError> {
    let mut bytes = vec![0; 4096];
    let mut filled = 0;
    loop {
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut bytes[filled..], filled as u64))
            .map_err(called::<Errno>(&call))?;
        filled += read;
        if read == 0 {
            bytes.truncate(filled);
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        if filled == bytes.len() {
            if filled >= LONGEST {
                return Err(CallError { call: call(), errno: Errno::FBIG });
            }
            bytes.resize(filled * 2, 0);
        }
    }
}

/// The number after a key in a flat keyed file: `populated 1`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flat_keyed_files() {
        fn check(text: &str, key: &str, value: Option<u64>) {
            assert_eq!(keyed(text, key), value, "{text:?} {key}");
        }
        check("populated 1\nfrozen 0\n", "populated", Some(1));
        check("populated 1\nfrozen 0\n", "frozen", Some(0));
        check("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill", Some(3));
        check("oom 1\noom_kill 18446744073709551615\n", "oom_kill", Some(u64::MAX));
        check("oom_kill x", "oom_kill", None);
        check("", "oom_kill", None);
    }

    #[test]
    fn refuses_what_is_not_a_cgroup_file_system() {
        let error = open_mount(Path::new("/proc"), Version::V2).unwrap_err();
        assert_eq!(error.to_string(), "/proc is not a cgroup2 file system");
        let error = open_mount(Path::new("/nowhere/at/all"), Version::V1).unwrap_err();
        assert_eq!(error.to_string(), "open \"/nowhere/at/all\": ENOENT (no such file or directory)");
    }
}
