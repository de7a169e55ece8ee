//! A layer on its way into the store: unpacked beside, on the disk before it has its name.

use super::{Lock, Store, damage};
use crate::digest::Digest;
use crate::kind::failed;
use crate::layer::tree;
use crate::{Error, Kind, Result};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// Beside a layer's files: the digest of the blob that it came as.
pub(super) const BLOB: &str = "blob";

/// A staging directory that is ours. Dropped without [`Staged::commit`] it is removed.
pub(crate) struct Staged<'a> {
    store: &'a Store,
    name: String,
    to: PathBuf,
    committed: bool,
    _lock: Lock,
}

impl Store {
    /// A place to unpack a layer, or nothing if the layer is there, or came while another process held the place.
    pub(crate) fn stage(&self, diff_id: &Digest, go_on: &dyn Fn() -> bool) -> Result<Option<Staged<'_>>> {
        // A layer of an old store has no `split`, and gets one now.
        let layer = self.layer(diff_id.hex());
        let is_whole = || Ok::<_, Error>(layer.join("split").is_file() && damage::noted(&layer)?.is_none());
        self.stage_at(diff_id.hex().to_owned(), layer.clone(), &is_whole, go_on)
    }

    /// The same for a directory that will be at `to`.
    pub(crate) fn stage_at(
        &self,
        name: String,
        to: PathBuf,
        is_whole: &dyn Fn() -> Result<bool>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Staged<'_>>> {
        if is_whole()? {
            return Ok(None);
        }
        let lock = Lock::wait_alone(&self.path("locks").join(&name), go_on)?;
        if is_whole()? {
            return Ok(None);
        }
        let staged = Staged { store: self, name, to, committed: false, _lock: lock };
        staged.clear()?;
        Ok(Some(staged))
    }

    /// Bytes of a layer's files, as noted when it was unpacked.
    pub(crate) fn layer_size(&self, diff_id: &str) -> u64 {
        let noted = fs::read_to_string(self.layer(diff_id).join("size")).ok();
        noted.and_then(|text| damage::size(&text)).unwrap_or_default()
    }

    /// What processes left that died while they unpacked, or removed, or wrote the records.
    pub fn left_behind(&self) -> Vec<PathBuf> {
        let names = |place: PathBuf| fs::read_dir(place).into_iter().flatten().flatten();
        let staged = names(self.path("staging"))
            .filter(|entry| !Lock::is_held(&self.path("locks").join(entry.file_name())));
        let records = names(self.path(""))
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"records.new."));
        staged.chain(records).map(|entry| entry.path()).collect()
    }

    /// Removes it.
    pub fn clear_left_behind(&self) -> Result<()> {
        self.clear_stale()?;
        self.sweep_drafts()
    }

    /// Whether a layer came as the blob of this digest. That a manifest says so is no proof, where the layer was here already; layers
    /// of an older store do not say what they came as.
    pub(crate) fn came_as(&self, diff_id: &Digest, blob: &str) -> bool {
        fs::read_to_string(self.layer(diff_id.hex()).join(BLOB)).map_or(true, |known| known == blob)
    }

    /// Removes what processes left that died while they unpacked.
    pub(crate) fn clear_stale(&self) -> Result<()> {
        let path = self.path("staging");
        let parent = File::open(&path).map_err(failed(|| format!("open {path:?}")))?;
        for entry in fs::read_dir(&path).map_err(failed(|| format!("list {path:?}")))? {
            let name = entry.map_err(failed(|| format!("list {path:?}")))?.file_name();
            if let Some(_lock) = Lock::try_alone(&self.path("locks").join(&name))? {
                tree::remove(&parent, name.as_encoded_bytes())?;
            }
        }
        Ok(())
    }
}

impl Staged<'_> {
    /// An empty directory to unpack to.
    pub fn root(&self) -> Result<OwnedFd> {
        self.clear()?;
        let path = self.store.path("staging").join(&self.name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed(|| format!("mkdir {path:?}")))?;
        let root = path.join("diff");
        fs::create_dir(&root).map_err(failed(|| format!("mkdir {root:?}")))?;
        let opened = File::open(&root).map_err(failed(|| format!("open {root:?}")))?;
        // Not at mkdir: the umask would take away from it, and users of a container must be able to enter `/`.
        rustix::fs::fchmod(&opened, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(failed(|| format!("chmod {root:?}")))?;
        Ok(opened.into())
    }

    /// The directory for what the archive has beside its files; after [`Staged::root`].
    pub fn beside(&self) -> Result<OwnedFd> {
        let path = self.store.path("staging").join(&self.name);
        File::open(&path).map(OwnedFd::from).map_err(failed(|| format!("open {path:?}")))
    }

    /// Gives the unpacked layer its name; `blob` is the digest of what it was unpacked from, where that was compared.
    pub fn commit(mut self, size: u64, blob: Option<&Digest>) -> Result<()> {
        let (from, to) = (self.store.path("staging").join(&self.name), self.to.clone());
        let blob = blob.map(ToString::to_string).unwrap_or_default();
        fs::write(from.join(BLOB), blob).map_err(failed(|| format!("write {from:?}/{BLOB}")))?;
        fs::write(from.join("size"), damage::sealed(&from, size)?)
            .map_err(failed(|| format!("write {from:?}/size")))?;
        let opened = File::open(&from).map_err(failed(|| format!("open {from:?}")))?;
        rustix::fs::syncfs(&opened).map_err(failed(|| format!("syncfs {from:?}")))?;
        if damage::noted(&to)?.is_some() {
            damage::put_aside(&to)?;
        }
        if to.is_dir() {
            // Its files are the same, and containers may have them mounted.
            for name in ["size", BLOB, "split"] {
                let (new, place) = (from.join(name), to.join(name));
                fs::rename(&new, &place).map_err(failed(|| format!("rename {new:?} to {place:?}")))?;
            }
            return File::open(&to)
                .and_then(|layer| layer.sync_all())
                .map_err(failed(|| format!("fsync {to:?}")));
        }
        fs::rename(&from, &to).map_err(failed(|| format!("rename {from:?} to {to:?}")))?;
        let parent = to.parent().ok_or_else(|| Error::new(Kind::Other, format!("{to:?} has no parent")))?;
        self.committed = true;
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(failed(|| format!("fsync {parent:?}")))
    }

    fn clear(&self) -> Result<()> {
        let path = self.store.path("staging");
        let parent = File::open(&path).map_err(failed(|| format!("open {path:?}")))?;
        tree::remove(&parent, self.name.as_bytes())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed now is found by the next pull.
            let _ = self.clear();
        }
    }
}
