//! The other side of a supervisor: a person's command, whose streams, signals and terminal are the container's for a while.

use crate::connection::Connection;
use crate::frame::{Frame, LONGEST};
use crate::{Error, Result};
use runtime::foreground::{DetachKeys, Raw, terminal_size};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::termios::isatty;
use std::collections::VecDeque;
use sys::signals::SignalFd;
use sys::{Errno, Tries, called};

/// SIGPIPE, SIGCHLD, SIGURG: about this process alone.
const OURS: [i32; 3] = [13, 17, 23];
/// SIGWINCH: the window has another size.
const SIGWINCH: i32 = 28;
/// SIGTTIN, SIGTTOU, SIGTSTP, SIGCONT: what a shell tells its jobs.
const JOBS: [i32; 4] = [21, 22, 20, 18];

/// What a visitor shares with the container.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Whether its standard input goes to the container.
    pub input: bool,
    /// Whether what the container writes comes to it.
    pub output: bool,
    /// Which of that it shows: standard output, standard error.
    pub shown: [bool; 2],
    /// Whether the container has a terminal.
    pub terminal: bool,
    /// Whether signals are passed on.
    pub signals: bool,
    /// The keys that end the visit and not the container; empty for none.
    pub detach: Vec<u8>,
}

/// How a visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The container has ended with this code.
    Ended(i32),
    /// The container has ended with 0, and not all that it wrote could be written here, or not all that was to be read here has reached
    /// it: where, and why.
    Unwritten(String),
    /// It could not be started; the error as JSON.
    Failed(Vec<u8>),
    /// The visitor wanted to go.
    Detached,
    /// The supervisor is gone without a word.
    Lost,
}

/// A visitor: blocks its signals early, so that none is lost.
#[derive(Debug)]
pub struct Visitor {
    connection: Connection,
    signals: SignalFd,
    /// What was heard and not yet looked at.
    heard: VecDeque<Frame>,
}

impl Visitor {
    /// A visitor at this end of a socket, which must not block.
    pub fn new(socket: OwnedFd) -> Result<Self> {
        Ok(Self {
            connection: Connection::new(socket),
            signals: SignalFd::block_all()?,
            heard: VecDeque::new(),
        })
    }

    /// Waits for the word that the container runs.
    ///
    /// # Errors
    /// Only those of this side; how it went otherwise is the outcome.
    pub fn until_started(&mut self, warn: &dyn Fn(&str)) -> Result<Option<Outcome>> {
        loop {
            self.wait(false)?;
            while let Some(signal) = self.signals.next()? {
                if !OURS.contains(&signal) && signal != SIGWINCH && !JOBS.contains(&signal) {
                    self.connection.say(&Frame::Signal(signal));
                }
            }
            self.heard.extend(self.connection.receive());
            while let Some(frame) = self.heard.pop_front() {
                match frame {
                    Frame::Warning(text) => warn(&text),
                    Frame::Started => return Ok(None),
                    Frame::Failed(error) => return Ok(Some(Outcome::Failed(error))),
                    Frame::Ended(code) => return Ok(Some(Outcome::Ended(code))),
                    _ => {}
                }
            }
            if self.connection.gone {
                return Ok(Some(Outcome::Lost));
            }
        }
    }

    /// Only waits for the end.
    pub fn until_ended(&mut self) -> Result<Outcome> {
        let visit = Visit {
            input: false,
            output: false,
            shown: [false, false],
            terminal: false,
            signals: false,
            detach: Vec::new(),
        };
        self.stay(&visit, &|_| (), &|| None)
    }

