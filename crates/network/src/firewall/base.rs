//! The table as it is before any container: sets, maps, chains and the rules that look into them.

use super::expression::{Is, Rule, Verdict};
use super::{ATTR_CHAIN_NAME, ATTR_TABLE, DELRULE, NEWCHAIN, NEWRULE, NEWSET, NEWTABLE, TABLE, message};
use crate::wire::{self, Message};

/// The bridges of all networks.
pub const BRIDGES: &str = "bridges";
/// Each of them twice: what comes in and goes out by the same one.
pub const WITHIN: &str = "within";
/// Those that nothing leads out of.
pub const INTERNAL: &str = "internal";

/// The addresses of containers that may go out.
pub fn pool(v4: bool) -> &'static str {
    if v4 { "pool4" } else { "pool6" }
}

/// A map from published ports to a container's address, and to its port unless that is the same.
#[derive(Debug)]
pub struct Map {
    pub name: &'static str,
    v4: bool,
    /// The key begins with an address of the host.
    with_address: bool,
    /// The key is a range of ports.
    span: bool,
}

const fn a_map(name: &'static str, v4: bool, with_address: bool, span: bool) -> Map {
    Map { name, v4, with_address, span }
}

/// The more specific maps first, as the rules ask them.
const MAPS: [Map; 8] = [
    a_map("bound4", true, true, false),
    a_map("boundspans4", true, true, true),
    a_map("ports4", true, false, false),
    a_map("spans4", true, false, true),
    a_map("bound6", false, true, false),
    a_map("boundspans6", false, true, true),
    a_map("ports6", false, false, false),
    a_map("spans6", false, false, true),
];

/// The map for ports of this family, published on one address of the host or on all.
pub fn map(v4: bool, with_address: bool, span: bool) -> &'static str {
    let fits = |map: &&Map| (map.v4, map.with_address, map.span) == (v4, with_address, span);
    MAPS.iter().find(fits).map_or(MAPS[0].name, |map| map.name)
}

/// Every set and map.
pub fn names() -> impl Iterator<Item = &'static str> {
    [BRIDGES, WITHIN, INTERNAL, pool(true), pool(false)].into_iter().chain(MAPS.iter().map(|map| map.name))
}

/// `NF_INET_*` hook numbers.
const PRE_ROUTING: u32 = 0;
const LOCAL_IN: u32 = 1;
const FORWARD: u32 = 2;
const LOCAL_OUT: u32 = 3;
const POST_ROUTING: u32 = 4;
/// The chain that the two chains for destinations share.
const PUBLISHED: &str = "published";
/// Every chain, and how many rules it has at least (without IPv6).
pub const CHAINS: [(&str, u32); 7] = [
    (PUBLISHED, 4),
    ("raw", 1),
    ("prerouting", 2),
    ("input", 2),
    ("output", 1),
    ("postrouting", 3),
    ("forward", 6),
];

/// Everything of the table, whatever of it is there already: rules are made anew, so that none is there twice.
pub fn table(ipv6: bool) -> Vec<Message> {
    let mut all = vec![message(NEWTABLE, wire::CREATE).text(ATTR_TABLE, TABLE).be32(2, 0)];
    let maps = || MAPS.iter().filter(|map| map.v4 || ipv6);
    all.extend(sets(ipv6).into_iter().zip(1..).map(|(set, id)| set.be32(10, id)));
    all.extend(maps().zip(101..).map(|(map, id)| new_map(map, id)));
    all.push(chain(PUBLISHED));
    all.push(base_chain("raw", "filter", PRE_ROUTING, -300));
    all.push(base_chain("prerouting", "nat", PRE_ROUTING, -100));
    all.push(base_chain("output", "nat", LOCAL_OUT, -100));
    all.push(base_chain("postrouting", "nat", POST_ROUTING, 100));
    all.push(base_chain("forward", "filter", FORWARD, 0));
    all.push(base_chain("input", "filter", LOCAL_IN, 0));
    all.extend(CHAINS.map(|(name, _)| message(DELRULE, 0).text(ATTR_TABLE, TABLE).text(2, name)));
    all.extend(rules(ipv6).into_iter().map(|(_, rule)| rule));
    all
}

