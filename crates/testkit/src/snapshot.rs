//! Everything of a host that a container could leave behind, to be compared before and after.
//!
//! It lists names, not contents: a changed file in a store is for the tests of that store.

use crate::Host;
use crate::deadline::poll;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One kind of resource to the names of those that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<&'static str, BTreeSet<String>>);

impl Snapshot {
    /// Looks at a host now.
    #[track_caller]
    pub fn take(host: &Host) -> Self {
        let mut seen = BTreeMap::from([
            ("mount", mounts(host)),
            ("cgroup", host.cgroups().into_iter().collect()),
            ("process", processes(host)),
            ("link", links(host)),
            ("nft", nft(host)),
            ("file", BTreeSet::new()),
        ]);
        let files = seen.entry("file").or_default();
        for root in ["/tmp/data", "/tmp/run", "/tmp/xdg", "/tmp/home"] {
            list(&host.path(root), root, files);
        }
        Self(seen)
    }

    /// What one has and the other has not: `+ mount /x`, `- link y`.
    pub fn difference(&self, after: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (kind, before) in &self.0 {
            let now = &after.0[kind];
            lines.extend(before.difference(now).map(|name| format!("- {kind} {name}")));
            lines.extend(now.difference(before).map(|name| format!("+ {kind} {name}")));
        }
        lines
    }

    /// What the host has and had not, or the reverse, once all has ended that does so behind a client: within five seconds.
    #[track_caller]
    pub fn settled(&self, host: &Host) -> Vec<String> {
        let mut left = Vec::new();
        poll(Duration::from_secs(5), || {
            left = self.difference(&Self::take(host));
            left.is_empty().then_some(())
        });
        left
    }

    /// Fails the test unless the host is again as it was, see [`Snapshot::settled`].
    #[track_caller]
    pub fn assert_same(&self, host: &Host, after_what: &str) {
        let left = self.settled(host);
        assert!(left.is_empty(), "left behind by {after_what}:\n{}", left.join("\n"));
    }
}

fn mounts(host: &Host) -> BTreeSet<String> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.pid())).unwrap_or_default();
    table
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mut place = place.split(' ').skip(3);
            let (root, point) = (place.next()?, place.next()?);
            Some(format!("{point} of {root} {}", kind.split(' ').take(2).collect::<Vec<_>>().join(" ")))
        })
        .collect()
}

fn processes(host: &Host) -> BTreeSet<String> {
    let named = |pid: i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        // Without comm: a program may set it at any time after its start.
        Some(format!("{pid} {}", words.trim()))
    };
    // One that ended between the two reads is not left behind.
    host.processes().into_iter().filter_map(named).collect()
}

/// The bridge of the network that is always there stays for the next container, and so does the table without what is a container's: the
/// elements of its maps.
const BRIDGE: &str = "devoxx0";
const TABLE: &str = "table inet devoxx {";

#[track_caller]
fn links(host: &Host) -> BTreeSet<String> {
    let text = host.admin("ip -j link").stdout;
    let links: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("ip -j link: {error}"));
    let links = links.as_array().into_iter().flatten();
    let names = links.filter_map(|link| link["ifname"].as_str()).map(str::to_owned);
    names.filter(|name| name != BRIDGE).collect()
}

#[track_caller]
fn nft(host: &Host) -> BTreeSet<String> {
    let text = host.admin("nft -s list ruleset").stdout;
    // Each line with those that enclose it, so that equal rules of two chains stay apart.
    let mut around: Vec<&str> = Vec::new();
    let mut rules = BTreeSet::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "}" {
            around.pop();
            continue;
        }
        let shared = line == TABLE || (around.first() == Some(&TABLE) && !is_of_a_container(&around, line));
        if !shared {
            rules.insert(format!("{} {line}", around.join(" ")));
        }
        if line.ends_with('{') {
            around.push(line);
        }
    }
    rules
}

/// Whether a line of our table is an element of a map.
fn is_of_a_container(around: &[&str], line: &str) -> bool {
    let in_map = around.get(1).is_some_and(|block| block.starts_with("map "));
    in_map && !["type ", "typeof ", "flags "].iter().any(|word| line.starts_with(word))
}

/// Names below a directory; not into the file systems of images and containers, whose files are many and not ours,
/// nor into what is stored by digest: a whole blob or layer there spares the next pull a download.
fn list(directory: &Path, shown: &str, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let shown = format!("{shown}/{name}");
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let own_file_system =
            ["fs", "diff", "upper", "rootfs", "merged", "work", "_data", "blobs", "layers", "locks"]
                .contains(&name.as_str());
        if is_directory && !own_file_system {
            list(&entry.path(), &shown, into);
        }
        into.insert(shown);
    }
}