    /// Stays until the container ends, or the visitor wants to go. `beside` gives another conversation with the same supervisor.
    pub fn stay(
        &mut self,
        visit: &Visit,
        warn: &dyn Fn(&str),
        beside: &dyn Fn() -> Option<OwnedFd>,
    ) -> Result<Outcome> {
        // Whoever says nothing is told of the end all the same.
        if visit.output {
            self.connection.say(&Frame::Attach);
        }
        let (stdin, stdout, stderr) =
            (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        let mut keys = DetachKeys::new(&visit.detach);
        let mut input = Input {
            open: visit.input,
            terminal: visit.input && isatty(stdin),
            tries: Tries::default(),
            lost: None,
        };
        let raw = match visit.terminal && input.terminal {
            true => Some(Raw::set(stdin)?),
            false => None,
        };
        if visit.terminal {
            self.tell_size();
        }
        let mut shown = [
            Shown { to: stdout, name: "standard output", open: visit.shown[0], lost: None },
            Shown { to: stderr, name: "standard error", open: visit.shown[1], lost: None },
        ];
        let outcome = loop {
            let mut outcome = None;
            while let Some(frame) = self.heard.pop_front() {
                match frame {
                    Frame::Output(bytes) => shown[0].write(&bytes),
                    Frame::ErrorOutput(bytes) => shown[1].write(&bytes),
                    Frame::Warning(text) => warn(&text),
                    Frame::Ended(code) => outcome = Some(Outcome::Ended(code)),
                    Frame::Failed(error) => outcome = Some(Outcome::Failed(error)),
                    _ => {}
                }
            }
            if let Some(outcome) = outcome {
                break outcome;
            }
            if self.connection.gone {
                break Outcome::Lost;
            }
            let typed = self.wait(input.open && !self.connection.is_full())?;
            self.connection.send();
            if self.pass_signals(visit, beside)? {
                break Outcome::Detached;
            }
            self.heard.extend(self.connection.receive());
            if typed {
                let mut buffer = [0u8; LONGEST];
                match rustix::io::read(stdin, &mut buffer) {
                    Err(errno) if input.goes_on(errno) => {}
                    Ok(0) | Err(_) => {
                        input.open = false;
                        self.connection.say(&Frame::InputEnd);
                    }
                    Ok(count) => {
                        input.tries = Tries::default();
                        let (passed, leaves) = match visit.terminal {
                            true => keys.filter(&buffer[..count]),
                            false => (buffer[..count].to_vec(), false),
                        };
                        if !passed.is_empty() {
                            self.connection.say(&Frame::Input(passed));
                        }
                        if leaves {
                            self.connection.flush(Some(5));
                            break Outcome::Detached;
                        }
                    }
                }
            }
        };
        drop(raw);
        let lost = shown.iter().find_map(|one| one.lost.as_ref()).or(input.lost.as_ref());
        Ok(match (outcome, lost) {
            // Whoever goes by the code must not take half of an output for all of it, nor what came of half of an input.
            (Outcome::Ended(0), Some(lost)) => Outcome::Unwritten(lost.clone()),
            (outcome, lost) => {
                lost.into_iter().for_each(|lost| warn(lost));
                outcome
            }
        })
    }

    fn tell_size(&mut self) {
        if let Some((rows, columns)) = terminal_size() {
            self.connection.say(&Frame::Resize { rows, columns });
        }
    }

    /// Passes signals on; whether one of them ends a visit that passes none.
    fn pass_signals(&mut self, visit: &Visit, beside: &dyn Fn() -> Option<OwnedFd>) -> Result<bool> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                SIGWINCH if visit.terminal => self.tell_size(),
                _ if OURS.contains(&signal) || signal == SIGWINCH => {}
                _ if visit.signals => self.pass(signal, visit.input.then(beside).flatten()),
                _ if JOBS.contains(&signal) => {}
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Beside what was typed: a supervisor whose container does not read it stops to hear who has typed it.
    fn pass(&mut self, signal: i32, beside: Option<OwnedFd>) {
        let frame = Frame::Signal(signal);
        let Some(socket) = beside else { return self.connection.say(&frame) };
        let mut messenger = Connection::new(socket);
        messenger.say(&frame);
        messenger.flush(Some(5));
    }

    /// Waits for anything; whether there is something typed.
    fn wait(&mut self, reads: bool) -> Result<bool> {
        let stdin = rustix::stdio::stdin();
        let mut waiting = vec![self.connection.waits_for(true), PollFd::new(&self.signals, PollFlags::IN)];
        if reads {
            waiting.push(PollFd::new(&stdin, PollFlags::IN));
        }
        match poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::from(called::<Errno>(|| "poll".to_owned())(errno))),
        }
        Ok(waiting.get(2).is_some_and(|stdin| !stdin.revents().is_empty()))
    }
}

/// Where what goes to the container is read.
struct Input {
    open: bool,
    terminal: bool,
    tries: Tries,
    /// Why something of it could not be read.
    lost: Option<String>,
}

impl Input {
    /// After a read that failed: whether there may be more.
    fn goes_on(&mut self, errno: Errno) -> bool {
        // EIO is how a terminal says that it has hung up, or that another process has it now.
        if errno == Errno::IO && self.terminal {
            return false;
        }
        if matches!(errno, Errno::AGAIN | Errno::INTR) || self.tries.go_on() {
            return true;
        }
        let error = called::<Errno>(|| "read".to_owned())(errno);
        self.lost = Some(format!("not all of standard input reached the container: {error}"));
        false
    }
}

/// Where what the container writes is shown.
struct Shown<'a> {
    to: BorrowedFd<'a>,
    name: &'static str,
    open: bool,
    /// Why something of it could not be written.
    lost: Option<String>,
}

impl Shown<'_> {
    /// Writes, until somebody reads no more.
    fn write(&mut self, bytes: &[u8]) {
        if !self.open {
            return;
        }
        let Err(errno) = write_all(self.to, bytes) else { return };
        self.open = false;
        // Who has closed it wants no more: `run ... | head`.
        if errno != Errno::PIPE {
            let error = Error::from(called::<Errno>(|| format!("write to {}", self.name))(errno));
            self.lost = Some(format!("not all that the container wrote is here: {error}"));
        }
    }
}

/// Writes to a descriptor that may be full.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> std::result::Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _interrupted = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
