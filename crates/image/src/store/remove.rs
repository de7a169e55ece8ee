//! Removal of names and images, and of what no image refers to any more.

use super::damage::REPLACED;
use super::mapped::chain;
use super::{Lock, Record, Records, Store, lock};
use crate::kind::failed;
use crate::layer::tree;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::{Error, Kind, Result};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use sys::Context;

/// What a removal did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone.
    pub untagged: Vec<String>,
    /// Ids of images that are gone.
    pub deleted: Vec<String>,
}

/// A container that needs an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub runs: bool,
}

/// What is to be removed, and how far.
#[derive(Clone, Copy)]
pub struct Removal<'a> {
    /// Only what a name means on this platform.
    pub platform: Option<&'a Platform>,
    /// Also an image that is named in several repositories; of one that a container needs, its names alone.
    pub force: bool,
    /// Who needs the image of an id.
    pub user: &'a dyn Fn(&str) -> Option<User>,
}

impl Store {
    /// Removes a name, and with its last name the image; or by its id an image with all its names.
    pub fn remove(&self, text: &str, removal: Removal<'_>) -> Result<Removed> {
        let attempt = || {
            let removed = self.change_to_remove(&|records| forget(records, text, removal));
            if removed.as_ref().is_err_and(|error| error.kind == Kind::NotFound) {
                // Its pull may have been killed, or had no means to take away what it had begun: this is the command that removes it.
                self.sweep_after_failure()?;
            }
            let removed = removed?;
            if !removed.deleted.is_empty() {
                self.sweep()?;
            }
            Ok::<_, Error>(removed)
        };
        attempt().within(|| format!("remove image {}", text.escape_debug()))
    }

    /// The ids of the images that [`Store::remove`] finds by a text, damaged ones among them.
    pub fn ids_of(&self, text: &str) -> Result<BTreeSet<String>> {
        let ids = || {
            let records = self.records()?;
            let (Found::Name(_, digests) | Found::Id(digests)) = find(&records, text)?;
            let found = digests.iter().filter_map(|digest| records.images.get(digest));
            Ok::<BTreeSet<String>, Error>(found.map(|record| record.config.clone()).collect())
        };
        ids().within(|| format!("remove image {}", text.escape_debug()))
    }

    /// Removes every image that is wanted gone, with its names, and what no image refers to.
    pub fn prune(&self, wanted: &dyn Fn(&[super::Listed]) -> bool) -> Result<Removed> {
        let lines = self.list()?;
        let removed = self.change_to_remove(&|records| {
            let mut removed = Removed::default();
            let digests: Vec<String> = records.images.keys().cloned().collect();
            for digest in digests {
                let of: Vec<_> = lines.iter().filter(|line| line.manifest == digest).cloned().collect();
                // Names that it got in the meantime keep it.
                let known = of.iter().filter(|line| line.reference.is_some()).count();
                if of.is_empty() || records.names(&digest).len() != known || !wanted(&of) {
                    continue;
                }
                removed.untagged.extend(of.iter().filter_map(|line| line.reference.clone()));
                removed.deleted.push(of[0].id.clone());
                records.images.remove(&digest);
                for known in records.references.values_mut() {
                    known.retain(|one| *one != digest);
                }
                records.references.retain(|_, known| !known.is_empty());
            }
            Ok(removed)
        })?;
        self.sweep()?;
        Ok(removed)
    }

    /// Changes the records so that images go. On a disk that is full they cannot be written; then layers that only those images have
    /// go first. Should this process be killed in between, such an image counts as not there, and a pull mends it.
    fn change_to_remove(&self, change: &dyn Fn(&mut Records) -> Result<Removed>) -> Result<Removed> {
        let full = match self.change(change) {
            Err(error) if error.kind == Kind::Full => error,
            other => return other,
        };
        let Some(alone) = Lock::try_alone(&self.path("busy"))? else { return Err(full) };
        let mut records = self.records()?;
        let of = |records: &Records| -> BTreeSet<String> {
            records.images.values().flat_map(|record| record.layers.iter().cloned()).collect()
        };
        let before = of(&records);
        change(&mut records)?;
        for layer in before.difference(&of(&records)) {
            self.take_away("layers", layer.rsplit(':').next().unwrap_or_default().as_ref())?;
        }
        drop(alone);
        self.change(change)
    }

