//! Devices of the host in a container: those of `--device`, and all of them with `--privileged`.

use crate::error::{Error, Kind, Result};
use crate::wish::Wish;
use rustix::fs::{FileType, Stat};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// What of the host's /dev the container has its own of.
const OWN: [&str; 7] = ["console", "fd", "mqueue", "ptmx", "pts", "shm", "tty"];

/// How deep /dev is looked through: `/dev/bus/usb/001/002` is the deepest in use.
const DEPTH: usize = 5;

/// What a container gets of the host's devices.
#[derive(Debug, Default)]
pub struct Devices {
    /// Nodes for the bundle.
    pub nodes: Vec<Value>,
    /// Rules for the cgroup.
    pub rules: Vec<Value>,
    /// Path in the container and path on the host, where they differ.
    pub sources: Vec<(PathBuf, PathBuf)>,
}

/// Finds them. `enforced` says whether the cgroup refuses what the rules do not allow.
///
/// A user who is not root of the host gets no devices from `--privileged`: the kernel would refuse them all.
pub fn of(wish: &Wish, rootless: bool, enforced: bool) -> Result<Devices> {
    let Devices { mut nodes, mut rules, mut sources } = Devices::default();
    if wish.privileged && !rootless {
        // Every device is allowed by the rules already.
        below(Path::new("/dev"), DEPTH, &mut nodes)?;
    }
    for device in &wish.devices {
        let stat = rustix::fs::stat(&device.host)
            .map_err(called::<Errno>(|| format!("stat({:?})", device.host)))
            .within(|| format!("--device {}", device.host.display()))?;
        let Some(node) = node(&device.container, &stat) else {
            return Err(Error::new(
                Kind::Failed,
                format!("--device {}: not a device", device.host.display()),
            ));
        };
        let whole = ['r', 'w'].iter().all(|letter| device.access.contains(*letter));
        if !enforced && !whole {
            return Err(Error::new(
                Kind::Failed,
                format!(
                    "--device {}: access {:?} cannot be enforced here: the cgroup has no filter for devices",
                    device.host.display(),
                    device.access
                ),
            )
            .with_hint("leave out the letters: the permissions of the device itself hold"));
        }
        sources.push((device.container.clone(), device.host.clone()));
        rules.push(
            json!({"allow": true, "type": node["type"], "major": node["major"], "minor": node["minor"],
            "access": device.access}),
        );
        nodes.retain(|other: &Value| other["path"] != node["path"]);
        nodes.push(node);
    }
    Ok(Devices { nodes, rules, sources })
}

fn node(at: &Path, stat: &Stat) -> Option<Value> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => "c",
        FileType::BlockDevice => "b",
        _ => return None,
    };
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Some(json!({"path": at, "type": kind, "major": major, "minor": minor,
        "fileMode": stat.st_mode & 0o777, "uid": stat.st_uid, "gid": stat.st_gid}))
}

/// The nodes below a directory; a link is no device of its own, and what vanishes meanwhile is left out.
fn below(directory: &Path, depth: usize, nodes: &mut Vec<Value>) -> Result<()> {
    let read = |error| Error::from(called(|| format!("readdir({directory:?})"))(error));
    for entry in std::fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        if OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        let path = entry.path();
        let Ok(stat) = rustix::fs::lstat(&path) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            if depth > 1 {
                below(&path, depth - 1, nodes)?;
            }
        } else {
            nodes.extend(node(&path, &stat));
        }
    }
    Ok(())
}
