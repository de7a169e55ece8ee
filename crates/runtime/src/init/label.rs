//! Labels of Linux security modules: set for the execve that is to come (apparmor(7), selinux(8)).

use crate::error::{Error, Kind, Result};
use crate::plan::Attributes;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use sys::{Errno, called};

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

/// Labels the keys that this process makes, until it executes something (keyrings(7)): its session keyring is for the
/// container's processes, who may not be allowed those of ours.
pub fn label_keys(proc: Option<&OwnedFd>, attributes: &Attributes) -> Result<()> {
    let (Some(proc), Some(label)) = (proc, &attributes.selinux) else { return Ok(()) };
    selinux(proc, "keycreate", label)
}

/// Writes the labels of this process. After this only the execve is left to do.
pub fn set(proc: Option<&OwnedFd>, attributes: &Attributes) -> Result<()> {
    let Some(proc) = proc else { return Ok(()) };
    if let Some(profile) = &attributes.apparmor {
        let text = format!("exec {profile}");
        let written = match open(proc, "apparmor/exec") {
            // Before Linux 5.1 the modules shared one file.
            Err(error) if error.errno == Errno::NOENT => {
                open(proc, "exec").and_then(|file| write(&file, "exec", &text))
            }
            opened => opened.and_then(|file| write(&file, "apparmor/exec", &text)),
        };
        written.map_err(|error| {
            let unknown = error.errno == Errno::NOENT;
            let error = Error::from(error).within(format!("set AppArmor profile {profile:?}"));
            if unknown { error.with_hint("is it loaded? apparmor_parser --replace FILE") } else { error }
        })?;
    }
    match &attributes.selinux {
        Some(label) => selinux(proc, "exec", label),
        None => Ok(()),
    }
}

/// Whether a process has the labels that it was to get, where somebody else made it: the name of the first that it has not,
/// with what it has instead.
pub fn missing(pid: i32, attributes: &Attributes) -> Result<Option<(&'static str, String)>> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(called(|| format!("read({path:?})")));
    if let Some(profile) = &attributes.apparmor {
        let own = format!("/proc/{pid}/attr/apparmor/current");
        let shared = format!("/proc/{pid}/attr/current");
        let found = read(&own).or_else(|_| read(&shared))?;
        let found = found.trim_end();
        // `NAME (enforce)`; of several at once the order is not ours.
        let name = found.rsplit_once(" (").map_or(found, |(name, _)| name);
        let sorted = |names: &str| {
            let mut all: Vec<String> = names.split("//&").map(str::to_owned).collect();
            all.sort();
            all
        };
        if sorted(name) != sorted(profile) {
            return Ok(Some(("apparmor", found.to_owned())));
        }
    }
    if let Some(label) = &attributes.selinux {
        let found = read(&format!("/proc/{pid}/attr/current"))?;
        let found = found.trim_end_matches(['\0', '\n']);
        if found != label && found != as_the_kernel_has_it(label)? {
            return Ok(Some(("selinux", found.to_owned())));
        }
    }
    Ok(None)
}

/// A label as the kernel would say it: there is more than one way to write some of them.
fn as_the_kernel_has_it(label: &str) -> Result<String> {
    let path = "/sys/fs/selinux/context";
    let doing = |call: &str| format!("{call}({path:?}, {label:?})");
    let file =
        rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(called::<Errno>(|| doing("open")))?;
    rustix::io::write(&file, label.as_bytes()).map_err(called::<Errno>(|| doing("write")))?;
    let mut answer = [0; 4096];
    let length = rustix::io::read(&file, &mut answer).map_err(called::<Errno>(|| doing("read")))?;
    Ok(String::from_utf8_lossy(&answer[..length]).trim_end_matches(['\0', '\n']).to_owned())
}

fn selinux(proc: &OwnedFd, name: &str, label: &str) -> Result<()> {
    let written = open(proc, name).and_then(|file| write(&file, name, label));
    written.map_err(|error| {
        let unknown = error.errno == Errno::INVAL;
        let error = Error::from(error).within(format!("set SELinux label {label:?}"));
        if unknown { error.with_hint("the policy that is loaded knows no such label") } else { error }
    })
}

fn open(proc: &OwnedFd, name: &str) -> Result<OwnedFd, sys::CallError> {
    let path = format!("thread-self/attr/{name}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(proc, path.as_str(), flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open `/proc/{path}`")))
}

fn write(file: &OwnedFd, name: &str, text: &str) -> Result<(), sys::CallError> {
    rustix::io::write(file, text.as_bytes())
        .map(drop)
        .map_err(called::<Errno>(|| format!("write {text:?} to `/proc/thread-self/attr/{name}`")))
}
