//! The commands for images, short and in the group `image`.

use crate::confirm::confirm;
use crate::human;
use crate::place::{place, print, warn};
use crate::progress::Progress;
use engine::{Error, Format, Host, ImageFilter, ImportWish, Kind, PruneFilter, Result};
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use sys::called;

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
    Ls(ListImages),
    /// Pull an image from a registry
    Pull(Pull),
    /// Push an image to a registry
    Push(Push),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(RemoveImages),
    /// Show what images are made of, as JSON
    Inspect(crate::inspect::Inspect),
    /// Give an image one more name
    Tag(Tag),
    /// Show the steps that made an image
    History(History),
    /// Write images into one file
    Save(Save),
    /// Load images from a file
    Load(Load),
    /// Make an image of an archive with a root
    Import(Import),
    /// Remove images that nothing needs
    Prune(Prune),
    /// Mount images where this process is, read-only
    Mount(Mount),
    /// Unmount images
    #[command(visible_alias = "umount")]
    Unmount(Unmount),
}

/// List images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container images\n  devoxx-container images --filter dangling=true -q\n\nFilters: dangling=, reference=, label=, before=, since=, until="
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
}

/// Pull an image from a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container pull debian:12\n  devoxx-container pull --platform linux/arm64 --quiet alpine"
)]
pub struct Pull {
    /// Name of the image
    image: String,
    /// Platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Print the image's id alone
    #[arg(short, long)]
    quiet: bool,
}

/// Remove images
#[derive(Debug, clap::Args)]
pub struct RemoveImages {
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
    /// Say nothing but the name
    #[arg(short, long)]
    quiet: bool,
}

/// Show the steps that made an image
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container history debian:12\n  devoxx-container history --no-trunc -q debian:12"
)]
pub struct History {
    /// Show whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Sizes and times for people
    #[arg(short = 'H', long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    human: bool,
    /// Name or id
    image: String,
}

/// Write images into one file
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container save -o web.tar web:1 db:2\n  devoxx-container save --format oci-archive web:1 | gzip >web.tar.gz"
)]
pub struct Save {
    /// The file; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// docker-archive or oci-archive
    #[arg(long, default_value = "docker-archive", value_parser = ["docker-archive", "oci-archive"])]
    format: String,
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// Load images from a file
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container load -i web.tar\n  gunzip -c web.tar.gz | devoxx-container load\n\nReads what docker and podman save, archives and directories in OCI's layout, compressed or not."
)]
pub struct Load {
    /// The file or directory; without it, standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Say nothing of what was loaded
    #[arg(short, long)]
    quiet: bool,
}

/// Make an image of an archive with a root
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container import root.tar.gz mine:1\n  tar -C root -c . | devoxx-container import --change 'CMD [\"sh\"]' - mine:1"
)]
pub struct Import {
    /// A line of a Containerfile that changes the image
    #[arg(short, long, value_name = "LINE")]
    change: Vec<String>,
    /// A note
    #[arg(short, long, default_value = "")]
    message: String,
    /// Platform of the image, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// The archive; - for standard input
    file: String,
    /// Name of the image
    image: Option<String>,
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

/// Mount images where this process is, read-only
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image mount debian:12\n  ls $(devoxx-container image mount debian:12)"
)]
pub struct Mount {
    /// Names or ids; without any, those that are mounted
    images: Vec<String>,
}

/// Unmount images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image unmount debian:12\n  devoxx-container image unmount --all"
)]
pub struct Unmount {
    /// All that are mounted
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// Names or ids
    #[arg(required_unless_present = "all")]
    images: Vec<String>,
}

/// `image ...`.
pub fn group(arguments: &Group) -> Result<i32> {
    match &arguments.command {
        GroupCommand::Ls(wanted) => images(wanted),
        GroupCommand::Pull(wanted) => pull(wanted),
        GroupCommand::Push(wanted) => push(wanted),
        GroupCommand::Rm(wanted) => rmi(wanted),
        GroupCommand::Inspect(wanted) => crate::inspect::of_kind(wanted, "image"),
        GroupCommand::Tag(wanted) => tag(wanted),
        GroupCommand::History(wanted) => history(wanted),
        GroupCommand::Save(wanted) => save(wanted),
        GroupCommand::Load(wanted) => load(wanted),
        GroupCommand::Import(wanted) => import(wanted),
        GroupCommand::Prune(wanted) => prune(wanted),
        GroupCommand::Mount(wanted) => mount(wanted),
        GroupCommand::Unmount(wanted) => unmount(wanted),
    }
}

