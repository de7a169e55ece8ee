//! The root of a container, fully meant.

use std::path::PathBuf;

/// Where the root file system comes from.
#[derive(Debug, Clone)]
pub enum Root {
    /// A directory, as it is.
    Directory(PathBuf),
    /// An overlay of directories.
    Overlay(Overlay),
}

/// An overlay (Documentation/filesystems/overlayfs.rst of the kernel).
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Read-only layers, lowest first.
    pub lower: Vec<PathBuf>,
    /// A directory with nothing to see in it, which has the contents of files that are marked so in the layers.
    pub data: Option<PathBuf>,
    /// Where changes go.
    pub upper: Upper,
    /// An empty directory that is there: the overlay is mounted on it, in the container's namespace only.
    pub mount_point: PathBuf,
    /// Whether markers are `user.overlay.*`, the ones that root of a user namespace may write.
    pub user_xattr: bool,
    /// Whether the kernel may skip syncing: for containers that are thrown away.
    pub volatile: bool,
}

/// Where the changes of an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// Two directories on one file system.
    Directories {
        /// The changes.
        upper: PathBuf,
        /// What the kernel works in.
        work: PathBuf,
    },
    /// A tmpfs that goes with the container.
    Memory,
}

/// How a parent mounts the root of a container that is in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByParent {
    /// On the disk are the container's own ids: its directories are mapped by their mounts to those that it has outside.
    Mapped,
    /// On the disk are the ids that it has outside.
    AsItIs,
}
