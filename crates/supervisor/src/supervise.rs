//! The loop of a supervisor: one thread that waits for everything at once, and sleeps when nothing happens.

mod readiness;
mod streams;

pub use streams::Streams;

use crate::Result;
use crate::connection::Connection;
use crate::frame::Frame;
use crate::log::Log;
use rustix::event::PollFd;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{SocketFlags, accept_with};
use rustix::termios::{Winsize, tcsetwinsize};
use std::time::{Duration, Instant};
use sys::Errno;
use sys::clone3::Child;
use sys::signals::{SignalFd, send};

/// SIGTERM: the machine is being shut down.
const SIGTERM: i32 = 15;
/// How long those who only look on may take to hear the last words.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something else that a supervisor does while its container runs: checks of its health.
pub trait Aside {
    /// When it wants to be called again; none for never.
    fn due(&self) -> Option<Instant>;
    /// What it waits for.
    fn waits_for(&self) -> Vec<PollFd<'_>>;
    /// It is due, or one of its descriptors is ready.
    fn step(&mut self);
}

impl Aside for Vec<&mut dyn Aside> {
    fn due(&self) -> Option<Instant> {
        self.iter().filter_map(|one| one.due()).min()
    }

    fn waits_for(&self) -> Vec<PollFd<'_>> {
        self.iter().flat_map(|one| one.waits_for()).collect()
    }

    fn step(&mut self) {
        self.iter_mut().for_each(|one| one.step());
    }
}

/// The parent of a container.
#[derive(Debug)]
pub struct Supervisor {
    signals: SignalFd,
    listener: Option<OwnedFd>,
    connections: Vec<Connection>,
    log: Option<Log>,
    log_failed: bool,
    input: Vec<u8>,
    input_ended: bool,
    failures: streams::Failures,
    /// Whether somebody ends the container on purpose.
    pub stopping: bool,
    /// Whether the machine is being shut down.
    pub terminated: bool,
}

/// A container that is being attended.
struct Attended<'a> {
    child: &'a Child,
    streams: Streams,
    stop_signal: i32,
}

impl Supervisor {
    /// Blocks signals into a descriptor.
    pub fn new() -> Result<Self> {
        Ok(Self {
            signals: SignalFd::block_all()?,
            listener: None,
            connections: Vec::new(),
            log: None,
            log_failed: false,
            input: Vec::new(),
            input_ended: false,
            failures: streams::Failures::default(),
            stopping: false,
            terminated: false,
        })
    }

    /// Somebody to talk to; the first is who wanted the container.
    pub fn welcome(&mut self, mut connection: Connection) {
        connection.patient = true;
        self.connections.push(connection);
    }

    /// Also listens at a socket, which must not block.
    pub fn listen(&mut self, listener: OwnedFd) {
        self.listener = Some(listener);
    }

    /// Keeps what the container writes.
    pub fn keep(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// Says something to everybody.
    pub fn say(&mut self, frame: &Frame) {
        self.connections.iter_mut().for_each(|one| one.say(frame));
    }

    /// Says the last words to everybody, and waits until they are heard: without limit by who wanted the container, for some
    /// seconds by others. Meanwhile others may come and tell it to stop.
    pub fn end(&mut self, frame: &Frame) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        let mut leaving = std::mem::take(&mut self.connections);
        leaving.iter_mut().for_each(|one| one.say(frame));
        loop {
            let late = limit <= Instant::now();
            leaving.retain(|one| one.has_more() && !one.gone && (one.patient || !late));
            if leaving.is_empty() {
                self.connections.clear();
                return Ok(());
            }
            let count = leaving.len();
            self.connections.splice(0..0, leaving.drain(..));
            let end = (!late).then_some(limit);
            let ready = self.wait(None, end, &Vec::new())?;
            if ready.signals {
                self.hear_signals(None);
            }
            if ready.listener {
                self.accept();
            }
            for index in ready.connections {
                self.connections[index].send();
                for frame in self.connections[index].receive() {
                    self.hear(index, frame, None);
                }
            }
            leaving.extend(self.connections.drain(..count));
            self.connections.retain(|one| !one.gone);
        }
    }

    /// Stays with a container until it ends; returns its exit code. The streams must not block.
    pub fn attend(
        &mut self,
        child: &Child,
        streams: Streams,
        stop_signal: i32,
        aside: &mut dyn Aside,
    ) -> Result<i32> {
        self.input.clear();
        self.input_ended = false;
        self.failures = streams::Failures::default();
        let mut attended = Attended { child, streams, stop_signal };
        let ended = self.until(Some(&mut attended), None, aside);
        self.drain(&mut attended.streams);
        if let Some(log) = &mut self.log {
            let kept = log.end();
            self.tell_of_log(kept);
        }
        ended?;
        runtime::container::wait(child)
    }

