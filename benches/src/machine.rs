//! Where it is measured: PID, mount and network namespaces of its own, cgroup v2 alone, and a directory in memory with the root of a
//! container. Beside it, where the machine has hierarchies of cgroup v1, a mount namespace that shows them.

use crate::entry::{own_name, words};
use crate::surroundings::Surroundings;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Signal, WaitOptions, pidfd_send_signal};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use sys::clone3::{Child, Namespaces, clone3, unshare};
use sys::signals::SignalFd;

/// The place of everything that is measured; gone with this process.
pub struct Machine {
    /// A tmpfs.
    pub work: PathBuf,
    /// The root of a container: busybox.
    pub root: PathBuf,
    /// Where cgroups of v1 are seen, if there are any.
    pub hybrid: Option<Rc<OwnedFd>>,
}

const CGROUPS: &str = "/sys/fs/cgroup";
const WORK: &str = "/run/devoxx-bench";

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
    let code = attend(&first);
    // Cgroups are the one thing that outlives the namespaces.
    for left in cgroups().iter().filter(|path| is_ours(path)) {
        remove_cgroup(left);
    }
    code
}

/// The exit code of a child. Who ends this process ends the child, and what has to be tidied up still is.
fn attend(child: &Child) -> Result<i32, String> {
    let signals = SignalFd::block_all().map_err(|error| error.to_string())?;
    loop {
        let mut fds = [PollFd::new(&child.pidfd, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        poll(&mut fds, None).map_err(|error| format!("poll: {error}"))?;
        if !fds[0].revents().is_empty() {
            let status = rustix::process::waitpid(Some(child.pid), WaitOptions::empty());
            let status = status.map_err(|error| format!("waitpid: {error}"))?;
            return Ok(status.and_then(|(_, status)| status.exit_status()).unwrap_or(1));
        }
        while let Some(signal) = signals.next().map_err(|error| error.to_string())? {
            if [Signal::HUP, Signal::INT, Signal::TERM].iter().any(|one| one.as_raw() == signal) {
                // It may have ended in between.
                let _ended = pidfd_send_signal(&child.pidfd, Signal::KILL);
            }
        }
    }
}

impl Machine {
    /// Makes it; in namespaces of this process's own.
    pub fn make() -> Result<Self, String> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)
            .map_err(|error| format!("mount(/, MS_PRIVATE): {error}"))?;
        mount("proc", Path::new("/proc"))?;
        Surroundings::default().unmeasured(&[words("ip link set lo up")])?;
        // Peers keep locks, states and leases where they always do: in memory here, and above what the machine has.
        mount("tmpfs", Path::new("/run"))?;
        let work = PathBuf::from(WORK);
        for directory in [&work, Path::new("/run/lock")] {
            std::fs::create_dir_all(directory)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        for place in ["/etc", "/var/lib"] {
            cover(&work, place)?;
        }
        let hybrid = leave_hybrid()?;
        Ok(Self { root: root(&work)?, work, hybrid })
    }

    /// An empty ext4 on a loop device, whose blocks are in memory: no inode of it was ever in use.
    pub fn fresh_disk(&self) -> Result<Disk, String> {
        let (file, at) = (self.work.join("disk.img"), self.work.join("disk"));
        std::fs::create_dir_all(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        let made = std::fs::File::create(&file).and_then(|made| made.set_len(4 << 30));
        made.map_err(|error| format!("{}: {error}", file.display()))?;
        // Not lazily: a thread of the kernel would write while others are measured.
        let make = format!("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 {}", file.display());
        let mount = format!("mount -o loop {} {}", file.display(), at.display());
        Surroundings::default().unmeasured(&[words(&make), words(&mount)])?;
        Ok(Disk { at, file })
    }
}

/// What is written to a directory from now on is in memory, and gone with the mount namespace.
fn cover(work: &Path, place: &str) -> Result<(), String> {
    let own = work.join("covers").join(place.trim_start_matches('/').replace('/', "-"));
    for part in ["upper", "work"] {
        std::fs::create_dir_all(own.join(part)).map_err(|error| format!("{}: {error}", own.display()))?;
    }
    let at = own.display();
    let options = format!("lowerdir={place},upperdir={at}/upper,workdir={at}/work");
    let command = ["mount", "-n", "-t", "overlay", "overlay", "-o", &options, place];
    Surroundings::default().unmeasured(&[command.map(str::to_owned).to_vec()])
}

/// A file system that goes when this is dropped.
pub struct Disk {
    /// Where it is mounted.
    pub at: PathBuf,
    file: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What still uses it ends with the namespaces, and the loop device with the last user.
        let _busy = rustix::mount::unmount(&self.at, UnmountFlags::DETACH);
        let _gone = std::fs::remove_file(&self.file);
    }
}

/// What of cgroup v1 is mounted hides the view of v2 that the peers need. It stays in the mount namespace that is left here.
fn leave_hybrid() -> Result<Option<Rc<OwnedFd>>, String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_v1 = |line: &&str| line.split_once(" - ").is_some_and(|(_, end)| end.starts_with("cgroup "));
    let hybrid = match table.lines().any(|line| is_v1(&line)) {
        true => {
            let left = rustix::fs::open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            Some(Rc::new(left.map_err(|error| format!("/proc/self/ns/mnt: {error}"))?))
        }
        false => None,
    };
    unshare(Namespaces::MOUNT).map_err(|error| error.to_string())?;
    let places = table.lines().filter_map(|line| line.split(' ').nth(4).map(PathBuf::from));
    let mut below: Vec<PathBuf> = places.filter(|at| at.starts_with(CGROUPS)).collect();
    below.reverse();
    for at in below {
        rustix::mount::unmount(&at, UnmountFlags::DETACH)
            .map_err(|error| format!("umount {}: {error}", at.display()))?;
    }
    mount("cgroup2", Path::new(CGROUPS))?;
    Ok(hybrid)
}

fn root(work: &Path) -> Result<PathBuf, String> {
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
    Ok(root)
}

/// The cgroups of the first two levels.
fn cgroups() -> Vec<PathBuf> {
    let hierarchies = below(Path::new(CGROUPS));
    let deeper: Vec<PathBuf> = hierarchies.iter().flat_map(|path| below(path)).collect();
    hierarchies.into_iter().chain(deeper).collect()
}

/// Whether one has a name that this program gives. Others at work on this machine keep theirs.
fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(own_name()))
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// One with processes stays, and those above it.
fn remove_cgroup(path: &Path) {
    below(path).iter().for_each(|path| remove_cgroup(path));
    let _busy = std::fs::remove_dir(path);
}

fn mount(kind: &str, at: &Path) -> Result<(), String> {
    rustix::mount::mount(kind, at, kind, MountFlags::empty(), None)
        .map_err(|error| format!("mount {}: {error}", at.display()))
}

/// Where a program is, if there is one.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|directory| directory.join(name)).find(|place| place.is_file())
}
