//! One entry of `mounts` as a mount operation (config.md, "Mounts").

mod ids;
mod option;

pub use ids::UserNamespace;

use crate::error::{Error, Kind, Result};
use crate::plan::{Bind, FileSystem, Link, Mount, Propagation, Source};
use option::{Change, Meaning, Scope, meaning};
use std::path::{Component, Path, PathBuf};
use sys::mount_setattr::{ATIME_MASK, MountAttributes, RDONLY};

/// Every option that is no data of a file system, sorted.
pub fn options() -> impl Iterator<Item = &'static str> {
    option::ALL.iter().map(|(name, _)| *name)
}

/// What may be covered beneath /proc: files that programs such as lxcfs replace, none that guards the host.
pub const COVERED_IN_PROC: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// What a mount is planned with besides its own words.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Where a relative source begins.
    pub bundle: &'a Path,
    /// Bind targets, and what of their source is bound.
    pub beneath: &'a [(PathBuf, PathBuf)],
    /// Bind targets that are filled from the root.
    pub fill: &'a [PathBuf],
    /// The container's ids.
    pub user_namespace: UserNamespace<'a>,
    /// SELinux's option for file systems and its value, such as `context` and a label.
    pub label: Option<(&'a str, &'a str)>,
    /// The target that becomes an old systemd's cgroup instead.
    pub systemd_cgroup: Option<&'a str>,
}

/// SELinux's options of file systems (mount(8)).
const CONTEXTS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

/// The option of file systems that gives all of their files one label, and that label.
pub fn label<'a>(label: &'a str, kind: Option<&'a str>) -> Result<(&'a str, &'a str)> {
    let kind = kind.unwrap_or("context");
    if !CONTEXTS.contains(&kind) {
        return refuse(format!(
            "config.json: annotations: run.oci.mount_context_type: {kind:?} is none of context, fscontext, \
             defcontext, rootcontext"
        ));
    }
    // Refused and not left out: who asks for a label relies on it.
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        return refuse(
            "config.json: linux.mountLabel: selinux label is specified in config, but selinux is disabled or not supported",
        );
    }
    Ok((kind, label))
}

/// A propagation by its name in config.json.
pub fn propagation(name: &str) -> Option<Propagation> {
    match meaning(name) {
        Some(Meaning::Propagation(kind, scope)) => {
            Some(Propagation { kind, recursive: scope == Scope::Tree })
        }
        _ => None,
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::new(Kind::Invalid, why))
}

/// Reads one mount; tells `warn` what is odd about it.
pub fn plan(
    written: &oci_spec::runtime::Mount,
    around: &Around<'_>,
    mut warn: impl FnMut(String),
) -> Result<Mount> {
    let no_options = Vec::new();
    let options = written.options().as_ref().unwrap_or(&no_options);
    refuse_nul(written, options)?;
    let target = clean(written.destination());
    if target == Path::new("/") {
        return refuse(format!("destination {:?}: nothing is mounted over the root", written.destination()));
    }
    if !written.destination().is_absolute() {
        warn(format!("destination {:?} is not absolute: taken from /", written.destination()));
    }
    let words = Words::read(options)?;
    let source = source(written, &words, around, &target)?;
    if !matches!(source, Source::Remount(_)) {
        refuse_in_proc(&target, &source)?;
    }
    Ok(Mount {
        follow_target: !words.target_no_follow,
        attributes: words.one.attributes(),
        recursive_attributes: words.tree.attributes(),
        propagation: words.propagation,
        target,
        source,
    })
}

fn refuse_nul(written: &oci_spec::runtime::Mount, options: &[String]) -> Result<()> {
    let has_nul = |path: &Path| path.as_os_str().as_encoded_bytes().contains(&0);
    let found = [
        ("destination", has_nul(written.destination())),
        ("source", written.source().as_deref().is_some_and(has_nul)),
        ("type", written.typ().as_deref().is_some_and(|kind| kind.contains('\0'))),
        ("options", options.iter().any(|option| option.contains('\0'))),
    ];
    match found.iter().find(|(_, has)| *has) {
        Some((field, _)) => refuse(format!("{field}: has a NUL")),
        None => Ok(()),
    }
}

/// From "/", without `.` and with `..` carried out: no further up than the root.
pub fn clean(written: &Path) -> PathBuf {
    let mut path = PathBuf::from("/");
    for part in written.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            _ => {}
        }
    }
    path
}

