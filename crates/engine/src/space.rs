//! `system df`, and what gives space back: `container prune`, `image prune`.

use crate::disk::usage;
use crate::error::{Error, Kind, Result, of_image};
use crate::filter::{self, Filters};
use crate::images::Images;
use crate::paths::Paths;
use crate::record::{self, Listed, is_up};
use crate::remove;
use crate::volume::{self, VolumeFilter};
use image::Reference;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes on the disk of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its id, or the name of a volume.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: String,
    /// What it takes.
    pub bytes: u64,
    /// What of it nothing else has, for images.
    pub own: u64,
    /// How many containers have it; of a container, 1 while it runs.
    pub users: usize,
}

/// Bytes on the disk of one kind of thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// `Images`, `Containers`, `Local Volumes`.
    pub kind: &'static str,
    /// All together.
    pub bytes: u64,
    /// What a prune would give back.
    pub reclaimable: u64,
    /// One by one.
    pub pieces: Vec<Piece>,
}

/// What everything takes, as du(1) would count the directories.
pub fn df(paths: &Paths, images: &Images) -> Result<Vec<Space>> {
    let containers = record::list(paths)?;
    Ok(vec![
        of_images(paths, images, &containers)?,
        of_containers(paths, &containers)?,
        of_volumes(paths, &containers)?,
    ])
}

fn of_images(paths: &Paths, images: &Images, containers: &[Listed]) -> Result<Space> {
    let mut sizes: BTreeMap<String, (u64, BTreeSet<String>)> = BTreeMap::new();
    for (layer, of) in images.store().layers().map_err(of_image)? {
        sizes.insert(layer, (usage(&of.path)?, of.images));
    }
    // The same with other owners is as much theirs, and goes with the last of them.
    for of in images.store().mapped_trees().map_err(of_image)? {
        sizes.insert(of.path.display().to_string(), (usage(&of.path)?, of.images));
    }
    let used: BTreeSet<&String> = containers.iter().map(|one| &one.record.image_id).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for listed in images.list()? {
        if let Some(known) = pieces.iter_mut().find(|known| known.id == listed.id) {
            known.name = format!("{} {}", known.name, listed.reference.unwrap_or_default());
            continue;
        }
        let of = sizes.values().filter(|(_, images)| images.contains(&listed.id));
        let (mut bytes, mut own) = (0, 0);
        for (size, images) in of {
            bytes += size;
            own += if images.len() == 1 { *size } else { 0 };
        }
        pieces.push(Piece {
            users: containers.iter().filter(|one| one.record.image_id == listed.id).count(),
            name: listed.reference.unwrap_or_else(|| "<none>".to_owned()),
            created: listed.created.unwrap_or_default(),
            id: listed.id,
            bytes,
            own,
        });
    }
    let free = sizes.values().filter(|(_, images)| images.iter().all(|id| !used.contains(id)));
    let reclaimable = free.map(|(size, _)| size).sum();
    Ok(Space { kind: "Images", bytes: usage(&paths.images())?, reclaimable, pieces })
}

fn of_containers(paths: &Paths, containers: &[Listed]) -> Result<Space> {
    let mut pieces = Vec::new();
    for one in containers {
        pieces.push(Piece {
            id: one.record.id.clone(),
            name: one.record.name.clone(),
            created: one.record.created.clone(),
            bytes: usage(&paths.container(&one.record.id))?,
            own: 0,
            users: usize::from(is_up(one)),
        });
    }
    let reclaimable = pieces.iter().filter(|one| one.users == 0).map(|one| one.bytes).sum();
    let bytes = pieces.iter().map(|one| one.bytes).sum();
    Ok(Space { kind: "Containers", bytes, reclaimable, pieces })
}

fn of_volumes(paths: &Paths, containers: &[Listed]) -> Result<Space> {
    let mut pieces = Vec::new();
    for volume in volume::list_volumes(paths)? {
        pieces.push(Piece {
            users: volume::users(containers, &volume.name).len(),
            bytes: usage(&volume.mountpoint)?,
            created: volume.created,
            name: volume.name.clone(),
            id: volume.name,
            own: 0,
        });
    }
    let reclaimable = pieces.iter().filter(|one| one.users == 0).map(|one| one.bytes).sum();
    let bytes = pieces.iter().map(|one| one.bytes).sum();
    Ok(Space { kind: "Local Volumes", bytes, reclaimable, pieces })
}

