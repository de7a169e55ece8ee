//! Devices of the host that move into a container (config-linux.md, "Network Devices"). The host has a network of its own.

use crate::world::root;
use serde_json::{Value, json};
use testkit::Oci;

fn with_devices(devices: Value) -> impl FnOnce(&mut Value) {
    move |config| config["linux"]["netDevices"] = devices
}

/// A device that leads to another one of the host, with addresses, a hardware address and an MTU of its own.
fn make_device(oci: &Oci) {
    oci.host.admin(
        "ip link add inside address 02:00:00:00:00:05 mtu 1400 type veth peer name outside
         ip address add 192.0.2.5/24 dev inside
         ip address add 2001:db8::5/64 dev inside nodad
         ip link set inside up; ip link set outside up",
    );
}

#[test]
fn a_device_moves_with_its_addresses() {
    clause!(
        "config-linux.netDevices.move",
        "config-linux.netDevices.attributes",
        "config-linux.netDevices.up"
    );
    let oci = root();
    make_device(&oci);
    let shown = oci.run(
        with_devices(json!({"inside": {"name": "eth7"}})),
        "ip address show eth7; ip -6 address show eth7; ls /sys/class/net | tr '\\n' ' '",
    );
    let shown = shown.ok().stdout;
    for part in
        ["mtu 1400", "02:00:00:00:00:05", "inet 192.0.2.5/24", "inet6 2001:db8::5/64", ",UP", "eth7 lo"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    oci.assert_empty("run");
}

#[test]
fn a_device_keeps_its_name_or_gets_a_number() {
    clause!("config-linux.netDevices.name", "config-linux.netDevices.name-template");
    let oci = root();
    make_device(&oci);
    let list = "ls /sys/class/net | tr '\\n' ' '";
    oci.run(with_devices(json!({"inside": {}})), list).ok().prints("inside lo");
    // The first pair is gone once its namespace is, which nobody waits for.
    let oci = root();
    make_device(&oci);
    oci.run(with_devices(json!({"inside": {"name": "eth%d"}, "outside": {"name": "eth%d"}})), list)
        .ok()
        .prints("eth0 eth1 lo");
}

#[test]
fn kernel_parameters_of_a_device_that_moves_are_set() {
    let oci = root();
    make_device(&oci);
    let edit = |config: &mut Value| {
        config["linux"]["netDevices"] = json!({"inside": {"name": "eth0"}});
        config["linux"]["sysctl"] = json!({"net.ipv4.conf.eth0.forwarding": "1"});
    };
    oci.run(edit, "cat /proc/sys/net/ipv4/conf/eth0/forwarding").ok().prints("1");
}

#[test]
fn devices_that_do_not_move() {
    clause!("config-linux.netDevices.exists", "config-linux.netDevices.namespace");
    let oci = root();
    make_device(&oci);
    oci.host.admin("ip link add wall type bridge");
    let refused = |devices: Value, words: &[&str]| {
        oci.run(with_devices(devices), "true").refused(words);
        oci.host.sh("ip link show inside >/dev/null && ip link show outside >/dev/null").ok();
        oci.assert_empty("a refusal");
    };
    refused(json!({"nothing": {}}), &["linux.netDevices.nothing", "no such device on the host"]);
    refused(json!({"inside": {"name": "lo"}}), &["linux.netDevices.inside", "is in the container already"]);
    // All are looked at before one moves.
    refused(json!({"inside": {}, "nothing": {}}), &["linux.netDevices.nothing"]);
    refused(json!({"wall": {}}), &["move network device wall"]);
    let host_network = |config: &mut Value| {
        with_devices(json!({"inside": {}}))(config);
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|one| one["type"] != "network");
    };
    oci.run(host_network, "true").refused(&["unable to move network devices without a NET namespace"]);
}

#[test]
fn a_device_moves_into_a_namespace_that_is_joined() {
    let oci = root();
    make_device(&oci);
    oci.host.admin("mkdir -p /tmp/run; touch /tmp/run/net; unshare --net=/tmp/run/net true");
    let edit = |config: &mut Value| {
        with_devices(json!({"inside": {"name": "eth0"}}))(config);
        for namespace in config["linux"]["namespaces"].as_array_mut().expect("a list") {
            if namespace["type"] == "network" {
                namespace["path"] = json!("/tmp/run/net");
            }
        }
    };
    oci.run(edit, "ls /sys/class/net | tr '\\n' ' '").ok().prints("eth0 lo");
    // The namespace outlives the container, and so does what is in it.
    oci.host.admin("nsenter --net=/tmp/run/net ip link show eth0 >/dev/null; umount /tmp/run/net");
}

