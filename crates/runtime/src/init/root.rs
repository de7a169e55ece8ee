//! The new root: prepared on the host's side, entered, and from then on the only one.

pub use super::target::{Missing, resolve, target};
use super::{overlay, pieces};
use crate::error::Result;
use crate::plan::{Plan, Propagation, Root};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_change, move_mount,
    open_tree, unmount,
};
use std::path::Path;
use sys::mount_setattr::{MountAttributes, NODEV, RDONLY, SHARED, SLAVE, mount_setattr};
use sys::{Context, Errno, called};

/// Cuts this mount namespace off as far as it is wanted. Events of the host's mounts still come in, so that what is
/// unmounted there is unmounted here too; none goes out, unless the plan says that the root is shared.
pub fn set_host_propagation(plan: &Plan) -> Result<()> {
    let recursive = MountPropagationFlags::REC;
    let flags = match plan.root_propagation {
        None => MountPropagationFlags::DOWNSTREAM | recursive,
        Some(Propagation { kind: SLAVE, .. }) => MountPropagationFlags::DOWNSTREAM | recursive,
        Some(Propagation { kind: SHARED, recursive: true }) => MountPropagationFlags::SHARED | recursive,
        Some(Propagation { kind: SHARED, .. }) => MountPropagationFlags::SHARED,
        // Nothing can be bound from a mount that is unbindable; the root becomes so at its end.
        Some(_) => MountPropagationFlags::PRIVATE | recursive,
    };
    mount_change("/", flags).map_err(called::<Errno>(|| format!("mount(\"/\", {flags:?})")))?;
    match (plan.root_propagation, &plan.root) {
        (Some(Propagation { kind: SHARED, .. }), Root::Directory(path)) => make_parent_private(path),
        (Some(Propagation { kind: SHARED, .. }), Root::Overlay(one)) => make_parent_private(&one.mount_point),
        _ => Ok(()),
    }
}

/// The mount that the root is in: what is mounted there must not reach the host, and pivot_root(2) refuses a root whose
/// parent is shared.
fn make_parent_private(path: &Path) -> Result<()> {
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(called(|| "read mountinfo".to_owned()))?;
    let parent = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(pieces::unescape)
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.as_os_str().len())
        .unwrap_or_else(|| Path::new("/").to_owned());
    mount_change(&parent, MountPropagationFlags::PRIVATE)
        .map_err(called::<Errno>(|| format!("mount({parent:?}, MS_PRIVATE)")))?;
    Ok(())
}

/// Gives the container's root the propagation that its config.json names. After it is entered: before, it was the
/// host's that would have changed.
pub fn set_propagation(root: &OwnedFd, plan: &Plan) -> Result<()> {
    let Some(Propagation { kind, recursive }) = plan.root_propagation else { return Ok(()) };
    let attributes = MountAttributes { propagation: kind, ..MountAttributes::default() };
    mount_setattr(root.as_fd(), recursive, attributes).within(|| "set the propagation of the root")
}

/// Makes the new root a mount of its own, as pivot_root(2) wants it, and returns it; `given` is one that the parent has mounted.
pub fn prepare(plan: &Plan, given: Option<&OwnedFd>) -> Result<OwnedFd> {
    let tree = match given {
        Some(tree) => attach(tree)?,
        None => tree(plan)?,
    };
    if plan.bind_devices {
        // A node made in here, or carried by an image, opens nothing: only the bound ones do.
        mount_setattr(tree.as_fd(), false, MountAttributes { set: NODEV, ..MountAttributes::default() })?;
    }
    Ok(tree)
}

/// Over the old root: a place that needs no path, and the way to the container's own may be closed to a user namespace. Paths
/// lead to what is beneath until the root is entered, as those that begin at a process's root do.
fn attach(tree: &OwnedFd) -> Result<OwnedFd> {
    place(tree, Path::new("/"))?;
    Ok(tree.try_clone().map_err(called(|| "dup(root)".to_owned()))?)
}

fn tree(plan: &Plan) -> Result<OwnedFd> {
    match &plan.root {
        Root::Directory(path) => {
            // Resolved once: what is at the path a moment later may be something else, and stays as it is.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let at = rustix::fs::open(path, flags, Mode::empty())
                .map_err(called::<Errno>(|| format!("open({path:?}, O_PATH)")))?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_EMPTY_PATH
                | OpenTreeFlags::AT_RECURSIVE;
            let tree = open_tree(&at, "", flags)
                .map_err(called::<Errno>(|| format!("open_tree({path:?}, OPEN_TREE_CLONE)")))?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&tree, "", &at, "", flags)
                .map_err(called::<Errno>(|| format!("move_mount({path:?})")))?;
            Ok(tree)
        }
        Root::Overlay(overlay) => {
            match overlay::mount(overlay)? {
                // Not as a whole: mounts below that are locked in a user namespace.
                None => pieces::build(overlay, plan.root_read_only),
                Some(tree) => Ok(tree),
            }
        }
    }
}

