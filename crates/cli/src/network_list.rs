//! `network ls`: the table of networks.

use crate::listing::{Listing, Row};
use crate::place::{Place, place, print};
use engine::filter::{Filters, Pattern};
use engine::{ListedNetwork, Result};

/// List networks
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container network ls\n  devoxx-container network ls --quiet --filter driver=bridge"
)]
pub struct List {
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Print ids as a whole
    #[arg(long)]
    no_trunc: bool,
    /// Only those that fit: name, id, driver, label, type (custom or builtin), scope, dangling
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// The filters, read.
struct Wanted {
    filters: Filters,
    names: Vec<Pattern>,
    dangling: Option<bool>,
}

impl Wanted {
    fn of(typed: &[String]) -> Result<Self> {
        let keys = ["name", "id", "driver", "label", "label!", "type", "scope", "dangling"];
        let filters = Filters::parse(typed, &keys)?;
        filters.check("type", &["custom", "builtin"])?;
        filters.check("scope", &["local", "global", "swarm"])?;
        let (names, dangling) = (filters.patterns("name")?, filters.truth("dangling")?);
        Ok(Self { filters, names, dangling })
    }

    /// Keeps those that fit.
    fn choose(&self, place: &Place, networks: &mut Vec<ListedNetwork>) -> Result<()> {
        networks.retain(|network| self.fits(network));
        if let Some(wanted) = self.dangling {
            let containers = engine::list(&place.paths)?;
            let used = |name: &str| {
                containers.iter().flat_map(|one| engine::networks_of(&one.record)).any(|on| on == name)
            };
            networks.retain(|network| used(&network.name) != wanted);
        }
        Ok(())
    }

    fn fits(&self, network: &ListedNetwork) -> bool {
        let kind = match network.definition.as_ref().is_none_or(engine::NetworkDefinition::is_default) {
            true => "builtin",
            false => "custom",
        };
        (self.names.is_empty() || self.names.iter().any(|name| name.is_in(&network.name)))
            && self.filters.any("id", |value| network.id.starts_with(value))
            && self.filters.any("driver", |value| network.driver == value)
            && self.filters.any("type", |value| value == kind)
            && self.filters.any("scope", |value| value == "local")
            && self.filters.fit_labels(labels_of(network))
    }
}

fn labels_of(network: &ListedNetwork) -> &[(String, String)] {
    network.definition.as_ref().map_or(&[], |definition| &definition.labels)
}

/// `network ls`.
pub fn list(arguments: &List) -> Result<i32> {
    let wanted = Wanted::of(&arguments.filter)?;
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
    wanted.choose(&place, &mut networks)?;
    let shown =
        |id: &str| if arguments.no_trunc { id.to_owned() } else { engine::names::short(id).to_owned() };
    if arguments.quiet {
        networks.iter().try_for_each(|network| print(&shown(&network.id)))?;
        return Ok(0);
    }
    let row = |network: &ListedNetwork| {
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
