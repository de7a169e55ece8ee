//! The network of a container without root: pasta(1) carries packets between a namespace and ordinary sockets.
//!
//! It is a program of its own that puts itself into the background, and it stays there when the container ends: it
//! holds the namespace itself. It is NOT watched here: its process id stands in a file, by which whoever sees the
//! container end, or comes later, ends it with [`Pasta::stop`].

use crate::failure::{Error, Kind, Result};
use crate::publish::{PortMapping, Protocol};
use crate::reserve::{Purpose, Reservation};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use sys::called;

/// What of pasta's complaints is read at most.
const COMPLAINT: u64 = 4096;
/// How long pasta may take to end after SIGTERM.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// The address at which pasta answers for the host's own name server; link-local, so that it is in nobody's way.
pub const DNS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// A running pasta, known by its pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pasta {
    pid_file: PathBuf,
}

/// Fills in a free port of the host for each `host_port` that is 0. pasta binds them itself, so they are not held:
/// call this just before [`start`]. `holder` knows which ones another container has.
pub fn resolve(ports: &mut [PortMapping], holder: impl Fn(&PortMapping) -> Option<String>) -> Result<()> {
    Reservation::of(ports, crate::forwarding::has_ipv6(), Purpose::Probe, holder).map(drop)
}

/// Connects the network namespace, with [`DNS`] if `dns` says so. Returns when it is configured: its link is `eth0`, with
/// the host's own addresses and routes. The caller is in the user namespace that owns the network namespace.
pub fn start(netns: OwnedFd, ports: &[PortMapping], pid_file: &Path, dns: bool) -> Result<Pasta> {
    let mut held = ports.to_vec();
    // pasta's own words for a port in use differ between its versions; the kernel's do not.
    resolve(&mut held, |_| None)?;
    if held != ports {
        return Err(Error::new(Kind::Usage, "a published port has no host port"));
    }
    let mut child = Command::new("pasta")
        .args(arguments(ports, pid_file, dns))
        .stdin(netns)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let complaints = child.stderr.take();
    let status = child.wait().map_err(called::<std::io::Error>(|| "wait for pasta".into()))?;
    if status.success() {
        return Ok(Pasta { pid_file: pid_file.to_owned() });
    }
    let said = complaints.map(|pipe| what_it_said(pipe.into())).unwrap_or_default();
    let kind = match said.as_str() {
        said if said.contains("in use") => Kind::PortInUse,
        // Its older versions need an interface to copy; newer ones do without.
        said if said.contains("No external routable interface")
            || said.contains("External interface not") =>
        {
            Kind::NoRoute
        }
        _ => Kind::Other,
    };
    Err(Error::new(kind, format!("pasta: {status}: {said}")))
}

fn not_started(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::new(Kind::Missing, "pasta is not installed").with_hint("apt install passt");
    }
    called::<std::io::Error>(|| "execve pasta".into())(error).into()
}

/// The arguments of pasta(1).
fn arguments(ports: &[PortMapping], pid_file: &Path, dns: bool) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["--config-net", "--quiet", "--no-map-gw", "--ns-ifname", "eth0"]
        .iter()
        // Ports that the host listens on are the host's: nothing of the container's loopback leads out.
        .chain(&["--tcp-ns", "none", "--udp-ns", "none"])
        .map(OsString::from)
        .collect();
    for (protocol, option) in [(Protocol::Tcp, "--tcp-ports"), (Protocol::Udp, "--udp-ports")] {
        let specs: Vec<String> = ports.iter().filter(|port| port.protocol == protocol).map(spec).collect();
        // Without this pasta forwards every port that the container listens on.
        let specs = if specs.is_empty() { vec!["none".to_owned()] } else { specs };
        for spec in specs {
            all.extend([option.into(), spec.into()]);
        }
    }
    if dns {
        all.extend(["--dns-forward".into(), DNS.to_string().into()]);
    }
    all.extend(["--pid".into(), pid_file.into()]);
    // The caller is in the owning user namespace already, and one cannot enter the namespace one is in.
    // The namespace is its standard input: having dropped its capabilities, it may not open that of a process that
    // has them.
    all.extend(["--netns-only", "--netns", "/proc/self/fd/0"].map(OsString::from));
    all
}

