//! The few words of rtnetlink that moving a device takes (rtnetlink(7), include/uapi/linux/rtnetlink.h).
//!
//! One request, then its answer, on a socket that belongs to the network namespace it was opened in.

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use std::time::Duration;
use sys::{CallError, Errno, called};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFF_UP: u32 = 1;
const IFA_F_PERMANENT: u32 = 0x80;
/// What an address keeps: IFA_F_NODAD and IFA_F_NOPREFIXROUTE.
const KEPT_FLAGS: u32 = 0x02 | 0x200;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTA_OIF: u16 = 4;
const RTA_CACHEINFO: u16 = 12;
const RTM_F_CLONED: u32 = 0x200;
const RTPROT_KERNEL: u8 = 2;
const RTPROT_RA: u8 = 9;
/// Lengths of `nlmsghdr`, `ifinfomsg`, `ifaddrmsg` and `rtmsg`.
const HEADER: usize = 16;
const IFINFO: usize = 16;
const IFADDR: usize = 8;
const RTMSG: usize = 12;
/// Larger than any datagram that the kernel makes of a dump (32 KiB).
const BUFFER: usize = 1 << 16;
/// The kernel answers at once; this keeps one that does not from holding everything up.
const PATIENCE: Duration = Duration::from_secs(10);
/// More answers than any machine has devices and addresses.
const MOST: usize = 1 << 17;

/// A device as a namespace sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: i32,
    /// Its name.
    pub name: String,
    /// Whether it is set up.
    pub up: bool,
}

/// An address of a device, as the kernel wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix: u8,
    flags: u32,
    attributes: Vec<(u16, Vec<u8>)>,
}

/// A route over a device, as the kernel wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    header: [u8; RTMSG],
    attributes: Vec<(u16, Vec<u8>)>,
}

/// A socket for links, addresses and routes.
#[derive(Debug)]
pub struct Route {
    socket: OwnedFd,
    sequence: u32,
}

impl Route {
    /// Opens one in the network namespace of this thread.
    pub fn open() -> Result<Self, CallError> {
        let failed = || called::<Errno>(|| "socket(AF_NETLINK)".to_owned());
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(failed())?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(failed())?;
        Ok(Self { socket, sequence: 0 })
    }

    /// All devices.
    pub fn links(&mut self) -> Result<Vec<Link>, CallError> {
        let mut links = Vec::new();
        self.ask("RTM_GETLINK", RTM_GETLINK, NLM_F_DUMP, &[0; IFINFO], |body| {
            let Some([_, _, _, _, a, b, c, d, flags @ ..]) = body.first_chunk::<12>() else { return };
            let name = attributes(body.get(IFINFO..).unwrap_or_default())
                .find(|(kind, _)| *kind == IFLA_IFNAME)
                .map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
            links.push(Link {
                index: i32::from_ne_bytes([*a, *b, *c, *d]),
                name: name.unwrap_or_default(),
                up: u32::from_ne_bytes(*flags) & IFF_UP != 0,
            });
        })?;
        Ok(links)
    }

    /// The permanent addresses of global scope that a device has.
    pub fn addresses(&mut self, index: i32) -> Result<Vec<Address>, CallError> {
        let mut found = Vec::new();
        self.ask("RTM_GETADDR", RTM_GETADDR, NLM_F_DUMP, &[0; IFADDR], |body| {
            found.extend(address(body, index));
        })?;
        Ok(found)
    }

    /// Moves a device into another namespace and gives it a name there.
    pub fn hand_over(&mut self, index: i32, namespace: BorrowedFd<'_>, name: &str) -> Result<(), CallError> {
        let mut body = link_header(index, 0, 0);
        let number = namespace.as_raw_fd().to_ne_bytes();
        attribute(&mut body, IFLA_NET_NS_FD, &number);
        attribute(&mut body, IFLA_IFNAME, &[name.as_bytes(), b"\0"].concat());
        let call = format!("RTM_NEWLINK, {name:?}, IFLA_NET_NS_FD");
        self.ask(&call, RTM_NEWLINK, NLM_F_ACK, &body, |_| {})
    }

