//! A block of addresses: an address and the length of its prefix (RFC 4632).

use crate::failure::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its first address.
    pub address: IpAddr,
    /// How many bits all of its addresses share.
    pub prefix: u8,
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The address as a number of 128 bits, and how many of them its family has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

impl Subnet {
    /// Reads `10.1.2.0/24`. Bits behind the prefix are no error: they are taken away.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is not a subnet, or has no room for a gateway and a container.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::new(Kind::Usage, format!("invalid subnet {text:?}: {why}"));
        let (address, prefix) = text
            .split_once('/')
            .ok_or_else(|| wrong("write an address and a length, such as 10.1.2.0/24"))?;
        let address: IpAddr = address.parse().map_err(|_| wrong("this is no address"))?;
        let bits = number(address).1;
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|length| *length >= 1 && u32::from(*length) <= bits)
            .ok_or_else(|| wrong("this is no length of a prefix"))?;
        if bits - u32::from(prefix) < 2 {
            return Err(wrong("it has no room for a gateway and a container"));
        }
        let subnet = Self { address, prefix }.masked();
        let reserved = match subnet.address {
            IpAddr::V4(v4) => {
                v4.is_loopback() || v4.is_multicast() || v4.is_unspecified() || v4.octets()[0] >= 240
            }
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_multicast() || v6.is_unspecified(),
        };
        if reserved {
            return Err(wrong("these addresses have another meaning"));
        }
        Ok(subnet)
    }

    /// The subnet of this prefix that an address is in.
    pub fn around(address: IpAddr, prefix: u8) -> Self {
        Self { address, prefix }.masked()
    }

    fn masked(self) -> Self {
        let (number, _) = number(self.address);
        Self { address: from(self.address, number & !self.host_mask()), prefix: self.prefix }
    }

    /// The bits that its addresses do not share.
    fn host_mask(&self) -> u128 {
        let free = number(self.address).1.saturating_sub(u32::from(self.prefix));
        1u128.checked_shl(free).map_or(u128::MAX, |above| above - 1)
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && number(address).0 & !self.host_mask() == number(self.address).0
    }

    /// Whether any address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// The address of this number in it.
    pub fn at(&self, offset: u32) -> IpAddr {
        from(self.address, number(self.address).0 | (u128::from(offset) & self.host_mask()))
    }

    /// The number of an address in it, as far as 32 bits go.
    pub fn offset(&self, address: IpAddr) -> u32 {
        u32::try_from(number(address).0 & self.host_mask() & u128::from(u32::MAX)).unwrap_or(u32::MAX)
    }

    /// The last number that a container can have: for IPv4 the one after it is the broadcast address.
    pub fn last(&self) -> u32 {
        let all = u32::try_from(self.host_mask()).unwrap_or(u32::MAX);
        if self.address.is_ipv4() { all - 1 } else { all }
    }

    /// The first address after it; none at the end of all addresses.
    pub fn end(&self) -> Option<IpAddr> {
        let (first, bits) = number(self.address);
        let end = first.checked_add(self.host_mask())?.checked_add(1)?;
        (bits == 128 || end >> bits == 0).then(|| from(self.address, end))
    }
}

fn from(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_subnets() {
        fn check(text: &str, expected: &str, last: u32, end: Option<&str>) {
            let subnet = Subnet::parse(text).unwrap();
            assert_eq!(subnet.to_string(), expected);
            assert_eq!(subnet.last(), last, "{text}");
            assert_eq!(subnet.end().map(|end| end.to_string()).as_deref(), end, "{text}");
        }
        check("10.1.2.0/24", "10.1.2.0/24", 254, Some("10.1.3.0"));
        check("10.1.2.7/24", "10.1.2.0/24", 254, Some("10.1.3.0"));
        check("192.168.0.0/30", "192.168.0.0/30", 2, Some("192.168.0.4"));
        check("fd00::/64", "fd00::/64", u32::MAX, Some("fd00:0:0:1::"));
        for wrong in [
            "",
            "10.1.2.0",
            "10.1.2.0/",
            "10.1.2.0/33",
            "10.1.2.0/31",
            "10.1.2.0/0",
            "x/8",
            "127.0.0.0/8",
            "224.0.0.0/8",
            "fd00::/127",
            "::/64",
            "10.1.2/24",
            "10.1.2.0/-1",
        ] {
            assert_eq!(Subnet::parse(wrong).unwrap_err().kind, Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn knows_what_is_in_it() {
        let subnet = |text: &str| Subnet::parse(text).unwrap();
        assert!(subnet("10.0.0.0/8").overlaps(&subnet("10.1.0.0/16")));
        assert!(subnet("10.1.0.0/16").overlaps(&subnet("10.0.0.0/8")));
        assert!(!subnet("10.1.0.0/16").overlaps(&subnet("10.2.0.0/16")));
        assert!(!subnet("10.1.0.0/16").overlaps(&subnet("fd00::/16")));
        assert!(subnet("10.1.2.0/24").contains("10.1.2.255".parse().unwrap()));
        assert!(!subnet("10.1.2.0/24").contains("10.1.3.0".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,24}") {
            let _ = Subnet::parse(&text);
        }

        #[test]
        fn numbers_and_addresses_agree(address in any::<u32>(), prefix in 2u8..31, offset in any::<u32>()) {
            let subnet = Subnet::around(Ipv4Addr::from(address).into(), prefix);
            let inside = subnet.at(offset);
            prop_assert!(subnet.contains(inside));
            prop_assert_eq!(subnet.at(subnet.offset(inside)), inside);
        }
    }
}
