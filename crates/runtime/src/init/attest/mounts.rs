//! What is seen at the places of mounts, masks and read-only paths: looked up once more in the new root, as the command will.

use super::differs;
use crate::error::{Error, Kind, Result};
use crate::init::target::resolve;
use crate::plan::{Link, Mount, Plan, Source};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, FsWord, OFlags, StatVfsMountFlags, StatxFlags};
use std::path::Path;
use sys::mount_setattr::{NODEV, NOEXEC, NOSUID, RDONLY};
use sys::{Errno, called};

/// `TMPFS_MAGIC` (statfs(2)).
const TMPFS: FsWord = 0x0102_1994;

/// File systems whose number is known, with their names in config.json.
const KINDS: [(&str, FsWord); 6] = [
    ("proc", 0x9fa0),
    ("tmpfs", TMPFS),
    ("sysfs", 0x6265_6572),
    ("devpts", 0x1cd1),
    ("mqueue", 0x1980_0202),
    ("cgroup2", 0x6367_7270),
];

/// Flags of a mount, with what statfs(2) calls them.
const FLAGS: [(u64, StatVfsMountFlags, &str); 4] = [
    (RDONLY, StatVfsMountFlags::RDONLY, "read-only"),
    (NOSUID, StatVfsMountFlags::NOSUID, "nosuid"),
    (NODEV, StatVfsMountFlags::NODEV, "nodev"),
    (NOEXEC, StatVfsMountFlags::NOEXEC, "noexec"),
];

/// The mounts that were attached, in order, by the ids that the kernel gave them.
#[derive(Debug, Default)]
pub struct Attached {
    /// Of the plan, by their numbers there.
    planned: Vec<(usize, u64)>,
    /// All of them, in order.
    all: Vec<u64>,
}

impl Attached {
    /// Notes one that is not in the plan's list: a device, a terminal, a mask.
    pub fn note(&mut self, mount: BorrowedFd<'_>) -> Result<()> {
        self.all.push(id(mount)?);
        Ok(())
    }

    /// Notes the plan's mount of this number.
    pub fn note_planned(&mut self, number: usize, mount: BorrowedFd<'_>) -> Result<()> {
        let id = id(mount)?;
        self.planned.push((number, id));
        self.all.push(id);
        Ok(())
    }

    /// The number in the plan of the mount that something is in.
    pub fn number_of(&self, of: BorrowedFd<'_>) -> Result<Option<usize>> {
        let found = id(of)?;
        // The first: a later one changes what is there already.
        Ok(self.planned.iter().find(|(_, id)| *id == found).map(|(number, _)| *number))
    }

    /// Whether a mount was attached after another one.
    fn is_later(&self, found: u64, than: u64) -> bool {
        let at = |id: u64| self.all.iter().rposition(|one| *one == id);
        at(found).is_some_and(|found| at(than).is_none_or(|than| found > than))
    }
}

