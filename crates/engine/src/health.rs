//! Checks of a container's health: a command that is executed in it from time to time, by its supervisor.

use crate::error::{Error, Kind, Result};
use crate::paths::Paths;
use runtime::Stdio;
use runtime::exec::{Options, exec_with};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use supervisor::Aside;
use sys::clone3::Child;
use sys::{Errno, called};

/// As much of what a check writes is kept, as with docker.
const LONGEST_OUTPUT: usize = 4096;
/// So many results are kept.
const KEPT: usize = 5;

/// What is checked, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The pause between two checks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// As long as it starts, a failure does not count.
    pub start_period: Duration,
    /// The pause between two checks meanwhile.
    pub start_interval: Duration,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
}

impl Default for Check {
    /// Docker's.
    fn default() -> Self {
        Self {
            command: Vec::new(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            start_period: Duration::ZERO,
            start_interval: Duration::from_secs(5),
            retries: 3,
        }
    }
}

/// `--health-*` and `--no-healthcheck`: what is not given is the image's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthWish {
    /// `--health-cmd`, for a shell.
    pub command: Option<String>,
    /// `--health-interval`.
    pub interval: Option<Duration>,
    /// `--health-timeout`.
    pub timeout: Option<Duration>,
    /// `--health-start-period`.
    pub start_period: Option<Duration>,
    /// `--health-start-interval`.
    pub start_interval: Option<Duration>,
    /// `--health-retries`.
    pub retries: Option<u32>,
    /// `--no-healthcheck`.
    pub none: bool,
}

/// The check of a wish, on an image whose configuration this is (docker's `Healthcheck`, whose times are nanoseconds).
pub fn check_of(wish: &HealthWish, image: Option<&serde_json::Value>) -> Result<Option<Check>> {
    if wish.none {
        return Ok(None);
    }
    let mut check = Check::default();
    if let Some(written) = image.and_then(|config| config.pointer("/config/Healthcheck")) {
        let words: Vec<String> = written["Test"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect();
        check.command = match words.split_first() {
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            Some((kind, rest)) if kind == "CMD-SHELL" => shell(&rest.join(" ")),
            _ => Vec::new(),
        };
        let time = |key: &str, usual: Duration| {
            written[key].as_u64().filter(|time| *time > 0).map_or(usual, Duration::from_nanos)
        };
        check.interval = time("Interval", check.interval);
        check.timeout = time("Timeout", check.timeout);
        check.start_period = time("StartPeriod", check.start_period);
        check.start_interval = time("StartInterval", check.start_interval);
        let retries = written["Retries"].as_u64().and_then(|count| u32::try_from(count).ok());
        check.retries = retries.filter(|count| *count > 0).unwrap_or(check.retries);
    }
    match wish.command.as_deref() {
        Some("none") => return Ok(None),
        Some(command) => check.command = shell(command),
        None => {}
    }
    check.interval = wish.interval.unwrap_or(check.interval);
    check.timeout = wish.timeout.unwrap_or(check.timeout);
    check.start_period = wish.start_period.unwrap_or(check.start_period);
    check.start_interval = wish.start_interval.unwrap_or(check.start_interval);
    check.retries = wish.retries.unwrap_or(check.retries);
    if check.command.is_empty() {
        let asked = HealthWish { none: false, ..wish.clone() } != HealthWish::default();
        return match asked {
            true => Err(Error::new(Kind::Usage, "--health-*: the image has no check of its health")
                .with_hint("give one with --health-cmd")),
            false => Ok(None),
        };
    }
    Ok(Some(check))
}

fn shell(command: &str) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()]
}

/// One result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckResult {
    /// When it began (RFC 3339).
    pub start: String,
    /// When it ended.
    pub end: String,
    /// Its exit code; -1 when it took too long or could not be started.
    pub exit_code: i32,
    /// What it wrote.
    pub output: String,
}

/// How a container is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last results, oldest first.
    pub log: Vec<CheckResult>,
}

fn file(paths: &Paths, id: &str) -> PathBuf {
    paths.container(id).join("health.json")
}

/// How a container is, or was when it ended; none without a check.
pub fn read(paths: &Paths, id: &str) -> Option<Health> {
    serde_json::from_slice(&std::fs::read(file(paths, id)).ok()?).ok()
}

/// A check that is running.
struct Running {
    child: Child,
    output: OwnedFd,
    text: Vec<u8>,
    start: String,
    deadline: Instant,
    late: bool,
}

/// The checks of one run of a container.
pub struct Checks<'a> {
    paths: &'a Paths,
    id: String,
    user: Option<String>,
    check: Check,
    began: Instant,
    health: Health,
    next: Instant,
    running: Option<Running>,
    /// Hears of each change of the status.
    changed: &'a dyn Fn(&str),
}

