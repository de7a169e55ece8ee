//! The addresses of containers: one file for each address in use, whose creation is what decides who has it.
//!
//! There is no lock and no list that could disagree with the files, and both survive a crash. A file appears by
//! link(2) with its whole content, so a reader never sees half of one.

use crate::failure::{Error, Kind, Result};
use crate::forwarding;
use crate::publish::{MOST, PortMapping};
use crate::reserve::{Purpose, Reservation};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
/// The number of the bridge in the pool.
pub const GATEWAY: u16 = 1;
/// The last number that a container gets: the one after it is the broadcast address.
const LAST: u16 = u16::MAX - 1;
/// A lease file is at most this long: a thousand ports take 100 KiB.
const LONGEST: u64 = 1 << 20;

/// What a container has of the network: everything that `attach` needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The container.
    pub id: String,
    /// The name of the host's end of its veth pair.
    pub veth: String,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Length of the prefix of `ipv4`.
    pub ipv4_prefix: u8,
    /// The bridge's IPv4 address.
    pub gateway4: Ipv4Addr,
    /// Its IPv6 address, when the host has IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// Length of the prefix of `ipv6`.
    pub ipv6_prefix: u8,
    /// The bridge's IPv6 address.
    pub gateway6: Option<Ipv6Addr>,
    /// The address of its eth0.
    pub mac: [u8; 6],
    /// Its published ports, each with the host port that it got.
    pub ports: Vec<PortMapping>,
    /// The file whose flock(2) is held while the bridge and the table are made or removed.
    pub lock: PathBuf,
}

/// Gives a container an address and its published ports. A lease that it still has, from a run that was killed,
/// is given back first. Keep the [`Reservation`] for as long as the container runs.
pub fn lease(state: &Path, id: &str, ports: Vec<PortMapping>) -> Result<(Lease, Reservation)> {
    crate::attach::detach(state, id)?;
    take(state, id, ports, forwarding::has_ipv6()).map_err(|error| error.within(format!("network of {id}")))
}

fn take(state: &Path, id: &str, mut ports: Vec<PortMapping>, ipv6: bool) -> Result<(Lease, Reservation)> {
    check_ports(&ports)?;
    let directory = directory(state);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(called(|| format!("mkdir {}", directory.display())))?;
    let others = all(state)?;
    let taken = |mapping: &PortMapping| others.iter().any(|l| l.ports.iter().any(|p| p.clashes(mapping)));
    let reservation = Reservation::of(&mut ports, ipv6, Purpose::Hold, taken)?;
    let hint = state.join("next");
    let used = |number| directory.join(address(number).to_string()).exists();
    for number in candidates(read_hint(&hint)).filter(|number| !used(*number)) {
        let lease = made(state, id, number, &ports, ipv6);
        if create(&directory, &lease)? {
            // Only a hint: when it is lost, an address is used again a little sooner.
            let _ = fs::write(&hint, (number.wrapping_add(1)).to_string());
            return Ok((lease, reservation));
        }
    }
    Err(Error::new(Kind::PoolExhausted, format!("every address of {NET4}/{PREFIX4} is leased"))
        .with_hint("remove containers that are not needed"))
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

fn made(state: &Path, id: &str, number: u16, ports: &[PortMapping], ipv6: bool) -> Lease {
    let [high, low] = number.to_be_bytes();
    let [a, b, ..] = NET4.octets();
    Lease {
        id: id.to_owned(),
        veth: veth(id),
        ipv4: address(number),
        ipv4_prefix: PREFIX4,
        gateway4: address(GATEWAY),
        ipv6: ipv6.then(|| address6(number)),
        ipv6_prefix: PREFIX6,
        gateway6: ipv6.then(|| address6(GATEWAY)),
        // Locally administered, and made of the address: a neighbour's cache stays right when it is used again.
        mac: [0x02, 0x64, a, b, high, low],
        ports: ports.to_vec(),
        lock: lock_file(state),
    }
}

/// Writes a lease's file, `false` when somebody else has the address.
fn create(directory: &Path, lease: &Lease) -> Result<bool> {
    static UNIQUE: AtomicU64 = AtomicU64::new(0);
    let content = serde_json::to_vec(lease)
        .map_err(|error| Error::new(Kind::Other, format!("encode the lease: {error}")))?;
    let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
    let draft = directory.join(format!(".{}-{}-{unique}", lease.veth, std::process::id()));
    let target = directory.join(lease.ipv4.to_string());
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(&content))
        .map_err(called(|| format!("write {}", draft.display())));
    let linked = written.map(|()| fs::hard_link(&draft, &target));
    // The lease is the link: a draft that stays is overwritten by the next one and means nothing.
    let _ = fs::remove_file(&draft);
    match linked? {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(called::<std::io::Error>(|| format!("link {}", target.display()))(error).into()),
    }
}

