//! Groups of Intel's Resource Director Technology: a share of the caches and of the way to memory (config-linux.md,
//! "IntelRdt"; Documentation/filesystems/resctrl.rst of the kernel).
//!
//! Nothing here is done for a container that does not ask for it.

mod usage;

pub use usage::Usage;

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use sys::{Context, called};

/// What a container asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The group's directory below the mount; empty for the mount itself, the group of everybody.
    pub group: String,
    /// Whether the group is the container's own: made for it and removed with it.
    pub own: bool,
    /// What the group gets, in the order of the writes.
    pub schemata: Vec<String>,
    /// The name of a monitoring group of its own.
    pub monitoring: Option<String>,
}

/// Where a container's groups are: what is made for it by name, so that it can be removed by its record alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its group.
    pub group: PathBuf,
    /// Whether the group goes with the container.
    pub own: bool,
    /// Its monitoring group, which goes with the container.
    pub monitoring: Option<PathBuf>,
}

impl Wish {
    /// Finds out where the groups will be; makes nothing.
    ///
    /// # Errors
    /// `Unsupported` where no resctrl file system is mounted. `Invalid` for a group that should be there and is not, or that is
    /// there and is somebody else's.
    pub fn place(&self) -> Result<Place> {
        let table = std::fs::read_to_string("/proc/self/mountinfo")
            .map_err(called(|| "read(\"/proc/self/mountinfo\")".to_owned()))?;
        let top = mount_point(&table).ok_or_else(|| {
            Error::new(
                Kind::Unsupported,
                "config.json: linux.intelRdt: no resctrl file system is mounted on this machine",
            )
            .with_hint("mount -t resctrl resctrl /sys/fs/resctrl, where the processor has it")
        })?;
        let group = if self.group.is_empty() { top } else { top.join(&self.group) };
        let there = group.is_dir();
        let wrong = |why: &str| {
            Err(Error::new(
                Kind::Invalid,
                format!("config.json: linux.intelRdt.closID: {}: {why}", group.display()),
            ))
        };
        if self.own && there {
            return wrong("is there already, and not this container's");
        }
        if !self.own && self.schemata.is_empty() && !there {
            return wrong("no such group, and nothing to make one with");
        }
        let monitoring = self.monitoring.as_ref().map(|name| group.join("mon_groups").join(name));
        Ok(Place { group, own: self.own, monitoring })
    }

    /// Makes what is to be there.
    pub fn make(&self, place: &Place) -> Result<()> {
        let schemata = place.group.join("schemata");
        let doing = || format!("resctrl group {}", place.group.display());
        match std::fs::create_dir(&place.group) {
            Ok(()) => {
                for lines in &self.schemata {
                    write(&schemata, lines).within(doing)?;
                }
            }
            // Somebody made it before: it has to be as it is wished, and is not changed.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && !self.own => {
                let found = std::fs::read_to_string(&schemata)
                    .map_err(called(|| format!("read({schemata:?})")))
                    .within(doing)?;
                if let Some(line) =
                    self.schemata.iter().flat_map(|text| text.lines()).find(|line| !has(&found, line))
                {
                    let why = format!(
                        "config.json: linux.intelRdt: {}: does not have {line:?}",
                        place.group.display()
                    );
                    return Err(Error::new(Kind::Invalid, why));
                }
            }
            Err(error) => return Err(called(|| format!("mkdir({:?})", place.group))(error)).within(doing),
        }
        if let Some(monitoring) = &place.monitoring {
            std::fs::create_dir(monitoring)
                .map_err(called(|| format!("mkdir({monitoring:?})")))
                .within(doing)?;
        }
        Ok(())
    }
}

impl Place {
    /// Puts a process into the groups; its children are born in them.
    pub fn join(&self, pid: i32) -> Result<()> {
        for group in std::iter::once(&self.group).chain(&self.monitoring) {
            write(&group.join("tasks"), &pid.to_string())
                .within(|| format!("resctrl group {}", group.display()))?;
        }
        Ok(())
    }

