//! The names of the other containers of a network: a block of lines for each network in each member's /etc/hosts.
//!
//! ```text
//! # network app, kept by devoxx-container
//! 10.89.0.2   web www 4c01db0b339c
//! # end of network app
//! ```
//! Whoever starts, ends, connects, disconnects or renames a container writes the blocks of all members anew, with the
//! network's lock held: the last of many at once has seen all the others. No process has to run for it, and a name is there
//! before the container's first instruction. What the container itself writes beside the blocks stays.

use crate::error::{Error, Kind, Result, of_network};
use crate::life::is_up;
use crate::paths::Paths;
use crate::{names, record};
use network::{Definition, Lease};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use sys::{Errno, called};

/// A file that has grown beyond this is the container's own affair, and is left alone.
const LONGEST: u64 = 1 << 20;

/// A lock, given up when it is dropped.
#[derive(Debug)]
pub struct Held(OwnedFd);

impl Drop for Held {
    fn drop(&mut self) {
        // Not by closing alone: a container that was made meanwhile has a copy until it executes its command.
        let _closed_with_the_last_copy = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Holds the lock of a file whose directory is there; none where it is not. The file is never one that a container could open:
/// it could hold the lock for ever.
pub fn hold(path: &Path) -> Result<Option<Held>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(called::<Errno>(|| format!("open({path:?})")))?,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
        .map_err(called::<Errno>(|| format!("flock({path:?})")))?;
    Ok(Some(Held(file)))
}

/// Keeps others from a container's hosts file; none when the container is gone.
pub fn hold_hosts(paths: &Paths, id: &str) -> Result<Option<Held>> {
    hold(&paths.container(id).join("hosts.lock"))
}

/// Writes the blocks of a network's members.
pub fn tell(paths: &Paths, network: &str) -> Result<()> {
    let root = paths.network();
    let Some(definition) = network::definition::read(&root, network).map_err(of_network)? else {
        return Ok(());
    };
    let Some(_lock) = hold(&definition.state(&root).join("names"))? else { return Ok(()) };
    let members = members(paths, &definition)?;
    for (id, _) in &members {
        let block: String = members.iter().map(|(other, lines)| lines_for(lines, other == id)).collect();
        rewrite(paths, id, network, &block)?;
    }
    Ok(())
}

/// As [`tell`], of each network.
pub fn tell_all<'a>(paths: &Paths, networks: impl Iterator<Item = &'a str>) -> Result<()> {
    let failures: Vec<String> =
        networks.filter_map(|network| tell(paths, network).err()).map(|error| error.to_string()).collect();
    if failures.is_empty() { Ok(()) } else { Err(Error::new(Kind::Failed, failures.join("; "))) }
}

/// Takes a network's block out of a container's file: it is no member any more.
pub fn forget(paths: &Paths, id: &str, network: &str) -> Result<()> {
    rewrite(paths, id, network, "")
}

/// An address, what others call it, and what it calls itself besides the names in the first part of its file.
type Line = (IpAddr, Vec<String>, Vec<String>);

fn members(paths: &Paths, network: &Definition) -> Result<Vec<(String, Vec<Line>)>> {
    let mut leases: Vec<Lease> = network::leases_in(&network.state(&paths.network())).map_err(of_network)?;
    // One that was killed has its lease until somebody comes by.
    leases.retain(|lease| is_up(paths, &lease.id));
    leases.sort_by_key(|lease| lease.ipv4);
    let with_names = leases.into_iter().filter_map(|lease| {
        let record = record::read(paths, &lease.id).ok()?;
        let own = record.networks.iter().find(|one| one.network == network.name);
        let mut all = vec![record.name.clone()];
        all.extend(own.iter().flat_map(|one| one.aliases.iter().cloned()));
        all.push(names::short(&record.id).to_owned());
        let mut seen = std::collections::HashSet::new();
        all.retain(|name| seen.insert(name.clone()));
        let hostname = record.wish.hostname.clone().unwrap_or_else(|| names::short(&record.id).to_owned());
        let further = all
            .iter()
            .filter(|name| **name != record.name && **name != hostname)
            .cloned()
            .collect::<Vec<_>>();
        let addresses = [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)];
        let lines = addresses.into_iter().flatten().map(|ip| (ip, all.clone(), further.clone())).collect();
        Some((lease.id, lines))
    });
    Ok(with_names.collect())
}

