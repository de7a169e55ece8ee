//! User namespaces of an ordinary user's containers: `--userns keep-id` and `auto`.

use crate::userns::{detached, exec, first_id, owner};
use crate::world::{BUSYBOX, FAILED, World, await_file};
use testkit::deadline::wait_for;
use testkit::{Outcome, Snapshot};

/// Lines of a map, with one space between numbers.
const MAP: &str = "sed 's/^ *//; s/  */ /g' /proc/self/uid_map";

#[track_caller]
fn keep(world: &World, options: &[&str], script: &str) -> Outcome {
    world.sh(&[&["--net", "none", "--userns", "keep-id"], options].concat(), script).ok()
}

#[test]
fn the_user_keeps_his_id() {
    let world = World::rootless();
    let user = world.host.user();
    let kept =
        |options: &[&str], script: &str, expected: &str| drop(keep(&world, options, script).prints(expected));
    kept(&[], "id -u; id -g", &format!("{user}\n{user}"));
    kept(&[], MAP, &format!("0 1 {user}\n{user} 0 1\n{} {} {}", user + 1, user + 1, 65536 - user));
    // The image's files have the owners that they have in any container.
    let owners = "stat -c '%u:%g %a %n' / /bin /bin/busybox /home/app /tmp /etc/passwd";
    let usual = world.sh(&["--net", "none"], owners).ok();
    kept(&[], owners, usual.line());
    kept(
        &["-u", "root"],
        "id -u; echo x >/root/f && chown 5:6 /root/f && stat -c %u:%g /root/f; rm /bin/vi; echo '# x' >>/etc/passwd && tail -n 1 /etc/passwd",
        "0\n5:6\n# x",
    );
    kept(
        &["-u", "app"],
        "id -u; id -G; echo x >/home/app/f && stat -c %u /home/app/f",
        "1000\n1000 2000\n1000",
    );
    kept(&["-u", "65534"], "id -u", "65534");
    kept(
        &[],
        "(echo x >/etc/f) 2>/dev/null || echo no; echo x >/tmp/f; cat /etc/hosts /etc/resolv.conf >/dev/null && echo read",
        "no\nread",
    );
    kept(
        &["-u", "root"],
        "echo '10.0.0.9 nine' >>/etc/hosts && stat -c %u /etc/hosts /dev /dev/shm",
        "0\n0\n0",
    );
    kept(&[], "sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status", "0000000000000000");
    kept(&["-u", "root"], "sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status", "00000000a80425fb");
    kept(&["-t"], "tty", "/dev/pts/0");
    // He has a name and a home.
    kept(&[], "id -un; echo $HOME; grep -c devoxx-test /etc/passwd", "devoxx-test\n/\n1");
    kept(&["-w", "/srv/x"], "echo $HOME; cd && pwd", "/srv/x\n/srv/x");
    kept(&["--read-only"], "id -un", "devoxx-test");
    kept(&["-u", "root"], "echo $HOME", "/root");
    for option in ["keep-id:uid=200,gid=210", "keep-id:uid=70000,gid=0"] {
        let ids = option.split(['=', ',']).collect::<Vec<_>>();
        world
            .sh(&["--net", "none", "--userns", option], "id -u; id -g; stat -c %u / /bin/busybox")
            .ok()
            .prints(&format!("{}\n{}\n0\n0", ids[1], ids[3]));
    }
    world
        .sh(&["--net", "none", "--userns", "host"], "id -u; cat /proc/self/uid_map | wc -l")
        .ok()
        .prints("0\n2");
}

