//! What commands that were killed, or a loss of power, left half done: in the engine's directories, and in the kernel.

use super::orphans::is_old;
use super::{Finding, Remedy};
use crate::directory::names;
use crate::error::{Result, of_network};
use crate::host::Host;
use crate::names::short;
use crate::paths::Paths;
use crate::{control, id_ranges, remove, volume};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files and directories.
pub(super) fn in_directories(host: &Host<'_>, ids: &BTreeSet<String>, all: &mut Vec<Finding>) -> Result<()> {
    let paths = host.paths;
    for name in names(&paths.containers())? {
        let Some(id) = name.strip_prefix(remove::GONE).filter(|id| !control::is_attended(paths, id)) else {
            continue;
        };
        let what = format!("the rest of a container that was being removed, {}", short(id));
        all.push(Finding::orphan(what, Remedy::Gone(id.to_owned())));
    }
    for first in id_ranges::left(paths)? {
        let what = format!("the range of user ids from {first} on, whose container is gone");
        all.push(Finding::orphan(what, Remedy::Ranges));
    }
    for path in host.images.store().left_behind().into_iter().filter(|path| is_old(path)) {
        all.push(Finding::orphan(
            format!("what a command on images that was killed has left, {}", path.display()),
            Remedy::Store,
        ));
    }
    let mut files = |found: Vec<PathBuf>, what: &str| {
        let old = found.into_iter().filter(|path| is_old(path));
        all.extend(
            old.map(|path| Finding::orphan(format!("{what}, {}", path.display()), Remedy::File(path))),
        );
    };
    files(network::definition::torn(&paths.network()), "the directory of a network that is none");
    let networks = network::definition::every(&paths.network()).map_err(of_network)?;
    for network in networks {
        files(
            network::torn_leases(&network.state(&paths.network())),
            "the lease of an address that nobody has",
        );
    }
    let (volumes, containers) = (below(&paths.volumes())?, ids.iter().map(|id| paths.container(id)));
    for place in volumes.into_iter().chain(containers) {
        files(drafts(&place)?, "a draft");
    }
    let images = below(&paths.run.join("images"))?;
    files(
        images.into_iter().filter(|path| !crate::image_mount::is_mount_point(path)).collect(),
        "the place of an image that is not mounted",
    );
    for place in volume::left(paths)?.into_iter().filter(|path| is_old(path)) {
        all.push(Finding::orphan(
            format!("the beginning of a volume, {}", place.display()),
            Remedy::Volume(place),
        ));
    }
    Ok(())
}

/// Links and rules.
pub(super) fn in_kernel(paths: &Paths, all: &mut Vec<Finding>) -> Result<()> {
    for orphan in network::orphans(&paths.network()).map_err(of_network)? {
        all.push(Finding::orphan(orphan.to_string(), Remedy::Link(orphan)));
    }
    Ok(())
}

fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(names(directory)?.into_iter().map(|name| directory.join(name)).collect())
}

/// Files that never got their place.
fn drafts(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = below(directory)?;
    found.retain(|path| path.extension().is_some_and(|end| end == "new") && path.is_file());
    Ok(found)
}
