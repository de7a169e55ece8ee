//! Our table of nf_tables (nft(8), include/uapi/linux/netfilter/nf_tables.h): `inet devoxx`.
//!
//! Published ports are elements of maps and networks elements of sets, so a packet costs a few lookups however many
//! containers there are, and a container comes and goes in one transaction that touches nobody else's rules. A range of
//! ports that leads to the same ports inside is one element. It does NOT open holes in other tables: to accept a packet
//! ends our own chain alone, and one that another table drops stays dropped.

mod base;
mod expression;

use crate::definition::Definition;
use crate::failure::{Error, Kind, Result};
use crate::pool::Lease;
use crate::publish::PortMapping;
use crate::socket::Socket;
use crate::subnet::Subnet;
use crate::wire::{self, Message};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::net::IpAddr;
use sys::called;

/// The name of the table.
const TABLE: &str = "devoxx";
/// `NFPROTO_INET`, version 0, no resource: `struct nfgenmsg`.
const HEADER: [u8; 4] = [1, 0, 0, 0];
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const GETSET: u16 = 10;
const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;
/// `NFTA_TABLE_NAME`, and the table in chains, rules, sets and lists of elements.
const ATTR_TABLE: u16 = 1;
/// `NFTA_CHAIN_NAME`
const ATTR_CHAIN_NAME: u16 = 3;
/// `NFTA_LIST_ELEM`
const LIST_ELEM: u16 = 1;
/// Elements of one message: its list must fit into the 16 bits of an attribute's length.
const CHUNK: usize = 256;

/// A message of nf_tables, whose number stands below that of its subsystem (10).
fn message(kind: u16, flags: u16) -> Message {
    Message::new((10 << 8) | kind, flags, &HEADER)
}

/// Lets a container's network through and publishes its ports, and makes the table first unless it `is_whole`. Call it with
/// the lock held.
pub fn publish(socket: &mut Socket, lease: &Lease, is_whole: bool) -> Result<()> {
    let mut batch = if is_whole { Vec::new() } else { base::table(crate::forwarding::has_ipv6()) };
    batch.extend(element_messages(NEWSETELEM, wire::CREATE, &of_lease(lease)));
    batch.extend(element_messages(NEWSETELEM, wire::CREATE | wire::EXCL, &elements(lease)));
    socket.batch(batch).map_err(|(at, errno)| match errno {
        Errno::EXIST | Errno::NOTEMPTY => {
            Error::new(Kind::PortInUse, "a port is already published by another container")
        }
        _ => failed(&format!("nf_tables transaction, message {at}"), errno),
    })
}

/// Makes the table as it must be with these leases, whatever has become of it. Call it with the lock held.
pub fn restore(socket: &mut Socket, leases: &[Lease]) -> Result<()> {
    let mut batch = base::table(crate::forwarding::has_ipv6());
    for lease in leases {
        batch.extend(element_messages(NEWSETELEM, wire::CREATE, &of_lease(lease)));
        batch.extend(element_messages(NEWSETELEM, wire::CREATE, &elements(lease)));
    }
    socket.batch(batch).map_err(|(at, errno)| failed(&format!("nf_tables transaction, message {at}"), errno))
}

/// Takes a network out of the table. Whatever is gone already is fine.
pub fn forget(socket: &mut Socket, network: &Definition) -> Result<()> {
    let subnets = [Some(network.subnet), network.subnet6];
    take_back(socket, &of_network(&network.link(), subnets.into_iter().flatten(), network.internal))
}

/// Takes back a container's ports. Whatever is gone already is fine.
pub fn withdraw(socket: &mut Socket, lease: &Lease) -> Result<()> {
    take_back(socket, &elements(lease))
}

