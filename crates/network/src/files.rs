//! The text of `/etc/hosts` (hosts(5)) and `/etc/resolv.conf` (resolv.conf(5)) of a container.
//!
//! Pure: who calls writes them.

use std::fmt::Write;
use std::net::IpAddr;

/// What a container asks when the host names no server that it could reach; docker's choice.
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// `/etc/hosts`: loopback, what was added by hand (name, address), then the container's own names.
pub fn hosts_file(hostname: &str, name: &str, ips: &[IpAddr], add_hosts: &[(String, String)]) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for (host, address) in add_hosts {
        line(&mut text, address, &[host]);
    }
    let names = if hostname == name { vec![hostname] } else { vec![hostname, name] };
    for ip in ips {
        line(&mut text, &ip.to_string(), &names);
    }
    text
}

/// One line of hosts(5). A name that would begin another field or line is left out.
fn line(text: &mut String, address: &str, names: &[&str]) {
    let plain = |word: &&&str| {
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
    };
    let names: Vec<&str> = names.iter().filter(plain).copied().collect();
    if !names.is_empty() && plain(&&address) {
        // Writing to a String does not fail; the same below.
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
}

/// `/etc/resolv.conf`: the servers in `dns`, or else those of the host that a container can reach. `systemd` is the
/// text of `/run/systemd/resolve/resolv.conf`, which has the servers behind a local one (127.0.0.53); `forwarder` is who
/// asks the local one for us, where there is such. The host's `search` and `options` stay.
pub fn resolv_conf(host: &str, systemd: Option<&str>, dns: &[IpAddr], forwarder: Option<IpAddr>) -> String {
    let mut servers: Vec<String> = dns.iter().map(IpAddr::to_string).collect();
    for source in [Some(host), systemd].into_iter().flatten() {
        if servers.is_empty() {
            servers = reachable(source);
        }
    }
    if servers.is_empty() {
        servers = forwarder.iter().map(IpAddr::to_string).collect();
    }
    if servers.is_empty() {
        servers = FALLBACK.map(str::to_owned).to_vec();
    }
    let mut text = String::new();
    for kept in host.lines().map(str::trim) {
        if matches!(kept.split_whitespace().next(), Some("search" | "domain" | "options" | "sortlist")) {
            let _ = writeln!(text, "{kept}");
        }
    }
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// Whether a resolv.conf names a server, and none that a container could reach.
pub fn is_local_only(text: &str) -> bool {
    let names_one = text.lines().any(|line| line.split_whitespace().next() == Some("nameserver"));
    names_one && reachable(text).is_empty()
}

/// The servers of a resolv.conf that are not the host's own loopback, nor on a link that a container does not have.
fn reachable(text: &str) -> Vec<String> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = (words.next() == Some("nameserver")).then(|| words.next())??;
        let address: IpAddr = server.parse().ok()?;
        (!address.to_canonical().is_loopback()).then(|| address.to_string())
    });
    servers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn resolv_conf_has_what_a_container_reaches() {
        fn check(host: &str, systemd: Option<&str>, dns: &[&str], expected: &str) {
            let dns: Vec<IpAddr> = dns.iter().map(|ip| ip.parse().unwrap()).collect();
            assert_eq!(resolv_conf(host, systemd, &dns, None), expected, "{host:?}");
        }
        check("nameserver 192.0.2.1\n", None, &[], "nameserver 192.0.2.1\n");
        check("# x\nnameserver 192.0.2.1 # y\n;z\n", None, &[], "nameserver 192.0.2.1\n");
        check(
            "search a b\nnameserver 127.0.0.53\noptions edns0\n",
            Some("nameserver 192.0.2.2\nsearch c\n"),
            &[],
            "search a b\noptions edns0\nnameserver 192.0.2.2\n",
        );
        check("nameserver 127.0.0.53\n", None, &[], "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("", None, &[], "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("nameserver ::1\nnameserver fd00::1\n", None, &[], "nameserver fd00::1\n");
        check("nameserver ::ffff:127.0.0.1\n", None, &[], "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("nameserver fe80::1%eth0\n", None, &[], "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("search x\nnameserver 192.0.2.1\n", None, &["127.0.0.1"], "search x\nnameserver 127.0.0.1\n");
        check("nameserverx 1.1.1.1\nnameserver\n", None, &[], "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }

    #[test]
    fn hosts_name_the_container() {
        fn check(hostname: &str, name: &str, add: &[(&str, &str)], expected: &str) {
            let add: Vec<_> = add.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let text = hosts_file(hostname, name, &["172.30.0.2".parse().unwrap()], &add);
            let tail = text.split_once("ip6-allrouters\n").unwrap().1;
            assert_eq!(tail, expected);
        }
        check("web", "web", &[], "172.30.0.2\tweb\n");
        check("h", "web", &[("db", "192.0.2.1")], "192.0.2.1\tdb\n172.30.0.2\th web\n");
        check("h", "", &[("a\nb", "192.0.2.1")], "172.30.0.2\th\n");
        check("", "", &[("a", "1 2")], "");
    }

    #[test]
    fn a_local_server_is_asked_through_the_forwarder() {
        fn check(host: &str, systemd: Option<&str>, local_only: bool, asked: &str) {
            assert_eq!(is_local_only(host), local_only, "{host:?}");
            let text = resolv_conf(host, systemd, &[], Some(IpAddr::from([169, 254, 1, 1])));
            assert_eq!(text, format!("nameserver {asked}\n"), "{host:?}");
        }
        check("nameserver 127.0.0.1\n", None, true, "169.254.1.1");
        check("nameserver ::1\nnameserver 127.0.0.53\n", None, true, "169.254.1.1");
        check("nameserver 127.0.0.53\n", Some("nameserver 10.0.0.1\n"), true, "10.0.0.1");
        check("nameserver 127.0.0.1\nnameserver 10.0.0.2\n", None, false, "10.0.0.2");
        check("", None, false, "169.254.1.1");
    }

    proptest! {
        #[test]
        fn there_is_always_a_server(host in "\\PC{0,200}(\n\\PC{0,40}){0,5}") {
            let text = resolv_conf(&host, None, &[], None);
            prop_assert!(text.lines().any(|line| line.starts_with("nameserver ")));
            prop_assert!(!text.contains("nameserver 127."));
        }

        #[test]
        fn lines_are_addresses_and_names(hostname in "\\PC{0,20}", other in "[ \\t\\n#a]{0,8}") {
            let text = hosts_file(&hostname, &other, &["192.0.2.1".parse().unwrap()], &[(other.clone(), hostname.clone())]);
            for line in text.lines() {
                prop_assert!(line.split_whitespace().count() >= 2, "{line}");
            }
        }
    }
}
