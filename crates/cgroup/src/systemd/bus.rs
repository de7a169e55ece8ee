//! One blocking connection to a message bus, and calls over it (D-Bus specification). No thread, no event loop.

use super::message::{self, Kind as Is, Message};
use super::value::Value;
use crate::{Error, Kind, Result};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};
use sys::{Context, called};

const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket";
/// How long an answer may take. systemd starts a unit in milliseconds; a machine that boots is slower.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many signals are kept until somebody asks for them.
const MOST_SIGNALS: usize = 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    signals: Vec<Message>,
}

/// How a call fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// The other side says so: the name of its error, and what it says.
    Said(String, String),
    /// There is no answer.
    Broken(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (name, text) = match failure {
            Failure::Broken(error) => return error,
            Failure::Said(name, text) => (name, text),
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        let kind = match last {
            "UnitExists" => Kind::InUse,
            "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => Kind::Permission,
            "InvalidArgs" | "PropertyReadOnly" | "UnknownProperty" | "InvalidSignature" => Kind::Refused,
            "UnknownMethod" | "NotSupported" | "UnknownInterface" => Kind::Unsupported,
            _ => Kind::Other,
        };
        Self::new(kind, format!("{text} ({last})"))
    }
}

impl Bus {
    /// Connects to the bus of the system, or to that of this user's session.
    pub(super) fn open(user: bool) -> Result<Self> {
        let which = if user { "user's session" } else { "system" };
        let hint = if user {
            "it takes a login session, or: loginctl enable-linger, and XDG_RUNTIME_DIR=/run/user/UID"
        } else {
            "is this machine run by systemd, with dbus? otherwise go without the systemd cgroup manager"
        };
        let connect = || -> Result<Self> {
            let stream = connect(&address(user))?;
            let timed = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
            timed.map_err(called::<std::io::Error>(|| "setsockopt(SO_RCVTIMEO)".to_owned()))?;
            let mut bus = Self { stream, serial: 0, signals: Vec::new() };
            bus.introduce()?;
            Ok(bus)
        };
        connect()
            .map_err(|error| error.within(format!("connect to the D-Bus of the {which}")).with_hint(hint))
    }

    /// Tells who we are: the kernel does, the bus asks it for our credentials.
    fn introduce(&mut self) -> Result<()> {
        self.write(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                let mut byte = [0];
                self.read(&mut byte)?;
                line.push(byte[0]);
                if line.len() > 4096 {
                    return Err(Error::new(Kind::Other, "a line of more than 4096 bytes"));
                }
            }
            let line = String::from_utf8_lossy(&line);
            match line.trim_end() {
                "DATA" => {}
                ok if ok.starts_with("OK ") => break,
                other => return Err(Error::new(Kind::Permission, format!("the bus says {other:?}"))),
            }
        }
        let bus = "org.freedesktop.DBus";
        self.call(bus, "/org/freedesktop/DBus", bus, "Hello", Vec::new())?;
        Ok(())
    }

    /// Calls a method and waits for what it returns.
    pub(super) fn call(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
    ) -> std::result::Result<Vec<Value>, Failure> {
        let doing = || format!("call {member}");
        self.serial += 1;
        let message = Message {
            kind: Is::Call,
            serial: self.serial,
            answers: 0,
            destination: destination.to_owned(),
            path: path.to_owned(),
            interface: interface.to_owned(),
            member: member.to_owned(),
            error: String::new(),
            body,
        };
        let bytes = message.encode();
        if bytes.len() > message::LONGEST {
            return Err(Error::new(Kind::Refused, format!("call {member}: more than a megabyte")).into());
        }
        self.write(&bytes).within(doing)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.receive(until).within(doing)?;
            match answer.kind {
                Is::Return if answer.answers == self.serial => return Ok(answer.body),
                Is::Error if answer.answers == self.serial => {
                    let text = match answer.body.into_iter().next() {
                        Some(Value::Text(text)) => text,
                        _ => "it failed".to_owned(),
                    };
                    return Err(Failure::Said(answer.error, text));
                }
                Is::Signal if self.signals.len() < MOST_SIGNALS => self.signals.push(answer),
                _ => {}
            }
        }
    }

    /// Waits for the signal of which `wanted` makes something.
    pub(super) fn signal<T>(&mut self, mut wanted: impl FnMut(&Message) -> Option<T>) -> Result<T> {
        for message in std::mem::take(&mut self.signals) {
            if let Some(found) = wanted(&message) {
                return Ok(found);
            }
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(until)?;
            if message.kind == Is::Signal
                && let Some(found) = wanted(&message)
            {
                return Ok(found);
            }
        }
    }

    fn receive(&mut self, until: Instant) -> Result<Message> {
        if Instant::now() >= until {
            return Err(late());
        }
        let unclear = || Error::new(Kind::Other, "the bus sent what is no message of D-Bus");
        let mut bytes = vec![0; message::PREFIX];
        self.read(&mut bytes)?;
        let length = message::length(&bytes).ok_or_else(unclear)?;
        bytes.resize(length, 0);
        self.read(&mut bytes[message::PREFIX..])?;
        Message::decode(&bytes).ok_or_else(unclear)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.stream.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => late(),
            std::io::ErrorKind::UnexpectedEof => Error::new(Kind::Other, "the bus closed the connection"),
            _ => called::<std::io::Error>(|| "read from the bus".to_owned())(error).into(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // Without SIGPIPE, which Rust programs ignore.
        let written = self.stream.write_all(bytes);
        written.map_err(called::<std::io::Error>(|| "write to the bus".to_owned()))?;
        Ok(())
    }
}

