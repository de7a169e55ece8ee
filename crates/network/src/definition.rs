//! Networks that a person made: what is written of each, and where its leases are.
//!
//! ```text
//! ROOT/lock                      held while a network comes or goes, and while a bridge or the table is made or removed
//! ROOT/leases/, next             of the network that is always there, `bridge`
//! ROOT/networks/NAME/network.json, leases/, next
//! ROOT/networks/NAME/going.json  what network.json was, while the network is removed: its bridge is known by that
//! ```
//! A directory without network.json is no network: whoever made it, or removed it, was killed, and [`sweep`] has the rest.

use crate::attach::{Held, lock};
use crate::failure::{Error, Kind, Result};
use crate::pool::{self, NET4, NET6, PREFIX4, PREFIX6};
use crate::subnet::Subnet;
use crate::{forwarding, link, own_file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use sys::called;

/// The network that is always there.
pub const DEFAULT: &str = "bridge";
/// A definition is at most this long.
const LONGEST: u64 = 1 << 20;

/// How containers of a network are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// By a bridge of the network's own.
    Bridge,
    /// Each is a neighbour of the host, on one of its links.
    Macvlan,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// 64 hex digits.
    pub id: String,
    /// How it connects.
    pub driver: Driver,
    /// When it was made (RFC 3339).
    pub created: String,
    /// Its IPv4 addresses.
    pub subnet: Subnet,
    /// The address of the bridge in `subnet`, or of the router of a macvlan.
    pub gateway: Ipv4Addr,
    /// Its IPv6 addresses, if it has any.
    pub subnet6: Option<Subnet>,
    /// The address of the bridge in `subnet6`.
    pub gateway6: Option<Ipv6Addr>,
    /// Whether nothing leads out of it.
    pub internal: bool,
    /// The largest packet of its links, where that was asked for.
    pub mtu: Option<u32>,
    /// The link of the host that a macvlan is on.
    pub parent: Option<String>,
    /// `--opt`, as typed.
    pub options: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
}

impl Definition {
    /// The network that is always there.
    pub fn default_bridge() -> Self {
        let subnet = Subnet { address: NET4.into(), prefix: PREFIX4 };
        let subnet6 = Subnet { address: NET6.into(), prefix: PREFIX6 };
        Self {
            name: DEFAULT.to_owned(),
            id: "6272696467650000".repeat(4),
            driver: Driver::Bridge,
            created: String::new(),
            subnet,
            gateway: v4(subnet.at(1)),
            subnet6: forwarding::has_ipv6().then_some(subnet6),
            gateway6: forwarding::has_ipv6().then(|| v6(subnet6.at(1))),
            internal: false,
            mtu: None,
            parent: None,
            options: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Whether it is the one that is always there.
    pub fn is_default(&self) -> bool {
        self.name == DEFAULT
    }

    /// The name of its bridge on the host.
    pub fn link(&self) -> String {
        if self.is_default() {
            link::BRIDGE.to_owned()
        } else {
            format!("{}{}", link::OWN, self.id.get(..12).unwrap_or(""))
        }
    }

    /// The directory of its leases.
    pub fn state(&self, root: &Path) -> PathBuf {
        if self.is_default() { root.to_owned() } else { directory(root).join(&self.name) }
    }
}

pub(crate) fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

pub(crate) fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(v6) => v6,
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
    }
}

fn directory(root: &Path) -> PathBuf {
    root.join("networks")
}

fn file(root: &Path, name: &str) -> PathBuf {
    directory(root).join(name).join("network.json")
}

fn going(root: &Path, name: &str) -> PathBuf {
    directory(root).join(name).join("going.json")
}

/// Whether a name can be that of a network.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The network of this name.
pub fn read(root: &Path, name: &str) -> Result<Option<Definition>> {
    if name == DEFAULT {
        return Ok(Some(Definition::default_bridge()));
    }
    if !is_name(name) {
        return Ok(None);
    }
    read_in(&file(root, name), name)
}

