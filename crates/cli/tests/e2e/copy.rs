//! Files of containers: `cp`, `diff`, `export`, `commit`, of containers that run and of those that do not.

use crate::world::{BUSYBOX, FAILED, World, program};
use testkit::{Host, Snapshot};

fn worlds() -> [World; 2] {
    [Host::root(&program()), Host::rootless(&program())].map(|host| {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        // The files of the network are made with the first container, and stay.
        world.host.run(["create", "--name", "first", BUSYBOX]).ok();
        world.host.run(["rm", "first"]).ok();
        world
    })
}

/// A container with some files in it; it runs, or has ended.
#[track_caller]
fn container(world: &World, name: &str, runs: bool) {
    let files = "mkdir -p /srv/tree/deep && echo one >/srv/tree/f && echo two >/srv/tree/deep/g && ln -s f /srv/tree/link \
                 && ln -s /srv/tree /srv/way && chmod 640 /srv/tree/f && chown 5:6 /srv/tree/f";
    let script = if runs { format!("{files} && touch /done && exec sleep 1000") } else { files.to_owned() };
    world.host.run(["run", "-d", "--net", "none", "--name", name, BUSYBOX, "sh", "-c", &script]).ok();
    if runs {
        testkit::deadline::wait_for("the files", || {
            (world.host.run(["exec", name, "test", "-e", "/done"]).code == 0).then_some(())
        });
    } else {
        world.host.run(["wait", name]).ok().prints("0");
    }
}

#[test]
fn out_of_a_container() {
    fn check(world: &World, name: &str) {
        let cp = |from: &str, to: &str| world.host.sh(&format!("cd /tmp/home && $C cp {name}:{from} {to}"));
        let shows = |script: &str, expected: &str| {
            world.host.sh(&format!("cd /tmp/home && {script}")).ok().prints(expected);
        };
        // A file: to a new name, over a file, into a directory.
        cp("/srv/tree/f", "new").ok();
        shows("cat new; stat -c '%a %u' new", &format!("one\n640 {}", world.host.user()));
        cp("/srv/tree/deep/g", "new").ok();
        shows("cat new; stat -c %a new", "two\n644");
        shows("mkdir into", "");
        cp("srv/tree/f", "into").ok();
        cp("/srv/tree/deep/g", "into/").ok();
        shows("cat into/f into/g", "one\ntwo");
        // A directory: it becomes the new name, goes into a directory, or only its contents do.
        cp("/srv/tree", "made").ok();
        shows("cat made/f made/deep/g; readlink made/link", "one\ntwo\nf");
        cp("/srv/tree", "into").ok();
        shows("cat into/tree/deep/g", "two");
        cp("/srv/tree/.", "into").ok();
        shows("cat into/deep/g", "two");
        // A link is itself, unless it is followed.
        cp("/srv/way", "way").ok();
        shows("readlink way", "/srv/tree");
        cp("/srv/way/", "followed").ok();
        shows("cat followed/f", "one");
        world.host.sh(&format!("cd /tmp/home && $C cp -L {name}:/srv/tree/link same")).ok();
        shows("cat same", "one");
        // An archive.
        shows(
            &format!("$C cp {name}:/srv/tree - | tar -tv | awk '{{print $2, $6}}' | sort -k2"),
            "0/0 tree/\n0/0 tree/deep/\n0/0 tree/deep/g\n5/6 tree/f\n0/0 tree/link",
        );
        shows("rm -rf new into made way followed same", "");
        // Mistakes.
        cp("/nowhere", "x").refuses(FAILED, &["/nowhere", "no such file or directory"]);
        cp("/srv/tree/f/", "x").refuses(FAILED, &["/srv/tree/f/", "not a directory"]);
        cp("/srv/tree", "no/where").refuses(FAILED, &["no: no such directory"]);
        shows("touch file", "");
        cp("/srv/tree", "file").refuses(FAILED, &["a directory cannot be copied over a file"]);
        cp("/srv/tree/f", "file/").refuses(FAILED, &["file/: not a directory"]);
        cp("/srv/tree/f", "absent/").refuses(FAILED, &["absent/: no such directory"]);
        shows("rm file; ls", "");
    }
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        container(&world, "up", true);
        check(&world, "up");
        container(&world, "down", false);
        check(&world, "down");
        world.host.run(["rm", "-f", "up", "down"]).ok();
        before.assert_same(&world.host, "cp out of containers");
    }
}

