//! What the parent of a container does, in a process of its own, from the start to the end and to the next start.

use crate::error::{Error, Kind, of_runtime};
use crate::events::Occurrences;
use crate::health::Checks;
use crate::host::Host;
use crate::launch::{Launched, launch};
use crate::life::{self, Life};
use crate::networks::{self, ListedNetwork};
use crate::oom::MemoryWatch;
use crate::output::{self, Passed};
use crate::paths::Paths;
use crate::record::{self, Record};
use crate::settling::Settling;
use crate::wish::Restart;
use crate::{control, events, remove, size, user_networks, volume, way_out};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::cell::RefCell;
use std::time::{Duration, Instant};
use supervisor::{Aside, Connection, Frame, Streams, Supervisor};
use sys::Errno;

/// The first pause before another start; each is twice the one before, up to the longest. As docker.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whoever ran so long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(10);

/// How a container is started.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// Whether who starts it has its streams.
    pub attached: bool,
    /// Whether it was made for this start alone.
    pub fresh: bool,
    /// Rows and columns of the terminal of who starts it.
    pub size: Option<(u16, u16)>,
}

/// An error on its way to another process.
pub fn error_of(json: &[u8]) -> Error {
    let torn = || Error::new(Kind::Failed, "the supervisor failed without a word");
    let Ok((code, chain, hint)) = serde_json::from_slice::<(i32, Vec<String>, Option<String>)>(json) else {
        return torn();
    };
    let kinds = [Kind::Usage, Kind::CommandNotFound, Kind::CommandNotExecutable, Kind::Cancelled, Kind::Full];
    let kind = kinds.into_iter().find(|kind| *kind as i32 == code).unwrap_or(Kind::Failed);
    if chain.is_empty() { torn() } else { Error { kind, chain, hint } }
}

/// The same, from the side of that process.
pub fn json_of(error: &Error) -> Vec<u8> {
    serde_json::to_vec(&(error.kind as i32, &error.chain, &error.hint)).unwrap_or_default()
}

/// The life of a supervisor; returns its exit code. The lock of the container is held by this process.
pub fn supervise(
    host: &Host<'_>,
    record: &Record,
    socket: OwnedFd,
    start: Start,
    passed: Option<&Passed>,
) -> i32 {
    runtime::steps::play(1);
    let mut first = Connection::new(socket);
    first.attached = start.attached;
    let prepared = detach().and_then(|()| {
        let mut supervisor = Supervisor::new().map_err(of_runtime)?;
        supervisor.listen(control::listen_at(host.paths, &record.id)?);
        if let Some(log) = output::open(host, record)? {
            supervisor.keep(log);
        }
        Ok((supervisor, life::read(host.paths, &record.id)?))
    });
    match prepared {
        Ok((mut supervisor, life)) => {
            supervisor.welcome(first);
            Attendance { host, record, supervisor, life, passed, attached: start.attached }.run(start)
        }
        Err(error) => {
            let error = give_up(host, record, start, error);
            first.say(&Frame::Failed(json_of(&error)));
            first.flush(None);
            1
        }
    }
}

/// Away from whoever started it: no descriptor of theirs that they had from others.
pub fn detach() -> Result<(), Error> {
    sys::close_range::close_left_over(3)?;
    leave(c"devoxx-supervis")
}

