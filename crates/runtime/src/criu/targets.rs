//! Where mounts are restored: what is missing of it in the root is made, as at a create. CRIU mounts and makes nothing.

use crate::error::Result;
use crate::init::{Missing, target};
use crate::plan::{Plan, Source};
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use std::path::Path;
use sys::{Context, Errno, called};

/// Makes what is missing in the root on the host.
pub fn make(plan: &Plan, rootfs: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(rootfs, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({rootfs:?})")))?;
    for (index, mount) in plan.mounts.iter().enumerate() {
        // What is in another mount comes with that one's image.
        if plan.mounts.iter().take(index).any(|above| mount.target.starts_with(&above.target)) {
            continue;
        }
        let missing = match &mount.source {
            Source::Bind(bind) if !bind.path.is_dir() => Missing::File,
            _ => Missing::Directory,
        };
        target(root.as_fd(), &mount.target, missing)
            .map(drop)
            .within(|| format!("mount {}", mount.target.display()))?;
    }
    Ok(())
}
