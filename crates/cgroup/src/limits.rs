//! The limits of a container, and what they are called in the control files. Pure: limits in, writes out.

mod check;
mod v1;
mod v2;

pub(crate) use v2::weight;

use crate::device::DeviceRule;
use crate::place::Version;
use crate::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The limits of a container (config-linux.md, "Control groups"). `None` leaves a file alone, and so does 0 where the
/// kernel has no use for it: of `memory.limit`, `memory.reservation`, `memory.swap`, `cpu.shares`, `cpu.quota`,
/// `cpu.period` and of weights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory and swap.
    pub memory: Memory,
    /// Processor time, and which processors.
    pub cpu: Cpu,
    /// Number of tasks; negative is unlimited.
    pub pids: Option<i64>,
    /// Reads and writes of block devices.
    pub block_io: BlockIo,
    /// Huge pages, by their size.
    pub hugepages: Vec<HugepageLimit>,
    /// How the packets of the processes are marked.
    pub network: Network,
    /// Remote DMA, by device.
    pub rdma: Vec<RdmaLimit>,
    /// Files of cgroup v2 by name, and what is written into them.
    pub unified: BTreeMap<String, String>,
    /// Devices, as a list of rules after "none". Empty leaves them alone.
    pub devices: Vec<DeviceRule>,
}

/// Limits of memory, in bytes; -1 is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Most that is used.
    pub limit: Option<i64>,
    /// What is reclaimed last.
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    /// Kernel memory: accepted, and not limited by any kernel since 5.16.
    pub kernel: Option<i64>,
    /// Buffers of TCP: accepted, and not limited.
    pub kernel_tcp: Option<i64>,
    /// How readily anonymous pages are swapped, 0 to 100.
    pub swappiness: Option<u64>,
    /// Processes wait for memory instead of being killed.
    pub disable_oom_killer: bool,
    /// Whether cgroups beneath are accounted for; always so.
    pub use_hierarchy: Option<bool>,
    /// Refuses a limit that is below what is used.
    pub check_before_update: bool,
}

/// Limits of the processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Relative weight, 2 to 262144, 1024 by default.
    pub shares: Option<u64>,
    /// Microseconds of processor time in each period; negative is unlimited.
    pub quota: Option<i64>,
    /// Microseconds that may be saved up and used beyond the quota.
    pub burst: Option<u64>,
    /// Length of a period in microseconds.
    pub period: Option<u64>,
    /// Microseconds for real-time processes in each of their periods; -1 is unlimited.
    pub realtime_runtime: Option<i64>,
    /// Length of a period of real-time processes in microseconds.
    pub realtime_period: Option<u64>,
    /// Processors, such as `0-3,8`.
    pub cpus: Option<String>,
    /// Memory nodes, such as `0,1`.
    pub mems: Option<String>,
    /// 1: runs only where nothing else wants to; 0 does not.
    pub idle: Option<i64>,
}

/// Limits of block devices. Of entries for one device the last one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockIo {
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Relative weight against cgroups beneath.
    pub leaf_weight: Option<u16>,
    /// Weights on single devices.
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes read in a second.
    pub read_bps: Vec<DeviceRate>,
    /// Bytes written in a second.
    pub write_bps: Vec<DeviceRate>,
    /// Reads in a second.
    pub read_iops: Vec<DeviceRate>,
    /// Writes in a second.
    pub write_iops: Vec<DeviceRate>,
}

/// Weight on one block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Relative weight against cgroups beneath.
    pub leaf_weight: Option<u16>,
}

/// Most of one block device; 0 is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Bytes or operations in a second.
    pub rate: u64,
}

/// Most of huge pages of one size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugepageLimit {
    /// Size of a page as the kernel writes it: `64KB`, `2MB`, `1GB`.
    pub page_size: String,
    /// Bytes.
    pub limit: i64,
}

/// How packets are marked; cgroup v1 alone has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Class for tc(8) and the firewall.
    pub class_id: Option<u32>,
    /// Priority of traffic by interface.
    pub priorities: Vec<(String, u32)>,
}

/// Most of one RDMA device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmaLimit {
    /// Name of the device.
    pub device: String,
    /// Handles.
    pub handles: Option<u32>,
    /// Objects.
    pub objects: Option<u32>,
}

/// A setting that does not hold, and why: nothing that confines a container is left out without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its name beneath `linux.resources`: `memory.kernel`.
    pub field: String,
    /// Why it does not hold.
    pub why: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux.resources.{} is ignored: {}", self.field, self.why)
    }
}

/// One write to a control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its name beneath `linux.resources`.
    pub(crate) what: Cow<'static, str>,
    /// The file.
    pub(crate) file: Cow<'static, str>,
    /// What is written into it.
    pub(crate) value: String,
    /// A file that takes its place where it is missing, and the value there.
    pub(crate) instead: Option<(Cow<'static, str>, String)>,
    /// Whether a missing file is no failure: what it would say holds anyway.
    pub(crate) optional: bool,
}

impl Setting {
    fn new(what: &'static str, file: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        let (what, file) = (Cow::Borrowed(what), file.into());
        Self { what, file, value: value.to_string(), instead: None, optional: false }
    }

