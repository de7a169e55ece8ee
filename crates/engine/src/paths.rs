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
use rustix::fs::{FileType, Mode, OFlags};
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

    /// Whether there is this container. What cannot be looked at is not taken for gone.
    pub fn has_container(&self, id: &str) -> Result<bool> {
        crate::directory::has(&self.container(id))
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
    let mode = if sys::mutant!("mutant_en_22") { Mode::from_raw_mode(0o755) } else { Mode::RWXU };
    match rustix::fs::mkdir(directory, mode) {
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
    let refused = |why: String| Error::new(Kind::Failed, format!("{} {why}", directory.display()));
    let us = rustix::process::geteuid().as_raw();
    let mut stat =
        rustix::fs::lstat(directory).map_err(called::<Errno>(|| format!("lstat({directory:?})")))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        // Whose it is says where it leads, now and the next time.
        if stat.st_uid != us && stat.st_uid != 0 {
            return Err(refused(format!("is a link of user {}, not of {us}", stat.st_uid)));
        }
        stat = rustix::fs::stat(directory).map_err(called::<Errno>(|| format!("stat({directory:?})")))?;
    }
    // A directory that somebody else made could be changed under us.
    if stat.st_uid != us {
        return Err(refused(format!("belongs to user {}, not to {us}", stat.st_uid)));
    }
    let mode = || format!("chmod 700 {}", directory.display());
    if stat.st_mode & 0o022 != 0 {
        return Err(refused("can be written by others".to_owned()).with_hint(mode()));
    }
    // A group may be let through (0710).
    if stat.st_mode & 0o067 == 0 || sys::mutant!("mutant_en_22") {
        return Ok(());
    }
    match stranger(directory)? {
        None => close(directory),
        Some(name) => Err(refused(format!(
            "is open to others, and {name:?} in it is not of devoxx-container: it wants a directory of its own"
        ))
        .with_hint(mode())),
    }
}

/// What there may be in the two roots; `lost+found` is at the top of a disk.
const OURS: [&str; 10] = [
    "containers",
    "events",
    "id-ranges",
    "image",
    "images",
    "lost+found",
    "network",
    "networks.socket",
    "supervisors",
    "volumes",
];

/// Something in a directory that shows it to be of somebody else too.
fn stranger(directory: &Path) -> Result<Option<String>> {
    let failed = || called(|| format!("read {directory:?}"));
    for entry in std::fs::read_dir(directory).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name().to_string_lossy().into_owned();
        if !OURS.contains(&name.as_str()) && !name.ends_with(".pasta") {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Closes one that was made by mkdir(1), or as the top of a disk: in it are programs with the rights of their owners, and what
/// containers write (CVE-2021-41091).
fn close(directory: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({directory:?})")))?;
    rustix::fs::fchmod(&opened, Mode::RWXU)
        .map_err(called::<Errno>(|| format!("fchmod({directory:?}, 0700)")))?;
    Ok(())
}
