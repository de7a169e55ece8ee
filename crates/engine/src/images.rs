//! Images as commands mean them: pull, list, remove, inspect.

use crate::error::{Error, Kind, Result, of_image};
use crate::events::{self, Subject};
use crate::paths::Paths;
use crate::record;
use crate::wish::PullPolicy;
use image::{CredentialSource, Event, Image, Ownership, Platform, PullOptions, Reference, Removed, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The images of this user.
pub struct Images {
    store: Store,
    credentials: PathBuf,
    cancelled: Arc<AtomicBool>,
    paths: Paths,
}

/// What listens to a pull; named so that callers can hold one.
pub type Progress<'a> = &'a (dyn Fn(Event) + Sync);

impl Images {
    /// Opens the store; `credentials` is docker's config.json, `cancelled` ends a pull when it is set.
    pub fn open(
        paths: &Paths,
        rootless: bool,
        credentials: PathBuf,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self> {
        let ownership = if rootless { Ownership::UserNamespace } else { Ownership::Root };
        let store = Store::open(&paths.images(), ownership).map_err(of_image)?;
        Ok(Self { store, credentials, cancelled, paths: paths.clone() })
    }

    /// Pulls an image by name.
    pub fn pull(&self, name: &str, platform: Option<&str>, progress: Progress<'_>) -> Result<Image> {
        let reference = Reference::parse(name).map_err(of_image)?;
        let platform = platform.map(Platform::parse).transpose().map_err(of_image)?;
        let options = PullOptions {
            platform,
            progress,
            cancelled: &self.cancelled,
            credentials: CredentialSource::File(self.credentials.clone()),
        };
        let image = image::pull(&self.store, &reference, &options).map_err(of_image)?;
        events::tell(&self.paths, Subject::Image, "pull", &image.id, &[("name", &image.reference)]);
        Ok(image)
    }

    /// The image of a wish: here, or pulled, as the policy has it.
    pub fn need(
        &self,
        name: &str,
        platform: Option<&str>,
        policy: PullPolicy,
        progress: Progress<'_>,
    ) -> Result<Image> {
        if policy == PullPolicy::Always {
            return self.pull(name, platform, progress);
        }
        if let Some(image) = self.find(name, platform)? {
            return Ok(image);
        }
        if policy == PullPolicy::Never {
            return Err(Error::new(Kind::Failed, format!("no such image: {name}"))
                .with_hint("leave out --pull=never"));
        }
        self.pull(name, platform, progress)
    }

    fn find(&self, name: &str, platform: Option<&str>) -> Result<Option<Image>> {
        let wanted = platform.map(Platform::parse).transpose().map_err(of_image)?;
        if let Ok(reference) = Reference::parse(name)
            && let Some(image) = self.store.find(&reference, wanted.as_ref()).map_err(of_image)?
        {
            return Ok(Some(image));
        }
        if wanted.is_some() {
            return Ok(None);
        }
        self.store.find_by_name_or_id(name).map_err(of_image)
    }

    /// The configuration of an image that is here, by its id.
    pub fn config(&self, id: &str) -> Option<oci_spec::image::Config> {
        self.store.find_by_name_or_id(id).ok().flatten()?.config.config().clone()
    }

    /// The raw config of an image that is here, with its names.
    pub fn inspect(&self, name: &str) -> Result<serde_json::Value> {
        let image = self.store.find_by_name_or_id(name).map_err(of_image)?;
        let image = image.ok_or_else(|| Error::new(Kind::Failed, format!("no such image: {name}")))?;
        let config: serde_json::Value = serde_json::from_slice(&image.raw_config)
            .map_err(|error| Error::new(Kind::Failed, format!("config of {name}: {error}")))?;
        Ok(serde_json::json!({
            "Id": image.id,
            "RepoTags": [image.reference],
            "RepoDigests": [image.manifest_digest],
            "Created": config.get("created"),
            "Architecture": config.get("architecture"),
            "Os": config.get("os"),
            "Size": image.size,
            "Config": config.get("config"),
            "RootFS": {"Type": "layers", "Layers": config.pointer("/rootfs/diff_ids")},
        }))
    }

    /// Every image: name, id, when it was made, size.
    pub fn list(&self) -> Result<Vec<image::Listed>> {
        self.store.list().map_err(of_image)
    }

    /// Removes an image's name, and the image with its last name; refused while a container has it.
    pub fn remove(&self, paths: &Paths, name: &str) -> Result<Removed> {
        let containers = record::list(paths)?;
        let in_use = |id: &str| {
            containers.iter().find(|one| one.record.image_id == id).map(|one| one.record.name.clone())
        };
        let removed = self.store.remove(name, &in_use).map_err(of_image)?;
        for untagged in &removed.untagged {
            events::tell(paths, Subject::Image, "untag", untagged, &[("name", untagged)]);
        }
        for deleted in &removed.deleted {
            events::tell(paths, Subject::Image, "delete", deleted, &[("name", deleted)]);
        }
        Ok(removed)
    }
}

/// Checks credentials at the registry and keeps them.
pub fn login(config: &Path, registry: &str, user: &str, password: &str) -> Result<()> {
    image::credentials::login(config, registry, user, password).map_err(of_image)
}

/// Forgets credentials; whether there were any.
pub fn logout(config: &Path, registry: &str) -> Result<bool> {
    image::credentials::logout(config, registry).map_err(of_image)
}
