//! Whether a process is in a cgroup, by what /proc/PID/cgroup says (cgroups(7), "/proc files").

use super::Cgroup;
use crate::place::{Place, Version};

impl Cgroup {
    /// The first hierarchy in which `table` says that its process is somewhere else, and where; none if it is in the cgroup, or
    /// beneath it, in all of them. `table` is that of a process in this process's cgroup namespace.
    pub fn missing(&self, table: &str) -> Option<(String, String)> {
        self.places.iter().find_map(|place| {
            let hierarchy = match place.version {
                Version::V1 => place.controllers.join(","),
                Version::V2 => "cgroup v2".to_owned(),
            };
            match table.lines().find_map(|line| path_in(line, place)) {
                Some(path) if is_at(path, &self.name) => None,
                Some(path) => Some((hierarchy, path.to_owned())),
                None => Some((hierarchy, "nowhere".to_owned())),
            }
        })
    }
}

/// The path of a line `ID:CONTROLLERS:PATH`, if it is about this hierarchy.
fn path_in<'a>(line: &'a str, place: &Place) -> Option<&'a str> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let is_it = match place.version {
        Version::V1 => place.controllers.iter().any(|one| controllers.split(',').any(|other| other == one)),
        Version::V2 => number == "0" && controllers.is_empty(),
    };
    is_it.then_some(path)
}

/// Whether a path leads to a name, or beneath it. Names may begin at a cgroup that is itself somewhere in the hierarchy.
fn is_at(path: &str, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    path.match_indices(name).any(|(at, _)| {
        let rest = &path[at + name.len()..];
        rest.is_empty() || rest.starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn in_all_hierarchies() {
        fn check(table: &str, expected: Option<(&str, &str)>) {
            let place = |version, controllers: &[&str]| Place {
                mount: PathBuf::from("/sys/fs/cgroup"),
                version,
                controllers: controllers.iter().map(|one| (*one).to_owned()).collect(),
            };
            let places = vec![place(Version::V1, &["cpu", "cpuacct"]), place(Version::V2, &[])];
            let cgroup = Cgroup { name: "/devoxx/web".to_owned(), places, unit: None };
            let found = cgroup.missing(table);
            assert_eq!(found.as_ref().map(|(one, two)| (one.as_str(), two.as_str())), expected, "{table}");
        }
        check("4:cpu,cpuacct:/devoxx/web\n0::/devoxx/web\n", None);
        check("4:cpuacct,cpu:/a/devoxx/web\n0::/../b/devoxx/web/beneath\n", None);
        check("4:cpu,cpuacct:/devoxx/web2\n0::/devoxx/web\n", Some(("cpu,cpuacct", "/devoxx/web2")));
        check("4:cpu,cpuacct:/devoxx/web\n0::/\n", Some(("cgroup v2", "/")));
        check("4:cpu,cpuacct:/devoxx/web\n1:name=systemd:/devoxx/web\n", Some(("cgroup v2", "nowhere")));
    }
}
