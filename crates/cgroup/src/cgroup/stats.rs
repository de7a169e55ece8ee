//! Statistics of a cgroup, each from the hierarchy that keeps it.

use super::Cgroup;
use crate::place::Version;
use crate::stats::{Files, PidsStats, Stats};
use crate::{Error, Kind, Result};
use sys::Context;

impl Cgroup {
    /// What the processes of the cgroup and beneath use and have used.
    pub fn stats(&self) -> Result<Stats> {
        self.read_stats().within(|| format!("read the statistics of cgroup {}", self.name))
    }

    fn read_stats(&self) -> Result<Stats> {
        if self.places.is_empty() {
            return Err(Error::new(Kind::Unsupported, "it is in no hierarchy"));
        }
        let mut stats = Stats::default();
        if let Some((version, files)) = self.files("cpu")? {
            stats.cpu.throttling = match version {
                Version::V1 => files.throttling_v1()?,
                Version::V2 => files.throttling_v2()?,
            };
            if version == Version::V2 {
                stats.cpu.psi = files.pressure("cpu.pressure")?;
            }
        }
        if let Some((version, files)) = self.files("cpuacct")? {
            stats.cpu.usage = match version {
                Version::V1 => files.cpu_usage_v1()?,
                Version::V2 => files.cpu_usage_v2()?,
            };
        }
        if let Some((Version::V1, files)) = self.files("cpuset")? {
            stats.cpuset = files.cpuset_v1()?;
        }
        if let Some((version, files)) = self.files("memory")? {
            stats.memory = match version {
                Version::V1 => files.memory_v1()?,
                Version::V2 => files.memory_v2()?,
            };
        }
        if let Some((_, files)) = self.files("pids")? {
            stats.pids = match files.pids()? {
                Some(pids) => pids,
                None => PidsStats { current: self.processes()?.len() as u64, limit: 0 },
            };
        }
        if let Some((version, files)) = self.files("blkio")? {
            stats.blkio = match version {
                Version::V1 => files.blkio_v1()?,
                Version::V2 => files.blkio_v2()?,
            };
        }
        if let Some((version, files)) = self.files("hugetlb")? {
            stats.hugetlb = match version {
                Version::V1 => files.hugetlb("usage_in_bytes")?,
                Version::V2 => files.hugetlb("current")?,
            };
        }
        Ok(stats)
    }

    fn files(&self, controller: &str) -> Result<Option<(Version, Files)>> {
        let Some(place) = self.place_of(controller) else { return Ok(None) };
        let files = Files { dir: self.open(place)?, path: place.path(&self.name) };
        Ok(Some((place.version, files)))
    }
}
