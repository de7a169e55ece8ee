//! `network` and `port`, and the networks of `run`: names, addresses, ports, the host's firewall.

use crate::world::{BUSYBOX, FAILED, World, program};
use std::process::Stdio;
use testkit::deadline::wait_for;
use testkit::{Host, Outcome, Snapshot};

/// `run -d --name NAME OPTIONS busybox sh -c SCRIPT`; its id. What only waits needs no shell: its process is the same from
/// the beginning.
#[track_caller]
pub fn detached(world: &World, name: &str, options: &[&str], script: &str) -> String {
    if script == WAIT {
        let words = [&["run", "-d", "--name", name], options, &[BUSYBOX, "sleep", "1000"]].concat();
        return world.host.run(words).ok().line().to_owned();
    }
    let words = [&["run", "-d", "--name", name], options, &[BUSYBOX, "sh", "-c", script]].concat();
    world.host.run(words).ok().line().to_owned()
}

pub const WAIT: &str = "sleep 1000";

/// What the container's /etc/hosts says a name is.
#[track_caller]
pub fn looks_up(world: &World, container: &str, name: &str) -> String {
    let script =
        format!("awk '$1 !~ /:/ {{for (i = 2; i <= NF; i++) if ($i == \"{name}\") print $1}}' /etc/hosts");
    world.host.run(["exec", container, "sh", "-c", &script]).ok().stdout.trim().to_owned()
}

#[track_caller]
pub fn address(world: &World, container: &str, link: &str) -> String {
    let script = format!("ip -4 -o addr show {link} | awk '{{print $4}}'");
    world.host.run(["exec", container, "sh", "-c", &script]).ok().line().to_owned()
}

#[track_caller]
pub fn inspect(world: &World, network: &str) -> serde_json::Value {
    let text = world.host.run(["network", "inspect", network]).ok().stdout;
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    all[0].clone()
}

pub fn pings(world: &World, container: &str, address: &str) -> bool {
    world.host.run(["exec", container, "ping", "-c", "1", "-W", "1", address]).code == 0
}

/// The process ids of what has this name.
pub fn named(world: &World, name: &str) -> Vec<i32> {
    let comm = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    world.host.processes().into_iter().filter(|pid| comm(pid).trim() == name).collect()
}

/// The host when everything has come to its end: what holds networks ends behind the command that needed it last.
#[track_caller]
pub fn quiet(world: &World) -> Snapshot {
    let ended = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.is_empty());
    wait_for("nobody holds networks, and nobody is to be reaped", || {
        (named(world, "devoxx-network").is_empty() && !world.host.processes().iter().any(ended)).then_some(())
    });
    Snapshot::take(&world.host)
}

/// A server whose answer is the address of who asks.
pub const WHO: &str = "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\nprintf \"\\\\r\\\\n%%s\\\\n\" \"$REMOTE_ADDR\"\\n' >/www/cgi-bin/who;
    chmod +x /www/cgi-bin/who; for p in $PORTS; do httpd -p $p -h /www; done; exec sleep 1000";

/// Who asks, as the server sees it; from the host, or from a network namespace beside it.
pub fn who(world: &World, from: &str, at: &str) -> Option<String> {
    let outcome = world.host.sh(&format!("{from} curl -sf --max-time 3 http://{at}/cgi-bin/who"));
    (outcome.code == 0)
        .then(|| outcome.stdout.trim().trim_start_matches("[::ffff:").trim_end_matches(']').to_owned())
}

/// A neighbour of the host, 192.0.2.2, in a namespace of its own; the host is 192.0.2.1. The words that enter it.
pub fn neighbour(world: &World) -> String {
    world.host.admin(
        "unshare --net sh -c 'echo $$ >/tmp/outside; exec sleep 1000' >/dev/null 2>&1 &
        until test -s /tmp/outside; do sleep 0.05; done
        pid=$(cat /tmp/outside)
        until test $(readlink /proc/$pid/ns/net) != $(readlink /proc/self/ns/net); do sleep 0.05; done
        ip link add up0 type veth peer name eth0 netns $pid
        ip address add 192.0.2.1/24 dev up0; ip link set up0 up
        nsenter -t $pid -n sh -c 'ip link set lo up; ip address add 192.0.2.2/24 dev eth0; ip link set eth0 up'",
    );
    let pid = std::fs::read_to_string(world.host.path("/tmp/outside")).expect("its pid");
    format!("nsenter -t {} -n", pid.trim())
}

#[test]
fn made_listed_shown_and_removed() {
    for world in [World::root(), World::rootless()] {
        made_listed_shown_and_removed_of(&world);
    }
}

