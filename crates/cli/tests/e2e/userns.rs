//! User namespaces of a container's own: `--userns`, as root.

use crate::world::{BUSYBOX, FAILED, World, await_file};
use std::os::unix::fs::MetadataExt;
use testkit::deadline::wait_for;
use testkit::{Outcome, Snapshot};

/// The lowest id that containers of root get where nobody has set a range aside.
pub const FIRST: u32 = 0x7000_0000;

/// `run -d --userns auto --name NAME OPTIONS busybox sh -c SCRIPT`, and waits until it runs.
#[track_caller]
pub fn detached(world: &World, name: &str, options: &[&str], script: &str) {
    let words = [&["run", "-d", "--name", name], options, &[BUSYBOX, "sh", "-c", script]].concat();
    world.host.run(words).ok();
}

#[track_caller]
pub fn exec(world: &World, name: &str, script: &str) -> Outcome {
    world.host.run(["exec", name, "sh", "-c", script]).ok()
}

/// Where the ids of a container begin on the host.
#[track_caller]
pub fn first_id(world: &World, name: &str) -> u32 {
    let shown = world.host.run(["inspect", "--format", "{{json .HostConfig.IDMappings}}", name]).ok();
    let maps: serde_json::Value =
        serde_json::from_str(shown.line()).unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!(maps["UidMap"], maps["GidMap"], "{shown}");
    let text = maps["UidMap"][0].as_str().unwrap_or_default().to_owned();
    text.split(':').nth(1).and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{shown}"))
}

