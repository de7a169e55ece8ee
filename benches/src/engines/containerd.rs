//! containerd, and ctr that asks it.

use super::{Daemon, Engine};
use crate::entry::{own_name, words};
use crate::machine::Machine;
use crate::surroundings::Surroundings;
use std::path::{Path, PathBuf};

/// A containerd with all of its places below one.
pub struct Containerd {
    /// The process.
    pub daemon: Daemon,
    /// Where it is asked.
    pub socket: PathBuf,
}

impl Containerd {
    /// Starts it; `data` may be on another file system.
    pub fn start(place: &Path, data: &Path) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("{}: {error}", place.display());
        std::fs::create_dir_all(place).map_err(text)?;
        let (at, data) = (place.display(), data.display());
        let settings = place.join("config.toml");
        let config = format!(
            "version = 2\nroot = \"{data}\"\nstate = \"{at}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{at}/socket\"\n[ttrpc]\naddress = \"{at}/ttrpc\"\n"
        );
        std::fs::write(&settings, config).map_err(text)?;
        let command = words(&format!("containerd --config {}", settings.display()));
        let socket = place.join("socket");
        let daemon = Daemon::start(&command, &place.join("log"), &socket)?;
        Ok(Self { daemon, socket })
    }

    /// What it is asked with.
    pub fn ctr(&self) -> String {
        // The namespace is the name of the cgroup as well.
        format!("ctr --address {} --namespace {}", self.socket.display(), own_name())
    }
}

/// With the runtime that it has by itself.
pub fn engine(machine: &Machine, image: &Path) -> Result<Engine, String> {
    let place = machine.work.join("containerd");
    let started = Containerd::start(&place, &place.join("root"))?;
    let ctr = started.ctr();
    // What `save` writes as bench:1 has its whole name there.
    let name = "docker.io/library/bench:1";
    Ok(Engine {
        who: "ctr",
        surroundings: Surroundings::default(),
        load: vec![words(&format!("{ctr} image import {}", image.display()))],
        run: format!("{ctr} run --rm --cpu-shares 0 {name} @id /bin/true"),
        bridge: None,
        detached: format!("{ctr} run -d --cpu-shares 0 {name} @id /bin/sleep 100000"),
        remove: vec![
            words(&format!("{ctr} task delete --force @id")),
            words(&format!("{ctr} container delete @id")),
        ],
        daemons: vec![started.daemon],
    })
}
