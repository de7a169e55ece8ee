//! `update`: other limits and another restart policy for a container that there is, at once and for each start to come.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::life::Status;
use crate::paths::Paths;
use crate::record::{self, Listed};
use crate::wish::{Restart, Wish};
use crate::{bundle, cgroups, events};
use runtime::update::Change;

/// What is to be changed; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// `--memory`, in bytes.
    pub memory: Option<u64>,
    /// `--memory-swap`, in bytes; -1 for no limit.
    pub memory_swap: Option<i64>,
    /// `--memory-reservation`, in bytes.
    pub memory_reservation: Option<u64>,
    /// `--cpus`, in thousandths.
    pub milli_cpus: Option<u64>,
    /// `--cpu-shares`.
    pub cpu_shares: Option<u64>,
    /// `--cpu-period`, in microseconds.
    pub cpu_period: Option<u64>,
    /// `--cpu-quota`, in microseconds; -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// `--cpuset-cpus`.
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`.
    pub cpuset_mems: Option<String>,
    /// `--blkio-weight`.
    pub blkio_weight: Option<u16>,
    /// `--pids-limit`; -1 for none.
    pub pids_limit: Option<i64>,
    /// `--restart`.
    pub restart: Option<Restart>,
}

impl Changes {
    fn apply(&self, wish: &mut Wish) {
        fn set<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
            if from.is_some() {
                to.clone_from(from);
            }
        }
        set(&mut wish.memory, &self.memory);
        set(&mut wish.memory_swap, &self.memory_swap);
        set(&mut wish.milli_cpus, &self.milli_cpus);
        set(&mut wish.cpu_shares, &self.cpu_shares);
        set(&mut wish.cpuset_cpus, &self.cpuset_cpus);
        set(&mut wish.pids_limit, &self.pids_limit);
        set(&mut wish.limits.memory_reservation, &self.memory_reservation);
        set(&mut wish.limits.cpu_period, &self.cpu_period);
        set(&mut wish.limits.cpu_quota, &self.cpu_quota);
        set(&mut wish.limits.cpuset_mems, &self.cpuset_mems);
        set(&mut wish.limits.blkio_weight, &self.blkio_weight);
        wish.restart = self.restart.unwrap_or(wish.restart);
    }

    /// Only what changes, as the specification has it: what was asked for once may not hold on this host.
    fn resources(&self, wish: &Wish) -> serde_json::Value {
        let mut only = wish.clone();
        if self.memory.is_none() && self.memory_swap.is_none() {
            (only.memory, only.memory_swap) = (None, None);
        }
        if self.memory_reservation.is_none() {
            only.limits.memory_reservation = None;
        }
        (only.limits.memory_swappiness, only.limits.oom_kill_disable) = (None, false);
        if self.milli_cpus.is_none() {
            only.milli_cpus = None;
        }
        if self.cpu_shares.is_none() {
            only.cpu_shares = None;
        }
        if self.cpu_period.is_none() && self.cpu_quota.is_none() {
            (only.limits.cpu_period, only.limits.cpu_quota) = (None, None);
        }
        if self.cpuset_cpus.is_none() {
            only.cpuset_cpus = None;
        }
        if self.cpuset_mems.is_none() {
            only.limits.cpuset_mems = None;
        }
        if self.pids_limit.is_none() {
            only.pids_limit = None;
        }
        let mut resources = bundle::limits(&only);
        if let Some(weight) = self.blkio_weight {
            resources["blockIO"] = serde_json::json!({"weight": weight});
        }
        if self.pids_limit.is_some_and(|limit| limit <= 0) {
            resources["pids"] = serde_json::json!({"limit": -1});
        }
        resources
    }
}

/// Changes a container; warnings are what of it has no effect.
pub fn update(paths: &Paths, wanted: &str, changes: &Changes) -> Result<Vec<String>> {
    let _lock = record::hold(paths, &record::find(paths, wanted)?)?;
    let Listed { mut record, status, .. } = record::get(paths, wanted)?;
    changes.apply(&mut record.wish);
    if record.wish.remove && record.wish.restart != Restart::No {
        return Err(Error::new(Kind::Usage, "--restart contradicts the --rm of the container"));
    }
    cgroups::check(&record.wish)?;
    let resources = changes.resources(&record.wish);
    let mut warnings = Vec::new();
    let limits = resources.as_object().is_some_and(|all| !all.is_empty());
    if limits && matches!(status, Status::Running | Status::Paused) {
        let state = runtime::state::read(&paths.states(), &record.id).map_err(of_runtime)?;
        if let Some(cgroup) = &state.cgroup {
            cgroups::make_room(cgroup, &record.wish, &record.id)?;
        }
        let change = Change { resources, ..Change::default() };
        warnings = runtime::update::update(&paths.states(), &record.id, &change)
            .map_err(of_runtime)
            .map_err(|error| error.within(format!("update {wanted}")))?;
    }
    record::write(paths, &record)?;
    events::of_container(paths, &record, "update", &[]);
    Ok(warnings)
}
