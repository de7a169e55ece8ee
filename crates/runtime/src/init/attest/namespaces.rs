//! In which namespaces a process is: by the inodes that /proc/PID/ns has for them (namespaces(7)).

use super::differs;
use crate::error::Result;
use crate::init::host_proc::HostProc;
use crate::namespace::{FILES, Open};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, OFlags};
use sys::clone3::Namespaces;
use sys::{Errno, called};

/// The namespaces of a process at some time, by kind.
#[derive(Debug)]
pub struct Seen(Vec<(Namespaces, String)>);

impl Seen {
    /// Those of the calling process. A kind that this kernel does not have is not among them.
    pub fn now(proc: &HostProc) -> Result<Self> {
        let directory = proc.own("ns", OFlags::PATH | OFlags::DIRECTORY)?;
        let mut seen = Vec::with_capacity(FILES.len());
        for (kind, name) in FILES {
            match rustix::fs::readlinkat(&directory, name, Vec::with_capacity(32)) {
                Ok(leads) => seen.push((kind, leads.to_string_lossy().into_owned())),
                Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(called::<Errno>(|| format!("readlinkat(\"/proc/thread-self/ns/{name}\")"))(
                        errno,
                    )
                    .into());
                }
            }
        }
        Ok(Self(seen))
    }

    /// Whether the calling process is in new ones of these kinds, in those that are joined, and else in the ones that were seen.
    pub fn compare(&self, proc: &HostProc, new: Namespaces, joined: &[Open]) -> Result<()> {
        if super::left_out() {
            return Ok(());
        }
        let now = Self::now(proc)?;
        for (kind, before) in &self.0 {
            let Some((_, found)) = now.0.iter().find(|(one, _)| one == kind) else {
                return Err(differs(&format!("{kind}"), &"missing", before));
            };
            let meant = joined.iter().find(|one| one.kind == *kind);
            if let Some(open) = meant {
                let stat =
                    rustix::fs::statat(open.as_fd(), "", AtFlags::EMPTY_PATH)
                        .map_err(called::<Errno>(|| "fstat(namespace)".to_owned()))?;
                if !found.ends_with(&format!(":[{}]", stat.st_ino)) {
                    return Err(differs(&format!("namespace {kind}"), found, &stat.st_ino));
                }
            } else if new.has(*kind) {
                if found == before {
                    return Err(differs(&format!("namespace {kind}"), &"that of the caller", &"a new one"));
                }
            } else if found != before {
                return Err(differs(&format!("namespace {kind}"), found, before));
            }
        }
        Ok(())
    }
}
