//! `checkpoint` and `restore`: a container becomes an image and comes back as it was. Where CRIU does not work on the kernel,
//! what it takes is skipped, and says so: `make test-vm` has a kernel where it does.

mod killed;
mod namespaces;
mod owners;
mod pages;

use crate::terminal::Receiver;
use crate::world::{capabilities, mount, namespace, plain, root, script, stays};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use testkit::bundle::ROOT;
use testkit::deadline::wait_for;
use testkit::{Bundle, Container, Oci};

/// Root, where CRIU works.
fn with_criu() -> Option<Oci> {
    let oci = root();
    let checked = oci.host.sh("criu check");
    if checked.code == 0 {
        return Some(oci);
    }
    let why = checked.stderr.lines().next().unwrap_or("criu check fails").to_owned();
    std::io::stderr().write_all(format!("skipped: CRIU does not work here: {why}\n").as_bytes()).unwrap();
    None
}

/// A command that counts in /count, for as long as it is there. A checkpoint may find its standard output in that file.
fn counts(config: &mut Value) {
    script(config, "i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.2; done");
}

/// Waits until a container counts on.
#[track_caller]
fn counts_on(container: &Container<'_>) {
    let count = || container.bundle.read("rootfs/count").trim().parse::<u64>().ok();
    let now = wait_for("a count", count);
    wait_for("a higher count", || count().filter(|later| *later > now));
}

/// Fails the test unless both have the same lines; says only those that differ.
#[track_caller]
fn assert_same(before: &str, after: &str) {
    let beyond = |one: &str, other: &str| -> Vec<String> {
        one.lines().filter(|line| !other.lines().any(|known| known == *line)).map(str::to_owned).collect()
    };
    assert_eq!(beyond(before, after), beyond(after, before));
}

/// What must be the same before and after: mounts, privileges, limits, cgroup, host name.
fn seen(oci: &Oci, container: &Container<'_>) -> String {
    let pid = container.pid();
    // The covers of masked directories are anybody's empty ones.
    let script = format!(
        "cut -d' ' -f4- /proc/{pid}/mountinfo | sed 's/ [^ ]* [^ ]*size=4k[^ ]*$//; s/master:[0-9]* //' | LC_ALL=C sort
         grep -E 'Cap|Secc|NoNew|Groups|Uid' /proc/{pid}/status
         cat /proc/{pid}/limits /proc/{pid}/cgroup /proc/{pid}/oom_score_adj; tr '\\0' ' ' </proc/{pid}/cmdline"
    );
    oci.host.admin(&script).stdout
}

/// The options that both commands take.
fn at(container: &Container<'_>) -> Vec<String> {
    let path = |name: &str| container.bundle.inside(name);
    ["--image-path".into(), path("image"), "--work-path".into(), path("work")].to_vec()
}

/// `checkpoint` with these options, which must work.
#[track_caller]
fn checkpoint(oci: &Oci, container: &Container<'_>, options: &[&str]) {
    let at = at(container);
    let words = ["checkpoint"].into_iter().chain(at.iter().map(String::as_str));
    oci.call(words.chain(options.iter().copied()).chain([container.id()])).ok().prints("");
}

/// The words of a `restore` under this id.
fn restore_words(container: &Container<'_>, options: &[&str], id: &str) -> Vec<String> {
    let bundle = ["--bundle".to_owned(), container.bundle.directory.clone()];
    let options = options.iter().map(|option| (*option).to_owned());
    ["restore".to_owned()]
        .into_iter()
        .chain(at(container))
        .chain(bundle)
        .chain(options)
        .chain([id.to_owned()])
        .collect()
}

/// `restore --detach` with these options, which must work.
#[track_caller]
fn restore(oci: &Oci, container: &Container<'_>, options: &[&str]) {
    let options: Vec<&str> = ["--detach"].into_iter().chain(options.iter().copied()).collect();
    oci.call(restore_words(container, &options, container.id())).ok().prints("");
}