fn read_in(path: &Path, name: &str) -> Result<Option<Definition>> {
    own_file::read(path, LONGEST)?.map(|text| parsed(path, name, &text)).transpose()
}

fn parsed(path: &Path, name: &str, text: &[u8]) -> Result<Definition> {
    let definition: Definition = serde_json::from_slice(text)
        .map_err(|error| Error::new(Kind::Other, format!("{}: {error}", path.display())))?;
    // Under another name its links would be looked for in the wrong place.
    if definition.name != name {
        return Err(Error::new(Kind::Other, format!("{} is of another network", path.display())));
    }
    Ok(definition)
}

/// All that were made, by name. One whose definition is none is passed over; where it cannot be read, nobody knows what is leased there.
pub fn made(root: &Path) -> Result<Vec<Definition>> {
    let mut all = Vec::new();
    for name in names(root)? {
        let path = file(root, &name);
        all.extend(own_file::read(&path, LONGEST)?.and_then(|text| parsed(&path, &name, &text).ok()));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The names of all directories that may be a network's.
fn names(root: &Path) -> Result<Vec<String>> {
    let directory = directory(root);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(called(|| format!("readdir {}", directory.display()))(error).into()),
    };
    let entries: std::io::Result<Vec<_>> = entries.collect();
    let entries = entries.map_err(called(|| format!("readdir {}", directory.display())))?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| is_name(name) && name != DEFAULT).collect())
}

/// Directories of networks that are none: without a definition, or with one that was torn.
pub fn torn(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(root)).into_iter().flatten().flatten();
    let is_torn = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = file(root, &name);
        is_name(&name)
            && match own_file::read(&file, LONGEST) {
                Ok(text) => text.is_none_or(|text| parsed(&file, &name, &text).is_err()),
                // Nobody knows what it says.
                Err(_) => false,
            }
    };
    entries.map(|entry| entry.path()).filter(is_torn).collect()
}

/// All networks that have leases: the one that is always there, and those that were made.
pub fn every(root: &Path) -> Result<Vec<Definition>> {
    let mut all = vec![Definition::default_bridge()];
    all.extend(made(root)?);
    Ok(all)
}

/// What is asked of a new network.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its id, which nobody else has.
    pub id: String,
    /// How it connects.
    pub driver: Driver,
    /// When it is made.
    pub created: String,
    /// Its subnets, at most one of each family; free ones are picked where there is none.
    pub subnets: Vec<Subnet>,
    /// Addresses of gateways in them; the first of each where there is none.
    pub gateways: Vec<IpAddr>,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// Whether nothing leads out of it.
    pub internal: bool,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The link of a macvlan.
    pub parent: Option<String>,
    /// `--opt`.
    pub options: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
}

fn usage(text: String) -> Error {
    Error::new(Kind::Usage, text)
}

