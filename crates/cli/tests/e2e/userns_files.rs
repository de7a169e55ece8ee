//! Whose the files of a container are that has a user namespace of its own: volumes, what commands copy, roots.

use crate::userns::{FIRST, detached, exec, owner};
use crate::world::World;
use testkit::deadline::wait_for;

#[test]
fn volumes() {
    let world = World::root();
    world.host.admin("mkdir -p -m 777 /tmp/shared/plain; mkdir -p /tmp/shared/mapped; chown 1000:1000 /tmp/shared/mapped; echo host >/tmp/shared/mapped/f");
    let auto =
        |options: &[&str], script: &str| world.sh(&[&["--userns", "auto"], options].concat(), script).ok();
    detached(&world, "other", &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    // A volume has the container's ids on the disk, so that any other container finds them.
    auto(
        &["-v", "kept:/data"],
        "echo x >/data/f; echo y >/data/g; chown 1000:2000 /data/g; stat -c %u /data",
    )
    .prints("0");
    assert_eq!(owner(&world, "/tmp/data/volumes/kept/_data/f"), (0, 0));
    assert_eq!(owner(&world, "/tmp/data/volumes/kept/_data/g"), (1000, 2000));
    let script = "stat -c %u:%g /data/f /data/g";
    world.sh(&["-v", "kept:/data"], script).ok().prints("0:0\n1000:2000");
    auto(&["-v", "kept:/data:ro"], &format!("{script}; (echo x >/data/h) 2>/dev/null || echo no"))
        .prints("0:0\n1000:2000\nno");
    // Filled from the image at first use, owners as well.
    auto(&["-v", "home:/home/app"], "stat -c %u:%g /home/app").prints("1000:1000");
    assert_eq!(owner(&world, "/tmp/data/volumes/home/_data"), (1000, 1000));
    auto(&["--mount", "type=volume,src=kept,dst=/data,volume-subpath=f"], "cat /data; stat -c %u /data")
        .prints("x\n0");
    // A directory of the host has the host's ids, unless they are mapped.
    let range = FIRST + 65536;
    auto(&["-v", "/tmp/shared/plain:/in"], "echo x >/in/f; stat -c %u /in /in/f").prints("65534\n0");
    assert_eq!(owner(&world, "/tmp/shared/plain/f"), (range, range));
    for option in [
        &["-v", "/tmp/shared/mapped:/in:idmap"][..],
        &["--mount", "type=bind,src=/tmp/shared/mapped,dst=/in,idmap"],
    ] {
        let script =
            "cat /in/f; stat -c %u:%g /in /in/f; rm -f /in/new; echo x >/in/new; chown 1000:5 /in/new";
        auto(option, script).prints("host\n1000:1000\n0:0");
        assert_eq!(owner(&world, "/tmp/shared/mapped/new"), (1000, 5));
    }
    auto(
        &["-u", "app", "-v", "/tmp/shared/mapped:/in:ro,idmap"],
        "cat /in/new; (echo x >/in/f) 2>/dev/null || echo no",
    )
    .prints("x\nno");
    // Ids of a mount by themselves, as podman has them.
    auto(
        &["-v", &format!("/tmp/shared/mapped:/in:idmap=uids=1000-{range}-1;gids=1000-{range}-1")],
        "stat -c %u:%g /in",
    )
    .prints("0:0");
    world
        .sh(&["-v", "/tmp/shared/mapped:/in:idmap=uids=1000-7-1;gids=1000-8-1"], "stat -c %u:%g /in")
        .ok()
        .prints("7:8");
    for (option, words) in [
        ("/tmp/shared:/in:idmap", &["/tmp/shared", "--userns auto"][..]),
        ("/tmp/shared:/in:idmap=", &["both uid and gid"]),
        ("/tmp/shared:/in:idmap=x", &["idmap", "x"]),
        ("/tmp/shared:/in:idmap=uids=0-0-0;gids=0-0-0", &["0 ids"]),
    ] {
        world.run(&["-v", option], &["true"]).refuses(125, words);
    }
    world.run(&["--mount", "type=tmpfs,target=/t,idmap"], &["true"]).refuses(125, &["idmap", "type=bind"]);
}

#[test]
fn every_command_knows_the_containers_ids() {
    let world = World::root();
    detached(&world, "low", &["--net", "none", "--userns", "auto"], "exec sleep 1000");
    let script = "mkdir /srv; echo one >/srv/f; chown 5:6 /srv/f; chmod 640 /srv/f; rm /etc/group; echo up >/srv/up; exec sleep 1000";
    detached(&world, "web", &["--net", "none", "--userns", "auto", "-v", "kept:/data"], script);
    wait_for("the files", || {
        (world.host.run(["exec", "web", "test", "-e", "/srv/up"]).code == 0).then_some(())
    });
    exec(&world, "web", "id -u; sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status; stat -c %u:%g /srv/f")
        .prints("0\n00000000a80425fb\n5:6");
    world.host.run(["exec", "-u", "app", "web", "id", "-u"]).ok().prints("1000");
    world.host.run(["exec", "-u", "7:8", "web", "id"]).ok().prints("uid=7 gid=8 groups=8");
    world
        .host
        .run([
            "exec",
            "--privileged",
            "web",
            "awk",
            "/^CapEff/ {print ($2 > \"00000000a80425fb\")}",
            "/proc/self/status",
        ])
        .ok()
        .prints("1");
    world.host.run(["inspect", "--format", "{{.HostConfig.UsernsMode}}", "web"]).ok().prints("auto");
    let ps = world.host.run(["ps", "--format", "{{.Names}}"]).ok();
    ps.prints("web\nlow");
    assert!(world.host.run(["top", "web"]).ok().stdout.contains("sleep 1000"));
    world.host.run(["diff", "web"]).ok().prints("A /data\nC /etc\nD /etc/group\nA /srv\nA /srv/f\nA /srv/up");
    let home = |script: &str, expected: &str| {
        drop(world.host.sh(&format!("cd /tmp/home && {script}")).ok().prints(expected))
    };
    let listed = "0/0 srv/\n5/6 srv/f\n0/0 srv/up";
    let tar = "tar -tv | awk '{print $2, $6}' | sort -k2 | grep srv";
    // Out of one that runs, and of one that does not.
    for _ in 0..2 {
        home(&format!("$C cp web:/srv - | {tar}"), listed);
        home(&format!("$C export web | {tar}"), listed);
        home("$C cp web:/srv/f plain && stat -c %u:%g:%a plain; rm plain", "0:0:640");
        home("$C cp -a web:/srv/f kept && stat -c %u:%g:%a kept; rm kept", "5:6:640");
        home(
            "echo new >new; chown 9:10 new; $C cp new web:/root/plain; $C cp -a new web:/root/kept; $C cp new web:/data/f",
            "",
        );
        home(
            "tar -c --owner=11 --group=12 new | $C cp -a - web:/home && $C diff web | grep -c home/new",
            "1",
        );
        world.host.run(["stop", "-t", "0", "web"]).ok();
    }
    world.host.run(["start", "web"]).ok();
    exec(&world, "web", "stat -c '%u:%g %n' /root/plain /root/kept /data/f /home/new")
        .prints("0:0 /root/plain\n9:10 /root/kept\n0:0 /data/f\n11:12 /home/new");
    assert_eq!(owner(&world, "/tmp/data/volumes/kept/_data/f"), (0, 0));
    world.host.run(["commit", "web", "made"]).ok();
    let made = |options: &[&str]| {
        let words = [
            &["run", "--rm", "--net", "none"],
            options,
            &["made", "stat", "-c", "%u:%g", "/srv", "/srv/f", "/root/kept"],
        ];
        world.host.run(words.concat()).ok().prints("0:0\n5:6\n9:10");
    };
    made(&[]);
    made(&["--userns", "auto"]);
    world.host.run(["pause", "web"]).ok();
    world.host.run(["unpause", "web"]).ok();
    world.host.run(["stop", "-t", "0", "web"]).ok().prints("web");
    world.host.run(["rm", "web"]).ok().prints("web");
}

#[test]
fn directories_of_the_host() {
    let world = World::root();
    world.host.admin("cp -a /tmp/fixtures/rootfs/busybox /tmp/tree; chown 5:6 /tmp/tree/tmp; mkdir /tmp/tree/below; mount -t tmpfs x /tmp/tree/below");
    let run = |root: &str, script: &str, expected: &str| {
        world
            .host
            .run(["run", "--rm", "--userns", "auto", "--rootfs", root, "sh", "-c", script])
            .ok()
            .prints(expected);
    };
    run(
        "/tmp/tree:O",
        "id -u; stat -c %u:%g / /bin /tmp; echo x >/new; chown 7:8 /new; stat -c %u:%g /new /below",
        "0\n0:0\n0:0\n5:6\n7:8\n0:0",
    );
    assert!(!world.host.path("/tmp/tree/new").exists());
    run(
        "/tmp/tree",
        "stat -c %u:%g / /bin /tmp; echo x >/new; chown 7:8 /new; stat -c %u:%g /new /below",
        "0:0\n0:0\n5:6\n7:8\n65534:65534",
    );
    assert_eq!(owner(&world, "/tmp/tree/new"), (7, 8));
    world.host.admin("umount /tmp/tree/below; rm -r /tmp/tree");
}

/// Programs of an image that become another user, or have capabilities, do so as root of their own.
#[test]
fn privileged_programs_of_an_image() {
    let world = World::root();
    let debian = world.registry.image("debian:12");
    let script = "cp /usr/bin/id /s && chmod 4755 /s && setpriv --reuid 1000 --clear-groups /s -u
        cp /usr/bin/head /c && setcap cap_dac_override+ep /c 2>/dev/null || python3 -c pass 2>/dev/null
        setpriv --reuid 1000 --clear-groups cat /etc/shadow 2>/dev/null || echo closed";
    world
        .host
        .run(["run", "--rm", "--quiet", "--userns", "auto", &debian, "sh", "-c", script])
        .ok()
        .prints("0\nclosed");
    // Given on one side, written on the other: its capabilities go with a file.
    world
        .host
        .run(["run", "-d", "--net", "none", "--name", "deb", "--userns", "auto", &debian, "sleep", "1000"])
        .ok();
    world.host.admin(
        "cd /tmp/home; cp /usr/bin/id one; python3 -c \"import os; os.setxattr('one', 'security.capability', bytes.fromhex('0100000202000000000000000000000000000000'))\"",
    );
    let read = "python3 -c \"import os, sys; print(os.getxattr(sys.argv[1], 'security.capability').hex())\"";
    world.host.sh("cd /tmp/home && $C cp one deb:/one && $C cp deb:/one two").ok();
    world
        .host
        .sh(&format!("cd /tmp/home && {read} two"))
        .ok()
        .prints("0100000202000000000000000000000000000000");
    world
        .host
        .sh(&format!("{read} /tmp/data/containers/$(readlink /tmp/data/containers/by-name/deb)/upper/one"))
        .ok()
        .prints("0100000202000000000000000000000000000000");
    world.host.run(["rm", "--force", "deb"]).ok();
}
