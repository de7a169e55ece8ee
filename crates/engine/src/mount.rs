//! `-v`, `--mount` and `--tmpfs`, as docker writes them.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A mount that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeMount {
    /// A file or directory of the host.
    Bind {
        /// On the host.
        source: PathBuf,
        /// In the container.
        target: PathBuf,
        /// Read-only.
        read_only: bool,
        /// Whether a missing source is made as a directory, as `-v` does and `--mount` does not.
        make_source: bool,
        /// Mount options beyond `ro`.
        options: Vec<String>,
    },
    /// A volume; without a name, one of the container's own.
    Volume {
        /// Its name.
        name: Option<String>,
        /// In the container.
        target: PathBuf,
        /// Read-only.
        read_only: bool,
        /// Whether it is filled from the image at first use.
        fill: bool,
        /// What of it is mounted, if not all.
        #[serde(default)]
        subpath: Option<PathBuf>,
    },
    /// A file system in memory.
    Tmpfs {
        /// In the container.
        target: PathBuf,
        /// Mount options.
        options: Vec<String>,
    },
}

impl VolumeMount {
    /// Where it is in the container.
    pub fn target(&self) -> &PathBuf {
        match self {
            Self::Bind { target, .. } | Self::Volume { target, .. } | Self::Tmpfs { target, .. } => target,
        }
    }
}

fn usage(option: &str, text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid value {text:?} for {option}: {why}"))
}

fn target(option: &str, text: &str, path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(usage(option, text, "the path in the container is not absolute"));
    }
    if path.components().count() < 2 || path.components().any(|part| part.as_os_str() == "..") {
        return Err(usage(option, text, "the path in the container may not be / and may not have .."));
    }
    Ok(path)
}

/// A volume's name (docker's rule): a letter or digit first, then also `_.-`.
pub fn is_volume_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// `[HOST-DIR|NAME:]TARGET[:OPTIONS]`.
pub fn parse_volume(text: &str) -> Result<VolumeMount> {
    const OPTION: &str = "--volume";
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, options) = match parts.as_slice() {
        [path] => (None, *path, ""),
        [source, path] => (Some(*source), *path, ""),
        [source, path, options] => (Some(*source), *path, *options),
        _ => return Err(usage(OPTION, text, "too many colons")),
    };
    let target = target(OPTION, text, path)?;
    let (mut read_only, mut fill, mut others) = (false, true, Vec::new());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => fill = false,
            // SELinux relabelling has nothing to do on a host without it; docker takes the letters everywhere.
            "z" | "Z" => {}
            "rprivate" | "private" | "rslave" | "slave" | "rshared" | "shared" | "nosuid" | "noexec"
            | "nodev" | "idmap" => {
                others.push(option.to_owned());
            }
            _ if option.starts_with("idmap=") => others.push(option.to_owned()),
            _ => return Err(usage(OPTION, text, &format!("unknown option {option:?}"))),
        }
    }
    match source {
        None => Ok(VolumeMount::Volume { name: None, target, read_only, fill, subpath: None }),
        Some("") => Err(usage(OPTION, text, "the source is empty")),
        Some(source) if source.starts_with(['/', '.', '~']) => {
            let source = std::path::absolute(source)
                .map_err(|_| usage(OPTION, text, "the source has no absolute path"))?;
            Ok(VolumeMount::Bind { source, target, read_only, make_source: true, options: others })
        }
        Some(name) if is_volume_name(name) => {
            Ok(VolumeMount::Volume { name: Some(name.to_owned()), target, read_only, fill, subpath: None })
        }
        Some(_) => Err(usage(OPTION, text, "the source is neither a path nor the name of a volume")
            .with_hint("begin a path with / or ./")),
    }
}

