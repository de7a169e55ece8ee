//! `update`: limits of a container that is there.

use crate::bundle;
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::state::{self, Status};
use std::path::Path;

/// What is to change.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// As `linux.resources` has it; what is not in it stays.
    pub resources: serde_json::Value,
    /// Intel RDT: the schema of the cache.
    pub l3_cache_schema: Option<String>,
    /// Intel RDT: the schema of memory bandwidth.
    pub mem_bw_schema: Option<String>,
}

/// Changes the limits of container `id`; returns what should be known about it.
pub fn update(root: &Path, id: &str, change: &Change) -> Result<Vec<String>> {
    let record = state::read(root, id)?;
    if record.status(root)? == Status::Stopped {
        return Err(Error::new(Kind::NotRunning, "container not running"));
    }
    if change.l3_cache_schema.is_some() || change.mem_bw_schema.is_some() {
        let place = record.rdt.as_ref().ok_or_else(|| {
            Error::new(Kind::Unsupported, "Intel RDT: container was created without linux.intelRdt")
        })?;
        let text = |schema: &Option<String>| schema.clone().unwrap_or_default();
        place.update(&bundle::rdt_schemata(&text(&change.l3_cache_schema), &text(&change.mem_bw_schema)))?;
    }
    let written = serde_json::from_value(change.resources.clone())
        .map_err(|error| Error::new(Kind::Invalid, format!("resources: {error}")))?;
    let mut limits = bundle::resources(&written)?;
    // Access to devices is never updated: it was decided when the container was made.
    limits.devices.clear();
    let Some(cgroup) = &record.cgroup else {
        return Err(Error::new(Kind::Unsupported, format!("container {id} has no cgroup to limit")));
    };
    let warnings = cgroup.update(&limits).map_err(of_cgroup)?;
    Ok(warnings.iter().map(ToString::to_string).collect())
}
