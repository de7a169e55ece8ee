//! Messages to a socket that is never waited on alone: what has no room yet is held, up to a limit.

use super::PATIENCE;
use crate::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, send, sendmsg, socket_with, sockopt,
};
use rustix::path::Arg;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sys::{Errno, called};

/// With more than this to send, the container is not read from until some of it is gone.
const FULL: usize = 256 * 1024;
/// How long a server on the network may take to answer at the start.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that is gone is asked for again after this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system, of datagrams or, where that is what listens there, a stream.
    Unix(PathBuf),
    /// Datagrams on the network.
    Udp(SocketAddr),
    /// A connection on the network.
    Tcp(SocketAddr),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Messages on their way.
#[derive(Debug)]
pub struct Outbox {
    address: Address,
    /// None after the other end has gone, until it is tried again.
    socket: Option<OwnedFd>,
    /// Whether messages have no ends of their own, and so need a line break.
    is_stream: bool,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of the first message that are gone: of a stream only.
    sent: usize,
    /// Bytes of all that wait.
    held: usize,
    /// With this many bytes waiting, further messages are dropped and the container goes on; none lets the container wait.
    most: Option<usize>,
    tried: Instant,
}

fn make(address: &Address) -> Result<(OwnedFd, bool), sys::CallError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let new = |family, kind| {
        socket_with(family, kind, flags, None).map_err(called::<Errno>(|| "socket".to_owned()))
    };
    let doing = || format!("connect({address})");
    let of_network = |address: &SocketAddr, kind| {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = new(family, kind)?;
        match connect(&socket, address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(errno) => Err(called::<Errno>(doing)(errno)),
        }
    };
    match address {
        Address::Udp(address) => Ok((of_network(address, SocketType::DGRAM)?, false)),
        Address::Tcp(address) => Ok((of_network(address, SocketType::STREAM)?, true)),
        Address::Unix(path) => {
            let to = path.as_path().into_c_str().and_then(|path| SocketAddrUnix::new(path.as_ref()));
            let to = to.map_err(called::<Errno>(doing))?;
            let socket = new(AddressFamily::UNIX, SocketType::DGRAM)?;
            match connect(&socket, &to) {
                Ok(()) => Ok((socket, false)),
                Err(Errno::PROTOTYPE) => {
                    let socket = new(AddressFamily::UNIX, SocketType::STREAM)?;
                    connect(&socket, &to).map_err(called::<Errno>(doing))?;
                    Ok((socket, true))
                }
                Err(errno) => Err(called::<Errno>(doing)(errno)),
            }
        }
    }
}

/// Whether a socket has room before the time is over.
fn has_room(socket: &OwnedFd, time: Duration) -> bool {
    let limit = Timespec::try_from(time).ok();
    loop {
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], limit.as_ref()) {
            Err(Errno::INTR) => {}
            other => return matches!(other, Ok(1..)),
        }
    }
}

impl Outbox {
    /// A connection to an address. `most` is how many bytes are held at most before messages are dropped; without it, nothing
    /// is dropped and [`Outbox::is_full`] says when to wait.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: Address, most: Option<usize>) -> Result<Self> {
        let (socket, is_stream) = make(&address)?;
        if matches!(address, Address::Tcp(_)) {
            let doing = || format!("connect({address})");
            if !has_room(&socket, CONNECT) {
                return Err(called::<Errno>(doing)(Errno::TIMEDOUT).into());
            }
            sockopt::socket_error(&socket).and_then(|error| error).map_err(called::<Errno>(doing))?;
        }
        Ok(Self {
            address,
            socket: Some(socket),
            is_stream,
            waiting: VecDeque::new(),
            sent: 0,
            held: 0,
            most,
            tried: Instant::now(),
        })
    }

    /// Holds a message, to be sent by [`Outbox::send`].
    pub fn put(&mut self, message: Vec<u8>) {
        if self.most.is_some_and(|most| self.held + message.len() > most) && !self.waiting.is_empty() {
            return;
        }
        self.held += message.len();
        self.waiting.push_back(message);
    }

    /// Whether the container should wait.
    pub fn is_full(&self) -> bool {
        self.most.is_none() && self.held > FULL
    }

    /// What to wait for, when there is something to send.
    pub fn waits_for(&self) -> Option<&OwnedFd> {
        self.socket.as_ref().filter(|_| !self.waiting.is_empty())
    }

    /// Sends what there is room for.
    ///
    /// # Errors
    /// The other end is gone, and so is what waited for it.
    pub fn send(&mut self) -> Result<()> {
        let mut refused = false;
        let mut met = Errno::NOTCONN;
        while let Some(first) = self.waiting.front() {
            let socket = match &self.socket {
                Some(socket) => socket,
                // Not at every line.
                None if self.tried.elapsed() < PAUSE => {
                    self.forget();
                    return Err(called::<Errno>(|| format!("send({})", self.address))(met).into());
                }
                None => {
                    self.tried = Instant::now();
                    match make(&self.address) {
                        Ok((socket, is_stream)) => {
                            self.is_stream = is_stream;
                            self.socket.insert(socket)
                        }
                        Err(error) => {
                            self.forget();
                            return Err(error.into());
                        }
                    }
                }
            };
            let rest = first.get(self.sent..).unwrap_or_default();
            let sent = match send(socket, rest, SendFlags::NOSIGNAL) {
                Err(Errno::MSGSIZE | Errno::NOBUFS) if matches!(self.address, Address::Unix(_)) => {
                    send_file(socket, rest).map(|()| rest.len())
                }
                other => other,
            };
            match sent {
                Ok(count) if self.is_stream && count < rest.len() => self.sent += count,
                Ok(_) => self.next(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                // What an earlier datagram met: this one was not sent, and may arrive.
                Err(Errno::CONNREFUSED) if matches!(self.address, Address::Udp(_)) && !refused => {
                    refused = true
                }
                Err(Errno::CONNREFUSED) if matches!(self.address, Address::Udp(_)) => self.next(),
                // Too long for a datagram of the network.
                Err(Errno::MSGSIZE) => self.next(),
                // Whoever listened may have been started anew.
                Err(errno) => {
                    (self.socket, self.sent, met) = (None, 0, errno);
                }
            }
        }
        Ok(())
    }

    /// Waits, for a limited time, until all of it is sent.
    ///
    /// # Errors
    /// Some of it is not.
    pub fn finish(&mut self) -> Result<()> {
        loop {
            self.send()?;
            let Some(socket) = self.waits_for() else { return Ok(()) };
            if !has_room(socket, PATIENCE) {
                self.forget();
                return Err(called::<Errno>(|| format!("send({})", self.address))(Errno::TIMEDOUT).into());
            }
        }
    }

    /// Whether messages have to end with a line break.
    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    fn next(&mut self) {
        if let Some(gone) = self.waiting.pop_front() {
            self.held -= gone.len();
        }
        self.sent = 0;
    }

    fn forget(&mut self) {
        self.waiting.clear();
        (self.sent, self.held) = (0, 0);
    }
}

/// Sends what is too long for a datagram as a sealed file in memory, as the journal's protocol has it.
fn send_file(socket: &OwnedFd, message: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::memfd_create(c"log", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = message;
    while !rest.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
        rest = rest.get(count..).unwrap_or_default();
    }
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
    )?;
    let files = [rustix::fd::AsFd::as_fd(&file)];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(&[])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
