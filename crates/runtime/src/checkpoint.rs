//! `checkpoint`: a running container becomes an image on disk (runc-checkpoint(8)).

use crate::create::kept_plan;
use crate::criu::choices::Choices;
use crate::criu::message::{NetworkLock, Options as Asked, Wish};
use crate::criu::outside::{self, Seen};
use crate::criu::{Criu, Notification, Surroundings, descriptors, explain};
use crate::delete::delete;
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::state::{self, Init, Record, Status};
use cgroup::{Cgroup, Entry};
use rustix::fd::AsRawFd;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use sys::clone3::Namespaces;
use sys::{Context, Errno, called};

/// The name of CRIU's log.
const LOG: &str = "dump.log";
/// The kinds of namespaces that an image may leave outside, with their files in /proc/PID/ns and the names that stand for
/// them, as runc has them.
pub(crate) const OUTSIDE: [(Namespaces, &str, &str); 2] =
    [(Namespaces::NETWORK, "net", "extRootNetNS"), (Namespaces::PID, "pid", "extRootPidNS")];

/// What a caller asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What a restore takes as well.
    pub choices: Choices,
    /// The image of an earlier pre-dump, from the image's directory.
    pub parent: Option<PathBuf>,
    /// The container runs on.
    pub leave_running: bool,
    /// Only its memory, and it runs on.
    pub pre_dump: bool,
    /// Connections that are being made are left out.
    pub tcp_skip_in_flight: bool,
    /// Files without a name get one.
    pub link_remap: bool,
    /// Where pages are sent.
    pub page_server: Option<(String, u16)>,
    /// A descriptor of the caller's that hears when pages can be fetched.
    pub status_fd: Option<u32>,
}

/// Writes container `id` to an image and, unless it is to run on, removes it. Returns warnings.
///
/// # Errors
/// The container runs on as before, where it did not work.
pub fn checkpoint(root: &Path, id: &str, options: &Options) -> Result<Vec<String>> {
    let record = state::read(root, id)?;
    let status = record.status(root)?;
    if !matches!(status, Status::Running | Status::Paused) {
        return Err(Error::new(Kind::Invalid, format!("Container cannot be checkpointed in {status} state")));
    }
    needs_root("checkpoint")?;
    check_parent(options)?;
    let plan = kept_plan(root, id)?;
    let not_running = || Error::new(Kind::NotRunning, "container not running");
    let init = record.init.ok_or_else(not_running)?;
    if !init.is_alive()? {
        return Err(not_running());
    }
    let directories = options.choices.directories(true)?;
    let surroundings = Surroundings {
        directories: &directories,
        entry: Entry::default(),
        inherited: Vec::new(),
        no_new_privileges: false,
        mounts: None,
    };
    let mut criu = Criu::start(&surroundings)?;
    let done = criu
        .process()
        .and_then(|process| state::write(root, &Record { criu: process, ..record.clone() }))
        .and_then(|()| ask(&mut criu, options, &record, &plan, init))
        .map_err(|error| explain(error, &directories.work, LOG))
        .within(|| format!("checkpoint {id}"));
    let ended = if done.is_ok() { criu.finish() } else { criu.abandon() };
    if done.is_ok() && !options.leave_running && !options.pre_dump {
        ended?;
        return delete(root, id, true);
    }
    state::write(root, &record)?;
    ended?;
    done.map(|()| Vec::new())
}

/// CRIU looks into other processes and makes them anew: not without root.
pub(crate) fn needs_root(what: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::new(Kind::Permission, format!("{what}: permission denied: CRIU works for root only")))
}

fn check_parent(options: &Options) -> Result<()> {
    let Some(parent) = &options.parent else { return Ok(()) };
    if parent.is_absolute() {
        return Err(Error::new(Kind::Invalid, "--parent-path must be relative"));
    }
    let at = options.choices.image.join(parent);
    if !at.is_dir() {
        return Err(Error::new(
            Kind::Invalid,
            format!("--parent-path: there is no image at {}", at.display()),
        )
        .with_hint("it is relative to --image-path, whose directory must be there"));
    }
    Ok(())
}

