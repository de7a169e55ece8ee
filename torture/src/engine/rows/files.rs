//! Files that a container has links in, and a command of the host's that copies, fills, makes or binds something there.

use super::super::archive::{Entry, Image, Tar};
use super::super::ground::Ground;
use super::super::{BOTH, Replay};
use serde_json::json;
use testkit::deadline::wait_for;

/// An archive with a link, and a file beneath it; and a name that leads up.
fn evil_archive(ground: &Ground) -> String {
    let tar = Tar::default()
        .directory("a")
        .symlink("a/l", "/tmp/canary")
        .file("a/l/evil", b"x")
        .file("a/l/file", b"evil\n");
    ground.file(&tar.bytes())
}

/// Links to the canary, made by a container.
const LINKS: &str = "mkdir /t; ln -s /tmp/canary /t/abs; ln -s ../../../../../../tmp/canary /t/rel; ln -s /tmp/canary/dir /t/dir
    ln -s /tmp/canary/file /t/file; ln -s /proc/1/root/tmp/canary /t/proc";

/// A container with these links, that runs or has ended.
fn with_links(ground: &Ground, name: &str, runs: bool) {
    let script = if runs { format!("{LINKS}; touch /done; exec sleep 1000") } else { LINKS.to_owned() };
    ground.start(&["--net", "none"], name, "good:1", &script);
    match runs {
        true => wait_for("the links", || {
            (ground.call(&["exec", name, "test", "-e", "/done"]).code == 0).then_some(())
        }),
        false => drop(ground.call(&["wait", name]).ok()),
    }
}

