//! CRIU, which turns processes into an image and back: started for one piece of work, spoken to over a socket
//! (`criu swrk`, criu(8); <https://criu.org/RPC>).
//!
//! ```text
//! here                           criu
//!   version -------------------->
//!                    <- which one
//!   dump or restore ------------>
//!                    <- notification: a point is reached, often with a process or a descriptor
//!   done ----------------------->
//!                    <- done, or what failed
//! ```
//! It does not decide what of a container lies outside of it; that is in [`outside`] and in the commands.

pub mod cgroups;
pub mod choices;
pub mod descriptors;
pub mod message;
pub mod outside;
pub mod targets;
mod wire;

use crate::console;
use crate::container::{end, wait};
use crate::error::{Error, Kind, Result, of_cgroup};
use crate::state::Init;
use cgroup::Entry;
use choices::Directories;
use message::{Answer, Features, Options, Wish};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::FdFlags;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, mount, mount_bind_recursive, mount_change, move_mount,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
    recvmsg, send, socketpair,
};
use std::ffi::CString;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use sys::clone3::{Child, Namespaces, clone3};
use sys::mount_setattr::{MountAttributes, mount_setattr};
use sys::{Context, Errno, called};

/// The oldest that knows all that is needed here: namespaces that lie outside, descriptors for files.
const OLDEST: u32 = 31_500;
/// Longer than any answer.
const LONGEST: usize = 64 * 1024;
/// As much of a log as is looked through for what failed.
const LOGGED: u64 = 64 << 20;
/// Where it is looked for behind PATH, which callers may have left short.
const ELSEWHERE: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// CRIU, started.
#[derive(Debug)]
pub struct Criu {
    socket: OwnedFd,
    child: Child,
    /// The directory of the image, under the number that CRIU has it by.
    image: u32,
    /// The same of where it works.
    work: u32,
    version: u32,
}

/// What CRIU is started with.
pub struct Surroundings<'a> {
    /// Where it reads and writes.
    pub directories: &'a Directories,
    /// The cgroup it works in, and with it all that it restores.
    pub entry: Entry,
    /// Descriptors that it keeps, under their numbers.
    pub inherited: Vec<BorrowedFd<'a>>,
    /// Whether no execve may ever give it, and all that it restores, more privilege.
    pub no_new_privileges: bool,
    /// For a restore: mounts that are there for CRIU alone.
    pub mounts: Option<Mounts<'a>>,
}

/// Mounts in a namespace of CRIU's own, so that nothing of them stays, however it ends.
#[derive(Debug, Clone, Copy)]
pub struct Mounts<'a> {
    /// The root of the container.
    pub root: &'a Path,
    /// Where it is bound: CRIU wants a mount that nothing lies on.
    pub root_at: &'a Path,
    /// Flags of the root's mount, which CRIU does not bring along from an image.
    pub root_flags: u64,
    /// Where there is a directory that is empty and cannot be written to, for masked paths.
    pub empty_at: &'a Path,
    /// What CRIU cannot bind from where it is on the host. A bind of a mount with ids of its own has the same ids.
    pub apart: &'a [Apart],
}

/// A mount by itself.
#[derive(Debug)]
pub struct Apart {
    /// Where it is in the container, as config.json says.
    pub target: PathBuf,
    /// What is mounted, detached.
    pub tree: OwnedFd,
    /// Where it is mounted for CRIU.
    pub at: PathBuf,
}

/// What CRIU says on its way.
pub struct Notification {
    /// The point that it has come to.
    pub script: String,
    /// The process that it is about.
    pub pid: i32,
    /// What it hands over.
    pub descriptor: Option<OwnedFd>,
}

