//! What only the parent can open for init: it has the host's privileges, init may have those of a user namespace alone.

use super::{bind, root_by_parent};
use crate::channel::{Message, pair};
use crate::container::{end, wait};
use crate::error::{Error, Kind, Result};
use crate::id_map::{self, IdMaps};
use crate::init::masks;
use crate::plan::{Bind, Mount, Plan, Propagation, Source};
use cgroup::Layout;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::path::{Path, PathBuf};
use sys::clone3::{Child, Namespaces, clone3};
use sys::mount_setattr::{MountAttributes, PRIVATE, SHARED, SLAVE, UNBINDABLE, mount_setattr, set_id_map};
use sys::{Context, Errno, called};

/// What was opened for whoever attaches it.
#[derive(Debug, Default)]
pub struct Opened {
    /// In the place of each source that of its mount in the plan; empty where there are none at all.
    pub sources: Vec<Option<bind::Opened>>,
    /// The root, where it is for the parent to mount.
    pub root: Option<OwnedFd>,
    /// Whether this is all there is: who attaches them does not have the host's files before it.
    pub complete: bool,
    /// The null device of the host, where init is in a mount namespace that somebody else has made.
    pub null: Option<OwnedFd>,
    /// The host's hierarchies of cgroups, for the same.
    pub layout: Option<Layout>,
}

impl Opened {
    /// The descriptors that it is about.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sources = self.sources.iter().flatten().filter_map(|one| match one {
            bind::Opened::Tree(tree) => Some(tree.as_fd()),
            bind::Opened::Link(_) => None,
        });
        sources.chain(self.root.iter().chain(&self.null).map(AsFd::as_fd))
    }
}

/// Opens the sources of binds that have ids of their own, and those whose paths may be closed to root of a user
/// namespace; mounts the root where that is for the parent to do. Before init is cloned: it inherits the descriptors.
pub fn open_in_parent(plan: &Plan) -> Result<Opened> {
    let inside = plan.has_user_namespace();
    let wanted = |mount: &Mount| {
        bind_of(mount).is_some_and(|bind| bind.id_map.is_some() || (inside && may_be_closed(&bind.path)))
    };
    let mut namespaces = Namespaced::of(plan);
    let root = plan
        .root_by_parent
        .map(|how| root_by_parent::open(plan, how, &mut namespaces).within(|| "mount the root file system"));
    let root = root.transpose()?;
    let sources = match plan.mounts.iter().any(wanted) {
        true => open_all(&mut namespaces, wanted, false)?,
        false => Vec::new(),
    };
    let mut opened = Opened { sources, root, ..Opened::default() };
    if plan.joins(Namespaces::MOUNT) {
        look_at_the_host(plan, &mut opened)?;
    }
    Ok(opened)
}

/// What init would look up in a mount namespace that it joins, and that is not for somebody else to say.
fn look_at_the_host(plan: &Plan, opened: &mut Opened) -> Result<()> {
    if !plan.masked.is_empty() {
        opened.null = match masks::null() {
            Ok(null) => Some(null),
            // An ordinary user may not copy a mount here: init takes what there is if it is the device, and else nothing.
            Err(error) if error.kind == Kind::Permission => None,
            Err(error) => return Err(error),
        };
    }
    if plan.mounts.iter().any(|mount| matches!(mount.source, Source::Cgroups)) {
        opened.layout = Some(Layout::detect().map_err(|error| error.recast(|_| Kind::Other))?);
    }
    Ok(())
}

