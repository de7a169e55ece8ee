//! Connects a network namespace to a network, and takes it off again.
//!
//! The caller's thread never leaves its own namespace: a thread that ends at once goes into the container's and
//! opens the one socket that is needed there.

use crate::definition::{self, Definition, Driver};
use crate::failure::{Error, Kind, Result};
use crate::own_file::is_there;
use crate::pool::{self, Lease};
use crate::socket::Socket;
use crate::subnet::Subnet;
use crate::{bridges, firewall, flows, forwarding, link};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use sys::{Context, called};

/// Connects the namespace by what `lease` says. After a failure nothing of it is left but the lease.
pub fn attach(lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    let within = || format!("network of {}", lease.id);
    if lease.driver == Driver::Macvlan {
        return attach_macvlan(lease, netns).within(within);
    }
    let mut links = bridges::links()?.ok_or_else(|| {
        Error::new(Kind::Other, "the namespace of this user's networks was not entered").within(within())
    })?;
    let mut rules = bridges::rules()?;
    let shared = ensure_shared(&mut links, rules.as_mut(), lease);
    let bridge = shared.within(within)?;
    let created = link::create_veth(&mut links, lease, bridge, netns);
    let made = created.is_ok();
    created.and_then(|()| connect(&mut links, lease, netns)).map_err(|error| {
        // The first failure is the one that tells something. A link that was there before is not ours to delete.
        let _ = if made { link::delete(&mut links, &lease.veth) } else { Ok(()) };
        let _ = rules.map_or(Ok(()), |mut rules| firewall::withdraw(&mut rules, lease));
        error.within(within())
    })
}

fn attach_macvlan(lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    let mut route = route()?;
    let parent = lease.parent.as_deref().unwrap_or_default();
    let on = link::index(&route, parent)?.ok_or_else(|| no_link(parent))?;
    link::create_macvlan(&mut route, lease, on, netns)?;
    configure(lease, netns).inspect_err(|_| {
        // The first failure is the one that tells something.
        let _ = inside(netns).and_then(|mut inside| link::delete(&mut inside, &lease.inside));
    })
}

fn no_link(name: &str) -> Error {
    Error::new(Kind::Other, format!("the host has no link {name:?}")).with_hint("ip link")
}

/// Whether the host has this link.
pub(crate) fn check_link(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 15 || link::index(&route()?, name)?.is_none() {
        return Err(no_link(name));
    }
    Ok(())
}

/// The subnets that the host has routes to.
pub(crate) fn routes() -> Result<Vec<Subnet>> {
    link::routes(&mut route()?)
}

/// The first name of a link that is free in a namespace: `eth0`, `eth1`.
pub fn free_inside(netns: BorrowedFd<'_>) -> Result<String> {
    let inside = inside(netns)?;
    for number in 0..256 {
        let name = format!("eth{number}");
        if link::index(&inside, &name)?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::new(Kind::Other, "the container has 256 links already"))
}

/// Lets everything that has no other way go by the network of this lease, whose link is there.
pub fn way_out(lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    let mut inside = inside(netns)?;
    let index = link::existing(&inside, &lease.inside)?;
    default_routes(&mut inside, lease, index)
}

/// Takes back everything that a container that has ended has of any network; what is gone already is fine. It goes on after a
/// failure, and a lease stays as long as something else could not be removed.
///
/// Bridges and rules stay: the next container finds them, and has nothing to wait for (the kernel takes tens of milliseconds to
/// hook rules in and out). They go with their network, or by [`remove_unused`].
pub fn detach(root: &Path, id: &str) -> Result<()> {
    let mut failures = Vec::new();
    if !is_there(&root.join("leases"))? && !is_there(&root.join("networks"))? {
        // Nothing was ever attached from here: no privilege is needed to find that out.
        return Ok(());
    }
    for network in definition::every(root)? {
        failures.extend(give_back(root, &network, id, Namespace::Ends).err());
    }
    joined(failures).map_or(Ok(()), |error| Err(error.within(format!("network of {id}"))))
}

/// Takes back what a container has of one network; `netns` is its namespace while it runs.
pub fn detach_from(root: &Path, network: &Definition, id: &str, netns: Option<BorrowedFd<'_>>) -> Result<()> {
    if let (Driver::Macvlan, Some(netns)) = (network.driver, netns) {
        for lease in pool::all(&network.state(root))?.iter().filter(|lease| lease.id == id) {
            link::delete(&mut inside(netns)?, &lease.inside)?;
        }
    }
    give_back(root, network, id, Namespace::Stays).within(|| format!("network of {id}"))
}

/// What becomes of the namespace of a container that gives something back.
#[derive(Clone, Copy)]
enum Namespace {
    Ends,
    Stays,
}

