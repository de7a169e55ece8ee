//! The network against the kernel: each test plays a host in a network namespace of its own, so it needs root.
//!
//! A test starts this program again inside `unshare --net`; what runs there is the test of the same name in
//! [`inner`]. `ip` and `nft` only look.

use devoxx_network::pasta::Guest;
use devoxx_network::{Kind, Lease, Reservation, attach, detach, lease, parse_publish, remove_unused};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than any answer takes; only what must not be answered waits for less.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must come.
const SILENCE: Duration = Duration::from_millis(300);

/// Runs `inner::name` in a network namespace of its own.
fn check(name: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    again(&["unshare", "--net", "--"], name);
}

fn again(prefix: &[&str], name: &str) {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(prefix[0])
        .args(&prefix[1..])
        .arg(this)
        .args(["--exact", &format!("inner::{name}"), "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A namespace with a process that keeps it, which ends with the test.
struct Namespace {
    process: Child,
    netns: File,
}

impl Namespace {
    fn new() -> Self {
        let mut process = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep infinity"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let netns = File::open(format!("/proc/{}/ns/net", process.id())).unwrap();
        Self { process, netns }
    }

    fn netns(&self) -> OwnedFd {
        self.netns.try_clone().unwrap().into()
    }

    /// Does this inside: sockets that come back stay there.
    fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            move_into_link_name_space(self.netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.inside(|| run(program, arguments))
    }

    /// A server on all addresses that answers each connection with the address it came from.
    fn serve(&self, port: u16) {
        let listener = self.inside(|| TcpListener::bind(("::", port)).unwrap());
        std::thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                let _ = stream.write_all(from.ip().to_canonical().to_string().as_bytes());
            }
        });
    }

    fn ask(&self, address: &str) -> String {
        self.inside(|| ask(address))
    }

    fn refused(&self, address: &str) -> bool {
        let address: SocketAddr = address.parse().unwrap();
        self.inside(|| TcpStream::connect_timeout(&address, SILENCE).is_err())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a server says of who asks.
fn ask(address: &str) -> String {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .unwrap_or_else(|error| panic!("{address}: {error}\n{}", run("nft", &["list", "ruleset"])));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap_or_else(|error| panic!("{address}: {error}"));
    text
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The namespace that plays the host gets a neighbour, 192.0.2.2, and is 192.0.2.1.
fn host() -> Namespace {
    run("ip", &["link", "set", "lo", "up"]);
    let outside = Namespace::new();
    let pid = outside.process.id().to_string();
    run("ip", &["link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", &pid]);
    run("ip", &["address", "add", "192.0.2.1/24", "dev", "up0"]);
    run("ip", &["address", "add", "fd00:1::1/64", "dev", "up0", "nodad"]);
    run("ip", &["link", "set", "up0", "up"]);
    outside.run("ip", &["link", "set", "lo", "up"]);
    outside.run("ip", &["address", "add", "192.0.2.2/24", "dev", "eth0"]);
    outside.run("ip", &["address", "add", "fd00:1::2/64", "dev", "eth0", "nodad"]);
    outside.run("ip", &["link", "set", "eth0", "up"]);
    outside
}

/// A container on the network of `state`.
fn container(state: &Path, id: &str, publish: &[&str]) -> (Namespace, Lease, Reservation) {
    let namespace = Namespace::new();
    let ports = publish.iter().flat_map(|text| parse_publish(text).unwrap()).collect();
    let (lease, reservation) = lease(state, id, ports).unwrap();
    attach(&lease, namespace.netns.as_fd()).unwrap();
    (namespace, lease, reservation)
}

/// All that a container could leave behind.
/// What is left when the shared part is gone as well, which nobody is on.
fn traces_of_all(state: &Path) -> [String; 3] {
    remove_unused(state).unwrap();
    traces(state)
}

fn traces(state: &Path) -> [String; 3] {
    let leases = state.join("leases");
    let leases = std::fs::read_dir(leases).map_or(0, Iterator::count);
    // The names alone: whether a link has a carrier changes a moment after it was set up.
    let links = run("ip", &["-o", "link"]);
    let names: Vec<&str> = links.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    [names.join(" "), run("nft", &["list", "ruleset"]), leases.to_string()]
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

tests! {
    published_ports_are_reached
    only_published_ports_are_reached
    containers_reach_each_other
    nothing_is_left
    many_at_once
    two_before_there_is_a_table
    failures_leave_nothing
    many_ports
    nft_understands_the_table
    works_without_ipv6
    pasta_connects
}

mod inner {
    use super::*;

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn published_ports_are_reached() {
        let outside = host();
        let state = tempfile::tempdir().unwrap();
        let publish =
            ["8080:80", "127.0.0.1:8081:80", "192.0.2.1:8082:80", "[fd00:1::1]:8083:80", "8084:53/udp", "81"];
        let (web, lease, _held) = container(state.path(), "web", &publish);
        web.serve(80);
        web.serve(81);
        let random = lease.ports.last().unwrap().host_port;
        let gateway = "172.30.0.1";
        assert_eq!(ask("127.0.0.1:8080"), gateway);
        assert_eq!(ask("192.0.2.1:8080"), "192.0.2.1");
        assert_eq!(ask("[fd00:1::1]:8080"), "fd00:1::1");
        let refused = TcpStream::connect_timeout(&"[::1]:8080".parse().unwrap(), PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "so that a client tries 127.0.0.1");
        assert_eq!(ask("127.0.0.1:8081"), gateway);
        assert_eq!(ask("192.0.2.1:8082"), "192.0.2.1");
        assert_eq!(ask("[fd00:1::1]:8083"), "fd00:1::1");
        assert_eq!(ask(&format!("127.0.0.1:{random}")), gateway);
        assert_eq!(outside.ask("192.0.2.1:8080"), "192.0.2.2", "the container sees who asks");
        assert_eq!(outside.ask("[fd00:1::1]:8080"), "fd00:1::2");
        assert_eq!(web.ask("192.0.2.1:8080"), gateway, "by itself, through the host");

        let server = web.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
        for (client, to) in [
            (UdpSocket::bind("127.0.0.1:0").unwrap(), "127.0.0.1:8084"),
            (outside.inside(|| UdpSocket::bind("0.0.0.0:0").unwrap()), "192.0.2.1:8084"),
        ] {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            client.connect(to).unwrap();
            client.send(b"ping").unwrap();
            let mut buffer = [0; 8];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..length], from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 4);
        }
        detach(state.path(), "web").unwrap();
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn only_published_ports_are_reached() {
        let outside = host();
        outside.serve(90);
        let state = tempfile::tempdir().unwrap();
        let (web, lease, _held) = container(state.path(), "web", &["127.0.0.1:8080:80", "8081:80"]);
        web.serve(80);
        // Outwards, as the host.
        assert_eq!(web.ask("192.0.2.2:90"), "192.0.2.1");
        assert_eq!(web.ask("[fd00:1::2]:90"), "fd00:1::1");
        // Inwards, past the published ports.
        outside.run("ip", &["route", "add", "172.30.0.0/16", "via", "192.0.2.1"]);
        outside.run("ip", &["-6", "route", "add", "fd64:6576:6f78::/64", "via", "fd00:1::1"]);
        assert!(outside.refused(&format!("{}:80", lease.ipv4)));
        assert!(outside.refused(&format!("[{}]:80", lease.ipv6.unwrap())));
        assert!(outside.refused("192.0.2.1:8080"));
        assert_eq!(outside.ask("192.0.2.1:8081"), "192.0.2.2");
        // To a port on the host's loopback, by a neighbour's forged route, and to the host's own services.
        let _own = TcpListener::bind("127.0.0.1:99").unwrap();
        for (from, link, gateway) in [(&outside, "eth0", "192.0.2.1"), (&web, "eth0", "172.30.0.1")] {
            from.inside(|| {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{link}/route_localnet"), "1").unwrap()
            });
            from.run("ip", &["address", "del", "127.0.0.1/8", "dev", "lo"]);
            from.run("ip", &["route", "add", "127.0.0.1/32", "via", gateway, "dev", link]);
            assert!(from.refused("127.0.0.1:8080"), "{gateway}");
            assert!(from.refused("127.0.0.1:99"), "{gateway}");
        }
        detach(state.path(), "web").unwrap();
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn containers_reach_each_other() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let (a, one, _) = container(state.path(), "a", &[]);
        let (b, two, _) = container(state.path(), "b", &["8080:80"]);
        b.serve(80);
        assert_eq!(a.ask(&format!("{}:80", two.ipv4)), one.ipv4.to_string());
        assert_eq!(a.ask(&format!("[{}]:80", two.ipv6.unwrap())), one.ipv6.unwrap().to_string());
        assert_eq!(a.ask("192.0.2.1:8080"), "172.30.0.1");
        assert_eq!(a.ask("172.30.0.1:8080"), "172.30.0.1");
        detach(state.path(), "a").unwrap();
        assert_eq!(ask("127.0.0.1:8080"), "172.30.0.1", "b is still there");
        detach(state.path(), "b").unwrap();
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn nothing_is_left() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let before = traces(state.path());
        detach(state.path(), "never").unwrap();
        let (_a, lease_a, held) = container(state.path(), "a", &["8080:80", "127.0.0.1:8081:80/udp"]);
        let error = lease(state.path(), "b", parse_publish("8080:81").unwrap()).unwrap_err();
        assert_eq!(
            (error.kind, error.to_string().contains("port 8080/tcp is already in use")),
            (Kind::PortInUse, true)
        );
        assert_eq!(traces(state.path())[2], "1");
        drop(held);
        // As after a crash: some of it is gone already.
        run("ip", &["link", "delete", &lease_a.veth]);
        run("nft", &["delete", "element", "inet", "devoxx", "ports4", "{ tcp . 8080 }"]);
        detach(state.path(), "a").unwrap();
        assert_eq!(traces_of_all(state.path()), before);
        detach(state.path(), "a").unwrap();
        // The same id again, without a detach in between.
        let (_b, first, held) = container(state.path(), "b", &["8080:80"]);
        drop(held);
        let (_c, second, _held) = container(state.path(), "b", &["8080:80"]);
        assert_ne!(first.ipv4, second.ipv4);
        detach(state.path(), "b").unwrap();
        assert_eq!(traces_of_all(state.path()), before);
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn many_at_once() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let before = traces(state.path());
        std::thread::scope(|scope| {
            for n in 0..20 {
                let state = state.path();
                scope.spawn(move || {
                    for round in 0..3 {
                        let id = format!("c{n}-{round}");
                        let (web, lease, held) = container(state, &id, &["80"]);
                        web.serve(80);
                        assert_eq!(ask(&format!("127.0.0.1:{}", lease.ports[0].host_port)), "172.30.0.1");
                        drop(held);
                        detach(state, &id).unwrap();
                    }
                });
            }
        });
        assert_eq!(traces_of_all(state.path()), before);
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn two_before_there_is_a_table() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let leased = |id: &str, port: &str| lease(state.path(), id, parse_publish(port).unwrap()).unwrap();
        let (first, second) = (leased("a", "8080:80"), leased("b", "8081:80"));
        let (a, b) = (Namespace::new(), Namespace::new());
        attach(&first.0, a.netns.as_fd()).unwrap();
        attach(&second.0, b.netns.as_fd()).unwrap();
        // Nor do those who run lose theirs when the rules are gone.
        run("nft", &["flush", "ruleset"]);
        let (third, c) = (leased("c", "8082:80"), Namespace::new());
        attach(&third.0, c.netns.as_fd()).unwrap();
        let rules = run("nft", &["list", "ruleset"]);
        for port in ["8080", "8081", "8082"] {
            assert!(rules.contains(port), "{port}: {rules}");
        }
        ["a", "b", "c"].into_iter().for_each(|id| detach(state.path(), id).unwrap());
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn failures_leave_nothing() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let before = traces(state.path());
        let (lease, _held) = lease(state.path(), "a", parse_publish("8080:80").unwrap()).unwrap();
        let file = File::open("/dev/null").unwrap();
        let error = attach(&lease, file.as_fd()).unwrap_err();
        assert!(error.to_string().starts_with("network of a: RTM_NEWLINK veth dvx"), "{error}");
        assert!(!traces(state.path())[1].contains("8080"), "the port is given back");
        // The name is taken: what is there must not be used.
        run("ip", &["link", "add", &lease.veth, "type", "bridge"]);
        assert!(attach(&lease, Namespace::new().netns.as_fd()).unwrap_err().to_string().contains("EEXIST"));
        // eth0 is taken inside.
        let namespace = Namespace::new();
        namespace.run("ip", &["link", "add", "eth0", "type", "bridge"]);
        attach(&lease, namespace.netns.as_fd()).unwrap_err();
        detach(state.path(), "a").unwrap();
        assert_eq!(traces_of_all(state.path()), before);
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn many_ports() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let before = traces(state.path());
        let namespace = Namespace::new();
        let ports = parse_publish("127.0.0.1:20001-20500:1-500").unwrap();
        let more = parse_publish("[fd00:1::1]:20001-20500:1-500").unwrap();
        // Descriptors are not the point here: only the last one is bound.
        let (mut lease, _held) = lease(state.path(), "a", ports[499..].to_vec()).unwrap();
        lease.ports = [ports, more].concat();
        attach(&lease, namespace.netns.as_fd()).unwrap();
        namespace.serve(500);
        assert_eq!(ask("127.0.0.1:20500"), "172.30.0.1");
        assert_eq!(ask("[fd00:1::1]:20500"), "fd00:1::1");
        // The lease file knows one; the others go with the table.
        detach(state.path(), "a").unwrap();
        assert_eq!(traces_of_all(state.path()), before);
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn nft_understands_the_table() {
        let _outside = host();
        let state = tempfile::tempdir().unwrap();
        let publish = ["8080:80", "127.0.0.1:8081:80", "[fd00:1::1]:8083:80"];
        let (_web, lease, _held) = container(state.path(), "web", &publish);
        let ours = run("nft", &["list", "table", "inet", "devoxx"]);
        assert!(ours.contains(&format!("tcp . 8080 comment \"{}\" : 172.30.0.2 . 80", lease.veth)), "{ours}");
        assert!(ours.contains("ct status dnat accept"), "{ours}");
        let file = state.path().join("table.nft");
        std::fs::write(&file, format!("delete table inet devoxx\n{ours}")).unwrap();
        run("nft", &["-f", file.to_str().unwrap()]);
        assert_eq!(run("nft", &["list", "table", "inet", "devoxx"]), ours);
        detach(state.path(), "web").unwrap();
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn works_without_ipv6() {
        let outside = host();
        for scope in ["all", "default"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
        }
        let state = tempfile::tempdir().unwrap();
        let before = traces(state.path());
        let error = lease(state.path(), "web", parse_publish("[fd00:1::1]:80:80").unwrap()).unwrap_err();
        assert_eq!(error.kind, Kind::Usage, "{error}");
        let (web, lease, held) = container(state.path(), "web", &["8080:80"]);
        assert_eq!((lease.ipv6, held.sockets()), (None, 1));
        web.serve(80);
        assert_eq!(ask("127.0.0.1:8080"), "172.30.0.1");
        assert_eq!(outside.ask("192.0.2.1:8080"), "192.0.2.2");
        assert!(!run("nft", &["list", "ruleset"]).contains("ip6"));
        detach(state.path(), "web").unwrap();
        assert_eq!(traces_of_all(state.path()), before);
    }

    #[test]
    #[ignore = "runs in a namespace of its own"]
    fn pasta_connects() {
        let _outside = host();
        run("ip", &["route", "add", "default", "via", "192.0.2.2"]);
        run("ip", &["-6", "route", "add", "default", "via", "fd00:1::2"]);
        again(&["unshare", "--user", "--map-root-user", "--"], "pasta_connects_as_a_user");
    }

    #[test]
    #[ignore = "runs in a user namespace of its own"]
    fn pasta_connects_as_a_user() {
        use devoxx_network::pasta;
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("pasta.pid");
        let web = Namespace::new();
        let mut ports: Vec<_> =
            ["127.0.0.1::80", "8081:80"].iter().flat_map(|text| parse_publish(text).unwrap()).collect();
        pasta::resolve(&mut ports, |_| None).unwrap();
        let pasta =
            pasta::start(web.netns().as_fd(), &Guest::AsHost("eth0".into()), &ports, &file, false).unwrap();
        web.serve(80);
        ask(&format!("127.0.0.1:{}", ports[0].host_port));
        ask("127.0.0.1:8081");
        assert!(web.run("ip", &["-br", "address"]).contains("eth0"));
        let error = pasta::start(web.netns().as_fd(), &Guest::AsHost("eth0".into()), &ports, &file, false)
            .unwrap_err();
        assert_eq!(error.kind, Kind::PortInUse);
        pasta.stop().unwrap();
        assert!(!file.exists());
        pasta.stop().unwrap();
        // The container ended before; whoever cleans up knows the file alone.
        let other = Namespace::new();
        pasta::start(other.netns().as_fd(), &Guest::AsHost("eth0".into()), &ports, &file, false).unwrap();
        drop(other);
        pasta::Pasta::of(&file).stop().unwrap();
        pasta::start(web.netns().as_fd(), &Guest::AsHost("eth0".into()), &ports[..1], &file, false)
            .map(|_| ())
            .unwrap_or_else(|error| {
                // A link of the first one may still be in the namespace.
                assert_ne!(error.kind, Kind::PortInUse, "{error}");
            });
        pasta::Pasta::of(&file).stop().unwrap();
    }
}