#[test]
fn into_a_container() {
    fn check(world: &World, name: &str, see: &dyn Fn(&str) -> String) {
        let cp = |from: &str, to: &str| world.host.sh(&format!("cd /tmp/home && $C cp {from} {name}:{to}"));
        cp("tree/f", "/srv/new").ok();
        assert_eq!(see("cat /srv/new; stat -c '%a %u:%g' /srv/new"), "host\n600 0:0");
        cp("tree", "/srv/made").ok();
        assert_eq!(see("cat /srv/made/deep/g"), "deep");
        cp("tree", "/srv/tree").ok();
        assert_eq!(see("cat /srv/tree/tree/f /srv/tree/f"), "host\none");
        cp("tree/.", "/srv/tree").ok();
        assert_eq!(see("cat /srv/tree/f /srv/tree/deep/g"), "host\ndeep");
        // Through a link that leads to a directory of the container, and over a file behind a link.
        cp("tree/f", "/srv/way/through").ok();
        assert_eq!(see("cat /srv/tree/through"), "host");
        cp("tree/deep/g", "/srv/tree/link").ok();
        assert_eq!(see("readlink /srv/tree/link; cat /srv/tree/f"), "f\ndeep");
        // What is mounted stays mounted.
        if name == "up" {
            cp("tree/f", "/etc/hosts").ok();
            assert_eq!(see("cat /etc/hosts"), "host");
        }
        world.host.sh(&format!("cd /tmp/home && tar -c tree | $C cp - {name}:/mnt")).ok();
        world.host.sh(&format!("cd /tmp/home && tar -cz tree/f | $C cp - {name}:/mnt")).ok();
        assert_eq!(see("cat /mnt/tree/f /mnt/tree/deep/g"), "host\ndeep");
        cp("tree/f", "/srv/tree/deep").ok();
        cp("tree", "/srv/new").refuses(FAILED, &["a directory cannot be copied over a file"]);
        cp("tree/f", "/no/where").refuses(FAILED, &["/no: no such directory"]);
        cp("nothing", "/srv").refuses(FAILED, &["nothing: no such file or directory"]);
        world
            .host
            .sh(&format!("echo | $C cp - {name}:/srv/new"))
            .refuses(FAILED, &["/srv/new", "not a directory"]);
        world
            .host
            .sh(&format!("echo text | $C cp - {name}:/srv"))
            .refuses(FAILED, &["archive cannot be read"]);
    }
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        world.host.sh("cd /tmp/home && mkdir -p tree/deep && echo host >tree/f && chmod 600 tree/f && echo deep >tree/deep/g").ok();
        world.host.admin("mkdir -p /tmp/seen");
        for runs in [true, false] {
            let name = if runs { "up" } else { "down" };
            container(&world, name, runs);
            world.host.sh(&format!("$C cp /tmp/home/tree/f {name}:/mnt/.x 2>&1")).code(FAILED);
            let see = |script: &str| {
                if runs {
                    return world.host.run(["exec", name, "sh", "-c", script]).ok().line().to_owned();
                }
                // One that has ended is looked at through an image of it.
                world.host.run(["commit", name, "seen"]).ok();
                let seen = ["run", "--rm", "--net", "none", "seen", "sh", "-c", script];
                let text = world.host.run(seen).ok().line().to_owned();
                world.host.run(["rmi", "seen"]).ok();
                text
            };
            // busybox has no /mnt.
            world
                .host
                .sh(&format!("mkdir -p /tmp/home/mnt && $C cp /tmp/home/mnt {name}:/ && rmdir /tmp/home/mnt"))
                .ok();
            check(&world, name, &see);
        }
        world.host.run(["rm", "-f", "up", "down"]).ok();
        world.host.sh("rm -r /tmp/home/tree").ok();
        world.host.run(["image", "prune", "-f"]).ok();
        before.assert_same(&world.host, "cp into containers");
    }
}

