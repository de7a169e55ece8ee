//! `network` and `port`: their words, and one call of the engine for each.

use crate::confirm::confirm;
use crate::inspect::Shape;
use crate::network_list;
use crate::place::{open, place, print};
use crate::run_network::{alias, usage};
use clap::Subcommand;
use engine::{Attachment, NetworkWish, PruneFilter, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that containers share
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  devoxx-container network create app\n  devoxx-container run -d --name web --network app nginx"
)]
pub struct Network {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a network
    Create(Create),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(network_list::List),
    /// Show networks, as JSON
    Inspect(Inspect),
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Remove the networks that no container is on
    Prune(Prune),
    /// Connect a container to a network
    Connect(Connect),
    /// Take a container off a network
    Disconnect(Disconnect),
    /// Bring the rules back after the host's firewall was flushed
    Reload(Reload),
}

/// Make a network
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network create app\n  devoxx-container network create --subnet 10.5.0.0/24 --internal -o mtu=1400 back"
)]
struct Create {
    /// bridge, or macvlan with --opt parent=LINK
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Addresses of the network; once for each family
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    subnet: Vec<String>,
    /// Address of the bridge in the subnet
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,
    /// Give containers IPv6 addresses too
    #[arg(long)]
    ipv6: bool,
    /// Let nothing lead out of it
    #[arg(long)]
    internal: bool,
    /// Option of the driver: mtu, parent
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Label of the network
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Name of the network
    name: String,
}

/// Show networks, as JSON
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network inspect bridge\n  devoxx-container network inspect app back"
)]
struct Inspect {
    /// A template for each, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    networks: Vec<String>,
}

/// Remove networks
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network rm app\n  devoxx-container network rm --force app back"
)]
struct Remove {
    /// One that is not there is no error
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required = true)]
    networks: Vec<String>,
}

/// Remove the networks that no container is on
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network prune --force\n  devoxx-container network prune --force --filter label=temporary"
)]
struct Prune {
    /// Ask nothing
    #[arg(short, long)]
    force: bool,
    /// Only some: label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// Connect a container to a network
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network connect app web\n  devoxx-container network connect --alias db --ip 10.5.0.9 back postgres"
)]
struct Connect {
    /// A further name by which others find it there
    #[arg(long)]
    alias: Vec<String>,
    /// Its address there
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// Its IPv6 address there
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Name or id of the network
    network: String,
    /// Name or id of the container
    container: String,
}

/// Take a container off a network
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network disconnect app web\n  devoxx-container network disconnect bridge web"
)]
struct Disconnect {
    /// Also when it is not there any more
    #[arg(short, long)]
    force: bool,
    /// Name or id of the network
    network: String,
    /// Name or id of the container
    container: String,
}

/// Bring the rules back after the host's firewall was flushed
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network reload\n  devoxx-container network reload && devoxx-container network ls\n  systemctl restart nftables && devoxx-container network reload"
)]
struct Reload {}

/// List the ports of the host that lead to a container
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  devoxx-container port web\n  devoxx-container port web 53/udp")]
pub struct Port {
    /// Name or id
    container: String,
    /// A port of the container
    #[arg(value_name = "PORT[/udp]")]
    port: Option<String>,
}

/// `network`.
pub fn network(arguments: &Network) -> Result<i32> {
    match &arguments.command {
        Command::Create(wanted) => create(wanted),
        Command::Ls(wanted) => network_list::list(wanted),
        Command::Inspect(wanted) => inspect(wanted),
        Command::Rm(wanted) => remove(wanted),
        Command::Prune(wanted) => prune(wanted),
        Command::Connect(wanted) => connect(wanted),
        Command::Disconnect(wanted) => disconnect(wanted),
        Command::Reload(_) => {
            engine::reload_networks(&place()?.paths)?;
            Ok(0)
        }
    }
}

fn create(arguments: &Create) -> Result<i32> {
    let options = arguments.opt.iter().map(|text| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(usage("--opt", text, "write KEY=VALUE")),
    });
    let labels = arguments.label.iter().map(|text| match text.split_once('=').unwrap_or((text, "")) {
        ("", _) => Err(usage("--label", text, "the key is empty")),
        (key, value) => Ok((key.to_owned(), value.to_owned())),
    });
    let wish = NetworkWish {
        name: arguments.name.clone(),
        driver: arguments.driver.clone(),
        subnets: arguments.subnet.clone(),
        gateways: arguments.gateway.clone(),
        ipv6: arguments.ipv6,
        internal: arguments.internal,
        options: options.collect::<Result<_>>()?,
        labels: labels.collect::<Result<_>>()?,
    };
    let place = place()?;
    print(&engine::create_network(&place.paths, &wish)?)?;
    Ok(0)
}

fn inspect(arguments: &Inspect) -> Result<i32> {
    let shape = Shape::of(arguments.format.as_deref())?;
    let place = place()?;
    let all = arguments.networks.iter().map(|name| engine::inspect_network(&place.paths, name));
    let all = all.collect::<Result<Vec<_>>>()?;
    shape.print(&all)?;
    Ok(0)
}

fn remove(arguments: &Remove) -> Result<i32> {
    let place = place()?;
    let mut code = 0;
    for name in &arguments.networks {
        let is_gone =
            || !engine::list_networks(&place.paths).is_ok_and(|all| all.iter().any(|one| one.name == *name));
        match engine::remove_network(&place.paths, name) {
            Ok(()) => print(name)?,
            Err(_) if arguments.force && engine::find_network(&place.paths, name).is_err() && is_gone() => {}
            Err(error) => code = crate::report(&error),
        }
    }
    Ok(code)
}

fn prune(arguments: &Prune) -> Result<i32> {
    let filter = PruneFilter::parse(&arguments.filter)?;
    confirm(arguments.force, "network prune", "all networks that no container is on")?;
    let place = place()?;
    tell_removed(&engine::prune_networks(&place.paths, &filter)?)?;
    Ok(0)
}

/// Prints the networks that were removed.
pub fn tell_removed(removed: &[String]) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    print(&format!("Deleted Networks:\n{}", removed.join("\n")))
}

fn connect(arguments: &Connect) -> Result<i32> {
    let attachment = Attachment {
        network: arguments.network.clone(),
        aliases: arguments.alias.iter().map(|text| alias("--alias", text)).collect::<Result<_>>()?,
        ipv4: arguments.ip,
        ipv6: arguments.ip6,
        mac: None,
    };
    let place = open(Some(&arguments.container))?;
    engine::connect(&place.paths, &arguments.container, attachment)?;
    Ok(0)
}

fn disconnect(arguments: &Disconnect) -> Result<i32> {
    let place = open(Some(&arguments.container))?;
    let done = engine::disconnect(&place.paths, &arguments.container, &arguments.network);
    // A container that is gone is on no network.
    match done {
        Err(_) if arguments.force && engine::get(&place.paths, &arguments.container).is_err() => Ok(0),
        done => done.map(|()| 0),
    }
}

/// `port`.
pub fn port(arguments: &Port) -> Result<i32> {
    let place = place()?;
    for line in engine::port_lines(&place.paths, &arguments.container, arguments.port.as_deref())? {
        print(&line)?;
    }
    Ok(0)
}
