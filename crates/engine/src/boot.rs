//! What comes back after the machine has been started anew, and the one unit of systemd that sees to it.

use crate::control;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::life::Status;
use crate::record::{self, Listed};
use crate::remove;
use crate::start::start_again;
use crate::stop;
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

/// What ran when the machine went down has ended, and nobody has seen it: what is left of it is given back, and containers that
/// were to be removed with their end are. The names of those that are to come back, in the order in which they were made: a later
/// one may need an earlier.
pub fn settle(host: &Host<'_>) -> Result<Vec<String>> {
    let mut listed = record::list(host.paths)?;
    listed.reverse();
    for one in &listed {
        if let Err(error) = settle_one(host, &one.record.id) {
            (host.warn)(&error.to_string());
        }
    }
    Ok(listed.into_iter().filter(comes_back).map(|one| one.record.name).collect())
}

/// What one container still has that ended together with its supervisor; any other stays as it is.
pub(crate) fn settle_one(host: &Host<'_>, id: &str) -> Result<()> {
    let listed = record::get(host.paths, id)?;
    if listed.status != Status::Exited || listed.life.exit_code.is_some() {
        return Ok(());
    }
    // Whoever has the lock sees to it.
    let Some(_lock) = control::try_lock(host.paths, id)? else { return Ok(()) };
    match listed.record.wish.remove {
        true => remove::discard(host.paths, id, true),
        false => stop::settle(host.paths, id),
    }
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

/// A word of a unit, quoted; systemd.syntax(7), and its specifiers begin with a percent sign.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// The text of the unit; `program` is this one, `variables` say where its data is, unless it is where it always is.
fn unit(program: &Path, rootless: bool, variables: &[(&str, String)]) -> String {
    let (order, wanted_by) = match rootless {
        true => ("", "default.target"),
        false => ("Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target"),
    };
    let environment: String = variables
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    // The supervisors are processes of the unit: when the machine goes down, systemd sends them SIGTERM, and each of them ends its
    // container as `stop` does. Without root the containers are cgroups of the unit, and need its controllers.
    format!(
        "[Unit]\nDescription=Containers that come back with the machine\n{order}\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\n{environment}ExecStart={} system boot\nDelegate=yes\nTimeoutStopSec=90\n\n\
         [Install]\nWantedBy={wanted_by}\n",
        quoted(&program.display().to_string()),
    )
}

/// Writes the unit and has systemd enable it; where the unit is.
pub fn enable(rootless: bool) -> Result<PathBuf> {
    is_run_by_systemd()?;
    let program = std::env::current_exe().map_err(called(|| "readlink(\"/proc/self/exe\")".to_owned()))?;
    let place = place(rootless)?;
    if let Some(directory) = place.parent() {
        std::fs::create_dir_all(directory).map_err(called(|| format!("mkdir({directory:?})")))?;
    }
    let variables: Vec<(&str, String)> = ["DEVOXX_ROOT", "DEVOXX_RUN", "XDG_DATA_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?)))
        .collect();
    let new = place.with_extension("service.new");
    std::fs::write(&new, unit(&program, rootless, &variables))
        .map_err(called(|| format!("write {new:?}")))?;
    std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?})")))?;
    systemctl(rootless, &["enable", UNIT])?;
    Ok(place)
}

/// Whether the unit is there.
pub fn is_enabled(rootless: bool) -> bool {
    place(rootless).is_ok_and(|place| place.exists())
}

/// Has systemd forget the unit, and removes it. What runs goes on.
pub fn disable(rootless: bool) -> Result<()> {
    let place = place(rootless)?;
    if !place.exists() {
        return Err(Error::new(
            Kind::Failed,
            format!("{} does not exist: nothing is enabled", place.display()),
        ));
    }
    is_run_by_systemd()?;
    systemctl(rootless, &["disable", UNIT])?;
    std::fs::remove_file(&place).map_err(called(|| format!("unlink({place:?})")))?;
    systemctl(rootless, &["daemon-reload"])
}

/// As sd_booted(3) has it.
pub(crate) fn is_run_by_systemd() -> Result<()> {
    match Path::new("/run/systemd/system").exists() {
        true => Ok(()),
        false => Err(Error::new(Kind::Failed, "this machine is not run by systemd")
            .with_hint("have its init run this at each start: devoxx-container system boot")),
    }
}

/// Whether systemd starts this user's units with the machine (loginctl(1), enable-linger).
pub fn lingers() -> bool {
    let name = std::env::var("USER").unwrap_or_default();
    !name.is_empty() && Path::new("/var/lib/systemd/linger").join(name).exists()
}

fn systemctl(rootless: bool, words: &[&str]) -> Result<()> {
    let mut command = std::process::Command::new("systemctl");
    command.args(rootless.then_some("--user")).args(words);
    let output = command.output().map_err(called(|| "execute systemctl".to_owned()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(Kind::Failed, format!("systemctl {}: {}", words.join(" "), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::unit;
    use std::path::Path;

    #[test]
    fn words_of_a_unit_are_quoted() {
        let variables = [("DEVOXX_ROOT", "/a \"b\" 100%\\".to_owned())];
        let text = unit(Path::new("/opt/my programs/devoxx"), true, &variables);
        assert!(text.contains("ExecStart=\"/opt/my programs/devoxx\" system boot\n"), "{text}");
        assert!(text.contains(r#"Environment="DEVOXX_ROOT=/a \"b\" 100%%\\""#), "{text}");
        assert!(text.contains("WantedBy=default.target") && !text.contains("network-online"), "{text}");
    }
}
