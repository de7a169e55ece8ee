//! Volumes by themselves: made, listed, removed, pruned; and the ways in which a container gets one.

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

#[test]
fn from_create_to_rm() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        world.host.run(["volume", "create", "data"]).ok().prints("data");
        world.host.run(["volume", "create", "data"]).ok().prints("data");
        world
            .host
            .run(["volume", "create", "--label", "a=1", "--label", "b", "labelled"])
            .ok()
            .prints("labelled");
        let anonymous = world.host.run(["volume", "create"]).ok().line().to_owned();
        assert_eq!(anonymous.len(), 64, "{anonymous}");
        let list = |filter: &[&str]| {
            world.host.run([&["volume", "ls", "-q"], filter].concat()).ok().line().to_owned()
        };
        assert_eq!(list(&["--filter", "name=l"]), "labelled");
        assert_eq!(list(&["-f", "label=a=1"]), "labelled");
        assert_eq!(list(&["-f", "label=b", "-f", "label=c"]), "");
        assert_eq!(list(&[]).lines().count(), 3);
        assert_eq!(list(&["-f", "dangling=false"]), "");
        let text = world.host.run(["volume", "inspect", "labelled"]).ok().stdout;
        let volume: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(volume[0]["Labels"], serde_json::json!({"a": "1", "b": ""}));
        assert_eq!(volume[0]["Name"], "labelled");
        assert_eq!(volume[0]["Mountpoint"], "/tmp/data/volumes/labelled/_data");

        world.sh(&["--net", "none", "-v", "data:/d"], "echo kept >/d/f").ok();
        world
            .host
            .run(["create", "--net", "none", "--name", "user", "-v", "data:/d", BUSYBOX, "cat", "/d/f"])
            .ok();
        assert_eq!(list(&["-f", "dangling=false"]), "data");
        world.host.run(["volume", "rm", "data"]).refuses(FAILED, &["data", "in use", "user"]);
        world.host.run(["volume", "rm", "-f", "data"]).refuses(FAILED, &["data", "in use", "user"]);
        world.host.run(["start", "-a", "user"]).ok().prints("kept");
        world.host.run(["volume", "prune", "-f"]).ok();
        assert_eq!(list(&[]), "data\nlabelled", "the one without a name");
        world.host.run(["volume", "prune", "-a", "-f", "--filter", "label!=a"]).ok();
        assert_eq!(list(&[]), "data\nlabelled");
        world.host.sh("echo n | $C volume prune -a").code(FAILED);
        assert_eq!(list(&[]), "data\nlabelled");
        let pruned = world.host.sh("echo y | $C volume prune -a").ok();
        assert!(pruned.stdout.contains("Deleted Volumes:\nlabelled\n\nTotal reclaimed space: "), "{pruned}");
        world.host.run(["rm", "user"]).ok();
        world.host.run(["volume", "rm", "data"]).ok().prints("data");
        world.host.run(["volume", "rm", "data"]).refuses(FAILED, &["no such volume: data"]);
        world.host.run(["volume", "rm", "--force", "data"]).ok();
        before.assert_same(&world.host, "volumes");
    }
}

#[test]
fn those_without_a_name() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        let volumes = || world.host.run(["volume", "ls", "-q"]).ok().stdout.lines().count();
        let make = |name: &str| {
            world
                .host
                .run(["run", "--name", name, "--net", "none", "-v", "/d", BUSYBOX, "touch", "/d/f"])
                .ok();
        };
        make("one");
        assert_eq!(volumes(), 1);
        world.host.run(["rm", "one"]).ok();
        assert_eq!(volumes(), 1, "it stays without -v");
        make("two");
        world.host.run(["rm", "-v", "two"]).ok();
        assert_eq!(volumes(), 1);
        world.host.run(["volume", "prune", "--force"]).ok();
        assert_eq!(volumes(), 0);
        world.run(&["--net", "none", "-v", "/d"], &["touch", "/d/f"]).ok();
        assert_eq!(volumes(), 0, "--rm takes it along");
        before.assert_same(&world.host, "volumes without a name");
    }
}

