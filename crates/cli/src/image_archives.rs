//! Images as archives: `save`, `load`, `import`.

use crate::archive::{archive_output, write_whole};
use crate::meter::Meter;
use crate::place::{place, print};
use crate::progress::Progress;
use engine::{Error, Format, ImportWish, Kind, Result};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use sys::called;

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
