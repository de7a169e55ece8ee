//! The table as it is before any container: maps, chains and the rules that look into the maps.

use super::expression::{Is, Rule, Verdict};
use super::{ATTR_TABLE, NEWCHAIN, NEWRULE, NEWSET, NEWTABLE, TABLE, message};
use crate::link::BRIDGE;
use crate::pool::{NET4, NET6, PREFIX4, PREFIX6};
use crate::wire::{self, Message};

/// A map from a published port to a container's address and port.
#[derive(Debug)]
pub struct Map {
    pub name: &'static str,
    v4: bool,
    /// The key begins with an address of the host.
    with_address: bool,
}

/// The more specific maps first, as the rules ask them.
pub const MAPS: [Map; 4] = [
    Map { name: "bound4", v4: true, with_address: true },
    Map { name: "ports4", v4: true, with_address: false },
    Map { name: "bound6", v4: false, with_address: true },
    Map { name: "ports6", v4: false, with_address: false },
];

/// The map for a port of this family, published on one address of the host or on all.
pub fn map(v4: bool, with_address: bool) -> &'static str {
    match (v4, with_address) {
        (true, true) => MAPS[0].name,
        (true, false) => MAPS[1].name,
        (false, true) => MAPS[2].name,
        (false, false) => MAPS[3].name,
    }
}

/// `NF_INET_*` hook numbers.
const PRE_ROUTING: u32 = 0;
const FORWARD: u32 = 2;
const LOCAL_OUT: u32 = 3;
const POST_ROUTING: u32 = 4;
/// The chain that the two chains for destinations share.
const PUBLISHED: &str = "published";

/// Everything of the table. `NLM_F_EXCL`: two that make it at once must not make every rule twice.
pub fn table(ipv6: bool) -> Vec<Message> {
    let mut all = vec![message(NEWTABLE, wire::CREATE | wire::EXCL).text(ATTR_TABLE, TABLE).be32(2, 0)];
    let maps = || MAPS.iter().filter(|map| map.v4 || ipv6);
    all.extend(maps().zip(1..).map(|(map, id)| new_map(map, id)));
    all.push(chain(PUBLISHED));
    all.push(base_chain("raw", "filter", PRE_ROUTING, -300));
    all.push(base_chain("prerouting", "nat", PRE_ROUTING, -100));
    all.push(base_chain("output", "nat", LOCAL_OUT, -100));
    all.push(base_chain("postrouting", "nat", POST_ROUTING, 100));
    all.push(base_chain("forward", "filter", FORWARD, 0));
    all.extend(maps().map(|map| rule(PUBLISHED, |r| r.redirect(map.v4, map.with_address, map.name))));
    all.extend(inbound(ipv6));
    all.extend(forward());
    all.extend(outbound(true));
    if ipv6 {
        all.extend(outbound(false));
    }
    all
}

fn inbound(ipv6: bool) -> Vec<Message> {
    let mut all = vec![
        // The bridge routes loopback addresses, so that the host reaches its published ports by 127.0.0.1: a
        // container must not reach the host's own loopback that way (CVE-2020-8558).
        rule("raw", |r| r.incoming(Is::Equal, BRIDGE).to(true, &[127]).verdict(Verdict::Drop)),
        // Nor a neighbour of the host a port that is published on 127.0.0.1: from outside, such an address is
        // wrong, and is left for the kernel to drop. The host's own packets come by `output`.
        rule("prerouting", |r| r.to(true, &[127]).verdict(Verdict::Return)),
        rule("prerouting", |r| r.for_this_host().verdict(Verdict::Jump(PUBLISHED))),
    ];
    if ipv6 {
        // The kernel takes no answer for ::1 from another link (IPv6 has no route_localnet), so a client would wait
        // forever. Left alone, it is refused, and tries 127.0.0.1.
        let loopback = std::net::Ipv6Addr::LOCALHOST.octets();
        all.push(rule("output", |r| r.to(false, &loopback).verdict(Verdict::Return)));
    }
    all.push(rule("output", |r| r.for_this_host().verdict(Verdict::Jump(PUBLISHED))));
    all
}

/// From outside, only published ports and answers; containers among each other and outwards as they like.
fn forward() -> Vec<Message> {
    let inwards = |r: Rule| r.incoming(Is::Different, BRIDGE).outgoing(Is::Equal, BRIDGE);
    vec![
        rule("forward", |r| inwards(r).follows().verdict(Verdict::Accept)),
        rule("forward", |r| inwards(r).published().verdict(Verdict::Accept)),
        rule("forward", |r| inwards(r).verdict(Verdict::Drop)),
    ]
}

/// Where the source must be rewritten so that the answer comes back here.
fn outbound(v4: bool) -> Vec<Message> {
    let (four, six) = (NET4.octets(), NET6.octets());
    let pool = if v4 { &four[..usize::from(PREFIX4 / 8)] } else { &six[..usize::from(PREFIX6 / 8)] };
    let mut all = vec![
        rule("postrouting", |r| r.outgoing(Is::Different, BRIDGE).from(v4, pool).masquerade()),
        // A container that reaches a container, maybe itself, by a published port of the host.
        rule("postrouting", |r| r.outgoing(Is::Equal, BRIDGE).from(v4, pool).published().masquerade()),
    ];
    if v4 {
        all.push(rule("postrouting", |r| r.outgoing(Is::Equal, BRIDGE).from(v4, &[127]).masquerade()));
    }
    all
}

fn rule(chain: &str, fill: impl FnOnce(Rule) -> Rule) -> Message {
    // NLM_F_APPEND is 0x800: after the rules that are there.
    message(NEWRULE, wire::CREATE | 0x800)
        .text(ATTR_TABLE, TABLE)
        .text(2, chain)
        .nest(4, |expressions| fill(Rule(expressions)).0)
}

fn chain(name: &str) -> Message {
    message(NEWCHAIN, wire::CREATE).text(ATTR_TABLE, TABLE).text(3, name)
}

fn base_chain(name: &str, kind: &str, hook: u32, priority: i32) -> Message {
    chain(name)
        .nest(4, |m| m.be32(1, hook).attr(2, &priority.to_be_bytes()))
        // The policy: NF_ACCEPT.
        .be32(5, 1)
        .text(7, kind)
}

fn new_map(map: &Map, id: u32) -> Message {
    // nft's numbers of the types, six bits each in a concatenation; the kernel only hands them back.
    const PROTO: u32 = 12;
    const SERVICE: u32 = 13;
    let (address, length) = if map.v4 { (7, 4) } else { (8, 16) };
    let (key, key_length) = if map.with_address {
        ((address << 12) | (PROTO << 6) | SERVICE, length + 8)
    } else {
        ((PROTO << 6) | SERVICE, 8)
    };
    message(NEWSET, wire::CREATE)
        .text(ATTR_TABLE, TABLE)
        .text(2, map.name)
        // NFT_SET_MAP
        .be32(3, 8)
        .be32(4, key)
        .be32(5, key_length)
        .be32(6, (address << 6) | SERVICE)
        .be32(7, length + 4)
        .be32(10, id)
}
