//! A process that does nothing: a scope begins with one, and the container is not born yet.

use crate::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open, waitid};
use sys::clone3::{Child, Namespaces, clone3};
use sys::{Context, Errno, called};

/// What holds a unit until the container is in it; the process ends when it is dropped. The default holds none.
#[derive(Debug, Default)]
pub struct Held(Option<Child>);

impl Held {
    /// Starts the process. It ends with this one at the latest.
    pub(super) fn start() -> Result<Self> {
        let doing = || "start a process to begin with";
        let maker = pidfd_open(getpid(), PidfdFlags::empty())
            .map_err(called::<Errno>(|| "pidfd_open(self)".to_owned()))
            .within(doing)?;
        let child = clone3(Namespaces::NONE, None, || {
            let mut end = [PollFd::new(&maker, PollFlags::IN)];
            while poll(&mut end, None) == Err(Errno::INTR) {}
            0
        });
        Ok(Self(Some(child.within(doing)?)))
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.0.as_ref().map(|child| child.pid.as_raw_nonzero().get().cast_unsigned())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(child) = &self.0 else { return };
        let sent = sys::signals::send(child.pidfd.as_fd(), 9);
        // Whoever killed it before us, it is ours to reap.
        if sent.is_ok() || sent.is_err_and(|error| error.errno == Errno::SRCH) {
            while waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).err() == Some(Errno::INTR)
            {
            }
        }
    }
}
