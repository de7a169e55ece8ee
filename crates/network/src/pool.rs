//! The addresses of containers: one file for each address in use, whose creation is what decides who has it.
//!
//! There is no lock and no list that could disagree with the files, and both survive a crash. A file appears by
//! link(2) with its whole content, so a reader never sees half of one.

use crate::definition::{self, Definition, Driver, v4, v6};
use crate::failure::{Error, Kind, Result};
use crate::link;
use crate::own_file;
use crate::publish::{MOST, PortMapping};
use crate::reserve::{Purpose, Reservation};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use sys::called;

/// The first address of the IPv4 pool.
pub const NET4: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 0);
/// Length of the IPv4 pool's prefix.
pub const PREFIX4: u8 = 16;
/// The first address of the IPv6 pool: a unique local one (RFC 4193), whose last 16 bits are those of the IPv4 one.
pub const NET6: Ipv6Addr = Ipv6Addr::new(0xfd64, 0x6576, 0x6f78, 0, 0, 0, 0, 0);
/// Length of the IPv6 pool's prefix.
pub const PREFIX6: u8 = 64;
/// A lease file is at most this long: a thousand ports take 100 KiB.
const LONGEST: u64 = 1 << 20;

/// What a container has of a network: everything that `attach` needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The container.
    pub id: String,
    /// The network.
    pub network: String,
    /// How it connects.
    pub driver: Driver,
    /// The name of the network's bridge.
    pub bridge: String,
    /// The name of the host's end of its veth pair.
    pub veth: String,
    /// The name of its link inside.
    pub inside: String,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Length of the prefix of `ipv4`.
    pub ipv4_prefix: u8,
    /// The bridge's IPv4 address.
    pub gateway4: Ipv4Addr,
    /// Its IPv6 address, when the network has IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// Length of the prefix of `ipv6`.
    pub ipv6_prefix: u8,
    /// The bridge's IPv6 address.
    pub gateway6: Option<Ipv6Addr>,
    /// Whether what has no other way goes by this network.
    pub is_way_out: bool,
    /// Whether nothing leads out of the network.
    pub internal: bool,
    /// The largest packet, where that was asked for.
    pub mtu: Option<u32>,
    /// The link of the host that a macvlan is on.
    pub parent: Option<String>,
    /// The address of its link.
    pub mac: [u8; 6],
    /// Its published ports, each with the host port that it got.
    pub ports: Vec<PortMapping>,
    /// The file whose flock(2) is held while the bridge and the table are made or removed.
    pub lock: PathBuf,
}

/// What a container wants of a network.
pub struct Request<'a> {
    /// Ports of the host that lead to it; 0 for a free one.
    pub ports: Vec<PortMapping>,
    /// This address and no other.
    pub ipv4: Option<Ipv4Addr>,
    /// This address and no other.
    pub ipv6: Option<Ipv6Addr>,
    /// The address of its link.
    pub mac: Option<[u8; 6]>,
    /// The name of its link inside.
    pub inside: String,
    /// Whether what has no other way goes by this network.
    pub is_way_out: bool,
    /// How a person calls the container of an id.
    pub called: &'a dyn Fn(&str) -> String,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            ipv4: None,
            ipv6: None,
            mac: None,
            inside: link::INSIDE.to_owned(),
            is_way_out: true,
            called: &|id| id.get(..12).unwrap_or(id).to_owned(),
        }
    }
}

/// Gives a container an address of the network that is always there, and its published ports. What it still has from a run
/// that was killed is given back first. Keep the [`Reservation`] for as long as the container runs.
pub fn lease(root: &Path, id: &str, ports: Vec<PortMapping>) -> Result<(Lease, Reservation)> {
    crate::attach::detach(root, id)?;
    lease_in(root, definition::DEFAULT, id, Request { ports, ..Request::default() })
}

/// As [`lease`] for any network; nothing is given back.
pub fn lease_in(root: &Path, network: &str, id: &str, request: Request<'_>) -> Result<(Lease, Reservation)> {
    let told = |error: Error| error.within(format!("network of {}", id.get(..12).unwrap_or(id)));
    make_directory(root).map_err(told)?;
    // A network that was made does not go away meanwhile.
    let _lock = match network {
        definition::DEFAULT => None,
        _ => Some(crate::attach::share(&lock_file(root))?),
    };
    let definition = definition::read(root, network)?
        .ok_or_else(|| Error::new(Kind::Usage, format!("network {network} not found")))?;
    take(root, &definition, id, request).map_err(told)
}

