//! Limits as cgroup v2 has them (Documentation/admin-guide/cgroup-v2.rst); the OCI says them in the terms of v1.

use super::{BlockIo, DeviceRate, Limits, Setting, Writes, last_of_each, refused, set};
use crate::Result;
use std::borrow::Cow;

/// The period that the kernel has when none is set.
const PERIOD_US: u64 = 100_000;

pub(super) fn settings(limits: &Limits, controller: &str, writes: &mut Writes) -> Result<()> {
    match controller {
        "memory" => return memory(limits, writes),
        "cpu" => cpu(limits, writes),
        "cpuset" => limits.cpuset(writes),
        "pids" => limits.pids(writes),
        "blkio" => block_io(&limits.block_io, writes),
        "hugetlb" => hugetlb(limits, writes),
        "net_cls" if set(limits.network.class_id).is_some() => writes.warn("network.classID", NO_MARKS),
        "net_prio" if !limits.network.priorities.is_empty() => writes.warn("network.priorities", NO_MARKS),
        "rdma" => limits.rdma(writes),
        "unified" => unified(limits, writes),
        _ => {}
    }
    Ok(())
}

const NO_MARKS: &str = "cgroup v2 does not mark packets; a firewall can match the cgroup itself";

fn memory(limits: &Limits, writes: &mut Writes) -> Result<()> {
    let memory = &limits.memory;
    limits.warn_of_memory(writes);
    if memory.swappiness.is_some() {
        writes.warn("memory.swappiness", "cgroup v2 has none for a single cgroup");
    }
    if memory.disable_oom_killer {
        writes.warn("memory.disableOOMKiller", "cgroup v2 cannot disable it");
    }
    // Swap first: between the two writes the memory limit must not push out more than the swap limit allows. v1
    // counts memory and swap together, v2 counts swap alone.
    let swap = match (set(memory.limit), set(memory.swap)) {
        (Some(-1), None) | (_, Some(-1)) => Some("max".to_owned()),
        (None | Some(-1), Some(total)) => {
            let why = format!("{total} bytes of memory and swap need a memory limit beside them");
            return Err(refused("memory.swap", why));
        }
        (Some(limit), Some(total)) => Some(total.saturating_sub(limit).max(0).to_string()),
        (_, None) => None,
    };
    if let Some(value) = swap {
        // A kernel without the file has no swap that could be used.
        let optional = value == "max" || value == "0";
        writes.add(Setting::new("memory.swap", "memory.swap.max", value).optional(optional));
    }
    let bytes = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
    if let Some(limit) = set(memory.limit) {
        writes.add(Setting::new("memory.limit", "memory.max", bytes(limit)));
    }
    if let Some(reservation) = set(memory.reservation) {
        writes.add(Setting::new("memory.reservation", "memory.low", bytes(reservation)));
    }
    Ok(())
}

fn cpu(limits: &Limits, writes: &mut Writes) {
    let cpu = &limits.cpu;
    limits.weigh("cpu.weight", set(cpu.shares).map(|shares| weight(shares).to_string()), writes);
    let (quota, period) = (set(cpu.quota), set(cpu.period));
    let mut batch = Vec::new();
    if quota.is_some() || period.is_some() {
        let what = if quota.is_some() { "cpu.quota" } else { "cpu.period" };
        let quota =
            quota.filter(|quota| *quota > 0).map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        let value = format!("{quota} {}", period.unwrap_or(PERIOD_US));
        batch.push(Setting::new(what, "cpu.max", value));
    }
    if let Some(burst) = cpu.burst {
        // Linux 5.14.
        batch.push(Setting::new("cpu.burst", "cpu.max.burst", burst).optional(burst == 0));
    }
    writes.add_batch(batch);
    for (field, there) in [
        ("cpu.realtimeRuntime", set(cpu.realtime_runtime).is_some()),
        ("cpu.realtimePeriod", set(cpu.realtime_period).is_some()),
    ] {
        if there {
            writes.warn(field, "cgroup v2 has no control over real-time processes");
        }
    }
}

/// Shares of v1 (2 to 262144, 1024 by default) as a weight of v2 (1 to 10000, 100 by default), by the curve that
/// runc and crun have: it meets both ends and both defaults.
pub(crate) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[allow(clippy::cast_precision_loss, reason = "below 2^18")]
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000")]
            let weight = 10_f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

/// A weight of block devices, 10 to 1000, as `io.weight` has it, 1 to 10000; BFQ takes it as it is.
pub(crate) fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

fn block_io(block_io: &BlockIo, writes: &mut Writes) {
    if let Some(weight) = set(block_io.weight) {
        let setting = Setting::new("blockIO.weight", "io.bfq.weight", weight);
        writes.add(setting.or("io.weight", io_weight(weight)));
    }
    let leaf = "cgroup v2 has no processes beside cgroups beneath that they could be weighed against";
    if set(block_io.leaf_weight).is_some() {
        writes.warn("blockIO.leafWeight", leaf);
    }
    for one in last_of_each(&block_io.weight_device, |one| (one.major, one.minor)) {
        if set(one.leaf_weight).is_some() {
            writes.warn("blockIO.weightDevice.leafWeight", leaf);
        }
        if let Some(weight) = set(one.weight) {
            let device = format!("{}:{}", one.major, one.minor);
            let setting = Setting::new("blockIO.weightDevice", "io.bfq.weight", format!("{device} {weight}"));
            writes.add(setting.or("io.weight", format!("{device} {}", io_weight(weight))));
        }
    }
    // Each key on its own: the kernel leaves the others of a device as they are.
    let mut throttle = |what: &'static str, key: &str, entries: &[DeviceRate]| {
        for one in last_of_each(entries, |one| (one.major, one.minor)) {
            let rate = set(Some(one.rate)).map_or_else(|| "max".to_owned(), |rate| rate.to_string());
            writes.add(Setting::new(what, "io.max", format!("{}:{} {key}={rate}", one.major, one.minor)));
        }
    };
    throttle("blockIO.throttleReadBpsDevice", "rbps", &block_io.read_bps);
    throttle("blockIO.throttleWriteBpsDevice", "wbps", &block_io.write_bps);
    throttle("blockIO.throttleReadIOPSDevice", "riops", &block_io.read_iops);
    throttle("blockIO.throttleWriteIOPSDevice", "wiops", &block_io.write_iops);
}

/// Pages that are in use, and pages that are reserved: only the second is refused before it is too late (Linux 5.7).
fn hugetlb(limits: &Limits, writes: &mut Writes) {
    for one in &limits.hugepages {
        let file = |part: &str| format!("hugetlb.{}{part}.max", one.page_size);
        writes.add(Setting::new("hugepageLimits", file(""), one.limit));
        writes.add(Setting::new("hugepageLimits", file(".rsvd"), one.limit).optional(true));
    }
}

/// Line by line: of a file with an entry for each device the kernel takes one at a time.
fn unified(limits: &Limits, writes: &mut Writes) {
    for (key, value) in &limits.unified {
        for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let what = Cow::Owned(format!("unified: {key}"));
            writes.add(Setting { what, ..Setting::new("", key.clone(), line) });
        }
    }
}
