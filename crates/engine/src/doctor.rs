//! `system doctor`: what is wrong on this machine, what that means, and what mends it.
//!
//! Two kinds of findings: settings of the machine, which a person changes (`settings`), and orphans, which no container has any
//! more and [`Finding::remedy`] removes (`orphans`). Looking changes nothing.

mod left;
mod orphans;
mod own_runtime;
mod pastas;
mod processes;
mod settings;

use crate::birth;
use crate::boot;
use crate::control;
use crate::error::{Result, of_image, of_network, of_runtime};
use crate::host::Host;
use crate::{id_ranges, names, networks, record, remove, volume};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use sys::called;

pub use orphans::orphans;
pub use pastas::Pastas;
use processes::Process;
pub use settings::{Machine, settings};

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What it is, by name, and what is wrong with it.
    pub what: String,
    /// What mends it, for a person to do; empty where `remedy` does.
    pub fix: String,
    remedy: Option<Remedy>,
}

/// What removes an orphan. Each can be repeated, and looks again before it does anything.
#[derive(Debug, Clone)]
enum Remedy {
    /// What a container that has ended unseen still has.
    Settle(String),
    /// A container's directory without a record.
    Torn(String),
    /// The beginning of a container.
    Unborn(String),
    /// A name without a container.
    Name(String),
    /// The runtime's record without a container.
    State(String),
    /// What devoxx-runtime left that is no container, below its own root.
    OwnRuntime(PathBuf, String),
    /// The directory of a supervisor without a container.
    Supervisor(String),
    /// The addresses and links of a container that does not run.
    Lease(String),
    /// A cgroup without processes.
    Cgroup(PathBuf),
    /// A mount in the engine's directories.
    Mount(PathBuf),
    /// The pid file of a pasta whose container is gone.
    Pasta(PathBuf),
    /// A process without a container.
    Process(Process),
    /// What is left of a container that somebody was removing.
    Gone(String),
    /// Ranges of user ids whose containers are gone.
    Ranges,
    /// What the image store's commands left that were killed.
    Store,
    /// What the kernel has of networks.
    Link(network::Orphan),
    /// What is left of a volume.
    Volume(PathBuf),
    /// A file or a directory that means nothing.
    File(PathBuf),
}

impl Finding {
    fn to_be_changed(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), remedy: None }
    }

    fn orphan(what: impl Into<String>, remedy: Remedy) -> Self {
        Self { what: what.into(), fix: String::new(), remedy: Some(remedy) }
    }

    /// Whether it is an orphan, which [`Finding::remove`] removes.
    pub fn is_orphan(&self) -> bool {
        self.remedy.is_some()
    }

    /// Removes an orphan; of any other nothing is changed.
    pub fn remove(&self, host: &Host<'_>) -> Result<()> {
        let paths = host.paths;
        match &self.remedy {
            None => Ok(()),
            Some(Remedy::Settle(id)) => boot::settle_one(host, id),
            Some(Remedy::Torn(id)) if record::read_to_remove(&paths.container(id))?.is_some() => Ok(()),
            Some(Remedy::Torn(id)) => {
                delete(&paths.container(id))?;
                control::remove(paths, id)
            }
            Some(Remedy::State(id) | Remedy::Supervisor(id)) if paths.has_container(id)? => Ok(()),
            Some(Remedy::Name(name)) => match names::owner(paths, name)? {
                Some(owner) if birth::is_gone(paths, &owner)? => names::release_left(paths, name, &owner),
                _ => Ok(()),
            },
            Some(Remedy::Unborn(id)) => birth::sweep(paths, id),
            Some(Remedy::State(id)) => {
                let failures = remove::stop_using(paths, id, None);
                let state = runtime::state::read(&paths.states(), id);
                match failures.is_empty() {
                    true => Ok(()),
                    // It is torn, and names nothing.
                    false if state.is_err_and(|error| error.kind == runtime::Kind::Invalid) => {
                        delete(&paths.states().join(id))
                    }
                    false => Err(crate::Error::new(crate::Kind::Failed, failures.join("; "))),
                }
            }
            Some(Remedy::OwnRuntime(root, id)) => {
                let warnings = runtime::leftover::remove(root, id).map_err(of_runtime)?;
                warnings.iter().for_each(|warning| (host.warn)(warning));
                Ok(())
            }
            Some(Remedy::Supervisor(id)) => control::remove(paths, id),
            Some(Remedy::Lease(id)) => networks::reap(paths, id).map(drop),
            Some(Remedy::Cgroup(path)) => remove_cgroup(path),
            Some(Remedy::Mount(path)) => {
                rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH).map_err(called::<
                    sys::Errno,
                >(
                    || format!("umount2({path:?})"),
                ))?;
                Ok(())
            }
            Some(Remedy::Process(process)) => process.kill(),
            Some(Remedy::Gone(id)) if control::is_attended(paths, id) => Ok(()),
            Some(Remedy::Gone(id)) => remove::clear_away(paths, id),
            Some(Remedy::Ranges) => id_ranges::sweep(paths),
            Some(Remedy::Store) => host.images.store().clear_left_behind().map_err(of_image),
            Some(Remedy::Link(orphan)) => {
                network::remove_orphan(&paths.network(), orphan).map_err(of_network)
            }
            Some(Remedy::Volume(place)) => volume::remove_left(place),
            Some(Remedy::File(path)) => delete(path),
            Some(Remedy::Pasta(pid_file)) => network::pasta::Pasta::of(pid_file).stop().map_err(of_network),
        }
    }
}

fn delete(directory: &Path) -> Result<()> {
    image::remove_at(directory).map(drop).map_err(of_image)
}

/// The ones beneath first: files of a cgroup are not removed, and a directory with processes is not either (EBUSY).
fn remove_cgroup(path: &Path) -> Result<()> {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path())?;
        }
    }
    let until = Instant::now() + ENDING;
    loop {
        match std::fs::remove_dir(path) {
            // Whoever was in it has been killed, and is on the way.
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(called(|| format!("rmdir({path:?})"))(error).into());
            }
            _ => return Ok(()),
        }
    }
}

/// How long a process may take to end that was killed.
const ENDING: Duration = Duration::from_secs(3);
