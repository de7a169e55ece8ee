//! Namespaces that are joined by path, and those of a process (namespaces(7), setns(2)).

use crate::error::{Error, Kind, Result};
use crate::plan::Joined;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space};
use std::path::Path;
use sys::clone3::Namespaces;
use sys::{Errno, called};

/// `NSFS_MAGIC` (statfs(2)).
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;

/// Every kind, with its file in /proc/PID/ns and the names that setns(2) has for it.
const KINDS: [(Namespaces, &str, LinkNameSpaceType, ThreadNameSpaceType); 8] = [
    (Namespaces::USER, "user", LinkNameSpaceType::User, ThreadNameSpaceType::USER),
    (Namespaces::PID, "pid", LinkNameSpaceType::ProcessID, ThreadNameSpaceType::PROCESS_ID),
    (Namespaces::TIME, "time", LinkNameSpaceType::Time, ThreadNameSpaceType::TIME),
    (Namespaces::NETWORK, "net", LinkNameSpaceType::Network, ThreadNameSpaceType::NETWORK),
    (
        Namespaces::IPC,
        "ipc",
        LinkNameSpaceType::InterProcessCommunication,
        ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
    ),
    (
        Namespaces::UTS,
        "uts",
        LinkNameSpaceType::HostNameAndNISDomainName,
        ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
    ),
    (Namespaces::CGROUP, "cgroup", LinkNameSpaceType::ControlGroup, ThreadNameSpaceType::CONTROL_GROUP),
    (Namespaces::MOUNT, "mnt", LinkNameSpaceType::Mount, ThreadNameSpaceType::MOUNT),
];

/// Every kind with its file in /proc/PID/ns.
pub const FILES: [(Namespaces, &str); 8] = {
    let mut files = [(Namespaces::NONE, ""); 8];
    let mut at = 0;
    while at < KINDS.len() {
        files[at] = (KINDS[at].0, KINDS[at].1);
        at += 1;
    }
    files
};

/// The same kinds as a set.
pub fn kinds(types: ThreadNameSpaceType) -> Namespaces {
    let of = |one: &&(Namespaces, _, _, ThreadNameSpaceType)| types.contains(one.3);
    KINDS.iter().filter(of).fold(Namespaces::NONE, |all, one| all.and(one.0))
}

/// A namespace, open: what its path leads to can no longer change.
#[derive(Debug)]
pub struct Open {
    /// Its kind.
    pub kind: Namespaces,
    fd: OwnedFd,
    shown: String,
}

impl AsFd for Open {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Open {
    /// Its descriptor.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Moves this process into it, or its children for a PID namespace.
    pub fn enter(&self) -> Result<(), sys::CallError> {
        let kind = KINDS.iter().find(|(kind, ..)| *kind == self.kind).map(|(_, _, kind, _)| *kind);
        move_into_link_name_space(self.fd.as_fd(), kind)
            .map_err(called::<Errno>(|| format!("setns({})", self.shown)))
    }
}

/// Opens the namespaces of a plan. Never waits, and takes nothing that is not a namespace.
pub fn open(joined: &[Joined]) -> Result<Vec<Open>> {
    joined.iter().map(open_one).collect()
}

fn open_one(joined: &Joined) -> Result<Open> {
    let shown = format!("{:?}, {}", joined.path, joined.kind);
    let within = |error: Error| error.within(format!("join namespace {}", joined.path.display()));
    // A fifo in its place would stop us for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&joined.path, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({:?})", joined.path)))
        .map_err(|error| within(error.into()))?;
    let found = rustix::fs::fstatfs(&fd).map_err(called::<Errno>(|| "fstatfs".to_owned()))?;
    if found.f_type != NSFS_MAGIC {
        return Err(within(Error::new(Kind::Invalid, "not a namespace")));
    }
    Ok(Open { kind: joined.kind, fd, shown })
}

/// The namespaces of process `pid` that are not this process's own, as setns(2) on its pidfd takes them.
pub fn foreign(pid: i32) -> Result<(ThreadNameSpaceType, Namespaces)> {
    let (mut types, mut kinds) = (ThreadNameSpaceType::empty(), Namespaces::NONE);
    for (kind, name, _, thread) in KINDS {
        let theirs = Path::new("/proc").join(pid.to_string()).join("ns").join(name);
        let ours = Path::new("/proc/self/ns").join(name);
        let stat = |path: &Path| match rustix::fs::stat(path) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(called::<Errno>(|| format!("stat({path:?})"))(errno)),
        };
        // A kernel without this kind has it for nobody. One that cannot be looked at may be another: who enters would stay out of it.
        let Some(ours) = stat(&ours)? else { continue };
        let Some(theirs) = stat(&theirs)? else {
            return Err(called::<Errno>(|| format!("stat({theirs:?})"))(Errno::NOENT).into());
        };
        if theirs != ours {
            types |= thread;
            kinds = kinds.and(kind);
        }
    }
    Ok((types, kinds))
}

/// The kind of a name in config.json.
pub fn by_name(name: &str) -> Option<Namespaces> {
    let name = match name {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    };
    KINDS.iter().find(|(_, known, ..)| *known == name).map(|(kind, ..)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_is_no_namespace_is_refused() {
        fn check(path: &str, expected: &str) {
            let joined = [Joined { kind: Namespaces::UTS, path: PathBuf::from(path) }];
            let error = open(&joined).map(drop).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        check("/dev/null", "join namespace /dev/null: not a namespace");
        check("/nowhere", "join namespace /nowhere: open(\"/nowhere\"): ENOENT (no such file or directory)");
        let own = [Joined { kind: Namespaces::UTS, path: PathBuf::from("/proc/self/ns/uts") }];
        assert_eq!(open(&own).unwrap().len(), 1);
    }

    #[test]
    fn a_process_shares_its_own_namespaces() {
        let own = std::process::id().cast_signed();
        assert_eq!(foreign(own).unwrap(), (ThreadNameSpaceType::empty(), Namespaces::NONE));
    }
}