#[test]
fn files_of_the_user_are_his_on_both_sides() {
    let world = World::rootless();
    let user = world.host.user();
    world.host.admin("install -d -o devoxx-test -g devoxx-test /tmp/shared; install -o devoxx-test -g devoxx-test -m 600 /etc/hostname /tmp/shared/own");
    let script = "cat /in/own >/dev/null && stat -c %u:%g /in /in/own; echo x >/in/f; stat -c %u:%g /in/f";
    keep(&world, &["-v", "/tmp/shared:/in"], script).prints(&format!("{user}:{user}\n").repeat(3));
    assert_eq!(owner(&world, "/tmp/shared/f"), (user, user));
    keep(
        &world,
        &["-u", "root", "-v", "/tmp/shared:/in"],
        "echo x >/in/root; stat -c %u /in/root; cat /in/own >/dev/null",
    )
    .prints("0");
    assert_eq!(owner(&world, "/tmp/shared/root"), (100_000, 100_000));
    world
        .sh(
            &["--net", "none", "--userns", "keep-id:uid=7,gid=8", "-v", "/tmp/shared:/in"],
            "stat -c %u:%g /in/f; echo x >/in/seven",
        )
        .ok()
        .prints("7:8");
    assert_eq!(owner(&world, "/tmp/shared/seven"), (user, user));
    // A volume is for the user to write to, and what the image has there keeps its owner.
    keep(&world, &["-v", "kept:/data"], "echo x >/data/f && stat -c %u /data /data/f")
        .prints(&format!("{user}\n{user}"));
    assert_eq!(owner(&world, "/tmp/data/volumes/kept/_data/f"), (user, user));
    keep(&world, &["-v", "home:/home/app"], "stat -c %u:%g /home/app").prints("1000:1000");
    keep(&world, &["--tmpfs", "/t:mode=1777"], "echo x >/t/f && stat -c %u /t/f").prints(&user.to_string());
    world.run(&["-v", "/tmp/shared:/in:idmap"], &["true"]).refuses(125, &["idmap", "root of the host"]);
}

/// Layers with whiteouts, opaque directories, links and programs that become root: nothing differs but who is asked.
#[test]
fn an_image_is_the_same_for_any_ids() {
    let world = World::rootless();
    let image = world.registry.image("debian:12");
    world.host.run(["pull", "--quiet", &image]).ok();
    let list = |options: &[&str]| {
        let script = "find / -xdev ! -path '/etc/host*' ! -path /etc/resolv.conf ! -path /etc/passwd ! -path '/dev*' ! -path /proc ! -path /sys -printf '%p %y %U:%G %m %s %l %n\\n' | awk '$2 != \"d\" || NF = 4' | sort
            find / -xdev -type f ! -path '/etc/host*' ! -path /etc/resolv.conf ! -path /etc/passwd -exec sha256sum {} + | sort";
        let words = [&["run", "--rm", "--net", "none", "-u", "root"], options, &[&image, "sh", "-c", script]]
            .concat();
        let outcome = world.host.run(words).ok();
        assert!(outcome.stdout.lines().count() > 50, "{outcome}");
        outcome.stdout
    };
    let usual = list(&[]);
    for options in [&["--userns", "keep-id"][..], &["--userns", "auto"], &["--userns", "keep-id:uid=5,gid=6"]]
    {
        for (one, other) in list(options).lines().zip(usual.lines()) {
            assert_eq!(one, other, "{options:?}");
        }
    }
    // They go with the image.
    let copies = || world.host.admin("find /tmp/data/image/mapped -mindepth 2 -maxdepth 2 | wc -l").stdout;
    assert_ne!(copies().trim(), "0");
    world.host.run(["rmi", &image, BUSYBOX]).ok();
    assert_eq!(copies().trim(), "0");
}

