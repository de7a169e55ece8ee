//! Which capabilities a container has: docker's fourteen, and what was added and dropped.

use crate::error::{Error, Kind, Result};
use crate::wish::Wish;
use runtime::bundle::{ALL_CAPABILITIES, capability_number};

/// What docker gives every container.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

fn checked(option: &str, name: &str) -> Result<Option<&'static str>> {
    if name.eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    capability_number(name).map(|number| Some(ALL_CAPABILITIES[number as usize])).ok_or_else(|| {
        Error::new(Kind::Usage, format!("invalid value {name:?} for {option}: there is no such capability"))
    })
}

/// The names, with `CAP_`. `ours` is the mask of what this process may give at all.
pub fn of(wish: &Wish, ours: u64) -> Result<Vec<String>> {
    let can_give = |name: &str| capability_number(name).is_some_and(|number| ours & (1 << number) != 0);
    let mut set: Vec<&str> = if wish.privileged { ALL_CAPABILITIES.to_vec() } else { DEFAULT.to_vec() };
    for name in &wish.cap_drop {
        match checked("--cap-drop", name)? {
            None => set.clear(),
            Some(name) => set.retain(|one| *one != name),
        }
    }
    for name in &wish.cap_add {
        match checked("--cap-add", name)? {
            None => set = ALL_CAPABILITIES.to_vec(),
            Some(name) if !can_give(name) => {
                let message = format!("--cap-add {name}: this process does not have the capability itself");
                return Err(Error::new(Kind::Failed, message));
            }
            Some(name) => {
                if !set.contains(&name) {
                    set.push(name);
                }
            }
        }
    }
    // One that was dropped by name stays dropped, also from "all".
    let dropped: Vec<_> =
        wish.cap_drop.iter().filter_map(|name| checked("--cap-drop", name).ok().flatten()).collect();
    let added: Vec<_> =
        wish.cap_add.iter().filter_map(|name| checked("--cap-add", name).ok().flatten()).collect();
    set.retain(|name| can_give(name) && (!dropped.contains(name) || added.contains(name)));
    Ok(set.into_iter().map(|name| format!("CAP_{name}")).collect())
}

/// All that there are and that this process may give, with `CAP_`; `ours` is the mask of those.
pub fn all(ours: u64) -> Vec<String> {
    let can_give = |name: &&&str| capability_number(name).is_some_and(|number| ours & (1 << number) != 0);
    ALL_CAPABILITIES.iter().filter(can_give).map(|name| format!("CAP_{name}")).collect()
}
