//! What is bound into a container: its volumes, which are made where they are missing, and directories of the host.

use crate::base::Base;
use crate::create::image_volumes;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::mount::VolumeMount;
use crate::record::Record;
use crate::volume;
use crate::wish::Wish;
use std::path::{Path, PathBuf};
use sys::called;

/// Source, target, options.
pub type Binds = Vec<(PathBuf, PathBuf, Vec<String>)>;

/// What is bound into a container.
pub struct Bound {
    /// Source, target, options.
    pub binds: Binds,
    /// Targets that are filled from the image.
    pub fill: Vec<PathBuf>,
    /// Targets of which a part of the source is bound, and which.
    pub beneath: Vec<(PathBuf, PathBuf)>,
}

/// The binds of a container, its volumes made.
pub fn binds(host: &Host<'_>, wish: &Wish, base: &Base, record: &Record) -> Result<Bound> {
    let mut binds: Binds = Vec::new();
    let mut fill = Vec::new();
    let mut own = record.own_volumes.iter();
    // With what is mounted in it, whatever that is.
    let access = |read_only: bool| if read_only { "rro" } else { "rw" }.to_owned();
    let mut beneath = Vec::new();
    let mut volume_at =
        |name: &str, target: &PathBuf, read_only: bool, fills: bool, part: Option<&Path>| -> Result<()> {
            let (source, made) = volume::ensure(host.paths, name)?;
            // With keep-id it is the user's, and so is what runs in it.
            if let Some(ids) = record.ids.as_ref().filter(|ids| made && ids.claim.is_some()) {
                ids.give(&source)?;
            }
            beneath.extend(part.map(|part| (target.clone(), part.to_owned())));
            let mut options = vec!["rbind".into(), "rprivate".into(), access(read_only)];
            // On the disk it has the ids that containers have, whatever those are outside.
            options.extend(record.ids.as_ref().filter(|ids| ids.by_mounts).map(|_| "idmap".to_owned()));
            binds.push((source, target.clone(), options));
            if fills {
                fill.push(target.clone());
            }
            Ok(())
        };
    for wanted in &wish.mounts {
        if let VolumeMount::Volume { name, target, read_only, fill, subpath } = wanted {
            let name = name.as_ref().or_else(|| own.next()).cloned().unwrap_or_default();
            volume_at(&name, target, *read_only, *fill, subpath.as_deref())?;
        }
    }
    for target in image_volumes(wish, &base.config) {
        let name = own.next().cloned().unwrap_or_default();
        volume_at(&name, &target, false, true, None)?;
    }
    for wanted in &wish.mounts {
        if let VolumeMount::Bind { source, target, read_only, make_source, options } = wanted {
            if !source.exists() {
                if !make_source {
                    return Err(Error::new(
                        Kind::Failed,
                        format!("bind source {} does not exist", source.display()),
                    )
                    .with_hint("--volume makes a missing directory, --mount does not"));
                }
                std::fs::create_dir_all(source).map_err(called(|| format!("mkdir({source:?})")))?;
            }
            let mut all = vec!["rbind".to_owned(), if *read_only { "rro" } else { "rw" }.to_owned()];
            all.extend(options.iter().cloned());
            if !options.iter().any(|option| {
                option.ends_with("shared") || option.ends_with("slave") || option.ends_with("private")
            }) {
                all.push("rprivate".to_owned());
            }
            binds.push((source.clone(), target.clone(), all));
        }
    }
    let mut targets: Vec<&PathBuf> = wish.mounts.iter().map(VolumeMount::target).collect();
    targets.sort();
    if let Some(twice) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::new(Kind::Usage, format!("two mounts at {}", twice[0].display())));
    }
    Ok(Bound { binds, fill, beneath })
}
