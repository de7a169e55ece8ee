//! All there is: what takes the disk, what can go, whether it is whole.

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

/// A size as it is shown, in bytes.
fn bytes(text: &str) -> f64 {
    let end = text.find(|letter: char| letter.is_ascii_alphabetic()).expect("a unit");
    let factor = match &text[end..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        unit => panic!("{unit}"),
    };
    text[..end].parse::<f64>().expect("a number") * factor
}

#[test]
fn what_takes_the_disk() {
    for world in worlds() {
        world
            .host
            .run([
                "run",
                "--name",
                "one",
                "--net",
                "none",
                "-v",
                "data:/d",
                BUSYBOX,
                "sh",
                "-c",
                "head -c 3000000 /dev/zero >/d/f; head -c 2000000 /dev/zero >/f; ln /f /g",
            ])
            .ok();
        let table = world.host.run(["system", "df"]).ok();
        let row = |kind: &str| -> Vec<String> {
            let line = table.stdout.lines().find_map(|line| line.strip_prefix(kind)).expect(kind);
            line.split_whitespace().map(str::to_owned).collect()
        };
        for (kind, directory) in [
            ("Images", "image"),
            ("Containers", "containers/????*[0-9a-f]"),
            ("Local Volumes", "volumes/data/_data"),
        ] {
            let du =
                world.host.admin(&format!("du -s -B1 --total /tmp/data/{directory} | tail -n1 | cut -f1"));
            let du: f64 = du.line().parse().expect("a number");
            let ours = bytes(&row(kind)[2]);
            assert!((du - ours).abs() <= du * 0.05 + 100.0, "{kind}: du says {du}, df {ours}\n{table}");
        }
        assert_eq!(&row("Images")[..2], ["1", "1"]);
        assert_eq!(&row("Containers")[..2], ["1", "0"]);
        assert_eq!(&row("Local Volumes")[..2], ["1", "1"]);
        let one_by_one = world.host.run(["system", "df", "-v"]).ok();
        for name in ["data", "one", "busybox"] {
            assert!(one_by_one.stdout.lines().any(|line| line.contains(name)), "{name} in {one_by_one}");
        }
    }
}

/// What an image has once more for other user ids is the image's, and goes with it.
#[test]
fn files_with_other_owners_take_the_disk_too() {
    let host = Host::rootless(&program());
    // On a disk, where names alone take space as well.
    let user = host.user();
    host.admin(&format!(
        "truncate -s 800M /tmp/disk; mkfs.ext4 -q -O ^has_journal -E root_owner={user}:{user} /tmp/disk
         mount -o loop /tmp/disk /tmp/data; rmdir /tmp/data/lost+found; chmod 700 /tmp/data"
    ));
    let world = World::of(host);
    let image = world.registry.image("debian:12");
    world.host.run(["pull", "-q", &image]).ok();
    let size = || {
        let words = ["system", "df", "-v", "--format", "{{range .Images}}{{.Size}} {{.UniqueSize}}{{end}}"];
        let shown = world.host.run(words).ok();
        let (all, own) = shown.line().split_once(' ').expect("two sizes");
        assert_eq!(all, own, "it is the only image");
        bytes(all)
    };
    let du = |directory: &str| -> f64 {
        let shown = world.host.admin(&format!("du -s -B1 /tmp/data/image/{directory} | cut -f1"));
        shown.line().parse().expect("a number")
    };
    let before = size();
    world.host.run(["run", "--rm", "--net", "none", "--userns", "keep-id", &image, "true"]).ok();
    let more = du("mapped");
    assert!(more > 100_000.0, "{more}");
    let after = size();
    assert!((after - before - more).abs() < after * 0.02, "{before} and {more} are {after}");
    let row = world.host.run(["system", "df", "--format", "{{.Type}}={{.Reclaimable}}"]).ok().stdout;
    assert!(
        row.starts_with("Images=")
            && row.lines().next().is_some_and(|line| line.ends_with("(99%)") || line.ends_with("(100%)")),
        "{row}"
    );
    world.host.run(["image", "prune", "-a", "-f"]).ok();
    assert!(du(".") < 100_000.0, "all of it can be had back");
}

