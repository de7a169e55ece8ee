//! The switches of the kernel without which no packet goes from a bridge to anywhere (ip-sysctl in the kernel's
//! documentation). They are those of the caller's network namespace; one that is on already is not touched.

use crate::failure::Result;
use crate::link::{BRIDGE, OWN};
use crate::own_file::is_there;
use std::io::ErrorKind;
use std::path::Path;
use sys::called;

const IPV6: &str = "/proc/sys/net/ipv6/conf";

/// Whether this kernel has IPv6 and this namespace uses it.
pub fn has_ipv6() -> bool {
    let off = |scope| read(&format!("{IPV6}/{scope}/disable_ipv6")).is_none_or(|value| value != "0");
    !off("all") && !off("default")
}

/// Lets packets through between the bridge and the world, and from loopback addresses to the bridge. The bridge is
/// there, but not yet up.
pub fn enable(bridge: &str, ipv6: bool) -> Result<()> {
    set("/proc/sys/net/ipv4/ip_forward", "1")?;
    // A port published on 127.0.0.1 is reached from 127.0.0.1; the firewall keeps containers from using this.
    set(&format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"), "1")?;
    trust_no_neighbour(bridge, ipv6)?;
    if ipv6 {
        // Without an address that is sure (RFC 4862), the host cannot ask for its first container for two seconds.
        set(&format!("{IPV6}/{bridge}/accept_dad"), "0")?;
    }
    if ipv6 && read(&format!("{IPV6}/all/forwarding")).as_deref() != Some("1") {
        keep_router_advertisements()?;
        set(&format!("{IPV6}/all/forwarding"), "1")?;
    }
    Ok(())
}

/// What a neighbour on a link says of itself is not taken for a router's word: a container that advertises one would get the packets of
/// the host and of all others on its network (CVE-2020-13401). And without IPv6 on the network a link has none, of no kind. Of the caller's
/// namespace, and before the link is up.
pub fn trust_no_neighbour(link: &str, ipv6: bool) -> Result<()> {
    if !is_there(Path::new(IPV6))? {
        // A kernel without IPv6.
        return Ok(());
    }
    set(&format!("{IPV6}/{link}/accept_ra"), if sys::mutant!("mutant_nw_04") { "2" } else { "0" })?;
    let ipv6 = ipv6 || sys::mutant!("mutant_nw_03");
    set(&format!("{IPV6}/{link}/disable_ipv6"), if ipv6 { "0" } else { "1" })
}

/// A host that forwards no longer takes its own default route from router advertisements unless `accept_ra` is 2:
/// it would lose IPv6 minutes after its first container. A link that refuses this is left as it is.
fn keep_router_advertisements() -> Result<()> {
    let failed = || called(|| format!("readdir {IPV6}"));
    let links = match std::fs::read_dir(IPV6) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed())?,
    };
    for link in links {
        let link = link.map_err(failed())?;
        let name = link.file_name();
        if [BRIDGE, "all", "default"].iter().any(|own| name == *own)
            || name.to_string_lossy().starts_with(OWN)
        {
            continue;
        }
        let switch = link.path().join("accept_ra");
        let value = match std::fs::read_to_string(&switch) {
            // The link is gone again.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(called(|| format!("read {}", switch.display())))?,
        };
        if value.trim() == "1" {
            // Not the container's: a host that forbids it keeps its own routes as it had them.
            let _ = std::fs::write(&switch, "2");
        }
    }
    Ok(())
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|value| value.trim().to_owned())
}

fn set(path: &str, wanted: &str) -> Result<()> {
    if read(path).as_deref() == Some(wanted) {
        return Ok(());
    }
    std::fs::write(Path::new(path), wanted).map_err(called(|| format!("write {wanted} to {path}")))?;
    Ok(())
}
