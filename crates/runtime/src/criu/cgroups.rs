//! The cgroups that take the place of those that were dumped, in every hierarchy.

use cgroup::{Cgroup, Version};

/// Where a restored process goes in a hierarchy, by one of the hierarchy's controllers as /proc/PID/cgroup names them
/// (cgroups(7)); v2 has an empty name. Without a name it is for all that have no other.
pub type Root = (Option<String>, String);

/// The cgroup itself; and where it has no place in a hierarchy, as v2 of a hybrid host, the one that its maker is in, by
/// the text of /proc/self/cgroup: that is where a create leaves it too.
pub fn roots(cgroup: &Cgroup, own: &str) -> Vec<Root> {
    let mut roots = vec![(None, cgroup.name.clone())];
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (fields.next(), fields.next()) else { continue };
        for name in names.split(',') {
            let placed = cgroup.places.iter().any(|place| match place.version {
                Version::V2 => name.is_empty(),
                Version::V1 => place.controllers.iter().any(|one| one == name),
            });
            if !placed {
                roots.push((Some(name.to_owned()), path.to_owned()));
            }
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgroup::Place;

    #[test]
    fn roots_of_every_hierarchy() {
        let place = |version, controllers: &[&str]| Place {
            mount: "/m".into(),
            version,
            controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
        };
        let check = |places: Vec<Place>, own: &str, expected: &[(Option<&str>, &str)]| {
            let cgroup = Cgroup { name: "/x".into(), places, unit: None };
            let found = roots(&cgroup, own);
            let shown: Vec<_> = found.iter().map(|(name, path)| (name.as_deref(), path.as_str())).collect();
            assert_eq!(shown, expected);
        };
        check(vec![place(Version::V2, &[])], "0::/own\n", &[(None, "/x")]);
        let hybrid = "5:cpu,cpuacct:/own\n2:freezer:/\n1:name=systemd:/a:b\n0::/own\n";
        check(
            vec![place(Version::V1, &["cpu", "cpuacct"]), place(Version::V1, &["name=systemd"])],
            hybrid,
            &[(None, "/x"), (Some("freezer"), "/"), (Some(""), "/own")],
        );
    }
}
