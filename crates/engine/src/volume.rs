//! Named volumes: directories of ours that outlive containers.

use crate::error::{Error, Kind, Result};
use crate::paths::{Paths, make};
use std::path::PathBuf;
use sys::called;

/// The directory of a volume, made when it is missing.
pub fn ensure(paths: &Paths, name: &str) -> Result<PathBuf> {
    let directory = paths.volumes().join(name);
    make(&directory)?;
    let data = directory.join("_data");
    match std::fs::create_dir(&data) {
        Ok(()) => {
            // Whatever the caller's umask: a volume is for every user of the container.
            rustix::fs::chmod(&data, rustix::fs::Mode::from_raw_mode(0o755))
                .map_err(called::<sys::Errno>(|| format!("chmod({data:?})")))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(called(|| format!("mkdir({data:?})"))(error).into()),
    }
    Ok(data)
}

/// Removes a volume and all that is in it.
pub fn remove(paths: &Paths, name: &str) -> Result<()> {
    if !crate::mount::is_volume_name(name) {
        return Err(Error::new(Kind::Usage, format!("invalid volume name {name:?}")));
    }
    let directory = paths.volumes().join(name);
    match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(called(|| format!("remove {directory:?}"))(error).into())
        }
        _ => Ok(()),
    }
}
