//! The files in /etc that are the container's own: hostname, hosts, resolv.conf.

use crate::error::Result;
use crate::wish::{Network, Wish};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use sys::called;

/// Where systemd-resolved writes the servers that are behind its own.
const SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";

/// Where the host's name servers stand.
const RESOLV: &str = "/etc/resolv.conf";

/// A file of the host, if there is such: what cannot be read is not taken for missing.
fn of_host(path: &str) -> Result<Option<String>> {
    match std::fs::read(path) {
        // A comment in it may be in any encoding.
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(called(|| format!("read {path}"))(error).into()),
    }
}

/// Whether the host has a name server that only the host itself can reach.
pub fn local_dns(wish: &Wish) -> Result<bool> {
    let is_local = |text: String| network::files::is_local_only(&text);
    Ok(wish.dns.is_empty()
        && of_host(RESOLV)?.is_some_and(is_local)
        && of_host(SYSTEMD)?.is_none_or(is_local))
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
    let hosts = if wish.network == Network::Host && wish.add_hosts.is_empty() {
        of_host("/etc/hosts")?.unwrap_or_default()
    } else {
        network::files::hosts_file(hostname, name, ips, &wish.add_hosts)
    };
    let resolv = of_host(RESOLV)?.unwrap_or_default();
    let resolv = if wish.network == Network::Host && wish.dns.is_empty() {
        resolv
    } else {
        let systemd = if wish.dns.is_empty() { of_host(SYSTEMD)? } else { None };
        let host = searching(&resolv, wish);
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