fn make_directory(directory: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(called(|| format!("mkdir {}", directory.display())))?;
    Ok(())
}

fn take(
    root: &Path,
    network: &Definition,
    id: &str,
    mut request: Request<'_>,
) -> Result<(Lease, Reservation)> {
    check_ports(&request.ports)?;
    check_addresses(network, &request)?;
    let state = network.state(root);
    let directory = directory(&state);
    make_directory(&directory)?;
    let mut ports = std::mem::take(&mut request.ports);
    let reservation = if ports.is_empty() {
        Reservation::default()
    } else {
        let others = everywhere(root)?;
        let holder = |mapping: &PortMapping| {
            let other = others.iter().find(|lease| lease.ports.iter().any(|port| port.clashes(mapping)))?;
            Some(format!("container {}", (request.called)(&other.id)))
        };
        Reservation::of(&mut ports, network.subnet6.is_some(), Purpose::Hold, holder)?
    };
    request.ports = ports;
    let hint = state.join("next");
    let file = |number| directory.join(v4(network.subnet.at(number)).to_string());
    let typed =
        request.ipv4.map(Into::into).or(request.ipv6.map(Into::into)).map(|address: std::net::IpAddr| {
            if address.is_ipv4() {
                network.subnet.offset(address)
            } else {
                network.subnet6.map_or(0, |six| six.offset(address))
            }
        });
    if let Some(number) = typed {
        let lease = made(root, network, id, number, &request);
        if create(&directory, &lease)? {
            return Ok((lease, reservation));
        }
        let owner =
            read(&file(number))?.map(|lease| format!(" by container {}", (request.called)(&lease.id)));
        let message = format!("address {} is already in use{}", lease.ipv4, owner.unwrap_or_default());
        return Err(Error::new(Kind::AddressInUse, message));
    }
    let reserved = [
        Some(network.subnet.offset(network.gateway.into())),
        network.subnet6.zip(network.gateway6).map(|(six, gateway)| six.offset(gateway.into())),
    ];
    let numbers = candidates(read_hint(&hint), network.subnet.last());
    for number in numbers.filter(|number| !reserved.contains(&Some(*number)) && !file(*number).exists()) {
        let lease = made(root, network, id, number, &request);
        if create(&directory, &lease)? {
            // Only a hint: when it is lost, an address is used again a little sooner.
            let _ = fs::write(&hint, (number.wrapping_add(1)).to_string());
            return Ok((lease, reservation));
        }
    }
    Err(Error::new(Kind::PoolExhausted, format!("every address of {} is leased", network.subnet))
        .with_hint("remove containers that are not needed"))
}

/// Whether the addresses that were asked for can be had on this network at all.
pub fn check_addresses(network: &Definition, request: &Request<'_>) -> Result<()> {
    let wrong = |address: std::net::IpAddr, why: String| {
        Err(Error::new(Kind::Usage, format!("invalid address {address} for network {}: {why}", network.name)))
    };
    if let Some(address) = request.ipv4.map(std::net::IpAddr::from) {
        let number = network.subnet.offset(address);
        if !network.subnet.contains(address) {
            return wrong(address, format!("it is not in {}", network.subnet));
        }
        if number == 0 || number > network.subnet.last() || address == network.gateway {
            return wrong(address, "it is the network's own".to_owned());
        }
    }
    if let Some(address) = request.ipv6.map(std::net::IpAddr::from) {
        let Some(six) = network.subnet6 else { return wrong(address, "it has no IPv6".to_owned()) };
        if !six.contains(address) {
            return wrong(address, format!("it is not in {six}"));
        }
        let number = six.offset(address);
        // Which IPv6 address belongs to which IPv4 address is fixed, so that one file says who has both.
        if six.at(number) != address || !(2..=network.subnet.last()).contains(&number) {
            return wrong(address, format!("its number in {six} is above {}", network.subnet.last()));
        }
        if request.ipv4.is_some_and(|four| network.subnet.offset(four.into()) != number) {
            return wrong(address, "both addresses must have the same number in their subnets".to_owned());
        }
    }
    Ok(())
}