#[test]
fn owners_are_kept_on_demand() {
    let world = World::root();
    world.host.run(["create", "--name", "one", BUSYBOX]).ok();
    world.host.admin("echo x >/tmp/home/f; chown 123:45 /tmp/home/f");
    world.host.run(["cp", "-a", "/tmp/home/f", "one:/kept"]).ok();
    world.host.run(["cp", "/tmp/home/f", "one:/roots"]).ok();
    world.host.run(["cp", "-a", "one:/kept", "/tmp/home/kept"]).ok();
    world.host.run(["cp", "one:/kept", "/tmp/home/mine"]).ok();
    world.host.run(["cp", "-a", "one:/roots", "/tmp/home/roots"]).ok();
    let owners = "cd /tmp/home && stat -c %u:%g kept mine roots";
    world.host.sh(owners).ok().prints("123:45\n0:0\n0:0");
}

#[test]
fn a_hostile_container_does_not_lead_out() {
    let world = World::root();
    world.host.admin("mkdir /tmp/victim; echo secret >/tmp/victim/secret; echo mine >/tmp/home/f");
    for runs in [true, false] {
        let name = if runs { "up" } else { "down" };
        let links = "mkdir /t && ln -s /tmp/victim /t/abs && ln -s ../../../../../tmp/victim /t/rel \
            && ln -s /proc/1/root/tmp/victim /t/proc && ln -s /tmp/victim/secret /t/file && mkdir -p /tmp/victim";
        let script =
            if runs { format!("{links} && touch /done && exec sleep 1000") } else { links.to_owned() };
        world.host.run(["run", "-d", "--net", "none", "--name", name, BUSYBOX, "sh", "-c", &script]).ok();
        if runs {
            testkit::deadline::wait_for("the links", || {
                (world.host.run(["exec", name, "test", "-e", "/done"]).code == 0).then_some(())
            });
        } else {
            world.host.run(["wait", name]).ok();
        }
        for path in ["/t/abs/secret", "/t/rel/secret", "/t/proc/secret"] {
            world.host.run(["cp", &format!("{name}:{path}"), "/tmp/home/out"]).refused(&[]);
        }
        world.host.run(["cp", "-L", &format!("{name}:/t/file"), "/tmp/home/out"]).refused(&["no such file"]);
        for path in ["/t/abs/made", "/t/rel/made", "/t/proc/made", "/t/file"] {
            world.host.run(["cp", "/tmp/home/f", &format!("{name}:{path}")]);
        }
        // The archive leads out by its own names and links.
        world.host.admin(
            "cd /tmp/home && mkdir -p a && ln -s /tmp/victim a/l && tar -cf evil.tar a && rm a/l && mkdir a/l && echo x >a/l/evil \
             && tar -rf evil.tar a/l/evil && rm -r a; echo up >../up; tar -P -rf evil.tar ../up; rm ../up",
        );
        world.host.sh(&format!("$C cp - {name}:/t </tmp/home/evil.tar"));
        world.host.admin("rm /tmp/home/evil.tar; test ! -e /tmp/home/out; test ! -e /tmp/up");
        world.host.admin("ls /tmp/victim; cat /tmp/victim/secret").prints("secret\nsecret");
    }
}

#[test]
fn volumes_are_part_of_the_files() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        world.host.sh("mkdir /tmp/home/shared && echo in >/tmp/home/f").ok();
        let options = [
            "create",
            "--net",
            "none",
            "--name",
            "one",
            "-v",
            "named:/data",
            "-v",
            "/tmp/home/shared:/shared",
            "-v",
            "/tmp/home/shared:/fixed:ro",
            BUSYBOX,
            "cat",
            "/data/f",
        ];
        world.host.run(options).ok();
        world.host.run(["cp", "/tmp/home/f", "one:/data"]).ok();
        world.host.run(["cp", "/tmp/home/f", "one:/shared/x"]).ok();
        world.host.sh("cat /tmp/home/shared/x").ok().prints("in");
        world.host.run(["cp", "/tmp/home/f", "one:/fixed/y"]).refuses(FAILED, &["EROFS"]);
        world.host.run(["cp", "one:/data/f", "/tmp/home/out"]).ok();
        world.host.run(["start", "-a", "one"]).ok().prints("in");
        world.host.run(["rm", "one"]).ok();
        world.host.run(["volume", "rm", "named"]).ok();
        world.host.run(["create", "--read-only", "--name", "ro", BUSYBOX]).ok();
        world.host.run(["cp", "/tmp/home/f", "ro:/x"]).refuses(FAILED, &["ro", "read-only"]);
        world.host.run(["rm", "ro"]).ok();
        world.host.sh("rm -r /tmp/home/shared /tmp/home/f /tmp/home/out").ok();
        before.assert_same(&world.host, "cp with volumes");
    }
}