/// Which of several things are pruned: `until`, `label` and `label!`.
#[derive(Debug, Clone, Default)]
pub struct PruneFilter {
    filters: Filters,
    until: Option<String>,
}

impl PruneFilter {
    /// Reads `KEY=VALUE`.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let filters = Filters::parse_filled(texts, &["until", "label", "label!"])?;
        let mut until = None;
        for value in filters.values("until") {
            if until.replace(filter::until(value)?).is_some() {
                return Err(Error::new(Kind::Usage, "--filter until: once is enough"));
            }
        }
        Ok(Self { filters, until })
    }

    /// Whether it asks for a time, which volumes are not asked for.
    pub fn has_until(&self) -> bool {
        self.until.is_some()
    }

    /// The same for volumes.
    pub fn of_volumes(&self) -> VolumeFilter {
        VolumeFilter::of_labels(self.filters.clone())
    }

    /// Whether what was made then, with these labels, is one of them.
    pub fn fits(&self, created: &str, labels: &[(String, String)]) -> bool {
        self.until.as_deref().is_none_or(|until| created < until) && self.filters.fit_labels(labels)
    }
}

/// Removes containers that do not run. Their ids, and how many bytes are free now.
pub fn prune_containers(paths: &Paths, wanted: &PruneFilter) -> Result<(Vec<String>, u64)> {
    let (mut removed, mut bytes) = (Vec::new(), 0);
    for one in record::list(paths)? {
        if is_up(&one) || !wanted.fits(&one.record.created, &one.record.labels) {
            continue;
        }
        let size = usage(&paths.container(&one.record.id))?;
        match remove::remove(paths, &one.record.id, false, false) {
            // It was started, or removed, in the meantime.
            Err(_) if record::get(paths, &one.record.id).map_or(true, |now| is_up(&now)) => {}
            other => {
                removed.push(other?);
                bytes += size;
            }
        }
    }
    // Also where there was none to be removed.
    remove::sweep(paths);
    Ok((removed, bytes))
}

/// Removes images without a name that no container has, with `all` any that no container has. What was removed, and how many
/// bytes are free now.
pub fn prune_images(
    paths: &Paths,
    images: &Images,
    all: bool,
    wanted: &PruneFilter,
) -> Result<(image::Removed, u64)> {
    let containers = record::list(paths)?;
    let mounted = crate::image_mount::mounted_images(paths)?;
    let of_containers = containers.iter().map(|one| &one.record.image_id);
    let used: BTreeSet<&String> = of_containers.chain(mounted.iter().map(|(id, _)| id)).collect();
    let before = usage(&paths.images())?;
    let mut labels = BTreeMap::new();
    if !wanted.filters.is_empty() {
        for listed in images.list()? {
            labels.insert(listed.id.clone(), images.labels(&listed.id)?);
        }
    }
    let gone = |lines: &[image::Listed]| {
        let Some(first) = lines.first() else { return false };
        let named = lines.iter().any(|line| line.reference.is_some());
        let created = first.created.as_deref().unwrap_or_default();
        let of = labels.get(&first.id).map_or(&[][..], Vec::as_slice);
        !used.contains(&first.id) && (all || !named) && wanted.fits(created, of)
    };
    let removed = images.store().prune(&gone).map_err(of_image)?;
    Ok((removed, before.saturating_sub(usage(&paths.images())?)))
}

/// Which images are listed: `dangling`, `reference`, `label`, `before`, `since`.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    filters: Filters,
}

impl ImageFilter {
    /// Reads `KEY=VALUE`.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let known = ["dangling", "reference", "label", "label!", "before", "since", "until"];
        let filters = Filters::parse_filled(texts, &known)?;
        filters.truth("dangling")?;
        filters.values("until").try_for_each(|value| filter::until(value).map(drop))?;
        if let Some(value) = filters.values("reference").find(|value| !is_pattern(value.as_bytes())) {
            let message = format!("invalid filter \"reference={value}\": a class has no end");
            return Err(Error::new(Kind::Usage, message).with_hint("write * ? or [a-z]"));
        }
        Ok(Self { filters })
    }

    /// The images that fit.
    pub fn choose(&self, images: &Images, mut all: Vec<image::Listed>) -> Result<Vec<image::Listed>> {
        let created = |image: &image::Listed| image.created.clone().unwrap_or_default();
        if let Some(wanted) = self.filters.truth("dangling")? {
            all.retain(|image| image.reference.is_none() == wanted);
        }
        for key in ["before", "since"] {
            for value in self.filters.values(key) {
                let other = images.get(value)?;
                let point = other.config.created().clone().unwrap_or_default();
                all.retain(|image| {
                    image.id != other.id
                        && if key == "before" { created(image) < point } else { created(image) > point }
                });
            }
        }
        for value in self.filters.values("until") {
            let point = filter::until(value)?;
            all.retain(|image| created(image) < point);
        }
        // Of several patterns one is enough.
        let patterns: Vec<&str> = self.filters.values("reference").collect();
        all.retain(|image| {
            let name = image.reference.as_deref().unwrap_or_default();
            patterns.is_empty() || patterns.iter().any(|pattern| refers(name, pattern))
        });
        if self.filters.has("label") || self.filters.has("label!") {
            let mut kept = Vec::new();
            for image in all {
                if self.filters.fit_labels(&images.labels(&image.id)?) {
                    kept.push(image);
                }
            }
            all = kept;
        }
        Ok(all)
    }
}