/// Opens each mount of binds that has to be bound again by itself, with its target: where it has ids of its own, and where
/// others lie on it, from which a user namespace cannot part it. `beneath` are the mounts of the host below a path.
pub fn open_apart(plan: &Plan, beneath: impl Fn(&Path) -> Vec<PathBuf>) -> Result<Vec<(PathBuf, OwnedFd)>> {
    let mut namespaces = Namespaced { locks: false, ..Namespaced::of(plan) };
    let mut apart = Vec::new();
    for mount in &plan.mounts {
        let Some(bind) = bind_of(mount) else { continue };
        let source = bind.path.canonicalize().unwrap_or_else(|_| bind.path.clone());
        let below = beneath(&source);
        if bind.id_map.is_none() && (!plan.has_user_namespace() || below.is_empty()) {
            continue;
        }
        let mut add = |target: PathBuf, bind: Bind| {
            let opened = open(&bind, &mut namespaces);
            match opened.within(|| format!("mount {}", target.display()))? {
                bind::Opened::Tree(tree) => apart.push((target, tree)),
                bind::Opened::Link(_) => {}
            }
            Ok::<(), Error>(())
        };
        add(mount.target.clone(), Bind { recursive: false, ..bind.clone() })?;
        for path in below.into_iter().filter(|_| bind.recursive) {
            let rest = path.strip_prefix(&source).unwrap_or(&path);
            let id_map = bind.id_map.clone().filter(|map| map.recursive);
            add(
                mount.target.join(rest),
                Bind { path: path.clone(), recursive: false, id_map, ..bind.clone() },
            )?;
        }
    }
    Ok(apart)
}

/// Opens the source of every bind, for a container that runs.
pub fn open_for_running(plan: &Plan) -> Result<Opened> {
    let sources = open_all(&mut Namespaced::of(plan), |mount| bind_of(mount).is_some(), true)?;
    Ok(Opened { sources, complete: true, ..Opened::default() })
}

/// Whether a directory on the way is closed to others than its owner and group.
fn may_be_closed(path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else { return true };
    let open_to_all =
        |directory: &Path| rustix::fs::stat(directory).is_ok_and(|stat| stat.st_mode & 0o001 != 0);
    !real.ancestors().skip(1).all(open_to_all)
}

fn open_all(
    namespaces: &mut Namespaced<'_>,
    wanted: impl Fn(&Mount) -> bool,
    complete: bool,
) -> Result<Vec<Option<bind::Opened>>> {
    let mut sources = Vec::new();
    for mount in &namespaces.plan.mounts {
        sources.push(match bind_of(mount).filter(|_| wanted(mount)) {
            Some(bind) => match open(bind, namespaces) {
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
    Ok(sources)
}

fn bind_of(mount: &Mount) -> Option<&Bind> {
    match &mount.source {
        Source::Bind(bind) => Some(bind),
        _ => None,
    }
}

pub fn open(bind: &Bind, namespaces: &mut Namespaced<'_>) -> Result<bind::Opened> {
    let propagation = match namespaces.plan.root_propagation {
        Some(Propagation { kind: PRIVATE | UNBINDABLE, .. }) => PRIVATE,
        Some(Propagation { kind: SHARED, .. }) if !namespaces.plan.has_user_namespace() => 0,
        // It was opened among the host's mounts: what is mounted in it later must not reach them.
        _ => SLAVE,
    };
    let attributes = MountAttributes { propagation, ..MountAttributes::default() };
    let mut tree = match bind::open(bind) {
        Ok(bind::Opened::Tree(tree)) => tree,
        // The mounts here belong to a user namespace above ours: a copy of them is ours.
        Err(error) if error.kind == Kind::Permission && namespaces.locks && bind.id_map.is_none() => {
            let locked = namespaces.locked(Namespaces::MOUNT)?;
            return locked.open(bind, attributes).map(bind::Opened::Tree);
        }
        other => return other,
    };
    if namespaces.locks {
        let locked = namespaces.locked(Namespaces::USER.and(Namespaces::MOUNT))?;
        match locked.open(bind, MountAttributes::default()) {
            Ok(locked) => tree = locked,
            // Of a tree whose parts are locked together one part alone is not to be had.
            Err(_) if !bind.recursive => {}
            Err(error) => return Err(error),
        }
    }
    mount_setattr(tree.as_fd(), true, attributes)?;
    if let Some(map) = &bind.id_map {
        let namespace = namespaces.find(map.maps.as_ref())?;
        set_id_map(tree.as_fd(), map.recursive, namespace.as_fd())
            .map_err(Error::from)
            .map_err(|error| hint(error, &bind.path))?;
    }
    Ok(bind::Opened::Tree(tree))
}

pub fn hint(error: Error, path: &Path) -> Error {
    match error.kind {
        Kind::Permission => error.with_hint("only root of the host maps the ids of a mount"),
        _ => error.with_hint(format!("the file system of {} may have no id-mapped mounts", path.display())),
    }
}

/// The user namespaces that mounts take their ids from, each made once.
pub struct Namespaced<'a> {
    pub plan: &'a Plan,
    made: Vec<(Option<IdMaps>, OwnedFd)>,
    /// Whether mounts are opened as a user namespace has them.
    locks: bool,
    locked: Option<Locked>,
}

/// The host's mounts as a user namespace has them: what flags they have cannot be taken from them
/// (mount_namespaces(7), "Restrictions on mount namespaces").
struct Locked(OwnedFd);

impl Locked {
    /// `new` says with which namespaces of its own: a user namespace as well, or a copy of the mounts for the one that we are in.
    fn make(new: Namespaces) -> Result<Self> {
        let child = waiting_child(new)?;
        let opened = open_namespace(&namespace_file(&child, "mnt"));
        end(&child)?;
        opened.map(Self)
    }

    /// Opens a source among them with the privileges of this process, in a child that goes there.
    fn open(&self, bind: &Bind, attributes: MountAttributes) -> Result<OwnedFd> {
        from_child(Namespaces::NONE, || self.open_inside(bind, attributes))
    }

    fn open_inside(&self, bind: &Bind, attributes: MountAttributes) -> Result<OwnedFd> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Mount))
            .map_err(called::<Errno>(|| "setns(CLONE_NEWNS)".to_owned()))?;
        match bind::open(bind)? {
            bind::Opened::Tree(tree) => {
                if attributes != MountAttributes::default() {
                    mount_setattr(tree.as_fd(), true, attributes)?;
                }
                Ok(tree)
            }
            bind::Opened::Link(_) => Err(Error::new(Kind::Other, "a source has become a link")),
        }
    }
}

