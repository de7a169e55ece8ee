//! `hooks` of config.json: when each runs and where, what it reads, and what its failure does.

use crate::world::{namespace, root, rootless, stays};
use serde_json::{Value, json};
use testkit::{Bundle, Oci};

const ALL: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a script. What busybox is called is what it does.
fn hook(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
}

/// Names of what the hooks of a bundle wrote, in the order in which they ran.
fn log(bundle: &Bundle) -> Vec<String> {
    bundle.read("log").lines().map(str::to_owned).collect()
}

/// A bundle each of whose hooks appends its name to the file `log` and keeps its standard input in a file of its name.
/// Those that run inside find the bundle under /bundle.
fn noting(oci: &Oci, edit: impl FnOnce(&mut Value)) -> Bundle<'_> {
    let mut bundle = oci.bundle(stays);
    let inside =
        json!({"destination": "/bundle", "type": "bind", "source": bundle.directory, "options": ["bind"]});
    bundle.config["mounts"].as_array_mut().expect("an array").push(inside);
    for name in ALL {
        let place = if name == "startContainer" { "/bundle" } else { bundle.directory.as_str() };
        let script = format!("cat >{place}/{name}.state; echo {name} >>{place}/log");
        bundle.config["hooks"][name] = json!([hook(&script)]);
    }
    edit(&mut bundle.config);
    bundle.save();
    bundle
}

fn state(bundle: &Bundle, name: &str) -> Value {
    let text = bundle.read(&format!("{name}.state"));
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error} in the state that {name} read: {text:?}"))
}

