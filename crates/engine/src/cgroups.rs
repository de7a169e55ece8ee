//! Where a container's cgroup goes, and what to do where none can be had.

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::wish::Wish;
use cgroup::{Cgroup, Delegation, Layout, Scope};

/// The place of a container's cgroup, or why there is none: rootless without delegation is a warning.
pub fn place(id: &str, rootless: bool, wish: &Wish) -> Result<(Option<Cgroup>, Option<String>)> {
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(_) if rootless => return Ok((None, limits_asked(wish).then(warning))),
        Err(error) => return Err(of_cgroup(error)),
    };
    let scope = if rootless {
        match cgroup::delegated(&layout) {
            Some(Delegation { name, controllers }) if controllers.iter().any(|one| one == "memory") => {
                Scope::Delegated(Delegation { name, controllers })
            }
            _ => return Ok((None, limits_asked(wish).then(warning))),
        }
    } else {
        Scope::Root
    };
    Cgroup::plan(&layout, &format!("/devoxx/{id}"), &scope)
        .map(|cgroup| (Some(cgroup), None))
        .map_err(of_cgroup)
}

fn limits_asked(wish: &Wish) -> bool {
    wish.memory.is_some()
        || wish.memory_swap.is_some()
        || wish.milli_cpus.is_some()
        || wish.cpu_shares.is_some()
        || wish.cpuset_cpus.is_some()
        || wish.pids_limit.is_some_and(|limit| limit > 0)
}

fn warning() -> String {
    "limits are not enforced: no cgroup is delegated to this user (run it under: systemd-run --user --scope -p Delegate=yes)".to_owned()
}

/// Checks limits that have no meaning, before anything is made.
pub fn check(wish: &Wish) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(Kind::Usage, message.to_owned()));
    if wish.memory.is_some_and(|bytes| bytes > 0 && bytes < 6 << 20) {
        return wrong("--memory: the minimum is 6m");
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
