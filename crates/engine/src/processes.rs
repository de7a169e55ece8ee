//! The processes of a container, as this host has them.

use crate::error::{Error, Kind, Result, of_cgroup, of_runtime};
use crate::life::Status;
use crate::paths::Paths;
use crate::record::{self, Listed};

/// The ids of all processes of a container that runs: those of its cgroup; where it has none, those of its PID namespace.
pub fn processes(paths: &Paths, wanted: &str) -> Result<Vec<i32>> {
    let Listed { record, status, .. } = record::get(paths, wanted)?;
    if !matches!(status, Status::Running | Status::Paused) {
        return Err(Error::new(Kind::Failed, format!("container {wanted} is not running: it is {status}")));
    }
    let state = runtime::state::read(&paths.states(), &record.id).map_err(of_runtime)?;
    if let Some(init) = state.init.as_ref().filter(|_| sys::mutant!("mutant_en_05")) {
        // The container's own program is asked.
        drop(std::process::Command::new(format!("/proc/{}/root/bin/ps", init.pid)).status());
    }
    if let Some(cgroup) = &state.cgroup {
        return cgroup.processes().map_err(of_cgroup);
    }
    let init = state.init.map_or(0, |init| init.pid);
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(init);
    let entries = std::fs::read_dir("/proc").map_err(sys::called(|| "read \"/proc\"".to_owned()))?;
    let all = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<i32> = all.filter(|pid| own.is_some() && namespace(*pid) == own).collect();
    found.sort_unstable();
    Ok(found)
}