#[test]
fn each_at_its_time_with_the_state() {
    clause!(
        "config.hooks",
        "config.hooks.state",
        "config.hooks.prestart",
        "config.hooks.createRuntime",
        "config.hooks.createContainer"
    );
    clause!("config.hooks.startContainer", "config.hooks.poststart", "config.hooks.poststop");
    clause!(
        "runtime.lifecycle.prestart",
        "runtime.lifecycle.createRuntime",
        "runtime.lifecycle.createContainer"
    );
    clause!(
        "runtime.lifecycle.startContainer",
        "runtime.lifecycle.poststart",
        "runtime.lifecycle.poststop",
        "runtime.state.status.creating"
    );
    fn check(oci: &Oci) {
        let annotated = |config: &mut Value| config["annotations"] = json!({"a.key": "and its \"value\""});
        let container = noting(oci, annotated).create(&[]);
        assert_eq!(log(&container.bundle), ALL[..3], "with create");
        container.call("start", &[]).ok();
        container.bundle.awaits("rootfs/up");
        assert_eq!(log(&container.bundle), ALL[..5], "with start");
        let pid = container.pid();
        container.end();
        assert_eq!(log(&container.bundle), ALL[..5], "not with the end");
        container.call("delete", &[]).ok();
        assert_eq!(log(&container.bundle), ALL, "with delete");
        for (name, status) in
            ALL.iter().zip(["creating", "creating", "creating", "created", "running", "stopped"])
        {
            let state = state(&container.bundle, name);
            assert_eq!(state["status"], status, "{name}");
            assert_eq!(state["id"], container.id(), "{name}");
            assert_eq!(state["bundle"], container.bundle.directory.as_str(), "{name}");
            assert_eq!(state["annotations"]["a.key"], "and its \"value\"", "{name}");
            assert!(state["ociVersion"].is_string(), "{name}");
            let seen = match *name {
                // As the container sees it (runtime.md, "State").
                "createContainer" | "startContainer" => {
                    state["pid"].as_i64() == Some(pid) || state["pid"].as_i64() == Some(1)
                }
                "poststop" => true,
                _ => state["pid"].as_i64() == Some(pid),
            };
            assert!(seen, "{name}: pid of {state}");
        }
        let bundle = noting(oci, |config| config["process"]["args"] = json!(["true"]));
        bundle.try_run(&[]).ok();
        assert_eq!(log(&bundle), ALL, "with run");
        oci.assert_empty("hooks");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn in_which_namespaces() {
    clause!(
        "config.hooks.prestart.namespace",
        "config.hooks.createRuntime.namespace",
        "config.hooks.createContainer.namespace"
    );
    clause!(
        "config.hooks.startContainer.namespace",
        "config.hooks.poststart.namespace",
        "config.hooks.poststop.namespace"
    );
    let oci = root();
    let mut bundle = noting(&oci, |config| namespace(config, "cgroup", None));
    for name in ALL {
        let place = if name == "startContainer" { "/bundle" } else { bundle.directory.as_str() };
        // Also whether the root has been entered: there is no /tmp/bundles in it.
        let script = format!(
            "cat >/dev/null; for n in mnt net uts ipc; do readlink /proc/self/ns/$n; done >{place}/{name}.ns; ls -d /tmp/bundles >>{place}/{name}.ns 2>/dev/null || :"
        );
        bundle.config["hooks"][name] = json!([hook(&script)]);
    }
    bundle.save();
    let container = bundle.start(&[]);
    let namespaces = |pid: i64| {
        ["mnt", "net", "uts", "ipc"].map(|name| {
            let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
            link.display().to_string()
        })
    };
    let (host, inside) = (namespaces(i64::from(oci.host.pid())), namespaces(container.pid()));
    container.end();
    container.call("delete", &[]).ok();
    for name in ALL {
        let seen = container.bundle.read(&format!("{name}.ns"));
        let lines: Vec<&str> = seen.lines().collect();
        let outside = ["prestart", "createRuntime", "poststart", "poststop"].contains(&name);
        let expected = if outside { &host } else { &inside };
        assert_eq!(lines[..4], expected.each_ref().map(String::as_str), "namespaces of {name}");
        assert_eq!(lines.len() == 5, name != "startContainer", "the files that {name} sees: {lines:?}");
    }
}

/// Descriptors that the caller of the runtime had open, also those for the container, came along into its hooks: another program's business.
/// Hooks of the container's own namespaces have what it has.
#[test]
fn nothing_of_the_caller_is_open() {
    fn check(options: &str, inside: &str) {
        let oci = root();
        let mut bundle = noting(&oci, |_| ());
        bundle.config["process"]["args"] = json!(["true"]);
        for name in ALL {
            let place = if name == "startContainer" { "/bundle" } else { bundle.directory.as_str() };
            // The last one is the directory that is listed.
            bundle.config["hooks"][name] =
                json!([hook(&format!("echo $(ls /proc/self/fd) >{place}/{name}.fds"))]);
        }
        bundle.save();
        let script = format!(
            "exec 3</tmp 8</etc; exec $C --root /tmp/run/oci run --bundle {} {options} {}",
            bundle.directory, bundle.id
        );
        oci.host.sh(&script).ok();
        for name in ALL {
            let expected =
                if ["createContainer", "startContainer"].contains(&name) { inside } else { "0 1 2 3\n" };
            assert_eq!(bundle.read(&format!("{name}.fds")), expected, "{name}, {options}");
        }
    }
    check("", "0 1 2 3\n");
    check("--preserve-fds 1", "0 1 2 3 4\n");
}

#[test]
fn their_words_and_their_order() {
    clause!("config.hooks.path", "config.hooks.args", "config.hooks.env", "config.hooks.order");
    let oci = root();
    let mut bundle = oci.bundle(|_| ());
    let (log, place) = (bundle.inside("log"), bundle.directory.clone());
    let one = |n: u32| hook(&format!("echo {n} >>{log}"));
    bundle.config["hooks"]["createRuntime"] = json!([
        one(1),
        {"path": "/bin/sh", "args": ["zero", "-c", format!("echo \"$0 $1 $A $B\" >>{log}; env | grep -vE '^(PWD|SHLVL|_|OLDPWD)=' | wc -l >>{log}"), "nought", "first"], "env": ["A=a", "B=b c"]},
        {"path": "/bin/sh", "args": ["bare", "-c", format!("pwd >{place}/cwd")]},
        one(3),
    ]);
    bundle.save();
    bundle.try_run(&[]).ok();
    assert_eq!(bundle.read("log"), "1\nnought first a b c\n2\n3\n");
    bundle.config["hooks"] =
        json!({"prestart": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]});
    bundle.save();
    bundle.try_run(&[]).ok();
}

#[test]
fn their_failure() {
    clause!(
        "config.hooks.create-fails",
        "config.hooks.startContainer.fails",
        "config.hooks.poststart.fails",
        "config.hooks.poststop.fails"
    );
    clause!("runtime.lifecycle.hooks-fail");
    let oci = root();
    let failing = |name: &str| {
        noting(&oci, |config| {
            let own = config["hooks"][name].as_array_mut().expect("an array");
            own.insert(0, hook("echo reason >&2; exit 3"));
        })
    };
    // Before it is made: there is no container, those that follow do not run, and poststop does.
    for (count, name) in ALL[..3].iter().enumerate() {
        let bundle = failing(name);
        let refused = bundle.try_create(&[]);
        assert_ne!(refused.code, 0, "{refused}");
        assert!(refused.stderr.contains("hook"), "{refused}");
        let ran = log(&bundle);
        assert_eq!(ran.iter().filter(|one| *one != "poststop").count(), count, "{name}: {ran:?}");
        oci.call(["state", &bundle.id]).refused(&["does not exist"]);
        oci.assert_empty(&format!("a failing {name}"));
    }
    let container = failing("startContainer").create(&[]);
    let refused = container.call("start", &[]);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(container.bundle.read("rootfs/up").is_empty(), "the command does not run");
    container.with("delete", &["--force"], &[]).ok();
    oci.assert_empty("a failing startContainer");
    // The command runs by then.
    let container = failing("poststart").create(&[]);
    let refused = container.call("start", &[]);
    assert_ne!(refused.code, 0, "{refused}");
    container.with("delete", &["--force"], &[]).ok();
    oci.assert_empty("a failing poststart");
    // The rest of them runs, and all of it is removed.
    let container = failing("poststop").start(&[]);
    container.bundle.awaits("rootfs/up");
    container.end();
    let words = ["--log-level", "warning", "--root", testkit::bundle::ROOT, "delete", container.id()];
    let outcome = oci.to_its_end(&mut oci.host.command(words)).ok();
    assert!(outcome.stderr.contains("hook"), "a warning: {outcome}");
    assert_eq!(log(&container.bundle), ALL, "the one after it runs");
    container.call("state", &[]).refused(&["does not exist"]);
    oci.assert_empty("a failing poststop");
}

#[test]
fn their_time_is_limited() {
    clause!("config.hooks.timeout");
    let oci = root();
    let mut bundle = oci.bundle(|_| ());
    let mut slow = hook("sleep 1000 & echo $! >/tmp/slow.pid; wait");
    slow["timeout"] = json!(1);
    bundle.config["hooks"] = json!({"createRuntime": [slow]});
    bundle.save();
    let outcome = bundle.try_create(&[]);
    assert_ne!(outcome.code, 0, "{outcome}");
    // With the processes that it had started.
    oci.assert_empty("a hook whose time was up");
    let mut quick = hook("true");
    quick["timeout"] = json!(10);
    bundle.config["hooks"] = json!({"createRuntime": [quick]});
    bundle.save();
    bundle.try_run(&[]).ok();
}

#[test]
fn those_that_cannot_be() {
    clause!("config.hooks.path.absolute", "config.hooks.timeout.positive");
    let oci = root();
    let refused = |value: Value| {
        for name in ALL {
            let bundle = oci.bundle(|config| config["hooks"] = json!({name: [value]}));
            let outcome = bundle.try_create(&[]);
            assert_ne!(outcome.code, 0, "{name} {value}: {outcome}");
            assert!(outcome.stderr.contains("hook") || outcome.stderr.contains(name), "{outcome}");
        }
        oci.assert_empty("hooks that cannot be");
    };
    refused(json!({"path": "bin/true"}));
    refused(json!({"path": "true"}));
    refused(json!({"path": "/bin/true", "timeout": 0}));
    refused(json!({"path": "/bin/true", "timeout": -1}));
    refused(json!({"args": ["true"]}));
    refused(json!("/bin/true"));
    for name in ["prestart", "createRuntime"] {
        for path in ["/none", "/etc/passwd", "/etc"] {
            oci.bundle(|config| config["hooks"] = json!({name: [{"path": path}]}))
                .try_create(&[])
                .refused(&[path]);
        }
    }
    // What a hook prints is nobody's memory.
    let loud = hook("head -c 300000000 /dev/zero; head -c 300000000 /dev/zero >&2; exit 1");
    let bundle = oci.bundle(|config| config["hooks"] = json!({"createRuntime": [loud]}));
    let outcome = bundle.try_create(&[]);
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.len() < 1 << 20, "{} bytes of stderr", outcome.stderr.len());
    oci.assert_empty("a loud hook");
}
