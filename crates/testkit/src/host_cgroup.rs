//! The cgroup subtree of a test host: one directory in each hierarchy of the machine.
//!
//! Everything that a test starts stays below it, so one write ends all of it and the rest of the machine is never
//! looked at. It knows nothing of containers.

use crate::deadline::{LIMIT, poll};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directories of one host.
pub(crate) struct HostCgroup {
    /// Hierarchies of cgroup v1: the options of its mount, and our directory there.
    pub v1: Vec<(String, PathBuf)>,
    /// Our directory in cgroup v2, and whether it is the machine's only hierarchy.
    pub v2: Option<PathBuf>,
    /// How many scopes there have been.
    scopes: AtomicU32,
}

/// Where the processes of the host are in cgroup v2: not in its top, whose controllers must be given to children.
pub(crate) const SESSION: &str = "session";

/// Before the name of a cgroup that one command of an ordinary user is in, and that was given to that user.
const SCOPE: &str = "scope-";

impl HostCgroup {
    /// Makes the directories, after those of test programs that were killed are removed.
    pub fn make() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("devoxx-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (v1, v2) = hierarchies();
        let made = Self {
            v1: v1.into_iter().map(|(options, mount)| (options, mount.join(&name))).collect(),
            v2: v2.map(|mount| mount.join(&name)),
            scopes: AtomicU32::new(0),
        };
        for directory in made.tops() {
            if let Some(mount) = directory.parent() {
                remove_abandoned(mount);
            }
            create(directory);
        }
        if let Some(top) = &made.v2 {
            create(&top.join(SESSION));
        }
        made
    }

    /// Gives the controllers of v2 to the children, as systemd does; the top must have no process any more.
    pub fn give_controllers(&self) {
        if let Some(top) = &self.v2 {
            for controller in read(&top.join("cgroup.controllers")).split_whitespace() {
                write(&top.join("cgroup.subtree_control"), &format!("+{controller}"));
            }
        }
    }

    /// The directories, one for each hierarchy.
    pub fn tops(&self) -> impl Iterator<Item = &PathBuf> {
        self.v1.iter().map(|(_, directory)| directory).chain(&self.v2)
    }

    /// A script that moves its shell into the host. For an ordinary user the cgroup of v2 is one of its own, made and
    /// given to that user as `systemd-run --user --scope -p Delegate=yes` does.
    pub fn enter(&self, user: Option<&str>) -> String {
        let mut script = String::new();
        for (_, top) in &self.v1 {
            writeln!(script, "echo $$ >{}/cgroup.procs", top.display()).expect("String");
        }
        match (&self.v2, user) {
            (None, _) => {}
            (Some(top), None) => {
                writeln!(script, "echo $$ >{}/{SESSION}/cgroup.procs", top.display()).expect("String");
            }
            (Some(top), Some(user)) => {
                // Not by the id of the process alone: in a long test ids come again, and the scopes stay.
                let number = self.scopes.fetch_add(1, Ordering::Relaxed);
                let scope = format!("{}/{SCOPE}{number}-$$", top.display());
                writeln!(
                    script,
                    "mkdir {scope}; (cd {scope}; chown {user} . cgroup.procs cgroup.threads cgroup.subtree_control)\n\
                     echo $$ >{scope}/cgroup.procs"
                )
                .expect("String");
            }
        }
        script
    }

