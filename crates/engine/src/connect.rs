//! A container comes to a network or leaves it, also while it runs.

use crate::error::{Error, Kind, Result, of_network, of_runtime};
use crate::events::Occurrences;
use crate::networks::{self, ListedNetwork, find_network, name_of};
use crate::paths::Paths;
use crate::record::{self, Record};
use crate::wish::{Attachment, Network};
use crate::{life, neighbours, user_networks, way_out};
use network::{Definition, Request};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use sys::{Errno, called};

/// The network namespace of a container that runs; none when it does not.
pub fn namespace_of(paths: &Paths, id: &str) -> Result<Option<OwnedFd>> {
    let Some(init) = life::state(paths, id)?.and_then(|state| state.init) else { return Ok(None) };
    // The process is held while its number is used: it may not become another's meanwhile.
    let Some(_process) = init.open().map_err(of_runtime)? else { return Ok(None) };
    let path = format!("/proc/{}/ns/net", init.pid);
    let opened = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let opened = match opened {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(called::<Errno>(|| format!("open({path:?})")))?,
    };
    Ok(init.is_alive().map_err(of_runtime)?.then_some(opened))
}

/// What a container's lease is asked for with.
pub fn request<'a>(attachment: &Attachment, called: &'a dyn Fn(&str) -> String) -> Request<'a> {
    Request {
        ipv4: attachment.ipv4,
        ipv6: attachment.ipv6,
        mac: attachment.mac,
        called,
        ..Request::default()
    }
}

fn may_change(paths: &Paths, wanted: &str) -> Result<Record> {
    let record = record::read(paths, &record::find(paths, wanted)?)?;
    let why = match record.wish.network {
        Network::Bridge => None,
        Network::Host => Some("it has the host's network"),
        Network::None => Some("it has no network (--network none)"),
        Network::Container(_) => Some("it has the network of another container"),
    };
    if let Some(why) = why {
        return Err(Error::new(
            Kind::Failed,
            format!("container {wanted} cannot change its networks: {why}"),
        ));
    }
    Ok(record)
}

/// For an ordinary user the network that is always there is the way out alone: it has no addresses to ask for, and nobody on it who
/// would look up an alias.
pub fn check_plain(one: &Attachment) -> Result<()> {
    if one.network != network::definition::DEFAULT || network::bridges::are_here() {
        return Ok(());
    }
    let asked = [
        ("an alias", !one.aliases.is_empty()),
        ("an IPv4 address", one.ipv4.is_some()),
        ("an IPv6 address", one.ipv6.is_some()),
        ("a MAC address", one.mac.is_some()),
    ];
    let Some((what, _)) = asked.into_iter().find(|(_, asked)| *asked) else { return Ok(()) };
    let message = format!(
        "{what} on network bridge: without root it is a way out alone, with no addresses and no neighbours"
    );
    Err(Error::new(Kind::Failed, message).with_hint("devoxx-container network create app, and --network app"))
}

/// Connects a container to a network: now if it runs, else when it starts.
pub fn connect(paths: &Paths, wanted: &str, mut attachment: Attachment) -> Result<()> {
    let record = may_change(paths, wanted)?;
    let found = find_network(paths, &attachment.network)?;
    let Some(definition) = found.definition else {
        return Err(Error::new(
            Kind::Usage,
            format!("a container cannot be connected to network {}", found.name),
        ));
    };
    attachment.network = definition.name.clone();
    // What cannot be meant is refused now, not at the next start.
    network::check_addresses(&definition, &request(&attachment, &|id| id.to_owned())).map_err(of_network)?;
    check_plain(&attachment)?;
    let id = record.id.clone();
    let root = paths.network();
    let Some(_lock) = record::hold(paths, &id)? else {
        return Err(Error::new(Kind::Failed, format!("no such container: {wanted}")));
    };
    // Read anew: another may just have done the same.
    let mut record = record::read(paths, &id)?;
    if record.networks.iter().any(|one| one.network == definition.name) {
        let message = format!("container {} is already on network {}", record.name, definition.name);
        return Err(Error::new(Kind::Failed, message));
    }
    let before = record.clone();
    record.networks.push(attachment.clone());
    record.leased |= record.has_neighbours();
    record::write(paths, &record)?;
    match attach(paths, &before, &record, &attachment) {
        // Of one that does not run its start says it.
        Ok(now) if now => said(paths, definition.clone(), &id, true),
        Ok(_) => {}
        Err(error) => {
            // The first failure is the one that tells something.
            let _ = network::detach_from(&root, &definition, &id, None);
            record.networks.pop();
            record::write(paths, &record)?;
            return Err(error.within(format!("connect {} to {}", record.name, definition.name)));
        }
    }
    neighbours::tell(paths, &definition.name)
}