#[test]
fn every_command_knows_the_containers_ids() {
    for mode in ["keep-id", "auto"] {
        let world = World::rootless();
        let before = Snapshot::take(&world.host);
        let script = "mkdir /srv; echo one >/srv/f; chown 5:6 /srv/f; chmod 640 /srv/f; rm /etc/group; echo up >/srv/up; exec sleep 1000";
        detached(
            &world,
            "web",
            &["--net", "none", "--userns", mode, "-u", "root", "-v", "kept:/data"],
            script,
        );
        wait_for("the files", || {
            (world.host.run(["exec", "web", "test", "-e", "/srv/up"]).code == 0).then_some(())
        });
        exec(&world, "web", "id -u; stat -c %u:%g /srv/f").prints("0\n5:6");
        world.host.run(["exec", "-u", "app", "web", "id", "-u"]).ok().prints("1000");
        world.host.run(["inspect", "--format", "{{.HostConfig.UsernsMode}}", "web"]).ok().prints(mode);
        assert!(world.host.run(["top", "web"]).ok().stdout.contains("sleep 1000"));
        // The user's own line is in there with keep-id.
        let named = if mode == "keep-id" { "C /etc/passwd\n" } else { "" };
        let changes = format!("A /data\nC /etc\nD /etc/group\n{named}A /srv\nA /srv/f\nA /srv/up");
        world.host.run(["diff", "web"]).ok().prints(&changes);
        let home = |script: &str, expected: &str| {
            drop(world.host.sh(&format!("cd /tmp/home && {script}")).ok().prints(expected))
        };
        let tar = "tar -tv | awk '{print $2, $6}' | sort -k2 | grep srv";
        let user = world.host.user();
        for _ in 0..2 {
            home(&format!("$C cp web:/srv - | {tar}"), "0/0 srv/\n5/6 srv/f\n0/0 srv/up");
            home(&format!("$C export web | {tar}"), "0/0 srv/\n5/6 srv/f\n0/0 srv/up");
            home("$C cp web:/srv/f plain && stat -c %u:%a plain && rm -f plain", &format!("{user}:640"));
            home("echo new >new; $C cp new web:/root/plain; $C cp new web:/data/f", "");
            home(
                "tar -c --owner=11 --group=12 new | $C cp -a - web:/home && $C diff web | grep -c home/new",
                "1",
            );
            world.host.run(["stop", "-t", "0", "web"]).ok();
        }
        world.host.run(["start", "web"]).ok();
        exec(&world, "web", "stat -c '%u:%g %n' /root/plain /data/f /home/new")
            .prints("0:0 /root/plain\n0:0 /data/f\n11:12 /home/new");
        world.host.run(["restart", "-t", "0", "web"]).ok();
        world.host.run(["commit", "web", "made"]).ok();
        for options in [&[][..], &["--userns", "keep-id", "-u", "0"], &["--userns", "auto"]] {
            let words = [
                &["run", "--rm", "--net", "none"],
                options,
                &["made", "stat", "-c", "%u:%g", "/srv", "/srv/f", "/home/new"],
            ];
            world.host.run(words.concat()).ok().prints("0:0\n5:6\n11:12");
        }
        world.host.run(["stop", "-t", "0", "web"]).ok().prints("web");
        world.host.run(["rm", "web"]).ok().prints("web");
        world.host.run(["rmi", "made"]).ok();
        world.host.admin("rm -rf /tmp/home/new");
        world.host.run(["volume", "rm", "kept"]).ok();
        world.host.run(["rmi", BUSYBOX]).ok();
        world.host.run(["pull", BUSYBOX]).ok();
        let left: Vec<String> = before
            .difference(&Snapshot::take(&world.host))
            .into_iter()
            .filter(|line| !line.contains("id-ranges") && !line.ends_with("/image/mapped"))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "{mode}");
    }
}

#[test]
fn the_network() {
    let world = World::rootless();
    for (mode, port) in [("keep-id", "8080"), ("auto", "8081")] {
        world.host.admin("rm -rf /tmp/shared; install -d -m 777 /tmp/shared");
        let script = "mkdir /tmp/www; echo served >/tmp/www/index.html; echo up >/shared/up; exec httpd -f -p 8000 -h /tmp/www";
        let server = world
            .start(&["--userns", mode, "-p", &format!("{port}:8000"), "-v", "/tmp/shared:/shared"], script);
        await_file(&world.host, "/tmp/shared/up");
        let answer = wait_for("the port answers", || {
            Some(world.host.sh(&format!("curl -sf --max-time 5 http://127.0.0.1:{port}/")))
                .filter(|outcome| outcome.code == 0)
        });
        assert_eq!(answer.line(), "served", "{mode}");
        drop(server);
        world.sh(&["--userns", mode], "ls /sys/class/net").ok().prints("eth0\nlo");
        world
            .sh(&["--userns", mode, "--net", "host"], "test -d /sys/class/net/lo && echo there")
            .ok()
            .prints("there");
    }
}

