//! `network` and `port`: their words, and one call of the engine for each.

use crate::confirm::confirm;
use crate::inspect::Shape;
use crate::listing::{Listing, Row};
use crate::place::{open, place, print};
use clap::Subcommand;
use engine::{Attachment, Error, Kind, ListedNetwork, NetworkWish, PruneFilter, Result};
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
    Ls(List),
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

/// List networks
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network ls\n  devoxx-container network ls --quiet --filter driver=bridge"
)]
struct List {
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Print ids as a whole
    #[arg(long)]
    no_trunc: bool,
    /// Show some: name=, id=, driver=, label=, type=custom, type=builtin
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
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

fn usage(option: &str, text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid value {text:?} for {option}: {why}"))
}

/// `network`.
pub fn network(arguments: &Network) -> Result<i32> {
    match &arguments.command {
        Command::Create(wanted) => create(wanted),
        Command::Ls(wanted) => list(wanted),
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

fn labels_of(network: &ListedNetwork) -> &[(String, String)] {
    network.definition.as_ref().map_or(&[], |definition| &definition.labels)
}

fn has_label(labels: &[(String, String)], wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.iter().any(|(k, v)| k == key && v == value),
        None => labels.iter().any(|(key, _)| key == wanted),
    }
}

/// Filters of one key are alternatives, but each label must be there; as docker.
fn shows(filters: &[(String, String)], network: &ListedNetwork) -> bool {
    let is_builtin = network.definition.as_ref().is_none_or(engine::NetworkDefinition::is_default);
    let fits = |key: &str, value: &str| match key {
        "name" => network.name.contains(value),
        "id" => network.id.starts_with(value),
        "driver" => network.driver == value,
        "type" => (value == "builtin") == is_builtin,
        _ => true,
    };
    let one_of = |key: &str| {
        let mut of_key = filters.iter().filter(|(one, _)| one == key).peekable();
        of_key.peek().is_none() || of_key.any(|(key, value)| fits(key, value))
    };
    ["name", "id", "driver", "type"].into_iter().all(one_of)
        && filters
            .iter()
            .filter(|(key, _)| key == "label")
            .all(|(_, value)| has_label(labels_of(network), value))
}

fn list(arguments: &List) -> Result<i32> {
    let filters = arguments.filter.iter().map(|text| match text.split_once('=') {
        Some(("type", value)) if !["custom", "builtin"].contains(&value) => {
            Err(usage("--filter", text, "a type is custom or builtin"))
        }
        Some((key @ ("name" | "id" | "driver" | "label" | "type"), value)) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        _ => Err(usage("--filter", text, "write name=, id=, driver=, label= or type=")),
    });
    let filters = filters.collect::<Result<Vec<_>>>()?;
    let headers = [
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ];
    let usual = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
    let listing = Listing::new(arguments.format.as_deref(), usual, &headers)?;
    let place = place()?;
    let mut networks = engine::list_networks(&place.paths)?;
    networks.retain(|network| shows(&filters, network));
    let shown =
        |id: &str| if arguments.no_trunc { id.to_owned() } else { engine::names::short(id).to_owned() };
    if arguments.quiet {
        networks.iter().try_for_each(|network| print(&shown(&network.id)))?;
        return Ok(0);
    }
    let row = |network: &engine::ListedNetwork| {
        let definition = network.definition.as_ref();
        Row::default()
            .with("ID", shown(&network.id))
            .with("Name", network.name.as_str())
            .with("Driver", network.driver)
            .with("Scope", "local")
            .with("IPv4", "true")
            .with("IPv6", definition.is_some_and(|one| one.subnet6.is_some()).to_string())
            .with("Internal", definition.is_some_and(|one| one.internal).to_string())
            .with("CreatedAt", definition.map(|one| one.created.clone()).unwrap_or_default())
            .with_labels(labels_of(network))
    };
    listing.print(&networks.iter().map(row).collect::<Vec<_>>())?;
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

/// A name that others look up: it stands in a line of /etc/hosts.
fn alias(option: &str, text: &str) -> Result<String> {
    let fine = (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fine { Ok(text.to_owned()) } else { Err(usage(option, text, "use letters, digits, _, . and -")) }
}

fn mac(option: &str, text: &str) -> Result<[u8; 6]> {
    let wrong = || usage(option, text, "write six bytes such as 02:42:ac:11:00:02, not one of a group");
    let parts: Vec<&str> = text.split(':').collect();
    let byte = |part: &&str| {
        (part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .then(|| u8::from_str_radix(part, 16).ok())
            .flatten()
    };
    let bytes: Vec<u8> = parts.iter().map(byte).collect::<Option<_>>().ok_or_else(wrong)?;
    let mac: [u8; 6] = bytes.try_into().map_err(|_| wrong())?;
    // The lowest bit is that of groups; all zeros is no address.
    if mac[0] & 1 == 1 || mac == [0; 6] { Err(wrong()) } else { Ok(mac) }
}

/// `--network` and what belongs to it.
#[derive(Debug, clap::Args)]
pub struct NetworkArguments {
    /// bridge, host, none, container:NAME, or a network's name; several for a container on several
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// A further name by which others find it
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// Its IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// Its IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// The address of its link
    #[arg(long, value_name = "MAC")]
    mac_address: Option<String>,
}

impl NetworkArguments {
    /// Where a container's network comes from, and what it is connected to.
    pub fn wish(&self) -> Result<(engine::Network, Vec<Attachment>)> {
        let mut attachments = Vec::new();
        let mut alone = None;
        for text in &self.network {
            match text.as_str() {
                "host" => alone = Some(engine::Network::Host),
                "none" => alone = Some(engine::Network::None),
                text => match text.strip_prefix("container:") {
                    Some("") => return Err(usage("--network", text, "write container:NAME")),
                    Some(name) => alone = Some(engine::Network::Container(name.to_owned())),
                    None => attachments.push(attachment(text)?),
                },
            }
        }
        if let Some(alone) = alone {
            if self.network.len() > 1 {
                let all = self.network.join(", ");
                return Err(Error::new(Kind::Usage, format!("--network: {all} contradict each other")));
            }
            let further = [
                ("--network-alias", !self.network_alias.is_empty()),
                ("--ip", self.ip.is_some()),
                ("--ip6", self.ip6.is_some()),
                ("--mac-address", self.mac_address.is_some()),
            ];
            if let Some((option, _)) = further.iter().find(|(_, given)| *given) {
                let message = format!("{option} has no meaning with --network {}", self.network[0]);
                return Err(Error::new(Kind::Usage, message));
            }
            return Ok((alone, Vec::new()));
        }
        if attachments.is_empty() {
            attachments.push(Attachment { network: "bridge".to_owned(), ..Attachment::default() });
        }
        let aliases = self.network_alias.iter().map(|text| alias("--network-alias", text));
        let aliases = aliases.collect::<Result<Vec<_>>>()?;
        for one in &mut attachments {
            one.aliases.extend(aliases.iter().cloned());
        }
        // An address belongs to one network: the first.
        let first = &mut attachments[0];
        first.ipv4 = self.ip.or(first.ipv4);
        first.ipv6 = self.ip6.or(first.ipv6);
        if let Some(text) = &self.mac_address {
            first.mac = Some(mac("--mac-address", text)?);
        }
        Ok((engine::Network::Bridge, attachments))
    }
}

/// `NAME`, or docker's long form: `name=app,alias=db,ip=10.5.0.9`.
fn attachment(text: &str) -> Result<Attachment> {
    let wrong = |why: &str| usage("--network", text, why);
    if text.is_empty() {
        return Err(wrong("the name is empty"));
    }
    let mut one = Attachment::default();
    if !text.contains('=') {
        one.network = if text == "default" { "bridge".to_owned() } else { text.to_owned() };
        return Ok(one);
    }
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("name", name)) => one.network = name.to_owned(),
            Some(("alias", name)) => one.aliases.push(alias("--network", name)?),
            Some(("ip", ip)) => one.ipv4 = Some(ip.parse().map_err(|_| wrong("ip is no IPv4 address"))?),
            Some(("ip6", ip)) => one.ipv6 = Some(ip.parse().map_err(|_| wrong("ip6 is no IPv6 address"))?),
            Some(("mac-address", text)) => one.mac = Some(mac("--network", text)?),
            _ => return Err(wrong("write name=, alias=, ip=, ip6= and mac-address=, parted by commas")),
        }
    }
    if ["", "host", "none"].contains(&one.network.as_str()) {
        return Err(wrong("name= is a network that containers share"));
    }
    Ok(one)
}
