//! What is wrong with limits on every host.

use super::{BlockIo, Limits, Memory, refused, set};
use crate::{Result, device};

/// Periods and quotas that the kernel takes, in microseconds (sched-bwc.rst).
const LEAST_US: u64 = 1_000;
const MOST_PERIOD_US: u64 = 1_000_000;
/// Longer lists than any machine has processors for; more than one page no control file takes.
const LONGEST_VALUE: usize = 4095;
/// More rules are no list of devices any more.
const MOST_RULES: usize = 4096;
/// `IFNAMSIZ` without its NUL.
const LONGEST_INTERFACE: usize = 15;

pub(super) fn all(limits: &Limits) -> Result<()> {
    memory(&limits.memory)?;
    cpu(limits)?;
    block_io(&limits.block_io)?;
    for one in &limits.hugepages {
        if !is_page_size(&one.page_size) {
            let why = format!("{:?} is not a size of pages such as 2MB", cut(&one.page_size));
            return Err(refused("hugepageLimits.pageSize", why));
        }
        if one.limit < 0 {
            return Err(refused("hugepageLimits.limit", format!("{} is not a size", one.limit)));
        }
    }
    for (name, _) in &limits.network.priorities {
        if !is_word(name) || name.len() > LONGEST_INTERFACE || name.contains('/') {
            let why = format!("{:?} is not a name of an interface", cut(name));
            return Err(refused("network.priorities.name", why));
        }
    }
    if let Some(one) = limits.rdma.iter().find(|one| !is_word(&one.device)) {
        return Err(refused("rdma", format!("{:?} is not a name of a device", cut(&one.device))));
    }
    for (key, value) in &limits.unified {
        unified(key, value)?;
    }
    if limits.devices.len() > MOST_RULES {
        return Err(refused("devices", format!("more than {MOST_RULES} rules")));
    }
    limits.devices.iter().try_for_each(device::check)
}

fn memory(memory: &Memory) -> Result<()> {
    let sizes = [
        ("memory.limit", memory.limit),
        ("memory.reservation", memory.reservation),
        ("memory.swap", memory.swap),
    ];
    for (field, value) in sizes {
        if let Some(bytes) = value.filter(|bytes| *bytes < -1) {
            return Err(refused(field, format!("{bytes} is neither a size nor -1")));
        }
    }
    if let Some(share) = memory.swappiness.filter(|share| *share > 100) {
        return Err(refused("memory.swappiness", format!("{share} is not between 0 and 100")));
    }
    match (set(memory.limit), set(memory.swap)) {
        (Some(-1), Some(total)) if total > 0 => {
            Err(refused("memory.swap", format!("{total} bytes, and unlimited memory")))
        }
        (Some(limit), Some(total)) if total > 0 && total < limit => Err(refused(
            "memory.swap",
            format!("{total} bytes are less than the memory limit of {limit}, which is a part of it"),
        )),
        _ => Ok(()),
    }
}

fn cpu(limits: &Limits) -> Result<()> {
    let cpu = &limits.cpu;
    if let Some(quota) = cpu.quota.filter(|quota| *quota > 0 && quota.cast_unsigned() < LEAST_US) {
        return Err(refused("cpu.quota", format!("{quota} µs are less than the least, {LEAST_US}")));
    }
    if let Some(period) = set(cpu.period).filter(|period| !(LEAST_US..=MOST_PERIOD_US).contains(period)) {
        let why = format!("{period} µs are not between {LEAST_US} and {MOST_PERIOD_US}");
        return Err(refused("cpu.period", why));
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime < -1) {
        return Err(refused("cpu.realtimeRuntime", format!("{runtime} is neither a time nor -1")));
    }
    if let Some(idle) = cpu.idle.filter(|idle| !matches!(idle, 0 | 1)) {
        return Err(refused("cpu.idle", format!("{idle} is neither 0 nor 1")));
    }
    for (field, list) in [("cpu.cpus", &cpu.cpus), ("cpu.mems", &cpu.mems)] {
        let Some(list) = list else { continue };
        let sound = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b',' | b':' | b'/');
        if !list.bytes().all(sound) || list.len() > LONGEST_VALUE {
            return Err(refused(field, format!("{:?} is not a list such as 0-3,8", cut(list))));
        }
    }
    Ok(())
}

fn block_io(block_io: &BlockIo) -> Result<()> {
    let weigh = |field: &str, weight: Option<u16>| match set(weight) {
        Some(weight) if !(10..=1000).contains(&weight) => {
            Err(refused(field, format!("{weight} is not between 10 and 1000")))
        }
        _ => Ok(()),
    };
    let number = |field: &str, major: i64, minor: i64| match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(_), Ok(_)) => Ok(()),
        _ => Err(refused(field, format!("{major}:{minor} is not a device"))),
    };
    weigh("blockIO.weight", block_io.weight)?;
    weigh("blockIO.leafWeight", block_io.leaf_weight)?;
    for one in &block_io.weight_device {
        number("blockIO.weightDevice", one.major, one.minor)?;
        weigh("blockIO.weightDevice.weight", one.weight)?;
        weigh("blockIO.weightDevice.leafWeight", one.leaf_weight)?;
    }
    let rates = [
        ("blockIO.throttleReadBpsDevice", &block_io.read_bps),
        ("blockIO.throttleWriteBpsDevice", &block_io.write_bps),
        ("blockIO.throttleReadIOPSDevice", &block_io.read_iops),
        ("blockIO.throttleWriteIOPSDevice", &block_io.write_iops),
    ];
    for (field, entries) in rates {
        for one in entries {
            number(field, one.major, one.minor)?;
        }
    }
    Ok(())
}

/// A power of two, as the kernel names its files: `hugetlb.2MB.max`.
fn is_page_size(size: &str) -> bool {
    let digits = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).unwrap_or_default();
    !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse::<u32>().is_ok_and(u32::is_power_of_two)
}

/// `controller.what`, a file of a controller and no path; the files of the cgroup itself are the runtime's.
fn unified(key: &str, value: &str) -> Result<()> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let field = format!("unified: {:?}", cut(key));
    let Some((controller, _)) = key.split_once('.').filter(|(controller, rest)| {
        !controller.is_empty() && !rest.is_empty() && key.len() <= 255 && key.bytes().all(sound)
    }) else {
        return Err(refused(&field, "not the name of a file such as memory.high"));
    };
    // How deep and how wide the container may nest is a limit like any other.
    let own_limit = ["cgroup.max.depth", "cgroup.max.descendants"].contains(&key);
    if controller == "cgroup" && !own_limit {
        return Err(refused(&field, "a file of the cgroup itself, not of a controller"));
    }
    if value.contains('\0') || value.lines().all(|line| line.trim().is_empty()) || value.len() > LONGEST_VALUE
    {
        return Err(refused(&field, format!("{:?} is not a value", cut(value))));
    }
    Ok(())
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 255
        && word.bytes().all(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
        && !word.contains(char::is_whitespace)
}

/// Enough to know it by.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
