//! The networks of an ordinary user: all their bridges are in one network namespace, and all containers on them in the user
//! namespace that owns it. Only so may somebody who is not root put one end of a link here and the other end there.
//!
//! ```text
//! RUN/networks.socket   where the holder is, see `network_holder`
//! DATA/network/lock     held by whoever comes to the holder or makes it, and by the holder at its end
//! ```
//! It is made by the first command that needs it, and there is no daemon: commands and supervisors are connected to its holder,
//! containers are known to it, and it ends with the last of them. Should the holder be killed, a supervisor, which has the
//! namespace open, makes another one.

use crate::control::is_attended;
use crate::error::{Error, Kind, Result, of_network, of_runtime};
use crate::life::{self, is_up};
use crate::neighbours::{self, Held};
use crate::paths::Paths;
use crate::user_namespace::{self, Ranges};
use crate::{network_holder, record};
use network::bridges;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recvmsg,
    sendmsg, socket_with,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use supervisor::Aside;
use sys::clone3::{Namespaces, clone3};
use sys::{Errno, called};

/// The holder answers at once; this only keeps one that is stopped from holding everything up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a supervisor may take to make another holder.
const REVIVAL: Duration = Duration::from_secs(1);

/// The connection of this process to the holder: it belongs to the process, as its namespaces do, and ends with it.
static CONNECTION: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// The file whose lock is held by whoever comes, makes it, or ends it.
pub fn lock_file(paths: &Paths) -> PathBuf {
    network::lock_file(&paths.network())
}

/// The holder's socket.
pub fn socket_file(paths: &Paths) -> PathBuf {
    paths.run.join("networks.socket")
}

/// Whether somebody holds them, or has.
fn is_held(paths: &Paths) -> Result<bool> {
    let socket = socket_file(paths);
    Ok(std::fs::exists(&socket).map_err(sys::called(|| format!("stat {socket:?}")))?)
}

/// What the holder gives.
struct Given {
    connection: OwnedFd,
    user: OwnedFd,
    network: OwnedFd,
}

/// Enters a user namespace for a command: that of a container that runs; else that of the user's networks, if anybody is on them
/// or `needed` says that somebody will be; else a new one. The process must have one thread.
pub fn enter(paths: &Paths, container: Option<&str>, needed: bool) -> Result<Ranges> {
    if let Some(pid) = container.and_then(|container| record::running(paths, container)) {
        let ranges = user_namespace::enter_that_of(Some(pid))?;
        if needed {
            ensure(paths)?;
        }
        return Ok(ranges);
    }
    if !needed && !is_held(paths)? {
        return user_namespace::enter();
    }
    let lock = hold(paths)?;
    let (lock, given) = if needed { awaited(paths, lock)? } else { (lock, visit(paths)?) };
    let ranges = match given {
        Some(given) => {
            let ranges = user_namespace::join(given.user.as_fd())?;
            if needed {
                belong(given);
            }
            ranges
        }
        None => {
            let ranges = user_namespace::enter()?;
            if needed {
                make(paths, None)?;
            }
            ranges
        }
    };
    drop(lock);
    Ok(ranges)
}

/// Makes the bridges known to this process, if somebody holds them and they are those of its user namespace.
pub fn find(paths: &Paths) -> Result<()> {
    if is_known() || !is_held(paths)? {
        return Ok(());
    }
    let _lock = hold(paths)?;
    if let Some(given) = visit(paths)?
        && is_ours(&given)?
    {
        belong(given);
    }
    Ok(())
}

/// As [`find`], and makes them in the user namespace of this process where nobody holds any.
///
/// # Errors
/// Also when they are those of another user namespace: out of this one nobody gets there.
pub fn ensure(paths: &Paths) -> Result<()> {
    if is_known() {
        return Ok(());
    }
    let (_lock, given) = awaited(paths, hold(paths)?)?;
    match given {
        None => make(paths, None),
        Some(given) if is_ours(&given)? => {
            belong(given);
            Ok(())
        }
        Some(_) => {
            Err(Error::new(Kind::Failed, "it was started apart from the containers that are on networks")
                .with_hint("stop it, connect it, and start it again"))
        }
    }
}

