//! Network devices of the host that move into a container (config-linux.md, "Network Devices").
//!
//! A device keeps its hardware address and its MTU on the way, for the kernel; its addresses of global scope are added
//! again, and it is set up. Of a container that could not be made it comes back, since an error leaves everything as if
//! nothing had been tried (runtime.md, "Errors"). What becomes of it at the end of a container is the kernel's affair, as
//! the specification wants: with the namespace a virtual device goes, and a physical one comes back to the host.

pub(crate) mod route;

use crate::error::{Error, Kind, Result};
use route::{Address, Link, Path, Route};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sys::{Context, Errno, called};

/// A device that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container; with `%d` in it, the kernel puts the first number there that is free.
    pub name: String,
}

/// Whether the kernel takes this as the name of a device (`dev_valid_name`).
pub fn is_name(name: &str) -> bool {
    // With its NUL in `IFNAMSIZ`, 16 bytes.
    (1..16).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte == b'/' || byte == b':' || byte.is_ascii_whitespace())
}

/// Devices that have moved, with what it takes to take them back.
#[derive(Debug)]
pub struct Given {
    namespace: OwnedFd,
    moved: Vec<Moved>,
}

#[derive(Debug)]
struct Moved {
    /// As the host knew it.
    host: Link,
    addresses: Vec<Address>,
    /// Where it led to; of no use in the container, whose network is another.
    paths: Vec<Path>,
    /// In the container, whatever it is called there by now.
    index: i32,
}

/// Moves the devices into the network namespace. All are looked at before the first one moves.
///
/// # Errors
/// When a device is not there, or its name is taken in the container. Then all are where they were.
pub fn give(devices: &[NetDevice], namespace: OwnedFd) -> Result<Given> {
    let mut host = Route::open()?;
    let first =
        || format!("config.json: linux.netDevices.{}", devices.first().map_or("", |device| &device.host));
    let mut inside = within(&namespace).within(first)?;
    let (outside, there) = (host.links()?, inside.links()?);
    let mut moves = Vec::new();
    for device in devices {
        let field = || format!("config.json: linux.netDevices.{}", device.host);
        let link =
            outside.iter().find(|link| link.name == device.host).cloned().ok_or_else(|| {
                Error::new(Kind::Invalid, format!("{}: no such device on the host", field()))
            })?;
        if there.iter().any(|other| other.name == device.name) {
            let why = format!("{}: a device {:?} is in the container already", field(), device.name);
            return Err(Error::new(Kind::Invalid, why));
        }
        let addresses = host.addresses(link.index).within(field)?;
        moves.push((device, link, addresses));
    }
    let mut given = Given { namespace, moved: Vec::new() };
    for (device, link, addresses) in moves {
        if let Err(error) = given.give_one(&mut host, &mut inside, device, link, addresses) {
            let error = error.within(format!("move network device {} into the container", device.host));
            return Err(given.after_return(error));
        }
    }
    Ok(given)
}

impl Given {
    fn give_one(
        &mut self,
        host: &mut Route,
        inside: &mut Route,
        device: &NetDevice,
        link: Link,
        addresses: Vec<Address>,
    ) -> Result<()> {
        let before = inside.links()?;
        let paths = host.paths(link.index)?;
        host.hand_over(link.index, self.namespace.as_fd(), &device.name).map_err(|error| {
            match error.errno {
                Errno::PERM => Error::from(error).with_hint("it takes CAP_NET_ADMIN on the host"),
                Errno::INVAL => {
                    Error::from(error).with_hint("some devices, such as lo and bridges' ports, cannot move")
                }
                _ => error.into(),
            }
        })?;
        // Its index may be another one in there, and its name is the kernel's choice where there is a pattern.
        let index = inside
            .links()?
            .into_iter()
            .find(|link| before.iter().all(|other| other.index != link.index))
            .map(|link| link.index)
            .ok_or_else(|| Error::new(Kind::Other, "it did not arrive"))?;
        // Before what may fail yet: it has moved.
        self.moved.push(Moved { host: link, addresses: addresses.clone(), paths, index });
        for address in &addresses {
            inside.add(index, address)?;
        }
        inside.set_up(index)?;
        Ok(())
    }

    /// Takes the devices back to the namespace of this thread, under the names and with the addresses and routes that they
    /// had, up where they were. To be called while nothing of the container's own has run. Goes on after a failure, and tells all.
    pub fn take_back(self) -> Result<()> {
        let mut inside = within(&self.namespace)?;
        let mut host = Route::open()?;
        let ours = own_namespace()?;
        let mut failures = Vec::new();
        for moved in self.moved.iter().rev() {
            if let Err(failure) = moved.come_back(&mut inside, &mut host, &ours) {
                failures.push(format!("network device {}: {failure}", moved.host.name));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(Error::new(Kind::Other, failures.join("; "))) }
    }

    /// Takes the devices back because of an error. A failure to do so is told with it.
    pub fn after_return(self, error: Error) -> Error {
        match self.take_back() {
            Ok(()) => error,
            Err(left) => error.with_further_hint(format!("not come back: {left}")),
        }
    }
}

impl Moved {
    fn come_back(&self, inside: &mut Route, host: &mut Route, ours: &OwnedFd) -> Result<()> {
        let name = &self.host.name;
        inside.hand_over(self.index, ours.as_fd(), name)?;
        let index = host
            .links()?
            .into_iter()
            .find(|link| link.name == *name)
            .map(|link| link.index)
            .ok_or_else(|| Error::new(Kind::Other, "it did not arrive"))?;
        for address in &self.addresses {
            host.add(index, address)?;
        }
        if self.host.up {
            host.set_up(index)?;
        }
        for path in &self.paths {
            host.lead(index, path)?;
        }
        Ok(())
    }
}

fn own_namespace() -> Result<OwnedFd> {
    let path = "/proc/thread-self/ns/net";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty()).map_err(called::<Errno>(|| format!("open({path:?})")))?)
}

/// A socket in another network namespace: it stays there when this thread has come back.
fn within(namespace: &OwnedFd) -> Result<Route> {
    let ours = own_namespace()?;
    let enter = |namespace: &OwnedFd| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(called::<Errno>(|| "setns(net)".to_owned()))
    };
    // First of all, whether there is a way back: an ordinary user comes into a namespace of his own, and not into the host's.
    enter(&ours).map_err(|error| {
        Error::from(error).with_hint("only root of the host gives its network devices away")
    })?;
    enter(namespace).within(|| "enter the container's network namespace")?;
    let opened = Route::open();
    // Nothing may go on in the wrong namespace, whatever became of the socket.
    enter(&ours).within(|| "come back from the container's network namespace")?;
    Ok(opened?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for name in ["eth0", "a", "fifteen-bytes-x", "eth%d", "wlan.5"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-bytes-xx", "a\n"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
