//! Networks as a person means them: made, listed, shown, removed, and their rules brought back.

use crate::error::{Error, Kind, Result, of_network};
use crate::events::{self, Occurrences, Subject};
use crate::life::is_up;
use crate::paths::Paths;
use crate::record::Record;
use crate::space::PruneFilter;
use crate::wish::{Attachment, Network};
use crate::{control, names, record, user_networks};
use network::{Definition, Driver, Subnet};
use serde_json::{Value, json};
use std::net::IpAddr;

/// What `network create` asks for.
#[derive(Debug, Clone, Default)]
pub struct NetworkWish {
    /// The name.
    pub name: String,
    /// `--driver`.
    pub driver: String,
    /// `--subnet`.
    pub subnets: Vec<String>,
    /// `--gateway`.
    pub gateways: Vec<IpAddr>,
    /// `--ipv6`.
    pub ipv6: bool,
    /// `--internal`.
    pub internal: bool,
    /// `--opt`.
    pub options: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
}

/// A network, as `network ls` shows it.
#[derive(Debug, Clone)]
pub struct ListedNetwork {
    /// Its name.
    pub name: String,
    /// 64 hex digits.
    pub id: String,
    /// bridge, macvlan, host or null.
    pub driver: &'static str,
    /// None for those that are only a way of having no network of one's own.
    pub definition: Option<Definition>,
}

const HOST: &str = "host";
const NONE: &str = "none";

fn usage(text: String) -> Error {
    Error::new(Kind::Usage, text)
}

/// Makes a network; returns its id.
pub fn create_network(paths: &Paths, wish: &NetworkWish) -> Result<String> {
    let driver = match wish.driver.as_str() {
        "bridge" => Driver::Bridge,
        "macvlan" => Driver::Macvlan,
        other => return Err(usage(format!("invalid value {other:?} for --driver: write bridge or macvlan"))),
    };
    if driver == Driver::Macvlan && !network::bridges::are_here() {
        return Err(Error::new(Kind::Failed, "a macvlan needs root: it is on a link of the host's"));
    }
    if [HOST, NONE, "default", "container"].contains(&wish.name.as_str()) {
        return Err(usage(format!("the name {} has another meaning for --network", wish.name)));
    }
    let (mut mtu, mut parent) = (None, None);
    for (key, value) in &wish.options {
        match key.as_str() {
            "mtu" | "com.docker.network.driver.mtu" => {
                let wrong = || {
                    usage(format!("invalid value {value:?} for --opt {key}: write a number from 68 to 65535"))
                };
                mtu = Some(value.parse().ok().filter(|mtu| (68..=65535).contains(mtu)).ok_or_else(wrong)?);
            }
            "parent" => parent = Some(value.clone()),
            "macvlan_mode" if value == "bridge" => {}
            _ => {
                return Err(usage(format!("unknown option --opt {key}={value}"))
                    .with_hint("mtu and parent are known"));
            }
        }
    }
    if wish.ipv6 && mtu.is_some_and(|mtu: u32| mtu < 1280) {
        return Err(usage("IPv6 needs an mtu of 1280 at least".to_owned()));
    }
    let subnets = wish.subnets.iter().map(|text| Subnet::parse(text)).collect::<network::Result<_>>();
    let wanted = network::definition::Wanted {
        name: wish.name.clone(),
        id: names::new_id()?,
        driver,
        created: runtime::timestamp::now(),
        subnets: subnets.map_err(of_network)?,
        gateways: wish.gateways.clone(),
        ipv6: wish.ipv6,
        internal: wish.internal,
        mtu,
        parent,
        options: wish.options.clone(),
        labels: wish.labels.clone(),
    };
    // Bridges of networks that others were killed in the middle of removing are there.
    user_networks::find(paths)?;
    let made = network::definition::create(&paths.network(), wanted).map_err(of_network)?;
    events::tell(
        paths,
        Subject::Network,
        "create",
        &made.id,
        &[("name", &made.name), ("type", &wish.driver)],
    );
    Ok(made.id)
}

