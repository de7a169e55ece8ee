//! What a look at every byte found to be wrong with a layer, or with an image's files under other owners, noted beside it: nothing
//! is run with it any more, and whoever pulls or loads it next gets it anew.
//!
//! And the seal by which what stands beside a layer's files is known to be as it was written.

use super::staging::BLOB;
use super::{read_file, write_file};
use crate::digest::Hasher;
use crate::kind::failed;
use crate::layer::tree;
use crate::{Kind, Result};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The file that says what is wrong.
const NOTE: &str = "damaged";
/// What is added to the name of a directory whose place another one took: containers that run may have it mounted.
pub(super) const REPLACED: &str = "replaced";

/// What was found to be wrong, if anything was.
///
/// # Errors
/// The note cannot be read: nobody knows whether what it is about is damaged.
pub(super) fn noted(place: &Path) -> Result<Option<String>> {
    match read_file(&place.join(NOTE), 64 << 10) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        // It is there, and longer than any of ours.
        Err(error) if error.kind == Kind::Corrupt => Ok(Some("is damaged".to_owned())),
        Err(error) => Err(error),
    }
}

/// Notes what is found now, and forgets what was found before.
pub(super) fn note(place: &Path, wrong: Option<&str>) -> Result<()> {
    let file = place.join(NOTE);
    match wrong {
        Some(_) if noted(place).is_ok_and(|known| known.as_deref() == wrong) => Ok(()),
        Some(wrong) => write_file(&file, wrong.as_bytes()),
        None => match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed(|| format!("unlink {file:?}"))(error))
            }
            _ => Ok(()),
        },
    }
}

/// Makes place for another, which is whole. The next removal of an image takes away what was put aside.
pub(super) fn put_aside(place: &Path) -> Result<()> {
    let aside = place.with_extension(REPLACED);
    tree::remove_at(&aside)?;
    match fs::rename(place, &aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(failed(|| format!("rename {place:?} to {aside:?}"))(error))
        }
        _ => Ok(()),
    }
}

/// What is written to `size`: how many bytes the files of a layer have, and a digest of that and of what else stands beside
/// them.
pub(super) fn sealed(place: &Path, size: u64) -> Result<String> {
    let mut hasher = Hasher::sha256();
    hasher.update(format!("{size}\n").as_bytes());
    for name in ["split", BLOB] {
        let path = place.join(name);
        let mut file = match File::open(&path) {
            // Only a layer has them.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.map_err(failed(|| format!("open {path:?}")))?,
        };
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer).map_err(failed(|| format!("read {path:?}")))? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
    }
    Ok(format!("{size} {}", hasher.finish().hex()))
}

/// How many bytes a `size` says that there are.
pub(super) fn size(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Whether what stands beside the files is as it was written; an old version has written no seal.
pub(super) fn is_sealed(place: &Path) -> Result<bool> {
    let bytes = match read_file(&place.join("size"), 4096) {
        Err(error) if error.kind == Kind::NotFound => return Ok(true),
        other => other?,
    };
    let Ok(text) = String::from_utf8(bytes) else { return Ok(false) };
    let Some(size) = size(&text) else { return Ok(false) };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(true);
    }
    Ok(sealed(place, size)? == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_breaks_the_seal() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        fs::write(place.join("split"), "what stands beside").unwrap();
        fs::write(place.join(BLOB), "sha256:what it came as").unwrap();
        let text = sealed(place, 1234).unwrap();
        fs::write(place.join("size"), &text).unwrap();
        assert!(is_sealed(place).unwrap());
        assert_eq!(size(&text), Some(1234));
        for name in ["size", BLOB, "split"] {
            let path = place.join(name);
            let whole = fs::read(&path).unwrap();
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, flipped).unwrap();
                assert!(!is_sealed(place).unwrap(), "{name} {bit}");
            }
            fs::write(&path, whole).unwrap();
        }
        // As it was written before there was a seal.
        fs::write(place.join("size"), "1234").unwrap();
        assert!(is_sealed(place).unwrap());
    }

    #[test]
    fn damage_is_noted_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("layer");
        fs::create_dir(&place).unwrap();
        assert_eq!(noted(&place).unwrap(), None);
        note(&place, Some("is wrong")).unwrap();
        assert_eq!(noted(&place).unwrap().as_deref(), Some("is wrong"));
        note(&place, None).unwrap();
        note(&place, None).unwrap();
        assert_eq!(noted(&place).unwrap(), None);
        // Of what has a note that cannot be read nobody knows.
        fs::create_dir(place.join(NOTE)).unwrap();
        noted(&place).unwrap_err();
        for _ in 0..2 {
            fs::create_dir_all(&place).unwrap();
            put_aside(&place).unwrap();
            assert!(!place.exists() && directory.path().join("layer.replaced").is_dir());
        }
        put_aside(&place).unwrap();
    }
}
