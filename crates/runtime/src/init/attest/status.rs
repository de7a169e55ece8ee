//! Ids, groups, capabilities, privileges and filters, from /proc/PID/status (proc_pid_status(5)).

use super::differs;
use crate::error::{Error, Kind, Result};
use crate::init::host_proc::{HostProc, read_from_its_start};
use crate::init::user::Identity;
use crate::plan::Process;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use sys::{Errno, called};

/// The file, opened while it may be: it says what is so when it is read.
pub struct Status {
    file: OwnedFd,
    /// The file once more, and how many filters there are already, if any.
    inherited: Option<(OwnedFd, u32)>,
}

/// `PR_GET_SECCOMP` (include/uapi/linux/prctl.h).
const GET_SECCOMP: u64 = 21;

impl Status {
    /// To be called before the process has its own filter.
    pub fn open(proc: &HostProc) -> Result<Self> {
        let file = proc.own("status", OFlags::RDONLY)?;
        let mut inherited = None;
        // Not counted before Linux 5.9.
        if sys::seccomp::has_filter()
            && let Some(count) = filters(&proc.read("status")?)
        {
            inherited = Some((proc.own("status", OFlags::RDONLY)?, count));
        }
        Ok(Self { file, inherited })
    }

    /// What it has open.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let again = self.inherited.iter().map(|(file, _)| file.as_fd());
        std::iter::once(self.file.as_fd()).chain(again).collect()
    }

    /// Compares with what is meant; groups only where they could be set.
    pub fn compare(&self, process: &Process, identity: &Identity, groups_set: bool) -> Result<()> {
        if super::left_out() {
            return Ok(());
        }
        let text = match read(&self.file) {
            // A process that may gain privileges has its filter already, and that may refuse even this.
            Err(error) if !process.no_new_privileges => {
                return by_calls(process, identity).or(Err(error.into()));
            }
            text => text?,
        };
        let same = |what: &str, meant: String| {
            let found = field(&text, what)?.split_whitespace().collect::<Vec<_>>().join(" ");
            if found == meant { Ok(()) } else { Err(differs(what, &found, &meant)) }
        };
        let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
        same("Uid", four(identity.uid))?;
        same("Gid", four(identity.gid))?;
        if groups_set {
            // The kernel keeps what is there twice, and sorts them by the numbers that they have outside of the user namespace.
            let sorted = |mut groups: Vec<u32>| {
                groups.sort_unstable();
                groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
            };
            let found = field(&text, "Groups")?.split_whitespace().filter_map(|group| group.parse().ok());
            let (found, meant) = (sorted(found.collect()), sorted(identity.groups.clone()));
            if found != meant {
                return Err(differs("Groups", &found, &meant));
            }
        }
        let sets = process.capabilities;
        for (name, meant) in [
            ("CapInh", sets.inheritable),
            ("CapPrm", sets.permitted),
            ("CapEff", sets.effective),
            ("CapAmb", sets.ambient),
        ] {
            same(name, format!("{meant:016x}"))?;
        }
        // A caller may have fewer itself, and none of them comes back.
        let bounding = field(&text, "CapBnd")?;
        if !u64::from_str_radix(bounding, 16).is_ok_and(|found| found & !sets.bounding == 0) {
            return Err(differs("CapBnd", &bounding, &format!("{:016x} at most", sets.bounding)));
        }
        if process.no_new_privileges {
            same("NoNewPrivs", "1".to_owned())?;
        }
        let umask = field(&text, "Umask")?;
        if u32::from_str_radix(umask, 8) != Ok(process.umask & 0o777) {
            return Err(differs("Umask", &umask, &format!("{:04o}", process.umask)));
        }
        Ok(())
    }

    /// Whether the process has this filter beside those that it has inherited. A file is read only where prctl(2) does not tell.
    pub fn has_filter(&self, filter: &seccomp::Program) -> Result<()> {
        let (call, first) = if self.inherited.is_some() { ("read", 0) } else { ("prctl", GET_SECCOMP) };
        // Whom the question would end does not ask: then seccomp(2) itself has said it.
        let ends = filter.verdict(call, [first, 0, 0, 0, 0, 0]) == Some(seccomp::Verdict::Other);
        if super::left_out() || ends {
            return Ok(());
        }
        let added = match &self.inherited {
            None => sys::seccomp::has_filter(),
            // A filter that refuses to let it be read is there.
            Some((file, before)) => {
                read(file).map_or(true, |text| filters(&text).is_some_and(|now| now > *before))
            }
        };
        if added { Ok(()) } else { Err(differs("Seccomp", &"as before", &"with its filter")) }
    }
}

/// What can be asked without a file.
fn by_calls(process: &Process, identity: &Identity) -> Result<()> {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    let users = (getuid().as_raw(), geteuid().as_raw(), getgid().as_raw(), getegid().as_raw());
    let meant = (identity.uid, identity.uid, identity.gid, identity.gid);
    if users != meant {
        return Err(differs("the user", &format!("{users:?}"), &format!("{meant:?}")));
    }
    let sets = rustix::thread::capabilities(None).map_err(called::<Errno>(|| "capget".to_owned()))?;
    let sets = [sets.effective, sets.permitted, sets.inheritable].map(|set| set.bits());
    let wanted = process.capabilities;
    let wanted = [wanted.effective, wanted.permitted, wanted.inheritable];
    if sets != wanted {
        return Err(differs("the capabilities", &format!("{sets:x?}"), &format!("{wanted:x?}")));
    }
    Ok(())
}

fn read(file: &OwnedFd) -> Result<String, sys::CallError> {
    read_from_its_start(file, || "read(\"/proc/thread-self/status\")".to_owned())
}

fn filters(text: &str) -> Option<u32> {
    field(text, "Seccomp_filters").ok()?.parse().ok()
}

fn field<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.map(str::trim).ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("attestation: /proc/thread-self/status has no {name}"))
    })
}