/// The options of one mount, taken apart.
#[derive(Debug, Default)]
struct Words<'a> {
    one: Attributes,
    tree: Attributes,
    propagation: Vec<Propagation>,
    superblock: Vec<&'static str>,
    bind: Option<Scope>,
    remount: bool,
    copy_up: bool,
    id_map: Option<Scope>,
    id_map_text: Option<&'a str>,
    link: Link,
    target_no_follow: bool,
    data: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// The last one wins where two of them contradict.
    fn read(options: &'a [String]) -> Result<Self> {
        let mut words = Self::default();
        for option in options.iter().map(String::as_str).filter(|option| !option.is_empty()) {
            match meaning(option) {
                Some(Meaning::Attribute(change, Scope::One)) => words.one.change(change),
                Some(Meaning::Attribute(change, Scope::Tree)) => words.tree.change(change),
                Some(Meaning::Propagation(kind, scope)) => {
                    words.propagation.push(Propagation { kind, recursive: scope == Scope::Tree });
                }
                Some(Meaning::Superblock(flag, set)) => {
                    words.superblock.retain(|other| *other != flag);
                    if set {
                        words.superblock.push(flag);
                    }
                }
                // A bind of the tree stays one.
                Some(Meaning::Bind(scope)) => {
                    words.bind = Some(if words.bind == Some(Scope::Tree) { Scope::Tree } else { scope });
                }
                Some(Meaning::Remount) => words.remount = true,
                Some(Meaning::CopyUp) => words.copy_up = true,
                Some(Meaning::IdMap(scope)) => words.id_map = Some(scope),
                Some(Meaning::CopyLink) => words.link = Link::Copy,
                Some(Meaning::SourceNoFollow) => words.link = Link::Mount,
                Some(Meaning::TargetNoFollow) => words.target_no_follow = true,
                Some(Meaning::Nothing) => {}
                None => match option.split_once('=') {
                    Some(("idmap", text)) => {
                        (words.id_map, words.id_map_text) = (Some(Scope::One), Some(text));
                    }
                    Some(("ridmap", text)) => {
                        (words.id_map, words.id_map_text) = (Some(Scope::Tree), Some(text));
                    }
                    _ => words.data.push(option),
                },
            }
        }
        Ok(words)
    }

    /// What a file system is given: each option apart, never to be split again.
    fn file_system_options(&self) -> Vec<(String, String)> {
        let flags = self.superblock.iter().map(|flag| ((*flag).to_owned(), String::new()));
        let data = self.data.iter().map(|option| match option.split_once('=') {
            // In mount(2)'s one text, a label with a comma in it stands in quotes.
            Some((key, value)) if CONTEXTS.contains(&key) => {
                (key.to_owned(), value.trim_matches('"').to_owned())
            }
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => ((*option).to_owned(), String::new()),
        });
        flags.chain(data).collect()
    }

    /// Refuses data where there is no file system to take it.
    fn refuse_data(&self, why: &str) -> Result<()> {
        match self.data.first() {
            Some(option) => refuse(format!("option {option:?}: {why}")),
            None => Ok(()),
        }
    }
}

/// Attributes as they are gathered.
#[derive(Debug, Default)]
struct Attributes {
    set: u64,
    clear: u64,
    times: Option<u64>,
}

impl Attributes {
    fn change(&mut self, change: Change) {
        const RELATIME: u64 = 0;
        match change {
            Change::Set(bit) => (self.set, self.clear) = (self.set | bit, self.clear & !bit),
            Change::Clear(bit) => (self.set, self.clear) = (self.set & !bit, self.clear | bit),
            Change::Times(way) => self.times = Some(way),
            Change::TimesUnless(other) if self.times == Some(other) => {}
            Change::TimesUnless(_) => self.times = Some(RELATIME),
            Change::TimesAny => self.times = self.times.filter(|way| *way != RELATIME),
        }
    }

    /// One of several ways is chosen by clearing all of their bits with it (mount_setattr(2)).
    fn attributes(&self) -> MountAttributes {
        MountAttributes {
            set: self.set | self.times.unwrap_or(0),
            clear: self.clear | if self.times.is_some() { ATIME_MASK } else { 0 },
            propagation: 0,
        }
    }
}

