//! Published ports are held by bound sockets, so that two programs cannot both have one (bind(2)).
//!
//! The sockets carry no traffic: the firewall rewrites packets before they would come here. They do not listen: what
//! comes here all the same, to `::1`, is refused at once, so that a client goes on to 127.0.0.1 instead of waiting.

use crate::failure::{Error, Kind, Result};
use crate::publish::{PortMapping, Protocol};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use sys::called;

/// How often a free port of one family may turn out to be taken in the other one.
const ATTEMPTS: usize = 64;

/// What a port is bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To hold it: nothing else binds it meanwhile.
    Hold,
    /// To learn whether a server could listen on it: connections of an earlier one that still linger are no obstacle
    /// (`SO_REUSEADDR`, socket(7)).
    Probe,
}

/// The sockets that hold a container's published ports; dropping it lets them go.
#[derive(Debug, Default)]
pub struct Reservation {
    sockets: Vec<OwnedFd>,
}

impl Reservation {
    /// How many sockets are held.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Binds every port, and fills in those that are 0. `taken` says which ones another container has.
    pub(crate) fn of(
        ports: &mut [PortMapping],
        ipv6: bool,
        purpose: Purpose,
        holder: impl Fn(&PortMapping) -> Option<String>,
    ) -> Result<Self> {
        let mut held = Self::default();
        let _room = Room::for_sockets(ports.len() * 2);
        for mapping in ports {
            if mapping.host_port == 0 {
                held.pick(mapping, ipv6, &|one| holder(one).is_some())?;
            } else if let Some(who) = holder(mapping) {
                return Err(in_use(mapping, Some(who)));
            } else if addresses(mapping, ipv6).next().is_none() {
                return Err(no_family(mapping));
            } else {
                let sockets = hold(mapping, ipv6, purpose).map_err(|(errno, call)| match errno {
                    Errno::ADDRINUSE => in_use(mapping, crate::listener::of(mapping)),
                    _ => refused(mapping, errno, call),
                })?;
                held.keep(sockets);
            }
        }
        Ok(held)
    }

    /// Beyond the first few, by numbers that nobody else needs.
    fn keep(&mut self, sockets: Vec<OwnedFd>) {
        for socket in sockets {
            let high = if self.sockets.len() < FEW / 2 {
                None
            } else {
                rustix::io::fcntl_dupfd_cloexec(&socket, HIGH).ok()
            };
            self.sockets.push(high.unwrap_or(socket));
        }
    }

    fn pick(
        &mut self,
        mapping: &mut PortMapping,
        ipv6: bool,
        taken: &impl Fn(&PortMapping) -> bool,
    ) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let free = |(errno, call)| refused(mapping, errno, call);
            let first = addresses(mapping, ipv6).next().ok_or_else(|| no_family(mapping))?;
            let probe = bind(SocketAddr::new(first, 0), mapping.protocol, Purpose::Hold).map_err(free)?;
            let name = rustix::net::getsockname(&probe).map_err(called::<Errno>(|| "getsockname".into()))?;
            let port = SocketAddr::try_from(name).map_or(0, |name| name.port());
            // Bound anew for both families: only then is it known that both are free.
            drop(probe);
            let candidate = PortMapping { host_port: port, ..mapping.clone() };
            if port == 0 || taken(&candidate) {
                continue;
            }
            match hold(&candidate, ipv6, Purpose::Hold) {
                Ok(sockets) => {
                    self.keep(sockets);
                    *mapping = candidate;
                    return Ok(());
                }
                Err((Errno::ADDRINUSE, _)) => {}
                Err((errno, call)) => return Err(refused(mapping, errno, call)),
            }
        }
        Err(Error::new(
            Kind::PortInUse,
            format!("no free port for container port {}", mapping.container_port),
        ))
    }
}

/// From here on descriptors are out of the way of those that the process opens afterwards.
const HIGH: i32 = 1 << 14;
/// So many sockets fit below any limit that a process usually has.
const FEW: usize = 512;

/// A limit of descriptors (RLIMIT_NOFILE, setrlimit(2)) that is raised for a moment: sockets that are open stay when it is lowered,
/// and the container is not to have another one.
struct Room(Option<Rlimit>);

