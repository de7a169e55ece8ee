//! What comes back after the machine has been started anew, and the one unit of systemd that sees to it.

use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::life::Status;
use crate::record::{self, Listed};
use crate::start::start_again;
use crate::wish::Restart;
use std::path::{Path, PathBuf};
use sys::called;

/// Whether a container is to be started with the machine: always, or unless somebody ended it.
fn comes_back(listed: &Listed) -> bool {
    let down = matches!(listed.status, Status::Exited | Status::Created) && listed.life.started.is_some();
    down && match listed.record.wish.restart {
        Restart::Always => true,
        Restart::UnlessStopped => !listed.life.stopped,
        Restart::No | Restart::OnFailure(_) => false,
    }
}

/// The names of all containers that are to come back, in the order in which they were made: a later one may need an earlier.
pub fn all(host: &Host<'_>) -> Result<Vec<String>> {
    let mut listed = record::list(host.paths)?;
    listed.reverse();
    Ok(listed.into_iter().filter(comes_back).map(|one| one.record.name).collect())
}

/// Starts one that is to come back.
pub fn start(host: &Host<'_>, name: &str) -> Result<()> {
    start_again(host, name, None).map(drop)
}

/// The name of the unit.
const UNIT: &str = "devoxx-container.service";

/// Where systemd looks for it: its own directory for root, that of the user otherwise.
fn place(rootless: bool) -> Result<PathBuf> {
    if !rootless {
        return Ok(Path::new("/etc/systemd/system").join(UNIT));
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let config = config.ok_or_else(|| Error::new(Kind::Failed, "HOME is not set"))?;
    Ok(config.join("systemd/user").join(UNIT))
}

/// The text of the unit; `program` is this one.
pub fn unit(program: &Path, rootless: bool) -> String {
    let (after, wanted_by) = match rootless {
        true => ("default.target", "default.target"),
        false => ("network-online.target", "multi-user.target"),
    };
    let wants = if rootless { "" } else { "Wants=network-online.target\n" };
    // The supervisors are processes of the unit: when the machine goes down, systemd sends them SIGTERM, and each of them ends its
    // container as `stop` does.
    format!(
        "[Unit]\nDescription=Containers that are to run always\n{wants}{}\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={} system boot\nDelegate=yes\nTimeoutStopSec=90\n\n\
         [Install]\nWantedBy={wanted_by}\n",
        if rootless { String::new() } else { format!("After={after}") },
        program.display()
    )
}

/// Writes the unit; where it is, and the command of systemctl that is still to be given.
pub fn enable(rootless: bool) -> Result<(PathBuf, Vec<&'static str>)> {
    let program = std::env::current_exe().map_err(called(|| "readlink(\"/proc/self/exe\")".to_owned()))?;
    let place = place(rootless)?;
    if let Some(directory) = place.parent() {
        std::fs::create_dir_all(directory).map_err(called(|| format!("mkdir({directory:?})")))?;
    }
    let new = place.with_extension("service.new");
    std::fs::write(&new, unit(&program, rootless)).map_err(called(|| format!("write {new:?}")))?;
    std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?})")))?;
    Ok((place, systemctl(rootless, "enable")))
}

/// Removes the unit; the command of systemctl that has to be given before.
pub fn disable(rootless: bool) -> Result<(PathBuf, Vec<&'static str>)> {
    Ok((place(rootless)?, systemctl(rootless, "disable")))
}

fn systemctl(rootless: bool, verb: &'static str) -> Vec<&'static str> {
    let mut words = vec!["systemctl"];
    if rootless {
        words.push("--user");
    }
    words.extend([verb, UNIT]);
    words
}