    /// Every process of the host.
    pub fn processes(&self) -> Vec<i32> {
        let mut found: Vec<i32> =
            self.tops().flat_map(|top| tree(top)).flat_map(|place| processes_of(&place)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Directories below those that the host began with, as `hierarchy/path`.
    pub fn directories(&self) -> Vec<String> {
        let below = |top: &PathBuf| {
            let hierarchy = top.parent().and_then(Path::file_name).unwrap_or_default().to_owned();
            let inner = tree(top).into_iter().filter_map({
                let top = top.clone();
                move |place| place.strip_prefix(&top).map(Path::to_owned).ok()
            });
            inner
                .filter(|path| !path.as_os_str().is_empty() && !is_ours(path))
                .map(|path| Path::new(&hierarchy).join(path).display().to_string())
                .collect::<Vec<_>>()
        };
        self.tops().flat_map(below).collect()
    }
}

impl Drop for HostCgroup {
    fn drop(&mut self) {
        let tops: Vec<_> = self.tops().cloned().collect();
        let gone = poll(LIMIT, || {
            for pid in self.processes() {
                crate::host::kill(pid);
            }
            let busy = tops.iter().filter(|top| !remove(top)).count();
            (busy == 0).then_some(())
        });
        // A panic inside a panic would hide the reason for the first one.
        assert!(
            gone.is_some() || std::thread::panicking(),
            "cgroups of the test host cannot be removed: {tops:?}"
        );
    }
}

/// Mount options and mount point of each v1 hierarchy, and the mount point of v2.
fn hierarchies() -> (Vec<(String, PathBuf)>, Option<PathBuf>) {
    let mounts = read(Path::new("/proc/self/mountinfo"));
    let mounts: Vec<(&str, &str, &str)> = mounts
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mut kind = kind.split(' ');
            Some((place.split(' ').nth(4)?, kind.next()?, kind.nth(1)?))
        })
        .collect();
    let own = read(Path::new("/proc/self/cgroup"));
    let v1 = own.lines().filter_map(|line| {
        let controllers = line.split(':').nth(1).filter(|names| !names.is_empty())?;
        let has_all =
            |options: &str| controllers.split(',').all(|name| options.split(',').any(|is| is == name));
        let (point, ..) = mounts.iter().find(|(_, kind, options)| *kind == "cgroup" && has_all(options))?;
        let named = controllers.starts_with("name=");
        let options = if named { format!("none,{controllers}") } else { controllers.to_owned() };
        Some((options, PathBuf::from(point)))
    });
    let v2 = mounts.iter().find(|(_, kind, _)| *kind == "cgroup2").map(|(point, ..)| PathBuf::from(point));
    (v1.collect(), v2)
}

/// Whether a cgroup is the session's, or that of a command with what goes with it: the manager of the user's session,
/// which would remove it after its last process, is not here.
fn is_ours(path: &Path) -> bool {
    let mut parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(one), None, None) if one == SESSION => true,
        (Some(one), below, None) if one.starts_with(SCOPE) => {
            below.is_none_or(|below| below == "devoxx-client" || below == "devoxx")
        }
        _ => false,
    }
}

fn create(directory: &Path) {
    fs::create_dir(directory)
        .unwrap_or_else(|error| panic!("mkdir {directory:?}: {error} (the tests need root)"));
    // In v1 a new cpuset takes no process before it has processors and memory.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (mine, parent) = (directory.join(file), directory.with_file_name(file));
        if mine.exists() && parent.exists() && read(&mine).trim().is_empty() {
            write(&mine, read(&parent).trim());
        }
    }
}

/// Directories that a test program left because it was killed: its process id is in their name.
fn remove_abandoned(mount: &Path) {
    for entry in fs::read_dir(mount).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("devoxx-host-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            for pid in tree(&entry.path()).iter().flat_map(|place| processes_of(place)) {
                crate::host::kill(pid);
            }
            // What is still busy goes the next time.
            remove(&entry.path());
        }
    }
}

fn processes_of(directory: &Path) -> Vec<i32> {
    read(&directory.join("cgroup.procs")).lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// A directory and those below it, parents first.
fn tree(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    for entry in fs::read_dir(top).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(tree(&entry.path()));
        }
    }
    found
}

/// Removes a directory and those below it; false while something is in them.
fn remove(top: &Path) -> bool {
    for place in tree(top).iter().rev() {
        // A frozen process does not die; both files are there in one version of cgroups only.
        write(&place.join("freezer.state"), "THAWED");
        write(&place.join("cgroup.freeze"), "0");
        fs::remove_dir(place).ok();
    }
    !top.exists()
}

fn read(file: &Path) -> String {
    // A file that is not there says the same as an empty one.
    fs::read_to_string(file).unwrap_or_default()
}

/// Writes to a file of a cgroup where there is such a file; what came of it is read back where it matters.
fn write(file: &Path, value: &str) {
    if let Ok(mut open) = fs::OpenOptions::new().write(true).open(file) {
        open.write_all(value.as_bytes()).ok();
    }
}