fn late() -> Error {
    Error::new(Kind::Other, format!("no answer within {} s", PATIENCE.as_secs()))
}

/// Where the bus is, as addresses separated by semicolons.
fn address(user: bool) -> String {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if !user {
        return given("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| SYSTEM.to_owned());
    }
    given("DBUS_SESSION_BUS_ADDRESS").unwrap_or_else(|| {
        let own = || format!("/run/user/{}", rustix::process::getuid().as_raw());
        format!("unix:path={}/bus", escape(&given("XDG_RUNTIME_DIR").unwrap_or_else(own)))
    })
}

/// Connects to the first of the addresses that answers.
fn connect(addresses: &str) -> Result<UnixStream> {
    let mut failure = Error::new(Kind::Unsupported, format!("no address of a socket in {addresses:?}"));
    for address in addresses.split(';') {
        let Some(socket) = socket(address) else { continue };
        let shown = || format!("connect {address:?}");
        match UnixStream::connect_addr(&socket) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = called::<std::io::Error>(shown)(error).into(),
        }
    }
    Err(failure)
}

/// A socket of the form `unix:path=/x` or `unix:abstract=x`, among other keys.
fn socket(address: &str) -> Option<SocketAddr> {
    address.strip_prefix("unix:")?.split(',').find_map(|pair| match pair.split_once('=')? {
        ("path", path) => SocketAddr::from_pathname(OsString::from_vec(unescape(path)?)).ok(),
        ("abstract", name) => SocketAddr::from_abstract_name(unescape(name)?).ok(),
        _ => None,
    })
}

/// Undoes `%20`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        plain.push(if byte == b'%' { digit(bytes.next()?)? << 4 | digit(bytes.next()?)? } else { byte });
    }
    Some(plain)
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'-' | b'_' | b'/' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn reads_addresses() {
        fn check(address: &str, path: Option<&str>, name: Option<&[u8]>) {
            let found = socket(address);
            let found = found.as_ref();
            assert_eq!(found.and_then(|one| one.as_pathname()), path.map(Path::new), "{address}");
            assert_eq!(found.and_then(|one| one.as_abstract_name()), name, "{address}");
        }
        check("unix:path=/run/user/1000/bus", Some("/run/user/1000/bus"), None);
        check("unix:path=/a%20b%2fc,guid=1234", Some("/a b/c"), None);
        check("unix:guid=1,abstract=/tmp/x", None, Some(b"/tmp/x"));
        for none in
            ["", "unix:", "tcp:host=x", "unix:path", "unix:path=%2", "unix:path=%zz", "unix:tmpdir=/tmp"]
        {
            check(none, None, None);
        }
        check(&format!("unix:path=/{}", "x".repeat(200)), None, None);
        assert_eq!(unescape(&escape("/a b%c/é")).unwrap(), "/a b%c/é".as_bytes());
    }

    #[test]
    fn a_bus_that_is_not_there() {
        let failure = connect("tcp:host=x;unix:path=/nonexistent/bus").unwrap_err();
        assert!(failure.to_string().contains("ENOENT"), "{failure}");
        assert!(connect("").is_err());
    }
}
