//! Limits as cgroup v1 has them (Documentation/admin-guide/cgroup-v1).

use super::{Batch, DeviceRule, Limits, Setting, one, pids, set};
use crate::{Error, Kind, Result};

pub(super) fn settings(limits: &Limits, controller: &str) -> Result<Vec<Batch>> {
    match controller {
        "memory" => memory(limits),
        "cpu" => Ok(cpu(limits)),
        "cpuset" => limits.cpuset(),
        "pids" => Ok(pids(limits)),
        "devices" => devices(&limits.devices),
        _ => Ok(Vec::new()),
    }
}

fn memory(limits: &Limits) -> Result<Vec<Batch>> {
    let mut batch = Vec::new();
    if let Some(bytes) = set(limits.memory) {
        batch.push(Setting { what: "memory limit", file: "memory.limit_in_bytes", value: bytes.to_string() });
    }
    // The kernel keeps memory at or below memory+swap at every moment, so one of the two orders works.
    if let Some(total) = limits.swap_total()? {
        let value = total.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        batch.push(Setting { what: "memory+swap limit", file: "memory.memsw.limit_in_bytes", value });
    }
    let mut all = if batch.is_empty() { Vec::new() } else { vec![batch] };
    all.extend(
        set(limits.memory_reservation).map(|b| one("memory reservation", "memory.soft_limit_in_bytes", b)),
    );
    Ok(all)
}

fn cpu(limits: &Limits) -> Vec<Batch> {
    let mut all = Vec::new();
    all.extend(set(limits.cpu_shares).map(|shares| one("cpu shares", "cpu.shares", shares)));
    // A new period with the old quota may be more than the parent has, so the quota may have to go first.
    let mut batch = Vec::new();
    if let Some(period) = set(limits.cpu_period_us) {
        batch.push(Setting { what: "cpu period", file: "cpu.cfs_period_us", value: period.to_string() });
    }
    if let Some(quota) = limits.cpu_quota_us.filter(|quota| *quota != 0) {
        batch.push(Setting { what: "cpu quota", file: "cpu.cfs_quota_us", value: quota.max(-1).to_string() });
    }
    all.extend((!batch.is_empty()).then_some(batch));
    all
}

/// Nothing first, then rule by rule: what no rule names is denied.
fn devices(rules: &[DeviceRule]) -> Result<Vec<Batch>> {
    let mut all = Vec::new();
    if !rules.is_empty() {
        all.push(one("device rules", "devices.deny", "a"));
    }
    for rule in rules {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        all.push(one("device rule", file, device(rule)?));
    }
    Ok(all)
}

/// A rule as devices.rst has it: `c 1:3 rwm`.
fn device(rule: &DeviceRule) -> Result<String> {
    let refused = |why: String| Err(Error::new(Kind::Refused, format!("set device rule: {why}")));
    let kind = match rule.kind {
        // All kinds: the kernel reads no numbers after it.
        'a' if rule.major.is_none() && rule.minor.is_none() => 'a',
        'a' => return refused("kind a takes no numbers".to_owned()),
        'b' => 'b',
        'c' | 'u' => 'c',
        other => return refused(format!("{other:?} is not one of the kinds a, b, c and u")),
    };
    if rule.access.is_empty() || !rule.access.chars().all(|letter| "rwm".contains(letter)) {
        return refused(format!("access {:?} is not made of the letters r, w and m", rule.access));
    }
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok("*".to_owned()),
        Some(number) => u32::try_from(number).map(|number| number.to_string()).map_err(|_| {
            Error::new(Kind::Refused, format!("set device rule: {number} is not a device number"))
        }),
    };
    Ok(format!("{kind} {}:{} {}", number(rule.major)?, number(rule.minor)?, rule.access))
}

#[cfg(test)]
mod tests {
    use crate::limits::tests::shown;
    use crate::{DeviceRule, Limits, Version};

    fn rule(allow: bool, kind: char, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access: access.to_owned() }
    }

    #[test]
    fn writes_of_v1() {
        fn check(limits: &Limits, expected: &str) {
            assert_eq!(shown(limits, Version::V1), expected, "{limits:?}");
        }
        let none = Limits::default;
        check(&none(), "");
        check(&Limits { memory: Some(0), memory_swap: Some(0), cpu_quota_us: Some(0), ..none() }, "");
        check(&Limits { memory: Some(1 << 26), ..none() }, "memory.limit_in_bytes=67108864");
        check(
            &Limits { memory: Some(10), memory_swap: Some(20), memory_reservation: Some(5), ..none() },
            "memory.limit_in_bytes=10; memory.memsw.limit_in_bytes=20\nmemory.soft_limit_in_bytes=5",
        );
        check(&Limits { memory_swap: Some(-1), ..none() }, "memory.memsw.limit_in_bytes=-1");
        check(
            &Limits { memory: Some(10), memory_swap: Some(9), ..none() },
            "Refused: set memory+swap limit: 9 bytes are less than the memory limit of 10",
        );
        check(
            &Limits {
                cpu_shares: Some(512),
                cpu_quota_us: Some(50_000),
                cpu_period_us: Some(100_000),
                ..none()
            },
            "cpu.shares=512\ncpu.cfs_period_us=100000; cpu.cfs_quota_us=50000",
        );
        check(&Limits { cpu_quota_us: Some(-7), ..none() }, "cpu.cfs_quota_us=-1");
        check(
            &Limits { cpuset_cpus: Some("0-1".into()), cpuset_mems: Some("0".into()), ..none() },
            "cpuset.cpus=0-1\ncpuset.mems=0",
        );
        check(&Limits { pids: Some(7), ..none() }, "pids.max=7");
        check(&Limits { pids: Some(-1), ..none() }, "pids.max=max");
        let devices = vec![
            rule(true, 'c', Some(1), Some(3), "rwm"),
            rule(true, 'u', None, Some(-1), "m"),
            rule(false, 'b', Some(8), None, "w"),
            rule(true, 'a', None, None, "rwm"),
        ];
        check(
            &Limits { devices, ..none() },
            "devices.deny=a\ndevices.allow=c 1:3 rwm\ndevices.allow=c *:* m\ndevices.deny=b 8:* w\n\
             devices.allow=a *:* rwm",
        );
        for (bad, why) in [
            (rule(true, 'x', None, None, "r"), "'x' is not one of the kinds a, b, c and u"),
            (rule(true, 'a', Some(1), None, "r"), "kind a takes no numbers"),
            (rule(true, 'c', Some(-2), None, "r"), "-2 is not a device number"),
            (rule(true, 'c', Some(1), None, "rx"), "access \"rx\" is not made of the letters r, w and m"),
            (rule(true, 'c', Some(1), None, ""), "access \"\" is not made of the letters r, w and m"),
        ] {
            check(&Limits { devices: vec![bad], ..none() }, &format!("Refused: set device rule: {why}"));
        }
    }
}
