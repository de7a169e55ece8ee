//! What runs: with which system calls, environment, parameters of the kernel, cgroup; and what a reader who does not read costs.

use super::super::archive::{Image, Tar};
use super::super::foreign_call;
use super::super::ground::Ground;
use super::super::{BOTH, ROOT, Replay};
use serde_json::json;
use std::time::Duration;
use testkit::deadline::{poll, wait_for};
use testkit::{Outcome, Running};

/// Bytes of memory that a process of the engine has for itself, of that which has most.
fn largest(ground: &Ground) -> u64 {
    // By its words: the file that it executes is seen in the mount that keeps it out of reach.
    let is_ours = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|words| words.starts_with(b"/tmp/bin/devoxx-container"))
    };
    let own = |pid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    ground.host.processes().into_iter().filter(is_ours).filter_map(own).max().unwrap_or_default() << 10
}

/// Families of socket(2).
const AF_INET: u32 = 2;
const AF_ALG: u32 = 38;
/// Codes of programs: what a call answered, or how they ended.
const EPERM: i32 = 1;
const ENOSYS: i32 = 38;
const SEGFAULT: i32 = 128 + 11;

/// Puts into a host what tells of all its processors.
const TELLING: &str = "mount -t tmpfs telling /sys/devices/system/cpu; mount -t tmpfs telling /sys/devices/virtual
    mkdir -p /sys/devices/virtual/powercap/intel-rapl; echo 1 >/sys/devices/virtual/powercap/intel-rapl/energy_uj
    cd /sys/devices/system/cpu; for n in 0 1 10; do mkdir -p cpu$n/thermal_throttle; echo 7 >cpu$n/thermal_throttle/count; done
    chmod -R a+rX . /sys/devices/virtual";

