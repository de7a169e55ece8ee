//! Our table of nf_tables (nft(8), include/uapi/linux/netfilter/nf_tables.h): `inet devoxx`.
//!
//! Published ports are elements of maps, so a packet costs one lookup however many containers there are, and a
//! container comes and goes in one transaction that touches nobody else's rules. It does NOT open holes in other
//! tables: a packet that another table drops stays dropped.

mod base;
mod expression;

use crate::failure::{Error, Kind, Result};
use crate::pool::Lease;
use crate::socket::Socket;
use crate::wire::{self, Message};
use rustix::io::Errno;
use std::net::IpAddr;
use sys::called;

/// The name of the table.
const TABLE: &str = "devoxx";
/// `NFPROTO_INET`, version 0, no resource: `struct nfgenmsg`.
const HEADER: [u8; 4] = [1, 0, 0, 0];
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
/// `NFTA_TABLE_NAME`, and the table in chains, rules, sets and lists of elements.
const ATTR_TABLE: u16 = 1;
/// `NFTA_LIST_ELEM`
const LIST_ELEM: u16 = 1;
/// Elements of one message: its list must fit into the 16 bits of an attribute's length.
const CHUNK: usize = 256;

/// A message of nf_tables, whose number stands below that of its subsystem (10).
fn message(kind: u16, flags: u16) -> Message {
    Message::new((10 << 8) | kind, flags, &HEADER)
}

/// Publishes a container's ports, and makes the table when there is none. Call it with the lock held.
pub fn publish(socket: &mut Socket, lease: &Lease) -> Result<()> {
    let make = !exists(socket)?;
    let mut batch = if make { base::table(lease.ipv6.is_some()) } else { Vec::new() };
    batch.extend(element_messages(NEWSETELEM, wire::CREATE | wire::EXCL, &elements(lease)));
    if batch.is_empty() {
        return Ok(());
    }
    socket.batch(batch).map_err(|(at, errno)| match errno {
        Errno::EXIST => Error::new(Kind::PortInUse, "a port is already published by another container"),
        _ => failed(&format!("nf_tables transaction, message {at}"), errno),
    })
}

/// Takes back a container's ports. Whatever is gone already is fine.
pub fn withdraw(socket: &mut Socket, lease: &Lease) -> Result<()> {
    let elements = elements(lease);
    let whole: Vec<Message> = element_messages(DELSETELEM, 0, &elements).collect();
    if whole.is_empty() {
        return Ok(());
    }
    match socket.batch(whole) {
        Ok(()) => Ok(()),
        // One is missing, so none was deleted: one by one.
        Err((_, Errno::NOENT)) => elements.iter().try_for_each(|element| {
            let one: Vec<Message> = element_messages(DELSETELEM, 0, std::slice::from_ref(element)).collect();
            match socket.batch(one) {
                Ok(()) | Err((_, Errno::NOENT)) => Ok(()),
                Err((_, errno)) => Err(failed("NFT_MSG_DELSETELEM", errno)),
            }
        }),
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

fn exists(socket: &mut Socket) -> Result<bool> {
    match socket.request(message(GETTABLE, 0).text(ATTR_TABLE, TABLE)) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed("NFT_MSG_GETTABLE", errno)),
    }
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

/// One entry of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    map: &'static str,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Shown by `nft list`: whose it is.
    comment: String,
}

/// What a container's published ports are in the maps.
fn elements(lease: &Lease) -> Vec<Element> {
    let inside = [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)];
    let mut all = Vec::new();
    for port in &lease.ports {
        for to in inside.into_iter().flatten() {
            let specific = port.host_ip.filter(|ip| !ip.is_unspecified());
            if port.host_ip.is_some_and(|ip| ip.is_ipv4() != to.is_ipv4()) {
                continue;
            }
            let mut key = specific.map_or_else(Vec::new, octets);
            // Each part of a key fills whole 32-bit registers.
            key.extend([port.protocol.number(), 0, 0, 0]);
            key.extend(port.host_port.to_be_bytes());
            key.extend([0, 0]);
            let mut value = octets(to);
            value.extend(port.container_port.to_be_bytes());
            value.extend([0, 0]);
            let map = base::map(to.is_ipv4(), specific.is_some());
            all.push(Element { map, key, value, comment: lease.veth.clone() });
        }
    }
    all
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn element_messages(kind: u16, flags: u16, elements: &[Element]) -> impl Iterator<Item = Message> {
    base::MAPS.iter().flat_map(move |map| {
        let own: Vec<&Element> = elements.iter().filter(|element| element.map == map.name).collect();
        let chunks: Vec<Message> = own
            .chunks(CHUNK)
            .map(|chunk| {
                message(kind, flags).text(ATTR_TABLE, TABLE).text(2, map.name).nest(3, |list| {
                    chunk.iter().fold(list, |list, element| list.nest(LIST_ELEM, |one| entry(one, element)))
                })
            })
            .collect();
        chunks
    })
}

/// `NFTA_SET_ELEM_KEY` 1, `_DATA` 2, `_USERDATA` 6; each datum in an `NFTA_DATA_VALUE` 1.
fn entry(message: Message, element: &Element) -> Message {
    // nft's own format: type 0 is a comment, its length with the NUL, the text.
    let mut comment = vec![0, u8::try_from(element.comment.len() + 1).unwrap_or(1)];
    comment.extend(element.comment.bytes().take(254));
    comment.push(0);
    message
        .nest(1, |key| key.attr(1, &element.key))
        .nest(2, |data| data.attr(1, &element.value))
        .attr(6, &comment)
}
