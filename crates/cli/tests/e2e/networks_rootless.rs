//! Networks of an ordinary user: what holds them, what leads out of them, and who may be killed.

use crate::networks_verbs::{
    WAIT, WHO, address, detached, inspect, looks_up, named, neighbour, pings, quiet, who,
};
use crate::world::{BUSYBOX, FAILED, World};
use testkit::deadline::wait_for;

/// Who asks from outside, as the server sees it: entering another namespace is for root.
fn outsider(world: &World, outside: &str, at: &str) -> Option<String> {
    let text =
        world.host.admin(&format!("{outside} curl -sf --max-time 3 http://{at}/cgi-bin/who || :")).stdout;
    let seen = text.trim().trim_start_matches("[::ffff:").trim_end_matches(']');
    (!seen.is_empty()).then(|| seen.to_owned())
}

fn holder(world: &World) -> Option<i32> {
    named(world, "devoxx-network").first().copied()
}

fn kill(world: &World, pids: &[i32]) {
    let words: Vec<String> = pids.iter().map(i32::to_string).collect();
    world.host.admin(&format!("kill -9 {}", words.join(" ")));
    wait_for("they are dead", || {
        pids.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}/exe")).exists()).then_some(())
    });
}

/// The way out is pasta's, for each container: clients keep their addresses.
#[test]
fn ports_on_a_network() {
    let world = World::rootless();
    let outside = neighbour(&world);
    world.host.run(["network", "create", "app"]).ok();
    world.host.run(["network", "create", "--internal", "back"]).ok();
    let options =
        ["--network", "app", "--network", "back", "-p", "8000-8001:8000-8001", "-p", "127.0.0.1:9000:80"];
    detached(&world, "web", &[&options[..], &["-e", "PORTS=8000 8001 80"]].concat(), WHO);
    wait_for("it answers", || who(&world, "", "127.0.0.1:8001"));
    assert_eq!(outsider(&world, &outside, "192.0.2.1:8000").as_deref(), Some("192.0.2.2"));
    assert!(who(&world, "", "198.51.100.2:8001").is_some() && who(&world, "", "127.0.0.1:9000").is_some());
    assert_eq!(outsider(&world, &outside, "192.0.2.1:9000"), None);
    world.host.run(["port", "web", "8001"]).ok().prints("0.0.0.0:8001\n[::]:8001");
    // Another container reaches it as a neighbour, and by what it publishes on the host.
    detached(&world, "near", &["--network", "app"], WAIT);
    detached(&world, "far", &[], WAIT);
    let ask = |from: &str, at: &str, port: &str| {
        let get = "printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n'";
        let script = format!("{get} | timeout 3 nc {at} {port} | sed -n 3p");
        let outcome = world.host.run(["exec", from, "sh", "-c", &script]);
        Some(outcome.stdout.trim().to_owned()).filter(|seen| !seen.is_empty())
    };
    let near = address(&world, "near", "eth0");
    assert!(ask("near", "web", "8000").is_some_and(|seen| seen.contains(near.split('/').next().unwrap())));
    assert!(ask("near", "198.51.100.2", "8000").is_some());
    assert_eq!(ask("near", "198.51.100.2", "9000"), None, "that is for the host alone");
    let web = address(&world, "web", "eth0");
    assert_eq!(ask("far", web.split('/').next().unwrap(), "8000"), None, "no neighbour of it");
    // What listens at its address alone is reached too, and nothing leads out of what is internal.
    detached(&world, "one", &["--network", "app", "-p", "8080:80"], "exec sleep 1000");
    let one = address(&world, "one", "eth0");
    let listen = format!(
        "mkdir /www; echo here >/www/index.html; httpd -p {}:80 -h /www",
        one.split('/').next().unwrap()
    );
    world.host.run(["exec", "one", "sh", "-c", &listen]).ok();
    world.host.admin(&format!("{outside} curl -sf --max-time 3 http://192.0.2.1:8080/")).prints("here");
    world
        .sh(&["--network", "back"], "ip route | grep -c default || ls /sys/class/net")
        .ok()
        .prints("0\neth0\nlo");
    world
        .host
        .run(["run", "--rm", "--network", "back", "-p", "80:80", BUSYBOX, "true"])
        .refuses(FAILED, &["--publish", "back"]);
    let taken = world.sh(&["--network", "app", "-p", "8000:80"], "true");
    taken.refuses(FAILED, &["8000/tcp", "already in use by container web"]);
}

