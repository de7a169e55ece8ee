//! What takes the disk and what can go: `system df`, `system prune`, `container prune`.

use crate::confirm::confirm;
use crate::human;
use crate::inspect::Shape;
use crate::listing::{Listing, Row};
use crate::place::{place, print};
use crate::{images, networks, volumes};
use engine::{Error, Kind, Piece, PruneFilter, Result, Space};
use serde_json::{Value, json};

/// Show what takes the disk
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system df\n  devoxx-container system df --verbose\n  devoxx-container system df --format '{{.Type}} {{.Reclaimable}}'"
)]
pub struct Df {
    /// One by one
    #[arg(short, long)]
    verbose: bool,
    /// A table by a template ("table ..."), lines by a template, or json; with -v a template of all of it
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// Remove what nothing needs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system prune\n  devoxx-container system prune --all --volumes --force"
)]
pub struct Prune {
    /// Also images with a name that no container has
    #[arg(short, long)]
    all: bool,
    /// Also volumes without a name that no container has
    #[arg(long)]
    volumes: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=, label=, label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// Remove containers that do not run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container container prune\n  devoxx-container container prune --force --filter label=ci"
)]
pub struct PruneContainers {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=, label=, label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// `container prune`.
pub fn prune_containers(wanted: &PruneContainers) -> Result<i32> {
    let filter = PruneFilter::parse(&wanted.filter)?;
    confirm(wanted.force, "container prune", "all containers that do not run")?;
    let place = place()?;
    let (removed, bytes) = engine::prune_containers(&place.paths, &filter)?;
    tell_containers(&removed)?;
    print(&format!("Total reclaimed space: {}", human::size(bytes)))?;
    Ok(0)
}

fn tell_containers(removed: &[String]) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    print("Deleted Containers:")?;
    removed.iter().try_for_each(|id| print(id))?;
    print("")
}

const HEADERS: [(&str, &str); 5] = [
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

/// A line of the table.
fn row(usage: &Space) -> Row {
    let active = usage.pieces.iter().filter(|piece| piece.users > 0).count();
    let percent = (usage.reclaimable * 100).checked_div(usage.bytes).unwrap_or(0);
    Row::default()
        .with("Type", usage.kind)
        .with("TotalCount", usage.pieces.len().to_string())
        .with("Active", active.to_string())
        .with("Size", human::size(usage.bytes))
        .with("Reclaimable", format!("{} ({percent}%)", human::size(usage.reclaimable)))
}

/// Everything one by one, by docker's names.
fn written(all: &[Space]) -> Value {
    let list = |kind: &str, one: &dyn Fn(&Piece) -> Value| -> Value {
        let pieces = all.iter().filter(|usage| usage.kind == kind).flat_map(|usage| &usage.pieces);
        pieces.map(one).collect()
    };
    json!({
        "Images": list("Images", &|piece| json!({
            "ID": piece.id, "Repository": piece.name, "CreatedAt": piece.created, "Size": human::size(piece.bytes),
            "UniqueSize": human::size(piece.own), "SharedSize": human::size(piece.bytes.saturating_sub(piece.own)),
            "Containers": piece.users.to_string(),
        })),
        "Containers": list("Containers", &|piece| json!({
            "ID": piece.id, "Names": piece.name, "CreatedAt": piece.created, "Size": human::size(piece.bytes),
            "Running": piece.users > 0,
        })),
        "Volumes": list("Local Volumes", &|piece| json!({
            "Name": piece.name, "CreatedAt": piece.created, "Links": piece.users.to_string(),
            "Size": human::size(piece.bytes),
        })),
        "BuildCache": [],
    })
}

/// `system df`.
pub fn df(arguments: &Df) -> Result<i32> {
    let format = arguments.format.as_deref();
    let usual = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
    let listing = Listing::new(if arguments.verbose { None } else { format }, usual, &HEADERS)?;
    let shape = Shape::of(format)?;
    let place = place()?;
    let all = engine::df(&place.paths, &place.images)?;
    if !arguments.verbose {
        listing.print(&all.iter().map(row).collect::<Vec<_>>())?;
        return Ok(0);
    }
    if !matches!(shape, Shape::Pretty) {
        shape.print(&[written(&all)])?;
        return Ok(0);
    }
    for usage in all {
        print(&format!("{} space usage:\n", usage.kind))?;
        let images = usage.kind == "Images";
        let own = if images { format!(" {:<10}", "UNIQUE") } else { String::new() };
        print(&format!("{:<14} {:<20} {:<10}{own} {:<6} NAME", "ID", "CREATED", "SIZE", "USERS"))?;
        for piece in usage.pieces {
            let hex = piece.id.rsplit(':').next().unwrap_or_default();
            let id = hex.get(..12).unwrap_or(hex);
            let own = if images { format!(" {:<10}", human::size(piece.own)) } else { String::new() };
            let created = piece.created.get(..19).unwrap_or(&piece.created);
            print(&format!(
                "{id:<14} {created:<20} {:<10}{own} {:<6} {}",
                human::size(piece.bytes),
                piece.users,
                piece.name
            ))?;
        }
        print("")?;
    }
    Ok(0)
}

/// `system prune`.
pub fn prune(arguments: &Prune) -> Result<i32> {
    let filter = PruneFilter::parse(&arguments.filter)?;
    if filter.has_until() && arguments.volumes {
        return Err(Error::new(Kind::Usage, "--volumes and --filter until= contradict each other"));
    }
    let mut what = "all containers that do not run, ".to_owned();
    if arguments.volumes {
        what += "all volumes without a name that no container has, ";
    }
    what += "all networks that no container is on, ";
    what += if arguments.all { "all images that no container has" } else { "all images without a name" };
    confirm(arguments.force, "system prune", &what)?;
    let place = place()?;
    let (containers, mut bytes) = engine::prune_containers(&place.paths, &filter)?;
    tell_containers(&containers)?;
    if arguments.volumes {
        let (removed, more) = engine::prune_volumes(&place.paths, false, &filter.of_volumes())?;
        volumes::tell_removed(&removed)?;
        bytes += more;
    }
    networks::tell_removed(&engine::prune_networks(&place.paths, &filter)?)?;
    let (removed, more) = engine::prune_images(&place.paths, &place.images, arguments.all, &filter)?;
    images::tell_removed(&removed)?;
    print(&format!("Total reclaimed space: {}", human::size(bytes + more)))?;
    Ok(0)
}
