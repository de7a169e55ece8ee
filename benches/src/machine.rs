//! Where it is measured: a mount and a network namespace of its own, cgroup v2 alone, and a directory in memory with the root of a container.

use crate::sample::unmeasured;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use sys::clone3::{Namespaces, clone3};

/// The place of everything that is measured; gone with this process.
pub struct Machine {
    /// A tmpfs.
    pub work: PathBuf,
    /// The root of a container: busybox.
    pub root: PathBuf,
    /// Cgroups that were there before: what peers leave beside them is removed.
    cgroups: BTreeSet<OsString>,
}

/// Runs something in PID, mount and network namespaces of its own; its exit code. Whatever it leaves ends with it, also when it is
/// killed.
pub fn alone(what: impl FnOnce() -> i32) -> Result<i32, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("it needs root".to_owned());
    }
    let text = |error: sys::CallError| error.to_string();
    let own = Namespaces::PID.and(Namespaces::MOUNT).and(Namespaces::NETWORK);
    let first = clone3(own, None, || {
        // Nobody else would end it.
        if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
            return 1;
        }
        // PID 1 reaps whoever loses its parent at once: runtimes wait for that.
        let Ok(child) = clone3(Namespaces::NONE, None, what) else { return 1 };
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == child.pid => return status.exit_status().unwrap_or(1),
                Ok(_) => {}
                Err(_) => return 1,
            }
        }
    })
    .map_err(text)?;
    ended(first.pid)
}

fn ended(pid: Pid) -> Result<i32, String> {
    let status = rustix::process::waitpid(Some(pid), WaitOptions::empty())
        .map_err(|error| format!("waitpid: {error}"))?;
    Ok(status.and_then(|(_, status)| status.exit_status()).unwrap_or(1))
}

impl Machine {
    /// Makes it; in namespaces of this process's own.
    pub fn make() -> Result<Self, String> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)
            .map_err(|error| format!("mount(/, MS_PRIVATE): {error}"))?;
        mount("proc", Path::new("/proc"))?;
        unmeasured(&[words("ip link set lo up")])?;
        // What of cgroup v1 is mounted there hides the view of v2 that the peers need.
        let mut below: Vec<PathBuf> =
            mounted().into_iter().filter(|at| at.starts_with("/sys/fs/cgroup")).collect();
        below.reverse();
        for at in below {
            rustix::mount::unmount(&at, UnmountFlags::DETACH)
                .map_err(|error| format!("umount {}: {error}", at.display()))?;
        }
        mount("cgroup2", Path::new(CGROUPS))?;
        let work = PathBuf::from("/run/devoxx-bench");
        std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
        mount("tmpfs", &work)?;
        // Peers keep locks and states where they always do.
        for own in ["/run/crun", "/run/runc", "/run/youki", "/run/lock"] {
            std::fs::create_dir_all(own).map_err(|error| format!("{own}: {error}"))?;
            mount("tmpfs", Path::new(own))?;
        }
        let root = work.join("root");
        for directory in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
            std::fs::create_dir_all(root.join(directory)).map_err(|error| format!("mkdir: {error}"))?;
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox"))
            .map_err(|error| format!("/bin/busybox: {error}"))?;
        for applet in ["sh", "true", "sleep", "cat"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))
                .map_err(|error| format!("symlink: {error}"))?;
        }
        let cgroups = names(Path::new(CGROUPS));
        Ok(Self { work, root, cgroups })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for left in names(Path::new(CGROUPS)).difference(&self.cgroups) {
            remove_cgroup(&Path::new(CGROUPS).join(left));
        }
        // The mount is gone with the namespace; its place is a directory of the host.
        let _busy = rustix::mount::unmount(&self.work, UnmountFlags::DETACH);
        let _in_use = std::fs::remove_dir(&self.work);
    }
}

const CGROUPS: &str = "/sys/fs/cgroup";

/// The directories in one.
fn names(directory: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name())
        .collect()
}

/// One with processes stays, and those above it.
fn remove_cgroup(path: &Path) {
    for name in names(path) {
        remove_cgroup(&path.join(name));
    }
    let _busy = std::fs::remove_dir(path);
}

fn mount(kind: &str, at: &Path) -> Result<(), String> {
    rustix::mount::mount(kind, at, kind, MountFlags::empty(), None)
        .map_err(|error| format!("mount {}: {error}", at.display()))
}

fn mounted() -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(4).map(PathBuf::from)).collect()
}

/// A command from its words.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Where a program is, if there is one.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|place| place.is_file())
}
