//! cgroups that systemd makes: a transient unit for each container (org.freedesktop.systemd1(5)).
//!
//! ```text
//! Unit::plan -> Cgroup::plan_unit -> hold -> create -> apply -> entry -> kill -> remove
//! ```
//!
//! Names are known before anything is made. A scope needs a process to begin with: one that only waits holds it, until
//! the container is born in it. systemd is told every limit that it has a property for, so that it does not write
//! others over them; all of them are written to the cgroup as well, since some are more exact there.

mod bus;
mod gvariant;
mod held;
mod message;
mod names;
mod properties;
mod systemd1;
mod value;

pub use held::Held;

use crate::limits::Limits;
use crate::place::Version;
use crate::{Error, Kind, Result};
use names::Names;
use properties::Property;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sys::Context;
use systemd1::Manager;
use value::Value;

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name: `devoxx-web.scope`, or that of a slice.
    pub name: String,
    /// The slice that it is in.
    pub slice: String,
    /// Whether it belongs to this user's own manager, not to that of the system.
    pub user: bool,
    /// Its cgroup.
    pub cgroup: String,
    /// Other properties that were asked for: their names, and values as text.
    #[serde(skip)]
    pub properties: BTreeMap<String, String>,
}

impl Unit {
    /// Reads `SLICE:PREFIX:NAME`; where it is empty, the name is `id` and the slice that of the system or of users. The
    /// annotations `org.systemd.property.NAME` are properties of the unit.
    ///
    /// It asks systemd where its cgroups begin, and makes nothing.
    ///
    /// # Errors
    /// [`Kind::Refused`] for names and properties that are none, by their names.
    pub fn plan(path: &str, id: &str, user: bool, annotations: &BTreeMap<String, String>) -> Result<Self> {
        let Names { slice, unit } = names::read(path, id, user)?;
        let mut properties = BTreeMap::new();
        for (key, text) in annotations {
            let Some(name) = key.strip_prefix(properties::ANNOTATION) else { continue };
            properties::of_annotation(name, text)?;
            properties.insert(name.to_owned(), text.clone());
        }
        let names = Names { slice, unit };
        let beneath = names::cgroup_of(&names)
            .ok_or_else(|| Error::new(Kind::Refused, format!("{path:?}: not the name of a unit")))?;
        let above = Manager::open(user)?.property("ControlGroup").within(|| "ask systemd for its cgroup")?;
        let Value::Text(above) = above else {
            return Err(Error::new(Kind::Other, "ask systemd for its cgroup: it says none"));
        };
        let cgroup = format!("{}{beneath}", above.trim_end_matches('/'));
        Ok(Self { name: names.unit, slice: names.slice, user, cgroup, properties })
    }

    /// Whether it is a slice, and not a scope.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// Starts it with these limits.
    pub(crate) fn start(&self, limits: &Limits, version: Version) -> Result<Held> {
        let doing = || format!("start unit {}", self.name);
        let mut manager = Manager::open(self.user).within(doing)?;
        let limits = properties::of_limits(limits, version, manager.version()?).within(doing)?;
        let held = if self.is_slice() { Held::default() } else { Held::start().within(doing)? };
        let mut all = self.frame(&held, version);
        for (name, text) in &self.properties {
            all.push(properties::of_annotation(name, text)?);
        }
        // Said in both ways, a limit is what the annotation says: it is meant for systemd alone.
        let said: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let more: Vec<Property> = limits.into_iter().filter(|(name, _)| !said.contains(&&**name)).collect();
        all.extend(more);
        manager.start(&self.name, all).within(doing)?;
        Ok(held)
    }

    /// What a unit of ours is, beside its limits.
    fn frame(&self, held: &Held, version: Version) -> Vec<Property> {
        let mut all: Vec<Property> = Vec::new();
        let mut put = |name: &str, value: Value| {
            if !self.properties.contains_key(name) {
                all.push((name.to_owned(), value));
            }
        };
        put("Description", Value::Text(format!("container {}", self.name)));
        // Without it, a unit waits for the shutdown of others and they for it.
        put("DefaultDependencies", Value::Bool(false));
        if self.is_slice() {
            put("Wants", Value::texts(&[&self.slice]));
        } else {
            put("Slice", Value::text(&self.slice));
            put("Delegate", Value::Bool(true));
        }
        if let Some(pid) = held.pid() {
            put("PIDs", Value::Array("u".to_owned(), vec![Value::U32(pid)]));
        }
        let io = if version == Version::V2 { "IOAccounting" } else { "BlockIOAccounting" };
        for accounting in ["CPUAccounting", "MemoryAccounting", "TasksAccounting", io] {
            put(accounting, Value::Bool(true));
        }
        all
    }

    /// Changes its limits.
    pub(crate) fn set(&self, limits: &Limits, version: Version) -> Result<()> {
        let doing = || format!("change unit {}", self.name);
        let mut manager = Manager::open(self.user).within(doing)?;
        let all = properties::of_limits(limits, version, manager.version()?).within(doing)?;
        if all.is_empty() {
            return Ok(());
        }
        manager.set(&self.name, all).within(doing)
    }

    /// Moves a process of this user into its cgroup, or one beneath it.
    pub(crate) fn attach(&self, beneath: &str, pid: u32) -> Result<()> {
        Manager::open(self.user)
            .and_then(|mut manager| manager.attach(&self.name, beneath, pid))
            .map_err(|error| match self.is_slice() {
                true => {
                    error.with_hint("without root into a scope alone, or from: systemd-run --user --scope")
                }
                false => error,
            })
            .within(|| format!("move process {pid} into unit {}", self.name))
    }

    /// Stops it, and has systemd forget that it failed. One that is gone is no error.
    pub(crate) fn stop(&self) -> Result<()> {
        Manager::open(self.user)
            .and_then(|mut manager| manager.stop(&self.name))
            .within(|| format!("stop unit {}", self.name))
    }
}