fn ask(criu: &mut Criu, options: &Options, record: &Record, plan: &Plan, init: Init) -> Result<()> {
    require(criu, options)?;
    let theirs = outside::mounts_of(&init.pid.to_string())?;
    let mut asked = Asked {
        pid: Some(init.pid.unsigned_abs()),
        leave_running: options.leave_running,
        tcp_skip_in_flight: options.tcp_skip_in_flight,
        link_remap: options.link_remap,
        page_server: options.page_server.clone(),
        parent_image: options.parent.as_ref().map(|parent| parent.display().to_string()),
        // Whoever asks for a part of the memory asks for the rest of it later.
        track_memory: options.pre_dump || options.parent.is_some(),
        log_file: LOG.to_owned(),
        root: record.rootfs.display().to_string(),
        freeze_cgroup: record.cgroup.as_ref().and_then(freezer),
        external: namespaces_outside(plan, init.pid)?,
        ..options.choices.options(plan)
    };
    let mut wish = Wish::PreDump;
    if !options.pre_dump {
        wish = Wish::Dump;
        asked.mounts = mounts_outside(plan, &theirs, init.pid)?;
        let names = match record.streams.is_empty() {
            false => record.streams.clone(),
            true => descriptors::of_process(init.pid)?,
        };
        asked.external.extend(descriptors::files(&names).cloned());
        descriptors::write(&options.choices.image, &names)?;
    }
    let mut ready = options.status_fd;
    criu.carry_out(wish, &asked, &mut |notification: Notification| match notification.script.as_str() {
        "status-ready" => ready.take().map_or(Ok(()), tell),
        _ => Ok(()),
    })?;
    Ok(())
}

/// Refuses what this CRIU or this kernel cannot do.
fn require(criu: &mut Criu, options: &Options) -> Result<()> {
    require_lock(criu, options.choices.network_lock)?;
    if !options.pre_dump && !options.choices.lazy_pages && options.parent.is_none() {
        return Ok(());
    }
    let features = criu.features()?;
    let lacks = |what: &str| {
        Error::new(Kind::Unsupported, format!("{what}: this kernel or this CRIU cannot do it"))
            .with_hint("criu check --all says why")
    };
    if (options.pre_dump || options.parent.is_some()) && !features.track_memory {
        return Err(lacks("follow changes of the memory"));
    }
    if options.choices.lazy_pages && !features.lazy_pages {
        return Err(lacks("--lazy-pages"));
    }
    Ok(())
}

/// An older CRIU would take a lock that it does not know for iptables.
pub(crate) fn require_lock(criu: &Criu, lock: Option<NetworkLock>) -> Result<()> {
    match lock {
        Some(NetworkLock::Skip) => criu.require(31_900, "--network-lock skip"),
        Some(NetworkLock::Nftables) => criu.require(31_700, "--network-lock nftables"),
        _ => Ok(()),
    }
}

/// The directory of the cgroup that can be frozen as a whole.
fn freezer(cgroup: &Cgroup) -> Option<String> {
    let v1 = cgroup.places.iter().find(|place| place.controllers.iter().any(|one| one == "freezer"));
    let v2 = || cgroup.places.iter().find(|place| place.version == cgroup::Version::V2);
    let place = v1.or_else(v2)?;
    Some(place.mount.join(cgroup.name.trim_start_matches('/')).display().to_string())
}

/// The namespaces that the container was put into: not to be dumped.
fn namespaces_outside(plan: &Plan, pid: i32) -> Result<Vec<String>> {
    let mut external = Vec::new();
    for (kind, file, name) in OUTSIDE {
        if plan.joins(kind) {
            let path = format!("/proc/{pid}/ns/{file}");
            let about = std::fs::metadata(&path).map_err(called(|| format!("stat({path:?})")))?;
            external.push(format!("{file}[{}]:{name}", about.ino()));
        }
    }
    Ok(external)
}

fn mounts_outside(plan: &Plan, theirs: &[Seen], pid: i32) -> Result<Vec<(String, String)>> {
    let path = format!("/proc/{pid}/root");
    let root = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?})")))?;
    let ours = outside::mounts_of("self")?;
    // What config.json calls /var/run/x may be at /run/x; a path that leads nowhere any more stays as it is written.
    let resolved = |path: &Path| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let opened = rustix::fs::openat2(&root, path, flags, Mode::empty(), how).ok();
        let shown =
            opened.and_then(|found| std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok());
        shown.unwrap_or_else(|| path.to_owned())
    };
    Ok(outside::named(plan, theirs, &ours, resolved))
}

/// One byte, as CRIU itself writes it to such a descriptor.
fn tell(descriptor: u32) -> Result<()> {
    // It is the caller's: a number is all there is of it.
    let path = format!("/proc/self/fd/{descriptor}");
    std::fs::write(&path, [0]).map_err(called(|| format!("write({path:?})"))).within(|| "--status-fd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_relative_and_there() {
        let with = |parent: &str| Options {
            choices: Choices { image: "/proc/self".into(), ..Choices::default() },
            parent: Some(parent.into()),
            ..Options::default()
        };
        assert!(check_parent(&with("../self")).is_ok());
        assert_eq!(check_parent(&with("/proc")).unwrap_err().to_string(), "--parent-path must be relative");
        let missing = check_parent(&with("../no such image")).unwrap_err();
        assert!(missing.to_string().starts_with("--parent-path: there is no image at "), "{missing}");
    }
}
