//! A container on its way from a plan to a running process, as its parent sees it.
//!
//! ```text
//! launch -> Launch (init is setting up; the parent may do other work) -> ready -> Created -> start -> Running
//! ```
//! Whatever fails, the record is worked off before the error is returned.

use crate::channel::{Channel, Message, pair};
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::plan::Plan;
use crate::state::{self, Init, Record};
use cgroup::{Cgroup, Entry};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::path::{Path, PathBuf};
use sys::clone3::{Child, clone3};
use sys::{Context, Errno, called};

/// Init is setting up.
#[derive(Debug)]
pub struct Launch {
    run: PathBuf,
    record: Record,
    child: Child,
    channel: Channel,
}

/// Everything is set up; the command has not been started.
#[derive(Debug)]
pub struct Created {
    launch: Launch,
    /// The master of the container's terminal, where it has one.
    pub terminal: Option<OwnedFd>,
}

/// The command runs.
#[derive(Debug)]
pub struct Running {
    /// Of PID 1.
    pub child: Child,
    /// The master of the container's terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    /// Its cgroup.
    pub cgroup: Option<Cgroup>,
}

/// The standard descriptors of a container; one that is not given is the caller's own.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Descriptor 0.
    pub input: Option<OwnedFd>,
    /// Descriptor 1.
    pub output: Option<OwnedFd>,
    /// Descriptor 2.
    pub error: Option<OwnedFd>,
}

impl Stdio {
    /// Puts them in place, in the child.
    fn take(self) -> Result<()> {
        let done = |call: &str, result: rustix::io::Result<()>| {
            result.map_err(called::<Errno>(|| call.to_owned())).map_err(Error::from)
        };
        if let Some(fd) = &self.input {
            done("dup2(0)", rustix::stdio::dup2_stdin(fd))?;
        }
        if let Some(fd) = &self.output {
            done("dup2(1)", rustix::stdio::dup2_stdout(fd))?;
        }
        if let Some(fd) = &self.error {
            done("dup2(2)", rustix::stdio::dup2_stderr(fd))?;
        }
        Ok(())
    }
}

/// Writes the record of `plan` into `run`, makes the cgroup and clones init into it.
///
/// # Errors
/// `Exists` when the id is taken: then nothing is touched. Any other error leaves nothing behind.
pub fn launch(run: &Path, plan: &Plan, cgroup: Option<Cgroup>, stdio: Stdio) -> Result<Launch> {
    let record = Record { id: plan.id.clone(), cgroup, init: None };
    state::claim(run, &record)?;
    launch_claimed(run, plan, record, stdio).map_err(|error| after_removal(run, &plan.id, error))
}

/// Removes what an error left. A removal that fails too is told with it.
fn after_removal(run: &Path, id: &str, error: Error) -> Error {
    match state::remove(run, id) {
        Ok(()) => error,
        Err(left) => error.with_hint(format!("something is left behind: {left}")),
    }
}

fn launch_claimed(run: &Path, plan: &Plan, mut record: Record, stdio: Stdio) -> Result<Launch> {
    let mut entry = Entry::default();
    if let Some(cgroup) = &record.cgroup {
        cgroup.create().map_err(of_cgroup)?;
        // Before the first process is in it: it must never run without its limits.
        cgroup.apply(&plan.limits).map_err(of_cgroup)?;
        entry = cgroup.entry().map_err(of_cgroup)?;
    }
    let (mut ours, mut theirs) = pair()?;
    let (parents_end, tasks) = (&mut ours, &entry);
    let child = clone3(plan.namespaces, entry.unified.as_ref().map(AsFd::as_fd), move || {
        // A copy of the parent's end would hide its death from us.
        let closed = parents_end.close().and_then(|()| stdio.take());
        if closed.is_err() { 71 } else { crate::init::run(plan, &mut theirs, tasks) }
    })?;
    record.init = Init::of(child.pid.as_raw_nonzero().get());
    state::write(run, &record)?;
    Ok(Launch { run: run.to_owned(), record, child, channel: ours })
}

