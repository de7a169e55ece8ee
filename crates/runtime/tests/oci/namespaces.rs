//! `linux.namespaces` and what goes with them: own, joined, shared; mappings of ids, offsets of time, network devices.

use crate::world::{capabilities, mount, namespace, root, rootless, stays, without_namespace};
use serde_json::{Value, json};
use testkit::Oci;

/// The kinds as config.json names them, and as /proc/PID/ns does.
const KINDS: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
];

fn link(pid: i64, name: &str) -> String {
    let path = format!("/proc/{pid}/ns/{name}");
    std::fs::read_link(&path).unwrap_or_else(|error| panic!("{path}: {error}")).display().to_string()
}

#[test]
fn new_ones_and_those_of_the_runtime() {
    clause!(
        "config-linux.namespaces",
        "config-linux.namespaces.type",
        "config-linux.namespaces.new",
        "config-linux.namespaces.absent"
    );
    let oci = root();
    let host = i64::from(oci.host.pid());
    let of = |edit: &dyn Fn(&mut Value)| {
        let container = oci
            .bundle(|config| {
                stays(config);
                edit(config);
            })
            .start(&[]);
        let pid = container.pid();
        KINDS
            .iter()
            .chain(&[("user", "user"), ("time", "time")])
            .map(|(kind, name)| (*kind, link(pid, name)))
            .collect::<Vec<_>>()
    };
    let theirs = |kind: &str| {
        let name = KINDS
            .iter()
            .chain(&[("user", "user"), ("time", "time")])
            .find(|(one, _)| *one == kind)
            .expect("a kind")
            .1;
        link(host, name)
    };
    for (kind, name) in of(&|config| {
        namespace(config, "cgroup", None);
        namespace(config, "time", None);
    }) {
        let own = !["user"].contains(&kind);
        assert_eq!(name != theirs(kind), own, "{kind}: {name}");
    }
    // Without one it is where the runtime is; the mount namespace is its own in any case of a root of its own.
    for kind in ["pid", "network", "ipc", "uts"] {
        let all = of(&|config| {
            without_namespace(config, kind);
            if kind == "uts" {
                config["hostname"] = Value::Null;
            }
        });
        for (one, name) in all {
            let shared = one == kind || ["user", "time", "cgroup"].contains(&one);
            assert_eq!(name == theirs(one), shared, "without {kind}: {one} {name}");
        }
    }
}

#[test]
fn joined_by_path() {
    clause!(
        "config-linux.namespaces.path",
        "config-linux.namespaces.path.absolute",
        "config-linux.namespaces.path.wrong-type",
        "config-linux.namespaces.duplicate"
    );
    let oci = root();
    let first = oci
        .bundle(|config| {
            stays(config);
            namespace(config, "cgroup", None);
        })
        .start(&[]);
    let pid = first.pid();
    for (kind, name) in KINDS {
        if kind == "mount" {
            continue;
        }
        let path = format!("/proc/{pid}/ns/{name}");
        let second = oci
            .bundle(|config| {
                stays(config);
                config["hostname"] = Value::Null;
                namespace(config, kind, Some(&path));
            })
            .start(&[]);
        assert_eq!(link(second.pid(), name), link(pid, name), "{kind} joined");
        let other = if kind == "ipc" { "uts" } else { "ipc" };
        assert_ne!(link(second.pid(), other), link(pid, other), "{other} not joined");
    }
    // As `ip netns` keeps them: a name that a namespace is bound to.
    oci.host.admin(&format!(
        "touch /tmp/net /tmp/file; mkfifo /tmp/fifo; mount --bind /proc/{pid}/ns/net /tmp/net"
    ));
    let second = oci
        .bundle(|config| {
            stays(config);
            namespace(config, "network", Some("/tmp/net"));
        })
        .start(&[]);
    assert_eq!(link(second.pid(), "net"), link(pid, "net"));
    drop(second);
    oci.host.admin("umount /tmp/net");
    let refused = |kind: &str, path: &str| {
        drop(oci.run(|config| namespace(config, kind, Some(path)), "true").refused(&[path]))
    };
    refused("network", "/tmp/none");
    refused("network", "/tmp/file");
    refused("network", "/tmp/fifo");
    refused("network", &format!("/proc/{pid}/ns/uts"));
    refused("ipc", &format!("/proc/{pid}/ns/net"));
    oci.run(|config| namespace(config, "network", Some("proc/self/ns/net")), "true")
        .refused(&["proc/self/ns/net"]);
    let twice = |config: &mut Value| crate::world::push(config, "/linux/namespaces", json!({"type": "ipc"}));
    oci.run(twice, "true").refused(&["ipc"]);
    oci.run(|config| namespace(config, "weather", None), "true").refused(&["weather"]);
}

