//! Who the process becomes: ids, groups and capabilities.

use super::root::{Missing, resolve, target};
use super::target::kind;
use crate::error::{Error, Kind, Result};
use crate::plan::{Capabilities, Process, User};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Gid, OFlags, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use std::io::{Read, Write};
use std::path::Path;
use sys::{Context, Errno, called};

/// The longest /etc/passwd or /etc/group that is read.
const LONGEST: u64 = 16 << 20;

const PASSWD: &str = "/etc/passwd";

/// Ids, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// The home directory, where /etc/passwd has one.
    pub home: Option<String>,
}

/// Finds out who the plan means, in the container's own files.
pub fn identify(root: &OwnedFd, process: &Process) -> Result<Identity> {
    let mut passwd = read(root, PASSWD)?;
    if let Some(entry) = process.entry.as_ref().filter(|entry| !has_user(&passwd, entry)) {
        add_user(root, &mut passwd, entry).within(|| "add the user to /etc/passwd")?;
    }
    match &process.user {
        User::Ids { uid, gid, groups } => {
            Ok(Identity { uid: *uid, gid: *gid, groups: groups.clone(), home: home_of(&passwd, *uid) })
        }
        User::Written { user, groups } => {
            let group = read(root, "/etc/group")?;
            let mut identity = written_identity(user, &passwd, &group)?;
            for name in groups {
                let id = group_id(name, &group)?;
                if !identity.groups.contains(&id) {
                    identity.groups.push(id);
                }
            }
            Ok(identity)
        }
    }
}

/// Whether a file has a user of the number that a line is about.
fn has_user(passwd: &str, entry: &str) -> bool {
    let id = |line: &str| line.split(':').nth(2).and_then(|id| id.parse::<u32>().ok());
    passwd.lines().any(|line| id(line) == id(entry))
}

/// Adds a line, where the file can be written to.
fn add_user(root: &OwnedFd, passwd: &mut String, entry: &str) -> Result<()> {
    let line = format!("{}{entry}\n", if passwd.is_empty() || passwd.ends_with('\n') { "" } else { "\n" });
    let path = Path::new(PASSWD);
    target(root.as_fd(), path, Missing::File)?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match resolve(root.as_fd(), path, flags) {
        // A file of the host's, or one that its maker has closed: then the user has no name in there.
        Err(error) if matches!(error.errno, Errno::ROFS | Errno::ACCESS | Errno::PERM) => return Ok(()),
        other => other?,
    };
    if kind(&file)? == FileType::RegularFile {
        std::fs::File::from(file).write_all(line.as_bytes()).map_err(called(|| format!("write {path:?}")))?;
        passwd.push_str(&line);
    }
    Ok(())
}

/// The id of a group, by name or number.
fn group_id(name: &str, group: &str) -> Result<u32> {
    let unknown =
        || Error::new(Kind::Invalid, format!("unable to find group {name:?} in the container's /etc/group"));
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse().ok().filter(|id| *id != u32::MAX).ok_or_else(unknown);
    }
    fields(group)
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(unknown)
}

fn read(root: &OwnedFd, path: &str) -> Result<String> {
    // Opened without waiting: a fifo in this place would stop us for ever.
    let file = match resolve(root.as_fd(), Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(file) => file,
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    std::fs::File::from(file)
        .take(LONGEST)
        .read_to_end(&mut text)
        .map_err(called(|| format!("read {path:?}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn fields(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

fn home_of(passwd: &str, uid: u32) -> Option<String> {
    fields(passwd)
        .find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid))
        .and_then(|fields| fields.get(5).map(|home| (*home).to_owned()))
        .filter(|home| !home.is_empty())
}

/// `name|uid[:group|gid]`. A number is never a name (CVE-2016-3697).
fn written_identity(written: &str, passwd: &str, group: &str) -> Result<Identity> {
    let (user, asked_group) = match written.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (written, None),
    };
    let unknown = |what: &str, name: &str| {
        Error::new(
            Kind::Invalid,
            format!(
                "unable to find {what} {name:?} in the container's /etc/{}",
                if what == "user" { "passwd" } else { "group" }
            ),
        )
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    let id = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| Error::new(Kind::Invalid, format!("id {text} is out of range")))
    };
    let user = if user.is_empty() { "0" } else { user };
    let (uid, default_gid, name) = if number(user) {
        let uid = id(user)?;
        let line = fields(passwd).find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid));
        let gid = line.as_ref().and_then(|fields| fields.get(3)?.parse().ok()).unwrap_or(0);
        (uid, gid, line.map(|fields| fields[0].to_owned()))
    } else {
        let line = fields(passwd)
            .find(|fields| fields.first() == Some(&user))
            .ok_or_else(|| unknown("user", user))?;
        let ids = |index: usize| line.get(index).and_then(|id| id.parse::<u32>().ok());
        let (Some(uid), Some(gid)) = (ids(2), ids(3)) else { return Err(unknown("user", user)) };
        (uid, gid, Some(user.to_owned()))
    };
    let gid = match asked_group {
        None | Some("") => default_gid,
        Some(asked) if number(asked) => id(asked)?,
        Some(asked) => fields(group)
            .find(|fields| fields.first() == Some(&asked))
            .and_then(|fields| fields.get(2)?.parse().ok())
            .ok_or_else(|| unknown("group", asked))?,
    };
    // A group that is named replaces the user's own list, as in docker.
    let groups = match (&name, asked_group) {
        (Some(name), None) => fields(group)
            .filter(|fields| {
                fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
            })
            .filter_map(|fields| fields.get(2)?.parse().ok())
            .collect(),
        _ => Vec::new(),
    };
    Ok(Identity { uid, gid, groups, home: home_of(passwd, uid) })
}

