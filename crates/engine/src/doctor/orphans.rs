//! What no container has any more: left behind by a program or a machine that was killed between two steps.
//!
//! Everything that a container has is found again from its id, so an orphan is what has an id that no container has.

use super::{Finding, Pastas, Remedy, left, own_runtime, processes, settings};
use crate::birth::{self, UNBORN};
use crate::control;
use crate::directory::names;
use crate::error::{Result, of_network};
use crate::host::Host;
use crate::life::Status;
use crate::life::is_up;
use crate::names::{owner, short};
use crate::paths::Paths;
use crate::record::{self, Listed};
use cgroup::Layout;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Between a directory and what it is for lie microseconds: what is older than this was left by somebody who was killed.
const BEING_MADE: Duration = Duration::from_secs(10);

/// Every orphan that is known by this engine's directories, or bears the name of its kind. `pastas` were seen before a user namespace was
/// entered.
pub fn orphans(host: &Host<'_>, pastas: &Pastas) -> Result<Vec<Finding>> {
    let paths = host.paths;
    let mut all = Vec::new();
    let listed = record::list(paths)?;
    let ids: BTreeSet<String> = listed.iter().map(|one| one.record.id.clone()).collect();
    containers(paths, &listed, &mut all);
    torn(paths, &ids, &mut all)?;
    all.extend(names(&paths.states())?.into_iter().filter(|id| is_id(id) && !ids.contains(id)).map(|id| {
        let what = format!("the runtime's record of {}, which is no container", short(&id));
        Finding::orphan(what, Remedy::State(id))
    }));
    all.extend(names(&paths.supervisors())?.into_iter().filter(|id| is_id(id) && !ids.contains(id)).map(
        |id| {
            let what = format!("the directory of a supervisor of {}, which is no container", short(&id));
            Finding::orphan(what, Remedy::Supervisor(id))
        },
    ));
    left::in_directories(host, &ids, &mut all)?;
    networks(paths, &mut all)?;
    // First, so that what they hold can go after them.
    let dead = processes::without_containers(paths);
    let ended: BTreeSet<String> = dead.iter().map(|process| process.id.clone()).collect();
    all.extend(
        dead.into_iter()
            .chain(pastas.lost(paths, &listed))
            .map(|process| Finding::orphan(process.to_string(), Remedy::Process(process))),
    );
    cgroups(&ids, &ended, &mut all);
    own_runtime::leftovers(host.rootless.is_some(), &mut all)?;
    left::in_kernel(paths, &mut all)?;
    mounts(paths, &mut all);
    all.extend(names(&paths.run)?.into_iter().filter_map(|name| {
        let id = name.strip_suffix(".pasta")?.to_owned();
        let known = ids.iter().any(|known| short(known) == id);
        (!known).then(|| {
            Finding::orphan(
                format!("pasta of {id}, which is no container"),
                Remedy::Pasta(paths.run.join(name)),
            )
        })
    }));
    all.extend(settings::restarts(host.rootless.is_some(), &listed));
    for problem in host.images.check(false, &|_| ())? {
        all.push(Finding::to_be_changed(
            format!("image {}: {}", problem.image, problem.what),
            format!("devoxx-container pull {}", problem.image),
        ));
    }
    Ok(all)
}

pub(super) fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether something was made so long ago that whoever made it is not at it any more.
pub(super) fn is_old(path: &Path) -> bool {
    let made = std::fs::symlink_metadata(path).and_then(|found| found.modified());
    made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > BEING_MADE))
}

fn containers(paths: &Paths, listed: &[Listed], all: &mut Vec<Finding>) {
    for Listed { record, life, status } in listed {
        if control::is_attended(paths, &record.id) {
            continue;
        }
        match status {
            Status::Running | Status::Paused => all.push(Finding::to_be_changed(
                format!(
                    "container {} runs without its supervisor: nobody writes its log, and nobody will see its exit code",
                    record.name
                ),
                format!("devoxx-container restart {}", record.name),
            )),
            Status::Exited if life.exit_code.is_none() => all.push(Finding::orphan(
                format!("what container {} still has, which ended together with its supervisor", record.name),
                Remedy::Settle(record.id.clone()),
            )),
            _ => {}
        }
    }
}