impl<'a> Checks<'a> {
    /// The checks of a container that has just started.
    pub fn new(
        paths: &'a Paths,
        id: &str,
        user: Option<String>,
        check: Check,
        changed: &'a dyn Fn(&str),
    ) -> Self {
        let now = Instant::now();
        let health = Health { status: "starting".to_owned(), failing_streak: 0, log: Vec::new() };
        let first = if check.start_period.is_zero() {
            check.interval
        } else {
            check.start_interval.min(check.interval)
        };
        let checks = Self {
            paths,
            id: id.to_owned(),
            user,
            check,
            began: now,
            health,
            next: now + first,
            running: None,
            changed,
        };
        checks.write();
        checks
    }

    /// Nobody is there who could be told of a disk that is full.
    fn write(&self) {
        let place = file(self.paths, &self.id);
        let new = place.with_extension("json.new");
        if let Ok(text) = serde_json::to_vec(&self.health)
            && std::fs::write(&new, text).is_ok()
        {
            let _unwritten = std::fs::rename(&new, &place);
        }
    }

    fn start(&mut self) {
        if self.is_paused() {
            // Nothing can be said of what does not run.
            self.next = Instant::now() + self.check.interval;
            return;
        }
        let start = runtime::timestamp::now();
        match self.execute() {
            Ok((child, output)) => {
                let deadline = Instant::now() + self.check.timeout;
                self.running =
                    Some(Running { child, output, text: Vec::new(), start, deadline, late: false });
            }
            Err(error) => self.result(start, -1, error.to_string()),
        }
    }

    fn is_paused(&self) -> bool {
        let cgroup = runtime::state::read(&self.paths.states(), &self.id).ok().and_then(|state| state.cgroup);
        cgroup.is_some_and(|cgroup| cgroup.is_frozen().unwrap_or(false))
    }

    fn execute(&self) -> runtime::Result<(Child, OwnedFd)> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(called::<Errno>(|| "open(\"/dev/null\")".to_owned()))?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(called::<Errno>(|| "pipe2".to_owned()))?;
        let error = write.try_clone().map_err(called(|| "dup".to_owned()))?;
        let stdio = Stdio { input: Some(null), output: Some(write), error: Some(error) };
        let options = Options {
            args: self.check.command.clone(),
            user_by_name: self.user.clone(),
            ..Options::default()
        };
        let executed = exec_with(&self.paths.states(), &self.id, &options, &stdio)?;
        Ok((executed.child, read))
    }

    fn result(&mut self, start: String, exit_code: i32, output: String) {
        let before = self.health.status.clone();
        if exit_code == 0 {
            self.health.failing_streak = 0;
            self.health.status = "healthy".to_owned();
        } else if before != "starting" || self.began.elapsed() >= self.check.start_period {
            self.health.failing_streak += 1;
            if self.health.failing_streak >= self.check.retries {
                self.health.status = "unhealthy".to_owned();
            }
        }
        self.health.log.push(CheckResult { start, end: runtime::timestamp::now(), exit_code, output });
        let surplus = self.health.log.len().saturating_sub(KEPT);
        self.health.log.drain(..surplus);
        self.write();
        if self.health.status != before {
            (self.changed)(&self.health.status);
        }
        let starting = self.health.status == "starting" && self.began.elapsed() < self.check.start_period;
        self.next = Instant::now() + if starting { self.check.start_interval } else { self.check.interval };
    }

    /// Looks at the check that is running.
    fn look(&mut self) {
        let Some(running) = &mut self.running else { return };
        let mut buffer = [0u8; LONGEST_OUTPUT];
        while let Ok(count @ 1..) = rustix::io::read(&running.output, &mut buffer) {
            let room = LONGEST_OUTPUT - running.text.len();
            running.text.extend_from_slice(&buffer[..count.min(room)]);
        }
        if !running.late && running.deadline <= Instant::now() {
            running.late = true;
            // It may have ended at this moment.
            let _gone = sys::signals::send(running.child.pidfd.as_fd(), 9);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let code = match waitid(WaitId::PidFd(running.child.pidfd.as_fd()), options) {
            Ok(None) => return,
            Ok(Some(status)) if !running.late => {
                status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
            }
            // Or its end cannot be seen: then it is over all the same.
            Ok(Some(_)) | Err(_) => -1,
        };
        let start = running.start.clone();
        let mut text = String::from_utf8_lossy(&running.text).into_owned();
        if running.late {
            text += &format!("the check took longer than {:?}", self.check.timeout);
        }
        self.running = None;
        self.result(start, code, text);
    }
}

impl Drop for Checks<'_> {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            // With its container it is over, and this process, which may start the next, is its parent.
            let _gone = sys::signals::send(running.child.pidfd.as_fd(), 9);
            let _reaped = runtime::container::wait(&running.child);
        }
    }
}

impl Aside for Checks<'_> {
    fn due(&self) -> Option<Instant> {
        match &self.running {
            Some(running) if running.late => None,
            Some(running) => Some(running.deadline),
            None => Some(self.next),
        }
    }

    fn waits_for(&self) -> Vec<PollFd<'_>> {
        // Not the pipe: what a check leaves behind may hold it open for ever.
        self.running.iter().map(|running| PollFd::new(&running.child.pidfd, PollFlags::IN)).collect()
    }

    fn step(&mut self) {
        if self.running.is_some() {
            self.look();
        } else if self.next <= Instant::now() {
            self.start();
        }
    }
}
