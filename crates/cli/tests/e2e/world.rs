//! A test host with a registry in it, and the few ways in which every test here uses them.

use std::path::PathBuf;
use testkit::{Host, Outcome, Registry, Running};

/// The image that most tests run.
pub const BUSYBOX: &str = "127.0.0.1:5000/busybox";

/// The code of a command other than `run` that failed.
pub const FAILED: i32 = 125;

/// The program under test.
pub fn program() -> PathBuf {
    std::env::var_os("DEVOXX_CONTAINER")
        .map_or_else(|| env!("CARGO_BIN_EXE_devoxx-container").into(), PathBuf::from)
}

/// A registry and the host that it is in, dropped in this order.
pub struct World {
    pub registry: Registry,
    pub host: Host,
}

impl World {
    /// Root, with the busybox image pulled.
    #[track_caller]
    pub fn root() -> Self {
        Self::with_busybox(Host::root(&program()))
    }

    /// As [`World::root`], on a host that has cgroup v2 alone.
    #[track_caller]
    pub fn cgroup2() -> Self {
        Self::with_busybox(Host::root_cgroup2_view(&program()))
    }

    /// An ordinary user, with the busybox image pulled.
    #[track_caller]
    pub fn rootless() -> Self {
        Self::with_busybox(Host::rootless(&program()))
    }

    /// Both of root and of an ordinary user.
    #[track_caller]
    pub fn both() -> [Self; 2] {
        [Self::root(), Self::rootless()]
    }

    #[track_caller]
    fn with_busybox(host: Host) -> Self {
        let world = Self::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        world
    }

    /// A host of any kind with a registry, and nothing pulled.
    #[track_caller]
    pub fn of(host: Host) -> Self {
        Self { registry: Registry::start(&host), host }
    }

    /// Whether the host has cgroup v2 alone, with this controller.
    pub fn has_cgroup2(&self, controller: &str) -> bool {
        let list = std::fs::read_to_string(self.host.path("/sys/fs/cgroup/cgroup.controllers"));
        list.is_ok_and(|list| list.split_whitespace().any(|name| name == controller))
    }

    /// `run --rm OPTIONS busybox COMMAND`.
    #[track_caller]
    pub fn run(&self, options: &[&str], command: &[&str]) -> Outcome {
        self.host.run(arguments(options, command))
    }

    /// `run --rm OPTIONS busybox sh -c SCRIPT`.
    #[track_caller]
    pub fn sh(&self, options: &[&str], script: &str) -> Outcome {
        self.run(options, &["sh", "-c", script])
    }

    /// Starts `run --rm OPTIONS busybox sh -c SCRIPT` and goes on.
    #[track_caller]
    pub fn start(&self, options: &[&str], script: &str) -> Running {
        self.host.spawn(arguments(options, &["sh", "-c", script]))
    }
}

fn arguments<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--rm"], options, &[BUSYBOX], command].concat()
}

/// Waits until a file of the host has something in it, and gives that.
#[track_caller]
pub fn await_file(host: &Host, path: &str) -> String {
    testkit::deadline::wait_for(path, || {
        std::fs::read_to_string(host.path(path))
            .ok()
            .filter(|text| text.ends_with('\n'))
            .map(|text| text.trim().to_owned())
    })
}
