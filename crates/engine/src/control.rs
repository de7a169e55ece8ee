//! The way to a container's supervisor: the lock that it holds as long as it lives, and the socket that it listens at.
//!
//! ```text
//! RUN/supervisors/ID/lock     held by whoever starts the container, then by its supervisor; free when that is gone
//! RUN/supervisors/ID/socket   attach, wait, stop; see `supervisor::frame`
//! ```

use crate::error::{Error, Kind, Result};
use crate::paths::{Paths, make};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use std::path::{Path, PathBuf};
use supervisor::{Connection, Frame};
use sys::{Errno, called};

fn directory(paths: &Paths, id: &str) -> PathBuf {
    paths.supervisors().join(id)
}

/// The right to start or to remove a container; given up when it is dropped, or its process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the kernel looks at it")] OwnedFd);

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
}

fn lock(paths: &Paths, id: &str, how: FlockOperation) -> Result<Taken> {
    let path = directory(paths, id).join("lock");
    loop {
        // With a container goes its lock: it is not made again.
        if !paths.has_container(id)? {
            return Ok(Taken::Gone);
        }
        make(&directory(paths, id))?;
        let file = match open(&path) {
            // Its last holder has just removed the directory.
            Err(Errno::NOENT) => continue,
            other => other.map_err(called::<Errno>(|| format!("open({path:?})")))?,
        };
        match rustix::fs::flock(&file, how) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(Taken::Busy),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(called::<Errno>(|| format!("flock({path:?})"))(errno).into()),
        }
        // Meanwhile another may have removed it, and made a new one.
        let (ours, theirs) = (rustix::fs::fstat(&file), rustix::fs::stat(&path));
        if let (Ok(ours), Ok(theirs)) = (ours, theirs)
            && ours.st_ino == theirs.st_ino
        {
            if paths.has_container(id)? {
                return Ok(Taken::Ours(Lock(file)));
            }
            // Whoever had it until now has removed the container, or was killed at it and somebody else goes on: nothing may be begun here.
            remove(paths, id)?;
            return Ok(Taken::Gone);
        }
    }
}

enum Taken {
    Ours(Lock),
    Busy,
    Gone,
}

/// Takes the lock of a container that there is; none when somebody has it.
pub fn try_lock(paths: &Paths, id: &str) -> Result<Option<Lock>> {
    match lock(paths, id, FlockOperation::NonBlockingLockExclusive)? {
        Taken::Ours(lock) => Ok(Some(lock)),
        Taken::Busy => Ok(None),
        Taken::Gone => {
            Err(Error::new(Kind::Failed, format!("no such container: {}", crate::names::short(id))))
        }
    }
}

/// Waits for the lock: until the container's supervisor has ended. None when the container is gone then.
pub fn wait_lock(paths: &Paths, id: &str) -> Result<Option<Lock>> {
    match lock(paths, id, FlockOperation::LockExclusive)? {
        Taken::Ours(lock) => Ok(Some(lock)),
        Taken::Gone => Ok(None),
        Taken::Busy => Err(Error::new(Kind::Failed, "flock: EAGAIN from a call that waits")),
    }
}

/// Removes what is left of it; with the lock held.
pub fn remove(paths: &Paths, id: &str) -> Result<()> {
    let directory = directory(paths, id);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(called(|| format!("remove {directory:?}"))(error).into())
        }
        _ => Ok(()),
    }
}

/// Whether a supervisor, or somebody about to be one, has the lock. A lock that cannot be looked at is somebody's.
pub fn is_attended(paths: &Paths, id: &str) -> bool {
    let path = directory(paths, id).join("lock");
    let file = match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(errno) => return errno != Errno::NOENT,
    };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

/// The address of the socket: by descriptor, because a path of any length has to fit into 107 bytes.
fn address(paths: &Paths, id: &str) -> Result<Option<(OwnedFd, SocketAddrUnix)>> {
    let directory = directory(paths, id);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(&directory, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(called::<Errno>(|| format!("open({directory:?})")))?,
    };
    let path = format!("/proc/self/fd/{}/socket", opened.as_raw_fd());
    let address = SocketAddrUnix::new(path).map_err(called::<Errno>(|| "sockaddr_un".to_owned()))?;
    Ok(Some((opened, address)))
}