/// The holder is to stay until this process, the init of a container, ends.
pub fn stays_for(init: BorrowedFd<'_>) -> Result<()> {
    let connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(connection) = &*connection else { return Ok(()) };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [init];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    match sendmsg(connection, &[IoSlice::new(b"c")], &mut control, SendFlags::NOSIGNAL) {
        // It was killed: whoever makes another one tells it.
        Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| "sendmsg(networks.socket)".to_owned())(errno).into()),
    }
}

/// Whether this process can change what is on the bridges.
pub fn is_known() -> bool {
    bridges::are_here() || bridges::namespace().is_some()
}

fn belong(given: Given) {
    bridges::are_apart(Some(given.network));
    *CONNECTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(given.connection);
}

/// Whether the networks are in the user namespace of this process.
fn is_ours(given: &Given) -> Result<bool> {
    let (own, theirs) = (rustix::fs::stat("/proc/self/ns/user"), rustix::fs::fstat(&given.user));
    let failed = || called::<Errno>(|| "stat(\"/proc/self/ns/user\")".to_owned());
    let (own, theirs) = (own.map_err(failed())?, theirs.map_err(failed())?);
    Ok((own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino))
}

fn hold(paths: &Paths) -> Result<Held> {
    let file = lock_file(paths);
    neighbours::hold(&file)?
        .ok_or_else(|| Error::new(Kind::Failed, format!("{} is gone", paths.network().display())))
}

/// The holder, also one that a supervisor is about to make in the place of one that was killed.
fn awaited(paths: &Paths, mut lock: Held) -> Result<(Held, Option<Given>)> {
    let limit = Instant::now() + REVIVAL;
    loop {
        let given = visit(paths)?;
        if given.is_some() || limit <= Instant::now() || !is_coming_back(paths)? {
            return Ok((lock, given));
        }
        drop(lock);
        std::thread::sleep(Duration::from_millis(10));
        lock = hold(paths)?;
    }
}

fn is_coming_back(paths: &Paths) -> Result<bool> {
    let leases = network::leases(&paths.network()).map_err(of_network)?;
    Ok(leases.iter().any(|lease| is_up(paths, &lease.id) && is_attended(paths, &lease.id)))
}

fn socket() -> Result<OwnedFd> {
    let made = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(called::<Errno>(|| "socket(AF_UNIX)".to_owned()))?;
    Ok(made)
}

/// By descriptor: a path of any length has to fit into 107 bytes.
fn address(paths: &Paths) -> Result<(OwnedFd, SocketAddrUnix)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let run = rustix::fs::open(&paths.run, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({:?})", paths.run)))?;
    let path = format!("/proc/self/fd/{}/networks.socket", run.as_raw_fd());
    let address = SocketAddrUnix::new(path).map_err(called::<Errno>(|| "sockaddr_un".to_owned()))?;
    Ok((run, address))
}

/// With the lock held: comes to the holder; none when there is none.
fn visit(paths: &Paths) -> Result<Option<Given>> {
    let failed = |call: &'static str| called::<Errno>(move || format!("{call}(networks.socket)"));
    let (_run, address) = address(paths)?;
    let connection = socket()?;
    match connect(&connection, &address) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::CONNREFUSED) => {
            forget(paths)?;
            return Ok(None);
        }
        Err(errno) => return Err(failed("connect")(errno).into()),
    }
    set_socket_timeout(&connection, Timeout::Recv, Some(PATIENCE)).map_err(failed("setsockopt"))?;
    let mut byte = [0u8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(&connection, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
    });
    match received {
        Ok(received) if received.bytes > 0 => {}
        // It was killed at this moment.
        Ok(_) | Err(Errno::CONNRESET) => return Ok(None),
        Err(errno) => return Err(failed("recvmsg")(errno).into()),
    }
    let mut descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    match (descriptors.next(), descriptors.next()) {
        (Some(user), Some(network)) => Ok(Some(Given { connection, user, network })),
        _ => Err(Error::new(Kind::Failed, "networks.socket gives no namespaces")),
    }
}

