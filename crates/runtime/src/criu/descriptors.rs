//! The standard descriptors of a container: they lead outside. Beside the image stands what they were, so that a restore can
//! put its own in their place.

use super::outside::Seen;
use crate::error::{Error, Kind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sys::{Context, called};

/// The file beside the image; as runc has it, a list of three texts.
const NAME: &str = "descriptors.json";
/// Longer than three paths are.
const LONGEST: u64 = 64 * 1024;

/// What the descriptors 0 to 2 of a process are, under the names that CRIU has for what is outside: `pipe:[INODE]`, or
/// `file[MOUNT:INODE]` for a file on none of the container's mounts. Anything else is its path.
pub fn of(pid: i32, mounts: &[Seen]) -> Result<Vec<String>> {
    (0..3).map(|number| name(pid, number, mounts)).collect()
}

fn name(pid: i32, number: u32, mounts: &[Seen]) -> Result<String> {
    let path = format!("/proc/{pid}/fd/{number}");
    let target = match std::fs::read_link(&path) {
        Ok(target) => target.display().to_string(),
        // The container may have closed it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(called(|| format!("readlink({path:?})"))(error).into()),
    };
    if !target.starts_with('/') {
        return Ok(target);
    }
    let about = format!("/proc/{pid}/fdinfo/{number}");
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
    let file = std::fs::File::open(&path).map_err(called(|| format!("open({path:?})"))).within(doing)?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(called(|| "read".to_owned())).within(doing)?;
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
        let own = std::process::id().cast_signed();
        let names = of(own, &[]).unwrap();
        assert!(names.iter().all(|name| !name.starts_with('/')), "{names:?}");
        let all = super::super::outside::mounts_of("self").unwrap();
        let seen = of(own, &all).unwrap();
        assert!(seen.iter().all(|name| !name.starts_with("file[")), "{seen:?}");
    }
}