/// Makes a network. Nothing is asked of the kernel but its routes: the bridge comes with the first container.
pub fn create(root: &Path, wanted: Wanted) -> Result<Definition> {
    check(&wanted)?;
    let _lock = hold(root)?;
    // What cannot be removed now is left to the next.
    let _left = clear_left(root);
    if read(root, &wanted.name)?.is_some() {
        return Err(Error::new(Kind::Other, format!("network with name {} already exists", wanted.name)));
    }
    let others = every(root)?;
    let pick = |v4: bool| wanted.subnets.iter().copied().find(|subnet| subnet.address.is_ipv4() == v4);
    let has_ipv6 = wanted.ipv6 || pick(false).is_some();
    if has_ipv6 && !forwarding::has_ipv6() {
        return Err(Error::new(Kind::Other, "this host has no IPv6"));
    }
    let routes = crate::attach::routes()?;
    let is_free = |subnet: &Subnet| free(subnet, &others, &routes);
    for subnet in &wanted.subnets {
        // A macvlan shares the addresses of the link that it is on.
        if wanted.driver == Driver::Bridge {
            is_free(subnet)?;
        }
    }
    let subnet = match pick(true) {
        Some(subnet) => subnet,
        None => candidates4().find(|subnet| is_free(subnet).is_ok()).ok_or_else(|| {
            Error::new(Kind::PoolExhausted, "no subnet is free: 10.89.0.0/16 is used up")
                .with_hint("give one with --subnet")
        })?,
    };
    let subnet6 = match pick(false) {
        Some(subnet) => Some(subnet),
        None if has_ipv6 => Some(candidates6().find(|subnet| is_free(subnet).is_ok()).ok_or_else(|| {
            Error::new(Kind::PoolExhausted, "no IPv6 subnet is free").with_hint("give one with --subnet")
        })?),
        None => None,
    };
    // An IPv6 address ends as the IPv4 address does.
    if let Some(six) = subnet6
        && 128 - u32::from(six.prefix) < 32 - u32::from(subnet.prefix)
    {
        return Err(usage(format!("subnet {six} is smaller than {subnet}")));
    }
    let gateway = |subnet: Subnet| -> Result<IpAddr> {
        let typed = wanted.gateways.iter().find(|gateway| subnet.contains(**gateway)).copied();
        let gateway = typed.unwrap_or_else(|| subnet.at(1));
        let offset = subnet.offset(gateway);
        if offset == 0 || (subnet.address.is_ipv4() && offset > subnet.last()) {
            return Err(usage(format!("{gateway} cannot be the gateway of {subnet}")));
        }
        Ok(gateway)
    };
    let stray = wanted
        .gateways
        .iter()
        .find(|gateway| !subnet.contains(**gateway) && !subnet6.is_some_and(|six| six.contains(**gateway)));
    if let Some(stray) = stray {
        return Err(usage(format!("gateway {stray} is in no subnet of the network")));
    }
    let definition = Definition {
        gateway: v4(gateway(subnet)?),
        gateway6: subnet6.map(gateway).transpose()?.map(v6),
        name: wanted.name,
        id: wanted.id,
        driver: wanted.driver,
        created: wanted.created,
        subnet,
        subnet6,
        internal: wanted.internal,
        mtu: wanted.mtu,
        parent: wanted.parent,
        options: wanted.options,
        labels: wanted.labels,
    };
    write(root, &definition)?;
    Ok(definition)
}

fn check(wanted: &Wanted) -> Result<()> {
    if !is_name(&wanted.name) {
        return Err(usage(format!("invalid network name {:?}", wanted.name))
            .with_hint("use letters, digits, _, . and -, with a letter or digit first"));
    }
    for v4 in [true, false] {
        let of_family = |all: usize, what: &str| {
            if all > 1 { Err(usage(format!("more than one {what} of one family"))) } else { Ok(()) }
        };
        of_family(wanted.subnets.iter().filter(|one| one.address.is_ipv4() == v4).count(), "subnet")?;
        of_family(wanted.gateways.iter().filter(|one| one.is_ipv4() == v4).count(), "gateway")?;
    }
    if wanted.gateways.iter().any(IpAddr::is_ipv4) && !wanted.subnets.iter().any(|one| one.address.is_ipv4())
    {
        return Err(usage("--gateway needs the --subnet that it is in".to_owned()));
    }
    match (wanted.driver, &wanted.parent) {
        (Driver::Macvlan, None) => {
            Err(usage("a macvlan needs the link that it is on".to_owned()).with_hint("--opt parent=eth0"))
        }
        (Driver::Bridge, Some(_)) => Err(usage("--opt parent is for macvlan networks".to_owned())),
        (Driver::Macvlan, Some(parent)) => crate::attach::check_link(parent),
        _ => Ok(()),
    }
}

