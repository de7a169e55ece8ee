//! More than anybody needs: taken where the kernel takes it, refused at a limit that is named where not, always bounded.

use super::{call, nothing_is_left, refuses};
use crate::world::{namespace, push, root};
use serde_json::{Value, json};

/// Its family, so many of something, and what becomes of it: taken, or refused with this word.
type Case = (&'static str, &'static str, Option<&'static str>, fn(&mut Value));

const CASES: &[Case] = &[
    ("C24", "10,000 masked paths", None, |c| {
        c["linux"]["maskedPaths"] = many(10_000, |n| json!(format!("/none/{n}")))
    }),
    ("C25", "10,000 read-only paths", None, |c| {
        c["linux"]["readonlyPaths"] = many(10_000, |n| json!(format!("/none/{n}")))
    }),
    ("C20", "10,000 variables", None, |c| c["process"]["env"] = many(10_000, |n| json!(format!("V{n}={n}")))),
    ("C13", "10,000 groups", None, |c| c["process"]["user"]["additionalGids"] = many(10_000, |n| json!(n))),
    ("C13", "65,537 groups", Some("group"), |c| {
        c["process"]["user"]["additionalGids"] = many(65_537, |n| json!(n))
    }),
    ("C27", "10,000 capabilities", None, |c| {
        c["process"]["capabilities"]["bounding"] = many(10_000, |_| json!("CAP_KILL"))
    }),
    ("C28", "10,000 rlimits", Some("rlimits"), |c| {
        c["process"]["rlimits"] = many(10_000, |_| json!({"type": "RLIMIT_CORE", "soft": 0, "hard": 0}))
    }),
    ("C15", "10,000 namespaces", Some("namespaces"), |c| {
        c["linux"]["namespaces"] = many(10_000, |_| json!({"type": "pid"}))
    }),
    ("C14", "341 ranges of ids", Some("uidmappings"), |c| ranges(c, 341)),
    ("C14", "ranges that are longer than a page", Some("uidmappings"), |c| {
        namespace(c, "user", None);
        c["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
        c["linux"]["uidMappings"] =
            many(300, |n| json!({"containerID": 1_000_000 + 2 * n, "hostID": 100_000 + 2 * n, "size": 1}));
    }),
    ("C14", "10,000 ranges of ids", Some("uidmappings"), |c| ranges(c, 10_000)),
    ("C34", "10,000 unified keys", Some("unified"), |c| {
        let keys = (0..10_000).map(|n| (format!("x.{n}"), json!("1")));
        c["linux"]["resources"] = json!({"unified": keys.collect::<serde_json::Map<_, _>>()});
    }),
    ("C29", "10,000 sysctls", Some("sysctl"), |c| {
        let keys = (0..10_000).map(|n| (format!("kernel.x{n}"), json!("1")));
        c["linux"]["sysctl"] = Value::Object(keys.collect());
    }),
    ("C39", "10,000 network devices", Some("netdevices"), |c| {
        let keys = (0..10_000).map(|n| (format!("none{n}"), json!({})));
        c["linux"]["netDevices"] = Value::Object(keys.collect());
    }),
    (
        "C26",
        "10,000 rules for devices",
        Some("4096 rules"),
        |c| c["linux"]["resources"] = json!({"devices": many(10_000, |n| json!({"allow": n % 2 == 0, "type": "c", "major": 1, "minor": 3, "access": "r"}))}),
    ),
    ("C30", "60,000 rules for system calls", Some("entries"), |c| {
        let rule = |n| json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": n, "op": "SCMP_CMP_EQ"}]});
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": many(60_000, rule)});
    }),
    ("C20", "an argument of 2 MiB", Some("argument list too long"), |c| {
        c["process"]["args"] = json!(["true", "x".repeat(2 << 20)])
    }),
    ("C33", "300 parts of a cgroup's path", Some("cgroup"), |c| {
        c["linux"]["cgroupsPath"] = json!("/abcdefghijkl".repeat(300))
    }),
    ("C9", "a value for each byte", Some("entries"), |c| c["extension"] = many(1_000_000, |_| json!(0))),
    ("C9", "as many texts", Some("entries"), |c| c["process"]["env"] = many(1_000_000, |_| json!("A=a"))),
    ("C9", "as many keys", Some("entries"), |c| {
        c["annotations"] = Value::Object((0..500_000).map(|n| (n.to_string(), json!(""))).collect())
    }),
    ("C9", "50,000 small objects", Some("entries"), |c| c["extension"] = many(50_000, |_| json!({"a": 0}))),
    ("C9", "40,000 small objects", None, |c| c["extension"] = many(40_000, |_| json!({"a": 0}))),
    ("C32", "40,000 small objects of our own", Some("hooks"), |c| {
        c["hooks"] = json!({"poststop": many(40_000, |_| json!({"path": 0}))})
    }),
    ("C30", "20,000 rules for system calls", None, |c| {
        let rule = |n| json!({"names": [if n % 2 == 0 {"read"} else {"write"}], "action": "SCMP_ACT_ERRNO"});
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": many(20_000, rule)});
    }),
    ("C38", "an annotation of 1 MiB", None, |c| c["annotations"] = json!({"long": "x".repeat(1 << 20)})),
    ("C38", "one of 15 MiB", None, |c| c["extension"] = json!("x".repeat(15 << 20))),
    ("C16", "names of 1 MiB", Some("namespaces"), |c| namespace(c, &"x".repeat(1 << 20), None)),
    ("C21", "a path of 1 MiB", Some("name too long"), |c| {
        push(
            c,
            "/mounts",
            json!({"destination": format!("/{}", "x".repeat(1 << 20)), "type": "tmpfs", "source": "tmpfs"}),
        )
    }),
];

fn many(count: u32, one: impl Fn(u32) -> Value) -> Value {
    (0..count).map(one).collect()
}

fn ranges(config: &mut Value, count: u32) {
    namespace(config, "user", None);
    let ranges = many(count, |n| json!({"containerID": 2 * n, "hostID": 2 * n, "size": 1}));
    config["linux"]["uidMappings"] = ranges.clone();
    config["linux"]["gidMappings"] = ranges;
}

#[test]
fn in_the_thousands() {
    let oci = root();
    let mut wrong = Vec::new();
    for (family, what, refusal, edit) in CASES {
        let bundle = oci.bundle(edit);
        let outcome = oci.call_bounded(["create", "--bundle", &bundle.directory, &bundle.id]);
        let said = outcome.stderr.to_lowercase();
        let fine = match refusal {
            // A warning is no refusal.
            None => outcome.code == 0 && said.len() < 16_384,
            // However long the text is that is refused, what is said of it is short.
            Some(word) => {
                outcome.code == 1 && said.lines().count() == 1 && said.contains(*word) && said.len() < 16_384
            }
        };
        if outcome.code == 0 {
            oci.call(["delete", "--force", &bundle.id]);
        }
        if !fine {
            let short: String = outcome.to_string().chars().take(600).collect();
            wrong.push(format!("{family}: {what}: {short}"));
        }
        oci.assert_empty(what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What makes work for the kernel takes its time, and is undone when it fails.
#[test]
fn mounts_and_devices_in_the_thousands() {
    let oci = root();
    let mounts = |last: &'static str| {
        move |config: &mut Value| {
            let all = config["mounts"].as_array_mut().expect("an array");
            all.extend(
                (0..5000)
                    .map(|n| json!({"destination": format!("/m/{n}"), "type": "tmpfs", "source": "tmpfs"})),
            );
            all.push(json!({"destination": "/last", "type": last, "source": "x"}));
        }
    };
    let many_mounts = oci.bundle(mounts("tmpfs"));
    // Each is open until it is in its place.
    let descriptors: u64 = oci.host.sh("ulimit -n").line().parse().unwrap_or(u64::MAX);
    let made = oci.run(mounts("tmpfs"), "grep -c ' /m/' /proc/self/mountinfo");
    if descriptors > 6000 {
        made.ok().prints("5000");
    } else {
        made.refused(&["too many open files"]);
    }
    oci.host
        .sh(&format!(
            "ulimit -n 1024; exec $C --root /tmp/run/oci run --bundle {0} {1}",
            many_mounts.directory, many_mounts.id
        ))
        .refused(&["/m/", "too many open files"]);
    if descriptors > 6000 {
        oci.run(mounts("no-such-fs"), "true").refused(&["/last"]);
    }
    oci.assert_empty("5,000 mounts");
    let devices = |config: &mut Value| {
        config["linux"]["devices"] =
            many(10_000, |n| json!({"path": format!("/dev/x{n}"), "type": "c", "major": 1, "minor": 3}));
    };
    oci.run(devices, "ls /dev | grep -c ^x").ok().prints("10000");
    oci.run(|config| ranges(config, 340), "wc -l </proc/self/uid_map").ok().prints("340");
    oci.assert_empty("10,000 devices");
    let mut bundle = oci.bundle(|_| ());
    nothing_is_left(&oci, &mut bundle, "amounts");
}

/// Bounds that are none would let everything through.
#[test]
fn the_bounds_hold() {
    let oci = root();
    let bounded = |script: &str| oci.host.sh(&format!("ulimit -d 65536; ulimit -t 2; {script}"));
    assert_ne!(bounded("head -c 100000000 /dev/zero | tail -c 100000000 | wc -c").line(), "100000000");
    assert_ne!(bounded("exec sh -c 'while :; do :; done'").code, 0);
    bounded("true").ok();
    // More words than there is room for are refused by the kernel; these it takes.
    let long = "x".repeat(100_000);
    let words: Vec<&str> = std::iter::once("state").chain(std::iter::repeat_n(long.as_str(), 10)).collect();
    let outcome = call(&oci, &words, "1 MB of words");
    assert_eq!(outcome.code, 1, "{}", outcome.code);
    for flag in ["--memory", "--pids-limit", "--cpu-quota"] {
        let outcome = call(&oci, &["update", flag, &"9".repeat(100_000), "box"], flag);
        outcome.refused(&[flag]);
    }
    let bundle = oci.bundle(|_| ());
    bundle.write("config.json", "{}");
    refuses(&oci, &bundle, &["ociVersion"], "an empty object");
}
