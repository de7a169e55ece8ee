//! Bytes from one descriptor to another, without ever waiting on either alone.

use super::keys::DetachKeys;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// As much as a pipe holds.
const BUFFER: usize = 64 * 1024;

/// One direction of a stream.
#[derive(Debug)]
pub struct Flow {
    from: Option<OwnedFd>,
    to: Option<OwnedFd>,
    buffer: Vec<u8>,
    written: usize,
    /// The keys that end it, for what a person types.
    keys: Option<DetachKeys>,
    left: bool,
}

impl Flow {
    /// A flow that ends when `from` does, and closes `to` then.
    pub fn new(from: OwnedFd, to: OwnedFd) -> Self {
        Self { from: Some(from), to: Some(to), buffer: Vec::new(), written: 0, keys: None, left: false }
    }

    /// The same, until these keys are in it.
    #[must_use]
    pub fn until(self, keys: DetachKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Whether the keys were in it, and all before them is passed on.
    pub fn has_left(&self) -> bool {
        self.left && self.written >= self.buffer.len()
    }

    /// What to wait for: input while nothing is held, otherwise room for what is.
    pub fn waits_for(&self) -> Option<PollFd<'_>> {
        if self.written < self.buffer.len() {
            return self.to.as_ref().map(|to| PollFd::new(to, PollFlags::OUT));
        }
        self.from.as_ref().map(|from| PollFd::new(from, PollFlags::IN))
    }

    /// Does one read or one write; whether there is more to do.
    pub fn step(&mut self) -> bool {
        if self.written < self.buffer.len() {
            return self.write();
        }
        let Some(from) = &self.from else { return false };
        self.buffer.resize(BUFFER, 0);
        self.written = 0;
        let read = rustix::io::read(from, &mut self.buffer);
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Err(Errno::AGAIN | Errno::INTR) => true,
            // EIO is how a terminal's master says that nobody has the other end open any more.
            Ok(0) | Err(_) => self.end(),
            Ok(_) => {
                if let Some(keys) = &mut self.keys {
                    (self.buffer, self.left) = keys.filter(&self.buffer);
                    if self.left {
                        self.from = None;
                    }
                }
                true
            }
        }
    }

    fn write(&mut self) -> bool {
        let Some(to) = &self.to else { return self.end() };
        match rustix::io::write(to, &self.buffer[self.written..]) {
            Ok(count) => {
                self.written += count;
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            // Nobody reads any more: neither do we.
            Err(_) => self.end(),
        }
    }

    fn end(&mut self) -> bool {
        self.from = None;
        self.to = None;
        self.buffer.clear();
        self.written = 0;
        false
    }

    /// Passes on what is still to be read, after the last writer is gone.
    pub fn drain(&mut self) {
        while let Some(waits) = self.waits_for() {
            let reads = self.written >= self.buffer.len();
            let limit = rustix::event::Timespec { tv_sec: if reads { 0 } else { 5 }, tv_nsec: 0 };
            let ready = rustix::event::poll(&mut [waits], Some(&limit));
            if !matches!(ready, Ok(1..) | Err(Errno::INTR)) || !self.step() {
                return;
            }
        }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.from.is_none() && self.written >= self.buffer.len()
    }
}

/// Makes a descriptor of ours return instead of wait.
pub fn nonblocking(fd: impl AsFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)
}
