//! Links, addresses and routes (rtnetlink(7)): one function for each thing that is asked of the kernel.
//!
//! It does NOT decide which links a container has; `attach` does.

use crate::failure::{Error, Result};
use crate::socket::Socket;
use crate::wire::{self, Message};
use rustix::io::Errno;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use sys::called;

/// The bridge that all containers hang on.
pub const BRIDGE: &str = "devoxx0";
/// The name of a container's link inside its namespace.
pub const INSIDE: &str = "eth0";

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// No duplicate address detection: the pool knows that an address is free, and a container would wait a second.
const IFA_F_NODAD: u32 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
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

/// Creates the bridge, down, when there is none.
pub fn create_bridge(socket: &mut Socket, mac: [u8; 6]) -> Result<u32> {
    let message = Message::new(RTM_NEWLINK, wire::CREATE | wire::EXCL, &info(0, 0))
        .text(IFLA_IFNAME, BRIDGE)
        // A fixed address: otherwise the bridge takes that of a port, and neighbours lose it when the port goes.
        .attr(IFLA_ADDRESS, &mac)
        .nest(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge"));
    match socket.request(message) {
        Ok(()) | Err(Errno::EXIST) => existing(socket, BRIDGE),
        Err(errno) => Err(failed("RTM_NEWLINK bridge", BRIDGE)(errno)),
    }
}

/// Creates a veth pair: the host's end up and on the bridge, the other one as [`INSIDE`] in `netns`.
pub fn create_veth(
    socket: &mut Socket,
    name: &str,
    bridge: u32,
    netns: BorrowedFd<'_>,
    mac: [u8; 6],
) -> Result<()> {
    let namespace = netns.as_raw_fd().to_ne_bytes();
    let message = Message::new(RTM_NEWLINK, wire::CREATE | wire::EXCL, &info(0, IFF_UP))
        .text(IFLA_IFNAME, name)
        .ne32(IFLA_MASTER, bridge)
        .nest(IFLA_LINKINFO, |link| {
            link.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.raw(&info(0, 0))
                        .text(IFLA_IFNAME, INSIDE)
                        .attr(IFLA_ADDRESS, &mac)
                        .attr(IFLA_NET_NS_FD, &namespace)
                })
            })
        });
    socket.request(message).map_err(failed("RTM_NEWLINK veth", name))
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

/// Whether any link hangs on the bridge.
pub fn has_ports(socket: &mut Socket, bridge: u32) -> Result<bool> {
    let message = Message::new(RTM_GETLINK, 0, &info(0, 0)).ne32(IFLA_MASTER, bridge);
    let mut found = false;
    let master = bridge.to_ne_bytes();
    socket
        .dump(message, |body| {
            found = wire::attributes(body, INFO).any(|(kind, value)| kind == IFLA_MASTER && value == master);
            !found
        })
        .map_err(failed("RTM_GETLINK", BRIDGE))?;
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
            let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
            message
                .attr(IFA_LOCAL, &v4.octets())
                .attr(IFA_ADDRESS, &v4.octets())
                .be32(IFA_BROADCAST, u32::from(v4) | hosts)
        }
        IpAddr::V6(v6) => {
            message.attr(IFA_LOCAL, &v6.octets()).attr(IFA_ADDRESS, &v6.octets()).ne32(IFA_FLAGS, IFA_F_NODAD)
        }
    };
    socket.request(message).map_err(failed("RTM_NEWADDR", &format!("{address}/{prefix} {name}")))
}

/// Routes everything that has no other route by this gateway.
pub fn default_route(socket: &mut Socket, link: (&str, u32), gateway: IpAddr) -> Result<()> {
    let (name, index) = link;
    // struct rtmsg: table main (254), protocol boot (3), scope universe (0), type unicast (1).
    let header = [family(gateway), 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
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
