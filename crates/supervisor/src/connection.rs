//! Somebody who talks to a supervisor, by a socket that neither side waits on alone.

use crate::frame::{Decoder, Frame, Malformed};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sys::Tries;

/// With more than this to send, its container is not read from until some of it is gone.
const FULL: usize = 256 * 1024;

/// One end of a conversation.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    decoder: Decoder,
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether it wants what the container writes.
    pub attached: bool,
    /// Whether it may take as long as it wants to hear everything.
    pub patient: bool,
    /// Whether it sends what the container is to read.
    pub feeds: bool,
    /// Whether the other end is gone, and all that it has said is heard.
    pub gone: bool,
    /// Whether the other end hears nothing any more; what it has said before may still be on its way.
    deaf: bool,
    sends: Tries,
    reads: Tries,
}

impl Connection {
    /// A conversation over `socket`, which must not block.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            decoder: Decoder::default(),
            outgoing: Vec::new(),
            sent: 0,
            attached: false,
            patient: false,
            feeds: false,
            gone: false,
            deaf: false,
            sends: Tries::default(),
            reads: Tries::default(),
        }
    }

    /// What to wait for: words of the other end, where they are wanted, and room for ours.
    pub fn waits_for(&self, reads: bool) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reads);
        flags.set(PollFlags::OUT, self.has_more());
        PollFd::new(&self.socket, flags)
    }

    /// Whether something is still to be sent.
    pub fn has_more(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    /// Whether it takes its words so slowly that no more should come for now.
    pub fn is_full(&self) -> bool {
        self.outgoing.len() - self.sent > FULL && !sys::mutant!("mutant_en_24")
    }

    /// Says something, as soon as there is room.
    pub fn say(&mut self, frame: &Frame) {
        if self.gone || self.deaf {
            return;
        }
        if self.sent > 0 {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
        frame.encode(&mut self.outgoing);
        self.send();
    }

    /// Sends what there is room for.
    pub fn send(&mut self) {
        while self.has_more() && !self.gone && !self.deaf {
            match rustix::net::send(
                &self.socket,
                &self.outgoing[self.sent..],
                rustix::net::SendFlags::NOSIGNAL,
            ) {
                Ok(count) => {
                    self.sends = Tries::default();
                    self.sent += count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // What it has said before is still to be read.
                Err(Errno::PIPE | Errno::CONNRESET) => self.deaf = true,
                // Whoever waits for an answer to this would wait for ever.
                Err(_) => self.gone = !self.sends.go_on(),
            }
        }
        if self.gone || self.deaf || !self.has_more() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// What has arrived.
    pub fn receive(&mut self) -> Vec<Frame> {
        let mut buffer = [0u8; 16 * 1024];
        match rustix::io::read(&self.socket, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => return Vec::new(),
            Err(errno) if errno != Errno::CONNRESET && self.reads.go_on() => return Vec::new(),
            Ok(0) | Err(_) => {
                self.gone = true;
                return Vec::new();
            }
            Ok(count) => {
                self.reads = Tries::default();
                self.decoder.add(&buffer[..count]);
            }
        }
        let mut frames = Vec::new();
        loop {
            match self.decoder.take() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return frames,
                Err(Malformed) => {
                    self.gone = true;
                    return frames;
                }
            }
        }
    }

    /// Waits for words of the other end; none when that is gone.
    pub fn listen(&mut self) -> Vec<Frame> {
        while !self.gone {
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], None) {
                Ok(_) => {
                    let heard = self.receive();
                    if !heard.is_empty() {
                        return heard;
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => self.gone = true,
            }
        }
        Vec::new()
    }

    /// Sends the rest, as long as the other end takes some of it within `seconds`; none waits for ever.
    pub fn flush(&mut self, seconds: Option<i64>) {
        let limit = seconds.map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 });
        while self.has_more() && !self.gone {
            match poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], limit.as_ref()) {
                Ok(0) => self.gone = true,
                Ok(_) => self.send(),
                Err(Errno::INTR) => {}
                Err(_) => self.gone = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn last_words_are_heard_by_who_still_speaks() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours), Connection::new(theirs));
        theirs.say(&Frame::Ended(7));
        drop(theirs);
        ours.say(&Frame::Attach);
        ours.say(&Frame::InputEnd);
        assert!(!ours.gone && !ours.has_more());
        assert_eq!(ours.listen(), [Frame::Ended(7)]);
        assert_eq!(ours.listen(), []);
        assert!(ours.gone);
    }
}