/// Attaches a container that runs; whether it does.
fn attach(paths: &Paths, before: &Record, record: &Record, attachment: &Attachment) -> Result<bool> {
    let (root, id) = (paths.network(), &record.id);
    let called = |id: &str| name_of(paths, id);
    let Some(netns) = namespace_of(paths, id)? else { return Ok(false) };
    let leases = own_leases(paths, id)?;
    if record.pasta.is_none() || attachment.network != network::definition::DEFAULT {
        user_networks::ensure(paths)?;
        let request = Request {
            inside: network::free_inside(netns.as_fd()).map_err(of_network)?,
            is_way_out: !leases.iter().any(|lease| lease.is_way_out),
            ..request(attachment, &called)
        };
        let (lease, _) = network::lease_in(&root, &attachment.network, id, request).map_err(of_network)?;
        network::attach(&lease, netns.as_fd()).map_err(of_network)?;
        if let Some(init) = life::state(paths, id)?.and_then(|state| state.init)
            && let Some(init) = init.open().map_err(of_runtime)?
        {
            user_networks::stays_for(init.as_fd())?;
        }
    }
    let had = way_out::guest(before, &leases);
    way_out::renew(paths, had.as_ref(), record, &own_leases(paths, id)?, netns.as_fd())?;
    if life::is_up(paths, id) {
        return Ok(true);
    }
    Err(Error::new(Kind::Failed, "it has ended meanwhile"))
}

/// What a container has of networks.
pub fn own_leases(paths: &Paths, id: &str) -> Result<Vec<network::Lease>> {
    let mut leases = network::leases(&paths.network()).map_err(of_network)?;
    leases.retain(|lease| lease.id == id);
    Ok(leases)
}

fn said(paths: &Paths, network: Definition, id: &str, connected: bool) {
    let mut told = Occurrences::default();
    networks::tell_connected(&mut told, &ListedNetwork::of(network), id, connected);
    told.write(paths);
}

/// Takes a container off a network.
pub fn disconnect(paths: &Paths, wanted: &str, network: &str) -> Result<()> {
    let record = may_change(paths, wanted)?;
    let found = find_network(paths, network)?;
    let not_on =
        || Error::new(Kind::Failed, format!("container {wanted} is not connected to network {network}"));
    let definition = found.definition.ok_or_else(not_on)?;
    let id = record.id;
    let Some(_lock) = record::hold(paths, &id)? else {
        return Err(Error::new(Kind::Failed, format!("no such container: {wanted}")));
    };
    let mut record = record::read(paths, &id)?;
    let before = record.clone();
    record.networks.retain(|one| one.network != definition.name);
    if record.networks.len() == before.networks.len() {
        return Err(not_on());
    }
    record::write(paths, &record)?;
    let netns = namespace_of(paths, &id)?;
    let had = way_out::guest(&before, &own_leases(paths, &id)?);
    let root = paths.network();
    user_networks::find(paths)?;
    network::detach_from(&root, &definition, &id, netns.as_ref().map(AsFd::as_fd)).map_err(of_network)?;
    let runs = netns.is_some();
    if let Some(netns) = netns {
        let left = own_leases(paths, &id)?;
        way_out::renew(paths, had.as_ref(), &record, &left, netns.as_fd())?;
        if record.pasta.is_none()
            && !left.iter().any(|lease| lease.is_way_out)
            && let Some(next) = left.iter().find(|lease| !lease.internal)
        {
            network::way_out(next, netns.as_fd()).map_err(of_network)?;
        }
    }
    neighbours::forget(paths, &id, &definition.name)?;
    if runs {
        said(paths, definition.clone(), &id, false);
    }
    neighbours::tell(paths, &definition.name)
}