#[test]
fn it_comes_back_as_it_was() {
    let Some(oci) = with_criu() else { return };
    oci.host.admin(
        "mkdir -p /tmp/data/in/deep; mount -t tmpfs deep /tmp/data/in/deep; echo hi >/tmp/data/in/deep/f",
    );
    let check = |edit: &dyn Fn(&mut Value), options: &[&str]| {
        let container = oci
            .bundle(|config| {
                counts(config);
                edit(config);
            })
            .start(&[]);
        counts_on(&container);
        let before = seen(&oci, &container);
        checkpoint(&oci, &container, options);
        container.call("state", &[]).refused(&["does not exist"]);
        let left: Vec<String> =
            oci.leftovers().into_iter().filter(|one| !one.contains("/tmp/data/in/deep")).collect();
        assert!(left.is_empty(), "left behind by checkpoint: {left:?}");
        let pid_file = container.bundle.inside("pid");
        restore(&oci, &container, &[options, &["--pid-file", &pid_file]].concat());
        assert_eq!(container.status(), "running");
        assert_eq!(container.bundle.read("pid"), container.pid().to_string());
        counts_on(&container);
        assert_same(&before, &seen(&oci, &container));
        container.exec(&[], "kill -0 1").ok();
        container.end();
        container.call("delete", &[]).ok();
    };
    check(&plain, &[]);
    check(
        &|config| {
            mount(config, "/var/run/in", "bind", "/tmp/data/in", &["rbind", "ro"]);
            mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
            config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/acpi", "/sys/firmware"]);
            config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
            config["process"]["noNewPrivileges"] = json!(true);
            config["process"]["oomScoreAdj"] = json!(100);
            config["linux"]["resources"] = json!({"memory": {"limit": 100_000_000}});
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]});
        },
        &["--manage-cgroups-mode", "full"],
    );
    check(
        &|config| {
            namespace(config, "cgroup", None);
            mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", &[]);
        },
        &["--manage-cgroups-mode", "strict"],
    );
    check(
        &|config| {
            namespace(config, "user", None);
            config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
            config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        },
        &["--empty-ns", "network"],
    );
    oci.host.admin("umount /tmp/data/in/deep");
    oci.assert_empty("restore");
}

#[test]
fn a_read_only_root_stays_so() {
    let Some(oci) = with_criu() else { return };
    let edit = |config: &mut Value| {
        script(config, "while :; do sleep 0.2; done");
        config["root"]["readonly"] = json!(true);
    };
    let container = oci.bundle(edit).start(&[]);
    let before = seen(&oci, &container);
    container.exec(&[], "echo >/x").refused(&["Read-only file system"]);
    // One that an earlier release made has less in its record.
    let record = format!("{ROOT}/{}/state.json", container.id());
    oci.host.admin(&format!("jq -e .streams {record}; jq 'del(.streams, .criu)' {record} >/tmp/record"));
    oci.host.admin(&format!("cat /tmp/record >{record}"));
    checkpoint(&oci, &container, &[]);
    restore(&oci, &container, &[]);
    assert_same(&before, &seen(&oci, &container));
    container.exec(&[], "echo >/x").refused(&["Read-only file system"]);
}

#[test]
fn under_another_name_in_a_cgroup_of_its_own() {
    let Some(oci) = with_criu() else { return };
    let check = |options: &[&str]| {
        let container = oci.bundle(counts).start(&[]);
        counts_on(&container);
        checkpoint(&oci, &container, options);
        let detached: Vec<&str> = ["--detach"].into_iter().chain(options.iter().copied()).collect();
        oci.call(restore_words(&container, &detached, "other")).ok();
        counts_on(&container);
        let cgroups = oci.host.cgroups();
        assert!(cgroups.iter().any(|name| name.ends_with("/other")), "{cgroups:?}");
        assert!(!cgroups.iter().any(|name| name.ends_with(container.id())), "{cgroups:?}");
        oci.call(["kill", "other", "KILL"]).ok();
        oci.call(["delete", "--force", "other"]).ok();
        oci.assert_empty("restore under another name");
    };
    check(&[]);
    check(&["--manage-cgroups-mode", "ignore"]);
}

#[test]
fn it_may_run_on() {
    let Some(oci) = with_criu() else { return };
    let container = oci.bundle(counts).start(&[]);
    let before = container.bundle.inside("before");
    container.with("checkpoint", &["--pre-dump", "--image-path", &before], &[]).ok();
    counts_on(&container);
    oci.host.admin(&format!("mkdir {}", container.bundle.inside("image")));
    checkpoint(&oci, &container, &["--parent-path", "../before", "--leave-running"]);
    counts_on(&container);
    oci.call(restore_words(&container, &["--detach"], container.id())).refused(&["already exists"]);
    // Each image has what changed since the one before it: the next is one of its own.
    let whole = container.bundle.inside("whole");
    container.call("pause", &[]).ok();
    checkpoint(&oci, &container, &["--image-path", &whole, "--leave-running"]);
    assert_eq!(container.status(), "paused");
    checkpoint(&oci, &container, &["--image-path", &whole]);
    let count = container.bundle.read("rootfs/count");
    restore(&oci, &container, &["--image-path", &whole, "--auto-dedup"]);
    wait_for("the next number", || (container.bundle.read("rootfs/count") > count).then_some(()));
    counts_on(&container);
}

