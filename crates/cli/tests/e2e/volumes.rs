//! Directories of the host and named volumes inside a container, and what they hold afterwards.

use crate::world::{BUSYBOX, World};
use std::os::unix::fs::MetadataExt;
use testkit::deadline::wait_for;
use testkit::{Running, Snapshot};

#[test]
fn a_directory_of_the_host() {
    for world in World::both() {
        world.host.admin("mkdir -p /tmp/shared/sub; chmod 777 /tmp/shared; echo host >/tmp/shared/file");
        let check = |option: &[&str], script: &str, expected: &str| {
            drop(world.sh(option, script).ok().prints(expected))
        };
        check(
            &["-v", "/tmp/shared:/in"],
            "cat /in/file; echo inside >/in/written; ls /in",
            "host\nfile\nsub\nwritten",
        );
        assert_eq!(
            std::fs::read_to_string(world.host.path("/tmp/shared/written")).ok().as_deref(),
            Some("inside\n")
        );
        check(
            &["-v", "/tmp/shared:/in:ro"],
            "cat /in/file; (echo x >/in/file) 2>/dev/null || echo refused",
            "host\nrefused",
        );
        check(&["-v", "/tmp/shared:/a/new/place"], "cat /a/new/place/file", "host");
        check(&["-v", "/tmp/shared/file:/etc/one"], "cat /etc/one", "host");
        check(
            &["-v", "/tmp/shared:/in", "-v", "/tmp/shared/sub:/in/file2"],
            "test -d /in/file2 && echo both",
            "both",
        );
        check(&["--mount", "type=bind,source=/tmp/shared,target=/in"], "cat /in/file", "host");
        check(
            &["--mount", "type=bind,src=/tmp/shared,dst=/in,readonly"],
            "(echo x >/in/file) 2>/dev/null || echo refused",
            "refused",
        );
        check(
            &["--mount", "type=tmpfs,target=/t,tmpfs-size=65536"],
            "df -k /t | awk 'NR==2 {print $2}'",
            "64",
        );
        assert_eq!(
            std::fs::read_to_string(world.host.path("/tmp/shared/file")).ok().as_deref(),
            Some("host\n")
        );
    }
}

#[test]
fn read_only_holds_for_what_is_mounted_below() {
    for world in World::both() {
        world.host.admin("mkdir -p /tmp/shared/below; mount -t tmpfs below /tmp/shared/below");
        world
            .sh(&["-v", "/tmp/shared:/in:ro"], "(echo x >/in/below/f) 2>/dev/null || echo refused")
            .ok()
            .prints("refused");
    }
}

#[test]
fn owners_on_the_host_are_those_inside() {
    let world = World::root();
    world.host.admin("mkdir -m 777 /tmp/shared");
    world.sh(&["-v", "/tmp/shared:/in", "-u", "1000:2000"], "echo x >/in/f").ok();
    let file = std::fs::metadata(world.host.path("/tmp/shared/f")).expect("the file is on the host");
    assert_eq!((file.uid(), file.gid()), (1000, 2000));
}

#[test]
fn a_named_volume_lasts() {
    for world in World::both() {
        let check = |option: &[&str], script: &str, expected: &str| {
            drop(world.sh(option, script).ok().prints(expected))
        };
        check(&["-v", "kept:/data"], "ls /data; echo first >/data/f", "");
        check(&["-v", "kept:/other"], "cat /other/f", "first");
        check(&["--mount", "type=volume,source=kept,target=/data"], "cat /data/f", "first");
        check(&["-v", "kept:/data:ro"], "(echo x >/data/f) 2>/dev/null || echo refused", "refused");
        // A new volume begins with what the image has at that place, owner and mode as well.
        check(&["-v", "home:/home/app"], "stat -c '%u:%g' /home/app", "1000:1000");
    }
}

