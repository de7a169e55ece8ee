//! The ids of a user namespace (user_namespaces(7), "User and group ID mappings").
//!
//! A process with the privilege writes the maps itself; an ordinary user may write one line of its own ids, and has
//! newuidmap(1) and newgidmap(1) write any other.

use crate::error::{Error, Kind, Result};
use rustix::fs::{Gid, Uid};
use rustix::thread::{capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use sys::{Context, Errno, called};

/// The kernel takes this many lines (UID_GID_MAP_MAX_EXTENTS).
const MOST: usize = 340;

/// The kernel reads a map in one piece, shorter than a page (user_namespaces(7), "Defining user and group ID mappings");
/// this is the smallest one that there is.
const PAGE: usize = 4096;

/// One range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first id in the namespace.
    pub container: u32,
    /// The first id outside of it.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// The ids of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Users.
    pub uid: Vec<Range>,
    /// Groups.
    pub gid: Vec<Range>,
}

/// Refuses what the kernel would refuse later, with the name of the field.
pub fn check(field: &str, ranges: &[Range]) -> Result<()> {
    if sys::mutant!("mutant_rt_09") {
        return Ok(());
    }
    let wrong = |why: String| Err(Error::new(Kind::Invalid, format!("config.json: {field}: {why}")));
    if ranges.len() > MOST {
        return wrong(format!("{} ranges, the kernel takes {MOST}", ranges.len()));
    }
    let length = text(ranges).len();
    if length >= PAGE {
        return wrong(format!("{length} bytes as a map, the kernel takes less than {PAGE}"));
    }
    for (index, range) in ranges.iter().enumerate() {
        if range.size == 0 {
            return wrong(format!("[{index}].size: 0 ids"));
        }
        let end = |first: u32| u64::from(first) + u64::from(range.size);
        if end(range.container) > u64::from(u32::MAX) || end(range.host) > u64::from(u32::MAX) {
            return wrong(format!("[{index}]: goes past the last id"));
        }
        for (other_index, other) in ranges[..index].iter().enumerate() {
            let meets = |a: u32, b: u32| {
                u64::from(a) < u64::from(b) + u64::from(other.size)
                    && u64::from(b) < u64::from(a) + u64::from(range.size)
            };
            if meets(range.container, other.container) || meets(range.host, other.host) {
                return wrong(format!("[{index}] overlaps [{other_index}]"));
            }
        }
    }
    Ok(())
}

/// The text of a map file.
fn text(ranges: &[Range]) -> String {
    ranges.iter().map(|one| format!("{} {} {}\n", one.container, one.host, one.size)).collect()
}

/// The id in the namespace's terms, where it has one.
pub fn inside(ranges: &[Range], host: u32) -> Option<u32> {
    ranges.iter().find_map(|one| {
        let offset = host.checked_sub(one.host)?;
        (offset < one.size).then(|| one.container + offset)
    })
}

/// The id outside of the namespace, where there is one.
pub fn outside(ranges: &[Range], container: u32) -> Option<u32> {
    ranges.iter().find_map(|one| {
        let offset = container.checked_sub(one.container)?;
        (offset < one.size).then(|| one.host + offset)
    })
}

/// The first range of `user` in the text of /etc/subuid or /etc/subgid (subuid(5)), with its size.
pub fn subordinate(text: &str, user: &str, uid: u32) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (count > 0 && (owner == user || owner == uid.to_string())).then_some((start, count))
    })
}

/// The name of a user in /etc/passwd; empty where it has none.
pub fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()));
    line.and_then(|line| line.split(':').next()).unwrap_or_default().to_owned()
}

/// The ids that an ordinary user has for containers: himself as root, and from 1 on the range that was given to him, where
/// there is one.
pub fn of_this_user() -> IdMaps {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = user_name(uid);
    let range = |path: &str| subordinate(&std::fs::read_to_string(path).unwrap_or_default(), &name, uid);
    let (uids, gids) = (range("/etc/subuid"), range("/etc/subgid"));
    let ranges = |own: u32, given: Option<(u32, u32)>| {
        let given = given.filter(|_| uids.is_some() && gids.is_some());
        let mut all = vec![Range { container: 0, host: own, size: 1 }];
        all.extend(given.map(|(host, size)| Range { container: 1, host, size }));
        all
    };
    IdMaps { uid: ranges(uid, uids), gid: ranges(gid, gids) }
}

