//! Labels of Linux security modules: set for the execve that is to come (apparmor(7), selinux(8)).

use crate::error::{Error, Kind, Result};
use crate::plan::Attributes;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use sys::{Context, Errno, called};

/// `PROC_SUPER_MAGIC` and `SELINUX_MAGIC` (statfs(2)).
const PROC: rustix::fs::FsWord = 0x9fa0;
const SELINUX: rustix::fs::FsWord = 0xf97c_ff8c;

/// Opens /proc of the host, where a label is asked for and its module is there: what is at /proc in a container is the
/// container's, and a label that is written to any other file is none (CVE-2019-16884).
pub fn host_proc(attributes: &Attributes) -> Result<Option<OwnedFd>> {
    if attributes.apparmor.is_none() && attributes.selinux.is_none() {
        return Ok(None);
    }
    let missing = |field: &str, module: &str| {
        Error::new(
            Kind::Unsupported,
            format!(
                "config.json: process.{field}: {module} label is specified in config, but {module} is disabled or not \
                 supported"
            ),
        )
    };
    let apparmor = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if attributes.apparmor.is_some() && !apparmor.is_ok_and(|text| text.starts_with('Y')) {
        return Err(missing("apparmorProfile", "apparmor"));
    }
    let selinux = rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|found| found.f_type == SELINUX);
    if attributes.selinux.is_some() && !selinux {
        return Err(missing("selinuxLabel", "selinux"));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())
        .map_err(called::<Errno>(|| "open(\"/proc\")".to_owned()))?;
    let found = rustix::fs::fstatfs(&proc).map_err(called::<Errno>(|| "fstatfs(\"/proc\")".to_owned()))?;
    if found.f_type != PROC {
        return Err(Error::new(Kind::Invalid, "/proc of the host is not proc"));
    }
    Ok(Some(proc))
}

/// Writes the labels of this process. After this only the execve is left to do.
pub fn set(proc: Option<&OwnedFd>, attributes: &Attributes) -> Result<()> {
    let Some(proc) = proc else { return Ok(()) };
    if let Some(profile) = &attributes.apparmor {
        let doing = || format!("set AppArmor profile {profile:?}");
        let text = format!("exec {profile}");
        match write(proc, "apparmor/exec", &text) {
            // Before Linux 5.1 the modules shared one file.
            Err(error) if error.errno == Errno::NOENT => write(proc, "exec", &text).within(doing)?,
            other => other.within(doing)?,
        }
    }
    if let Some(label) = &attributes.selinux {
        for name in ["exec", "keycreate"] {
            write(proc, name, label).within(|| format!("set SELinux label {label:?} ({name})"))?;
        }
    }
    Ok(())
}

fn write(proc: &OwnedFd, name: &str, text: &str) -> Result<(), sys::CallError> {
    let path = format!("thread-self/attr/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(proc, path.as_str(), flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open `/proc/{path}`")))?;
    rustix::io::write(&file, text.as_bytes())
        .map(drop)
        .map_err(called::<Errno>(|| format!("write {text:?} to `/proc/{path}`")))
}