/// The socket of a holder that was killed.
fn forget(paths: &Paths) -> Result<()> {
    match rustix::fs::unlink(socket_file(paths)) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| "unlink(networks.socket)".to_owned())(errno).into()),
    }
}

/// With the lock held, and nobody at the socket: makes the holder, of a new namespace or of one that there is.
fn make(paths: &Paths, namespace: Option<OwnedFd>) -> Result<()> {
    forget(paths)?;
    let listener = socket()?;
    let (run, address) = address(paths)?;
    // The file gets the mode that the socket has.
    rustix::fs::fchmod(&listener, Mode::RUSR | Mode::WUSR)
        .map_err(called::<Errno>(|| "fchmod(socket, 0600)".to_owned()))?;
    bind(&listener, &address).map_err(called::<Errno>(|| "bind(networks.socket)".to_owned()))?;
    listen(&listener, 1024).map_err(called::<Errno>(|| "listen(networks.socket)".to_owned()))?;
    drop(run);
    let new = if namespace.is_some() { Namespaces::NONE } else { Namespaces::NETWORK };
    clone3(new, None, || network_holder::hold(paths, listener, namespace))?;
    let given = visit(paths)?
        .ok_or_else(|| Error::new(Kind::Failed, "the holder of the user's networks ended at once"))?;
    belong(given);
    Ok(())
}

/// How often a supervisor tries to make another holder, and how long after a failure.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// A supervisor's part in it: it looks after the holder while it looks after its container.
#[derive(Debug)]
pub struct Watch<'a> {
    paths: &'a Paths,
    init: BorrowedFd<'a>,
    connection: Option<OwnedFd>,
    /// When it is tried once more, and how often it has failed in a row.
    again: Option<Instant>,
    failures: u32,
}

impl<'a> Watch<'a> {
    /// Watches over the holder; none where this process belongs to none.
    pub fn new(paths: &'a Paths, init: BorrowedFd<'a>) -> Option<Self> {
        connection().map(|connection| Self {
            paths,
            init,
            connection: Some(connection),
            again: None,
            failures: 0,
        })
    }

    /// Makes another holder of the same namespace, unless somebody else has just done it.
    fn revive(&self) -> Result<()> {
        let _lock = hold(self.paths)?;
        match visit(self.paths)? {
            Some(given) if is_ours(&given)? => {
                *CONNECTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(given.connection);
            }
            // Others have begun anew, and these are on their own.
            Some(_) => return Err(Error::new(Kind::Failed, "the user's networks are elsewhere")),
            None => make(self.paths, bridges::namespace())?,
        }
        stays_for(self.init)?;
        // Also for those whose supervisor is gone.
        for lease in network::leases(&self.paths.network()).map_err(of_network)? {
            let Some(init) = life::state(self.paths, &lease.id)?.and_then(|state| state.init) else {
                continue;
            };
            if let Some(pidfd) = init.open().map_err(of_runtime)? {
                stays_for(pidfd.as_fd())?;
            }
        }
        Ok(())
    }
}

fn connection() -> Option<OwnedFd> {
    let connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    connection.as_ref().and_then(|connection| connection.try_clone().ok())
}

impl Aside for Watch<'_> {
    fn due(&self) -> Option<Instant> {
        self.again
    }

    fn waits_for(&self) -> Vec<PollFd<'_>> {
        self.connection.iter().map(|connection| PollFd::new(connection, PollFlags::IN)).collect()
    }

    fn step(&mut self) {
        let is_due = self.again.is_some_and(|again| again <= Instant::now());
        let has_hung_up = self.connection.as_ref().is_some_and(|fd| {
            let mut hung_up = [PollFd::new(fd, PollFlags::IN)];
            matches!(poll(&mut hung_up, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
        });
        if !is_due && !has_hung_up {
            return;
        }
        (self.connection, self.again) = (None, None);
        match self.revive() {
            Ok(()) => (self.connection, self.failures) = (connection(), 0),
            // Nobody is there who could be told of one that stays: the container runs on, and the next start makes networks anew.
            Err(_) if self.failures < ATTEMPTS => {
                self.failures += 1;
                self.again = Some(Instant::now() + PAUSE);
            }
            Err(_) => {}
        }
    }
}
