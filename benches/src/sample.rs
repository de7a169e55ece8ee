//! One measurement: some commands, one after the other, each waited for.

use crate::entry::command;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, SeekFrom};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What the commands of a work took together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// From before the first command to after the end of the last.
    pub wall: Duration,
    /// Of all processes that were waited for.
    pub cpu: Duration,
    /// The most memory that one process had, in bytes.
    pub peak: u64,
}

impl Sample {
    /// [`Self::wall`].
    pub fn milliseconds(&self) -> f64 {
        self.wall.as_secs_f64() * 1000.0
    }
}

/// Why there is no sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// It ended with another code than 0, or did not start; what it said.
    Failed(String),
    /// It was killed.
    Hung,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Hung => f.write_str("it hung"),
        }
    }
}

/// Runs commands one after the other, or all at once. Who takes longer than so long hangs, and is killed.
pub fn take(commands: &[Vec<String>], at_once: bool, longest: Duration) -> Result<Sample, Failure> {
    let began = Instant::now();
    let (mut cpu, mut peak) = (Duration::ZERO, 0);
    let mut account = |usage: sys::resource_usage::Usage| {
        cpu += usage.cpu;
        peak = peak.max(usage.peak);
    };
    if at_once {
        let started: Vec<_> = commands.iter().map(|words| start(words)).collect();
        let ended: Vec<_> =
            started.into_iter().map(|child| child.and_then(|child| wait(child, longest))).collect();
        for one in ended {
            account(one?);
        }
    } else {
        for words in commands {
            account(wait(start(words)?, longest)?);
        }
    }
    Ok(Sample { wall: began.elapsed(), cpu, peak })
}

/// A command that runs, and what it says.
struct Started {
    child: std::process::Child,
    said: std::fs::File,
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::Failed(why.to_string())
}

fn start(words: &[String]) -> Result<Started, Failure> {
    // Not a pipe: a container that is made has it as well, and keeps it open.
    let said = rustix::fs::memfd_create("said", rustix::fs::MemfdFlags::CLOEXEC).map_err(failed)?;
    let said = std::fs::File::from(said);
    let theirs = said.try_clone().map_err(failed)?;
    let mut command = command(words).map_err(failed)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs);
    let child =
        command.spawn().map_err(|error| failed(format!("{}: {error}", command.get_program().display())))?;
    Ok(Started { child, said })
}

fn wait(started: Started, longest: Duration) -> Result<sys::resource_usage::Usage, Failure> {
    let Started { child, mut said } = started;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| failed("no pid"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let longest = Timespec::try_from(longest).map_err(failed)?;
    let hung = !matches!(poll(&mut fds, Some(&longest)), Ok(1..));
    if hung {
        // It may have ended in between.
        let _ended = pidfd_send_signal(&pidfd, Signal::KILL);
    }
    match sys::resource_usage::wait(child) {
        Ok(_) if hung => Err(Failure::Hung),
        Ok((true, usage)) => Ok(usage),
        Ok((false, _)) => {
            let mut text = String::new();
            let read = said.seek(SeekFrom::Start(0)).and_then(|_| said.read_to_string(&mut text));
            Err(read.map_or_else(failed, |_| failed(text.trim())))
        }
        Err(error) => Err(failed(error)),
    }
}
