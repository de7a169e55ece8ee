//! What is in a directory, and whether something is there at all: what cannot be looked at is an error, and never taken for gone.

use crate::error::Result;
use std::io::ErrorKind;
use std::path::Path;
use sys::called;

/// The names in a directory, as far as they are text; none where there is no such directory.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let failed = || called(|| format!("read {directory:?}"));
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed())?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed())?.file_name().into_string());
    }
    Ok(names)
}

/// Whether something has this path, a link that leads nowhere included.
pub fn has(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(called(|| format!("lstat {path:?}"))(error).into()),
    }
}

/// Whether this path leads to a directory.
pub fn is_one(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(about) => Ok(about.is_dir()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(called(|| format!("stat {path:?}"))(error).into()),
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_at_is_not_gone() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("one")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", at("lost")).unwrap();
        let mut found = names(place.path()).unwrap();
        found.sort();
        assert_eq!(found, ["file", "lost", "one"]);
        for (name, there, directory) in [
            ("one", true, true),
            ("file", true, false),
            ("lost", true, false),
            ("missing", false, false),
            ("file/below", false, false),
        ] {
            assert_eq!((has(&at(name)).unwrap(), is_one(&at(name)).unwrap()), (there, directory), "{name}");
        }
        assert_eq!(names(&at("missing")).unwrap(), Vec::<String>::new());
        // Longer than any name can be.
        let unknown = at(&"x".repeat(300));
        assert!(has(&unknown).is_err() && is_one(&unknown).is_err() && names(&unknown).is_err());
    }
}