fn give_back(root: &Path, network: &Definition, id: &str, namespace: Namespace) -> Result<()> {
    let state = network.state(root);
    let own: Vec<Lease> = pool::all(&state)?.into_iter().filter(|lease| lease.id == id).collect();
    if own.is_empty() {
        return Ok(());
    }
    let mut failures = Vec::new();
    let mut note = |result: Result<()>| failures.extend(result.err());
    for lease in own.iter().filter(|lease| !lease.ports.is_empty() && bridges::are_here()) {
        note(netfilter().and_then(|mut netfilter| {
            firewall::withdraw(&mut netfilter, lease)?;
            // After the rules: a packet in between would be led there again.
            let own = [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)];
            own.into_iter().flatten().try_for_each(|address| flows::forget(&mut netfilter, address))
        }));
    }
    // Last of what the kernel has: it is on its way already, and nothing waits here that could be done meanwhile.
    if network.driver == Driver::Bridge {
        note(delete_outer(&pool::veth_in(&network.name, id), namespace));
    }
    if failures.is_empty() {
        let freed = own.iter().map(|lease| pool::free(&state, lease));
        failures.extend(freed.filter_map(Result::err));
    }
    joined(failures).map_or(Ok(()), Err)
}

/// Deletes the end of a veth pair that hangs on a bridge. Where that cannot be reached, it has gone with the container's.
fn delete_outer(name: &str, namespace: Namespace) -> Result<()> {
    let Some(mut links) = bridges::links()? else { return Ok(()) };
    if let Namespace::Ends = namespace
        && link::index(&links, name)?.is_some()
        && let Some(changes) = bridges::links()?
        && link::goes_with_namespace(&links, &changes, name)?
    {
        return Ok(());
    }
    link::delete(&mut links, name)
}

/// One failure that says all of them.
fn joined(failures: Vec<Error>) -> Option<Error> {
    let mut all = failures.into_iter();
    let mut first = all.next()?;
    let more: Vec<String> = all.map(|error| error.to_string()).collect();
    if !more.is_empty() {
        let text = format!("{first}; {}", more.join("; "));
        first.chain = vec![text];
    }
    Some(first)
}

/// Removes the bridges that no container is on, and the table after the last one; the networks stay, and make theirs anew.
pub fn remove_unused(root: &Path) -> Result<()> {
    if !is_there(&pool::lock_file(root))? {
        return Ok(());
    }
    // A lease comes before its bridge, so whoever is about to attach is seen here, or makes the bridge anew.
    let _lock = lock(&pool::lock_file(root))?;
    definition::clear_left(root)?;
    for network in definition::every(root)? {
        if pool::all(&network.state(root))?.is_empty() {
            remove_bridge(&network)?;
        }
    }
    Ok(())
}

/// Removes a network's bridge, and the table after the last one, unless somebody still uses them, maybe from another state
/// directory. With the lock held.
pub(crate) fn remove_bridge(network: &Definition) -> Result<()> {
    if network.driver != Driver::Bridge {
        return Ok(());
    }
    let Some(mut links) = bridges::links()? else { return Ok(()) };
    let mut rules = bridges::rules()?;
    let name = network.link();
    if let Some(bridge) = link::index(&links, &name)? {
        if link::has_ports(&mut links, &name, bridge)? {
            return Ok(());
        }
        if let Some(rules) = &mut rules {
            firewall::forget(rules, network)?;
        }
        link::delete(&mut links, &name)?;
    } else if !network.is_default() {
        return Ok(());
    }
    match rules {
        Some(mut rules) if !link::has_bridges(&mut links)? => firewall::remove(&mut rules),
        _ => Ok(()),
    }
}

/// The bridge, and the table with the network and the container's ports; gives the bridge's index.
fn ensure_shared(links: &mut Socket, rules: Option<&mut Socket>, lease: &Lease) -> Result<u32> {
    let _lock = lock(&lease.lock)?;
    let bridge = ensure_bridge(links, lease)?;
    if let Some(rules) = rules {
        let mut is_whole = firewall::is_whole(rules)?;
        if !is_whole {
            // Somebody has flushed the host's rules, or this table's: with this container's come back those of all others.
            let others = lease.lock.parent().map_or_else(|| Ok(Vec::new()), pool::everywhere)?;
            let mut attached = Vec::new();
            for other in others {
                let is_another = other.driver == Driver::Bridge && other.id != lease.id;
                // One that has its address and no link yet is about to come here too, and brings its own.
                if is_another && link::index(links, &other.veth)?.is_some() {
                    attached.push(other);
                }
            }
            if !attached.is_empty() {
                firewall::restore(rules, &attached)?;
                is_whole = true;
            }
        }
        firewall::publish(rules, lease, is_whole)?;
    }
    Ok(bridge)
}

fn ensure_bridge(links: &mut Socket, lease: &Lease) -> Result<u32> {
    let [a, b, c, d] = lease.gateway4.octets();
    // Locally administered: the bridge is nobody's neighbour outside.
    let bridge = link::create_bridge(links, lease, [0x02, 0x65, a, b, c, d])?;
    if bridges::are_here() {
        forwarding::enable(&lease.bridge, lease.ipv6.is_some())?;
    }
    let gateways = [
        Some((IpAddr::from(lease.gateway4), lease.ipv4_prefix)),
        lease.gateway6.map(|gateway| (gateway.into(), lease.ipv6_prefix)),
    ];
    for (address, prefix) in gateways.into_iter().flatten() {
        link::address(links, (&lease.bridge, bridge), address, prefix)?;
    }
    link::up(links, &lease.bridge, bridge)?;
    Ok(bridge)
}