fn made_listed_shown_and_removed_of(world: &World) {
    world.sh(&[], "true").ok();
    world.host.run(["network", "create", "first"]).ok();
    world.host.run(["network", "rm", "first"]).ok();
    let before = quiet(world);
    let id = world.host.run(["network", "create", "app"]).ok().line().to_owned();
    assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let words = ["--subnet", "10.201.0.0/24", "--gateway", "10.201.0.9", "--internal"];
    let more = ["-o", "com.docker.network.driver.mtu=1400", "--label", "tier=back", "--label", "x", "back"];
    world.host.run([&["network", "create"], &words[..], &more].concat()).ok();
    let names = world.host.run(["network", "ls"]).ok().stdout;
    let names: Vec<&str> = names.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(names, ["app", "back", "bridge", "host", "none"]);
    let list = |filter: &str, expected: &[&str]| {
        let lines = world.host.run(["network", "ls", "--format", "json", "-f", filter]).ok().stdout;
        let names: Vec<String> = lines
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["Name"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(names, expected, "{filter}");
    };
    list("name=a", &["app", "back"]);
    list("label=tier=back", &["back"]);
    list("label=tier=front", &[]);
    list("driver=null", &["none"]);
    list("type=custom", &["app", "back"]);
    list(&format!("id={}", &id[..9]), &["app"]);
    world.host.run(["network", "ls", "-q", "--no-trunc", "-f", "name=app"]).ok().prints(&id);
    let back = inspect(world, "back");
    assert_eq!(back["IPAM"]["Config"][0]["Subnet"], "10.201.0.0/24");
    assert_eq!(back["IPAM"]["Config"][0]["Gateway"], "10.201.0.9");
    assert_eq!(
        (&back["Internal"], &back["Driver"], &back["EnableIPv6"]),
        (&true.into(), &"bridge".into(), &false.into())
    );
    assert_eq!(
        (&back["Labels"]["tier"], &back["Options"]["com.docker.network.driver.mtu"]),
        (&"back".into(), &"1400".into())
    );
    assert_eq!(inspect(world, &id[..12])["Name"], "app");
    assert_eq!(inspect(world, "host")["Driver"], "host");
    let box_id = detached(world, "box", &["--network", "back"], WAIT);
    let back = inspect(world, "back");
    assert_eq!(back["Containers"][&box_id]["Name"], "box");
    assert_eq!(back["Containers"][&box_id]["IPv4Address"], "10.201.0.2/24");
    world.host.run(["exec", "box", "cat", "/sys/class/net/eth0/mtu"]).ok().prints("1400");
    world
        .host
        .run(["exec", "box", "ip", "route"])
        .ok()
        .prints("10.201.0.0/24 dev eth0 scope link  src 10.201.0.2");
    world
        .host
        .run(["network", "rm", "back"])
        .refuses(FAILED, &["back", "active endpoints", "box", "disconnect"]);
    world.host.run(["network", "prune", "-f"]).ok().prints("Deleted Networks:\napp");
    world.host.run(["rm", "-f", "box"]).ok();
    let mut asked = world.host.command(["network", "prune"]);
    let refused = asked.stdin(Stdio::null()).output().expect("it runs");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("[y/N]"), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("network prune has been cancelled"));
    list("type=custom", &["back"]);
    world.host.run(["network", "rm", "back"]).ok().prints("back");
    world.host.run(["network", "rm", "--force", "back"]).ok();
    before.assert_same(&world.host, "networks that came and went");
}

#[test]
fn garbage_is_refused_and_changes_nothing() {
    for world in [World::root(), World::rootless()] {
        garbage_is_refused_and_changes_nothing_of(&world);
    }
}