#[test]
fn mistakes_of_cp() {
    let world = World::root();
    let refuses =
        |from: &str, to: &str, words: &[&str]| drop(world.host.run(["cp", from, to]).refuses(FAILED, words));
    refuses("a", "b", &["neither of the two is in a container"]);
    refuses("a:/x", "b:/y", &["between containers"]);
    refuses("-", "-", &["neither"]);
    refuses("a:", "b", &["has no path"]);
    refuses("", "b:/x", &["empty"]);
    refuses("nobody:/x", "y", &["no such container: nobody"]);
    refuses("/etc/hosts", "nobody:/x", &["no such container: nobody"]);
    world.host.run(["cp", "a"]).refuses(FAILED, &["required"]);
    world.host.run(["diff", "nobody"]).refuses(FAILED, &["no such container: nobody"]);
    world.host.run(["export", "nobody"]).refuses(FAILED, &["no such container: nobody"]);
    world.host.run(["commit", "nobody"]).refuses(FAILED, &["no such container: nobody"]);
    world.host.run(["commit", "nobody", "UPPER"]).refuses(FAILED, &["UPPER"]);
    world.host.run(["commit", "-c", "RUN x", "nobody"]).refuses(FAILED, &["RUN x", "--change"]);
}

#[test]
fn what_a_container_changed() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        world.host.run(["create", "--name", "new", BUSYBOX]).ok();
        world.host.run(["diff", "new"]).ok().prints("");
        world.host.run(["run", "--name", "idle", "--net", "none", BUSYBOX, "true"]).ok();
        world.host.run(["diff", "idle"]).ok().prints("");
        let script = "echo x >>/etc/passwd; echo n >/etc/new; rm /etc/group; mkdir /made; touch /made/f; rm -r /home; mkdir /home; touch /home/h";
        world.host.run(["run", "--name", "busy", "--net", "none", BUSYBOX, "sh", "-c", script]).ok();
        world.host.run(["diff", "busy"]).ok().prints(
            "C /etc\nD /etc/group\nA /etc/new\nC /etc/passwd\nC /home\nA /home/h\nA /made\nA /made/f",
        );
        world
            .host
            .run([
                "run",
                "-d",
                "--name",
                "up",
                "--net",
                "none",
                BUSYBOX,
                "sh",
                "-c",
                "touch /x; exec sleep 1000",
            ])
            .ok();
        testkit::deadline::wait_for("the change", || {
            (world.host.run(["diff", "up"]).ok().line() == "A /x").then_some(())
        });
        world.host.run(["rm", "-f", "new", "idle", "busy", "up"]).ok();
        before.assert_same(&world.host, "diff");
    }
}

#[test]
fn the_root_as_an_archive() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        for runs in [true, false] {
            container(&world, "one", runs);
            let list = world.host.sh("$C export one | tar -t | sed 's,^\\./,,' | grep -E '^(srv|proc|bin/sh|etc/passwd)' | sort").ok();
            assert_eq!(
                list.stdout.lines().filter(|line| line.starts_with("proc/") && *line != "proc/").count(),
                0,
                "{list}"
            );
            for name in ["srv/tree/f", "srv/tree/deep/g", "srv/tree/link", "etc/passwd", "bin/sh"] {
                assert!(list.stdout.lines().any(|line| line == name), "{name} in {list}");
            }
            world.host.sh("cd /tmp/home && $C export -o one.tar one && tar -xOf one.tar ./srv/tree/f srv/tree/f 2>/dev/null; rm one.tar").ok().prints("one");
            world.host.sh("$C export -o /tmp/home/no/where one").refuses(FAILED, &["no/where"]);
            world.host.run(["rm", "-f", "one"]).ok();
        }
        before.assert_same(&world.host, "export");
    }
}

