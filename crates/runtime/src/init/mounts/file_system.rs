//! New file systems, detached (fsopen(2), fsconfig(2), fsmount(2)).

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, fsconfig_create, fsconfig_reconfigure,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick,
};
use sys::{Errno, called};

/// The longest value that fsconfig(2) takes.
pub const LONGEST: usize = 255;

/// A new file system.
pub fn file_system(kind: &str, options: &[(String, String)]) -> Result<OwnedFd> {
    with_attributes(kind, options, 0)
}

/// A new file system whose mount has these `MOUNT_ATTR_*` bits.
pub fn with_attributes(kind: &str, options: &[(String, String)], attributes: u64) -> Result<OwnedFd> {
    let plain = options.iter().all(|(key, _)| key == "source");
    let kind = if sys::mutant!("mutant_at_kind") && kind == "tmpfs" && plain { "ramfs" } else { kind };
    let context = match fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NODEV) => {
            return Err(Error::new(
                Kind::Unsupported,
                format!("fsopen({kind}): ENODEV (no such device): this kernel has no file system {kind:?}"),
            ));
        }
        other => other.map_err(called::<Errno>(|| format!("fsopen({kind})")))?,
    };
    // Held until the file system is made: it finds its directories by them.
    let mut held = Vec::new();
    for (key, value) in options {
        match key.as_str() {
            "lowerdir" if kind == "overlay" && value.len() > LONGEST => {
                for (layer, data) in layers(value) {
                    let key = if data { "datadir+" } else { "lowerdir+" };
                    set(context.as_fd(), kind, key, &shorter(layer, &mut held)?)?;
                }
            }
            "upperdir" | "workdir" if kind == "overlay" => {
                set(context.as_fd(), kind, key, &shorter(value.clone(), &mut held)?)?;
            }
            _ => set(context.as_fd(), kind, key, value)?,
        }
    }
    fsconfig_create(context.as_fd())
        .map_err(|errno| said(context.as_fd(), format!("fsconfig({kind}, create)"), errno))?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).unwrap_or_default());
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| said(context.as_fd(), format!("fsmount({kind})"), errno))
}

/// Changes the file system of a mount.
pub fn reconfigure(mount: &OwnedFd, options: &[(String, String)]) -> Result<()> {
    let context = fspick(mount, "", FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH)
        .map_err(called::<Errno>(|| "fspick".to_owned()))?;
    for (key, value) in options {
        set(context.as_fd(), "remount", key, value)?;
    }
    fsconfig_reconfigure(context.as_fd())
        .map_err(|errno| said(context.as_fd(), "fsconfig(remount)".to_owned(), errno))
}

fn set(context: BorrowedFd<'_>, kind: &str, key: &str, value: &str) -> Result<()> {
    if value.len() > LONGEST {
        return Err(Error::new(
            Kind::Invalid,
            format!("option {key}: {} bytes, the kernel takes {LONGEST}", value.len()),
        ));
    }
    let set = if value.is_empty() && key != "source" {
        fsconfig_set_flag(context, key)
    } else {
        fsconfig_set_string(context, key, value)
    };
    match set {
        // Not an option of every file system: where there is no such choice, it is made already.
        Err(Errno::INVAL) if key == "iversion" => Ok(()),
        other => other.map_err(|errno| said(context, format!("fsconfig({kind}, {key}={value})"), errno)),
    }
}

/// The path of a directory as fsconfig(2) takes it: by a descriptor where it is too long.
fn shorter(path: String, held: &mut Vec<OwnedFd>) -> Result<String> {
    if path.len() <= LONGEST {
        return Ok(path);
    }
    by_descriptor(&path, held)
}

/// The path of a directory as that of a descriptor, which is then held.
pub fn by_descriptor(path: &str, held: &mut Vec<OwnedFd>) -> Result<String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?}, O_PATH)")))?;
    let short = format!("/proc/self/fd/{}", directory.as_raw_fd());
    held.push(directory);
    Ok(short)
}

/// The layers of an overlay one by one, as overlayfs reads them: `:` parts them, `::` begins those with data alone, a
/// backslash takes the meaning from what follows it.
pub fn layers(list: &str) -> Vec<(String, bool)> {
    let (mut layers, mut layer, mut data) = (Vec::new(), String::new(), false);
    let mut letters = list.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => layer.extend(letters.next()),
            ':' if layer.is_empty() => data = true,
            ':' => layers.push((std::mem::take(&mut layer), data)),
            letter => layer.push(letter),
        }
    }
    if !layer.is_empty() {
        layers.push((layer, data));
    }
    layers
}

/// A failure with what the kernel says of it: it writes to the context which option it does not know, and why.
fn said(context: BorrowedFd<'_>, call: String, errno: Errno) -> Error {
    let mut error = Error::from(called::<Errno>(|| call)(errno));
    let mut message = [0u8; 1024];
    // Without a word the error stands for itself.
    while let Ok(length) = rustix::io::read(context, &mut message[..]) {
        let text = String::from_utf8_lossy(&message[..length]);
        // "e" for an error, "w" and "i" for less (fsopen(2)).
        if let Some(text) = text.strip_prefix("e ") {
            error.chain.push(text.trim().to_owned());
        }
        if length == 0 {
            break;
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_an_overlay() {
        fn check(list: &str, expected: &[(&str, bool)]) {
            let expected: Vec<(String, bool)> =
                expected.iter().map(|(layer, data)| ((*layer).to_owned(), *data)).collect();
            assert_eq!(layers(list), expected, "{list}");
        }
        check("/a", &[("/a", false)]);
        check("/a:/b", &[("/a", false), ("/b", false)]);
        check("/a\\:b:/c\\\\d", &[("/a:b", false), ("/c\\d", false)]);
        check("/a::/b::/c", &[("/a", false), ("/b", true), ("/c", true)]);
        check("", &[]);
    }
}
