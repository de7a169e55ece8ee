//! `system doctor`: what is wrong on this machine, a line each.

use crate::place::{data, open, print};
use engine::doctor::{Finding, Machine, Pastas};
use engine::user_namespace::is_needed;
use engine::{Error, Kind, Result};

/// Find what is wrong on this machine
///
/// Orphans that a killed program left behind, and settings that keep containers from what they are to do; each with what mends it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system doctor\n  devoxx-container system doctor --fix\n\nThe exit code is 125 when something stays wrong."
)]
pub struct Doctor {
    /// Remove the orphans
    #[arg(long)]
    fix: bool,
}

/// `system doctor`.
pub fn doctor(arguments: &Doctor) -> Result<i32> {
    let rootless = is_needed();
    let mut left = 0;
    let mut say = |finding: &Finding, done: &Result<()>| -> Result<()> {
        let how = match (finding.is_orphan(), arguments.fix, done) {
            (true, true, Ok(())) => "removed".to_owned(),
            (true, true, Err(error)) => format!("not removed: {error}"),
            (true, false, _) => "devoxx-container system doctor --fix removes it".to_owned(),
            (false, ..) => finding.fix.clone(),
        };
        left += i32::from(!(finding.is_orphan() && arguments.fix && done.is_ok()));
        print(&format!("{} ({how})", finding.what))
    };
    if let Some(data) = data() {
        for finding in engine::doctor::settings(Machine { rootless, data: &data }) {
            say(&finding, &Ok(()))?;
        }
    }
    let pastas = Pastas::seen();
    // Where the settings are so wrong that nothing works, that is the error.
    let place = open(None)?;
    let host = place.host(&|_| ());
    for finding in engine::doctor::orphans(&host, &pastas)? {
        let done = if arguments.fix { finding.remove(&host) } else { Ok(()) };
        say(&finding, &done)?;
    }
    match left {
        0 => Ok(0),
        1 => Err(Error::new(Kind::Failed, "1 thing is wrong")),
        many => Err(Error::new(Kind::Failed, format!("{many} things are wrong"))),
    }
}
