//! Where the cgroup of a container goes, and what to do where none can be had (config-linux.md, "Cgroups Path").

use crate::error::{Error, Kind, Result, of_cgroup};
use crate::plan::Plan;
use cgroup::systemd::Unit;
use cgroup::{Cgroup, Layout, Limits, Scope};

/// Who makes cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manager {
    /// We, in the file system.
    #[default]
    Cgroupfs,
    /// systemd, as a transient unit.
    Systemd,
    /// Nobody: the container stays where its maker is.
    Disabled,
}

/// Decides on the place. Without root, and where none may be made, a container without limits goes without.
pub fn decide(plan: &Plan, manager: &Manager, warnings: &mut Vec<String>) -> Result<Option<Cgroup>> {
    // Also where none is made: a path that leads elsewhere is no word of who means well.
    if plan.cgroup.split('/').any(|part| part == "..") {
        let why =
            format!("linux.cgroupsPath: {:?} is not a path beneath the root of the cgroups", plan.cgroup);
        return Err(Error::new(Kind::Invalid, why));
    }
    if *manager == Manager::Disabled {
        return Ok(None);
    }
    let rootless = !rustix::process::geteuid().is_root();
    // Without root the nodes themselves are the rules: those that are bound can be opened, and no other.
    let devices = if rootless { plan.limits.devices.clone() } else { Vec::new() };
    let unlimited = plan.limits == Limits { devices, ..Limits::default() };
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) if unlimited => {
            warnings.push(format!("no cgroup: {error}"));
            return Ok(None);
        }
        Err(error) => return Err(of_cgroup(error)),
    };
    if *manager == Manager::Systemd {
        let unit = Unit::plan(&plan.cgroup, &plan.id, rootless, &plan.annotations).map_err(of_cgroup)?;
        // As crun does: what is beneath the unit's own cgroup, systemd leaves to the container alone. But not beneath a slice,
        // which is never delegated: it takes controllers away again that none of its own units needs.
        let delegated = matches!(layout, Layout::Unified { .. }) && !unit.is_slice();
        let default = if delegated { "container" } else { "" };
        let subgroup = plan.annotations.get("run.oci.systemd.subgroup").map_or(default, String::as_str);
        return Cgroup::plan_unit(&layout, unit, subgroup).map(Some).map_err(of_cgroup);
    }
    let scope = match (rootless, cgroup::delegated(&layout)) {
        (false, _) => Scope::Root,
        (true, Some(given)) => Scope::Delegated(given),
        (true, None) if unlimited => return Ok(None),
        (true, None) => {
            return Err(Error::new(
                Kind::Permission,
                "linux.resources: permission denied: no cgroup is delegated to this user",
            )
            .with_hint("run it under: systemd-run --user --scope -p Delegate=yes"));
        }
    };
    let cgroup = match scope {
        Scope::Root => Cgroup::plan_path(&layout, &plan.cgroup, &plan.id),
        Scope::Delegated(_) => {
            let name = match plan.cgroup.trim_start_matches('/') {
                "" => &plan.id,
                path => path,
            };
            Cgroup::plan(&layout, &format!("/{name}"), &scope)
        }
    };
    let cgroup = cgroup.map_err(of_cgroup)?;
    let foreseen = cgroup.foresee(&plan.limits).map_err(of_cgroup)?;
    warnings.extend(foreseen.iter().map(ToString::to_string));
    Ok(Some(cgroup))
}