#[test]
fn its_streams_are_those_of_the_restore() {
    let Some(oci) = with_criu() else { return };
    // Its standard output is somewhere else for as long as it runs, as in the middle of a redirection.
    let aside = "exec 3>&1 >/aside; trap 'exec >&3; echo bye; exit 7' TERM; while :; do sleep 0.2; done";
    let bundle = oci.bundle(|config| script(config, aside));
    let mut run = oci.command(["run", "--detach", "--bundle", &bundle.directory, &bundle.id]);
    let started = testkit::Running::start(&mut run);
    let container = bundle.container();
    wait_for("the container", || {
        oci.call(["state", container.id()]).stdout.contains("running").then_some(())
    });
    checkpoint(&oci, &container, &[]);
    started.wait().ok().prints("");
    // Other pipes, which have other names.
    let moved = oci.spawn(restore_words(&container, &["--detach"], container.id()));
    wait_for("the container, restored", || {
        oci.call(["state", container.id()]).stdout.contains("running").then_some(())
    });
    let second = container.bundle.inside("second");
    checkpoint(&oci, &container, &["--image-path", &second]);
    moved.wait().ok().prints("");
    // In the foreground: streams, signals and the exit code.
    let restored = oci.spawn(restore_words(&container, &["--image-path", &second], container.id()));
    wait_for("the container", || {
        oci.call(["state", container.id()]).stdout.contains("running").then_some(())
    });
    restored.signal(Signal::TERM);
    let outcome = restored.wait();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (7, "bye\n"), "{outcome}");
    oci.assert_empty("restore in the foreground");
}

#[test]
fn its_terminal_is_handed_over_again() {
    let Some(oci) = with_criu() else { return };
    let bundle = oci.bundle(|config| {
        config["process"]["terminal"] = json!(true);
        script(config, "while read line; do echo \"[$line]\"; done");
    });
    let socket = Receiver::at(&oci, "/tmp/output/first");
    let container = bundle.start(&["--console-socket", "/tmp/output/first"]);
    let (first, _) = socket.take();
    checkpoint(&oci, &container, &[]);
    drop(first);
    let socket = Receiver::at(&oci, "/tmp/output/second");
    restore(&oci, &container, &["--console-socket", "/tmp/output/second"]);
    let (master, message) = socket.take();
    assert_eq!(message, "/dev/ptmx");
    let mut master = File::from(master);
    master.write_all(b"again\n").expect("write to the terminal");
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("[again]") {
        let mut bytes = [0; 256];
        let length = master.read(&mut bytes).expect("read the terminal");
        heard.extend_from_slice(&bytes[..length]);
    }
}

#[test]
fn connections_go_on() {
    let Some(oci) = with_criu() else { return };
    let container = oci
        .bundle(|config| {
            capabilities(config, &["CAP_NET_ADMIN"]);
            let listen = "(while :; do sleep 1; done) | nc -l -p 5000 >/count &";
            let speak = "i=0; (while :; do i=$((i+1)); echo; echo $i; sleep 0.2; done) | nc 127.0.0.1 5000";
            script(config, &format!("ifconfig lo up; {listen} sleep 1; {speak}"));
        })
        .start(&[]);
    let lines = || container.bundle.read("rootfs/count").lines().count();
    wait_for("the connection", || (lines() > 3).then_some(()));
    let at = at(&container);
    let words = ["checkpoint"].into_iter().chain(at.iter().map(String::as_str)).chain([container.id()]);
    oci.call(words).refused(&["consider using --tcp-established", "dump.log"]);
    wait_for("the connection, after a checkpoint that failed", || {
        let now = lines();
        wait_for("more", || (lines() > now).then_some(()));
        Some(())
    });
    checkpoint(&oci, &container, &["--tcp-established"]);
    let before = lines();
    restore(&oci, &container, &["--tcp-established"]);
    wait_for("the connection, restored", || (lines() > before).then_some(()));
}

