//! Which devices the processes may use: a list of the v1 controller, or a program that v2 asks.

use super::Cgroup;
use crate::device::{self, DeviceRule, Rule};
use crate::limits::Warning;
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result};
use rustix::fd::{AsFd, OwnedFd};
use sys::{CallError, Context, Errno, bpf};

/// What our programs are called, so that those of others stay: they can only deny more.
const NAME: &str = "devoxx_devices";

impl Cgroup {
    /// Whether [`crate::Limits::devices`] can be enforced here: the v1 devices controller does it, v2 takes a program
    /// from those who have CAP_BPF and CAP_NET_ADMIN (capabilities(7)) outside of any user namespace.
    pub fn enforces_devices(&self) -> bool {
        if self.places.iter().any(|place| place.has("devices")) {
            return true;
        }
        let v2 = self.places.iter().any(|place| place.version == Version::V2);
        v2 && bpf::load_device_filter(&device::program::compile(&[]), NAME).is_ok()
    }

    /// Sets the rules. In a user namespace, where the kernel takes no filter, they are a warning: no device can be
    /// made there, and those that are bound have their own permissions. Anywhere else they are enforced, or an error.
    pub(super) fn apply_devices(&self, written: &[DeviceRule]) -> Result<Option<Warning>> {
        if written.is_empty() {
            return Ok(None);
        }
        let rules = device::rules(written)?;
        let v1 = self.places.iter().find(|place| place.has("devices"));
        let Some(place) = v1.or_else(|| self.places.iter().find(|place| place.version == Version::V2)) else {
            let why = "set devices: the devices controller is not available in /sys/fs/cgroup";
            return Err(Error::new(Kind::Unsupported, why));
        };
        let dir = self.open(place)?;
        let failed = match place.version {
            Version::V1 => return self.list_devices(place, &dir, &rules).map(|()| None),
            Version::V2 => filter_devices(&dir, &rules).err(),
        };
        match failed {
            None => Ok(None),
            Some(error) if error.errno == Errno::PERM && is_confined()? => Ok(Some(Warning {
                field: "devices".to_owned(),
                why: "this user may not load a filter; the permissions of each device hold".to_owned(),
            })),
            Some(error) => Err(Error::from(error).within("set devices")),
        }
    }

    fn list_devices(&self, place: &Place, dir: &OwnedFd, rules: &[Rule]) -> Result<()> {
        for (file, value) in device::list::writes(rules)? {
            place::write(dir, &place.path(&self.name), file, &value).within(|| "set devices")?;
        }
        Ok(())
    }
}

/// Attaches the program, and then detaches an earlier one: between the two both have to allow.
fn filter_devices(cgroup: &OwnedFd, rules: &[Rule]) -> std::result::Result<(), CallError> {
    let earlier = bpf::device_filters(cgroup.as_fd());
    let is_ours = |(_, name): &(OwnedFd, String)| name == NAME;
    // Where everything is allowed, and was before, no filter is needed: so it works where there can be none.
    let filtered = earlier.as_ref().is_ok_and(|found| found.iter().any(is_ours));
    if rules.last().is_some_and(Rule::allows_everything) && !filtered {
        return Ok(());
    }
    let program = bpf::load_device_filter(&device::program::compile(rules), NAME)?;
    bpf::attach_device_filter(cgroup.as_fd(), program.as_fd())?;
    for (program, _) in earlier?.iter().filter(|one| is_ours(one)) {
        bpf::detach_device_filter(cgroup.as_fd(), program.as_fd())?;
    }
    Ok(())
}

/// Whether this is another user than root, or root of a user namespace only.
fn is_confined() -> Result<bool> {
    if !rustix::process::geteuid().is_root() {
        return Ok(true);
    }
    let map = place::read_path("/proc/self/uid_map").within(|| "set devices")?;
    let fields: Vec<&str> = map.split_ascii_whitespace().collect();
    Ok(fields != ["0", "0", "4294967295"])
}
