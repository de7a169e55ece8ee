//! A container in the foreground: its signals and streams are those of the command that was typed.

mod flow;
mod keys;
mod terminal;

use crate::container::{Running, Stdio, wait};
use crate::error::{Error, Kind, Result};
use flow::Flow;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::WaitOptions;
use rustix::termios::isatty;
use sys::clone3::Child;
use sys::signals::{SignalFd, send};
use sys::{Errno, Tries, called};

pub use keys::DetachKeys;
pub use terminal::Raw;

/// SIGCHLD: ours, not the container's.
const SIGCHLD: i32 = 17;
/// SIGWINCH: the window has another size.
const SIGWINCH: i32 = 28;
/// SIGPIPE: about our own writes.
const SIGPIPE: i32 = 13;

/// SIGURG: said by nobody to anybody.
const SIGURG: i32 = 23;

/// Which streams a container is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// `-i`: our standard input.
    pub interactive: bool,
    /// `-t`: a terminal of its own.
    pub terminal: bool,
}

/// What has to be set up before a container starts, so that no signal and no byte is lost.
#[derive(Debug)]
pub struct Foreground {
    streams: Streams,
    signals: SignalFd,
    /// The first `inputs` of them lead into the container.
    flows: Vec<Flow>,
    inputs: usize,
    /// Whether every child of this process is one to reap.
    reaps: bool,
    /// How the child ended, once that is known.
    code: Option<i32>,
}

/// How what was in the foreground has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Why not all that it wrote is here, or not all that was typed has reached it.
    lost: Option<Error>,
}

