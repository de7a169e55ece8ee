//! Images as commands mean them: pull, list, remove, inspect.

use crate::error::{Error, Kind, Result, of_image};
use crate::events::{self, Subject};
use crate::full;
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
        let pulled = image::pull(&self.store, &reference, &options).map_err(of_image);
        let image = full::explained(&self.paths, self, pulled)?;
        self.tell("pull", &image.id, &image.reference);
        Ok(image)
    }

    /// Says what happened to an image.
    pub fn tell(&self, action: &str, id: &str, name: &str) {
        events::tell(&self.paths, Subject::Image, action, id, &[("name", name)]);
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

    /// As [`Images::get`], what a name means on a platform.
    pub fn get_for(&self, name: &str, platform: Option<&str>) -> Result<Image> {
        let Some(text) = platform else { return self.get(name) };
        let wanted = Platform::parse(text).map_err(of_image)?;
        if let Some(image) = self.find(name, Some(text))? {
            return Ok(image);
        }
        let known = self.get(name)?;
        let of = Platform::normal(
            &known.config.os().to_string(),
            &known.config.architecture().to_string(),
            known.config.variant().as_deref(),
        );
        // By its id, there is one and no other.
        if wanted.fit(&of).is_some() {
            return Ok(known);
        }
        Err(Error::new(Kind::Failed, format!("image {name} is not here for {wanted}, but for {of}"))
            .with_hint(format!("devoxx-container pull --platform {wanted} {name}")))
    }

    /// Bytes of an image as registries have it, by its manifest.
    pub fn content_size(&self, manifest: &str) -> Result<u64> {
        self.store.content_size(manifest).map_err(of_image)
    }

    /// Every tag that a registry has of a repository, as full names.
    pub fn tags_in_registry(&self, repository: &str) -> Result<Vec<String>> {
        let wanted = Reference::parse(repository).map_err(|error| error.recast(|_| Kind::Usage))?;
        let bare = wanted.familiar();
        if wanted.digest.is_some()
            || (wanted.tag.is_some()
                && repository.ends_with(&format!(":{}", wanted.tag.as_deref().unwrap_or_default())))
        {
            return Err(Error::new(
                Kind::Usage,
                format!("--all-tags takes a repository, and {bare} names one image"),
            ));
        }
        let credentials = CredentialSource::File(self.credentials.clone());
        let tags = image::tags(&wanted, credentials, &self.cancelled).map_err(of_image)?;
        if tags.is_empty() {
            return Err(Error::new(Kind::Failed, format!("{} has no tags", wanted.name())));
        }
        Ok(tags.iter().map(|tag| format!("{}:{tag}", wanted.name())).collect())
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
        self.store.tag(image, &name).map_err(of_image)?;
        let name = name.to_string();
        self.tell("tag", &self.get(&name)?.id, &name);
        Ok(())
    }

    /// Puts an image into the registry of its name.
    pub fn push(&self, name: &str, platform: Option<&str>, progress: Progress<'_>) -> Result<image::Pushed> {
        let to = crate::commit::parse_name(name)?;
        let image = self.get_for(&to.to_string(), platform)?;
        let options = image::PushOptions {
            progress,
            cancelled: &self.cancelled,
            credentials: CredentialSource::File(self.credentials.clone()),
        };
        let pushed = image::push(&self.store, &image, &to, &options).map_err(of_image)?;
        self.tell("push", &image.id, &to.to_string());
        Ok(pushed)
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
    pub fn save(
        &self,
        images: &[String],
        platform: Option<&str>,
        format: image::Format,
        out: &mut dyn std::io::Write,
    ) -> Result<()> {
        let mut saved: Vec<image::Saved> = Vec::new();
        for text in images {
            let image = self.get_for(text, platform)?;
            // An id names no name.
            let name = Reference::parse(text)
                .ok()
                .filter(|name| name.digest.is_none() && image.reference == name.to_string());
            match saved.iter_mut().find(|known| known.image.manifest_digest == image.manifest_digest) {
                Some(known) => known.names.extend(name),
                None => saved.push(image::Saved { image, names: name.into_iter().collect() }),
            }
        }
        image::save(&self.store, &saved, format, out).map_err(of_image)?;
        for one in &saved {
            self.tell("save", &one.image.id, &one.image.reference);
        }
        Ok(())
    }

    /// Loads the images of a file, a directory, or of `input`; their names, or ids where they have none.
    pub fn load(
        &self,
        path: Option<&Path>,
        platform: Option<&str>,
        input: &mut dyn std::io::Read,
        progress: Progress<'_>,
    ) -> Result<Vec<String>> {
        let platform = platform.map(Platform::parse).transpose().map_err(of_image)?;
        let loaded = image::load(&self.store, path, platform.as_ref(), input, progress, &self.cancelled);
        let loaded = loaded.map_err(of_image).within(|| match path {
            Some(path) => format!("load {}", path.display()),
            None => "load".to_owned(),
        });
        let loaded = full::explained(&self.paths, self, loaded)?;
        for name in &loaded {
            self.tell("load", &self.get(name)?.id, name);
        }
        Ok(loaded)
    }

    /// The layers of an image with other owners, see [`Store::mapped`].
    pub fn mapped(
        &self,
        layers: &[PathBuf],
        key: &str,
        ids: &image::archive::Ids<'_>,
        marked: bool,
        told: &dyn Fn(),
    ) -> Result<image::Mapped> {
        self.store.mapped(layers, key, ids, marked, told, &self.cancelled).map_err(of_image)
    }

    /// The steps that made an image, the last first.
    pub fn history(&self, name: &str, platform: Option<&str>) -> Result<Vec<Step>> {
        let image = self.get_for(name, platform)?;
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

    /// The raw config of an image that is here, with its names; as it is on a platform, where one is asked for.
    pub fn inspect(&self, name: &str, platform: Option<&str>) -> Result<serde_json::Value> {
        let image = self.get_for(name, platform)?;
        let config: serde_json::Value = serde_json::from_slice(&image.raw_config)
            .map_err(|error| Error::new(Kind::Failed, format!("config of {name}: {error}")))?;
        let of: Vec<image::Listed> =
            self.list()?.into_iter().filter(|one| one.manifest == image.manifest_digest).collect();
        let familiar =
            |name: &String| Reference::parse(name).map_or_else(|_| name.clone(), |name| name.familiar());
        let tags: Vec<String> = of.iter().filter_map(|one| one.reference.as_ref()).map(familiar).collect();
        let digests: Vec<String> =
            of.first().iter().flat_map(|one| one.aliases.iter().map(familiar)).collect();
        let text = |key: &str| config.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        let history = config["history"].as_array().and_then(|steps| steps.last());
        let mut all = serde_json::json!({
            "Id": image.id,
            "RepoTags": tags,
            "RepoDigests": digests,
            "Parent": "",
            "Comment": history.and_then(|step| step["comment"].as_str()).unwrap_or_default(),
            "Created": config.get("created"),
            "Author": text("author"),
            "Architecture": config.get("architecture"),
            "Os": config.get("os"),
            "Size": image.size,
            "GraphDriver": {"Name": "overlay2", "Data": {"Layers": image.layers}},
            "Config": config.get("config"),
            "RootFS": {"Type": "layers", "Layers": config.pointer("/rootfs/diff_ids")},
        });
        if let Some(variant) = config.get("variant") {
            all["Variant"] = variant.clone();
        }
        Ok(all)
    }

    /// Every image: name, id, when it was made, size.
    pub fn list(&self) -> Result<Vec<image::Listed>> {
        self.store.list().map_err(of_image)
    }

    /// Removes an image's name, and the image with its last name; refused while a container has it. With `force` all names of an id
    /// go, and of an image that a container has that does not run, the names.
    pub fn remove(&self, paths: &Paths, name: &str, platform: Option<&str>, force: bool) -> Result<Removed> {
        let platform = platform.map(Platform::parse).transpose().map_err(of_image)?;
        let containers = record::list(paths)?;
        let mounted = crate::image_mount::mounted_images(paths)?;
        if !mounted.is_empty() {
            let ids = self.store.ids_of(name).map_err(of_image)?;
            if let Some((_, at)) = mounted.iter().find(|(id, _)| ids.contains(id)) {
                return Err(Error::new(Kind::Failed, format!("image {name} is mounted at {}", at.display()))
                    .with_hint(format!("devoxx-container image unmount {name}")));
            }
        }
        let user = |id: &str| {
            let of = || containers.iter().filter(|one| one.record.image_id == id);
            let found = of().find(|one| record::is_up(one)).or_else(|| of().next())?;
            Some(image::User { name: found.record.name.clone(), runs: record::is_up(found) })
        };
        let removal = image::Removal { platform: platform.as_ref(), force, user: &user };
        let removed = self.store.remove(name, removal).map_err(of_image)?;
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
