//! What of a container's mounts lies outside of it: binds, device nodes of the host, covers of masked paths. In an image a
//! name stands for each; a restore says what is there now. Pure, but for reading the list of mounts.

use super::cgroups::mount_of;
use crate::error::Result;
use crate::plan::{Plan, Source};
use crate::state::Record;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use sys::called;
use sys::clone3::Namespaces;

/// The name of the cover of masked files; the one that runc has in its images.
const NULL: &str = "/dev/null";
/// The name of the cover of masked directories.
const EMPTY: &str = "masked";

/// A mount, as /proc/PID/mountinfo has it (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: u64,
    /// The device of its file system.
    pub device: String,
    /// What of the file system is mounted.
    pub root: PathBuf,
    /// Where, from the root of the process.
    pub at: PathBuf,
    /// The type of the file system.
    pub kind: String,
}

/// The mounts that a process sees.
pub fn mounts_of(process: &str) -> Result<Vec<Seen>> {
    let path = format!("/proc/{process}/mountinfo");
    let text = std::fs::read(&path).map_err(called(|| format!("read({path:?})")))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(seen).collect())
}

/// One line of it; none for an empty one.
fn seen(line: &[u8]) -> Option<Seen> {
    let mut fields = line.split(|byte| *byte == b' ');
    let kind = line.split(|byte| *byte == b' ').skip_while(|field| *field != b"-").nth(1)?;
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = String::from_utf8_lossy(fields.nth(1)?).into_owned();
    let kind = String::from_utf8_lossy(kind).into_owned();
    Some(Seen { id, device, root: unescaped(fields.next()?), at: unescaped(fields.next()?), kind })
}

/// A path in which blanks and backslashes are written as three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) => {
                path.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                path.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

/// What of the host a plan puts at a place.
struct Bound<'a> {
    /// Where, as config.json says.
    target: &'a Path,
    /// What.
    source: &'a Path,
    /// With everything below it.
    recursive: bool,
}

fn bound(plan: &Plan) -> impl Iterator<Item = Bound<'_>> {
    let binds = plan.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Bind(bind) => {
            Some(Bound { target: &mount.target, source: &bind.path, recursive: bind.recursive })
        }
        _ => None,
    });
    let devices = plan.devices.iter().map(|device| Bound {
        target: &device.path,
        source: &device.host,
        recursive: false,
    });
    binds.chain(devices)
}

