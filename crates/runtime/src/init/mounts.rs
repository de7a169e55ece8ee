//! Mounts inside the root: sources are opened on the host's side, then only moved, by descriptor on both sides.

pub mod bind;
mod cgroups;
mod file_system;
mod layers_at_once;
mod parent;
mod root_by_parent;

pub use bind::clone_tree;
pub use file_system::file_system;
pub use parent::{Opened, open_apart, open_for_running, open_in_parent};

use super::attest::Attached;
use super::fill;
use super::target::{self, Missing, found_or_made, link_or_made, resolve_without_links};
use crate::error::{Error, Kind, Result};
use crate::plan::{Bind, FileSystem, Mount, Plan, Root, Source};
use cgroups::Below;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::mount::{MoveMountFlags, move_mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::CString;
use std::path::Path;
use sys::clone3::Namespaces;
use sys::mount_setattr::{MountAttributes, RDONLY, SHARED, mount_setattr};
use sys::{Context, Errno, called};

/// A mount that is made and not yet attached anywhere.
pub struct Prepared<'a> {
    mount: &'a Mount,
    made: Made,
    /// Flags of the mount that are still to be set.
    attributes: MountAttributes,
}

enum Made {
    /// A new mount.
    Tree(OwnedFd, Vec<Below>),
    /// A symbolic link.
    Link(CString),
    /// What is there already.
    Nothing,
}

/// All mounts of a container, made and not yet attached.
pub struct All<'a> {
    mounts: Vec<Prepared<'a>>,
    limit: Option<Rlimit>,
}

/// What is left to do when everything in the mounts is made.
pub struct Late {
    /// Mounts that become read-only then; with what is below, or without.
    read_only: Vec<(OwnedFd, bool)>,
    /// The limit of descriptors that there was before.
    limit: Option<Rlimit>,
    /// All that is attached, for who looks at it again.
    pub attached: Attached,
}

/// More mounts than this may be more descriptors than a process usually has.
const MANY: usize = 256;

/// Makes every mount, detached; `opened` has what the parent could do for it.
pub fn prepare<'a>(plan: &'a Plan, opened: &Opened) -> Result<All<'a>> {
    let limit = if plan.mounts.len() > MANY { Some(raise_limit()?) } else { None };
    let mut prepared = Vec::new();
    for (index, mount) in plan.mounts.iter().enumerate() {
        let given = opened.sources.get(index).and_then(Option::as_ref);
        prepared.push(prepare_one(plan, mount, given, opened).within(|| shown(mount))?);
    }
    Ok(All { mounts: prepared, limit })
}

/// As many descriptors as may be had; returns the limit that there was.
fn raise_limit() -> Result<Rlimit> {
    let before = sys::resource_limit::get(Resource::Nofile)?;
    set_limit(Rlimit { current: before.maximum, maximum: before.maximum })?;
    Ok(before)
}

fn set_limit(limit: Rlimit) -> Result<()> {
    setrlimit(Resource::Nofile, limit)
        .map_err(called::<Errno>(|| format!("setrlimit(Nofile, {limit:?})")))?;
    Ok(())
}

fn shown(mount: &Mount) -> String {
    format!("mount {}", mount.target.display())
}

fn prepare_one<'a>(
    plan: &Plan,
    mount: &'a Mount,
    given: Option<&bind::Opened>,
    opened: &Opened,
) -> Result<Prepared<'a>> {
    let only_given = opened.complete;
    let mut attributes = mount.attributes;
    let made = match &mount.source {
        Source::FileSystem(one) => {
            let set = if is_filled_later(mount) { attributes.set & !RDONLY } else { attributes.set };
            // A new mount has none of them to be cleared.
            attributes = MountAttributes::default();
            let tree = new_file_system(plan, one, set, scratch(plan, only_given))?;
            if let Some((_, label)) = plan.mount_label.as_ref().filter(|_| one.kind == "mqueue") {
                label_queues(plan, &tree, label)?;
            }
            Made::Tree(tree, Vec::new())
        }
        Source::Bind(_) if only_given => take(given.ok_or_else(|| Error::new(Kind::Other, "not opened"))?)?,
        Source::Bind(bind) => open_bind(bind, given)?,
        Source::Cgroups => {
            if !sys::mutant!("mutant_rt_12")
                && plan.has_user_namespace()
                && !plan.cgroup_namespace
                && !plan.joins(Namespaces::CGROUP)
            {
                // What is bound is the host's (CVE-2023-25809).
                attributes.set |= RDONLY;
                attributes.clear &= !RDONLY;
            }
            let (tree, below) = cgroups::make(plan, opened.layout.as_ref())?;
            Made::Tree(tree, below)
        }
        Source::SystemdCgroup => {
            let (tree, below) = cgroups::systemd(plan)?;
            Made::Tree(tree, below)
        }
        Source::Remount(_) => Made::Nothing,
    };
    Ok(Prepared { mount, made, attributes })
}

