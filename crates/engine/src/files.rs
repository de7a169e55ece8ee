//! The root of a container, running or not, as a directory that is open: where its files are copied from and to.
//!
//! That of a container which runs is the one that its processes see. Any other is mounted for this process alone, with its
//! volumes, while nobody else can start the container.

use crate::base;
use crate::binds::{self, Bound};
use crate::control::{self, Lock};
use crate::error::{Error, Kind, Result, of_runtime};
use crate::host::Host;
use crate::ids::Ids;
use crate::launch;
use crate::life::Status;
use crate::mount::VolumeMount;
use crate::record::{self, Listed};
use runtime::offline;
use runtime::plan::Root;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use sys::{Context, Errno, called};

/// The files of a container.
pub struct Files {
    /// Its root.
    pub root: OwnedFd,
    /// The container.
    pub listed: Listed,
    /// Whose ids its files have as they are seen here; none where they are the container's own.
    pub ids: Option<Ids>,
    /// Why nothing can be written; none where it can.
    pub read_only: Option<&'static str>,
    _lock: Option<Lock>,
}

/// Opens the root of a container. One that does not run gets a mount namespace: the process must have one thread.
pub fn open(host: &Host<'_>, wanted: &str, with_volumes: bool) -> Result<Files> {
    let listed = record::get(host.paths, wanted)?;
    if matches!(listed.status, Status::Running | Status::Paused) {
        let root = of_running(host, &listed)?;
        let ids = listed.record.ids.clone();
        return Ok(Files { root, listed, ids, read_only: None, _lock: None });
    }
    let busy = || Error::new(Kind::Failed, format!("container {wanted} is being started or removed"));
    let lock = match control::try_lock(host.paths, &listed.record.id)? {
        Some(lock) => lock,
        // Its supervisor is at the end of its work, or waits to start it again.
        None if listed.status == Status::Restarting => return Err(busy()),
        None => control::wait_lock(host.paths, &listed.record.id)?.ok_or_else(busy)?,
    };
    let listed = record::get(host.paths, wanted)?;
    if matches!(listed.status, Status::Running | Status::Paused) {
        let root = of_running(host, &listed)?;
        let ids = listed.record.ids.clone();
        return Ok(Files { root, listed, ids, read_only: None, _lock: None });
    }
    let root = of_stopped(host, &listed, with_volumes).within(|| format!("open the files of {wanted}"))?;
    let memory = matches!(&listed.record.wish.source, crate::Source::Rootfs(rootfs) if rootfs.overlay);
    let read_only = if listed.record.wish.read_only {
        Some("its root is read-only")
    } else if memory {
        Some("it keeps its changes in memory, while it runs")
    } else {
        None
    };
    let ids = listed.record.ids.clone().filter(|ids| !ids.by_mounts);
    Ok(Files { root, listed, ids, read_only, _lock: Some(lock) })
}

fn of_running(host: &Host<'_>, listed: &Listed) -> Result<OwnedFd> {
    let gone = || Error::new(Kind::Failed, format!("container {} has just ended", listed.record.name));
    let state = runtime::state::read(&host.paths.states(), &listed.record.id).map_err(of_runtime)?;
    let init = state.init.ok_or_else(gone)?;
    let path = format!("/proc/{}/root", init.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?})")))
        .within(|| format!("open the files of {}", listed.record.name))?;
    // Another process may have got the number in the meantime, but not while this one lives.
    if init.is_alive().map_err(of_runtime)? { Ok(root) } else { Err(gone()) }
}

fn of_stopped(host: &Host<'_>, listed: &Listed, with_volumes: bool) -> Result<OwnedFd> {
    let record = &listed.record;
    let base = base::of_record(host, record)?;
    let mut wish = record.wish.clone();
    // One that was killed with its machine may have left the mark of a volatile mount.
    wish.remove = false;
    let root: Root = launch::root(host, record, &wish, &base)?;
    let root = offline::root(&root).map_err(of_runtime)?;
    if with_volumes {
        // What has gone from the host meanwhile is for the next start to complain of.
        wish.mounts.retain(|one| !matches!(one, VolumeMount::Bind { source, .. } if !source.exists()));
        let Bound { mut binds, fill, beneath } = binds::binds(host, &wish, &base, record)?;
        binds.sort_by_key(|(_, target, _)| target.components().count());
        for (source, target, options) in binds {
            let read_only = options.iter().any(|option| option == "ro" || option == "rro");
            let part = beneath.iter().find(|(of, _)| *of == target).map(|(_, part)| part.as_path());
            let fill = fill.contains(&target);
            offline::bind(root.as_fd(), &source, part, &target, read_only, fill).map_err(of_runtime)?;
        }
    }
    Ok(root)
}

impl Files {
    /// The container's numbers for those of a file of it.
    pub fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        self.ids.as_ref().map_or((uid, gid), |ids| ids.inside(uid, gid))
    }

    /// Before anything is made in it: files are made for the container's root.
    pub fn write_to(&self) -> Result<()> {
        if let Some(why) = self.read_only {
            let name = &self.listed.record.name;
            return Err(Error::new(
                Kind::Failed,
                format!("nothing can be copied to container {name}: {why}"),
            ));
        }
        let Some(ids) = self.ids.as_ref().filter(|ids| ids.by_mounts) else { return Ok(()) };
        let (uid, gid) = ids.outside(0, 0);
        runtime::id_map::act_as(uid, gid).map_err(of_runtime)
    }

    /// The numbers that a file of it has for those of the container.
    pub fn outside(&self, uid: u32, gid: u32) -> (u32, u32) {
        self.ids.as_ref().map_or((uid, gid), |ids| ids.outside(uid, gid))
    }
}
