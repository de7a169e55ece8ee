//! Devices by the Container Device Interface: `--device vendor.com/class=name` and `--gpus`.
//!
//! A vendor's spec files say what a device is for a container: nodes, mounts, variables, hooks. They are read anew at each start,
//! because what is on a machine changes.

mod edits;
mod gpus;
mod name;
mod spec;
mod version;
mod yaml;

pub use edits::{Edited, apply};
pub use gpus::parse_gpus;
pub use name::Name;

use crate::error::{Error, Kind, Result};
use crate::wish::Wish;
pub use spec::Edits;
use spec::Spec;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use sys::{Context, called};

/// Where spec files are; a later directory takes precedence.
const DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];
/// The longest file that is read, in bytes.
const LONGEST: u64 = 4 << 20;
/// More files than this are a mistake.
const MOST: usize = 1000;

/// The directories that a colon-separated list names; those of the specification where it is empty.
pub fn directories(list: Option<&str>) -> Result<Vec<PathBuf>> {
    let all: Vec<PathBuf> =
        list.unwrap_or_default().split(':').filter(|one| !one.is_empty()).map(PathBuf::from).collect();
    match all.iter().find(|one| !one.is_absolute()) {
        Some(one) => Err(Error::new(Kind::Usage, format!("CDI directory {one:?} is not an absolute path"))),
        None => Ok(all),
    }
}

/// A file that was read.
struct File {
    path: PathBuf,
    /// Later directories have a higher one.
    precedence: usize,
    spec: Spec,
}

/// What there is, and what could not be read.
struct Known {
    files: Vec<File>,
    broken: Vec<Error>,
    directories: Vec<PathBuf>,
}

/// The edits that a wish asks for.
pub fn of_wish(wish: &Wish) -> Result<Vec<Edits>> {
    let names = wish.cdi.iter().map(|name| Name::parse(name)).collect::<Result<Vec<_>>>()?;
    resolve(&wish.cdi_directories, &names)
}

/// The edits of devices by name, in their order, each preceded by what comes with any device of its file.
fn resolve(directories: &[PathBuf], names: &[Name]) -> Result<Vec<Edits>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let known = load(directories)?;
    let mut edits = Vec::new();
    let (mut seen, mut files) = (BTreeSet::new(), BTreeSet::new());
    for name in names {
        let (file, device) = known.find(name)?;
        if seen.insert(name) {
            if files.insert(&file.path) {
                edits.push(file.spec.container_edits.clone());
            }
            edits.push(device.clone());
        }
    }
    Ok(edits)
}

fn load(directories: &[PathBuf]) -> Result<Known> {
    let directories = match directories {
        [] => DIRECTORIES.map(PathBuf::from).to_vec(),
        some => some.to_vec(),
    };
    let mut known = Known { files: Vec::new(), broken: Vec::new(), directories };
    for (precedence, directory) in known.directories.iter().enumerate() {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(called(|| format!("read {directory:?}"))).within(|| "CDI")?,
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "json" || kind == "yaml"));
        paths.sort();
        if paths.len() > MOST {
            return Err(Error::new(
                Kind::Failed,
                format!("{} has more than {MOST} CDI specs", directory.display()),
            ));
        }
        for path in paths {
            match read(&path) {
                Ok(spec) => known.files.push(File { path, precedence, spec }),
                Err(error) => known.broken.push(error),
            }
        }
    }
    Ok(known)
}

fn read(path: &Path) -> Result<Spec> {
    let read = || -> Result<Spec> {
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
            .map_err(called(|| format!("read {path:?}")))?;
        if text.len() as u64 > LONGEST {
            return Err(Error::new(Kind::Failed, format!("longer than {LONGEST} bytes")));
        }
        let wrong = |error: serde_json::Error| {
            Error::new(Kind::Failed, error.to_string().chars().take(300).collect::<String>())
        };
        let value = match path.extension() {
            // JSON is YAML as well, and there a name that is twice is found.
            Some(kind) if kind == "json" => {
                let _well_formed: serde::de::IgnoredAny = serde_json::from_str(&text).map_err(wrong)?;
                yaml::read(&text)?
            }
            _ => yaml::read(&text)?,
        };
        let spec: Spec = serde_json::from_value(value).map_err(wrong)?;
        spec.check().map_err(|why| Error::new(Kind::Failed, why))?;
        Ok(spec)
    };
    read().within(|| format!("CDI spec {}", path.display()))
}

impl Known {
    fn find(&self, name: &Name) -> Result<(&File, &Edits)> {
        let of_kind: Vec<&File> = self.files.iter().filter(|file| file.spec.kind == name.kind).collect();
        let device = |file: &&File| file.spec.devices.iter().any(|device| device.name == name.device);
        let have: Vec<&File> = of_kind.iter().copied().filter(|file| device(file)).collect();
        let highest = have.iter().map(|file| file.precedence).max();
        let mut best = have.iter().filter(|file| Some(file.precedence) == highest);
        match (best.next(), best.next()) {
            (Some(file), None) => {
                let device = file.spec.devices.iter().find(|device| device.name == name.device);
                let device = device.ok_or_else(|| self.missing(name, &of_kind))?;
                Ok((file, &device.container_edits))
            }
            (Some(one), Some(other)) => Err(Error::new(
                Kind::Failed,
                format!("CDI device {name} is in both {} and {}", one.path.display(), other.path.display()),
            )
            .with_hint("remove one of the two, or put it into a directory of higher precedence")),
            (None, _) => Err(self.missing(name, &of_kind)),
        }
    }

    /// There may be others of the kind, or a file that cannot be read may have it.
    fn missing(&self, name: &Name, of_kind: &[&File]) -> Error {
        let looked: Vec<String> = self.directories.iter().map(|one| one.display().to_string()).collect();
        let message = format!("no CDI spec in {} has {name}", looked.join(" and "));
        if let Some(broken) = self.broken.first() {
            return Error::new(Kind::Failed, format!("{message}; {broken}"));
        }
        let mut devices: Vec<&str> =
            of_kind.iter().flat_map(|file| &file.spec.devices).map(|device| device.name.as_str()).collect();
        devices.sort_unstable();
        devices.dedup();
        let error = Error::new(Kind::Failed, message);
        let mut kinds: Vec<&str> = self.files.iter().map(|file| file.spec.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if !devices.is_empty() {
            return error.with_hint(format!("of {} there are: {}", name.kind, few(&devices)));
        }
        if !kinds.is_empty() {
            return error.with_hint(format!("there are devices of {}", few(&kinds)));
        }
        match name.kind.as_str() {
            "nvidia.com/gpu" => {
                error.with_hint("as root: nvidia-ctk cdi generate --output /etc/cdi/nvidia.yaml")
            }
            _ => error.with_hint("its vendor's software writes the spec"),
        }
    }
}

fn few(all: &[&str]) -> String {
    const SHOWN: usize = 10;
    let more = if all.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", "))
}
