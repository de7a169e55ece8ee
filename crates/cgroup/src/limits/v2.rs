//! Limits as cgroup v2 has them (Documentation/admin-guide/cgroup-v2.rst); the OCI says them in the terms of v1.

use super::{Batch, Limits, one, pids, set};
use crate::Result;

/// The period that the kernel has when none is set.
const PERIOD_US: u64 = 100_000;

/// `devices` has no files on v2: the caller asks [`crate::Cgroup::enforces_devices`].
pub(super) fn settings(limits: &Limits, controller: &str) -> Result<Vec<Batch>> {
    match controller {
        "memory" => memory(limits),
        "cpu" => Ok(cpu(limits)),
        "cpuset" => limits.cpuset(),
        "pids" => Ok(pids(limits)),
        _ => Ok(Vec::new()),
    }
}

fn memory(limits: &Limits) -> Result<Vec<Batch>> {
    let memory = set(limits.memory);
    let mut all = Vec::new();
    // Swap first: between the two writes the memory limit must not push out more than the swap limit allows.
    if let Some(total) = limits.swap_total()? {
        // v1 counts memory and swap together, v2 counts swap alone; `swap_total` saw that it is no less than memory.
        let swap = total.map(|total| total.saturating_sub(memory.unwrap_or(0)));
        let value = swap.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        all.push(one("swap limit", "memory.swap.max", value));
    }
    all.extend(memory.map(|bytes| one("memory limit", "memory.max", bytes)));
    all.extend(set(limits.memory_reservation).map(|bytes| one("memory reservation", "memory.low", bytes)));
    Ok(all)
}

fn cpu(limits: &Limits) -> Vec<Batch> {
    let mut all = Vec::new();
    all.extend(set(limits.cpu_shares).map(|shares| one("cpu shares", "cpu.weight", weight(shares))));
    let quota = limits.cpu_quota_us.filter(|quota| *quota != 0);
    let period = set(limits.cpu_period_us);
    if quota.is_some() || period.is_some() {
        let quota =
            quota.filter(|quota| *quota > 0).map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        all.push(one("cpu quota", "cpu.max", format!("{quota} {}", period.unwrap_or(PERIOD_US))));
    }
    all
}

/// Shares of v1 (2 to 262144, 1024 by default) as a weight of v2 (1 to 10000, 100 by default), by the curve that
/// runc and crun have: it meets both ends and both defaults.
fn weight(shares: u64) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::weight;
    use crate::limits::tests::shown;
    use crate::{Limits, Version};
    use proptest::prelude::*;

    #[test]
    fn writes_of_v2() {
        fn check(limits: &Limits, expected: &str) {
            assert_eq!(shown(limits, Version::V2), expected, "{limits:?}");
        }
        let none = Limits::default;
        check(&none(), "");
        check(&Limits { memory: Some(1 << 26), ..none() }, "memory.max=67108864");
        check(
            &Limits { memory: Some(10), memory_swap: Some(25), memory_reservation: Some(5), ..none() },
            "memory.swap.max=15\nmemory.max=10\nmemory.low=5",
        );
        check(
            &Limits { memory: Some(10), memory_swap: Some(10), ..none() },
            "memory.swap.max=0\nmemory.max=10",
        );
        check(
            &Limits { memory: Some(10), memory_swap: Some(-1), ..none() },
            "memory.swap.max=max\nmemory.max=10",
        );
        check(
            &Limits { memory_swap: Some(10), ..none() },
            "Refused: set memory+swap limit: 10 bytes need a memory limit beside them",
        );
        check(
            &Limits { memory_swap: Some(-2), ..none() },
            "Refused: set memory+swap limit: -2 is neither a size nor -1",
        );
        check(&Limits { cpu_quota_us: Some(50_000), ..none() }, "cpu.max=50000 100000");
        check(&Limits { cpu_period_us: Some(20_000), ..none() }, "cpu.max=max 20000");
        check(&Limits { cpu_quota_us: Some(-1), cpu_period_us: Some(5_000), ..none() }, "cpu.max=max 5000");
        check(&Limits { cpuset_cpus: Some("0-1,3".into()), ..none() }, "cpuset.cpus=0-1,3");
        check(
            &Limits { cpuset_cpus: Some("0\n1".into()), ..none() },
            "Refused: set processors: \"0\\n1\" is not a list such as 0-3,8",
        );
        check(&Limits { pids: Some(0), ..none() }, "pids.max=max");
    }

    #[test]
    fn shares_become_a_weight() {
        fn check(shares: u64, expected: u64) {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        check(1, 1);
        check(2, 1);
        check(1024, 100);
        check(262_144, 10_000);
        check(u64::MAX, 10_000);
    }

    proptest! {
        #[test]
        fn more_shares_never_weigh_less(shares in 0_u64..300_000) {
            prop_assert!(weight(shares) <= weight(shares + 1));
            prop_assert!((1..=10_000).contains(&weight(shares)));
        }

        #[test]
        fn swap_and_memory_add_up(memory in 1..i64::MAX as u64, more in 0_u64..1 << 40) {
            let total = memory.saturating_add(more).min(i64::MAX as u64);
            let limits = Limits { memory: Some(memory), memory_swap: Some(total as i64), ..Limits::default() };
            prop_assert_eq!(
                shown(&limits, Version::V2),
                format!("memory.swap.max={}\nmemory.max={memory}", total - memory)
            );
        }
    }
}
