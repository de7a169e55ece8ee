//! Limits in, writes out: of both versions, and what is refused.

use super::*;
use proptest::prelude::*;

/// The writes of all controllers, one a line; those that belong together are on one line.
fn shown(limits: &Limits, version: Version) -> String {
    if let Err(error) = limits.check() {
        return format!("{:?}: {error}", error.kind);
    }
    let mut lines = Vec::new();
    for controller in CONTROLLERS {
        match limits.settings(controller, version) {
            Ok(writes) => {
                lines.extend(writes.batches.iter().map(|batch| {
                    let write = |one: &Setting| {
                        let instead = one.instead.iter().map(|(file, value)| format!(" or {file}={value}"));
                        let optional = if one.optional { "?" } else { "" };
                        format!("{}{optional}={}{}", one.file, one.value, instead.collect::<String>())
                    };
                    batch.iter().map(write).collect::<Vec<_>>().join("; ")
                }));
                lines.extend(writes.warnings.iter().map(|warning| format!("! {}", warning.field)));
            }
            Err(error) => lines.push(format!("{:?}: {error}", error.kind)),
        }
    }
    lines.join("\n")
}

fn check(limits: &Limits, v1: &str, v2: &str) {
    assert_eq!(shown(limits, Version::V1), v1, "v1 {limits:?}");
    assert_eq!(shown(limits, Version::V2), v2, "v2 {limits:?}");
}

fn memory(memory: Memory) -> Limits {
    Limits { memory, ..Limits::default() }
}

fn cpu(cpu: Cpu) -> Limits {
    Limits { cpu, ..Limits::default() }
}

fn block_io(block_io: BlockIo) -> Limits {
    Limits { block_io, ..Limits::default() }
}

#[test]
fn memory_and_swap() {
    let none = Memory::default;
    check(&Limits::default(), "", "");
    check(&memory(Memory { limit: Some(0), swap: Some(0), reservation: Some(0), ..none() }), "", "");
    check(
        &memory(Memory { limit: Some(1 << 26), ..none() }),
        "memory.limit_in_bytes=67108864",
        "memory.max=67108864",
    );
    check(
        &memory(Memory { limit: Some(10), swap: Some(25), reservation: Some(5), ..none() }),
        "memory.limit_in_bytes=10; memory.memsw.limit_in_bytes=25\nmemory.soft_limit_in_bytes=5",
        "memory.swap.max=15\nmemory.max=10\nmemory.low=5",
    );
    // No swap at all: a kernel without the file has none.
    check(
        &memory(Memory { limit: Some(10), swap: Some(10), ..none() }),
        "memory.limit_in_bytes=10; memory.memsw.limit_in_bytes=10",
        "memory.swap.max?=0\nmemory.max=10",
    );
    check(
        &memory(Memory { limit: Some(10), swap: Some(-1), ..none() }),
        "memory.limit_in_bytes=10; memory.memsw.limit_in_bytes?=-1",
        "memory.swap.max?=max\nmemory.max=10",
    );
    // Unlimited memory is a part of unlimited memory and swap.
    check(
        &memory(Memory { limit: Some(-1), reservation: Some(-1), ..none() }),
        "memory.limit_in_bytes=-1; memory.memsw.limit_in_bytes?=-1\nmemory.soft_limit_in_bytes=-1",
        "memory.swap.max?=max\nmemory.max=max\nmemory.low=max",
    );
    check(
        &memory(Memory { swap: Some(10), ..none() }),
        "memory.memsw.limit_in_bytes=10",
        "Refused: linux.resources.memory.swap: 10 bytes of memory and swap need a memory limit beside them",
    );
    check(
        &memory(Memory {
            kernel: Some(1),
            kernel_tcp: Some(1),
            swappiness: Some(0),
            disable_oom_killer: true,
            use_hierarchy: Some(false),
            ..none()
        }),
        "memory.swappiness=0\nmemory.oom_control=1\n! memory.kernel\n! memory.kernelTCP\n! memory.useHierarchy",
        "! memory.kernel\n! memory.kernelTCP\n! memory.useHierarchy\n! memory.swappiness\n! memory.disableOOMKiller",
    );
    check(&memory(Memory { use_hierarchy: Some(true), ..none() }), "", "");
}