/// `[address/]host port:container port`
fn spec(port: &PortMapping) -> String {
    let address = port.host_ip.filter(|ip| !ip.is_unspecified()).map(|ip| format!("{ip}/"));
    format!("{}{}:{}", address.unwrap_or_default(), port.host_port, port.container_port)
}

/// The first lines of what is in the pipe by now. The end of it may never come: a child may have kept it open.
fn what_it_said(pipe: OwnedFd) -> String {
    let flags = rustix::fs::fcntl_getfl(&pipe).unwrap_or(OFlags::empty());
    if rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).is_err() {
        return String::new();
    }
    let mut bytes = Vec::new();
    // Whatever could be read: the exit status, which is reported with it, is the error.
    let _ = fs::File::from(pipe).take(COMPLAINT).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| {
        // It has no syslog to write to in a container, and says so for each line.
        !line.is_empty() && !line.starts_with("Failed to send") && !line.starts_with("Don't run as root")
    });
    lines.take(5).collect::<Vec<_>>().join("; ")
}

impl Pasta {
    /// The pasta of this pid file, whoever started it.
    pub fn of(pid_file: &Path) -> Self {
        Self { pid_file: pid_file.to_owned() }
    }

    /// Ends it, and removes its pid file. One that has ended by itself is fine.
    pub fn stop(&self) -> Result<()> {
        let Some(pid) = self.pid() else { return self.forget() };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return self.forget(),
            Err(errno) => return Err(called::<Errno>(|| "pidfd_open of pasta".into())(errno).into()),
        };
        // The number may belong to somebody else by now; from here on the descriptor holds it fast.
        let comm = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
        if !comm.starts_with("pasta") && !comm.starts_with("passt") {
            return self.forget();
        }
        // It is the first process of a PID namespace that it made: SIGTERM does not reach it (pid_namespaces(7)), and
        // it holds nothing that it would have to put away.
        match pidfd_send_signal(&process, Signal::KILL) {
            Ok(()) => {
                let mut ended = [PollFd::new(&process, PollFlags::IN)];
                // A Ctrl-C in the middle of the removal must not stop it.
                rustix::io::retry_on_intr(|| poll(&mut ended, Some(&PATIENCE)))
                    .map_err(called::<Errno>(|| "poll pasta".into()))?;
            }
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(called::<Errno>(|| "kill pasta".into())(errno).into()),
        }
        self.forget()
    }

    /// Its process, when the pid file has one.
    fn pid(&self) -> Option<Pid> {
        let mut text = String::new();
        fs::File::open(&self.pid_file).ok()?.take(16).read_to_string(&mut text).ok()?;
        text.trim().parse().ok().filter(|pid| *pid > 1).and_then(Pid::from_raw)
    }

    fn forget(&self) -> Result<()> {
        match rustix::fs::unlink(&self.pid_file) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(called::<Errno>(|| format!("unlink {}", self.pid_file.display()))(errno).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::parse_publish;

    #[test]
    fn names_ports_as_pasta_reads_them() {
        fn check(text: &str, expected: &str) {
            assert_eq!(spec(&parse_publish(text).unwrap()[0]), expected, "{text}");
        }
        check("8080:80", "8080:80");
        check("127.0.0.1:8080:80", "127.0.0.1/8080:80");
        check("[::1]:8080:80", "::1/8080:80");
        check("0.0.0.0:8080:80", "8080:80");
        let shown = arguments(&parse_publish("8080:80").unwrap(), Path::new("/p"), false);
        let shown: Vec<_> = shown.iter().map(|word| word.to_str().unwrap()).collect();
        let shown = shown.join(" ");
        assert!(shown.contains("--tcp-ports 8080:80 --udp-ports none --pid /p"), "{shown}");
        assert!(shown.ends_with("--netns-only --netns /proc/self/fd/0"), "{shown}");
    }

    #[test]
    fn stopping_what_is_not_there_is_fine() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("pid");
        Pasta::of(&file).stop().unwrap();
        for text in ["", "x", "1", "-1", "999999999"] {
            fs::write(&file, text).unwrap();
            Pasta::of(&file).stop().unwrap();
            assert!(!file.exists(), "{text}");
        }
        // The number of a process that is none of pasta: this one.
        fs::write(&file, std::process::id().to_string()).unwrap();
        Pasta::of(&file).stop().unwrap();
    }
}
