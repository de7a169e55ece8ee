//! What a caller chooses for a checkpoint and for a restore alike, and how some of it is written.

use super::message::{CgroupsMode, NetworkLock, Options};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use sys::called;

/// The annotation that names a file of options for CRIU.
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// The file of options of a machine's containers.
const CONFIG: &str = "/etc/criu/runc.conf";

/// What both commands take.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The directory of the image.
    pub image: PathBuf,
    /// Where CRIU works and logs, if not in the image.
    pub work: Option<PathBuf>,
    /// Open TCP connections too.
    pub tcp_established: bool,
    /// Unix sockets that lead outside too.
    pub ext_unix_sk: bool,
    /// A session or terminal that is that of a shell outside.
    pub shell_job: bool,
    /// File locks too.
    pub file_locks: bool,
    /// Pages are moved when they are asked for.
    pub lazy_pages: bool,
    /// What a later image has is dropped from an earlier one.
    pub auto_dedup: bool,
    /// The network namespace without what is in it.
    pub empty_network: bool,
    /// What to do about cgroups.
    pub cgroups: CgroupsMode,
    /// How the network is stopped meanwhile.
    pub network_lock: Option<NetworkLock>,
}

impl FromStr for CgroupsMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" | "soft" => Ok(Self::Soft),
            "full" => Ok(Self::Full),
            "strict" => Ok(Self::Strict),
            "ignore" => Ok(Self::Ignore),
            _ => Err(Error::new(Kind::Invalid, format!("Invalid manage-cgroups-mode value: {text:?}"))),
        }
    }
}

impl FromStr for NetworkLock {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "iptables" => Ok(Self::Iptables),
            "nftables" => Ok(Self::Nftables),
            "skip" => Ok(Self::Skip),
            _ => {
                Err(Error::new(Kind::Invalid, format!("{text:?} is not one of iptables, nftables and skip")))
            }
        }
    }
}

/// Reads ADDRESS:PORT; an IPv6 address may stand in brackets.
pub fn page_server(text: &str) -> Result<(String, u16)> {
    let wrong = || Error::new(Kind::Invalid, format!("{text:?} is not ADDRESS:PORT"));
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    if address.is_empty() { Err(wrong()) } else { Ok((address.to_owned(), port)) }
}

/// The directories of an image.
#[derive(Debug)]
pub struct Directories {
    /// Of the image.
    pub image: PathBuf,
    /// Where CRIU works and logs.
    pub work: PathBuf,
}

impl Directories {
    /// Opens that of the image.
    pub fn open_image(&self) -> Result<OwnedFd> {
        open(&self.image)
    }

    /// Opens where CRIU works.
    pub fn open_work(&self) -> Result<OwnedFd> {
        open(&self.work)
    }
}

impl Choices {
    /// The directories, which are there: that of the work is made when it is missing, and with `make` that of the image.
    pub fn directories(&self, make: bool) -> Result<Directories> {
        if make {
            make_directory(&self.image)?;
        }
        if let Some(work) = &self.work {
            make_directory(work)?;
        }
        let work = self.work.clone().unwrap_or_else(|| self.image.clone());
        let directories = Directories { image: self.image.clone(), work };
        directories.open_image()?;
        Ok(directories)
    }

    /// The options that follow from them.
    pub fn options(&self, plan: &Plan) -> Options {
        Options {
            ext_unix_sk: self.ext_unix_sk,
            tcp_established: self.tcp_established,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            lazy_pages: self.lazy_pages,
            auto_dedup: self.auto_dedup,
            empty_network: self.empty_network,
            cgroups: self.cgroups,
            network_lock: self.network_lock,
            config_file: config_file(plan),
            external_propagation: true,
            ..Options::default()
        }
    }
}

/// The file of options: the annotation's, where it is empty none, and without it that of the machine.
fn config_file(plan: &Plan) -> Option<String> {
    match plan.annotations.get(CONFIG_ANNOTATION) {
        Some(path) => Some(path.clone()).filter(|path| !path.is_empty()),
        None => Path::new(CONFIG).exists().then(|| CONFIG.to_owned()),
    }
}

fn make_directory(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // The memory of a container is in it.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(called(|| format!("mkdir({path:?})")))?;
    Ok(())
}

fn open(path: &Path) -> Result<OwnedFd> {
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    Ok(opened.map_err(called::<sys::Errno>(|| format!("open({path:?})")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_servers() {
        fn check(text: &str, expected: Option<(&str, u16)>) {
            let read = page_server(text).ok();
            assert_eq!(read.as_ref().map(|(address, port)| (address.as_str(), *port)), expected, "{text:?}");
        }
        check("127.0.0.1:27", Some(("127.0.0.1", 27)));
        check("[::1]:27", Some(("::1", 27)));
        check("::1:27", Some(("::1", 27)));
        for wrong in ["", ":", "host", "host:", ":27", "host:0", "host:65536", "host:-1", "[]:1"] {
            check(wrong, None);
        }
    }

    #[test]
    fn modes() {
        assert_eq!("".parse::<CgroupsMode>().unwrap(), CgroupsMode::Soft);
        assert_eq!("ignore".parse::<CgroupsMode>().unwrap(), CgroupsMode::Ignore);
        let error = "none".parse::<CgroupsMode>().unwrap_err();
        assert_eq!(error.to_string(), "Invalid manage-cgroups-mode value: \"none\"");
        assert!("skip".parse::<NetworkLock>().is_ok() && "drop".parse::<NetworkLock>().is_err());
    }
}