impl Room {
    fn for_sockets(count: usize) -> Self {
        if count <= FEW {
            return Self(None);
        }
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        // Refused, the limit itself says so, at the port that it ends at.
        Self(setrlimit(Resource::Nofile, raised).is_ok().then_some(before))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            // It was in force a moment ago.
            let _ = setrlimit(Resource::Nofile, before);
        }
    }
}

fn in_use(mapping: &PortMapping, holder: Option<String>) -> Error {
    let by = holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default();
    let hint = match holder {
        Some(_) => "publish another port, or stop what holds this one",
        None => "publish another port, or stop what listens on this one (ss -lnp)",
    };
    Error::new(Kind::PortInUse, format!("port {mapping} is already in use{by}")).with_hint(hint)
}

fn no_family(mapping: &PortMapping) -> Error {
    Error::new(Kind::Usage, format!("publish {mapping}: containers have no IPv6 on this host"))
}

fn refused(mapping: &PortMapping, errno: Errno, call: String) -> Error {
    let error = Error::from(called::<Errno>(|| call)(errno)).within(format!("publish {mapping}"));
    match errno {
        Errno::ADDRNOTAVAIL => error.with_hint("the host does not have this address (ip address)"),
        _ => error,
    }
}

/// The addresses that a mapping means.
fn addresses(mapping: &PortMapping, ipv6: bool) -> impl Iterator<Item = IpAddr> + use<> {
    let all = match mapping.host_ip {
        Some(ip) => [Some(ip), None],
        None => [Some(Ipv4Addr::UNSPECIFIED.into()), Some(Ipv6Addr::UNSPECIFIED.into())],
    };
    all.into_iter().flatten().filter(move |ip| ip.is_ipv4() || ipv6)
}

fn hold(
    mapping: &PortMapping,
    ipv6: bool,
    purpose: Purpose,
) -> std::result::Result<Vec<OwnedFd>, (Errno, String)> {
    addresses(mapping, ipv6)
        .map(|address| bind(SocketAddr::new(address, mapping.host_port), mapping.protocol, purpose))
        .collect()
}

fn bind(
    address: SocketAddr,
    protocol: Protocol,
    purpose: Purpose,
) -> std::result::Result<OwnedFd, (Errno, String)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let bound = || {
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        // For UDP the option would mean that two may share a port.
        let probe = purpose == Purpose::Probe && protocol == Protocol::Tcp;
        sockopt::set_socket_reuseaddr(&socket, probe)?;
        rustix::net::bind(&socket, &address)?;
        if probe {
            rustix::net::listen(&socket, 1)?;
        }
        Ok(socket)
    };
    bound().map_err(|errno| (errno, format!("bind {address}/{protocol}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_publish;

    #[test]
    fn holds_a_port_until_it_is_dropped() {
        let mut ports = parse_publish("127.0.0.1::80").unwrap();
        let held = Reservation::of(&mut ports, true, Purpose::Hold, |_| None).unwrap();
        assert_eq!(held.sockets(), 1);
        let error = Reservation::of(&mut ports.clone(), true, Purpose::Hold, |_| None).unwrap_err();
        assert_eq!(error.kind, Kind::PortInUse);
        let port = ports[0].host_port;
        // It does not listen, so the kernel does not say whose it is.
        assert_eq!(error.to_string(), format!("port 127.0.0.1:{port}/tcp is already in use"));
        drop(held);
        Reservation::of(&mut ports, true, Purpose::Hold, |_| None).unwrap();
    }

    #[test]
    fn refuses_what_cannot_be_bound() {
        fn check(text: &str, ipv6: bool, kind: Kind, says: &str) {
            let error = Reservation::of(&mut parse_publish(text).unwrap(), ipv6, Purpose::Hold, |_| None)
                .unwrap_err();
            assert_eq!(error.kind, kind, "{text}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        check("192.0.2.7:8080:80", true, Kind::Other, "EADDRNOTAVAIL");
        check("192.0.2.7::80", true, Kind::Other, "EADDRNOTAVAIL");
        check("[::1]::80", false, Kind::Usage, "no IPv6");
        check("[::1]:8080:80", false, Kind::Usage, "no IPv6");
    }
}
