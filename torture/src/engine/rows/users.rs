//! Who a process becomes, by files and fields of an image that say so.

use super::super::archive::Image;
use super::super::{BOTH, ORDINARY, Replay};
use serde_json::json;

/// Lines whose names are numbers, all of root.
const ODD: &str = "for n in 1000 2147483648 4294967295 4294967296 99999999999 -1 +1 0x0; do echo \"$n:x:0:0::/:/bin/sh\"; done >etc/passwd
    echo app:x:1000:1000::/:/bin/sh >>etc/passwd";

/// The further groups of a process, in the order of the kernel.
const GROUPS: &str = "sed -n 's/^Groups:[[:space:]]*//p' /proc/self/status";

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "RT-02",
        what: "a line of /etc/passwd whose name is a number",
        users: BOTH,
        mutant: Some("mutant_rt_02"),
        attack: |ground| {
            ground.tree("sed -i '1i 1000:x:0:0::/:/bin/sh' etc/passwd");
            ground.run_tree(&["-u", "1000"], "id -u").ok().prints("1000");
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            ground.run_tree(&["-u", "app"], "id -u").ok().prints("1000");
        },
    },
    Replay {
        row: "EN-09",
        what: "pipes, devices and links in the place of /etc/passwd and /etc/group",
        users: BOTH,
        mutant: Some("mutant_en_09"),
        attack: |ground| {
            let run = |what: &str, words: &[&str]| {
                for file in ["passwd", "group"] {
                    ground.tree(&format!("rm etc/{file}; cd etc; {}", what.replace('_', file)));
                    ground.run_tree(&["-u", "app:extra"], "id -u").refused(words);
                }
            };
            run("mkfifo _", &["is no regular file"]);
            run("mkdir _", &["is no regular file"]);
            run("mknod _ c 1 5", &["/etc/"]);
            run("ln -s /tmp/canary/secret _", &["unable to find"]);
            run("ln -s /proc/self/fd/0 _", &["/etc/"]);
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("mv etc/passwd etc/real; ln -s /etc/real etc/passwd");
            ground.run_tree(&["-u", "app"], "id -u").ok().prints("1000");
            ground.tree("rm etc/passwd etc/group");
            ground.run_tree(&["-u", "5:6"], "id -u; id -g").ok().prints("5\n6");
        },
    },
    Replay {
        row: "EN-10",
        what: "an /etc/group, or one line of it, that has no end",
        users: BOTH,
        mutant: Some("mutant_en_10"),
        attack: |ground| {
            for fill in ["truncate -s 11M etc/group", "head -c 11M /dev/zero | tr '\\0' x >>etc/group"] {
                ground.tree(fill);
                ground.run_tree(&["-u", "app"], "id -u").refused(&["/etc/group has more than"]);
            }
            ground.tree("truncate -s 2G etc/passwd");
            let run = "ulimit -d 65536; exec $C run --rm --net none --rootfs /tmp/work/tree -u app id";
            ground.sh(run).refused(&["/etc/passwd has more than"]);
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("for n in $(seq 10000); do echo \"group$n:x:$n:a,b,c,d,e\"; done >>etc/group; echo last:x:7:app >>etc/group");
            ground.run_tree(&["-u", "app"], GROUPS).ok().prints("7 1000 2000");
        },
    },
    Replay {
        row: "EN-11",
        what: "a working directory of an image that is a line of /etc/passwd",
        users: ORDINARY,
        mutant: Some("mutant_en_11"),
        attack: |ground| {
            for directory in ["/a:b", "/a\nroot2::0:0::/:/bin/sh"] {
                ground.has(&Image::base().with("WorkingDir", json!(directory)), "evil:1");
                ground.run(&["--userns", "keep-id"], "evil:1", "cat /etc/passwd").refused(&["line break"]);
            }
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base().with("WorkingDir", json!("/mit Leerzeichen/ü")), "good:1");
            let script = "pwd; tail -n 1 /etc/passwd | cut -d: -f6";
            let both = "/mit Leerzeichen/ü\n/mit Leerzeichen/ü";
            ground.run(&["--userns", "keep-id"], "good:1", script).ok().prints(both);
        },
    },
    Replay {
        row: "EN-13",
        what: "users of an image that are numbers beyond all, with lines of these names",
        users: BOTH,
        mutant: Some("mutant_en_13"),
        attack: |ground| {
            ground.tree(ODD);
            for user in ["2147483648", "4294967295", "4294967296", "99999999999", "-1", "+1", "0x0"] {
                let user = format!("--user={user}");
                ground.run_tree(&[&user], "id -u").refused(&["id"]);
            }
            ground.has(&Image::base().with("User", json!("4294967295")), "evil:1");
            ground.run(&[], "evil:1", "id -u").refused(&["out of range"]);
            ground.is_intact();
        },
        control: |ground| {
            ground.tree(ODD);
            for (user, id) in [("app", "1000"), ("65534", "65534")] {
                ground.run_tree(&["-u", user], "id -u").ok().prints(id);
            }
        },
    },
    Replay {
        row: "EN-14",
        what: "the own group that a process could give up, and gain by it",
        users: BOTH,
        mutant: Some("mutant_en_14"),
        attack: |ground| {
            ground.tree("echo denied:x:3000:app,root >>etc/group");
            ground.run_tree(&["-u", "app"], GROUPS).ok().prints("1000 2000 3000");
            ground.run_tree(&["-u", "app:extra"], GROUPS).ok().prints("2000");
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            let options = ["-u", "app", "--group-add", "daemon", "--group-add", "77"];
            let further = format!("{GROUPS} | sed 's/1000 //'");
            ground.run_tree(&options, &further).ok().prints("1 77 2000");
        },
    },
];