/// The leases of every network.
pub fn everywhere(root: &Path) -> Result<Vec<Lease>> {
    let mut leases = Vec::new();
    for network in definition::every(root)? {
        leases.extend(all(&network.state(root))?);
    }
    Ok(leases)
}

fn check_ports(ports: &[PortMapping]) -> Result<()> {
    if ports.len() > MOST {
        return Err(Error::new(Kind::Usage, format!("{} published ports: {MOST} at most", ports.len())));
    }
    if let Some(port) = ports.iter().find(|port| port.host_ip == Some(Ipv6Addr::LOCALHOST.into())) {
        return Err(Error::new(
            Kind::Usage,
            format!("publish {port}: the kernel cannot lead ::1 into a container"),
        )
        .with_hint("publish on 127.0.0.1"));
    }
    let clash = ports
        .iter()
        .enumerate()
        .find(|(at, port)| port.host_port != 0 && ports[..*at].iter().any(|earlier| earlier.clashes(port)));
    match clash {
        Some((_, port)) => Err(Error::new(Kind::Usage, format!("port {port} is published twice"))),
        None => Ok(()),
    }
}

fn made(root: &Path, network: &Definition, id: &str, number: u32, request: &Request<'_>) -> Lease {
    let ipv4 = v4(network.subnet.at(number));
    let [a, b, c, d] = ipv4.octets();
    Lease {
        id: id.to_owned(),
        network: network.name.clone(),
        driver: network.driver,
        bridge: network.link(),
        veth: veth_in(&network.name, id),
        inside: request.inside.clone(),
        ipv4,
        ipv4_prefix: network.subnet.prefix,
        gateway4: network.gateway,
        ipv6: network.subnet6.map(|six| v6(six.at(number))),
        ipv6_prefix: network.subnet6.map_or(0, |six| six.prefix),
        gateway6: network.gateway6,
        is_way_out: request.is_way_out && !network.internal,
        internal: network.internal,
        mtu: network.mtu,
        parent: network.parent.clone(),
        // Locally administered, and made of the address: a neighbour's cache stays right when it is used again.
        mac: request.mac.unwrap_or([0x02, 0x64, a, b, c, d]),
        ports: request.ports.clone(),
        lock: lock_file(root),
    }
}

/// Writes a lease's file, `false` when somebody else has the address.
fn create(directory: &Path, lease: &Lease) -> Result<bool> {
    let content = serde_json::to_vec(lease)
        .map_err(|error| Error::new(Kind::Other, format!("encode the lease: {error}")))?;
    let target = directory.join(lease.ipv4.to_string());
    let linked = match without_a_name(directory, &content)? {
        // By its link in /proc: for AT_EMPTY_PATH an ordinary user lacks CAP_DAC_READ_SEARCH (open(2), "O_TMPFILE").
        Some(file) => {
            let own = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::linkat(CWD, own, CWD, &target, AtFlags::SYMLINK_FOLLOW)
        }
        None => by_a_draft(directory, lease, &content, &target)?,
    };
    match linked {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(called::<Errno>(|| format!("link {}", target.display()))(errno).into()),
    }
}

/// A file that has its content before it has a name: should this process be killed, nothing of it stays. None where the file
/// system has no such files.
fn without_a_name(directory: &Path, content: &[u8]) -> Result<Option<fs::File>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        // A kernel that does not know the flag takes it for one to write to a directory.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => return Ok(None),
        Err(errno) => {
            let call = || format!("open {}, O_TMPFILE", directory.display());
            return Err(called::<Errno>(call)(errno).into());
        }
    };
    let mut file = fs::File::from(file);
    file.write_all(content).map_err(called(|| format!("write to {}", directory.display())))?;
    Ok(Some(file))
}