/// Where the host leads out by IPv6, a container on a network that has it does too.
#[test]
fn out_and_in_by_ipv6() {
    let world = World::rootless();
    let outside = neighbour(&world);
    world.host.admin(&format!(
        "ip address add 2001:db8::1/64 dev up0 nodad; ip -6 route add default via 2001:db8::2 dev up0
        {outside} ip address add 2001:db8::2/64 dev eth0 nodad"
    ));
    world.host.run(["network", "create", "--ipv6", "six"]).ok();
    world.host.run(["network", "create", "four"]).ok();
    let routes = "ip -6 route | grep -c '^default' || :";
    world.sh(&["--network", "six"], routes).ok().prints("1");
    world.sh(&["--network", "four"], routes).ok().prints("0");
    world
        .sh(
            &["--network", "six"],
            "grep -c eth0 /proc/net/if_inet6; cut -c 1-4 /proc/net/if_inet6 | grep -c fd64",
        )
        .ok()
        .prints("2\n2");
    detached(&world, "web", &["--network", "six", "-p", "8000:8000", "-e", "PORTS=8000"], WHO);
    wait_for("it answers", || who(&world, "", "127.0.0.1:8000"));
    let six = outsider(&world, &outside, "'[2001:db8::1]:8000'");
    assert_eq!(six.as_deref(), Some("[2001:db8::2"));
    world.host.admin("ip -6 route del default");
    world.sh(&["--network", "six"], routes).ok().prints("0");
}

/// A bridge of its own each, in a namespace where nothing is forwarded.
#[test]
fn networks_are_apart() {
    let world = World::rootless();
    for (network, name) in [("left", "one"), ("right", "two")] {
        world.host.run(["network", "create", "--ipv6", network]).ok();
        detached(&world, name, &["--network", network, "--cap-add", "NET_ADMIN"], WAIT);
    }
    let of_two = |family: &str| {
        let script = format!("ip -{family} -o addr show eth0 scope global | awk '{{print $4}}'");
        let text = world.host.run(["exec", "two", "sh", "-c", &script]).ok().stdout;
        text.trim().split('/').next().unwrap().to_owned()
    };
    let (four, six) = (of_two("4"), of_two("6"));
    assert!(pings(&world, "two", &four) && pings(&world, "two", &six));
    assert!(!pings(&world, "one", &four) && !pings(&world, "one", &six));
    // Nor by the bridge, for one that may set its routes.
    let routes = format!("ip route add {four} via $(ip route | sed -n 's/\\.0\\/24.*/.1/p') dev eth0");
    world.host.run(["exec", "one", "sh", "-c", &routes]).ok();
    assert!(!pings(&world, "one", &four));
    world.host.run(["network", "connect", "right", "one"]).ok();
    world.host.run(["exec", "one", "ip", "route", "del", &four]).ok();
    assert!(pings(&world, "one", &four) && pings(&world, "one", &six));
    assert_eq!(looks_up(&world, "one", "two"), four);
}

/// The default is as it was: a pasta and nothing else; it may come to a network later.
#[test]
fn the_default_network_costs_nothing_more() {
    let world = World::rootless();
    detached(&world, "alone", &["-p", "8080:80"], WAIT);
    assert_eq!(holder(&world), None);
    assert!(!world.host.path("/tmp/run/networks.socket").exists());
    for (options, what) in [
        (["--ip", "172.30.0.9"], "an IPv4 address"),
        (["--network-alias", "db"], "an alias"),
        (["--mac-address", "02:11:22:33:44:55"], "a MAC address"),
    ] {
        let said = world.sh(&[&["--network", "bridge"], &options[..]].concat(), "true");
        said.refuses(FAILED, &[what, "network bridge: without root", "no neighbours", "network create"]);
    }
    world.host.run(["network", "create", "app"]).ok();
    world.host.run(["network", "connect", "app", "alone"]).ok();
    assert!(holder(&world).is_some());
    world.host.run(["create", "--name", "plain", "--network", "app", BUSYBOX]).ok();
    let said = world.host.run(["network", "connect", "--alias", "db", "bridge", "plain"]);
    said.refuses(FAILED, &["an alias on network bridge", "network create"]);
    detached(&world, "other", &["--network", "app"], WAIT);
    assert!(pings(&world, "other", &looks_up(&world, "other", "alone")));
    world.host.run(["exec", "alone", "ls", "/sys/class/net"]).ok().prints("eth0\neth1\nlo");
    // Made while others are on networks: it is where they are.
    detached(&world, "late", &[], WAIT);
    world.host.run(["network", "connect", "app", "late"]).ok();
    assert!(pings(&world, "late", &looks_up(&world, "late", "alone")));
    // Off the network that leads out, it has the way out of the one that is left.
    world.host.run(["network", "disconnect", "bridge", "late"]).ok();
    let way = world.host.run(["exec", "late", "sh", "-c", "ip route | grep default"]).ok();
    assert!(way.stdout.contains("dev pasta0"), "{way}");
    world.host.run(["network", "disconnect", "app", "late"]).ok();
    world.host.run(["exec", "late", "ls", "/sys/class/net"]).ok().prints("lo");
    // Whoever has the network of one has its neighbours.
    let joined = world.sh(&["--network", "container:other"], "ls /sys/class/net; grep -c alone /etc/hosts");
    joined.ok().prints("eth0\nlo\npasta0\n1");
    world.host.run(["restart", "-t", "0", "late", "alone"]).ok();
    assert!(pings(&world, "other", &looks_up(&world, "other", "alone")));
}

