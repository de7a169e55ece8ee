//! What only the parent can open for init: it has the host's privileges, init may have those of a user namespace alone.

use super::bind;
use crate::container::end;
use crate::error::{Error, Kind, Result};
use crate::id_map::{self, IdMaps};
use crate::plan::{Bind, IdMap, Mount, Plan, Propagation, Source};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::path::Path;
use sys::clone3::{Namespaces, clone3};
use sys::mount_setattr::{MountAttributes, PRIVATE, SHARED, SLAVE, UNBINDABLE, mount_setattr, set_id_map};
use sys::{Context, Errno, called};

/// What was opened for whoever attaches it.
#[derive(Debug, Default)]
pub struct Opened {
    /// In the place of each source that of its mount in the plan; empty where there are none at all.
    pub sources: Vec<Option<bind::Opened>>,
    /// Whether this is all there is: who attaches them does not have the host's files before it.
    pub complete: bool,
}

/// Opens the sources of binds that have ids of their own, and, where there is a user namespace, of all: their paths may
/// be closed to its root. Before init is cloned: it inherits the descriptors.
pub fn open_in_parent(plan: &Plan) -> Result<Opened> {
    let inside = plan.has_user_namespace();
    let wanted = |mount: &Mount| bind_of(mount).is_some_and(|bind| bind.id_map.is_some() || inside);
    if !plan.mounts.iter().any(wanted) {
        return Ok(Opened::default());
    }
    open_all(plan, wanted, false)
}

/// Opens the source of every bind, for a container that runs.
pub fn open_for_running(plan: &Plan) -> Result<Opened> {
    open_all(plan, |mount| bind_of(mount).is_some(), true)
}

fn open_all(plan: &Plan, wanted: impl Fn(&Mount) -> bool, complete: bool) -> Result<Opened> {
    let mut namespaces = Namespaced { plan, made: Vec::new() };
    let mut sources = Vec::new();
    for mount in &plan.mounts {
        sources.push(match bind_of(mount).filter(|_| wanted(mount)) {
            Some(bind) => match open(bind, &mut namespaces) {
                Ok(source) => Some(source),
                Err(error) if complete || bind.id_map.is_some() => {
                    return Err(error.within(format!("mount {}", mount.target.display())));
                }
                // Init tries for itself: an ordinary user may not do this here, and root of a user namespace may.
                Err(_) => None,
            },
            None => None,
        });
    }
    Ok(Opened { sources, complete })
}

fn bind_of(mount: &Mount) -> Option<&Bind> {
    match &mount.source {
        Source::Bind(bind) => Some(bind),
        _ => None,
    }
}

fn open(bind: &Bind, namespaces: &mut Namespaced<'_>) -> Result<bind::Opened> {
    let tree = match bind::open(bind)? {
        bind::Opened::Tree(tree) => tree,
        link => return Ok(link),
    };
    let propagation = match namespaces.plan.root_propagation {
        Some(Propagation { kind: PRIVATE | UNBINDABLE, .. }) => PRIVATE,
        Some(Propagation { kind: SHARED, .. }) if !namespaces.plan.has_user_namespace() => 0,
        // It was opened among the host's mounts: what is mounted in it later must not reach them.
        _ => SLAVE,
    };
    mount_setattr(tree.as_fd(), true, MountAttributes { propagation, ..MountAttributes::default() })?;
    if let Some(map) = &bind.id_map {
        let namespace = namespaces.find(map)?;
        set_id_map(tree.as_fd(), map.recursive, namespace.as_fd())
            .map_err(Error::from)
            .map_err(|error| hint(error, &bind.path))?;
    }
    Ok(bind::Opened::Tree(tree))
}

fn hint(error: Error, path: &Path) -> Error {
    match error.kind {
        Kind::Permission => error.with_hint("only root of the host maps the ids of a mount"),
        _ => error.with_hint(format!("the file system of {} may have no id-mapped mounts", path.display())),
    }
}

/// The user namespaces that mounts take their ids from, each made once.
struct Namespaced<'a> {
    plan: &'a Plan,
    made: Vec<(Option<IdMaps>, OwnedFd)>,
}

impl Namespaced<'_> {
    fn find(&mut self, map: &IdMap) -> Result<&OwnedFd> {
        let known = self.made.iter().position(|(maps, _)| *maps == map.maps);
        let index = match known {
            Some(index) => index,
            None => {
                let namespace = self.make(map.maps.as_ref()).within(|| "map its ids")?;
                self.made.push((map.maps.clone(), namespace));
                self.made.len() - 1
            }
        };
        Ok(&self.made[index].1)
    }

    /// One with these ids, or with those of the container: the kernel copies them, so it need not be the very one.
    fn make(&self, maps: Option<&IdMaps>) -> Result<OwnedFd> {
        let joined = self.plan.joined.iter().find(|one| one.kind == Namespaces::USER);
        match (maps, joined) {
            (Some(maps), _) => user_namespace(maps),
            (None, Some(joined)) => open_namespace(&joined.path),
            (None, None) => user_namespace(&self.plan.id_maps),
        }
    }
}

fn open_namespace(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let namespace = rustix::fs::open(path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?})")))?;
    Ok(namespace)
}

/// A user namespace with these ids and nobody in it.
pub fn user_namespace(maps: &IdMaps) -> Result<OwnedFd> {
    let child = clone3(Namespaces::USER, None, || {
        // It is only there for its namespace, until it is killed; with its parent at the latest.
        match set_parent_process_death_signal(Some(Signal::KILL)) {
            Ok(()) => loop {
                rustix::event::pause();
            },
            Err(_) => 70,
        }
    })?;
    let pid = child.pid.as_raw_nonzero().get();
    let opened = id_map::write(pid, maps)
        .and_then(|()| open_namespace(&Path::new("/proc").join(pid.to_string()).join("ns/user")));
    end(&child)?;
    opened
}