/// What masks, and where cgroups are, is the host's word also in a mount namespace that somebody else has made.
#[test]
fn a_mount_namespace_that_is_joined() {
    let oci = root();
    oci.host.admin(
        "unshare --mount sh -c '
            mount --bind /dev/zero /dev/null; umount -l -R /sys/fs/cgroup; echo $$ >/tmp/apart; exec sleep 1000
        ' >/dev/null 2>&1 &
        until test -s /tmp/apart; do sleep 0.05; done",
    );
    let path = format!("/proc/{}/ns/mnt", oci.host.admin("cat /tmp/apart").line());
    let edit = |config: &mut Value| {
        namespace(config, "mount", Some(&path));
        namespace(config, "cgroup", None);
        mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
        config["linux"]["maskedPaths"] = json!(["/proc/timer_list", "/proc/acpi"]);
    };
    let script = "stat -c %t:%T /proc/timer_list; head -c 1 /proc/timer_list | wc -c; ls -d /sys/fs/cgroup/* | head -1 | wc -l";
    oci.run(edit, script).ok().prints("1:3\n0\n1");
}

#[test]
fn what_they_hide() {
    clause!("config-linux.namespaces.type");
    let oci = root();
    oci.run(
        |_| (),
        "ls /sys/class/net; hostname; ls /proc | grep -E '^[0-9]+$' | wc -l | awk '{print ($1 < 7)}'",
    )
    .ok()
    .prints("lo\nbox\n1");
    // It is up (IFF_UP and IFF_LOOPBACK): a program that speaks to itself works.
    oci.run(|_| (), "cat /proc/net/dev | grep -c :; ls /dev/mqueue; cat /sys/class/net/lo/flags")
        .ok()
        .prints("1\n0x9");
    // In the cgroup namespace its own cgroup is the top.
    let tops = "sed 's/.*://' /proc/self/cgroup | sort -u";
    oci.run(|config| namespace(config, "cgroup", None), tops).ok().prints("/");
}

#[test]
fn offsets_of_time() {
    clause!("config-linux.timeOffsets", "config-linux.timeOffsets.secs", "config-linux.timeOffsets.nanosecs");
    let oci = root();
    let script = "cat /proc/self/timens_offsets | tr -s ' \\t' ' '; test $(cut -d. -f1 /proc/uptime) -gt 1000000 && echo later";
    oci.run(
        |config| {
            namespace(config, "time", None);
            config["linux"]["timeOffsets"] =
                json!({"monotonic": {"secs": 7881, "nanosecs": 2_718_281}, "boottime": {"secs": 1_337_000}});
        },
        script,
    )
    .ok()
    .prints("monotonic 7881 2718281\nboottime 1337000 0\nlater");
    oci.run(|config| namespace(config, "time", None), "cat /proc/self/timens_offsets | tr -s ' \\t' ' '")
        .ok()
        .prints("monotonic 0 0\nboottime 0 0");
    oci.run(|config| config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}}), "true")
        .refused(&["time"]);
    let clock = |config: &mut Value| {
        namespace(config, "time", None);
        config["linux"]["timeOffsets"] = json!({"realtime": {"secs": 1}});
    };
    oci.run(clock, "true").refused(&["timeOffsets"]);
    let joined = |config: &mut Value| {
        namespace(config, "time", Some("/proc/self/ns/time"));
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}});
    };
    oci.run(joined, "true").refused(&["time"]);
}

fn mapped(config: &mut Value, uids: Value, gids: Value) {
    namespace(config, "user", None);
    config["linux"]["uidMappings"] = uids;
    config["linux"]["gidMappings"] = gids;
}

