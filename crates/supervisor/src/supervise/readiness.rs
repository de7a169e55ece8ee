//! What a supervisor waits for, and what of it is ready: one poll(2) for everything.

use super::{Aside, Attended, Supervisor};
use crate::log::{Log, Stream};
use crate::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::Instant;
use sys::{Errno, Tries, called};

/// As much input as is held for a container that does not read.
const FULL: usize = 64 * 1024;

/// Which of them a descriptor is.
#[derive(Debug, Clone, Copy)]
enum What {
    Signals,
    Listener,
    Connection(usize),
    End,
    Output(Stream),
    Input,
    Log,
    Aside,
}

/// What is ready.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) signals: bool,
    pub(super) listener: bool,
    pub(super) connections: Vec<usize>,
    pub(super) ended: bool,
    pub(super) outputs: Vec<Stream>,
    pub(super) input: bool,
    pub(super) log: bool,
    pub(super) aside: bool,
}

impl Supervisor {
    /// Waits until something is ready, or due.
    pub(super) fn wait(
        &self,
        attended: Option<&Attended<'_>>,
        end: Option<Instant>,
        aside: &dyn Aside,
    ) -> Result<Ready> {
        let hungry = self.input.len() < FULL;
        let mut waiting = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let mut what = vec![What::Signals];
        if let Some(listener) = &self.listener {
            waiting.push(PollFd::new(listener, PollFlags::IN));
            what.push(What::Listener);
        }
        for (index, one) in self.connections.iter().enumerate() {
            // Whoever has sent no input is heard in any case: they may want the container to end.
            waiting.push(one.waits_for(hungry || !one.feeds));
            what.push(What::Connection(index));
        }
        if let Some(fd) = self.log.as_ref().and_then(Log::waits_for) {
            waiting.push(PollFd::new(fd, PollFlags::OUT));
            what.push(What::Log);
        }
        let beside = aside.waits_for();
        let mut next = end;
        if let Some(attended) = attended {
            waiting.push(PollFd::new(&attended.child.pidfd, PollFlags::IN));
            what.push(What::End);
            let full = self.connections.iter().any(|one| one.attached && one.is_full())
                || self.log.as_ref().is_some_and(Log::is_full);
            let input = attended.streams.input().filter(|_| !self.input.is_empty());
            for (stream, fd) in attended.streams.outputs() {
                if let (Some(fd), false) = (fd, full) {
                    waiting.push(PollFd::new(fd, PollFlags::IN));
                    what.push(What::Output(stream));
                }
            }
            if let Some(fd) = input {
                waiting.push(PollFd::new(fd, PollFlags::OUT));
                what.push(What::Input);
            }
            for one in beside {
                waiting.push(one);
                what.push(What::Aside);
            }
            next = next.into_iter().chain(aside.due()).min();
        }
        let limit = next.map(|next| {
            let left = next.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
        });
        let mut tries = Tries::default();
        loop {
            match poll(&mut waiting, limit.as_ref()) {
                Ok(_) | Err(Errno::INTR) => break,
                Err(_) if tries.go_on() => {}
                Err(errno) => return Err(Error::from(called::<Errno>(|| "poll".to_owned())(errno))),
            }
        }
        let mut ready = Ready::default();
        for (one, what) in waiting.iter().zip(what) {
            if one.revents().is_empty() {
                continue;
            }
            match what {
                What::Signals => ready.signals = true,
                What::Listener => ready.listener = true,
                What::Connection(index) => ready.connections.push(index),
                What::End => ready.ended = true,
                What::Output(stream) => ready.outputs.push(stream),
                What::Input => ready.input = true,
                What::Log => ready.log = true,
                What::Aside => ready.aside = true,
            }
        }
        Ok(ready)
    }
}