/// Makes files as another user from here on, with all the privileges that this process has: in a mount whose ids are mapped no
/// file is made for an id that has none there, such as root of the host in that of a container.
pub fn act_as(uid: u32, gid: u32) -> Result<()> {
    let (owner, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_gid(Gid::ROOT, group, Gid::ROOT)
        .map_err(called::<Errno>(|| format!("setresgid(0, {gid}, 0)")))?;
    set_thread_res_uid(Uid::ROOT, owner, Uid::ROOT)
        .map_err(called::<Errno>(|| format!("setresuid(0, {uid}, 0)")))?;
    // Put out of force by the change of user (capabilities(7), "Effect of user ID changes on capabilities").
    let mut sets = capabilities(None).map_err(called::<Errno>(|| "capget".to_owned()))?;
    sets.effective = sets.permitted;
    set_capabilities(None, sets).map_err(called::<Errno>(|| "capset".to_owned()))?;
    Ok(())
}

/// Writes the maps of process `pid`, which waits in a new user namespace.
pub fn write(pid: i32, maps: &IdMaps) -> Result<()> {
    let own = |ranges: &[Range], id: u32| matches!(ranges, [one] if one.size == 1 && one.host == id);
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let proc = Path::new("/proc").join(pid.to_string());
    let put = |name: &str, text: &str| -> Result<()> {
        let path = proc.join(name);
        std::fs::write(&path, text).map_err(called(|| format!("write({path:?}, {text:?})")))?;
        Ok(())
    };
    if has_set_ids() {
        put("uid_map", &text(&maps.uid)).within(|| "map user ids")?;
        return put("gid_map", &text(&maps.gid)).within(|| "map group ids");
    }
    if own(&maps.uid, uid) && own(&maps.gid, gid) {
        // Without it an ordinary user could drop a group that denies access (user_namespaces(7), CVE-2014-8989).
        put("setgroups", "deny").within(|| "map group ids")?;
        put("uid_map", &text(&maps.uid)).within(|| "map user ids")?;
        return put("gid_map", &text(&maps.gid)).within(|| "map group ids");
    }
    run("newuidmap", pid, &maps.uid)?;
    run("newgidmap", pid, &maps.gid)
}

/// Whether this process may write any map: it has CAP_SETUID and CAP_SETGID.
fn has_set_ids() -> bool {
    use rustix::thread::CapabilitySet;
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

fn run(program: &str, pid: i32, ranges: &[Range]) -> Result<()> {
    let numbers = ranges.iter().flat_map(|one| [one.container, one.host, one.size]).map(|id| id.to_string());
    let done = Command::new(program)
        .arg(pid.to_string())
        .args(numbers)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match done {
        Err(error) => {
            Err(Error::from(called(|| format!("execve({program})"))(error)).with_hint("apt install uidmap"))
                .within(|| "map ids")
        }
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
            Err(Error::new(Kind::Permission, format!("map ids: {program}: {said}"))
                .with_hint("the ranges must be this user's in /etc/subuid and /etc/subgid"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range((container, host, size): (u32, u32, u32)) -> Range {
        Range { container, host, size }
    }

    #[test]
    fn maps_that_the_kernel_would_refuse() {
        fn check_case(ranges: &[(u32, u32, u32)], expected: Option<&str>) {
            let ranges: Vec<Range> = ranges.iter().copied().map(range).collect();
            let said = check("linux.uidMappings", &ranges).err().map(|error| error.to_string());
            let expected = expected.map(|why| format!("config.json: linux.uidMappings: {why}"));
            assert_eq!(said, expected, "{ranges:?}");
        }
        check_case(&[], None);
        check_case(&[(0, 1000, 1), (1, 100_000, 65_536)], None);
        check_case(&[(0, 1000, 0)], Some("[0].size: 0 ids"));
        check_case(&[(0, 0, 10), (9, 100, 1)], Some("[1] overlaps [0]"));
        check_case(&[(0, 0, 10), (10, 9, 1)], Some("[1] overlaps [0]"));
        check_case(&[(0, u32::MAX, 1)], Some("[0]: goes past the last id"));
        let many: Vec<(u32, u32, u32)> = (0..341).map(|id| (id, id, 1)).collect();
        check_case(&many[..340], None);
        check_case(&many, Some("341 ranges, the kernel takes 340"));
    }

    #[test]
    fn ranges_of_users() {
        fn check_case(text: &str, expected: Option<(u32, u32)>) {
            assert_eq!(subordinate(text, "ann", 1000), expected, "{text:?}");
        }
        check_case("ann:100000:65536\n", Some((100_000, 65_536)));
        check_case("bob:1:2\n1000:5:6\n", Some((5, 6)));
        check_case("bob:1:2\n", None);
        check_case("ann:x:2\n", None);
        check_case("ann:1\n", None);
        check_case("ann:1:0\n", None);
        check_case("", None);
    }

    proptest! {
        /// Any ranges are refused, or map each id to one and back.
        #[test]
        fn there_and_back(
            ranges in prop::collection::vec((0_u32..60, 0_u32..60, 0_u32..20), 0..6),
            far in any::<[u32; 3]>(),
            id in 0_u32..100,
        ) {
            let mut ranges: Vec<Range> = ranges.into_iter().map(range).collect();
            let all = |ranges: &[Range], end: fn(&Range) -> u32| {
                let mut ids: Vec<u32> = ranges.iter().flat_map(|one| end(one)..end(one) + one.size).collect();
                let count = ids.len();
                ids.sort_unstable();
                ids.dedup();
                ids.len() == count
            };
            // What the kernel minds, counted instead of calculated.
            let sound = ranges.iter().all(|one| one.size > 0)
                && all(&ranges, |one| one.container)
                && all(&ranges, |one| one.host);
            prop_assert_eq!(check("x", &ranges).is_ok(), sound, "{:?}", ranges);
            if sound {
                let out = outside(&ranges, id);
                prop_assert_eq!(out.is_some(), ranges.iter().any(|one| (one.container..one.container + one.size).contains(&id)));
                if let Some(out) = out {
                    prop_assert_eq!(inside(&ranges, out), Some(id));
                }
            }
            // At the far end of the ids nothing overflows.
            ranges.push(range((far[0], far[1], far[2])));
            if check("x", &ranges).is_ok() {
                let last = far[2] - 1;
                prop_assert_eq!(outside(&ranges, far[0] + last), Some(far[1] + last));
                prop_assert_eq!(inside(&ranges, far[1] + last), Some(far[0] + last));
            }
        }

        /// What is written for the kernel says what was meant.
        #[test]
        fn the_text_of_a_map(ranges in prop::collection::vec(any::<(u32, u32, u32)>(), 0..5)) {
            let ranges: Vec<Range> = ranges.into_iter().map(range).collect();
            let read = |line: &str| {
                let numbers: Vec<u32> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
                range((numbers[0], numbers[1], numbers[2]))
            };
            prop_assert_eq!(text(&ranges).lines().map(read).collect::<Vec<_>>(), ranges);
        }
    }
}
