//! Settings of the machine that keep containers from what they are to do, each with the command that changes it.

use super::Finding;
use crate::boot;
use crate::record::Listed;
use crate::wish::Restart;
use cgroup::Layout;
use runtime::id_map;
use std::path::Path;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    /// Whether containers are those of an ordinary user.
    pub rootless: bool,
    /// The directory of everything that stays.
    pub data: &'a Path,
}

/// Free space below which the next pull or log is likely to fail: a part of the file system.
const SCARCE: f64 = 0.03;

/// Every setting that is wrong. It needs nothing of the engine, and works before anything else does.
pub fn settings(machine: Machine<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    kernel(machine.rootless, &mut all);
    if machine.rootless {
        ids(&mut all);
        programs(&mut all);
        if std::env::var_os("XDG_RUNTIME_DIR").is_none_or(|directory| directory.is_empty()) {
            all.push(Finding::to_be_changed(
                "XDG_RUNTIME_DIR is not set: what runs is noted in /tmp",
                "log in by a way that starts a session (ssh, machinectl shell), or: export XDG_RUNTIME_DIR=/run/user/$(id -u)",
            ));
        }
    }
    cgroups(machine.rootless, &mut all);
    disk(machine.data, &mut all);
    all
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn kernel(rootless: bool, all: &mut Vec<Finding>) {
    let systems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !systems.lines().any(|line| line.ends_with("\toverlay")) {
        all.push(Finding::to_be_changed(
            "the kernel has no overlayfs: images cannot be mounted",
            "as root: modprobe overlay",
        ));
    }
    if !Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        all.push(Finding::to_be_changed(
            "the kernel filters no system calls",
            "a kernel with CONFIG_SECCOMP_FILTER; until then: --security-opt seccomp=unconfined",
        ));
    }
    if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        all.push(Finding::to_be_changed(
            "user namespaces are turned off",
            "as root: sysctl -w user.max_user_namespaces=15000",
        ));
    }
    if rootless && number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        all.push(Finding::to_be_changed(
            "user namespaces are turned off for ordinary users",
            "as root: sysctl -w kernel.unprivileged_userns_clone=1",
        ));
    }
    if rootless && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        all.push(Finding::to_be_changed(
            "AppArmor takes the capabilities of ordinary users' namespaces",
            "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile for this program that has userns",
        ));
    }
}

fn ids(all: &mut Vec<Finding>) {
    let uid = rustix::process::getuid().as_raw();
    let name = id_map::user_name(uid);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let range = id_map::subordinate(&std::fs::read_to_string(file).unwrap_or_default(), &name, uid);
        let fix = format!("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}");
        match range {
            None => all.push(Finding::to_be_changed(
                format!("{file} has no range for {name}: containers have one user, and images with more do not unpack"),
                fix,
            )),
            Some((_, count)) if count < 65536 => all.push(Finding::to_be_changed(
                format!("{file} has {count} ids for {name}: images with higher ones do not unpack"),
                fix,
            )),
            Some(_) => {}
        }
    }
}

fn programs(all: &mut Vec<Finding>) {
    for (program, package, without) in [
        ("newuidmap", "uidmap", "containers have one user"),
        ("newgidmap", "uidmap", "containers have one group"),
        ("pasta", "passt", "containers have no network but --network host and none"),
    ] {
        if !is_installed(program) {
            all.push(Finding::to_be_changed(
                format!("{program} is not installed: {without}"),
                format!("as root: apt install {package}"),
            ));
        }
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let executable =
        |place: &Path| rustix::fs::access(place, rustix::fs::Access::EXEC_OK).is_ok() && place.is_file();
    std::env::split_paths(&path).any(|directory| executable(&directory.join(program)))
}

fn cgroups(rootless: bool, all: &mut Vec<Finding>) {
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) => {
            let fix = error.hint.clone().unwrap_or_default();
            all.push(Finding::to_be_changed(format!("no cgroups: {error}"), fix));
            return;
        }
    };
    if !rootless {
        return;
    }
    const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];
    match (&layout, cgroup::delegated(&layout)) {
        (Layout::Legacy { .. }, _) => all.push(Finding::to_be_changed(
            "limits do not hold without root: cgroup v1 cannot be delegated",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )),
        (_, None) => all.push(Finding::to_be_changed(
            "limits do not hold: no cgroup is delegated to this user here",
            "systemd-run --user --scope -p Delegate=yes devoxx-container run ...",
        )),
        (_, Some(given)) => {
            let has = |wanted: &&str| given.controllers.iter().any(|one| one == wanted);
            let absent: Vec<&str> = NEEDED.into_iter().filter(|wanted| !has(wanted)).collect();
            if !absent.is_empty() {
                all.push(Finding::to_be_changed(
                    format!("limits of {} do not hold: not delegated to this user", absent.join(", ")),
                    "as root: systemctl edit user@.service, [Service] Delegate=cpu cpuset io memory pids",
                ));
            }
        }
    }
}

fn disk(data: &Path, all: &mut Vec<Finding>) {
    // Where nothing was made yet: the directory that it will be in.
    let Some(place) = data.ancestors().find(|place| place.exists()) else { return };
    let Ok(found) = rustix::fs::statvfs(place) else { return };
    let fix = "devoxx-container system df; devoxx-container system prune --all";
    let scarce = |free: u64, of: u64| of > 0 && (free as f64) < (of as f64) * SCARCE;
    if scarce(found.f_bavail, found.f_blocks) {
        let free = crate::size::shown(found.f_bavail.saturating_mul(found.f_frsize));
        all.push(Finding::to_be_changed(
            format!("{}: the disk is nearly full, {free} are free", data.display()),
            fix,
        ));
    }
    if scarce(found.f_favail, found.f_files) {
        let what = format!("{}: the disk has {} files left", data.display(), found.f_favail);
        all.push(Finding::to_be_changed(what, fix));
    }
}

/// Containers that are to come back, on a machine that does not bring them back.
pub fn restarts(rootless: bool, listed: &[Listed]) -> Option<Finding> {
    let wanted = listed
        .iter()
        .filter(|one| matches!(one.record.wish.restart, Restart::Always | Restart::UnlessStopped))
        .count();
    if wanted == 0 || boot::is_enabled(rootless) || boot::is_run_by_systemd().is_err() {
        return None;
    }
    Some(Finding::to_be_changed(
        format!("{wanted} containers with --restart do not come back when the machine starts"),
        "devoxx-container system enable",
    ))
}
