//! The gate between `create` and `start`: init waits at a socket in the container's directory until `start` comes.
//!
//! ```text
//! start                          init
//!   connect -------------------->  accept, and nobody else after that
//!   Go ------------------------->
//!                    <- Failed --  the command cannot be executed
//!                    <- (end) ---  execve worked
//! ```
//! The socket's name stays as long as the container was not started; a connection that says nothing is only a look
//! whether somebody waits.

use crate::channel::{Channel, Message};
use crate::error::{Error, Result};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::thread::Timespec;
use std::path::Path;
use sys::{Errno, called};

/// The socket's name in the container's directory.
const NAME: &str = "start";

fn socket() -> Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(called::<Errno>(|| "socket(AF_UNIX, SOCK_SEQPACKET)".to_owned()))?)
}

/// The directory by descriptor: a socket's address has no room for a long path (unix(7)).
fn address(directory: &Path) -> Result<(OwnedFd, SocketAddrUnix)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({directory:?})")))?;
    let path = format!("/proc/self/fd/{}/{NAME}", opened.as_raw_fd());
    let address = SocketAddrUnix::new(path.as_str()).map_err(called::<Errno>(|| "sockaddr_un".to_owned()))?;
    Ok((opened, address))
}

/// Makes the gate of a container's directory.
pub fn make(directory: &Path) -> Result<OwnedFd> {
    let (_held, address) = address(directory)?;
    let gate = socket()?;
    bind(&gate, &address).map_err(called::<Errno>(|| format!("bind({:?})", directory.join(NAME))))?;
    listen(&gate, 8).map_err(called::<Errno>(|| "listen".to_owned()))?;
    Ok(gate)
}

/// How often a failure to let somebody in is taken for a shortage that ends: of memory, of files of the whole machine.
const RETRIES: u32 = 200;
/// How long it is waited for each time.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Waits at the gate, in init: the channel to who opened it.
pub fn wait(gate: &OwnedFd) -> Result<Channel> {
    let mut failures = 0;
    loop {
        let accepted = match rustix::net::acceptfrom_with(gate, SocketFlags::CLOEXEC) {
            Ok((accepted, _)) => accepted,
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            // The container is there and `create` has said so: it does not end for what may be over soon (accept(2)).
            Err(_) if failures < RETRIES => {
                failures += 1;
                // A filter that refuses even this makes the pause shorter.
                let _slept = rustix::thread::nanosleep(&PAUSE);
                continue;
            }
            Err(errno) => return Err(called::<Errno>(|| "accept4".to_owned())(errno).into()),
        };
        let channel = Channel::of(accepted);
        // Who only looks says nothing.
        if let Ok(Some((Message::Go, _))) = channel.receive() {
            return Ok(channel);
        }
    }
}

/// What is at the gate of a container.
#[derive(Debug)]
pub enum Gate {
    /// Init waits; the channel is to it.
    Waiting(Channel),
    /// Nobody waits: it was started, or there never was a gate.
    Open,
}

/// Goes to the gate.
pub fn knock(directory: &Path) -> Result<Gate> {
    match rustix::fs::lstat(directory.join(NAME)) {
        Err(Errno::NOENT) => return Ok(Gate::Open),
        Err(errno) => {
            return Err(called::<Errno>(|| format!("lstat({:?})", directory.join(NAME)))(errno).into());
        }
        Ok(_) => {}
    }
    let (_held, address) = address(directory)?;
    let knocking = socket()?;
    match connect(&knocking, &address) {
        Ok(()) => Ok(Gate::Waiting(Channel::of(knocking))),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(Gate::Open),
        Err(errno) => {
            Err(Error::from(called::<Errno>(|| format!("connect({:?})", directory.join(NAME)))(errno)))
        }
    }
}

/// Takes the name away, after a start.
pub fn remove(directory: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({directory:?})")))?;
    match rustix::fs::unlinkat(opened.as_fd(), NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::from(called::<Errno>(|| format!("unlinkat({NAME:?})"))(errno))),
    }
}
