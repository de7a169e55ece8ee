//! What a process inside sees and may do: docker's defaults, and the options that change them.

use crate::world::{BUSYBOX, FAILED, World, program};
use std::process::Command;

const DEFAULT_CAPABILITIES: &str = "00000000a80425fb";
const ALL_NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

#[test]
fn namespaces_are_its_own() {
    for world in World::both() {
        let links =
            |names: &str| format!("cd /proc/self/ns; for n in {names}; do echo $n $(readlink $n); done");
        let all = ALL_NAMESPACES.join(" ");
        let host = world.host.sh(&links(&all)).ok().stdout;
        let check = |options: &[&str], names: &[&str], shared: bool| {
            let inside = world.sh(options, &links(&names.join(" "))).ok();
            for line in inside.stdout.lines() {
                assert_eq!(host.lines().any(|own| own == line), shared, "{options:?}: {line}");
            }
            assert_eq!(inside.stdout.lines().count(), names.len());
        };
        // The cgroup namespace is docker's only on cgroup v2.
        check(&[], &["ipc", "mnt", "net", "pid", "uts"], false);
        check(&["--net", "host"], &["net"], true);
        world.sh(&[], "set -- /proc/[0-9]*; echo $# $$").ok().prints("1 1");
    }
}

#[test]
fn mounts_are_dockers_and_none_of_the_hosts() {
    for world in [World::root(), World::cgroup2()] {
        let table = world.run(&[], &["cat", "/proc/self/mountinfo"]).ok().stdout;
        let of = |point: &str| {
            let found = table.lines().find(|line| line.split(' ').nth(4) == Some(point));
            found.unwrap_or_else(|| panic!("{point} is not mounted:\n{table}")).to_owned()
        };
        let check = |point: &str, kind: &str, options: &[&str]| {
            let line = of(point);
            assert!(line.contains(&format!(" - {kind} ")), "{point} is {kind}: {line}");
            let set: Vec<_> = line.split(' ').nth(5).unwrap_or_default().split(',').collect();
            for option in options {
                assert!(set.contains(option), "{point} has {option}: {line}");
            }
        };
        check("/", "overlay", &["rw"]);
        check("/proc", "proc", &["nosuid", "nodev", "noexec"]);
        check("/dev", "tmpfs", &["nosuid"]);
        check("/dev/pts", "devpts", &["nosuid", "noexec"]);
        check("/dev/mqueue", "mqueue", &["nosuid", "nodev", "noexec"]);
        check("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec"]);
        check("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]);
        check("/proc/sys", "proc", &["ro"]);
        for line in table.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            assert!(!fields[4].contains("fixtures") && fields[4] != "/tmp", "a mount of the host: {line}");
            let propagation = fields[6..].iter().take_while(|field| **field != "-");
            assert!(
                propagation.clone().all(|field| !field.starts_with("shared")),
                "shared with the host: {line}"
            );
        }
    }
}

#[test]
fn masked_and_read_only_paths() {
    for world in World::both() {
        let check = |script: &str, expected: &str| drop(world.sh(&[], script).ok().prints(expected));
        for file in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
            check(
                &format!("test ! -e {file} || head -c 1 {file} | wc -c"),
                if exists(&world, file) { "0" } else { "" },
            );
        }
        for directory in ["/proc/acpi", "/proc/scsi", "/sys/firmware"] {
            check(&format!("ls -A {directory} 2>/dev/null | wc -l"), "0");
        }
        for file in [
            "/proc/sys/kernel/hostname",
            "/proc/sysrq-trigger",
            "/sys/kernel/mm/transparent_hugepage/enabled",
        ] {
            check(&format!("test -e {file} && (: >>{file}) 2>/dev/null || echo refused"), "refused");
        }
        // What is the whole machine's, no user may write to.
        if !world.host.is_rootless() {
            world
                .sh(&["--privileged"], "echo x >/proc/sys/kernel/hostname && cat /proc/sys/kernel/hostname")
                .ok()
                .prints("x");
        }
    }
}