#[test]
fn what_nothing_needs_goes() {
    for world in worlds() {
        world.host.run(["image", "prune", "-f"]).ok().prints("Total reclaimed space: 0B");
        world.host.run(["system", "prune", "-f"]).ok().prints("Total reclaimed space: 0B");
        let before = Snapshot::take(&world.host);
        let run = |words: &[&str], script: &str| {
            world.host.run([&["run", "--net", "none"], words, &[BUSYBOX, "sh", "-c", script]].concat()).ok();
        };
        let containers = |expected: &str| {
            let table = world.host.run(["ps", "-a"]).ok().stdout;
            for name in ["ended", "labelled", "up"] {
                let there = table.lines().any(|line| line.split_whitespace().any(|word| word == name));
                assert_eq!(there, expected.contains(name), "{name} in {table}");
            }
        };
        run(&["--name", "ended", "-v", "/anonymous", "-v", "named:/named"], "true");
        run(&["--name", "labelled", "--label", "keep=1"], "true");
        run(&["-d", "--name", "up"], "exec sleep 1000");
        world
            .host
            .run(["container", "prune", "-f", "--filter", "until=24h"])
            .ok()
            .prints("Total reclaimed space: 0B");
        containers("ended labelled up");
        world.host.sh("echo | $C container prune").code(FAILED);
        containers("ended labelled up");
        let pruned = world.host.run(["container", "prune", "-f", "--filter", "label!=keep"]).ok();
        assert!(pruned.stdout.starts_with("Deleted Containers:\n"), "{pruned}");
        containers("labelled up");
        world.host.run(["container", "prune", "-f", "--filter", "label=keep=1"]).ok();
        containers("up");
        // Images: without a name, then all that no container has.
        world.host.run(["pull", "127.0.0.1:5000/team/plain:1"]).ok();
        world.host.run(["pull", "127.0.0.1:5000/team/zstd:1"]).ok();
        world.host.run(["tag", "127.0.0.1:5000/team/zstd:1", "127.0.0.1:5000/team/plain:1"]).ok();
        let images = || world.host.run(["images", "-q"]).ok().stdout.lines().count();
        let all = images();
        world.host.run(["image", "prune", "--force", "--filter", "label=none"]).ok();
        assert_eq!(images(), all);
        world.host.run(["image", "prune", "--force"]).ok();
        let named = images();
        assert!(named <= all, "{named} of {all}");
        let pruned = world.host.run(["system", "prune", "--all", "--volumes", "--force"]).ok();
        assert!(
            pruned.stdout.contains("Deleted Volumes:") && pruned.stdout.contains("Deleted Images:"),
            "{pruned}"
        );
        assert_eq!(images(), 1, "that of the container which runs");
        containers("up");
        world.host.run(["exec", "up", "echo", "runs"]).ok().prints("runs");
        world.host.run(["volume", "rm", "named"]).ok();
        world.host.run(["rm", "-f", "up"]).ok();
        before.assert_same(&world.host, "prunes");
        world.host.run(["system", "prune", "-a", "-f"]).ok();
        world.host.admin("find /tmp/data/image -mindepth 2 -type f; ls /tmp/data/image/layers").prints("");
    }
}

#[test]
fn whether_the_store_is_whole() {
    let world = World::root();
    let check = |damage: &str, deep: bool, words: &[&str]| {
        world.host.run(["system", "check", "--deep"]).ok().prints("");
        world.host.admin(&format!("cd /tmp/data/image && {damage}"));
        let words_of = if deep { vec!["system", "check", "--deep"] } else { vec!["system", "check"] };
        let found = world.host.run(words_of);
        assert_eq!(found.code, FAILED, "{damage}: {found}");
        for word in [&["127.0.0.1:5000/busybox:latest: "], words].concat() {
            assert!(found.stdout.contains(word), "{damage}: {word} in {found}");
        }
        assert_eq!(found.stderr.lines().count(), 1, "{found}");
        world.host.run(["system", "prune", "-a", "-f"]);
        world.host.admin("rm -rf /tmp/data/image");
        world.host.run(["pull", BUSYBOX]).ok();
    };
    check("rm -r layers/*/diff", false, &["layer sha256:", "is missing"]);
    check("rm layers/*/split", false, &["cannot be saved"]);
    check("for f in blobs/sha256/*; do echo x >>$f; done", false, &["manifest", "configuration", "digest"]);
    check("rm blobs/sha256/*", false, &["manifest", "is missing"]);
    check(
        "printf y | dd status=none conv=notrunc bs=1 seek=99 of=$(find layers -type f -path '*/diff/*' -size +2 | head -n1)",
        true,
        &["has been changed"],
    );
    // Of what a run goes by, one byte that is another is enough for it: nothing is started.
    world.host.admin(
        "cd /tmp/data/image/blobs/sha256; for f in *; do printf '\\377' | dd status=none conv=notrunc bs=1 seek=99 of=$f; done",
    );
    world.sh(&[], "echo ran").refuses(FAILED, &["content has digest sha256:", "blobs/sha256/"]);
}