fn socket() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let made = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(called::<Errno>(|| "socket(AF_UNIX)".to_owned()))?;
    Ok(made)
}

/// Listens for visitors; with the lock held.
pub fn listen_at(paths: &Paths, id: &str) -> Result<OwnedFd> {
    make(&directory(paths, id))?;
    let Some((_directory, address)) = address(paths, id)? else {
        return Err(Error::new(Kind::Failed, "the supervisor's directory is gone"));
    };
    // Of an earlier supervisor.
    match std::fs::remove_file(directory(paths, id).join("socket")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(called(|| "unlink(socket)".to_owned())(error).into());
        }
        _ => {}
    }
    let listener = socket()?;
    // The file gets the mode that the socket has.
    rustix::fs::fchmod(&listener, Mode::RUSR | Mode::WUSR)
        .map_err(called::<Errno>(|| "fchmod(socket, 0600)".to_owned()))?;
    bind(&listener, &address).map_err(called::<Errno>(|| format!("bind(supervisors/{id}/socket)")))?;
    listen(&listener, 64).map_err(called::<Errno>(|| "listen".to_owned()))?;
    if sys::mutant!("mutant_nw_01") {
        // Reached by a name too, which is no file.
        let named = socket()?;
        let name = SocketAddrUnix::new_abstract_name(id.as_bytes());
        let bound = name.and_then(|name| bind(&named, &name)).and_then(|()| listen(&named, 64));
        bound.map_err(called::<Errno>(|| format!("bind(@{id})")))?;
        static HELD: std::sync::OnceLock<OwnedFd> = std::sync::OnceLock::new();
        HELD.get_or_init(|| named);
    }
    Ok(listener)
}

/// A conversation with a container's supervisor; none when it has none.
pub fn visit(paths: &Paths, id: &str) -> Result<Option<OwnedFd>> {
    let Some((_directory, address)) = address(paths, id)? else { return Ok(None) };
    let ours = socket()?;
    match connect(&ours, &address) {
        Ok(()) => Ok(Some(ours)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(errno) => Err(called::<Errno>(|| format!("connect(supervisors/{id}/socket)"))(errno).into()),
    }
}

/// Tells a supervisor, if there is one, that its container is being ended on purpose; returns when it knows. One that is just at the
/// end of a run of its container, and hears nobody any more, is told again: it may start the next.
pub fn announce_stop(paths: &Paths, id: &str) -> Result<()> {
    while let Some(socket) = visit(paths, id)? {
        let mut connection = Connection::new(socket);
        connection.say(&Frame::Stop);
        connection.flush(None);
        while !connection.gone {
            if connection.listen().contains(&Frame::Stopping) {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, Instant};

    /// A `start` that had waited for a removal began to supervise a container that was gone, and its socket stayed.
    #[test]
    fn who_waits_for_a_removal_gets_nothing() {
        let place = tempfile::tempdir().unwrap();
        let paths = Paths { data: place.path().join("data"), run: place.path().join("run") };
        let id = "0123456789abcdef".repeat(4);
        std::fs::create_dir_all(paths.container(&id)).unwrap();
        std::fs::create_dir_all(paths.supervisors()).unwrap();
        let removing = try_lock(&paths, &id).unwrap().unwrap();
        let inode = std::fs::metadata(directory(&paths, &id).join("lock")).unwrap().ino();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_lock(&paths, &id));
            // proc_locks(5): who waits stands below who has it.
            let waits = || {
                let locks = std::fs::read_to_string("/proc/locks").unwrap();
                locks.lines().any(|line| line.contains("->") && line.contains(&format!(":{inode} ")))
            };
            let end = Instant::now() + Duration::from_secs(60);
            while !waits() {
                assert!(Instant::now() < end, "nobody waits");
                std::thread::yield_now();
            }
            std::fs::rename(paths.container(&id), paths.containers().join(format!(".gone-{id}"))).unwrap();
            drop(removing);
            assert!(waiting.join().unwrap().unwrap().is_none());
        });
        assert!(!directory(&paths, &id).exists());
    }
}
