//! The cgroups that take the place of those that were dumped, in every hierarchy.

use super::outside::Seen;
use cgroup::{Cgroup, Place, Version};
use std::path::Path;

/// Where a restored process goes in a hierarchy: one of the hierarchy's controllers as /proc/PID/cgroup names them
/// (cgroups(7)), on v2 an empty name, and the path from the hierarchy's root.
pub type Root = (String, String);

/// The place of the cgroup in each hierarchy. Where it has none, its processes stay where their maker is, as at a create:
/// `own` is the text of /proc/self/cgroup, `ours` are the mounts of the host.
pub fn roots(cgroup: &Cgroup, own: &str, ours: &[Seen]) -> Vec<Root> {
    let mut roots = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (fields.next(), fields.next()) else { continue };
        for name in names.split(',') {
            let place = cgroup.places.iter().find(|place| match place.version {
                Version::V2 => name.is_empty(),
                Version::V1 => place.controllers.iter().any(|one| one == name),
            });
            let path = place.map_or_else(|| path.to_owned(), |place| from_root(place, &cgroup.name, ours));
            roots.push((name.to_owned(), path));
        }
    }
    roots
}

/// The mount of the hierarchy that a place is in: the place may be a cgroup beneath.
pub fn mount_of<'a>(place: &Place, ours: &'a [Seen]) -> Option<&'a Seen> {
    let mounts =
        ours.iter().filter(|seen| seen.kind.starts_with("cgroup") && place.mount.starts_with(&seen.at));
    // The last of several in one place is the one that is seen.
    mounts.max_by_key(|seen| seen.at.components().count())
}

/// The path of a cgroup from the root of its hierarchy: that is where CRIU mounts it.
fn from_root(place: &Place, name: &str, ours: &[Seen]) -> String {
    let beneath =
        mount_of(place, ours).and_then(|seen| Some((seen, place.mount.strip_prefix(&seen.at).ok()?)));
    let top = beneath.map_or_else(|| Path::new("/").to_owned(), |(seen, rest)| seen.root.join(rest));
    top.join(name.trim_start_matches('/')).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_every_hierarchy() {
        let place = |version, mount: &str, controllers: &[&str]| Place {
            mount: mount.into(),
            version,
            controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
        };
        let seen = |kind: &str, root: &str, at: &str| Seen {
            id: 1,
            device: "0:1".into(),
            root: root.into(),
            at: at.into(),
            kind: kind.into(),
        };
        let check = |places: Vec<Place>, ours: &[Seen], own: &str, expected: &[(&str, &str)]| {
            let cgroup = Cgroup { name: "/x".into(), places, unit: None };
            let found = roots(&cgroup, own, ours);
            let shown: Vec<_> = found.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
            assert_eq!(shown, expected);
        };
        let v2 = || vec![place(Version::V2, "/cgroup", &[])];
        check(v2(), &[seen("cgroup2", "/", "/cgroup")], "0::/own\n", &[("", "/x")]);
        check(v2(), &[seen("cgroup2", "/pod", "/cgroup")], "0::/pod/own\n", &[("", "/pod/x")]);
        check(v2(), &[], "0::/own\n", &[("", "/x")]);
        // A hybrid host, where v2 begins beneath the cgroup of the maker.
        check(
            vec![
                place(Version::V1, "/cgroup/cpu/", &["cpu", "cpuacct"]),
                place(Version::V1, "/cgroup/systemd", &["name=systemd"]),
                place(Version::V2, "/cgroup/unified/own", &[]),
            ],
            &[
                seen("tmpfs", "/", "/cgroup"),
                seen("cgroup", "/", "/cgroup/cpu"),
                seen("cgroup", "/", "/cgroup/systemd"),
                seen("cgroup2", "/", "/cgroup/unified"),
            ],
            "5:cpu,cpuacct:/a\n2:freezer:/b:c\n1:name=systemd:/a\n0::/own\n",
            &[("cpu", "/x"), ("cpuacct", "/x"), ("freezer", "/b:c"), ("name=systemd", "/x"), ("", "/own/x")],
        );
    }
}