impl Criu {
    /// Starts it and asks which one it is.
    ///
    /// # Errors
    /// `Unsupported` when there is none, or one that is too old.
    pub fn start(surroundings: &Surroundings<'_>) -> Result<Self> {
        let program = find()?;
        let path = word(program.into_os_string())?;
        let env = environment();
        let (mut ours, theirs) = pair()?;
        let namespaces = if surroundings.mounts.is_some() { Namespaces::MOUNT } else { Namespaces::NONE };
        let parents_end = &mut ours;
        let child = clone3(namespaces, surroundings.entry.unified.as_ref().map(AsFd::as_fd), || {
            // A copy of the parent's end would hide our end from it.
            let closed = rustix::io::dup2(rustix::stdio::stderr(), parents_end);
            let failure = match closed.map_err(called::<Errno>(|| "dup2".to_owned())) {
                Ok(()) => become_criu(surroundings, &theirs, &path, &env),
                Err(error) => error.into(),
            };
            let told = send(&theirs, failure.to_string().as_bytes(), SendFlags::NOSIGNAL);
            if told.is_err() { 71 } else { 70 }
        })?;
        drop(theirs);
        let mut criu = match started(&ours) {
            Ok((socket, [image, work])) => Self { socket, child, image, work, version: 0 },
            Err(error) => {
                end(&child)?;
                return Err(error.within("start criu"));
            }
        };
        let version = criu.ask(&message::ask_version()).and_then(|answer| {
            criu.version = answer.version;
            criu.require(OLDEST, "")
        });
        if version.is_err() {
            criu.abandon()?;
        }
        version.map(|()| criu)
    }

    /// Refuses a CRIU that is older than `version` (its major number times 10,000, its minor number times 100).
    pub fn require(&self, version: u32, what: &str) -> Result<()> {
        if self.version >= version {
            return Ok(());
        }
        let shown = |version: u32| format!("{}.{}", version / 10_000, version / 100 % 100);
        let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
        let message =
            format!("{what}CRIU {} is too old: {} or later is needed", shown(self.version), shown(version));
        Err(Error::new(Kind::Unsupported, message).with_hint("install a newer criu (https://criu.org)"))
    }

    /// What it can do on this kernel.
    pub fn features(&mut self) -> Result<Features> {
        Ok(self.ask(&message::ask_features())?.features)
    }

    fn ask(&mut self, question: &[u8]) -> Result<Answer> {
        self.say(question)?;
        Ok(self.hear()?.0)
    }

    /// Has it dump or restore; `notified` hears of each point on the way, and its error stops the work.
    pub fn carry_out(
        &mut self,
        wish: Wish,
        options: &Options,
        notified: &mut dyn FnMut(Notification) -> Result<()>,
    ) -> Result<Answer> {
        let options = Options { image: self.image, work: self.work, ..options.clone() };
        self.say(&message::request(wish, &options))?;
        let mut stopped = None;
        loop {
            let (answer, descriptor) = self.hear()?;
            if answer.about == Wish::Notified as i32 {
                let (script, pid) = answer.notification.unwrap_or_default();
                let done = notified(Notification { script, pid, descriptor });
                self.say(&message::notified(done.is_ok()))?;
                stopped = stopped.or(done.err());
                continue;
            }
            return match stopped {
                Some(error) => Err(error),
                None if answer.success => Ok(answer),
                None => Err(failed(wish, &answer)),
            };
        }
    }

    fn say(&self, message: &[u8]) -> Result<()> {
        match send(&self.socket, message, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            // It is gone; what it said before tells more.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(called::<Errno>(|| "send".to_owned())(errno)).within(|| "speak to criu"),
        }
    }

    fn hear(&mut self) -> Result<(Answer, Option<OwnedFd>)> {
        let (message, descriptor) = receive(&self.socket)?;
        if message.is_empty() {
            return Err(Error::new(Kind::Other, "criu ended without an answer"));
        }
        Ok((Answer::read(&message)?, descriptor))
    }

    /// Waits for its end: it may have pages to send after its answer. How it ends says nothing that its answer did not.
    pub fn finish(self) -> Result<()> {
        // The end of the stream is its word to go.
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both)
            .map_err(called::<Errno>(|| "shutdown(criu)".to_owned()))?;
        wait(&self.child).map(drop)
    }

    /// Its process, for the record of what it works on: it outlives its caller.
    pub fn process(&self) -> Result<Option<Init>> {
        Init::of(self.child.pid.as_raw_nonzero().get())
    }

    /// Ends it.
    pub fn abandon(&self) -> Result<()> {
        end(&self.child)
    }
}

/// The text of what CRIU could not do.
fn failed(wish: Wish, answer: &Answer) -> Error {
    let what = match wish {
        Wish::Restore => "restore",
        Wish::PreDump => "pre-dump",
        _ => "dump",
    };
    let mut text = match answer.errno.abs() {
        0 => format!("criu failed: {what}"),
        errno => {
            called::<Errno>(|| format!("criu failed: {what}"))(Errno::from_raw_os_error(errno)).to_string()
        }
    };
    if !answer.message.is_empty() {
        text.push_str(&format!(": {}", answer.message.trim()));
    }
    Error::new(Kind::Other, text)
}

