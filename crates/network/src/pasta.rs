//! The network of a container without root: pasta(1) carries packets between a namespace and ordinary sockets.
//!
//! It is a program of its own that puts itself into the background, and it stays there when the container ends: it
//! holds the namespace itself. It is NOT watched here: its process id stands in a file, by which whoever sees the
//! container end, or comes later, ends it with [`Pasta::stop`].

use crate::failure::{Error, Kind, Result};
use crate::link;
use crate::publish::{PortMapping, Protocol};
use crate::reserve::{Purpose, Reservation};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use sys::called;
use sys::parent_death_signal::ends_with_us;

/// What of pasta's complaints is read at most.
const COMPLAINT: u64 = 4096;
/// How long pasta may take to end after SIGTERM.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// The address at which pasta answers for the host's own name server; link-local, so that it is in nobody's way.
pub const DNS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The name of its link in a container that has addresses of networks.
const LINK: &str = "pasta0";
/// Whom that link asks for everything: link-local, and so in no network. pasta answers for every address. Connections that the
/// host itself makes come from here, as far as they come from nowhere else.
const GATEWAY4: Ipv4Addr = Ipv4Addr::new(169, 254, 2, 1);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The link-local address of that link.
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
/// The largest packet of that link: what pasta itself sets where it configures one.
const MTU: u32 = 65520;

/// What a container is for pasta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guest {
    /// It has the host's own addresses and routes, on a link of this name.
    AsHost(String),
    /// It has these, on a bridge. They are given to pasta's link too: one that listens at them is reached by its published
    /// ports, and what it sends out comes from them.
    With {
        /// Its IPv4 address.
        ipv4: Ipv4Addr,
        /// Its IPv6 address.
        ipv6: Option<Ipv6Addr>,
    },
}

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

/// Connects the network namespace, with [`DNS`] if `dns` says so. Returns when it is configured. The caller is in the user
/// namespace that owns the network namespace.
pub fn start(
    netns: BorrowedFd<'_>,
    guest: &Guest,
    ports: &[PortMapping],
    pid_file: &Path,
    dns: bool,
) -> Result<Pasta> {
    let guest = &seen_by(guest)?;
    let copy = netns.try_clone_to_owned().map_err(called::<std::io::Error>(|| "dup".into()))?;
    let mut held = ports.to_vec();
    // pasta's own words for a port in use differ between its versions; the kernel's do not.
    resolve(&mut held, |_| None)?;
    if held != ports {
        return Err(Error::new(Kind::Usage, "a published port has no host port"));
    }
    // The intent: empty until pasta writes its id there. Should this process be killed meanwhile, whoever cleans up after it knows
    // that there may be a pasta, see `Pasta::processes`.
    let pasta = Pasta { pid_file: pid_file.to_owned() };
    fs::File::create(pid_file).map_err(called::<std::io::Error>(|| format!("create {pid_file:?}")))?;
    let mut command = Command::new("pasta");
    command.args(arguments(guest, ports, pid_file, dns));
    command.stdin(copy).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match ends_with_us(&mut command).spawn() {
        Ok(child) => child,
        Err(error) => {
            pasta.forget()?;
            return Err(not_started(error));
        }
    };
    let complaints = child.stderr.take();
    let status = child.wait().map_err(called::<std::io::Error>(|| "wait for pasta".into()))?;
    if status.success() {
        if let Err(error) = configure(guest, netns) {
            // The first failure is the one that tells something.
            let _ = pasta.stop();
            return Err(error);
        }
        return Ok(pasta);
    }
    pasta.forget()?;
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

/// The guest without the family that leads nowhere from this host: a client inside is to hear so at once.
fn seen_by(guest: &Guest) -> Result<Guest> {
    match *guest {
        Guest::With { ipv4, ipv6: Some(six) } => {
            let leads_out = link::has_default_route(&mut crate::attach::route()?, false)?;
            Ok(Guest::With { ipv4, ipv6: leads_out.then_some(six) })
        }
        _ => Ok(guest.clone()),
    }
}

/// Addresses and routes of pasta's link, where it does not set them itself: it knows no gateway beyond the subnet.
fn configure(guest: &Guest, netns: BorrowedFd<'_>) -> Result<()> {
    let Guest::With { ipv4, ipv6 } = *guest else { return Ok(()) };
    let mut inside = crate::attach::inside(netns)?;
    let index = link::existing(&inside, LINK)?;
    link::set_mtu(&mut inside, LINK, index, MTU)?;
    link::no_ipv6(&mut inside, LINK, index)?;
    let addresses = [
        Some((IpAddr::from(ipv4), 32)),
        // The kernel has this one for what it says by itself (RFC 3810); without it that comes from `::`, which older pastas then
        // take for the address of the container.
        ipv6.map(|_| (OWN6.into(), 64)),
        ipv6.map(|six| (six.into(), 128)),
    ];
    for (address, prefix) in addresses.into_iter().flatten() {
        link::address(&mut inside, (LINK, index), address, prefix)?;
    }
    link::up(&mut inside, LINK, index)?;
    for gateway in [Some(IpAddr::from(GATEWAY4)), ipv6.map(|_| GATEWAY6.into())].into_iter().flatten() {
        link::default_route(&mut inside, (LINK, index), gateway, true)?;
    }
    Ok(())
}

fn not_started(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::new(Kind::Missing, "pasta is not installed").with_hint("apt install passt");
    }
    called::<std::io::Error>(|| "execve pasta".into())(error).into()
}

