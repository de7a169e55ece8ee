//! Where a container's cgroup goes, and what to do where none can be had.

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::wish::Wish;
use cgroup::{Cgroup, Delegation, Layout, Scope};

/// Where a container's cgroup goes, and which of its limits hold there.
#[derive(Debug)]
pub struct Placed {
    /// None where there can be none.
    pub cgroup: Option<Cgroup>,
    /// What a person should know: some limit does not hold, and what to do about it.
    pub warning: Option<String>,
    /// The wish without the limits that do not hold.
    pub wish: Wish,
}

/// Decides the place. As root a limit that cannot hold is an error, later; without root it is a warning.
pub fn place(id: &str, rootless: bool, wish: &Wish) -> Result<Placed> {
    let layout = match Layout::detect() {
        // No cgroups at all. Any other error says nothing of them.
        Err(error) if rootless && error.kind == cgroup::Kind::Unsupported => {
            return Ok(without_any(wish, &error.to_string()));
        }
        other => other.map_err(of_cgroup)?,
    };
    let scope = match rootless {
        false => Scope::Root,
        true => match cgroup::delegated(&layout) {
            Some(given) => Scope::Delegated(given),
            None => return Ok(without_any(wish, not_delegated(&layout))),
        },
    };
    let (mut warning, mut enforced) = (None, wish.clone());
    if let Scope::Delegated(given) = &scope {
        let (here, absent): (Vec<&str>, Vec<&str>) = needed(wish)
            .into_iter()
            .partition(|controller| given.controllers.iter().any(|one| one == controller));
        if !absent.is_empty() {
            warning = Some(format!(
                "limits are not enforced: {} not delegated to this user (as root: systemctl edit user@.service, \
                 [Service] Delegate=cpu cpuset io memory pids)",
                absent.join(", ")
            ));
            enforced = without(wish, &absent);
        }
        if !here.is_empty() {
            given.make_room(&layout).map_err(of_cgroup)?;
        }
    }
    let cgroup = Cgroup::plan(&layout, &path(wish, id), &scope).map_err(of_cgroup)?;
    Ok(Placed { cgroup: Some(cgroup), warning, wish: enforced })
}

/// Where a container's cgroup is in that of whoever makes it.
fn path(wish: &Wish, id: &str) -> String {
    let parent = wish.limits.cgroup_parent.as_deref().unwrap_or("/devoxx").trim_end_matches('/');
    format!("/{}/{id}", parent.trim_start_matches('/'))
}

/// Before a container that runs gets limits which it did not have from the start: the cgroup that was given to its user has to hand the
/// controllers down, and does not as long as processes are right in it.
pub fn make_room(cgroup: &Cgroup, wish: &Wish, id: &str) -> Result<()> {
    let given = cgroup.name.strip_suffix(&path(wish, id)).filter(|name| !name.is_empty());
    let (Some(name), false) = (given, needed(wish).is_empty()) else { return Ok(()) };
    let given = Delegation { name: name.to_owned(), controllers: Vec::new() };
    given.make_room(&Layout::detect().map_err(of_cgroup)?).map_err(of_cgroup)
}

/// Why an ordinary user was given no cgroup.
fn not_delegated(layout: &Layout) -> &'static str {
    match layout {
        Layout::Unified { .. } => {
            "no cgroup is delegated to this user (run it under: systemd-run --user --scope -p Delegate=yes)"
        }
        Layout::Legacy { .. } => {
            "without root they need cgroup v2 (boot with systemd.unified_cgroup_hierarchy=1)"
        }
    }
}

/// Without root and without a cgroup that was given to us.
fn without_any(wish: &Wish, why: &str) -> Placed {
    let warning = (!needed(wish).is_empty()).then(|| format!("limits are not enforced: {why}"));
    Placed { cgroup: None, warning, wish: without(wish, &CONTROLLERS) }
}

/// Those that limits need.
const CONTROLLERS: [&str; 5] = ["memory", "cpu", "cpuset", "pids", "io"];

/// The controllers that the limits of a wish need.
fn needed(wish: &Wish) -> Vec<&'static str> {
    let limits = &wish.limits;
    let asked = [
        wish.memory.is_some_and(|bytes| bytes > 0)
            || wish.memory_swap.is_some_and(|bytes| bytes != 0)
            || limits.memory_reservation.is_some()
            || limits.memory_swappiness.is_some()
            || limits.oom_kill_disable,
        wish.milli_cpus.is_some()
            || wish.cpu_shares.is_some()
            || limits.cpu_period.is_some()
            || limits.cpu_quota.is_some(),
        wish.cpuset_cpus.is_some() || limits.cpuset_mems.is_some(),
        wish.pids_limit.is_some_and(|limit| limit > 0),
        limits.blkio_weight.is_some()
            || !limits.blkio_weight_devices.is_empty()
            || !limits.throttles.is_empty(),
    ];
    CONTROLLERS.into_iter().zip(asked).filter_map(|(name, asked)| asked.then_some(name)).collect()
}

fn without(wish: &Wish, controllers: &[&str]) -> Wish {
    let mut wish = wish.clone();
    for controller in controllers {
        let limits = &mut wish.limits;
        match *controller {
            "memory" => {
                (wish.memory, wish.memory_swap) = (None, None);
                (limits.memory_reservation, limits.memory_swappiness) = (None, None);
                limits.oom_kill_disable = false;
            }
            "cpu" => {
                (wish.milli_cpus, wish.cpu_shares) = (None, None);
                (limits.cpu_period, limits.cpu_quota) = (None, None);
            }
            "cpuset" => (wish.cpuset_cpus, limits.cpuset_mems) = (None, None),
            "io" => {
                limits.blkio_weight = None;
                limits.blkio_weight_devices.clear();
                limits.throttles.clear();
            }
            _ => wish.pids_limit = None,
        }
    }
    wish
}

/// Checks limits that have no meaning, before anything is made.
pub fn check(wish: &Wish) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(Kind::Usage, message.to_owned()));
    if wish.memory.is_some_and(|bytes| bytes > 0 && bytes < 6 << 20) {
        return wrong("--memory: the minimum is 6m");
    }
    let limits = &wish.limits;
    if wish.milli_cpus.is_some() && (limits.cpu_period.is_some() || limits.cpu_quota.is_some()) {
        return wrong("--cpus says what --cpu-period and --cpu-quota say: give one or the other");
    }
    if let (Some(memory), Some(reserved)) = (wish.memory, limits.memory_reservation)
        && memory > 0
        && reserved > memory
    {
        return wrong("--memory-reservation cannot be above --memory");
    }
    match (wish.memory, wish.memory_swap) {
        (None | Some(0), Some(swap)) if swap > 0 => return wrong("--memory-swap needs --memory"),
        (Some(memory), Some(swap)) if swap > 0 && (swap as u64) < memory => {
            return wrong("--memory-swap is memory and swap together: it cannot be below --memory");
        }
        _ => {}
    }
    Ok(())
}
