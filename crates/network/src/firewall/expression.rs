//! The expressions of a rule: what the kernel's small machine does to a packet, one after the other, until one
//! does not hold. Registers are numbered in 32-bit words from 8 on, and in 16-byte blocks from 1 on.

use crate::wire::Message;

/// `NFTA_EXPR_NAME`, `NFTA_EXPR_DATA`, and an element of their list.
const NAME: u16 = 1;
const DATA: u16 = 2;
const LIST_ELEM: u16 = 1;
/// `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
/// The first 16-byte register.
const FIRST: u32 = 1;
/// The first 32-bit register.
const WORD: u32 = 8;

/// How a comparison must turn out.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    /// `NFT_CMP_EQ`
    Equal = 0,
    /// `NFT_CMP_NEQ`
    Different = 1,
}

/// What happens to a packet for which all expressions held.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// No further rule of this base chain.
    Accept,
    /// The packet is gone.
    Drop,
    /// Back to the calling chain, or to the policy.
    Return,
    /// Through another chain first.
    Jump(&'static str),
}

/// `NFTA_RULE_EXPRESSIONS`, as it grows.
#[derive(Debug)]
pub struct Rule(pub Message);

/// `NFT_META_*`
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
/// Keys of conntrack: `NFT_CT_STATE`, `NFT_CT_STATUS`.
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// `IPS_DST_NAT`: the destination of this connection was rewritten.
const DST_NAT: u32 = 1 << 5;
/// `NF_CT_STATE_BIT` of established and related.
const FOLLOWS: u32 = 0b110;
/// `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

impl Rule {
    fn then(self, name: &str, data: impl FnOnce(Message) -> Message) -> Self {
        Self(self.0.nest(LIST_ELEM, |one| one.text(NAME, name).nest(DATA, data)))
    }

    fn compare(self, is: Is, value: &[u8]) -> Self {
        self.then("cmp", |m| m.be32(1, FIRST).be32(2, is as u32).nest(3, |data| data.attr(VALUE, value)))
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.then("meta", |m| m.be32(2, key).be32(1, register))
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.then("payload", |m| m.be32(1, register).be32(2, base).be32(3, offset).be32(4, length))
    }

    fn conntrack(self, key: u32, bits: u32) -> Self {
        let bits = bits.to_ne_bytes();
        self.then("ct", |m| m.be32(2, key).be32(1, FIRST))
            .then("bitwise", |m| {
                m.be32(1, FIRST)
                    .be32(2, FIRST)
                    .be32(3, 4)
                    .nest(4, |mask| mask.attr(VALUE, &bits))
                    .nest(5, |xor| xor.attr(VALUE, &[0; 4]))
            })
            .compare(Is::Different, &[0; 4])
    }

    fn interface(self, key: u32, is: Is, set: &str) -> Self {
        self.meta(key, FIRST).among(is, set)
    }

    /// What is in the first register is in this set, or is not.
    fn among(self, is: Is, set: &str) -> Self {
        // NFTA_LOOKUP_FLAGS 5: NFT_LOOKUP_F_INV
        self.then("lookup", |m| m.text(1, set).be32(2, FIRST).be32(5, is as u32))
    }

    /// The packet came in by a link of this set, or by another one.
    pub fn incoming(self, is: Is, set: &str) -> Self {
        self.interface(META_IIFNAME, is, set)
    }

    /// The packet goes out by a link of this set, or by another one.
    pub fn outgoing(self, is: Is, set: &str) -> Self {
        self.interface(META_OIFNAME, is, set)
    }

    /// The links by which the packet comes and goes are a pair of this set.
    pub fn within(self, set: &str) -> Self {
        self.meta(META_IIFNAME, FIRST).meta(META_OIFNAME, FIRST + 1).among(Is::Equal, set)
    }

    /// The source address is in this set.
    pub fn out_of(self, v4: bool, set: &str) -> Self {
        let (offset, length) = if v4 { (12, 4) } else { (8, 16) };
        self.family(v4).payload(NETWORK, offset, length, FIRST).among(Is::Equal, set)
    }