impl ListedNetwork {
    fn host() -> Self {
        Self { name: HOST.to_owned(), id: "686f7374".repeat(8), driver: "host", definition: None }
    }

    fn none() -> Self {
        Self { name: NONE.to_owned(), id: "6e6f6e65".repeat(8), driver: "null", definition: None }
    }

    /// One that has a definition.
    pub fn of(definition: Definition) -> Self {
        Self {
            name: definition.name.clone(),
            id: definition.id.clone(),
            driver: match definition.driver {
                Driver::Bridge => "bridge",
                Driver::Macvlan => "macvlan",
            },
            definition: Some(definition),
        }
    }
}

/// Every network, by name.
pub fn list_networks(paths: &Paths) -> Result<Vec<ListedNetwork>> {
    let mut all = vec![ListedNetwork::host(), ListedNetwork::none()];
    let every = network::definition::every(&paths.network()).map_err(of_network)?;
    all.extend(every.into_iter().map(ListedNetwork::of));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The networks that a container is on while it runs; none where it has that of another.
pub fn of_container(paths: &Paths, record: &Record) -> Vec<ListedNetwork> {
    match record.wish.network {
        Network::Host => vec![ListedNetwork::host()],
        Network::None => vec![ListedNetwork::none()],
        Network::Container(_) => Vec::new(),
        Network::Bridge => {
            let root = paths.network();
            let read = |one: &Attachment| network::definition::read(&root, &one.network).ok().flatten();
            record.networks.iter().filter_map(read).map(ListedNetwork::of).collect()
        }
    }
}

/// Says that container `id` has come to a network, or has left it.
pub fn tell_connected(told: &mut Occurrences, network: &ListedNetwork, id: &str, connected: bool) {
    let action = if connected { "connect" } else { "disconnect" };
    let attributes = [("container", id), ("name", network.name.as_str()), ("type", network.driver)];
    told.add(Subject::Network, action, &network.id, &attributes);
}

/// One network, by name, id, or the beginning of an id.
pub fn find_network(paths: &Paths, wanted: &str) -> Result<ListedNetwork> {
    let mut all = list_networks(paths)?;
    if let Some(at) = all.iter().position(|one| one.name == wanted) {
        return Ok(all.swap_remove(at));
    }
    all.retain(|one| !wanted.is_empty() && one.id.starts_with(wanted));
    match (all.len(), all.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) => Err(Error::new(Kind::Failed, format!("network {wanted} not found"))
            .with_hint("devoxx-container network ls")),
        _ => Err(usage(format!("more than one network's id begins with {wanted}"))),
    }
}

