//! The works of the engines: containers of an image that is there. Daemons are started by the bench, with sockets and places of their own.

mod containerd;
mod docker;
mod podman;

pub use containerd::Containerd;
pub use docker::Dockerd;
pub use podman::command as podman;

use crate::entry::{Entry, Words, own_name, words};
use crate::machine::{Machine, program};
use crate::report::Said;
use crate::runtimes::beside;
use crate::surroundings::{Surroundings, memlock_answered};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name of ours.
pub const OURS: &str = "devoxx-container";
/// The work with one container and no network.
pub const ALONE: &str = "engine run, no network";
/// The work on a bridge.
pub const BRIDGE: &str = "engine run, bridge";
/// The work of many.
pub const AT_ONCE: &str = "32 engine runs at once";

/// An engine and how it is asked here, with commands in which `@id` is the name of a container.
pub struct Engine {
    /// Its name.
    pub who: &'static str,
    /// Where its commands are run.
    pub surroundings: Surroundings,
    /// Before all others: the image.
    pub load: Vec<Words>,
    /// A run of /bin/true without a network.
    pub run: String,
    /// The same on the bridge, where it has one.
    pub bridge: Option<String>,
    /// A container that stays, without a network.
    pub detached: String,
    /// Removes what stays.
    pub remove: Vec<Words>,
    /// The daemons, which go with it.
    pub daemons: Vec<Daemon>,
}

/// A program that runs as long as this is kept.
pub struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits for its socket.
    pub fn start(command: &[String], log: &Path, socket: &Path) -> Result<Self, String> {
        // One that was there before answers nobody.
        let _none = std::fs::remove_file(socket);
        Self::start_at(command, log, &|| std::os::unix::net::UnixStream::connect(socket).is_ok())
    }

    /// Starts it, and waits until it answers.
    pub fn start_at(command: &[String], log: &Path, answers: &dyn Fn() -> bool) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("{}: {error}", command[0]);
        let said = std::fs::File::create(log).map_err(text)?;
        let errors = said.try_clone().map_err(text)?;
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(said)
            .stderr(errors)
            .spawn()
            .map_err(text)?;
        let mut daemon = Self(child);
        let until = Instant::now() + Duration::from_secs(20);
        while !answers() {
            let ended = daemon.0.try_wait().map_err(text)?.is_some();
            if ended || Instant::now() > until {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!(
                    "{}: {}",
                    command[0],
                    said.lines().last().unwrap_or("it does not answer")
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Our own program with a place below another.
pub fn ours(place: &Path) -> Result<String, String> {
    let (data, run) = (place.join("data"), place.join("run"));
    let program = beside(OURS)?;
    Ok(format!("DEVOXX_ROOT={} DEVOXX_RUN={} {}", data.display(), run.display(), program.display()))
}

/// Those of this machine, ours first. Who cannot be started is absent, and it is said why.
pub fn engines(machine: &Machine, said: &mut Said) -> Result<Vec<Engine>, String> {
    let image = image(machine)?;
    let command = ours(&machine.work)?;
    let run = |more: &str| format!("{command} run --cgroup-parent /{} {more}", own_name());
    let mut all = vec![Engine {
        who: OURS,
        surroundings: Surroundings::default(),
        load: Vec::new(),
        run: run("--rm --network none bench:1 /bin/true"),
        bridge: Some(run("--rm --network bridge bench:1 /bin/true")),
        detached: run("-d --name @id --network none bench:1 /bin/sleep 100000"),
        remove: vec![words(&format!("{command} rm -f @id"))],
        daemons: Vec::new(),
    }];
    let answered = Surroundings { filter: memlock_answered()?, ..Surroundings::default() };
    let mut take = |who: &str, needs: &[&str], start: &dyn Fn() -> Result<Engine, String>| match needs
        .iter()
        .find(|name| program(name).is_none())
    {
        Some(lacks) => said.absent.push(format!("{who}: {lacks} is not installed")),
        None => match start() {
            Ok(engine) => {
                said.notes.push(note(who, &answered));
                all.push(engine);
            }
            Err(why) => said.absent.push(format!("{who}: {why}")),
        },
    };
    take("podman", &["podman", "conmon"], &|| podman::engine(machine, &image, &answered));
    take("ctr", &["containerd", "ctr"], &|| containerd::engine(machine, &image));
    take("docker", &["dockerd", "containerd", "docker"], &|| docker::engine(machine, &image));
    Ok(all)
}

/// What is not as it is without being asked.
fn note(who: &str, answered: &Surroundings) -> String {
    match who {
        "podman" if answered.filter.is_some() => {
            "podman is over crun with the same filter as crun alone, and without a limit of processes: there is no controller for it"
        }
        "podman" => "podman is without a limit of processes: there is no controller for it",
        "ctr" => "ctr is over runc, without its weight of the processor: there is no controller for it; it has no bridge of its own",
        _ => "docker is over runc, with a containerd of its own, and has its firewall rules in the network namespace of the bench",
    }
    .to_owned()
}

/// Imports the root into our store and writes the image as an archive that everybody loads.
fn image(machine: &Machine) -> Result<PathBuf, String> {
    let (tar, image) = (machine.work.join("root.tar"), machine.work.join("image.tar"));
    let ours = ours(&machine.work)?;
    let prepared = [
        words(&format!("tar -C {} -cf {} .", machine.root.display(), tar.display())),
        words(&format!("{ours} import {} bench:1", tar.display())),
        words(&format!("{ours} save -o {} bench:1", image.display())),
    ];
    Surroundings::default().unmeasured(&prepared)?;
    Ok(image)
}

/// What each does.
pub fn entries(engines: &mut [Engine]) -> Vec<Entry> {
    let mut all = Vec::new();
    for engine in engines {
        let entry = |entry: Entry| Entry { surroundings: engine.surroundings.clone(), ..entry };
        // The image is loaded once, with the first of them.
        let load = std::mem::take(&mut engine.load);
        all.push(Entry {
            set_up: load,
            ..entry(Entry::new(ALONE, engine.who, std::slice::from_ref(&engine.run)))
        });
        all.extend(
            engine.bridge.iter().map(|run| entry(Entry::new(BRIDGE, engine.who, std::slice::from_ref(run)))),
        );
        // Seconds for some of them.
        let seldom = (engine.who != OURS).then_some(5);
        all.push(Entry { seldom, ..entry(Entry::many(AT_ONCE, engine.who, &engine.run, 32)) });
    }
    all
}