fn garbage_is_refused_and_changes_nothing_of(world: &World) {
    world.host.run(["network", "create", "--subnet", "10.201.0.0/24", "app"]).ok();
    detached(world, "box", &["--network", "app", "--ip", "10.201.0.50"], WAIT);
    detached(world, "closed", &["--network", "none"], WAIT);
    world.host.run(["create", "--name", "later", BUSYBOX, "true"]).ok();
    let before = Snapshot::take(&world.host);
    let check = |words: &[&str], says: &[&str]| {
        drop(world.host.run(words).refuses(FAILED, says));
    };
    let create = |words: &[&str], says: &[&str]| check(&[&["network", "create"], words].concat(), says);
    create(&["app"], &["app", "already exists"]);
    create(&["bridge"], &["bridge", "already exists"]);
    create(&["host"], &["host"]);
    create(&["../x"], &["invalid network name"]);
    create(&[""], &["invalid network name"]);
    create(&["--subnet", "10.201.0.128/25", "x"], &["overlaps", "app"]);
    create(&["--subnet", "nonsense", "x"], &["nonsense"]);
    create(&["--subnet", "10.202.0.0/31", "x"], &["10.202.0.0/31", "room"]);
    create(&["--subnet", "10.202.0.0/24", "--gateway", "10.203.0.1", "x"], &["10.203.0.1", "no subnet"]);
    create(&["--gateway", "10.203.0.1", "x"], &["--subnet"]);
    create(&["--gateway", "nonsense", "x"], &["--gateway", "nonsense"]);
    create(&["-d", "overlay", "x"], &["--driver", "overlay"]);
    if world.host.is_rootless() {
        create(&["-d", "macvlan", "-o", "parent=lo", "x"], &["macvlan", "root"]);
    } else {
        create(&["-d", "macvlan", "x"], &["parent"]);
        create(&["-d", "macvlan", "-o", "parent=nolink0", "x"], &["nolink0"]);
    }
    create(&["-o", "mtu=big", "x"], &["mtu", "big"]);
    create(&["-o", "mtu", "x"], &["--opt", "KEY=VALUE"]);
    create(&["-o", "colour=red", "x"], &["unknown option", "colour=red"]);
    create(&["--label", "=x", "x"], &["--label"]);
    create(&[], &["name"]);
    check(&["network", "ls", "-f", "colour=red"], &["invalid filter", "colour=red", "the keys are "]);
    check(&["network", "ls", "-f", "type=odd"], &["invalid filter", "type=odd", "custom, builtin"]);
    check(&["network", "inspect", "nowhere"], &["network nowhere not found"]);
    check(&["network", "inspect"], &["networks"]);
    check(&["network", "rm", "nowhere"], &["network nowhere not found"]);
    check(&["network", "rm", "bridge"], &["bridge is a pre-defined network"]);
    check(&["network", "rm", "none"], &["none is a pre-defined network"]);
    check(&["network", "prune", "-f", "--filter", "x"], &["filter", "KEY=VALUE"]);
    check(&["network", "connect", "app", "nobody"], &["no such container: nobody"]);
    check(&["network", "connect", "nowhere", "box"], &["network nowhere not found"]);
    check(&["network", "connect", "app", "box"], &["box", "already on network app"]);
    check(&["network", "connect", "host", "box"], &["cannot be connected", "host"]);
    check(&["network", "connect", "app", "closed"], &["closed", "no network"]);
    check(&["network", "connect", "--alias", "a b", "app", "box"], &["--alias", "a b"]);
    check(
        &["network", "connect", "--ip", "10.201.0.7", "bridge", "box"],
        &["10.201.0.7", "not in 172.30.0.0/16"],
    );
    check(&["network", "connect", "--ip", "10.9.9.9", "app", "later"], &["10.9.9.9", "not in 10.201.0.0/24"]);
    check(&["create", "--network", "app", "--ip", "10.9.9.9", BUSYBOX, "true"], &["10.9.9.9", "not in"]);
    check(&["network", "disconnect", "bridge", "box"], &["box", "not connected", "bridge"]);
    check(&["network", "disconnect", "app", "nobody"], &["no such container: nobody"]);
    check(&["port", "nobody"], &["no such container: nobody"]);
    check(&["port", "box", "80"], &["no public port 80/tcp", "box"]);
    check(&["port", "box", "x/y"], &["invalid port"]);
    let run =
        |words: &[&str], says: &[&str]| check(&[&["run", "-d"], words, &[BUSYBOX, "true"]].concat(), says);
    run(&["--network", "nowhere"], &["network nowhere not found"]);
    run(&["--network", ""], &["--network", "empty"]);
    run(&["--network", "container:"], &["--network", "container:NAME"]);
    run(&["--network", "container:nobody"], &["no such container: nobody"]);
    run(&["--network", "container:box", "-p", "80:80"], &["--publish", "container:NAME"]);
    run(&["--network", "container:box", "--hostname", "x"], &["--hostname", "container:NAME"]);
    run(&["--network", "host", "--network", "app"], &["host, app", "contradict"]);
    run(&["--network", "app", "--network", "app"], &["app", "twice"]);
    run(&["--network", "none", "--ip", "10.201.0.9"], &["--ip", "none"]);
    run(&["--network", "app", "--ip", "10.9.9.9"], &["10.9.9.9", "not in 10.201.0.0/24"]);
    run(&["--network", "app", "--ip", "10.201.0.1"], &["10.201.0.1", "network's own"]);
    run(&["--network", "app", "--ip", "10.201.0.50"], &["10.201.0.50", "already in use by container box"]);
    run(&["--network", "app", "--ip", "x"], &["--ip", "x"]);
    run(&["--network", "app", "--ip6", "fd00::9"], &["fd00::9", "no IPv6"]);
    run(&["--network", "app", "--mac-address", "01:02:03:04:05:06"], &["--mac-address"]);
    run(&["--network", "app", "--network-alias", "a\nb"], &["--network-alias"]);
    run(&["--network", "name=app,colour=red"], &["--network", "colour"]);
    before.assert_same(&world.host, "refusals");
}