    /// Gives the group other shares (`update`).
    pub fn update(&self, schemata: &[String]) -> Result<()> {
        for lines in schemata {
            write(&self.group.join("schemata"), lines)
                .within(|| format!("resctrl group {}", self.group.display()))?;
        }
        Ok(())
    }

    /// What the groups have and use now; nothing where resctrl is not mounted any more.
    pub fn usage(&self) -> Result<Usage> {
        let table = std::fs::read_to_string("/proc/self/mountinfo")
            .map_err(called(|| "read(\"/proc/self/mountinfo\")".to_owned()))?;
        match mount_point(&table) {
            Some(top) => usage::read(&top, &self.group, self.monitoring.as_deref()),
            None => Ok(Usage::default()),
        }
    }

    /// Removes what was made for the container alone. That it is gone is fine.
    pub fn remove(&self) -> Result<()> {
        // The kernel empties a group that is removed; the inner one first.
        let own = self.own.then_some(&self.group);
        for group in self.monitoring.iter().chain(own) {
            match std::fs::remove_dir(group) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(called(|| format!("rmdir({group:?})"))(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes lines with one call, as the kernel reads them. What it minds is in a file of its own.
fn write(path: &Path, lines: &str) -> Result<()> {
    let text = format!("{}\n", lines.trim_end_matches('\n'));
    std::fs::write(path, &text).map_err(|error| {
        let failed = Error::from(called(|| format!("write({path:?}, {text:?})"))(error));
        let status = path
            .ancestors()
            .map(|directory| directory.join("info/last_cmd_status"))
            .find_map(|status| std::fs::read_to_string(status).ok())
            .map(|status| status.trim().to_owned())
            .filter(|status| !status.is_empty() && status != "ok");
        match status {
            Some(status) => failed.with_hint(format!("the kernel says: {status}")),
            None => failed,
        }
    })
}

/// Where resctrl is mounted, by the table of mounts (proc_pid_mountinfo(5)).
fn mount_point(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let mut fields = before.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        // A part of it that is bound elsewhere is not the whole.
        (kind == "resctrl" && root == "/").then(|| PathBuf::from(point.replace("\\040", " ")))
    })
}

/// Whether the text of a schemata file has what a line asks for: the same resource, and the same for each of its domains.
fn has(schemata: &str, line: &str) -> bool {
    let Some((resource, wanted)) = parts(line) else { return line.trim().is_empty() };
    schemata.lines().filter_map(parts).any(|(name, found)| {
        name == resource && wanted.iter().all(|(id, value)| found.get(id) == Some(value))
    })
}

/// `L3:0=7ff;1=00f` as a resource and its domains; masks without the zeros before them.
fn parts(line: &str) -> Option<(&str, BTreeMap<&str, String>)> {
    let (resource, domains) = line.split_once(':')?;
    let domains = domains
        .split(';')
        .map(|domain| {
            let (id, value) = domain.split_once('=')?;
            let value = value.trim().trim_start_matches('0').to_ascii_lowercase();
            Some((id.trim(), value))
        })
        .collect::<Option<_>>()?;
    Some((resource.trim(), domains))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_mounted() {
        let table = "25 1 0:5 / /proc rw - proc proc rw\n31 25 0:26 /a /x rw - resctrl resctrl rw\n\
                     32 25 0:26 / /sys/fs/res\\040ctrl rw,nosuid shared:5 - resctrl resctrl rw,mba_MBps\n";
        assert_eq!(mount_point(table), Some(PathBuf::from("/sys/fs/res ctrl")));
        assert_eq!(mount_point("25 1 0:5 / /proc rw - proc proc rw\nx\n\n"), None);
    }

    #[test]
    fn groups_that_are_as_they_are_wished() {
        fn check(line: &str, expected: bool) {
            let found = "    MB:0= 100;1=  20\n    L3:0=07ff;1=00f\n";
            assert_eq!(has(found, line), expected, "{line:?}");
        }
        check("L3:0=7ff;1=f", true);
        check("L3:1=F", true);
        check("MB:0=100", true);
        check("", true);
        check("L3:0=7f", false);
        check("L3:2=7ff", false);
        check("L2:0=f", false);
        check("L3", false);
        check("L3:0", false);
    }
}
