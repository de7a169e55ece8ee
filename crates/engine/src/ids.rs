//! Whose ids a container has: `--userns`, what came of it, and how the container's ids and ours are turned into each other.

use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::id_ranges::{self, Claim};
use crate::mount::VolumeMount;
use crate::paths::Paths;
use crate::record::{self, Record};
use crate::user_namespace;
use crate::wish::{Source, UserNamespace, Wish};
use image::Mapped;
use runtime::id_map::{self, IdMaps, Range};
use runtime::plan::ByParent;
use rustix::fs::{Gid, Uid};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// As many as an image may be expected to use: all that a short number can say, `nobody` among them.
const USUAL: u32 = 65_536;

/// Ids of a block, of which each container of root has at least one.
const BLOCK: u32 = 65_536;

/// The same for an ordinary user, who has as many ids for all containers as root has for each.
const SMALL_BLOCK: u32 = 1024;

/// So many containers of a user can have ids of their own, unless they ask for more or fewer.
const SHARES: u32 = 8;

/// The user namespace of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The container's ids, and ours for them.
    pub maps: IdMaps,
    /// What of ours is the container's alone, with those that join its user namespace.
    pub claim: Option<Claim>,
    /// The container whose user namespace it joins, by id.
    pub joined: Option<String>,
    /// Whether on the disk are the container's ids, and mounts turn them into ours. Without root of the host no mount does: there
    /// they are ours.
    pub by_mounts: bool,
}

/// What the user namespace of a wish comes to, before anything is made; none for that of the engine.
pub fn settle(host: &Host<'_>, wish: &Wish) -> Result<Option<Ids>> {
    let ids = of_wish(host, wish)?;
    check_binds(host, wish, ids.as_ref())?;
    check_rootfs(wish, ids.as_ref())?;
    Ok(ids)
}

/// A directory as the root: where no mount changes its owners, a container whose user namespace lacks them can make nothing in it, not
/// even what /etc/hostname is mounted on.
fn check_rootfs(wish: &Wish, ids: Option<&Ids>) -> Result<()> {
    let (Source::Rootfs(rootfs), Some(ids)) = (&wish.source, ids.filter(|ids| !ids.by_mounts)) else {
        return Ok(());
    };
    let has = |ranges: &[Range], id: u32| id != NOBODY && id_map::inside(ranges, id).is_some();
    let directory = &rootfs.directory;
    for path in [directory.clone(), directory.join("etc")] {
        let Ok(stat) = rustix::fs::stat(&path) else { continue };
        if has(&ids.maps.uid, stat.st_uid) && has(&ids.maps.gid, stat.st_gid) {
            continue;
        }
        let message = format!(
            "--rootfs {} with --userns {}: {} belongs to a user or group that the container does not have",
            directory.display(),
            wish.sharing.userns,
            path.display(),
        );
        let hint = match wish.sharing.userns {
            UserNamespace::KeepId { .. } => {
                "chown it to yourself, or make an image of the directory with import"
            }
            _ => "--userns keep-id has what is yours; or make an image of the directory with import",
        };
        return Err(Error::new(Kind::Failed, message).with_hint(hint));
    }
    Ok(())
}

fn of_wish(host: &Host<'_>, wish: &Wish) -> Result<Option<Ids>> {
    match &wish.sharing.userns {
        UserNamespace::Usual | UserNamespace::Host => Ok(None),
        UserNamespace::Auto { size } => auto(host, *size).map(Some),
        UserNamespace::KeepId { uid, gid } => keep_id(host, *uid, *gid).map(Some),
        UserNamespace::Container(name) => {
            let within = || format!("--userns container:{name}");
            let other = record::get(host.paths, name).within(within)?.record;
            Ok(other.ids.map(|ids| Ids { joined: Some(ids.joined.unwrap_or(other.id)), ..ids }))
        }
    }
}

/// Binds with ids of their own: by whom they can be had at all.
fn check_binds(host: &Host<'_>, wish: &Wish, ids: Option<&Ids>) -> Result<()> {
    for mount in &wish.mounts {
        let VolumeMount::Bind { source, options, .. } = mount else { continue };
        let Some(option) = options.iter().find(|option| option.starts_with("idmap")) else { continue };
        let refused = |why: &str| {
            Err(Error::new(Kind::Usage, format!("bind of {} with {option}: {why}", source.display())))
        };
        if host.rootless.is_some() {
            return refused("only root of the host maps the ids of a mount");
        }
        if option == "idmap" && ids.is_none() {
            return refused("needs --userns auto, whose ids they are, or idmap=uids=A-B-N;gids=A-B-N");
        }
    }
    Ok(())
}