/// For a dump: the mounts of the container that lie outside, each with its name. `theirs` are all that it has, `ours` those
/// of the host, and `resolved` is where a path of config.json leads to in the container.
pub fn named(
    plan: &Plan,
    theirs: &[Seen],
    ours: &[Seen],
    resolved: impl Fn(&Path) -> PathBuf,
) -> Vec<(String, String)> {
    let binds: Vec<(PathBuf, Bound<'_>)> = bound(plan).map(|bound| (resolved(bound.target), bound)).collect();
    let masked: Vec<PathBuf> = plan.masked.iter().map(|path| resolved(path)).collect();
    let cgroups: Vec<(PathBuf, &Path)> =
        bound_cgroups(plan).map(|target| (resolved(target), target)).collect();
    let new: Vec<PathBuf> = plan
        .mounts
        .iter()
        .filter(|mount| !matches!(mount.source, Source::Bind(_)))
        .map(|mount| resolved(&mount.target))
        .collect();
    let name = |mount: &Seen| {
        if masked.contains(&mount.at) {
            return Some(if mount.root == Path::new("/") { EMPTY } else { NULL }.to_owned());
        }
        if let Some((_, bound)) = binds.iter().find(|(at, _)| *at == mount.at) {
            return Some(bound.target.display().to_string());
        }
        if let Some((at, target)) = cgroups.iter().find(|(at, _)| mount.at.starts_with(at)) {
            let rest = mount.at.strip_prefix(at).ok()?;
            return mount.kind.starts_with("cgroup").then(|| below_name(target, rest));
        }
        // Of what lies below a bind or the root, what is mounted on the host too came along with it.
        let on_host = ours.iter().any(|one| one.device == mount.device && one.root == mount.root);
        if mount.at == Path::new("/") || !on_host || new.iter().any(|at| mount.at.starts_with(at)) {
            return None;
        }
        let below = binds.iter().filter(|(at, bound)| bound.recursive && mount.at.starts_with(at));
        Some(match below.max_by_key(|(at, _)| at.as_os_str().len()) {
            Some((at, bound)) => below_name(bound.target, mount.at.strip_prefix(at).ok()?),
            None => mount.at.display().to_string(),
        })
    };
    let mut named = Vec::new();
    for mount in theirs {
        if let Some(name) = name(mount) {
            named.push((mount.at.display().to_string(), name));
        }
    }
    named
}

/// Where cgroups of the host are bound: without a namespace of its own, a container has no others.
fn bound_cgroups(plan: &Plan) -> impl Iterator<Item = &Path> {
    let bound = !plan.cgroup_namespace && !plan.joins(Namespaces::CGROUP);
    let all = plan.mounts.iter().filter(move |mount| bound && mount.source == Source::Cgroups);
    all.map(|mount| mount.target.as_path())
}

fn below_name(target: &Path, rest: &Path) -> String {
    let path = if rest.as_os_str().is_empty() { target.to_owned() } else { target.join(rest) };
    path.display().to_string()
}

/// For a restore: what stands for each name now. `empty` is a directory for masked ones, `ours` the mounts of the host, and
/// the record has the container's root and cgroup. A name that the image does not have does no harm.
pub fn sources(plan: &Plan, ours: &[Seen], record: &Record, empty: &Path) -> Vec<(String, String)> {
    let shown = |path: &Path| path.display().to_string();
    let mut sources = vec![(NULL.to_owned(), NULL.to_owned()), (EMPTY.to_owned(), shown(empty))];
    for (target, cgroup) in bound_cgroups(plan).zip(record.cgroup.iter().cycle()) {
        sources.extend(cgroup.places.iter().map(|place| {
            let mount = mount_of(place, ours).map_or(&place.mount, |mount| &mount.at);
            let name = mount.file_name().unwrap_or_default();
            // A host with v2 alone has it at the target itself.
            let rest = if cgroup.places.len() > 1 { Path::new(name) } else { Path::new("") };
            let path = place.mount.join(cgroup.name.trim_start_matches('/'));
            (below_name(target, rest), shown(&path))
        }));
    }
    let root = Bound { target: Path::new("/"), source: &record.rootfs, recursive: true };
    for bound in bound(plan) {
        sources.push((shown(bound.target), shown(bound.source)));
    }
    for bound in bound(plan).filter(|bound| bound.recursive).chain([root]) {
        let source = std::fs::canonicalize(bound.source).unwrap_or_else(|_| bound.source.to_owned());
        for mount in ours {
            let Ok(rest) = mount.at.strip_prefix(&source) else { continue };
            if rest.as_os_str().is_empty() {
                continue;
            }
            sources.push((below_name(bound.target, rest), shown(&mount.at)));
        }
    }
    // One that config.json names itself comes first.
    let mut once = Vec::new();
    for (name, source) in sources {
        if !once.iter().any(|(known, _): &(String, String)| *known == name) {
            once.push((name, source));
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{self, Beyond};
    use cgroup::{Cgroup, Place, Version};

    fn plan(mounts: &str, masked: &str) -> Plan {
        let spec = format!(
            r#"{{"ociVersion":"1.0.2","root":{{"path":"/proc"}},"process":{{"cwd":"/","args":["sh"],
            "user":{{"uid":0,"gid":0}}}},"mounts":[{mounts}],
            "linux":{{"namespaces":[{{"type":"mount"}}],"maskedPaths":[{masked}]}}}}"#
        );
        bundle::plan("x", &serde_json::from_str(&spec).unwrap(), Path::new("/b"), Beyond::default()).unwrap()
    }

    fn list(text: &str) -> Vec<Seen> {
        text.lines().filter_map(|line| seen(line.trim().as_bytes())).collect()
    }

    #[test]
    fn lines_of_mountinfo() {
        let read = list("29 24 0:26 /a\\040b /mnt/c\\134d rw shared:1 - tmpfs none rw\n\nnonsense");
        let expected = Seen {
            id: 29,
            device: "0:26".into(),
            root: "/a b".into(),
            at: "/mnt/c\\d".into(),
            kind: "tmpfs".into(),
        };
        assert_eq!(read, [expected]);
        assert_eq!(unescaped(b"\\9\\04"), Path::new("\\9\\04"));
    }

    #[test]
    fn what_lies_outside() {
        let plan = plan(
            r#"{"destination":"/proc","type":"proc","source":"proc"},
               {"destination":"/dev","type":"tmpfs","source":"tmpfs"},
               {"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup"},
               {"destination":"/data","source":"/srv/data","options":["rbind"]},
               {"destination":"/var/run/hosts","source":"/srv/hosts","options":["bind"]}"#,
            r#""/proc/keys", "/proc/acpi""#,
        );
        let theirs = list(
            "1 0 8:1 /b/rootfs / rw - ext4 d rw
             2 1 0:5 / /proc rw - proc proc rw
             3 1 0:6 / /dev rw - tmpfs tmpfs rw
             4 1 8:1 /srv/data /data rw - ext4 d rw
             5 4 0:9 / /data/more rw - tmpfs t rw
             6 4 0:10 / /data/own rw - tmpfs t rw
             7 1 8:1 /srv/hosts /run/hosts rw - ext4 d rw
             8 2 0:7 /null /proc/keys rw - devtmpfs d rw
             9 2 0:8 / /proc/acpi ro - tmpfs t rw
             10 3 0:7 /null /dev/null rw - devtmpfs d rw
             11 1 0:9 / /mnt rw - tmpfs t rw
             12 1 0:30 /x /sys/fs/cgroup ro - cgroup2 c rw",
        );
        let ours = list(
            "100 0 8:1 / / rw - ext4 d rw
             101 100 0:9 / /srv/data/more rw - tmpfs t rw
             102 100 0:9 / /b/rootfs/mnt rw - tmpfs t rw",
        );
        let resolved = |path: &Path| match path.strip_prefix("/var/run") {
            Ok(rest) => Path::new("/run").join(rest),
            Err(_) => path.to_owned(),
        };
        let expected = [
            ("/data", "/data"),
            ("/data/more", "/data/more"),
            ("/run/hosts", "/var/run/hosts"),
            ("/proc/keys", "/dev/null"),
            ("/proc/acpi", "masked"),
            ("/dev/null", "/dev/null"),
            ("/mnt", "/mnt"),
            ("/sys/fs/cgroup", "/sys/fs/cgroup"),
        ];
        let named = named(&plan, &theirs, &ours, resolved);
        let shown: Vec<(&str, &str)> = named.iter().map(|(at, name)| (at.as_str(), name.as_str())).collect();
        assert_eq!(shown, expected);
        let unified = Place { mount: "/cgroups".into(), version: Version::V2, controllers: Vec::new() };
        let cgroup = Some(Cgroup { name: "/x".into(), places: vec![unified], unit: None });
        let record = Record { rootfs: "/b/rootfs".into(), cgroup, ..Record::default() };
        let sources = sources(&plan, &ours, &record, Path::new("/empty"));
        let source = |name: &str| sources.iter().find(|(known, _)| known == name).map(|(_, at)| at.as_str());
        for (name, expected) in [
            ("/data", "/srv/data"),
            ("/data/more", "/srv/data/more"),
            ("/var/run/hosts", "/srv/hosts"),
            ("/dev/null", "/dev/null"),
            ("masked", "/empty"),
            ("/mnt", "/b/rootfs/mnt"),
            ("/sys/fs/cgroup", "/cgroups/x"),
        ] {
            assert_eq!(source(name), Some(expected), "{name}");
        }
        for (_, name) in &named {
            assert!(source(name).is_some(), "{name} is in the image and nowhere else");
        }
    }
}