fn take_back(socket: &mut Socket, elements: &[Element]) -> Result<()> {
    let whole: Vec<Message> = element_messages(DELSETELEM, 0, elements).collect();
    if whole.is_empty() {
        return Ok(());
    }
    match socket.batch(whole) {
        Ok(()) => Ok(()),
        // One is missing, so none was deleted: one by one.
        Err((_, Errno::NOENT)) => {
            elements.chunk_by(|a, b| a.with_next && !b.key.is_empty()).try_for_each(|element| {
                let one: Vec<Message> = element_messages(DELSETELEM, 0, element).collect();
                match socket.batch(one) {
                    Ok(()) | Err((_, Errno::NOENT)) => Ok(()),
                    Err((_, errno)) => Err(failed("NFT_MSG_DELSETELEM", errno)),
                }
            })
        }
        Err((_, errno)) => Err(failed("NFT_MSG_DELSETELEM", errno)),
    }
}

/// Removes the table. None at all is fine.
pub fn remove(socket: &mut Socket) -> Result<()> {
    match socket.batch(vec![message(DELTABLE, 0).text(ATTR_TABLE, TABLE)]) {
        Ok(()) | Err((_, Errno::NOENT)) => Ok(()),
        Err((_, errno)) => Err(failed("NFT_MSG_DELTABLE", errno)),
    }
}

/// Whether the table is there, with the sets that are made with it.
pub fn is_there(socket: &mut Socket) -> Result<bool> {
    match socket.request(message(GETSET, 0).text(ATTR_TABLE, TABLE).text(2, base::BRIDGES)) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed("NFT_MSG_GETSET", errno)),
    }
}

/// Whether the table is there with its rules, as this program makes them: each chain says how many it has. Who flushes the table
/// leaves the chains, and sets with all their elements, and no packet is looked at any more.
pub fn is_whole(socket: &mut Socket) -> Result<bool> {
    if sys::mutant!("mutant_nw_06") {
        return is_there(socket);
    }
    let ask = |(chain, _)| message(GETCHAIN, 0).text(ATTR_TABLE, TABLE).text(ATTR_CHAIN_NAME, chain);
    match socket.get(base::CHAINS.map(ask).into()) {
        Ok(found) => Ok(found.iter().zip(base::CHAINS).all(|(body, (_, rules))| uses(body) >= rules)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed("NFT_MSG_GETCHAIN", errno)),
    }
}

/// `NFTA_CHAIN_USE` of an answer: the rules of a chain, and the jumps to it.
fn uses(body: &[u8]) -> u32 {
    wire::attributes(body, HEADER.len())
        .find(|(kind, _)| *kind == 6)
        .and_then(|(_, value)| Some(u32::from_be_bytes(*value.first_chunk()?)))
        .unwrap_or(0)
}

/// Whose elements there are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Left {
    /// The links whose ports are published.
    pub ports: BTreeSet<String>,
    /// The bridges of networks.
    pub bridges: BTreeSet<String>,
}

/// Looks into all sets and maps.
pub fn left(socket: &mut Socket) -> Result<Left> {
    let mut all = Left::default();
    for element in every_element(socket)? {
        match (&element.comment, element.set) {
            (Some(comment), _) => drop(all.ports.insert(comment.clone())),
            (None, base::BRIDGES | base::INTERNAL | base::WITHIN) => {
                all.bridges.insert(link_name(&element.key));
            }
            _ => {}
        }
    }
    Ok(all)
}

/// Takes away the ports of a link, or what is there for a bridge, by its name alone.
pub fn take_away(socket: &mut Socket, name: &str) -> Result<()> {
    let mut own = every_element(socket)?;
    own.retain(|element| match (&element.comment, element.set) {
        (Some(comment), _) => comment == name,
        (None, base::BRIDGES | base::INTERNAL | base::WITHIN) => link_name(&element.key) == name,
        _ => false,
    });
    take_back(socket, &own)
}

fn link_name(key: &[u8]) -> String {
    let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    String::from_utf8_lossy(&key[..end]).into_owned()
}