#[test]
fn processors() {
    let none = Cpu::default;
    check(&cpu(Cpu { shares: Some(0), quota: Some(0), period: Some(0), ..none() }), "", "");
    check(
        &cpu(Cpu { shares: Some(512), quota: Some(50_000), period: Some(20_000), ..none() }),
        "cpu.shares=512\ncpu.cfs_period_us=20000; cpu.cfs_quota_us=50000",
        "cpu.weight=59\ncpu.max=50000 20000",
    );
    check(&cpu(Cpu { quota: Some(-7), ..none() }), "cpu.cfs_quota_us=-1", "cpu.max=max 100000");
    check(&cpu(Cpu { period: Some(5_000), ..none() }), "cpu.cfs_period_us=5000", "cpu.max=max 5000");
    check(
        &cpu(Cpu { quota: Some(1_000), burst: Some(500), ..none() }),
        "cpu.cfs_quota_us=1000; cpu.cfs_burst_us=500",
        "cpu.max=1000 100000; cpu.max.burst=500",
    );
    check(&cpu(Cpu { idle: Some(1), shares: Some(9), ..none() }), "cpu.idle=1", "cpu.idle=1");
    check(
        &cpu(Cpu { idle: Some(0), shares: Some(1024), ..none() }),
        "cpu.idle?=0\ncpu.shares=1024",
        "cpu.idle?=0\ncpu.weight=100",
    );
    check(
        &cpu(Cpu { realtime_runtime: Some(7), realtime_period: Some(8), ..none() }),
        "cpu.rt_period_us=8; cpu.rt_runtime_us=7",
        "! cpu.realtimeRuntime\n! cpu.realtimePeriod",
    );
    let lists = "cpuset.cpus=0-1,3\ncpuset.mems=0";
    check(&cpu(Cpu { cpus: Some("0-1,3".into()), mems: Some("0".into()), ..none() }), lists, lists);
    check(&cpu(Cpu { cpus: Some(String::new()), ..none() }), "", "");
}

#[test]
fn processes() {
    fn check_pids(limit: i64, written: &str) {
        let written = format!("pids.max={written}");
        check(&Limits { pids: Some(limit), ..Limits::default() }, &written, &written);
    }
    check_pids(7, "7");
    check_pids(0, "1");
    check_pids(-1, "max");
    check_pids(i64::MIN, "max");
}

#[test]
fn block_devices() {
    let none = BlockIo::default;
    let rate = |minor, rate| DeviceRate { major: 8, minor, rate };
    check(&block_io(BlockIo { weight: Some(0), leaf_weight: Some(0), ..none() }), "", "");
    check(
        &block_io(BlockIo { weight: Some(1000), ..none() }),
        "blkio.bfq.weight=1000 or blkio.weight=1000",
        "io.bfq.weight=1000 or io.weight=10000",
    );
    check(
        &block_io(BlockIo {
            leaf_weight: Some(10),
            weight_device: vec![
                DeviceWeight { major: 8, minor: 0, weight: Some(500), leaf_weight: None },
                DeviceWeight { major: 8, minor: 0, weight: Some(10), leaf_weight: Some(20) },
            ],
            ..none()
        }),
        "blkio.leaf_weight=10\nblkio.bfq.weight_device=8:0 10 or blkio.weight_device=8:0 10\n\
         blkio.leaf_weight_device=8:0 20",
        "io.bfq.weight=8:0 10 or io.weight=8:0 1\n! blockIO.leafWeight\n! blockIO.weightDevice.leafWeight",
    );
    // The last entry of a device counts, and 0 takes its limit away.
    check(
        &block_io(BlockIo {
            read_bps: vec![rate(0, 1), rate(16, 2), rate(0, 3)],
            write_bps: vec![rate(0, 0)],
            read_iops: vec![rate(0, 5)],
            write_iops: vec![rate(0, u64::MAX)],
            ..none()
        }),
        "blkio.throttle.read_bps_device=8:0 3\nblkio.throttle.read_bps_device=8:16 2\n\
         blkio.throttle.write_bps_device=8:0 0\nblkio.throttle.read_iops_device=8:0 5\n\
         blkio.throttle.write_iops_device=8:0 18446744073709551615",
        "io.max=8:0 rbps=3\nio.max=8:16 rbps=2\nio.max=8:0 wbps=max\nio.max=8:0 riops=5\n\
         io.max=8:0 wiops=18446744073709551615",
    );
}

