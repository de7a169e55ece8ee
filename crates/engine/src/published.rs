//! Which ports of the host lead to a container: written at its start, since free ones are picked only then.

use crate::error::{Error, Kind, Result};
use crate::life::is_up;
use crate::paths::Paths;
use crate::record;
use network::{PortMapping, Protocol};
use std::net::IpAddr;
use sys::called;

/// Writes it, where there is anything to write.
pub fn keep(paths: &Paths, id: &str, ports: &[PortMapping]) -> Result<()> {
    let path = paths.container(id).join("ports.json");
    if ports.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_vec(ports).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    std::fs::write(&path, text).map_err(called(|| format!("write {path:?}")))?;
    Ok(())
}

/// The ports that lead to a container now: none unless it runs.
pub fn of(paths: &Paths, id: &str) -> Vec<PortMapping> {
    if !is_up(paths, id) {
        return Vec::new();
    }
    let text = std::fs::read(paths.container(id).join("ports.json"));
    text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The container that has a port already, as an error names it.
pub fn holder(paths: &Paths, own: &str, mapping: &PortMapping) -> Option<String> {
    let all = record::list(paths).ok()?;
    let has = |id: &str| id != own && of(paths, id).iter().any(|port| port.clashes(mapping));
    all.iter().find(|one| has(&one.record.id)).map(|one| format!("container {}", one.record.name))
}

/// The lines of `port`: of all ports, or of one as `80` or `80/udp`.
pub fn port_lines(paths: &Paths, wanted: &str, port: Option<&str>) -> Result<Vec<String>> {
    let id = record::find(paths, wanted)?;
    let ports = of(paths, &id);
    let shown = |mapping: &PortMapping| -> Vec<String> {
        match mapping.host_ip {
            Some(IpAddr::V6(ip)) => vec![format!("[{ip}]:{}", mapping.host_port)],
            Some(ip) => vec![format!("{ip}:{}", mapping.host_port)],
            None => {
                let four = format!("0.0.0.0:{}", mapping.host_port);
                let six = network::has_ipv6().then(|| format!("[::]:{}", mapping.host_port));
                [Some(four), six].into_iter().flatten().collect()
            }
        }
    };
    let Some(text) = port else {
        let line = |mapping: &PortMapping| {
            let inside = format!("{}/{}", mapping.container_port, mapping.protocol);
            shown(mapping)
                .into_iter()
                .map(move |outside| format!("{inside} -> {outside}"))
                .collect::<Vec<_>>()
        };
        return Ok(ports.iter().flat_map(line).collect());
    };
    let wrong = || Error::new(Kind::Usage, format!("invalid port {text:?}")).with_hint("write 80, or 80/udp");
    let (number, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((number, "tcp")) => (number, Protocol::Tcp),
        Some((number, "udp")) => (number, Protocol::Udp),
        Some(_) => return Err(wrong()),
    };
    let number: u16 = number.parse().map_err(|_| wrong())?;
    let found: Vec<String> = ports
        .iter()
        .filter(|mapping| mapping.container_port == number && mapping.protocol == protocol)
        .flat_map(shown)
        .collect();
    if found.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            format!("no public port {number}/{protocol} published for {wanted}"),
        ));
    }
    Ok(found)
}
