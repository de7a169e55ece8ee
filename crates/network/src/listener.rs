//! Who listens on a port of the host: /proc/net has the socket, and /proc/PID/fd the process (proc(5)).

use crate::publish::{PortMapping, Protocol};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `TCP_LISTEN` and, for a UDP socket that is bound, `TCP_CLOSE` (include/net/tcp_states.h).
const LISTENS: &str = "0A";
const BOUND: &str = "07";

/// As an error names it: `nginx (process 4711)`. None where this process may not know.
pub fn of(mapping: &PortMapping) -> Option<String> {
    let (tables, state) = match mapping.protocol {
        Protocol::Tcp => (["tcp", "tcp6"], LISTENS),
        Protocol::Udp => (["udp", "udp6"], BOUND),
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/self/net/{table}")).ok())
        .flat_map(|table| sockets(&table, mapping, state))
        .collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if links.is_empty() {
        return None;
    }
    let holds = |pid: u32| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|all| {
            all.flatten().any(|entry| {
                fs::read_link(entry.path())
                    .is_ok_and(|to| links.iter().any(|link| to.as_os_str() == link.as_str()))
            })
        })
    };
    let pids =
        fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pid: u32 = pids.into_iter().find(|pid| holds(*pid))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    // A process may have any bytes there.
    let name: String =
        name.trim().chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    Some(format!("{name} (process {pid})"))
}

/// The inodes of the sockets of a table that are in the way of a mapping.
fn sockets(table: &str, mapping: &PortMapping, state: &str) -> Vec<String> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, is, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (address, port) = local.split_once(':')?;
        let theirs = PortMapping {
            host_ip: address_of(address),
            host_port: u16::from_str_radix(port, 16).ok()?,
            ..mapping.clone()
        };
        (*is == state && theirs.clashes(mapping)).then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// An address as the kernel prints it: words of 32 bits in the machine's order. Any IPv6 address may be any IPv4 address too.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut octets = [0; 16];
    for at in 0..4 {
        octets[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
    }
    let address = Ipv6Addr::from(octets);
    (!address.is_unspecified()).then(|| IpAddr::from(address).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_publish;
    use proptest::prelude::*;

    #[test]
    fn names_this_process() {
        fn check(bind: &str, publish: &str, found: bool) {
            let socket = std::net::TcpListener::bind(bind).unwrap();
            let port = socket.local_addr().unwrap().port();
            let mapping = parse_publish(&publish.replace("PORT", &port.to_string())).unwrap().remove(0);
            let named = of(&mapping);
            assert_eq!(
                named.is_some_and(|name| name.ends_with(&format!("(process {})", std::process::id()))),
                found,
                "{bind} {publish}"
            );
        }
        check("127.0.0.1:0", "127.0.0.1:PORT:80", true);
        check("127.0.0.1:0", "PORT:80", true);
        check("0.0.0.0:0", "127.0.0.1:PORT:80", true);
        check("127.0.0.1:0", "PORT:80/udp", false);
        check("127.0.0.1:0", "127.0.0.2:PORT:80", false);
    }

    proptest! {
        #[test]
        fn any_table_is_read(text in "[0-9A-F: \n]{0,200}") {
            let mapping = parse_publish("80:80").unwrap().remove(0);
            // That it comes back is what is tested.
            let _ = sockets(&text, &mapping, LISTENS);
        }
    }
}
