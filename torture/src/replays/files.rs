//! Paths and mounts: links in a root file system, what is mounted over what, what is written where.

use super::super::replay::Replay;
use crate::ground::Ground;
use crate::races;
use serde_json::{Value, json};

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "rt_01",
        what: "a mount over a part of /proc, written or through a link",
        attack: |ground| {
            ground.oci.host.admin("mkdir -p /tmp/fake/kernel");
            ground.refuses("", |config| bind(config, "/tmp/fake", "/proc/sys"), &["/proc"]);
            ground.refuses("ln -s /proc/sys there", |config| bind(config, "/tmp/fake", "/there"), &["/proc"]);
        },
        control: |ground| {
            let script = "grep -c x /proc/cpuinfo; ls /run/it";
            ground.oci.host.admin("echo x >/tmp/cpus; mkdir -p /tmp/source; touch /tmp/source/here");
            let both = |config: &mut Value| {
                bind(config, "/tmp/cpus", "/proc/cpuinfo");
                bind(config, "/tmp/source", "/var/run/it");
            };
            ground.runs("mkdir run var; ln -s /run var/run", both, script).ok().prints("1\nhere");
        },
    },
    Replay {
        row: "rt_05",
        what: "a directory with files like those of /proc, bound over it",
        attack: |ground| {
            ground.oci.host.admin("mkdir -p /tmp/fake/self/attr /tmp/fake/thread-self/attr");
            let over = |config: &mut Value| {
                mounts(config).retain(|mount| mount["destination"] != "/proc");
                bind(config, "/tmp/fake", "/proc");
            };
            ground.refuses("", over, &["not of type proc"]);
        },
        control: |ground| {
            ground.runs("", |_| (), "cat /proc/self/comm").ok().prints("cat");
        },
    },
    Replay {
        row: "rt_06",
        what: "a target that is missing behind a link to the host",
        attack: |ground| {
            for link in ["/tmp/canary", "../../../../../../tmp/canary"] {
                let edit = |config: &mut Value| {
                    mounts(config).retain(|mount| {
                        !mount["destination"].as_str().unwrap_or_default().starts_with("/dev")
                    });
                    mount(config, "/out/new/directory", "tmpfs");
                };
                ground.contains(&format!("ln -s {link} out"), edit, "true");
            }
        },
        control: |ground| {
            ground
                .runs("", |config| mount(config, "/a/b/c", "tmpfs"), "touch /a/b/c/x && ls /a/b/c")
                .ok()
                .prints("x");
        },
    },
    Replay {
        row: "rt_07",
        what: "/proc or /sys is a link (RT-23 too)",
        attack: |ground| {
            for (name, link) in [("proc", "/elsewhere"), ("sys", "elsewhere"), ("proc", "/tmp/canary/dir")] {
                let root = format!("mkdir -p elsewhere tmp/canary/dir; rmdir {name}; ln -s {link} {name}");
                ground.refuses(&root, |_| (), &["must be mounted on ordinary directory"]);
            }
        },
        control: |ground| {
            ground
                .runs("rmdir proc sys", |_| (), "test -e /proc/self && test -e /sys/kernel && echo both")
                .ok()
                .prints("both");
        },
    },
    Replay {
        row: "rt_08",
        what: "the target of a volume is exchanged for a link to the host while containers start",
        attack: races::volume,
        control: |ground| {
            ground.oci.host.admin(
                "mkdir -p /tmp/volume/real /tmp/source; touch /tmp/source/here; ln -s real /tmp/volume/link",
            );
            let both = |config: &mut Value| {
                bind(config, "/tmp/volume", "/data");
                bind(config, "/tmp/source", "/data/link");
            };
            for _ in 0..2 {
                ground.runs("", both, "ls /data/real").ok().prints("here");
            }
        },
    },
    Replay {
        row: "rt_14",
        what: "a file as a target behind a link to the host",
        attack: |ground| {
            ground.oci.host.admin("echo text >/tmp/text");
            ground.contains(
                "ln -s /tmp/canary/dir out",
                |config| bind(config, "/tmp/text", "/out/made"),
                "true",
            );
            ground.contains("ln -s /tmp/canary/made out", |config| bind(config, "/tmp/text", "/out"), "true");
        },
        control: |ground| {
            ground.oci.host.admin("echo text >/tmp/text");
            ground
                .runs("", |config| bind(config, "/tmp/text", "/new/file"), "cat /new/file")
                .ok()
                .prints("text");
        },
    },
    Replay {
        row: "rt_15",
        what: "masked paths where the container's own null device is something else, and changes to the host's through them (RT-24 too)",
        attack: |ground| {
            let masked = |config: &mut Value| {
                config["linux"]["maskedPaths"] =
                    json!(["/proc/keys", "/proc/kcore", "/sys/firmware", "/proc/scsi", "/hidden"]);
                let devices =
                    |mount: &Value| mount["destination"].as_str().unwrap_or_default().starts_with("/dev");
                mounts(config).retain(|mount| !devices(mount));
            };
            let root = "mkdir hidden; echo it is seen >hidden/file; rm -rf dev; mkdir dev; ln -s /proc/sys/kernel/domainname dev/null.old";
            // By no null device: it may be something else.
            let script = "cat /hidden/file 2>&-; cat /proc/keys; chmod 0 /proc/keys 2>&-; chown 9 /proc/keys 2>&-; true";
            ground.contains(root, masked, script).ok().prints("");
            // It is in a volume, and a link.
            ground
                .oci
                .host
                .admin("mkdir -m 777 /tmp/devices; ln -s /proc/sys/kernel/domainname /tmp/devices/null");
            let in_volume = |config: &mut Value| {
                masked(config);
                bind(config, "/tmp/devices", "/dev");
            };
            let outcome = ground.contains("mkdir hidden; echo it is seen >hidden/file", in_volume, script);
            assert!(outcome.code != 0 || outcome.stdout.is_empty(), "{outcome}");
        },
        control: |ground| {
            let masked = |config: &mut Value| {
                config["linux"]["maskedPaths"] = json!(["/proc/is-not-there", "/nor/this"])
            };
            ground.runs("", masked, "grep -q . /proc/cpuinfo && echo there").ok().prints("there");
            if ground.is_rootless() {
                return;
            }
            // Of a volume that has a real one.
            ground.oci.host.admin("mkdir /tmp/devices; mknod -m 666 /tmp/devices/null c 1 3");
            let in_volume = |config: &mut Value| {
                masked(config);
                mounts(config)
                    .retain(|mount| !mount["destination"].as_str().unwrap_or_default().starts_with("/dev"));
                bind(config, "/tmp/devices", "/dev");
            };
            ground
                .runs("", in_volume, "echo x >/dev/null && test -c /dev/null && echo null")
                .ok()
                .prints("null");
        },
    },
    Replay {
        row: "rt_16",
        what: "a terminal whose place is a link",
        attack: |ground| {
            let script = ground.oci.bundle(|config| {
                config["process"]["terminal"] = json!(true);
                mounts(config).retain(|mount| mount["destination"] != "/dev");
            });
            ground.oci.host.admin(&format!("cd {}/rootfs/dev; ln -s /etc/passwd console", script.directory));
            script.try_create(&["--console-socket", "/tmp/none"]);
            let said = terminal(ground, &script.directory, &script.id);
            assert!(said.contains("/dev/console"), "a terminal over a link: {said}");
        },
        control: |ground| {
            let bundle = ground.oci.bundle(|config| {
                config["process"]["terminal"] = json!(true);
                config["process"]["args"] =
                    json!(["sh", "-c", "test -t 0 && test -c /dev/console && echo is a terminal"]);
            });
            let said = terminal(ground, &bundle.directory, &bundle.id);
            assert!(said.contains("is a terminal"), "{said}");
        },
    },
    Replay {
        row: "rt_17",
        what: "a kernel parameter that is a plain file of the image (RT-25 too)",
        attack: |ground| {
            let edit = |config: &mut Value| {
                mounts(config).retain(|mount| mount["destination"] != "/proc");
                config["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "77"});
            };
            ground.refuses(
                "mkdir -p proc/sys/net/ipv4; touch proc/sys/net/ipv4/ip_default_ttl",
                edit,
                &["proc"],
            );
            // To some other parameter, which may be the host's.
            let elsewhere = |config: &mut Value| {
                edit(config);
                mount(config, "/p", "proc");
            };
            let root = "mkdir -p p proc/sys/net/ipv4; ln -s /p/sys/kernel/domainname proc/sys/net/ipv4/ip_default_ttl";
            ground.refuses(root, elsewhere, &["proc"]);
            // Nothing of the image is written to in place of what the kernel has.
            let score = |config: &mut Value| {
                mounts(config).retain(|mount| mount["destination"] != "/proc");
                config["process"]["oomScoreAdj"] = json!(500);
                mount(config, "/p", "proc");
            };
            let root = "mkdir -p p proc/self proc/1; echo mine >proc/self/oom_score_adj; cp proc/self/oom_score_adj proc/1/; ln -s self proc/thread-self";
            let script = "cat /proc/self/oom_score_adj /p/self/oom_score_adj";
            ground.contains(root, score, script).ok().prints("mine\n500");
        },
        control: |ground| {
            let edit =
                |config: &mut Value| config["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "77"});
            ground.runs("", edit, "cat /proc/sys/net/ipv4/ip_default_ttl").ok().prints("77");
        },
    },
    Replay {
        row: "rt_18",
        what: "/dev is a link to a directory of the host, or into a volume",
        attack: |ground| {
            let without = |config: &mut Value| {
                let devices =
                    |mount: &Value| mount["destination"].as_str().unwrap_or_default().starts_with("/dev");
                mounts(config).retain(|mount| !devices(mount));
            };
            for link in ["/tmp/canary/dev", "../../../../../tmp/canary/dev"] {
                ground.contains(
                    &format!("rm -rf dev; ln -s {link} dev; mkdir -p tmp/canary/dev"),
                    without,
                    "true",
                );
            }
            let volume = |config: &mut Value| {
                without(config);
                bind(config, "/tmp/canary/dev", "/data");
            };
            ground.contains("rm -rf dev; ln -s /data dev; mkdir data", volume, "true");
        },
        control: |ground| {
            ground
                .runs("rmdir dev", |_| (), "echo x >/dev/null && test -c /dev/tty && echo devices")
                .ok()
                .prints("devices");
        },
    },
    Replay {
        row: "rt_19",
        what: "a device node whose place is a link or a file",
        attack: |ground| {
            let edit = |config: &mut Value| {
                mounts(config).retain(|mount| mount["destination"] != "/dev");
                config["linux"]["devices"] =
                    json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "uid": 9, "gid": 9}]);
            };
            for root in ["ln -s /tmp/canary/file dev/null", "echo text >dev/null"] {
                if ground.is_rootless() {
                    // The host's node is bound, over what is there or what a link leads to in here.
                    ground.contains(root, edit, "test -c /dev/null && echo null").ok().prints("null");
                } else {
                    ground.refuses(root, edit, &["/dev/null"]);
                }
            }
        },
        control: |ground| {
            ground
                .runs("echo text >dev/null; echo text >dev/console", |_| (), "test -c /dev/null && echo null")
                .ok()
                .prints("null");
        },
    },
    Replay {
        row: "rt_26",
        what: "ids and paths of cgroups that lead elsewhere",
        attack: |ground| {
            let bundle =
                ground.oci.bundle(|config| config["linux"]["cgroupsPath"] = json!("/devoxx-torture/one"));
            let long = "a".repeat(300);
            for id in ["../x", "a/b", ".", "..", "", &long] {
                ground.oci.call(["create", "--bundle", &bundle.directory, id]).refused(&[]);
            }
            for path in ["../../x", "/../x", "a/../../b"] {
                ground.refuses("", |config| config["linux"]["cgroupsPath"] = json!(path), &["cgroup"]);
            }
            ground.is_intact();
        },
        control: |ground| {
            let bundle = ground.oci.bundle(|config| {
                if !ground.is_rootless() {
                    config["linux"]["cgroupsPath"] = json!("/devoxx-torture/a/b");
                }
            });
            for id in ["web_1.2-x+y", &"0123456789abcdef".repeat(4)] {
                ground.oci.call(["run", "--bundle", &bundle.directory, id]).ok();
            }
        },
    },
];

/// What is written to the terminal of a container that `run` has in the foreground.
fn terminal(ground: &Ground, directory: &str, id: &str) -> String {
    let script = format!(
        "script -qec '$C --root /tmp/run/oci run --bundle {directory} {id}' /dev/null </dev/null 2>&1 || :"
    );
    ground.oci.host.sh(&script).stdout
}

/// The mounts of a configuration.
pub fn mounts(config: &mut Value) -> &mut Vec<Value> {
    config["mounts"].as_array_mut().expect("the mounts are an array")
}

/// Adds a bind.
pub fn bind(config: &mut Value, source: &str, target: &str) {
    let value = json!({"destination": target, "type": "bind", "source": source, "options": ["rbind"]});
    mounts(config).push(value);
}

/// Adds a new file system.
pub fn mount(config: &mut Value, target: &str, kind: &str) {
    let value = json!({"destination": target, "type": kind, "source": kind});
    mounts(config).push(value);
}
