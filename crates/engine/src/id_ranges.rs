//! Ranges of ids for user namespaces, each of which one container has, from its making to its removal.
//!
//! ```text
//! DATA/id-ranges/FIRST -> ID     a block of ids belongs to a container: one link, made or not, without a lock
//! DATA/id-ranges/lock            held by whoever removes the link of a container that is gone
//! ```
//! Blocks begin at multiples of their length, whatever range they are cut from: none ever covers a part of another.

use crate::birth;
use crate::error::{Error, Kind, Result};
use crate::neighbours;
use crate::paths::{Paths, make};
use runtime::id_map::subordinate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use sys::{Errno, called};

/// Whose the ranges of /etc/subuid and /etc/subgid are that containers of root get theirs from; podman's word.
const OWNER: &str = "containers";

/// Where nobody has set a range aside: above the ids that systemd gives to containers and below the last ones, which programs
/// take for negative numbers (systemd.io/UIDS-GIDS has the whole list).
const UNUSED: (u32, u32) = (0x7000_0000, 0x7ffe_0000);

/// What a container has claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The first id, in the engine's terms.
    pub first: u32,
    /// Ids of one block.
    pub block: u32,
    /// Blocks, one after the other.
    pub count: u32,
}

impl Claim {
    fn starts(&self) -> impl DoubleEndedIterator<Item = u32> {
        let (first, block) = (self.first, self.block);
        (0..self.count).map(move |index| first.saturating_add(block.saturating_mul(index)))
    }
}

/// Ids that may be given away, first and past the last.
pub type Span = (u32, u32);

/// The ids that root has for containers: a range that was set aside, else one that nobody uses.
pub fn of_root() -> Result<Vec<Span>> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (users, groups) = (read("/etc/subuid"), read("/etc/subgid"));
    let own = |text: &str| subordinate(text, OWNER, u32::MAX).map(|(first, count)| span(first, count));
    let spans = match (own(&users), own(&groups)) {
        (Some(users), Some(groups)) => common(&[users], &[groups]),
        (None, None) => {
            let mut free = vec![UNUSED];
            for taken in users.lines().chain(groups.lines()).filter_map(line) {
                free = free.into_iter().flat_map(|one| without(one, taken)).collect();
            }
            free
        }
        _ => Vec::new(),
    };
    if spans.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            format!("/etc/subuid and /etc/subgid have no range of {OWNER} in common"),
        )
        .with_hint(format!("write the same line into both, such as {OWNER}:2147483648:268435456")));
    }
    let known = common(&mapped("uid_map")?, &mapped("gid_map")?);
    let spans = common(&spans, &known);
    if spans.is_empty() {
        return Err(Error::new(Kind::Failed, "this user namespace has no ids for that of a container")
            .with_hint("see /proc/self/uid_map: give the outer container more of them"));
    }
    Ok(spans)
}

/// The ids that an ordinary user has beside his own, in the terms of the user namespace that this process is in.
pub fn of_user() -> Result<Vec<Span>> {
    let subordinate = |file: &str| -> Result<Vec<Span>> {
        Ok(mapped(file)?.into_iter().flat_map(|one| without(one, (0, 1))).collect())
    };
    let spans = common(&subordinate("uid_map")?, &subordinate("gid_map")?);
    if spans.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            "this user has no ids for a user namespace of a container's own",
        )
        .with_hint("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"));
    }
    Ok(spans)
}

/// The ids of this process's own user namespace.
pub fn mapped(file: &str) -> Result<Vec<Span>> {
    let path = Path::new("/proc/self").join(file);
    let text = std::fs::read_to_string(&path).map_err(called(|| format!("read {path:?}")))?;
    let numbers = |line: &str| {
        let mut words = line.split_whitespace().map(|word| word.parse::<u32>().ok());
        match (words.next(), words.next(), words.next()) {
            (Some(Some(first)), Some(Some(_)), Some(Some(count))) => Some(span(first, count)),
            _ => None,
        }
    };
    Ok(text.lines().filter_map(numbers).collect())
}

fn span(first: u32, count: u32) -> Span {
    (first, first.saturating_add(count))
}

/// Any line of subuid(5).
fn line(text: &str) -> Option<Span> {
    let mut fields = text.trim().split(':').skip(1).map(|field| field.parse().ok());
    Some(span(fields.next()??, fields.next()??))
}

fn without((first, end): Span, taken: Span) -> Vec<Span> {
    let parts = [(first, end.min(taken.0)), (first.max(taken.1), end)];
    parts.into_iter().filter(|(first, end)| first < end).collect()
}

/// What two lists have in common.
pub fn common(some: &[Span], others: &[Span]) -> Vec<Span> {
    let pair = |one: &Span, other: &Span| (one.0.max(other.0), one.1.min(other.1));
    let all = some.iter().flat_map(|one| others.iter().map(move |other| pair(one, other)));
    all.filter(|(first, end)| first < end).collect()
}

fn directory(paths: &Paths) -> PathBuf {
    paths.data.join("id-ranges")
}

fn link(paths: &Paths, first: u32) -> PathBuf {
    directory(paths).join(first.to_string())
}

/// The first blocks of a length for `size` ids that nobody has now.
pub fn find(paths: &Paths, spans: &[Span], block: u32, size: u32) -> Result<Claim> {
    make(&directory(paths))?;
    let count = size.div_ceil(block);
    match free(spans, block, count, &taken(paths)?) {
        Some(claim) => Ok(claim),
        None => {
            // Containers that were removed by hand, or whose removal was killed.
            sweep(paths)?;
            free(spans, block, count, &taken(paths)?).ok_or_else(|| too_few(spans, size))
        }
    }
}