    /// Waits between two starts; whether the time was up before somebody wanted an end.
    pub fn pause(&mut self, time: Duration) -> Result<bool> {
        self.until(None, Instant::now().checked_add(time), &mut Vec::new())?;
        Ok(!self.stopping && !self.terminated)
    }

    fn until(
        &mut self,
        mut attended: Option<&mut Attended<'_>>,
        end: Option<Instant>,
        aside: &mut dyn Aside,
    ) -> Result<()> {
        loop {
            if attended.is_none()
                && (self.stopping || self.terminated || end.is_some_and(|end| end <= Instant::now()))
            {
                return Ok(());
            }
            // Whoever waits for a word that cannot be said hears that, and not only after the next event.
            self.connections.retain(|one| !one.gone);
            let ready = self.wait(attended.as_deref(), end, aside)?;
            if ready.signals {
                self.hear_signals(attended.as_deref());
            }
            if ready.listener {
                self.accept();
            }
            for index in ready.connections {
                self.connections[index].send();
                for frame in self.connections[index].receive() {
                    self.hear(index, frame, attended.as_deref_mut());
                }
            }
            if ready.log {
                self.send_log();
            }
            if let Some(attended) = &mut attended {
                if ready.input {
                    self.feed(attended);
                }
                for stream in ready.outputs {
                    self.read(&mut attended.streams, stream);
                }
                let due = aside.due().is_some_and(|due| due <= Instant::now());
                if ready.aside || due {
                    aside.step();
                }
            }
            if ready.ended {
                return Ok(());
            }
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        // It may have hung up again, or there is no descriptor left for it. Who is somebody else could end the container, or type into it.
        if let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
            && sys::peer::is_ours(&socket)
        {
            self.connections.push(Connection::new(socket));
        }
    }

    fn hear_signals(&mut self, attended: Option<&Attended<'_>>) {
        // One that could not be read is there at the next turn.
        while let Ok(Some(signal)) = self.signals.next() {
            if signal == SIGTERM {
                self.terminated = true;
                if let Some(attended) = attended {
                    self.signal_to(attended.child, attended.stop_signal);
                }
            }
        }
    }

    fn hear(&mut self, from: usize, frame: Frame, attended: Option<&mut Attended<'_>>) {
        match frame {
            Frame::Attach => self.connections[from].attached = true,
            Frame::Stop => {
                self.stopping = true;
                self.connections[from].say(&Frame::Stopping);
            }
            Frame::Input(bytes) => {
                self.connections[from].feeds = true;
                if attended.is_some_and(|attended| attended.streams.input().is_some()) {
                    self.input.extend_from_slice(&bytes);
                }
            }
            Frame::InputEnd => {
                if let Some(attended) = attended
                    && attended.streams.input_ends
                    && attended.streams.terminal.is_none()
                {
                    self.input_ended = true;
                    self.feed(attended);
                }
            }
            Frame::Resize { rows, columns } => {
                if let Some(terminal) = attended.and_then(|attended| attended.streams.terminal.as_ref()) {
                    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                    // A terminal that has just hung up has no size.
                    let _gone = tcsetwinsize(terminal, size);
                }
            }
            Frame::Signal(signal) => {
                if let Some(attended) = attended {
                    self.signal_to(attended.child, signal);
                }
            }
            // What only a supervisor says: not one of ours.
            _ => self.connections[from].gone = true,
        }
    }

    /// A signal that cannot be sent is no reason to end the container either.
    fn signal_to(&mut self, child: &Child, signal: i32) {
        match send(child.pidfd.as_fd(), signal) {
            Ok(()) => {}
            // It has just ended; the next turn sees that. Or a number that is no signal was sent to us.
            Err(error) if [Errno::SRCH, Errno::INVAL].contains(&error.errno) => {}
            Err(error) => self.say(&Frame::Warning(format!("the container was sent no signal: {error}"))),
        }
    }

    /// A log that cannot be written, on a disk that is full, is no reason to end the container: who looks on hears of it, once until
    /// it is written again.
    fn tell_of_log(&mut self, kept: Result<()>) {
        let failed = kept.is_err();
        if let (Err(error), false) = (kept, self.log_failed) {
            self.say(&Frame::Warning(format!("what the container writes is not kept: {error}")));
        }
        self.log_failed = failed;
    }

    fn send_log(&mut self) {
        if let Some(log) = &mut self.log {
            let kept = log.send();
            self.tell_of_log(kept);
        }
    }
}