fn every_element(socket: &mut Socket) -> Result<Vec<Element>> {
    let mut all = Vec::new();
    for set in base::names() {
        let message = message(GETSETELEM, 0).text(ATTR_TABLE, TABLE).text(2, set);
        let dumped = socket.dump(message, |body| {
            let lists = wire::attributes(body, HEADER.len()).filter(|(kind, _)| *kind == 3);
            let listed = lists.flat_map(|(_, list)| wire::attributes(list, 0));
            all.extend(listed.filter(|(kind, _)| *kind == LIST_ELEM).filter_map(|(_, one)| read(set, one)));
            true
        });
        match dumped {
            // A host without IPv6 has not all of them.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("NFT_MSG_GETSETELEM", errno)),
        }
    }
    Ok(all)
}

/// An element as the kernel describes it; see [`entry`].
fn read(set: &'static str, bytes: &[u8]) -> Option<Element> {
    let value = |nest: &[u8]| {
        let mut inner = wire::attributes(nest, 0);
        inner.find(|(kind, _)| *kind == 1).map(|(_, value)| value.to_vec())
    };
    let mut element = Element::member(set, Vec::new());
    for (kind, found) in wire::attributes(bytes, 0) {
        match kind {
            1 => element.key = value(found)?,
            10 => element.until = value(found),
            6 => {
                let text = found.get(2..).filter(|_| found.first() == Some(&0));
                element.comment = text.map(link_name);
            }
            _ => {}
        }
    }
    (!element.key.is_empty()).then_some(element)
}

fn failed(call: &str, errno: Errno) -> Error {
    let error = Error::from(called::<Errno>(|| format!("{call} inet {TABLE}"))(errno));
    match errno {
        Errno::OPNOTSUPP | Errno::NOENT | Errno::PROTONOSUPPORT => error.with_hint(
            "the kernel needs nf_tables with nat, masquerade and fib (modprobe nf_tables nft_nat)",
        ),
        _ => error,
    }
}

/// One entry of a map or a set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    set: &'static str,
    key: Vec<u8>,
    /// The last key of a range.
    until: Option<Vec<u8>>,
    /// Of a map.
    value: Option<Vec<u8>>,
    /// The first key that an interval does NOT have.
    is_end: bool,
    /// The interval that begins here ends with the next element: both come and go together.
    with_next: bool,
    /// Shown by `nft list`: whose it is.
    comment: Option<String>,
}

impl Element {
    fn member(set: &'static str, key: Vec<u8>) -> Self {
        Self { set, key, until: None, value: None, is_end: false, with_next: false, comment: None }
    }
}

/// What a lease's network is in the sets.
fn of_lease(lease: &Lease) -> Vec<Element> {
    let subnets = [
        Some(Subnet::around(lease.ipv4.into(), lease.ipv4_prefix)),
        lease.ipv6.map(|six| Subnet::around(six.into(), lease.ipv6_prefix)),
    ];
    of_network(&lease.bridge, subnets.into_iter().flatten(), lease.internal)
}

fn of_network(bridge: &str, subnets: impl Iterator<Item = Subnet>, internal: bool) -> Vec<Element> {
    let name = expression::link_name(bridge).to_vec();
    let mut all = vec![
        Element::member(base::BRIDGES, name.clone()),
        Element::member(base::WITHIN, [name.clone(), name.clone()].concat()),
    ];
    if internal && !sys::mutant!("mutant_nw_05") {
        all.push(Element::member(base::INTERNAL, name));
        return all;
    }
    for subnet in subnets {
        let set = base::pool(subnet.address.is_ipv4());
        let end = subnet.end();
        all.push(Element { with_next: end.is_some(), ..Element::member(set, octets(subnet.address)) });
        all.extend(end.map(|end| Element { is_end: true, ..Element::member(set, octets(end)) }));
    }
    all
}

