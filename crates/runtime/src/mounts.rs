//! `mounts add` and `mounts remove`: other file systems for a container that runs, as crun has it.
//!
//! Sources are opened here, among the host's mounts; a child goes into the container's namespaces, makes what is made
//! there, and attaches all of it by the same steps as init.

use crate::bundle::{self, Beyond};
use crate::channel::{Channel, Message, pair};
use crate::container::{pid_of, wait};
use crate::error::{Error, Kind, Result};
use crate::init::mounts as steps;
use crate::plan::{Joined, Plan};
use crate::state::{self, Init, Status};
use crate::{init, namespace, stage};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use std::io::Read;
use std::path::{Path, PathBuf};
use sys::clone3::{Child, Namespaces, clone3, clone3_sibling};
use sys::{Context, Errno, called};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Mounts what `file` lists (the `mounts` of a config.json) in container `id`; returns what is odd about it.
pub fn add(root: &Path, id: &str, file: &Path) -> Result<Vec<String>> {
    let inside = Inside::of(root, id)?;
    let kept = bundle::read(&state::directory(root, id).join("config.json"))?;
    let mut spec = kept.spec;
    spec.set_mounts(Some(read(file)?));
    let mut plan = bundle::plan(id, &spec, &inside.bundle, Beyond::default())?;
    if inside.types.contains(ThreadNameSpaceType::USER) && !plan.has_user_namespace() {
        // One that nobody wrote down.
        let path = PathBuf::from(format!("/proc/{}/ns/user", inside.init.pid));
        plan.joined.push(Joined { kind: Namespaces::USER, path });
    }
    let opened = steps::open_for_running(&plan)?;
    inside.run(|| attach(&plan, &opened))?;
    Ok(plan.warnings)
}

fn attach(plan: &Plan, opened: &steps::Opened) -> Result<()> {
    let root = init::open_root()?;
    let prepared = steps::prepare(plan, opened)?;
    steps::finish(steps::attach(&root, prepared)?).map(drop)
}

/// Unmounts what is at the destinations that `file` lists.
pub fn remove(root: &Path, id: &str, file: &Path) -> Result<()> {
    let inside = Inside::of(root, id)?;
    let mounts = read(file)?;
    let targets: Vec<PathBuf> =
        mounts.iter().map(|mount| bundle::clean_target(mount.destination())).collect();
    if targets.iter().any(|target| target == Path::new("/")) {
        return Err(Error::new(Kind::Invalid, format!("{}: the root cannot be removed", file.display())));
    }
    inside.run(|| {
        let root = init::open_root()?;
        // The last on top comes off first.
        targets.iter().rev().try_for_each(|target| {
            steps::detach(&root, target).within(|| format!("unmount {}", target.display()))
        })
    })
}

/// The list of mounts in a file: alone, or as a config.json has it.
fn read(file: &Path) -> Result<Vec<oci_spec::runtime::Mount>> {
    let wrong = |why: String| Error::new(Kind::Invalid, format!("{}: {why}", file.display()));
    let mut text = Vec::new();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let opened = rustix::fs::open(file, flags, rustix::fs::Mode::empty())
        .map_err(called::<Errno>(|| format!("open({file:?})")))?;
    std::fs::File::from(opened)
        .take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(called(|| format!("read({file:?})")))?;
    if text.len() as u64 > LONGEST {
        return Err(wrong(format!("longer than {LONGEST} bytes")));
    }
    let mut value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let list = match value.get_mut("mounts") {
        Some(list) => list.take(),
        None => value,
    };
    serde_json::from_value(list).map_err(|error| wrong(format!("mounts: {error}")))
}

/// The way into a container.
struct Inside {
    init: Init,
    pidfd: OwnedFd,
    types: ThreadNameSpaceType,
    bundle: PathBuf,
}

