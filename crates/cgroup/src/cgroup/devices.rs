//! Which devices the processes may use.

use super::Cgroup;
use crate::Result;
use crate::device::{self, DeviceRule};
use crate::place;
use sys::Context;

impl Cgroup {
    pub(super) fn apply_devices(&self, written: &[DeviceRule]) -> Result<()> {
        let Some(place) = self.places.iter().find(|place| place.has("devices")) else { return Ok(()) };
        if written.is_empty() {
            return Ok(());
        }
        let dir = self.open(place)?;
        for (file, value) in device::list::writes(&device::rules(written)?)? {
            place::write(&dir, &place.path(&self.name), file, &value).within(|| "set devices")?;
        }
        Ok(())
    }
}
