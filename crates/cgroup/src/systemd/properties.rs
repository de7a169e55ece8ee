//! Limits as properties of a unit (systemd.resource-control(5)). Pure. What is not in this table systemd cannot say:
//! it is in the control files alone.

use super::gvariant;
use super::value::Value;
use crate::limits::{Limits, weight};
use crate::place::Version;
use crate::{Error, Kind, Result};
use std::collections::BTreeMap;

/// Where annotations of a container name properties.
pub(super) const ANNOTATION: &str = "org.systemd.property.";
/// Those that are ours to say: with others, the unit would not be the one that was planned.
const OURS: [&str; 5] = ["PIDs", "PIDFDs", "Slice", "Delegate", "ControlGroup"];
/// The period of processor time that systemd has when none is set.
const PERIOD_US: u64 = 100_000;

/// A property of a unit.
pub(super) type Property = (String, Value);

/// The properties of limits, on a host with this systemd.
pub(super) fn of_limits(limits: &Limits, version: Version, systemd: u32) -> Result<Vec<Property>> {
    let mut table = Table { systemd, found: BTreeMap::new() };
    let (memory, cpu) = (&limits.memory, &limits.cpu);
    let bytes = |bytes: Option<i64>| bytes.filter(|bytes| *bytes != 0).map(or_infinite);
    let shares = cpu.shares.filter(|shares| *shares != 0);
    match version {
        Version::V1 => {
            table.put("MemoryLimit", bytes(memory.limit));
            table.put("CPUShares", shares);
            table.put("BlockIOWeight", limits.block_io.weight.filter(|weight| *weight != 0).map(u64::from));
        }
        Version::V2 => {
            table.put("MemoryMax", bytes(memory.limit));
            table.put("MemoryLow", bytes(memory.reservation));
            table.put("MemorySwapMax", swap(limits));
            table.put("CPUWeight", shares.map(weight));
            table.idle(cpu.idle == Some(1));
        }
    }
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let period = cpu.period.filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        table.quota(quota.and_then(|quota| u64::try_from(quota).ok()), period);
    }
    // The first process is born into the cgroup, so 1 is the least.
    table.put("TasksMax", limits.pids.map(|limit| or_infinite(if limit == 0 { 1 } else { limit })));
    for (name, list) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            table.set(name, list)?;
        }
    }
    if version == Version::V2 {
        for (file, value) in &limits.unified {
            table.unified(file, value.trim())?;
        }
    }
    Ok(table.found.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// v1 counts memory and swap together, v2 counts swap alone.
fn swap(limits: &Limits) -> Option<u64> {
    let (limit, total) = (limits.memory.limit.unwrap_or(0), limits.memory.swap.unwrap_or(0));
    match (limit, total) {
        (_, -1) | (-1, 0) => Some(u64::MAX),
        (1.., 1..) => u64::try_from(total.saturating_sub(limit).max(0)).ok(),
        _ => None,
    }
}

fn or_infinite(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

struct Table {
    systemd: u32,
    found: BTreeMap<&'static str, Value>,
}

impl Table {
    fn put(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.found.insert(name, Value::U64(number));
        }
    }

    /// An idle cgroup has no weight (systemd 252).
    fn idle(&mut self, idle: bool) {
        if idle && self.systemd >= 252 {
            self.put("CPUWeight", Some(0));
        }
    }

    /// Processor time in a second. systemd hands the kernel whole hundredths of a processor: rounded up, so that
    /// nothing that was asked for is lost; the control file has it exactly.
    fn quota(&mut self, quota: Option<u64>, period: Option<u64>) {
        let length = u128::from(period.unwrap_or(PERIOD_US));
        let second = quota.map_or(u64::MAX, |quota| {
            let exact = (u128::from(quota) * 1_000_000).div_ceil(length);
            u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(u64::MAX)
        });
        self.put("CPUQuotaPerSecUSec", Some(second));
        if self.systemd >= 242 {
            self.put("CPUQuotaPeriodUSec", period);
        }
    }

    /// A set of processors or memory nodes (systemd 244).
    fn set(&mut self, name: &'static str, list: &str) -> Result<()> {
        let set = bits(list).ok_or_else(|| {
            Error::new(Kind::Refused, format!("{list:?} is no list of processors or memory nodes"))
        })?;
        if self.systemd >= 244 {
            self.found.insert(name, Value::bytes(&set));
        }
        Ok(())
    }

    /// A file of cgroup v2, of those that systemd has a property for.
    fn unified(&mut self, file: &str, value: &str) -> Result<()> {
        let refused = || Error::new(Kind::Refused, format!("linux.resources.unified: {file}: {value:?}"));
        let number = || match value {
            "max" => Ok(u64::MAX),
            value => value.parse::<u64>().map_err(|_| refused()),
        };
        let name = match file {
            "cpu.max" => {
                let mut fields = value.split_ascii_whitespace();
                let quota = match fields.next() {
                    Some("max") => None,
                    Some(quota) => Some(quota.parse().map_err(|_| refused())?),
                    None => return Err(refused()),
                };
                let period: Option<u64> =
                    fields.next().map(|period| period.parse().map_err(|_| refused())).transpose()?;
                if period == Some(0) || fields.next().is_some() {
                    return Err(refused());
                }
                self.quota(quota, period);
                return Ok(());
            }
            "cpu.idle" => {
                self.idle(value == "1");
                return Ok(());
            }
            "cpuset.cpus" => return self.set("AllowedCPUs", value),
            "cpuset.mems" => return self.set("AllowedMemoryNodes", value),
            "cpu.weight" => "CPUWeight",
            "memory.min" => "MemoryMin",
            "memory.low" => "MemoryLow",
            "memory.high" => "MemoryHigh",
            "memory.max" => "MemoryMax",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            _ => return Ok(()),
        };
        // Suffixes (`1G`) the kernel takes, and systemd does not: the control file alone has them.
        if file.starts_with("memory.")
            && value.ends_with(|sign: char| sign.is_ascii_alphabetic())
            && value != "max"
        {
            return Ok(());
        }
        let number = number()?;
        self.put(name, Some(number));
        Ok(())
    }
}

/// A list such as `0-3,8` as bits, the first in the lowest bit of the first byte.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut set = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.trim().split_once('-').unwrap_or((range.trim(), range.trim()));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        // As many as the kernel has at most.
        if first > last || last >= 8192 {
            return None;
        }
        set.resize(set.len().max(last / 8 + 1), 0);
        (first..=last).for_each(|number| set[number / 8] |= 1 << (number % 8));
    }
    Some(set)
}

