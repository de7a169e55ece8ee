//! Readiness of a service in a container (sd_notify(3)): what it says inside is passed on to who started it.
//!
//! `create` gives the container a directory with a socket's place in it and says so in its environment; `start` listens
//! there until the service is ready, and tells the socket that it was itself given, with the id that init has outside.

use crate::error::{Error, Kind, Result};
use crate::plan::{Mount, Plan};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// The directory, in that of the container.
const DIRECTORY: &str = "notify";
/// Where it is in the container.
const INSIDE: &str = "/run/notify";
/// The socket in it.
const NAME: &str = "socket";
/// A notification is lines of text, and this is what systemd itself reads at most.
const LONGEST: usize = 4096;

/// The socket that this process was given, if it was started by who wants to know.
pub fn given() -> Option<PathBuf> {
    std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Plans the way out of the container; returns the directory to be made on the host.
pub fn plan(plan: &mut Plan, directory: &Path) -> PathBuf {
    let path = directory.join(DIRECTORY);
    plan.mounts.push(Mount::bind(path.clone(), PathBuf::from(INSIDE)));
    plan.process.env.push(format!("NOTIFY_SOCKET={INSIDE}/{NAME}"));
    path
}

/// Makes the directory that the container gets.
pub fn make_directory(path: &Path) -> Result<()> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
        .map_err(called::<Errno>(|| format!("mkdir({path:?})")))?;
    Ok(())
}

/// Listens in the directory of a container that is about to be started; none where it was not made for that.
pub fn listen(directory: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = directory.join(DIRECTORY);
    let opened = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(called::<Errno>(|| format!("open({path:?})"))(errno).into()),
    };
    // That of a start that failed.
    match rustix::fs::unlinkat(&opened, NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(called::<Errno>(|| format!("unlinkat({NAME:?})"))(errno).into()),
    }
    let socket = datagrams()?;
    let place = format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd());
    let address = SocketAddrUnix::new(place).map_err(called::<Errno>(|| "sockaddr_un".to_owned()))?;
    bind(&socket, &address).map_err(called::<Errno>(|| format!("bind({path:?})")))?;
    // Any user inside may say that it is ready.
    rustix::fs::chmodat(&opened, NAME, Mode::from_raw_mode(0o777), AtFlags::empty()).map_err(called::<
        Errno,
    >(
        || format!("fchmodat({NAME:?})"),
    ))?;
    Ok(Some(socket))
}

fn datagrams() -> Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map_err(called::<
        Errno,
    >(
        || "socket(AF_UNIX, SOCK_DGRAM)".to_owned(),
    ))?)
}

/// Passes on what the container says until it is ready, or has ended.
pub fn attend(socket: &OwnedFd, init: BorrowedFd<'_>, pid: i32, outside: &Path) -> Result<()> {
    let doing = || format!("tell {} of the readiness", outside.display());
    let sender = datagrams()?;
    let address = address_of(outside).within(doing)?;
    let tell = |text: &[u8]| -> Result<()> {
        sendto(&sender, text, SendFlags::NOSIGNAL, &address)
            .map_err(called::<Errno>(|| "sendto".to_owned()))
            .within(doing)?;
        Ok(())
    };
    let mut buffer = [0u8; LONGEST];
    loop {
        let mut waiting = [PollFd::new(socket, PollFlags::IN), PollFd::new(&init, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
        }
        if waiting[0].revents().is_empty() {
            // It has ended without a word.
            return Ok(());
        }
        let (said, _) = recv(socket.as_fd(), &mut buffer, RecvFlags::empty())
            .map_err(called::<Errno>(|| "recv".to_owned()))?;
        let text = &buffer[..said.min(LONGEST)];
        if text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return tell(format!("MAINPID={pid}\nREADY=1").as_bytes());
        }
    }
}

/// A path, or a name in the abstract space that begins with `@`.
fn address_of(path: &Path) -> Result<SocketAddrUnix> {
    let text = path.to_str().ok_or_else(|| Error::new(Kind::Invalid, "NOTIFY_SOCKET is not UTF-8"))?;
    let address = match text.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(path),
    };
    Ok(address.map_err(called::<Errno>(|| format!("sockaddr_un({text:?})")))?)
}
