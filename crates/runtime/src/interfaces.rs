//! What the interfaces of a container's network namespace have carried, in the words of runc's `events`
//! (proc_pid_net(5), "net/dev").

use crate::error::Result;
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use sys::called;

/// One interface, as the container sees it: what it received is what was sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the columns of /proc/net/dev by runc's names")]
pub struct Interface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// The interfaces that process `pid` has, but the loopback, which leads nowhere. None where its network is this
/// process's own: what goes over it is not the container's alone.
pub fn of(pid: i32) -> Result<Option<Vec<Interface>>> {
    let namespace = |whose: &str| {
        let path = format!("/proc/{whose}/ns/net");
        std::fs::metadata(&path)
            .map(|file| (file.dev(), file.ino()))
            .map_err(called(|| format!("stat({path:?})")))
    };
    if namespace(&pid.to_string())? == namespace("self")? {
        return Ok(None);
    }
    let path = format!("/proc/{pid}/net/dev");
    let table = std::fs::read_to_string(&path).map_err(called(|| format!("read({path:?})")))?;
    Ok(Some(parse(&table)).filter(|found| !found.is_empty()))
}

/// The lines of the table after the two of its head.
fn parse(table: &str) -> Vec<Interface> {
    let line = |line: &str| {
        let (name, numbers) = line.rsplit_once(':')?;
        let numbers: Vec<u64> =
            numbers.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let [
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers[..]
        else {
            return None;
        };
        let name = name.trim_start().to_owned();
        Some(Interface {
            name,
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        })
    };
    table.lines().skip(2).filter_map(line).filter(|one| one.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_table() {
        let head = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
        let table = format!(
            "{head}    lo:      84       1    0    0    0     0          0         0       84       1    0    0    0     0       0          0\n\
             eth0:18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  odd: 1 2\n"
        );
        let eth0 = Interface {
            name: "eth0".into(),
            rx_bytes: u64::MAX,
            rx_packets: 2,
            rx_errors: 3,
            rx_dropped: 4,
            tx_bytes: 9,
            tx_packets: 10,
            tx_errors: 11,
            tx_dropped: 12,
        };
        assert_eq!(parse(&table), [eth0]);
        assert_eq!(parse(""), []);
        assert_eq!(of(std::process::id() as i32).expect("this process"), None);
    }
}