/// What a container's published ports are in the maps.
fn elements(lease: &Lease) -> Vec<Element> {
    let inside = [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)];
    let mut all = Vec::new();
    for run in lease.ports.chunk_by(follows) {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        for to in inside.into_iter().flatten() {
            let specific = first.host_ip.filter(|ip| !ip.is_unspecified());
            if first.host_ip.is_some_and(|ip| ip.is_ipv4() != to.is_ipv4()) {
                continue;
            }
            let key = |port: &PortMapping| {
                let mut key = specific.map_or_else(Vec::new, octets);
                // Each part of a key fills whole 32-bit registers.
                key.extend([port.protocol.number(), 0, 0, 0]);
                key.extend(port.host_port.to_be_bytes());
                key.extend([0, 0]);
                key
            };
            let span = run.len() > 1;
            let mut value = octets(to);
            if !span {
                value.extend(first.container_port.to_be_bytes());
                value.extend([0, 0]);
            }
            all.push(Element {
                until: span.then(|| key(last)),
                value: Some(value),
                comment: Some(lease.veth.clone()),
                ..Element::member(base::map(to.is_ipv4(), specific.is_some(), span), key(first))
            });
        }
    }
    all
}

/// Whether two ports are of one range that leads to the same ports inside: the kernel then need not be told each of them.
fn follows(a: &PortMapping, b: &PortMapping) -> bool {
    a.host_port == a.container_port
        && b.host_port == b.container_port
        && a.host_port.checked_add(1) == Some(b.host_port)
        && (a.host_ip, a.protocol) == (b.host_ip, b.protocol)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn element_messages(kind: u16, flags: u16, elements: &[Element]) -> impl Iterator<Item = Message> {
    base::names().flat_map(move |set| {
        let own: Vec<&Element> = elements.iter().filter(|element| element.set == set).collect();
        let chunks: Vec<Message> = own
            .chunks(CHUNK)
            .map(|chunk| {
                message(kind, flags).text(ATTR_TABLE, TABLE).text(2, set).nest(3, |list| {
                    chunk.iter().fold(list, |list, element| list.nest(LIST_ELEM, |one| entry(one, element)))
                })
            })
            .collect();
        chunks
    })
}

/// `NFTA_SET_ELEM_KEY` 1, `_DATA` 2, `_FLAGS` 3, `_USERDATA` 6, `_KEY_END` 10; each datum in an `NFTA_DATA_VALUE` 1.
fn entry(message: Message, element: &Element) -> Message {
    let mut message = message.nest(1, |key| key.attr(1, &element.key));
    if let Some(until) = &element.until {
        message = message.nest(10, |key| key.attr(1, until));
    }
    if let Some(value) = &element.value {
        message = message.nest(2, |data| data.attr(1, value));
    }
    if element.is_end {
        // NFT_SET_ELEM_INTERVAL_END
        message = message.be32(3, 1);
    }
    if let Some(text) = &element.comment {
        // nft's own format: type 0 is a comment, its length with the NUL, the text.
        let mut comment = vec![0, u8::try_from(text.len() + 1).unwrap_or(1)];
        comment.extend(text.bytes().take(254));
        comment.push(0);
        message = message.attr(6, &comment);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_publish;

    #[test]
    fn a_range_is_one_element() {
        fn check(texts: &[&str], expected: &[usize]) {
            let ports: Vec<_> = texts.iter().flat_map(|text| parse_publish(text).unwrap()).collect();
            let runs: Vec<usize> = ports.chunk_by(follows).map(<[_]>::len).collect();
            assert_eq!(runs, expected, "{texts:?}");
        }
        check(&["8000-8100:8000-8100"], &[101]);
        check(&["8000-8002:9000-9002"], &[1, 1, 1]);
        check(&["80:80", "81:81/udp", "82:82"], &[1, 1, 1]);
        check(&["80:80", "127.0.0.1:81:81"], &[1, 1]);
        check(&["65534-65535:65534-65535", "1:1"], &[2, 1]);
    }

    #[test]
    fn each_chain_is_known_with_its_rules() {
        let rules_of = |ipv6, chain: &str| {
            let rules = base::rules(ipv6);
            u32::try_from(rules.iter().filter(|(of, _)| *of == chain).count()).unwrap()
        };
        for (chain, least) in base::CHAINS {
            assert_eq!(rules_of(false, chain), least, "{chain}");
            assert!(rules_of(true, chain) >= least && least > 0, "{chain}");
        }
        let known = |chain: &str| base::CHAINS.iter().any(|(one, _)| *one == chain);
        assert!(base::rules(true).iter().all(|(chain, _)| known(chain)));
    }
}