#[test]
fn containers_find_each_other_by_name() {
    for world in [World::root(), World::rootless()] {
        containers_find_each_other_by_name_of(&world);
    }
}

fn containers_find_each_other_by_name_of(world: &World) {
    world.host.run(["network", "create", "app"]).ok();
    // Without root the other network has no neighbours.
    let networks: &[&'static str] = if world.host.is_rootless() { &["app"] } else { &["app", "bridge"] };
    for network in networks.iter().copied() {
        let on = |options: &[&'static str]| [&["--network", network][..], options].concat();
        let db = detached(world, "db", &on(&["--network-alias", "postgres"]), WAIT);
        let ip = address(world, "db", "eth0");
        let ip = ip.split('/').next().unwrap();
        // Its first instruction finds the one that is there, which finds it when `run` is back.
        let script = "awk '$2 == \"db\" && $1 !~ /:/ {print $1, $3, $4}' /etc/hosts";
        world.sh(&on(&[]), script).ok().prints(&format!("{ip} postgres {}", &db[..12]));
        let web = detached(world, "web", &on(&[]), "echo '9.9.9.9 mine' >>/etc/hosts; exec sleep 1000");
        let inode = world.host.run(["exec", "db", "stat", "-c", "%i", "/etc/hosts"]).ok().stdout;
        let web_ip = looks_up(world, "db", "web");
        assert_eq!(looks_up(world, "db", &web[..12]), web_ip);
        assert!(pings(world, "db", &web_ip));
        for name in ["db", "postgres", &db[..12]] {
            assert_eq!(looks_up(world, "web", name), ip, "{name}");
        }
        assert_eq!(looks_up(world, "db", "postgres"), ip, "its own alias");
        world.host.run(["rename", "web", "www"]).ok();
        assert_eq!((looks_up(world, "db", "web"), looks_up(world, "db", "www")), (String::new(), web_ip));
        world.host.run(["stop", "-t", "0", "www"]).ok();
        assert_eq!(looks_up(world, "db", "www"), "");
        world.host.run(["start", "www"]).ok();
        assert!(pings(world, "db", &looks_up(world, "db", "www")));
        wait_for("its own line", || (looks_up(world, "www", "mine") == "9.9.9.9").then_some(()));
        detached(world, "third", &on(&[]), WAIT);
        assert_eq!(looks_up(world, "www", "mine"), "9.9.9.9", "what it wrote itself stays");
        assert_ne!(looks_up(world, "www", "third"), "");
        world.host.run(["rm", "-f", "third", "www"]).ok();
        let left = world.host.run(["exec", "db", "cat", "/etc/hosts"]).ok().stdout;
        assert!(!left.contains("www") && !left.contains("third"), "{left}");
        assert_eq!(
            world.host.run(["exec", "db", "stat", "-c", "%i", "/etc/hosts"]).ok().stdout,
            inode,
            "the same file"
        );
        world.host.run(["rm", "-f", "db"]).ok();
    }
}

/// Nobody is there to say that it ended: the next command that comes to the network does.
#[test]
fn names_of_what_was_killed_go_with_the_next_command() {
    for world in [World::root(), World::rootless()] {
        names_of_what_was_killed_go_with_the_next_command_of(&world);
    }
}

fn names_of_what_was_killed_go_with_the_next_command_of(world: &World) {
    world.host.run(["network", "create", "app"]).ok();
    detached(world, "stays", &["--network", "app"], WAIT);
    let taken = ["--network", "app", "--ip", "10.89.0.99", "-p", "8080:80"];
    let victim = detached(world, "victim", &taken, "exec sleep 2000");
    assert_ne!(looks_up(world, "stays", "victim"), "");
    // The supervisor first, or it would put everything away.
    world.host.admin(&format!(
        "holder=$(for p in /proc/[0-9]*; do ls -l $p/fd 2>/dev/null | grep -q 'supervisors/{victim}/lock' && basename $p; done || :)
        kill -9 $holder
        for p in /proc/[0-9]*; do test \"$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)\" = 'sleep 2000 ' && kill -9 $(basename $p) || :; done"
    ));
    wait_for("it is dead", || {
        world
            .host
            .run(["ps", "-a"])
            .ok()
            .stdout
            .lines()
            .any(|line| line.contains("victim") && line.contains("Exited"))
            .then_some(())
    });
    detached(world, "next", &taken, WAIT);
    assert_eq!(looks_up(world, "stays", "victim"), "");
    assert_eq!(looks_up(world, "stays", "next"), "10.89.0.99", "what it had is free");
    world.host.run(["rm", "-f", "stays", "next"]).ok();
    // Its lease does not keep the network.
    world.host.run(["network", "rm", "app"]).ok();
    world.host.run(["rm", "victim"]).ok();
}

#[test]
fn many_at_once_know_each_other() {
    for world in [World::root(), World::rootless()] {
        many_at_once(&world);
    }
}

fn many_at_once(world: &World) {
    const MANY: usize = 50;
    world.host.run(["network", "create", "app"]).ok();
    detached(world, "warm", &["--network", "app"], WAIT);
    world.host.run(["rm", "-f", "warm"]).ok();
    let before = quiet(world);
    let script = format!(
        "for i in $(seq {MANY}); do $C run -d --name c$i --network app {BUSYBOX} sleep 1000 >/dev/null & p=\"$p $!\"; done
        for one in $p; do wait $one || exit 1; done"
    );
    world.host.sh(&script).ok();
    for number in 1..=MANY {
        let hosts = world.host.run(["exec", &format!("c{number}"), "cat", "/etc/hosts"]).ok().stdout;
        let others = (1..=MANY).filter(|other| *other != number && !hosts.contains(&format!("\tc{other} ")));
        let missing: Vec<usize> = others.collect();
        assert!(missing.is_empty(), "c{number} does not know {missing:?}: {hosts}");
    }
    world
        .host
        .sh(&format!("$C stop -t 0 $(seq -f c%g {MANY}) >/dev/null && $C rm $(seq -f c%g {MANY}) >/dev/null"))
        .ok();
    before.assert_same(&world.host, "50 containers");
}

#[test]
fn connected_and_disconnected_while_it_runs() {
    for world in [World::root(), World::rootless()] {
        connected_and_disconnected_while_it_runs_of(&world);
    }
}

fn connected_and_disconnected_while_it_runs_of(world: &World) {
    let rootless = world.host.is_rootless();
    world.host.run(["network", "create", "front"]).ok();
    world.host.run(["network", "create", "--internal", "back"]).ok();
    detached(world, "web", &["--network", "front"], WAIT);
    detached(world, "db", &["--network", "back"], WAIT);
    let db = address(world, "db", "eth0");
    let db = db.split('/').next().unwrap();
    assert!(!pings(world, "web", db), "networks are apart");
    world.host.run(["network", "connect", "--alias", "www", "back", "web"]).ok();
    assert!(pings(world, "web", db));
    assert_eq!(looks_up(world, "web", "db"), db);
    assert_eq!(looks_up(world, "db", "www"), looks_up(world, "db", "web"));
    assert_ne!(looks_up(world, "db", "web"), "");
    world
        .host
        .run(["exec", "web", "ls", "/sys/class/net"])
        .ok()
        .prints(&format!("eth0\neth1\nlo{}", if rootless { "\npasta0" } else { "" }));
    // It is there again after a restart.
    world.host.run(["restart", "-t", "0", "web"]).ok();
    assert!(pings(world, "web", db));
    world.host.run(["network", "disconnect", "back", "web"]).ok();
    assert!(!pings(world, "web", db));
    assert_eq!((looks_up(world, "db", "web"), looks_up(world, "web", "db")), (String::new(), String::new()));
    // The way out moves to the network that is left.
    world.host.run(["network", "connect", "bridge", "web"]).ok();
    world.host.run(["network", "disconnect", "front", "web"]).ok();
    world.host.run(["exec", "web", "sh", "-c", "ip route | grep default"]).ok().prints(if rootless {
        "default via 198.51.100.1 dev eth1"
    } else {
        "default via 172.30.0.1 dev eth1"
    });
    // Not while it runs: it comes with the next start.
    world.host.run(["stop", "-t", "0", "web"]).ok();
    world
        .host
        .run(["network", "connect", "--ip", &format!("{}.77", db.rsplit_once('.').unwrap().0), "back", "web"])
        .ok();
    world.host.run(["start", "web"]).ok();
    assert!(looks_up(world, "db", "web").ends_with(".77"));
    world.host.run(["rm", "-f", "web", "db"]).ok();
    world.host.run(["network", "rm", "front", "back"]).ok().prints("front\nback");
}

#[test]
fn addresses_that_were_asked_for() {
    for world in [World::root(), World::rootless()] {
        addresses_that_were_asked_for_of(&world);
    }
}

fn addresses_that_were_asked_for_of(world: &World) {
    let create = ["--subnet", "10.201.0.0/24", "--subnet", "fd01:2:3::/64", "app"];
    world.host.run([&["network", "create", "--ipv6"], &create[..]].concat()).ok();
    world.host.run(["network", "create", "--subnet", "10.202.0.0/24", "more"]).ok();
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(options, script).ok().prints(expected))
    };
    let v4 = "ip -4 -o addr show eth0 | awk '{print $4}'";
    check(&["--network", "app", "--ip", "10.201.0.77"], v4, "10.201.0.77/24");
    check(&["--network", "name=app,ip=10.201.0.78"], v4, "10.201.0.78/24");
    check(
        &["--network", "app", "--ip6", "fd01:2:3::4d"],
        "ip -6 -o addr show eth0 scope global | awk '{print $4}'",
        "fd01:2:3::4d/64",
    );
    check(
        &["--network", "app", "--mac-address", "02:11:22:33:44:55"],
        "cat /sys/class/net/eth0/address",
        "02:11:22:33:44:55",
    );
    check(
        &["--network", "app", "--hostname", "named"],
        "hostname; hostname -i | cut -d. -f1-3",
        "named\n10.201.0",
    );
    check(
        &["--network", "app", "--network", "more"],
        "ip -4 -o addr | awk '$2 ~ \"^eth\" {print $2, substr($4, 1, 6)}'",
        "eth0 10.201\neth1 10.202",
    );
    check(&["--network", "app", "--network", "more"], "ip route | grep -c default", "1");
    check(&["--network", "more"], "cat /proc/net/if_inet6 | grep -c eth0 || :", "0");
    // To one that runs already, both.
    detached(world, "late", &["--network", "more"], WAIT);
    let connect = ["network", "connect", "--ip", "10.201.0.79", "--ip6", "fd01:2:3::4f", "app", "late"];
    world.host.run(connect).ok();
    assert_eq!(address(world, "late", "eth1"), "10.201.0.79/24");
    let six = "ip -6 -o addr show eth1 scope global | awk '{print $4}'";
    world.host.run(["exec", "late", "sh", "-c", six]).ok().prints("fd01:2:3::4f/64");
    world
        .host
        .run(["network", "connect", "--ip6", "fd01:2:4::1", "more", "late"])
        .refuses(FAILED, &["no IPv6"]);
    world.host.run(["network", "disconnect", "--force", "app", "late"]).ok();
    world.host.run(["exec", "late", "ls", "/sys/class/net"]).ok();
    // Of what is gone nothing is connected any more.
    world.host.run(["network", "disconnect", "app", "nobody"]).refuses(FAILED, &["no such container"]);
    world.host.run(["network", "disconnect", "-f", "app", "nobody"]).ok();
    world.host.run(["rm", "-f", "late"]).ok();
    world.host.run(["network", "rm", "app", "more"]).ok();
}