/// All leases. A file that is gone by the time it is read, or is none of ours, is passed over.
pub fn all(state: &Path) -> Result<Vec<Lease>> {
    let directory = directory(state);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(called(|| format!("readdir {}", directory.display()))(error).into()),
    };
    let addressed = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<Ipv4Addr>().is_ok()));
    Ok(addressed.filter_map(|entry| read(&entry.path())).collect())
}

fn read(path: &Path) -> Option<Lease> {
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut content).ok()?;
    let lease: Lease = serde_json::from_slice(&content).ok()?;
    // A file under another name would free an address that is not its own.
    path.ends_with(lease.ipv4.to_string()).then_some(lease)
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
pub fn lock_file(state: &Path) -> PathBuf {
    state.join("lock")
}

fn directory(state: &Path) -> PathBuf {
    state.join("leases")
}

fn read_hint(path: &Path) -> u16 {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(16).read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(GATEWAY + 1)
}

/// Every number of the pool once, beginning with `first`.
fn candidates(first: u16) -> impl Iterator<Item = u16> {
    let lowest = GATEWAY + 1;
    let first = first.clamp(lowest, LAST);
    (first..=LAST).chain(lowest..first)
}

fn address(number: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(NET4) | u32::from(number))
}

fn address6(number: u16) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(NET6) | u128::from(number))
}

/// The address of the bridge itself in either family.
pub fn gateways(ipv6: bool) -> impl Iterator<Item = (IpAddr, u8)> {
    let four = (IpAddr::from(address(GATEWAY)), PREFIX4);
    let six = ipv6.then(|| (IpAddr::from(address6(GATEWAY)), PREFIX6));
    [Some(four), six].into_iter().flatten()
}

/// The name of a container's link: it must fit into 15 bytes and be found again from the id alone, so it is a hash
/// (FNV-1a, 64 bits, folded to 48).
pub fn veth(id: &str) -> String {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("dvx{:012x}", (hash ^ (hash >> 48)) & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_publish;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn addresses_are_unique_and_not_used_again_at_once() {
        let state = tempfile::tempdir().unwrap();
        let get = |id: &str| take(state.path(), id, Vec::new(), true).unwrap().0;
        let first = get("a");
        assert_eq!(
            (first.ipv4, first.gateway4),
            (Ipv4Addr::new(172, 30, 0, 2), Ipv4Addr::new(172, 30, 0, 1))
        );
        assert_eq!(first.ipv6, Some("fd64:6576:6f78::2".parse().unwrap()));
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
                scope.spawn(move || take(state, &format!("c{n}"), Vec::new(), false).unwrap().0)
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
        let (first, reservation) = take(state.path(), "a", ports, false).unwrap();
        drop(reservation);
        let error = take(state.path(), "b", first.ports.clone(), false).unwrap_err();
        assert_eq!(error.kind, Kind::PortInUse);
        let twice = [first.ports.clone(), first.ports.clone()].concat();
        assert_eq!(take(state.path(), "c", twice, false).unwrap_err().kind, Kind::Usage);
        let loopback = parse_publish("[::1]:8080:80").unwrap();
        let error = take(state.path(), "c", loopback, true).unwrap_err();
        assert_eq!((error.kind, error.hint.as_deref()), (Kind::Usage, Some("publish on 127.0.0.1")));
        let many = vec![first.ports[0].clone(); MOST + 1];
        assert_eq!(take(state.path(), "d", many, false).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn foreign_files_are_passed_over() {
        let state = tempfile::tempdir().unwrap();
        let (lease, _) = take(state.path(), "a", Vec::new(), false).unwrap();
        let directory = directory(state.path());
        fs::copy(directory.join(lease.ipv4.to_string()), directory.join("172.30.9.9")).unwrap();
        fs::write(directory.join("172.30.9.8"), "{").unwrap();
        fs::write(directory.join("note"), "x").unwrap();
        fs::write(state.path().join("next"), "many").unwrap();
        assert_eq!(all(state.path()).unwrap(), [lease]);
    }

    proptest! {
        #[test]
        fn every_number_comes_once(first in any::<u16>()) {
            let numbers: Vec<u16> = candidates(first).collect();
            prop_assert_eq!(numbers.len(), usize::from(LAST - GATEWAY));
            prop_assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
            prop_assert!(numbers.iter().all(|number| (GATEWAY + 1..=LAST).contains(number)));
        }

        #[test]
        fn names_fit(id in "\\PC{0,200}") {
            let name = veth(&id);
            prop_assert_eq!(name.len(), 15);
            prop_assert!(name.is_ascii());
        }
    }
}
