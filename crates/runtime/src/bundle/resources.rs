//! `linux.resources` as limits of a cgroup.

use crate::error::{Error, Kind, Result};
use cgroup::{DeviceRule, Limits};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources};

/// Reads what a cgroup is to limit; refuses what this version cannot, by name.
pub fn limits(written: &LinuxResources) -> Result<Limits> {
    let refused = [
        ("blockIO", written.block_io().is_some()),
        ("hugepageLimits", written.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty())),
        ("network", written.network().is_some()),
        ("rdma", written.rdma().is_some()),
        ("unified", written.unified().is_some()),
    ];
    if let Some((field, _)) = refused.iter().find(|(_, there)| *there) {
        let message = format!("config.json: linux.resources.{field}: not supported by this version");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let mut limits = Limits::default();
    if let Some(memory) = written.memory() {
        let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        limits.memory = bytes(memory.limit());
        limits.memory_reservation = bytes(memory.reservation());
        limits.memory_swap = memory.swap();
    }
    if let Some(cpu) = written.cpu() {
        limits.cpu_quota_us = cpu.quota();
        limits.cpu_period_us = cpu.period();
        limits.cpu_shares = cpu.shares();
        limits.cpuset_cpus = cpu.cpus().clone();
        limits.cpuset_mems = cpu.mems().clone();
    }
    limits.pids = written.pids().as_ref().map(|pids| pids.limit());
    limits.devices = written.devices().iter().flatten().map(device).collect();
    Ok(limits)
}

fn device(written: &LinuxDeviceCgroup) -> DeviceRule {
    let kind = match written.typ() {
        Some(oci_spec::runtime::LinuxDeviceType::B) => 'b',
        Some(oci_spec::runtime::LinuxDeviceType::C | oci_spec::runtime::LinuxDeviceType::U) => 'c',
        _ => 'a',
    };
    DeviceRule {
        allow: written.allow(),
        kind,
        major: written.major().filter(|number| *number >= 0),
        minor: written.minor().filter(|number| *number >= 0),
        access: written.access().clone().unwrap_or_else(|| "rwm".to_owned()),
    }
}
