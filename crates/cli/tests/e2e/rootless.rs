//! The same for an ordinary user: no step asks for root.

use crate::world::{BUSYBOX, World, await_file};
use std::os::unix::fs::MetadataExt;
use testkit::Snapshot;
use testkit::deadline::wait_for;

#[test]
fn runs_as_root_inside_and_as_the_user_outside() {
    let world = World::rootless();
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(options, script).ok().prints(expected))
    };
    check(&[], "id -u; echo $$", "0\n1");
    check(&["-u", "app"], "id -u; id -G", "1000\n1000 2000");
    check(&[], "chown 1000:1000 /tmp && stat -c %u /tmp", "1000");
    check(&["--hostname", "named"], "hostname", "named");
    check(&["--net", "none"], "ls /sys/class/net", "lo");
    check(&["--read-only"], "(echo x >/new) 2>/dev/null || echo refused", "refused");
    check(&[], "sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status", "00000000a80425fb");
    check(&[], "ls -d /dev/null /dev/zero /dev/full /dev/tty /dev/urandom | wc -l", "5");
    world.sh(&[], "exit 42").code(42);
    world.run(&[], &["no-such-program"]).code(127);
}

#[test]
fn a_scratch_copy_of_the_machine() {
    let world = World::rootless();
    let check = |options: &[&str], root: &str, script: &str, expected: &str| {
        let words = [&["run", "--rm", "--net", "none"], options, &["--rootfs", root, "sh", "-c", script]];
        world.host.run(words.concat()).ok().prints(expected);
    };
    let before = Snapshot::take(&world.host);
    check(&[], "/:O", "echo $$; ls -d /usr/bin; test -e /etc/passwd && echo files", "1\n/usr/bin\nfiles");
    check(&[], "/:O", "echo x >/new && echo y >/etc/new && cat /new /etc/new", "x\ny");
    check(
        &["--read-only"],
        "/:O",
        "for d in / /usr /etc; do (: >$d/new) 2>/dev/null || echo no; done",
        "no\nno\nno",
    );
    assert!(!host_has(&world, "/new") && !host_has(&world, "/etc/new"), "the copy is thrown away");
    before.assert_same(&world.host, "--rootfs /:O");
    // A directory of root's, with nothing mounted below it.
    let script = "echo x >/etc/new; echo y >/new; cat /etc/new /new; ls /bin/sh; (echo z >/home/app/f) 2>/dev/null || echo no";
    check(&[], "/tmp/fixtures/rootfs/busybox:O", script, "x\ny\n/bin/sh\nno");
    // Below a directory: what is mounted there stays out, what stands beside it is in.
    world.host.admin(
        "mkdir -p /tmp/tree; cp -a /tmp/fixtures/rootfs/busybox/. /tmp/tree; mkdir -p '/tmp/tree/opt/a b/in' /tmp/tree/opt/c
        echo beside >/tmp/tree/opt/file; ln -s file /tmp/tree/opt/link; echo kept >/tmp/tree/opt/c/f
        mount -t tmpfs x '/tmp/tree/opt/a b/in'; echo hidden >'/tmp/tree/opt/a b/in/f'",
    );
    check(
        &[],
        "/tmp/tree:O",
        "cd /opt; cat link c/f; ls 'a b/in' | wc -l; stat -c %a /tmp",
        "beside\nkept\n0\n1777",
    );
    world.host.admin("umount '/tmp/tree/opt/a b/in'; rm -r /tmp/tree");
}

fn host_has(world: &World, path: &str) -> bool {
    world.host.path(path).exists()
}

#[test]
fn every_form_of_an_image() {
    let world = World::rootless();
    for image in ["team/zstd:1", "team/plain:1", "team/docker:1", "debian:12"] {
        let image = world.registry.image(image);
        world
            .host
            .run(["run", "--rm", "--entrypoint", "/bin/sh", &image, "-c", "echo runs"])
            .ok()
            .prints("runs");
    }
    let debian = world.registry.image("debian:12");
    let script =
        "ls /opt/app; stat -c %U:%G /etc/shadow; test ! -e /etc/issue && echo removed; ls -A /opt/app/opaque";
    let expected = "kept\nopaque\nsecond\nthird\nroot:shadow\nremoved\nshown";
    world.host.run(["run", "--rm", &debian, "sh", "-c", script]).ok().prints(expected);
}

#[test]
fn volumes_belong_to_the_user() {
    let world = World::rootless();
    world.host.admin("install -d -o devoxx-test /tmp/shared");
    world.sh(&["-v", "/tmp/shared:/in"], "echo x >/in/f; stat -c %u /in/f").ok().prints("0");
    let file = std::fs::metadata(world.host.path("/tmp/shared/f")).expect("the file is on the host");
    let user = std::fs::metadata(world.host.path("/tmp/data")).expect("the data root is there").uid();
    assert_eq!(file.uid(), user);
    world.sh(&["-v", "named:/data"], "echo x >/data/f").ok();
    world.sh(&["-v", "named:/data"], "cat /data/f").ok().prints("x");
}

