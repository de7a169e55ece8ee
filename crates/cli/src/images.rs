//! The group `image`, and the names of images: `pull`, `push`, `tag`, `rmi`, `image prune`.

use crate::confirm::confirm;
use crate::place::{place, print};
use crate::progress::Progress;
use crate::{human, image_archives, image_mount};
use engine::{Kind, PruneFilter, Result};

/// Images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image ls\n  devoxx-container image prune --all --force"
)]
pub struct Group {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GroupCommand {
    /// List images
    #[command(visible_alias = "list")]
    Ls(crate::image_list::ListImages),
    /// Pull an image from a registry
    Pull(Pull),
    /// Push an image to a registry
    Push(Push),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(RemoveImages),
    /// Show what images are made of, as JSON
    Inspect(crate::inspect::InspectImages),
    /// Give an image one more name
    Tag(Tag),
    /// Show the steps that made an image
    History(crate::image_history::History),
    /// Write images into one file
    Save(image_archives::Save),
    /// Load images from a file
    Load(image_archives::Load),
    /// Make an image of an archive with a root
    Import(image_archives::Import),
    /// Remove images that nothing needs
    Prune(Prune),
    /// Mount images where this process is, read-only
    Mount(image_mount::Mount),
    /// Unmount images
    #[command(visible_alias = "umount")]
    Unmount(image_mount::Unmount),
}

/// Pull images from registries
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container pull debian:12\n  devoxx-container pull redis:7 nginx:1\n  devoxx-container pull --platform linux/arm64 --quiet alpine\n  devoxx-container pull --all-tags registry.example.com/web"
)]
pub struct Pull {
    /// Names of images
    #[arg(required = true)]
    images: Vec<String>,
    /// Every tag of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Print the image's id alone
    #[arg(short, long)]
    quiet: bool,
}

/// Remove images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container rmi debian:12\n  devoxx-container rmi --force 4c01db0b339c"
)]
pub struct RemoveImages {
    /// Also one with several names; of one that a container has that does not run, its names
    #[arg(short, long)]
    force: bool,
    /// Only what it is on this platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// Give an image one more name
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container tag debian:12 registry.example.com/debian:12\n  devoxx-container tag 4c01db0b339c web:stable"
)]
pub struct Tag {
    /// Name or id
    source: String,
    /// The new name
    target: String,
}

/// Push an image to a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container push registry.example.com/web:1\n  devoxx-container push --all-tags registry.example.com/web"
)]
pub struct Push {
    /// Name of the image
    image: String,
    /// Every tag of the repository that is here
    #[arg(short, long)]
    all_tags: bool,
    /// What it is on this platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Say nothing but the name
    #[arg(short, long)]
    quiet: bool,
}