#[test]
fn the_network_of_another_container() {
    fn check(host: Host) {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        world.sh(&[], "true").ok();
        let before = Snapshot::take(&world.host);
        detached(
            &world,
            "one",
            &["--hostname", "shared"],
            "mkdir /www; echo inside >/www/index.html; httpd -p 127.0.0.1:8080 -h /www; exec sleep 1000",
        );
        let ask = "until printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 127.0.0.1 8080 | grep inside; do usleep 50000; done; hostname; ls /sys/class/net";
        world.sh(&["--network", "container:one"], ask).ok().prints("inside\nshared\neth0\nlo");
        let same = "cat /etc/hosts";
        let theirs = world.host.run(["exec", "one", "cat", "/etc/hosts"]).ok().stdout;
        assert_eq!(world.sh(&["--network", "container:one"], same).ok().stdout, theirs);
        world
            .host
            .run(["create", "--network", "container:one", "--name", "two", BUSYBOX, "cat", "/etc/hostname"])
            .ok();
        world.host.run(["start", "-a", "two"]).ok().prints("shared");
        world.host.run(["stop", "-t", "0", "one"]).ok();
        world.host.run(["start", "two"]).refuses(FAILED, &["container one", "not running"]);
        world.host.run(["rm", "one", "two"]).ok();
        before.assert_same(&world.host, "a network of two");
    }
    check(Host::root(&program()));
    check(Host::rootless(&program()));
}

