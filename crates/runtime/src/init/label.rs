//! Labels of Linux security modules: set for the execve that is to come (apparmor(7), selinux(8)).

use super::host_proc::HostProc;
use crate::error::{Error, Kind, Result};
use crate::plan::Attributes;
use rustix::fs::{Mode, OFlags};
use sys::{Errno, called};

/// `SELINUX_MAGIC` (statfs(2)).
const SELINUX: rustix::fs::FsWord = 0xf97c_ff8c;

/// Refuses a label whose module is not there. The SELinux label as the kernel says it: asked now, while its file is the host's.
pub fn check(attributes: &Attributes) -> Result<Option<String>> {
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
    // One that the policy does not know is refused where it is set.
    Ok(attributes.selinux.as_ref().and_then(|label| as_the_kernel_has_it(label).ok()))
}

/// Labels the keys that this process makes, until it executes something (keyrings(7)): its session keyring is for the
/// container's processes, who may not be allowed those of ours.
pub fn label_keys(proc: &HostProc, attributes: &Attributes) -> Result<()> {
    attributes.selinux.as_ref().map_or(Ok(()), |label| selinux(proc, "keycreate", label))
}

/// Writes the labels of this process, into proc and nothing else: a label that is written to any other file is none
/// (CVE-2019-16884). After this only the execve is left to do.
pub fn set(proc: &HostProc, attributes: &Attributes) -> Result<()> {
    if let Some(profile) = &attributes.apparmor {
        let text = format!("exec {profile}");
        let written = match proc.write("attr/apparmor/exec", &text) {
            // Before Linux 5.1 the modules shared one file.
            Err(error) if error.errno == Errno::NOENT && error.call.starts_with("open") => {
                proc.write("attr/exec", &text)
            }
            written => written,
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
    let selinux = attributes.selinux.as_ref().map(|label| as_the_kernel_has_it(label)).transpose()?;
    compare(attributes, selinux.as_deref(), "current", |name| {
        let path = format!("/proc/{pid}/attr/{name}");
        std::fs::read_to_string(&path).map_err(called(|| format!("read({path:?})")))
    })
}

/// The same of what this process will have with its next execve.
pub fn differs(
    proc: &HostProc,
    attributes: &Attributes,
    selinux: Option<&str>,
) -> Result<Option<(&'static str, String)>> {
    compare(attributes, selinux, "exec", |name| proc.read(&format!("attr/{name}")))
}

fn compare(
    attributes: &Attributes,
    selinux: Option<&str>,
    file: &str,
    read: impl Fn(&str) -> Result<String, sys::CallError>,
) -> Result<Option<(&'static str, String)>> {
    if let Some(profile) = &attributes.apparmor {
        let found = read(&format!("apparmor/{file}")).or_else(|_| read(file))?;
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
        let found = read(file)?;
        let found = found.trim_end_matches(['\0', '\n']);
        if found != label && Some(found) != selinux {
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

fn selinux(proc: &HostProc, name: &str, label: &str) -> Result<()> {
    proc.write(&format!("attr/{name}"), label).map_err(|error| {
        let unknown = error.errno == Errno::INVAL;
        let error = Error::from(error).within(format!("set SELinux label {label:?}"));
        if unknown { error.with_hint("the policy that is loaded knows no such label") } else { error }
    })
}
