//! The small init of `--init`: PID 1 that passes signals on, reaps orphans, and ends as the command ended.

use crate::channel::Channel;
use crate::error::Result;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::process::{DumpableBehavior, WaitOptions, set_dumpable_behavior, wait};
use sys::clone3::{Child, Namespaces, clone3};
use sys::signals::{SignalFd, send};
use sys::{Errno, called};

/// The number of SIGCHLD: what tells init to reap, and is not for the command.
const SIGCHLD: i32 = 17;

/// Starts `command` as a child and stays as PID 1; returns the exit code that the container ends with.
pub fn attend(channel: &mut Channel, command: impl FnOnce(&Channel) -> i32) -> Result<i32> {
    // What stays must not be read or traced by what it started: it is the host's program (CVE-2019-5736).
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(called::<Errno>(|| "prctl(PR_SET_DUMPABLE, 0)".to_owned()))?;
    // Nor do the arguments that were typed on the host belong in here.
    sys::command_line::replace(c"init")?;
    let signals = SignalFd::block_all()?;
    let child = clone3(Namespaces::NONE, None, || command(channel))?;
    // The parent knows of the execve by the end of the stream: no copy of it may stay open here.
    channel.close()?;
    Ok(until_it_ends(&child, &signals))
}

fn until_it_ends(child: &Child, signals: &SignalFd) -> i32 {
    loop {
        let mut waiting = [PollFd::new(signals, PollFlags::IN)];
        if matches!(poll(&mut waiting, None), Err(errno) if errno != Errno::INTR) {
            return 70;
        }
        while let Ok(Some(signal)) = signals.next() {
            if signal != SIGCHLD {
                // The command may be gone already; its end is seen below.
                let _gone = send(child.pidfd.as_fd(), signal);
            }
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child.pid {
                return status
                    .exit_status()
                    .unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0));
            }
        }
    }
}