/// Whether a subnet is nobody's: no other network's, and no link's of the host.
fn free(subnet: &Subnet, others: &[Definition], routes: &[Subnet]) -> Result<()> {
    let of_network = others.iter().find(|other| {
        [Some(other.subnet), other.subnet6].into_iter().flatten().any(|one| one.overlaps(subnet))
    });
    if let Some(other) = of_network {
        return Err(Error::new(Kind::Other, format!("subnet {subnet} overlaps with network {}", other.name)));
    }
    match routes.iter().find(|route| route.overlaps(subnet)) {
        Some(route) => {
            Err(Error::new(Kind::Other, format!("subnet {subnet} overlaps with the host's route to {route}")))
        }
        None => Ok(()),
    }
}

/// What is picked from where nobody has asked for a subnet.
fn candidates4() -> impl Iterator<Item = Subnet> {
    (0..=u8::MAX).map(|third| Subnet { address: Ipv4Addr::new(10, 89, third, 0).into(), prefix: 24 })
}

fn candidates6() -> impl Iterator<Item = Subnet> {
    let [a, b, c, ..] = NET6.segments();
    (1..=u16::MAX)
        .map(move |fourth| Subnet { address: Ipv6Addr::new(a, b, c, fourth, 0, 0, 0, 0).into(), prefix: 64 })
}

fn write(root: &Path, definition: &Definition) -> Result<()> {
    let place = directory(root).join(&definition.name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place)
        .map_err(called(|| format!("mkdir {}", place.display())))?;
    let text = serde_json::to_vec_pretty(definition)
        .map_err(|error| Error::new(Kind::Other, format!("encode the network: {error}")))?;
    let (new, path) = (place.join("network.json.new"), file(root, &definition.name));
    fs::write(&new, text).map_err(called(|| format!("write {}", new.display())))?;
    fs::rename(&new, &path).map_err(called(|| format!("rename {}", new.display())))?;
    Ok(())
}

/// Holds the lock of all networks until it is dropped.
pub(crate) fn hold(root: &Path) -> Result<Held> {
    lock(&pool::lock_file(root))
}

/// Removes a network that nobody is on.
pub fn remove(root: &Path, name: &str) -> Result<()> {
    if name == DEFAULT {
        return Err(Error::new(Kind::Usage, format!("network {name} is always there and cannot be removed")));
    }
    let _lock = hold(root)?;
    let missing = || Error::new(Kind::Other, format!("network {name} not found"));
    let definition = read(root, name)?.ok_or_else(missing)?;
    let users = pool::all(&definition.state(root))?;
    if !users.is_empty() {
        let ids: Vec<&str> = users.iter().map(|lease| lease.id.get(..12).unwrap_or(&lease.id)).collect();
        return Err(Error::new(
            Kind::Other,
            format!("network {name} has active endpoints: {}", ids.join(", ")),
        ));
    }
    // First what makes it a network: a removal that is interrupted leaves none that could be used.
    let (path, going) = (file(root, name), going(root, name));
    fs::rename(&path, &going).map_err(called(|| format!("rename({path:?}, {going:?})")))?;
    clear(root, &definition)
}

/// Removes all that a network has and is nobody's any more. With the lock held.
fn clear(root: &Path, definition: &Definition) -> Result<()> {
    crate::attach::remove_bridge(definition)?;
    remove_directory(&definition.state(root))
}

fn remove_directory(place: &Path) -> Result<()> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(called(|| format!("remove {}", place.display()))(error).into())
        }
        _ => Ok(()),
    }
}

/// Goes on where others were killed while they made a network or removed one.
pub fn sweep(root: &Path) -> Result<()> {
    if !own_file::is_there(&directory(root))? {
        return Ok(());
    }
    let _lock = hold(root)?;
    clear_left(root)
}

