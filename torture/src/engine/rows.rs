//! The rows.

mod credentials;
mod files;
mod layers;
mod manifests;
mod networks;
mod processes;
mod users;

use super::Replay;

/// In the order of the report.
pub const ALL: &[&[Replay]] = &[
    layers::ROWS,
    manifests::ROWS,
    credentials::ROWS,
    files::ROWS,
    users::ROWS,
    processes::ROWS,
    networks::ROWS,
];
