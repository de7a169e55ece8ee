//! This program's own file, out of reach of containers.
//!
//! A process that enters a container is known there by `/proc/PID/exe`, and a container may have it executed once more by
//! a command `#!/proc/self/exe`: root inside could then write to the file on the host (CVE-2019-5736). So a command that
//! enters containers first executes itself through a mount of this one file that is read-only and attached nowhere, or,
//! where no mount may be made, from a sealed copy. No process inside can be traced back to a file that can be written.

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, StatVfsMountFlags};
use rustix::mount::{OpenTreeFlags, open_tree};
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use sys::mount_setattr::{MountAttributes, RDONLY, mount_setattr};
use sys::{Context, Errno, called};

/// The link to it.
const PROGRAM: &str = "/proc/self/exe";

/// Puts this program out of reach: returns when it is, and executes it again when it is not.
pub fn protect() -> Result<()> {
    if sys::mutant!("mutant_rt_04") {
        return Ok(());
    }
    // What stands in its place could name another program as ours.
    let proc = rustix::fs::statfs("/proc").map_err(called::<Errno>(|| "statfs(\"/proc\")".to_owned()))?;
    if proc.f_type != PROC_SUPER_MAGIC {
        return Err(
            Error::new(Kind::Invalid, "/proc: not a proc file system").with_hint("mount -t proc proc /proc")
        );
    }
    let stat = rustix::fs::statvfs(PROGRAM).map_err(called::<Errno>(|| format!("statvfs({PROGRAM:?})")))?;
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) || is_sealed()? || is_of_another_user()? {
        return Ok(());
    }
    let program = match read_only_mount() {
        // Without CAP_SYS_ADMIN.
        Err(error) if error.errno == Errno::PERM => sealed_copy()?,
        other => other?,
    };
    let words = |list: Vec<std::ffi::OsString>| -> Vec<CString> {
        // Words that came by execve(2) have no NUL in them.
        list.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect()
    };
    let args = words(std::env::args_os().collect());
    let env = words(
        std::env::vars_os()
            .map(|(mut key, value)| {
                key.push("=");
                key.push(value);
                key
            })
            .collect(),
    );
    Err(sys::execve::execveat(program.as_fd(), &args, &env))
        .within(|| "execute this program from out of reach")
}

/// Whether it runs from a copy that nobody can write to any more.
fn is_sealed() -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open(PROGRAM, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({PROGRAM:?})")))?;
    // Most file systems have no seals at all.
    Ok(rustix::fs::fcntl_get_seals(&own).is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::WRITE)))
}

/// Whether an ordinary user runs what belongs to somebody else: nothing that he starts can write to it.
fn is_of_another_user() -> Result<bool> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(false);
    }
    let stat = rustix::fs::stat(PROGRAM).map_err(called::<Errno>(|| format!("stat({PROGRAM:?})")))?;
    let writable = rustix::fs::access(PROGRAM, rustix::fs::Access::WRITE_OK).is_ok();
    Ok(stat.st_uid != user.as_raw() && !writable)
}

fn read_only_mount() -> Result<OwnedFd, sys::CallError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, PROGRAM, flags)
        .map_err(called::<Errno>(|| format!("open_tree({PROGRAM:?}, OPEN_TREE_CLONE)")))?;
    mount_setattr(tree.as_fd(), false, MountAttributes { set: RDONLY, ..MountAttributes::default() })?;
    Ok(tree)
}

fn sealed_copy() -> Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let doing = || "copy this program";
    let copy = rustix::fs::memfd_create("devoxx-runtime", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(called::<Errno>(|| "memfd_create".to_owned()))
        .within(doing)?;
    let mut copy = std::fs::File::from(copy);
    std::fs::File::open(PROGRAM)
        .and_then(|mut program| std::io::copy(&mut program, &mut copy))
        .map_err(called(|| format!("copy({PROGRAM:?})")))
        .within(doing)?;
    // Opened again to read only: a file that is open for writing is not executed (ETXTBSY).
    let path = {
        use rustix::fd::AsRawFd;
        format!("/proc/self/fd/{}", copy.as_raw_fd())
    };
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)
        .map_err(called::<Errno>(|| "fcntl(F_ADD_SEALS)".to_owned()))
        .within(doing)?;
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({path:?})")))
        .within(doing)
}
