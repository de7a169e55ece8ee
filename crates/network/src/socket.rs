//! A netlink socket: send, and wait for the kernel's answer (netlink(7)).
//!
//! It does NOT know what the messages ask for; whoever sends says so in the error.

use crate::wire::{self, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `RTMGRP_LINK` (rtnetlink(7)).
const LINKS: u32 = 1;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// `NFNL_MSG_BATCH_BEGIN`.
const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`.
const BATCH_END: u16 = 17;
/// `nfgenmsg` of a batch: no family, version 0, subsystem nf_tables (10) in network order.
const BATCH_HEADER: [u8; 4] = [0, 0, 0, 10];
/// The kernel answers at once; this only keeps a kernel that does not from holding everything up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages of one dump that are read at most: more than a host has links.
const DUMP_LIMIT: usize = 1 << 17;
/// Larger than any datagram that the kernel makes of a dump (32 KiB).
const BUFFER: usize = 1 << 16;

/// An open socket that stays in the network namespace it was opened in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// For links, addresses and routes (rtnetlink(7)).
    pub fn route() -> Result<Self, Errno> {
        Self::open(None)
    }

    /// For nf_tables.
    pub fn netfilter() -> Result<Self, Errno> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        sockopt::set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { fd, sequence: 1 })
    }

    /// The descriptor, for the ioctls that take any socket (netdevice(7)).
    pub fn fd(&self) -> impl AsFd {
        &self.fd
    }

    /// From now on it hears of every change of a link: [`Socket::wait`].
    pub fn hear_of_links(&self) -> Result<(), Errno> {
        rustix::net::bind(&self.fd, &SocketAddrNetlink::new(0, LINKS))
    }

    /// Waits until something is heard, at most so long.
    pub fn wait(&self, longest: Duration) -> Result<(), Errno> {
        let longest = Timespec::try_from(longest).map_err(|_| Errno::INVAL)?;
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&longest)) {
            Ok(0) | Err(Errno::INTR) => return Ok(()),
            other => other.map(drop)?,
        }
        let mut buffer = vec![0; BUFFER];
        match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
            // More than it could keep: something has changed.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Sends one request and waits for its acknowledgement.
    pub fn request(&mut self, message: Message) -> Result<(), Errno> {
        let sequence = self.next();
        self.send(&message.finish(sequence, wire::ACK).ok_or(Errno::TOOBIG)?)?;
        self.answers(|reply| {
            if reply.sequence == sequence && reply.kind == ERROR { Some(status(reply)) } else { None }
        })
    }

    /// Sends these requests at once, each for one object, and gives the answers in their order. All are heard before a refusal is told.
    pub fn get(&mut self, messages: Vec<Message>) -> Result<Vec<Vec<u8>>, Errno> {
        let (first, mut count, mut bytes) = (self.sequence, 0u32, Vec::new());
        for message in messages {
            bytes.extend(message.finish(self.next(), 0).ok_or(Errno::TOOBIG)?);
            count += 1;
        }
        self.send(&bytes)?;
        let (mut found, mut refused, mut heard) = (Vec::new(), None, 0);
        self.answers(|reply| {
            if reply.sequence.wrapping_sub(first) >= count {
                return None;
            }
            match reply.kind {
                ERROR => refused = refused.or(status(reply).err()),
                _ => found.push(reply.body.to_vec()),
            }
            heard += 1;
            (heard == count).then_some(Ok(()))
        })?;
        refused.map_or(Ok(found), Err)
    }

    /// Sends one request, and hands what is answered before the acknowledgement to `each`.
    pub fn ask(&mut self, message: Message, mut each: impl FnMut(&[u8])) -> Result<(), Errno> {
        let sequence = self.next();
        self.send(&message.finish(sequence, wire::ACK).ok_or(Errno::TOOBIG)?)?;
        self.answers(|reply| {
            if reply.sequence != sequence {
                return None;
            }
            if reply.kind == ERROR {
                return Some(status(reply));
            }
            each(reply.body);
            None
        })
    }

    /// Asks for all objects, and hands each to `each` until it says `false`.
    pub fn dump(&mut self, message: Message, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
        let sequence = self.next();
        self.send(&message.finish(sequence, wire::DUMP).ok_or(Errno::TOOBIG)?)?;
        let mut wanted = true;
        let mut seen = 0;
        self.answers(|reply| {
            if reply.sequence != sequence {
                return None;
            }
            if matches!(reply.kind, ERROR | DONE) {
                return Some(status(reply));
            }
            seen += 1;
            if seen > DUMP_LIMIT {
                return Some(Err(Errno::TOOBIG));
            }
            // The rest is read all the same: the next answer must not begin with it.
            wanted = wanted && each(reply.body);
            None
        })
    }

    /// Sends these as one transaction of nf_tables: all of them happen, or none. The error says which one failed.
    pub fn batch(&mut self, messages: Vec<Message>) -> Result<(), (usize, Errno)> {
        let begin = self.next();
        let whole = |errno| (0, errno);
        let too_long = || (0, Errno::TOOBIG);
        let mut bytes = Message::new(BATCH_BEGIN, 0, &BATCH_HEADER).finish(begin, 0).ok_or_else(too_long)?;
        let count = messages.len();
        let first = self.sequence;
        for (at, message) in messages.into_iter().enumerate() {
            // The acknowledgement of the last one comes when all was done.
            let flags = if at + 1 == count { wire::ACK } else { 0 };
            bytes.extend(message.finish(self.next(), flags).ok_or((at, Errno::TOOBIG))?);
        }
        let last = self.sequence.wrapping_sub(1);
        bytes.extend(Message::new(BATCH_END, 0, &BATCH_HEADER).finish(self.next(), 0).ok_or_else(too_long)?);
        self.send(&bytes).map_err(whole)?;
        let mut failed = None;
        self.answers(|reply| {
            if reply.kind != ERROR {
                return None;
            }
            if let Err(errno) = status(reply) {
                let at = usize::try_from(reply.sequence.wrapping_sub(first)).unwrap_or(0);
                failed.get_or_insert((if at < count { at } else { 0 }, errno));
            }
            (reply.sequence == last || reply.sequence == begin).then_some(Ok(()))
        })
        .map_err(whole)?;
        failed.map_or(Ok(()), Err)
    }

    fn next(&mut self) -> u32 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        rustix::net::sendto(&self.fd, bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map(drop)
    }

    /// Reads answers until `judge` has a result.
    fn answers(
        &self,
        mut judge: impl FnMut(wire::Reply<'_>) -> Option<Result<(), Errno>>,
    ) -> Result<(), Errno> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            for reply in wire::replies(&buffer[..length.min(BUFFER)]) {
                if let Some(result) = judge(reply) {
                    return result;
                }
            }
        }
    }
}

fn status(reply: wire::Reply<'_>) -> Result<(), Errno> {
    match reply.status() {
        Some(0) => Ok(()),
        Some(number) if (-4095..0).contains(&number) => Err(Errno::from_raw_os_error(-number)),
        _ => Err(Errno::IO),
    }
}
