//! `history`: the steps that made an image.

use crate::human;
use crate::image_list::since;
use crate::images::short;
use crate::listing::{Listing, Row};
use crate::place::{place, print};
use engine::{Result, Step};
use jiff::Timestamp;

/// Show the steps that made an image
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container history debian:12\n  devoxx-container history --format '{{.Size}} {{.CreatedBy}}' --no-trunc debian:12"
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
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Of this platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Name or id
    image: String,
}

const HEADERS: [(&str, &str); 6] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// `history`.
pub fn history(arguments: &History) -> Result<i32> {
    let usual = match arguments.human {
        true => "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
        false => "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    };
    let listing = Listing::new(arguments.format.as_deref(), usual, &HEADERS)?;
    let steps = place()?.images.history(&arguments.image, arguments.platform.as_deref())?;
    if arguments.quiet {
        for step in &steps {
            print(id(arguments, step))?;
        }
        return Ok(0);
    }
    listing.print(&steps.iter().map(|step| row(arguments, step)).collect::<Vec<_>>())?;
    Ok(0)
}

fn id<'a>(arguments: &History, step: &'a Step) -> &'a str {
    match &step.id {
        Some(id) if arguments.no_trunc => id,
        Some(id) => short(id),
        None => "<missing>",
    }
}

fn row(arguments: &History, step: &Step) -> Row {
    let cut = |text: &str| {
        let text = text.replace(['\n', '\t', '\r'], " ");
        if arguments.no_trunc || text.chars().count() <= 45 {
            return text;
        }
        text.chars().take(44).chain(['…']).collect()
    };
    let time: Option<Timestamp> = step.created.parse().ok();
    let size = if arguments.human { human::size(step.size) } else { step.size.to_string() };
    Row::default()
        .with("ID", id(arguments, step))
        .with("CreatedSince", since(time))
        .with("CreatedAt", time.map_or_else(|| step.created.clone(), |time| format!("{time:.0}")))
        .with("CreatedBy", cut(&step.created_by))
        .with("Size", size)
        .with("Comment", cut(&step.comment))
}