#[test]
fn a_range_is_one_rule_and_the_client_keeps_its_address() {
    let world = World::root();
    let outside = neighbour(&world);
    world.host.run(["network", "create", "app"]).ok();
    let options =
        ["--network", "app", "-p", "8000-8100:8000-8100", "-p", "9000:80", "-e", "PORTS=8000 8050 8100 80"];
    detached(&world, "web", &options, WHO);
    let elements = world.host.admin("nft list map inet devoxx spans4").stdout;
    assert_eq!(elements.matches("8000-8100").count(), 1, "{elements}");
    assert_eq!(elements.matches("dvx").count(), 1, "{elements}");
    for port in ["8000", "8050", "8100", "9000"] {
        let at = format!("192.0.2.1:{port}");
        let seen = wait_for(&format!("{at} answers"), || who(&world, &outside, &at));
        assert_eq!(seen, "192.0.2.2", "{port}");
        assert!(who(&world, "", &format!("127.0.0.1:{port}")).is_some(), "{port}");
    }
    assert_eq!(who(&world, &outside, "192.0.2.1:8101"), None);
    let ports = world.host.run(["port", "web"]).ok().stdout;
    assert_eq!(ports.lines().filter(|line| line.contains("-> 0.0.0.0:")).count(), 102);
    let one = world.host.run(["port", "web", "80"]).ok().stdout;
    assert_eq!(one.lines().next(), Some("0.0.0.0:9000"));
    // Not a port that nobody published, though the host would route it.
    let inner = address(&world, "web", "eth0");
    let inner = inner.split('/').next().unwrap();
    world.host.admin(&format!("{outside} ip route add {inner}/32 via 192.0.2.1"));
    assert_eq!(who(&world, &outside, &format!("{inner}:80")), None);
    world.host.run(["rm", "-f", "web"]).ok();
    // The rules stay for the next container, without anything of this one, until somebody wants them gone.
    let left = world.host.admin("nft list ruleset").stdout;
    assert!(left.contains("table inet devoxx") && !left.contains("dvx"), "{left}");
    world.host.run(["network", "prune", "-f"]).ok();
    assert_eq!(world.host.admin("nft list ruleset").stdout, "");
    assert!(!world.host.admin("ip -o link").stdout.contains("devoxx0"));
    // As many as there may be, with the limit of descriptors that a process usually has.
    let many = format!("ulimit -Sn 1024; $C run --rm -p 20000-20999:20000-20999 {BUSYBOX} sh -c 'ulimit -n'");
    world.host.sh(&many).ok().prints("1024");
}