    fn optional(self, optional: bool) -> Self {
        Self { optional, ..self }
    }

    fn or(self, file: &'static str, value: impl ToString) -> Self {
        Self { instead: Some((Cow::Borrowed(file), value.to_string())), ..self }
    }

    /// The controller: all its files begin with it.
    pub(crate) fn controller(&self) -> &str {
        self.file.split('.').next().unwrap_or_default()
    }
}

/// Writes that belong together. What the kernel refuses because of what stands in a file of another one is written
/// after that other one.
pub(crate) type Batch = Vec<Setting>;

/// What limits come to on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Writes {
    /// In this order.
    pub(crate) batches: Vec<Batch>,
    /// What does not hold.
    pub(crate) warnings: Vec<Warning>,
}

impl Writes {
    fn add(&mut self, setting: Setting) {
        self.batches.push(vec![setting]);
    }

    fn add_batch(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.batches.push(batch);
        }
    }

    fn warn(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.warnings.push(Warning { field: field.into(), why: why.into() });
    }
}

/// The controllers that limits are set with, by their names in v1; `unified` stands for all of v2.
pub(crate) const CONTROLLERS: [&str; 10] =
    ["memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma", "unified"];

impl Limits {
    /// Whether nothing is limited but devices: a container that may go without a cgroup where none can be made.
    pub fn is_empty(&self) -> bool {
        *self == Self { devices: self.devices.clone(), ..Self::default() }
    }

    /// Refuses values that no host takes, by the name of their field. Nothing of the host is asked.
    pub fn check(&self) -> Result<()> {
        check::all(self)
    }

    /// The writes that set the limits of one controller, of limits that were checked.
    pub(crate) fn settings(&self, controller: &str, version: Version) -> Result<Writes> {
        let mut writes = Writes::default();
        match version {
            Version::V1 => v1::settings(self, controller, &mut writes)?,
            Version::V2 => v2::settings(self, controller, &mut writes)?,
        }
        Ok(writes)
    }

    fn cpuset(&self, writes: &mut Writes) {
        let cpus = ("cpu.cpus", "cpuset.cpus", &self.cpu.cpus);
        let mems = ("cpu.mems", "cpuset.mems", &self.cpu.mems);
        for (what, file, list) in [cpus, mems] {
            if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
                writes.add(Setting::new(what, file, list));
            }
        }
    }

    fn pids(&self, writes: &mut Writes) {
        if let Some(limit) = self.pids {
            // The first process is born into the cgroup, so 1 is the least: like 0 it forbids every other.
            let value = if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() };
            writes.add(Setting::new("pids.limit", "pids.max", value));
        }
    }

    fn rdma(&self, writes: &mut Writes) {
        for one in &self.rdma {
            let handles = one.handles.map(|number| format!(" hca_handle={number}")).unwrap_or_default();
            let objects = one.objects.map(|number| format!(" hca_object={number}")).unwrap_or_default();
            if !handles.is_empty() || !objects.is_empty() {
                writes.add(Setting::new("rdma", "rdma.max", format!("{}{handles}{objects}", one.device)));
            }
        }
    }

    /// Shares and idleness: an idle cgroup has no weight, and one that is idle no longer has the default first.
    fn weigh(&self, file: &'static str, weight: Option<String>, writes: &mut Writes) {
        let idle = self.cpu.idle.map(|idle| Setting::new("cpu.idle", "cpu.idle", idle).optional(idle == 0));
        writes.add_batch(idle.into_iter().collect());
        if let Some(weight) = weight.filter(|_| self.cpu.idle != Some(1)) {
            writes.add(Setting::new("cpu.shares", file, weight));
        }
    }

    /// What every host ignores.
    fn warn_of_memory(&self, writes: &mut Writes) {
        if self.memory.kernel.is_some_and(|bytes| bytes > 0) {
            writes.warn("memory.kernel", "the kernel counts its own memory as memory of the cgroup");
        }
        if self.memory.kernel_tcp.is_some_and(|bytes| bytes > 0) {
            writes.warn("memory.kernelTCP", "the kernel counts buffers of TCP as memory of the cgroup");
        }
        if self.memory.use_hierarchy == Some(false) {
            writes.warn("memory.useHierarchy", "cgroups beneath are always accounted for");
        }
    }
}

/// A number that is set: 0 stands for "not set".
fn set<T: Default + PartialEq>(number: Option<T>) -> Option<T> {
    number.filter(|number| *number != T::default())
}

/// The last entry of each device, in the order of the first ones.
fn last_of_each<T: Copy>(entries: &[T], device: impl Fn(&T) -> (i64, i64)) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for entry in entries {
        match kept.iter_mut().find(|one| device(one) == device(entry)) {
            Some(one) => *one = *entry,
            None => kept.push(*entry),
        }
    }
    kept
}

fn refused(field: &str, why: impl fmt::Display) -> Error {
    Error::new(Kind::Refused, format!("linux.resources.{field}: {why}"))
}

#[cfg(test)]
mod tests;
