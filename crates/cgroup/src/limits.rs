//! The limits of a container, and what they are called in the control files. Pure: limits in, writes out.

mod v1;
mod v2;

use crate::place::Version;
use crate::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// The limits of a container (config-linux.md, "Control groups"). `None` leaves a file alone, and so does 0 except
/// for `pids`: the OCI and docker both say 0 for "not set".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together, as docker means it; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// Bytes of memory that are reclaimed last.
    pub memory_reservation: Option<u64>,
    /// Microseconds of processor time in each period; negative is unlimited.
    pub cpu_quota_us: Option<i64>,
    /// Length of a period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Relative weight, 2 to 262144, 1024 by default.
    pub cpu_shares: Option<u64>,
    /// Processors, such as `0-3,8`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, such as `0,1`.
    pub cpuset_mems: Option<String>,
    /// Number of tasks; 0 and negative are unlimited.
    pub pids: Option<i64>,
    /// Devices, as a list of rules after "none". Empty leaves them alone.
    pub devices: Vec<DeviceRule>,
}

/// One rule of the devices controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Whether the rule allows or denies.
    pub allow: bool,
    /// `a` all, `b` block, `c` or `u` character.
    pub kind: char,
    /// Major number; `None` is each.
    pub major: Option<i64>,
    /// Minor number; `None` is each.
    pub minor: Option<i64>,
    /// Letters of `rwm`: read, write, mknod.
    pub access: String,
}

/// One write to a control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// What a person calls it.
    pub(crate) what: &'static str,
    /// The file.
    pub(crate) file: &'static str,
    /// What is written into it.
    pub(crate) value: String,
}

/// Writes of one controller. Where the first is refused with EINVAL because of what stands in the second's file, the
/// second goes first.
pub(crate) type Batch = Vec<Setting>;

/// The controllers that limits are set with.
pub(crate) const CONTROLLERS: [&str; 5] = ["memory", "cpu", "cpuset", "pids", "devices"];

impl Limits {
    /// The writes that set the limits of one controller.
    pub(crate) fn settings(&self, controller: &str, version: Version) -> Result<Vec<Batch>> {
        match version {
            Version::V1 => v1::settings(self, controller),
            Version::V2 => v2::settings(self, controller),
        }
    }

    /// The swap limit, checked against the memory limit: `Some(None)` is unlimited.
    fn swap_total(&self) -> Result<Option<Option<u64>>> {
        let refused = |why: String| Err(Error::new(Kind::Refused, format!("set memory+swap limit: {why}")));
        let memory = self.memory.filter(|bytes| *bytes != 0);
        match (self.memory_swap, memory) {
            (None | Some(0), _) => Ok(None),
            (Some(-1), _) => Ok(Some(None)),
            (Some(total), _) if total < 0 => refused(format!("{total} is neither a size nor -1")),
            (Some(total), None) => refused(format!("{total} bytes need a memory limit beside them")),
            (Some(total), Some(memory)) => match total.cast_unsigned() {
                total if total < memory => {
                    refused(format!("{total} bytes are less than the memory limit of {memory}"))
                }
                total => Ok(Some(Some(total))),
            },
        }
    }

    fn cpuset(&self) -> Result<Vec<Batch>> {
        let mut all = Vec::new();
        let cpus = ("processors", "cpuset.cpus", &self.cpuset_cpus);
        let mems = ("memory nodes", "cpuset.mems", &self.cpuset_mems);
        for (what, file, list) in [cpus, mems] {
            let Some(list) = list.as_deref().filter(|list| !list.is_empty()) else { continue };
            if !list.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b',' | b':' | b'/')) {
                let why = format!("set {what}: {list:?} is not a list such as 0-3,8");
                return Err(Error::new(Kind::Refused, why));
            }
            all.push(vec![Setting { what, file, value: list.to_owned() }]);
        }
        Ok(all)
    }
}

fn one(what: &'static str, file: &'static str, value: impl ToString) -> Batch {
    vec![Setting { what, file, value: value.to_string() }]
}

/// A number that is set: 0 stands for "not set".
fn set(number: Option<u64>) -> Option<u64> {
    number.filter(|number| *number != 0)
}

fn pids(limits: &Limits) -> Vec<Batch> {
    let value = |number: i64| if number > 0 { number.to_string() } else { "max".to_owned() };
    limits.pids.map(|number| one("limit of processes", "pids.max", value(number))).into_iter().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The writes of all controllers, one a line; alternatives of order are on one line.
    pub(crate) fn shown(limits: &Limits, version: Version) -> String {
        let mut lines = Vec::new();
        for controller in CONTROLLERS {
            match limits.settings(controller, version) {
                Ok(batches) => lines.extend(batches.iter().map(|batch| {
                    let writes: Vec<String> =
                        batch.iter().map(|one| format!("{}={}", one.file, one.value)).collect();
                    writes.join("; ")
                })),
                Err(error) => lines.push(format!("{:?}: {error}", error.kind)),
            }
        }
        lines.join("\n")
    }

    prop_compose! {
        fn any_limits()(
            memory in any::<Option<u64>>(), memory_swap in any::<Option<i64>>(),
            memory_reservation in any::<Option<u64>>(), cpu_quota_us in any::<Option<i64>>(),
            cpu_period_us in any::<Option<u64>>(), cpu_shares in any::<Option<u64>>(),
            cpuset_cpus in any::<Option<String>>(), pids in any::<Option<i64>>(),
            rules in proptest::collection::vec(
                (any::<bool>(), any::<char>(), any::<Option<i64>>(), any::<Option<i64>>(), "[rwmx\n]{0,4}"), 0..3),
        ) -> Limits {
            let devices = rules.into_iter()
                .map(|(allow, kind, major, minor, access)| DeviceRule { allow, kind, major, minor, access })
                .collect();
            Limits { memory, memory_swap, memory_reservation, cpu_quota_us, cpu_period_us, cpu_shares, cpuset_cpus,
                cpuset_mems: None, pids, devices }
        }
    }

    proptest! {
        #[test]
        fn any_limits_become_clean_writes_or_one_refusal(limits in any_limits()) {
            for version in [Version::V1, Version::V2] {
                for controller in CONTROLLERS {
                    match limits.settings(controller, version) {
                        Ok(batches) => for setting in batches.iter().flatten() {
                            prop_assert!(!setting.value.is_empty() && !setting.value.contains(['\n', '\0']));
                            let prefix = format!("{controller}.");
                            prop_assert!(setting.file.starts_with(&prefix), "{setting:?}");
                        },
                        Err(error) => prop_assert_eq!(error.kind, Kind::Refused),
                    }
                }
            }
        }

        #[test]
        fn a_state_file_keeps_them(limits in any_limits()) {
            let text = serde_json::to_string(&limits).unwrap();
            prop_assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
        }
    }
}
