//! Volumes: directories of ours that outlive containers.
//!
//! ```text
//! DATA/volumes/NAME/_data         what is mounted
//! DATA/volumes/NAME/volume.json   when it was made, its labels
//! DATA/volumes/.gone-PID-NAME/    the same while it is removed
//! ```
//! Whoever makes a volume, or removes it, holds the lock of its directory: one without `_data` whose lock is free was left in the middle.

use crate::directory;
use crate::error::{Error, Kind, Result, of_image};
use crate::events::{self, Occurrences, Subject};
use crate::filter::{Filters, Pattern};
use crate::mount::VolumeMount;
use crate::paths::{Paths, make};
use crate::record::{self, Record};
use crate::{birth, disk, names};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, flock};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// When it was made (RFC 3339, with nanoseconds).
    pub created: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Whether nobody gave it a name.
    pub anonymous: bool,
    /// Its directory.
    #[serde(skip)]
    pub mountpoint: PathBuf,
}

/// The directory of a volume, made when it is missing, and whether it was.
pub fn ensure(paths: &Paths, name: &str) -> Result<(PathBuf, bool)> {
    // Those of a container are called after its id.
    let of_container = name.split_once('.').is_some_and(|(id, number)| {
        id.len() == 64 && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let volume = Volume { anonymous: of_container, ..Volume::default() };
    make_it(paths, name, volume)
}

/// Makes a volume; one that is there stays as it is. Its name, which is made up where none is given.
pub fn create_volume(paths: &Paths, name: Option<&str>, labels: &[(String, String)]) -> Result<String> {
    let made_up;
    let (name, anonymous) = match name {
        Some(name) => (checked(name)?, false),
        None => {
            made_up = names::new_id()?;
            (made_up.as_str(), true)
        }
    };
    let volume = Volume { labels: labels.to_vec(), anonymous, ..Volume::default() };
    make_it(paths, name, volume)?;
    Ok(name.to_owned())
}

fn checked(name: &str) -> Result<&str> {
    if crate::mount::is_volume_name(name) {
        return Ok(name);
    }
    Err(Error::new(Kind::Usage, format!("invalid volume name {name:?}"))
        .with_hint("use letters, digits, _, . and -, with a letter or digit first"))
}

fn make_it(paths: &Paths, name: &str, mut volume: Volume) -> Result<(PathBuf, bool)> {
    let directory = paths.volumes().join(checked(name)?);
    let data = directory.join("_data");
    if directory::is_one(&data)? {
        return Ok((data, false));
    }
    let _held = loop {
        make(&directory)?;
        if let Some(held) = lock(&directory, FlockOperation::LockShared)? {
            break held;
        }
    };
    // Of each its own: several starts may make the same volume at once, and any of them is right.
    let new = directory.join(format!("volume.json.{}.new", std::process::id()));
    let place = directory.join("volume.json");
    if !directory::has(&place)? {
        volume.created = runtime::timestamp::now();
        let text =
            serde_json::to_vec(&volume).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        std::fs::write(&new, text).map_err(called(|| format!("write {new:?}")))?;
        std::fs::rename(&new, &place).map_err(called(|| format!("rename({new:?})")))?;
    }
    match std::fs::create_dir(&data) {
        Ok(()) => {
            // Whatever the caller's umask: a volume is for every user of the container.
            rustix::fs::chmod(&data, Mode::from_raw_mode(0o755))
                .map_err(called::<Errno>(|| format!("chmod({data:?})")))?;
            events::tell(paths, Subject::Volume, "create", name, &[("driver", "local")]);
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(called(|| format!("mkdir({data:?})"))(error).into()),
    }
    Ok((data, true))
}

/// The directory of a volume, locked; none where there is none.
fn lock(directory: &Path, how: FlockOperation) -> Result<Option<OwnedFd>> {
    loop {
        let Some(opened) = birth::open(directory)? else { return Ok(None) };
        rustix::io::retry_on_intr(|| flock(&opened, how))
            .map_err(called::<Errno>(|| format!("flock({directory:?})")))?;
        // Before it was locked it may have been removed.
        if birth::is_there(&opened, directory) {
            return Ok(Some(opened));
        }
    }
}

/// Every volume, by name.
pub fn list_volumes(paths: &Paths) -> Result<Vec<Volume>> {
    let names = directory::names(&paths.volumes())?;
    let mut all: Vec<Volume> = names.iter().filter_map(|name| get_volume(paths, name).ok()).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn missing(name: &str) -> Error {
    Error::new(Kind::Failed, format!("no such volume: {name}"))
}

/// One volume.
pub fn get_volume(paths: &Paths, name: &str) -> Result<Volume> {
    let directory = paths.volumes().join(checked(name)?);
    let mountpoint = directory.join("_data");
    if !directory::is_one(&mountpoint)? {
        return Err(missing(name));
    }
    let noted = std::fs::read(directory.join("volume.json")).ok();
    let noted: Option<Volume> = noted.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(Volume { name: name.to_owned(), mountpoint, ..noted.unwrap_or_default() })
}

/// The volumes that a container has, its own among them.
pub fn volumes_of(record: &Record) -> impl Iterator<Item = &str> {
    let named = record.wish.mounts.iter().filter_map(|one| match one {
        VolumeMount::Volume { name: Some(name), .. } => Some(name.as_str()),
        _ => None,
    });
    named.chain(record.own_volumes.iter().map(String::as_str))
}

/// The containers that have a volume, by name.
pub fn users(containers: &[record::Listed], name: &str) -> Vec<String> {
    let has = |one: &&record::Listed| volumes_of(&one.record).any(|volume| volume == name);
    containers.iter().filter(has).map(|one| one.record.name.clone()).collect()
}

/// Removes a volume that no container has; one that is not there is an error, but for `force`.
pub fn remove_volume(paths: &Paths, name: &str, force: bool) -> Result<()> {
    sweep(paths);
    if !directory::is_one(&paths.volumes().join(checked(name)?).join("_data"))? && !force {
        return Err(missing(name));
    }
    let users = users(&record::list(paths)?, name);
    if let Some(user) = users.first() {
        return Err(Error::new(Kind::Failed, format!("volume {name} is in use by container {user}"))
            .with_hint(format!("remove the container first: devoxx-container rm {}", users.join(" "))));
    }
    // Another may have been faster.
    if remove(paths, name)? || force { Ok(()) } else { Err(missing(name)) }
}

const GONE: &str = ".gone-";

/// Removes a volume and all that is in it; whether there was one.
pub fn remove(paths: &Paths, name: &str) -> Result<bool> {
    let directory = paths.volumes().join(checked(name)?);
    let Some(_held) = lock(&directory, FlockOperation::LockExclusive)? else { return Ok(false) };
    // At once: should this process be killed now, no half of a volume is left, and the next removal has the rest.
    let gone = paths.volumes().join(format!("{GONE}{}-{name}", std::process::id()));
    std::fs::rename(&directory, &gone).map_err(called(|| format!("rename({directory:?}, {gone:?})")))?;
    events::tell(paths, Subject::Volume, "destroy", name, &[("driver", "local")]);
    // At any depth: a container made what is in it.
    image::remove_at(&gone).map_err(of_image)
}

/// Goes on where others were killed while they made a volume or removed one. What cannot be removed now is left to the next.
fn sweep(paths: &Paths) {
    for place in left(paths).into_iter().flatten() {
        let _left = remove_left(&place);
    }
}

/// What is left of volumes that somebody was killed at.
pub fn left(paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for name in directory::names(&paths.volumes())? {
        let place = paths.volumes().join(name);
        if is_left(&place)? {
            left.push(place);
        }
    }
    Ok(left)
}

fn is_left(place: &Path) -> Result<bool> {
    let is_gone = place.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(GONE.as_bytes()));
    Ok(is_gone || !directory::has(&place.join("_data"))?)
}

/// Removes it, unless somebody is at it, or it has become a volume.
pub fn remove_left(place: &Path) -> Result<()> {
    if let Some(_held) = lock(place, FlockOperation::NonBlockingLockExclusive)?
        && is_left(place)?
    {
        image::remove_at(place).map_err(of_image)?;
    }
    Ok(())
}

/// Says of each volume that a container has that it is mounted now, or no more.
pub fn tell_mounted(told: &mut Occurrences, record: &Record, mounted: bool) {
    let mut own = record.own_volumes.iter();
    let typed = record.wish.mounts.iter().filter_map(|mount| match mount {
        VolumeMount::Volume { name, target, read_only, .. } => Some((name.clone(), target, *read_only)),
        _ => None,
    });
    let of_image = record.image_volumes.iter().map(|target| (None, target, false));
    for (name, target, read_only) in typed.chain(of_image) {
        let Some(name) = name.or_else(|| own.next().cloned()) else { continue };
        let target = target.display().to_string();
        let access = if read_only { "false" } else { "true" };
        let driver = [("container", record.id.as_str()), ("driver", "local")];
        match mounted {
            true => {
                let all = [&driver[..], &[("destination", &target), ("read/write", access)]].concat();
                told.add(Subject::Volume, "mount", &name, &all);
            }
            false => told.add(Subject::Volume, "unmount", &name, &driver),
        }
    }
}

/// Which volumes are listed or pruned: `name`, `label`, `dangling`, `driver`.
#[derive(Debug, Clone, Default)]
pub struct VolumeFilter {
    filters: Filters,
    names: Vec<Pattern>,
    dangling: Option<bool>,
}

impl VolumeFilter {
    /// Reads `KEY=VALUE`; `known` are the keys that the command has.
    pub fn parse(texts: &[String], known: &[&str]) -> Result<Self> {
        let filters = Filters::parse_filled(texts, known)?;
        let (names, dangling) = (filters.patterns("name")?, filters.truth("dangling")?);
        Ok(Self { filters, names, dangling })
    }

    /// Those whose labels fit; of the other keys nothing is asked.
    pub fn of_labels(filters: Filters) -> Self {
        Self { filters, ..Self::default() }
    }

    /// What `all` asks for, where a command has it.
    pub fn all(&self) -> Result<bool> {
        Ok(self.filters.truth("all")?.unwrap_or(false))
    }

    /// Of one key any value has to fit, of several keys each; of labels each.
    pub fn fits(&self, volume: &Volume, in_use: bool) -> bool {
        (self.names.is_empty() || self.names.iter().any(|name| name.is_in(&volume.name)))
            && self.filters.any("driver", |value| value == "local")
            && self.dangling.is_none_or(|wanted| wanted != in_use)
            && self.filters.fit_labels(&volume.labels)
    }
}

/// Removes volumes that no container has: those without a name, with `all` any. Their names, and how many bytes are free now.
pub fn prune_volumes(paths: &Paths, all: bool, filter: &VolumeFilter) -> Result<(Vec<String>, u64)> {
    sweep(paths);
    let containers = record::list(paths)?;
    let (mut removed, mut bytes) = (Vec::new(), 0);
    for volume in list_volumes(paths)? {
        let in_use = !users(&containers, &volume.name).is_empty();
        if in_use || !(all || volume.anonymous) || !filter.fits(&volume, in_use) {
            continue;
        }
        let size = disk::usage(&volume.mountpoint)?;
        remove(paths, &volume.name).within(|| format!("remove volume {}", volume.name))?;
        bytes += size;
        removed.push(volume.name);
    }
    Ok((removed, bytes))
}
