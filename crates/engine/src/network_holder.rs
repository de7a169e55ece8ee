//! The process that holds the network namespace of an ordinary user's networks, for as long as somebody needs it.
//!
//! It is in that namespace and in the user namespace that owns it, and does nothing but wait. Whoever comes to its socket is
//! given both (`user_networks`), and is somebody who needs them until the connection ends: a command, a supervisor. A pidfd that
//! comes over a connection is that of a container, which needs them as long as it lives, also without its supervisor. When nobody
//! is left, the holder ends, and the kernel takes namespace and bridges back. It has no file that could outlive it but the
//! socket, which tells by itself whether somebody listens.

use crate::error::Result;
use crate::paths::Paths;
use crate::user_networks::{lock_file, socket_file};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, accept_with, recvmsg, sendmsg,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use sys::{Errno, called};

/// How long it waits for somebody who holds the lock and has not come yet.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What becomes of a child that was cloned for it; `namespace` is where the bridges are already, else the child has a new one.
/// Returns its exit code.
pub fn hold(paths: &Paths, listener: OwnedFd, namespace: Option<OwnedFd>) -> i32 {
    i32::from(Holder::prepare(listener, namespace).and_then(|holder| holder.run(paths)).is_err())
}

struct Holder {
    listener: OwnedFd,
    /// The user namespace and the network namespace.
    given: [OwnedFd; 2],
    connections: Vec<OwnedFd>,
    /// Containers.
    members: Vec<OwnedFd>,
}

impl Holder {
    /// Away from whoever needed it first: it outlives them, and has nothing of theirs open.
    fn prepare(listener: OwnedFd, namespace: Option<OwnedFd>) -> Result<Self> {
        let kept: Vec<BorrowedFd<'_>> =
            [Some(listener.as_fd()), namespace.as_ref().map(AsFd::as_fd)].into_iter().flatten().collect();
        sys::close_range::close_inherited(3, &kept)?;
        if let Some(namespace) = namespace {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(called::<Errno>(|| "setns(CLONE_NEWNET)".to_owned()))?;
        }
        crate::supervise::leave(c"devoxx-network")?;
        // What the command that made it has needed so far.
        sys::memory::give_back();
        // A machine that is shut down ends the containers first, and then this ends by itself.
        let _blocked = sys::signals::SignalFd::block_all()?;
        // One descriptor for each container.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
            .map_err(called::<Errno>(|| "setrlimit(RLIMIT_NOFILE)".to_owned()))?;
        let own = |kind: &str| {
            let path = format!("/proc/self/ns/{kind}");
            rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(called::<Errno>(|| format!("open({path:?})")))
        };
        let given = [own("user")?, own("net")?];
        Ok(Self { listener, given, connections: Vec::new(), members: Vec::new() })
    }

    fn run(mut self, paths: &Paths) -> Result<()> {
        loop {
            let needed = !self.connections.is_empty() || !self.members.is_empty();
            if !needed && self.is_over(paths) {
                return Ok(());
            }
            let every = || [&self.listener].into_iter().chain(&self.connections).chain(&self.members);
            let mut waiting: Vec<PollFd<'_>> = every().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            match poll(&mut waiting, (!needed).then_some(&SOON)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
            }
            let ready: Vec<bool> = waiting.iter().map(|one| !one.revents().is_empty()).collect();
            let (somebody, ready) = ready.split_first().unwrap_or((&false, &[]));
            let (spoke, ended) = ready.split_at(self.connections.len());
            let mut ended = ended.iter();
            self.members.retain(|_| ended.next() != Some(&true));
            let mut spoke = spoke.iter();
            let members = &mut self.members;
            self.connections.retain(|one| spoke.next() != Some(&true) || hear(one, members));
            if *somebody {
                self.welcome();
            }
        }
    }

    /// Whether nobody comes any more: with the lock held, which those who come have until they are here.
    fn is_over(&self, paths: &Paths) -> bool {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // With the directory, everything else is gone too.
        let Ok(lock) = rustix::fs::open(lock_file(paths), flags, Mode::empty()) else { return true };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return false;
        }
        let mut listening = [PollFd::new(&self.listener, PollFlags::IN)];
        if !matches!(poll(&mut listening, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0)) {
            return false;
        }
        // From now on nobody finds this one.
        let _gone = rustix::fs::unlink(socket_file(paths));
        true
    }

    fn welcome(&mut self) {
        // It may have hung up again.
        let Ok(connection) = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) else {
            return;
        };
        if !sys::peer::is_ours(&connection) {
            return;
        }
        let given = self.given.each_ref().map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&given));
        if sendmsg(&connection, &[IoSlice::new(b"n")], &mut control, SendFlags::NOSIGNAL).is_ok() {
            self.connections.push(connection);
        }
    }
}

/// Takes in what comes over a connection; whether it goes on.
fn hear(connection: &OwnedFd, members: &mut Vec<OwnedFd>) -> bool {
    let mut byte = [0u8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    match recvmsg(connection, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC) {
        Ok(received) => {
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    members.extend(descriptors);
                }
            }
            received.bytes > 0
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}
