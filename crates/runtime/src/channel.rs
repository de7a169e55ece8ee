//! What a parent and the init it cloned say to each other, over one SOCK_SEQPACKET pair.
//!
//! ```text
//! parent                         stage, then init
//!                    <- Outside --    not in its cgroup, where only systemd may put it
//!   it is there ----- Proceed ->
//!                    <- Map ------    in a new user namespace that has no ids yet
//!   maps written --- Proceed ->
//!                    <- Init -----    the stage has made init (with its pidfd), and ends
//!   mounts mapped -- Proceed ->       only where there is a stage or a new user namespace
//!                    <- Network ---   (with the descriptor of its network namespace, when it has one of its own)
//!                    <- Warning ---   what is not as it should be, and goes on all the same
//!                    <- Hooks -----   mounted, the root not entered: createRuntime hooks, when there are any
//!   hooks have run - Proceed ->
//!                    <- Terminal --   (with the master's descriptor, when one is asked for)
//!                    <- Listener --   (with the descriptor of seccomp's notifications, when one is asked for)
//!                    <- Ready ----    everything is set up
//!   written down --- Commit ->        live without me, wait at the gate; or
//!   start ---------- Go ->
//!                    <- Failed ---    any step, with its whole chain
//!                    <- (end) ----    execve worked: the socket is close-on-exec
//! ```
//! Either end sees the other's death as the end of the stream.

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use sys::{Errno, called};

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// From the parent: execute.
    Go,
    /// From the parent: what was waited for is done.
    Proceed,
    /// From the parent: written down; the start comes through the gate.
    Commit,
    /// From the child that was cloned: it is to be brought into its cgroup.
    Outside,
    /// From the stage: its user namespace needs ids.
    Map,
    /// From the stage: init is there, its pidfd is attached.
    Init,
    /// From a child that opens the source of a mount: it is attached.
    Source,
    /// From init: the hooks of create that run outside are due.
    Hooks,
    /// From init: the descriptor of seccomp's notifications is attached.
    Listener,
    /// From init: its network namespace is attached.
    Network,
    /// From init: the terminal's master is attached.
    Terminal,
    /// From init: something is not as it should be.
    Warning(String),
    /// From init: set up, waiting for the start.
    Ready,
    /// From init: the step that failed.
    Failed {
        /// The kind of the failure.
        kind: Kind,
        /// Its chain.
        chain: Vec<String>,
        /// Its hint.
        hint: Option<String>,
    },
}

/// What comes over a channel.
#[derive(Debug)]
pub enum Heard {
    /// A message, and a descriptor with it.
    Message(Message, Option<OwnedFd>),
    /// The other end is closed, and has read all that was said to it.
    End,
    /// It is closed and has not: it never was taken in, or has died.
    Reset,
}

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Makes both ends, closed by any execve.
pub fn pair() -> Result<(Channel, Channel)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(called::<Errno>(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)".to_owned()))?;
    Ok((Channel(ours), Channel(theirs)))
}

