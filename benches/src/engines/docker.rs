//! docker, with a daemon and a containerd of its own.

use super::{Containerd, Daemon, Engine};
use crate::entry::{own_name, words};
use crate::machine::Machine;
use crate::surroundings::Surroundings;
use std::path::Path;

/// A dockerd with all of its places below one.
pub struct Dockerd {
    /// The processes, the asking one first.
    pub daemons: Vec<Daemon>,
    /// What it is asked with.
    pub command: String,
}

impl Dockerd {
    /// Starts both; `data` may be on another file system.
    pub fn start(place: &Path, data: &Path) -> Result<Self, String> {
        let containerd = Containerd::start(&place.join("containerd"), &data.join("containerd"))?;
        let at = place.display();
        let command = format!(
            "dockerd --host unix://{at}/socket --containerd {} --data-root {} --exec-root {at}/exec --pidfile {at}/pid \
             --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /{}",
            containerd.socket.display(),
            data.join("docker").display(),
            own_name()
        );
        let daemon = Daemon::start(&words(&command), &place.join("log"), &place.join("socket"))?;
        let command = format!("docker --host unix://{at}/socket");
        Ok(Self { daemons: vec![daemon, containerd.daemon], command })
    }
}

/// With the runtime that it has by itself.
pub fn engine(machine: &Machine, image: &Path) -> Result<Engine, String> {
    let place = machine.work.join("docker");
    let Dockerd { daemons, command } = Dockerd::start(&place, &place.join("data"))?;
    let run = |network: &str| format!("{command} run --rm --network {network} bench:1 /bin/true");
    Ok(Engine {
        who: "docker",
        surroundings: Surroundings::default(),
        load: vec![words(&format!("{command} load -i {}", image.display()))],
        run: run("none"),
        bridge: Some(run("bridge")),
        detached: format!("{command} run -d --name @id --network none bench:1 /bin/sleep 100000"),
        remove: vec![words(&format!("{command} rm -f @id"))],
        daemons,
    })
}