#[test]
fn keys_of_the_caller_are_not_for_it() {
    let world = World::root();
    let detached = |options: &[&str]| {
        let words = [&["run", "-d"], options, &[BUSYBOX, "sleep", "1000"]].concat();
        world.host.run(words).ok().line().to_owned()
    };
    // Of a privileged one the list is not masked.
    let id = detached(&["--privileged"]);
    let own = format!("grep -c '_ses.{id}: ' /proc/keys");
    world.host.run(["exec", &id, "sh", "-c", &own]).ok().prints("1");
    let other = detached(&["-u", "app"]);
    world.host.admin(&format!("grep '_ses.{other}: ' /proc/keys"));
    world.host.run(["rm", "-f", &id, &other]).ok();
}

#[test]
fn the_heat_of_processors_is_masked() {
    // Most virtual machines have no such directories; those of this host are seen where its /sys is the container's.
    let world = World::rootless();
    world.host.admin(
        "cd /sys/devices/system/cpu; mount -t tmpfs heat .; cd /sys/devices/system/cpu
        for n in 0 1 10; do mkdir -p cpu$n/thermal_throttle cpu$n/topology
        echo 7 >cpu$n/thermal_throttle/core_throttle_count; echo 9 >cpu$n/topology/core_id; done; chmod -R a+rX .",
    );
    let read =
        "cd /sys/devices/system/cpu; cat cpu*/topology/core_id cpu*/thermal_throttle/* 2>/dev/null; true";
    world.sh(&["--network", "host"], read).ok().prints("9\n9\n9");
    world.sh(&["--network", "host", "--privileged"], read).ok().prints("9\n9\n9\n7\n7\n7");
}

#[test]
fn its_directories_are_closed_to_others() {
    let world = World::root();
    let modes = || world.host.admin("stat -c %a /tmp/data /tmp/run").stdout;
    let closed = |why: &str| {
        world.sh(&[], "true").ok();
        assert_eq!(modes(), "700\n700\n", "{why}");
    };
    // As mkdir(1) and a new disk have them.
    world.host.admin("chmod 755 /tmp/data; mkdir /tmp/data/lost+found; chmod 711 /tmp/run");
    closed("opened to others");
    let stranger = "setpriv --reuid=1 --regid=1 --clear-groups ls /tmp/data/image /tmp/run/supervisors";
    assert_eq!(world.host.sh(stranger).stdout, "");
    let check = |script: &str, says: &[&str]| {
        world.host.admin(script);
        drop(world.sh(&[], "true").refuses(FAILED, says));
        world.host.admin("chown 0 /tmp/data /tmp/run; chmod 700 /tmp/data /tmp/run; rm -rf /tmp/data/site");
        closed(script);
    };
    check("chmod 770 /tmp/run", &["/tmp/run can be written by others", "chmod 700 /tmp/run"]);
    check("chown 1 /tmp/data", &["/tmp/data belongs to user 1, not to 0"]);
    check("mkdir /tmp/data/site; chmod 755 /tmp/data", &["/tmp/data is open to others", "\"site\""]);
    // A group that the owner wants to let through.
    world.host.admin("chmod 710 /tmp/data");
    world.sh(&[], "true").ok();
    assert_eq!(modes(), "710\n700\n");
    // A link of somebody else's leads where he wants.
    let linked =
        "cd /tmp; mkdir -m 700 mine; ln -s /tmp/mine theirs; ln -s /tmp/mine ours; chown -h 1 theirs";
    world.host.admin(linked);
    let at = |link: &str| world.host.sh(&format!("DEVOXX_RUN=/tmp/{link} $C ps -q"));
    at("theirs").refuses(FAILED, &["/tmp/theirs is a link of user 1"]);
    at("ours").ok();
}

