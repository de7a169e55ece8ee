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
use sys::Context;

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

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Set when a person asks to stop.
    pub fn cancelled(&self) -> &AtomicBool {
        &self.cancelled
    }

    /// An image that is here, by name or id.
    pub fn get(&self, name: &str) -> Result<Image> {
        let image = self.store.find_by_name_or_id(name).map_err(of_image)?;
        image.ok_or_else(|| Error::new(Kind::Failed, format!("no such image: {name}")))
    }

    /// The labels of an image that is here.
    pub fn labels(&self, id: &str) -> Result<Vec<(String, String)>> {
        let image = self.get(id)?;
        let config = image.config.config().clone().unwrap_or_default();
        Ok(config.labels().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Looks for everything that images need; with `deep`, also at every byte.
    pub fn check(&self, deep: bool, told: &dyn Fn(&str)) -> Result<Vec<image::Problem>> {
        self.store.check(deep, told).map_err(of_image)
    }

    /// Gives an image one more name.
    pub fn tag(&self, image: &str, name: &str) -> Result<()> {
        let name = crate::commit::parse_name(name)?;
        self.store.tag(image, &name).map_err(of_image)
    }

    /// Puts an image into the registry of its name.
    pub fn push(&self, name: &str, progress: Progress<'_>) -> Result<image::Pushed> {
        let to = crate::commit::parse_name(name)?;
        let image = self.get(&to.to_string())?;
        let options = image::PushOptions {
            progress,
            cancelled: &self.cancelled,
            credentials: CredentialSource::File(self.credentials.clone()),
        };
        image::push(&self.store, &image, &to, &options).map_err(of_image)
    }

    /// The tags of a repository that are here, as full names.
    pub fn tags_of(&self, repository: &str) -> Result<Vec<String>> {
        let wanted = Reference::parse(repository).map_err(|error| error.recast(|_| Kind::Usage))?;
        let names = self.list()?.into_iter().filter_map(|image| image.reference);
        let of = |name: &String| Reference::parse(name).is_ok_and(|known| known.name() == wanted.name());
        let found: Vec<String> = names.filter(of).collect();
        if found.is_empty() {
            return Err(Error::new(Kind::Failed, format!("no image of the repository {repository} is here")));
        }
        Ok(found)
    }

    /// Writes images into one archive.
    pub fn save(&self, images: &[String], format: image::Format, out: &mut dyn std::io::Write) -> Result<()> {
        let mut saved: Vec<image::Saved> = Vec::new();
        for text in images {
            let image = self.get(text)?;
            // An id names no name.
            let name = Reference::parse(text)
                .ok()
                .filter(|name| name.digest.is_none() && image.reference == name.to_string());
            match saved.iter_mut().find(|known| known.image.manifest_digest == image.manifest_digest) {
                Some(known) => known.names.extend(name),
                None => saved.push(image::Saved { image, names: name.into_iter().collect() }),
            }
        }
        image::save(&self.store, &saved, format, out).map_err(of_image)
    }

    /// Loads the images of a file, a directory, or of `input`; their names, or ids where they have none.
    pub fn load(&self, path: Option<&Path>, input: &mut dyn std::io::Read) -> Result<Vec<String>> {
        image::load(&self.store, path, input, &self.cancelled).map_err(of_image).within(|| match path {
            Some(path) => format!("load {}", path.display()),
            None => "load".to_owned(),
        })
    }

    /// The steps that made an image, the last first.
    pub fn history(&self, name: &str) -> Result<Vec<Step>> {
        let image = self.get(name)?;
        let config: serde_json::Value = serde_json::from_slice(&image.raw_config)
            .map_err(|error| Error::new(Kind::Failed, format!("config of {name}: {error}")))?;
        let mut layers = image.config.rootfs().diff_ids().iter();
        let text = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
        let mut steps: Vec<Step> = Vec::new();
        for step in config["history"].as_array().into_iter().flatten() {
            let empty = step["empty_layer"].as_bool().unwrap_or(false);
            let layer = if empty { None } else { layers.next() };
            steps.push(Step {
                id: None,
                created: text(step, "created"),
                created_by: text(step, "created_by"),
                comment: text(step, "comment"),
                size: layer.map_or(0, |layer| self.store.size_of(layer)),
            });
        }
        // Layers that no step tells of.
        steps.extend(layers.map(|layer| Step {
            id: None,
            created: text(&config, "created"),
            created_by: String::new(),
            comment: String::new(),
            size: self.store.size_of(layer),
        }));
        if let Some(last) = steps.last_mut() {
            last.id = Some(image.id);
        }
        steps.reverse();
        Ok(steps)
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
        let mounted = crate::image_mount::mounted_images(paths)?;
        if let Some(image) = self.store.find_by_name_or_id(name).ok().flatten()
            && let Some((_, at)) = mounted.iter().find(|(id, _)| *id == image.id)
        {
            return Err(Error::new(Kind::Failed, format!("image {name} is mounted at {}", at.display()))
                .with_hint(format!("devoxx-container image unmount {name}")));
        }
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

/// A step that made an image.
#[derive(Debug, Clone)]
pub struct Step {
    /// The image's id, at the last step.
    pub id: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// What made it.
    pub created_by: String,
    /// What its maker noted.
    pub comment: String,
    /// Bytes of the files of its layer.
    pub size: u64,
}

/// Checks credentials at the registry and keeps them.
pub fn login(config: &Path, registry: &str, user: &str, password: &str) -> Result<()> {
    image::credentials::login(config, registry, user, password).map_err(of_image)
}

/// Forgets credentials; whether there were any.
pub fn logout(config: &Path, registry: &str) -> Result<bool> {
    image::credentials::logout(config, registry).map_err(of_image)
}
