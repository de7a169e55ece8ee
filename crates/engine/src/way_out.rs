//! What leads out of a container of an ordinary user: a pasta of its own, also where it is on networks with others.
//!
//! So the clients of its ports keep their addresses, and whoever kills one takes the way out from one container. On networks it
//! has the address that it has there; alone, or on `bridge` too, the host's.

use crate::error::{Result, of_network};
use crate::paths::Paths;
use crate::published;
use crate::record::Record;
use crate::wish::Network;
use network::pasta::{Guest, Pasta};
use network::{Definition, Driver, Kind, Lease, PortMapping, definition};
use rustix::fd::BorrowedFd;

/// Whether something leads out of a network.
pub fn leads_out(definition: &Definition) -> bool {
    !definition.internal && definition.driver == Driver::Bridge
}

/// What pasta has to be for a container that has these leases; none where nothing leads out.
pub fn guest(record: &Record, leases: &[Lease]) -> Option<Guest> {
    if record.wish.network != Network::Bridge || record.pasta.is_none() {
        return None;
    }
    let as_host = record.networks.iter().position(|one| one.network == definition::DEFAULT);
    if let Some(number) = as_host {
        return Some(Guest::AsHost(format!("eth{number}")));
    }
    let with = record
        .networks
        .iter()
        .find_map(|one| leases.iter().find(|lease| lease.network == one.network && !lease.internal))?;
    Some(Guest::With { ipv4: with.ipv4, ipv6: with.ipv6 })
}

/// Connects a container whose ports are these.
pub fn open(
    record: &Record,
    guest: &Guest,
    ports: &[PortMapping],
    netns: BorrowedFd<'_>,
    local_dns: bool,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let Some(pid_file) = &record.pasta else { return Ok(()) };
    match network::pasta::start(netns, guest, ports, pid_file, local_dns) {
        // A machine without a network still runs containers; they have what it has.
        Err(error) if error.kind == Kind::NoRoute && ports.is_empty() => {
            let left = if matches!(guest, Guest::AsHost(_)) { "loopback" } else { "that of its neighbours" };
            warn(&format!("no network but {left}: this machine has no route to the outside"));
            network::loopback(netns).map_err(of_network)
        }
        done => done.map(drop).map_err(of_network),
    }
}

/// Its ports, each with one of the host's that is free: written down for whoever looks.
pub fn resolve(paths: &Paths, record: &Record) -> Result<Vec<PortMapping>> {
    let mut ports = record.wish.ports.clone();
    let holder = |port: &PortMapping| published::holder(paths, &record.id, port);
    network::pasta::resolve(&mut ports, holder).map_err(of_network)?;
    published::keep(paths, &record.id, &ports)?;
    Ok(ports)
}

/// Connects a container that runs anew, where what it is on has changed.
pub fn renew(
    paths: &Paths,
    before: Option<&Guest>,
    record: &Record,
    leases: &[Lease],
    netns: BorrowedFd<'_>,
) -> Result<()> {
    let now = guest(record, leases);
    let Some(pid_file) = &record.pasta else { return Ok(()) };
    // With the host's addresses its link has the name that it got.
    let same = match (before, &now) {
        (Some(Guest::AsHost(_)), Some(Guest::AsHost(_))) => true,
        (before, now) => before == now.as_ref(),
    };
    if same {
        return Ok(());
    }
    // First: its link may have the name, and it has the ports.
    Pasta::of(pid_file).stop().map_err(of_network)?;
    let Some(guest) = now else { return Ok(()) };
    let guest = match guest {
        Guest::AsHost(_) => Guest::AsHost(network::free_inside(netns).map_err(of_network)?),
        with @ Guest::With { .. } => with,
    };
    let ports = match published::of(paths, &record.id) {
        kept if !kept.is_empty() => kept,
        _ => resolve(paths, record)?,
    };
    let local_dns = crate::etc::has_local_dns(&record.wish);
    open(record, &guest, &ports, netns, local_dns, &|_| ())
}
