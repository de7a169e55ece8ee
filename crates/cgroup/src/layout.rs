//! Which cgroup hierarchies this host has. It reads, and makes nothing.

mod mountinfo;

use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result};
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// Where every host mounts its hierarchies.
const MOUNT: &str = "/sys/fs/cgroup";
/// Where the processes of a delegated cgroup go when they have to make room.
const ASIDE: &str = "devoxx-client";
/// How often processes of a delegated cgroup may fork while they are moved.
const ROUNDS: usize = 64;

/// A mounted v1 hierarchy (cgroups(7)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The controllers in it; a named hierarchy says `name=systemd`.
    pub controllers: Vec<String>,
}

/// The hierarchies of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// cgroup v2 alone.
    Unified {
        /// Where it is mounted.
        mount: PathBuf,
    },
    /// cgroup v1, beside which a v2 hierarchy may be mounted (a hybrid host).
    Legacy {
        /// The v1 hierarchies.
        hierarchies: Vec<Hierarchy>,
        /// The v2 hierarchy of a hybrid host.
        unified: Option<PathBuf>,
    },
}

/// Where a name begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// At the root of each hierarchy.
    Root,
    /// Beneath a cgroup that was given to this user.
    Delegated(Delegation),
}

/// A cgroup that this process is in and may make cgroups beneath (cgroups(7), "Cgroup delegation").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Its name in the v2 hierarchy, empty for the root.
    pub name: String,
    /// The controllers that it has (`cgroup.controllers`). As long as a process is in it, the kernel refuses to hand
    /// them on to cgroups beneath, see [`Delegation::make_room`].
    pub controllers: Vec<String>,
}

impl Delegation {
    /// Moves every process that is right in it, this one and the shell that started it among them, into a cgroup of
    /// its own beneath: only a cgroup without processes hands memory, cpu and pids on to others ("no internal
    /// processes", cgroups(7)). That cgroup stays, as long as the delegated one does.
    pub fn make_room(&self, layout: &Layout) -> Result<()> {
        let doing = || format!("make room in cgroup {}", self.name);
        let Layout::Unified { mount } = layout else { return Ok(()) };
        let mount = place::open_mount(mount, Version::V2)?;
        let aside = format!("{}/{ASIDE}", self.name);
        let (here, there) = (PathBuf::from(&self.name), PathBuf::from(&aside));
        let open = |name: &str| {
            place::open_beneath(&mount, name)?
                .ok_or_else(|| Error::new(Kind::Other, format!("cgroup {name} is gone")))
        };
        let top = open(&self.name).within(doing)?;
        for _ in 0..ROUNDS {
            let list = place::read(&top, &here, "cgroup.procs").within(doing)?;
            if list.trim().is_empty() {
                return Ok(());
            }
            match rustix::fs::mkdirat(&top, ASIDE, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(called::<Errno>(|| format!("mkdir {aside:?}"))(errno)).within(doing);
                }
            }
            let beside = open(&aside).within(doing)?;
            for pid in list.split_ascii_whitespace() {
                match place::try_write(&beside, &there, "cgroup.procs", pid) {
                    // It has ended meanwhile.
                    Err(error) if error.errno == Errno::SRCH => {}
                    other => other.within(doing)?,
                }
            }
        }
        Err(Error::new(Kind::InUse, format!("{}: its processes fork faster than they can be moved", doing())))
    }
}

impl Layout {
    /// Looks at `/sys/fs/cgroup`: one statfs(2) on a v2 host, the mount table on any other.
    pub fn detect() -> Result<Self> {
        let found = rustix::fs::statfs(MOUNT);
        // A kernel without cgroups, or a host that has mounted no sysfs.
        let is_missing = matches!(found, Err(Errno::NOENT));
        let found = found.map_err(called::<Errno>(|| format!("statfs {MOUNT:?}")));
        let found = found
            .within(|| "find the cgroup hierarchies")
            .map_err(|error: Error| error.recast(|kind| if is_missing { Kind::Unsupported } else { kind }))?;
        if place::is_cgroup2(&found) {
            return Ok(Self::Unified { mount: PathBuf::from(MOUNT) });
        }
        let table = place::read_path("/proc/self/mountinfo").within(|| "find the cgroup hierarchies")?;
        match mountinfo::hierarchies(&table) {
            Self::Legacy { hierarchies, unified: None } if hierarchies.is_empty() => Err(Error::new(
                Kind::Unsupported,
                format!("find the cgroup hierarchies: no cgroup file system is mounted at {MOUNT}"),
            )
            .with_hint(format!("mount -t cgroup2 none {MOUNT}"))),
            layout => Ok(layout),
        }
    }

    /// The place of each hierarchy, v1 first.
    pub(crate) fn places(&self) -> Vec<Place> {
        let v2 =
            |mount: &PathBuf| Place { mount: mount.clone(), version: Version::V2, controllers: Vec::new() };
        match self {
            Self::Unified { mount } => vec![v2(mount)],
            Self::Legacy { hierarchies, unified } => hierarchies
                .iter()
                .map(|one| Place {
                    mount: one.mount.clone(),
                    version: Version::V1,
                    controllers: one.controllers.clone(),
                })
                .chain(unified.iter().map(v2))
                .collect(),
        }
    }
}

/// The cgroup of this process, if this user may make cgroups beneath it and move processes there.
///
/// v2 only: v1 has no safe delegation. `None` also where something could not be read, for then nothing can be made.
pub fn delegated(layout: &Layout) -> Option<Delegation> {
    let Layout::Unified { mount } = layout else { return None };
    let own = place::read_path("/proc/self/cgroup").ok()?;
    let name = own_name(&own)?;
    // Moved by an earlier call: what was delegated is the one above.
    let name = name.strip_suffix(ASIDE).and_then(|above| above.strip_suffix('/')).unwrap_or(name);
    let mount = place::open_mount(mount, Version::V2).ok()?;
    let dir = place::open_beneath(&mount, name).ok()??;
    rustix::fs::accessat(&dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).ok()?;
    rustix::fs::openat(&dir, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let controllers = place::read(&dir, Path::new(name), "cgroup.controllers").ok()?;
    let controllers = controllers.split_ascii_whitespace().map(str::to_owned).collect();
    Some(Delegation { name: name.trim_end_matches('/').to_owned(), controllers })
}

/// The v2 line of `/proc/self/cgroup`: `0::/user.slice/x.scope`. A name that leaves the mount (`/../x`, seen from a
/// cgroup namespace) is none, and so is one that was removed meanwhile.
fn own_name(table: &str) -> Option<&str> {
    let name = table.lines().find_map(|line| line.strip_prefix("0::"))?;
    let outside = name.split('/').any(|part| part == "..") || name.ends_with(" (deleted)");
    (name.starts_with('/') && !outside).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_name() {
        fn check(table: &str, name: Option<&str>) {
            assert_eq!(own_name(table), name, "{table:?}");
        }
        check("0::/\n", Some("/"));
        check("4:memory:/a\n0::/user.slice/a.scope\n", Some("/user.slice/a.scope"));
        check("4:memory:/a\n", None);
        check("0::/../other\n", None);
        check("0::/gone (deleted)\n", None);
        check("0::", None);
        check("", None);
    }
}
