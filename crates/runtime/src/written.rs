//! What was written, exactly: reads `config.json` and the file of `exec --process` into oci_spec's types.
//!
//! Strict where a mistake could pass for something else (a key twice, a number that is text, a word that is not in the
//! specification), and silent about nothing: what is ignored, as the specification wants for extensions, is a warning.
//! Whatever the schema of runtime-spec 1.3.0 takes and this refuses, is refused by the name of its field. What the fields
//! mean together is not decided here, see [`crate::bundle`].

mod config;
mod shape;
mod tree;

use crate::error::{Error, Kind, Result};
use oci_spec::runtime::{Process, Spec};
use rustix::fs::{FileType, Mode, OFlags};
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use sys::{Errno, called};

/// The largest file that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// A config.json as it was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// What it says. Boxed: it is kilobytes, and passes through many hands.
    pub spec: Box<Spec>,
    /// Its text.
    pub text: Vec<u8>,
    /// What in it is not wrong and has no effect.
    pub warnings: Vec<String>,
}

/// Reads a `config.json` (config.md).
///
/// # Errors
/// `Invalid`, with the path of the field, or the place in the file where there is no field yet.
pub fn read(path: &Path) -> Result<Written> {
    let text = text(path, "config.json").map_err(|error| match error {
        NotRead::Missing => {
            let name = path.file_name().unwrap_or(path.as_os_str()).display();
            let error = Error::new(Kind::Invalid, format!("JSON specification file {name} not found"));
            match path.parent() {
                Some(directory) => error.within(format!("bundle {}", directory.display())),
                None => error,
            }
        }
        NotRead::Other(error) => error,
    })?;
    let (spec, warnings) = spec(&text)?;
    Ok(Written { spec, text, warnings })
}

/// Reads the text of a config.json; also says what in it has no effect.
pub fn spec(text: &[u8]) -> Result<(Box<Spec>, Vec<String>)> {
    let mut tree = tree::read(text).map_err(|why| invalid("config.json", &why))?;
    let mut warnings = Vec::new();
    shape::check(&mut tree, &config::CONFIG, &mut warnings).map_err(|why| invalid("config.json", &why))?;
    complete(&mut tree);
    let spec = Spec::deserialize(tree).map(Box::new);
    let spec = spec.map_err(|error| invalid("config.json", &error.to_string()))?;
    Ok((spec, warnings.iter().map(|warning| format!("config.json: {warning}")).collect()))
}

/// Reads a file with a process in it (`exec --process`).
pub fn read_process(path: &Path) -> Result<Process> {
    let name = format!("--process {}", path.display());
    let text = text(path, &name).map_err(|error| match error {
        NotRead::Missing => invalid(&name, "no such file or directory"),
        NotRead::Other(error) => error,
    })?;
    process(&text).map_err(|why| invalid(&name, &why))
}

/// Reads `linux.resources` by itself (`update --resources`) from the text of `name`; also says what in it has no effect.
pub fn resources(name: &str, text: &[u8]) -> Result<(Value, Vec<String>)> {
    let mut tree = tree::read(text).map_err(|why| invalid(name, &why))?;
    let mut warnings = Vec::new();
    shape::check(&mut tree, &config::RESOURCES, &mut warnings).map_err(|why| invalid(name, &why))?;
    Ok((tree, warnings.iter().map(|warning| format!("{name}: {warning}")).collect()))
}

fn process(text: &[u8]) -> Result<Process, String> {
    let mut tree = tree::read(text)?;
    shape::check(&mut tree, &config::PROCESS, &mut Vec::new())?;
    complete_process(&mut tree);
    Process::deserialize(tree).map_err(|error| error.to_string())
}

fn invalid(file: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("{file}: {why}"))
}

enum NotRead {
    Missing,
    Other(Error),
}

/// The text of a regular file: a fifo in its place would stop us for ever, and a device might never end.
fn text(path: &Path, name: &str) -> Result<Vec<u8>, NotRead> {
    let failed = |call: &str, errno: Errno| {
        NotRead::Other(called::<Errno>(|| format!("{call}({path:?})"))(errno).into())
    };
    let refused = |why: String| NotRead::Other(invalid(name, &why));
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => NotRead::Missing,
        other => failed("open", other),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| failed("fstat", errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused(format!("{} is not a regular file", path.display())));
    }
    let mut text = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(1 << 20));
    std::fs::File::from(file)
        .take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| NotRead::Other(called(|| format!("read({path:?})"))(error).into()))?;
    if text.len() as u64 > LONGEST {
        return Err(refused(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// Adds what oci_spec wants to be there and the specification does not.
fn complete(tree: &mut Value) {
    if let Some(process) = tree.get_mut("process") {
        complete_process(process);
    }
    if let Some(personality) = tree.pointer_mut("/linux/personality").and_then(Value::as_object_mut) {
        personality.entry("domain").or_insert_with(|| "LINUX".into());
    }
}

fn complete_process(tree: &mut Value) {
    if let Some(process) = tree.as_object_mut() {
        process.entry("user").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
}

#[cfg(test)]
mod tests;