#[track_caller]
pub fn owner(world: &World, path: &str) -> (u32, u32) {
    let found =
        std::fs::symlink_metadata(world.host.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    (found.uid(), found.gid())
}

#[test]
fn a_container_has_ids_of_its_own() {
    for world in [World::root(), World::cgroup2()] {
        let auto = |options: &[&str], script: &str, expected: &str| {
            drop(world.sh(&[&["--userns", "auto"], options].concat(), script).ok().prints(expected));
        };
        auto(&[], "id -u; id -g; tr -s ' ' </proc/self/uid_map", &format!("0\n0\n 0 {FIRST} 65536"));
        auto(&[], "tr -s ' ' </proc/self/gid_map", &format!(" 0 {FIRST} 65536"));
        // The image's files have the owners that they have in any container.
        auto(
            &["-u", "root"],
            "stat -c '%u:%g %n' / /bin/busybox /home/app",
            "0:0 /\n0:0 /bin/busybox\n1000:1000 /home/app",
        );
        auto(
            &[],
            "cd /home/app && echo x >f && chown 1000:2000 f && stat -c %u:%g f && rm -r /home/app && ls /home",
            "1000:2000",
        );
        auto(
            &["-u", "app"],
            "id -u; id -G; echo x >/tmp/f; stat -c %u:%g /tmp/f; cat /etc/hostname >/dev/null",
            "1000\n1000 2000\n1000:1000",
        );
        auto(&["-u", "65534"], "id -u", "65534");
        // The files of the engine are root's, who may write to them.
        auto(
            &[],
            "cd /etc; stat -c %u:%g:%a hosts hostname resolv.conf; echo '10.0.0.9 nine' >>hosts && grep -c nine hosts",
            "0:0:644\n0:0:644\n0:0:644\n1",
        );
        auto(
            &[],
            "stat -c %u /dev /dev/shm /dev/pts /run 2>/dev/null; echo x >/dev/shm/f && echo y >/dev/null",
            "0\n0\n0",
        );
        auto(&["--tmpfs", "/t"], "echo x >/t/f && stat -c %u /t /t/f", "0\n0");
        auto(&[], "sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status", "00000000a80425fb");
        auto(&["--read-only"], "(echo x >/f) 2>/dev/null || echo no", "no");
        auto(&["--init"], "echo $(cat /proc/1/comm)", "init");
        auto(
            &["--net", "host"],
            "test -d /sys/class/net/lo && (echo 1 >/sys/kernel/uevent_helper) 2>/dev/null || echo no",
            "no",
        );
        auto(&["--pid", "host"], "test $$ -gt 1 && test -r /proc/self/status && echo seen", "seen");
        auto(&["--ipc", "host"], "test -d /dev/shm && echo there", "there");
        auto(
            &["--privileged"],
            "awk '/^CapEff/ {print ($2 > \"00000000a80425fb\")}' /proc/self/status; ls /dev/vda /dev/mem 2>/dev/null || :",
            "1",
        );
        // Nothing of the host's can be had by it.
        auto(
            &["--cap-add", "ALL"],
            "(mknod /m c 1 1) 2>/dev/null || echo no; (hostname other && mount -t proc x /mnt) 2>/dev/null; hostname",
            "no\nother",
        );
        auto(&["-t"], "tty; stat -c %u $(tty)", "/dev/pts/0\r\n0");
    }
}

#[test]
fn ranges_belong_to_one_container_until_it_is_removed() {
    let world = World::root();
    world.sh(&["--userns", "auto"], "true").ok();
    let before = Snapshot::take(&world.host);
    let names = ["one", "two", "three"];
    for name in names {
        detached(&world, name, &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    }
    let ids = |names: &[&str]| names.iter().map(|name| first_id(&world, name)).collect::<Vec<_>>();
    assert_eq!(ids(&names), [FIRST, FIRST + 65536, FIRST + 2 * 65536]);
    for name in names {
        let pid = world.host.run(["inspect", "--format", "{{.State.Pid}}", name]).ok();
        assert_eq!(owner(&world, &format!("/proc/{}", pid.line())).0, first_id(&world, name), "{name}");
    }
    // One that does not run keeps them, and has them again.
    world.host.run(["stop", "-t", "0", "two"]).ok();
    world.host.run(["rm", "--force", "one"]).ok();
    world.host.run(["create", "--name", "four", "--userns", "auto:size=100000", BUSYBOX, "true"]).ok();
    world
        .host
        .run(["create", "--name", "five", "--userns", "auto:size=1024", BUSYBOX, "cat", "/proc/self/uid_map"])
        .ok();
    assert_eq!(ids(&["two", "three", "four", "five"]), [1, 2, 3, 0].map(|block| FIRST + block * 65536));
    world.host.run(["start", "two"]).ok();
    exec(&world, "two", "tr -s ' ' </proc/self/uid_map").prints(&format!(" 0 {} 65536", FIRST + 65536));
    let map = world.host.run(["start", "-a", "five"]).ok();
    assert_eq!(map.line().split_whitespace().collect::<Vec<_>>(), ["0", &FIRST.to_string(), "1024"]);
    world.host.run(["restart", "-t", "0", "two"]).ok();
    exec(&world, "two", "id -u; touch /f; stat -c %u /f").prints("0\n0");
    world.host.run(["rm", "--force", "two", "three", "four", "five"]).ok();
    before.assert_same(&world.host, "containers with ids of their own");
    // A start that fails leaves no claim.
    world
        .host
        .run(["run", "--rm", "--userns", "auto", BUSYBOX, "no-such-program"])
        .refuses(127, &["no-such-program"]);
    before.assert_same(&world.host, "a program that is not there");
}

#[test]
fn where_ranges_come_from() {
    let world = World::root();
    let set = |users: &str, groups: &str| {
        world.host.admin(&format!(
            "for f in subuid subgid; do umount /etc/$f 2>/dev/null || :; done
            printf '{users}' >/tmp/subuid; printf '{groups}' >/tmp/subgid
            for f in subuid subgid; do mount --bind /tmp/$f /etc/$f; done"
        ));
    };
    let first = |expected: u32| {
        let map = world.sh(&["--userns", "auto"], "cat /proc/self/uid_map").ok();
        assert_eq!(map.line().split_whitespace().nth(1), Some(expected.to_string().as_str()), "{map}");
    };
    set("ann:100000:65536\\ncontainers:2147483647:2147483648\\n", "containers:2147483647:2147483648\\n");
    first(0x8000_0000);
    // Only what both have.
    set("containers:1000000:300000\\n", "containers:1100000:300000\\n");
    first(1_114_112);
    set("containers:1000000:300000\\n", "containers:9000000:300000\\n");
    world.run(&["--userns", "auto"], &["true"]).refuses(125, &["/etc/subuid", "containers"]);
    set("containers:1000000:300000\\n", "");
    world.run(&["--userns", "auto"], &["true"]).refuses(125, &["/etc/subuid", "containers"]);
    // Where somebody else has a part of what is usual, the rest is left.
    set(
        &format!("ann:{FIRST}:70000\\n"),
        &format!("bob:{}:10\\nnonsense\\nbob:x:y\\n", FIRST + 2 * 65536 + 5),
    );
    first(FIRST + 3 * 65536);
    // As many as there are, and not one more; those of a container that is gone are found again.
    set("containers:131072:131072\\n", "containers:131072:131072\\n");
    for name in ["one", "two"] {
        world.host.run(["create", "--name", name, "--userns", "auto", BUSYBOX, "true"]).ok();
    }
    world.run(&["--userns", "auto"], &["true"]).refuses(125, &["65536 ids", "131072", "remove containers"]);
    world.run(&["--userns", "auto:size=1"], &["true"]).refuses(125, &["1 ids"]);
    world.host.admin("rm -r /tmp/data/containers/$(readlink /tmp/data/containers/by-name/one)");
    first(131_072);
}

#[test]
fn the_network() {
    let world = World::root();
    world.host.admin("mkdir -p -m 777 /tmp/shared");
    let script = "mkdir /www; echo served >/www/index.html; echo up >/shared/up; exec httpd -f -p 80 -h /www";
    detached(&world, "web", &["--userns", "auto", "-p", "8080:80", "-v", "/tmp/shared:/shared"], script);
    await_file(&world.host, "/tmp/shared/up");
    let answer = wait_for("the port answers", || {
        Some(world.host.sh("curl -sf --max-time 5 http://127.0.0.1:8080/"))
            .filter(|outcome| outcome.code == 0)
    });
    assert_eq!(answer.line(), "served");
    let fetches = |options: &[&str]| world.sh(options, "wget -q -O - http://web/").ok().prints("served");
    fetches(&["--userns", "auto"]);
    fetches(&[]);
    world
        .sh(
            &["--userns", "auto", "--net", "container:web"],
            "wget -q -O - http://127.0.0.1/; stat -c %u /sys",
        )
        .ok()
        .prints("served\n65534");
    world.sh(&["--net", "container:web"], "wget -q -O - http://127.0.0.1/").ok().prints("served");
    world
        .sh(&["--userns", "auto", "--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward")
        .ok()
        .prints("1");
    world.host.run(["rm", "--force", "web"]).ok();
}

#[test]
fn a_user_namespace_is_shared() {
    let world = World::root();
    detached(&world, "web", &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    let id = first_id(&world, "web");
    let namespace = exec(&world, "web", "readlink /proc/self/ns/user");
    let with = |options: &[&str], script: &str| {
        world.sh(&[&["--net", "none", "--userns", "container:web"], options].concat(), script).ok()
    };
    with(&[], "readlink /proc/self/ns/user").prints(namespace.line());
    with(&[], "id -u; stat -c %u / /etc/hosts; echo x >/f; stat -c %u /f").prints("0\n0\n0\n0");
    with(&["--pid", "container:web"], "kill -0 1 && cat /proc/1/comm").prints("sleep");
    with(&["-v", "kept:/data"], "echo x >/data/f; stat -c %u /data/f").prints("0");
    with(&["-u", "app"], "id -u").prints("1000");
    // As long as one of them is there, nobody else gets their ids.
    detached(&world, "second", &["--net", "none", "--userns", "container:web"], "exec sleep 1000");
    exec(&world, "second", "id -u").prints("0");
    world.host.run(["rm", "--force", "web"]).ok();
    detached(&world, "other", &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    assert_eq!((first_id(&world, "second"), first_id(&world, "other")), (id, id + 65536));
    world.host.run(["stop", "-t", "0", "second"]).ok();
    world.host.run(["start", "second"]).refuses(FAILED, &["--userns container"]);
    world.host.run(["rm", "second"]).ok();
    detached(&world, "next", &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    assert_eq!(first_id(&world, "next"), id);
    world.run(&["--userns", "container:nobody"], &["true"]).refuses(125, &["no such container", "nobody"]);
}

#[test]
fn garbage_is_refused() {
    let world = World::root();
    for (value, words) in [
        ("own", &["own", "auto[:size=N]"][..]),
        ("auto:", &["auto"]),
        ("auto:size=0", &["size is 0"]),
        ("auto:size=-1", &["size is no id"]),
        ("auto:size=1e3", &["size is no id"]),
        ("auto:size=99999999999", &["size is no id"]),
        ("auto:size=268435457", &["size is more than"]),
        ("auto:size=1,size=2", &["twice"]),
        ("auto:uidmapping=0:1:1", &["uidmapping is no id"]),
        ("keep-id:uid=x", &["uid is no id"]),
        ("host:1", &["host"]),
        ("container:", &["name"]),
    ] {
        world.run(&["--userns", value], &["true"]).refuses(125, &[&["--userns"], words].concat());
        world.host.run(["create", "--userns", value, BUSYBOX]).refuses(FAILED, words);
    }
    for value in ["keep-id", "keep-id:uid=1000"] {
        world
            .run(&["--userns", value], &["true"])
            .refuses(125, &["keep-id", "ordinary users", "--userns auto"]);
    }
    // Too few ids for its user.
    world
        .run(&["--userns", "auto:size=100", "-u", "1000"], &["true"])
        .refuses(125, &["2000", "user namespace has no such id"]);
    world.host.run(["ps", "-aq"]).ok().prints("");
}