/// A container that cannot be made leaves the devices as they were: an error is as if nothing had been tried.
#[test]
fn a_device_comes_back_from_a_container_that_could_not_be_made() {
    clause!("config-linux.netDevices.error");
    let oci = root();
    make_device(&oci);
    oci.host.admin(
        "ip address add 198.51.100.7/24 dev inside
         ip route add 203.0.113.0/24 via 192.0.2.1 metric 7
         ip route add 203.0.114.0/24 dev inside table 100
         ip -6 route add 2001:db8:1::/48 via 2001:db8::1
         ip link add quiet type veth peer name hidden
         ip address add 192.0.2.200/32 dev quiet",
    );
    let shown = || {
        let show =
            "for d in inside quiet; do ip -o link show $d; ip -o address show dev $d scope global; done
             ip route show table all dev inside | sort; ip -6 route show table all dev inside | sort";
        // What the kernel does in its own time: it looks for duplicates, and gives an address of the link.
        oci.host.sh(&format!("{{ {show}; }} | sed 's/ tentative//; s/ linkdown//; /fe80/d'")).ok().stdout
    };
    let before = shown();
    for part in ["203.0.113.0/24 via 192.0.2.1", "table 100", "2001:db8:1::/48", "192.0.2.200/32"] {
        assert!(before.contains(part), "{part} in {before}");
    }
    let devices = || with_devices(json!({"inside": {"name": "eth0"}, "quiet": {"name": "eth%d"}}));
    let fails = |what: &str, edit: &dyn Fn(&mut Value), words: &[&str]| {
        let bundle = oci.bundle(|config| {
            devices()(config);
            edit(config);
        });
        bundle.try_create(&[]).refused(words);
        assert_eq!(shown(), before, "create, {what}");
        oci.assert_empty(what);
        bundle.try_run(&[]).refused(words);
        assert_eq!(shown(), before, "run, {what}");
        oci.assert_empty(what);
    };
    let hook = |point: &'static str, script: &'static str| {
        move |config: &mut Value| {
            config["hooks"] = json!({point: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
        }
    };
    for point in ["prestart", "createRuntime"] {
        fails(point, &hook(point, "exit 3"), &[point, "status 3"]);
    }
    // Whatever it is called in there by then.
    let renames = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')
         nsenter -t $pid -n sh -c 'ip link set eth0 down; ip link set eth0 name other' || exit 4; exit 3";
    fails("a hook that renames", &hook("createRuntime", renames), &["status 3"]);
    fails("a later step", &|config| config["linux"]["sysctl"] = json!({"net.no.such": "1"}), &["no.such"]);
    fails("a hook inside", &hook("createContainer", "exit 3"), &["createContainer"]);
    // The second device cannot move, the first has.
    oci.host.admin("ip link add zwall type bridge");
    let bridge = |config: &mut Value| with_devices(json!({"quiet": {}, "inside": {}, "zwall": {}}))(config);
    fails("the third device", &bridge, &["move network device zwall"]);
    let bundle = oci.bundle(devices());
    bundle.try_create(&["--pid-file", "/none/pid"]).refused(&["/none"]);
    assert_eq!(shown(), before, "a pid file that cannot be written");
    oci.assert_empty("a pid file");
    // Of a run the command is a part of what fails, of create it is not: the device is the container's until its end.
    let no_command = |config: &mut Value| config["process"]["args"] = json!(["/etc"]);
    let bundle = oci.bundle(|config| {
        devices()(config);
        no_command(config);
    });
    assert_ne!(bundle.try_run(&[]).code, 0);
    assert_eq!(shown(), before, "a command that cannot be executed");
    oci.assert_empty("a command");
    // What has been in use is not taken back (MUST NOT), and goes with its namespace.
    let container = oci.bundle(devices()).start(&[]);
    container.becomes("stopped");
    container.call("delete", &[]).ok();
    testkit::deadline::wait_for("the device goes with its namespace", || {
        (oci.host.sh("ip link show inside || ip link show quiet").code != 0).then_some(())
    });
}
