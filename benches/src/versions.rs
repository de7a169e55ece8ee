//! Who took part, each with the first line that it says of its version.

use crate::entry::{printed, words};
use crate::runtimes::beside;

/// Of contestants; who is no program has none.
pub fn of<'a>(contestants: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<&str> = contestants.collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(version).collect()
}

fn version(who: &str) -> Option<String> {
    let program = match who {
        "ctr" => "containerd".to_owned(),
        "docker" => "dockerd".to_owned(),
        _ => beside(who).map_or(who.to_owned(), |place| place.display().to_string()),
    };
    let said = printed(&words(&format!("{program} --version"))).ok()?;
    let first = said.lines().next()?.trim();
    // Some say who they are, and some only which.
    Some(if first.contains(who) { first.to_owned() } else { format!("{who}: {first}") })
}