#[test]
fn a_part_of_the_users_ids() {
    let world = World::rootless();
    let user = world.host.user();
    let usual = |script: &str| world.sh(&["--net", "none", "--userns", "auto"], script).ok();
    usual(MAP).prints("0 1024 8191\n65534 9215 1");
    usual("id -u; stat -c %u:%g / /bin/busybox /home/app; echo x >/f; stat -c %u /f; touch /etc/hosts && stat -c %u /etc/hosts").prints("0\n0:0\n0:0\n1000:1000\n0\n0");
    world.sh(&["--net", "none", "--userns", "auto", "-u", "nobody"], "id -u").ok();
    world.sh(&["--net", "none", "--userns", "auto", "-u", "65534"], "id -u").ok().prints("65534");
    world.sh(&["--net", "none", "--userns", "auto:size=2000"], MAP).ok().prints("0 1024 2000");
    for name in ["one", "two"] {
        detached(&world, name, &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    }
    assert_eq!((first_id(&world, "one"), first_id(&world, "two")), (1024, 1024 + 8192));
    for (name, first) in [("one", 1024), ("two", 1024 + 8192)] {
        let pid = world.host.run(["inspect", "--format", "{{.State.Pid}}", name]).ok();
        // Not even its root is the user.
        assert_eq!(owner(&world, &format!("/proc/{}", pid.line())).0, 100_000 - 1 + first, "{name}");
    }
    world.host.admin("install -d -o devoxx-test -m 755 /tmp/shared; install -o devoxx-test -m 600 /etc/hostname /tmp/shared/own");
    let script = "stat -c %u /in; (echo x >/in/f) 2>/dev/null || echo no; cat /in/own 2>/dev/null || echo no";
    world
        .sh(&["--net", "none", "--userns", "auto", "-v", "/tmp/shared:/in"], script)
        .ok()
        .prints("65534\nno\nno");
    world
        .sh(
            &["--net", "none", "--userns", "auto", "-v", "kept:/data"],
            "echo x >/data/f && stat -c %u /data /data/f",
        )
        .ok()
        .prints("0\n0");
    assert_eq!(owner(&world, "/tmp/data/volumes/kept/_data/f").0, 100_000 - 1 + 1024 + 2 * 8192);
    // Another in the same user namespace.
    let namespace = exec(&world, "one", "readlink /proc/self/ns/user");
    world
        .sh(
            &["--net", "none", "--userns", "container:one"],
            "readlink /proc/self/ns/user; id -u; stat -c %u /",
        )
        .ok()
        .prints(&format!("{}\n0\n0", namespace.line()));
    world
        .host
        .run([
            "create",
            "--name",
            "joins",
            "--net",
            "none",
            "--userns",
            "container:one",
            BUSYBOX,
            "readlink",
            "/proc/self/ns/user",
        ])
        .ok();
    world.host.run(["start", "-a", "joins"]).ok().prints(namespace.line());
    world
        .run(&["--userns", "auto:size=60000"], &["true"])
        .refuses(125, &["60000 ids", "65536", "auto:size=N"]);
    world.host.run(["rm", "--force", "one", "two", "joins"]).ok();
    assert!(user > 0);
}

#[test]
fn a_user_with_one_id() {
    let world = World::rootless();
    let user = world.host.user();
    world.host.admin("echo 'other:100000:65536' >/tmp/subuid; for f in subuid subgid; do mount --bind /tmp/subuid /etc/$f; done");
    keep(
        &world,
        &[],
        "id -u; stat -c %u / /bin/busybox; wc -l </proc/self/uid_map; echo x >/f && stat -c %u /f",
    )
    .prints(&format!("{user}\n{user}\n{user}\n1\n{user}"));
    world.run(&["--userns", "auto"], &["true"]).refuses(125, &["no ids", "usermod"]);
    world
        .run(&["--userns", "keep-id", "-u", "0"], &["true"])
        .refuses(125, &["user namespace has no such id"]);
    world
        .host
        .run(["run", "--rm", "--userns", "keep-id:uid=4294967295", BUSYBOX])
        .refuses(FAILED, &["uid is no id"]);
}