/// Two that were started on their own are in user namespaces of their own, and from one there is no way to the other.
#[test]
fn what_was_started_apart_says_so() {
    let world = World::rootless();
    world.host.run(["network", "create", "app"]).ok();
    detached(&world, "first", &[], WAIT);
    detached(&world, "second", &[], WAIT);
    world.host.run(["network", "connect", "app", "first"]).ok();
    let before = inspect(&world, "app");
    world
        .host
        .run(["network", "connect", "app", "second"])
        .refuses(FAILED, &["second", "apart", "stop it, connect it, and start it again"]);
    assert_eq!(inspect(&world, "app"), before);
    world.host.run(["stop", "-t", "0", "second"]).ok();
    world.host.run(["network", "connect", "app", "second"]).ok();
    world.host.run(["start", "second"]).ok();
    assert!(pings(&world, "second", &looks_up(&world, "second", "first")));
}

#[test]
fn with_the_last_container_everything_is_gone() {
    let world = World::rootless();
    world.host.run(["network", "create", "app"]).ok();
    world.sh(&["--network", "app"], "true").ok();
    let before = quiet(&world);
    let check = |what: &str, act: &dyn Fn()| {
        act();
        before.assert_same(&world.host, what);
    };
    check("a run", &|| drop(world.sh(&["--network", "app", "-p", "8080:80"], "true").ok()));
    check("a start that failed", &|| {
        drop(world.run(&["--network", "app"], &["no-such-program"]).code(127));
    });
    check("a client that was killed", &|| {
        let client = world.start(&["--network", "app", "--name", "web"], WAIT);
        wait_for("it runs", || (world.host.run(["exec", "web", "true"]).code == 0).then_some(()));
        client.signal(rustix::process::Signal::KILL);
        drop(client);
        world.host.run(["exec", "web", "ip", "link", "show", "eth0"]).ok();
        world.host.run(["rm", "-f", "web"]).ok();
    });
    check("pasta was killed", &|| {
        let served = ["--network", "app", "-p", "8080:80", "-e", "PORTS=80"];
        detached(&world, "web", &served, WHO);
        detached(&world, "db", &["--network", "app"], WAIT);
        wait_for("it answers", || who(&world, "", "127.0.0.1:8080"));
        kill(&world, &[pasta_of(&world, "web")]);
        assert!(pings(&world, "web", &looks_up(&world, "web", "db")), "its neighbours it has all the time");
        wait_for("its supervisor makes another one", || who(&world, "", "127.0.0.1:8080"));
        world.host.run(["exec", "web", "ip", "link", "show", "pasta0"]).ok();
        world.host.run(["rm", "-f", "web", "db"]).ok();
    });
    check("killed with its supervisor", &|| {
        detached(&world, "gone", &["-p", "8080:80"], "exec sleep 2000");
        kill(&world, &named(&world, "devoxx-supervis"));
        let pid = world.host.run(["inspect", "--format", "{{.State.Pid}}", "gone"]).ok();
        kill(&world, &[pid.line().parse().expect("a pid")]);
        // Its port is another's, though nobody has come by.
        world.sh(&["-p", "8080:80"], "true").ok();
        world.host.run(["rm", "gone"]).ok();
    });
    check("removed while it is used", &|| {
        detached(&world, "web", &["--network", "app"], WAIT);
        world.host.run(["network", "rm", "app"]).refuses(FAILED, &["active endpoints", "web"]);
        world.host.run(["rm", "-f", "web"]).ok();
    });
    world.host.run(["network", "rm", "app"]).ok();
    drop(quiet(&world));
    assert!(["pasta", "pasta.avx2", "passt", "passt.avx2"].iter().all(|name| named(&world, name).is_empty()));
    assert!(!world.host.path("/tmp/run/networks.socket").exists());
    assert!(!world.host.path("/tmp/data/network/networks/app").exists());
}