#[test]
fn what_few_containers_limit() {
    let none = Limits::default;
    check(
        &Limits { hugepages: vec![HugepageLimit { page_size: "2MB".into(), limit: 4 }], ..none() },
        "hugetlb.2MB.limit_in_bytes=4\nhugetlb.2MB.rsvd.limit_in_bytes?=4",
        "hugetlb.2MB.max=4\nhugetlb.2MB.rsvd.max?=4",
    );
    check(
        &Limits { network: Network { class_id: Some(7), priorities: vec![("eth0".into(), 5)] }, ..none() },
        "net_cls.classid=7\nnet_prio.ifpriomap=eth0 5",
        "! network.classID\n! network.priorities",
    );
    let rdma = |handles, objects| Limits {
        rdma: vec![RdmaLimit { device: "mlx4_0".into(), handles, objects }],
        ..none()
    };
    let both = "rdma.max=mlx4_0 hca_handle=2 hca_object=3";
    check(&rdma(Some(2), Some(3)), both, both);
    check(&rdma(None, Some(3)), "rdma.max=mlx4_0 hca_object=3", "rdma.max=mlx4_0 hca_object=3");
    check(&rdma(None, None), "", "");
    check(
        &Limits {
            unified: BTreeMap::from([
                ("memory.high".to_owned(), "1".to_owned()),
                ("io.max".to_owned(), "8:0 rbps=1\n\n8:16 rbps=2\n".to_owned()),
            ]),
            ..none()
        },
        "Unsupported: linux.resources.unified: this host has cgroup v1, and these are files of cgroup v2",
        "io.max=8:0 rbps=1\nio.max=8:16 rbps=2\nmemory.high=1",
    );
}

#[test]
fn what_no_host_takes() {
    fn refused(limits: &Limits, why: &str) {
        let error = limits.check().unwrap_err();
        assert_eq!((error.kind, error.to_string()), (Kind::Refused, format!("linux.resources.{why}")));
    }
    let none = Memory::default;
    refused(&memory(Memory { limit: Some(-2), ..none() }), "memory.limit: -2 is neither a size nor -1");
    refused(&memory(Memory { swap: Some(-3), ..none() }), "memory.swap: -3 is neither a size nor -1");
    refused(
        &memory(Memory { limit: Some(10), swap: Some(9), ..none() }),
        "memory.swap: 9 bytes are less than the memory limit of 10, which is a part of it",
    );
    refused(
        &memory(Memory { limit: Some(-1), swap: Some(9), ..none() }),
        "memory.swap: 9 bytes, and unlimited memory",
    );
    refused(
        &memory(Memory { swappiness: Some(101), ..none() }),
        "memory.swappiness: 101 is not between 0 and 100",
    );
    let none = Cpu::default;
    refused(&cpu(Cpu { quota: Some(999), ..none() }), "cpu.quota: 999 µs are less than the least, 1000");
    refused(
        &cpu(Cpu { period: Some(1_000_001), ..none() }),
        "cpu.period: 1000001 µs are not between 1000 and 1000000",
    );
    refused(&cpu(Cpu { idle: Some(2), ..none() }), "cpu.idle: 2 is neither 0 nor 1");
    refused(
        &cpu(Cpu { cpus: Some("0\n1".into()), ..none() }),
        "cpu.cpus: \"0\\n1\" is not a list such as 0-3,8",
    );
    let none = BlockIo::default;
    refused(&block_io(BlockIo { weight: Some(9), ..none() }), "blockIO.weight: 9 is not between 10 and 1000");
    refused(
        &block_io(BlockIo { read_bps: vec![DeviceRate { major: -1, minor: 0, rate: 1 }], ..none() }),
        "blockIO.throttleReadBpsDevice: -1:0 is not a device",
    );
    for size in ["", "2", "MB", "3MB", "02MB", "0MB", "+2MB", "2mb", "2TB", "../2MB", "4294967296MB"] {
        let hugepages = vec![HugepageLimit { page_size: size.into(), limit: 1 }];
        let why = format!("hugepageLimits.pageSize: {size:?} is not a size of pages such as 2MB");
        refused(&Limits { hugepages, ..Limits::default() }, &why);
    }
    for name in ["", "a b", "a\nb", "../x", "sixteen-letters-"] {
        let network = Network { priorities: vec![(name.into(), 1)], ..Network::default() };
        let why = format!("network.priorities.name: {name:?} is not a name of an interface");
        refused(&Limits { network, ..Limits::default() }, &why);
    }
    let unified = |key: &str, value: &str| Limits {
        unified: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        ..Limits::default()
    };
    for key in ["", "memory", "../x", "a/b.c", "memory.", ".max", "memory.max\n", "a b.c"] {
        refused(&unified(key, "1"), &format!("unified: {key:?}: not the name of a file such as memory.high"));
    }
    for key in ["cgroup.procs", "cgroup.freeze", "cgroup.subtree_control"] {
        refused(
            &unified(key, "1"),
            &format!("unified: {key:?}: a file of the cgroup itself, not of a controller"),
        );
    }
    refused(&unified("memory.high", "\n"), "unified: \"memory.high\": \"\\n\" is not a value");
}

#[test]
fn shares_and_weights() {
    fn check(shares: u64, expected: u64) {
        assert_eq!(v2::weight(shares), expected, "{shares}");
    }
    check(1, 1);
    check(2, 1);
    check(1024, 100);
    check(262_144, 10_000);
    check(u64::MAX, 10_000);
    assert_eq!([10, 500, 1000].map(v2::io_weight), [1, 4950, 10_000]);
}

