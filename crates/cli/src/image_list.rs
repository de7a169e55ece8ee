//! `images` and `image ls`: the table of images, or a tree of their platforms.

use crate::human;
use crate::images::short;
use crate::listing::{Listing, Row, columns};
use crate::moment;
use crate::place::{Place, place, print};
use engine::{ImageFilter, ListedImage, Reference, Result};
use jiff::Timestamp;
use std::time::Duration;

/// List images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container images\n  devoxx-container images --filter dangling=true -q\n  devoxx-container images --format '{{.Repository}}:{{.Tag}} {{.Size}}'\n\nFilters: dangling=, reference=, label=, before=, since=, until="
)]
pub struct ListImages {
    /// The images of this name alone
    repository: Option<String>,
    /// All of them, as always: there are no images between
    #[arg(short, long)]
    all: bool,
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Show the digests that registries have them by
    #[arg(long)]
    digests: bool,
    /// Only those that fit
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Show the platforms of each, what they take here and in a registry, and which are in use
    #[arg(long, conflicts_with_all = ["quiet", "no_trunc", "digests", "format"])]
    tree: bool,
}

const USUAL: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const WITH_DIGESTS: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

const HEADERS: [(&str, &str); 10] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

/// `images`.
pub fn images(arguments: &ListImages) -> Result<i32> {
    let mut filters = arguments.filter.clone();
    filters.extend(arguments.repository.iter().map(|name| format!("reference={name}")));
    let filter = ImageFilter::parse(&filters)?;
    let usual = if arguments.digests { WITH_DIGESTS } else { USUAL };
    let listing = Listing::new(arguments.format.as_deref(), usual, &HEADERS)?;
    let place = place()?;
    let mut chosen = filter.choose(&place.images, place.images.list()?)?;
    // As docker: the youngest first; those of one age by name.
    chosen.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.reference.cmp(&b.reference)));
    if arguments.tree {
        return tree(&place, &chosen);
    }
    if arguments.quiet {
        let mut shown: Vec<&str> = Vec::new();
        for image in &chosen {
            let id = if arguments.no_trunc { image.id.as_str() } else { short(&image.id) };
            // An image with two names has one id.
            if !shown.contains(&id) {
                print(id)?;
                shown.push(id);
            }
        }
        return Ok(0);
    }
    listing.print(&chosen.iter().map(|image| row(image, arguments.no_trunc)).collect::<Vec<_>>())?;
    Ok(0)
}

const NONE: &str = "<none>";

/// Repository and tag, in the short form; of one whose name has moved on, what a registry has it by.
fn names(image: &ListedImage) -> (String, String) {
    let Some(name) = &image.reference else {
        let alias = image.aliases.first().and_then(|alias| Reference::parse(alias).ok());
        let repository = alias.map(|alias| repository_of(&alias));
        return (repository.unwrap_or_else(|| NONE.to_owned()), NONE.to_owned());
    };
    match Reference::parse(name) {
        Ok(name) => (repository_of(&name), name.tag.unwrap_or_else(|| NONE.to_owned())),
        Err(_) => (name.clone(), NONE.to_owned()),
    }
}

fn repository_of(name: &Reference) -> String {
    Reference { tag: None, digest: None, ..name.clone() }.familiar()
}

/// The digest by which the registry of its name has it.
fn digest(image: &ListedImage) -> Option<String> {
    let own = image.reference.as_deref().and_then(|name| Reference::parse(name).ok()).map(|name| name.name());
    image.aliases.iter().find_map(|alias| {
        let (name, digest) = alias.split_once('@')?;
        own.as_deref().is_none_or(|own| own == name).then(|| digest.to_owned())
    })
}

fn created(image: &ListedImage) -> Option<Timestamp> {
    image.created.as_deref().and_then(|text| text.parse().ok())
}

/// `3 weeks ago`, of a point of time that is known.
pub fn since(time: Option<Timestamp>) -> String {
    let Some(time) = time else { return "N/A".to_owned() };
    let age = Timestamp::now().duration_since(time);
    format!("{} ago", human::duration(Duration::try_from(age).unwrap_or_default()))
}

fn row(image: &ListedImage, whole: bool) -> Row {
    let (repository, tag) = names(image);
    let time = created(image);
    Row::default()
        .with("ID", if whole { image.id.as_str() } else { short(&image.id) })
        .with("Repository", repository)
        .with("Tag", tag)
        .with("Digest", digest(image).unwrap_or_else(|| NONE.to_owned()))
        .with("CreatedSince", since(time))
        .with("CreatedAt", time.map_or_else(|| "N/A".to_owned(), moment::local_text))
        .with("Size", human::size(image.size))
        .with("Containers", "N/A")
        .with("SharedSize", "N/A")
        .with("UniqueSize", "N/A")
}

/// Each name with its platforms beneath, as docker draws it.
fn tree(place: &Place, images: &[ListedImage]) -> Result<i32> {
    let containers = engine::list(&place.paths)?;
    let mut names: Vec<Option<&str>> = Vec::new();
    for image in images {
        let name = image.reference.as_deref();
        if name.is_none() || !names.contains(&name) {
            names.push(name);
        }
    }
    let mut lines = vec!["IMAGE\tID\tDISK USAGE\tCONTENT SIZE\tEXTRA".to_owned()];
    let mut nameless = images.iter().filter(|image| image.reference.is_none());
    for name in names {
        let of: Vec<&ListedImage> = match name {
            Some(_) => images.iter().filter(|image| image.reference.as_deref() == name).collect(),
            None => nameless.by_ref().take(1).collect(),
        };
        let Some(first) = of.first() else { continue };
        let used = |image: &ListedImage| containers.iter().any(|one| one.record.image_id == image.id);
        let line = |shown: &str, id: &str, disk: u64, content: u64, used: bool| {
            let (disk, content) = (human::size(disk), human::size(content));
            format!("{shown}\t{}\t{disk}\t{content}\t{}", short(id), if used { "U" } else { "" })
        };
        let content = |image: &ListedImage| place.images.content_size(&image.manifest);
        let contents = of.iter().map(|image| content(image)).collect::<Result<Vec<_>>>()?;
        let shown = name.and_then(|name| Reference::parse(name).ok()).map(|name| name.familiar());
        lines.push(line(
            &shown.unwrap_or_else(|| NONE.to_owned()),
            &first.id,
            of.iter().map(|image| image.size).sum(),
            contents.iter().sum(),
            of.iter().any(|image| used(image)),
        ));
        for (number, (image, content)) in of.iter().zip(contents).enumerate() {
            let branch = if number + 1 == of.len() { "└─" } else { "├─" };
            let shown = format!("{branch} {}", image.platform);
            lines.push(line(&shown, &image.id, image.size, content, used(image)));
        }
    }
    for line in columns(&lines) {
        print(line.trim_end())?;
    }
    Ok(0)
}
