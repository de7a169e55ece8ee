//! Networks: who is told who asks, what is asked for by nobody, whose word is taken.

use super::super::archive::Image;
use super::super::ground::Ground;
use super::super::outside::Outside;
use super::super::{BOTH, ROOT, Replay};
use testkit::deadline::wait_for;
use testkit::{Outcome, Running};

/// A container that says who asks it, on its port 80.
const WHO: &str =
    "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo container; echo $REMOTE_ADDR\\n' >/www/cgi-bin/who
    chmod 755 /www/cgi-bin/who; exec httpd -f -p 80 -h /www";

/// What it says at an address of the host.
fn who(ground: &Ground, port: &str, from: &Outside<'_>, url: &str) -> String {
    ground.has(&Image::base(), "good:1");
    ground.start(&["-p", port], "who", "good:1", WHO);
    wait_for("the server", || {
        let said = from.get(url);
        (said.code == 0).then_some(said.stdout)
    })
}

/// A script that asks a server for `/who`. It knows no names, so the ordinary program would not do.
fn ask(server: &str) -> String {
    format!("printf 'GET /who HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {server} | tail -n 1")
}

/// A server of another machine, of which `/who` is "outside", at 10.99.1.2:8080.
fn web_server(ground: &Ground, outside: &Outside<'_>) -> Running {
    ground.sh("mkdir -p www; echo outside >www/who").ok();
    let server = outside.spawn("busybox httpd -f -p 8080 -h /tmp/work/www");
    wait_for("the server", || {
        (ground.sh("curl -sf --noproxy '*' http://10.99.1.2:8080/who").code == 0).then_some(())
    });
    server
}

/// A network of both families, `six`.
fn dual_stack(ground: &Ground) {
    let subnets = ["--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64"];
    ground.call(&[&["network", "create"], &subnets[..], &["six"]].concat()).ok();
}

/// A network that nothing leads out of, `inner`, in which the host is 10.79.0.1.
fn internal(ground: &Ground) {
    ground.call(&["network", "create", "--internal", "--subnet", "10.79.0.0/24", "inner"]).ok();
}

/// `run --rm --net NETWORK OPTIONS --rootfs TREE sh -c SCRIPT`.
fn run_in(ground: &Ground, network: &str, options: &[&str], script: &str) -> Outcome {
    let rootfs = ["--rootfs", "/tmp/work/tree", "sh", "-c", script];
    ground.call(&[&["run", "--rm", "--net", network], options, &rootfs].concat())
}

/// Writes down what is asked of it: a name server that never answers.
const RECORDS: &str = r#"exec perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 53, Proto => "udp") or die "socket: $@";
    open my $to, ">", shift or die "open: $!"; $to->autoflush; print $to "listens\n";
    while (defined $s->recv(my $asked, 4096)) { $asked =~ s/[^ -~]/./g; print $to "$asked\n" }' "#;

/// The name servers that outside names come to: of another machine, and of the host itself on all of its addresses.
struct Resolvers<'a> {
    ground: &'a Ground,
    /// They end with it.
    _running: ([Running; 2], Outside<'a>),
}

/// Where they write it down.
const HEARD: [&str; 2] = ["/tmp/work/heard-outside", "/tmp/work/heard-host"];

/// Asks for an outside name: as the host does, of the host at both of its addresses, and of another machine.
const LOOKS_UP: &str = "ip route add default via 10.79.0.1 2>/dev/null
    for server in '' 10.79.0.1 10.99.1.1 10.99.1.2; do timeout 1 nslookup name.outside.example $server; done >/dev/null 2>&1; true";

impl<'a> Resolvers<'a> {
    #[track_caller]
    fn new(ground: &'a Ground) -> Self {
        let outside = Outside::new(ground, "out0", "10.99.1");
        ground.host.admin("echo nameserver 10.99.1.2 >/tmp/resolv.conf");
        let script = |heard: &str| format!("{RECORDS}{heard}");
        let far = outside.spawn(&script(HEARD[0]).replacen("exec ", "", 1));
        let near = Running::start(&mut ground.host.admin_script(&script(HEARD[1])));
        for heard in HEARD {
            wait_for(heard, || ground.sh(&format!("cat {heard}")).stdout.contains("listens").then_some(()));
        }
        Self { ground, _running: ([far, near], outside) }
    }