impl Launch {
    /// The id of init, in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.child.pid.as_raw_nonzero().get()
    }

    /// The network namespace of its own, which a plan has asked for. To be called once, before [`Launch::ready`].
    ///
    /// # Errors
    /// The failure of init, if it failed before; the container is still to be discarded.
    pub fn network(&self) -> Result<OwnedFd> {
        match self.channel.receive()? {
            Some((Message::Network, Some(namespace))) => Ok(namespace),
            Some((Message::Failed { kind, chain, hint }, _)) => Err(Error { kind, chain, hint }),
            Some((other, _)) => Err(Error::new(Kind::Other, format!("unexpected message {other:?} of init"))),
            None => Err(self.died()),
        }
    }

    /// Waits until everything is set up.
    pub fn ready(self) -> Result<Created> {
        let mut terminal = None;
        let failure = loop {
            match self.channel.receive() {
                // Nobody has asked for it.
                Ok(Some((Message::Network, _))) => {}
                Ok(Some((Message::Terminal, master))) => terminal = master,
                Ok(Some((Message::Ready, _))) => return Ok(Created { launch: self, terminal }),
                Ok(Some((Message::Failed { kind, chain, hint }, _))) => break Error { kind, chain, hint },
                Ok(Some((Message::Go, _))) => break Error::new(Kind::Other, "unexpected message of init"),
                Ok(None) => break self.died(),
                Err(error) => break error,
            }
        };
        Err(self.discard(failure))
    }

    /// Ends the container and removes all of it; returns the error to report.
    pub fn discard(self, error: Error) -> Error {
        after_removal(&self.run, &self.record.id, error)
    }

    /// What to say of an init that is gone without a word.
    fn died(&self) -> Error {
        let killed = self
            .record
            .cgroup
            .as_ref()
            .is_some_and(|cgroup| cgroup.memory_events().is_ok_and(|kills| kills > 0));
        let status =
            waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                .ok()
                .flatten()
                .and_then(|status| status.terminating_signal());
        match status {
            _ if killed => {
                Error::new(Kind::Invalid, "init was killed: the memory limit is too small to start in")
                    .with_hint("a container needs some MiB to start: use a larger -m")
            }
            Some(signal) => Error::new(Kind::Other, format!("init was killed by signal {signal}")),
            None => Error::new(Kind::Other, "init ended without a word"),
        }
    }
}

impl Created {
    /// The id of init, in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.launch.pid()
    }

    /// Ends the container and removes all of it; returns the error to report.
    pub fn discard(self, error: Error) -> Error {
        self.launch.discard(error)
    }

    /// Lets the command run; returns when its execve has worked.
    ///
    /// # Errors
    /// `CommandNotFound` and `CommandNotExecutable` are for the exit codes 127 and 126. Nothing is left behind.
    pub fn start(self) -> Result<Running> {
        if let Err(error) = self.launch.channel.send(&Message::Go, None) {
            return Err(self.launch.discard(error));
        }
        match self.launch.channel.receive() {
            Ok(None) => {}
            Ok(Some((Message::Failed { kind, chain, hint }, _))) => {
                return Err(self.launch.discard(Error { kind, chain, hint }));
            }
            Ok(Some((other, _))) => {
                let error = Error::new(Kind::Other, format!("unexpected message {other:?} of init"));
                return Err(self.launch.discard(error));
            }
            Err(error) => return Err(self.launch.discard(error)),
        }
        let Launch { record, child, .. } = self.launch;
        Ok(Running { child, terminal: self.terminal, cgroup: record.cgroup })
    }
}

/// Waits for the end of PID 1, which must be this process's child: its exit code, or 128 and its signal.
pub fn wait(child: &Child) -> Result<i32> {
    loop {
        match waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(status
                    .exit_status()
                    .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(called::<Errno>(|| "waitid(pidfd)".to_owned())(errno)).within(|| "wait for init");
            }
        }
    }
}