/// Files that CRIU writes while it restores, whatever is there: a link among them would have it write anywhere.
pub const WRITTEN: [&str; 2] = ["restore.log", "stats-restore"];

/// Whether what has this name, if anything has, is a file of its own (CVE-2026-53489): an image may come from somebody else.
pub fn is_own_file(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => Ok(()),
        Ok(_) => Err(Error::new(Kind::Invalid, format!("{}: not a file", path.display()))
            .with_hint("an image has files alone; this one was not made by a checkpoint")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(called(|| format!("lstat({path:?})"))(error).into()),
    }
}

/// Adds what CRIU's log has about a failure: its first error, and where to read more.
pub fn explain(error: Error, directory: &Path, log: &str) -> Error {
    let path = directory.join(log);
    let Ok(file) = std::fs::File::open(&path) else { return error };
    let mut bytes = Vec::new();
    if file.take(LOGGED).read_to_end(&mut bytes).is_err() {
        return error;
    }
    let text = String::from_utf8_lossy(&bytes);
    let first = text.lines().find(|line| line.contains("Error (")).map(without_time);
    let mut error = error;
    // Often it was said already.
    error.chain.extend(first.filter(|first| !error.to_string().contains(first)).map(str::to_owned));
    error.with_hint(format!("log file: {}", path.display()))
}

/// A line of the log without the time before it.
fn without_time(line: &str) -> &str {
    line.split_once(") ").filter(|(time, _)| time.starts_with('(')).map_or(line, |(_, rest)| rest).trim()
}

/// The program in PATH, or where it is installed.
fn find() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&path)
        .chain(ELSEWHERE.iter().map(PathBuf::from))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("criu"))
        .find(|program| {
            std::fs::metadata(program)
                .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
        });
    program.ok_or_else(|| {
        Error::new(Kind::Unsupported, "CRIU is not installed: there is no criu in PATH")
            .with_hint("install the package criu (https://criu.org)")
    })
}

fn word(text: std::ffi::OsString) -> Result<CString> {
    CString::new(text.into_vec()).map_err(|_| Error::new(Kind::Invalid, "a NUL in a path"))
}

/// Our own environment: CRIU looks for tar, ip and iptables in PATH, and more in its own places.
fn environment() -> Vec<CString> {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    for place in ELSEWHERE.iter().chain(&["/usr/bin", "/bin"]) {
        path.push(if path.is_empty() { "" } else { ":" });
        path.push(place);
    }
    std::env::vars_os()
        .filter(|(key, _)| key != "PATH")
        .chain([("PATH".into(), path)])
        .filter_map(|(mut key, value)| {
            key.push("=");
            key.push(value);
            word(key).ok()
        })
        .collect()
}

fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    Ok(pair.map_err(called::<Errno>(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)".to_owned()))?)
}

/// The next message and what is attached to it; an empty one when nobody speaks any more.
fn receive(socket: &OwnedFd) -> Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = vec![0u8; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let into = &mut [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => break 0,
            Err(errno) => {
                return Err(called::<Errno>(|| "recvmsg".to_owned())(errno)).within(|| "listen to criu");
            }
        }
    };
    bytes.truncate(length);
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((bytes, descriptor))
}

/// What the child becomes CRIU with: our end of the socket to it, and the numbers of its directories.
fn started(channel: &OwnedFd) -> Result<(OwnedFd, [u32; 2])> {
    let said = |text: &[u8]| Error::new(Kind::Other, String::from_utf8_lossy(text).into_owned());
    let (text, socket) = receive(channel)?;
    let Some(socket) = socket else { return Err(said(&text)) };
    let numbers: Vec<u32> =
        String::from_utf8_lossy(&text).split(' ').filter_map(|number| number.parse().ok()).collect();
    let [image, work] = numbers[..] else { return Err(said(&text)) };
    // The end of the stream is that of the program before: execve has worked.
    match receive(channel)?.0.as_slice() {
        [] => Ok((socket, [image, work])),
        why => Err(said(why)),
    }
}

/// Runs in the child; returns only the error that keeps it from becoming CRIU.
fn become_criu(surroundings: &Surroundings<'_>, channel: &OwnedFd, path: &CString, env: &[CString]) -> Error {
    let args = match prepare(surroundings, channel) {
        Ok(socket) => [Ok(path.clone()), word("swrk".into()), word(socket.into())],
        Err(error) => return error,
    };
    match args.into_iter().collect::<Result<Vec<CString>>>() {
        Ok(args) => sys::execve::execve(path, &args, env).into(),
        Err(error) => error,
    }
}

