//! `--security-opt`, in docker's words: the filter of system calls, and no new privileges.

use crate::error::{Error, Kind, Result};
use crate::wish::Wish;
use oci_spec::runtime::LinuxSeccomp;
use std::io::Read;
use std::path::Path;
use sys::{Context, called};

/// The largest profile that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// What was asked, and what is so without being asked.
#[derive(Debug, Clone)]
pub struct Security {
    /// Whether execve(2) may give no more than there is.
    pub no_new_privileges: bool,
    /// The filter of system calls, if any.
    pub seccomp: Option<LinuxSeccomp>,
}

/// `seccomp=`.
enum Filter<'a> {
    Default,
    Unconfined,
    File(&'a Path),
}

/// Reads the options, and the profile that they name. `capabilities` are those of the container, with `CAP_`.
pub fn of(wish: &Wish, capabilities: &[String]) -> Result<Security> {
    let mut no_new_privileges = false;
    // Who gives up the boundary has no filter, unless he asks for one.
    let mut filter = if wish.privileged { Filter::Unconfined } else { Filter::Default };
    for option in &wish.security_opt {
        match parts(option) {
            ("no-new-privileges", None | Some("true")) => no_new_privileges = true,
            ("no-new-privileges", Some("false")) => no_new_privileges = false,
            ("seccomp", Some("unconfined")) => filter = Filter::Unconfined,
            ("seccomp", Some("builtin")) => filter = Filter::Default,
            ("seccomp", Some(path)) if !path.is_empty() => filter = Filter::File(Path::new(path)),
            ("apparmor", Some("unconfined")) | ("label", Some("disable")) => {}
            _ => return Err(unknown(option)),
        }
    }
    let seccomp = match filter {
        Filter::Default if sys::mutant!("mutant_rt_27") => None,
        Filter::Unconfined => None,
        Filter::Default => {
            let profile = seccomp::default_profile(capabilities)
                .map_err(|refused| Error::new(Kind::Failed, refused.to_string()))?;
            Some(if sys::mutant!("mutant_rt_28") { with_every_family(profile) } else { profile })
        }
        Filter::File(path) => Some(
            from_file(path, capabilities).within(|| format!("--security-opt seccomp={}", path.display()))?,
        ),
    };
    Ok(Security { no_new_privileges, seccomp })
}

/// A mutant: sockets of all families that the kernel has, AF_ALG among them.
fn with_every_family(mut profile: LinuxSeccomp) -> LinuxSeccomp {
    let mut rules = profile.syscalls().clone().unwrap_or_default();
    for rule in rules.iter_mut().filter(|rule| rule.names().iter().any(|name| name == "socket")) {
        rule.set_args(None);
    }
    profile.set_syscalls(Some(rules));
    profile
}

fn parts(option: &str) -> (&str, Option<&str>) {
    match option.split_once(['=', ':']) {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    }
}

/// Whether some option says which filter there is.
pub fn chooses_filter(options: &[String]) -> bool {
    options.iter().any(|option| parts(option).0 == "seccomp")
}

fn unknown(option: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid value {option:?} for --security-opt: not supported")).with_hint(
        "known are no-new-privileges, seccomp=FILE, seccomp=unconfined, apparmor=unconfined and label=disable",
    )
}

/// A profile as docker and podman write it. It is compiled once here, so that what is wrong with it is said about it.
fn from_file(path: &Path, capabilities: &[String]) -> Result<LinuxSeccomp> {
    let file = std::fs::File::open(path).map_err(called(|| format!("open {path:?}")))?;
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text).map_err(called(|| format!("read {path:?}")))?;
    if text.len() as u64 > LONGEST {
        return Err(Error::new(Kind::Failed, format!("longer than {LONGEST} bytes")));
    }
    let file: seccomp::File =
        serde_json::from_slice(&text).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    let refused = |refused: seccomp::Refused| Error::new(Kind::Failed, refused.to_string());
    let circumstances = seccomp::Circumstances { capabilities, kernel: kernel() };
    let profile = file.resolve(circumstances).map_err(refused)?;
    seccomp::compile(&profile, seccomp::Options::default()).map_err(refused)?;
    Ok(profile)
}

/// Version and patch level of the kernel that runs.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
