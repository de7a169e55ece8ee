//! The commands for volumes.

use crate::confirm::confirm;
use crate::human;
use crate::listing::{Listing, Row};
use crate::place::{Place, place, print};
use engine::{Error, Kind, Result, VolumeFilter};
use serde_json::{Value, json};

/// Volumes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container volume create data\n  devoxx-container volume prune --all"
)]
pub struct Group {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GroupCommand {
    /// Make a volume
    Create(Create),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show volumes as JSON
    Inspect(crate::inspect::InspectVolumes),
    /// Remove volumes
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Remove volumes that no container has
    Prune(Prune),
}

/// Make a volume
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container volume create data\n  devoxx-container volume create --label backup=daily data"
)]
struct Create {
    /// Label of the volume
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// The kind of volume: local
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Option of the driver: local has none
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Its name; without one it gets 64 digits
    name: Option<String>,
}

/// List volumes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container volume ls\n  devoxx-container volume ls -q --filter dangling=true\n\nFilters: name=, label=, dangling=, driver="
)]
struct List {
    /// Print names alone
    #[arg(short, long)]
    quiet: bool,
    /// Only those that fit
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// Remove volumes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container volume rm data\n  devoxx-container volume rm --force data logs"
)]
struct Remove {
    /// No error for one that is not there
    #[arg(short, long)]
    force: bool,
    /// Names
    #[arg(required = true)]
    volumes: Vec<String>,
}

/// Remove volumes that no container has
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container volume prune\n  devoxx-container volume prune --all --force --filter label=scratch"
)]
struct Prune {
    /// Also those with a name
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: label=, label!=, all=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// `volume ...`.
pub fn group(arguments: &Group) -> Result<i32> {
    match &arguments.command {
        GroupCommand::Create(wanted) => create(wanted),
        GroupCommand::Ls(wanted) => list(wanted),
        GroupCommand::Inspect(wanted) => crate::inspect::volumes(wanted),
        GroupCommand::Rm(wanted) => remove(wanted),
        GroupCommand::Prune(wanted) => prune(wanted),
    }
}

fn create(arguments: &Create) -> Result<i32> {
    if arguments.driver != "local" {
        return Err(Error::new(
            Kind::Usage,
            format!("invalid value {:?} for --driver: write local", arguments.driver),
        ));
    }
    if let Some(option) = arguments.opt.first() {
        return Err(Error::new(
            Kind::Usage,
            format!("invalid value {option:?} for --opt: the driver local has none"),
        )
        .with_hint("mount a directory of the host with --mount type=bind, memory with type=tmpfs"));
    }
    let mut labels: Vec<(String, String)> = Vec::new();
    for label in &arguments.label {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        if key.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                format!("invalid value {label:?} for --label: the key is empty"),
            ));
        }
        labels.retain(|(known, _)| known != key);
        labels.push((key.to_owned(), value.to_owned()));
    }
    let place = place()?;
    print(&engine::create_volume(&place.paths, arguments.name.as_deref(), &labels)?)?;
    Ok(0)
}

fn list(arguments: &List) -> Result<i32> {
    let filter = VolumeFilter::parse(&arguments.filter, &["name", "label", "label!", "dangling", "driver"])?;
    let listing = Listing::new(arguments.format.as_deref(), "{{.Driver}}\t{{.Name}}", &HEADERS)?;
    let place = place()?;
    let containers = engine::list(&place.paths)?;
    let mut rows = Vec::new();
    for volume in engine::list_volumes(&place.paths)? {
        let in_use = !engine::volume_users(&containers, &volume.name).is_empty();
        if !filter.fits(&volume, in_use) {
            continue;
        }
        if arguments.quiet {
            print(&volume.name)?;
        }
        rows.push(row(&volume));
    }
    if !arguments.quiet {
        listing.print(&rows)?;
    }
    Ok(0)
}

const HEADERS: [(&str, &str); 10] = [
    ("Name", "VOLUME NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
];

/// What docker shows of a volume in a list; the last five it does not know there.
fn row(volume: &engine::Volume) -> Row {
    let named = Row::default()
        .with("Name", volume.name.as_str())
        .with("Driver", "local")
        .with("Scope", "local")
        .with("Mountpoint", volume.mountpoint.display().to_string())
        .with_labels(&volume.labels);
    HEADERS.iter().skip(5).fold(named, |row, (name, _)| row.with(name, "N/A"))
}

/// A volume under docker's names.
pub fn written(place: &Place, name: &str) -> Result<Value> {
    let volume = engine::get_volume(&place.paths, name)?;
    let labels: serde_json::Map<String, Value> =
        volume.labels.into_iter().map(|(key, value)| (key, value.into())).collect();
    Ok(json!({
        "CreatedAt": volume.created,
        "Driver": "local",
        "Labels": labels,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": {},
        "Scope": "local",
    }))
}

fn remove(arguments: &Remove) -> Result<i32> {
    let place = place()?;
    let mut code = 0;
    for name in &arguments.volumes {
        match engine::remove_volume(&place.paths, name, arguments.force) {
            Ok(()) => print(name)?,
            Err(error) => code = crate::report(&error),
        }
    }
    Ok(code)
}

fn prune(arguments: &Prune) -> Result<i32> {
    // As docker has it too.
    let filter = VolumeFilter::parse(&arguments.filter, &["label", "label!", "all"])?;
    let all = arguments.all || filter.all()?;
    let what = if all {
        "all volumes that no container has"
    } else {
        "volumes without a name that no container has"
    };
    confirm(arguments.force, "volume prune", what)?;
    let place = place()?;
    let (removed, bytes) = engine::prune_volumes(&place.paths, all, &filter)?;
    tell_removed(&removed)?;
    print(&format!("Total reclaimed space: {}", human::size(bytes)))?;
    Ok(0)
}

/// As docker tells of it.
pub fn tell_removed(removed: &[String]) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    print("Deleted Volumes:")?;
    removed.iter().try_for_each(|name| print(name))?;
    print("")
}