/// Words by which a user, or root, gives it to a container.
const SEEN_BY_USER: &[&str] = &["--net", "host"];
const SEEN_BY_ROOT: &[&str] = &[
    "--net",
    "none",
    "-v",
    "/sys/devices/system/cpu:/sys/devices/system/cpu:ro",
    "-v",
    "/sys/devices/virtual:/sys/devices/virtual:ro",
];

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "EN-05",
        what: "programs of a container that list processes, in the way of top",
        users: BOTH,
        mutant: Some("mutant_en_05"),
        attack: |ground| {
            let marks = b"#!/bin/sh\ntouch /tmp/marked; exit 1\n";
            let names = ["bin/ps", "usr/bin/ps", "usr/bin/nsenter", "usr/sbin/nsenter", "usr/local/bin/ps"];
            let layer = names.iter().fold(Tar::default(), |tar, name| tar.program(name, marks));
            ground.has(&Image::of(layer).with("Env", json!(["PATH=/usr/local/bin:/usr/bin:/bin"])), "evil:1");
            ground.start(&["--net", "none"], "one", "evil:1", "exec sleep 1000");
            let top = ground.call(&["top", "one"]).ok();
            assert!(top.stdout.contains("sleep"), "{top}");
            ground.call(&["exec", "one", "test", "!", "-e", "/tmp/marked"]).ok();
            ground.remove("one");
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::of(Tar::default().file("bin/.wh.ps", b"")), "good:1");
            ground.start(&["--net", "none"], "one", "good:1", "exec sleep 1000");
            let top = ground.call(&["top", "one"]).ok();
            assert!(top.stdout.contains("sleep"), "{top}");
        },
    },
    Replay {
        row: "EN-12",
        what: "parameters of the kernel that are the host's",
        users: BOTH,
        mutant: Some("mutant_en_12"),
        attack: |ground| {
            ground.tree("");
            let rootfs = ["--rootfs", "/tmp/work/tree", "true"];
            let run = |network: &str, parameter: &str| {
                let words = [&["run", "--rm", "--net", network, "--sysctl", parameter], &rootfs[..]].concat();
                ground.call(&words).refused(&["sysctl"]);
                ground.is_intact();
            };
            // Of the host that this test has for itself; and then of the machine, to what it is.
            run("host", "net.ipv4.conf.lo.log_martians=1");
            let value = ground.sh("cat /proc/sys/vm/swappiness").ok().line().to_owned();
            run("none", &format!("vm.swappiness={value}"));
            run("none", &format!("net/../vm/swappiness={value}"));
            run("none", &format!("kernel.shm_rmid_forced/../../vm/swappiness={value}"));
        },
        control: |ground| {
            ground.tree("");
            let options =
                ["--sysctl", "net.ipv4.conf.lo.log_martians=1", "--sysctl", "kernel.shm_rmid_forced=1"];
            let script = "cd /proc/sys; cat net/ipv4/conf/lo/log_martians kernel/shm_rmid_forced";
            ground.run_tree(&options, script).ok().prints("1\n1");
            ground.is_intact();
        },
    },
    Replay {
        row: "EN-20",
        what: "variables of the host, and of another container",
        users: BOTH,
        mutant: Some("mutant_en_20"),
        attack: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.run(&["-e", "OF_ANOTHER=x"], "good:1", "true").ok();
            let run = "OF_THE_HOST=x exec $C run --rm --net none good:1 env";
            let names = |text: &str| {
                let mut all: Vec<String> = text
                    .lines()
                    .filter_map(|line| line.split_once('='))
                    .map(|(name, _)| name.to_owned())
                    .collect();
                all.sort();
                all.retain(|name| name != "SHLVL" && name != "PWD");
                all
            };
            let seen = ground.sh(run).ok().stdout;
            assert_eq!(names(&seen), ["HOME", "HOSTNAME", "PATH"], "{seen}");
            ground.start(&["--net", "none", "-e", "OF_THE_START=x"], "one", "good:1", "exec sleep 1000");
            let seen = ground.sh("OF_THE_HOST=x exec $C exec -e OF_THE_EXEC=x one env").ok().stdout;
            assert_eq!(names(&seen), ["HOME", "HOSTNAME", "OF_THE_EXEC", "OF_THE_START", "PATH"], "{seen}");
            let seen = ground.call(&["exec", "one", "env"]).ok().stdout;
            assert!(!seen.contains("OF_THE_EXEC"), "{seen}");
            ground.remove("one");
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            let run = "NAMED=a exec $C run --rm --net none -e NAMED -e SET=b good:1 sh -c 'echo $NAMED $SET'";
            ground.sh(run).ok().prints("a b");
        },
    },
    Replay {
        row: "EN-24",
        what: "a reader who does not read what a container writes without end",
        users: BOTH,
        mutant: Some("mutant_en_24"),
        attack: |ground| {
            ground.has(&Image::base(), "good:1");
            let writes = "$C run --rm --net none --log-driver none good:1 sh -c 'dd if=/dev/zero bs=64k count=8000 2>/dev/null' | sleep 1000";
            let unread = Running::start(&mut ground.host.script(writes));
            wait_for("the container", || {
                (largest(ground) > 0 && !ground.call(&["ps", "-q"]).stdout.is_empty()).then_some(())
            });
            let grown = poll(Duration::from_millis(2500), || {
                let found = largest(ground);
                (found > 64 << 20).then_some(found)
            });
            assert_eq!(grown, None, "bytes that are kept for who does not read them");
            drop(unread);
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            let all = "$C run --rm --net none --log-driver none good:1 sh -c 'dd if=/dev/zero bs=64k count=512 2>/dev/null' | wc -c";
            ground.sh(all).ok().prints("33554432");
        },
    },
    Replay {
        row: "EN-25",
        what: "a container that is in the cgroup of who started it",
        users: ROOT,
        mutant: Some("mutant_at_cgroup"),
        attack: |ground| {
            ground.tree("");
            let modes: [&[&str]; 8] = [
                &[],
                &["--cgroupns", "host"],
                &["--cgroupns", "private"],
                &["--privileged"],
                &["--pid", "host"],
                &["--ipc", "host"],
                &["--userns", "auto"],
                &["--cgroup-parent", "/devoxx-torture"],
            ];
            for mode in modes {
                let words = [
                    &["run", "-d", "--net", "none", "--name", "one", "--memory", "64m"],
                    mode,
                    &["--rootfs", "/tmp/work/tree:O", "sleep", "1000"],
                ];
                let id = ground.call(&words.concat()).ok().line().to_owned();
                let pid =
                    ground.call(&["inspect", "--format", "{{.State.Pid}}", "one"]).ok().line().to_owned();
                let all = ground.host.admin(&format!("cat /proc/{pid}/cgroup")).stdout;
                let memory = all.lines().find(|line| line.contains(":memory:") || line.starts_with("0::"));
                let memory = memory.unwrap_or_else(|| panic!("{mode:?}: {all}"));
                assert!(memory.contains(&id), "{mode:?}: {id} is in {all}");
                if mode.first() == Some(&"--cgroup-parent") {
                    assert!(memory.contains("/devoxx-torture/"), "{mode:?}: {all}");
                }
                ground.remove("one");
            }
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            let words = ["run", "--rm", "--net", "none", "--rootfs", "/tmp/work/tree", "echo", "runs"];
            // Without the step nothing runs at all: that it was left out is noticed before the command may run.
            let run = ground.call(&words);
            assert!(run.stdout == "runs\n" || run.stderr.contains("attestation"), "{run}");
        },
    },
    Replay {
        row: "RT-27",
        what: "namespaces and mounts of its own, made by a container that nobody has allowed it",
        users: BOTH,
        mutant: Some("mutant_rt_27"),
        attack: |ground| {
            ground.tree("");
            for script in [
                "unshare -U true",
                "unshare -Ur true",
                "unshare -UrCm true",
                "unshare -m true",
                "mount -t tmpfs x /tmp",
            ] {
                let run = ground.run_tree(&[], script);
                assert_ne!(run.code, 0, "{script}: {run}");
            }
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            ground
                .run_tree(&["--cap-add", "SYS_ADMIN"], "unshare -m true && echo works")
                .ok()
                .prints("works");
        },
    },
    Replay {
        row: "RT-28",
        what: "a socket of AF_ALG, by which files that are read-only were changed in the kernel's memory",
        users: BOTH,
        mutant: Some("mutant_rt_28"),
        attack: |ground| {
            // SOCK_SEQPACKET. Refused by the filter, whether this kernel has the family or not.
            calls(ground, &format!("socket(my $s, {AF_ALG}, 5, 0)")).ok().prints("EPERM");
            ground.has(&Image::of(foreign_call::programs([AF_ALG, 5, 0])), "evil:1");
            for door in foreign_call::DOORS {
                let code = ground.call(&["run", "--rm", "--net", "none", "evil:1", door.name]).code;
                let refused = code == EPERM || door.may_be_closed && code == SEGFAULT;
                assert!(refused, "{}: {code}", door.name);
            }
            ground.is_intact();
        },
        control: |ground| {
            // SOCK_DGRAM
            calls(ground, &format!("socket(my $s, {AF_INET}, 2, 0)")).ok().prints("made");
            let old = foreign_call::socketcall([AF_INET, 2, 0]);
            let programs = foreign_call::programs([AF_INET, 2, 0]).program("bin/socketcall", &old);
            ground.has(&Image::of(programs), "good:1");
            for door in foreign_call::DOORS.iter().chain(foreign_call::OLD) {
                let code = ground.call(&["run", "--rm", "--net", "none", "good:1", door.name]).code;
                let works = code == 0 || door.may_be_closed && [SEGFAULT, ENOSYS].contains(&code);
                assert!(works, "{}: {code}", door.name);
            }
        },
    },
    Replay {
        row: "EN-23",
        what: "what the processors of the machine do together: power, interrupts, heat",
        users: BOTH,
        mutant: Some("mutant_en_23"),
        attack: |ground| {
            ground.tree("");
            // Most virtual machines have nothing of power and heat. What is put into this host is seen where its /sys, or a part of it, is
            // the container's.
            ground.host.admin(TELLING);
            let read = "cd /sys/devices; cat virtual/powercap/*/energy_uj system/cpu/cpu*/thermal_throttle/* 2>/dev/null; true";
            let seen = if ground.host.is_rootless() { SEEN_BY_USER } else { SEEN_BY_ROOT };
            let words = [&["run", "--rm"], seen, &["--rootfs", "/tmp/work/tree", "sh", "-c", read]];
            ground.call(&words.concat()).ok().prints("");
            ground.host.admin("umount /sys/devices/system/cpu /sys/devices/virtual");
            ground.run_tree(&[], "cat /proc/interrupts").ok().prints("");
            ground.is_intact();
        },
        control: |ground| {
            ground.tree("");
            let read = "grep -c '^cpu0 ' /proc/stat; grep -c ^MemTotal: /proc/meminfo
                test -r /sys/devices/system/cpu/cpu0/topology/core_id && echo topology";
            ground.run_tree(&[], read).ok().prints("1\n1\ntopology");
            // The machine has interrupts to tell of.
            let own = ground.run_tree(&["--privileged"], "head -n 1 /proc/interrupts").ok();
            assert!(own.stdout.contains("CPU0"), "{own}");
        },
    },
];

/// A container of this machine's files, where perl makes a call and prints what became of it.
fn calls(ground: &Ground, call: &str) -> Outcome {
    let script = format!("print {call} ? 'made' : $!{{EPERM}} ? 'EPERM' : $!");
    ground.call(&["run", "--rm", "--net", "none", "--rootfs", "/:O", "perl", "-MErrno", "-e", &script])
}
