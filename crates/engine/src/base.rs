//! Where the root of a container comes from: an image, or a directory of the host.

use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::ids::{self, Ids};
use crate::record::Record;
use crate::wish::{PullPolicy, Source, Wish};
use oci_spec::image::Config;
use std::path::PathBuf;
use sys::{Context, called};

/// Where the root comes from, settled.
pub struct Base {
    /// The image's configuration; empty for a directory.
    pub config: Config,
    /// Its configuration as it is written, with what docker adds to the specification.
    pub raw: Option<serde_json::Value>,
    /// The image's name, or the directory.
    pub image: String,
    /// The image's id; empty for a directory.
    pub image_id: String,
    /// Layers, lowest first; none where a directory is the root as it is.
    pub layers: Option<Vec<PathBuf>>,
    /// What has the contents of files that are marked in the layers.
    pub data: Option<PathBuf>,
    /// The directory, where it is one.
    pub directory: Option<PathBuf>,
}

impl Base {
    /// Gives the image's layers the owners that a container's ids need.
    pub fn map(&mut self, host: &Host<'_>, ids: Option<&Ids>) -> Result<()> {
        let Some(layers) = self.layers.as_mut().filter(|_| self.directory.is_none()) else { return Ok(()) };
        if let Some(mapped) = ids::layers(host, ids, &self.image, layers)? {
            (*layers, self.data) = (vec![mapped.tree], mapped.data);
        }
        Ok(())
    }
}

/// The root of a wish; its image is pulled where that is needed.
pub fn of_wish(host: &Host<'_>, wish: &Wish) -> Result<Base> {
    base(host, wish)
}

/// The root of a container that there is: the very image that it was made from.
pub fn of_record(host: &Host<'_>, record: &Record) -> Result<Base> {
    if record.image_id.is_empty() {
        return base(host, &record.wish);
    }
    let mut wish = record.wish.clone();
    wish.source = Source::Image(record.image_id.clone());
    wish.pull = PullPolicy::Never;
    wish.platform = None;
    let mut base = image_base(host, &wish, &record.image_id, false)
        .within(|| format!("image {} of container {}", record.image, record.name))?;
    base.image.clone_from(&record.image);
    base.map(host, record.ids.as_ref())?;
    Ok(base)
}

fn base(host: &Host<'_>, wish: &Wish) -> Result<Base> {
    match &wish.source {
        Source::Rootfs(rootfs) => {
            let directory = std::fs::canonicalize(&rootfs.directory)
                .map_err(called(|| format!("realpath({:?})", rootfs.directory)))
                .within(|| format!("--rootfs {}", rootfs.directory.display()))?;
            if !directory.is_dir() {
                return Err(Error::new(
                    Kind::Failed,
                    format!("--rootfs {}: not a directory", directory.display()),
                ));
            }
            let image = directory.display().to_string();
            let layers = rootfs.overlay.then(|| vec![directory.clone()]);
            Ok(Base {
                config: Config::default(),
                raw: None,
                image,
                image_id: String::new(),
                layers,
                data: None,
                directory: Some(directory),
            })
        }
        Source::Image(name) => image_base(host, wish, name, wish.platform.is_none()),
    }
}

fn image_base(host: &Host<'_>, wish: &Wish, name: &str, must_run_here: bool) -> Result<Base> {
    let image = host.images.need(name, wish.platform.as_deref(), wish.pull, host.progress)?;
    if must_run_here {
        runs_here(&image)?;
    }
    let config = image.config.config().clone().unwrap_or_default();
    let shown = image.reference.clone();
    let raw = serde_json::from_slice(&image.raw_config).ok();
    Ok(Base {
        config,
        raw,
        image: shown,
        image_id: image.id,
        layers: Some(image.layers),
        data: None,
        directory: None,
    })
}

/// An image for another kind of machine is refused, unless its platform was asked for.
fn runs_here(image: &image::Image) -> Result<()> {
    let host = image::Platform::host();
    let of = image::Platform::normal(
        &image.config.os().to_string(),
        &image.config.architecture().to_string(),
        None,
    );
    if of.os == host.os && of.architecture == host.architecture {
        return Ok(());
    }
    let message = format!("image {} is for {of}, this machine is {host}", image.reference);
    Err(Error::new(Kind::Failed, message).with_hint(format!("with an emulator installed: --platform {of}")))
}
