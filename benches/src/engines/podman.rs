//! podman, over a runtime that works here.

use super::Engine;
use crate::entry::{own_name, words};
use crate::machine::{Machine, program};
use crate::surroundings::Surroundings;
use std::path::Path;

/// What it is called with, all of its places below one.
pub fn command(place: &Path) -> Result<String, String> {
    std::fs::create_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
    let settings = place.join("containers.conf");
    // Root here may not raise limits, which podman does by default; and there may be no controller of processes.
    let text = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\npids_limit = 0\n\
                [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
    std::fs::write(&settings, text).map_err(|error| format!("{}: {error}", settings.display()))?;
    let runtime = if program("crun").is_some() { "crun" } else { "runc" };
    let at = place.display();
    Ok(format!(
        "CONTAINERS_CONF={at}/containers.conf podman --runtime {runtime} --root {at}/root --runroot {at}/run --tmpdir {at}/tmp"
    ))
}

/// With crun, which raises a limit that root may not.
pub fn engine(machine: &Machine, image: &Path, answered: &Surroundings) -> Result<Engine, String> {
    let command = command(&machine.work.join("podman"))?;
    let run = |network: &str| {
        format!("{command} run --rm --cgroup-parent /{} --network {network} bench:1 /bin/true", own_name())
    };
    Ok(Engine {
        who: "podman",
        surroundings: answered.clone(),
        load: vec![words(&format!("{command} load -i {}", image.display()))],
        run: run("none"),
        bridge: Some(run("bridge")),
        detached: format!(
            "{command} run -d --name @id --cgroup-parent /{} --network none bench:1 /bin/sleep 100000",
            own_name()
        ),
        remove: vec![words(&format!("{command} rm -f -t 0 @id"))],
        daemons: Vec::new(),
    })
}
