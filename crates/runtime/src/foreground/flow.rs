//! Bytes from one descriptor to another, without ever waiting on either alone.

use super::keys::DetachKeys;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::termios::isatty;
use sys::{CallError, Tries, called};

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
    /// Whether `from` and `to` are terminals. One that has hung up cannot say so any more.
    terminals: [bool; 2],
    tries: Tries,
    /// Why it has ended before its end.
    lost: Option<CallError>,
}

impl Flow {
    /// A flow that ends when `from` does, and closes `to` then.
    pub fn new(from: OwnedFd, to: OwnedFd) -> Self {
        let terminals = [isatty(&from), isatty(&to)];
        Self {
            from: Some(from),
            to: Some(to),
            buffer: Vec::new(),
            written: 0,
            keys: None,
            left: false,
            terminals,
            tries: Tries::default(),
            lost: None,
        }
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

    /// The call that failed, where it has ended before its end.
    pub fn lost(&mut self) -> Option<CallError> {
        self.lost.take()
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
            // EIO is how a terminal's master says that nobody has the other end open any more.
            Err(Errno::IO) if self.terminals[0] => self.end(),
            Err(errno) => self.fail("read", errno),
            Ok(0) => self.end(),
            Ok(_) => {
                self.tries = Tries::default();
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
                self.tries = Tries::default();
                self.written += count;
                true
            }
            // Nobody reads any more: neither do we.
            Err(Errno::PIPE) => self.end(),
            Err(Errno::IO) if self.terminals[1] => self.end(),
            Err(errno) => self.fail("write", errno),
        }
    }

    /// What passes ends nothing.
    fn fail(&mut self, call: &str, errno: Errno) -> bool {
        if matches!(errno, Errno::AGAIN | Errno::INTR) || self.tries.go_on() {
            return true;
        }
        self.lost = Some(called::<Errno>(|| call.to_owned())(errno));
        self.end()
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
        let mut tries = Tries::default();
        while let Some(waits) = self.waits_for() {
            let reads = self.written >= self.buffer.len();
            let limit = rustix::event::Timespec { tv_sec: if reads { 0 } else { 5 }, tv_nsec: 0 };
            let ready = rustix::event::poll(&mut [waits], Some(&limit));
            match ready {
                Ok(1..) if self.step() => tries = Tries::default(),
                Err(Errno::INTR) => {}
                Err(_) if tries.go_on() => {}
                Err(errno) => {
                    self.lost = Some(called::<Errno>(|| "poll".to_owned())(errno));
                    return;
                }
                Ok(_) => return,
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
