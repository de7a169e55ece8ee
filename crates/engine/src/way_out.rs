//! What leads out of a container of an ordinary user: a pasta of its own, also where it is on networks with others.
//!
//! So the clients of its ports keep their addresses, and whoever kills one takes the way out from one container. On networks it
//! has the address that it has there; alone, or on `bridge` too, the host's.

use crate::connect::{namespace_of, own_leases};
use crate::error::{Result, of_network};
use crate::networks::reap;
use crate::paths::Paths;
use crate::published;
use crate::record::{self, Record};
use crate::wish::Network;
use network::pasta::{Guest, Pasta};
use network::{Definition, Driver, Kind, Lease, PortMapping, definition};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use supervisor::Aside;
use sys::called;

/// Whoever lasted so long has not failed at its start.
const STABLE: Duration = Duration::from_secs(10);
/// So many that fail at their start are enough.
const ATTEMPTS: u32 = 3;
/// How long after a failure it is tried once more.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether something leads out of a network.
pub fn leads_out(definition: &Definition) -> bool {
    !definition.internal && definition.driver == Driver::Bridge
}

/// What pasta has to be for a container that has these leases; none where nothing leads out.
pub fn guest(record: &Record, leases: &[Lease]) -> Option<Guest> {
    if record.wish.network != Network::Bridge || record.pasta.is_none() {
        return None;
    }
    let as_host = record.networks.iter().position(|one| one.network == definition::DEFAULT);
    if let Some(number) = as_host {
        return Some(Guest::AsHost(format!("eth{number}")));
    }
    let with = record
        .networks
        .iter()
        .find_map(|one| leases.iter().find(|lease| lease.network == one.network && !lease.internal))?;
    Some(Guest::With { ipv4: with.ipv4, ipv6: with.ipv6 })
}

/// Connects a container whose ports are these.
pub fn open(
    record: &Record,
    guest: &Guest,
    ports: &[PortMapping],
    netns: BorrowedFd<'_>,
    local_dns: bool,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let Some(pid_file) = &record.pasta else { return Ok(()) };
    match network::pasta::start(netns, guest, ports, pid_file, local_dns) {
        // A machine without a network still runs containers; they have what it has.
        Err(error) if error.kind == Kind::NoRoute && ports.is_empty() => {
            let left = if matches!(guest, Guest::AsHost(_)) { "loopback" } else { "that of its neighbours" };
            warn(&format!("no network but {left}: this machine has no route to the outside"));
            Ok(())
        }
        done => done.map(drop).map_err(of_network),
    }
}

/// Its ports, each with one of the host's that is free: written down for whoever looks.
pub fn resolve(paths: &Paths, record: &Record) -> Result<Vec<PortMapping>> {
    let mut ports = record.wish.ports.clone();
    if !ports.is_empty() {
        reap_strays(paths)?;
    }
    let holder = |port: &PortMapping| published::holder(paths, &record.id, port);
    network::pasta::resolve(&mut ports, holder).map_err(of_network)?;
    published::keep(paths, &record.id, &ports)?;
    Ok(ports)
}

/// Ends those whose container ended with nobody there: they have its ports.
fn reap_strays(paths: &Paths) -> Result<()> {
    let entries = std::fs::read_dir(&paths.run).map_err(called(|| format!("read {:?}", paths.run)))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(short) = name.to_str().and_then(|name| name.strip_suffix(".pasta"))
            && let Ok(id) = record::find(paths, short)
        {
            reap(paths, &id)?;
        }
    }
    Ok(())
}

/// Connects a container that runs anew, where what it is on has changed. With its record held.
pub fn renew(
    paths: &Paths,
    before: Option<&Guest>,
    record: &Record,
    leases: &[Lease],
    netns: BorrowedFd<'_>,
) -> Result<()> {
    let now = guest(record, leases);
    // With the host's addresses its link has the name that it got.
    let same = match (before, &now) {
        (Some(Guest::AsHost(_)), Some(Guest::AsHost(_))) => true,
        (before, now) => before == now.as_ref(),
    };
    if same { Ok(()) } else { again(paths, record, now, netns) }
}

fn again(paths: &Paths, record: &Record, guest: Option<Guest>, netns: BorrowedFd<'_>) -> Result<()> {
    let Some(pid_file) = &record.pasta else { return Ok(()) };
    // First: its link may have the name, and it has the ports.
    Pasta::of(pid_file).stop().map_err(of_network)?;
    let Some(guest) = guest else { return Ok(()) };
    let guest = match guest {
        Guest::AsHost(_) => Guest::AsHost(network::free_inside(netns).map_err(of_network)?),
        with @ Guest::With { .. } => with,
    };
    let ports = match published::of(paths, &record.id) {
        kept if !kept.is_empty() => kept,
        _ => resolve(paths, record)?,
    };
    let local_dns = crate::etc::local_dns(&record.wish)?;
    open(record, &guest, &ports, netns, local_dns, &|_| ())
}

/// A supervisor's part in it: where pasta was killed, or has failed, another one takes its place.
#[derive(Debug)]
pub struct Watch<'a> {
    paths: &'a Paths,
    id: &'a str,
    init: BorrowedFd<'a>,
    pasta: Pasta,
    process: Option<OwnedFd>,
    since: Instant,
    attempts: u32,
    /// When it is looked at once more, after a failure.
    again: Option<Instant>,
}

impl<'a> Watch<'a> {
    /// Watches over the pasta of a container, where it has one.
    pub fn new(paths: &'a Paths, record: &'a Record, init: BorrowedFd<'a>) -> Option<Self> {
        let pasta = Pasta::of(record.pasta.as_deref()?);
        let (process, again) = match pasta.process() {
            Ok(process) => (Some(process?), None),
            Err(_) => (None, Some(Instant::now() + PAUSE)),
        };
        Some(Self { paths, id: &record.id, init, pasta, process, since: Instant::now(), attempts: 0, again })
    }

    fn look(&self) -> Result<Option<OwnedFd>> {
        // Whoever changes its networks ends it too, and makes the next one.
        let _hold = record::hold(self.paths, self.id)?;
        let process = self.pasta.process().map_err(of_network)?;
        if process.is_some() {
            return Ok(process);
        }
        if !self.pasta.is_expected() || has_ended(self.init) {
            return Ok(None);
        }
        let record = record::read(self.paths, self.id)?;
        let leases = own_leases(self.paths, self.id)?;
        if let Some(netns) = namespace_of(self.paths, self.id)? {
            again(self.paths, &record, guest(&record, &leases), netns.as_fd())?;
        }
        self.pasta.process().map_err(of_network)
    }
}

fn has_ended(process: BorrowedFd<'_>) -> bool {
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    matches!(poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
}

impl Aside for Watch<'_> {
    fn due(&self) -> Option<Instant> {
        self.again
    }

    fn waits_for(&self) -> Vec<PollFd<'_>> {
        self.process.iter().map(|process| PollFd::new(process, PollFlags::IN)).collect()
    }

    fn step(&mut self) {
        let is_due = self.again.is_some_and(|again| again <= Instant::now());
        if !is_due && !self.process.as_ref().is_some_and(|process| has_ended(process.as_fd())) {
            return;
        }
        // One that fails again and again would do so for ever. Nobody is there who could be told: the container runs on.
        self.attempts = if self.since.elapsed() > STABLE { 0 } else { self.attempts + 1 };
        (self.process, self.again) = (None, None);
        if self.attempts <= ATTEMPTS {
            match self.look() {
                Ok(process) => self.process = process,
                Err(_) => self.again = Some(Instant::now() + PAUSE),
            }
        }
        self.since = Instant::now();
    }
}
