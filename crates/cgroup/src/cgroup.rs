//! The cgroup of one container: planned, made, limited, joined. The end of it is in `kill` and `remove`.

mod apply;
mod create;
mod devices;
mod entry;
mod freeze;
mod kill;
mod membership;
mod notice;
mod owner;
mod path;
mod remove;
mod stats;
mod unit;

pub use entry::{Entry, Escort};
pub use notice::{Notice, Scarcity};

use crate::layout::{Layout, Scope};
use crate::place::{self, Place, Version};
use crate::systemd::Unit;
use crate::{Error, Kind, Result};
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use sys::{Context, Errno};

/// Longer names the kernel does not take (NAME_MAX, PATH_MAX with room for a mount point and a file).
const LONGEST_PART: usize = 255;
const LONGEST_NAME: usize = 3000;

/// A cgroup by name, in every hierarchy of the host. It holds no descriptor, so that a state file can keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The name, from the root of each hierarchy: `/devoxx/web`.
    pub name: String,
    /// The hierarchies it is in, v1 before v2.
    pub places: Vec<Place>,
    /// The unit that it belongs to, where systemd makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

impl Cgroup {
    /// Decides where the cgroup will be. Nothing is made, so that the names can be written down before they exist.
    pub fn plan(layout: &Layout, name: &str, own: &Scope) -> Result<Self> {
        let part = |part: &str| match part {
            "" | "." | ".." => false,
            _ => part.len() <= LONGEST_PART && !part.bytes().any(|byte| byte == 0 || byte == b'\n'),
        };
        let sound = name.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
        if !sound || name.len() > LONGEST_NAME {
            let shown: String = name.chars().take(80).collect();
            return Err(Error::new(
                Kind::Refused,
                format!("plan cgroup {shown:?}: not a name such as /devoxx/web"),
            ));
        }
        let name = match own {
            Scope::Root => name.to_owned(),
            Scope::Delegated(given) => format!("{}{name}", given.name),
        };
        Ok(Self { name, places: layout.places(), unit: None })
    }

    /// Moves a process into the cgroup, in every hierarchy. Slow on a busy machine, see [`Cgroup::entry`].
    pub fn join(&self, pid: u32) -> Result<()> {
        let text = pid.to_string();
        for place in &self.places {
            let dir = self.open(place)?;
            place::write(&dir, &place.path(&self.name), "cgroup.procs", &text)
                .within(|| format!("move process {pid} into cgroup {}", self.name))?;
        }
        Ok(())
    }

    /// How many processes of the cgroup the kernel killed because its memory was used up. 0 where memory is not
    /// accounted for.
    pub fn memory_events(&self) -> Result<u64> {
        let doing = || format!("read the memory events of cgroup {}", self.name);
        let Some(place) = self.place_of("memory") else { return Ok(0) };
        let file = match place.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let dir = self.open(place).within(doing)?;
        match place::read(&dir, &place.path(&self.name), file) {
            Ok(text) => Ok(place::keyed(&text, "oom_kill").unwrap_or(0)),
            Err(error) if error.errno == Errno::NOENT => Ok(0),
            Err(error) => Err(Error::from(error).within(doing())),
        }
    }

    /// Where a controller is: in its v1 hierarchy, else in v2, which may lack it too.
    fn place_of(&self, controller: &str) -> Option<&Place> {
        let v1 = self.places.iter().find(|place| place.has(controller));
        v1.or_else(|| self.places.iter().find(|place| place.version == Version::V2))
    }

    /// Opens the directory in one hierarchy.
    fn open(&self, place: &Place) -> Result<OwnedFd> {
        self.find(place)?.ok_or_else(|| {
            let path = place.path(&self.name);
            Error::new(Kind::Other, format!("open {path:?}: the cgroup does not exist"))
        })
    }

    /// Opens the directory in one hierarchy, if there is one.
    fn find(&self, place: &Place) -> Result<Option<OwnedFd>> {
        place::open_beneath(&place.open()?, &self.name)
            .within(|| format!("open {:?}", place.path(&self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Delegation;
    use proptest::prelude::*;
    use std::path::{Path, PathBuf};

    fn v2() -> Layout {
        Layout::Unified { mount: PathBuf::from("/sys/fs/cgroup") }
    }

    #[test]
    fn plans_a_name() {
        fn check(name: &str, own: &Scope, expected: Option<&str>) {
            let planned = Cgroup::plan(&v2(), name, own);
            assert_eq!(planned.as_ref().ok().map(|one| one.name.as_str()), expected, "{planned:?}");
        }
        let given =
            Scope::Delegated(Delegation { name: "/user.slice/a.scope".into(), controllers: Vec::new() });
        check("/devoxx/web", &Scope::Root, Some("/devoxx/web"));
        check("/devoxx/web", &given, Some("/user.slice/a.scope/devoxx/web"));
        for bad in ["", "/", "devoxx", "/devoxx/", "//x", "/a/../b", "/a/./b", "/a\nb", "/a\0b"] {
            check(bad, &Scope::Root, None);
            check(bad, &given, None);
        }
        check(&format!("/{}", "x".repeat(255)), &Scope::Root, Some(&format!("/{}", "x".repeat(255))));
        check(&format!("/{}", "x".repeat(256)), &Scope::Root, None);
        check(&"/x".repeat(2000), &Scope::Root, None);
    }

    proptest! {
        #[test]
        fn a_plan_stays_beneath_its_mount(name in "(?s).{0,40}") {
            if let Ok(planned) = Cgroup::plan(&v2(), &name, &Scope::Root) {
                let path = planned.places[0].path(&planned.name);
                prop_assert!(path.starts_with("/sys/fs/cgroup") && path != Path::new("/sys/fs/cgroup"));
                prop_assert!(path.components().all(|part| !matches!(part, std::path::Component::ParentDir)));
                let text = serde_json::to_string(&planned).unwrap();
                prop_assert_eq!(serde_json::from_str::<Cgroup>(&text).unwrap(), planned);
            }
        }
    }
}