#[test]
fn changes_become_an_image() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        let script = "echo kept >/kept; rm -r /etc; mkdir /etc; echo root:x:0:0::/:/bin/sh >/etc/passwd; chown 7:8 /kept; chmod 4755 /kept; ln /kept /again";
        world
            .host
            .run([
                "run", "--name", "one", "--net", "none", "-e", "TYPED=1", "-w", "/tmp", BUSYBOX, "sh", "-c",
                script,
            ])
            .ok();
        let changes =
            ["-c", "CMD [\"cat\", \"/kept\"]", "-c", "ENV A=b", "-c", "LABEL l=m", "-c", "EXPOSE 80"];
        let words = [&["commit", "-m", "note", "-a", "me"], &changes[..], &["one", "made:1"]].concat();
        let id = world.host.run(words).ok().line().to_owned();
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        world.host.run(["run", "--rm", "--net", "none", "made:1"]).ok().prints("kept");
        let look =
            "ls /etc | grep -v -e host -e resolv -e mtab; stat -c '%a %u:%g %h' /kept; echo $A $TYPED; pwd";
        world
            .host
            .run(["run", "--rm", "--net", "none", "made:1", "sh", "-c", look])
            .ok()
            .prints("passwd\n4755 7:8 2\nb 1\n/tmp");
        let history = world.host.run(["history", "--no-trunc", "made:1"]).ok();
        assert!(
            history.stdout.lines().nth(1).is_some_and(|line| line.starts_with(&id) && line.ends_with("note")),
            "{history}"
        );
        // Without a name, on top of another, of one that runs, of one that changed nothing.
        let nameless = world.host.run(["commit", "one"]).ok().line().to_owned();
        world.host.run(["rmi", &nameless]).ok();
        world
            .host
            .run([
                "run",
                "-d",
                "--name",
                "up",
                "--net",
                "none",
                "made:1",
                "sh",
                "-c",
                "echo 2 >/second; exec sleep 1000",
            ])
            .ok();
        testkit::deadline::wait_for("the file", || {
            (world.host.run(["diff", "up"]).ok().line() == "A /second").then_some(())
        });
        world.host.run(["commit", "up", "made:2"]).ok();
        world.host.run(["exec", "up", "echo", "runs"]).ok().prints("runs");
        world
            .host
            .run(["run", "--rm", "--net", "none", "made:2", "cat", "/second", "/kept"])
            .ok()
            .prints("2\nkept");
        world.host.run(["create", "--name", "still", BUSYBOX]).ok();
        world.host.run(["commit", "still", "made:3"]).ok();
        world.host.run(["run", "--rm", "--net", "none", "made:3", "echo", "same"]).ok().prints("same");
        world.host.run(["rm", "-f", "one", "up", "still"]).ok();
        world.host.run(["rmi", "made:1", "made:2", "made:3"]).ok();
        before.assert_same(&world.host, "commit");
    }
}

/// Files that belong together are taken together, unless nobody wants to wait for that.
#[test]
fn it_stands_still_while_it_is_committed() {
    let world = World::root();
    let script = "head -c 60000000 /dev/zero >/big; touch /done; exec sleep 1000";
    world.host.run(["run", "-d", "--net", "none", "--name", "up", BUSYBOX, "sh", "-c", script]).ok();
    testkit::deadline::wait_for("the file", || {
        (world.host.run(["exec", "up", "test", "-e", "/done"]).code == 0).then_some(())
    });
    let paused = || world.host.run(["inspect", "-f", "{{.State.Paused}}", "up"]).ok().line() == "true";
    for (options, stands_still) in
        [(&[][..], true), (&["--pause"], true), (&["--pause=false"], false), (&["-p=false"], false)]
    {
        let running = world.host.spawn([&["commit"], options, &["up"]].concat());
        let commit = std::thread::spawn(move || running.wait());
        let mut seen = false;
        while !commit.is_finished() {
            seen |= paused();
        }
        commit.join().expect("it ended").ok();
        assert_eq!((seen, paused()), (stands_still, false), "{options:?}");
    }
    // Killed meanwhile, it is not forgotten.
    for next in [&["exec", "up", "true"][..], &["inspect", "up"], &["stop", "-t", "0", "up"]] {
        let commit = world.host.spawn(["commit", "up"]);
        testkit::deadline::wait_for("it stands still", || {
            let listed = world.host.run(["ps", "--format", "{{.Status}}"]).ok();
            listed.line().contains("Paused").then_some(())
        });
        commit.signal(rustix::process::Signal::KILL);
        commit.wait().code(137);
        world.host.run(next).ok();
        assert!(!paused(), "{next:?}");
    }
    world.host.run(["rm", "up"]).ok();
}