#[test]
fn mistakes() {
    let world = World::root();
    let refuses = |words: &[&str], said: &[&str]| drop(world.host.run(words).refuses(FAILED, said));
    refuses(&["system", "prune", "-f", "--filter", "what=1"], &["the keys are"]);
    refuses(&["system", "prune", "-f", "--filter", "until=never"], &["until=never"]);
    refuses(&["system", "prune", "-f", "--volumes", "--filter", "until=1h"], &["contradict"]);
    refuses(&["container", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h"], &["until"]);
    refuses(&["image", "prune", "-f", "--filter", "label"], &["KEY=VALUE"]);
    refuses(&["system", "frobnicate"], &["frobnicate"]);
    refuses(&["system", "df", "x"], &["x"]);
    refuses(&["system", "check", "--what"], &["--what"]);
}

#[test]
fn orphans_are_named_and_removed() {
    for world in worlds() {
        let rootless = world.host.is_rootless();
        world.run(&[], &["true"]).ok();
        let doctor = |words: &[&str]| world.host.run([&["system", "doctor"], words].concat());
        // Without root no limit holds here: that stays wrong.
        let healthy = if rootless { FAILED } else { 0 };
        let sound = doctor(&[]);
        assert_eq!(sound.code, healthy, "{sound}");
        assert_eq!(sound.stdout.lines().count(), usize::from(rootless), "{sound}");
        let before = Snapshot::take(&world.host);
        let id = "0123456789abcdef".repeat(4);
        let user = if rootless { "devoxx-test" } else { "root" };
        world.host.admin(&format!(
            "cd /tmp/data/containers; mkdir {id} .new-{id}; touch -d '1 hour ago' {id}
             ln -s {} by-name/ghost
             mkdir -p /tmp/run/containers/{id} /tmp/run/supervisors/{id}
             echo 4194304 >/tmp/run/0123456789ab.pasta
             chown -hR {user}: {id} .new-{id} by-name/ghost /tmp/run",
            "e".repeat(64)
        ));
        let mut expected = vec![
            "the directory of a container without a record, 0123456789ab",
            "the beginning of a container, 0123456789ab",
            "the name ghost",
            "the runtime's record of 0123456789ab",
            "the directory of a supervisor of 0123456789ab",
            "pasta of 0123456789ab",
            "what container left still has",
        ];
        world.host.run(["run", "-d", "--rm", "--name", "left", BUSYBOX, "sleep", "1000"]).ok();
        world.host.run(["run", "-d", "--name", "alone", "--net", "none", BUSYBOX, "sleep", "1000"]).ok();
        // Together, as when the machine ends them.
        let pid = |name: &str| -> i32 {
            let shown = world.host.run(["inspect", "--format", "{{.State.Pid}}", name]).ok();
            shown.line().parse().expect("a number")
        };
        let parent = |pid: i32| -> i32 {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
            line.trim().parse().expect("a number")
        };
        for pid in [parent(pid("left")), pid("left"), parent(pid("alone"))] {
            let pid = rustix::process::Pid::from_raw(pid).expect("not 0");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
        }
        testkit::deadline::wait_for("the end of left", || {
            let state = world.host.run(["ps", "-a", "--filter", "name=left", "--format", "{{.State}}"]).ok();
            (state.line() == "exited").then_some(())
        });
        if !rootless {
            expected.extend([
                "which has no process and no container",
                "a mount at /tmp/data/image",
                "of container left",
            ]);
            world.host.admin(&format!(
                "mount --bind /tmp/data/image /tmp/data/image
                 for top in /sys/fs/cgroup/*/devoxx; do mkdir $top/{id}; touch -d '1 hour ago' $top/{id}; done"
            ));
        }
        let found = doctor(&[]);
        assert_eq!(found.code, FAILED, "{found}");
        for words in &expected {
            let line = found.stdout.lines().find(|line| line.contains(words));
            assert!(line.is_some_and(|line| line.contains("--fix removes it")), "{words} in {found}");
        }
        assert!(found.stdout.contains("container alone runs without its supervisor"), "{found}");
        assert_eq!(doctor(&[]).stdout, found.stdout, "looking changes nothing");
        let mended = doctor(&["--fix"]);
        assert_eq!(
            mended.stdout.matches("(removed)").count(),
            found.stdout.matches("--fix removes").count(),
            "{mended}"
        );
        world.host.run(["rm", "-f", "alone"]).ok();
        assert_eq!(doctor(&[]).stdout, sound.stdout);
        before.assert_same(&world.host, "what the doctor removed");
    }
}

/// Whether a process runs. Of one that has ended, something may stand there until its parent looks.
fn is_there(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains("zombie"))
}

/// Where others make containers with devoxx-runtime: theirs are left alone, whatever they do.
#[test]
fn what_devoxx_runtime_left_is_named_and_removed() {
    for world in worlds() {
        let rootless = world.host.is_rootless();
        let doctor = |words: &[&str]| world.host.run([&["system", "doctor"], words].concat());
        let root = if rootless { "/tmp/xdg/devoxx-runtime" } else { "/run/devoxx-runtime" };
        if !rootless {
            // That of the machine is none of the test's.
            world.host.admin("mount -t tmpfs -o mode=755 run /run");
        }
        let sound = doctor(&[]);
        let (mount, version) = match world.host.path("/sys/fs/cgroup/pids").exists() {
            true => ("/sys/fs/cgroup/pids", "v1"),
            false => ("/sys/fs/cgroup", "v2"),
        };
        let sleeps = |cgroup: &str| -> (String, String) {
            let script = format!(
                "{cgroup} sleep 1000 </dev/null >/dev/null 2>&1 & set -- $(cat /proc/$!/stat); echo $! ${{22}}"
            );
            let line = world.host.admin(&script).line().to_owned();
            let (pid, time) = line.split_once(' ').expect("two numbers");
            (pid.to_owned(), time.to_owned())
        };
        let init = |(pid, time): &(String, String)| format!(r#"{{"pid":{pid},"start_time":{time}}}"#);
        let dead = ("4194304".to_owned(), "1".to_owned());
        let alive = sleeps("");
        let record = |id: &str, rest: &str| {
            let text = format!("printf '%s' '{{\"id\":\"{id}\",{rest}}}' >{root}/{id}/state.json");
            world.host.admin(&format!("mkdir -p {root}/{id}; {text}; touch -d '1 hour ago' {root}/{id}"));
        };
        record("runs", &format!(r#""phase":"created","init":{}"#, init(&alive)));
        record("ended", &format!(r#""phase":"created","init":{}"#, init(&dead)));
        record("making", &format!(r#""phase":"creating","maker":{}"#, init(&alive)));
        record("torn", "");
        let mut expected = vec![
            "container half of devoxx-runtime, whose maker died before it was done",
            "container torn of devoxx-runtime, whose record cannot be read",
            "container empty of devoxx-runtime, whose maker died before it was done",
        ];
        let mut held = None;
        if rootless {
            record("half", &format!(r#""phase":"creating","maker":{}"#, init(&dead)));
        } else {
            world.host.admin(&format!("mkdir {mount}/half {mount}/torn; touch -d '1 hour ago' {mount}/torn"));
            held = Some(sleeps(&format!("echo $$ >{mount}/half/cgroup.procs;")));
            let places = format!(r#"[{{"mount":"{mount}","version":"{version}","controllers":["pids"]}}]"#);
            let cgroup = format!(r#""cgroup":{{"name":"/half","places":{places}}}"#);
            record("half", &format!(r#""phase":"creating","maker":{},{cgroup}"#, init(&dead)));
            expected.push("/torn, which has no process and no container");
        }
        let owner = if rootless { "devoxx-test" } else { "root" };
        world.host.admin(&format!(
            "cd {root}; mkdir empty new; touch -d '1 hour ago' empty; chown -R {owner}: {root}"
        ));
        let found = doctor(&[]);
        let lines: Vec<&str> = found.stdout.lines().filter(|line| !sound.stdout.contains(*line)).collect();
        assert_eq!(lines.len(), expected.len(), "{found}");
        for words in &expected {
            let named = lines.iter().filter(|line| line.contains(words) && line.contains("--fix removes it"));
            assert_eq!(named.count(), 1, "{words} in {found}");
        }
        let mended = doctor(&["--fix"]);
        assert_eq!(mended.stdout.matches("(removed)").count(), expected.len(), "{mended}");
        assert_eq!(doctor(&[]).stdout, sound.stdout);
        world.host.admin(&format!("ls {root}")).prints("ended\nmaking\nnew\nruns");
        assert!(is_there(&alive.0), "another's process was ended");
        if let Some((pid, _)) = held {
            assert!(!is_there(&pid), "the process is left");
            world.host.admin(&format!("ls -d {mount}/half {mount}/torn 2>/dev/null | wc -l")).prints("0");
        }
        world.host.kill(alive.0.parse().expect("a number"));
    }
}

#[test]
fn pastas_that_no_file_names() {
    let world = World::rootless();
    let doctor = |words: &[&str]| world.host.run([&["system", "doctor"], words].concat());
    world.host.run(["run", "-d", "--name", "stays", BUSYBOX, "sleep", "1000"]).ok();
    let sound = doctor(&[]);
    let lost = |name: &str| -> (String, String) {
        let id = world.host.run(["inspect", "--format", "{{.Id}}", name]).ok().line()[..12].to_owned();
        let pid =
            world.host.sh(&format!("cd /tmp/run; cat {id}.pasta; rm {id}.pasta")).ok().line().to_owned();
        (id, pid)
    };
    let check = |pid: &str, line: &str| {
        assert!(is_there(pid), "it has ended by itself");
        let found = doctor(&[]);
        let lines: Vec<&str> = found.stdout.lines().filter(|line| !sound.stdout.contains(*line)).collect();
        assert_eq!(lines.len(), 1, "{found}");
        assert!(lines[0].starts_with(line) && lines[0].contains("--fix removes it"), "{found}");
        doctor(&["--fix"]);
        assert!(!is_there(pid), "it is left");
        assert_eq!(doctor(&[]).stdout, sound.stdout);
    };
    world.host.run(["run", "-d", "--name", "gone", BUSYBOX, "sleep", "1000"]).ok();
    let (id, pid) = lost("gone");
    assert_eq!(doctor(&[]).stdout, sound.stdout, "a container that runs has its network");
    world.host.run(["rm", "-f", "gone"]).ok();
    check(&pid, &format!("process {pid}, a pasta of {id}, which is no container"));
    let (id, pid) = lost("stays");
    world.host.run(["restart", "-t", "0", "stays"]).ok();
    check(&pid, &format!("process {pid}, a pasta of {id}, whose file is not its own"));
    // Its new one is not its old one.
    let (id, pid) = lost("stays");
    assert!(is_there(&pid), "that of the container that runs was ended");
    world.host.run(["rm", "-f", "stays"]).ok();
    // No other container runs: its user namespace is nobody's any more.
    check(&pid, &format!("process {pid}, a pasta of {id}, which is no container"));
}

/// The same path is another file there.
#[test]
fn pastas_of_another_host_are_left_alone() {
    let (world, other) = (World::rootless(), World::rootless());
    let doctor = |world: &World, words: &[&str]| world.host.run([&["system", "doctor"], words].concat());
    let sound = doctor(&world, &[]);
    other.host.run(["run", "-d", "--name", "theirs", BUSYBOX, "sleep", "1000"]).ok();
    let pid = other.host.sh("cd /tmp/run; cat *.pasta; rm *.pasta").ok().line().to_owned();
    other.host.run(["rm", "-f", "theirs"]).ok();
    assert_eq!(doctor(&world, &["--fix"]).stdout, sound.stdout);
    assert!(is_there(&pid), "another's was ended");
    let found = doctor(&other, &["--fix"]);
    assert!(found.stdout.contains(&format!("process {pid}, a pasta of ")), "{found}");
    assert!(!is_there(&pid), "it is left");
}

#[test]
fn settings_that_are_wrong() {
    let world = World::of(Host::rootless(&program()));
    let check = |wrong: &str, script: &str, expected: &[&str]| {
        world.host.admin(wrong);
        let said = world.host.sh(script);
        assert_eq!(said.code, FAILED, "{said}");
        for words in expected {
            assert!(said.stdout.contains(words), "{words} in {said}");
        }
    };
    let all = "$C system doctor";
    check("true", "unset XDG_RUNTIME_DIR; $C system doctor", &["XDG_RUNTIME_DIR is not set", "export"]);
    check(
        "mount --bind /dev/null /etc/subuid",
        all,
        &["/etc/subuid has no range for", "usermod --add-subuids"],
    );
    check(
        "mount --bind /dev/null \"$(command -v pasta)\"",
        all,
        &["pasta is not installed", "apt install passt"],
    );
    check(
        "mkdir /tmp/home/full; mount -t tmpfs -o size=1m full /tmp/home/full; chmod 777 /tmp/home/full
         head -c 1040000 /dev/zero >/tmp/home/full/file",
        "DEVOXX_ROOT=/tmp/home/full/data $C system doctor",
        &["the disk is nearly full", "system prune"],
    );
}