#[test]
fn rules_come_back_after_a_flush() {
    let world = World::root();
    let outside = neighbour(&world);
    world.host.run(["network", "reload"]).ok();
    world.host.run(["network", "create", "app"]).ok();
    detached(&world, "web", &["--network", "app", "-p", "8080:80", "-e", "PORTS=80"], WHO);
    detached(&world, "other", &["-p", "8082:82", "-e", "PORTS=82"], WHO);
    wait_for("it answers", || who(&world, &outside, "192.0.2.1:8080"));
    wait_for("the other answers", || who(&world, &outside, "192.0.2.1:8082"));
    let rules = world.host.admin("nft list ruleset").stdout;
    // All of it, the rules alone, one element.
    for flush in ["nft flush ruleset", "nft flush table inet devoxx", "nft flush map inet devoxx ports4"] {
        world.host.admin(flush);
        assert_eq!(who(&world, &outside, "192.0.2.1:8080"), None, "{flush}");
        world.host.run(["network", "reload"]).ok().prints("");
        assert_eq!(who(&world, &outside, "192.0.2.1:8080").as_deref(), Some("192.0.2.2"), "{flush}");
        assert_eq!(who(&world, &outside, "192.0.2.1:8082").as_deref(), Some("192.0.2.2"), "{flush}");
        let now = world.host.admin("nft list ruleset").stdout;
        assert_eq!(now.lines().count(), rules.lines().count(), "{flush}: no rule twice");
    }
    // And with the next container by themselves: after all has gone, the rules alone, or those of one chain.
    for flush in
        ["nft flush ruleset", "nft flush table inet devoxx", "nft flush chain inet devoxx prerouting"]
    {
        world.host.admin(flush);
        assert_eq!(who(&world, &outside, "192.0.2.1:8080"), None, "{flush}");
        world.sh(&["-p", "8083:83"], "true").ok();
        assert_eq!(who(&world, &outside, "192.0.2.1:8080").as_deref(), Some("192.0.2.2"), "{flush}");
        assert_eq!(who(&world, &outside, "192.0.2.1:8082").as_deref(), Some("192.0.2.2"), "{flush}");
        let now = world.host.admin("nft list ruleset").stdout;
        assert_eq!(now.lines().count(), rules.lines().count(), "{flush}: no rule twice");
    }
}

#[test]
fn an_internal_network_does_not_reach_the_host() {
    let world = World::root();
    world.host.run(["network", "create", "--internal", "--ipv6", "back"]).ok();
    world.host.run(["network", "create", "--ipv6", "front"]).ok();
    detached(&world, "server", &["--network", "host", "-e", "PORTS=8088"], WHO);
    detached(&world, "db", &["--network", "back", "-e", "PORTS=80"], WHO);
    detached(&world, "worker", &["--network", "back"], WAIT);
    detached(&world, "web", &["--network", "front"], WAIT);
    let reaches = |container: &str, address: &str, port: u16| {
        let ask = format!("printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' | nc -w 1 {address} {port}");
        world.host.run(["exec", container, "sh", "-c", &ask]).stdout.contains("200 OK")
    };
    let gateways = |network: &str| -> Vec<String> {
        let all = inspect(&world, network)["IPAM"]["Config"].as_array().expect("a list").clone();
        all.iter().map(|one| one["Gateway"].as_str().expect("text").to_owned()).collect()
    };
    for gateway in gateways("front") {
        wait_for(&format!("{gateway} is the host"), || reaches("web", &gateway, 8088).then_some(()));
    }
    for gateway in gateways("back") {
        assert!(!reaches("db", &gateway, 8088), "{gateway}");
        assert!(!pings(&world, "db", &gateway), "{gateway}");
    }
    // Its containers are reached by each other and by the host, which finds its neighbours by IPv6 too.
    let addresses =
        world.host.run(["exec", "db", "sh", "-c", "ip -o addr show eth0 scope global | awk '{print $4}'"]);
    let addresses = addresses.ok().stdout;
    assert_eq!(addresses.lines().count(), 2, "{addresses}");
    for address in addresses.lines().filter_map(|line| line.split('/').next()) {
        let at = if address.contains(':') { format!("[{address}]:80") } else { format!("{address}:80") };
        wait_for(&format!("{at} answers a neighbour"), || reaches("worker", address, 80).then_some(()));
        assert!(who(&world, "", &at).is_some(), "{at} answers the host");
    }
}