    /// The packet is of this family.
    pub fn family(self, v4: bool) -> Self {
        self.meta(META_NFPROTO, FIRST).compare(Is::Equal, &[family(v4)])
    }

    /// The source address begins with these bytes.
    pub fn from(self, v4: bool, start: &[u8]) -> Self {
        self.family(v4).prefix(if v4 { 12 } else { 8 }, start)
    }

    /// The destination address begins with these bytes.
    pub fn to(self, v4: bool, start: &[u8]) -> Self {
        self.family(v4).prefix(if v4 { 16 } else { 24 }, start)
    }

    fn prefix(self, offset: u32, start: &[u8]) -> Self {
        let length = u32::try_from(start.len().min(16)).unwrap_or(16);
        self.payload(NETWORK, offset, length, FIRST).compare(Is::Equal, start)
    }

    /// The destination is an address of this host (`fib daddr type local`: result 3, flags 2, `RTN_LOCAL` 2).
    pub fn for_this_host(self) -> Self {
        self.then("fib", |m| m.be32(1, FIRST).be32(2, 3).be32(3, 2)).compare(Is::Equal, &2u32.to_ne_bytes())
    }

    /// The connection's destination was rewritten: somebody reached a published port.
    pub fn published(self) -> Self {
        self.conntrack(CT_STATUS, DST_NAT)
    }

    /// The packet belongs to a connection that was let through before.
    pub fn follows(self) -> Self {
        self.conntrack(CT_STATE, FOLLOWS)
    }

    /// An ICMPv6 message of this type.
    pub fn icmpv6(self, kind: u8) -> Self {
        let icmp = self.family(false).meta(META_L4PROTO, FIRST).compare(Is::Equal, &[58]);
        icmp.payload(TRANSPORT, 0, 1, FIRST).compare(Is::Equal, &[kind])
    }

    /// Rewrites the destination to what this map has for (address,) protocol and port; holds not when it has none. A map of
    /// spans has an address alone: the port stays.
    pub fn redirect(self, v4: bool, with_address: bool, span: bool, map: &str) -> Self {
        let words = if v4 { 1 } else { 4 };
        let address = if with_address { words } else { 0 };
        let rule = self.family(v4);
        let rule = match (with_address, v4) {
            (false, _) => rule,
            (true, true) => rule.payload(NETWORK, 16, 4, WORD),
            (true, false) => rule.payload(NETWORK, 24, 16, WORD),
        };
        rule.meta(META_L4PROTO, WORD + address)
            .payload(TRANSPORT, 2, 2, WORD + address + 1)
            .then("lookup", |m| m.text(1, map).be32(2, WORD).be32(3, WORD))
            // NFT_NAT_DNAT 1, the family, the address' register, the port's register.
            .then("nat", |m| {
                let nat = m.be32(1, 1).be32(2, u32::from(family(v4))).be32(3, WORD);
                if span { nat } else { nat.be32(5, WORD + words) }
            })
    }

    /// Rewrites the source to the address of the link that the packet leaves by.
    pub fn masquerade(self) -> Self {
        self.then("masq", |m| m)
    }

    /// Ends the rule.
    pub fn verdict(self, verdict: Verdict) -> Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3i32, Some(chain)),
            Verdict::Return => (-5, None),
        };
        self.then("immediate", |m| {
            m.be32(1, 0).nest(2, |data| {
                data.nest(VERDICT, |verdict| {
                    let verdict = verdict.attr(1, &code.to_be_bytes());
                    chain.into_iter().fold(verdict, |verdict, chain| verdict.text(2, chain))
                })
            })
        })
    }
}

/// The name of a link as a key: sixteen bytes.
pub fn link_name(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    for (to, from) in padded.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    padded
}

/// `NFPROTO_IPV4`, `NFPROTO_IPV6`
fn family(v4: bool) -> u8 {
    if v4 { 2 } else { 10 }
}