impl Inside {
    fn of(root: &Path, id: &str) -> Result<Self> {
        let stopped = || Error::new(Kind::NotRunning, "container not running");
        let record = state::read(root, id)?;
        if !matches!(record.status(root)?, Status::Created | Status::Running | Status::Paused) {
            return Err(stopped());
        }
        let init = record.init.ok_or_else(stopped)?;
        let pidfd = init.open()?.ok_or_else(stopped)?;
        let (types, _) = namespace::foreign(init.pid)?;
        Ok(Self { init, pidfd, types, bundle: record.bundle })
    }

    /// Does something in the container, in a child; with the failure that it had there.
    fn run(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let (mut ours, mut theirs) = pair()?;
        let parents_end = &mut ours;
        let child = clone3(Namespaces::NONE, None, move || {
            if parents_end.close().is_err() {
                return 71;
            }
            self.enter_and(&mut theirs, work).unwrap_or_else(|failure| init::report(&theirs, failure))
        })?;
        let (mut failure, mut inner) = (None, None);
        // Until both have ended, or one of them says why not.
        while let Some(said) = ours.receive()? {
            match said {
                (Message::Init, Some(pidfd)) => inner = Some(Child { pid: pid_of(&pidfd)?, pidfd }),
                (Message::Failed { kind, chain, hint }, _) => failure = Some(Error { kind, chain, hint }),
                (other, _) => {
                    failure = Some(Error::new(Kind::Other, format!("unexpected message {other:?}")))
                }
            }
        }
        let mut code = wait(&child)?;
        if let Some(inner) = inner {
            code += wait(&inner)?;
        }
        match failure {
            Some(failure) => Err(failure),
            None if code == 0 => Ok(()),
            None => Err(Error::new(Kind::Other, format!("the process in the container ended with {code}"))),
        }
    }

    fn enter_and(&self, channel: &mut Channel, work: impl FnOnce() -> Result<()>) -> Result<i32> {
        let die_with_the_parent = || {
            set_parent_process_death_signal(Some(Signal::KILL))
                .map_err(called::<Errno>(|| "prctl(PR_SET_PDEATHSIG)".to_owned()))
        };
        die_with_the_parent()?;
        // What runs in the container must not read nor trace this process (CVE-2016-9962), nor read what was typed on the host.
        sys::command_line::replace(c"mounts")?;
        stage::set_dumpable(false)?;
        move_into_thread_name_spaces(self.pidfd.as_fd(), self.types)
            .map_err(called::<Errno>(|| format!("setns(init, {:?})", self.types)))?;
        if self.types.contains(ThreadNameSpaceType::USER) {
            stage::become_root(false).within(|| "become root of the user namespace")?;
        }
        // A proc is that of the PID namespace a process was born in.
        let child = clone3_sibling(Namespaces::NONE, || {
            match die_with_the_parent().map_err(Error::from).and_then(|()| work()) {
                Ok(()) => 0,
                Err(failure) => init::report(channel, failure),
            }
        })?;
        channel.send(&Message::Init, Some(child.pidfd.as_fd()))?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_mounts() {
        fn check(text: &str, expected: Result<usize, &str>) {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("list");
            std::fs::write(&file, text).unwrap();
            let found = read(&file).map(|list| list.len()).map_err(|error| error.to_string());
            match expected {
                Ok(count) => assert_eq!(found, Ok(count), "{text}"),
                Err(words) => {
                    assert!(found.as_ref().is_err_and(|said| said.contains(words)), "{text}: {found:?}")
                }
            }
        }
        check("[]", Ok(0));
        check(r#"[{"destination": "/x"}]"#, Ok(1));
        check(r#"{"mounts": [{"destination": "/x"}, {"destination": "/y", "type": "tmpfs"}]}"#, Ok(2));
        check("{}", Err("mounts"));
        check(r#"[{"source": "/x"}]"#, Err("destination"));
        check("[", Err("EOF"));
        check(&" ".repeat(2 << 20), Err("longer than"));
    }
}
