//! The container's own terminal: made in its own devpts, its master handed to the parent.

use super::attest::Attached;
use super::target::{Missing, found_or_made, kind, link_or_made, resolve};
use super::user::Identity;
use crate::channel::{Channel, Message};
use crate::error::{Error, Kind, Result};
use crate::plan::Process;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::path::Path;
use sys::{Context, Errno, called};

/// Opens a pair in the container's devpts, sends the master up and binds the other end onto /dev/console.
pub fn open(
    root: &OwnedFd,
    process: &Process,
    channel: &Channel,
    attached: &mut Attached,
) -> Result<Option<OwnedFd>> {
    let slave = pair(root, process, channel)?;
    if let Some(slave) = &slave {
        bind_console(root, slave, attached)?;
    }
    Ok(slave)
}

/// Opens a pair in the container's devpts and sends the master up.
pub fn pair(root: &OwnedFd, process: &Process, channel: &Channel) -> Result<Option<OwnedFd>> {
    let Some((rows, columns)) = process.terminal else { return Ok(None) };
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = resolve(root.as_fd(), Path::new("/dev/pts/ptmx"), flags).within(|| "open a terminal")?;
    unlockpt(&master)
        .map_err(called::<Errno>(|| "ioctl(TIOCSPTLCK)".to_owned()))
        .within(|| "open a terminal")?;
    // By ioctl, not by name: what is at /dev/pts/0 is the container's to choose.
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .map_err(called::<Errno>(|| "ioctl(TIOCGPTPEER)".to_owned()))
        .within(|| "open a terminal")?;
    if rows > 0 && columns > 0 {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).map_err(called::<Errno>(|| "ioctl(TIOCSWINSZ)".to_owned()))?;
    }
    channel.send(&Message::Terminal, Some(master.as_fd()))?;
    Ok(Some(slave))
}

fn bind_console(root: &OwnedFd, slave: &OwnedFd, attached: &mut Attached) -> Result<()> {
    // A link is an image's way to have some other file covered, or made (CVE-2025-52565).
    let find = if sys::mutant!("mutant_rt_16") { found_or_made } else { link_or_made };
    let (console, _) = find(root.as_fd(), Path::new("/dev/console"), Missing::File)?;
    if kind(&console)? == FileType::Symlink && !sys::mutant!("mutant_rt_16") {
        return Err(Error::new(Kind::Invalid, "/dev/console is there already and is something else"));
    }
    let tree = open_tree(
        slave,
        "",
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .map_err(called::<Errno>(|| "open_tree(terminal)".to_owned()))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &console, "", flags)
        .map_err(called::<Errno>(|| "move_mount(\"/dev/console\")".to_owned()))?;
    attached.note(tree.as_fd())
}

/// Makes the terminal the controlling one, and the three standard descriptors. Before the user changes.
pub fn take(slave: OwnedFd, identity: &Identity) -> Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(identity.uid), rustix::fs::Gid::from_raw(5));
    // The user must be able to open /dev/tty's file again; the group stays tty's where it is mapped.
    match rustix::fs::fchown(&slave, Some(uid), Some(gid)) {
        Err(Errno::INVAL) => rustix::fs::fchown(&slave, Some(uid), None),
        other => other,
    }
    .map_err(called::<Errno>(|| format!("fchown(terminal, {})", identity.uid)))?;
    rustix::process::ioctl_tiocsctty(&slave).map_err(called::<Errno>(|| "ioctl(TIOCSCTTY)".to_owned()))?;
    rustix::stdio::dup2_stdin(&slave).map_err(called::<Errno>(|| "dup2(0)".to_owned()))?;
    rustix::stdio::dup2_stdout(&slave).map_err(called::<Errno>(|| "dup2(1)".to_owned()))?;
    rustix::stdio::dup2_stderr(&slave).map_err(called::<Errno>(|| "dup2(2)".to_owned()))?;
    Ok(())
}