#[test]
fn a_supervisor_hears_its_own_user_alone() {
    let world = World::root();
    let id = world.host.run(["run", "-d", BUSYBOX, "sleep", "1000"]).ok().line().to_owned();
    let socket = format!("/tmp/run/supervisors/{id}/socket");
    assert_eq!(world.host.admin(&format!("stat -c %a {socket}")).line(), "600");
    // Even where the way there is open.
    world.host.admin(&format!(
        "chmod 711 /tmp/run /tmp/run/supervisors /tmp/run/supervisors/{id}; chmod 777 {socket}"
    ));
    let hears = |user: u32| {
        let visit = format!(
            "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(1); s.connect('{socket}')\n\
             try: print(len(s.recv(1)))\n\
             except TimeoutError: print('waits')"
        );
        let words = format!("setpriv --reuid={user} --regid={user} --clear-groups python3 -c \"{visit}\"");
        world.host.admin(&words).line().to_owned()
    };
    assert_eq!((hears(1).as_str(), hears(0).as_str()), ("0", "waits"));
    world.host.run(["rm", "-f", &id]).ok();
}

fn exists(world: &World, file: &str) -> bool {
    world.host.path(file).exists()
}

#[test]
fn capabilities_are_dockers() {
    for world in World::both() {
        let check = |options: &[&str], set: &str, expected: &str| {
            let script = format!("sed -n 's/^{set}:[[:space:]]*//p' /proc/self/status");
            world.sh(options, &script).ok().prints(expected);
        };
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            check(&[], set, DEFAULT_CAPABILITIES);
        }
        for set in ["CapInh", "CapAmb"] {
            check(&[], set, "0000000000000000");
        }
        check(&["-u", "app"], "CapEff", "0000000000000000");
        check(&["-u", "app"], "CapBnd", DEFAULT_CAPABILITIES);
        check(&["--cap-drop", "ALL"], "CapBnd", "0000000000000000");
        check(&["--cap-drop", "all", "--cap-add", "NET_ADMIN"], "CapEff", "0000000000001000");
        check(&["--cap-add", "cap_net_admin"], "CapEff", "00000000a80435fb");
        check(&["--cap-drop", "CHOWN"], "CapEff", "00000000a80425fa");
        check(&[], "NoNewPrivs", "0");
        check(&["--security-opt", "no-new-privileges"], "NoNewPrivs", "1");
        check(&["--security-opt", "seccomp=unconfined"], "Seccomp", "0");
        check(&["--privileged"], "Seccomp", "0");
        world.sh(&["--cap-add", "NO_SUCH"], "true").refuses(125, &["NO_SUCH"]);
    }
}

#[test]
fn forbidden_acts_fail() {
    for world in World::both() {
        forbidden_acts_fail_of(&world);
    }
}

fn forbidden_acts_fail_of(world: &World) {
    let check = |options: &[&str], script: &str, allowed: bool| {
        let outcome = world.sh(options, &format!("({script}) >/dev/null 2>&1"));
        assert_eq!(outcome.code == 0, allowed, "{options:?} {script}: {outcome}");
    };
    check(&[], "mount -t tmpfs x /mnt || mount -t tmpfs x /tmp", false);
    check(&["--privileged"], "mount -t tmpfs x /tmp", true);
    check(&[], "unshare -m true", false);
    check(&["--cap-add", "SYS_ADMIN"], "unshare -m true", true);
    check(&[], "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg", false);
    check(&[], "ip link set lo down", false);
    check(&["--cap-add", "NET_ADMIN"], "ip link set lo down", true);
    check(&[], "hostname changed", false);
    check(&[], "umount /proc/sys", false);
    check(&[], "chroot / true", true);
}

/// By the list of cgroup v1, and by the program of cgroup v2.
#[test]
fn devices() {
    for world in [World::root(), World::cgroup2()] {
        devices_of(&world);
    }
}

