//! Ids, capabilities, descriptors, devices, and the program itself.

use super::super::replay::Replay;
use super::capabilities;
use super::files::bind;
use crate::ground::Ground;
use serde_json::{Value, json};
use std::fs;
use testkit::deadline::{LIMIT, poll};

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "rt_03",
        what: "whoever enters a container is watched from inside",
        attack: |ground| {
            // By no word that is in its own.
            let watch = "while :; do grep -l -e '--[r]oot' /proc/[0-9]*/cmdline >>/seen 2>/dev/null; done";
            let container = ground
                .oci
                .bundle(|config| {
                    config["process"]["args"] = json!(["sh", "-c", watch]);
                    config["root"]["readonly"] = json!(false);
                })
                .start(&[]);
            for _ in 0..150 {
                container.exec(&[], ":").ok();
            }
            let seen = container.bundle.read("rootfs/seen");
            assert!(seen.is_empty(), "somebody was seen: {}", seen.lines().count());
            drop(container);
            ground.is_intact();
        },
        control: |ground| {
            let container = ground.sleeper();
            container
                .exec(&[], "tr '\\0' ' ' </proc/1/cmdline; readlink /proc/self/exe")
                .ok()
                .prints("sleep 1000 /bin/busybox");
        },
    },
    Replay {
        row: "rt_03_traced",
        what: "who has every capability inside looks through /proc at whoever enters",
        attack: |ground| {
            // What is none of the container's own programs and can be traced: its root directory can be looked into.
            let watch = "while :; do for p in /proc/[0-9]*; do
                test -d $p/root/. && test -e $p/exe && ! test $p/exe -ef /bin/busybox && test -e $p/exe && echo $p >>/seen
                done; done 2>/dev/null";
            let all = capabilities::every(ground);
            let bundle = ground.oci.bundle(|config| {
                config["process"]["args"] = json!(["sh", "-c", watch]);
                config["root"]["readonly"] = json!(false);
                for set in ["bounding", "effective", "permitted"] {
                    config["process"]["capabilities"][set] = json!(all);
                }
                has_a_user_namespace(ground, config);
            });
            ground.change(&bundle.directory, "touch seen; chmod -R a+rwX .");
            let container = bundle.start(&[]);
            for _ in 0..150 {
                container.exec(&[], ":").ok();
            }
            let seen = container.bundle.read("rootfs/seen");
            assert!(seen.is_empty(), "somebody could be traced, {} times", seen.lines().count());
            drop(container);
            ground.is_intact();
        },
        control: |ground| {
            let script = "sleep 1000 & test -d /proc/$!/root/. && test /proc/$!/exe -ef /bin/busybox && echo its own; kill $!";
            ground.runs("", |_| (), script).ok().prints("its own");
        },
    },
    Replay {
        row: "rt_04",
        what: "the program of the host is written to through /proc/self/exe",
        attack: |ground| {
            ground.oci.host.admin("mkdir -m 777 /tmp/place");
            // Whoever is no program of the container's own is kept open, and written to once it has ended.
            let script =
                "mkfifo /place/fifo; while :; do for p in /proc/[0-9]*; do l=$(readlink $p/exe 2>/dev/null)
                case $l in ''|/bin/busybox) continue; esac
                exec 3<$p/exe || continue
                cat /place/fifo >/dev/null
                while test -d $p; do :; done
                i=0; while test $i -lt 3000; do i=$((i+1)); (: >>/proc/self/fd/3) 2>/dev/null && echo $l >>/place/hit && break; done
                echo $l >/place/seen; done; done";
            let container = ground
                .oci
                .bundle(|config| {
                    config["process"]["args"] = json!(["sh", "-c", script]);
                    bind(config, "/tmp/place", "/place");
                })
                .start(&[]);
            // It waits for somebody to read its log.
            let evil = "printf '#!/proc/self/exe --log=/place/fifo\\n' >evil; chmod 755 evil";
            ground.change(&container.bundle.directory, evil);
            let seen = || {
                let seen =
                    || fs::read(ground.oci.host.path("/tmp/place/seen")).ok().filter(|seen| !seen.is_empty());
                assert!(poll(LIMIT, seen).is_some(), "nobody was seen");
                ground.oci.host.admin("rm /tmp/place/seen");
            };
            let entered = ground.oci.spawn(["exec", container.id(), "/evil"]);
            seen();
            drop(entered);
            // The init of another container, which is among the processes of this one.
            let namespace = |kind: &str| format!("/proc/{}/ns/{kind}", container.pid());
            let other = ground.oci.bundle(|config| {
                config["process"]["args"] = json!(["/evil"]);
                bind(config, "/tmp/place", "/place");
                for one in config["linux"]["namespaces"].as_array_mut().expect("an array") {
                    if one["type"] == "pid" || one["type"] == "user" {
                        let path = namespace(one["type"].as_str().unwrap_or_default());
                        one["path"] = json!(path);
                    }
                }
                for maps in ["uidMappings", "gidMappings"] {
                    config["linux"].as_object_mut().expect("an object").remove(maps);
                }
            });
            ground.change(&other.directory, evil);
            let ran = ground.oci.spawn(["run", "--bundle", &other.directory, &other.id]);
            seen();
            drop(ran);
            let hit = fs::read_to_string(ground.oci.host.path("/tmp/place/hit")).unwrap_or_default();
            drop(container);
            ground.oci.call(["delete", "--force", &other.id]);
            assert_eq!(hit, "", "the file of the program can be written to from inside");
            ground.is_intact();
        },
        control: |ground| {
            ground.runs("ln -s /proc/self/exe echo", |_| (), "/echo again").ok().prints("again");
        },
    },
    Replay {
        row: "rt_10",
        what: "a list of devices that allows one: all others are closed",
        attack: |ground| {
            let edit = |config: &mut Value| {
                config["linux"]["resources"] = json!({"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]});
                for set in ["bounding", "effective", "permitted"] {
                    config["process"]["capabilities"][set] =
                        json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYSLOG"]);
                }
            };
            let script = "head -c1 /kmsg >/dev/null 2>&1 && echo kmsg; head -c1 /mem >/dev/null 2>&1 && echo mem; echo x >/dev/null && echo null";
            let root = "mknod kmsg c 1 11; mknod mem c 1 1";
            ground.contains(root, edit, script).ok().prints("null");
        },
        control: |ground| {
            let edit = |config: &mut Value| {
                config["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
            };
            ground.runs("mknod zero c 1 5", edit, "head -c1 /zero | wc -c").ok().prints("1");
        },
    },
    Replay {
        row: "rt_11",
        what: "inheritable capabilities that nobody asked for",
        attack: |ground| {
            let script = "grep -E 'CapInh|CapAmb' /proc/self/status";
            let none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000";
            ground.contains("", |_| (), script).ok().prints(none);
            let container = ground.sleeper();
            container.exec(&[], script).ok().prints(none);
        },
        control: |ground| {
            let edit = |config: &mut Value| {
                config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
                for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                    config["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE"]);
                }
            };
            ground.runs("", edit, "grep CapEff /proc/self/status").ok().prints("CapEff:\t0000000000000400");
        },
    },
    Replay {
        row: "rt_13",
        what: "a working directory, or a command, through a descriptor that was left open",
        attack: |ground| {
            let bundle = ground
                .oci
                .bundle(|config| config["process"]["args"] = json!(["sh", "-c", "pwd; cat secret"]));
            for number in [3, 4, 5, 6, 7, 8, 9, 10, 11, 12] {
                let mut config = bundle.config.clone();
                config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
                bundle.write("config.json", config.to_string());
                let script = format!(
                    "exec 9</tmp/canary; $C --root /tmp/run/oci run --bundle {} {} 2>/dev/null",
                    bundle.directory, bundle.id
                );
                let outcome = ground.oci.host.sh(&script);
                assert_ne!(outcome.code, 0, "descriptor {number}: {outcome}");
                assert_eq!(outcome.stdout, "", "descriptor {number}");
            }
            let open = "exec 5</tmp/canary 6</tmp/canary/secret 7</etc; $C --root /tmp/run/oci run --bundle";
            let bundle = ground
                .oci
                .bundle(|config| config["process"]["args"] = json!(["sh", "-c", "cd /proc/self/fd; echo *"]));
            let seen = ground.oci.host.sh(&format!("{open} {} {}", bundle.directory, bundle.id)).ok().stdout;
            // The shell has the directory itself open for a moment, or not.
            assert!(["0 1 2\n", "0 1 2 3\n"].contains(&seen.as_str()), "descriptors: {seen}");
            ground.is_intact();
        },
        control: |ground| {
            let edit = |config: &mut Value| config["process"]["cwd"] = json!("/link/in");
            ground.runs("mkdir -p real/in; ln -s real link", edit, "pwd -P").ok().prints("/real/in");
            let bundle =
                ground.oci.bundle(|config| config["process"]["args"] = json!(["cat", "/proc/self/fd/3"]));
            let script = format!(
                "echo kept >/tmp/kept; exec 3</tmp/kept; $C --root /tmp/run/oci run --preserve-fds 1 --bundle {} {}",
                bundle.directory, bundle.id
            );
            ground.oci.host.sh(&script).ok().prints("kept");
        },
    },
    Replay {
        row: "rt_20",
        what: "users of exec that are no numbers",
        attack: |ground| {
            let container = ground.sleeper();
            for user in [":1", "+1", "-1", "4294967295", "1a", "", "name", " 1", "0x1", "1:"] {
                container.exec(&["--user", user], "id -u").refused(&[]);
            }
            for (user, ids) in [("0", "0 0"), ("1", "1 0"), ("1:2", "1 2")] {
                container.exec(&["--user", user], "echo $(id -u) $(id -g)").ok().prints(ids);
            }
        },
        control: |ground| {
            let container = ground.sleeper();
            container.exec(&["--user", "1000:1000"], "id -u").ok().prints("1000");
        },
    },
    Replay {
        row: "rt_22",
        what: "exec has more capabilities than the container",
        attack: |ground| {
            let container = ground.sleeper();
            let sets = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)'";
            let own = container.exec(&[], &format!("{sets} /proc/1/status")).ok().stdout;
            container.exec(&[], &format!("{sets} /proc/self/status")).ok().prints(&own);
        },
        control: |ground| {
            let container = ground.sleeper();
            let has = "test $((0x$(grep CapEff /proc/self/status | cut -f2) & 0x2000)) -ne 0 && echo raw";
            container.exec(&["--cap", "CAP_NET_RAW"], has).ok().prints("raw");
        },
    },
    Replay {
        row: "rt_09",
        what: "more maps of ids than the kernel takes in one piece",
        attack: |ground| {
            let edit = |config: &mut Value| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
                namespaces.push(json!({"type": "user"}));
                let maps: Vec<Value> = (0..5000)
                    .map(|id| json!({"containerID": id, "hostID": id + 100_000, "size": 1}))
                    .collect();
                config["linux"]["uidMappings"] = json!(maps);
                config["linux"]["gidMappings"] = json!(maps);
            };
            ground.refuses("chmod -R a+rX .", edit, &["uidMappings"]);
        },
        control: |ground| {
            let edit = |config: &mut Value| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
                namespaces.push(json!({"type": "user"}));
                let maps: Vec<Value> =
                    (0..340).map(|id| json!({"containerID": id, "hostID": id, "size": 1})).collect();
                config["linux"]["uidMappings"] = json!(maps);
                config["linux"]["gidMappings"] = json!(maps);
            };
            ground.runs("", edit, "wc -l </proc/self/uid_map").ok().prints("340");
        },
    },
    Replay {
        row: "rt_12",
        what: "cgroups of the host in a user namespace without a cgroup namespace",
        attack: |ground| {
            let edit = |config: &mut Value| {
                has_a_user_namespace(ground, config);
                let cgroups = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]});
                super::files::mounts(config).push(cgroups);
            };
            let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/made 2>/dev/null && echo $d; done; true";
            ground.contains("", edit, script).ok().prints("");
        },
        control: |ground| {
            let edit = |config: &mut Value| {
                config["linux"]["namespaces"]
                    .as_array_mut()
                    .expect("an array")
                    .push(json!({"type": "cgroup"}));
                let cgroups = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]});
                super::files::mounts(config).push(cgroups);
                bind(config, "/etc", "/host-etc");
            };
            let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/made 2>/dev/null && rmdir $d/made && echo made && break; done";
            ground.runs("", edit, script).ok().prints("made");
        },
    },
    Replay {
        row: "rt_29",
        what: "input is put into the terminal of who starts a container, or enters one",
        attack: |ground| {
            let types = r#"printf '%s\n' 'open(my $t, "+<", "/dev/tty") and print "has-the-terminal\n";' \
                'ioctl(STDIN, 0x5412, my $letter = "x") and print "has-typed\n"; print "done\n"' >types.pl; ln -s usr/lib lib; ln -s usr/lib64 lib64"#;
            let bundle = ground.oci.bundle(|config| {
                config["process"]["args"] = json!(["/usr/bin/perl", "/types.pl"]);
                bind(config, "/usr", "/usr");
            });
            ground.change(&bundle.directory, types);
            let run = format!("run --bundle {} {}", bundle.directory, bundle.id);
            types_nothing(&on_a_terminal(ground, &run));
            let sleeper = ground.oci.bundle(|config| {
                config["process"]["args"] = json!(["sleep", "1000"]);
                bind(config, "/usr", "/usr");
            });
            ground.change(&sleeper.directory, types);
            let sleeper = sleeper.start(&[]);
            types_nothing(&on_a_terminal(ground, &format!("exec {} /usr/bin/perl /types.pl", sleeper.id())));
            drop(sleeper);
            ground.is_intact();
        },
        control: |ground| {
            let bundle = ground.oci.bundle(|config| {
                config["process"]["terminal"] = json!(true);
                config["process"]["args"] =
                    json!(["sh", "-c", "test -t 0 && : </dev/tty && echo has a terminal of its own"]);
            });
            let said = on_a_terminal(ground, &format!("run --bundle {} {}", bundle.directory, bundle.id));
            assert!(said.contains("has a terminal of its own"), "{said}");
        },
    },
];

/// As an ordinary user's has in any case.
fn has_a_user_namespace(ground: &Ground, config: &mut Value) {
    if !ground.is_rootless() {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
        namespaces.push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    }
}

/// What a command of the runtime shows on somebody's terminal.
fn on_a_terminal(ground: &Ground, words: &str) -> String {
    let root = testkit::bundle::ROOT;
    ground
        .oci
        .host
        .sh(&format!("script -qec '$C --root {root} {words}' /dev/null </dev/null 2>&1 || :"))
        .stdout
}

#[track_caller]
fn types_nothing(said: &str) {
    assert!(said.contains("done"), "it did not run: {said}");
    assert!(!said.contains("has-"), "the terminal is in reach: {said}");
}