impl Channel {
    /// An end that was connected by somebody else.
    pub fn of(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Waits until the parent says that it has done its part.
    ///
    /// # Errors
    /// Also when the parent is no more.
    pub fn proceed(&self) -> Result<()> {
        match self.receive()? {
            Some((Message::Proceed, _)) => Ok(()),
            Some((other, _)) => Err(Error::new(Kind::Other, format!("unexpected message {other:?}"))),
            None => Err(Error::new(Kind::Other, "the parent is gone")),
        }
    }

    /// Lets go of this end while the value lives on: its descriptor becomes a second standard error.
    pub fn close(&mut self) -> Result<()> {
        rustix::io::dup2(rustix::stdio::stderr(), &mut self.0)
            .map_err(called::<Errno>(|| "dup2(2, channel)".to_owned()))?;
        Ok(())
    }

    /// Sends one message, with a descriptor where the message has one.
    pub fn send(&self, message: &Message, descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        self.sent(message, descriptor)?.map_err(called::<Errno>(|| format!("sendmsg({message:?})")))?;
        Ok(())
    }

    /// Sends one message, unless the other end is gone.
    pub fn reaches(&self, message: &Message) -> Result<bool> {
        match self.sent(message, None)? {
            Ok(()) => Ok(true),
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(false),
            Err(errno) => Err(called::<Errno>(|| format!("sendmsg({message:?})"))(errno).into()),
        }
    }

    fn sent(
        &self,
        message: &Message,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<std::result::Result<(), Errno>> {
        let bytes =
            serde_json::to_vec(message).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
            // A command's own filter, with which it could not be executed, may let through what every command does.
            Err(errno) if descriptors.is_empty() && ![Errno::PIPE, Errno::CONNRESET].contains(&errno) => {
                Ok(rustix::io::write(&self.0, &bytes).map(drop).or(Err(errno)))
            }
            sent => Ok(sent.map(drop)),
        }
    }

    /// Waits for the next message; none when the other end is gone.
    pub fn receive(&self) -> Result<Option<(Message, Option<OwnedFd>)>> {
        match self.hear()? {
            Heard::Message(message, descriptor) => Ok(Some((message, descriptor))),
            // An end that died with our message unread resets the connection: gone all the same.
            Heard::End | Heard::Reset => Ok(None),
        }
    }

    /// The same, where it matters how the other end has gone.
    pub fn hear(&self) -> Result<Heard> {
        // A word or two, or an error chain with long paths in it: room for the longest would be sixteen pages, new ones in each process.
        let peek = RecvFlags::PEEK | RecvFlags::TRUNC;
        let length = match self.received(&mut [], &mut RecvAncillaryBuffer::default(), peek)? {
            Some(0) => return Ok(Heard::End),
            Some(length) => length,
            None => return Ok(Heard::Reset),
        };
        let mut bytes = vec![0u8; length];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let length = match self.received(&mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)? {
            Some(0) => return Ok(Heard::End),
            Some(length) => length,
            None => return Ok(Heard::Reset),
        };
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let message = serde_json::from_slice(&bytes[..length.min(bytes.len())])
            .map_err(|error| Error::new(Kind::Other, format!("message of init: {error}")))?;
        Ok(Heard::Message(message, descriptor))
    }

    /// Waits for bytes, and says how many there are: 0 when the other end is gone, none when the connection is reset.
    fn received(
        &self,
        bytes: &mut [u8],
        control: &mut RecvAncillaryBuffer<'_>,
        flags: RecvFlags,
    ) -> Result<Option<usize>> {
        let mut reset = false;
        loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(bytes)], control, flags) {
                Err(Errno::INTR) => {}
                // An end that died with our message unread resets the connection. The kernel says that first, and once; what the other end
                // said before it died is still to be read.
                Err(Errno::CONNRESET) if !reset => reset = true,
                Err(Errno::CONNRESET) => return Ok(None),
                // It had said nothing.
                Ok(received) if reset && received.bytes == 0 => return Ok(None),
                Ok(received) => return Ok(Some(received.bytes)),
                Err(errno) => return Err(called::<Errno>(|| "recvmsg".to_owned())(errno).into()),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_the_end_is_heard() {
        let (ours, theirs) = pair().expect("a pair");
        ours.send(&Message::Go, None).expect("it is there");
        theirs.send(&Message::Ready, None).expect("it is there");
        // With our message unread.
        drop(theirs);
        assert!(matches!(ours.hear(), Ok(Heard::Message(Message::Ready, None))));
        assert!(matches!(ours.hear(), Ok(Heard::End)));
    }

    #[test]
    fn who_dies_without_a_word_and_without_hearing_ours_is_known() {
        let (ours, theirs) = pair().expect("a pair");
        ours.send(&Message::Go, None).expect("it is there");
        drop(theirs);
        assert!(matches!(ours.hear(), Ok(Heard::Reset)));
    }
}
