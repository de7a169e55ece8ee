//! The ids of an id-mapped mount: what a mount says of them, and what crun's `idmap=` does.

use super::option::Scope;
use crate::error::{Error, Kind, Result};
use crate::id_map::{self, IdMaps, Range};
use crate::plan::IdMap;
use oci_spec::runtime::LinuxIdMapping;

/// What was written about ids at one mount.
#[derive(Debug, Default)]
pub struct Written<'a> {
    /// `idmap` or `ridmap`.
    pub option: Option<Scope>,
    /// What follows `idmap=`.
    pub text: Option<&'a str>,
    /// `uidMappings`.
    pub uid: &'a [LinuxIdMapping],
    /// `gidMappings`.
    pub gid: &'a [LinuxIdMapping],
}

/// The container's user namespace, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct UserNamespace<'a> {
    /// Whether there is one beside the host's.
    pub own: bool,
    /// Its ids; empty where it is joined.
    pub maps: &'a IdMaps,
}

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::new(Kind::Invalid, why))
}

/// The ids that a mount has; none where nothing was written of them.
pub fn read(written: &Written<'_>, inside: UserNamespace<'_>) -> Result<Option<IdMap>> {
    let given = !written.uid.is_empty() || !written.gid.is_empty();
    if given && (written.uid.is_empty() || written.gid.is_empty()) {
        return refuse("id-mapped mounts must have both uid and gid mappings specified");
    }
    let recursive = written.option == Some(Scope::Tree);
    let maps = match written.text {
        Some(text) => Some(parse(text, inside)?),
        None if given => Some(IdMaps {
            uid: ranges("uidMappings", written.uid)?,
            gid: ranges("gidMappings", written.gid)?,
        }),
        None if written.option.is_none() => return Ok(None),
        None if inside.own => None,
        None => return refuse("id-mapped without mappings, its own or those of a user namespace"),
    };
    Ok(Some(IdMap { maps, recursive }))
}

fn ranges(field: &str, written: &[LinuxIdMapping]) -> Result<Vec<Range>> {
    let ranges: Vec<Range> = written
        .iter()
        .map(|one| Range { container: one.container_id(), host: one.host_id(), size: one.size() })
        .collect();
    id_map::check(field, &ranges).map(|()| ranges)
}

/// `uids=A-B-N#...;gids=A-B-N#...`: N ids from A in the file system are those from B on the host, or, with a `@` before
/// A, those that the container knows as B.
fn parse(text: &str, inside: UserNamespace<'_>) -> Result<IdMaps> {
    let (mut uid, mut gid) = (None, None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (list, known, ranges) = match part.split_once('=') {
            Some(("uids", ranges)) => (&mut uid, &inside.maps.uid, ranges),
            Some(("gids", ranges)) => (&mut gid, &inside.maps.gid, ranges),
            _ => return refuse(format!("idmap: {part:?} is neither uids=... nor gids=...")),
        };
        let ranges: Vec<Range> =
            ranges.split('#').map(|range| parse_range(range, known)).collect::<Result<_>>()?;
        id_map::check("idmap", &ranges)?;
        if list.replace(ranges).is_some() {
            return refuse(format!("idmap: {part:?} is a second list of the same ids"));
        }
    }
    match (uid, gid) {
        (Some(uid), Some(gid)) => Ok(IdMaps { uid, gid }),
        _ => refuse("id-mapped mounts must have both uid and gid mappings specified"),
    }
}

fn parse_range(text: &str, container: &[Range]) -> Result<Range> {
    let wrong = |why: &str| Error::new(Kind::Invalid, format!("idmap: {text:?} {why}"));
    let numbers = text.strip_prefix('@').unwrap_or(text);
    let mut parts = numbers.split('-').map(|number| {
        // A sign is none of a number here.
        number.parse::<u32>().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let (Some(Some(from)), Some(Some(to)), Some(Some(size)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong("is not of the form ID-ID-LENGTH"));
    };
    if numbers.len() == text.len() {
        return Ok(Range { container: from, host: to, size });
    }
    let last = to.checked_add(size.saturating_sub(1)).ok_or_else(|| wrong("goes past the last id"))?;
    let host = id_map::outside(container, to).ok_or_else(|| wrong("is not mapped in the container"))?;
    // Beyond one range of the container's, what comes next on the host belongs to somebody else.
    let whole = container.iter().any(|range| {
        range.container <= to && u64::from(last) < u64::from(range.container) + u64::from(range.size)
    });
    if whole {
        Ok(Range { container: from, host, size })
    } else {
        Err(wrong("is not within one range of the container's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> IdMaps {
        let two = vec![
            Range { container: 0, host: 1000, size: 1 },
            Range { container: 1, host: 100_000, size: 65_536 },
        ];
        IdMaps { uid: two.clone(), gid: two }
    }

    #[test]
    fn maps_of_crun() {
        fn check(text: &str, expected: Result<&[(u32, u32, u32)], &str>) {
            let maps = container();
            let found = parse(text, UserNamespace { own: true, maps: &maps });
            let shown = found
                .as_ref()
                .map(|maps| maps.uid.iter().map(|one| (one.container, one.host, one.size)).collect())
                .map_err(ToString::to_string);
            assert_eq!(shown, expected.map(<[_]>::to_vec).map_err(str::to_owned), "{text}");
        }
        check("uids=0-1-10;gids=0-100-10", Ok(&[(0, 1, 10)]));
        check("gids=0-100-10;uids=0-1-10#10-11-10", Ok(&[(0, 1, 10), (10, 11, 10)]));
        check("uids=@0-1-10;gids=@0-0-1", Ok(&[(0, 100_000, 10)]));
        check("uids=@5-0-1;gids=0-0-1", Ok(&[(5, 1000, 1)]));
        let both = "id-mapped mounts must have both uid and gid mappings specified";
        check("uids=0-1-10", Err(both));
        check("", Err(both));
        check("uids=@0-0-2;gids=0-0-1", Err("idmap: \"@0-0-2\" is not within one range of the container's"));
        check("uids=@0-70000-1;gids=0-0-1", Err("idmap: \"@0-70000-1\" is not mapped in the container"));
        for wrong in ["0-1", "0-1-2-3", "a-1-2", "+0-1-2", "-1-1-2", "0--2", "4294967296-0-1", ""] {
            check(
                &format!("uids={wrong};gids=0-0-1"),
                Err(&format!("idmap: {wrong:?} is not of the form ID-ID-LENGTH")),
            );
        }
        check("users=0-1-2", Err("idmap: \"users=0-1-2\" is neither uids=... nor gids=..."));
        check("uids=0-0-0;gids=0-0-1", Err("config.json: idmap: [0].size: 0 ids"));
        check("uids=0-0-1;uids=0-0-1", Err("idmap: \"uids=0-0-1\" is a second list of the same ids"));
    }
}
