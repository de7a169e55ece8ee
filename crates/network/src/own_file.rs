//! The files in which leases and networks are kept, read so that what was put in the place of one holds up nobody.

use crate::failure::Result;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use sys::called;

/// What is in a file, of at most `longest` bytes; none where there is no such, or something else has its name: a link, a FIFO, a directory.
///
/// # Errors
/// It is there, and cannot be read: nobody knows what it says.
pub fn read(path: &Path, longest: u64) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(called::<Errno>(|| format!("open {}", path.display()))(errno).into()),
    };
    let about = fstat(&file).map_err(called::<Errno>(|| format!("fstat {}", path.display())))?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut content = Vec::new();
    let read = File::from(file).take(longest).read_to_end(&mut content);
    read.map_err(called(|| format!("read {}", path.display())))?;
    Ok(Some(content))
}

/// Whether there is something. What cannot be looked at is an error, and not gone.
pub fn is_there(path: &Path) -> Result<bool> {
    Ok(std::fs::exists(path).map_err(called(|| format!("stat {}", path.display())))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_a_file_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        fs::write(place("file"), "0123456789").unwrap();
        fs::create_dir(place("directory")).unwrap();
        std::os::unix::fs::symlink("file", place("link")).unwrap();
        let fifo = FileType::Fifo;
        rustix::fs::mknodat(CWD, place("fifo"), fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(read(&place("file"), 4).unwrap(), Some(b"0123".to_vec()));
        for none in ["missing", "file/below", "directory", "link", "fifo"] {
            assert_eq!(read(&place(none), 4).unwrap(), None, "{none}");
        }
        // A name that is too long for any file system cannot be looked at.
        let unreadable = read(&place(&"x".repeat(300)), 4).unwrap_err();
        assert!(unreadable.to_string().contains("ENAMETOOLONG"), "{unreadable}");
    }
}