/// The arguments of pasta(1).
fn arguments(guest: &Guest, ports: &[PortMapping], pid_file: &Path, dns: bool) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["--quiet", "--no-map-gw"]
        .iter()
        // Ports that the host listens on are the host's: nothing of the container's loopback leads out.
        .chain(&["--tcp-ns", "none", "--udp-ns", "none"])
        .map(OsString::from)
        .collect();
    match guest {
        Guest::AsHost(link) => {
            all.extend(["--config-net", "--ns-ifname", link.as_str()].map(OsString::from));
        }
        Guest::With { ipv4, ipv6 } => {
            // It has its addresses already. An advertisement would give it others, and a route to its own network.
            all.extend(["--ns-ifname", LINK, "--no-dhcp", "--no-dhcpv6", "--no-ra"].map(OsString::from));
            all.extend(["--address".into(), ipv4.to_string().into(), "--netmask".into(), "32".into()]);
            all.extend(["--gateway".into(), GATEWAY4.to_string().into()]);
            match ipv6 {
                Some(six) => all.extend([
                    "--address".into(),
                    six.to_string().into(),
                    "--gateway".into(),
                    GATEWAY6.to_string().into(),
                ]),
                None => all.push("--ipv4-only".into()),
            }
        }
    }
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
        self.kill()?.wait()
    }

    /// Its process, if it is there: by descriptor, because the number may belong to somebody else by now.
    pub fn process(&self) -> Result<Option<OwnedFd>> {
        Ok(self.processes()?.pop())
    }

    /// What is in the pid file; none where there is no such.
    fn noted(&self) -> Result<Option<String>> {
        let mut text = String::new();
        match fs::File::open(&self.pid_file) {
            Ok(file) => file
                .take(16)
                .read_to_string(&mut text)
                .map_err(called::<std::io::Error>(|| format!("read {:?}", self.pid_file)))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(called(|| format!("open {:?}", self.pid_file))(error).into()),
        };
        Ok(Some(text.trim().to_owned()))
    }

    fn processes(&self) -> Result<Vec<OwnedFd>> {
        let Some(text) = self.noted()? else { return Ok(Vec::new()) };
        let candidates =
            if text.is_empty() { self.by_arguments()? } else { text.parse().into_iter().collect() };
        let mut found = Vec::new();
        for pid in candidates.into_iter().filter(|pid| *pid > 1).filter_map(Pid::from_raw) {
            let process = match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(process) => process,
                Err(Errno::SRCH) => continue,
                Err(errno) => return Err(called::<Errno>(|| "pidfd_open of pasta".into())(errno).into()),
            };
            if is_pasta(pid.as_raw_nonzero().get())? && !has_ended(&process) {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// Who was told to write to the pid file, and has not done so yet.
    fn by_arguments(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        for told in told_to_write()? {
            let (pid, file) = told?;
            if file == self.pid_file {
                pids.push(pid);
            }
        }
        Ok(pids)
    }

    /// Whether nobody has ended it on purpose.
    pub fn is_expected(&self) -> bool {
        // What cannot be looked at is there.
        !matches!(std::fs::exists(&self.pid_file), Ok(false))
    }

    /// Sends it the signal that ends it. That takes the kernel a while, in which the caller may do something else.
    pub fn kill(&self) -> Result<Ending<'_>> {
        let mut processes = self.processes()?;
        let mut failed = Ok(());
        processes.retain(|process| {
            // It is the first process of a PID namespace that it made: SIGTERM does not reach it (pid_namespaces(7)), and
            // it holds nothing that it would have to put away.
            match pidfd_send_signal(process, Signal::KILL) {
                Ok(()) => true,
                Err(Errno::SRCH) => false,
                Err(errno) => {
                    failed = Err(called::<Errno>(|| "kill pasta".into())(errno).into());
                    false
                }
            }
        });
        failed.map(|()| Ending { pasta: self, processes })
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

/// Every pasta that there is, with the pid file that it was told to write, whether that is there or not. One that cannot be looked at
/// is passed over.
pub fn running() -> Vec<(i32, PathBuf)> {
    let told = told_to_write().into_iter().flatten().flatten();
    told.filter(|(pid, _)| is_pasta(*pid).unwrap_or(false)).collect()
}

/// Whether this process is one. What cannot be looked at is not taken for another: its file would go, and it would stay.
fn is_pasta(pid: i32) -> Result<bool> {
    let path = format!("/proc/{pid}/comm");
    match fs::read(&path) {
        Ok(comm) => Ok(comm.starts_with(b"pasta") || comm.starts_with(b"passt")),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(called(|| format!("read {path}"))(error).into()),
    }
}

/// Whether a file of a process could not be read because that has ended.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::SRCH))
}

/// Processes whose arguments name a pid file.
fn told_to_write() -> Result<impl Iterator<Item = Result<(i32, PathBuf)>>> {
    let failed = || called(|| "readdir /proc".to_owned());
    let entries = fs::read_dir("/proc").map_err(failed())?;
    Ok(entries.filter_map(move |entry| match entry {
        Ok(entry) => told(entry.file_name().to_str()?.parse().ok()?).transpose(),
        Err(error) => Some(Err(failed()(error).into())),
    }))
}

/// A process with the pid file that its arguments name, if they do.
fn told(pid: i32) -> Result<Option<(i32, PathBuf)>> {
    let path = format!("/proc/{pid}/cmdline");
    let words = match fs::read(&path) {
        Ok(words) => words,
        // Those of other users may be closed to us (proc(5), hidepid).
        Err(error) if is_gone(&error) || error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Ok(None);
        }
        Err(error) => return Err(called(|| format!("read {path}"))(error).into()),
    };
    let mut words = words.split(|byte| *byte == 0);
    let file = words.find(|word| *word == b"--pid").and_then(|_| words.next());
    Ok(file.map(|file| (pid, PathBuf::from(OsStr::from_bytes(file)))))
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    matches!(poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1))
}

