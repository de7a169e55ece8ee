//! What there is: processes and what they have in memory, mounts, cgroups, files. What a container adds is the difference of two.

use crate::entry::own_name;
use std::collections::BTreeSet;
use std::path::Path;

/// How much of everything there is at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Processes of this PID namespace itself, so none inside of a container.
    pub processes: BTreeSet<u32>,
    /// Mounts of this mount namespace.
    pub mounts: usize,
    /// Cgroups that have the name of this bench or are below one that has.
    pub cgroups: usize,
    /// Files and directories below a place.
    pub files: usize,
}

impl Census {
    /// Now; `place` is where a contestant keeps its files.
    pub fn take(place: &Path) -> Self {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self {
            processes: processes(),
            mounts: table.lines().count(),
            cgroups: own_cgroups(Path::new("/sys/fs/cgroup"), false),
            files: files(place),
        }
    }

    /// What there is more than in another one, in words; none: nothing.
    pub fn more_than(&self, before: &Self) -> Option<String> {
        let counts = [
            ("processes", self.processes.difference(&before.processes).count()),
            ("mounts", self.mounts.saturating_sub(before.mounts)),
            ("cgroups", self.cgroups.saturating_sub(before.cgroups)),
            ("files", self.files.saturating_sub(before.files)),
        ];
        let more: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        (!more.is_empty()).then(|| more.join(", "))
    }
}

/// Those that are in the PID namespace of this process itself, itself left out.
fn processes() -> BTreeSet<u32> {
    let own = std::fs::read_link("/proc/self/ns/pid").ok();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_here = |pid: &u32| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        link.is_some() && link == own && *pid != std::process::id()
    };
    pids.filter(is_here).collect()
}

fn own_cgroups(directory: &Path, inside: bool) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let count = |entry: std::fs::DirEntry| {
        let is_own = inside || entry.file_name().to_string_lossy().contains(own_name());
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory { usize::from(is_own) + own_cgroups(&entry.path(), is_own) } else { 0 }
    };
    entries.map(count).sum()
}

fn files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let count = |entry: std::fs::DirEntry| {
        let below = entry.file_type().is_ok_and(|kind| kind.is_dir());
        1 + if below { files(&entry.path()) } else { 0 }
    };
    entries.map(count).sum()
}

/// What a process has in memory, in kB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// What it shares with others divided by their number.
    pub proportional: u64,
    /// What no file has.
    pub anonymous: u64,
}

/// Of one process (proc_pid_smaps(5), smaps_rollup); none where it has ended.
pub fn memory(pid: u32) -> Option<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let of = |name: &str| number(&text, name).unwrap_or(0);
    Some(Memory { proportional: of("Pss:"), anonymous: of("Anonymous:") })
}

/// How often the threads of a process have waited and been woken (proc_pid_status(5), voluntary_ctxt_switches).
pub fn wake_ups(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("status")).ok()?;
        number(&text, "voluntary_ctxt_switches:")
    };
    threads.filter_map(of).sum()
}

/// The number after a name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_there_is_more() {
        let before = Census { mounts: 3, ..Census::default() };
        assert_eq!(before.more_than(&before), None);
        let after = Census { processes: BTreeSet::from([7]), mounts: 5, ..Census::default() };
        assert_eq!(after.more_than(&before).as_deref(), Some("1 processes, 2 mounts"));
    }

    #[test]
    fn reads_numbers_of_proc() {
        let text =
            "Rss:   12 kB\nPss:    7 kB\nnonvoluntary_ctxt_switches:\t5\nvoluntary_ctxt_switches:\t9\n";
        assert_eq!(number(text, "Pss:"), Some(7));
        assert_eq!(number(text, "voluntary_ctxt_switches:"), Some(9));
    }
}