fn auto(host: &Host<'_>, size: Option<u32>) -> Result<Ids> {
    if host.rootless.is_none() {
        let size = size.unwrap_or(USUAL);
        let claim = id_ranges::find(host.paths, &id_ranges::of_root()?, BLOCK, size)?;
        return Ok(of_claim(claim, vec![Range { container: 0, host: claim.first, size }], true));
    }
    let spans = id_ranges::of_user()?;
    let usual = || {
        let all: u32 = spans.iter().map(|(first, end)| end - first).sum();
        (all / SHARES / SMALL_BLOCK * SMALL_BLOCK).clamp(SMALL_BLOCK, USUAL)
    };
    let wanted = size.unwrap_or_else(usual);
    let claim = id_ranges::find(host.paths, &spans, SMALL_BLOCK, wanted)?;
    let host_id = claim.first;
    let ranges = if size.is_none() && wanted <= NOBODY {
        // The last one is for who has no id elsewhere: images have files and programs of `nobody`.
        let last = wanted - 1;
        vec![
            Range { container: 0, host: host_id, size: last },
            Range { container: NOBODY, host: host_id + last, size: 1 },
        ]
    } else {
        vec![Range { container: 0, host: host_id, size: wanted }]
    };
    Ok(of_claim(claim, ranges, false))
}

fn of_claim(claim: Claim, ranges: Vec<Range>, by_mounts: bool) -> Ids {
    Ids { maps: IdMaps { uid: ranges.clone(), gid: ranges }, claim: Some(claim), joined: None, by_mounts }
}