/// Every rule, with its chain.
pub fn rules(ipv6: bool) -> Vec<(&'static str, Message)> {
    let maps = MAPS.iter().filter(|map| map.v4 || ipv6);
    let redirect = |map: &Map| rule(PUBLISHED, |r| r.redirect(map.v4, map.with_address, map.span, map.name));
    let mut all: Vec<_> = maps.map(redirect).collect();
    all.extend(inbound(ipv6));
    all.extend(to_host(ipv6));
    all.extend(forward());
    all.extend(outbound(true));
    if ipv6 {
        all.extend(outbound(false));
    }
    all
}

/// From an internal network the host is not reached either: what listens on all of its addresses, a resolver above all, would lead
/// out (CVE-2024-29018). The host reaches the containers.
fn to_host(ipv6: bool) -> Vec<(&'static str, Message)> {
    let from = |r: Rule| r.incoming(Is::Equal, INTERNAL);
    let mut all = vec![rule("input", |r| from(r).follows().verdict(Verdict::Accept))];
    if ipv6 {
        // Neighbour solicitation and advertisement: what ARP is for IPv4.
        all.extend([135, 136].map(|kind| rule("input", |r| from(r).icmpv6(kind).verdict(Verdict::Accept))));
    }
    let last = if sys::mutant!("mutant_nw_05_host") { Verdict::Accept } else { Verdict::Drop };
    all.push(rule("input", |r| from(r).verdict(last)));
    all
}

