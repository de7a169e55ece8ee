//! Rootless: this process becomes root of a user namespace of its own, and everything after is as for root.
//!
//! The ranges of /etc/subuid and /etc/subgid are mapped by newuidmap(1) and newgidmap(1), the programs that may.
//! They have to run outside of the namespace, so a child is started before it is made and waits for it.

use crate::error::{Error, Kind, Result};
use runtime::id_map;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space, set_thread_res_gid, set_thread_res_uid};
use std::process::{Command, Stdio};
use sys::clone3::{Child, Namespaces, clone3, unshare};
use sys::{Context, Errno, called};

/// What a user namespace was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranges {
    /// Whether more than one id is mapped.
    pub subordinate: bool,
}

/// Whether this process has to enter a user namespace first: it is not root.
pub fn is_needed() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Enters the user namespace of a process that runs in one of this user's, as its root; a new one where there is none.
///
/// Only from within may the processes of a container be signalled that are not its root: to any other namespace of the same
/// user they belong to strangers. The caller must have one thread.
pub fn enter_that_of(pid: Option<i32>) -> Result<Ranges> {
    let theirs = pid.and_then(|pid| {
        let path = format!("/proc/{pid}/ns/user");
        let theirs = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        child_of_ours(theirs)
    });
    // One that has just ended, or is not in a namespace of its own: as if there were none.
    match theirs {
        Some(theirs) if move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::User)).is_ok() => {
            as_root()
        }
        _ => enter(),
    }
}

/// Enters a user namespace that another process of this user has made, as its root. The process must have one thread.
pub fn join(theirs: BorrowedFd<'_>) -> Result<Ranges> {
    move_into_link_name_space(theirs, Some(LinkNameSpaceType::User))
        .map_err(called::<Errno>(|| "setns(CLONE_NEWUSER)".to_owned()))?;
    as_root()
}

/// In a user namespace whose ids are mapped.
fn as_root() -> Result<Ranges> {
    become_root()?;
    let map = std::fs::read_to_string("/proc/self/uid_map")
        .map_err(called(|| "read(\"/proc/self/uid_map\")".to_owned()))?;
    Ok(Ranges { subordinate: map.lines().count() > 1 })
}

/// The user namespace that a command of this user has made: a container may be in one of its own, in there.
fn child_of_ours(mut namespace: OwnedFd) -> Option<OwnedFd> {
    let own = rustix::fs::stat("/proc/self/ns/user").ok()?;
    loop {
        let parent = sys::namespace::parent(namespace.as_fd()).ok()?;
        let found = rustix::fs::fstat(&parent).ok()?;
        if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino) {
            return Some(namespace);
        }
        namespace = parent;
    }
}

/// The user and the group who are root in the user namespace of this process, as the one around it has them.
pub fn user() -> Result<(u32, u32)> {
    let root = |file: &str| -> Result<u32> {
        let path = format!("/proc/self/{file}");
        let text = std::fs::read_to_string(&path).map_err(called(|| format!("read({path:?})")))?;
        let line = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut line = line.filter(|words| words.first() == Some(&"0"));
        let found = line.next().and_then(|words| words.get(1)?.parse().ok());
        found.ok_or_else(|| Error::new(Kind::Failed, format!("{path} has no id 0")))
    };
    Ok((root("uid_map")?, root("gid_map")?))
}

/// Enters a new user namespace as its root. The process must have one thread.
pub fn enter() -> Result<Ranges> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = id_map::user_name(uid);
    let read =
        |path: &str| id_map::subordinate(&std::fs::read_to_string(path).unwrap_or_default(), &name, uid);
    match (read("/etc/subuid"), read("/etc/subgid")) {
        (Some(uids), Some(gids)) => {
            map_ranges(uid, gid, uids, gids).within(|| "enter a user namespace")?;
            become_root()?;
            Ok(Ranges { subordinate: true })
        }
        _ => {
            unshare(Namespaces::USER).map_err(denied)?;
            map_self(uid, gid).within(|| "enter a user namespace")?;
            become_root()?;
            Ok(Ranges { subordinate: false })
        }
    }
}

fn denied(error: sys::CallError) -> Error {
    Error::new(Kind::Failed, format!("permission denied: run with sudo: {error}"))
}

fn become_root() -> Result<()> {
    let (uid, gid) = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
    set_thread_res_gid(gid, gid, gid).map_err(called::<Errno>(|| "setresgid(0)".to_owned()))?;
    set_thread_res_uid(uid, uid, uid).map_err(called::<Errno>(|| "setresuid(0)".to_owned()))?;
    // The host's network is not this root's.
    network::bridges::are_apart(None);
    Ok(())
}

/// One id: all that an ordinary user may map alone (user_namespaces(7)).
pub fn map_self(uid: u32, gid: u32) -> Result<()> {
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ];
    for (path, text) in files {
        std::fs::write(path, &text).map_err(called(|| format!("write({path:?}, {text:?})")))?;
    }
    Ok(())
}

fn map_ranges(uid: u32, gid: u32, uids: (u32, u32), gids: (u32, u32)) -> Result<()> {
    let (wait_for_go, mut go) =
        pipe_with(PipeFlags::CLOEXEC).map_err(called::<Errno>(|| "pipe2".to_owned()))?;
    let target = rustix::process::getpid().as_raw_nonzero().to_string();
    let parents_end = &mut go;
    let mapper: Child = clone3(Namespaces::NONE, None, move || {
        // Our copy of the writing end would keep the pipe open after the parent's death.
        if rustix::io::dup2(rustix::stdio::stderr(), parents_end).is_err() {
            return 1;
        }
        let mut byte = [0u8; 1];
        if !matches!(rustix::io::read(&wait_for_go, &mut byte), Ok(1)) {
            return 1;
        }
        let map = |program: &str, own: u32, (start, count): (u32, u32)| {
            let numbers = [0, own, 1, 1, start, count].map(|number| number.to_string());
            Command::new(program)
                .arg(&target)
                .args(numbers)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
        };
        for (program, own, range, missing, failed) in
            [("newuidmap", uid, uids, 10, 11), ("newgidmap", gid, gids, 12, 13)]
        {
            match map(program, own, range) {
                Err(_) => return missing,
                Ok(status) if !status.success() => return failed,
                Ok(_) => {}
            }
        }
        0
    })?;
    // On failure the child ends by itself, when the pipe closes.
    unshare(Namespaces::USER).map_err(denied)?;
    rustix::io::write(&go, b"g").map_err(called::<Errno>(|| "write(pipe)".to_owned()))?;
    let code = runtime::container::wait(&mapper).map_err(crate::error::of_runtime)?;
    let failure = |message: &str, hint: &str| Err(Error::new(Kind::Failed, message).with_hint(hint));
    match code {
        0 => Ok(()),
        10 | 12 => failure("newuidmap and newgidmap are not installed", "apt install uidmap"),
        11 => failure("newuidmap refused the range", "the range of /etc/subuid must belong to this user"),
        13 => failure("newgidmap refused the range", "the range of /etc/subgid must belong to this user"),
        _ => failure("the mapping of user ids failed", "check /etc/subuid and /etc/subgid"),
    }
}