pub fn place(tree: &OwnedFd, at: &Path) -> Result<()> {
    move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(called::<Errno>(|| format!("move_mount({at:?})")))?;
    Ok(())
}

/// Enters the new root and lets go of the old one.
pub fn enter(new_root: &OwnedFd, plan: &Plan) -> Result<()> {
    if plan.no_pivot { move_over(new_root) } else { pivot(new_root) }
}

fn pivot(new_root: &OwnedFd) -> Result<()> {
    let old_root = open()?;
    let go_to = |root: &OwnedFd, what: &str| {
        rustix::process::fchdir(root).map_err(called::<Errno>(|| format!("fchdir({what})")))
    };
    go_to(new_root, "new root")?;
    // Both ".": the old root lands on top of the new one, with no directory needed for it (pivot_root(2)).
    rustix::process::pivot_root(".", ".")
        .map_err(called::<Errno>(|| "pivot_root(\".\", \".\")".to_owned()))?;
    go_to(&old_root, "old root")?;
    // Where the host's mounts are shared with ours, they would be unmounted there too.
    mount_change(".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).map_err(called::<
        Errno,
    >(
        || "mount(old root, MS_REC|MS_SLAVE)".to_owned(),
    ))?;
    unmount(".", UnmountFlags::DETACH)
        .map_err(called::<Errno>(|| "umount2(old root, MNT_DETACH)".to_owned()))?;
    rustix::process::chdir("/").map_err(called::<Errno>(|| "chdir(\"/\")".to_owned()))?;
    Ok(())
}

/// For a host whose root cannot be exchanged, because it is the one that the kernel began with: the new root is moved over
/// it. The old one stays beneath; its proc and sys file systems, which would let a container make theirs whole again, go.
fn move_over(new_root: &OwnedFd) -> Result<()> {
    let table =
        std::fs::read_to_string("/proc/self/mountinfo").map_err(called(|| "read mountinfo".to_owned()))?;
    let own = std::fs::read_link(format!("/proc/self/fd/{}", new_root.as_raw_fd()))
        .map_err(called(|| "readlink(new root)".to_owned()))?;
    for mount in whole_kernel_views(&table).into_iter().filter(|mount| !mount.starts_with(&own)) {
        match mount_change(&mount, MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC) {
            // Covered by another mount, or in a directory that is closed to this user: nor does the container get there.
            Err(Errno::NOENT | Errno::ACCESS) => continue,
            done => done.map_err(called::<Errno>(|| format!("mount({mount:?}, MS_REC|MS_SLAVE)")))?,
        }
        match unmount(&mount, UnmountFlags::DETACH) {
            // Locked in a user namespace: covered instead.
            Err(Errno::INVAL | Errno::PERM) => {
                rustix::mount::mount("tmpfs", &mount, "tmpfs", MountFlags::RDONLY, None)
                    .map_err(called::<Errno>(|| format!("mount(tmpfs, {mount:?})")))?;
            }
            done => done.map_err(called::<Errno>(|| format!("umount2({mount:?})")))?,
        }
    }
    rustix::process::fchdir(new_root).map_err(called::<Errno>(|| "fchdir(new root)".to_owned()))?;
    move_mount(new_root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(called::<Errno>(|| "move_mount(new root, \"/\")".to_owned()))?;
    rustix::process::chroot(".").map_err(called::<Errno>(|| "chroot(\".\")".to_owned()))?;
    rustix::process::chdir("/").map_err(called::<Errno>(|| "chdir(\"/\")".to_owned()))?;
    Ok(())
}

/// Where a proc or sysfs is mounted, innermost first (proc_pid_mountinfo(5)).
fn whole_kernel_views(table: &str) -> Vec<std::path::PathBuf> {
    let is_one = |line: &&str| {
        let kind = line.split_once(" - ").and_then(|(_, after)| after.split(' ').next());
        matches!(kind, Some("proc" | "sysfs"))
    };
    let lines = table.lines().filter(is_one);
    lines.filter_map(|line| line.split(' ').nth(4)).map(pieces::unescape).rev().collect()
}

/// Opens the root that every later path is resolved beneath.
pub fn open() -> Result<OwnedFd> {
    rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| "open(\"/\", O_PATH)".to_owned()))
        .within(|| "open the new root")
}

/// The root mount alone: what is mounted in it keeps its own flags.
pub fn make_read_only(root: &OwnedFd) -> Result<()> {
    let attributes = MountAttributes { set: RDONLY, ..MountAttributes::default() };
    mount_setattr(root.as_fd(), false, attributes).within(|| "make the root read-only")
}