/// A network as docker's `network inspect` has it.
pub fn inspect_network(paths: &Paths, wanted: &str) -> Result<Value> {
    let ListedNetwork { name, id, driver, definition } = find_network(paths, wanted)?;
    let map = |pairs: &[(String, String)]| -> Value {
        pairs
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut config = Vec::new();
    let mut containers = serde_json::Map::new();
    if let Some(network) = &definition {
        config.push(json!({"Subnet": network.subnet.to_string(), "Gateway": network.gateway.to_string()}));
        if let (Some(subnet), Some(gateway)) = (network.subnet6, network.gateway6) {
            config.push(json!({"Subnet": subnet.to_string(), "Gateway": gateway.to_string()}));
        }
        for lease in network::leases_in(&network.state(&paths.network())).map_err(of_network)? {
            if !is_up(paths, &lease.id) {
                continue;
            }
            let mac: Vec<String> = lease.mac.iter().map(|byte| format!("{byte:02x}")).collect();
            containers.insert(
                lease.id.clone(),
                json!({
                    "Name": name_of(paths, &lease.id),
                    "EndpointID": lease.id,
                    "MacAddress": mac.join(":"),
                    "IPv4Address": format!("{}/{}", lease.ipv4, lease.ipv4_prefix),
                    "IPv6Address": lease.ipv6.map(|six| format!("{six}/{}", lease.ipv6_prefix)).unwrap_or_default(),
                }),
            );
        }
    }
    let network = definition.as_ref();
    Ok(json!({
        "Name": name,
        "Id": id,
        "Created": network.map(|one| one.created.clone()).unwrap_or_default(),
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": network.is_some_and(|one| one.subnet6.is_some()),
        "IPAM": {"Driver": "default", "Options": {}, "Config": config},
        "Internal": network.is_some_and(|one| one.internal),
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.map(|one| map(&one.options)).unwrap_or_else(|| json!({})),
        "Labels": network.map(|one| map(&one.labels)).unwrap_or_else(|| json!({})),
    }))
}

/// How a person calls the container of an id.
pub fn name_of(paths: &Paths, id: &str) -> String {
    record::read(paths, id).map_or_else(|_| names::short(id).to_owned(), |record| record.name)
}

/// Gives back what a container still has of networks that was killed together with its supervisor; whether it is such a one.
pub fn reap(paths: &Paths, id: &str) -> Result<bool> {
    if is_up(paths, id) || control::is_attended(paths, id) {
        return Ok(false);
    }
    // So that nobody starts it meanwhile.
    let lock = control::try_lock(paths, id).ok().flatten();
    if (lock.is_none() && paths.has_container(id)?) || is_up(paths, id) {
        return Ok(false);
    }
    let failures = crate::remove::stop_using(paths, id, record::read(paths, id).ok().as_ref());
    if failures.is_empty() { Ok(true) } else { Err(Error::new(Kind::Failed, failures.join("; "))) }
}

/// As [`reap`], of every container: before somebody asks for a port or an address that one of them may still have.
pub fn reap_all(paths: &Paths) -> Result<()> {
    for lease in network::leases(&paths.network()).map_err(of_network)? {
        reap(paths, &lease.id)?;
    }
    Ok(())
}

/// Removes a network that no container which runs is on.
pub fn remove_network(paths: &Paths, wanted: &str) -> Result<()> {
    let found = match find_network(paths, wanted) {
        Err(error) => {
            user_networks::find(paths)?;
            network::definition::sweep(&paths.network()).map_err(of_network)?;
            return Err(error);
        }
        Ok(found) => found,
    };
    let Some(definition) = found.definition.filter(|one| !one.is_default()) else {
        return Err(usage(format!("{} is a pre-defined network and cannot be removed", found.name)));
    };
    let root = paths.network();
    let mut users = Vec::new();
    for lease in network::leases_in(&definition.state(&root)).map_err(of_network)? {
        if !reap(paths, &lease.id)? {
            users.push(name_of(paths, &lease.id));
        }
    }
    if !users.is_empty() {
        let message = format!("network {} has active endpoints: {}", found.name, users.join(", "));
        return Err(Error::new(Kind::Failed, message)
            .with_hint(format!("devoxx-container network disconnect {} {}", found.name, users[0])));
    }
    user_networks::find(paths)?;
    network::definition::remove(&root, &definition.name).map_err(of_network)?;
    events::tell(paths, Subject::Network, "destroy", &definition.id, &[("name", &definition.name)]);
    Ok(())
}

/// Removes the networks that no container is on, running or not; returns their names. The bridges go of those that stay and have nobody
/// who runs.
pub fn prune_networks(paths: &Paths, wanted: &PruneFilter) -> Result<Vec<String>> {
    let used: std::collections::HashSet<String> = record::list(paths)?
        .into_iter()
        .flat_map(|listed| listed.record.networks.into_iter().map(|one| one.network))
        .collect();
    let mut removed = Vec::new();
    for definition in network::definition::made(&paths.network()).map_err(of_network)? {
        if !used.contains(&definition.name) && wanted.fits(&definition.created, &definition.labels) {
            remove_network(paths, &definition.name)?;
            removed.push(definition.name);
        }
    }
    user_networks::find(paths)?;
    network::remove_unused(&paths.network()).map_err(of_network)?;
    Ok(removed)
}

/// Brings bridges and rules back after somebody has flushed them; returns how many connections of containers there are.
pub fn reload_networks(paths: &Paths) -> Result<usize> {
    user_networks::find(paths)?;
    network::reload(&paths.network(), &|id| is_up(paths, id)).map_err(of_network)
}