fn source(
    written: &oci_spec::runtime::Mount,
    words: &Words<'_>,
    around: &Around<'_>,
    target: &Path,
) -> Result<Source> {
    let kind = written.typ().as_deref().unwrap_or_default();
    if around.systemd_cgroup.is_some_and(|path| clean(Path::new(path)) == target) {
        return Ok(Source::SystemdCgroup);
    }
    let bind = words.bind.is_some() || kind == "bind";
    if words.copy_up && kind != "tmpfs" {
        return refuse("option \"tmpcopyup\": only for a tmpfs");
    }
    let id_map = ids::read(
        &ids::Written {
            option: words.id_map,
            text: words.id_map_text,
            uid: written.uid_mappings().as_deref().unwrap_or_default(),
            gid: written.gid_mappings().as_deref().unwrap_or_default(),
        },
        around.user_namespace,
    )?;
    if id_map.is_some() && !bind {
        return refuse("id-mapped mounts are only supported for bind-mounts");
    }
    if bind {
        words.refuse_data("bind mounts cannot have any filesystem-specific options applied")?;
        let path = written.source().as_deref().filter(|path| !path.as_os_str().is_empty());
        return match path {
            // Only its attributes can change: it has no file system of its own.
            _ if words.remount && path.is_none() => Ok(Source::Remount(Vec::new())),
            None => refuse("source: missing; a bind needs one"),
            Some(path) => Ok(Source::Bind(Bind {
                path: around.bundle.join(path),
                recursive: words.bind == Some(Scope::Tree),
                beneath: around
                    .beneath
                    .iter()
                    .find(|(other, _)| other == target)
                    .map(|(_, part)| part.clone()),
                fill: around.fill.iter().any(|other| other == target),
                link: words.link,
                id_map,
            })),
        };
    }
    if words.remount {
        let mut options = words.file_system_options();
        if !options.is_empty() && words.one.set & RDONLY != 0 {
            options.push(("ro".to_owned(), String::new()));
        }
        return Ok(Source::Remount(options));
    }
    match kind {
        "" => refuse("type: missing"),
        "cgroup" | "cgroup2" => {
            words.refuse_data("the container's cgroups have no options of their own")?;
            Ok(Source::Cgroups)
        }
        kind => Ok(Source::FileSystem(file_system(written, words, around, kind))),
    }
}

fn file_system(
    written: &oci_spec::runtime::Mount,
    words: &Words<'_>,
    around: &Around<'_>,
    kind: &str,
) -> FileSystem {
    let mut options = words.file_system_options();
    // As mount(2) has it: the file system as well, so that it takes more than a bind to write to it again. But a tmpfs is
    // filled after it is mounted.
    if words.one.set & RDONLY != 0 && kind != "tmpfs" {
        options.push(("ro".to_owned(), String::new()));
    }
    // Those that have a label of their own for each file take none for all.
    // And a mount that says its own has that.
    let labelled = !["proc", "sysfs", "mqueue"].contains(&kind)
        && !options.iter().any(|(key, _)| CONTEXTS.contains(&key.as_str()));
    if let Some((option, label)) = around.label.filter(|_| labelled) {
        options.push((option.to_owned(), label.to_owned()));
    }
    if let Some(source) = written.source().as_ref().and_then(|source| source.to_str()) {
        options.insert(0, ("source".to_owned(), source.to_owned()));
    }
    FileSystem { kind: kind.to_owned(), options, copy_up: words.copy_up }
}

/// Over /proc and beneath it a mount could show a container's programs, and this one, something else than the truth.
fn refuse_in_proc(target: &Path, source: &Source) -> Result<()> {
    if sys::mutant!("mutant_rt_01") {
        return Ok(());
    }
    let Ok(beneath) = target.strip_prefix("/proc") else { return Ok(()) };
    let shown = target.display();
    if !beneath.as_os_str().is_empty() {
        return if COVERED_IN_PROC.iter().any(|file| beneath == Path::new(file)) {
            Ok(())
        } else {
            refuse(format!("{shown} cannot be mounted because it is inside /proc"))
        };
    }
    match source {
        // A bind is looked at when it is opened.
        Source::Bind(_) => Ok(()),
        Source::FileSystem(one) if one.kind == "proc" => Ok(()),
        _ => refuse(format!("{shown} cannot be mounted because it is not of type proc")),
    }
}

#[cfg(test)]
mod tests;