/// Remove images that nothing needs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image prune\n  devoxx-container image prune --all --force --filter until=24h"
)]
pub struct Prune {
    /// Also those with a name that no container has
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=, label=, label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// `image ...`.
pub fn group(arguments: &Group) -> Result<i32> {
    match &arguments.command {
        GroupCommand::Ls(wanted) => crate::image_list::images(wanted),
        GroupCommand::Pull(wanted) => pull(wanted),
        GroupCommand::Push(wanted) => push(wanted),
        GroupCommand::Rm(wanted) => rmi(wanted),
        GroupCommand::Inspect(wanted) => crate::inspect::images(wanted),
        GroupCommand::Tag(wanted) => tag(wanted),
        GroupCommand::History(wanted) => crate::image_history::history(wanted),
        GroupCommand::Save(wanted) => image_archives::save(wanted),
        GroupCommand::Load(wanted) => image_archives::load(wanted),
        GroupCommand::Import(wanted) => image_archives::import(wanted),
        GroupCommand::Prune(wanted) => prune(wanted),
        GroupCommand::Mount(wanted) => image_mount::mount(wanted),
        GroupCommand::Unmount(wanted) => image_mount::unmount(wanted),
    }
}

/// The first digits of an id.
pub fn short(id: &str) -> &str {
    let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

/// `tag`.
pub fn tag(arguments: &Tag) -> Result<i32> {
    engine::parse_name(&arguments.target)?;
    place()?.images.tag(&arguments.source, &arguments.target)?;
    Ok(0)
}

/// `push`.
pub fn push(arguments: &Push) -> Result<i32> {
    let name = engine::parse_name(&arguments.image)?;
    let place = place()?;
    let names =
        if arguments.all_tags { place.images.tags_of(&arguments.image)? } else { vec![name.to_string()] };
    let progress = Progress::new(arguments.quiet);
    let platform = arguments.platform.as_deref();
    for name in &names {
        place.images.get_for(name, platform)?;
    }
    if !arguments.quiet {
        print(&format!("The push refers to repository [{}]", name.name()))?;
    }
    for name in names {
        let pushed = place.images.push(&name, platform, &|event| progress.hear(event))?;
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        if arguments.quiet {
            print(&name)?;
        } else {
            print(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size))?;
        }
    }
    Ok(0)
}

/// `image prune`.
pub fn prune(arguments: &Prune) -> Result<i32> {
    let filter = PruneFilter::parse(&arguments.filter)?;
    let what = if arguments.all { "all images that no container has" } else { "all images without a name" };
    confirm(arguments.force, "image prune", what)?;
    let place = place()?;
    let (removed, bytes) = engine::prune_images(&place.paths, &place.images, arguments.all, &filter)?;
    tell_removed(&removed)?;
    print(&format!("Total reclaimed space: {}", human::size(bytes)))?;
    Ok(0)
}

/// As docker tells of it.
pub fn tell_removed(removed: &engine::Removed) -> Result<()> {
    if removed.untagged.is_empty() && removed.deleted.is_empty() {
        return Ok(());
    }
    print("Deleted Images:")?;
    for name in &removed.untagged {
        print(&format!("untagged: {name}"))?;
    }
    for id in &removed.deleted {
        print(&format!("deleted: {id}"))?;
    }
    print("")
}

/// `pull`.
pub fn pull(arguments: &Pull) -> Result<i32> {
    for name in &arguments.images {
        engine::Reference::parse(name).map_err(|error| error.recast(|_| Kind::Usage))?;
    }
    let place = place()?;
    let progress = Progress::new(arguments.quiet);
    let pull_one = |name: &str| -> Result<()> {
        let image = place.images.pull(name, arguments.platform.as_deref(), &|event| progress.hear(event))?;
        print(&image.id)
    };
    let mut code = 0;
    for name in &arguments.images {
        let names = match arguments.all_tags {
            true => place.images.tags_in_registry(name),
            false => Ok(vec![name.clone()]),
        };
        let pulled = names.and_then(|names| {
            names.iter().try_for_each(|one| {
                if !arguments.quiet && (arguments.all_tags || arguments.images.len() > 1) {
                    crate::complain(one);
                }
                pull_one(one)
            })
        });
        // The others are none the worse for it; but who stops one stops all.
        match pulled {
            Err(error) if error.kind == Kind::Cancelled => return Err(error),
            Err(error) => code = crate::report(&error),
            Ok(()) => {}
        }
    }
    Ok(code)
}

/// `rmi`.
pub fn rmi(arguments: &RemoveImages) -> Result<i32> {
    let place = place()?;
    let mut code = 0;
    for name in &arguments.images {
        match place.images.remove(&place.paths, name, arguments.platform.as_deref(), arguments.force) {
            Ok(removed) => {
                for untagged in removed.untagged {
                    print(&format!("Untagged: {untagged}"))?;
                }
                for deleted in removed.deleted {
                    print(&format!("Deleted: {deleted}"))?;
                }
            }
            // What is not there is gone.
            Err(error) if arguments.force && place.images.get(name).is_err() => drop(crate::report(&error)),
            Err(error) => code = crate::report(&error),
        }
    }
    Ok(code)
}
