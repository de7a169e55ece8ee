//! `system ...`: the engine as a whole.

use crate::place::{place, print};
use crate::{boot, doctor, space};
use engine::{Error, Kind, Result};

/// The engine as a whole
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system df\n  devoxx-container system prune --all --volumes"
)]
pub struct Group {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GroupCommand {
    /// Show what takes the disk
    Df(space::Df),
    /// Remove what nothing needs
    Prune(space::Prune),
    /// Check that everything images need is there
    Check(Check),
    /// Find what is wrong on this machine
    Doctor(doctor::Doctor),
    /// Bring containers back when the machine starts
    Enable(boot::Enable),
    /// Do not bring containers back any more when the machine starts
    Disable(boot::Disable),
    /// Start what is to come back now that the machine has started
    Boot(boot::Boot),
}

/// Check that everything images need is there
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system check\n  devoxx-container system check --deep\n\nEach problem is a line of output; the exit code is 125 when there is any."
)]
struct Check {
    /// Also look at every byte
    #[arg(long)]
    deep: bool,
}

/// `system ...`.
pub fn group(arguments: &Group) -> Result<i32> {
    match &arguments.command {
        GroupCommand::Df(wanted) => space::df(wanted),
        GroupCommand::Prune(wanted) => space::prune(wanted),
        GroupCommand::Check(wanted) => check(wanted),
        GroupCommand::Doctor(wanted) => doctor::doctor(wanted),
        GroupCommand::Enable(wanted) => boot::enable(wanted),
        GroupCommand::Disable(wanted) => boot::disable(wanted),
        GroupCommand::Boot(wanted) => boot::boot(wanted),
    }
}

fn check(arguments: &Check) -> Result<i32> {
    let place = place()?;
    let problems = place.images.check(arguments.deep, &|_| ())?;
    for problem in &problems {
        print(&format!("{}: {}", problem.image, problem.what))?;
    }
    match problems.len() {
        0 => Ok(0),
        count => Err(Error::new(Kind::Failed, format!("{count} problems in the image store"))
            .with_hint("pull or load these images again: that mends them")),
    }
}