/// The same, with the lock held.
pub(crate) fn clear_left(root: &Path) -> Result<()> {
    for name in names(root)? {
        if own_file::is_there(&file(root, &name))? {
            continue;
        }
        let going = going(root, &name);
        match own_file::read(&going, LONGEST)?.and_then(|text| parsed(&going, &name, &text).ok()) {
            Some(definition) => clear(root, &definition)?,
            // It never was one, and has no bridge.
            None => remove_directory(&directory(root).join(name))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str, subnets: &[&str]) -> Wanted {
        Wanted {
            name: name.to_owned(),
            id: format!("{:0>64}", name.len()),
            driver: Driver::Bridge,
            created: String::new(),
            subnets: subnets.iter().map(|text| Subnet::parse(text).unwrap()).collect(),
            gateways: Vec::new(),
            ipv6: false,
            internal: false,
            mtu: None,
            parent: None,
            options: Vec::new(),
            labels: Vec::new(),
        }
    }

    #[test]
    fn networks_are_made_once_and_apart() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let a = create(root, wanted("a", &[])).unwrap();
        let b = create(root, wanted("b", &[])).unwrap();
        assert!(!a.subnet.overlaps(&b.subnet));
        assert_eq!(a.gateway, v4(a.subnet.at(1)));
        let names: Vec<String> = made(root).unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(create(root, wanted("a", &[])).unwrap_err().to_string().contains("already exists"));
        assert!(
            create(root, wanted("c", &["172.30.5.0/24"])).unwrap_err().to_string().contains("network bridge")
        );
        let again = a.subnet.to_string();
        assert!(create(root, wanted("c", &[&again])).unwrap_err().to_string().contains("network a"));
        assert_eq!(create(root, wanted("bridge", &[])).unwrap_err().kind, Kind::Other);
        for bad in ["", "../x", "a/b", ".a", "a b"] {
            assert_eq!(create(root, wanted(bad, &[])).unwrap_err().kind, Kind::Usage, "{bad}");
        }
        remove(root, "b").unwrap();
        assert!(read(root, "b").unwrap().is_none() && !b.state(root).exists());
        assert_eq!(remove(root, "bridge").unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn what_was_left_in_the_middle_goes_with_the_next_command() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let check = |act: &dyn Fn()| {
            // One was being made, one removed; one is whole.
            create(root, wanted("ends", &[])).unwrap();
            fs::rename(file(root, "ends"), going(root, "ends")).unwrap();
            fs::create_dir_all(directory(root).join("begun")).unwrap();
            fs::write(directory(root).join("begun/network.json.new"), "{").unwrap();
            act();
            let left: Vec<_> = fs::read_dir(directory(root)).unwrap().flatten().collect();
            assert_eq!(left.len(), 1, "{left:?}");
            assert!(read(root, "whole").unwrap().is_some());
        };
        create(root, wanted("whole", &[])).unwrap();
        check(&|| sweep(root).unwrap());
        check(&|| {
            create(root, wanted("next", &[])).unwrap();
            remove(root, "next").unwrap();
        });
        assert!(remove(root, "ends").unwrap_err().to_string().contains("not found"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let check = |subnets: &[&str], gateways: &[&str], says: &str| {
            let mut wanted = wanted("x", subnets);
            wanted.gateways = gateways.iter().map(|text| text.parse().unwrap()).collect();
            let error = create(root.path(), wanted).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        };
        check(&["10.201.0.0/24", "10.202.0.0/24"], &[], "more than one subnet");
        check(&["10.201.0.0/24"], &["10.202.0.1"], "in no subnet");
        check(&["10.201.0.0/24"], &["10.201.0.0"], "cannot be the gateway");
        check(&["10.201.0.0/24"], &["10.201.0.255"], "cannot be the gateway");
        check(&[], &["10.201.0.1"], "--subnet");
    }

    #[test]
    fn a_foreign_file_is_no_network() {
        let root = tempfile::tempdir().unwrap();
        create(root.path(), wanted("a", &[])).unwrap();
        let other = directory(root.path()).join("b");
        fs::create_dir(&other).unwrap();
        fs::copy(file(root.path(), "a"), other.join("network.json")).unwrap();
        fs::create_dir(directory(root.path()).join("c")).unwrap();
        fs::write(file(root.path(), "c"), "{").unwrap();
        assert!(read(root.path(), "b").is_err() && read(root.path(), "c").is_err());
        assert_eq!(made(root.path()).unwrap().len(), 1);
    }
}
