//! An image of Debian in six layers from a registry on loopback to a store on a file system that is new each time, and what the work in
//! it would take if nothing waited for anything: inflating, both hashes and writing the files, divided by the processors.

use crate::debian::{Debian, TAG};
use crate::engines::{self, Containerd, Daemon, Dockerd};
use crate::entry::{Entry, words};
use crate::machine::{Machine, program};
use crate::report::Said;
use crate::sample::{Failure, Sample};
use crate::surroundings::Surroundings;
use std::path::Path;
use std::time::Duration;

/// The name of the work.
pub const WORK: &str = "pull and unpack of a Debian image";
/// Who does no more than the work that is in it.
pub const BOUND: &str = "inflate, hash, write / processors";

/// Hundreds of megabytes, also on a slow machine.
const LONGEST: Duration = Duration::from_secs(300);
const ADDRESS: &str = "127.0.0.1:5000";

/// So many pulls of so many layers by each; the registry is up as long as this takes.
pub fn measure(
    machine: &Machine,
    debian: &Path,
    (rounds, layers): (usize, usize),
    said: &mut Said,
) -> Result<Vec<Entry>, String> {
    if program("docker-registry").is_none() {
        said.absent.push(format!("{WORK}: docker-registry is not installed"));
        return Ok(Vec::new());
    }
    if !debian.is_file() {
        said.absent.push(format!("{WORK}: there is no {}", debian.display()));
        return Ok(Vec::new());
    }
    let place = machine.work.join("registry");
    let image = Debian::make(debian, layers, &place)?;
    said.notes.push(image.described());
    let _registry = registry(&place)?;
    let mut entries = vec![Entry::new(WORK, engines::OURS, &[])];
    let others = [("podman", "podman"), ("ctr", "containerd"), ("docker", "dockerd")];
    let there = others.iter().filter(|(_, needs)| program(needs).is_some());
    entries.extend(there.map(|(who, _)| Entry::new(WORK, who, &[])));
    for round in 0..rounds {
        // Whoever came last is first in the next round.
        let shift = round % entries.len();
        entries.rotate_left(shift);
        for entry in &mut entries {
            let sample = one(machine, &entry.who).unwrap_or_else(|why| Err(Failure::Failed(why)));
            entry.samples.push(sample);
        }
    }
    let mut bound = Entry::new(WORK, BOUND, &[]);
    for _ in 0..rounds.min(3) {
        let disk = machine.fresh_disk()?;
        bound.samples.push(image.bound(&disk.at));
    }
    entries.sort_by_key(|entry| entry.who != engines::OURS);
    entries.insert(0, bound);
    Ok(entries)
}

/// Without its own log, and read-only, so that nobody's pull makes it write.
fn registry(place: &Path) -> Result<Daemon, String> {
    let settings = place.join("config.yml");
    let config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nhttp: {{addr: '{ADDRESS}'}}\n\
         storage:\n  filesystem: {{rootdirectory: '{}'}}\n  maintenance: {{readonly: {{enabled: true}}}}\n",
        place.display()
    );
    std::fs::write(&settings, config).map_err(|error| format!("{}: {error}", settings.display()))?;
    let command = words(&format!("docker-registry serve {}", settings.display()));
    Daemon::start_at(&command, &place.join("log"), &|| std::net::TcpStream::connect(ADDRESS).is_ok())
}

/// One pull by one of them. Daemons are there before the clock starts.
fn one(machine: &Machine, who: &str) -> Result<Result<Sample, Failure>, String> {
    let disk = machine.fresh_disk()?;
    let own = disk.at.join("store");
    let (command, daemons) = match who {
        engines::OURS => (format!("{} pull -q {ADDRESS}/{TAG}", engines::ours(&own)?), Vec::new()),
        "podman" => {
            let podman = engines::podman(&own)?;
            (format!("{podman} pull -q --tls-verify=false {ADDRESS}/{TAG}"), Vec::new())
        }
        "ctr" => {
            let containerd = Containerd::start(&machine.work.join("pull-containerd"), &own)?;
            // Elsewhere it is killed while it still writes: its place is its own each time.
            (format!("{} image pull --plain-http {ADDRESS}/{TAG}", containerd.ctr()), vec![containerd.daemon])
        }
        _ => {
            let Dockerd { daemons, command } = Dockerd::start(&machine.work.join("pull-docker"), &own)?;
            (format!("{command} pull -q {ADDRESS}/{TAG}"), daemons)
        }
    };
    let patient = Surroundings { longest: Some(LONGEST), ..Surroundings::default() };
    let taken = patient.take(&[words(&command)], false);
    drop(daemons);
    Ok(taken)
}