#[test]
fn what_cannot_be_checkpointed() {
    let oci = root();
    let image = ["--image-path", "/tmp/output/image"];
    let container = oci.bundle(stays).create(&[]);
    container.with("checkpoint", &image, &[]).refused(&["Container cannot be checkpointed in created state"]);
    container.call("start", &[]).ok();
    for (options, why) in [
        (&["--parent-path", "/tmp"][..], "--parent-path must be relative"),
        (
            &["--parent-path", "../nowhere"],
            "--parent-path: there is no image at /tmp/output/image/../nowhere",
        ),
        (&["--manage-cgroups-mode", "none"], "Invalid manage-cgroups-mode value: \"none\""),
        (&["--page-server", "localhost"], "--page-server: \"localhost\" is not ADDRESS:PORT"),
        (&["--empty-ns", "pid"], "--empty-ns: \"pid\" is not network"),
        (&["--network-lock", "no"], "--network-lock: \"no\" is not one of iptables, nftables and skip"),
        (&["--status-fd", "x"], "--status-fd: \"x\" is not a number"),
    ] {
        container.with("checkpoint", &[&image[..], options].concat(), &[]).refused(&[why]);
        assert_eq!(container.status(), "running", "{why}");
    }
    container.end();
    container.with("checkpoint", &image, &[]).refused(&["Container cannot be checkpointed in stopped state"]);
    oci.call(["checkpoint", "nobody"]).refused(&["does not exist"]);
}

#[test]
fn what_cannot_be_restored() {
    let oci = root();
    let bundle = oci.bundle(stays);
    // From somebody else: what CRIU writes, or we read, leads elsewhere (CVE-2026-53489), or nowhere.
    oci.host.admin(
        "cd /tmp/output; mkdir empty linked waits logged counted; echo kept >other
        ln -s ../other linked/descriptors.json; mkfifo waits/descriptors.json
        for at in logged counted; do echo '[\"\",\"\",\"\"]' >$at/descriptors.json; done
        ln -s ../other logged/restore.log; ln -s ../other counted/stats-restore",
    );
    for (options, why) in [
        (&["--image-path", "/tmp/output/linked"][..], "linked/descriptors.json: not a file"),
        (&["--image-path", "/tmp/output/waits"], "waits/descriptors.json: not a file"),
        (&["--image-path", "/tmp/output/logged"], "logged/restore.log: not a file"),
        (
            &["--image-path", "/tmp/output/counted", "--work-path", "/tmp/output/logged"],
            "logged/restore.log: not a file",
        ),
        (&["--image-path", "/tmp/output/counted"], "counted/stats-restore: not a file"),
    ] {
        let words =
            [&["restore", "--detach", "--bundle", &bundle.directory], options, &[&bundle.id]].concat();
        oci.call(words).refused(&[why]);
        oci.host.admin("cat /tmp/output/other").prints("kept");
        oci.assert_empty(why);
    }
    for (options, why) in [
        (&["--image-path", "/tmp/output/nowhere"][..], "open(\"/tmp/output/nowhere\"): ENOENT"),
        (&["--image-path", "/tmp/output/empty"], "descriptors.json"),
        (&["--lsm-profile", "x"], "--lsm-profile: \"x\" is not apparmor:LABEL or selinux:LABEL"),
    ] {
        let words =
            [&["restore", "--detach", "--bundle", &bundle.directory], options, &[&bundle.id]].concat();
        oci.call(words).refused(&[why]);
        oci.assert_empty(why);
    }
    let joins = oci.bundle(|config| {
        stays(config);
        namespace(config, "cgroup", Some("/proc/self/ns/cgroup"));
    });
    let options = ["restore", "--detach", "--image-path", "/tmp/output/empty", "--bundle"];
    let restore = |bundle: &Bundle<'_>| oci.call([&options[..], &[&bundle.directory, &bundle.id]].concat());
    restore(&joins).refused(&["linux.namespaces: cgroup: path: CRIU cannot restore into a cgroup namespace"]);

    // A cgroup that is another container's is not touched.
    let shares = |config: &mut Value| {
        stays(config);
        config["linux"]["cgroupsPath"] = json!("/shared");
    };
    let first = oci.bundle(shares).start(&[]);
    let second = oci.bundle(shares);
    restore(&second).refused(&["shared has processes in it"]);
    assert_eq!(first.status(), "running");
    first.end();
    first.call("delete", &[]).ok();
    oci.assert_empty("a cgroup that is in use");
}
