//! The floor: the kernel calls that a container of `spec`'s shape needs, and nothing else.
//!
//! A fresh cgroup with a device filter, one clone3 into it with all namespaces, the mounts, the devices, pivot_root, what is masked,
//! the execve, the end, the removal. Nothing is read, checked, written down or cleaned up after a failure: it is what no runtime
//! can be faster than, and no runtime to be used.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::ffi::{CStr, CString};
use std::path::Path;
use sys::clone3::{Namespaces, clone3};
use sys::{CallError, called};

/// Instructions of BPF: `r0 = 1; exit`, every device is allowed.
const ALLOW: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, cgroup] = arguments.as_slice() else {
        fail("usage: floor ROOT CGROUP");
    };
    match container(Path::new(root), Path::new(cgroup)) {
        Ok(code) => std::process::exit(code),
        Err(error) => fail(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "a program")]
fn fail(text: &str) -> ! {
    eprintln!("floor: {text}");
    std::process::exit(1)
}

fn call(name: &'static str) -> impl FnOnce(Errno) -> CallError {
    called::<Errno>(move || name.to_owned())
}

fn container(root: &Path, cgroup: &Path) -> Result<i32, CallError> {
    rustix::fs::mkdir(cgroup, Mode::from_raw_mode(0o755)).map_err(call("mkdir(cgroup)"))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(cgroup, flags, Mode::empty()).map_err(call("open(cgroup)"))?;
    let filter = sys::bpf::load_device_filter(&ALLOW, "floor")?;
    sys::bpf::attach_device_filter(opened.as_fd(), filter.as_fd())?;
    let all = [
        Namespaces::PID,
        Namespaces::MOUNT,
        Namespaces::UTS,
        Namespaces::IPC,
        Namespaces::NETWORK,
        Namespaces::CGROUP,
    ];
    let namespaces = all.into_iter().fold(Namespaces::NONE, Namespaces::and);
    let child = clone3(namespaces, Some(opened.as_fd()), || match init(root) {
        Ok(never) => match never {},
        Err(error) => fail(&error.to_string()),
    })?;
    let pidfd = rustix::process::WaitId::PidFd(child.pidfd.as_fd());
    let ended =
        rustix::process::waitid(pidfd, rustix::process::WaitIdOptions::EXITED).map_err(call("waitid"))?;
    rustix::fs::rmdir(cgroup).map_err(call("rmdir(cgroup)"))?;
    Ok(ended.and_then(|status| status.exit_status()).unwrap_or(1))
}

/// What init does; it returns only by an error.
fn init(root: &Path) -> Result<std::convert::Infallible, CallError> {
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).map_err(call("mount(/, MS_SLAVE)"))?;
    rustix::mount::mount_bind_recursive(root, root).map_err(call("mount(root, MS_BIND)"))?;
    std::env::set_current_dir(root).map_err(called(|| "chdir(root)".to_owned()))?;
    mounts()?;
    devices()?;
    let old = rustix::fs::open("/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(call("open(/)"))?;
    rustix::process::pivot_root(".", ".").map_err(call("pivot_root"))?;
    rustix::process::fchdir(&old).map_err(call("fchdir"))?;
    rustix::mount::mount_change(".", slave).map_err(call("mount(., MS_SLAVE)"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(call("umount2"))?;
    rustix::process::chdir("/").map_err(call("chdir(/)"))?;
    masks()?;
    rustix::system::sethostname(b"floor").map_err(call("sethostname"))?;
    let arguments = [CString::from(c"/bin/true")];
    let environment = [CString::from(c"PATH=/bin")];
    Err(sys::execve::execve(c"/bin/true", &arguments, &environment))
}

fn mounts() -> Result<(), CallError> {
    let (nosuid, noexec, nodev) = (MountFlags::NOSUID, MountFlags::NOEXEC, MountFlags::NODEV);
    let all: [(&CStr, &str, MountFlags, &CStr); 7] = [
        (c"proc", "proc", MountFlags::empty(), c""),
        (c"tmpfs", "dev", nosuid | MountFlags::STRICTATIME, c"mode=755,size=65536k"),
        (c"devpts", "dev/pts", nosuid | noexec, c"newinstance,ptmxmode=0666,mode=0620,gid=5"),
        (c"tmpfs", "dev/shm", nosuid | noexec | nodev, c"mode=1777,size=65536k"),
        (c"mqueue", "dev/mqueue", nosuid | noexec | nodev, c""),
        (c"sysfs", "sys", nosuid | noexec | nodev | MountFlags::RDONLY, c""),
        (
            c"cgroup2",
            "sys/fs/cgroup",
            nosuid | noexec | nodev | MountFlags::RELATIME | MountFlags::RDONLY,
            c"",
        ),
    ];
    for (kind, place, flags, data) in all {
        if matches!(place, "dev/pts" | "dev/shm" | "dev/mqueue") {
            rustix::fs::mkdir(place, Mode::from_raw_mode(0o755)).map_err(call("mkdir(dev/...)"))?;
        }
        rustix::mount::mount(kind, place, kind, flags, Some(data))
            .map_err(called::<Errno>(move || format!("mount({place:?})")))?;
    }
    Ok(())
}

fn devices() -> Result<(), CallError> {
    for (name, minor) in
        [("dev/null", 3), ("dev/zero", 5), ("dev/full", 7), ("dev/random", 8), ("dev/urandom", 9)]
    {
        device(name, rustix::fs::makedev(1, minor))?;
    }
    device("dev/tty", rustix::fs::makedev(5, 0))?;
    for (to, name) in [
        ("/proc/self/fd", "dev/fd"),
        ("/proc/self/fd/0", "dev/stdin"),
        ("/proc/self/fd/1", "dev/stdout"),
        ("/proc/self/fd/2", "dev/stderr"),
        ("pts/ptmx", "dev/ptmx"),
    ] {
        rustix::fs::symlink(to, name).map_err(call("symlink"))?;
    }
    Ok(())
}

fn device(name: &str, number: u64) -> Result<(), CallError> {
    rustix::fs::mknodat(rustix::fs::CWD, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), number)
        .map_err(call("mknod"))
}

fn masks() -> Result<(), CallError> {
    for place in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        if rustix::mount::mount_bind_recursive(place, place).is_ok() {
            let flags = MountFlags::BIND
                | MountFlags::RDONLY
                | MountFlags::NOSUID
                | MountFlags::NODEV
                | MountFlags::NOEXEC;
            rustix::mount::mount_remount(place, flags, c"").map_err(call("mount(MS_REMOUNT)"))?;
        }
    }
    // Where there is none of a name there is nothing to mask.
    for place in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
    ] {
        let _absent = rustix::mount::mount_bind("/dev/null", place);
    }
    let shared = empty()?;
    for place in ["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware"] {
        if Path::new(place).exists() {
            let copy = rustix::mount::open_tree(&shared, "", COPY).map_err(call("open_tree"))?;
            rustix::mount::move_mount(
                &copy,
                "",
                rustix::fs::CWD,
                place,
                rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )
            .map_err(call("move_mount"))?;
        }
    }
    Ok(())
}

const COPY: rustix::mount::OpenTreeFlags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
    .union(rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(rustix::mount::OpenTreeFlags::AT_EMPTY_PATH);

/// One empty read-only file system for all directories that are masked.
fn empty() -> Result<OwnedFd, CallError> {
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
    let made = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(call("fsopen"))?;
    fsconfig_create(made.as_fd()).map_err(call("fsconfig"))?;
    fsmount(made.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
        .map_err(call("fsmount"))
}
