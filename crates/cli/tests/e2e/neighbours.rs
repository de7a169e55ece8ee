//! What containers on one network can do to each other and to the host, beyond talking.

use crate::networks_verbs::{WAIT, detached};
use crate::world::World;
use testkit::deadline::wait_for;

/// Sends a router advertisement from a container's end of its network, with a router and a prefix to take addresses from. As root of the
/// host, with what a container's own root has by itself: CAP_NET_RAW.
const ADVERTISE: &str = r#"
socket(my $s, 17, 3, 0x0300) or die "socket: $!";
my $request = pack("a16 x16", $ARGV[0]);
ioctl($s, 0x8933, $request) or die "SIOCGIFINDEX: $!";
my $index = unpack("x16 i", $request);
my $from = pack("H*", "fe80000000000000000000000000bad1");
my $to = pack("H*", "ff020000000000000000000000000001");
my $prefix = pack("C C C C N N N", 3, 4, 64, 0xc0, 3600, 3600, 0) . pack("H*", "20010db80bad00000000000000000000");
my $message = pack("C C n C C n N N", 134, 0, 0, 64, 0, 1800, 0, 0) . $prefix;
my $pseudo = $from . $to . pack("N N", length $message, 58) . $message;
my $sum = unpack("%32n*", $pseudo);
$sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
substr($message, 2, 2) = pack("n", ~$sum & 0xffff);
my $packet = pack("N n C C", 6 << 28, length $message, 58, 255) . $from . $to . $message;
my $frame = pack("H*", "333300000001" . "020000000bad" . "86dd") . $packet;
send($s, $frame, 0, pack("S n i S C C a8", 17, 0x86dd, $index, 0, 0, 6, pack("H*", "333300000001"))) or die "send: $!";
"#;

/// What a namespace has taken from it.
const TAKEN: &str =
    "(cat /proc/net/if_inet6; ip -6 route 2>/dev/null) | grep -cE '20010db80bad|2001:db8:bad|fe80::bad1'";

/// Sends one from a container, and has it arrive: what comes after it on the same way has come.
fn advertise(world: &World, from: i64, peer: &str) {
    world.host.admin(&format!("nsenter -t {from} -n perl /tmp/advertise.pl eth0"));
    world.host.run(["exec", "bad", "ping", "-c", "1", "-W", "5", peer]).ok();
}

fn pid(world: &World, name: &str) -> i64 {
    let shown = world.host.run(["inspect", "-f", "{{.State.Pid}}", name]).ok();
    shown.line().parse().unwrap_or_else(|error| panic!("{shown}: {error}"))
}

#[test]
fn a_container_is_no_router() {
    for world in World::both() {
        std::fs::write(world.host.path("/tmp/advertise.pl"), ADVERTISE).expect("a file in the host");
        world.host.run(["network", "create", "four"]).ok();
        world.host.run(["network", "create", "--ipv6", "six"]).ok();
        for network in ["four", "six"] {
            detached(&world, "bad", &["--network", network], WAIT);
            detached(&world, "good", &["--network", network], WAIT);
            let (bad, good) = (pid(&world, "bad"), pid(&world, "good"));
            let seen =
                |who: &str| world.host.admin(&format!("{who} sh -c \"{TAKEN}\" || :")).line().to_owned();
            let inside = format!("nsenter -t {good} -n");
            advertise(&world, bad, "good");
            assert_eq!(seen(&inside), "0", "a neighbour on {network}");
            assert_eq!(seen(""), "0", "the host of {network}");
            if network == "six" {
                // One that listens to routers does take it: it was sent, and it was one.
                world.host.admin(&format!("{inside} sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra'"));
                wait_for("the address that was advertised", || {
                    advertise(&world, bad, "good");
                    (seen(&inside) != "0").then_some(())
                });
            } else {
                let none = "grep -c eth0 /proc/net/if_inet6 || :";
                world.host.run(["exec", "good", "sh", "-c", none]).ok().prints("0");
            }
            world.host.run(["rm", "-f", "bad", "good"]).ok();
        }
        world.host.run(["network", "rm", "four", "six"]).ok();
    }
}
