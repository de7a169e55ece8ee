//! /proc of the host, by descriptor: what is at /proc of a container is the container's, and so is whatever it says or takes.

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use sys::{CallError, Errno, called};

/// `PROC_SUPER_MAGIC` (statfs(2)), and the inode that the root of every proc has.
const PROC: rustix::fs::FsWord = 0x9fa0;
const ROOT: u64 = 1;

/// An open /proc, checked to be one, whole. For this process, in whatever namespaces it is.
#[derive(Debug)]
pub struct HostProc(OwnedFd);

impl AsFd for HostProc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl HostProc {
    /// Opens it, before any namespace is entered whose files somebody else has.
    pub fn open() -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty())
            .map_err(called::<Errno>(|| "open(\"/proc\")".to_owned()))?;
        let found =
            rustix::fs::fstatfs(&proc).map_err(called::<Errno>(|| "fstatfs(\"/proc\")".to_owned()))?;
        let stat = rustix::fs::fstat(&proc).map_err(called::<Errno>(|| "fstat(\"/proc\")".to_owned()))?;
        if found.f_type != PROC || stat.st_ino != ROOT {
            return Err(Error::new(Kind::Invalid, "/proc of the host is not proc"));
        }
        Ok(Self(proc))
    }

    /// Opens a file of the calling thread, `status`: that of proc itself, with nothing mounted over any part of its path.
    pub fn own(&self, name: &str, flags: OFlags) -> Result<OwnedFd, CallError> {
        let path = format!("thread-self/{name}");
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        match rustix::fs::openat2(&self.0, path.as_str(), flags, Mode::empty(), how) {
            // A filter of system calls that is older than the call: that it is a file of proc can be asked, that it is the one can not.
            Err(Errno::NOSYS | Errno::PERM) => self.checked(&path, flags),
            opened => opened.map_err(called::<Errno>(|| format!("openat2(\"/proc/{path}\")"))),
        }
    }

    fn checked(&self, path: &str, flags: OFlags) -> Result<OwnedFd, CallError> {
        let call = || format!("openat(\"/proc/{path}\")");
        let file = rustix::fs::openat(&self.0, path, flags, Mode::empty()).map_err(called::<Errno>(call))?;
        let found = rustix::fs::fstatfs(&file).map_err(called::<Errno>(|| "fstatfs".to_owned()))?;
        if found.f_type == PROC { Ok(file) } else { Err(CallError { call: call(), errno: Errno::XDEV }) }
    }

    /// Reads a file of the calling thread.
    pub fn read(&self, name: &str) -> Result<String, CallError> {
        let file = self.own(name, OFlags::RDONLY)?;
        read_from_its_start(&file, || format!("read(\"/proc/thread-self/{name}\")"))
    }

    /// Writes a file of the calling thread in one piece.
    pub fn write(&self, name: &str, text: &str) -> Result<(), CallError> {
        let file = self.own(name, OFlags::WRONLY)?;
        rustix::io::write(&file, text.as_bytes())
            .map(drop)
            .map_err(called::<Errno>(|| format!("write {text:?} to `/proc/thread-self/{name}`")))
    }
}

/// All of an open file that the kernel makes when it is read, as it is now. To be called once: by read(2), which no filter leaves out.
pub fn read_from_its_start(file: &OwnedFd, call: impl Fn() -> String) -> Result<String, CallError> {
    let mut bytes = vec![0; 4096];
    let mut filled = 0;
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(file, &mut bytes[filled..])) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(errno) => return Err(called::<Errno>(call)(errno)),
        }
        if filled == bytes.len() {
            bytes.resize(2 * filled, 0);
        }
    }
    bytes.truncate(filled);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