/// Takes on ids and capabilities, in the one order in which each step is still allowed.
pub fn become_identity(process: &Process, identity: &Identity) -> Result<()> {
    let capabilities = process.capabilities;
    drop_bounding(capabilities.bounding).within(|| "drop capabilities")?;
    // Permitted capabilities must outlive the change of user, to be cut to the wanted sets after it.
    set_keep_capabilities(true).map_err(called::<Errno>(|| "prctl(PR_SET_KEEPCAPS)".to_owned()))?;
    if !process.keep_groups {
        set_groups(identity)?;
    }
    set_ids(identity).within(|| format!("become user {}:{}", identity.uid, identity.gid))?;
    set_keep_capabilities(false).map_err(called::<Errno>(|| "prctl(PR_SET_KEEPCAPS, 0)".to_owned()))?;
    set_sets(capabilities).within(|| "set capabilities")?;
    // After the sets: nothing below needs a privilege, and no execve from here on can bring one back.
    if process.no_new_privileges {
        set_no_new_privs(true).map_err(called::<Errno>(|| "prctl(PR_SET_NO_NEW_PRIVS)".to_owned()))?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(process.umask));
    Ok(())
}

fn drop_bounding(keep: u64) -> Result<()> {
    for number in 0..64 {
        if keep & (1 << number) != 0 {
            continue;
        }
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // Past the last capability that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(errno) => {
                return Err(called::<Errno>(|| format!("prctl(PR_CAPBSET_DROP, {number})"))(errno).into());
            }
        }
    }
    Ok(())
}

fn set_groups(identity: &Identity) -> Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    // Without a range of ids a user namespace has no setgroups; there are then no groups to drop either.
    match set_thread_groups(&groups) {
        Err(Errno::PERM) if groups.is_empty() && setgroups_denied() => Ok(()),
        other => other.map_err(|errno| refused(format!("setgroups({:?})", identity.groups), errno)),
    }
}

fn set_ids(identity: &Identity) -> Result<()> {
    let gid = Gid::from_raw(identity.gid);
    set_thread_res_gid(gid, gid, gid)
        .map_err(|errno| refused(format!("setresgid({})", identity.gid), errno))?;
    let uid = Uid::from_raw(identity.uid);
    set_thread_res_uid(uid, uid, uid).map_err(|errno| refused(format!("setresuid({})", identity.uid), errno))
}

/// What the kernel's EINVAL means here (user_namespaces(7)).
fn refused(call: String, errno: Errno) -> Error {
    let error = Error::from(called::<Errno>(|| call)(errno));
    if errno == Errno::INVAL { error.with_hint("its user namespace has no such id") } else { error }
}

fn setgroups_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}

fn set_sets(wanted: Capabilities) -> Result<()> {
    let set = CapabilitySet::from_bits_retain;
    set_capabilities(
        None,
        CapabilitySets {
            effective: set(wanted.effective),
            permitted: set(wanted.permitted),
            inheritable: set(wanted.inheritable),
        },
    )
    .map_err(called::<Errno>(|| format!("capset({wanted:x?})")))?;
    clear_ambient_capability_set()
        .map_err(called::<Errno>(|| "prctl(PR_CAP_AMBIENT_CLEAR_ALL)".to_owned()))?;
    for number in (0..64).filter(|number| wanted.ambient & (1 << number) != 0) {
        configure_capability_in_ambient_set(set(1 << number), true)
            .map_err(called::<Errno>(|| format!("prctl(PR_CAP_AMBIENT_RAISE, {number})")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/evil:/bin/sh\nweb:x:33:34:w:/var/www:/bin/sh\nbad\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nextra:x:50:web,other\n";

    #[test]
    fn users_as_docker_writes_them() {
        fn check(written: &str, uid: u32, gid: u32, groups: &[u32], home: Option<&str>) {
            let found = written_identity(written, PASSWD, GROUP).expect(written);
            assert_eq!(
                (found.uid, found.gid, found.groups.as_slice(), found.home.as_deref()),
                (uid, gid, groups, home),
                "{written}"
            );
        }
        check("", 0, 0, &[], Some("/root"));
        check("root", 0, 0, &[], Some("/root"));
        check("web", 33, 34, &[50], Some("/var/www"));
        check("33", 33, 34, &[50], Some("/var/www"));
        check("web:extra", 33, 50, &[], Some("/var/www"));
        check("web:7", 33, 7, &[], Some("/var/www"));
        // CVE-2016-3697: a line named "1000" does not make user 1000 root.
        check("1000", 1000, 0, &[], None);
        check("4000:5000", 4000, 5000, &[], None);
    }

    #[test]
    fn users_that_are_refused() {
        fn check(written: &str, message: &str) {
            let error = written_identity(written, PASSWD, GROUP).expect_err(written);
            assert!(error.to_string().contains(message), "{error}");
        }
        check("nobody", "unable to find user \"nobody\"");
        check("bad", "unable to find user \"bad\"");
        check("web:nogroup", "unable to find group \"nogroup\"");
        check("4294967295", "out of range");
        check("99999999999", "out of range");
    }
}
