//! mount_setattr(2): flags and propagation of a mount, by descriptor.

use crate::errno::{CallError, called};
use rustix::fd::{AsRawFd, BorrowedFd};

/// The flags of a mount that can be changed on a mounted tree (`MOUNT_ATTR_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountAttributes {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_PRIVATE`, `MS_SLAVE`, `MS_UNBINDABLE`, or 0 to leave it.
    pub propagation: u64,
}

/// Read-only.
pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Set-user-ID bits have no effect.
pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device files cannot be opened.
pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// Nothing can be executed.
pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
/// Access times are not written.
pub const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
/// The bits of which one access-time mode is chosen; to be cleared when one is set.
pub const ATIME_MASK: u64 = libc::MOUNT_ATTR__ATIME;
/// Access times are written always.
pub const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
/// Directory access times are not written.
pub const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
/// Symbolic links are not followed.
pub const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;

/// Mount events go both ways (mount_namespaces(7)).
pub const SHARED: u64 = libc::MS_SHARED;
/// Mount events come in and do not go out.
pub const SLAVE: u64 = libc::MS_SLAVE;
/// No mount events.
pub const PRIVATE: u64 = libc::MS_PRIVATE;
/// No mount events, and no bind of it.
pub const UNBINDABLE: u64 = libc::MS_UNBINDABLE;

/// Changes the mount that `mount` is open on, and with `recursive` every mount below it.
pub fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: MountAttributes,
) -> Result<(), CallError> {
    let shown = || format!("mount_setattr({attributes:x?})");
    call(mount, recursive, attributes, 0).map_err(called(shown))
}

/// Shows the files of a mount that is not attached anywhere with the ids that `user_namespace` gives them
/// (`MOUNT_ATTR_IDMAP`).
pub fn set_id_map(
    mount: BorrowedFd<'_>,
    recursive: bool,
    user_namespace: BorrowedFd<'_>,
) -> Result<(), CallError> {
    let attributes = MountAttributes { set: libc::MOUNT_ATTR_IDMAP, ..MountAttributes::default() };
    call(mount, recursive, attributes, user_namespace.as_raw_fd() as u64)
        .map_err(called(|| "mount_setattr(MOUNT_ATTR_IDMAP)".to_owned()))
}

fn call(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: MountAttributes,
    user_namespace: u64,
) -> std::io::Result<()> {
    // SAFETY: mount_attr is plain integers, for which zero is a valid value.
    let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
    attr.attr_set = attributes.set;
    attr.attr_clr = attributes.clear;
    attr.propagation = attributes.propagation;
    attr.userns_fd = user_namespace;
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty NUL-terminated string, `attr` lives across the call and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw mut attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(std::io::Error::last_os_error())
}
