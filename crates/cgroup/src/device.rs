//! Which devices a container may use (config-linux.md, "Allowed Device list"): rules, each over those before it.
//!
//! For each right that is asked for, the last rule that names the device and the right decides; what no rule names
//! is denied.

pub(crate) mod list;
pub(crate) mod program;

use crate::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Whether the rule allows or denies.
    pub allow: bool,
    /// `a` all, `b` block, `c` or `u` character.
    pub kind: char,
    /// Major number; `None` and -1 are each.
    pub major: Option<i64>,
    /// Minor number; `None` and -1 are each.
    pub minor: Option<i64>,
    /// Letters of `rwm`: read, write, mknod.
    pub access: String,
}

/// The kinds of devices, with the numbers that an eBPF program gets them by (`BPF_DEVCG_DEV_*`, linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeviceKind {
    Block = 1,
    Character = 2,
}

/// Rights as a set of bits, `BPF_DEVCG_ACC_*`.
pub(crate) const MKNOD: u32 = 1;
pub(crate) const READ: u32 = 2;
pub(crate) const WRITE: u32 = 4;
pub(crate) const ALL: u32 = MKNOD | READ | WRITE;

/// A rule that has nothing left to interpret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    /// `None` is both, and so are the numbers.
    pub(crate) kind: Option<DeviceKind>,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) access: u32,
}

impl Rule {
    /// Whether it names every device and every right.
    pub(crate) fn has_everything(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }

    /// Whether after it everything is allowed.
    pub(crate) fn allows_everything(&self) -> bool {
        self.allow && self.has_everything()
    }
}

/// Reads rules; refuses what means nothing.
pub(crate) fn rules(written: &[DeviceRule]) -> Result<Vec<Rule>> {
    written.iter().map(rule).collect()
}

/// Refuses a rule that means nothing.
pub(crate) fn check(written: &DeviceRule) -> Result<()> {
    rule(written).map(|_| ())
}

fn rule(written: &DeviceRule) -> Result<Rule> {
    let refused = |field: &str, why: String| {
        Error::new(Kind::Refused, format!("linux.resources.devices.{field}: {why}"))
    };
    let kind = match written.kind {
        'a' => None,
        'b' => Some(DeviceKind::Block),
        'c' | 'u' => Some(DeviceKind::Character),
        other => return Err(refused("type", format!("{other:?} is not one of a, b, c and u"))),
    };
    let mut access = 0;
    for letter in written.access.chars() {
        access |= match letter {
            'm' => MKNOD,
            'r' => READ,
            'w' => WRITE,
            _ => 0,
        };
    }
    if access == 0 || !written.access.chars().all(|letter| "rwm".contains(letter)) {
        let shown: String = written.access.chars().take(80).collect();
        return Err(refused("access", format!("{shown:?} is not made of the letters r, w and m")));
    }
    let number = |field: &str, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(refused(field, format!("{number} is not a number of a device"))),
        },
    };
    let (major, minor) = (number("major", written.major)?, number("minor", written.minor)?);
    Ok(Rule { allow: written.allow, kind, major, minor, access })
}