/// What the child does before it becomes CRIU. Returns the number of its socket.
///
/// CRIU takes descriptors for those of the maker of its socket, and works, mounts too, from where they are: so both the
/// socket and the directories are made here, in CRIU's own mount namespace.
fn prepare(surroundings: &Surroundings<'_>, channel: &OwnedFd) -> Result<String> {
    surroundings.entry.enter().map_err(of_cgroup)?;
    if let Some(mounts) = &surroundings.mounts {
        prepare_mounts(mounts)?;
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| "open(\"/dev/null\")".to_owned()))?;
    // The caller's own streams are not for CRIU: what stands for them in the container comes under other numbers.
    rustix::stdio::dup2_stdin(&null).map_err(called::<Errno>(|| "dup2(0)".to_owned()))?;
    rustix::stdio::dup2_stdout(&null).map_err(called::<Errno>(|| "dup2(1)".to_owned()))?;
    rustix::stdio::dup2_stderr(&null).map_err(called::<Errno>(|| "dup2(2)".to_owned()))?;
    let (theirs, ours) = pair()?;
    let kept = [ours, surroundings.directories.open_image()?, surroundings.directories.open_work()?];
    let numbers = format!("{} {}", kept[1].as_raw_fd(), kept[2].as_raw_fd());
    console::send(channel, &numbers, theirs.as_fd())?;
    sys::close_range::cloexec_from(3)?;
    for kept in surroundings.inherited.iter().copied().chain(kept.iter().map(AsFd::as_fd)) {
        rustix::io::fcntl_setfd(kept, FdFlags::empty())
            .map_err(called::<Errno>(|| "fcntl(F_SETFD)".to_owned()))?;
    }
    if surroundings.no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .map_err(called::<Errno>(|| "prctl(PR_SET_NO_NEW_PRIVS)".to_owned()))?;
    }
    sys::signals::reset_for_exec();
    // From here on they belong to the program that comes.
    Ok(kept.map(|one| one.into_raw_fd())[0].to_string())
}

fn prepare_mounts(mounts: &Mounts<'_>) -> Result<()> {
    let Mounts { root, root_at, root_flags, empty_at, apart } = mounts;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).map_err(called::<
        Errno,
    >(
        || "mount(\"/\", MS_REC|MS_SLAVE)".to_owned(),
    ))?;
    mount_bind_recursive(*root, *root_at)
        .map_err(called::<Errno>(|| format!("mount({root:?}, {root_at:?}, MS_BIND|MS_REC)")))?;
    let bound = rustix::fs::open(*root_at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({root_at:?})")))?;
    let attributes = MountAttributes { set: *root_flags, ..MountAttributes::default() };
    mount_setattr(bound.as_fd(), false, attributes)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", *empty_at, "tmpfs", flags, Some(c"nr_blocks=1,nr_inodes=1"))
        .map_err(called::<Errno>(|| format!("mount(tmpfs, {empty_at:?})")))?;
    for Apart { tree, at, .. } in *apart {
        move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(called::<Errno>(|| format!("move_mount({at:?})")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_without_its_time() {
        assert_eq!(without_time("(00.3) Error (criu/a.c:1): x"), "Error (criu/a.c:1): x");
        assert_eq!(without_time("Error (criu/a.c:1): x"), "Error (criu/a.c:1): x");
        assert_eq!(without_time("pie: 1: Error (a.c:1): x"), "pie: 1: Error (a.c:1): x");
    }

    #[test]
    fn a_failure_says_what_and_where() {
        let directory = std::env::temp_dir().join(format!("criu-log-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let log =
            "(00.1) Version\n(00.2) Error (criu/mount.c:9): no mapping\n(00.3) Error (criu/b.c:1): FAILED\n";
        std::fs::write(directory.join("dump.log"), log).unwrap();
        let answer = Answer { errno: -52, ..Answer::default() };
        let explained = explain(failed(Wish::Dump, &answer), &directory, "dump.log");
        let without = explain(failed(Wish::Dump, &answer), &directory, "other.log");
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(explained.to_string().starts_with("criu failed: dump: "), "{explained}");
        assert!(explained.to_string().ends_with(": Error (criu/mount.c:9): no mapping"), "{explained}");
        assert!(explained.hint.unwrap().ends_with("/dump.log"));
        assert!(without.hint.is_none());
    }
}