fn any_rate() -> impl Strategy<Value = Vec<DeviceRate>> {
    let one = (any::<i64>(), 0..300_i64, any::<u64>());
    proptest::collection::vec(one.prop_map(|(major, minor, rate)| DeviceRate { major, minor, rate }), 0..3)
}

prop_compose! {
    fn any_memory()(
        limit in any::<Option<i64>>(), reservation in any::<Option<i64>>(), swap in any::<Option<i64>>(),
        swappiness in any::<Option<u64>>(), disable_oom_killer in any::<bool>(),
    ) -> Memory {
        Memory { limit, reservation, swap, swappiness, disable_oom_killer, ..Memory::default() }
    }
}

prop_compose! {
    fn any_cpu()(
        shares in any::<Option<u64>>(), quota in any::<Option<i64>>(), period in any::<Option<u64>>(),
        burst in any::<Option<u64>>(), cpus in any::<Option<String>>(), mems in "[0-9,-]{0,8}",
        idle in any::<Option<i64>>(), realtime_runtime in any::<Option<i64>>(),
    ) -> Cpu {
        Cpu { shares, quota, burst, period, realtime_runtime, realtime_period: None, cpus, mems: Some(mems), idle }
    }
}

prop_compose! {
    fn any_limits()(
        memory in any_memory(), cpu in any_cpu(), pids in any::<Option<i64>>(),
        weight in any::<Option<u16>>(), read_bps in any_rate(), write_iops in any_rate(),
        page_size in "[0-9./]{0,3}[KMG]B", limit in any::<i64>(), name in "[a-z \n/]{0,18}",
        unified in proptest::collection::btree_map("[a-z./\n]{0,12}", "(?s).{0,5}", 0..2),
    ) -> Limits {
        Limits {
            memory, cpu, pids,
            block_io: BlockIo { weight, read_bps, write_iops, ..BlockIo::default() },
            hugepages: vec![HugepageLimit { page_size, limit }],
            network: Network { class_id: None, priorities: vec![(name.clone(), 1)] },
            rdma: vec![RdmaLimit { device: name, handles: Some(1), objects: None }],
            unified, devices: Vec::new(),
        }
    }
}

proptest! {
    #[test]
    fn any_limits_become_clean_writes_or_a_refusal(limits in any_limits(), which in 0..8_u8) {
        // One part at a time, else almost all are refused.
        let none = Limits::default();
        let limits = match which {
            0 => Limits { memory: limits.memory, ..none },
            1 => Limits { cpu: limits.cpu, ..none },
            2 => Limits { pids: limits.pids, ..none },
            3 => Limits { block_io: limits.block_io, ..none },
            4 => Limits { hugepages: limits.hugepages, ..none },
            5 => Limits { network: limits.network, ..none },
            6 => Limits { rdma: limits.rdma, ..none },
            _ => Limits { unified: limits.unified, ..none },
        };
        if let Err(error) = limits.check() {
            prop_assert_eq!(error.kind, Kind::Refused);
            prop_assert!(error.to_string().starts_with("linux.resources."));
            return Ok(());
        }
        for version in [Version::V1, Version::V2] {
            for controller in CONTROLLERS {
                let Ok(writes) = limits.settings(controller, version) else { continue };
                for setting in writes.batches.iter().flatten() {
                    let instead = setting.instead.iter().map(|(file, value)| (file, value));
                    for (file, value) in std::iter::once((&setting.file, &setting.value)).chain(instead) {
                        prop_assert!(!value.is_empty() && !value.contains(['\n', '\0']), "{:?}", setting);
                        prop_assert!(!file.contains(['/', '\0', '\n']) && !file.starts_with("cgroup."));
                        prop_assert_eq!(file.split('.').next().unwrap(), setting.controller());
                    }
                }
            }
        }
    }

    #[test]
    fn a_state_file_keeps_them(limits in any_limits()) {
        let text = serde_json::to_string(&limits).unwrap();
        prop_assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    }

    #[test]
    fn more_shares_never_weigh_less(shares in 0_u64..300_000) {
        prop_assert!(v2::weight(shares) <= v2::weight(shares + 1));
        prop_assert!((1..=10_000).contains(&v2::weight(shares)));
    }

    #[test]
    fn swap_and_memory_add_up(limit in 1..i64::MAX, more in 1_i64..1 << 40) {
        let total = limit.saturating_add(more);
        prop_assume!(total > limit);
        let limits = memory(Memory { limit: Some(limit), swap: Some(total), ..Memory::default() });
        prop_assert_eq!(
            shown(&limits, Version::V2),
            format!("memory.swap.max={}\nmemory.max={limit}", total - limit)
        );
    }
}