/// A pasta that was told to end.
#[derive(Debug)]
#[must_use = "its ports are free when it has ended"]
pub struct Ending<'a> {
    pasta: &'a Pasta,
    processes: Vec<OwnedFd>,
}

impl Ending<'_> {
    /// Waits for its end, and removes its pid file.
    pub fn wait(self) -> Result<()> {
        let mut all_ended = true;
        for process in &self.processes {
            let mut ended = [PollFd::new(process, PollFlags::IN)];
            // A Ctrl-C in the middle of the removal must not stop it.
            let ready =
                rustix::io::retry_on_intr(|| poll(&mut ended, Some(&PATIENCE)))
                    .map_err(called::<Errno>(|| "poll pasta".into()))?;
            all_ended &= ready > 0;
        }
        // One that had not written its number may have forked meanwhile, into who was to be named there. Who does not end is not waited for
        // again and again.
        if all_ended && !self.processes.is_empty() && self.pasta.noted()?.is_some_and(|text| text.is_empty())
        {
            return self.pasta.kill()?.wait();
        }
        self.pasta.forget()
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
        let words = |guest: &Guest| {
            let words = arguments(guest, &parse_publish("8080:80").unwrap(), Path::new("/p"), false);
            let shown: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
            shown.join(" ")
        };
        let shown = words(&Guest::AsHost("eth0".into()));
        assert!(shown.contains("--tcp-ports 8080:80 --udp-ports none --pid /p"), "{shown}");
        assert!(shown.contains("--config-net --ns-ifname eth0 "), "{shown}");
        assert!(shown.ends_with("--netns-only --netns /proc/self/fd/0"), "{shown}");
        let shown = words(&Guest::With { ipv4: Ipv4Addr::new(10, 89, 0, 2), ipv6: None });
        assert!(
            shown.contains("--address 10.89.0.2 --netmask 32 --gateway 169.254.2.1 --ipv4-only"),
            "{shown}"
        );
        assert!(!shown.contains("--config-net"), "{shown}");
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