fn torn(paths: &Paths, ids: &BTreeSet<String>, all: &mut Vec<Finding>) -> Result<()> {
    for id in names(&paths.containers())?.into_iter().filter(|id| is_id(id) && !ids.contains(id)) {
        if is_old(&paths.container(&id)) && !control::is_attended(paths, &id) {
            let what = format!("the directory of a container without a record, {}", short(&id));
            all.push(Finding::orphan(what, Remedy::Torn(id)));
        }
    }
    for name in names(&paths.containers())? {
        let Some(id) = name.strip_prefix(UNBORN).filter(|id| birth::is_left_behind(paths, id)) else {
            continue;
        };
        let what = format!("the beginning of a container, {}", short(id));
        all.push(Finding::orphan(what, Remedy::Unborn(id.to_owned())));
    }
    for name in names(&paths.names())? {
        let Some(owner) = owner(paths, &name)? else { continue };
        if !ids.contains(&owner) && birth::is_gone(paths, &owner)? {
            all.push(Finding::orphan(
                format!("the name {name}, whose container is gone"),
                Remedy::Name(name),
            ));
        }
    }
    Ok(())
}

fn networks(paths: &Paths, all: &mut Vec<Finding>) -> Result<()> {
    let root = paths.network();
    let mut holders = BTreeSet::new();
    for lease in network::leases(&root).map_err(of_network)? {
        if !is_up(paths, &lease.id)
            && !control::is_attended(paths, &lease.id)
            && holders.insert(lease.id.clone())
        {
            let who = crate::networks::name_of(paths, &lease.id);
            let what = format!("address {} of container {who}, which does not run", lease.ipv4);
            all.push(Finding::orphan(what, Remedy::Lease(lease.id)));
        }
    }
    Ok(())
}

/// Cgroups that are called after an id. One with processes may be of another place of data, and is none of ours then; those of `ended`
/// are of processes that are orphans themselves.
fn cgroups(ids: &BTreeSet<String>, ended: &BTreeSet<String>, all: &mut Vec<Finding>) {
    let mut found = BTreeSet::new();
    for mount in hierarchies() {
        parents(&mount, 0, &mut found);
    }
    for path in found {
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = match ids.contains(&id) {
            false if ended.contains(&id) => "no container",
            false if is_old(&path) && is_empty(&path) => "no process and no container",
            _ => continue,
        };
        all.push(Finding::orphan(
            format!("cgroup {}, which has {what}", path.display()),
            Remedy::Cgroup(path),
        ));
    }
}

/// Where cgroups are.
pub(super) fn hierarchies() -> Vec<PathBuf> {
    match Layout::detect() {
        Ok(Layout::Unified { mount }) => vec![mount],
        Ok(Layout::Legacy { hierarchies, unified }) => {
            hierarchies.into_iter().map(|one| one.mount).chain(unified).collect()
        }
        Err(_) => Vec::new(),
    }
}

/// Nobody hides a `devoxx` deeper than user.slice/user-N.slice/user@N.service/app.slice/UNIT.
const DEEPEST: usize = 6;

fn parents(directory: &Path, depth: usize, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if entry.file_name() == "devoxx" {
            // Of what cannot be read none is an orphan.
            let names = names(&path).into_iter().flatten();
            found.extend(names.filter(|id| is_id(id)).map(|id| path.join(id)));
        } else if depth < DEEPEST {
            parents(&path, depth + 1, found);
        }
    }
}

pub(super) fn is_empty(cgroup: &Path) -> bool {
    let own = std::fs::read_to_string(cgroup.join("cgroup.procs"));
    let beneath = std::fs::read_dir(cgroup).into_iter().flatten().flatten();
    let mut directories = beneath.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    own.is_ok_and(|list| list.trim().is_empty()) && directories.all(|entry| is_empty(&entry.path()))
}

/// Whatever is mounted in the engine's directories and is no image that `image mount` has mounted: nothing of a container ever is,
/// it is all in mount namespaces that go with it.
fn mounts(paths: &Paths, all: &mut Vec<Finding>) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in table.lines() {
        let Some(place) = line.split(' ').nth(4).map(unescaped) else { continue };
        let below = |root: &Path| place.starts_with(root) && place != root;
        let is_ours =
            (below(&paths.data) || below(&paths.run)) && !place.starts_with(paths.run.join("images"));
        if is_ours && !place.starts_with(paths.volumes()) {
            all.push(Finding::orphan(format!("a mount at {}", place.display()), Remedy::Mount(place)));
        }
    }
}

/// Blanks are written as `\040` there (proc_pid_mountinfo(5)).
pub(super) fn unescaped(text: &str) -> PathBuf {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(out))
}