fn devices_of(world: &World) {
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(options, script).ok().prints(expected))
    };
    check(
        &[],
        // The kernel may be one without /proc/kcore, and then there is no link to it.
        "cd /dev; ls -d * | grep -v core",
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero",
    );
    for (node, number) in [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ] {
        check(&[], &format!("stat -c '%a %t:%T' /dev/{node}"), &format!("666 {number}"));
    }
    check(
        &[],
        "for link in fd stdin ptmx; do readlink /dev/$link; done",
        "/proc/self/fd\n/proc/self/fd/0\npts/ptmx",
    );
    check(&[], "head -c 4 /dev/zero | wc -c; echo x >/dev/null", "4");
    check(&[], "(echo x >/dev/full) 2>/dev/null || echo full", "full");
    check(&["--device", "/dev/full:/dev/mine"], "stat -c '%t:%T' /dev/mine", "1:7");
    // A device that is not among those everybody may write.
    let readable = ["--device", "/dev/net/tun:/dev/mine:r"];
    let script = "(: </dev/mine) && echo read; (: >/dev/mine) 2>/dev/null || echo refused";
    check(&readable, script, "read\nrefused");
    check(&[], "df -k /dev/shm | awk 'NR==2 {print $2}'; stat -c %a /dev/shm", "65536\n1777");
    check(&["--privileged"], "test -c /dev/kmsg && echo all", "all");
}

/// Where the cgroup has no filter for devices, those of the host are bound and no other can be opened.
#[test]
fn devices_that_are_bound() {
    let world = World::rootless();
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(options, script).ok().prints(expected))
    };
    check(
        &["--device", "/dev/full:/dev/mine"],
        "stat -c '%t:%T' /dev/mine; (echo x >/dev/mine) 2>/dev/null || echo full",
        "1:7\nfull",
    );
    check(&["--device", "/dev/full"], "(echo x >/dev/full) 2>/dev/null || echo full", "full");
    world
        .sh(&["--device", "/dev/full:/dev/mine:r"], "true")
        .refuses(125, &["/dev/full", "cannot be enforced"]);
    check(
        &[],
        "mknod /tmp/full c 1 7 2>/dev/null; (: >/tmp/full) 2>/dev/null && test -c /tmp/full || echo no",
        "no",
    );
}

#[test]
fn root_file_system_options() {
    for world in World::both() {
        let check = |options: &[&str], script: &str, expected: &str| {
            drop(world.sh(options, script).ok().prints(expected))
        };
        check(&[], "echo x >/new && cat /new", "x");
        check(
            &["--read-only"],
            "(echo x >/new) 2>/dev/null || echo refused; echo y >/dev/shm/x && cat /dev/shm/x",
            "refused\ny",
        );
        check(
            &["--read-only", "--tmpfs", "/scratch"],
            "echo x >/scratch/f && cat /scratch/f; stat -f -c %T /scratch",
            "x\ntmpfs",
        );
        check(
            &["--tmpfs", "/s:size=64k,mode=700"],
            "df -k /s | awk 'NR==2 {print $2}'; stat -c %a /s",
            "64\n700",
        );
        check(
            &["--tmpfs", "/s:noexec"],
            "cp /bin/busybox /s/true; /s/true 2>/dev/null || echo refused",
            "refused",
        );
    }
}