/// A property that an annotation says: the name behind [`ANNOTATION`], and a value as text.
pub(super) fn of_annotation(name: &str, text: &str) -> Result<Property> {
    let refused = |why: String| Error::new(Kind::Refused, format!("annotation {ANNOTATION}{name}: {why}"));
    if name.is_empty() || name.len() > 128 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refused("not the name of a property".to_owned()));
    }
    if OURS.contains(&name) {
        return Err(refused("it is decided by the runtime".to_owned()));
    }
    let value = gvariant::parse(text).map_err(|why| {
        refused(why).with_hint("a value of GVariant as text: true, uint64 5, 'text', ['a', 'b']")
    })?;
    // Units say seconds where D-Bus has microseconds.
    let Some(stem) = name.strip_suffix("Sec").filter(|stem| !stem.is_empty() && !stem.ends_with('U')) else {
        return Ok((name.to_owned(), value));
    };
    let whole = |seconds: Option<u64>| seconds.and_then(|seconds| seconds.checked_mul(1_000_000));
    let micros = match value {
        Value::Byte(seconds) => whole(Some(seconds.into())),
        Value::I16(seconds) => whole(seconds.try_into().ok()),
        Value::U16(seconds) => whole(Some(seconds.into())),
        Value::I32(seconds) => whole(seconds.try_into().ok()),
        Value::U32(seconds) => whole(Some(seconds.into())),
        Value::I64(seconds) => whole(seconds.try_into().ok()),
        Value::U64(seconds) => whole(Some(seconds)),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
        Value::F64(seconds) if (0.0..1e12).contains(&seconds) => Some((seconds * 1e6) as u64),
        _ => None,
    };
    let micros = micros.ok_or_else(|| refused("not a number of seconds".to_owned()))?;
    Ok((format!("{stem}USec"), Value::U64(micros)))
}

#[cfg(test)]
mod tests;
