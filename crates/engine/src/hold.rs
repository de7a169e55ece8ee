//! A process that was executed in a container and is on its own: what stays of the command that started it holds its terminal,
//! which would hang up otherwise, and reaps it.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::supervise::{detach, error_of, json_of};
use runtime::exec::Executed;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use supervisor::{Connection, Frame, Outcome, Visitor};
use sys::clone3::{Child, Namespaces, clone3};
use sys::{Errno, Tries, called};

/// Executes a process that nobody waits for; returns when its execve has worked. `ended` hears of its exit code.
pub fn detached(
    execute: &dyn Fn() -> Result<Executed>,
    ended: &dyn Fn(i32),
    warn: &dyn Fn(&str),
) -> Result<i32> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(called::<Errno>(|| "socketpair".to_owned()))?;
    let mut visitor = Visitor::new(ours).map_err(of_runtime)?;
    let child = clone3(Namespaces::NONE, None, || {
        let mut told = Connection::new(theirs);
        let executed = match detach().and_then(|()| execute()) {
            Ok(executed) => executed,
            Err(error) => {
                told.say(&Frame::Failed(json_of(&error)));
                told.flush(None);
                return 1;
            }
        };
        executed.warnings.iter().for_each(|warning| told.say(&Frame::Warning(warning.clone())));
        told.say(&Frame::Started);
        told.flush(None);
        drop(told);
        until_end(&executed.child, executed.terminal.as_ref());
        if let Ok(code) = runtime::container::wait(&executed.child) {
            ended(code);
        }
        0
    })?;
    let failed = match visitor.until_started(warn).map_err(of_runtime)? {
        None => return Ok(0),
        Some(Outcome::Failed(error)) => error_of(&error),
        Some(_) => Error::new(Kind::Failed, "what executes the command was killed"),
    };
    runtime::container::wait(&child).map_err(of_runtime)?;
    Err(failed)
}

/// Holds what a person has left, in a process that stays when this one ends. Whoever is root of this machine reaps it.
pub fn left(executed: &Executed) -> Result<()> {
    clone3(Namespaces::NONE, None, || {
        if detach().is_err() {
            return 1;
        }
        until_end(&executed.child, executed.terminal.as_ref());
        0
    })?;
    Ok(())
}

/// Waits for an end. What is written to the terminal meanwhile is read, so that nobody waits for room in it.
fn until_end(child: &Child, terminal: Option<&OwnedFd>) {
    let mut terminal = terminal;
    let mut buffer = [0u8; 16 * 1024];
    let (mut polls, mut reads) = (Tries::default(), Tries::default());
    loop {
        let mut waiting = vec![PollFd::new(&child.pidfd, PollFlags::IN)];
        waiting.extend(terminal.map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut waiting, None) {
            Ok(_) => polls = Tries::default(),
            Err(Errno::INTR) => continue,
            // With this process goes the terminal, and what has it hangs up.
            Err(_) if polls.go_on() => continue,
            Err(_) => return,
        }
        let ready: Vec<bool> = waiting.iter().map(|one| !one.revents().is_empty()).collect();
        if ready.first() == Some(&true) {
            return;
        }
        if let (Some(fd), Some(true)) = (terminal, ready.get(1)) {
            match rustix::io::read(fd, &mut buffer) {
                Ok(1..) => reads = Tries::default(),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) if errno != Errno::IO && reads.go_on() => {}
                // Nobody has the other end open any more.
                Ok(0) | Err(_) => terminal = None,
            }
        }
    }
}