    /// Gives a device an address.
    pub fn add(&mut self, index: i32, address: &Address) -> Result<(), CallError> {
        let mut body = vec![address.family, address.prefix, address.flags as u8, RT_SCOPE_UNIVERSE];
        body.extend(index.to_ne_bytes());
        attribute(&mut body, IFA_FLAGS, &address.flags.to_ne_bytes());
        for (kind, value) in &address.attributes {
            attribute(&mut body, *kind, value);
        }
        self.ask("RTM_NEWADDR", RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body, |_| {})
    }

    /// The routes over a device that somebody made; the others come and go with its addresses.
    pub fn paths(&mut self, index: i32) -> Result<Vec<Path>, CallError> {
        let mut found = Vec::new();
        self.ask("RTM_GETROUTE", RTM_GETROUTE, NLM_F_DUMP, &[0; RTMSG], |body| {
            found.extend(path(body, index));
        })?;
        Ok(found)
    }

    /// Has a route lead over a device. One that is there already is fine.
    pub fn lead(&mut self, index: i32, path: &Path) -> Result<(), CallError> {
        let mut body = path.header.to_vec();
        attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
        for (kind, value) in &path.attributes {
            attribute(&mut body, *kind, value);
        }
        match self.ask("RTM_NEWROUTE", RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body, |_| {}) {
            Err(error) if error.errno == Errno::EXIST => Ok(()),
            other => other,
        }
    }

    /// Sets a device up.
    pub fn set_up(&mut self, index: i32) -> Result<(), CallError> {
        self.ask("RTM_NEWLINK, IFF_UP", RTM_NEWLINK, NLM_F_ACK, &link_header(index, IFF_UP, IFF_UP), |_| {})
    }

    /// Sends a request and hears its answers to their end.
    fn ask(
        &mut self,
        what: &str,
        kind: u16,
        flags: u16,
        body: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), CallError> {
        let failed = |errno: Errno| called::<Errno>(|| format!("netlink({what})"))(errno);
        self.sequence += 1;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        send(&self.socket, &message, SendFlags::empty()).map_err(failed)?;
        let mut buffer = vec![0; BUFFER];
        for _ in 0..MOST {
            let (length, _) = match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                other => other.map_err(failed)?,
            };
            for (kind, sequence, body) in answers(&buffer[..length]) {
                if sequence != self.sequence {
                    continue;
                }
                if kind == NLMSG_ERROR || kind == NLMSG_DONE {
                    let status = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    return match status {
                        0.. => Ok(()),
                        status => Err(failed(Errno::from_raw_os_error(-status))),
                    };
                }
                each(body);
            }
        }
        Err(failed(Errno::TOOBIG))
    }
}

/// `struct ifinfomsg`.
fn link_header(index: i32, flags: u32, change: u32) -> Vec<u8> {
    [&[0; 4], &index.to_ne_bytes()[..], &flags.to_ne_bytes(), &change.to_ne_bytes()].concat()
}

/// Appends an attribute (`struct rtattr`), padded to 4 bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend(((4 + value.len()) as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The attributes of a message, up to the first one whose length is wrong.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header: &[u8; 4] = bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = bytes.get(4..length)?;
        // Without the bits that say how it is to be read.
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The messages of a datagram, up to the first one whose length is wrong: type, sequence, what follows the header.
fn answers(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length =
            usize::try_from(u32::from_ne_bytes([header[0], header[1], header[2], header[3]])).ok()?;
        let body = bytes.get(HEADER..length)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let sequence = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, sequence, body))
    })
}