#[test]
fn a_part_of_a_volume() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        let none = ["--net", "none"];
        let sh = |options: &[&str], script: &str| world.sh(&[&none, options].concat(), script);
        sh(&["-v", "data:/d"], "mkdir -p /d/a/b && echo part >/d/a/b/f && ln -s / /d/out && ln -s a/b /d/in")
            .ok();
        let part = |path: &str| format!("type=volume,source=data,target=/p,volume-subpath={path}");
        sh(&["--mount", &part("a/b")], "ls /p; cat /p/f").ok().prints("f\npart");
        sh(&["--mount", &part("in")], "cat /p/f; echo more >/p/g").ok().prints("part");
        sh(&["-v", "data:/d"], "cat /d/a/b/g").ok().prints("more");
        let refuses = |path: &str, words: &[&str]| {
            sh(&["--mount", &part(path)], "true").refuses(FAILED, words);
        };
        refuses("out", &["mount /p", "\"out\"", "EXDEV"]);
        refuses("none", &["mount /p", "\"none\"", "ENOENT"]);
        refuses("../x", &["volume-subpath", "without .."]);
        refuses("/x", &["volume-subpath", "relative"]);
        // What the image has goes into a new volume, unless nobody wants that.
        sh(&["-v", "filled:/etc"], "test -e /etc/passwd").ok();
        sh(&["--mount", "type=volume,source=bare,target=/etc,volume-nocopy"], "test ! -e /etc/passwd").ok();
        sh(&["-v", "bare2:/etc:nocopy"], "test ! -e /etc/passwd").ok();
        world.host.run(["volume", "rm", "data", "filled", "bare", "bare2"]).ok();
        before.assert_same(&world.host, "parts of volumes");
    }
}

#[test]
fn mistakes() {
    let world = World::root();
    let before = Snapshot::take(&world.host);
    let refuses = |words: &[&str], said: &[&str]| {
        world.host.run([&["volume"], words].concat()).refuses(FAILED, said);
    };
    for bad in ["", "-x", "a/b", "../x", "a b", "é", &"x".repeat(300)] {
        refuses(&["create", "--", bad], &["invalid volume name"]);
        refuses(&["rm", "--", bad], &["invalid volume name"]);
        refuses(&["rm", "-f", "--", bad], &["invalid volume name"]);
        refuses(&["inspect", "--", bad], &["invalid volume name"]);
    }
    refuses(&["create", "--driver", "nfs", "x"], &["--driver", "nfs"]);
    refuses(&["create", "--opt", "type=nfs", "x"], &["--opt", "type=nfs"]);
    refuses(&["create", "--label", "=x", "x"], &["--label"]);
    refuses(&["ls", "--filter", "what=1"], &["what=1", "the keys are"]);
    refuses(&["ls", "--filter", "dangling=maybe"], &["true or false"]);
    refuses(&["ls", "--filter", "label"], &["KEY=VALUE"]);
    refuses(&["prune", "-f", "--filter", "until=1h"], &["the keys are"]);
    refuses(&["inspect", "nothing"], &["no such volume: nothing"]);
    refuses(&["rm"], &["required"]);
    refuses(&["frobnicate"], &["frobnicate"]);
    before.assert_same(&world.host, "mistakes with volumes");
}

/// Deeper than there are descriptors: a container makes that, and whoever removes it is not stopped by it.
#[test]
fn deep_directories_go_too() {
    for world in World::both() {
        let deep = "i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done";
        let script = format!("cd /v && {deep}; cd / && mkdir /w && cd /w && {deep}");
        let words = ["run", "--name", "deep", "--net", "none", "-v", "deep:/v", BUSYBOX, "sh", "-c", &script];
        world.host.run(words).ok();
        let limited = |command: &str| world.host.sh(&format!("ulimit -n 256; exec $C {command}"));
        limited("system df -v").ok();
        limited("rm deep").ok();
        limited("volume rm deep").ok();
        world.host.run(["volume", "ls", "-q"]).ok().prints("");
    }
}
