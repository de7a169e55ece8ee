//! `rename`: a container gets another name.

use crate::error::{Error, Kind, Result};
use crate::paths::Paths;
use crate::record::{self, Listed};
use crate::{events, names, neighbours};

/// Gives a container another name. The old one is given up only when it has the new one.
pub fn rename(paths: &Paths, wanted: &str, name: &str) -> Result<()> {
    names::check(name)?;
    let Listed { record, .. } = record::get(paths, wanted)?;
    let _lock = record::hold(paths, &record.id)?;
    let mut record = record::read(paths, &record.id)?;
    if record.name == name {
        return Err(Error::new(Kind::Usage, format!("container {wanted} has the name {name} already")));
    }
    names::claim(paths, name, &record.id)?;
    let old = std::mem::replace(&mut record.name, name.to_owned());
    record::write(paths, &record)?;
    events::of_container(paths, &record, "rename", &[("oldName", &format!("/{old}"))]);
    names::release(paths, &old, &record.id)?;
    neighbours::tell_all(paths, record.networks.iter().map(|one| one.network.as_str()))
}
