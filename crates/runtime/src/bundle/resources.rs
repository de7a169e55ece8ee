//! `linux.resources` as limits of a cgroup.

use crate::error::{Result, of_cgroup};
use cgroup::{
    BlockIo, Cpu, DeviceRate, DeviceRule, DeviceWeight, HugepageLimit, Limits, Memory, Network, RdmaLimit,
};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxNetwork, LinuxResources,
    LinuxThrottleDevice,
};
use sys::Context;

/// Reads what a cgroup is to limit; refuses values that no host takes, by the name of their field.
pub fn limits(written: &LinuxResources) -> Result<Limits> {
    let limits = Limits {
        memory: written.memory().as_ref().map(memory).unwrap_or_default(),
        cpu: written.cpu().as_ref().map(cpu).unwrap_or_default(),
        pids: written.pids().as_ref().map(|pids| pids.limit()),
        block_io: written.block_io().as_ref().map(block_io).unwrap_or_default(),
        hugepages: written
            .hugepage_limits()
            .iter()
            .flatten()
            .map(|one| HugepageLimit { page_size: one.page_size().clone(), limit: one.limit() })
            .collect(),
        network: written.network().as_ref().map(network).unwrap_or_default(),
        rdma: rdma(written),
        unified: written
            .unified()
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        devices: written.devices().iter().flatten().map(device).collect(),
    };
    limits.check().map_err(of_cgroup).within(|| "config.json")?;
    Ok(limits)
}

#[allow(deprecated, reason = "old configurations have them, and are told that they do nothing")]
fn memory(written: &LinuxMemory) -> Memory {
    Memory {
        limit: written.limit(),
        reservation: written.reservation(),
        swap: written.swap(),
        kernel: written.kernel(),
        kernel_tcp: written.kernel_tcp(),
        swappiness: written.swappiness(),
        disable_oom_killer: written.disable_oom_killer().unwrap_or(false),
        use_hierarchy: written.use_hierarchy(),
        check_before_update: written.check_before_update().unwrap_or(false),
    }
}

fn cpu(written: &LinuxCpu) -> Cpu {
    Cpu {
        shares: written.shares(),
        quota: written.quota(),
        burst: written.burst(),
        period: written.period(),
        realtime_runtime: written.realtime_runtime(),
        realtime_period: written.realtime_period(),
        cpus: written.cpus().clone(),
        mems: written.mems().clone(),
        idle: written.idle(),
    }
}

fn block_io(written: &LinuxBlockIo) -> BlockIo {
    let rates = |entries: &Option<Vec<LinuxThrottleDevice>>| {
        let rate = |one: &LinuxThrottleDevice| DeviceRate {
            major: one.major(),
            minor: one.minor(),
            rate: one.rate(),
        };
        entries.iter().flatten().map(rate).collect()
    };
    BlockIo {
        weight: written.weight(),
        leaf_weight: written.leaf_weight(),
        weight_device: written
            .weight_device()
            .iter()
            .flatten()
            .map(|one| DeviceWeight {
                major: one.major(),
                minor: one.minor(),
                weight: one.weight(),
                leaf_weight: one.leaf_weight(),
            })
            .collect(),
        read_bps: rates(written.throttle_read_bps_device()),
        write_bps: rates(written.throttle_write_bps_device()),
        read_iops: rates(written.throttle_read_iops_device()),
        write_iops: rates(written.throttle_write_iops_device()),
    }
}

fn network(written: &LinuxNetwork) -> Network {
    let priorities = written.priorities().iter().flatten();
    Network {
        class_id: written.class_id(),
        priorities: priorities.map(|one| (one.name().clone(), one.priority())).collect(),
    }
}

fn rdma(written: &LinuxResources) -> Vec<RdmaLimit> {
    let mut all: Vec<RdmaLimit> = written
        .rdma()
        .iter()
        .flatten()
        .map(|(device, one)| RdmaLimit {
            device: device.clone(),
            handles: one.hca_handles(),
            objects: one.hca_objects(),
        })
        .collect();
    all.sort_by(|one, other| one.device.cmp(&other.device));
    all
}