fn keep_id(host: &Host<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<Ids> {
    if host.rootless.is_none() {
        return Err(Error::new(
            Kind::Usage,
            "--userns keep-id is for ordinary users: root has the same ids inside already",
        )
        .with_hint("as root use --userns auto, or -u USER"));
    }
    let (user, group) = user_namespace::user()?;
    let ranges = |id: u32, file: &str| -> Result<Vec<Range>> {
        Ok(kept(id, id_ranges::mapped(file)?.iter().map(|(_, end)| *end).max().unwrap_or(1)))
    };
    let maps = IdMaps {
        uid: ranges(uid.unwrap_or(user), "uid_map")?,
        gid: ranges(gid.unwrap_or(group), "gid_map")?,
    };
    Ok(Ids { maps, claim: None, joined: None, by_mounts: false })
}

/// The user, who is 0 of our `count` ids, as `id` inside; the others around, in their order.
fn kept(id: u32, count: u32) -> Vec<Range> {
    let below = id.min(count.saturating_sub(1));
    let above = count.saturating_sub(below + 1).min(u32::MAX - 1 - id);
    let all = [
        Range { container: 0, host: 1, size: below },
        Range { container: id, host: 0, size: 1 },
        Range { container: id + 1, host: below + 1, size: above },
    ];
    all.into_iter().filter(|range| range.size > 0).collect()
}

/// Who a container's process is, when nobody has said it: with `keep-id` the user, whatever the image says.
pub fn user(wish: &Wish, ids: Option<&Ids>) -> Option<String> {
    let UserNamespace::KeepId { .. } = wish.sharing.userns else { return None };
    let inside = |ranges: &[Range]| id_map::inside(ranges, 0).unwrap_or(0);
    ids.map(|ids| format!("{}:{}", inside(&ids.maps.uid), inside(&ids.maps.gid)))
}

/// The user's line for the container's /etc/passwd, with whom its processes are somebody.
pub fn entry(record: &Record, cwd: &Path) -> Option<String> {
    let UserNamespace::KeepId { .. } = record.wish.sharing.userns else { return None };
    let (uid, gid) = user(&record.wish, record.ids.as_ref())?
        .split_once(':')
        .map(|(uid, gid)| (uid.to_owned(), gid.to_owned()))?;
    let name = user_namespace::user().map(|(user, _)| id_map::user_name(user)).unwrap_or_default();
    let name = if name.is_empty() { &uid } else { &name };
    Some(format!("{name}:x:{uid}:{gid}:{name}:{}:/bin/sh", cwd.display()))
}

/// The image's files with the owners that a container's ids need, where mounts do not give them.
pub fn layers(host: &Host<'_>, ids: Option<&Ids>, name: &str, layers: &[PathBuf]) -> Result<Option<Mapped>> {
    let Some(ids) = ids.filter(|ids| !ids.by_mounts) else { return Ok(None) };
    if layers.is_empty() || !host.rootless.is_some_and(|ranges| ranges.subordinate) {
        // All files belong to the one id that there is.
        return Ok(None);
    }
    let marked = runtime::follows_marks();
    let told = || {
        if !marked {
            (host.warn)(&format!(
                "the files of {name} are copied once for these user ids: without root the kernel maps none (from Linux 6.16 on, only names and owners are copied)"
            ));
        }
    };
    let outside = |uid, gid| ids.outside(uid, gid);
    host.images.mapped(layers, &ids.key(), &outside, marked, &told).map(Some)
}

/// Makes the claim of a record that is written down; others may have been faster, then the record is written once more.
pub fn claim(host: &Host<'_>, record: &mut Record, directory: &Path) -> Result<()> {
    while let Some(claim) = record.ids.as_ref().and_then(Ids::own_claim) {
        if id_ranges::claim(host.paths, claim, &record.id)? {
            break;
        }
        record.ids = settle(host, &record.wish)?;
        record::write_in(directory, record)?;
    }
    Ok(())
}

/// Before a start: its ids are still its own.
pub fn check(paths: &Paths, record: &Record) -> Result<()> {
    let Some(claim) = record.ids.as_ref().and_then(Ids::own_claim) else { return Ok(()) };
    // Made once more where somebody has removed it, which changes nothing where it is there.
    if id_ranges::claim(paths, claim, &record.id)? {
        return Ok(());
    }
    let message =
        format!("the ids of container {} from {} on belong to another by now", record.name, claim.first);
    Err(Error::new(Kind::Failed, message).with_hint("make it again: its files stay in an image with commit"))
}

/// Gives the ids of a container back; where another is in the same user namespace, they are that one's now.
pub fn release(paths: &Paths, record: &Record) -> Result<()> {
    let Some(ids) = &record.ids else { return Ok(()) };
    let Some(claim) = ids.claim else { return Ok(()) };
    if !id_ranges::belongs(paths, claim, &record.id)? {
        return Ok(());
    }
    let first = ids.joined.as_ref().unwrap_or(&record.id);
    let joins = |one: &record::Listed| {
        one.record.id != record.id
            && one.record.ids.as_ref().and_then(|ids| ids.joined.as_ref()) == Some(first)
    };
    match record::list(paths)?.into_iter().find(joins) {
        None => id_ranges::release(paths, claim, &record.id),
        Some(heir) => id_ranges::leave(paths, claim, &heir.record.id),
    }
}

impl Ids {
    /// What it claims itself.
    fn own_claim(&self) -> Option<Claim> {
        self.claim.filter(|_| self.joined.is_none())
    }

    /// How the root of its container is mounted.
    pub fn root(&self) -> ByParent {
        if self.by_mounts { ByParent::Mapped } else { ByParent::AsItIs }
    }

    /// Gives what the engine makes for the container to its root; where mounts map, it is that already.
    pub fn give(&self, path: &Path) -> Result<()> {
        if self.by_mounts {
            return Ok(());
        }
        // A container without a root has one user.
        let of = |ranges: &[Range]| {
            id_map::outside(ranges, 0).or_else(|| ranges.first().map(|first| first.host)).unwrap_or(0)
        };
        let (uid, gid) = (of(&self.maps.uid), of(&self.maps.gid));
        rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(called::<Errno>(|| format!("chown({path:?}, {uid}, {gid})")))?;
        Ok(())
    }

    /// The same for the same maps.
    fn key(&self) -> String {
        let text = self.shown().map(|ranges| ranges.join(",")).join(";");
        image::digest::Digest::of(text.as_bytes()).hex().chars().take(16).collect()
    }

    /// Ours for a user and a group of the container.
    pub fn outside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let of = |ranges: &[Range], id: u32| {
            id_map::outside(ranges, id).or_else(|| id_map::outside(ranges, NOBODY)).unwrap_or(NOBODY)
        };
        (of(&self.maps.uid, uid), of(&self.maps.gid, gid))
    }

    /// The container's for a user and a group of ours.
    pub fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        (
            id_map::inside(&self.maps.uid, uid).unwrap_or(NOBODY),
            id_map::inside(&self.maps.gid, gid).unwrap_or(NOBODY),
        )
    }

    /// Whether a group of the container is one outside.
    pub fn has_group(&self, gid: u32) -> bool {
        id_map::outside(&self.maps.gid, gid).is_some()
    }

    /// As config.json has them.
    pub fn mappings(&self) -> [Value; 2] {
        [&self.maps.uid, &self.maps.gid].map(|ranges| {
            let one = |range: &Range| {
                json!({"containerID": range.container, "hostID": range.host, "size": range.size})
            };
            ranges.iter().map(one).collect()
        })
    }

    /// As podman shows them: `container:host:size`.
    pub fn shown(&self) -> [Vec<String>; 2] {
        let one = |range: &Range| format!("{}:{}:{}", range.container, range.host, range.size);
        [&self.maps.uid, &self.maps.gid].map(|ranges| ranges.iter().map(one).collect())
    }
}

/// Who has no id (user_namespaces(7)).
const NOBODY: u32 = 65_534;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_among_the_ids_that_there_are() {
        fn check(id: u32, count: u32, expected: &[(u32, u32, u32)]) {
            let found: Vec<_> =
                kept(id, count).iter().map(|one| (one.container, one.host, one.size)).collect();
            assert_eq!(found, expected, "{id} of {count}");
        }
        check(1000, 65_537, &[(0, 1, 1000), (1000, 0, 1), (1001, 1001, 64_536)]);
        check(1, 65_537, &[(0, 1, 1), (1, 0, 1), (2, 2, 65_535)]);
        check(0, 65_537, &[(0, 0, 1), (1, 1, 65_536)]);
        check(70_000, 65_537, &[(0, 1, 65_536), (70_000, 0, 1)]);
        check(1000, 1001, &[(0, 1, 1000), (1000, 0, 1)]);
        check(1000, 1, &[(1000, 0, 1)]);
        check(1000, 0, &[(1000, 0, 1)]);
        check(u32::MAX - 2, 3, &[(0, 1, 2), (u32::MAX - 2, 0, 1)]);
    }
}
