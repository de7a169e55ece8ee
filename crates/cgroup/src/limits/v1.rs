//! Limits as cgroup v1 has them (Documentation/admin-guide/cgroup-v1).

use super::{BlockIo, DeviceRate, Limits, Setting, Writes, last_of_each, set};
use crate::{Error, Kind, Result};

pub(super) fn settings(limits: &Limits, controller: &str, writes: &mut Writes) -> Result<()> {
    match controller {
        "memory" => memory(limits, writes),
        "cpu" => cpu(limits, writes),
        "cpuset" => limits.cpuset(writes),
        "pids" => limits.pids(writes),
        "blkio" => block_io(&limits.block_io, writes),
        "hugetlb" => hugetlb(limits, writes),
        "net_cls" => {
            if let Some(class) = set(limits.network.class_id) {
                writes.add(Setting::new("network.classID", "net_cls.classid", class));
            }
        }
        "net_prio" => {
            for (name, priority) in &limits.network.priorities {
                let value = format!("{name} {priority}");
                writes.add(Setting::new("network.priorities", "net_prio.ifpriomap", value));
            }
        }
        "rdma" => limits.rdma(writes),
        "unified" if !limits.unified.is_empty() => {
            let why = "linux.resources.unified: this host has cgroup v1, and these are files of cgroup v2";
            return Err(Error::new(Kind::Unsupported, why));
        }
        _ => {}
    }
    Ok(())
}

fn memory(limits: &Limits, writes: &mut Writes) {
    let memory = &limits.memory;
    limits.warn_of_memory(writes);
    let mut batch = Vec::new();
    if let Some(bytes) = set(memory.limit) {
        batch.push(Setting::new("memory.limit", "memory.limit_in_bytes", bytes));
    }
    // The kernel keeps memory at or below memory+swap at every moment, so one of the two orders works. Without a
    // limit of memory there is none of both together; a kernel without the file does not account for swap.
    let file = "memory.memsw.limit_in_bytes";
    match (set(memory.limit), set(memory.swap)) {
        (Some(-1), None) => batch.push(Setting::new("memory.swap", file, -1).optional(true)),
        (_, Some(total)) => batch.push(Setting::new("memory.swap", file, total).optional(total == -1)),
        _ => {}
    }
    writes.add_batch(batch);
    if let Some(bytes) = set(memory.reservation) {
        writes.add(Setting::new("memory.reservation", "memory.soft_limit_in_bytes", bytes));
    }
    if let Some(share) = memory.swappiness {
        writes.add(Setting::new("memory.swappiness", "memory.swappiness", share));
    }
    if memory.disable_oom_killer {
        writes.add(Setting::new("memory.disableOOMKiller", "memory.oom_control", 1));
    }
}

fn cpu(limits: &Limits, writes: &mut Writes) {
    let cpu = &limits.cpu;
    limits.weigh("cpu.shares", set(cpu.shares).map(|shares| shares.to_string()), writes);
    // A new period with the old quota may be more than the parent has, and a burst may be more than the old quota.
    let mut batch = Vec::new();
    if let Some(period) = set(cpu.period) {
        batch.push(Setting::new("cpu.period", "cpu.cfs_period_us", period));
    }
    if let Some(quota) = set(cpu.quota) {
        batch.push(Setting::new("cpu.quota", "cpu.cfs_quota_us", quota.max(-1)));
    }
    if let Some(burst) = cpu.burst {
        batch.push(Setting::new("cpu.burst", "cpu.cfs_burst_us", burst).optional(burst == 0));
    }
    writes.add_batch(batch);
    let mut batch = Vec::new();
    if let Some(period) = set(cpu.realtime_period) {
        batch.push(Setting::new("cpu.realtimePeriod", "cpu.rt_period_us", period));
    }
    if let Some(runtime) = set(cpu.realtime_runtime) {
        batch.push(Setting::new("cpu.realtimeRuntime", "cpu.rt_runtime_us", runtime));
    }
    writes.add_batch(batch);
}

/// Weights are of the one scheduler that has them: BFQ, or before Linux 5.0 CFQ.
fn block_io(block_io: &BlockIo, writes: &mut Writes) {
    if let Some(weight) = set(block_io.weight) {
        let setting = Setting::new("blockIO.weight", "blkio.bfq.weight", weight);
        writes.add(setting.or("blkio.weight", weight));
    }
    if let Some(weight) = set(block_io.leaf_weight) {
        writes.add(Setting::new("blockIO.leafWeight", "blkio.leaf_weight", weight));
    }
    for one in last_of_each(&block_io.weight_device, |one| (one.major, one.minor)) {
        let device = format!("{}:{}", one.major, one.minor);
        if let Some(weight) = set(one.weight) {
            let value = format!("{device} {weight}");
            let setting = Setting::new("blockIO.weightDevice", "blkio.bfq.weight_device", &value);
            writes.add(setting.or("blkio.weight_device", value));
        }
        if let Some(weight) = set(one.leaf_weight) {
            let value = format!("{device} {weight}");
            writes.add(Setting::new("blockIO.weightDevice", "blkio.leaf_weight_device", value));
        }
    }
    let mut throttle = |what: &'static str, file: &'static str, entries: &[DeviceRate]| {
        for one in last_of_each(entries, |one| (one.major, one.minor)) {
            writes.add(Setting::new(what, file, format!("{}:{} {}", one.major, one.minor, one.rate)));
        }
    };
    throttle("blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", &block_io.read_bps);
    throttle("blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", &block_io.write_bps);
    throttle("blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", &block_io.read_iops);
    throttle("blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", &block_io.write_iops);
}

/// Pages that are in use, and pages that are reserved: only the second is refused before it is too late (Linux 5.7).
fn hugetlb(limits: &Limits, writes: &mut Writes) {
    for one in &limits.hugepages {
        let file = |part: &str| format!("hugetlb.{}{part}.limit_in_bytes", one.page_size);
        writes.add(Setting::new("hugepageLimits", file(""), one.limit));
        writes.add(Setting::new("hugepageLimits", file(".rsvd"), one.limit).optional(true));
    }
}
