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
