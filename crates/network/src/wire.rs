//! Netlink messages as bytes (netlink(7), include/uapi/linux/netlink.h): a builder, and a reader that trusts no length.
//!
//! It knows headers and attributes, NOT what any of them means.

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The bit of an attribute's type that says it holds attributes.
const NESTED: u16 = 1 << 15;
/// Bits of an attribute's type that are not its number.
const TYPE_FLAGS: u16 = 0b11 << 14;

/// `NLM_F_REQUEST`: set on every message that goes to the kernel.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`: answer also a success.
pub const ACK: u16 = 4;
/// `NLM_F_ROOT | NLM_F_MATCH`: all objects.
pub const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`: fail when it is there already.
pub const EXCL: u16 = 0x200;
/// `NLM_F_REPLACE`: take the place of what is there.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_CREATE`: make it when it is not there.
pub const CREATE: u16 = 0x400;

/// A request that grows attribute by attribute.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    /// An attribute did not fit into its 16-bit length: nothing of this may be sent.
    oversize: bool,
}

impl Message {
    /// A message of this type, with the fixed header of its protocol (`ifinfomsg`, `nfgenmsg`, ...).
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(header);
        pad(&mut bytes);
        Self { bytes, oversize: false }
    }

    /// Adds an attribute with these bytes.
    #[must_use]
    pub fn attr(self, kind: u16, value: &[u8]) -> Self {
        self.measured(kind, |message| message.bytes.extend_from_slice(value))
    }

    /// Adds a string with its closing NUL.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.measured(kind, |message| {
            message.bytes.extend_from_slice(value.as_bytes());
            message.bytes.push(0);
        })
    }

    /// Adds a number in network order, as nfnetlink has them.
    #[must_use]
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// Adds a number in the machine's order, as rtnetlink has them.
    #[must_use]
    pub fn ne32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Adds bytes that stand before the attributes of a nest (`ifinfomsg` inside `VETH_INFO_PEER`).
    #[must_use]
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(value);
        pad(&mut self.bytes);
        self
    }

    /// Adds an attribute that holds the attributes that `fill` adds.
    #[must_use]
    pub fn nest(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        self.measured(kind | NESTED, |message| {
            let inner = std::mem::replace(message, Self { bytes: Vec::new(), oversize: false });
            *message = fill(inner);
        })
    }

    /// Writes an attribute's header around what `fill` appends.
    fn measured(mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(&mut self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.oversize = true,
        }
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        pad(&mut self.bytes);
        self
    }

    /// The bytes to send, under this sequence number and with these flags besides its own; `None` when something
    /// in it was too long for its length field.
    pub fn finish(mut self, sequence: u32, flags: u16) -> Option<Vec<u8>> {
        let length = u32::try_from(self.bytes.len()).ok().filter(|_| !self.oversize)?;
        let own = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&(own | flags).to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Some(self.bytes)
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A message of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_seq` of the request that it answers.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// The number in an `NLMSG_ERROR` or `NLMSG_DONE`: 0, or an errno made negative.
    pub fn status(&self) -> Option<i32> {
        Some(i32::from_ne_bytes(*self.body.first_chunk()?))
    }
}

/// The messages of a datagram, up to the first one whose length is wrong.
pub fn replies(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length =
            usize::try_from(u32::from_ne_bytes([header[0], header[1], header[2], header[3]])).ok()?;
        let body = bytes.get(HEADER..length)?;
        let reply = Reply {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            body,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(reply)
    })
}

/// The attributes of a body after its fixed header, up to the first one whose length is wrong.
pub fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = body.get(header..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [a, b, c, d] = *bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & !TYPE_FLAGS, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodes_as_the_kernel_reads() {
        // Taken from a trace of `nft add table inet x`.
        let sent = Message::new(0x0a00, 0, &[1, 0, 0, 0]).text(1, "devoxx").be32(2, 0).finish(1, 0).unwrap();
        assert_eq!(sent.len(), 40);
        assert_eq!(sent[..4], 40u32.to_ne_bytes());
        assert_eq!(sent[20..22], 11u16.to_ne_bytes());
        assert_eq!(&sent[24..32], b"devoxx\0\0");
        let nested = Message::new(16, 0, &[0; 16]).nest(18, |m| m.text(1, "veth").nest(2, |m| m.ne32(7, 9)));
        let nested = nested.finish(2, ACK).unwrap();
        let reply = replies(&nested).next().unwrap();
        let (kind, inner) = attributes(reply.body, 16).next().unwrap();
        assert_eq!((kind, reply.sequence), (18, 2));
        let kinds: Vec<_> = attributes(inner, 0).map(|(kind, value)| (kind, value.len())).collect();
        assert_eq!(kinds, [(1, 5), (2, 8)]);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        fn check(length: usize, fits: bool) {
            let flat = Message::new(1, 0, &[]).attr(1, &vec![0; length]).finish(0, 0);
            assert_eq!(flat.is_some(), fits, "{length}");
            let nested = Message::new(1, 0, &[]).nest(1, |m| m.attr(1, &vec![0; length])).finish(0, 0);
            assert_eq!(nested.is_some(), length + 8 <= 0xffff, "nested {length}");
        }
        check(0, true);
        check(0xffff - 4, true);
        check(0xffff - 3, false);
        check(0x2_0000, false);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec((1u16..0x3fff, proptest::collection::vec(any::<u8>(), 0..40)), 0..20)) {
            let message = values.iter().fold(Message::new(7, 0, &[9; 16]), |m, (kind, value)| m.attr(*kind, value));
            let bytes = message.finish(3, 0).unwrap();
            let all: Vec<_> = replies(&bytes).collect();
            prop_assert_eq!(all.len(), 1);
            let read: Vec<_> = attributes(all[0].body, 16).map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), header in 0usize..40) {
            for reply in replies(&bytes) {
                let _ = reply.status();
                prop_assert!(attributes(reply.body, header).count() <= bytes.len());
            }
        }
    }
}
