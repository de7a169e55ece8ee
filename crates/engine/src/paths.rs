//! Where everything is.
//!
//! ```text
//! DATA/image/            layers, manifests, configs        stays
//! DATA/containers/ID/    record, upper, work, root, etc    stays until the container is removed
//! DATA/containers/by-name/NAME -> ID
//! DATA/volumes/NAME/_data
//! DATA/network/          leases
//! DATA/events/           what happened, see `events`
//! RUN/containers/ID/     the runtime's record, in a tmpfs
//! RUN/supervisors/ID/    the supervisor's lock and socket
//! ```

use crate::error::{Error, Kind, Result};
use rustix::fs::Mode;
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// The two roots of everything.
#[derive(Debug, Clone)]
pub struct Paths {
    /// What stays.
    pub data: PathBuf,
    /// What goes with a reboot.
    pub run: PathBuf,
}

impl Paths {
    /// Makes both roots where they are missing, closed to others.
    pub fn make(data: PathBuf, run: PathBuf) -> Result<Self> {
        for directory in [&data, &run] {
            if !directory.is_absolute() {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{} is not an absolute path", directory.display()),
                ));
            }
            make_private(directory).within(|| format!("prepare {}", directory.display()))?;
        }
        let paths = Self { data, run };
        for directory in [
            paths.containers(),
            paths.names(),
            paths.volumes(),
            paths.network(),
            paths.states(),
            paths.supervisors(),
        ] {
            make(&directory)?;
        }
        crate::events::prepare(&paths)?;
        Ok(paths)
    }

    /// Every container's directory is in here.
    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    /// One link for each name, to the id that has it.
    pub fn names(&self) -> PathBuf {
        self.containers().join("by-name")
    }

    /// A container's directory.
    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// Named volumes.
    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// The address pool.
    pub fn network(&self) -> PathBuf {
        self.data.join("network")
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.data.join("image")
    }

    /// Locks and sockets of supervisors.
    pub fn supervisors(&self) -> PathBuf {
        self.run.join("supervisors")
    }

    /// The runtime's records.
    pub fn states(&self) -> PathBuf {
        self.run.join("containers")
    }
}

/// Makes a directory, and is content with one that is there.
pub fn make(directory: &Path) -> Result<()> {
    match rustix::fs::mkdir(directory, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| format!("mkdir({directory:?})"))(errno).into()),
    }
}

fn make_private(directory: &Path) -> Result<()> {
    if let Some(parent) = directory.parent()
        && !parent.exists()
    {
        std::fs::create_dir_all(parent).map_err(called(|| format!("mkdir({parent:?})")))?;
    }
    make(directory)?;
    // A directory that somebody else made could be changed under us.
    let stat = rustix::fs::stat(directory).map_err(called::<Errno>(|| format!("stat({directory:?})")))?;
    let us = rustix::process::geteuid().as_raw();
    if stat.st_uid != us {
        return Err(Error::new(
            Kind::Failed,
            format!("{} belongs to user {}, not to {us}", directory.display(), stat.st_uid),
        ));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(Error::new(Kind::Failed, format!("{} can be written by others", directory.display()))
            .with_hint(format!("chmod 700 {}", directory.display())));
    }
    Ok(())
}