#[test]
fn a_published_port_answers() {
    let world = World::rootless();
    world.host.admin("install -d -o devoxx-test /tmp/shared");
    let script =
        "mkdir /www; echo rootless >/www/index.html; echo up >/shared/up; exec httpd -f -p 80 -h /www";
    let _server = world.start(&["-p", "8080:80", "-v", "/tmp/shared:/shared"], script);
    await_file(&world.host, "/tmp/shared/up");
    let answer = wait_for("the port answers", || {
        Some(world.host.sh("curl -sf --max-time 5 http://127.0.0.1:8080/"))
            .filter(|outcome| outcome.code == 0)
    });
    assert_eq!(answer.line(), "rootless");
}

/// A name server that listens on the host's loopback, as a local cache does, answers for the container too.
#[test]
fn the_hosts_own_name_server() {
    let world = World::of(testkit::Host::rootless(&crate::world::program()));
    let server =
        testkit::inside(&world.host, || std::net::UdpSocket::bind("127.0.0.1:53")).expect("bind port 53");
    // Every name is 10.1.2.3: the question, and an answer that points to its name.
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut query) {
            let end = 12 + query[12..length].iter().position(|byte| *byte == 0).unwrap_or(0) + 5;
            let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &query[12..end]].concat();
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 1, 2, 3]);
            server.send_to(&answer, from).ok();
        }
    });
    let image = world.registry.image("debian:12");
    let asks = |options: &[&str]| {
        let script = "sed -n 's/^nameserver //p' /etc/resolv.conf; getent ahostsv4 asked.test | awk 'NR == 1 {print $1}'";
        world.host.run([&["run", "--rm", "--quiet"], options, &[&image, "sh", "-c", script]].concat()).ok()
    };
    asks(&[]).prints("169.254.1.1\n10.1.2.3");
    world.host.run(["network", "create", "app"]).ok();
    asks(&["--net", "app"]).prints("169.254.1.1\n10.1.2.3");
    asks(&["--net", "host"]).prints("127.0.0.1\n10.1.2.3");
}

/// To the namespace of another command these processes belong to strangers.
#[test]
fn containers_of_other_users_end_too() {
    let world = World::rootless();
    world.host.admin("mkdir -m 777 /tmp/shared");
    let before = Snapshot::take(&world.host);
    let names = ["one", "two", "three"];
    let start = |name: &&str| {
        let options = ["--net", "none", "-u", "app", "--name", name, "-v", "/tmp/shared:/shared"];
        let running = world.start(&options, &format!("echo up >/shared/{name}; exec sleep 1000"));
        await_file(&world.host, &format!("/tmp/shared/{name}"));
        running
    };
    let all: Vec<_> = names.iter().map(start).collect();
    let removed = world.host.run(["rm", "--force", "one", "nobody", "two", "three"]).code(125);
    assert_eq!(removed.line(), "one\ntwo\nthree", "{removed}");
    assert!(removed.stderr.contains("no such container: nobody"), "{removed}");
    all.into_iter().for_each(|running| drop(running.wait()));
    before.assert_same(&world.host, "rm --force");
}

#[test]
fn without_a_route_to_the_outside() {
    let world = World::rootless();
    world.host.admin("ip link delete uplink");
    let before = Snapshot::take(&world.host);
    let alone =
        world.sh(&[], "ls /sys/class/net; ip address show lo | grep -c 127.0.0.1").ok().prints("lo\n1");
    assert_eq!(alone.stderr.lines().count(), 1, "{alone}");
    assert!(alone.stderr.contains("no route to the outside"), "{alone}");
    world.sh(&["-p", "8080:80"], "true").refuses(125, &["pasta", "no external routable interface"]);
    before.assert_same(&world.host, "a run without a route");
}

#[test]
fn nothing_is_left() {
    let world = World::rootless();
    world.sh(&["-p", "8080:80"], "true").ok();
    let before = Snapshot::take(&world.host);
    let check = |options: &[&str]| {
        world.sh(options, "true").ok();
        before.assert_same(&world.host, &format!("run {options:?}"));
    };
    check(&[]);
    check(&["-p", "8080:80"]);
    check(&["--net", "none"]);
    world.host.run(["run", "--rm", BUSYBOX, "no-such-program"]).refuses(127, &["no-such-program"]);
    before.assert_same(&world.host, "a program that is not there");
}