fn lines_for(lines: &[Line], own: bool) -> String {
    let shown = lines.iter().map(|(ip, all, further)| (ip, if own { further } else { all }));
    shown
        .filter(|(_, names)| !names.is_empty())
        .map(|(ip, names)| format!("{ip}\t{}\n", names.join(" ")))
        .collect()
}

/// Puts a block in the place of the one that is there. The file is a mount in the container, so it stays the same file.
fn rewrite(paths: &Paths, id: &str, network: &str, block: &str) -> Result<()> {
    let Some(_lock) = hold_hosts(paths, id)? else { return Ok(()) };
    let path = paths.container(id).join("hosts");
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file: File = match rustix::fs::open(&path, flags, Mode::empty()) {
        // Its start has not come so far, and writes all of it.
        Err(Errno::NOENT) => return Ok(()),
        other => other.map_err(called::<Errno>(|| format!("open({path:?})")))?.into(),
    };
    let mut bytes = Vec::new();
    (&mut file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(called(|| format!("read({path:?})")))?;
    if bytes.len() as u64 > LONGEST {
        return Ok(());
    }
    let old = String::from_utf8_lossy(&bytes);
    let new = replaced(&old, network, block);
    if new == old {
        return Ok(());
    }
    // One write, so that no reader finds half a line; what is left over behind it is empty lines for that moment.
    let mut whole = new.clone().into_bytes();
    whole.resize(whole.len().max(bytes.len()), b'\n');
    let written = file.write_all_at(&whole, 0).and_then(|()| file.set_len(new.len() as u64));
    written.map_err(called(|| format!("write({path:?})")))?;
    Ok(())
}

/// The text with this block for this network.
fn replaced(text: &str, network: &str, block: &str) -> String {
    let (begin, end) =
        (format!("# network {network}, kept by devoxx-container"), format!("# end of network {network}"));
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| *line == begin);
    let last = first
        .and_then(|first| lines[first..].iter().position(|line| *line == end).map(|length| first + length));
    let (before, after) = match (first, last) {
        (Some(first), Some(last)) => (&lines[..first], &lines[last + 1..]),
        // Somebody took the end away: what follows the beginning may be theirs.
        (Some(first), None) => (&lines[..first], &lines[first + 1..]),
        _ => (&lines[..], &[][..]),
    };
    let mut new = String::new();
    let mut push = |line: &str| {
        new.push_str(line);
        new.push('\n');
    };
    before.iter().for_each(|line| push(line));
    if !block.is_empty() {
        push(&begin);
        push(block.trim_end());
        push(&end);
    }
    after.iter().for_each(|line| push(line));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_and_goes() {
        let first = replaced("127.0.0.1\tlocalhost\n", "a", "10.0.0.2\tx\n");
        let begin = "# network a, kept by devoxx-container\n";
        assert_eq!(first, format!("127.0.0.1\tlocalhost\n{begin}10.0.0.2\tx\n# end of network a\n"));
        let own = format!("{first}1.2.3.4\tmine\n");
        let second = replaced(&own, "a", "10.0.0.3\ty\n");
        assert_eq!(second, own.replace("10.0.0.2\tx", "10.0.0.3\ty"));
        let both = replaced(&second, "b", "10.1.0.2\tz\n");
        assert_eq!(replaced(&both, "b", ""), second);
        assert_eq!(replaced(&second, "a", ""), "127.0.0.1\tlocalhost\n1.2.3.4\tmine\n");
        assert_eq!(replaced(&format!("{begin}mine\n"), "a", ""), "mine\n");
        assert_eq!(replaced("", "a", ""), "");
    }
}
