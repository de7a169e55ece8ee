//! The bridge, names, published ports, and the two networks that are none.

use crate::world::{BUSYBOX, World, await_file};
use testkit::deadline::wait_for;
use testkit::{Running, Snapshot};

/// Starts a web server that answers with `text`; waits until it answers.
fn serve(world: &World, options: &[&str], text: &str) -> (Running, String) {
    world.host.admin("mkdir -p -m 777 /tmp/shared; rm -f /tmp/shared/address");
    let script = format!(
        "mkdir /www; echo {text} >/www/index.html; hostname -i >/shared/address; exec httpd -f -p 80 -h /www"
    );
    let running = world.start(&[options, &["-v", "/tmp/shared:/shared"]].concat(), &script);
    let address = await_file(&world.host, "/tmp/shared/address");
    wait_for("the server answers", || get(world, &address));
    (running, address)
}

fn get(world: &World, address: &str) -> Option<String> {
    let outcome = world.host.sh(&format!("curl -sf --max-time 5 http://{address}/"));
    (outcome.code == 0).then(|| outcome.line().to_owned())
}

#[test]
fn bridge() {
    let world = World::root();
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(options, script).ok().prints(expected))
    };
    check(&[], "ls /sys/class/net", "eth0\nlo");
    check(&[], "cat /sys/class/net/lo/flags", "0x9");
    check(&[], "ip -4 -o addr show eth0 | wc -l; ip route | grep -c '^default via'", "1\n1");
    check(
        &[],
        "gw=$(ip route | awk '/^default/ {print $3}'); ping -c 1 -W 5 $gw >/dev/null && echo reached",
        "reached",
    );
    // A name of its own, and those that were given.
    check(
        &["--hostname", "named"],
        "test \"$(hostname -i)\" = \"$(ip -4 -o addr show eth0 | awk '{print $4}' | cut -d/ -f1)\" && echo own",
        "own",
    );
    check(&["--add-host", "other:10.9.8.7"], "awk '$2 == \"other\" {print $1}' /etc/hosts", "10.9.8.7");
    check(&["--dns", "10.1.2.3"], "grep '^nameserver' /etc/resolv.conf", "nameserver 10.1.2.3");
}

#[test]
fn a_run_leaves_no_network() {
    let world = World::root();
    world.sh(&["-p", "8080:80"], "true").ok();
    let before = Snapshot::take(&world.host);
    for options in
        [&[][..], &["-p", "8080:80"], &["-p", "9000-9010:9000-9010"], &["--net", "none"], &["--net", "host"]]
    {
        world.sh(options, "true").ok();
        before.assert_same(&world.host, &format!("run {options:?}"));
    }
}

#[test]
fn published_ports() {
    let world = World::root();
    let check = |option: &str, at: &str| {
        let (server, _) = serve(&world, &["-p", option], "published");
        let answer = wait_for(&format!("{option} answers at {at}"), || get(&world, at));
        assert_eq!(answer, "published", "{option}");
        drop(server);
    };
    check("8080:80", "127.0.0.1:8080");
    check("127.0.0.1:8081:80", "127.0.0.1:8081");
    check("8082:80/tcp", "127.0.0.1:8082");
    let (_server, address) = serve(&world, &["-p", "127.0.0.1:8083:80"], "narrow");
    assert_eq!(
        get(&world, &format!("{address}:80")).as_deref(),
        Some("narrow"),
        "from the host to the container"
    );
    assert_eq!(get(&world, "127.0.0.2:8083"), None, "published at one address alone");
}

#[test]
fn containers_reach_each_other() {
    let world = World::root();
    let (_server, address) = serve(&world, &[], "neighbour");
    // A static busybox cannot look names up, and its wget does so even for an address.
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 80 | tail -n 1");
    let reached = world.sh(&[], &ask);
    reached.ok().prints("neighbour");
}

#[test]
fn none_and_host() {
    let world = World::root();
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(options, script).ok().prints(expected))
    };
    check(&["--net", "none"], "ls /sys/class/net; cat /sys/class/net/lo/flags", "lo\n0x9");
    check(&["--network", "none"], "ip route | wc -l", "0");
    let host = world.host.sh("hostname").stdout;
    check(&["--network", "host"], "hostname", &host);
    check(&["--network", "host"], "wget -qO- http://127.0.0.1:5000/v2/", "{}");
    check(&["--network=none"], "ping -c 1 -W 5 127.0.0.1 >/dev/null && echo self", "self");
}

#[test]
fn a_port_in_use_is_refused_and_nothing_is_left() {
    let world = World::root();
    world.sh(&["-p", "8080:80"], "true").ok();
    let before = Snapshot::take(&world.host);
    world.sh(&["-p", "5000:80"], "true").refuses(125, &["5000", "in use"]);
    before.assert_same(&world.host, "a port that a program holds");
    let (_server, _) = serve(&world, &["-p", "8080:80"], "first");
    wait_for("the end of the server's child for the connection", || {
        let is_server = |pid: &i32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| words.starts_with("httpd"))
        };
        (world.host.processes().iter().filter(|pid| is_server(pid)).count() == 1).then_some(())
    });
    let before = Snapshot::take(&world.host);
    world.sh(&["-p", "8080:80"], "true").refuses(125, &["8080", "in use"]);
    before.assert_same(&world.host, "a port that a container holds");
    world.host.run(["run", "--rm", "-p", "99999:80", BUSYBOX, "true"]).refuses(125, &["99999"]);
}

/// A client that keeps its port must not be led to a container that is gone, nor to the next one at its address.
#[test]
fn flows_end_with_the_container() {
    let world = World::root();
    world.host.admin("mkdir -m 777 /tmp/shared");
    let flows = || -> u32 {
        let count = world.host.admin("cat /proc/sys/net/netfilter/nf_conntrack_count 2>/dev/null || echo 0");
        count.line().parse().expect("a number")
    };
    let options = ["-p", "5353:53/udp", "-v", "/tmp/shared:/shared", "--name", "one"];
    let server = world.start(&options, "echo up >/shared/up; exec sleep 1000");
    await_file(&world.host, "/tmp/shared/up");
    // Many, since the kernel counts others too: neighbours that look for each other, for one.
    world.host.admin("bash -c 'for i in {1..60}; do echo x >/dev/udp/127.0.0.1/5353; done'");
    let with = flows();
    // Some may have had the same port.
    assert!(with >= 50, "{with}");
    world.host.run(["rm", "--force", "one"]).ok();
    let without = flows();
    assert!(without < with - 40, "{with} flows before, {without} after");
    server.wait();
}