fn device(written: &LinuxDeviceCgroup) -> DeviceRule {
    let kind = match written.typ() {
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => 'c',
        // A pipe is no device: refused with the others.
        Some(LinuxDeviceType::P) => 'p',
        _ => 'a',
    };
    DeviceRule {
        allow: written.allow(),
        kind,
        major: written.major(),
        minor: written.minor(),
        access: written.access().clone().unwrap_or_else(|| "rwm".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::limits;
    use oci_spec::runtime::LinuxResources;

    fn read(text: &str) -> Result<cgroup::Limits, String> {
        let written: LinuxResources = serde_json::from_str(text).unwrap();
        limits(&written).map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_of_the_specification_is_read() {
        let all = read(
            r#"{
            "memory": {"limit": 1, "reservation": 2, "swap": 3, "kernel": 4, "kernelTCP": 5, "swappiness": 6,
                "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true},
            "cpu": {"shares": 1, "quota": 2000, "burst": 3, "period": 4000, "realtimeRuntime": 5,
                "realtimePeriod": 6, "cpus": "0-7", "mems": "8", "idle": 1},
            "pids": {"limit": 9},
            "blockIO": {"weight": 10, "leafWeight": 11,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9223372036854771712}],
            "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 1000}},
            "unified": {"memory.high": "1048576"},
            "devices": [{"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]
        }"#,
        )
        .unwrap();
        let shown = serde_json::to_value(&all).unwrap();
        let expected = serde_json::json!({
            "memory": {"limit": 1, "reservation": 2, "swap": 3, "kernel": 4, "kernel_tcp": 5, "swappiness": 6,
                "disable_oom_killer": true, "use_hierarchy": true, "check_before_update": true},
            "cpu": {"shares": 1, "quota": 2000, "burst": 3, "period": 4000, "realtime_runtime": 5,
                "realtime_period": 6, "cpus": "0-7", "mems": "8", "idle": 1},
            "pids": 9,
            "block_io": {"weight": 10, "leaf_weight": 11,
                "weight_device": [{"major": 8, "minor": 0, "weight": 500, "leaf_weight": 300}],
                "read_bps": [{"major": 8, "minor": 0, "rate": 1}],
                "write_bps": [{"major": 8, "minor": 0, "rate": 2}],
                "read_iops": [{"major": 8, "minor": 0, "rate": 3}],
                "write_iops": [{"major": 8, "minor": 0, "rate": 4}]},
            "hugepages": [{"page_size": "2MB", "limit": 9_223_372_036_854_771_712_i64}],
            "network": {"class_id": 1_048_577, "priorities": [["eth0", 500]]},
            "rdma": [{"device": "mlx4_0", "handles": null, "objects": 1000},
                {"device": "mlx5_1", "handles": 3, "objects": 10000}],
            "unified": {"memory.high": "1048576"},
            "devices": [{"allow": false, "kind": "a", "major": null, "minor": null, "access": "rwm"},
                {"allow": true, "kind": "c", "major": 10, "minor": 229, "access": "rw"}],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_no_host_takes_is_refused_by_name() {
        fn check(text: &str, expected: &str) {
            match read(text) {
                Ok(_) => assert_eq!("ok", expected, "{text}"),
                Err(error) => assert_eq!(error, format!("config.json: linux.resources.{expected}"), "{text}"),
            }
        }
        check(r#"{"memory": {"limit": -1}, "cpu": {"shares": 0, "quota": -1}, "pids": {"limit": -1}}"#, "ok");
        check(r#"{"memory": {"limit": -2}}"#, "memory.limit: -2 is neither a size nor -1");
        check(r#"{"cpu": {"quota": 1}}"#, "cpu.quota: 1 µs are less than the least, 1000");
        check(
            r#"{"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}"#,
            r#"hugepageLimits.pageSize: "3MB" is not a size of pages such as 2MB"#,
        );
        check(
            r#"{"unified": {"../x": "1"}}"#,
            r#"unified: "../x": not the name of a file such as memory.high"#,
        );
        check(
            r#"{"unified": {"cgroup.procs": "1"}}"#,
            r#"unified: "cgroup.procs": a file of the cgroup itself, not of a controller"#,
        );
        check(
            r#"{"devices": [{"allow": true, "type": "p", "access": "r"}]}"#,
            "devices.type: 'p' is not one of a, b, c and u",
        );
        check(
            r#"{"devices": [{"allow": true, "type": "c", "major": -2, "access": "r"}]}"#,
            "devices.major: -2 is not a number of a device",
        );
    }
}