    /// What each of them has heard until now: what the host itself asks of them last has arrived.
    #[track_caller]
    fn heard(&self) -> [String; 2] {
        for (heard, at) in HEARD.iter().zip(["10.99.1.2", "127.0.0.1"]) {
            let asks =
                format!("timeout 1 busybox nslookup the.last.example {at} >/dev/null 2>&1; cat {heard}");
            wait_for(heard, || self.ground.sh(&asks).stdout.contains("the.last.example").then_some(()));
        }
        HEARD.map(|heard| self.ground.sh(&format!("cat {heard}")).stdout)
    }
}

/// A word of a router's (RFC 4861, 4.2), to all on a link of the host.
const ADVERTISES: &str = r#"perl -MSocket -e '
    my $link = shift; socket(my $s, AF_INET6, SOCK_RAW, 58) or die "socket: $!";
    setsockopt($s, 41, 18, pack("i", 255)) or die "hops: $!";
    setsockopt($s, 41, 17, pack("i", $link)) or die "link: $!";
    my $to = Socket::pack_sockaddr_in6(0, Socket::inet_pton(AF_INET6, "ff02::1"), $link);
    my $word = pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 0);
    my $prefix = pack("CCCCNNN", 3, 4, 64, 0xc0, 86400, 86400, 0) . Socket::inet_pton(AF_INET6, "2001:db8:bad::");
    defined send($s, $word . $prefix, 0, $to) or die "send: $!"' "#;

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "NW-02",
        what: "a service that is told that its clients are the host",
        users: BOTH,
        mutant: Some("mutant_nw_02"),
        attack: |ground| {
            let outside = Outside::new(ground, "out0", "10.99.1");
            let said = who(ground, "8080:80", &outside, "http://10.99.1.1:8080/cgi-bin/who");
            assert!(said.contains("10.99.1.2"), "asked from 10.99.1.2, and told that it was {said}");
            ground.remove("who");
            drop(outside);
            ground.is_intact();
        },
        control: |ground| {
            let outside = Outside::new(ground, "out0", "10.99.1");
            who(ground, "8080:80", &outside, "http://10.99.1.1:8080/cgi-bin/who");
            let own = ground.sh("curl -sf --noproxy '*' http://127.0.0.1:8080/cgi-bin/who").ok();
            assert!(own.stdout.contains("container"), "{own}");
        },
    },
    Replay {
        row: "NW-03",
        what: "IPv6 on a network that was asked for without",
        users: BOTH,
        mutant: Some("mutant_nw_03"),
        attack: |ground| {
            ground.tree("");
            // A link that is up has the route of multicasts (ff00::/8), also where it has no address.
            let see = "grep -v ' lo$' /proc/net/if_inet6; cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6; grep -v -e ' lo$' -e ^ff00 /proc/net/ipv6_route; true";
            ground.call(&["network", "create", "--subnet", "10.78.0.0/24", "four"]).ok();
            run_in(ground, "four", &[], see).ok().prints("1");
            ground
                .host
                .admin(
                    "for bridge in $(ls /sys/class/net | grep ^dvb); do ip -6 address show dev $bridge; done",
                )
                .prints("");
            ground.call(&["network", "rm", "four"]).ok();
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            dual_stack(ground);
            let see = "ip -6 -o address show dev eth0 scope global | grep -c fd77:";
            run_in(ground, "six", &[], see).ok().prints("1");
        },
    },
    Replay {
        row: "NW-04",
        what: "a neighbour who says that he is the router",
        users: BOTH,
        mutant: Some("mutant_nw_04"),
        attack: |ground| {
            // With the host's perl.
            ground.tree("mkdir -p usr; ln -s usr/lib lib; ln -s usr/lib64 lib64");
            dual_stack(ground);
            for (name, options) in
                [("one", &[][..]), ("neighbour", &["--cap-add", "NET_RAW", "-v", "/usr:/usr:ro"][..])]
            {
                let words = [
                    &["run", "-d", "--name", name, "--net", "six"],
                    options,
                    &["--rootfs", "/tmp/work/tree:O", "sleep", "1000"],
                ];
                ground.call(&words.concat()).ok();
            }
            let see = [
                "exec",
                "one",
                "sh",
                "-c",
                "awk '{print $1, $2, $5, $6, $10}' /proc/net/ipv6_route | sort; cut -d' ' -f1 /proc/net/if_inet6 | sort",
            ];
            // Its own address of the link comes with the link, and is there once it has answered.
            let answers = ["exec", "one", "ping", "-6", "-c", "1", "-W", "5", "fd77::1"];
            ground.call(&answers).ok();
            let before = ground.call(&see).ok().stdout;
            let own = format!("{ADVERTISES} $(cat /sys/class/net/eth0/ifindex)");
            ground.call(&["exec", "neighbour", "sh", "-c", &own]).ok();
            if ground.host.user() == 0 {
                let bridge = "$(cat /sys/class/net/$(ls /sys/class/net | grep ^dvb)/ifindex)";
                ground.host.admin(&format!("{ADVERTISES} {bridge}"));
            }
            ground.call(&answers).ok();
            ground.call(&see).ok().prints(&before);
            ground.call(&["exec", "one", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra"]).ok().prints("0");
            ["one", "neighbour"].iter().for_each(|name| ground.remove(name));
            ground.call(&["network", "rm", "six"]).ok();
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            dual_stack(ground);
            // The way out of an ordinary user's is none of the network's own.
            let route = if ground.host.user() == 0 { "default via fd77::1" } else { "fd77::/64 dev eth0" };
            let see = format!("ip -6 route | grep -c '^{route}'");
            run_in(ground, "six", &[], &see).ok().prints("1");
        },
    },
    Replay {
        row: "NW-07",
        what: "a published port that catches what the host only forwards to another machine",
        users: BOTH,
        mutant: Some("mutant_nw_07"),
        attack: |ground| {
            let (client, server) =
                (Outside::new(ground, "out0", "10.99.1"), Outside::new(ground, "out1", "10.99.2"));
            ground.sh("mkdir -p www; echo 'the other machine' >www/who").ok();
            let other = server.spawn("busybox httpd -f -p 8080 -h /tmp/work/www");
            who(ground, "8080:80", &client, "http://10.99.1.1:8080/cgi-bin/who");
            let said = wait_for("the other machine", || {
                let said = client.get("http://10.99.2.2:8080/who");
                (said.code == 0 || client.get("http://10.99.2.2:8080/cgi-bin/who").code == 0).then_some(said)
            });
            assert_eq!(said.line(), "the other machine", "{said}");
            drop((other, client, server));
            ground.remove("who");
            ground.is_intact();
        },
        control: |ground| {
            let client = Outside::new(ground, "out0", "10.99.1");
            let said = who(ground, "8080:80", &client, "http://10.99.1.1:8080/cgi-bin/who");
            assert!(said.contains("container"), "{said}");
        },
    },
    Replay {
        row: "NW-01",
        what: "sockets of the engine that a container on the host's network would reach by name",
        users: BOTH,
        mutant: Some("mutant_nw_01"),
        attack: |ground| {
            ground.tree("");
            let tree = ["--rootfs", "/tmp/work/tree", "sh", "-c"];
            let start = ["run", "-d", "--net", "none", "--name", "one"];
            ground.call(&[&start[..], &tree, &["exec sleep 1000"]].concat()).ok();
            let see = "grep ' @' /proc/net/unix; grep -c /socket /proc/net/unix";
            let run = ["run", "--rm", "--net", "host"];
            let seen = ground.call(&[&run[..], &tree, &[see]].concat()).stdout;
            assert!(!seen.contains('@'), "by name alone: {seen}");
            ground.host.admin("find /tmp/run -type s | grep .");
            ground.remove("one");
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            let start = [
                "run",
                "-d",
                "--net",
                "none",
                "--name",
                "one",
                "--rootfs",
                "/tmp/work/tree",
                "sleep",
                "1000",
            ];
            ground.call(&start).ok();
            ground.call(&["stop", "-t", "0", "one"]).ok();
            ground.call(&["wait", "one"]).ok().prints("137");
        },
    },
    Replay {
        row: "NW-05",
        what: "a way out of an internal network, that a container has given itself",
        users: BOTH,
        mutant: Some("mutant_nw_05"),
        attack: |ground| {
            ground.tree("");
            let outside = Outside::new(ground, "out0", "10.99.1");
            let server = web_server(ground, &outside);
            internal(ground);
            let script = format!("ip route add default via 10.79.0.1; {}", ask("10.99.1.2 8080"));
            run_in(ground, "inner", &["--cap-add", "NET_ADMIN"], &script).prints("");
            ground.call(&["network", "rm", "inner"]).ok();
            drop((server, outside));
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            internal(ground);
            ground.start(&["--net", "inner", "--ip", "10.79.0.50"], "one", "good:1", WHO);
            let script = ask("10.79.0.50 80").replace("/who", "/cgi-bin/who");
            wait_for("the neighbour", || {
                let said = ground.call(&["run", "--rm", "--net", "inner", "good:1", "sh", "-c", &script]);
                said.stdout.contains('.').then_some(())
            });
        },
    },
    Replay {
        row: "NW-05",
        what: "names of outside that are asked for in an internal network, and what listens on the host",
        users: BOTH,
        mutant: Some("mutant_nw_05_host"),
        attack: |ground| {
            ground.tree("");
            let resolvers = Resolvers::new(ground);
            ground.sh("mkdir -p www; echo host >www/who").ok();
            let server =
                Running::start(&mut ground.host.script("exec busybox httpd -f -p 8080 -h /tmp/work/www"));
            internal(ground);
            let ask = ["10.79.0.1 8080", "10.99.1.1 8080"].map(ask).join("; ");
            let script = format!("{LOOKS_UP}; {ask}");
            let run = run_in(ground, "inner", &["--cap-add", "NET_ADMIN"], &script).ok();
            for heard in resolvers.heard() {
                assert!(!heard.contains("outside"), "asked of a name server: {heard}");
            }
            run.prints("");
            ground.call(&["network", "rm", "inner"]).ok();
            drop((server, resolvers));
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            let resolvers = Resolvers::new(ground);
            // An ordinary network at the same place: all is asked, and heard.
            ground.call(&["network", "create", "--subnet", "10.79.0.0/24", "app"]).ok();
            run_in(ground, "app", &[], LOOKS_UP).ok();
            for heard in resolvers.heard() {
                assert!(heard.contains("outside"), "not asked: {heard}");
            }
            ground.call(&["network", "rm", "app"]).ok();
            internal(ground);
            ground.has(&Image::base(), "good:1");
            ground.start(&["--net", "inner", "--ip", "10.79.0.50"], "one", "good:1", "exec sleep 1000");
            let named = "awk '$2 == \"one\" {print $1}' /etc/hosts";
            run_in(ground, "inner", &[], named).ok().prints("10.79.0.50");
        },
    },
    Replay {
        row: "NW-06",
        what: "the host's firewall is flushed while containers run that it keeps apart",
        users: ROOT,
        mutant: Some("mutant_nw_06"),
        attack: |ground| {
            ground.tree("");
            let outside = Outside::new(ground, "out0", "10.99.1");
            let server = web_server(ground, &outside);
            internal(ground);
            for (name, subnet) in [("a", "10.80.0.0/24"), ("b", "10.81.0.0/24")] {
                ground.call(&["network", "create", "--subnet", subnet, name]).ok();
            }
            who(ground, "8081:80", &outside, "http://10.99.1.1:8081/cgi-bin/who");
            let inner = ["--net", "inner", "--cap-add", "NET_ADMIN"];
            ground.start(&inner, "inside", "good:1", "ip route add default via 10.79.0.1; exec sleep 1000");
            ground.start(&["--net", "a"], "one", "good:1", "exec sleep 1000");
            ground.start(&["--net", "b", "--ip", "10.81.0.50"], "two", "good:1", WHO);
            let mends: [(&str, &[&str]); 2] =
                [("reload", &["network", "reload"]), ("the next", &["run", "--rm", "good:1", "true"])];
            for (by, words) in mends {
                for flush in ["nft flush ruleset", "nft flush table inet devoxx"] {
                    ground.host.admin(flush);
                    ground.call(words).ok();
                    for (from, to) in [("inside", "10.99.1.2 8080"), ("one", "10.81.0.50 80")] {
                        let said = ground.call(&["exec", from, "sh", "-c", &ask(to)]).stdout;
                        assert_eq!(said, "", "{flush}, {by}: {from} reaches {to}");
                    }
                    let said = outside.get("http://10.99.1.1:8081/cgi-bin/who");
                    assert!(said.stdout.contains("10.99.1.2"), "{flush}, {by}: {said}");
                }
            }
            ["inside", "one", "two", "who"].iter().for_each(|name| ground.remove(name));
            ground.call(&["network", "rm", "inner", "a", "b"]).ok();
            drop((server, outside));
            ground.is_intact();
        },
        control: |ground| {
            let outside = Outside::new(ground, "out0", "10.99.1");
            let url = "http://10.99.1.1:8081/cgi-bin/who";
            who(ground, "8081:80", &outside, url);
            ground.host.admin("nft flush ruleset");
            let said = outside.get(url);
            assert_ne!(said.code, 0, "nothing was flushed: {said}");
            ground.call(&["network", "reload"]).ok();
            let said = outside.get(url);
            assert!(said.stdout.contains("10.99.1.2"), "{said}");
        },
    },
];
