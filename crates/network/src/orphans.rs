//! What the kernel has of containers and networks that nobody has any more: ends of veth pairs, bridges, published ports, the table.
//!
//! All of it bears a name of ours. Containers of another state directory may be on the same host: what has a process behind it is
//! nobody's orphan, and a bridge with nothing on it is made anew by whoever needs it.

use crate::attach::lock;
use crate::failure::Result;
use crate::firewall::{self, Left};
use crate::link::{self, Found};
use crate::own_file::is_there;
use crate::socket::Socket;
use crate::{bridges, definition, pool};
use std::collections::BTreeSet;
use std::path::Path;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Orphan {
    /// The host's end of a veth pair, whose other end is in no process's namespace.
    Veth(String),
    /// A bridge without a link, of a network that is none.
    Bridge(String),
    /// Published ports of a link that is gone.
    Ports(String),
    /// What the table says of a bridge that is gone.
    Network(String),
    /// The table, when there is no bridge.
    Table,
}

impl std::fmt::Display for Orphan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Veth(name) => write!(f, "link {name}, which leads to no container"),
            Self::Bridge(name) => write!(f, "bridge {name}, which is of no network"),
            Self::Ports(name) => write!(f, "published ports of link {name}, which is gone"),
            Self::Network(name) => write!(f, "rules for bridge {name}, which is gone"),
            Self::Table => write!(f, "the table inet devoxx of nf_tables, for which there is no bridge"),
        }
    }
}

/// All of them.
pub fn orphans(root: &Path) -> Result<Vec<Orphan>> {
    let Some(mut links) = bridges::links()? else { return Ok(Vec::new()) };
    let found = link::ours(&mut links)?;
    let leases = pool::everywhere(root)?;
    let leased: BTreeSet<&str> = leases.iter().map(|lease| lease.veth.as_str()).collect();
    let known: BTreeSet<String> = definition::every(root)?.iter().map(definition::Definition::link).collect();
    let mut all = Vec::new();
    let veths = found.iter().filter(|one| link::is_veth(&one.name) && !leased.contains(one.name.as_str()));
    let loose: Vec<&Found> = veths.collect();
    if !loose.is_empty() {
        let living = namespaces(&mut links)?;
        let dead = loose.iter().filter(|one| one.peer.is_none_or(|peer| !living.contains(&peer)));
        all.extend(dead.map(|one| Orphan::Veth(one.name.clone())));
    }
    for bridge in found.iter().filter(|one| link::is_own_bridge(&one.name) && !known.contains(&one.name)) {
        if !link::has_ports(&mut links, &bridge.name, bridge.index)? {
            all.push(Orphan::Bridge(bridge.name.clone()));
        }
    }
    let Some(mut rules) = bridges::rules()? else { return Ok(all) };
    if !firewall::is_there(&mut rules)? {
        return Ok(all);
    }
    if leases.is_empty() && !link::has_bridges(&mut links)? {
        all.push(Orphan::Table);
        return Ok(all);
    }
    let is_there = |name: &str| found.iter().any(|one| one.name == name);
    let Left { ports, bridges } = firewall::left(&mut rules)?;
    let gone = ports.into_iter().filter(|name| !leased.contains(name.as_str()) && !is_there(name));
    all.extend(gone.map(Orphan::Ports));
    let gone = bridges.into_iter().filter(|name| !known.contains(name) && !is_there(name));
    all.extend(gone.map(Orphan::Network));
    Ok(all)
}

/// Removes one; nothing where it is none any more.
pub fn remove(root: &Path, orphan: &Orphan) -> Result<()> {
    // Nobody of this state directory makes bridges or publishes ports meanwhile.
    let _lock = if is_there(&pool::lock_file(root))? { Some(lock(&pool::lock_file(root))?) } else { None };
    if !orphans(root)?.contains(orphan) {
        return Ok(());
    }
    let Some(mut links) = bridges::links()? else { return Ok(()) };
    match orphan {
        Orphan::Veth(name) | Orphan::Bridge(name) => link::delete(&mut links, name),
        Orphan::Ports(name) | Orphan::Network(name) => match bridges::rules()? {
            Some(mut rules) => firewall::take_away(&mut rules, name),
            None => Ok(()),
        },
        Orphan::Table => match bridges::rules()? {
            Some(mut rules) => firewall::remove(&mut rules),
            None => Ok(()),
        },
    }
}

/// The network namespaces that a process is in, by the numbers that ours has for them.
fn namespaces(links: &mut Socket) -> Result<BTreeSet<i32>> {
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(namespace) = std::fs::read_link(entry.path().join("ns/net")) else { continue };
        if seen.insert(namespace) {
            all.extend(link::namespace_of(links, pid)?);
        }
    }
    Ok(all)
}
