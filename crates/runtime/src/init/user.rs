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
const LONGEST: u64 = 10 << 20;

/// The highest id that a written user or group may have, as in docker: programs keep ids in signed numbers too.
const HIGHEST: u32 = i32::MAX.cast_unsigned();

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

impl Identity {
    /// Whether no group is asked for that the process has not as its own.
    fn has_own_group_alone(&self) -> bool {
        self.groups.iter().all(|group| *group == self.gid)
    }
}

/// Finds out who the plan means, in the container's own files.
pub fn identify(root: &OwnedFd, process: &Process) -> Result<Identity> {
    if process.entry.as_ref().is_some_and(|entry| !is_one_line(entry)) && !sys::mutant!("mutant_en_11") {
        // The working directory of an image is in it.
        let text = "a home directory with a colon or a line break cannot stand in /etc/passwd";
        return Err(Error::new(Kind::Invalid, text));
    }
    let mut passwd = match (read(root, PASSWD), &process.user) {
        // Of who is a number only the home is looked for there.
        (Err(error), User::Ids { .. }) if error.kind == Kind::Invalid && process.entry.is_none() => {
            String::new()
        }
        (passwd, _) => passwd?,
    };
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
                let id = id_of_group(name, &group)?;
                if !identity.groups.contains(&id) {
                    identity.groups.push(id);
                }
            }
            Ok(identity)
        }
    }
}

/// Whether it has the seven fields of one line of /etc/passwd (CVE-2022-4318).
fn is_one_line(entry: &str) -> bool {
    entry.split(':').count() == 7 && !entry.contains(['\n', '\r', '\0'])
}

/// Whether a file has a user of the number that a line is about.
fn has_user(passwd: &str, entry: &str) -> bool {
    let id = |line: &str| line.split(':').nth(2).and_then(number);
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

/// An id as files and people write it: digits and nothing else. None of them is 2^32-1, with which setresuid(2) and its like change
/// nothing at all.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= HIGHEST)
}

/// What is written for a user or a group. What could be taken for a number is never looked up as a name (CVE-2016-3697,
/// CVE-2024-40635): a line of that name would make it another's id.
enum Written<'a> {
    Id(u32),
    Name(&'a str),
}

fn written(text: &str) -> Result<Written<'_>> {
    let invalid = |why: &str| Err(Error::new(Kind::Invalid, format!("id {text:?} is {why}")));
    if sys::mutant!("mutant_en_13", "mutant_rt_02") {
        let id = number(text).filter(|_| !sys::mutant!("mutant_rt_02"));
        return Ok(id.map_or(Written::Name(text), Written::Id));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return number(text).map_or_else(|| invalid("out of range"), |id| Ok(Written::Id(id)));
    }
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if text.starts_with(['-', '+'])
        || text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return invalid("neither a number nor a name");
    }
    Ok(Written::Name(text))
}

/// The id of a group, by name or number.
fn id_of_group(text: &str, group: &str) -> Result<u32> {
    let name = match written(text)? {
        Written::Id(id) => return Ok(id),
        Written::Name(name) => name,
    };
    let line = fields(group).find(|fields| fields.first() == Some(&name));
    line.and_then(|fields| number(fields.get(2)?)).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("unable to find group {text:?} in the container's /etc/group"))
    })
}

