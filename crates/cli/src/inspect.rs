//! `inspect`: everything that is known of containers, images and whatever else has a name.

use crate::place::{Place, open, place, print};
use engine::template::{Template, printable};
use engine::{Error, Kind, Result};
use serde_json::Value;

/// Show everything that is known of something, as JSON
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container inspect web\n  devoxx-container inspect --format '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web"
)]
pub struct Inspect {
    /// A template for each, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Also how much containers wrote
    #[arg(short, long)]
    size: bool,
    /// What the names are of: container, image, network or volume
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
}

/// Show what images are made of, as JSON
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image inspect debian:12\n  devoxx-container image inspect --platform linux/arm64 --format '{{.Size}}' debian:12"
)]
pub struct InspectImages {
    /// A template for each, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// What they are on this platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
}

/// Show volumes, as JSON
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container volume inspect data\n  devoxx-container volume inspect --format '{{.Mountpoint}}' data"
)]
pub struct InspectVolumes {
    /// A template for each, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Names
    #[arg(required = true)]
    names: Vec<String>,
}

/// What is asked of each.
#[derive(Debug, Clone, Copy, Default)]
struct Asked<'a> {
    format: Option<&'a str>,
    /// Also how much containers wrote.
    size: bool,
    /// Images as they are there.
    platform: Option<&'a str>,
}

/// A kind of things that can be looked at.
struct Kin {
    name: &'static str,
    /// The whole of one; an error that says so when there is none.
    look: fn(&Place, &str, Asked<'_>) -> Result<Value>,
    /// Whether there is one of that name.
    is_there: fn(&Place, &str) -> bool,
}

/// In the order in which a name is looked for.
const KINDS: [Kin; 4] = [
    Kin {
        name: "container",
        look: |place, name, asked| engine::inspect(&place.paths, &place.images, name, asked.size),
        // Several whose ids begin so are an error that is to be heard.
        is_there: |place, name| {
            engine::get(&place.paths, name).map_or_else(|error| error.kind == Kind::Usage, |_| true)
        },
    },
    Kin {
        name: "image",
        look: |place, name, asked| place.images.inspect(name, asked.platform),
        is_there: |place, name| place.images.inspect(name, None).is_ok(),
    },
    Kin {
        name: "network",
        look: |place, name, _| engine::inspect_network(&place.paths, name),
        is_there: |place, name| engine::find_network(&place.paths, name).is_ok(),
    },
    Kin {
        name: "volume",
        look: |place, name, _| crate::volumes::written(place, name),
        is_there: |place, name| engine::get_volume(&place.paths, name).is_ok(),
    },
];

/// `inspect`.
pub fn inspect(arguments: &Inspect) -> Result<i32> {
    of_kinds(arguments, arguments.kind.as_deref())
}

/// `container inspect`.
pub fn containers(arguments: &Inspect) -> Result<i32> {
    match arguments.kind.as_deref() {
        Some(other) if other != "container" => {
            let message = format!("invalid value {other:?} for --type: the group is of containers");
            Err(Error::new(Kind::Usage, message))
        }
        _ => of_kinds(arguments, Some("container")),
    }
}

/// `image inspect`.
pub fn images(arguments: &InspectImages) -> Result<i32> {
    let asked = Asked {
        format: arguments.format.as_deref(),
        platform: arguments.platform.as_deref(),
        ..Asked::default()
    };
    look(&arguments.names, asked, &kinds(Some("image"))?)
}

/// `volume inspect`.
pub fn volumes(arguments: &InspectVolumes) -> Result<i32> {
    let asked = Asked { format: arguments.format.as_deref(), ..Asked::default() };
    look(&arguments.names, asked, &kinds(Some("volume"))?)
}

fn of_kinds(arguments: &Inspect, kind: Option<&str>) -> Result<i32> {
    let asked = Asked { format: arguments.format.as_deref(), size: arguments.size, ..Asked::default() };
    look(&arguments.names, asked, &kinds(kind)?)
}

/// The one that was named, or all of them.
fn kinds(named: Option<&str>) -> Result<Vec<&'static Kin>> {
    let Some(named) = named else { return Ok(KINDS.iter().collect()) };
    let found = KINDS.iter().find(|one| one.name == named).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|one| one.name).collect();
        Error::new(Kind::Usage, format!("invalid value {named:?} for --type"))
            .with_hint(format!("there are {}", names.join(", ")))
    })?;
    Ok(vec![found])
}

fn look(names: &[String], asked: Asked<'_>, kinds: &[&Kin]) -> Result<i32> {
    let shape = Shape::of(asked.format)?;
    let place = if asked.size { open(names.first().map(String::as_str))? } else { place()? };
    let (mut all, mut code) = (Vec::new(), 0);
    for name in names {
        let looked = match kinds {
            [only] => (only.look)(&place, name, asked),
            several => match several.iter().find(|kind| (kind.is_there)(&place, name)) {
                Some(kind) => (kind.look)(&place, name, asked),
                None => {
                    let names: Vec<&str> = KINDS.iter().map(|one| one.name).collect();
                    let message = format!("no such object: {name}");
                    Err(Error::new(Kind::Failed, message)
                        .with_hint(format!("no {} has that name or id", names.join(" or "))))
                }
            },
        };
        match looked {
            Ok(one) => all.push(one),
            Err(error) => code = crate::report(&error),
        }
    }
    // Nothing was found: the error is all that is said.
    if !all.is_empty() {
        shape.print(&all)?;
    }
    Ok(code)
}

/// How what was found is printed.
pub enum Shape {
    /// One list of all.
    Pretty,
    /// One line each.
    Json,
    /// By a template each.
    Template(Template),
}

impl Shape {
    /// Of `--format`.
    pub fn of(format: Option<&str>) -> Result<Self> {
        Ok(match format {
            None | Some("") => Self::Pretty,
            Some("json") => Self::Json,
            Some(text) => Self::Template(Template::parse(text)?),
        })
    }

    /// Prints all of them.
    pub fn print(&self, all: &[Value]) -> Result<()> {
        match self {
            Self::Pretty => {
                let text = serde_json::to_string_pretty(all)
                    .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
                print(&text)
            }
            Self::Json => all.iter().try_for_each(|one| print(&one.to_string())),
            Self::Template(template) => {
                all.iter().try_for_each(|one| print(&template.render(&printable(one))?))
            }
        }
    }
}