fn by_a_draft(
    directory: &Path,
    lease: &Lease,
    content: &[u8],
    target: &Path,
) -> Result<std::result::Result<(), Errno>> {
    static UNIQUE: AtomicU64 = AtomicU64::new(0);
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let draft = directory.join(format!(".{}-{}-{unique}", lease.veth, std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(content))
        .map_err(called(|| format!("write {}", draft.display())));
    let linked = written.map(|()| rustix::fs::link(&draft, target));
    // The lease is the link: a draft that stays is overwritten by the next one and means nothing.
    let _ = fs::remove_file(&draft);
    Ok(linked?)
}

/// All leases. A file that is gone by the time it is read, or is none of ours, is passed over; one that cannot be read is not, since what it
/// names would stay for ever.
pub fn all(state: &Path) -> Result<Vec<Lease>> {
    let directory = directory(state);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(called(|| format!("readdir {}", directory.display()))(error).into()),
    };
    let mut leases = Vec::new();
    for entry in entries {
        let entry = entry.map_err(called(|| format!("readdir {}", directory.display())))?;
        if entry.file_name().to_str().is_some_and(|name| name.parse::<Ipv4Addr>().is_ok()) {
            leases.extend(read(&entry.path())?);
        }
    }
    Ok(leases)
}

/// Files that were to be leases: drafts, and what was torn by a loss of power and keeps its address from everybody.
pub fn torn(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(state)).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let is_torn = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = name.strip_prefix('.').is_some_and(|rest| rest.starts_with(link::VETH));
        draft || (name.parse::<Ipv4Addr>().is_ok() && matches!(read(path), Ok(None)) && path.exists())
    };
    paths.filter(is_torn).collect()
}

/// A lease; none where the file is gone, or is none of ours.
fn read(path: &Path) -> Result<Option<Lease>> {
    let Some(content) = own_file::read(path, LONGEST)? else { return Ok(None) };
    let lease: Option<Lease> = serde_json::from_slice(&content).ok();
    // A file under another name would free an address that is not its own.
    Ok(lease.filter(|lease| path.ends_with(lease.ipv4.to_string())))
}

/// Frees a lease's address.
pub fn free(state: &Path, lease: &Lease) -> Result<()> {
    let file = directory(state).join(lease.ipv4.to_string());
    match rustix::fs::unlink(&file) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| format!("unlink {}", file.display()))(errno).into()),
    }
}

/// The file whose lock is held while the bridge and the table are made or removed.
pub fn lock_file(root: &Path) -> PathBuf {
    root.join("lock")
}

fn directory(state: &Path) -> PathBuf {
    state.join("leases")
}