fn read(root: &OwnedFd, path: &str) -> Result<String> {
    // Opened without waiting: a fifo in this place would stop us for ever.
    let file = match resolve(root.as_fd(), Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(file) => file,
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let refused = |why: &str| Err(Error::new(Kind::Invalid, format!("the container's {path} {why}")));
    if kind(&file)? != FileType::RegularFile && !sys::mutant!("mutant_en_09") {
        return refused("is no regular file");
    }
    let mut text = Vec::new();
    std::fs::File::from(file)
        .take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(called(|| format!("read {path:?}")))?;
    // Half a file would be another one: who is in it last would have no groups.
    if text.len() as u64 > LONGEST && !sys::mutant!("mutant_en_10") {
        return refused(&format!("has more than {LONGEST} bytes"));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn fields(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

fn home_of(passwd: &str, uid: u32) -> Option<String> {
    fields(passwd)
        .find(|fields| fields.get(2).and_then(|id| number(id)) == Some(uid))
        .and_then(|fields| fields.get(5).map(|home| (*home).to_owned()))
        .filter(|home| !home.is_empty())
}

/// `name|uid[:group|gid]`.
fn written_identity(text: &str, passwd: &str, group: &str) -> Result<Identity> {
    let (user, asked_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let unusable = |why: &str| Error::new(Kind::Invalid, format!("user {user:?}: {why}"));
    let (uid, line) = match written(if user.is_empty() { "0" } else { user })? {
        Written::Id(uid) => {
            let line = fields(passwd).find(|fields| fields.get(2).and_then(|id| number(id)) == Some(uid));
            (uid, line)
        }
        Written::Name(name) => {
            let line = fields(passwd).find(|fields| fields.first() == Some(&name)).ok_or_else(|| {
                let text = format!("unable to find user {user:?} in the container's /etc/passwd");
                Error::new(Kind::Invalid, text)
            })?;
            let uid = line.get(2).and_then(|id| number(id));
            (uid.ok_or_else(|| unusable("its line in /etc/passwd has no usable id"))?, Some(line))
        }
    };
    let own = match line.as_ref().and_then(|fields| fields.get(3)) {
        None | Some(&"") => Some(0),
        Some(id) => number(id),
    };
    let gid = match asked_group {
        None | Some("") => own.ok_or_else(|| unusable("its line in /etc/passwd has no usable group"))?,
        Some(asked) => id_of_group(asked, group)?,
    };
    // The own group is in the list too, as in docker: a program that gives it up as its group must not gain what members are
    // denied (CVE-2022-36109).
    let mut groups = if sys::mutant!("mutant_en_14") { Vec::new() } else { vec![gid] };
    // A group that is named replaces the user's own list, as in docker.
    if let (Some(name), None) = (line.as_ref().and_then(|fields| fields.first()), asked_group) {
        let is_member = |fields: &Vec<&str>| {
            fields.get(3).is_some_and(|members| members.split(',').any(|member| member == *name))
        };
        let theirs = fields(group).filter(is_member).filter_map(|fields| number(fields.get(2)?));
        groups.extend(theirs.filter(|id| *id != gid));
    }
    Ok(Identity { uid, gid, groups, home: home_of(passwd, uid) })
}

/// Takes on ids and capabilities, in the one order in which each step is still allowed.
/// Whether its groups are those that it was to have: where there are none to be had, those of the caller stay.
pub fn become_identity(process: &Process, identity: &Identity) -> Result<bool> {
    let capabilities = process.capabilities;
    if !sys::mutant!("mutant_at_bounding") {
        drop_bounding(capabilities.bounding).within(|| "drop capabilities")?;
    }
    // Permitted capabilities must outlive the change of user, to be cut to the wanted sets after it.
    set_keep_capabilities(true).map_err(called::<Errno>(|| "prctl(PR_SET_KEEPCAPS)".to_owned()))?;
    let groups_set = !process.keep_groups && (sys::mutant!("mutant_at_groups") || set_groups(identity)?);
    if !sys::mutant!("mutant_at_ids") {
        set_ids(identity).within(|| format!("become user {}:{}", identity.uid, identity.gid))?;
    }
    set_keep_capabilities(false).map_err(called::<Errno>(|| "prctl(PR_SET_KEEPCAPS, 0)".to_owned()))?;
    if !sys::mutant!("mutant_at_capabilities") {
        set_sets(capabilities).within(|| "set capabilities")?;
    }
    // After the sets: nothing below needs a privilege, and no execve from here on can bring one back.
    if process.no_new_privileges && !sys::mutant!("mutant_at_privileges") {
        set_no_new_privs(true).map_err(called::<Errno>(|| "prctl(PR_SET_NO_NEW_PRIVS)".to_owned()))?;
    }
    if !sys::mutant!("mutant_at_umask") {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(process.umask));
    }
    Ok(groups_set)
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

fn set_groups(identity: &Identity) -> Result<bool> {
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    // Without a range of ids a user namespace has no setgroups; there are then no groups to drop either.
    match set_thread_groups(&groups) {
        Err(Errno::PERM) if identity.has_own_group_alone() && setgroups_denied() => Ok(false),
        other => {
            other.map(|()| true).map_err(|errno| refused(format!("setgroups({:?})", identity.groups), errno))
        }
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

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/evil:/bin/sh\nweb:x:33:34:w:/var/www:/bin/sh\nbad\n\
        -1:x:0:0:::\n+1:x:0:0:::\n 0:x:0:0:::\n0x0:x:0:0:::\n2147483648:x:0:0:::\n4294967296:x:0:0:::\n\
        ghost:x:4294967295:0:::\nplus:x:+5:0:::\nlost:x:62:4294967295:::\nmember:x:60:50:::\nshort:x:61\n";
    const GROUP: &str =
        "root:x:0:\nweb:x:34:\nextra:x:50:web,other,member\nghosts:x:4294967295:web\n-1:x:0:\n+1:x:0:\n";

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
        check("", 0, 0, &[0], Some("/root"));
        check("root", 0, 0, &[0], Some("/root"));
        check("web", 33, 34, &[34, 50], Some("/var/www"));
        check("33", 33, 34, &[34, 50], Some("/var/www"));
        check("web:", 33, 34, &[34], Some("/var/www"));
        check("web:extra", 33, 50, &[50], Some("/var/www"));
        check("web:7", 33, 7, &[7], Some("/var/www"));
        check("member", 60, 50, &[50], None);
        check("short", 61, 0, &[0], None);
        // CVE-2016-3697: a line named "1000" does not make user 1000 root.
        check("1000", 1000, 0, &[0], None);
        check("4000:5000", 4000, 5000, &[5000], None);
        check("2147483647:65534", 2_147_483_647, 65_534, &[65_534], None);
    }

    #[test]
    fn a_line_of_passwd() {
        for (home, expected) in [
            ("/", true),
            ("/mit Leerzeichen/ü", true),
            ("/a:b", false),
            ("/a\nroot::0:0::/:", false),
            ("/a\0", false),
        ] {
            assert_eq!(is_one_line(&format!("me:x:1000:1000:me:{home}:/bin/sh")), expected, "{home:?}");
        }
    }

    #[test]
    fn users_that_are_refused() {
        fn check(written: &str, message: &str) {
            let error = written_identity(written, PASSWD, GROUP).expect_err(written);
            assert!(error.to_string().contains(message), "{error}");
        }
        check("nobody", "unable to find user \"nobody\"");
        check("bad", "user \"bad\": its line in /etc/passwd has no usable id");
        check("web:nogroup", "unable to find group \"nogroup\"");
        // With 2^32-1 setresuid(2) leaves root what it is.
        check("ghost", "has no usable id");
        check("plus", "has no usable id");
        check("lost", "has no usable group");
        check("62", "has no usable group");
        check("web:ghosts", "unable to find group");
        // CVE-2024-40635: each has a line of that name with the id 0.
        for id in ["2147483648", "4294967295", "4294967296", "99999999999"] {
            check(id, "out of range");
            check(&format!("web:{id}"), "out of range");
        }
        for id in ["-1", "+1", " 0", "0 ", "0x0", "0x", "\t0"] {
            check(id, "neither a number nor a name");
            check(&format!("web:{id}"), "neither a number nor a name");
        }
    }
}