/// An `ifaddrmsg` with its attributes, if it is one to keep of this device.
fn address(body: &[u8], index: i32) -> Option<Address> {
    let header: &[u8; IFADDR] = body.first_chunk()?;
    let [family, prefix, flags, scope, rest @ ..] = header;
    let all: Vec<(u16, Vec<u8>)> =
        attributes(&body[IFADDR..]).map(|(kind, value)| (kind, value.to_vec())).collect();
    let flags = all
        .iter()
        .find(|(kind, _)| *kind == IFA_FLAGS)
        .and_then(|(_, value)| value.first_chunk().copied())
        .map_or(u32::from(*flags), u32::from_ne_bytes);
    let kept = i32::from_ne_bytes(*rest) == index
        && *scope == RT_SCOPE_UNIVERSE
        // One that was learned from the network comes by itself, or has no business there.
        && flags & IFA_F_PERMANENT != 0;
    let kinds = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_RT_PRIORITY];
    kept.then(|| Address {
        family: *family,
        prefix: *prefix,
        flags: flags & KEPT_FLAGS,
        attributes: all.into_iter().filter(|(kind, _)| kinds.contains(kind)).collect(),
    })
}

/// An `rtmsg` with its attributes, if it is one to keep of this device. One over several devices names none here.
fn path(body: &[u8], index: i32) -> Option<Path> {
    let header: &[u8; RTMSG] = body.first_chunk()?;
    let [_, _, _, _, _, protocol, _, _, flags @ ..] = header;
    let own =
        ![RTPROT_KERNEL, RTPROT_RA].contains(protocol) && u32::from_ne_bytes(*flags) & RTM_F_CLONED == 0;
    let over =
        attributes(&body[RTMSG..]).any(|(kind, value)| kind == RTA_OIF && value == index.to_ne_bytes());
    // What is not asked for but told: how old it is and how often it was used, and what became of its device.
    let kept = |kind: u16| kind != RTA_OIF && kind != RTA_CACHEINFO;
    let mut header = *header;
    header[8..].fill(0);
    (own && over).then(|| Path {
        header,
        attributes: attributes(&body[RTMSG..])
            .filter(|(kind, _)| kept(*kind))
            .map(|(kind, value)| (kind, value.to_vec()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loopback_is_there_and_its_address_is_not_global() {
        let mut route = Route::open().expect("a socket");
        let links = route.links().expect("links");
        let loopback = links.iter().find(|link| link.name == "lo").expect("lo");
        assert_eq!(route.addresses(loopback.index), Ok(Vec::new()));
        let refused = route.set_up(i32::MAX).expect_err("no such device");
        assert_eq!(refused.errno, Errno::NODEV);
    }

    #[test]
    fn addresses_that_move() {
        fn check(index: u8, scope: u8, flags: u32, expected: Option<u32>) {
            let mut body = vec![2, 24, flags as u8, scope, index, 0, 0, 0];
            attribute(&mut body, IFA_LOCAL, &[192, 0, 2, 1]);
            attribute(&mut body, 3, b"eth0\0");
            attribute(&mut body, IFA_FLAGS, &flags.to_ne_bytes());
            let found = address(&body, 7);
            assert_eq!(found.as_ref().map(|address| address.flags), expected);
            if let Some(found) = found {
                assert_eq!(found.attributes, [(IFA_LOCAL, vec![192, 0, 2, 1])]);
            }
        }
        check(7, 0, 0x80, Some(0));
        check(7, 0, 0x282, Some(0x202));
        check(8, 0, 0x80, None);
        check(7, 253, 0x80, None);
        check(7, 0, 0, None);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for (_, _, body) in answers(&bytes) {
                prop_assert!(body.len() <= bytes.len());
            }
            prop_assert!(attributes(&bytes).all(|(_, value)| value.len() <= bytes.len()));
            prop_assert!(path(&bytes, 0).is_none_or(|path| path.attributes.len() <= 16));
            prop_assert!(address(&bytes, 0).is_none_or(|address| address.attributes.len() <= 16));
        }
    }
}
