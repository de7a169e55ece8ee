//! The files in /etc that are the container's own: hostname, hosts, resolv.conf.

use crate::error::Result;
use crate::wish::{Network, Wish};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use sys::called;

/// Writes them into the container's directory; returns where each is mounted.
pub fn write(
    directory: &Path,
    hostname: &str,
    name: &str,
    ips: &[IpAddr],
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
        let systemd = std::fs::read_to_string("/run/systemd/resolve/resolv.conf").ok();
        network::files::resolv_conf(&read("/etc/resolv.conf"), systemd.as_deref(), &wish.dns)
    };
    let files = [
        ("hostname", format!("{hostname}\n"), "/etc/hostname"),
        ("hosts", hosts, "/etc/hosts"),
        ("resolv.conf", resolv, "/etc/resolv.conf"),
    ];
    let mut mounts = Vec::new();
    for (file, text, target) in files {
        let path = directory.join(file);
        std::fs::write(&path, text).map_err(called(|| format!("write {path:?}")))?;
        // Whatever the caller's umask: every user of the container reads them.
        rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o644))
            .map_err(called::<sys::Errno>(|| format!("chmod({path:?})")))?;
        mounts.push((path, target));
    }
    Ok(mounts)
}