/// Whoever else is on the host tries every program of a container that has its owner's rights, and lists what there is.
const STRANGER: &str = r#"find /tmp/data /tmp/run -perm -4000 -type f >/tmp/work/programs
test $(wc -l </tmp/work/programs) -eq 3
setpriv --reuid=12345 --regid=12345 --clear-groups sh -c '
    while read program; do "$program" echo runs; done </tmp/work/programs
    find /tmp/data /tmp/run -mindepth 1' 2>/dev/null || :"#;

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "EN-01",
        what: "cp from and to a place that becomes a link all the time",
        users: BOTH,
        mutant: Some("mutant_en_01"),
        attack: |ground| {
            ground.has(&Image::base(), "good:1");
            let swaps = "mkdir -p /t; touch /done; while :; do ln -s /tmp/canary /t/x; rm /t/x; mkdir /t/x; echo mine >/t/x/secret; rm -r /t/x; done";
            ground.start(&["--net", "none"], "swaps", "good:1", swaps);
            wait_for("the container", || {
                (ground.call(&["exec", "swaps", "test", "-e", "/done"]).code == 0).then_some(())
            });
            ground.sh("echo evil >file").ok();
            for _ in 0..20 {
                ground.sh("rm -rf out; $C cp swaps:/t/x/secret out; cat out");
                ground.call(&["cp", "/tmp/work/file", "swaps:/t/x/file"]);
                ground.call(&["cp", "/tmp/work/file", "swaps:/t/x"]);
            }
            ground.remove("swaps");
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.start(&["--net", "none"], "one", "good:1", "mkdir /real; ln -s real /l; exec sleep 1000");
            ground.sh("echo text >file").ok();
            wait_for("the link", || {
                (ground.call(&["cp", "/tmp/work/file", "one:/l/file"]).code == 0).then_some(())
            });
            ground.sh("$C cp one:/real/file out && cat out").ok().prints("text");
        },
    },
    Replay {
        row: "EN-02",
        what: "programs of a container that unpack and look up, in the way of cp",
        users: BOTH,
        mutant: Some("mutant_en_02"),
        attack: |ground| {
            let marks = b"#!/bin/sh\ntouch /tmp/marked; exit 1\n";
            let names = ["gzip", "gunzip", "unpigz", "pigz", "xz", "unxz", "zstd", "unzstd", "tar", "getent"];
            let layer =
                names.iter().fold(Tar::default(), |tar, name| tar.program(&format!("usr/bin/{name}"), marks));
            let layer =
                layer.file("etc/nsswitch.conf", b"passwd: evil\n").program("lib/libnss_evil.so.2", marks);
            ground.has(&Image::of(layer).with("Env", json!(["PATH=/usr/bin:/bin"])), "evil:1");
            ground.start(&["--net", "none"], "one", "evil:1", "mkdir /t; exec sleep 1000");
            ground
                .sh("echo text >f; tar -czf f.gz f; tar -cJf f.xz f; tar -cf f.tar f; zstd -q f.tar -o f.zst")
                .ok();
            for archive in ["f.gz", "f.xz", "f.zst"] {
                ground
                    .sh(&format!("$C cp - one:/tmp <{archive} && $C cp one:/tmp/f - | tar -xO"))
                    .ok()
                    .prints("text");
            }
            ground.call(&["exec", "-u", "app", "one", "test", "!", "-e", "/tmp/marked"]).ok();
            ground.remove("one");
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.call(&["create", "--name", "one", "good:1"]).ok();
            ground
                .sh("echo text >f; tar -cf f.tar f; tar -czf f.gz f; tar -cJf f.xz f; zstd -q f.tar -o f.zst")
                .ok();
            for archive in ["f.tar", "f.gz", "f.xz", "f.zst"] {
                ground
                    .sh(&format!("$C cp - one:/tmp <{archive} && $C cp one:/tmp/f - | tar -xO"))
                    .ok()
                    .prints("text");
            }
        },
    },
    Replay {
        row: "EN-03",
        what: "cp over links that lead out, of a container that runs and of one that does not",
        users: BOTH,
        mutant: Some("mutant_en_03"),
        attack: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.sh("echo evil >f; mkdir -m 777 d; echo evil >d/g; chmod 777 f").ok();
            for runs in [true, false] {
                let name = if runs { "up" } else { "down" };
                with_links(ground, name, runs);
                for path in ["abs/secret", "rel/secret", "proc/secret"] {
                    ground.call(&["cp", &format!("{name}:/t/{path}"), "-"]).refused(&[]);
                }
                for path in ["abs/made", "rel/made", "proc/made", "file", "dir", "abs", "dir/f"] {
                    ground.call(&["cp", "/tmp/work/f", &format!("{name}:/t/{path}")]);
                }
                for path in ["dir", "abs/dir", "rel"] {
                    ground.call(&["cp", "-a", "/tmp/work/d/.", &format!("{name}:/t/{path}")]);
                }
                ground.remove(name);
            }
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.call(&["create", "--name", "one", "good:1"]).ok();
            ground.sh("echo text >f; chmod 640 f; $C cp -a f one:/tmp/f && rm f && $C cp -a one:/tmp/f f && stat -c %a f && cat f").ok().prints("640\ntext");
        },
    },
    Replay {
        row: "EN-04",
        what: "the place of a volume is a link that leads out, for a start and for cp",
        users: BOTH,
        mutant: Some("mutant_en_04"),
        attack: |ground| {
            ground.has(&Image::of(Tar::default().symlink("v", "/tmp/canary")), "evil:1");
            ground.sh("echo evil >f").ok();
            ground
                .call(&["create", "--net", "none", "--name", "one", "-v", "named:/v/sub", "evil:1", "true"])
                .ok();
            ground.call(&["cp", "/tmp/work/f", "one:/v/sub/f"]);
            ground.call(&["cp", "/tmp/work/f", "one:/v/made"]);
            ground.call(&["start", "-a", "one"]);
            ground.remove("one");
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::of(Tar::default().directory("run").symlink("var", "run")), "good:1");
            ground.sh("echo text >f").ok();
            ground
                .call(&[
                    "create",
                    "--net",
                    "none",
                    "--name",
                    "one",
                    "-v",
                    "named:/var/v",
                    "good:1",
                    "cat",
                    "/run/v/f",
                ])
                .ok();
            ground.call(&["cp", "/tmp/work/f", "one:/var/v/f"]).ok();
            ground.call(&["start", "-a", "one"]).ok().prints("text");
        },
    },
    Replay {
        row: "EN-06",
        what: "an archive that is imported, or copied into a volume, with a link and a file beneath it",
        users: BOTH,
        mutant: Some("mutant_en_06"),
        attack: |ground| {
            let archive = evil_archive(ground);
            ground.call(&["import", &archive, "evil:1"]);
            ground.is_intact();
            ground.has(&Image::base(), "good:1");
            ground
                .call(&["create", "--net", "none", "--name", "one", "-v", "named:/v", "good:1", "true"])
                .ok();
            ground.sh(&format!("$C cp - one:/v <{archive}"));
            ground.sh(&format!("$C cp - one:/ <{archive}"));
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            ground
                .call(&[
                    "create", "--net", "none", "--name", "one", "-v", "named:/v", "good:1", "cat", "/v/l",
                ])
                .ok();
            let tar = Tar::default().file("./f", b"text\n").symlink("./l", "f");
            let archive = ground.file(&tar.bytes());
            ground
                .sh(&format!(
                    "$C cp - one:/v <{archive} && $C export one >out.tar && $C import out.tar mine:1"
                ))
                .ok();
            ground.call(&["start", "-a", "one"]).ok().prints("text");
            ground.run(&[], "mine:1", "echo runs").ok().prints("runs");
        },
    },
    Replay {
        row: "EN-07",
        what: "an image whose files would go over those of a volume",
        users: BOTH,
        mutant: Some("mutant_en_07"),
        attack: |ground| {
            let layer =
                Tar::default().directory("data").file("data/f", b"of the image\n").file("data/g", b"x");
            ground.has(&Image::of(layer), "good:1");
            ground.has(&Image::base(), "base:1");
            ground.run(&["-v", "named:/data"], "base:1", "echo mine >/data/f").ok();
            ground.run(&["-v", "named:/data"], "good:1", "ls -A /data; cat /data/f").ok().prints("f\nmine");
            ground.is_intact();
        },
        control: |ground| {
            let layer = Tar::default().directory("data").file("data/f", b"of the image\n");
            ground.has(&Image::of(layer), "good:1");
            ground.run(&["-v", "named:/data"], "good:1", "cat /data/f").ok().prints("of the image");
        },
    },
    Replay {
        row: "EN-08",
        what: "a part of a volume that a container has made a link",
        users: BOTH,
        mutant: Some("mutant_en_08"),
        attack: |ground| {
            ground.has(&Image::base(), "good:1");
            let links = "cd /v; ln -s /tmp/canary abs; ln -s ../../../../../../tmp/canary rel; ln -s /proc/1/root proc; mkdir in";
            ground.run(&["-v", "named:/v"], "good:1", links).ok();
            for part in ["abs", "rel", "abs/dir", "proc"] {
                let mount = format!("type=volume,source=named,target=/x,volume-subpath={part}");
                ground
                    .run(&["--mount", &mount], "good:1", "cat /x/secret; echo evil >/x/evil")
                    .refused(&[part]);
            }
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.run(&["-v", "named:/v"], "good:1", "cd /v; mkdir in; echo text >in/f; ln -s in l").ok();
            let mount = "type=volume,source=named,target=/x,volume-subpath=l";
            ground.run(&["--mount", mount], "good:1", "cat /x/f").ok().prints("text");
        },
    },
    Replay {
        row: "EN-17",
        what: "volumes of an image whose places lead out",
        users: BOTH,
        mutant: Some("mutant_en_17"),
        attack: |ground| {
            let relative = "../../../../../../tmp/canary";
            let layer = Tar::default().symlink("abs", "/tmp/canary").symlink("rel", relative);
            for place in
                ["/abs", "/abs/made", "/rel", "/rel/made", "/../../../../../tmp/canary", "../tmp/canary"]
            {
                let image = Image::of(layer.clone()).with("Volumes", json!({place: {}}));
                ground.has(&image, "evil:1");
                ground.run(&[], "evil:1", "cat /abs/secret /rel/secret /tmp/canary/secret 2>/dev/null; true");
                ground.is_intact();
            }
            ground.run(&["-v", "named:/abs"], "evil:1", "true");
            ground.host.admin("! find /tmp/data/volumes -name secret | grep .");
            ground.is_intact();
        },
        control: |ground| {
            let layer = Tar::default().directory("data").file("data/f", b"text\n");
            ground.has(&Image::of(layer).with("Volumes", json!({"/data": {}})), "good:1");
            ground
                .run(&[], "good:1", "cat /data/f; grep -c ' /data ' /proc/self/mountinfo")
                .ok()
                .prints("text\n1");
        },
    },
    Replay {
        row: "EN-18",
        what: "a working directory behind a link that leads out",
        users: BOTH,
        mutant: Some("mutant_en_18"),
        attack: |ground| {
            let layer = Tar::default()
                .symlink("abs", "/tmp/canary")
                .symlink("rel", "../../../../../../tmp/canary")
                .symlink("none", "/tmp/canary/none");
            for directory in
                ["/abs/made", "/rel/made", "/none/made", "abs/made", "/abs/../../../tmp/canary/made"]
            {
                ground.has(&Image::of(layer.clone()).with("WorkingDir", json!(directory)), "evil:1");
                ground.run(&[], "evil:1", "pwd; cat secret ../secret");
                ground.is_intact();
            }
        },
        control: |ground| {
            let layer = Tar::default().directory("real").symlink("l", "/real");
            ground.has(&Image::of(layer).with("WorkingDir", json!("/l/made")), "good:1");
            ground.run(&[], "good:1", "pwd -P").ok().prints("/real/made");
        },
    },
    Replay {
        row: "RT-21",
        what: "links in the place of the files that the engine writes",
        users: BOTH,
        mutant: Some("mutant_rt_21"),
        attack: |ground| {
            let up = "../../../../../../../tmp/canary";
            for to in ["/tmp/canary", up] {
                let layer = ["hosts", "hostname", "resolv.conf"].iter().fold(Tar::default(), |tar, name| {
                    tar.symlink(&format!("etc/{name}"), &format!("{to}/{name}"))
                });
                ground.has(&Image::of(layer), "evil:1");
                ground.run(&["--add-host", "evil:10.0.0.1"], "evil:1", "echo x >>/etc/hosts");
                ground.is_intact();
            }
            let layer = Tar::default()
                .symlink("etc/hosts", "/tmp/canary/file")
                .symlink("etc/hostname", "/tmp/canary/dir/f");
            ground.has(&Image::of(layer), "evil:1");
            ground.run(&[], "evil:1", "echo evil >/etc/hosts; echo evil >/etc/hostname");
            ground.is_intact();
            for to in ["/tmp/canary", up] {
                ground.has(&Image::of(Tar::default().symlink("etc", to)), "evil:1");
                ground.run(&[], "evil:1", "echo evil >/etc/hosts");
                ground.is_intact();
            }
        },
        control: |ground| {
            let layer = Tar::default()
                .symlink("etc/resolv.conf", "../run/resolv/conf")
                .directory("run/resolv")
                .file("run/resolv/conf", b"");
            ground.has(&Image::of(layer), "good:1");
            let script = "grep -c nameserver /etc/resolv.conf; awk '$2 == \"other\" {print $1}' /etc/hosts";
            let options = ["--dns", "10.1.2.3", "--add-host", "other:10.0.0.1"];
            ground.run(&options, "good:1", script).ok().prints("1\n10.0.0.1");
        },
    },
    Replay {
        row: "EN-22",
        what: "programs with their owner's rights, in a layer, a container and a volume, for whoever else is on the host",
        users: BOTH,
        mutant: Some("mutant_en_22"),
        attack: |ground| {
            // As mkdir(1) and an image's author make them.
            ground.host.admin("chmod 755 /tmp/data /tmp/run");
            let (name, data) = ("bin/evil", &b"#!/bin/sh\necho runs\n"[..]);
            let layer = Tar::default().entry(&Entry { name, data, mode: 0o4755, ..Entry::default() });
            ground.has(&Image::of(layer), "evil:1");
            let made = "for d in / /v/; do cp /bin/busybox ${d}made; chmod 4755 ${d}made; done; touch /done";
            let script = format!("{made}; exec sleep 1000");
            ground.start(&["--net", "none", "-v", "named:/v"], "one", "evil:1", &script);
            let done = ["exec", "one", "test", "-e", "/done"];
            wait_for("the programs", || (ground.call(&done).code == 0).then_some(()));
            ground.host.admin(STRANGER).prints("");
            ground.host.admin("stat -c %a /tmp/data /tmp/run").prints("700\n700");
            ground.remove("one");
            // Of somebody who lets everything be open.
            let elsewhere = "umask 0; export DEVOXX_ROOT=/tmp/work/data DEVOXX_RUN=/tmp/work/run; $C ps -q; stat -c %a data run";
            ground.sh(elsewhere).ok().prints("700\n700");
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            // Who has other ids than the owner of the directories, or is let through by him.
            let own = if ground.host.is_rootless() { "keep-id" } else { "auto" };
            let reaches = "touch /tmp/made && cat /tmp/made /etc/passwd | grep -c ^root:";
            ground.run(&["--userns", own, "-u", "0"], "good:1", reaches).ok().prints("1");
            ground.host.admin("chmod 710 /tmp/data");
            ground.run(&["--userns", own, "-u", "0"], "good:1", reaches).ok().prints("1");
            ground.host.admin("stat -c %a /tmp/data").prints("710");
        },
    },
];
