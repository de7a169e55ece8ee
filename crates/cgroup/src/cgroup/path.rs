//! Where the cgroup of an OCI container goes (config-linux.md, "Cgroups Path").

use super::Cgroup;
use crate::layout::{Layout, Scope};
use crate::place::{self, Version};
use crate::{Error, Kind, Result};
use std::path::PathBuf;
use sys::{Context, Errno, called};

/// Deeper than this nobody nests a container on purpose.
const DEEPEST: usize = 128;

impl Cgroup {
    /// Decides where the cgroup of `linux.cgroupsPath` will be, as runc does. Nothing is made.
    ///
    /// An absolute path begins at the root of each hierarchy. A relative one begins at the cgroup of this process in
    /// each hierarchy of v1, and on v2 at the one above it: this process is in its own, and a cgroup with processes
    /// hands no controllers on. No path at all is the relative path `id`.
    pub fn plan_path(layout: &Layout, path: &str, id: &str) -> Result<Self> {
        let own = place::read_path("/proc/self/cgroup").within(|| "find the cgroup of this process")?;
        plan_beside(layout, if path.is_empty() { id } else { path }, &own)
    }
}

/// As [`Cgroup::plan_path`], for a process whose `/proc/self/cgroup` says `own`.
fn plan_beside(layout: &Layout, path: &str, own: &str) -> Result<Cgroup> {
    let shown = || path.chars().take(80).collect::<String>();
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") || parts.len() > DEEPEST {
        let why = format!("linux.cgroupsPath: {:?} is not a path beneath the root of the cgroups", shown());
        return Err(Error::new(Kind::Refused, why));
    }
    let name = format!("/{}", parts.join("/"));
    let mut planned = Cgroup::plan(layout, &name, &Scope::Root).within(|| "linux.cgroupsPath".to_owned())?;
    if path.starts_with('/') {
        return Ok(planned);
    }
    if let Layout::Unified { .. } = layout {
        let above = own_name(own, |controllers| controllers.is_empty());
        let above = above.and_then(|name| name.rsplit_once('/')).map_or("", |(above, _)| above);
        planned.name.insert_str(0, above);
        return Ok(planned);
    }
    for place in &mut planned.places {
        let beside = own_name(own, |controllers| match place.version {
            Version::V2 => controllers.is_empty(),
            Version::V1 => controllers.split(',').any(|one| place.has(one)),
        });
        let Some(beside) = beside else { continue };
        let start: PathBuf = place.mount.join(beside.trim_start_matches('/'));
        match rustix::fs::stat(&start) {
            Ok(_) => place.mount = start,
            // Not there, where only a part of the hierarchy is mounted: then its top is ours.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("stat({start:?})"))(errno).into()),
        }
    }
    Ok(planned)
}

/// The name in the line whose controllers fit; none that leaves the mount, or is gone.
fn own_name(table: &str, fits: impl Fn(&str) -> bool) -> Option<&str> {
    table.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, name) = (fields.next()?, fields.next()?);
        let inside = name.starts_with('/')
            && !name.split('/').any(|part| part == "..")
            && !name.ends_with(" (deleted)");
        (fits(controllers) && inside).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Hierarchy;
    use proptest::prelude::*;

    fn v2() -> Layout {
        Layout::Unified { mount: PathBuf::from("/sys/fs/cgroup") }
    }

    #[test]
    fn paths_on_v2() {
        fn check(path: &str, own: &str, expected: &str) {
            let planned = plan_beside(&v2(), path, own);
            let shown = planned.map_or_else(|error| error.to_string(), |one| one.name);
            assert_eq!(shown, expected, "{path:?} {own:?}");
        }
        check("/kubepods/pod1/web", "0::/system.slice/x.service", "/kubepods/pod1/web");
        check("//a/./b/", "0::/", "/a/b");
        check("web", "0::/", "/web");
        check("web", "0::/system.slice/x.service\n", "/system.slice/web");
        check("a/web", "4:memory:/other\n0::/one\n", "/a/web");
        check("web", "0::/../outside/x", "/web");
        for bad in ["/", ".", "..", "/../x", "a/../../b", "/a/.."] {
            let why = format!("linux.cgroupsPath: {bad:?} is not a path beneath the root of the cgroups");
            check(bad, "0::/", &why);
        }
        let deep = "/x".repeat(300);
        assert_eq!(plan_beside(&v2(), &deep, "0::/").unwrap_err().kind, Kind::Refused);
        assert_eq!(plan_beside(&v2(), "/a\nb", "0::/").unwrap_err().kind, Kind::Refused);
    }

    /// A directory that is there stands for the cgroup of this process.
    #[test]
    fn paths_on_v1() {
        let hierarchy = |mount: &str, controllers: &[&str]| Hierarchy {
            mount: PathBuf::from(mount),
            controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
        };
        let hierarchies = vec![hierarchy("/", &["cpu", "cpuacct"]), hierarchy("/dev", &["memory"])];
        let layout = Layout::Legacy { hierarchies, unified: None };
        let mounts = |path: &str, own: &str| -> Vec<PathBuf> {
            let planned = plan_beside(&layout, path, own).unwrap();
            assert_eq!(planned.name, "/web");
            planned.places.into_iter().map(|place| place.mount).collect()
        };
        let own = "4:memory:/nowhere/at/all\n2:cpu,cpuacct:/usr/bin\n";
        assert_eq!(mounts("/web", own), [PathBuf::from("/"), PathBuf::from("/dev")]);
        assert_eq!(mounts("web", own), [PathBuf::from("/usr/bin"), PathBuf::from("/dev")]);
        assert_eq!(mounts("web", ""), [PathBuf::from("/"), PathBuf::from("/dev")]);
    }

    proptest! {
        #[test]
        fn a_path_stays_beneath_the_root(path in "[a-z./\n]{0,20}", own in "(?s).{0,30}") {
            if let Ok(planned) = plan_beside(&v2(), &path, &own) {
                let parts: Vec<&str> = planned.name.split('/').skip(1).collect();
                prop_assert!(!parts.is_empty() && !parts.iter().any(|part| matches!(*part, "" | "." | "..")));
            }
        }
    }
}
