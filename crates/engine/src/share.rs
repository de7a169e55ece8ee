//! What a container shares: namespaces and memory of the host or of another container, the volumes of others.

use crate::error::{Error, Kind, Result};
use crate::life::Status;
use crate::mount::VolumeMount;
use crate::paths::{Paths, make};
use crate::record::{self, Listed, Record};
use crate::wish::{Namespace, Wish};
use rustix::fs::Mode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// Namespaces of other containers that this one joins: kind and path.
pub fn namespaces(paths: &Paths, record: &Record) -> Result<Vec<(&'static str, PathBuf)>> {
    let sharing = &record.wish.sharing;
    let mut joined = Vec::new();
    for (kind, file, one) in
        [("pid", "pid", &sharing.pid), ("ipc", "ipc", &sharing.ipc), ("uts", "uts", &sharing.uts)]
    {
        if let Namespace::Container(name) = one {
            let pid = running(paths, name).within(|| format!("--{kind} container:{name}"))?.1;
            joined.push((kind, PathBuf::from(format!("/proc/{pid}/ns/{file}"))));
        }
    }
    if let Some(id) = record.ids.as_ref().and_then(|ids| ids.joined.as_ref()) {
        let pid = running(paths, id).within(|| "--userns container")?.1;
        joined.push(("user", PathBuf::from(format!("/proc/{pid}/ns/user"))));
    }
    Ok(joined)
}

fn running(paths: &Paths, name: &str) -> Result<(String, i32)> {
    let Listed { record, status, .. } = record::get(paths, name)?;
    let state = runtime::state::read(&paths.states(), &record.id).ok();
    match (status, state.and_then(|state| state.init)) {
        (Status::Running | Status::Paused, Some(init)) => Ok((record.id, init.pid)),
        _ => Err(Error::new(Kind::Failed, format!("container {name} is not running: it is {status}"))),
    }
}

/// Where memory that is shared by name is, when it is not the container's alone.
pub fn memory(paths: &Paths, id: &str, wish: &Wish, shareable: bool) -> Result<Option<PathBuf>> {
    match &wish.sharing.ipc {
        Namespace::Host => Ok(Some("/dev/shm".into())),
        Namespace::Container(name) => {
            let (id, _) = running(paths, name)?;
            let directory = shared(paths, &id);
            if directory.is_dir() {
                return Ok(Some(directory));
            }
            Err(Error::new(Kind::Failed, format!("--ipc container:{name}: its memory is not shareable"))
                .with_hint("start it with --ipc shareable"))
        }
        Namespace::Own if shareable => {
            let directory = shared(paths, id);
            make(&directory)?;
            rustix::fs::chmod(&directory, Mode::from_raw_mode(0o1777))
                .map_err(called::<Errno>(|| format!("chmod({directory:?})")))?;
            Ok(Some(directory))
        }
        Namespace::Own => Ok(None),
    }
}

/// In a tmpfs, as /dev/shm is; it goes with the supervisor's directory.
fn shared(paths: &Paths, id: &str) -> PathBuf {
    paths.supervisors().join(id).join("shm")
}

/// The mounts of a wish, with those of the containers that it takes volumes from.
pub fn mounts(paths: &Paths, wish: &Wish) -> Result<Vec<VolumeMount>> {
    let mut all = wish.mounts.clone();
    for (name, read_only) in &wish.sharing.volumes_from {
        let other = record::get(paths, name).within(|| format!("--volumes-from {name}"))?.record;
        let mut own = other.own_volumes.iter();
        let typed = other.wish.mounts.iter().map(|one| match one {
            VolumeMount::Volume { name: None, target, fill, .. } => VolumeMount::Volume {
                name: own.next().cloned(),
                target: target.clone(),
                read_only: false,
                fill: *fill,
                subpath: None,
            },
            one => one.clone(),
        });
        let mut theirs: Vec<VolumeMount> = typed.collect();
        theirs.extend(other.image_volumes.iter().map(|target| VolumeMount::Volume {
            name: own.next().cloned(),
            target: target.clone(),
            read_only: false,
            fill: false,
            subpath: None,
        }));
        for mut one in theirs {
            if all.iter().any(|mount| mount.target() == one.target()) {
                continue;
            }
            if let (
                true,
                VolumeMount::Volume { read_only: access, .. } | VolumeMount::Bind { read_only: access, .. },
            ) = (read_only, &mut one)
            {
                *access = true;
            }
            all.push(one);
        }
    }
    Ok(all)
}

/// Limits of block devices, whose numbers are those that they have now.
pub fn block_io(wish: &Wish) -> Result<Value> {
    let limits = &wish.limits;
    let mut all = json!({});
    let numbers = |option: &str, device: &Path| -> Result<(u32, u32)> {
        let stat = rustix::fs::stat(device)
            .map_err(called::<Errno>(|| format!("stat({device:?})")))
            .within(|| option.to_owned())?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::BlockDevice {
            return Err(Error::new(
                Kind::Failed,
                format!("{option} {}: not a block device", device.display()),
            ));
        }
        Ok((rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)))
    };
    if let Some(weight) = limits.blkio_weight {
        all["weight"] = json!(weight);
    }
    let mut weights = Vec::new();
    for (device, weight) in &limits.blkio_weight_devices {
        let (major, minor) = numbers("--blkio-weight-device", device)?;
        weights.push(json!({"major": major, "minor": minor, "weight": weight}));
    }
    if !weights.is_empty() {
        all["weightDevice"] = Value::Array(weights);
    }
    for one in &limits.throttles {
        let (major, minor) = numbers("--device-read-bps and its kin", &one.device)?;
        let entry = json!({"major": major, "minor": minor, "rate": one.rate});
        match all[&one.list].as_array_mut() {
            Some(list) => list.push(entry),
            None => all[&one.list] = json!([entry]),
        }
    }
    Ok(all)
}
