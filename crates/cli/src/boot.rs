//! `system boot`, `system enable`, `system disable`: containers that come back with the machine.

use crate::place::{place, print, warn};
use engine::Result;
use engine::user_namespace::is_needed;

/// Bring containers back when the machine starts
///
/// Those with --restart always, and with unless-stopped if nobody stopped them. It writes a unit of systemd.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system enable\n  devoxx-container system enable && systemctl status devoxx-container\n\nFor an ordinary user, whose services end with the last session unless: loginctl enable-linger"
)]
pub struct Enable {}

/// Do not bring containers back any more when the machine starts
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system disable\n  devoxx-container system disable && systemctl list-unit-files"
)]
pub struct Disable {}

/// Start what is to come back now that the machine has started
///
/// The unit of `system enable` runs it. It does no harm at any other time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container system boot\n  devoxx-container system boot && devoxx-container ps\n\nThe names of those that were started are printed."
)]
pub struct Boot {}

/// `system enable`.
pub fn enable(Enable {}: &Enable) -> Result<i32> {
    let rootless = is_needed();
    let unit = engine::boot::enable(rootless)?;
    print(&format!("{} is enabled", unit.display()))?;
    if rootless && !engine::boot::lingers() {
        warn("it runs from your first login on; from the start of the machine after: loginctl enable-linger");
    }
    Ok(0)
}

/// `system disable`.
pub fn disable(Disable {}: &Disable) -> Result<i32> {
    engine::boot::disable(is_needed()).map(|()| 0)
}

/// `system boot`.
pub fn boot(Boot {}: &Boot) -> Result<i32> {
    // Checks of health, by the supervisors that it leaves, enter containers.
    engine::protect()?;
    let place = place()?;
    let host = place.host(&|_| ());
    let mut code = 0;
    for name in engine::boot::settle(&host)? {
        match engine::boot::start(&host, &name) {
            Ok(()) => print(&name)?,
            // The others come back all the same.
            Err(error) => code = crate::report(&error),
        }
    }
    Ok(code)
}
