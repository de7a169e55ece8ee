//! The mount table as far as cgroups go (proc_pid_mountinfo(5)). Pure: text in, layout out.

use super::{Hierarchy, Layout, MOUNT};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The controllers of v1; every other option of a mount says how it is mounted.
const CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
    "misc",
];

/// The hierarchies in a mount table. A line that is no line of a mount table is passed over.
pub(super) fn hierarchies(table: &str) -> Layout {
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut unified: Option<PathBuf> = None;
    for (mount, kind, options) in table.lines().filter_map(line) {
        match kind {
            "cgroup2" => match &mut unified {
                Some(known) if !better(&mount, known) => {}
                slot => *slot = Some(mount),
            },
            "cgroup" => {
                let controllers: Vec<String> = options
                    .split(',')
                    .filter(|option| CONTROLLERS.contains(option) || option.starts_with("name="))
                    .map(str::to_owned)
                    .collect();
                // Mounted twice, a hierarchy is used once: a process has one place in it.
                match found.iter_mut().find(|known| known.controllers == controllers) {
                    _ if controllers.is_empty() => {}
                    Some(known) if better(&mount, &known.mount) => known.mount = mount,
                    Some(_) => {}
                    None => found.push(Hierarchy { mount, controllers }),
                }
            }
            _ => {}
        }
    }
    Layout::Legacy { hierarchies: found, unified }
}

/// Of two mounts of one hierarchy, the one in the usual place.
fn better(new: &Path, known: &Path) -> bool {
    new.starts_with(MOUNT) && !known.starts_with(MOUNT)
}

/// Mount point, type and options of the file system.
fn line(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mount = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let cgroup = matches!(kind, "cgroup" | "cgroup2") && mount.starts_with('/');
    cgroup.then(|| (PathBuf::from(unescape(mount)), kind, options))
}

/// Undoes the octal escapes of a path: `\040` is a space.
fn unescape(field: &str) -> OsString {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\').and_then(|digits| {
            let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
            u8::from_str_radix(text, 8).ok()
        });
        plain.push(octal.unwrap_or(bytes[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(table: &str) -> String {
        let Layout::Legacy { hierarchies, unified } = hierarchies(table) else { unreachable!() };
        let mut lines: Vec<String> = hierarchies
            .iter()
            .map(|one| format!("{} {}", one.mount.display(), one.controllers.join(",")))
            .collect();
        lines.extend(unified.map(|mount| format!("{} v2", mount.display())));
        lines.join("\n")
    }

    #[test]
    fn reads_a_mount_table() {
        fn check(table: &str, expected: &str) {
            assert_eq!(shown(table), expected, "{table}");
        }
        check("", "");
        check("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755", "");
        check(
            "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
            "/sys/fs/cgroup/memory memory",
        );
        check(
            "35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:1 - cgroup cgroup rw,xattr,cpu,cpuacct\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,release_agent=/x,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate",
            "/sys/fs/cgroup/cpu,cpuacct cpu,cpuacct\n/sys/fs/cgroup/systemd name=systemd\n/sys/fs/cgroup/unified v2",
        );
        // The usual place wins, whichever comes first.
        check(
            "1 1 0:1 / /mnt/pids rw - cgroup c rw,pids\n2 1 0:1 / /sys/fs/cgroup/pids rw - cgroup c rw,pids\n\
             3 1 0:1 / /run/pids rw - cgroup c rw,pids",
            "/sys/fs/cgroup/pids pids",
        );
        check("1 1 0:1 / /a\\040b\\134 rw - cgroup2 none rw", "/a b\\ v2");
        check("1 1 0:1 / /a\\09 rw - cgroup2 none rw", "/a\\09 v2");
        // Not lines of a mount table.
        check("cgroup", "");
        check("1 1 0:1 / /x rw cgroup c rw,pids", "");
        check("1 1 0:1 / /x rw - cgroup", "");
        check("1 1 0:1 / /x rw - cgroup c rw,unheard_of", "");
        check("1 1 0:1 / x rw - cgroup c rw,pids", "");
    }

    proptest! {
        #[test]
        fn any_text_is_read(table in "(?s).{0,300}") {
            shown(&table);
        }

        #[test]
        fn any_path_is_unescaped(path in proptest::collection::vec(any::<u8>(), 0..40)) {
            let escaped: String = path.iter().map(|byte| format!("\\{byte:03o}")).collect();
            prop_assert_eq!(unescape(&escaped).into_vec(), path);
        }

        #[test]
        fn a_controller_is_used_once(picks in proptest::collection::vec(0..CONTROLLERS.len(), 0..30)) {
            let table: String = picks
                .iter()
                .enumerate()
                .map(|(number, pick)| format!("1 1 0:1 / /m{number} rw - cgroup c rw,{}\n", CONTROLLERS[*pick]))
                .collect();
            let Layout::Legacy { hierarchies, .. } = hierarchies(&table) else { unreachable!() };
            let mut once = picks.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(hierarchies.len(), once.len());
        }
    }
}