fn short(id: &str) -> &str {
    let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

/// `images`.
pub fn images(arguments: &ListImages) -> Result<i32> {
    let mut filters = arguments.filter.clone();
    filters.extend(arguments.repository.iter().map(|name| format!("reference={name}")));
    let filter = ImageFilter::parse(&filters)?;
    let place = place()?;
    let mut lines = Vec::new();
    for image in filter.choose(&place.images, place.images.list()?)? {
        let id = if arguments.no_trunc { image.id.as_str() } else { short(&image.id) };
        if arguments.quiet {
            // An image with two names has one id.
            if !lines.iter().any(|line| line == id) {
                lines.push(id.to_owned());
            }
            continue;
        }
        let known = |name: &String| {
            image.reference.as_deref().and_then(|full| {
                let (repository, _) = full.rsplit_once(':')?;
                name.strip_prefix(repository)?.strip_prefix('@').map(str::to_owned)
            })
        };
        let digest = image.aliases.iter().find_map(known).unwrap_or_else(|| "<none>".to_owned());
        let name = image.reference.clone().unwrap_or_else(|| "<none>".to_owned());
        let created = image.created.unwrap_or_default();
        let day = created.get(..10).unwrap_or("-");
        let digest = if arguments.digests { format!("{digest:<73}") } else { String::new() };
        lines.push(format!("{name:<50} {digest}{id:<14} {day:<12} {:>9}", human::size(image.size)));
    }
    if !arguments.quiet {
        let digest = if arguments.digests { format!("{:<73}", "DIGEST") } else { String::new() };
        lines.insert(0, format!("{:<50} {digest}{:<14} {:<12} {:>9}", "IMAGE", "ID", "CREATED", "SIZE"));
    }
    for line in lines {
        print(&line)?;
    }
    Ok(0)
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
    for name in &names {
        place.images.get(name)?;
    }
    if !arguments.quiet {
        print(&format!("The push refers to repository [{}]", name.name()))?;
    }
    for name in names {
        let pushed = place.images.push(&name, &|event| progress.hear(event))?;
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        if arguments.quiet {
            print(&name)?;
        } else {
            print(&format!("{tag}: digest: {} size: {}", pushed.digest, pushed.size))?;
        }
    }
    Ok(0)
}

/// `history`.
pub fn history(arguments: &History) -> Result<i32> {
    let steps = place()?.images.history(&arguments.image)?;
    let cut = |text: &str, most: usize| {
        let text = text.replace(['\n', '\t', '\r'], " ");
        if arguments.no_trunc || text.chars().count() <= most {
            return text;
        }
        text.chars().take(most - 1).chain(['…']).collect()
    };
    if !arguments.quiet {
        print(&format!("{:<14} {:<20} {:<45} {:>9} COMMENT", "IMAGE", "CREATED", "CREATED BY", "SIZE"))?;
    }
    for step in steps {
        let id = match &step.id {
            Some(id) if arguments.no_trunc => id.as_str(),
            Some(id) => short(id),
            None => "<missing>",
        };
        if arguments.quiet {
            print(id)?;
            continue;
        }
        let size = if arguments.human { human::size(step.size) } else { step.size.to_string() };
        let created =
            if arguments.human { step.created.get(..19).unwrap_or(&step.created) } else { &step.created };
        let line = format!(
            "{id:<14} {created:<20} {:<45} {size:>9} {}",
            cut(&step.created_by, 45),
            cut(&step.comment, 40)
        );
        print(line.trim_end())?;
    }
    Ok(0)
}

/// Standard output, unless it is a terminal: an archive is nothing for people.
pub fn archive_output(option: &str) -> Result<impl Write> {
    if std::io::stdout().is_terminal() {
        return Err(Error::new(Kind::Usage, "an archive is not written to a terminal")
            .with_hint(format!("use {option}, or redirect the output")));
    }
    Ok(std::io::stdout().lock())
}

/// Writes a file that is there completely or, after a failure, not at all.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let name =
        path.file_name().ok_or_else(|| Error::new(Kind::Usage, format!("{}: not a file", path.display())))?;
    let kind = std::fs::metadata(path).map(|stat| stat.file_type());
    if kind.is_ok_and(|kind| !kind.is_file()) {
        // A device or a pipe.
        let mut file =
            File::options().write(true).open(path).map_err(called(|| format!("open({path:?})")))?;
        return write(&mut file);
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let file = File::options().write(true).create_new(true).open(&beside);
    let mut file = std::io::BufWriter::new(file.map_err(called(|| format!("open({path:?})")))?);
    let done = write(&mut file)
        .and_then(|()| Ok(file.flush().map_err(called(|| format!("write({beside:?})")))?))
        .and_then(|()| Ok(std::fs::rename(&beside, path).map_err(called(|| format!("rename({beside:?})")))?));
    if done.is_err() {
        // What failed is what matters.
        let _left = std::fs::remove_file(&beside);
    }
    done.map_err(|error| error.within(format!("write {}", path.display())))
}

/// `save`.
pub fn save(arguments: &Save) -> Result<i32> {
    let format = if arguments.format == "oci-archive" { Format::Oci } else { Format::Docker };
    match &arguments.output {
        Some(path) => {
            let path = std::path::absolute(path).map_err(called(|| format!("realpath({path:?})")))?;
            let place = place()?;
            write_whole(&path, |out| place.images.save(&arguments.images, format, out))?;
        }
        None => {
            let mut out = archive_output("--output FILE")?;
            place()?.images.save(&arguments.images, format, &mut out)?;
        }
    }
    Ok(0)
}

/// `load`.
pub fn load(arguments: &Load) -> Result<i32> {
    if arguments.input.is_none() && std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, "an archive is not read from a terminal")
            .with_hint("use --input FILE, or redirect the input"));
    }
    let place = place()?;
    let path = arguments.input.as_deref().filter(|path| *path != Path::new("-"));
    for name in place.images.load(path, &mut std::io::stdin().lock())? {
        if !arguments.quiet {
            let what = if name.starts_with("sha256:") { "Loaded image ID" } else { "Loaded image" };
            print(&format!("{what}: {name}"))?;
        }
    }
    Ok(0)
}