#[test]
fn limits_of_processes_and_kernel_settings() {
    for world in World::both() {
        let check = |options: &[&str], script: &str, expected: &str| {
            drop(world.sh(options, script).ok().prints(expected))
        };
        check(&["--ulimit", "nofile=512:1024"], "ulimit -Sn; ulimit -Hn", "512\n1024");
        check(&["--ulimit", "nofile=300"], "ulimit -Sn; ulimit -Hn", "300\n300");
        check(&["--ulimit", "core=0"], "ulimit -c", "0");
        check(&["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl", "77");
        check(&["--sysctl", "kernel.shm_rmid_forced=1"], "cat /proc/sys/kernel/shm_rmid_forced", "1");
        // The value that it has: an engine that wrongly takes it changes nothing of the machine.
        let panic = world.host.sh("cat /proc/sys/kernel/panic").ok();
        let setting = format!("kernel.panic={}", panic.line());
        world.sh(&["--sysctl", &setting], "true").refuses(125, &["kernel.panic"]);
        world.sh(&["--ulimit", "nothing=1"], "true").refuses(125, &["nothing"]);
    }
}

#[test]
fn init_reaps_and_passes_signals() {
    for world in World::both() {
        let pid = world.sh(&["--init"], "echo $$").ok();
        assert_ne!(pid.line(), "1");
        // The orphan's end is the event: its parent is then pid 1, who must collect it.
        let script = "(sleep 0.01 & echo $! >/tmp/orphan); p=$(cat /tmp/orphan); n=0
        while [ -e /proc/$p ] && [ $n -lt 500 ]; do usleep 10000; n=$((n+1)); done; test ! -e /proc/$p && echo reaped";
        world.sh(&["--init"], script).ok().prints("reaped");
        let named =
            "tr -d '\\0' </proc/1/cmdline; echo; cat /proc/1/comm; ps -o pid,args | head -n2 | tail -n1";
        world.sh(&["--init", "-e", "SECRET=x"], named).ok().prints("init\ninit\n    1 init");
        world.sh(&["--init"], "exit 9").code(9);
        assert_eq!(world.host.run(["run", "--rm", "--init", BUSYBOX, "true"]).ok().stdout, "");
    }
}

/// CVE-2019-5736: a command `#!/proc/self/exe` has the program that entered the container executed inside, where root could keep its
/// file open, and write to it on the host once it has ended.
#[test]
fn the_program_cannot_be_written_to_from_inside() {
    let world = World::root();
    // An image with the libraries that it needs. Not the program under test itself: should it ever be written to, the other tests go on.
    world.host.admin("mkdir -m 777 /tmp/shared; cp /tmp/bin/devoxx-container /tmp/home/program");
    let program = |words: &str| world.host.sh(&format!("/tmp/home/program {words}"));
    let size = world.host.admin("stat -c %s /tmp/home/program");
    let attack = format!(
        "printf '#!/proc/self/exe\\n' >/evil; chmod 755 /evil; echo ready >/shared/ready
         until [ -e /shared/kept ]; do
             for process in /proc/[0-9]*; do
                 [ \"$(stat -Lc %s $process/exe 2>/dev/null)\" = {} ] && exec 3<$process/exe && echo kept >/shared/kept && break
             done
         done 2>/dev/null
         while :; do
             (echo written >/proc/self/fd/3) 2>/tmp/said && echo written >/shared/said && exit
             grep -q 'Text file busy' /tmp/said || {{ cp /tmp/said /shared/part; mv /shared/part /shared/said; exit; }}
         done",
        size.line()
    );
    world.host.admin(&format!("cat >/tmp/shared/attack <<'SCRIPT'\n{attack}\nSCRIPT"));
    program(
        "run -d --name it --network none -v /tmp/shared:/shared 127.0.0.1:5000/debian:12 bash /shared/attack",
    )
    .ok();
    crate::world::await_file(&world.host, "/tmp/shared/ready");
    testkit::deadline::wait_for("the program's file is open inside", || {
        // What it is told there makes no sense to it.
        drop(program("exec it /evil"));
        world.host.path("/tmp/shared/kept").exists().then_some(())
    });
    let said = crate::world::await_file(&world.host, "/tmp/shared/said");
    assert!(said.contains("Read-only file system"), "{said}");
    world.host.admin("cmp /tmp/bin/devoxx-container /tmp/home/program");
    program("rm -f it").ok();
}

/// Each start of it executes it twice, and each time a dynamic loader would take half a millisecond.
#[test]
fn the_program_loads_no_library() {
    let said = Command::new("ldd").arg(program()).output().unwrap();
    let said = [said.stdout, said.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said).trim(), "not a dynamic executable");
}
