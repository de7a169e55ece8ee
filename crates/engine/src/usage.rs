//! What a container uses now: from its cgroup and the counters of its network namespace.

use crate::error::{Result, of_cgroup, of_runtime};
use crate::paths::Paths;
use std::time::Instant;

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// When they were read.
    pub at: Instant,
    /// Processor time in nanoseconds, since its start.
    pub cpu: u64,
    /// Bytes of memory, without files that could be dropped.
    pub memory: u64,
    /// Bytes that it may have: its limit, or all of this machine.
    pub limit: u64,
    /// Bytes received and sent, without loopback.
    pub network: (u64, u64),
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Processes and threads.
    pub tasks: u64,
}

/// What a container uses; none when it does not run, or has no cgroup.
pub fn usage(paths: &Paths, id: &str) -> Result<Option<Usage>> {
    let Ok(state) = runtime::state::read(&paths.states(), id) else { return Ok(None) };
    let (Some(cgroup), Some(init)) = (&state.cgroup, state.init) else { return Ok(None) };
    if !init.is_alive().map_err(of_runtime)? {
        return Ok(None);
    }
    let at = Instant::now();
    let stats = match cgroup.stats().map_err(of_cgroup) {
        Ok(stats) => stats,
        // It ended meanwhile.
        Err(_) if !init.is_alive().map_err(of_runtime)? => return Ok(None),
        Err(error) => return Err(error),
    };
    // Dropped before anybody has to wait for memory; the name of v1 is that of a whole tree.
    let droppable =
        stats.memory.raw.get("total_inactive_file").or_else(|| stats.memory.raw.get("inactive_file"));
    let machine = rustix::system::sysinfo();
    let machine = machine.totalram.saturating_mul(u64::from(machine.mem_unit));
    let mut block = (0, 0);
    for entry in &stats.blkio.io_service_bytes_recursive {
        match entry.op.to_ascii_lowercase().as_str() {
            "read" => block.0 += entry.value,
            "write" => block.1 += entry.value,
            _ => {}
        }
    }
    Ok(Some(Usage {
        at,
        cpu: stats.cpu.usage.total,
        memory: stats.memory.usage.usage.saturating_sub(droppable.copied().unwrap_or(0)),
        limit: stats.memory.usage.limit.min(machine),
        network: network(init.pid),
        block,
        tasks: stats.pids.current,
    }))
}

/// Bytes received and sent in the network namespace of a process (proc_pid_net(5)).
fn network(pid: i32) -> (u64, u64) {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    counted(&table)
}

fn counted(table: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in table.lines().skip(2) {
        let Some((name, numbers)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let numbers: Vec<u64> =
            numbers.split_whitespace().map(|number| number.parse().unwrap_or(0)).collect();
        sum.0 += numbers.first().copied().unwrap_or(0);
        sum.1 += numbers.get(8).copied().unwrap_or(0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters() {
        let table = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        assert_eq!(counted(table), (11, 22));
        for garbage in ["", "a\nb\nc", "a\nb\neth0: x y\n", "a\nb\n:::\n"] {
            assert_eq!(counted(garbage), (0, 0), "{garbage:?}");
        }
    }
}
