//! Network devices of the host that move into a container (config-linux.md, "Network Devices").
//!
//! A device keeps its hardware address and its MTU on the way, for the kernel; its addresses of global scope are added
//! again, and it is set up. What becomes of it at the end is the kernel's affair, as the specification wants: with the
//! namespace a virtual device goes, and a physical one comes back to the host.

mod route;

use crate::error::{Error, Kind, Result};
use route::{Address, Link, Route};
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

/// Moves the devices into the network namespace. All are looked at before the first one moves.
///
/// # Errors
/// When a device is not there, or its name is taken in the container. Then none has moved, unless the kernel refused one
/// that looked well.
pub fn give(devices: &[NetDevice], namespace: &OwnedFd) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let mut host = Route::open()?;
    let mut inside = within(namespace)?;
    let there = inside.links()?;
    let mut moves = Vec::new();
    for device in devices {
        let field = || format!("config.json: linux.netDevices.{}", device.host);
        let link =
            host.links().within(field)?.into_iter().find(|link| link.name == device.host).ok_or_else(
                || Error::new(Kind::Invalid, format!("{}: no such device on the host", field())),
            )?;
        if there.iter().any(|other| other.name == device.name) {
            let why = format!("{}: a device {:?} is in the container already", field(), device.name);
            return Err(Error::new(Kind::Invalid, why));
        }
        let addresses = host.addresses(link.index).within(field)?;
        moves.push((device, link, addresses));
    }
    for (device, link, addresses) in moves {
        give_one(&mut host, &mut inside, namespace, device, &link, &addresses)
            .within(|| format!("move network device {} into the container", device.host))?;
    }
    Ok(())
}

fn give_one(
    host: &mut Route,
    inside: &mut Route,
    namespace: &OwnedFd,
    device: &NetDevice,
    link: &Link,
    addresses: &[Address],
) -> Result<()> {
    let before = inside.links()?;
    host.hand_over(link.index, namespace.as_fd(), &device.name).map_err(|error| match error.errno {
        Errno::PERM => Error::from(error).with_hint("it takes CAP_NET_ADMIN on the host"),
        Errno::INVAL => {
            Error::from(error).with_hint("some devices, such as lo and bridges' ports, cannot move")
        }
        _ => error.into(),
    })?;
    // Its index may be another one in there, and its name is the kernel's choice where there is a pattern.
    let index = inside
        .links()?
        .into_iter()
        .find(|link| before.iter().all(|other| other.index != link.index))
        .map(|link| link.index)
        .ok_or_else(|| Error::new(Kind::Other, "it did not arrive"))?;
    for address in addresses {
        inside.add(index, address)?;
    }
    inside.set_up(index)?;
    Ok(())
}

/// A socket in another network namespace: it stays there when this thread has come back.
fn within(namespace: &OwnedFd) -> Result<Route> {
    let path = "/proc/thread-self/ns/net";
    let ours =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(called::<Errno>(|| format!("open({path:?})")))?;
    let enter = |namespace: &OwnedFd| {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(called::<Errno>(|| "setns(net)".to_owned()))
    };
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
