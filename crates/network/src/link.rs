//! Links, addresses and routes (rtnetlink(7)): one function for each thing that is asked of the kernel.
//!
//! It does NOT decide which links a container has; `attach` does.

use crate::failure::{Error, Result};
use crate::pool::Lease;
use crate::socket::Socket;
use crate::subnet::Subnet;
use crate::wire::{self, Message};
use rustix::io::Errno;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};
use sys::called;

/// The bridge of the network that is always there.
pub const BRIDGE: &str = "devoxx0";
/// How the names of the bridges of all other networks begin.
pub const OWN: &str = "dvb";
/// How the names of the host's ends of containers' links begin.
pub const VETH: &str = "dvx";
/// The name of a container's first link inside its namespace.
pub const INSIDE: &str = "eth0";

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
/// `IFLA_INET6_ADDR_GEN_MODE`, and the mode that makes no address (`IN6_ADDR_GEN_MODE_NONE`).
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const NO_ADDRESS: u8 = 1;
/// `IFLA_MACVLAN_MODE`, and the mode in which neighbours on one link reach each other.
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_BRIDGE: u32 = 4;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// No duplicate address detection: the pool knows that an address is free, and a container would wait a second.
const IFA_F_NODAD: u32 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTNH_F_ONLINK: u32 = 4;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_BRIDGE: u8 = 7;
/// Length of `struct ifinfomsg`.
const INFO: usize = 16;

/// `struct ifinfomsg` for a link, with the flags to set.
fn info(index: u32, flags: u32) -> [u8; INFO] {
    let mut header = [0; INFO];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

fn failed(call: &'static str, what: &str) -> impl FnOnce(Errno) -> Error {
    move |errno| called::<Errno>(|| format!("{call} {what}"))(errno).into()
}

/// The index of a link, `None` when there is none of this name.
pub fn index(socket: &Socket, name: &str) -> Result<Option<u32>> {
    match rustix::net::netdevice::name_to_index(socket.fd(), name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV) => Ok(None),
        Err(errno) => Err(failed("SIOCGIFINDEX", name)(errno)),
    }
}

/// The index of a link that must be there.
pub fn existing(socket: &Socket, name: &str) -> Result<u32> {
    index(socket, name)?.ok_or_else(|| failed("SIOCGIFINDEX", name)(Errno::NODEV))
}

/// Creates a network's bridge, down, when there is none.
pub fn create_bridge(socket: &mut Socket, lease: &Lease, mac: [u8; 6]) -> Result<u32> {
    let message = Message::new(RTM_NEWLINK, wire::CREATE | wire::EXCL, &info(0, 0))
        .text(IFLA_IFNAME, &lease.bridge)
        // A fixed address: otherwise the bridge takes that of a port, and neighbours lose it when the port goes.
        .attr(IFLA_ADDRESS, &mac)
        .nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
    match socket.request(with_mtu(message, lease)) {
        Ok(()) | Err(Errno::EXIST) => existing(socket, &lease.bridge),
        Err(errno) => Err(failed("RTM_NEWLINK bridge", &lease.bridge)(errno)),
    }
}

fn with_mtu(message: Message, lease: &Lease) -> Message {
    match lease.mtu {
        Some(mtu) => message.ne32(IFLA_MTU, mtu),
        None => message,
    }
}

/// Creates a veth pair: the host's end up and on the bridge, the other one in `netns`.
pub fn create_veth(socket: &mut Socket, lease: &Lease, bridge: u32, netns: BorrowedFd<'_>) -> Result<()> {
    let namespace = netns.as_raw_fd().to_ne_bytes();
    let message = Message::new(RTM_NEWLINK, wire::CREATE | wire::EXCL, &info(0, IFF_UP))
        .text(IFLA_IFNAME, &lease.veth)
        .ne32(IFLA_MASTER, bridge);
    let message = with_mtu(message, lease).nest(IFLA_LINKINFO, |link| {
        link.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |peer| {
                let peer = peer
                    .raw(&info(0, 0))
                    .text(IFLA_IFNAME, &lease.inside)
                    .attr(IFLA_ADDRESS, &lease.mac)
                    .attr(IFLA_NET_NS_FD, &namespace);
                with_mtu(peer, lease)
            })
        })
    });
    socket.request(message).map_err(failed("RTM_NEWLINK veth", &lease.veth))
}

