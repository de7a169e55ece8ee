//! Mounts inside the root: sources are opened on the host's side, then only moved, by descriptor on both sides.

use super::fill;
use super::root::{Missing, resolve, target};
use crate::error::{Error, Kind, Result};
use crate::plan::{Mount, Plan, Source};
use cgroup::Layout;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::path::{Path, PathBuf};
use sys::mount_setattr::{MountAttributes, mount_setattr};
use sys::{Context, Errno, called};

/// A mount that is made and not yet attached anywhere.
pub struct Prepared {
    target: PathBuf,
    tree: OwnedFd,
    missing: Missing,
    fill: bool,
    attributes: MountAttributes,
    recursive: bool,
    /// Mounts below it, each with the directory that is made for it.
    below: Vec<(String, OwnedFd)>,
    proc_or_sys: bool,
}

/// Makes every mount, detached.
pub fn prepare(plan: &Plan) -> Result<Vec<Prepared>> {
    plan.mounts
        .iter()
        .map(|mount| prepare_one(mount).within(|| format!("mount {}", mount.target.display())))
        .collect()
}

fn prepare_one(mount: &Mount) -> Result<Prepared> {
    let mut prepared = Prepared {
        target: mount.target.clone(),
        tree: match &mount.source {
            Source::FileSystem { kind, options } => file_system(kind, options)?,
            Source::Bind { path, recursive, .. } => clone_tree(path, *recursive)?,
            Source::Cgroups => return cgroups(mount),
        },
        missing: Missing::Directory,
        fill: matches!(mount.source, Source::Bind { fill: true, .. }),
        attributes: mount.attributes,
        recursive: mount.recursive_attributes,
        below: Vec::new(),
        proc_or_sys: matches!(&mount.source, Source::FileSystem { kind, .. } if kind == "proc" || kind == "sysfs"),
    };
    let stat = rustix::fs::fstat(&prepared.tree).map_err(called::<Errno>(|| "fstat(source)".to_owned()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        prepared.missing = Missing::File;
    }
    Ok(prepared)
}

/// A new file system, detached (fsopen(2), fsmount(2)).
pub fn file_system(kind: &str, options: &[(String, String)]) -> Result<OwnedFd> {
    let context =
        fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(called::<Errno>(|| format!("fsopen({kind})")))?;
    for (key, value) in options {
        let set = if value.is_empty() && key != "source" {
            fsconfig_set_flag(context.as_fd(), key.as_str())
        } else {
            fsconfig_set_string(context.as_fd(), key.as_str(), value.as_str())
        };
        set.map_err(called::<Errno>(|| format!("fsconfig({kind}, {key}={value})")))?;
    }
    fsconfig_create(context.as_fd()).map_err(called::<Errno>(|| format!("fsconfig({kind}, create)")))?;
    let tree = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(called::<Errno>(|| format!("fsmount({kind})")))?;
    Ok(tree)
}

/// A second mount of what is at `path`, detached (open_tree(2)).
pub fn clone_tree(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(CWD, path, flags).map_err(called::<Errno>(|| format!("open_tree({path:?})")))?;
    Ok(tree)
}

/// The container's view of its cgroups: the one hierarchy of v2, or a tmpfs with one mount for each of v1.
fn cgroups(mount: &Mount) -> Result<Prepared> {
    let layout = Layout::detect().map_err(|error| error.recast(|_| Kind::Other))?;
    let (tree, below) = match layout {
        Layout::Unified { .. } => (file_system("cgroup2", &[])?, Vec::new()),
        Layout::Legacy { hierarchies, unified } => {
            let mut below = Vec::new();
            for one in &hierarchies {
                below
                    .push((last_name(&one.mount), file_system("cgroup", &legacy_options(&one.controllers))?));
            }
            if let Some(unified) = unified {
                below.push((last_name(&unified), file_system("cgroup2", &[])?));
            }
            (file_system("tmpfs", &[("mode".to_owned(), "0755".to_owned())])?, below)
        }
    };
    Ok(Prepared {
        target: mount.target.clone(),
        tree,
        missing: Missing::Directory,
        fill: false,
        attributes: mount.attributes,
        recursive: mount.recursive_attributes,
        below,
        proc_or_sys: false,
    })
}

fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A hierarchy is named by its controllers; one without any has a name of its own (cgroups(7)).
fn legacy_options(controllers: &[String]) -> Vec<(String, String)> {
    let mut options = Vec::new();
    for controller in controllers {
        match controller.split_once('=') {
            Some((key, value)) => {
                options.push(("none".to_owned(), String::new()));
                options.push((key.to_owned(), value.to_owned()));
            }
            None => options.push((controller.clone(), String::new())),
        }
    }
    options
}

/// Moves every mount to its place, in order: a later target may be inside an earlier mount.
pub fn attach(root: &OwnedFd, prepared: Vec<Prepared>) -> Result<()> {
    for mount in prepared {
        let shown = mount.target.clone();
        attach_one(root, mount).within(|| format!("mount {}", shown.display()))?;
    }
    Ok(())
}

fn attach_one(root: &OwnedFd, mount: Prepared) -> Result<()> {
    let at = target(root.as_fd(), &mount.target, mount.missing)?;
    if mount.proc_or_sys {
        on_ordinary_directory(root, &mount.target)?;
    }
    if mount.fill {
        fill::fill_when_empty(&mount.tree, &at)?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mount.tree, "", &at, "", flags).map_err(called::<Errno>(|| {
        let what = if mount.missing == Missing::File { "file" } else { "directory" };
        format!("move_mount(a {what} onto {:?})", mount.target)
    }))?;
    for (name, tree) in &mount.below {
        rustix::fs::mkdirat(&mount.tree, name.as_str(), rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(called::<Errno>(|| format!("mkdirat({name:?})")))?;
        move_mount(tree, "", &mount.tree, name.as_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(called::<Errno>(|| format!("move_mount({name:?})")))?;
    }
    if mount.attributes != MountAttributes::default() {
        mount_setattr(mount.tree.as_fd(), mount.recursive || !mount.below.is_empty(), mount.attributes)?;
    }
    Ok(())
}

/// A link in place of /proc or /sys would let an image choose what is written there (CVE-2019-19921).
fn on_ordinary_directory(root: &OwnedFd, path: &Path) -> Result<()> {
    let found = resolve(root.as_fd(), path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let stat = rustix::fs::fstat(&found).map_err(called::<Errno>(|| format!("fstat({path:?})")))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("{} must be an ordinary directory", path.display())))
}
