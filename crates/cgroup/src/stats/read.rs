//! Control files as statistics. What a kernel does not have stays zero.

use super::{
    BlkioEntry, BlkioStats, CpuUsage, CpusetStats, HugetlbStats, MemoryEntry, MemoryStats, PidsStats,
    Pressure, Stall, Throttling,
};
use crate::Result;
use crate::place::{self, keyed};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use sys::{Errno, called};

/// Nanoseconds in one of the ticks that /proc and cpuacct.stat count (`USER_HZ`, the same on all our machines).
const TICK: u64 = 10_000_000;

/// The control files of one directory.
pub(crate) struct Files {
    pub(crate) dir: OwnedFd,
    pub(crate) path: PathBuf,
}

impl Files {
    /// A file, if this kernel has it.
    pub(crate) fn text(&self, file: &str) -> Result<Option<String>> {
        match place::read(&self.dir, &self.path, file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn number(&self, file: &str) -> Result<u64> {
        Ok(self.text(file)?.map_or(0, |text| number(&text)))
    }

    pub(crate) fn throttling_v1(&self) -> Result<Throttling> {
        let text = self.text("cpu.stat")?.unwrap_or_default();
        Ok(throttling(&text, "throttled_time", 1))
    }

    pub(crate) fn throttling_v2(&self) -> Result<Throttling> {
        let text = self.text("cpu.stat")?.unwrap_or_default();
        Ok(throttling(&text, "throttled_usec", 1000))
    }

    pub(crate) fn cpu_usage_v1(&self) -> Result<CpuUsage> {
        let stat = self.text("cpuacct.stat")?.unwrap_or_default();
        let ticks = |key| keyed(&stat, key).unwrap_or(0).saturating_mul(TICK);
        let mut usage = CpuUsage {
            total: self.number("cpuacct.usage")?,
            percpu: numbers(&self.text("cpuacct.usage_percpu")?.unwrap_or_default()),
            kernel: ticks("system"),
            user: ticks("user"),
            ..CpuUsage::default()
        };
        // `cpu user system`, and a line for each processor.
        for line in self.text("cpuacct.usage_all")?.unwrap_or_default().lines().skip(1) {
            if let [_, user, kernel] = numbers(line)[..] {
                usage.percpu_user.push(user);
                usage.percpu_kernel.push(kernel);
            }
        }
        Ok(usage)
    }

    pub(crate) fn cpu_usage_v2(&self) -> Result<CpuUsage> {
        let stat = self.text("cpu.stat")?.unwrap_or_default();
        let nanoseconds = |key| keyed(&stat, key).unwrap_or(0).saturating_mul(1000);
        Ok(CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
            ..CpuUsage::default()
        })
    }

    pub(crate) fn pressure(&self, file: &str) -> Result<Option<Pressure>> {
        Ok(self.text(file)?.map(|text| pressure(&text)))
    }

    pub(crate) fn cpuset_v1(&self) -> Result<CpusetStats> {
        let number = |file: &str| self.number(&format!("cpuset.{file}"));
        let list = |file: &str| -> Result<Vec<u16>> { Ok(list(&self.text(file)?.unwrap_or_default())) };
        Ok(CpusetStats {
            cpus: list("cpuset.cpus")?,
            cpu_exclusive: number("cpu_exclusive")?,
            mems: list("cpuset.mems")?,
            mem_hardwall: number("mem_hardwall")?,
            mem_exclusive: number("mem_exclusive")?,
            memory_migrate: number("memory_migrate")?,
            memory_spread_page: number("memory_spread_page")?,
            memory_spread_slab: number("memory_spread_slab")?,
            memory_pressure: number("memory_pressure")?,
            sched_load_balance: number("sched_load_balance")?,
            sched_relax_domain_level: self
                .text("cpuset.sched_relax_domain_level")?
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0),
        })
    }

    pub(crate) fn memory_v1(&self) -> Result<MemoryStats> {
        let raw = pairs(&self.text("memory.stat")?.unwrap_or_default());
        let entry = |part: &str| -> Result<MemoryEntry> {
            let number = |file: &str| self.number(&format!("memory.{part}{file}"));
            Ok(MemoryEntry {
                limit: number("limit_in_bytes")?,
                usage: number("usage_in_bytes")?,
                max: number("max_usage_in_bytes")?,
                failcnt: number("failcnt")?,
            })
        };
        Ok(MemoryStats {
            cache: raw.get("cache").copied().unwrap_or(0),
            usage: entry("")?,
            swap: entry("memsw.")?,
            kernel: entry("kmem.")?,
            kernel_tcp: entry("kmem.tcp.")?,
            raw,
            psi: None,
        })
    }

