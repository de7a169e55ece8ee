//! Files that archives are written to: whole or not at all, and never a terminal.

use engine::{Error, Kind, Result};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use sys::called;

/// Standard output, unless it is a terminal: an archive is nothing for people.
pub fn archive_output(option: &str) -> Result<impl Write> {
    if std::io::stdout().is_terminal() {
        return Err(Error::new(Kind::Usage, "an archive is not written to a terminal")
            .with_hint(format!("use {option}, or redirect the output")));
    }
    Ok(std::io::stdout().lock())
}

/// Writes a file that is there completely or, after a failure, not at all.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let name =
        path.file_name().ok_or_else(|| Error::new(Kind::Usage, format!("{}: not a file", path.display())))?;
    let kind = std::fs::metadata(path).map(|stat| stat.file_type());
    if kind.is_ok_and(|kind| !kind.is_file()) {
        // A device or a pipe.
        let mut file =
            File::options().write(true).open(path).map_err(called(|| format!("open({path:?})")))?;
        return write(&mut file);
    }
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let file = File::options().write(true).create_new(true).open(&beside);
    let mut file = std::io::BufWriter::new(file.map_err(called(|| format!("open({path:?})")))?);
    let done = write(&mut file)
        .and_then(|()| Ok(file.flush().map_err(called(|| format!("write({beside:?})")))?))
        .and_then(|()| Ok(std::fs::rename(&beside, path).map_err(called(|| format!("rename({beside:?})")))?));
    if done.is_err() {
        // What failed is what matters.
        let _left = std::fs::remove_file(&beside);
    }
    done.map_err(|error| error.within(format!("write {}", path.display())))
}
