//! Descriptors that are handed to a caller over a socket of his: a terminal's master, a pidfd.

use crate::error::{Error, Kind, Result};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect as connect_socket, sendmsg, socket_with,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;
use sys::{Context, Errno, called};

/// A peer that does not take what it asked for ends the wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether terminal and socket go together.
pub fn check(terminal: bool, detached: bool, socket: Option<&Path>) -> Result<()> {
    let refused = |why: &str| Err(Error::new(Kind::Invalid, why));
    if terminal && detached && socket.is_none() {
        return refused("cannot allocate tty if runc will detach without setting console socket");
    }
    if (!terminal || !detached) && socket.is_some() {
        return refused("cannot use console socket if runc will not detach or allocate tty");
    }
    Ok(())
}

/// Connects to a caller's socket (AF_UNIX, SOCK_STREAM).
pub fn connect(path: &Path) -> Result<OwnedFd> {
    let doing = || format!("connect to {}", path.display());
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(called::<Errno>(|| "socket(AF_UNIX)".to_owned()))
        .within(doing)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))
        .map_err(called::<Errno>(|| "setsockopt(SO_SNDTIMEO)".to_owned()))
        .within(doing)?;
    let address = SocketAddrUnix::new(path)
        .map_err(called::<Errno>(|| format!("sockaddr_un({path:?})")))
        .within(doing)?;
    connect_socket(&socket, &address)
        .map_err(called::<Errno>(|| format!("connect({path:?})")))
        .within(doing)?;
    Ok(socket)
}

/// Sends a descriptor, with its name as the message.
pub fn send(socket: &OwnedFd, name: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(name.as_bytes())], &mut control, SendFlags::NOSIGNAL)
        .map_err(called::<Errno>(|| "sendmsg(SCM_RIGHTS)".to_owned()))?;
    Ok(())
}
