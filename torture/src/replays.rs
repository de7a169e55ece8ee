//! The rows: published escapes, and facts that are read again.

mod attested;
mod capabilities;
mod files;
mod privileges;

use crate::replay::Replay;
pub use files::{bind, mount, mounts};

/// Published escapes of container runtimes.
pub const ALL: &[&[Replay]] = &[files::ROWS, privileges::ROWS];

/// Facts that init reads again, each with the step that sets it left out.
pub const ATTESTED: &[&[Replay]] = &[attested::ROWS];
