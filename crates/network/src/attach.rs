//! Connects a network namespace to the bridge, and takes it off again.
//!
//! The caller's thread never leaves its own namespace: a thread that ends at once goes into the container's and
//! opens the one socket that is needed there.

use crate::failure::{Error, Kind, Result};
use crate::pool::{self, Lease};
use crate::socket::Socket;
use crate::{firewall, flows, forwarding, link};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use sys::{Context, called};

/// Locally administered, and the same on every host: the bridge is nobody's neighbour outside.
const BRIDGE_MAC: [u8; 6] = [0x02, 0x64, 0x65, 0x76, 0x6f, 0x78];

/// Connects the namespace by what `lease` says. After a failure nothing of it is left but the lease.
pub fn attach(lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    let mut route = route()?;
    let mut netfilter = netfilter()?;
    let shared = ensure_shared(&mut route, &mut netfilter, lease);
    let bridge = shared.within(|| format!("network of {}", lease.id))?;
    let created = link::create_veth(&mut route, &lease.veth, bridge, netns, lease.mac);
    let made = created.is_ok();
    created.and_then(|()| connect(&mut route, lease, netns)).map_err(|error| {
        // The first failure is the one that tells something. A link that was there before is not ours to delete.
        let _ = if made { link::delete(&mut route, &lease.veth) } else { Ok(()) };
        let _ = firewall::withdraw(&mut netfilter, lease);
        error.within(format!("network of {}", lease.id))
    })
}

/// Sets only the loopback link up, for a container without a network.
pub fn loopback(netns: BorrowedFd<'_>) -> Result<()> {
    let mut inside = inside(netns)?;
    let lo = link::existing(&inside, "lo")?;
    link::up(&mut inside, "lo", lo)
}

/// Takes back everything that a container has of the network; what is gone already is fine. It goes on after a
/// failure, and the lease stays as long as something else could not be removed.
pub fn detach(state: &Path, id: &str) -> Result<()> {
    let mut failures = Vec::new();
    let own: Vec<Lease> = pool::all(state)?.into_iter().filter(|lease| lease.id == id).collect();
    if own.is_empty() && !pool::lock_file(state).exists() {
        // Nothing was ever attached from here: no privilege is needed to find that out.
        return Ok(());
    }
    let mut note = |result: Result<()>| failures.extend(result.err());
    note(route().and_then(|mut route| link::delete(&mut route, &pool::veth(id))));
    for lease in own.iter().filter(|lease| !lease.ports.is_empty()) {
        note(netfilter().and_then(|mut netfilter| {
            firewall::withdraw(&mut netfilter, lease)?;
            // After the rules: a packet in between would be led there again.
            let own = [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)];
            own.into_iter().flatten().try_for_each(|address| flows::forget(&mut netfilter, address))
        }));
    }
    if failures.is_empty() {
        let freed = own.iter().map(|lease| pool::free(state, lease));
        failures.extend(freed.filter_map(Result::err));
    }
    failures.extend(remove_shared(state).err());
    joined(failures).map_or(Ok(()), |error| Err(error.within(format!("network of {id}"))))
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

/// Removes the bridge and the table unless somebody still uses them, maybe from another state directory.
fn remove_shared(state: &Path) -> Result<()> {
    // Read anew: of two that leave at once, the later one must see that it is the last.
    if !pool::all(state)?.is_empty() {
        return Ok(());
    }
    let mut route = route()?;
    let _lock = lock(&pool::lock_file(state))?;
    let Some(bridge) = link::index(&route, link::BRIDGE)? else {
        return if pool::all(state)?.is_empty() { firewall::remove(&mut netfilter()?) } else { Ok(()) };
    };
    // A lease comes before its bridge, so whoever is about to attach is seen here, or makes the bridge anew.
    if !pool::all(state)?.is_empty() || link::has_ports(&mut route, bridge)? {
        return Ok(());
    }
    firewall::remove(&mut netfilter()?)?;
    link::delete(&mut route, link::BRIDGE)
}

/// The bridge, and the table with the container's ports; gives the bridge's index.
fn ensure_shared(route: &mut Socket, netfilter: &mut Socket, lease: &Lease) -> Result<u32> {
    let _lock = lock(&lease.lock)?;
    let bridge = ensure_bridge(route, lease.ipv6.is_some())?;
    firewall::publish(netfilter, lease)?;
    Ok(bridge)
}

fn ensure_bridge(route: &mut Socket, ipv6: bool) -> Result<u32> {
    let bridge = link::create_bridge(route, BRIDGE_MAC)?;
    forwarding::enable(ipv6)?;
    for (address, prefix) in pool::gateways(ipv6) {
        link::address(route, (link::BRIDGE, bridge), address, prefix)?;
    }
    link::up(route, link::BRIDGE, bridge)?;
    Ok(bridge)
}

fn connect(route: &mut Socket, lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    let outer = link::existing(route, &lease.veth)?;
    link::hairpin(route, &lease.veth, outer)?;
    let mut inside = inside(netns)?;
    let lo = link::existing(&inside, "lo")?;
    link::up(&mut inside, "lo", lo)?;
    let eth = (link::INSIDE, link::existing(&inside, link::INSIDE)?);
    let own = [
        Some((IpAddr::from(lease.ipv4), lease.ipv4_prefix)),
        lease.ipv6.map(|address| (address.into(), lease.ipv6_prefix)),
    ];
    for (address, prefix) in own.into_iter().flatten() {
        link::address(&mut inside, eth, address, prefix)?;
    }
    link::up(&mut inside, eth.0, eth.1)?;
    let gateways = [Some(IpAddr::from(lease.gateway4)), lease.gateway6.map(IpAddr::from)];
    gateways.into_iter().flatten().try_for_each(|gateway| link::default_route(&mut inside, eth, gateway))
}

fn route() -> Result<Socket> {
    Ok(Socket::route().map_err(called::<Errno>(|| "socket AF_NETLINK NETLINK_ROUTE".into()))?)
}

fn netfilter() -> Result<Socket> {
    let open = Socket::netfilter();
    Ok(open.map_err(called::<Errno>(|| "socket AF_NETLINK NETLINK_NETFILTER".into()))?)
}

/// A socket for the links of another namespace.
fn inside(netns: BorrowedFd<'_>) -> Result<Socket> {
    let enter = move || -> Result<Socket> {
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .map_err(called::<Errno>(|| "setns CLONE_NEWNET".into()))?;
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

/// Holds the lock of a state directory until it is dropped (flock(2)).
fn lock(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(called::<Errno>(|| format!("open {}", path.display())))?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(file),
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
