//! The commands for images, short and in the group `image`.

use crate::confirm::confirm;
use crate::human;
use crate::meter::Meter;
use crate::place::{place, print};
use crate::progress::Progress;
use engine::{Error, Format, ImportWish, Kind, PruneFilter, Result};
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
    Ls(crate::image_list::ListImages),
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
    History(crate::image_history::History),
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

/// Pull an image from a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container pull debian:12\n  devoxx-container pull --platform linux/arm64 --quiet alpine\n  devoxx-container pull --all-tags registry.example.com/web"
)]
pub struct Pull {
    /// Name of the image
    image: String,
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
    /// What they are on this platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// Load images from a file
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container load -i web.tar\n  devoxx-container load --quiet <web.tar.gz\n  gunzip -c web.tar.gz | devoxx-container load\n\nReads what docker and podman save, archives and directories in OCI's layout, compressed or not."
)]
pub struct Load {
    /// The file or directory; without it, standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// What is in it for this platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Say nothing of what was loaded
    #[arg(short, long)]
    quiet: bool,
}

/// Make an image of an archive with a root
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container import root.tar.gz mine:1\n  devoxx-container import --platform linux/arm64 root.tar mine:arm\n  tar -C root -c . | devoxx-container import --change 'CMD [\"sh\"]' - mine:1"
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
    after_help = "Examples:\n  devoxx-container image mount debian:12\n  devoxx-container image mount\n  ls $(devoxx-container image mount debian:12)"
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
        GroupCommand::Ls(wanted) => crate::image_list::images(wanted),
        GroupCommand::Pull(wanted) => pull(wanted),
        GroupCommand::Push(wanted) => push(wanted),
        GroupCommand::Rm(wanted) => rmi(wanted),
        GroupCommand::Inspect(wanted) => crate::inspect::of_kind(wanted, "image"),
        GroupCommand::Tag(wanted) => tag(wanted),
        GroupCommand::History(wanted) => crate::image_history::history(wanted),
        GroupCommand::Save(wanted) => save(wanted),
        GroupCommand::Load(wanted) => load(wanted),
        GroupCommand::Import(wanted) => import(wanted),
        GroupCommand::Prune(wanted) => prune(wanted),
        GroupCommand::Mount(wanted) => mount(wanted),
        GroupCommand::Unmount(wanted) => unmount(wanted),
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
    let platform = arguments.platform.as_deref();
    match &arguments.output {
        Some(path) => {
            let path = std::path::absolute(path).map_err(called(|| format!("realpath({path:?})")))?;
            let place = place()?;
            let meter = Meter::new("saving", None, false);
            write_whole(&path, |out| {
                place.images.save(&arguments.images, platform, format, &mut meter.on(out))
            })?;
        }
        None => {
            let mut out = archive_output("--output FILE")?;
            place()?.images.save(&arguments.images, platform, format, &mut out)?;
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
    let platform = arguments.platform.as_deref();
    // Whoever pipes it in has progress of its own.
    let progress = Progress::of_load(arguments.quiet || path.is_none());
    let loaded =
        place.images.load(path, platform, &mut std::io::stdin().lock(), &|event| progress.hear(event))?;
    for name in loaded {
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
    let mut total = None;
    let from: Box<dyn Read> = if arguments.file == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let name = &arguments.file;
        let file = File::open(name).map_err(called(|| format!("open({name:?})")))?;
        total = file.metadata().ok().filter(|stat| stat.is_file()).map(|stat| stat.len());
        Box::new(file)
    };
    let place = place()?;
    let host = place.host(&|_| ());
    let meter = Meter::new("importing", total, arguments.file == "-");
    let id = engine::import(&host, &mut meter.on(from), &wish)?;
    drop(meter);
    print(&id)?;
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
    let names = match arguments.all_tags {
        true => place.images.tags_in_registry(&arguments.image)?,
        false => vec![arguments.image.clone()],
    };
    for name in names {
        if arguments.all_tags && !arguments.quiet {
            crate::complain(&name);
        }
        let image = place.images.pull(&name, arguments.platform.as_deref(), &|event| progress.hear(event))?;
        print(&image.id)?;
    }
    Ok(0)
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
