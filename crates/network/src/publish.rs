//! What `--publish` means: `[[ip:]host port:]container port[/protocol]`, each port possibly a range (docker-run(1)).
//!
//! Pure: nothing is bound here.

use crate::failure::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Ports that one container can publish: each one takes a socket, and all go into one message to the kernel.
pub const MOST: usize = 1000;

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// tcp(7)
    #[default]
    Tcp,
    /// udp(7)
    Udp,
}

impl Protocol {
    /// Its number in a packet (`/etc/protocols`).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortMapping {
    /// The address of the host that it is published on; every one when there is none.
    pub host_ip: Option<IpAddr>,
    /// The port of the host; 0 for a free one, which `lease` picks.
    pub host_port: u16,
    /// The port in the container.
    pub container_port: u16,
    /// The protocol on both sides.
    pub protocol: Protocol,
}

impl PortMapping {
    /// Whether both cannot be published at once.
    pub fn clashes(&self, other: &Self) -> bool {
        // Any address of one family is still any address for a port of that family.
        let any = |ip: IpAddr| ip.is_unspecified();
        let meets = match (self.host_ip, other.host_ip) {
            (Some(a), Some(b)) => a.is_ipv4() == b.is_ipv4() && (a == b || any(a) || any(b)),
            _ => true,
        };
        self.host_port == other.host_port && self.protocol == other.protocol && meets
    }
}

/// As an error names it: `127.0.0.1:8080/tcp`, or `8080/tcp`.
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(ip) => write!(f, "{ip}:")?,
            None => {}
        }
        write!(f, "{}/{}", self.host_port, self.protocol)
    }
}

/// Reads one `--publish`. A container port without a host port gets `host_port` 0.
pub fn parse_publish(text: &str) -> Result<Vec<PortMapping>> {
    let wrong = |why: &str| {
        Error::new(Kind::Usage, format!("publish {}: {why}", shown(text)))
            .with_hint("write [[ip:]host-port:]container-port[/tcp|/udp], such as 127.0.0.1:8080:80")
    };
    let (ports, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((ports, name)) if name.eq_ignore_ascii_case("tcp") => (ports, Protocol::Tcp),
        Some((ports, name)) if name.eq_ignore_ascii_case("udp") => (ports, Protocol::Udp),
        Some(_) => return Err(wrong("the protocol is neither tcp nor udp")),
    };
    let (address, ports) = split_address(ports).ok_or_else(|| wrong("the address is not an IP address"))?;
    let (host, container) = match ports.rsplit_once(':') {
        None => ("", ports),
        Some((host, container)) => (host, container),
    };
    let container = range(container).ok_or_else(|| wrong("the container port is not a port or a range"))?;
    let size = container.clone().count();
    if size > MOST {
        return Err(wrong(&format!("more than {MOST} ports")));
    }
    let host: Vec<u16> = match host {
        "" => vec![0; size],
        host => range(host).ok_or_else(|| wrong("the host port is not a port or a range"))?.collect(),
    };
    if host.len() != size {
        return Err(wrong("the two ranges differ in length"));
    }
    let mapping =
        |(host_port, container_port)| PortMapping { host_ip: address, host_port, container_port, protocol };
    Ok(host.into_iter().zip(container).map(mapping).collect())
}

/// Takes the address off `127.0.0.1:8080:80`, `[::1]:8080:80`, `127.0.0.1::80`.
fn split_address(text: &str) -> Option<(Option<IpAddr>, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, ports) = rest.split_once("]:")?;
        return Some((Some(IpAddr::V6(address.parse().ok()?)), ports));
    }
    match text.split_once(':') {
        Some((address, ports)) if ports.contains(':') => {
            // An empty address is every address, as with docker.
            let address = if address.is_empty() { None } else { Some(IpAddr::V4(address.parse().ok()?)) };
            Some((address, ports))
        }
        _ => Some((None, text)),
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

fn port(text: &str) -> Option<u16> {
    // `parse` alone would also take "+80".
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|port| *port != 0)
}

/// What a person typed, cut to a length that is still readable.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    format!("{cut:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_docker_reads() {
        fn check(text: &str, expected: &[&str]) {
            let read = parse_publish(text).unwrap();
            let read: Vec<String> = read.iter().map(|m| format!("{m} {}", m.container_port)).collect();
            assert_eq!(read, expected, "{text}");
        }
        check("80", &["0/tcp 80"]);
        check("8080:80", &["8080/tcp 80"]);
        check("8080:80/UDP", &["8080/udp 80"]);
        check("127.0.0.1:8080:80/udp", &["127.0.0.1:8080/udp 80"]);
        check("127.0.0.1::80", &["127.0.0.1:0/tcp 80"]);
        check(":80", &["0/tcp 80"]);
        check("::80", &["0/tcp 80"]);
        check("[::1]:8080:80", &["[::1]:8080/tcp 80"]);
        check("[::1]::80", &["[::1]:0/tcp 80"]);
        check("8000-8001:80-81", &["8000/tcp 80", "8001/tcp 81"]);
        check("80-81", &["0/tcp 80", "0/tcp 81"]);
        check("65535:65535", &["65535/tcp 65535"]);
    }

    #[test]
    fn refuses_with_the_text_and_the_reason() {
        fn check(text: &str, reason: &str) {
            let error = parse_publish(text).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{text}");
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        check("", "container port");
        check("8080:", "container port");
        check("0:80", "host port");
        check("80:0", "container port");
        check("+80", "container port");
        check("65536", "container port");
        check("90-80", "container port");
        check("8000-8002:80-81", "differ in length");
        check("1-65535:1-65535", "more than 1000");
        check("80/sctp", "protocol");
        check("80/tcp/udp", "protocol");
        check("localhost:80:80", "address");
        check("::1:80:80", "host port");
        check("[::1:80:80", "address");
        check("[127.0.0.1]:80:80", "address");
        check("1.2.3.4:5:6:7", "host port");
    }

    #[test]
    fn clashes_where_the_kernel_would() {
        fn check(a: &str, b: &str, clash: bool) {
            let (a, b) = (parse_publish(a).unwrap().remove(0), parse_publish(b).unwrap().remove(0));
            assert_eq!(a.clashes(&b), clash, "{a} {b}");
            assert_eq!(b.clashes(&a), clash, "{b} {a}");
        }
        check("80:1", "80:2", true);
        check("80:1", "80:1/udp", false);
        check("80:1", "81:1", false);
        check("127.0.0.1:80:1", "80:1", true);
        check("127.0.0.1:80:1", "127.0.0.2:80:1", false);
        check("0.0.0.0:80:1", "127.0.0.2:80:1", true);
        check("0.0.0.0:80:1", "[::]:80:1", false);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}") {
            if let Ok(mappings) = parse_publish(&text) {
                prop_assert!((1..=MOST).contains(&mappings.len()));
            }
        }

        #[test]
        fn ranges_keep_their_order(host in 1u16..60000, container in 1u16..60000, size in 0u16..999) {
            let text = format!("{host}-{}:{container}-{}", host + size, container + size);
            let read = parse_publish(&text).unwrap();
            prop_assert_eq!(read.len(), usize::from(size) + 1);
            prop_assert!(read.iter().all(|m| m.host_port - host == m.container_port - container));
        }
    }
}