fn pasta_of(world: &World, container: &str) -> i32 {
    let id = world.host.run(["inspect", "--format", "{{.Id}}", container]).ok();
    let file = world.host.path(format!("/tmp/run/{}.pasta", &id.line()[..12]));
    std::fs::read_to_string(file).expect("its pid file").trim().parse().expect("a pid")
}

/// Neither supervisors nor the holder take the network from others, and nothing of it stays for ever.
#[test]
fn who_holds_it_may_be_killed() {
    let world = World::rootless();
    world.host.run(["network", "create", "app"]).ok();
    world.sh(&["--network", "app"], "true").ok();
    let before = quiet(&world);
    detached(&world, "web", &["--network", "app"], WAIT);
    detached(&world, "db", &["--network", "app"], WAIT);
    let first = holder(&world).expect("somebody holds it");
    kill(&world, &[first]);
    let next = wait_for("another one", || holder(&world).filter(|pid| *pid != first));
    assert!(pings(&world, "web", &looks_up(&world, "web", "db")));
    detached(&world, "new", &["--network", "app"], WAIT);
    assert!(pings(&world, "new", &looks_up(&world, "new", "db")), "it is the same network");
    assert_eq!(holder(&world), Some(next));
    // Without any supervisor they have each other, and others come.
    kill(&world, &named(&world, "devoxx-supervis"));
    assert!(pings(&world, "web", &looks_up(&world, "web", "db")));
    detached(&world, "later", &["--network", "app"], WAIT);
    assert!(pings(&world, "later", &looks_up(&world, "later", "web")));
    assert_eq!(holder(&world), Some(next));
    // One that ends with nobody there leaves its address until somebody comes by.
    world.host.run(["kill", "web"]).ok();
    world.host.run(["rm", "-f", "web", "db", "new", "later"]).ok();
    before.assert_same(&world.host, "kills");
    // The holder and all who could make another one: what runs is on its own, and the next begin anew.
    detached(&world, "old", &["--network", "app"], WAIT);
    // Supervisors first: one that is left makes another holder at once.
    kill(&world, &named(&world, "devoxx-supervis"));
    kill(&world, &[holder(&world).expect("a holder")]);
    detached(&world, "young", &["--network", "app"], WAIT);
    assert!(!pings(&world, "young", &looks_up(&world, "young", "old")));
    world.host.run(["restart", "-t", "0", "old"]).ok();
    assert!(pings(&world, "young", &looks_up(&world, "young", "old")));
    world.host.run(["rm", "-f", "old", "young"]).ok();
    before.assert_same(&world.host, "kills of all");
}

/// A user namespace of its own is one within that of the networks.
#[test]
fn with_a_user_namespace_of_its_own() {
    let world = World::rootless();
    world.host.run(["network", "create", "app"]).ok();
    detached(&world, "web", &["--network", "app", "-p", "8080:80", "-e", "PORTS=80"], WHO);
    for kind in ["keep-id", "auto"] {
        let options = ["--userns", kind, "--network", "app", "-p", "8081:80", "-e", "PORTS=80", "-u", "root"];
        detached(&world, kind, &options, WHO);
        wait_for("it answers", || who(&world, "", "127.0.0.1:8081"));
        assert!(pings(&world, "web", &looks_up(&world, "web", kind)), "{kind}");
        world.host.run(["network", "disconnect", "app", kind]).ok();
        world.host.run(["network", "connect", "app", kind]).ok();
        assert!(pings(&world, "web", &looks_up(&world, "web", kind)), "{kind}, once more");
        world.host.run(["rm", "-f", kind]).ok();
    }
}