/// Message queues have labels of their own, and their directory one that is set: it is no option of theirs. Those of another
/// IPC namespace are not ours to label.
fn label_queues(plan: &Plan, tree: &OwnedFd, label: &str) -> Result<()> {
    if !plan.namespaces.has(Namespaces::IPC) {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::openat(tree, ".", flags, Mode::empty())
        .map_err(called::<Errno>(|| "open(mqueue)".to_owned()))?;
    match rustix::fs::fsetxattr(&top, "security.selinux", label.as_bytes(), XattrFlags::empty()) {
        // A policy that gives them all one label; and made together with a user namespace, the directory is of nobody
        // there. Either way it is only denied more than it could be.
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if plan.has_user_namespace() => Ok(()),
        Err(errno) => {
            Err(called::<Errno>(|| format!("fsetxattr(mqueue, security.selinux={label})"))(errno).into())
        }
    }
}

/// Whether more is made in it after it is there: the targets of other mounts, devices, the terminal.
fn is_filled_later(mount: &Mount) -> bool {
    let tmpfs = matches!(&mount.source, Source::FileSystem(one) if one.kind == "tmpfs");
    let read_only = (mount.attributes.set | mount.recursive_attributes.set) & RDONLY != 0;
    read_only && (tmpfs || mount.target == Path::new("/dev"))
}

/// With the container's own privileges first: what the kernel locks there stays locked. Only ids are mapped by the parent
/// alone.
fn open_bind(bind: &Bind, given: Option<&bind::Opened>) -> Result<Made> {
    match (&bind.id_map, given) {
        (Some(_), Some(source)) => return take(source),
        (Some(_), None) => {
            return Err(Error::new(Kind::Unsupported, "its ids can be mapped by root of the host alone"));
        }
        _ => {}
    }
    match (bind::open(bind), given) {
        (Ok(source), _) => Ok(Made::from(source)),
        (Err(_), Some(source)) => take(source),
        (Err(error), None) => Err(error),
    }
}

fn take(source: &bind::Opened) -> Result<Made> {
    Ok(match source {
        bind::Opened::Tree(tree) => {
            Made::Tree(tree.try_clone().map_err(called(|| "dup(source)".to_owned()))?, Vec::new())
        }
        bind::Opened::Link(leads) => Made::Link(leads.clone()),
    })
}

impl From<bind::Opened> for Made {
    fn from(source: bind::Opened) -> Self {
        match source {
            bind::Opened::Tree(tree) => Self::Tree(tree, Vec::new()),
            bind::Opened::Link(leads) => Self::Link(leads),
        }
    }
}

/// A directory of a mount namespace that nobody else is in and no mount leaves: a place for a mount that has to be somewhere
/// before it can be taken away.
fn scratch(plan: &Plan, running: bool) -> Option<&Path> {
    let shared = plan.root_propagation.is_some_and(|one| one.kind == SHARED);
    match &plan.root {
        _ if running || shared || plan.root_by_parent.is_some() => None,
        Root::Directory(path) => Some(path),
        Root::Overlay(overlay) => Some(&overlay.mount_point),
    }
}

/// A new file system, or what serves for it in a user namespace that may not have one of its own.
fn new_file_system(plan: &Plan, wanted: &FileSystem, set: u64, scratch: Option<&Path>) -> Result<OwnedFd> {
    let FileSystem { kind, options, .. } = wanted;
    if let Some(at) = scratch.filter(|_| layers_at_once::are_needed(kind, options)) {
        return layers_at_once::mount(options, at, set);
    }
    let error = match file_system::with_attributes(kind, options, set) {
        Err(error) if plan.has_user_namespace() => error,
        other => return other,
    };
    // Group 5 of terminals is often nobody there.
    let is_group = |(key, _): &(String, String)| key == "gid";
    if kind == "devpts" && options.iter().any(is_group) {
        let rest: Vec<_> = options.iter().filter(|one| !is_group(one)).cloned().collect();
        return file_system::with_attributes(kind, &rest, set);
    }
    // Each belongs to a namespace, and can be made by its owner alone; without one of its own, it is the host's.
    let (owner, host) = match kind.as_str() {
        "sysfs" => (Namespaces::NETWORK, "/sys"),
        "mqueue" => (Namespaces::IPC, "/dev/mqueue"),
        "proc" => (Namespaces::PID, "/proc"),
        _ => return Err(error),
    };
    if error.kind != Kind::Permission || plan.namespaces.has(owner) {
        return Err(error);
    }
    let Ok(tree) = clone_tree(Path::new(host), true) else { return Err(error) };
    // With the cgroups that are mounted in it, of which some may be this user's to write to (CVE-2023-25809).
    let set = if kind == "sysfs" { set | RDONLY } else { set };
    mount_setattr(tree.as_fd(), true, MountAttributes { set, ..MountAttributes::default() })?;
    Ok(tree)
}

/// Moves every mount to its place, in order: a later target may be inside an earlier mount.
pub fn attach(root: &OwnedFd, all: All<'_>) -> Result<Late> {
    let (mut read_only, mut attached) = (Vec::new(), Attached::default());
    for (number, one) in all.mounts.into_iter().enumerate() {
        let mount = one.mount;
        read_only.extend(attach_one(root, (number, one), &mut attached).within(|| shown(mount))?);
    }
    Ok(Late { read_only, limit: all.limit, attached })
}

/// Makes read-only what had to wait until all in it was made, and takes back what that needed.
pub fn finish(late: Late) -> Result<Attached> {
    for (tree, recursive) in late.read_only {
        let attributes = MountAttributes { set: RDONLY, ..MountAttributes::default() };
        mount_setattr(tree.as_fd(), recursive, attributes).within(|| "make a mount read-only")?;
    }
    late.limit.map_or(Ok(()), set_limit)?;
    Ok(late.attached)
}

fn attach_one(
    root: &OwnedFd,
    (number, prepared): (usize, Prepared<'_>),
    attached: &mut Attached,
) -> Result<Option<(OwnedFd, bool)>> {
    let Prepared { mount, made, mut attributes } = prepared;
    let late = is_filled_later(mount);
    let mut recursive = mount.recursive_attributes;
    let whole_late = recursive.set & RDONLY != 0;
    if late {
        attributes.set &= !RDONLY;
        recursive.set &= !RDONLY;
    }
    let tree = match made {
        Made::Link(leads) => return link(root, mount, &leads).map(|()| None),
        Made::Nothing => change(root, mount)?,
        Made::Tree(tree, below) => {
            let (at, made_now) = place(root, mount, &tree)?;
            before(mount, &tree, &at, made_now)?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            if sys::mutant!("mutant_at_place") && mount.target == Path::new("/x") {
                // As if somebody had exchanged the directory.
                let (elsewhere, _) =
                    found_or_made(root.as_fd(), Path::new("/elsewhere"), Missing::Directory)?;
                move_mount(&tree, "", &elsewhere, "", flags).map_err(called::<Errno>(String::new))?;
            } else {
                move_mount(&tree, "", &at, "", flags)
                    .map_err(called::<Errno>(|| format!("move_mount({:?})", mount.target)))?;
            }
            let whole = !below.is_empty();
            cgroups::fill(&tree, below)?;
            let attributes =
                if sys::mutant!("mutant_at_flags") { MountAttributes::default() } else { attributes };
            set(&tree, whole, attributes)?;
            tree
        }
    };
    attached.note_planned(number, tree.as_fd())?;
    set(&tree, true, recursive)?;
    for change in &mount.propagation {
        let attributes = MountAttributes { propagation: change.kind, ..MountAttributes::default() };
        set(&tree, change.recursive, attributes)?;
    }
    Ok(late.then_some((tree, whole_late)))
}

fn set(tree: &OwnedFd, recursive: bool, attributes: MountAttributes) -> Result<()> {
    if attributes == MountAttributes::default() {
        return Ok(());
    }
    mount_setattr(tree.as_fd(), recursive, attributes).map_err(|error| {
        let locked = error.errno == Errno::PERM;
        let error = Error::from(error);
        if !locked {
            return error;
        }
        error.with_hint("a flag that the host's mount has cannot be taken from it in a user namespace")
    })
}

/// Where the mount goes, and whether that was made now.
fn place(root: &OwnedFd, mount: &Mount, tree: &OwnedFd) -> Result<(OwnedFd, bool)> {
    let what = target::kind(tree)?;
    let missing = if what == FileType::Directory { Missing::Directory } else { Missing::File };
    let find = if mount.follow_target { found_or_made } else { link_or_made };
    let (at, made_now) = find(root.as_fd(), &mount.target, missing)?;
    if target::same(root, &at)? {
        return Err(Error::new(Kind::Invalid, "leads to the root: nothing is mounted over it"));
    }
    let is_directory = target::kind(&at)? == FileType::Directory;
    let words = |what: bool| if what { "directory" } else { "file" };
    if is_directory != (missing == Missing::Directory) {
        return Err(Error::new(
            Kind::Invalid,
            format!(
                "a {} cannot be mounted onto a {}: ENOTDIR (not a directory)",
                words(!is_directory),
                words(is_directory)
            ),
        ));
    }
    let over_proc = mount.target == Path::new("/proc");
    match &mount.source {
        Source::FileSystem(one) if one.kind == "proc" || one.kind == "sysfs" => {
            on_ordinary_directory(root, mount, &one.kind, &at)?;
            if !over_proc {
                bind::may_be_covered(root, &at, &mount.target)?;
            }
        }
        Source::Bind(_) if over_proc => bind::must_be_proc(tree, &mount.target)?,
        _ => bind::may_be_covered(root, &at, &mount.target)?,
    }
    Ok((at, made_now))
}

/// A link in place of /proc or /sys would let an image choose what is written there (CVE-2019-19921).
fn on_ordinary_directory(root: &OwnedFd, mount: &Mount, kind: &str, at: &OwnedFd) -> Result<()> {
    if sys::mutant!("mutant_rt_07", "mutant_rt_08", "mutant_rt_08_unread") {
        return Ok(());
    }
    match resolve_without_links(root.as_fd(), &mount.target) {
        // The very one that is mounted on: between the two lookups somebody may have exchanged it for a link.
        Ok(found) if target::same(&found, at)? => Ok(()),
        Ok(_) => Err(Error::new(
            Kind::Invalid,
            format!("file system {kind:?}: its directory was exchanged meanwhile"),
        )),
        Err(error) if error.errno == Errno::LOOP => Err(Error::new(
            Kind::Invalid,
            format!("file system {kind:?} must be mounted on ordinary directory"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// What is done to a mount while nobody sees it yet: what it begins with.
fn before(mount: &Mount, tree: &OwnedFd, at: &OwnedFd, made_now: bool) -> Result<()> {
    match &mount.source {
        // What was made for the mount alone is no word of the image about owner and mode.
        Source::Bind(bind) if bind.fill && !made_now => fill::fill_when_empty(tree, at),
        Source::FileSystem(one) if one.kind == "tmpfs" => {
            let keeps_mode = one.options.iter().any(|(key, _)| key == "mode");
            if !made_now && !keeps_mode {
                // As the directory it covers: a tmpfs over /root is no place for all.
                let stat = rustix::fs::fstat(at).map_err(called::<Errno>(|| "fstat(target)".to_owned()))?;
                rustix::fs::chmodat(tree, ".", Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())
                    .map_err(called::<Errno>(|| "fchmodat(tmpfs)".to_owned()))?;
            }
            if one.copy_up { fill::copy_up(tree, at) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// Changes what is mounted at the target.
fn change(root: &OwnedFd, mount: &Mount) -> Result<OwnedFd> {
    let at = target::resolve(root.as_fd(), &mount.target, OFlags::PATH)?;
    if let Source::Remount(options) = &mount.source
        && !options.is_empty()
    {
        file_system::reconfigure(&at, options)?;
    }
    set(&at, false, mount.attributes)?;
    Ok(at)
}

/// Makes a link like the source; one that is there already stays (crun's `copy-symlink`).
fn link(root: &OwnedFd, mount: &Mount, leads: &CString) -> Result<()> {
    let (directory, name) = target::parent(root.as_fd(), &mount.target)?;
    match rustix::fs::symlinkat(leads, &directory, &*name) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            let found = rustix::fs::readlinkat(&directory, &*name, Vec::new());
            if found.is_ok_and(|found| found == *leads) {
                return Ok(());
            }
            Err(Error::new(Kind::Invalid, "cannot copy a symbolic link: something else is there already"))
        }
        Err(errno) => Err(called::<Errno>(|| format!("symlinkat({leads:?}, {name:?})"))(errno).into()),
    }
}

/// Takes off the mount that is on top at `path`, with all below it.
pub fn detach(root: &OwnedFd, path: &Path) -> Result<()> {
    use rustix::mount::{UnmountFlags, unmount};
    let at = target::resolve(root.as_fd(), path, OFlags::PATH)?;
    let go_to = |directory: &OwnedFd| {
        rustix::process::fchdir(directory).map_err(called::<Errno>(|| format!("fchdir({path:?})")))
    };
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    // By a name of which no part can lead elsewhere meanwhile.
    if target::kind(&at)? == FileType::Directory {
        go_to(&at)?;
        unmount(".", flags)
    } else {
        let (directory, name) = target::parent(root.as_fd(), path)?;
        go_to(&directory)?;
        unmount(&*name, flags)
    }
    .map_err(called::<Errno>(|| format!("umount2({path:?}, MNT_DETACH)")))?;
    Ok(())
}