impl Ended {
    /// Its exit code. Whoever goes by that must not take half of a stream for all of it.
    ///
    /// # Errors
    /// It is 0, and something was lost.
    pub fn whole(self, mut warn: impl FnMut(&str)) -> Result<i32> {
        match self.lost {
            Some(lost) if self.code == 0 => return Err(lost),
            Some(lost) => warn(&lost.to_string()),
            None => {}
        }
        Ok(self.code)
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(called::<Errno>(|| "dup".to_owned()))?;
    Ok(copy)
}

/// Makes a descriptor of ours return instead of wait.
pub fn nonblocking(fd: impl AsFd) -> Result<()> {
    flow::nonblocking(fd).map_err(called::<Errno>(|| "fcntl(O_NONBLOCK)".to_owned()))?;
    Ok(())
}

/// The size of the person's terminal, as rows and columns.
pub fn terminal_size() -> Option<(u16, u16)> {
    terminal::size(rustix::stdio::stdin()).or_else(|| terminal::size(rustix::stdio::stdout()))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let ends = pipe_with(PipeFlags::CLOEXEC).map_err(called::<Errno>(|| "pipe2".to_owned()))?;
    Ok(ends)
}

impl Foreground {
    /// Blocks signals into a descriptor and makes the container's standard descriptors.
    ///
    /// A stream that is a terminal of the host never reaches a container as it is: through it, a container could
    /// type into the person's shell (TIOCSTI, tty_ioctl(4)). Pipes and files go in directly, at no cost.
    pub fn prepare(streams: Streams) -> Result<(Self, Stdio)> {
        let (stdin, stdout, stderr) =
            (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        if streams.terminal && streams.interactive && !isatty(stdin) {
            return Err(Error::new(Kind::Invalid, "the input device is not a terminal")
                .with_hint("leave out -t when standard input is a pipe or a file"));
        }
        let mut flows = Vec::new();
        let mut inputs = 0;
        let mut stdio = Stdio::default();
        if streams.terminal || !streams.interactive {
            let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(called::<Errno>(|| "open(\"/dev/null\")".to_owned()))?;
            stdio.input = Some(null);
        } else if isatty(stdin) {
            let (read, write) = pipe()?;
            nonblocking(&write)?;
            flows.push(Flow::new(duplicate(stdin)?, write));
            stdio.input = Some(read);
            inputs = 1;
        }
        if !streams.terminal {
            for (ours, theirs) in [(stdout, &mut stdio.output), (stderr, &mut stdio.error)] {
                if isatty(ours) {
                    let (read, write) = pipe()?;
                    flows.push(Flow::new(read, duplicate(ours)?));
                    *theirs = Some(write);
                }
            }
        }
        let signals = SignalFd::block_all()?;
        Ok((Self { streams, signals, flows, inputs, reaps: false, code: None }, stdio))
    }

    /// As [`Foreground::prepare`], for a container that has the caller's descriptors as they are: what runc's callers
    /// expect of `run` and `exec`.
    pub fn inherit(terminal: bool) -> Result<Self> {
        let streams = Streams { interactive: terminal && isatty(rustix::stdio::stdin()), terminal };
        let signals = SignalFd::block_all()?;
        Ok(Self { streams, signals, flows: Vec::new(), inputs: 0, reaps: false, code: None })
    }

    /// The same, for a process whose children are all to be reaped (`PR_SET_CHILD_SUBREAPER`).
    #[must_use]
    pub fn reaping(self) -> Self {
        Self { reaps: true, ..self }
    }

    /// Stays with the container until it ends.
    pub fn attend(self, running: &Running) -> Result<Ended> {
        self.attend_child(&running.child, running.terminal.as_ref())
    }

    /// As [`Foreground::attend`], for any child: a process that was executed in a container.
    pub fn attend_child(self, child: &Child, master: Option<&OwnedFd>) -> Result<Ended> {
        Ok(self.attend_until_left(child, master, &[])?.unwrap_or_default())
    }

    /// As [`Foreground::attend_child`], until these keys are typed into its terminal: then it has not ended, and runs on.
    pub fn attend_until_left(
        mut self,
        child: &Child,
        master: Option<&OwnedFd>,
        keys: &[u8],
    ) -> Result<Option<Ended>> {
        let mut raw = None;
        if let Some(master) = master {
            let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
            // The window may have changed since the terminal was made.
            terminal::copy_size(if isatty(stdin) { stdin } else { stdout }, master.as_fd());
            nonblocking(master)?;
            self.flows.push(Flow::new(duplicate(master.as_fd())?, duplicate(stdout)?));
            if self.streams.interactive {
                raw = Some(Raw::set(stdin)?);
                let typed = Flow::new(duplicate(stdin)?, duplicate(master.as_fd())?);
                self.flows.insert(0, typed.until(DetachKeys::new(keys)));
                self.inputs = 1;
            }
        }
        let ended = self.until_it_ends(child, master);
        if matches!(ended, Ok(false)) {
            drop(raw);
            return Ok(None);
        }
        // What is still in flight belongs before the prompt.
        for flow in self.flows.iter_mut().skip(self.inputs) {
            flow.drain();
        }
        drop(raw);
        ended?;
        let code = self.code.map_or_else(|| wait(child), Ok)?;
        Ok(Some(Ended { code, lost: self.lost() }))
    }

    /// Why one of the streams has ended before its end.
    fn lost(&mut self) -> Option<Error> {
        let mut all = self.flows.iter_mut().map(Flow::lost).enumerate();
        let (index, error) = all.find_map(|(index, error)| Some((index, error?)))?;
        let what = match index < self.inputs {
            true => "not all of standard input reached the container",
            false => "not all that the container wrote is here",
        };
        Some(Error::from(error).within(what))
    }

    /// Whether it ended, and was not left.
    fn until_it_ends(&mut self, child: &Child, master: Option<&OwnedFd>) -> Result<bool> {
        let mut tries = Tries::default();
        loop {
            let (ended, signalled, ready) = {
                let mut waiting =
                    vec![PollFd::new(&child.pidfd, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
                let live: Vec<usize> =
                    (0..self.flows.len()).filter(|index| !self.flows[*index].is_over()).collect();
                waiting.extend(live.iter().filter_map(|index| self.flows[*index].waits_for()));
                match poll(&mut waiting, None) {
                    Err(Errno::INTR) => continue,
                    Err(_) if tries.go_on() => continue,
                    Err(errno) => return Err(called::<Errno>(|| "poll".to_owned())(errno).into()),
                    Ok(_) => tries = Tries::default(),
                }
                let happened: Vec<bool> = waiting.iter().map(|one| !one.revents().is_empty()).collect();
                let ready: Vec<usize> = live
                    .iter()
                    .zip(&happened[2..])
                    .filter(|(_, yes)| **yes)
                    .map(|(index, _)| *index)
                    .collect();
                (happened[0], happened[1], ready)
            };
            if signalled {
                self.pass_signals(child, master)?;
            }
            for index in ready {
                self.flows[index].step();
            }
            if ended {
                return Ok(true);
            }
            if self.flows.first().is_some_and(Flow::has_left) {
                return Ok(false);
            }
        }
    }

    /// Reaps all that has ended: orphans of a container come to a subreaper.
    fn reap(&mut self, child: &Child) -> Result<()> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == child.pid => {
                    let code = status.exit_status();
                    self.code = code.or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(errno) => return Err(called::<Errno>(|| "wait4".to_owned())(errno).into()),
            }
        }
    }

    fn pass_signals(&mut self, child: &Child, master: Option<&OwnedFd>) -> Result<()> {
        while let Some(signal) = self.signals.next()? {
            match signal {
                SIGCHLD if self.reaps => self.reap(child)?,
                SIGCHLD => {}
                SIGPIPE | SIGURG => {}
                SIGWINCH if master.is_some() => {
                    if let Some(master) = master {
                        let stdin = rustix::stdio::stdin();
                        terminal::copy_size(
                            if isatty(stdin) { stdin } else { rustix::stdio::stdout() },
                            master.as_fd(),
                        );
                    }
                }
                signal => match send(child.pidfd.as_fd(), signal) {
                    // It has just ended; the next turn sees that.
                    Err(error) if error.errno == Errno::SRCH => {}
                    other => other?,
                },
            }
        }
        Ok(())
    }
}