/// Creates a macvlan on link `on` of the host, in `netns`.
pub fn create_macvlan(socket: &mut Socket, lease: &Lease, on: u32, netns: BorrowedFd<'_>) -> Result<()> {
    let message = Message::new(RTM_NEWLINK, wire::CREATE | wire::EXCL, &info(0, 0))
        .text(IFLA_IFNAME, &lease.inside)
        .ne32(IFLA_LINK, on)
        .attr(IFLA_ADDRESS, &lease.mac)
        .attr(IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes());
    let message = with_mtu(message, lease).nest(IFLA_LINKINFO, |link| {
        link.text(IFLA_INFO_KIND, "macvlan")
            .nest(IFLA_INFO_DATA, |data| data.ne32(IFLA_MACVLAN_MODE, MACVLAN_BRIDGE))
    });
    let parent = lease.parent.as_deref().unwrap_or_default();
    socket.request(message).map_err(failed("RTM_NEWLINK macvlan on", parent))
}

/// Keeps a link that has no IPv6 address from making one up: nobody has asked for it. A kernel without IPv6 refuses.
pub fn no_ipv6(socket: &mut Socket, name: &str, index: u32) -> Result<()> {
    let message = Message::new(RTM_SETLINK, 0, &info(index, 0)).nest(IFLA_AF_SPEC, |families| {
        families.nest(u16::from(AF_INET6), |six| six.attr(IFLA_INET6_ADDR_GEN_MODE, &[NO_ADDRESS]))
    });
    match socket.request(message) {
        Ok(()) | Err(Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        Err(errno) => Err(failed("RTM_SETLINK addrgenmode", name)(errno)),
    }
}

/// The subnets of the routing tables, but for those that lead everywhere.
pub fn routes(socket: &mut Socket) -> Result<Vec<Subnet>> {
    let mut found = Vec::new();
    // struct rtmsg: family, length of the destination, and ten bytes more.
    let message = Message::new(RTM_GETROUTE, 0, &[0; ROUTE]);
    let each = |body: &[u8]| {
        let prefix = body.get(1).copied().unwrap_or(0);
        let destination =
            wire::attributes(body, ROUTE).find(|(kind, _)| *kind == RTA_DST).map(|(_, value)| value);
        let address = destination.and_then(|value| match value.len() {
            4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
            _ => None,
        });
        if let Some(address) = address.filter(|address| prefix > 0 && !address.is_multicast()) {
            found.push(Subnet { address, prefix });
        }
        true
    };
    socket.dump(message, each).map_err(failed("RTM_GETROUTE", ""))?;
    Ok(found)
}

/// Whether anything leads everywhere for this family.
pub fn has_default_route(socket: &mut Socket, v4: bool) -> Result<bool> {
    let mut found = false;
    let wanted = if v4 { AF_INET } else { AF_INET6 };
    socket
        .dump(Message::new(RTM_GETROUTE, 0, &[0; ROUTE]), |body| {
            // Family, length of the destination; the type at 7: unicast is 1, and there are those that refuse.
            found |= body.first() == Some(&wanted) && body.get(1) == Some(&0) && body.get(7) == Some(&1);
            true
        })
        .map_err(failed("RTM_GETROUTE", ""))?;
    Ok(found)
}

/// Length of `struct rtmsg`.
const ROUTE: usize = 12;

/// Whether any bridge of a network is there.
pub fn has_bridges(socket: &mut Socket) -> Result<bool> {
    Ok(ours(socket)?.iter().any(|one| one.name == BRIDGE || is_own_bridge(&one.name)))
}

/// A link that bears a name of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub index: u32,
    /// The number of the namespace that its other end is in; none where that is this one.
    pub peer: Option<i32>,
}