/// `import`.
pub fn import(arguments: &Import) -> Result<i32> {
    if arguments.file.contains("://") {
        return Err(Error::new(Kind::Usage, format!("{}: import reads no addresses", arguments.file))
            .with_hint("fetch it first, and give the file"));
    }
    let wish = ImportWish {
        name: arguments.image.as_deref().map(engine::parse_name).transpose()?,
        message: arguments.message.clone(),
        changes: arguments.change.clone(),
        platform: arguments.platform.clone(),
    };
    engine::check_changes(&arguments.change)?;
    let mut from: Box<dyn Read> = if arguments.file == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = &arguments.file;
        Box::new(File::open(file).map_err(called(|| format!("open({file:?})")))?)
    };
    let place = place()?;
    let host = Host {
        paths: &place.paths,
        images: &place.images,
        rootless: place.rootless,
        progress: &|_| (),
        warn: &warn,
    };
    print(&engine::import(&host, &mut from, &wish)?)?;
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

/// `image mount`.
pub fn mount(arguments: &Mount) -> Result<i32> {
    let place = place()?;
    if arguments.images.is_empty() {
        for (id, path) in engine::mounted_images(&place.paths)? {
            print(&format!("{} {}", short(&id), path.display()))?;
        }
        return Ok(0);
    }
    for name in &arguments.images {
        let path = engine::mount_image(&place.paths, &place.images, name, place.rootless.is_some())?;
        print(&path.display().to_string())?;
    }
    Ok(0)
}

/// `image unmount`.
pub fn unmount(arguments: &Unmount) -> Result<i32> {
    let place = place()?;
    let ids = if arguments.all {
        engine::mounted_images(&place.paths)?.into_iter().map(|(id, _)| id).collect()
    } else {
        arguments.images.clone()
    };
    for name in &ids {
        print(&engine::unmount_image(&place.paths, &place.images, name)?)?;
    }
    Ok(0)
}

/// `pull`.
pub fn pull(arguments: &Pull) -> Result<i32> {
    engine::Reference::parse(&arguments.image).map_err(|error| error.recast(|_| Kind::Usage))?;
    let place = place()?;
    let progress = Progress::new(arguments.quiet);
    let image =
        place.images.pull(&arguments.image, arguments.platform.as_deref(), &|event| progress.hear(event))?;
    print(&image.id)?;
    Ok(0)
}

/// `rmi`.
pub fn rmi(arguments: &RemoveImages) -> Result<i32> {
    let place = place()?;
    for name in &arguments.images {
        let removed = place.images.remove(&place.paths, name)?;
        for untagged in removed.untagged {
            print(&format!("Untagged: {untagged}"))?;
        }
        for deleted in removed.deleted {
            print(&format!("Deleted: {deleted}"))?;
        }
    }
    Ok(0)
}