/// The id of the mount that something is in (statx(2), `STATX_MNT_ID`).
fn id(of: BorrowedFd<'_>) -> Result<u64> {
    let found = rustix::fs::statx(of, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .map_err(called::<Errno>(|| "statx(STATX_MNT_ID)".to_owned()))?;
    Ok(found.stx_mnt_id)
}

/// Compares what is seen in `root` with the plan.
pub fn mounts(root: &OwnedFd, plan: &Plan, attached: &Attached) -> Result<()> {
    // What went astray in the race for its place would be noticed here.
    if super::left_out() || sys::mutant!("mutant_rt_08_unread") {
        return Ok(());
    }
    let flags_of = |at: &OwnedFd| {
        rustix::fs::fstatvfs(at).map(|found| found.f_flag).map_err(called::<Errno>(|| "fstatvfs".to_owned()))
    };
    let kind_of = |at: &OwnedFd| {
        rustix::fs::fstatfs(at).map(|found| found.f_type).map_err(called::<Errno>(|| "fstatfs".to_owned()))
    };
    if plan.root_read_only && !flags_of(root)?.contains(StatVfsMountFlags::RDONLY) {
        return Err(differs("the root", &"writable", &"read-only"));
    }
    let hooks = &plan.hooks;
    let may_mount =
        [&hooks.prestart, &hooks.create_runtime, &hooks.create_container].iter().any(|all| !all.is_empty());
    for (number, mounted) in &attached.planned {
        let mount = &plan.mounts[*number];
        if matches!(&mount.source, Source::Bind(bind) if bind.link == Link::Mount) {
            // A link is looked at by nobody but who asks for it, and what it covers may be followed.
            continue;
        }
        // One that was attached later at this place, above it or below a link of it has the path lead elsewhere, and may have changed
        // the flags of what is beneath.
        let later = attached
            .planned
            .iter()
            .any(|(other, _)| other > number && mount.target.starts_with(&plan.mounts[*other].target));
        let at = match resolve(root.as_fd(), &mount.target, OFlags::PATH | last_name(mount)) {
            Ok(at) => at,
            Err(_) if later || may_mount => continue,
            // Whoever may change the files has moved it away since.
            Err(error) => {
                let place = format!("attestation: the mount at {}", mount.target.display());
                return Err(Error::from(error).within(place));
            }
        };
        let found = id(at.as_fd())?;
        if found != *mounted {
            // Hooks mount what their owner wants.
            if later || may_mount || attached.is_later(found, *mounted) {
                continue;
            }
            return Err(differs(
                &format!("the mount at {}", mount.target.display()),
                &format!("number {found}"),
                &format!("number {mounted}"),
            ));
        }
        if later {
            continue;
        }
        // Those of the whole tree come after its own.
        let set = mount.attributes.set & !mount.recursive_attributes.clear | mount.recursive_attributes.set;
        let wanted: Vec<_> = FLAGS.iter().filter(|(bit, ..)| set & bit != 0).collect();
        // Not asked for nothing: a file system of the network may not answer.
        if !wanted.is_empty() {
            let flags = flags_of(&at)?;
            if let Some((_, _, name)) = wanted.into_iter().find(|(_, flag, _)| !flags.contains(*flag)) {
                return Err(differs(
                    &format!("the mount at {}", mount.target.display()),
                    &format!("not {name}"),
                    name,
                ));
            }
        }
        if let Source::FileSystem(one) = &mount.source
            && let Some((name, magic)) = KINDS.iter().find(|(name, _)| *name == one.kind)
            && kind_of(&at)? != *magic
        {
            return Err(differs(&format!("what is at {}", mount.target.display()), &"something else", name));
        }
    }
    for path in &plan.read_only {
        let Some(at) = existing(root, path)? else { continue };
        if !flags_of(&at)?.contains(StatVfsMountFlags::RDONLY) {
            return Err(differs(&path.display().to_string(), &"writable", &"read-only"));
        }
    }
    for path in plan.masked.iter().filter(|_| !sys::mutant!("mutant_rt_15")) {
        let Some(at) = existing(root, path)? else { continue };
        let stat = rustix::fs::fstat(&at).map_err(called::<Errno>(|| format!("fstat({path:?})")))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let masked = match kind {
            FileType::Directory => kind_of(&at)? == TMPFS,
            kind => kind == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3),
        };
        if !masked || !flags_of(&at)?.contains(StatVfsMountFlags::RDONLY) {
            return Err(differs(&path.display().to_string(), &"to be seen", &"masked"));
        }
    }
    Ok(())
}

/// A target whose last name may itself be a link is looked at as that.
fn last_name(mount: &Mount) -> OFlags {
    if mount.follow_target { OFlags::empty() } else { OFlags::NOFOLLOW }
}

fn existing(root: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
    match resolve(root.as_fd(), path, OFlags::PATH) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(Error::new(Kind::Other, format!("attestation: {}: {error}", path.display()))),
    }
}