/// Every link that bears a name of ours.
pub fn ours(socket: &mut Socket) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    let each = |body: &[u8]| {
        let (mut name, mut peer) = (String::new(), None);
        for (kind, value) in wire::attributes(body, INFO) {
            match kind {
                IFLA_IFNAME => {
                    let value = value.strip_suffix(&[0]).unwrap_or(value);
                    name = String::from_utf8_lossy(value).into_owned();
                }
                IFLA_LINK_NETNSID => peer = value.first_chunk().map(|number| i32::from_ne_bytes(*number)),
                _ => {}
            }
        }
        let index =
            body.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_ne_bytes(*four));
        if name == BRIDGE || is_own_bridge(&name) || is_veth(&name) {
            all.push(Found { name, index, peer });
        }
        true
    };
    socket.dump(Message::new(RTM_GETLINK, 0, &info(0, 0)), each).map_err(failed("RTM_GETLINK", BRIDGE))?;
    Ok(all)
}

/// Whether a link of this name is the bridge of a network that was made.
pub fn is_own_bridge(name: &str) -> bool {
    name.strip_prefix(OWN).is_some_and(is_hex)
}

/// Whether a link of this name is the host's end of a container's.
pub fn is_veth(name: &str) -> bool {
    name.strip_prefix(VETH).is_some_and(is_hex)
}

fn is_hex(rest: &str) -> bool {
    rest.len() == 12 && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The number that the network namespace of a process has in that of the socket; none where it has none, or there is no such process.
pub fn namespace_of(socket: &mut Socket, pid: u32) -> Result<Option<i32>> {
    let mut found = None;
    let message = Message::new(RTM_GETNSID, 0, &[0]).ne32(NETNSA_PID, pid);
    let asked = socket.ask(message, |body| {
        // struct rtgenmsg, with its padding.
        for (kind, value) in wire::attributes(body, 4) {
            if kind == NETNSA_NSID {
                found = value.first_chunk().map(|number| i32::from_ne_bytes(*number)).filter(|id| *id >= 0);
            }
        }
    });
    match asked {
        Ok(()) | Err(Errno::SRCH | Errno::INVAL) => Ok(found),
        Err(errno) => Err(failed("RTM_GETNSID", &pid.to_string())(errno)),
    }
}

/// Lets the bridge send a packet back to the port that it came from: a container that reaches itself by a port that
/// it publishes needs this where br_netfilter is loaded, for then the bridge itself rewrites the packet.
pub fn hairpin(socket: &mut Socket, name: &str, index: u32) -> Result<()> {
    let mut header = info(index, 0);
    header[0] = AF_BRIDGE;
    let message =
        Message::new(RTM_SETLINK, 0, &header).nest(IFLA_PROTINFO, |port| port.attr(IFLA_BRPORT_MODE, &[1]));
    socket.request(message).map_err(failed("RTM_SETLINK hairpin", name))
}

/// Sets the largest packet of a link.
pub fn set_mtu(socket: &mut Socket, name: &str, index: u32, mtu: u32) -> Result<()> {
    let message = Message::new(RTM_NEWLINK, 0, &info(index, 0)).ne32(IFLA_MTU, mtu);
    socket.request(message).map_err(failed("RTM_NEWLINK mtu", name))
}

/// Sets a link up.
pub fn up(socket: &mut Socket, name: &str, index: u32) -> Result<()> {
    let message = Message::new(RTM_NEWLINK, 0, &info(index, IFF_UP));
    socket.request(message).map_err(failed("RTM_NEWLINK up", name))
}

/// Deletes a link. One that is not there is fine.
pub fn delete(socket: &mut Socket, name: &str) -> Result<()> {
    let message = Message::new(RTM_DELLINK, 0, &info(0, 0)).text(IFLA_IFNAME, name);
    match socket.request(message) {
        Ok(()) | Err(Errno::NODEV) => Ok(()),
        Err(errno) => Err(failed("RTM_DELLINK", name)(errno)),
    }
}

/// Waits for a link to go whose other end was in a namespace that has just come to its end: the kernel takes both off, sooner than it
/// does so when it is asked (a deletion by request waits for more grace periods of RCU). False where somebody keeps the namespace.
///
/// `changes` is a socket for this alone: what it hears may be more than it can keep.
pub fn goes_with_namespace(socket: &Socket, changes: &Socket, name: &str) -> Result<bool> {
    changes.hear_of_links().map_err(failed("bind RTMGRP_LINK", name))?;
    let until = Instant::now() + NAMESPACE;
    // After the other one hears of changes: what went before that is seen here.
    while index(socket, name)?.is_some() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        changes.wait(left).map_err(failed("poll RTMGRP_LINK", name))?;
    }
    Ok(true)
}