    /// Removes layers and blobs that no image refers to. Does nothing while a pull runs: it may be about to refer
    /// to them, and the next sweep finds them.
    fn sweep(&self) -> Result<()> {
        self.sweep_in(&["layers", "mapped", "staging", "locks", "blobs/sha256", "blobs/sha512"])?;
        self.sweep_drafts()
    }

    /// Records that never got their place.
    pub(super) fn sweep_drafts(&self) -> Result<()> {
        let _lock = Lock::wait(&self.path("lock"), lock::Hold::Alone, lock::MOMENTS)?;
        let place = self.path("");
        for entry in fs::read_dir(&place).map_err(failed(|| format!("list {place:?}")))?.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"records.new.") {
                tree::remove_at(&entry.path())?;
            }
        }
        Ok(())
    }

    /// After a pull that failed: all that it left but finished layers, from which the next one resumes.
    pub(crate) fn sweep_after_failure(&self) -> Result<()> {
        self.sweep_in(&["staging", "locks", "blobs/sha256", "blobs/sha512"])
    }

    fn sweep_in(&self, places: &[&str]) -> Result<()> {
        let Some(_alone) = Lock::try_alone(&self.path("busy"))? else { return Ok(()) };
        let records = self.records()?;
        let hex = |text: &String| text.rsplit(':').next().unwrap_or_default().to_owned();
        let layers: BTreeSet<String> =
            records.images.values().flat_map(|record| &record.layers).map(hex).collect();
        let chains: BTreeSet<String> =
            records.images.values().map(|record| chain(record.layers.iter().map(String::as_str))).collect();
        let configs = records.images.values().map(|record| &record.config);
        let blobs: BTreeSet<String> = records.images.keys().chain(configs).map(hex).collect();
        let nothing = BTreeSet::new();
        let all = [
            ("layers", &layers),
            ("mapped", &chains),
            ("staging", &nothing),
            ("locks", &nothing),
            ("blobs/sha256", &blobs),
            ("blobs/sha512", &blobs),
        ];
        for (directory, wanted) in all.into_iter().filter(|(directory, _)| places.contains(directory)) {
            let path = self.path(directory);
            let entries = match fs::read_dir(&path) {
                // Made when it is needed first.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(failed(|| format!("list {path:?}")))?,
            };
            for entry in entries {
                let name = entry.map_err(failed(|| format!("list {path:?}")))?.file_name();
                if !name.to_str().is_some_and(|name| wanted.contains(name)) {
                    self.take_away(directory, &name)?;
                } else if directory == "mapped" {
                    self.take_away_replaced(&name)?;
                }
            }
        }
        Ok(())
    }

    /// What a tree that was found to be damaged has left behind.
    fn take_away_replaced(&self, chain: &OsStr) -> Result<()> {
        let place = self.path("mapped").join(chain);
        for entry in fs::read_dir(&place).map_err(failed(|| format!("list {place:?}")))?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == REPLACED) {
                tree::remove_at(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes what has to be whole as long as it has its name, and so loses that first: whoever comes after a removal that was broken
    /// off takes none of the rest for a layer.
    fn take_away(&self, directory: &str, name: &OsStr) -> Result<()> {
        let path = self.path(directory);
        let parent = File::open(&path).map_err(failed(|| format!("open {path:?}")))?;
        if !matches!(directory, "layers" | "mapped") {
            return tree::remove(&parent, name.as_encoded_bytes());
        }
        let place = self.path("staging");
        let staging = File::open(&place).map_err(failed(|| format!("open {place:?}")))?;
        let gone = [b"gone.", name.as_encoded_bytes()].concat();
        // Of a removal that was broken off.
        tree::remove(&staging, &gone)?;
        match rustix::fs::renameat(&parent, name, &staging, &gone[..]) {
            Ok(()) => tree::remove(&staging, &gone),
            Err(Errno::NOENT) => Ok(()),
            // Some file systems need space for that, which this is to give back.
            Err(Errno::NOSPC | Errno::DQUOT) => tree::remove(&parent, name.as_encoded_bytes()),
            Err(errno) => Err(failed(|| format!("rename {:?} in {path:?}", name))(errno)),
        }
    }
}

/// What is found by a text.
enum Found {
    /// The images of a name, which goes.
    Name(String, BTreeSet<String>),
    /// An image by its id or digest.
    Id(BTreeSet<String>),
}

fn find(records: &Records, text: &str) -> Result<Found> {
    let name = Reference::parse(text).map(|reference| reference.to_string());
    if let Ok(name) = &name
        && let Some(digests) = records.references.get(name)
    {
        return Ok(Found::Name(name.clone(), digests.iter().cloned().collect()));
    }
    let of = |fits: &dyn Fn(&Record) -> bool| -> BTreeSet<String> {
        records.images.iter().filter(|(_, record)| fits(record)).map(|(digest, _)| digest.clone()).collect()
    };
    let found = match (records.id(text)?, &name) {
        (Some(id), _) => of(&|record| record.config == id),
        (None, Ok(name)) => of(&|record| record.aliases.contains(name)),
        (None, Err(_)) => BTreeSet::new(),
    };
    if !found.is_empty() {
        return Ok(Found::Id(found));
    }
    Err(match name {
        Err(error) if !super::record::is_id(text) => error,
        _ => Error::new(Kind::NotFound, "no such image"),
    })
}

fn forget(records: &mut Records, text: &str, removal: Removal<'_>) -> Result<Removed> {
    let mut removed = Removed::default();
    let fits = |records: &Records, digest: &String| {
        let of = records.images.get(digest).map(|record| &record.platform);
        removal.platform.is_none_or(|wanted| of.is_some_and(|of| wanted == of))
    };
    let mut found = find(records, text)?;
    let (Found::Name(_, digests) | Found::Id(digests)) = &mut found;
    digests.retain(|digest| fits(records, digest));
    if digests.is_empty() {
        let platform = removal.platform.map(ToString::to_string).unwrap_or_default();
        return Err(Error::new(Kind::NotFound, format!("it is not here for {platform}")));
    }
    let by_id = matches!(found, Found::Id(_));
    // Those that have no name then.
    let digests: BTreeSet<String> = match found {
        Found::Name(name, digests) => {
            let left = records.references.get_mut(&name).map(|known| {
                known.retain(|digest| !digests.contains(digest));
                known.len()
            });
            if left == Some(0) {
                records.references.remove(&name);
                removed.untagged.push(name);
            }
            digests.into_iter().filter(|digest| records.names(digest).is_empty()).collect()
        }
        Found::Id(digests) => {
            let names: BTreeSet<String> = digests.iter().flat_map(|digest| records.names(digest)).collect();
            let repository = |name: &String| Reference::parse(name).map(|name| name.name()).ok();
            let repositories: BTreeSet<String> = names.iter().filter_map(repository).collect();
            if repositories.len() > 1 && !removal.force {
                let all: Vec<String> = repositories.into_iter().collect();
                return Err(Error::new(Kind::InUse, format!("it has names in {}", all.join(" and ")))
                    .with_hint("remove it by its names, or all of them with --force"));
            }
            removed.untagged.extend(names);
            digests
        }
    };
    let mut gone = BTreeSet::new();
    for digest in &digests {
        let Some(record) = records.images.get(digest) else { continue };
        // Another manifest can be of the same image: its files and its id stay.
        let stays =
            |(other, known): (&String, &Record)| known.config == record.config && !digests.contains(other);
        if records.images.iter().any(stays) {
            gone.insert(digest.clone());
            continue;
        }
        match (removal.user)(&record.config) {
            None => {
                removed.deleted.push(record.config.clone());
                gone.insert(digest.clone());
            }
            Some(user) if !removal.force || (by_id && user.runs) => {
                return Err(Error::new(Kind::InUse, format!("container {} uses it", user.name))
                    .with_hint(format!("remove the container first: rm {}", user.name)));
            }
            // As docker: without a name, and there as long as its container.
            Some(_) => {}
        }
    }
    records.images.retain(|digest, _| !gone.contains(digest));
    for known in records.references.values_mut() {
        known.retain(|digest| !digests.contains(digest));
    }
    records.references.retain(|_, known| !known.is_empty());
    removed.untagged.dedup();
    removed.deleted.dedup();
    Ok(removed)
}