    /// Swap is counted alone here, and told together with memory as v1 does; the most of both together is not known.
    pub(crate) fn memory_v2(&self) -> Result<MemoryStats> {
        let raw = pairs(&self.text("memory.stat")?.unwrap_or_default());
        let usage = MemoryEntry {
            limit: self.number("memory.max")?,
            usage: self.number("memory.current")?,
            max: self.number("memory.peak")?,
            failcnt: 0,
        };
        let swap_limit = self.text("memory.swap.max")?;
        let swap = swap_limit.map_or(Ok(MemoryEntry::default()), |limit| -> Result<MemoryEntry> {
            Ok(MemoryEntry {
                limit: number(&limit).saturating_add(usage.limit),
                usage: self.number("memory.swap.current")?.saturating_add(usage.usage),
                ..MemoryEntry::default()
            })
        })?;
        Ok(MemoryStats {
            cache: raw.get("file").copied().unwrap_or(0),
            usage,
            swap,
            raw,
            psi: self.pressure("memory.pressure")?,
            ..MemoryStats::default()
        })
    }

    /// The same files in both versions; `None` where the controller is not on.
    pub(crate) fn pids(&self) -> Result<Option<PidsStats>> {
        let Some(current) = self.text("pids.current")? else { return Ok(None) };
        let limit = self.text("pids.max")?.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(Some(PidsStats { current: number(&current), limit }))
    }

    /// Of the schedulers that keep numbers, the first that has any; else those that the throttling keeps.
    pub(crate) fn blkio_v1(&self) -> Result<BlkioStats> {
        for (prefix, suffix) in [
            ("blkio.bfq.", "_recursive"),
            ("blkio.", "_recursive"),
            ("blkio.throttle.", "_recursive"),
            ("blkio.throttle.", ""),
        ] {
            let read = |file: &str| -> Result<Vec<BlkioEntry>> {
                Ok(blkio_entries(&self.text(&format!("{prefix}{file}{suffix}"))?.unwrap_or_default()))
            };
            let serviced = read("io_serviced")?;
            if serviced.is_empty() {
                continue;
            }
            return Ok(BlkioStats {
                io_service_bytes_recursive: read("io_service_bytes")?,
                io_serviced_recursive: serviced,
                io_queue_recursive: read("io_queued")?,
                io_service_time_recursive: read("io_service_time")?,
                io_wait_time_recursive: read("io_wait_time")?,
                io_merged_recursive: read("io_merged")?,
                io_time_recursive: read("time")?,
                sectors_recursive: read("sectors")?,
                psi: None,
            });
        }
        Ok(BlkioStats::default())
    }

    pub(crate) fn blkio_v2(&self) -> Result<BlkioStats> {
        let mut stats = io_stat(&self.text("io.stat")?.unwrap_or_default());
        stats.psi = self.pressure("io.pressure")?;
        Ok(stats)
    }

    /// Pages that are reserved, where the kernel counts them (Linux 5.7), else those that are used.
    pub(crate) fn hugetlb(&self, used: &str) -> Result<BTreeMap<String, HugetlbStats>> {
        let mut all = BTreeMap::new();
        for size in self.page_sizes(used)? {
            let reserved = format!("hugetlb.{size}.rsvd.");
            let prefix = match self.text(&format!("{reserved}{used}"))? {
                Some(_) => reserved,
                None => format!("hugetlb.{size}."),
            };
            let events = self.text(&format!("hugetlb.{size}.events"))?.unwrap_or_default();
            let failures = self.number(&format!("{prefix}failcnt"))?;
            let stats = HugetlbStats {
                usage: self.number(&format!("{prefix}{used}"))?,
                max: self.number(&format!("{prefix}max_usage_in_bytes"))?,
                failcnt: keyed(&events, "max").unwrap_or(failures),
            };
            all.insert(size, stats);
        }
        Ok(all)
    }