/// A session of its own, no terminal, another directory, and a name that ps(1) shows: of at most 15 bytes.
pub fn leave(name: &std::ffi::CStr) -> Result<(), Error> {
    let called = |call: &'static str| sys::called::<Errno>(move || call.to_owned());
    rustix::process::setsid().map_err(called("setsid"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(called("open(\"/dev/null\")"))?;
    rustix::stdio::dup2_stdin(&null).map_err(called("dup2(0)"))?;
    rustix::stdio::dup2_stdout(&null).map_err(called("dup2(1)"))?;
    rustix::stdio::dup2_stderr(&null).map_err(called("dup2(2)"))?;
    rustix::thread::set_name(name).map_err(called("prctl(PR_SET_NAME)"))?;
    // The directory that it was started in may be unmounted.
    std::env::set_current_dir("/").map_err(sys::called(|| "chdir(\"/\")".to_owned()))?;
    Ok(())
}

/// What is left of a start that failed: nothing of a container that was made for it.
fn give_up(host: &Host<'_>, record: &Record, start: Start, error: Error) -> Error {
    let left = if start.fresh {
        remove::discard(host.paths, &record.id, true).err().map(|left| left.to_string())
    } else {
        let failures = remove::stop_using(host.paths, &record.id, Some(record));
        (!failures.is_empty()).then(|| failures.join("; "))
    };
    match left {
        None => error,
        Some(left) => error.with_hint(format!("something is left behind: {left}")),
    }
}

struct Attendance<'a> {
    host: &'a Host<'a>,
    record: &'a Record,
    supervisor: Supervisor,
    life: Life,
    /// The descriptors of who started it, where the container has them.
    passed: Option<&'a Passed>,
    /// Whether who started it had its streams.
    attached: bool,
}

impl Attendance<'_> {
    fn run(mut self, start: Start) -> i32 {
        let launched = match self.launch(start.size) {
            Ok(launched) => launched,
            Err(error) => {
                let error = give_up(self.host, self.record, start, error);
                if !start.fresh {
                    self.life.error = Some(error.to_string());
                    self.write_life();
                }
                let told = self.supervisor.end(&Frame::Failed(json_of(&error)));
                return if told.is_ok() { 1 } else { 2 };
            }
        };
        self.supervisor.say(&Frame::Started);
        self.attend(launched);
        0
    }

    fn launch(&mut self, size: Option<(u16, u16)>) -> Result<Launched, Error> {
        let warnings = RefCell::new(Vec::new());
        let host = Host {
            paths: self.host.paths,
            images: self.host.images,
            rootless: self.host.rootless,
            progress: &|_| (),
            warn: &|text| warnings.borrow_mut().push(text.to_owned()),
        };
        let launched = launch(&host, self.record, size, self.passed);
        for warning in warnings.into_inner() {
            self.supervisor.say(&Frame::Warning(warning));
        }
        let launched = launched?;
        self.life.started = Some(runtime::timestamp::now());
        (self.life.finished, self.life.exit_code, self.life.error) = (None, None, None);
        (self.life.stopped, self.life.restarting, self.life.oom_killed) = (false, false, false);
        (self.life.memory_limit, self.life.memory_peak) = (None, None);
        self.write_life();
        self.tell_started(&launched.networks);
        Ok(launched)
    }

    /// Nobody is there who could be told of a disk that is full, and the container runs all the same.
    fn write_life(&self) {
        let _unwritten = life::write(self.host.paths, &self.record.id, &self.life);
    }

    fn tell_started(&self, networks: &[ListedNetwork]) {
        let mut told = Occurrences::default();
        for network in networks {
            networks::tell_connected(&mut told, network, &self.record.id, true);
        }
        volume::tell_mounted(&mut told, self.record, true);
        let now = record::read(self.host.paths, &self.record.id);
        told.add_container(now.as_ref().unwrap_or(self.record), "start", &[]);
        told.write(self.host.paths);
    }

    fn attend(mut self, mut launched: Launched) {
        let stop_signal = sys::signals::by_name(&self.record.stop_signal).unwrap_or(15);
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let Launched { running, streams, .. } = &mut launched;
            let streams = Streams { input_ends: self.attached, ..std::mem::take(streams) };
            let (paths, record) = (self.host.paths, self.record);
            let changed = |status: &str| tell(paths, record, &format!("health_status: {status}"), &[]);
            let mut checks = self.record.check.clone().map(|check| {
                Checks::new(self.host.paths, &self.record.id, self.record.user.clone(), check, &changed)
            });
            let ran_out = || tell_out_of_memory(paths, record);
            let mut memory = running.cgroup.as_ref().and_then(|cgroup| MemoryWatch::new(cgroup, &ran_out));
            let mut aside: Vec<&mut dyn Aside> = Vec::new();
            aside.extend(checks.as_mut().map(|one| -> &mut dyn Aside { one }));
            aside.extend(memory.as_mut().map(|one| -> &mut dyn Aside { one }));
            let mut settling = Settling::begin();
            aside.push(&mut settling);
            let init = running.child.pidfd.as_fd();
            let mut networks = user_networks::Watch::new(self.host.paths, init);
            let mut way_out = way_out::Watch::new(self.host.paths, self.record, init);
            aside.extend(networks.as_mut().map(|one| -> &mut dyn Aside { one }));
            aside.extend(way_out.as_mut().map(|one| -> &mut dyn Aside { one }));
            let code = self.supervisor.attend(&running.child, streams, stop_signal, &mut aside);
            // What killed the last process may not have been looked at.
            memory.iter_mut().for_each(Aside::step);
            let kills = running.cgroup.as_ref().map(cgroup::Cgroup::memory_events);
            self.life.oom_killed = matches!(kills, Some(Ok(1..)));
            if self.life.oom_killed {
                if !memory.is_some_and(|memory| memory.seen) {
                    tell(paths, record, "oom", &[]);
                }
                self.say_out_of_memory(running.cgroup.as_ref());
            }
            drop(launched);
            // Why it was not attended until its end: then it ends here.
            let (code, broken) = match code {
                Ok(code) => (code, None),
                Err(error) => (255, Some(of_runtime(error))),
            };
            // As they are now, and while none of them can be removed.
            let now = record::read(self.host.paths, &self.record.id).unwrap_or_else(|_| self.record.clone());
            let networks = networks::of_container(self.host.paths, &now);
            let failures = remove::stop_using(self.host.paths, &self.record.id, Some(self.record));
            self.life.finished = Some(runtime::timestamp::now());
            self.life.exit_code = Some(code);
            tell_ended(self.host.paths, &now, &networks, code);
            self.life.stopped = self.supervisor.stopping;
            let again = !self.supervisor.stopping && !self.supervisor.terminated && self.starts_again(code);
            self.life.restarting = again;
            self.put_away(failures);
            // Without them, everybody sees that it is gone.
            let told = self.supervisor.end(&match broken {
                None => Frame::Ended(code),
                Some(error) => Frame::Failed(json_of(&error)),
            });
            if !again || told.is_err() {
                return;
            }
            pause = if began.elapsed() > STABLE { FIRST_PAUSE } else { pause };
            if !self.supervisor.pause(pause).unwrap_or(false) {
                self.life.restarting = false;
                self.life.stopped = self.supervisor.stopping;
                self.write_life();
                return;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            self.life.restarts += 1;
            launched = match self.launch(None) {
                Ok(launched) => launched,
                Err(error) => {
                    let error = give_up(
                        self.host,
                        self.record,
                        Start { attached: false, fresh: false, size: None },
                        error,
                    );
                    self.life.error = Some(error.to_string());
                    self.life.restarting = false;
                    self.write_life();
                    return;
                }
            };
        }
    }

    /// What stays of a container that has ended: nothing where that was wished, else how it ended. Whoever looks hears of what could not be
    /// given back, after these failures; the code stays the container's, as with the peers.
    fn put_away(&mut self, failures: Vec<String>) {
        let left = match self.record.wish.remove {
            true => remove::forget(self.host.paths, &self.record.id, true, failures)
                .err()
                .map(|error| error.to_string()),
            false => (!failures.is_empty()).then(|| failures.join("; ")),
        };
        if left.is_some() || !self.record.wish.remove {
            // It keeps its record, for whoever removes it next.
            self.life.error.clone_from(&left);
            self.write_life();
        }
        if let Some(left) = left {
            let name = &self.record.name;
            let remedy = match self.host.paths.container(&self.record.id).exists() {
                true => format!("rm --force {name}"),
                // It is no container any more: whoever removes the next one removes this as well.
                false => "system doctor --fix".to_owned(),
            };
            self.supervisor.say(&Frame::Warning(format!(
                "something is left of container {name}: {left} (remove it: devoxx-container {remedy})"
            )));
        }
    }

    /// The kernel killed some process of the container for its memory limit: whoever looks hears of it, with what would have been
    /// enough to know beforehand.
    fn say_out_of_memory(&mut self, cgroup: Option<&cgroup::Cgroup>) {
        let memory = cgroup.and_then(|cgroup| cgroup.stats().ok()).map(|stats| stats.memory.usage);
        let known = |bytes: u64| (bytes > 0 && bytes < u64::MAX / 2).then_some(bytes);
        self.life.memory_limit = memory.and_then(|memory| known(memory.limit));
        // As old as Linux 5.19 for v2; before, the limit is all that is known, and it was reached.
        self.life.memory_peak = memory.and_then(|memory| known(memory.max));
        let shown = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), size::shown);
        self.supervisor.say(&Frame::Warning(format!(
            "container {} ran out of memory, and the kernel killed a process of it: limit {}, peak {} (give it more with --memory)",
            self.record.name,
            shown(self.life.memory_limit),
            shown(self.life.memory_peak),
        )));
    }

    fn starts_again(&self, code: i32) -> bool {
        // As it is now: it may have been changed meanwhile.
        let now = record::read(self.host.paths, &self.record.id).map(|record| record.wish.restart);
        match now.unwrap_or(self.record.wish.restart) {
            Restart::No => false,
            Restart::OnFailure(most) => code != 0 && most.is_none_or(|most| self.life.restarts < most),
            Restart::Always | Restart::UnlessStopped => true,
        }
    }
}

/// Says that a container has ended, and what it had is given back.
pub fn tell_ended(paths: &Paths, record: &Record, networks: &[ListedNetwork], code: i32) {
    let mut told = Occurrences::default();
    told.add_container(record, "die", &[("exitCode", &code.to_string())]);
    for network in networks {
        networks::tell_connected(&mut told, network, &record.id, false);
    }
    volume::tell_mounted(&mut told, record, false);
    told.write(paths);
}

/// Memory ran out, and the container may go on.
fn tell_out_of_memory(paths: &Paths, record: &Record) {
    tell(paths, record, "oom", &[]);
    // The event is told all the same; what cannot be read is not written anew either.
    if let Ok(life) = life::read(paths, &record.id) {
        let _unwritten = life::write(paths, &record.id, &life::Life { oom_killed: true, ..life });
    }
}

/// Says what happened to a container under the name that it has now: it may have been given another since its start.
fn tell(paths: &Paths, record: &Record, action: &str, more: &[(&str, &str)]) {
    let now = record::read(paths, &record.id);
    events::of_container(paths, now.as_ref().unwrap_or(record), action, more);
}