#[test]
fn mappings_of_ids() {
    clause!(
        "config-linux.uidMappings",
        "config-linux.gidMappings",
        "config-linux.mappings.fields",
        "config-linux.mappings.owners"
    );
    let oci = root();
    let maps = "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' ' ' '";
    let one = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let check = |uids: &Value, gids: &Value, script: &str, expected: &str| {
        let bundle = oci.bundle(|config| {
            mapped(config, uids.clone(), gids.clone());
            crate::world::script(config, script);
        });
        bundle.try_run(&[]).ok().prints(expected);
        let owner = std::os::unix::fs::MetadataExt::uid(
            &std::fs::metadata(bundle.path("rootfs/etc/passwd")).expect("passwd"),
        );
        assert_eq!(owner, 0, "no owner of a file of the root has changed");
    };
    check(&one, &one, maps, " 0 100000 65536\n 0 100000 65536");
    check(
        &one,
        &one,
        "id -u; id -g; awk '/^Cap(Eff|Bnd)/ {print $2}' /proc/self/status; stat -c %u /etc/passwd",
        "0\n0\n00000000000000eb\n00000000000000eb\n65534",
    );
    let two = json!([{"containerID": 0, "hostID": 100_000, "size": 10}, {"containerID": 10, "hostID": 200_000, "size": 20}]);
    check(&two, &one, maps, " 0 100000 10\n 10 200000 20\n 0 100000 65536");
    let line = |n: u32| json!({"containerID": n, "hostID": 2 * n, "size": 1});
    let many: Vec<_> = (0..340).map(line).collect();
    check(&json!(many), &one, "wc -l </proc/self/uid_map", "340");
    // Seen from outside, it is who the map says.
    let container = oci
        .bundle(|config| {
            mapped(config, one.clone(), one.clone());
            config["process"]["user"] = json!({"uid": 5, "gid": 6});
            crate::world::script(config, "exec sleep 1000");
        })
        .start(&[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("status");
    assert!(status.contains("Uid:\t100005\t") && status.contains("Gid:\t100006\t"), "{status}");
    drop(container);
    let refused = |edit: &dyn Fn(&mut Value), words: &[&str]| {
        oci.run(edit, "true").refused(words);
        oci.assert_empty("refused mappings");
    };
    refused(&|config| config["linux"]["uidMappings"] = one.clone(), &["user namespace"]);
    refused(&|config| namespace(config, "user", None), &["map"]);
    let overlap = json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 2000, "size": 10}]);
    refused(&|config| mapped(config, overlap.clone(), one.clone()), &["uidMappings"]);
    refused(
        &|config| mapped(config, one.clone(), json!([{"containerID": 0, "hostID": 1000, "size": 0}])),
        &["gidMappings"],
    );
    refused(
        &|config| {
            mapped(
                config,
                json!([{"containerID": 0, "hostID": 4_294_967_000_u32, "size": 1000}]),
                one.clone(),
            )
        },
        &["uidMappings"],
    );
    refused(&|config| mapped(config, (0..341).map(line).collect(), one.clone()), &["uidMappings"]);
}

#[test]
fn a_joined_user_namespace() {
    clause!("config-linux.namespaces.path");
    let oci = root();
    let one = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let first = oci
        .bundle(|config| {
            mapped(config, one.clone(), one.clone());
            stays(config);
        })
        .create(&[]);
    let pid = first.pid();
    let bundle = oci.bundle(|config| {
        namespace(config, "user", Some(&format!("/proc/{pid}/ns/user")));
        for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
            namespace(config, kind, Some(&format!("/proc/{pid}/ns/{name}")));
        }
        config["hostname"] = Value::Null;
        crate::world::script(config, "cat /proc/self/uid_map | tr -s ' ' ' '; hostname");
    });
    bundle.try_run(&[]).ok().prints(" 0 100000 65536\nbox");
}

#[test]
fn rootless_mappings() {
    clause!("config-linux.uidMappings", "config-linux.gidMappings");
    let oci = rootless();
    let (start, count) = testkit::bundle::subordinate("/etc/subuid");
    let user = oci.host.user();
    oci.run(|_| (), "cat /proc/self/uid_map | tr -s ' ' ' '")
        .ok()
        .prints(&format!(" 0 {user} 1\n 1 {start} {count}"));
    // Its own id alone needs nobody's help.
    let alone = json!([{"containerID": 0, "hostID": user, "size": 1}]);
    oci.run(|config| mapped(config, alone.clone(), alone.clone()), "id -u; cat /proc/self/setgroups")
        .ok()
        .prints("0\ndeny");
    // What belongs to others is refused by newuidmap(1).
    let foreign = json!([{"containerID": 0, "hostID": 0, "size": 10}]);
    oci.run(|config| mapped(config, foreign.clone(), foreign.clone()), "true").refused(&["map"]);
    oci.assert_empty("rootless runs");
}

/// Where another's mount namespace is joined there is no root to make: it is what the namespace has.
#[test]
fn capabilities_belong_to_the_new_user_namespace() {
    let oci = root();
    let one = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let check = |oci: &Oci, expected: &str| {
        oci.run(
            |config| {
                mapped(config, one.clone(), one.clone());
                capabilities(config, &["CAP_SYS_ADMIN"]);
            },
            "mount -t tmpfs own /tmp && echo inside; sethostname 2>/dev/null; mknod /tmp/null c 1 3 2>/dev/null || echo not outside",
        )
        .ok()
        .prints(expected);
    };
    check(&oci, "inside\nnot outside");
}