/// Only what is empty is filled, by one container, and completely: also by the start after one that was killed.
#[test]
fn a_volume_is_filled_once() {
    for world in World::both() {
        let files = "mkdir -p /data/deep && cd /data && echo image >f && echo g >deep/g && chmod 750 deep && chown 1000:2000 deep . && chmod 711 .";
        let words = ["run", "--name", "made", "--net", "none", BUSYBOX, "sh", "-c", files];
        world.host.run(words).ok();
        world.host.run(["commit", "made", "filled"]).ok();
        world.host.run(["rm", "made"]).ok();
        let run = |volume: &str, script: &str| {
            let volume = format!("{volume}:/data");
            world.host.run(["run", "--rm", "--net", "none", "-v", &volume, "filled", "sh", "-c", script])
        };
        let see = "cd /data; find . | sort; cat f deep/g; stat -c '%a %u:%g' . deep";
        let whole = ".\n./deep\n./deep/g\n./f\nimage\ng\n711 1000:2000\n750 1000:2000";
        run("new", see).ok().prints(whole);
        run("new", "cd /data; rm -r deep; echo mine >f").ok();
        run("new", "cd /data; find . | sort; cat f").ok().prints(".\n./f\nmine");
        // By an image that has nothing at this place.
        let put = |volume: &str, script: &str| {
            let mount = format!("{volume}:/v");
            world.host.run(["run", "--rm", "--net", "none", "-v", &mount, BUSYBOX, "sh", "-c", script]).ok();
        };
        for (volume, script) in [("dot", "touch /v/.dot"), ("directory", "mkdir /v/empty")] {
            put(volume, script);
            run(volume, "find /data | wc -l").ok().prints("2");
        }
        // What somebody has written meanwhile is his, and a name of ours that is no copy of ours too.
        put("kept", "cd /v; mkdir .devoxx-copied; echo image >.devoxx-copied/f; echo mine >f");
        run("kept", "cat /data/f").ok().prints("mine");
        put("named", "echo text >/v/.devoxx-copied");
        run("named", "ls -A /data").ok().prints(".devoxx-copied");
        // Nor is it waited for by a lock that whoever has the volume may hold.
        put("locked", "echo mine >/v/f");
        let holds = Running::start(&mut world.host.script(
            "exec flock $DEVOXX_ROOT/volumes/locked/_data sh -c 'echo held; exec sleep 1000' >/tmp/home/held",
        ));
        wait_for("the lock", || {
            std::fs::read_to_string(world.host.path("/tmp/home/held")).ok().filter(|text| text == "held\n")
        });
        run("locked", "cat /data/f").ok().prints("mine");
        drop(holds);
        // Killed while it was copied, and while the copy moved into its place.
        for (volume, left) in [
            ("copying", "mkdir -p .devoxx-copying/deep; echo half >.devoxx-copying/f"),
            (
                "copied",
                "mkdir -p .devoxx-copied/deep; echo g >.devoxx-copied/deep/g; chmod 750 .devoxx-copied/deep
                        chown 1000:2000 .devoxx-copied/deep; echo image >f",
            ),
        ] {
            put(volume, &format!("cd /v; {left}"));
            run(volume, see).ok().prints(whole);
        }
        let starts = "for n in 1 2 3 4 5 6; do $C run --rm --net none -v many:/data filled sh -c 'cat /data/f /data/deep/g' & done; wait";
        let all = world.host.sh(starts).ok();
        let count = |text: &str| all.stdout.lines().filter(|line| *line == text).count();
        assert_eq!((count("image"), count("g"), all.stderr.as_str()), (6, 6, ""), "{all}");
        run("many", see).ok().prints(whole);
    }
}

#[test]
fn volumes_of_the_image_end_with_rm() {
    for world in World::both() {
        let image = "127.0.0.1:5000/team/config:1";
        world.host.run(["pull", image]).ok();
        let run = [
            "run",
            "--rm",
            "-u",
            "root",
            "--entrypoint",
            "sh",
            image,
            "-c",
            "echo x >/data/f; grep -c ' /data ' /proc/self/mountinfo",
        ];
        world.host.run(run).ok().prints("1");
        let before = Snapshot::take(&world.host);
        world.host.run(run).ok().prints("1");
        before.assert_same(&world.host, "a volume of the image");
    }
}

#[test]
fn a_link_in_the_image_does_not_lead_out() {
    let world = World::root();
    world.host.admin("mkdir -p /tmp/shared /tmp/victim; cp -a /tmp/fixtures/rootfs/busybox /tmp/tree; ln -s /tmp/victim /tmp/tree/link; ln -s ../../../../tmp/victim /tmp/tree/up");
    for target in ["/link/x", "/up/y"] {
        world.host.run([
            "run",
            "--rm",
            "-v",
            &format!("/tmp/shared:{target}"),
            "--rootfs",
            "/tmp/tree",
            "true",
        ]);
        let made = std::fs::read_dir(world.host.path("/tmp/victim")).expect("the directory is there").count();
        assert_eq!(made, 0, "{target} made something on the host");
    }
}