impl<'a> Namespaced<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self { plan, made: Vec::new(), locks: plan.has_user_namespace(), locked: None }
    }

    fn locked(&mut self, new: Namespaces) -> Result<&Locked> {
        match &mut self.locked {
            Some(locked) => Ok(locked),
            none => Ok(none.insert(Locked::make(new)?)),
        }
    }

    /// One with these ids; none for those of the container.
    pub fn find(&mut self, wanted: Option<&IdMaps>) -> Result<&OwnedFd> {
        let known = self.made.iter().position(|(maps, _)| maps.as_ref() == wanted);
        let index = match known {
            Some(index) => index,
            None => {
                let namespace = self.make(wanted).within(|| "map its ids")?;
                self.made.push((wanted.cloned(), namespace));
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

/// A mount, attached nowhere, that a child opens in namespaces of its own.
pub fn from_child(namespaces: Namespaces, open: impl FnOnce() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let (mut ours, theirs) = pair()?;
    let parents_end = &mut ours;
    let child = clone3(namespaces, None, move || {
        if parents_end.close().is_err() {
            return 71;
        }
        let sent = open().and_then(|tree| theirs.send(&Message::Source, Some(tree.as_fd())));
        sent.map_or_else(|failure| crate::init::report(&theirs, failure), |()| 0)
    })?;
    let said = ours.receive();
    wait(&child)?;
    match said? {
        Some((Message::Source, Some(tree))) => Ok(tree),
        Some((Message::Failed { kind, chain, hint }, _)) => Err(Error { kind, chain, hint }),
        _ => Err(Error::new(Kind::Other, "a child that opens a mount ended without it")),
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
    let child = waiting_child(Namespaces::USER)?;
    let opened = id_map::write(child.pid.as_raw_nonzero().get(), maps)
        .and_then(|()| open_namespace(&namespace_file(&child, "user")));
    end(&child)?;
    opened
}

/// A child that is only there for its namespaces, until it is killed; with its parent at the latest.
fn waiting_child(namespaces: Namespaces) -> Result<Child> {
    let child = clone3(namespaces, None, || match set_parent_process_death_signal(Some(Signal::KILL)) {
        Ok(()) => loop {
            rustix::event::pause();
        },
        Err(_) => 70,
    })?;
    Ok(child)
}

fn namespace_file(child: &Child, kind: &str) -> PathBuf {
    Path::new("/proc").join(child.pid.as_raw_nonzero().get().to_string()).join("ns").join(kind)
}