/// Whether a name fits a pattern: of the repository, or of repository and tag, in the long form or the short one.
fn refers(name: &str, pattern: &str) -> bool {
    let Ok(reference) = Reference::parse(name) else { return false };
    let familiar = reference.familiar();
    let repository = familiar.rsplit_once(':').map_or(familiar.as_str(), |(repository, _)| repository);
    [name, &familiar, repository, &reference.name()]
        .iter()
        .any(|text| matches(text.as_bytes(), pattern.as_bytes()))
}

/// `*` is any letters but `/`, `?` is one, `[a-z]` one of these and `[^a-z]` none of these, everything else itself.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        let one = pattern.get(of..).and_then(|rest| takes(rest, text[at]));
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(_) if one.is_some() => (at, of) = (at + 1, of + one.unwrap_or(1)),
            _ => match star {
                Some((place, from)) if text[from] != b'/' => {
                    star = Some((place, from + 1));
                    (at, of) = (from + 1, place + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[of..].iter().all(|letter| *letter == b'*')
}

/// How many bytes of a pattern, which is no star, take this letter; none where they do not.
fn takes(pattern: &[u8], letter: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => (letter != b'/').then_some(1),
        [b'[', ..] => {
            let length = class(pattern)?;
            let inside = pattern.get(1..length - 1)?;
            let (negated, mut inside) = match inside {
                [b'^', rest @ ..] => (true, rest),
                all => (false, all),
            };
            let mut found = false;
            while let [first, rest @ ..] = inside {
                (found, inside) = match rest {
                    [b'-', last, rest @ ..] => (found || (*first..=*last).contains(&letter), rest),
                    rest => (found || *first == letter, rest),
                };
            }
            (found != negated && letter != b'/').then_some(length)
        }
        [own, ..] => (*own == letter).then_some(1),
        [] => None,
    }
}

/// The length of `[...]` at the beginning of a pattern; none where it does not end, or is empty.
fn class(pattern: &[u8]) -> Option<usize> {
    let end = pattern.iter().position(|letter| *letter == b']')?;
    (end > 1).then_some(end + 1)
}

/// Whether every class of a pattern ends.
fn is_pattern(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    while let Some(at) = rest.iter().position(|letter| *letter == b'[') {
        match rest.get(at..).and_then(class) {
            Some(length) => rest = &rest[at + length..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_fit_patterns() {
        fn check(name: &str, pattern: &str, fits: bool) {
            assert_eq!(refers(name, pattern), fits, "{name} {pattern}");
        }
        check("docker.io/library/alpine:3", "alpine", true);
        check("docker.io/library/alpine:3", "alpine:3", true);
        check("docker.io/library/alpine:3", "al*", true);
        check("docker.io/library/alpine:3", "*:3", true);
        check("docker.io/library/alpine:3", "*:4", false);
        check("docker.io/library/alpine:3", "docker.io/library/*", true);
        check("x.io/a/b:1", "x.io/*", false);
        check("x.io/a/b:1", "x.io/*/*", true);
        check("x.io/a/b:1", "x.io/a/?", true);
        check("x.io/a/b:1", "a/b", false);
        check("docker.io/library/alpine:3", "alpin[a-e]:[0-9]", true);
        check("docker.io/library/alpine:3", "alpin[^a-e]", false);
        check("docker.io/library/alpine:3", "*[x-zp]*", true);
        check("x.io/a/b:1", "x.io[/]a/b", false);
        for bad in ["[", "a[", "a[]", "[a-z", "x[a]["] {
            assert!(!is_pattern(bad.as_bytes()), "{bad}");
        }
    }
}