/// Makes bridges and the table anew, with what those containers have that `runs` says of that they run: after somebody has
/// flushed the host's rules. Returns how many leases there are.
pub fn reload(root: &Path, runs: &dyn Fn(&str) -> bool) -> Result<usize> {
    let mut leases = pool::everywhere(root)?;
    leases.retain(|lease| lease.driver == Driver::Bridge && runs(&lease.id));
    if leases.is_empty() {
        return Ok(0);
    }
    let Some(mut links) = bridges::links()? else { return Ok(0) };
    let rules = bridges::rules()?;
    let _lock = lock(&pool::lock_file(root))?;
    for lease in &leases {
        ensure_bridge(&mut links, lease)?;
    }
    if let Some(mut rules) = rules {
        firewall::restore(&mut rules, &leases)?;
    }
    Ok(leases.len())
}

fn connect(links: &mut Socket, lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    // Ports that are published by rules may lead a container to itself.
    if bridges::are_here() {
        let outer = link::existing(links, &lease.veth)?;
        link::hairpin(links, &lease.veth, outer)?;
    }
    configure(lease, netns)
}

/// Addresses and routes of a link that is in its namespace.
fn configure(lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    // Before the link is up: nothing of a neighbour's is heard earlier.
    let mut inside =
        inside_after(netns, || forwarding::trust_no_neighbour(&lease.inside, lease.ipv6.is_some()))?;
    let index = link::existing(&inside, &lease.inside)?;
    let eth = (lease.inside.as_str(), index);
    let own = [
        Some((IpAddr::from(lease.ipv4), lease.ipv4_prefix)),
        lease.ipv6.map(|address| (address.into(), lease.ipv6_prefix)),
    ];
    for (address, prefix) in own.into_iter().flatten() {
        link::address(&mut inside, eth, address, prefix)?;
    }
    link::up(&mut inside, eth.0, index)?;
    // Where the bridges are apart, nothing leads out of them: that is by pasta.
    if lease.is_way_out && bridges::are_here() { default_routes(&mut inside, lease, index) } else { Ok(()) }
}

fn default_routes(inside: &mut Socket, lease: &Lease, index: u32) -> Result<()> {
    let gateways = [Some(IpAddr::from(lease.gateway4)), lease.gateway6.map(IpAddr::from)];
    gateways
        .into_iter()
        .flatten()
        .try_for_each(|gateway| link::default_route(inside, (&lease.inside, index), gateway, false))
}

pub(crate) fn route() -> Result<Socket> {
    Ok(Socket::route().map_err(called::<Errno>(|| "socket AF_NETLINK NETLINK_ROUTE".into()))?)
}

pub(crate) fn netfilter() -> Result<Socket> {
    let open = Socket::netfilter();
    Ok(open.map_err(called::<Errno>(|| "socket AF_NETLINK NETLINK_NETFILTER".into()))?)
}

/// A socket for the links of another namespace.
pub(crate) fn inside(netns: BorrowedFd<'_>) -> Result<Socket> {
    inside_after(netns, || Ok(()))
}

/// The same, after something was done in there.
fn inside_after(netns: BorrowedFd<'_>, work: impl FnOnce() -> Result<()> + Send) -> Result<Socket> {
    let enter = move || -> Result<Socket> {
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .map_err(called::<Errno>(|| "setns CLONE_NEWNET".into()))?;
        work()?;
        route()
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new()
                .spawn_scoped(scope, enter)
                .map_err(called::<std::io::Error>(|| "clone a thread".into()))?;
        thread.join().unwrap_or_else(|_| Err(Error::new(Kind::Other, "the thread in the namespace ended")))
    })
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "the kernel looks at it")] OwnedFd);

/// Holds the lock of a file alone (flock(2)).
pub(crate) fn lock(path: &Path) -> Result<Held> {
    take(path, FlockOperation::LockExclusive)
}

/// Holds it together with others that share it.
pub(crate) fn share(path: &Path) -> Result<Held> {
    take(path, FlockOperation::LockShared)
}

fn take(path: &Path, how: FlockOperation) -> Result<Held> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(called::<Errno>(|| format!("open {}", path.display())))?;
    loop {
        match rustix::fs::flock(&file, how) {
            Ok(()) => return Ok(Held(file)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("flock {}", path.display()))(errno).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_are_told() {
        fn check(failures: &[&str], expected: Option<&str>) {
            let failures = failures.iter().map(|text| Error::new(Kind::Other, *text)).collect();
            assert_eq!(joined(failures).map(|error| error.to_string()).as_deref(), expected);
        }
        check(&[], None);
        check(&["a: b"], Some("a: b"));
        check(&["a: b", "c", "d: e"], Some("a: b; c; d: e"));
    }

    #[test]
    fn detaching_from_nothing_is_fine() {
        let state = tempfile::tempdir().unwrap();
        detach(state.path(), "x").unwrap();
        detach(&state.path().join("absent"), "x").unwrap();
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    }
}
