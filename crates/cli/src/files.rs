//! The commands for the files of containers: `cp`, `diff`, `export`, `commit`.

use crate::archive::{archive_output, write_whole};
use crate::human;
use crate::meter::Meter;
use crate::place::{open, print};
use engine::{CommitWish, Error, Host, Kind, Result, Side};
use std::io::IsTerminal;
use std::path::PathBuf;
use sys::called;

/// Copy files from a container or to it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container cp web:/etc/nginx/nginx.conf .\n  devoxx-container cp site/. web:/srv\n  tar -c site | devoxx-container cp - web:/srv\n\nOne side is CONTAINER:PATH, the other a path of this machine, or - for an archive."
)]
pub struct Copy {
    /// Keep owners
    #[arg(short, long)]
    archive: bool,
    /// Follow a link that is named
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// What is copied
    #[arg(allow_hyphen_values = true)]
    from: String,
    /// Where it goes
    #[arg(allow_hyphen_values = true)]
    to: String,
}

/// Show what a container changed of its image
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container diff web\n  devoxx-container diff web | grep '^D'\n\nA is new, C is changed, D is gone."
)]
pub struct Diff {
    /// Name or id
    container: String,
}

/// Write the root of a container as an archive
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container export -o web.tar web\n  devoxx-container export web | tar -t"
)]
pub struct Export {
    /// The file; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name or id
    container: String,
}

/// Make an image of what a container changed
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container commit web web:patched\n  devoxx-container commit -m 'with tools' -c 'CMD [\"bash\"]' shell tools:1"
)]
pub struct Commit {
    /// Who made it
    #[arg(short, long, default_value = "")]
    author: String,
    /// A line of a Containerfile that changes the image
    #[arg(short, long, value_name = "LINE")]
    change: Vec<String>,
    /// A note
    #[arg(short, long, default_value = "")]
    message: String,
    /// Let the container stand still meanwhile
    #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: bool,
    /// Name or id
    container: String,
    /// Name of the image
    image: Option<String>,
}

fn with_host<T>(container: &str, act: impl FnOnce(&Host<'_>) -> Result<T>) -> Result<T> {
    let place = open(Some(container))?;
    act(&place.host(&|_| ()))
}

/// `cp`.
pub fn cp(arguments: &Copy) -> Result<i32> {
    let wish = engine::parse_copy(&arguments.from, &arguments.to, arguments.archive, arguments.follow_link)?;
    if wish.from == Side::Stream && std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, "an archive is not read from a terminal"));
    }
    if wish.to == Side::Stream {
        let mut out = archive_output("a path")?;
        let copy = |host: &Host<'_>| engine::copy(host, &wish, &mut std::io::empty(), &mut out, &|_| ());
        with_host(wish.container(), copy)?;
        return Ok(0);
    }
    let mut input = std::io::stdin().lock();
    let meter = Meter::new("copying", None, arguments.quiet || wish.from == Side::Stream);
    let copied = with_host(wish.container(), |host| {
        engine::copy(host, &wish, &mut input, &mut std::io::sink(), &|done| meter.set(done))
    })?;
    if meter.is_shown() {
        drop(meter);
        // As docker says it.
        crate::complain(&format!("Successfully copied {} to {}", human::size(copied), arguments.to));
    }
    Ok(0)
}

/// `diff`.
pub fn diff(arguments: &Diff) -> Result<i32> {
    for (change, path) in with_host(&arguments.container, |host| engine::diff(host, &arguments.container))? {
        print(&format!("{change} {path}"))?;
    }
    Ok(0)
}

/// `export`.
pub fn export(arguments: &Export) -> Result<i32> {
    let container = &arguments.container;
    match &arguments.output {
        Some(path) => {
            let path = std::path::absolute(path).map_err(called(|| format!("realpath({path:?})")))?;
            let meter = Meter::new("exporting", None, false);
            with_host(container, |host| {
                write_whole(&path, |out| engine::export(host, container, &mut meter.on(out)))
            })?;
        }
        None => {
            let mut out = archive_output("--output FILE")?;
            with_host(container, |host| engine::export(host, container, &mut out))?;
        }
    }
    Ok(0)
}

/// `commit`.
pub fn commit(arguments: &Commit) -> Result<i32> {
    let wish = CommitWish {
        name: arguments.image.as_deref().map(engine::parse_name).transpose()?,
        message: arguments.message.clone(),
        author: arguments.author.clone(),
        changes: arguments.change.clone(),
        pause: arguments.pause,
    };
    let container = &arguments.container;
    print(&with_host(container, |host| engine::commit(host, container, &wish))?)?;
    Ok(0)
}
