//! The addresses that a host's name has, asked of `getent(1)`.
//!
//! Who knows names on a machine (`/etc/hosts`, DNS, mDNS, systemd-resolved) stands in nsswitch.conf(5), and each of them is a shared library,
//! which a program that is linked statically cannot load. `getent` comes with the C library everywhere and asks them all.

use crate::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::Read;
use std::net::IpAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use sys::called;

/// What is read of an answer at most, in bytes: more than any name has addresses.
const LONGEST: u64 = 64 * 1024;

/// The addresses of `host`, at least one, in the order in which they are to be tried; an address is its own.
///
/// # Errors
/// Nobody knows the name, or not within `patience`.
pub fn addresses(host: &str, patience: Duration) -> Result<Vec<IpAddr>> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    // It would be taken for an option, and is no name either.
    let unknown = || Error::new(Kind::Unreachable, format!("{host}: no such host is known"));
    if bare.starts_with('-') {
        return Err(unknown());
    }
    let mut asked = Command::new("getent")
        .args(["ahosts", bare])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(called(|| "execve(getent)".to_owned()))
        .map_err(|error| {
            Error::from(error).with_hint("getent looks up names: it comes with the C library (libc-bin)")
        })?;
    let answer = asked.stdout.take().map_or(Ok(None), |answer| read(answer, patience));
    let ended = end(&mut asked, !matches!(answer, Ok(Some(_))));
    let Some(text) = answer.map_err(called(|| "read(getent)".to_owned()))? else {
        return Err(Error::new(
            Kind::Unreachable,
            format!("{host}: its address could not be found out in time"),
        ));
    };
    ended.map_err(called(|| "waitpid(getent)".to_owned()))?;
    let found = streams(&text);
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// All of an answer; none when it has not ended in time.
fn read(mut answer: ChildStdout, patience: Duration) -> std::io::Result<Option<String>> {
    let until = Instant::now().checked_add(patience);
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(&answer, PollFlags::IN)], left.as_ref()) {
            Ok(0) => return Ok(None),
            Err(Errno::INTR) => continue,
            other => other.map(drop)?,
        }
        match answer.read(&mut buffer)? {
            0 => return Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            count if text.len() as u64 + count as u64 > LONGEST => return Ok(Some(String::new())),
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Waits for the end of a child, which is brought about when nothing is to be waited for.
fn end(child: &mut Child, kill: bool) -> std::io::Result<()> {
    if kill {
        child.kill()?;
    }
    child.wait().map(drop)
}

/// Each address once: there is a line for every kind of socket.
fn streams(text: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.split('%').next()?.parse().ok());
        if let (Some(address), Some("STREAM")) = (address, words.next())
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn names_and_addresses() {
        fn check(host: &str, expected: Result<&str, &str>) {
            let found = addresses(host, PATIENCE);
            match expected {
                Ok(address) => assert!(found.unwrap().contains(&address.parse().unwrap()), "{host}"),
                Err(says) => assert_eq!(found.unwrap_err().to_string(), format!("{host}: {says}")),
            }
        }
        check("127.0.0.1", Ok("127.0.0.1"));
        check("[::1]", Ok("::1"));
        check("::1", Ok("::1"));
        check("localhost", Ok("127.0.0.1"));
        check("nobody.invalid", Err("no such host is known"));
        check("--help", Err("no such host is known"));
        check("", Err("no such host is known"));
    }

    #[test]
    fn an_answer_is_read_once_for_each_address() {
        let text =
            "192.0.2.1  STREAM one\n192.0.2.1  DGRAM\nfe80::1%2 STREAM\n192.0.2.1 STREAM\nnothing STREAM\n\n";
        let expected: Vec<IpAddr> = ["192.0.2.1", "fe80::1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(streams(text), expected);
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let mut silent = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
        let answer = read(silent.stdout.take().unwrap(), Duration::from_millis(10));
        assert!(answer.unwrap().is_none());
        end(&mut silent, true).unwrap();
    }
}
