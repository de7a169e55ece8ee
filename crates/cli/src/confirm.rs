//! The question before something is removed that nobody named.

use engine::{Error, Kind, Result};
use std::io::{BufRead, Write};
use sys::called;

/// Asks, unless told not to; an answer other than yes is an error.
pub fn confirm(force: bool, command: &str, what: &str) -> Result<()> {
    if force {
        return Ok(());
    }
    let mut out = std::io::stdout();
    write!(out, "WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] ")
        .and_then(|()| out.flush())
        .map_err(called(|| "write(stdout)".to_owned()))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(called(|| "read(stdin)".to_owned()))?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Error::new(Kind::Failed, format!("{command} has been cancelled")).with_hint("--force asks nothing"))
}
