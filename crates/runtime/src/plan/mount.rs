//! A mount inside the root, fully meant.

use crate::id_map::IdMaps;
use std::path::PathBuf;
use sys::mount_setattr::MountAttributes;

/// A mount inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, in the container; absolute, without `.` and `..`.
    pub target: PathBuf,
    /// Whether a symbolic link at the target is followed, inside the root.
    pub follow_target: bool,
    /// What.
    pub source: Source,
    /// Flags of the mount itself.
    pub attributes: MountAttributes,
    /// Flags of the mount and of everything below it, set after those of its own.
    pub recursive_attributes: MountAttributes,
    /// How it takes part in mount events, one after the other.
    pub propagation: Vec<Propagation>,
}

impl Mount {
    /// A file or directory of the host at `target`, as it is and nothing below it.
    pub fn bind(path: PathBuf, target: PathBuf) -> Self {
        Self {
            target,
            follow_target: true,
            source: Source::Bind(Bind {
                path,
                recursive: false,
                beneath: None,
                fill: false,
                link: Link::Follow,
                id_map: None,
            }),
            attributes: MountAttributes::default(),
            recursive_attributes: MountAttributes::default(),
            propagation: Vec::new(),
        }
    }
}

/// One change of propagation (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`.
    pub kind: u64,
    /// Whether it is that of everything below as well.
    pub recursive: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A new file system.
    FileSystem(FileSystem),
    /// A file or directory of the host.
    Bind(Bind),
    /// The container's cgroups: one hierarchy on v2, all of them on v1.
    Cgroups,
    /// One v1 hierarchy, `name=systemd`, for an old systemd on a host with v2 alone.
    SystemdCgroup,
    /// What is mounted there already, changed; also its file system where options are given.
    Remount(Vec<(String, String)>),
}

/// A new file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// As in /proc/filesystems.
    pub kind: String,
    /// What fsconfig(2) is given, by key and value; an empty value is a flag.
    pub options: Vec<(String, String)>,
    /// Whether it starts with a copy of what is at its target (`tmpcopyup`).
    pub copy_up: bool,
}

/// A file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub path: PathBuf,
    /// With everything mounted below it.
    pub recursive: bool,
    /// What of the source is bound, if not all: resolved beneath it, whatever links are there.
    pub beneath: Option<PathBuf>,
    /// Whether an empty directory is first filled from what the root has at the target.
    pub fill: bool,
    /// What becomes of a source that is a symbolic link.
    pub link: Link,
    /// Whose files they are inside.
    pub id_map: Option<IdMap>,
}

/// What becomes of a source that is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// What it leads to is mounted.
    #[default]
    Follow,
    /// It is mounted itself.
    Mount,
    /// A link like it is made at the target.
    Copy,
}

/// The ids of an id-mapped mount (mount_setattr(2), "ID-mapped mounts").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// From the ids of the file system to those of the host; none for those of the container's user namespace.
    pub maps: Option<IdMaps>,
    /// Whether what is mounted below is mapped as well.
    pub recursive: bool,
}