#[test]
fn the_hosts_firewall_has_the_last_word() {
    let world = World::root();
    let outside = neighbour(&world);
    detached(&world, "web", &["-p", "8080:80", "-e", "PORTS=80"], WHO);
    wait_for("it answers", || who(&world, &outside, "192.0.2.1:8080"));
    for priority in ["-10", "10"] {
        world.host.admin(&format!(
            "nft 'add table inet site; add chain inet site forward {{ type filter hook forward priority {priority}; policy drop; }}'"
        ));
        assert_eq!(who(&world, &outside, "192.0.2.1:8080"), None, "priority {priority}");
        assert!(who(&world, "", "127.0.0.1:8080").is_some(), "the host itself forwards nothing");
        world.host.admin("nft add rule inet site forward ct status dnat accept; nft add rule inet site forward ct state established accept");
        assert_eq!(
            who(&world, &outside, "192.0.2.1:8080").as_deref(),
            Some("192.0.2.2"),
            "what the host lets through"
        );
        world.host.admin("nft delete table inet site");
    }
}

#[test]
fn a_port_in_use_says_whose_it_is() {
    let world = World::root();
    world.sh(&["-p", "8080:80"], "true").ok();
    detached(&world, "first", &["-p", "8080:80"], WAIT);
    let before = Snapshot::take(&world.host);
    let check = |publish: &str, says: &[&str]| drop(world.sh(&["-p", publish], "true").refuses(FAILED, says));
    check("8080:80", &["8080/tcp", "already in use by container first"]);
    check("8079-8081:1-3", &["8080/tcp", "already in use by container first"]);
    let registry =
        world.host.admin("cat /proc/$(ss -Hltnp 'sport = :5000' | sed 's/.*pid=\\([0-9]*\\).*/\\1/')/comm");
    check("5000:80", &["5000/tcp", &format!("already in use by {} (process ", registry.line())]);
    before.assert_same(&world.host, "ports of others");
    let rootless = World::rootless();
    detached(&rootless, "first", &["-p", "8080:80"], WAIT);
    let refused =
        |outcome: Outcome| outcome.refuses(FAILED, &["8080/tcp", "already in use by container first"]);
    refused(rootless.sh(&["-p", "8080:80"], "true"));
    rootless.host.run(["port", "first", "80/tcp"]).ok().prints("0.0.0.0:8080\n[::]:8080");
}

#[test]
fn a_macvlan_is_a_neighbour_of_the_host() {
    let world = World::root();
    world.host.admin("ip link add par0 type veth peer name par1; ip link set par0 up; ip link set par1 up; ip address add 10.203.0.1/24 dev par1");
    let create =
        ["network", "create", "-d", "macvlan", "-o", "parent=par0", "--subnet", "10.203.0.0/24", "lan"];
    world.host.run(create).ok();
    world.sh(&["--network", "lan"], "true").ok();
    let before = Snapshot::take(&world.host);
    detached(&world, "one", &["--network", "lan"], WAIT);
    detached(&world, "two", &["--network", "lan"], WAIT);
    let two = looks_up(&world, "one", "two");
    assert!(pings(&world, "one", &two));
    assert!(pings(&world, "one", "10.203.0.1"), "the router on that link");
    world.host.run(["network", "disconnect", "lan", "two"]).ok();
    assert!(!pings(&world, "one", &two));
    world.host.run(["network", "connect", "lan", "two"]).ok();
    assert!(pings(&world, "one", &looks_up(&world, "one", "two")));
    world
        .host
        .run(["run", "--rm", "--network", "lan", "-p", "80:80", BUSYBOX, "true"])
        .refuses(FAILED, &["--publish", "lan"]);
    world.host.run(["rm", "-f", "one", "two"]).ok();
    before.assert_same(&world.host, "a macvlan");
}