fn too_few(spans: &[Span], size: u32) -> Error {
    let all: u64 = spans.iter().map(|(first, end)| u64::from(end - first)).sum();
    let message =
        format!("no {size} ids in a row are left for a user namespace, of the {all} that there are");
    Error::new(Kind::Failed, message)
        .with_hint("remove containers that have some, ask for fewer with auto:size=N, or set more aside in /etc/subuid and /etc/subgid")
}

fn taken(paths: &Paths) -> Result<BTreeSet<u32>> {
    let names = crate::directory::names(&directory(paths))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// First fit: numbers that were given back are the next to go.
fn free(spans: &[Span], block: u32, count: u32, taken: &BTreeSet<u32>) -> Option<Claim> {
    for (first, end) in spans {
        let mut start = first.checked_next_multiple_of(block)?;
        let mut run = 0;
        while start.checked_add(block).is_some_and(|next| next <= *end) {
            run = if taken.contains(&start) { 0 } else { run + 1 };
            if run == count {
                return Some(Claim { first: start - block * (count - 1), block, count });
            }
            start += block;
        }
    }
    None
}

/// Gives blocks to container `id`, whose record has them; false when another was faster.
pub fn claim(paths: &Paths, claim: Claim, id: &str) -> Result<bool> {
    for first in claim.starts() {
        let link = link(paths, first);
        match rustix::fs::symlink(id, &link) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if owner(paths, first)?.as_deref() != Some(id) {
                    release(paths, claim, id)?;
                    return Ok(false);
                }
            }
            Err(errno) => return Err(called::<Errno>(|| format!("symlink({link:?})"))(errno).into()),
        }
    }
    Ok(true)
}

/// The container that a range is of; none where it is nobody's, or no link has its name.
fn owner(paths: &Paths, first: u32) -> Result<Option<String>> {
    let link = link(paths, first);
    match std::fs::read_link(&link) {
        Ok(owner) => Ok(Some(owner.display().to_string())),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::InvalidInput].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(called(|| format!("readlink({link:?})"))(error).into()),
    }
}

/// Whether a claim is that of container `id`.
pub fn belongs(paths: &Paths, claim: Claim, id: &str) -> Result<bool> {
    Ok(owner(paths, claim.first)?.as_deref() == Some(id))
}

/// Gives back what of a claim belongs to container `id`.
pub fn release(paths: &Paths, claim: Claim, id: &str) -> Result<()> {
    for first in claim.starts() {
        if owner(paths, first)?.as_deref() == Some(id) {
            unlink(&link(paths, first))?;
        }
    }
    Ok(())
}

/// Leaves a claim to another container, which uses the same ids.
pub fn leave(paths: &Paths, claim: Claim, to: &str) -> Result<()> {
    for first in claim.starts() {
        let (link, new) = (link(paths, first), directory(paths).join(format!("{first}.{to}")));
        unlink(&new)?;
        rustix::fs::symlink(to, &new).map_err(called::<Errno>(|| format!("symlink({new:?})")))?;
        std::fs::rename(&new, &link).map_err(called(|| format!("rename({new:?})")))?;
    }
    Ok(())
}

fn unlink(path: &Path) -> Result<()> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| format!("unlink({path:?})"))(errno).into()),
    }
}

/// The first ids of ranges whose containers are gone.
pub fn left(paths: &Paths) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for first in taken(paths)? {
        if let Some(id) = owner(paths, first)?
            && birth::is_gone(paths, &id)?
        {
            all.push(first);
        }
    }
    Ok(all)
}

/// Removes the links of containers that are gone.
pub fn sweep(paths: &Paths) -> Result<()> {
    let _lock = neighbours::hold(&directory(paths).join("lock"))?;
    for first in taken(paths)? {
        let Some(id) = owner(paths, first)? else { continue };
        let gone = birth::is_gone(paths, &id)?;
        // Looked at once more: before a container goes it gives its link back, and from then on that may be another's.
        if gone && owner(paths, first)?.as_ref() == Some(&id) {
            unlink(&link(paths, first))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_first_that_are_free() {
        fn check(spans: &[Span], count: u32, taken: &[u32], expected: Option<u32>) {
            let taken = taken.iter().copied().collect();
            let found = free(spans, 100, count, &taken).map(|claim| claim.first);
            assert_eq!(found, expected, "{spans:?} {count} {taken:?}");
        }
        check(&[(0, 1000)], 1, &[], Some(0));
        check(&[(1, 1000)], 1, &[], Some(100));
        check(&[(1, 1000)], 1, &[100, 200], Some(300));
        check(&[(1, 1000)], 2, &[200], Some(300));
        check(&[(1, 350)], 2, &[200], None);
        check(&[(1, 199)], 1, &[], None);
        check(&[(1, 200)], 1, &[], Some(100));
        check(&[(1, 150), (300, 400)], 1, &[], Some(300));
        check(&[(u32::MAX - 120, u32::MAX)], 1, &[], None);
        check(&[], 1, &[], None);
    }

    #[test]
    fn spans_are_cut() {
        assert_eq!(without((10, 20), (12, 15)), [(10, 12), (15, 20)]);
        assert_eq!(without((10, 20), (0, 15)), [(15, 20)]);
        assert_eq!(without((10, 20), (0, 30)), []);
        assert_eq!(without((10, 20), (30, 40)), [(10, 20)]);
        assert_eq!(common(&[(0, 10), (20, 30)], &[(5, 25)]), [(5, 10), (20, 25)]);
        for (text, expected) in [
            ("a:5:10", Some((5, 15))),
            ("a:4294967295:9", Some((u32::MAX, u32::MAX))),
            ("a:x:1", None),
            ("", None),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
    }
}
