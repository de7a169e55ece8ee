//! The standard descriptors of a container: they lead outside. Beside the image stands what they were, so that a restore can
//! put its own in their place.

use super::outside::{self, Seen};
use crate::error::{Error, Kind, Result};
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sys::{Context, Errno, called};

/// The file beside the image; as runc has it, a list of three texts.
const NAME: &str = "descriptors.json";
/// Longer than three paths are.
const LONGEST: u64 = 64 * 1024;

/// What the descriptors 0 to 2 of a container's process are, under the names that CRIU has for what is outside:
/// `pipe:[INODE]`, or `file[MOUNT:INODE]` for a file on none of the container's mounts. Anything else is its path.
pub fn of_process(pid: i32) -> Result<Vec<String>> {
    let process = pid.to_string();
    let targets = (0..3).map(|number| target(&process, number)).collect::<Result<Vec<String>>>()?;
    if targets.iter().all(|target| !target.starts_with('/')) {
        return Ok(targets);
    }
    let mounts = outside::mounts_of(&process)?;
    (0..3).map(|number| name(&process, number, &mounts)).collect()
}

/// The same of a container that is about to get this process's own: a file is on none of the mounts that it will have.
pub fn of_this_process() -> Result<Vec<String>> {
    (0..3).map(|number| name("self", number, &[])).collect()
}

/// What they are in a container that was just restored with this process's own in the place of those that lay outside:
/// `names` are those of its image.
pub fn of_restored(pid: i32, names: &[String]) -> Result<Vec<String>> {
    let replaced = replaced(names);
    if replaced.is_empty() {
        return Ok(names.to_owned());
    }
    let mounts = outside::mounts_of(&pid.to_string())?;
    let now = |known: &String| match replaced.iter().find(|(_, name)| *name == known) {
        Some((number, _)) => name("self", *number, &mounts),
        None => Ok(known.clone()),
    };
    names.iter().map(now).collect()
}

/// Where a descriptor leads; empty for one that is closed.
fn target(process: &str, number: usize) -> Result<String> {
    let path = format!("/proc/{process}/fd/{number}");
    match std::fs::read_link(&path) {
        Ok(target) => Ok(target.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(called(|| format!("readlink({path:?})"))(error).into()),
    }
}

fn name(process: &str, number: usize, mounts: &[Seen]) -> Result<String> {
    let path = format!("/proc/{process}/fd/{number}");
    let target = target(process, number)?;
    if !target.starts_with('/') {
        return Ok(target);
    }
    let about = format!("/proc/{process}/fdinfo/{number}");
    let text = std::fs::read_to_string(&about).map_err(called(|| format!("read({about:?})")))?;
    let mount: Option<u64> = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    let Some(mount) = mount.filter(|mount| mounts.iter().all(|seen| seen.id != *mount)) else {
        return Ok(target);
    };
    let inode = std::fs::metadata(&path).map_err(called(|| format!("stat({path:?})")))?.ino();
    Ok(format!("file[{mount:x}:{inode:x}]"))
}

/// Those that are to be told to CRIU at a dump: files that lie outside.
pub fn files(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().filter(|name| name.starts_with("file["))
}

/// Those that a restore replaces: the number and the name of each.
pub fn replaced(names: &[String]) -> Vec<(usize, &String)> {
    let mut replaced: Vec<(usize, &String)> = Vec::new();
    for (number, name) in names.iter().enumerate().take(3) {
        let outside = name.starts_with("pipe:") || name.starts_with("file[");
        if outside && replaced.iter().all(|(_, known)| *known != name) {
            replaced.push((number, name));
        }
    }
    replaced
}

/// Writes them beside an image.
pub fn write(image: &Path, names: &[String]) -> Result<()> {
    let path = image.join(NAME);
    let text = serde_json::to_vec(names).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
    std::fs::write(&path, text).map_err(called(|| format!("write({path:?})")))?;
    Ok(())
}

/// Reads what stands beside an image.
pub fn read(image: &Path) -> Result<Vec<String>> {
    use std::io::Read;
    let path = image.join(NAME);
    let doing = || format!("read {}", path.display());
    super::is_own_file(&path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?})")))
        .within(doing)?;
    let mut text = Vec::new();
    std::fs::File::from(file)
        .take(LONGEST)
        .read_to_end(&mut text)
        .map_err(called(|| "read".to_owned()))
        .within(doing)?;
    serde_json::from_slice(&text).map_err(|error| Error::new(Kind::Invalid, error.to_string())).within(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_replaces() {
        fn check(names: [&str; 3], expected: &[(usize, &str)]) {
            let names: Vec<String> = names.map(str::to_owned).to_vec();
            let shown: Vec<(usize, &str)> =
                replaced(&names).into_iter().map(|(number, name)| (number, name.as_str())).collect();
            assert_eq!(shown, expected);
        }
        check(["pipe:[1]", "pipe:[2]", "pipe:[2]"], &[(0, "pipe:[1]"), (1, "pipe:[2]")]);
        check(["/dev/pts/0", "/dev/pts/0", "/dev/pts/0"], &[]);
        check(["/dev/null", "file[1a:2b]", "socket:[3]"], &[(1, "file[1a:2b]")]);
    }

    #[test]
    fn a_file_on_no_mount_of_the_container_has_a_name() {
        let names: Vec<String> = (0..3).map(|number| name("self", number, &[]).unwrap()).collect();
        assert!(names.iter().all(|name| !name.starts_with('/')), "{names:?}");
        let own = std::process::id().cast_signed();
        let seen = of_process(own).unwrap();
        assert!(seen.iter().all(|name| !name.starts_with("file[")), "{seen:?}");
        // What was outside is ours now; the rest is what it was.
        let old = ["file[1:2]", "/dev/pts/0", "file[1:2]"].map(str::to_owned);
        let first = seen[0].clone();
        assert_eq!(of_restored(own, &old).unwrap(), [first.clone(), old[1].clone(), first]);
    }
}