    fn page_sizes(&self, used: &str) -> Result<BTreeSet<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = || called::<Errno>(|| format!("open {:?}", self.path));
        let dir = rustix::fs::openat(&self.dir, ".", flags, Mode::empty()).map_err(failed())?;
        let mut sizes = BTreeSet::new();
        for entry in Dir::read_from(&dir).map_err(failed())? {
            let entry = entry.map_err(called::<Errno>(|| format!("getdents64 {:?}", self.path)))?;
            let name = entry.file_name().to_string_lossy();
            let size = name.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(used));
            let size = size.and_then(|size| size.strip_suffix('.')).filter(|size| !size.contains('.'));
            sizes.extend(size.map(str::to_owned));
        }
        Ok(sizes)
    }
}

/// A number; `max` is the largest one.
fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or(0),
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// `0-3,8` one by one.
fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| -> Option<std::ops::RangeInclusive<u16>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

fn throttling(text: &str, time: &str, nanoseconds: u64) -> Throttling {
    Throttling {
        periods: keyed(text, "nr_periods").unwrap_or(0),
        throttled_periods: keyed(text, "nr_throttled").unwrap_or(0),
        throttled_time: keyed(text, time).unwrap_or(0).saturating_mul(nanoseconds),
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`.
fn pressure(text: &str) -> Pressure {
    let stall = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let value = |key: &str| {
            let is = |word: &str| word.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
            line.split(' ').find_map(is).unwrap_or_default()
        };
        let share = |key| value(key).parse().unwrap_or(0.0);
        let total = value("total").parse().unwrap_or(0);
        Stall { avg10: share("avg10"), avg60: share("avg60"), avg300: share("avg300"), total }
    };
    Pressure { some: stall("some"), full: stall("full") }
}

/// `8:0 Read 4096`, or `8:0 4096`; a sum over all devices has no number of one.
fn blkio_entries(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut words = line.split([' ', ':']);
        let (major, minor) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (first, second) = (words.next()?, words.next());
        let (op, value) = second.map_or(("", first), |value| (first, value));
        Some(BlkioEntry { major, minor, op: op.to_owned(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
fn io_stat(text: &str) -> BlkioStats {
    let mut stats = BlkioStats::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.io_serviced_recursive, "Write"),
                _ => continue,
            };
            let value = value.parse().unwrap_or(0);
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_lists() {
        fn check(text: &str, expected: &[u16]) {
            assert_eq!(list(text), expected, "{text:?}");
        }
        check("0-3,8\n", &[0, 1, 2, 3, 8]);
        check("5\n", &[5]);
        check("\n", &[]);
        check("3-1,x,2-", &[]);
    }

    #[test]
    fn reads_block_devices() {
        fn check(text: &str, expected: &[(u64, u64, &str, u64)]) {
            let found = blkio_entries(text);
            let found: Vec<_> =
                found.iter().map(|one| (one.major, one.minor, one.op.as_str(), one.value)).collect();
            assert_eq!(found, expected, "{text:?}");
        }
        check("8:0 Read 4096\n8:0 Write 1\nTotal 4097\n", &[(8, 0, "Read", 4096), (8, 0, "Write", 1)]);
        check("8:16 7\n", &[(8, 16, "", 7)]);
        check("Total 0\n", &[]);
        check("", &[]);
        let stats = io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7\n8:16 \nx");
        let shown = serde_json::to_value(&stats).unwrap();
        let expected = serde_json::json!({
            "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 1},
                {"major": 8, "op": "Write", "value": 2}],
            "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 3},
                {"major": 8, "op": "Write", "value": 4}],
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn reads_pressure() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.25 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n";
        let expected = Pressure {
            some: Stall { avg10: 1.5, avg60: 0.0, avg300: 0.25, total: 7 },
            full: Stall { total: 2, ..Stall::default() },
        };
        assert_eq!(pressure(text), expected);
        assert_eq!(pressure(""), Pressure::default());
    }

    #[test]
    fn reads_throttling() {
        let text = "nr_periods 5\nnr_throttled 3\nthrottled_usec 7\nthrottled_time 9\n";
        let time = |one: Throttling| (one.periods, one.throttled_periods, one.throttled_time);
        assert_eq!(time(throttling(text, "throttled_time", 1)), (5, 3, 9));
        assert_eq!(time(throttling(text, "throttled_usec", 1000)), (5, 3, 7000));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s)[a-z0-9:=., \n-]{0,80}") {
            // Lists are bounded by the numbers of processors that there can be.
            prop_assert!(list(&text).len() <= text.len() * (1 << 16));
            pressure(&text);
            blkio_entries(&text);
            io_stat(&text);
            pairs(&text);
        }
    }
}