/// How long the kernel has to end a namespace: it takes some milliseconds.
const NAMESPACE: Duration = Duration::from_millis(100);

/// Whether any link hangs on the bridge.
pub fn has_ports(socket: &mut Socket, name: &str, bridge: u32) -> Result<bool> {
    let message = Message::new(RTM_GETLINK, 0, &info(0, 0)).ne32(IFLA_MASTER, bridge);
    let mut found = false;
    let master = bridge.to_ne_bytes();
    socket
        .dump(message, |body| {
            found = wire::attributes(body, INFO).any(|(kind, value)| kind == IFLA_MASTER && value == master);
            !found
        })
        .map_err(failed("RTM_GETLINK", name))?;
    Ok(found)
}

/// Gives a link an address; the same address again is fine.
pub fn address(socket: &mut Socket, link: (&str, u32), address: IpAddr, prefix: u8) -> Result<()> {
    let (name, index) = link;
    let mut header = [family(address), prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let message = Message::new(RTM_NEWADDR, wire::CREATE | wire::REPLACE, &header);
    let message = match address {
        IpAddr::V4(v4) => {
            let message = message.attr(IFA_LOCAL, &v4.octets()).attr(IFA_ADDRESS, &v4.octets());
            match u32::MAX.checked_shr(u32::from(prefix)) {
                Some(hosts) => message.be32(IFA_BROADCAST, u32::from(v4) | hosts),
                // Alone in its subnet: it would itself become the broadcast address.
                None => message,
            }
        }
        IpAddr::V6(v6) => {
            message.attr(IFA_LOCAL, &v6.octets()).attr(IFA_ADDRESS, &v6.octets()).ne32(IFA_FLAGS, IFA_F_NODAD)
        }
    };
    socket.request(message).map_err(failed("RTM_NEWADDR", &format!("{address}/{prefix} {name}")))
}

/// Routes everything that has no other route by this gateway; `beyond` says that it is in no subnet of the link.
pub fn default_route(socket: &mut Socket, link: (&str, u32), gateway: IpAddr, beyond: bool) -> Result<()> {
    let (name, index) = link;
    // struct rtmsg: table main (254), protocol boot (3), scope universe (0), type unicast (1), flags.
    let mut header = [family(gateway), 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    if beyond {
        header[8..].copy_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
    }
    let message = Message::new(RTM_NEWROUTE, wire::CREATE | wire::REPLACE, &header).ne32(RTA_OIF, index);
    let message = match gateway {
        IpAddr::V4(v4) => message.attr(RTA_GATEWAY, &v4.octets()),
        IpAddr::V6(v6) => message.attr(RTA_GATEWAY, &v6.octets()),
    };
    socket.request(message).map_err(failed("RTM_NEWROUTE", &format!("default via {gateway} dev {name}")))
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}
