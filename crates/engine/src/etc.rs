//! The files in /etc that are the container's own: hostname, hosts, resolv.conf.

use crate::error::Result;
use crate::wish::{Network, Wish};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use sys::called;

/// Where systemd-resolved writes the servers that are behind its own.
const SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";

/// Whether the host has a name server that only the host itself can reach.
pub fn has_local_dns(wish: &Wish) -> bool {
    let local =
        |path: &str| std::fs::read_to_string(path).is_ok_and(|text| network::files::is_local_only(&text));
    wish.dns.is_empty() && local("/etc/resolv.conf") && (local(SYSTEMD) || !Path::new(SYSTEMD).exists())
}

/// The files of a container whose network another one shares: both have the same names.
pub fn shared(directory: &Path) -> Vec<(PathBuf, &'static str)> {
    FILES.map(|(file, target)| (directory.join(file), target)).to_vec()
}

const FILES: [(&str, &str); 3] =
    [("hostname", "/etc/hostname"), ("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")];

/// The host's resolv.conf with the words that were typed in place of its own.
fn searching(host: &str, wish: &Wish) -> String {
    let sharing = &wish.sharing;
    let replaced = |line: &&str| match line.split_whitespace().next() {
        Some("search" | "domain") => !sharing.dns_search.is_empty(),
        Some("options") => !sharing.dns_options.is_empty(),
        _ => false,
    };
    let mut text: String =
        host.lines().filter(|line| !replaced(line)).map(|line| format!("{line}\n")).collect();
    let searched: Vec<&str> =
        sharing.dns_search.iter().map(String::as_str).filter(|name| *name != ".").collect();
    for (word, list) in
        [("search", searched), ("options", sharing.dns_options.iter().map(String::as_str).collect())]
    {
        if !list.is_empty() {
            text += &format!("{word} {}\n", list.join(" "));
        }
    }
    text
}

/// Writes them into the container's directory; returns where each is mounted. The caller keeps others from them.
pub fn write(
    directory: &Path,
    hostname: &str,
    name: &str,
    ips: &[IpAddr],
    forwarder: Option<IpAddr>,
    wish: &Wish,
) -> Result<Vec<(PathBuf, &'static str)>> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let hosts = if wish.network == Network::Host && wish.add_hosts.is_empty() {
        read("/etc/hosts")
    } else {
        network::files::hosts_file(hostname, name, ips, &wish.add_hosts)
    };
    let resolv = if wish.network == Network::Host && wish.dns.is_empty() {
        read("/etc/resolv.conf")
    } else {
        let systemd = std::fs::read_to_string(SYSTEMD).ok();
        let host = searching(&read("/etc/resolv.conf"), wish);
        network::files::resolv_conf(&host, systemd.as_deref(), &wish.dns, forwarder)
    };
    let texts = [format!("{hostname}\n"), hosts, resolv];
    let mut mounts = Vec::new();
    for ((file, target), text) in FILES.into_iter().zip(texts) {
        let path = directory.join(file);
        std::fs::write(&path, text).map_err(called(|| format!("write {path:?}")))?;
        // Whatever the caller's umask: every user of the container reads them.
        rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o644))
            .map_err(called::<sys::Errno>(|| format!("chmod({path:?})")))?;
        mounts.push((path, target));
    }
    Ok(mounts)
}
