//! Images that are made here without building: `commit` of a container's changes, `import` of a root.

use crate::error::{Error, Kind, Result, of_image};
use crate::host::Host;
use crate::life::Status;
use crate::pause::StandStill;
use crate::record::{self, Record};
use crate::wish::Wish;
use crate::{containerfile, diff, events, full};
use image::archive::{From, Options, To, transfer};
use image::{Layer, Ownership, Platform, Reference};
use serde_json::{Value, json};
use std::io::{Read, Write};
use sys::{Context, called};

/// What `commit` was asked for.
#[derive(Debug, Clone, Default)]
pub struct CommitWish {
    /// The image's name; none leaves it without.
    pub name: Option<Reference>,
    /// `-m`.
    pub message: String,
    /// `-a`.
    pub author: String,
    /// `-c`, in order.
    pub changes: Vec<String>,
    /// `-p`: the container stands still meanwhile.
    pub pause: bool,
}

/// A name that an image is given.
pub fn parse_name(text: &str) -> Result<Reference> {
    let usage = |error: image::Error| error.recast(|_| Kind::Usage);
    let name = Reference::parse(text).map_err(usage)?;
    if name.digest.is_some() {
        return Err(Error::new(Kind::Usage, format!("{text}: a name that is given has no digest")));
    }
    Ok(name)
}

/// Makes an image of what container `wanted` changed, on top of its own; the image's id.
pub fn commit(host: &Host<'_>, wanted: &str, wish: &CommitWish) -> Result<String> {
    full::explained(host.paths, host.images, commit_it(host, wanted, wish))
}

fn commit_it(host: &Host<'_>, wanted: &str, wish: &CommitWish) -> Result<String> {
    check_changes(&wish.changes)?;
    let listed = record::get(host.paths, wanted)?;
    let record = &listed.record;
    // Refused before it stands still.
    let upper = diff::upper(host, record)?;
    let image = host.images.get(&record.image_id)?;
    let store = host.images.store();
    let hold = store.hold().map_err(of_image)?;
    let pause = wish.pause && listed.status == Status::Running;
    let still = if pause { stand_still(host, record) } else { None };
    let layer = upper.map(|upper| layer_of(host, record, upper)).transpose();
    if let Some(still) = still {
        still.end(host.paths, &record.id)?;
    }
    let layer = layer.within(|| format!("commit {wanted}"))?;

    let mut layers = store.layers_of(&image).map_err(of_image)?;
    let mut whole: Value = serde_json::from_slice(&image.raw_config)
        .map_err(|error| Error::new(Kind::Failed, format!("configuration of {}: {error}", record.image)))?;
    let mut config = whole["config"].take();
    if !config.is_object() {
        config = json!({});
    }
    of_container(&mut config, &record.wish);
    for line in &wish.changes {
        containerfile::apply(&mut config, line)?;
    }
    let now = runtime::timestamp::now();
    let mut history = json!({"created": now, "created_by": record.command.join(" ")});
    for (key, text) in [("comment", &wish.message), ("author", &wish.author)] {
        if !text.is_empty() {
            history[key] = json!(text);
        }
    }
    if layer.is_none() {
        history["empty_layer"] = json!(true);
    }
    push_to(&mut whole, "history", history);
    if !wish.author.is_empty() {
        whole["author"] = json!(wish.author);
    }
    whole["created"] = json!(now);
    whole["config"] = config;
    if let Some(object) = whole.as_object_mut() {
        // Of docker's builder; they would tell of another container.
        for key in ["container", "container_config", "id", "parent"] {
            object.remove(key);
        }
    }
    if let Some(layer) = layer {
        push_to(&mut whole["rootfs"], "diff_ids", json!(layer.id()));
        layers.push(layer);
    }
    let id = keep(host, &whole, &layers, wish.name.as_ref());
    drop(hold);
    let id = id.within(|| format!("commit {wanted}"))?;
    let name = wish.name.as_ref().map(Reference::to_string).unwrap_or_default();
    events::of_container(host.paths, record, "commit", &[("imageID", &id), ("imageRef", &name)]);
    Ok(id)
}

fn push_to(value: &mut Value, key: &str, entry: Value) {
    match &mut value[key] {
        Value::Array(list) => list.push(entry),
        other => *other = json!([entry]),
    }
}

fn keep(host: &Host<'_>, config: &Value, layers: &[Layer], name: Option<&Reference>) -> Result<String> {
    let text = serde_json::to_vec(config).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    host.images.store().keep_image(&text, layers, name).map_err(of_image)
}

