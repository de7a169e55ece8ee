//! The names of units, and the cgroups that they are in (systemd.unit(5), systemd.slice(5)). Pure.

use crate::{Error, Kind, Result};

/// The longest name of a unit.
const LONGEST: usize = 255;
/// The prefix of a scope where none is said.
const PREFIX: &str = "devoxx";
/// What a file in a cgroup may be called: a unit of that name has another directory.
const FILES: [&str; 13] = [
    "cgroup", "cpu", "cpuacct", "io", "blkio", "memory", "devices", "pids", "cpuset", "freezer", "hugetlb",
    "rdma", "misc",
];

/// A unit and the slice that it is in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) slice: String,
    pub(super) unit: String,
}

/// Reads `SLICE:PREFIX:NAME`, as `cgroupsPath` of a container has it; empty for the default.
pub(super) fn read(path: &str, id: &str, user: bool) -> Result<Names> {
    let refused = |why: &str| {
        let shown: String = path.chars().take(80).collect();
        Error::new(Kind::Refused, format!("linux.cgroupsPath {shown:?}: {why}"))
    };
    let parts: Vec<&str> = if path.is_empty() { vec!["", PREFIX, id] } else { path.split(':').collect() };
    let [slice, prefix, name] = parts[..] else {
        return Err(refused("systemd makes cgroups, so it is SLICE:PREFIX:NAME")
            .with_hint("such as system.slice:devoxx:web; or go without the systemd cgroup manager"));
    };
    let slice = match slice {
        "" if user => "user.slice",
        "" => "system.slice",
        "-" => "-.slice",
        slice => slice,
    };
    cgroup_of_slice(slice).ok_or_else(|| refused("its slice is not one such as machine.slice"))?;
    if name.is_empty() || name.contains('/') || prefix.contains('/') {
        return Err(refused("a name is not empty, and has no slash in it"));
    }
    let unit = match (name.ends_with(".slice"), prefix) {
        (true, _) => {
            cgroup_of_slice(name).ok_or_else(|| refused("its name is that of no slice"))?;
            name.to_owned()
        }
        (false, "") => format!("{}.scope", escape(name)),
        (false, prefix) => format!("{}-{}.scope", escape(prefix), escape(name)),
    };
    if unit.len() > LONGEST || slice.len() > LONGEST {
        return Err(refused("a unit's name has 255 characters at most"));
    }
    Ok(Names { slice: slice.to_owned(), unit })
}

/// Characters that a unit cannot have in its name, as systemd-escape(1) writes them.
fn escape(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b':' | b'-' | b'_' | b'.' | b'@' => {
                char::from(byte).to_string()
            }
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}

/// The cgroup of a slice: each dash is one deeper. `None` for what is no slice.
pub(super) fn cgroup_of_slice(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(".slice")?;
    if stem == "-" {
        return Some(String::new());
    }
    let sound = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_.\\@".contains(&byte))
    };
    if !stem.split('-').all(sound) {
        return None;
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    Some(ends.map(|end| format!("/{}", directory(&format!("{}.slice", &stem[..end])))).collect())
}

/// The cgroup of a unit in a slice.
pub(super) fn cgroup_of(names: &Names) -> Option<String> {
    // A slice's own name says what it is in.
    if names.unit.ends_with(".slice") {
        return cgroup_of_slice(&names.unit);
    }
    Some(format!("{}/{}", cgroup_of_slice(&names.slice)?, directory(&names.unit)))
}

/// The directory of a unit: not one that the kernel's own files could have.
fn directory(unit: &str) -> String {
    let file = unit.split_once('.').is_some_and(|(first, _)| FILES.contains(&first));
    if file || unit.starts_with(['_', '.']) { format!("_{unit}") } else { unit.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_names() {
        fn check(path: &str, id: &str, user: bool, unit: &str, cgroup: &str) {
            let names = read(path, id, user).unwrap();
            assert_eq!((&*names.unit, cgroup_of(&names).as_deref()), (unit, Some(cgroup)), "{path}");
        }
        check("", "web", false, "devoxx-web.scope", "/system.slice/devoxx-web.scope");
        check("", "web", true, "devoxx-web.scope", "/user.slice/devoxx-web.scope");
        check("", "a+b", false, "devoxx-a\\x2bb.scope", "/system.slice/devoxx-a\\x2bb.scope");
        check(":p:n", "x", false, "p-n.scope", "/system.slice/p-n.scope");
        check("::n", "x", false, "n.scope", "/system.slice/n.scope");
        check("-:p:n", "x", false, "p-n.scope", "/p-n.scope");
        check("a-b.slice:p:n", "x", false, "p-n.scope", "/a.slice/a-b.slice/p-n.scope");
        check("a.slice:p:a-b.slice", "x", false, "a-b.slice", "/a.slice/a-b.slice");
        check("::memory", "x", false, "memory.scope", "/system.slice/_memory.scope");
        check("::_x", "x", false, "_x.scope", "/system.slice/__x.scope");
    }

    #[test]
    fn refuses_names() {
        for bad in [
            "/a/b",
            "a",
            "a.slice",
            "a.slice:b",
            "a.slice:b:c:d",
            "a:b:c",
            "a.slice:b:",
            "a.slice:b:c/d",
            "a.slice:b/c:d",
            "a/b.slice:c:d",
            "../a.slice:c:d",
            "a--b.slice:c:d",
            "-a.slice:c:d",
            "a-.slice:c:d",
            ".slice:c:d",
            "a b.slice:c:d",
            ":p:.slice",
            ":p:a--b.slice",
            ":p:a/b.slice",
        ] {
            assert!(read(bad, "x", false).is_err(), "{bad}");
        }
        assert!(read(&format!(":p:{}", "n".repeat(256)), "x", false).is_err());
    }

    proptest! {
        #[test]
        fn a_cgroup_has_no_way_out(path in "[a-z.:/\\-@_ ]{0,30}", id in "(?s).{1,10}") {
            if let Ok(names) = read(&path, &id, false) {
                let cgroup = cgroup_of(&names).unwrap();
                prop_assert!(cgroup.strip_prefix('/').unwrap().split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