/// `type=bind|volume|tmpfs,source=..,target=..,readonly`.
pub fn parse_mount(text: &str) -> Result<VolumeMount> {
    const OPTION: &str = "--mount";
    let (mut kind, mut source, mut path) = ("volume", None, None);
    let (mut read_only, mut fill, mut options) = (false, true, Vec::new());
    let mut subpath = None;
    for field in text.split(',') {
        let (key, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value)));
        let truth = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(usage(OPTION, text, &format!("{key} is true or false"))),
        };
        let needed = || value.ok_or_else(|| usage(OPTION, text, &format!("{key} needs a value")));
        match key {
            "type" => kind = needed()?,
            "source" | "src" => source = Some(needed()?),
            "target" | "destination" | "dst" => path = Some(needed()?),
            "readonly" | "ro" => read_only = truth()?,
            "volume-subpath" => {
                let path = PathBuf::from(needed()?);
                let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
                if !inside || path.as_os_str().is_empty() {
                    return Err(usage(OPTION, text, "volume-subpath is a relative path without .."));
                }
                subpath = Some(path);
            }
            "volume-nocopy" => fill = !truth()?,
            "idmap" => options.push(value.map_or("idmap".to_owned(), |ids| format!("idmap={ids}"))),
            "bind-propagation" => options.push(needed()?.to_owned()),
            "tmpfs-size" => options.push(format!("size={}", crate::size::parse("tmpfs-size", needed()?)?)),
            "tmpfs-mode" => options.push(format!("mode={}", needed()?)),
            _ => return Err(usage(OPTION, text, &format!("unknown key {key:?}"))),
        }
    }
    let path = path.ok_or_else(|| usage(OPTION, text, "target is missing"))?;
    let target = target(OPTION, text, path)?;
    if subpath.is_some() && kind != "volume" {
        return Err(usage(OPTION, text, "volume-subpath needs type=volume"));
    }
    if subpath.is_some() && source.is_none() {
        return Err(usage(OPTION, text, "volume-subpath is of a volume with a name: source is missing"));
    }
    if options.iter().any(|option| option.starts_with("idmap")) && kind != "bind" {
        return Err(usage(OPTION, text, "idmap needs type=bind"));
    }
    match kind {
        "bind" => {
            let source = PathBuf::from(source.ok_or_else(|| usage(OPTION, text, "source is missing"))?);
            if !source.is_absolute() {
                return Err(usage(OPTION, text, "the source is not an absolute path"));
            }
            Ok(VolumeMount::Bind { source, target, read_only, make_source: false, options })
        }
        "volume" => {
            let name = source.filter(|name| !name.is_empty()).map(str::to_owned);
            if name.as_deref().is_some_and(|name| !is_volume_name(name)) {
                return Err(usage(OPTION, text, "the source is not the name of a volume"));
            }
            Ok(VolumeMount::Volume { name, target, read_only, fill, subpath })
        }
        "tmpfs" => {
            if read_only {
                options.push("ro".to_owned());
            }
            Ok(VolumeMount::Tmpfs { target, options })
        }
        _ => Err(usage(OPTION, text, "type is bind, volume or tmpfs")),
    }
}

/// `TARGET[:OPTIONS]`.
pub fn parse_tmpfs(text: &str) -> Result<VolumeMount> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let options: Vec<String> =
        options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    for option in &options {
        let key = option.split('=').next().unwrap_or_default();
        const KNOWN: [&str; 18] = [
            "size",
            "mode",
            "uid",
            "gid",
            "nr_inodes",
            "nr_blocks",
            "ro",
            "rw",
            "exec",
            "noexec",
            "suid",
            "nosuid",
            "dev",
            "nodev",
            "noatime",
            "relatime",
            "strictatime",
            "huge",
        ];
        if !KNOWN.contains(&key) {
            return Err(usage("--tmpfs", text, &format!("unknown option {option:?}")));
        }
    }
    Ok(VolumeMount::Tmpfs { target: target("--tmpfs", text, path)?, options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_as_docker_writes_them() {
        fn check(text: &str, expected: &str) {
            let shown = match parse_volume(text) {
                Ok(VolumeMount::Bind { source, target, read_only, .. }) => {
                    format!("bind {} {} {read_only}", source.display(), target.display())
                }
                Ok(VolumeMount::Volume { name, target, read_only, .. }) => {
                    format!("volume {} {} {read_only}", name.unwrap_or_default(), target.display())
                }
                Ok(VolumeMount::Tmpfs { .. }) => "tmpfs".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(shown.contains(expected), "{text}: {shown}");
        }
        check("/a:/b", "bind /a /b false");
        check("/a:/b:ro", "bind /a /b true");
        check("data:/b", "volume data /b false");
        check("/b", "volume  /b false");
        check("data:b", "not absolute");
        check("/a:/", "may not be /");
        check("/a:/x/../y", "may not have ..");
        check("/a:/b:zz", "unknown option \"zz\"");
        check("a b:/c", "neither a path nor");
        check(":/c", "source is empty");
        check("a:b:c:d", "too many colons");
    }

    #[test]
    fn mounts_as_docker_writes_them() {
        fn check(text: &str, expected: Result<VolumeMount, &str>) {
            match (parse_mount(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        check(
            "type=bind,src=/a,dst=/b,readonly",
            Ok(VolumeMount::Bind {
                source: "/a".into(),
                target: "/b".into(),
                read_only: true,
                make_source: false,
                options: vec![],
            }),
        );
        check(
            "type=tmpfs,target=/t,tmpfs-size=1m",
            Ok(VolumeMount::Tmpfs { target: "/t".into(), options: vec!["size=1048576".into()] }),
        );
        check(
            "source=v,target=/t",
            Ok(VolumeMount::Volume {
                name: Some("v".into()),
                target: "/t".into(),
                read_only: false,
                fill: true,
                subpath: None,
            }),
        );
        check("source=v,target=/t,volume-subpath=../x", Err("volume-subpath"));
        check("source=v,target=/t,volume-subpath=/x", Err("volume-subpath"));
        check("source=v,target=/t,volume-subpath=", Err("volume-subpath"));
        check("type=bind,source=/x,target=/t,volume-subpath=x", Err("type=volume"));
        check("target=/t,volume-subpath=x", Err("source is missing"));
        check("type=bind,target=/t", Err("source is missing"));
        check("type=bind,source=/x", Err("target is missing"));
        check("type=nfs,target=/t", Err("type is bind, volume or tmpfs"));
        check("type=bind,source=a,target=/t", Err("not an absolute path"));
        check("what", Err("unknown key"));
    }
}
