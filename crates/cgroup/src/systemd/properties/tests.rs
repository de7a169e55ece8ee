use super::*;
use crate::{BlockIo, Cpu, Memory};
use proptest::prelude::*;

fn shown(limits: &Limits, version: Version, systemd: u32) -> String {
    let text = |value: &Value| match value {
        Value::U64(u64::MAX) => "infinity".to_owned(),
        Value::U64(number) => number.to_string(),
        other => format!("{other:?}").replace("Byte", "").replace("Array(\"y\", ", "").replace("])", "]"),
    };
    let all = of_limits(limits, version, systemd).unwrap();
    all.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

#[test]
fn translates_limits() {
    #[track_caller]
    fn check(limits: &Limits, v2: &str, v1: &str) {
        assert_eq!(shown(limits, Version::V2, 252), v2);
        assert_eq!(shown(limits, Version::V1, 252), v1);
    }
    let memory = |memory: Memory| Limits { memory, ..Limits::default() };
    let cpu = |cpu: Cpu| Limits { cpu, ..Limits::default() };
    check(&Limits::default(), "", "");
    let limit = memory(Memory { limit: Some(1 << 20), reservation: Some(4096), ..Memory::default() });
    check(&limit, "MemoryLow=4096 MemoryMax=1048576", "MemoryLimit=1048576");
    let both = memory(Memory { limit: Some(1000), swap: Some(3000), ..Memory::default() });
    check(&both, "MemoryMax=1000 MemorySwapMax=2000", "MemoryLimit=1000");
    let none = memory(Memory { limit: Some(-1), swap: Some(-1), ..Memory::default() });
    check(&none, "MemoryMax=infinity MemorySwapMax=infinity", "MemoryLimit=infinity");
    check(&cpu(Cpu { shares: Some(1024), ..Cpu::default() }), "CPUWeight=100", "CPUShares=1024");
    let quota = "CPUQuotaPerSecUSec=500000";
    check(&cpu(Cpu { quota: Some(50_000), ..Cpu::default() }), quota, quota);
    let odd = "CPUQuotaPerSecUSec=340000 CPUQuotaPeriodUSec=30000";
    check(&cpu(Cpu { quota: Some(10_000), period: Some(30_000), ..Cpu::default() }), odd, odd);
    let free = "CPUQuotaPerSecUSec=infinity";
    check(&cpu(Cpu { quota: Some(-1), ..Cpu::default() }), free, free);
    let sets = "AllowedCPUs=[(13), (1)] AllowedMemoryNodes=[(1)]";
    let wish = Cpu { cpus: Some("0,2-3,8".into()), mems: Some("0".into()), ..Cpu::default() };
    check(&cpu(wish), sets, sets);
    check(&cpu(Cpu { idle: Some(1), shares: Some(2048), ..Cpu::default() }), "CPUWeight=0", "CPUShares=2048");
    let pids = |pids| Limits { pids: Some(pids), ..Limits::default() };
    check(&pids(5), "TasksMax=5", "TasksMax=5");
    check(&pids(0), "TasksMax=1", "TasksMax=1");
    check(&pids(-1), "TasksMax=infinity", "TasksMax=infinity");
    let io = Limits { block_io: BlockIo { weight: Some(500), ..BlockIo::default() }, ..Limits::default() };
    check(&io, "", "BlockIOWeight=500");
}

#[test]
fn translates_files_of_v2() {
    #[track_caller]
    fn check(file: &str, value: &str, systemd: u32, expected: Option<&str>) {
        let limits = Limits { unified: BTreeMap::from([(file.into(), value.into())]), ..Limits::default() };
        match expected {
            Some(expected) => assert_eq!(shown(&limits, Version::V2, systemd), expected),
            None => assert!(of_limits(&limits, Version::V2, systemd).is_err()),
        }
    }
    check("cpu.max", "10000 50000", 252, Some("CPUQuotaPerSecUSec=200000 CPUQuotaPeriodUSec=50000"));
    check("cpu.max", "10000 50000", 241, Some("CPUQuotaPerSecUSec=200000"));
    check("cpu.max", "max", 252, Some("CPUQuotaPerSecUSec=infinity"));
    check("cpu.weight", "7", 252, Some("CPUWeight=7"));
    check("cpu.idle", "1", 252, Some("CPUWeight=0"));
    check("cpu.idle", "1", 251, Some(""));
    check("cpu.idle", "0", 252, Some(""));
    check("memory.high", "max\n", 252, Some("MemoryHigh=infinity"));
    check("memory.min", "4096", 252, Some("MemoryMin=4096"));
    check("memory.low", "1", 252, Some("MemoryLow=1"));
    check("memory.max", "1G", 252, Some(""));
    check("memory.swap.max", "0", 252, Some("MemorySwapMax=0"));
    check("pids.max", "9", 252, Some("TasksMax=9"));
    check("cpuset.cpus", "1", 252, Some("AllowedCPUs=[(2)]"));
    check("cpuset.cpus", "1", 243, Some(""));
    check("cpuset.mems", "0", 252, Some("AllowedMemoryNodes=[(1)]"));
    check("io.max", "8:0 rbps=1", 252, Some(""));
    for (file, value) in [
        ("cpu.max", ""),
        ("cpu.max", "1 0"),
        ("cpu.max", "1 2 3"),
        ("cpu.max", "x"),
        ("cpu.weight", "x"),
        ("pids.max", "-1"),
        ("cpuset.cpus", "x"),
        ("cpuset.cpus", "3-1"),
        ("cpuset.cpus", "99999999"),
        ("memory.high", "-4"),
    ] {
        check(file, value, 252, None);
    }
}

#[test]
fn reads_annotations() {
    #[track_caller]
    fn check(name: &str, text: &str, expected: Option<(&str, Value)>) {
        let found = of_annotation(name, text).ok();
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)), "{name}={text}");
    }
    check("CollectMode", "'inactive-or-failed'", Some(("CollectMode", Value::text("inactive-or-failed"))));
    check("TimeoutStopSec", "uint32 3", Some(("TimeoutStopUSec", Value::U64(3_000_000))));
    check("TimeoutStopSec", "1.5", Some(("TimeoutStopUSec", Value::U64(1_500_000))));
    check("TimeoutStopUSec", "uint64 7", Some(("TimeoutStopUSec", Value::U64(7))));
    check("CPUQuotaPerSecUSec", "uint64 7", Some(("CPUQuotaPerSecUSec", Value::U64(7))));
    check("After", "['a.service']", Some(("After", Value::texts(&["a.service"]))));
    for (name, text) in [
        ("", "1"),
        ("A B", "1"),
        ("A=B", "1"),
        ("PIDs", "[uint32 1]"),
        ("Slice", "'x.slice'"),
        ("Delegate", "false"),
        ("TimeoutStopSec", "-1"),
        ("TimeoutStopSec", "'3'"),
        ("TimeoutStopSec", "uint64 18446744073709551615"),
        ("Description", "x"),
    ] {
        check(name, text, None);
    }
}

proptest! {
    #[test]
    fn any_file_is_translated_or_refused(value in "(?s).{0,20}", file in "(cpu.max|cpuset.cpus|memory.high|pids.max)") {
        let limits = Limits { unified: BTreeMap::from([(file, value)]), ..Limits::default() };
        drop(of_limits(&limits, Version::V2, 252));
    }

    #[test]
    fn any_quota_is_translated(quota: i64, period: u64) {
        let cpu = Cpu { quota: Some(quota), period: Some(period), ..Cpu::default() };
        let found = of_limits(&Limits { cpu, ..Limits::default() }, Version::V2, 252);
        prop_assert!(found.is_ok());
    }
}
