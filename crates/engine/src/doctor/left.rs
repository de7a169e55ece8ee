//! What commands that were killed, or a loss of power, left half done: in the engine's directories, and in the kernel.

use super::orphans::{is_old, names_in};
use super::{Finding, Remedy};
use crate::error::{Result, of_network};
use crate::host::Host;
use crate::names::short;
use crate::paths::Paths;
use crate::{control, id_ranges, remove};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files and directories.
pub(super) fn in_directories(host: &Host<'_>, ids: &BTreeSet<String>, all: &mut Vec<Finding>) -> Result<()> {
    let paths = host.paths;
    for name in names_in(&paths.containers()) {
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
    let volumes = below(&paths.volumes());
    files(
        volumes.iter().filter(|volume| !volume.join("_data").is_dir()).cloned().collect(),
        "the beginning of a volume",
    );
    files(volumes.iter().flat_map(|volume| drafts(volume)).collect(), "a draft");
    files(ids.iter().flat_map(|id| drafts(&paths.container(id))).collect(), "a draft");
    let images = below(&paths.run.join("images"));
    files(
        images.into_iter().filter(|path| !crate::image_mount::is_mount_point(path)).collect(),
        "the place of an image that is not mounted",
    );
    Ok(())
}

/// Links and rules.
pub(super) fn in_kernel(paths: &Paths, all: &mut Vec<Finding>) -> Result<()> {
    for orphan in network::orphans(&paths.network()).map_err(of_network)? {
        all.push(Finding::orphan(orphan.to_string(), Remedy::Link(orphan)));
    }
    Ok(())
}

fn below(directory: &Path) -> Vec<PathBuf> {
    names_in(directory).map(|name| directory.join(name)).collect()
}

/// Files that never got their place.
fn drafts(directory: &Path) -> Vec<PathBuf> {
    below(directory)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "new") && path.is_file())
        .collect()
}