fn inbound(ipv6: bool) -> Vec<(&'static str, Message)> {
    let mut all = vec![
        // The bridges route loopback addresses, so that the host reaches its published ports by 127.0.0.1: a
        // container must not reach the host's own loopback that way (CVE-2020-8558).
        rule("raw", |r| r.incoming(Is::Equal, BRIDGES).to(true, &[127]).verdict(Verdict::Drop)),
        // Nor a neighbour of the host a port that is published on 127.0.0.1: from outside, such an address is
        // wrong, and is left for the kernel to drop. The host's own packets come by `output`.
        rule("prerouting", |r| r.to(true, &[127]).verdict(Verdict::Return)),
        rule("prerouting", |r| match sys::mutant!("mutant_nw_07") {
            true => r.verdict(Verdict::Jump(PUBLISHED)),
            false => r.for_this_host().verdict(Verdict::Jump(PUBLISHED)),
        }),
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

/// From outside and from other networks, only published ports and answers; containers of one network among each other and
/// outwards as they like, unless the network is internal.
fn forward() -> Vec<(&'static str, Message)> {
    let inwards = |r: Rule| r.outgoing(Is::Equal, BRIDGES);
    vec![
        rule("forward", |r| r.within(WITHIN).verdict(Verdict::Accept)),
        rule("forward", |r| r.incoming(Is::Equal, INTERNAL).verdict(Verdict::Drop)),
        rule("forward", |r| r.outgoing(Is::Equal, INTERNAL).verdict(Verdict::Drop)),
        rule("forward", |r| inwards(r).follows().verdict(Verdict::Accept)),
        rule("forward", |r| inwards(r).published().verdict(Verdict::Accept)),
        rule("forward", |r| inwards(r).verdict(Verdict::Drop)),
    ]
}

/// Where the source must be rewritten so that the answer comes back here.
fn outbound(v4: bool) -> Vec<(&'static str, Message)> {
    let mut all = vec![
        rule("postrouting", |r| r.outgoing(Is::Different, BRIDGES).out_of(v4, pool(v4)).masquerade()),
        // A container that reaches a container, maybe itself, by a published port of the host.
        rule("postrouting", |r| r.outgoing(Is::Equal, BRIDGES).out_of(v4, pool(v4)).published().masquerade()),
    ];
    if v4 {
        all.push(rule("postrouting", |r| match r.outgoing(Is::Equal, BRIDGES) {
            all if sys::mutant!("mutant_nw_02") => all.masquerade(),
            own => own.from(v4, &[127]).masquerade(),
        }));
    }
    all
}

/// nft's numbers of the types of keys; the kernel only hands them back.
const IPV4: u32 = 7;
const IPV6: u32 = 8;
const PROTO: u32 = 12;
const SERVICE: u32 = 13;
const LINK: u32 = 41;
/// `NFT_SET_INTERVAL`, `NFT_SET_MAP`, `NFT_SET_CONCAT`
const INTERVAL: u32 = 4;
const IS_MAP: u32 = 8;
const CONCAT: u32 = 0x80;

fn sets(ipv6: bool) -> Vec<Message> {
    let set = |name: &str, flags: u32, kind: u32, length: u32| {
        let set = message(NEWSET, wire::CREATE).text(ATTR_TABLE, TABLE).text(2, name);
        let set = set.be32(3, flags).be32(4, kind).be32(5, length);
        // For nft alone, in NFTA_SET_USERDATA: names of links are in the machine's order (type 0, four bytes, 1).
        if kind == LINK { set.attr(13, &[&[0, 4][..], &1u32.to_ne_bytes()].concat()) } else { set }
    };
    let mut all = vec![
        set(BRIDGES, 0, LINK, 16),
        set(WITHIN, 0, (LINK << 6) | LINK, 32),
        set(INTERNAL, 0, LINK, 16),
        set(pool(true), INTERVAL, IPV4, 4),
    ];
    if ipv6 {
        all.push(set(pool(false), INTERVAL, IPV6, 16));
    }
    all
}

fn rule(chain: &'static str, fill: impl FnOnce(Rule) -> Rule) -> (&'static str, Message) {
    // NLM_F_APPEND is 0x800: after the rules that are there.
    let rule = message(NEWRULE, wire::CREATE | 0x800).text(ATTR_TABLE, TABLE).text(2, chain);
    (chain, rule.nest(4, |expressions| fill(Rule(expressions)).0))
}

fn chain(name: &str) -> Message {
    message(NEWCHAIN, wire::CREATE).text(ATTR_TABLE, TABLE).text(ATTR_CHAIN_NAME, name)
}

fn base_chain(name: &str, kind: &str, hook: u32, priority: i32) -> Message {
    chain(name)
        .nest(4, |m| m.be32(1, hook).attr(2, &priority.to_be_bytes()))
        // The policy: NF_ACCEPT.
        .be32(5, 1)
        .text(7, kind)
}

fn new_map(map: &Map, id: u32) -> Message {
    let (address, length) = if map.v4 { (IPV4, 4) } else { (IPV6, 16) };
    let (key, key_length) = if map.with_address {
        // Six bits for each part.
        ((address << 12) | (PROTO << 6) | SERVICE, length + 8)
    } else {
        ((PROTO << 6) | SERVICE, 8)
    };
    let (flags, value, value_length) = if map.span {
        (IS_MAP | INTERVAL | CONCAT, address, length)
    } else {
        (IS_MAP, (address << 6) | SERVICE, length + 4)
    };
    let new = message(NEWSET, wire::CREATE)
        .text(ATTR_TABLE, TABLE)
        .text(2, map.name)
        .be32(3, flags)
        .be32(4, key)
        .be32(5, key_length)
        .be32(6, value)
        .be32(7, value_length);
    let new = if map.span {
        // NFTA_SET_DESC 9, in it NFTA_SET_DESC_CONCAT 2: the length of each part (NFTA_SET_FIELD_LEN 1).
        let parts = [map.with_address.then_some(length), Some(1), Some(2)];
        new.nest(9, |desc| {
            desc.nest(2, |concat| {
                parts
                    .into_iter()
                    .flatten()
                    .fold(concat, |concat, part| concat.nest(1, |one| one.be32(1, part)))
            })
        })
    } else {
        new
    };
    new.be32(10, id)
}