fn read_hint(path: &Path) -> u32 {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(16).read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

/// Every number up to `last` once, beginning with `first`. 0 is the network's, and 1 as a rule the bridge's.
fn candidates(first: u32, last: u32) -> impl Iterator<Item = u32> {
    let first = first.clamp(2.min(last), last);
    (first..=last).chain(1..first)
}

/// The name of the link of container `id` in a network.
pub fn veth_in(network: &str, id: &str) -> String {
    if network == definition::DEFAULT { veth(id) } else { veth(&format!("{network}/{id}")) }
}

/// The name of a container's link: it must fit into 15 bytes and be found again from the id alone, so it is a hash
/// (FNV-1a, 64 bits, folded to 48).
pub fn veth(id: &str) -> String {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}{:012x}", link::VETH, (hash ^ (hash >> 48)) & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_publish;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn get_lease(root: &Path, id: &str, ports: Vec<PortMapping>) -> Result<(Lease, Reservation)> {
        take(root, &Definition::default_bridge(), id, Request { ports, ..Request::default() })
    }

    #[test]
    fn a_file_by_either_way_is_there_whole_and_alone() {
        let state = tempfile::tempdir().unwrap();
        let lease = get_lease(state.path(), "one", Vec::new()).unwrap().0;
        let directory = directory(&Definition::default_bridge().state(state.path()));
        let names =
            || fs::read_dir(&directory).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
        assert_eq!(names(), [lease.ipv4.to_string().as_str()]);
        let target = directory.join(lease.ipv4.to_string());
        let again = by_a_draft(&directory, &lease, b"{}", &target).unwrap();
        assert_eq!(again, Err(Errno::EXIST));
        free(&Definition::default_bridge().state(state.path()), &lease).unwrap();
        let content = serde_json::to_vec(&lease).unwrap();
        assert_eq!(by_a_draft(&directory, &lease, &content, &target).unwrap(), Ok(()));
        assert_eq!(read(&target).unwrap(), Some(lease));
        assert_eq!(names().len(), 1, "no draft stays");
    }

    #[test]
    fn addresses_are_unique_and_not_used_again_at_once() {
        let state = tempfile::tempdir().unwrap();
        let get = |id: &str| get_lease(state.path(), id, Vec::new()).unwrap().0;
        let first = get("a");
        assert_eq!(
            (first.ipv4, first.gateway4),
            (Ipv4Addr::new(172, 30, 0, 2), Ipv4Addr::new(172, 30, 0, 1))
        );
        if crate::forwarding::has_ipv6() {
            assert_eq!(first.ipv6, Some("fd64:6576:6f78::2".parse().unwrap()));
        }
        free(state.path(), &first).unwrap();
        free(state.path(), &first).unwrap();
        assert_eq!(get("b").ipv4, Ipv4Addr::new(172, 30, 0, 3));
        assert_eq!(all(state.path()).unwrap().len(), 1);
    }

    #[test]
    fn parallel_leases_are_unique() {
        let state = tempfile::tempdir().unwrap();
        let got: Vec<Lease> = std::thread::scope(|scope| {
            let one = |n: usize| {
                let state = state.path();
                scope.spawn(move || get_lease(state, &format!("c{n}"), Vec::new()).unwrap().0)
            };
            let threads: Vec<_> = (0..20).map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(got.iter().map(|lease| lease.ipv4).collect::<HashSet<_>>().len(), 20);
        assert_eq!(got.iter().map(|lease| &lease.veth).collect::<HashSet<_>>().len(), 20);
        let files = fs::read_dir(directory(state.path())).unwrap().count();
        assert_eq!(files, 20, "no draft is left");
    }

    #[test]
    fn ports_of_others_are_refused() {
        let state = tempfile::tempdir().unwrap();
        let ports = parse_publish("127.0.0.1::80").unwrap();
        let (first, reservation) = get_lease(state.path(), "a", ports).unwrap();
        drop(reservation);
        let error = get_lease(state.path(), "b", first.ports.clone()).unwrap_err();
        assert_eq!(error.kind, Kind::PortInUse);
        let twice = [first.ports.clone(), first.ports.clone()].concat();
        assert_eq!(get_lease(state.path(), "c", twice).unwrap_err().kind, Kind::Usage);
        let loopback = parse_publish("[::1]:8080:80").unwrap();
        let error = get_lease(state.path(), "c", loopback).unwrap_err();
        assert_eq!((error.kind, error.hint.as_deref()), (Kind::Usage, Some("publish on 127.0.0.1")));
        let many = vec![first.ports[0].clone(); MOST + 1];
        assert_eq!(get_lease(state.path(), "d", many).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn an_address_that_was_asked_for() {
        let state = tempfile::tempdir().unwrap();
        let ask = |id: &str, text: &str| {
            let request = Request { ipv4: Some(text.parse().unwrap()), ..Request::default() };
            take(state.path(), &Definition::default_bridge(), id, request)
                .map(|(lease, _)| lease.ipv4.to_string())
        };
        assert_eq!(ask("a", "172.30.7.7").unwrap(), "172.30.7.7");
        let error = ask("b", "172.30.7.7").unwrap_err();
        assert_eq!((error.kind, error.to_string().contains("by container a")), (Kind::AddressInUse, true));
        for wrong in ["172.31.0.2", "172.30.0.0", "172.30.0.1", "172.30.255.255"] {
            assert_eq!(ask("c", wrong).unwrap_err().kind, Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn foreign_files_are_passed_over() {
        let state = tempfile::tempdir().unwrap();
        let (lease, _) = get_lease(state.path(), "a", Vec::new()).unwrap();
        let directory = directory(state.path());
        fs::copy(directory.join(lease.ipv4.to_string()), directory.join("172.30.9.9")).unwrap();
        fs::write(directory.join("172.30.9.8"), "{").unwrap();
        fs::write(directory.join("note"), "x").unwrap();
        fs::write(state.path().join("next"), "many").unwrap();
        assert_eq!(all(state.path()).unwrap(), [lease]);
    }

    proptest! {
        #[test]
        fn every_number_comes_once(first in any::<u32>(), last in 2u32..70000) {
            let numbers: Vec<u32> = candidates(first, last).collect();
            prop_assert_eq!(numbers.len(), last as usize);
            prop_assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
            prop_assert!(numbers.iter().all(|number| (1..=last).contains(number)));
        }

        #[test]
        fn names_fit(id in "\\PC{0,200}") {
            let name = veth(&id);
            prop_assert_eq!(name.len(), 15);
            prop_assert!(name.is_ascii());
        }
    }
}
