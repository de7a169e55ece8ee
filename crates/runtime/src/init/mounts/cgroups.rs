//! The container's view of its cgroups: the one hierarchy of v2, or a tmpfs with one mount for each of v1.

use super::bind::clone_tree;
use super::file_system::{file_system, with_attributes};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use cgroup::{Hierarchy, Layout};
use rustix::fd::OwnedFd;
use std::path::{Path, PathBuf};
use sys::clone3::Namespaces;
use sys::mount_setattr::{NODEV, NOEXEC, NOSUID};
use sys::{Errno, called};

/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` (statfs(2)).
const CGROUPS: [rustix::fs::FsWord; 2] = [0x0027_e0eb, 0x6367_7270];

/// What is in the tmpfs of v1.
pub enum Below {
    /// A hierarchy, on a directory of this name.
    Mount(String, OwnedFd),
    /// A name that leads to another.
    Link(String, String),
}

/// What a mount of cgroups is made of: the mount itself and what is put into it.
pub type Made = (OwnedFd, Vec<Below>);

/// Makes the container's cgroups, detached. `given` are the host's hierarchies where this mount namespace may have others.
pub fn make(plan: &Plan, given: Option<&Layout>) -> Result<Made> {
    let own_namespace =
        plan.cgroup_namespace || (plan.joins(Namespaces::CGROUP) && !is_in_the_first_namespace()?);
    let layout = match given {
        Some(layout) => layout.clone(),
        None => Layout::detect().map_err(|error| error.recast(|_| Kind::Other))?,
    };
    let (hierarchies, unified) = match layout {
        Layout::Unified { mount } => return Ok((v2(plan, &mount, own_namespace)?, Vec::new())),
        Layout::Legacy { hierarchies, unified } => (hierarchies, unified),
    };
    let own = if own_namespace { String::new() } else { own_cgroups()? };
    let mut below = Vec::new();
    for one in &hierarchies {
        let name = last_name(&one.mount);
        let tree = if own_namespace {
            with_attributes("cgroup", &options(&one.controllers), NOSUID | NODEV | NOEXEC)?
        } else {
            bound(&beneath(&one.mount, place_of(&own, one)))?
        };
        below.extend(links(one, &name));
        below.push(Below::Mount(name, tree));
    }
    if let Some(unified) = unified {
        below.push(Below::Mount(last_name(&unified), v2(plan, &unified, own_namespace)?));
    }
    Ok((tmpfs(plan)?, below))
}

/// Whether the cgroup namespace is the one that the kernel began with. To mount a hierarchy in there sets its options anew,
/// for the whole machine.
fn is_in_the_first_namespace() -> Result<bool> {
    // Linux, include/linux/proc_ns.h: PROC_CGROUP_INIT_INO.
    const FIRST: u64 = 0xEFFF_FFFB;
    let path = "/proc/self/ns/cgroup";
    let stat = rustix::fs::stat(path).map_err(called::<Errno>(|| format!("stat({path:?})")))?;
    Ok(stat.st_ino == FIRST)
}

/// One v1 hierarchy for systemd alone, as it looks for it on an old host.
pub fn systemd(plan: &Plan) -> Result<Made> {
    let options = [("none", ""), ("name", "systemd"), ("xattr", "")];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let tree = with_attributes("cgroup", &options, NOSUID | NODEV | NOEXEC).map_err(|error| {
        error.with_hint("the host needs it mounted: mount -t cgroup -o none,name=systemd")
    })?;
    Ok((tmpfs(plan)?, vec![Below::Mount("systemd".to_owned(), tree)]))
}

fn tmpfs(plan: &Plan) -> Result<OwnedFd> {
    let options =
        [("source", "cgroup"), ("mode", "0755")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let options: Vec<_> = options.into_iter().chain(plan.mount_label.clone()).collect();
    file_system("tmpfs", &options)
}

/// With a cgroup namespace the hierarchy begins at the container's own cgroup; without one that cgroup is bound.
fn v2(plan: &Plan, mount: &Path, own_namespace: bool) -> Result<OwnedFd> {
    if !own_namespace {
        let own = own_cgroups()?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        return bound(&beneath(mount, path));
    }
    match file_system("cgroup2", &[("source".to_owned(), "cgroup".to_owned())]) {
        // Not for every user namespace to mount.
        Err(error) if plan.has_user_namespace() && !plan.cgroup.is_empty() => {
            bound(&beneath(mount, &plan.cgroup)).map_err(|_| error)
        }
        made => made,
    }
}

/// A cgroup, bound: and nothing else that is at such a path, in a mount namespace that somebody else has made.
fn bound(path: &Path) -> Result<OwnedFd> {
    let tree = clone_tree(path, false)?;
    let found = rustix::fs::fstatfs(&tree).map_err(called::<Errno>(|| format!("fstatfs({path:?})")))?;
    if CGROUPS.contains(&found.f_type) {
        return Ok(tree);
    }
    Err(Error::new(Kind::Invalid, format!("{} is not of a hierarchy of cgroups", path.display())))
}

/// `/proc/self/cgroup`: this process is in the container's cgroups already.
fn own_cgroups() -> Result<String> {
    let path = "/proc/self/cgroup";
    Ok(std::fs::read_to_string(path).map_err(called(|| format!("read({path:?})")))?)
}

/// Where in a hierarchy the process is whose `/proc/PID/cgroup` this is (cgroups(7)).
fn place_of<'a>(table: &'a str, hierarchy: &Hierarchy) -> &'a str {
    let found = table.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let controllers = fields.nth(1)?;
        let path = fields.next()?;
        let same = controllers.split(',').count() == hierarchy.controllers.len()
            && controllers.split(',').all(|one| hierarchy.controllers.iter().any(|other| other == one));
        same.then_some(path)
    });
    found.unwrap_or("/")
}

fn beneath(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

fn last_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A hierarchy of several controllers is found by the name of each as well.
fn links(hierarchy: &Hierarchy, name: &str) -> Vec<Below> {
    if hierarchy.controllers.len() < 2 {
        return Vec::new();
    }
    let others = hierarchy.controllers.iter().filter(|one| *one != name && !one.contains('='));
    others.map(|one| Below::Link(one.clone(), name.to_owned())).collect()
}

/// A hierarchy is named by its controllers; one without any has a name of its own (cgroups(7)).
fn options(controllers: &[String]) -> Vec<(String, String)> {
    let mut options = vec![("source".to_owned(), "cgroup".to_owned())];
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

/// Puts what is below into its mount, which is attached.
pub fn fill(tree: &OwnedFd, below: Vec<Below>) -> Result<()> {
    use rustix::mount::{MoveMountFlags, move_mount};
    for one in below {
        match one {
            Below::Mount(name, hierarchy) => {
                rustix::fs::mkdirat(tree, name.as_str(), rustix::fs::Mode::from_raw_mode(0o755))
                    .map_err(called::<Errno>(|| format!("mkdirat({name:?})")))?;
                move_mount(&hierarchy, "", tree, name.as_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                    .map_err(called::<Errno>(|| format!("move_mount({name:?})")))?;
            }
            Below::Link(name, leads) => match rustix::fs::symlinkat(leads.as_str(), tree, name.as_str()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(Error::from(called::<Errno>(|| format!("symlinkat({name:?})"))(errno)));
                }
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_hierarchies() {
        fn check(controllers: &[&str], expected: &str) {
            let table = "12:cpu,cpuacct:/a\n3:name=systemd:/b:c\n2:memory:/\n0::/d\n";
            let hierarchy = Hierarchy {
                mount: PathBuf::from("/sys/fs/cgroup/x"),
                controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
            };
            assert_eq!(place_of(table, &hierarchy), expected, "{controllers:?}");
        }
        check(&["cpuacct", "cpu"], "/a");
        check(&["cpu"], "/");
        check(&["name=systemd"], "/b:c");
        check(&["memory"], "/");
    }
}
