//! The streams of a container: what comes in for it, and what it writes.

use super::{Attended, Supervisor};
use crate::frame::{Frame, LONGEST};
use crate::log::Stream;
use rustix::fd::OwnedFd;
use sys::{Errno, Tries};

/// The ends of a container's streams that its supervisor has.
#[derive(Debug, Default)]
pub struct Streams {
    /// Where its standard input comes from.
    pub input: Option<OwnedFd>,
    /// Where its standard output goes.
    pub output: Option<OwnedFd>,
    /// Where its standard error goes.
    pub error: Option<OwnedFd>,
    /// The master of its terminal, instead of all three.
    pub terminal: Option<OwnedFd>,
    /// Whether the end of a visitor's input is the end of the container's: where somebody was attached from its start. What runs on
    /// its own outlives the input of those who come by.
    pub input_ends: bool,
}

impl Streams {
    pub(super) fn input(&self) -> Option<&OwnedFd> {
        self.terminal.as_ref().or(self.input.as_ref())
    }

    pub(super) fn outputs(&self) -> [(Stream, Option<&OwnedFd>); 2] {
        [
            (Stream::Output, self.terminal.as_ref().or(self.output.as_ref())),
            (Stream::Error, self.error.as_ref()),
        ]
    }

    fn close(&mut self, stream: Stream) {
        match stream {
            Stream::Output if self.terminal.is_some() => self.terminal = None,
            Stream::Output => self.output = None,
            Stream::Error => self.error = None,
        }
    }
}

/// How often in a row each stream has failed. No error is the end of a stream: what is in it is there at the next turn.
#[derive(Debug, Default)]
pub(super) struct Failures {
    input: Tries,
    output: Tries,
    error: Tries,
}

impl Failures {
    fn of(&mut self, stream: Stream) -> &mut Tries {
        match stream {
            Stream::Output => &mut self.output,
            Stream::Error => &mut self.error,
        }
    }
}

impl Supervisor {
    /// Writes what there is room for into the container's input.
    pub(super) fn feed(&mut self, attended: &mut Attended<'_>) {
        let mut failed = false;
        if let Some(input) = attended.streams.input()
            && !self.input.is_empty()
        {
            match rustix::io::write(input, &self.input) {
                Ok(count) => {
                    self.failures.input = Tries::default();
                    self.input.drain(..count);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Nobody reads it any more.
                Err(Errno::PIPE) => failed = true,
                Err(_) => failed = !self.failures.input.go_on(),
            }
        }
        if failed {
            self.input.clear();
        }
        if attended.streams.terminal.is_none() && (failed || (self.input_ended && self.input.is_empty())) {
            attended.streams.input = None;
        }
    }

    /// Reads from a stream once; whether there may be more.
    pub(super) fn read(&mut self, streams: &mut Streams, stream: Stream) -> bool {
        let [output, error] = streams.outputs();
        let (_, Some(fd)) = (if stream == Stream::Output { output } else { error }) else { return false };
        let mut buffer = [0u8; LONGEST];
        match rustix::io::read(fd, &mut buffer) {
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            // EIO is how a terminal's master says that nobody has the other end open.
            Err(Errno::IO) if streams.terminal.is_some() => {
                streams.close(stream);
                false
            }
            Ok(0) => {
                streams.close(stream);
                false
            }
            Err(errno) => {
                if self.failures.of(stream).go_on() {
                    return true;
                }
                let which = if stream == Stream::Output { "standard output" } else { "standard error" };
                self.say(&Frame::Warning(format!(
                    "the container's {which} is not heard any more: read: {}",
                    sys::errno::name(errno)
                )));
                streams.close(stream);
                false
            }
            Ok(count) => {
                *self.failures.of(stream) = Tries::default();
                let bytes = &buffer[..count];
                if let Some(log) = &mut self.log {
                    let kept = log.write(stream, bytes);
                    self.tell_of_log(kept);
                }
                let frame = match stream {
                    Stream::Output => Frame::Output(bytes.to_vec()),
                    Stream::Error => Frame::ErrorOutput(bytes.to_vec()),
                };
                self.connections.iter_mut().filter(|one| one.attached).for_each(|one| one.say(&frame));
                true
            }
        }
    }

    /// Reads what the container has left in its streams.
    pub(super) fn drain(&mut self, streams: &mut Streams) {
        for stream in [Stream::Output, Stream::Error] {
            while self.read(streams, stream) {}
        }
    }
}
