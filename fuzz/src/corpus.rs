//! The inputs that are kept: for each target an archive in `corpus/`, of one file an input.

use crate::Target;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where they are.
fn place(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{}.tar.gz", target.name))
}

/// What was kept, by name. Nothing where nothing was.
///
/// # Errors
/// Where the archive is there and cannot be read.
pub fn kept(target: &Target) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let file = match File::open(place(target)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        file => file?,
    };
    let mut inputs = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut input = Vec::new();
        entry.read_to_end(&mut input)?;
        inputs.insert(name, input);
    }
    Ok(inputs)
}

/// Puts what was kept and what it starts from into a directory, a file an input, and beside it the words as libFuzzer reads them.
///
/// # Errors
/// Where files cannot be written.
pub fn unpack(target: &Target, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, input) in kept(target)? {
        fs::write(directory.join(name), input)?;
    }
    for (number, input) in (target.seeds)().iter().enumerate() {
        fs::write(directory.join(format!("seed-{number}")), input)?;
    }
    let words = target.words.iter().map(|word| {
        let escaped: String = word
            .bytes()
            .map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", char::from(byte)),
                b' '..=b'~' => char::from(byte).to_string(),
                other => format!("\\x{other:02X}"),
            })
            .collect();
        format!("\"{escaped}\"\n")
    });
    fs::write(directory.with_extension("dict"), words.collect::<String>())
}

/// Keeps the inputs of a directory, without those that it starts from: the same bytes for the same inputs.
///
/// # Errors
/// Where files cannot be read or written.
pub fn pack(target: &Target, directory: &Path) -> io::Result<usize> {
    let seeds = (target.seeds)();
    let mut inputs = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let input = fs::read(entry.path())?;
        if !seeds.contains(&input) {
            inputs.insert(entry.file_name().to_string_lossy().into_owned(), input);
        }
    }
    fs::create_dir_all(place(target).parent().unwrap_or(Path::new(".")))?;
    let mut archive = tar::Builder::new(GzEncoder::new(File::create(place(target))?, Compression::best()));
    for (name, input) in &inputs {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(input.len() as u64);
        archive.append_data(&mut header, name, &input[..])?;
    }
    archive.into_inner()?.finish()?;
    Ok(inputs.len())
}