/// Whether the lines of `--change` can be understood, before anything is done.
pub fn check_changes(lines: &[String]) -> Result<()> {
    lines.iter().try_for_each(|line| containerfile::apply(&mut json!({}), line))
}

/// Whether it could be frozen: without a cgroup it cannot, and goes on.
fn stand_still(host: &Host<'_>, record: &Record) -> Option<StandStill> {
    StandStill::begin(host.paths, &record.id).unwrap_or_else(|error| {
        (host.warn)(&format!("container {} is not paused: {error}", record.name));
        None
    })
}

/// The upper directory of an overlay as a layer.
fn layer_of(host: &Host<'_>, record: &Record, upper: rustix::fd::OwnedFd) -> Result<Layer> {
    let ownership = if host.rootless.is_some() { Ownership::UserNamespace } else { Ownership::Root };
    let skip = |path: &[u8], stat: &rustix::fs::Stat| diff::is_place(path, stat);
    let ours = record.ids.as_ref().filter(|ids| !ids.by_mounts);
    let inside = |uid, gid| ours.map_or((uid, gid), |ids| ids.inside(uid, gid));
    let options = Options {
        ids: Some(&inside),
        marks: Some(ownership),
        skip: Some(&skip),
        cancelled: Some(host.images.cancelled()),
        ..Options::default()
    };
    let write = |out: &mut dyn Write| {
        transfer(From::Tree(upper, Vec::new()), To::Archive(Box::new(out)), &options).map(drop)
    };
    host.images.store().layer_of(write).map_err(of_image)
}

/// What was typed for the container goes into its image, as docker has it.
fn of_container(config: &mut Value, wish: &Wish) {
    for entry in &wish.env {
        containerfile::set_env(config, entry);
    }
    if let Some(entrypoint) = &wish.entrypoint {
        let words: Vec<&String> = Some(entrypoint).filter(|word| !word.is_empty()).into_iter().collect();
        config["Entrypoint"] = json!(words);
        config["Cmd"] = json!([]);
    }
    if !wish.command.is_empty() {
        config["Cmd"] = json!(wish.command);
    }
    if let Some(workdir) = &wish.workdir {
        config["WorkingDir"] = json!(workdir);
    }
    if let Some(user) = &wish.user {
        config["User"] = json!(user);
    }
    for (key, value) in &wish.labels {
        containerfile::object(config, "Labels").insert(key.clone(), json!(value));
    }
}

/// What `import` was asked for.
#[derive(Debug, Clone, Default)]
pub struct ImportWish {
    /// The image's name.
    pub name: Option<Reference>,
    /// `-m`.
    pub message: String,
    /// `-c`, in order.
    pub changes: Vec<String>,
    /// `--platform`.
    pub platform: Option<String>,
}

/// Makes an image of an archive with a root, compressed or not; the image's id.
pub fn import(host: &Host<'_>, archive: &mut dyn Read, wish: &ImportWish) -> Result<String> {
    full::explained(host.paths, host.images, import_it(host, archive, wish))
}

fn import_it(host: &Host<'_>, archive: &mut dyn Read, wish: &ImportWish) -> Result<String> {
    check_changes(&wish.changes)?;
    let platform = match &wish.platform {
        Some(text) => Platform::parse(text).map_err(of_image)?,
        None => Platform::host(),
    };
    let store = host.images.store();
    let _hold = store.hold().map_err(of_image)?;
    let layer = store
        .layer_of(|out| {
            let mut from = image::archive::decompressed(archive)?;
            std::io::copy(&mut from, out).map_err(called(|| "copy the archive".to_owned()))?;
            Ok(())
        })
        .map_err(of_image)
        .within(|| "import")?;
    let mut config = json!({});
    for line in &wish.changes {
        containerfile::apply(&mut config, line)?;
    }
    let now = runtime::timestamp::now();
    let message = if wish.message.is_empty() { "imported" } else { &wish.message };
    let mut whole = json!({
        "created": now,
        "os": platform.os,
        "architecture": platform.architecture,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.id()]},
        "history": [{"created": now, "comment": message}],
    });
    if let Some(variant) = platform.variant {
        whole["variant"] = json!(variant);
    }
    let id = keep(host, &whole, &[layer], wish.name.as_ref()).within(|| "import")?;
    host.images.tell("import", &id, &wish.name.as_ref().map(Reference::to_string).unwrap_or_default());
    Ok(id)
}
