//! Devices by CDI: `--device vendor.com/class=name`, `--gpus`.

use crate::world::{BUSYBOX, FAILED, World};
use testkit::{Outcome, Snapshot};

/// A spec as its vendor writes it, of devices that every machine has.
const VENDOR: &str = r#"
cdiVersion: "0.7.0"
kind: vendor.com/thing
annotations:
  made.by: hand
containerEdits:
  env:
  - VENDOR=any
  - PATH_OF=first
devices:
- name: "0"
  containerEdits:
    env: [DEVICE=zero, PATH_OF=second]
    deviceNodes:
    - path: /dev/vendor0
      hostPath: /dev/zero
      fileMode: 0640
      uid: 5
      gid: 6
    mounts:
    - hostPath: /tmp/vendor/lib
      containerPath: /usr/lib/vendor
      options: [ro, nosuid, nodev, rbind]
- name: all
  containerEdits:
    env: [DEVICE=all]
    deviceNodes:
    - path: /dev/full
    - {path: /dev/vendor/full, hostPath: /dev/full, type: c, permissions: rw}
    additionalGids: [0, 44, 45]
"#;

/// Writes spec files into a directory of the host.
#[track_caller]
fn specs(world: &World, directory: &str, files: &[(&str, &str)]) {
    world.host.admin(&format!(
        "mkdir -p {directory} /tmp/vendor/lib; echo library >/tmp/vendor/lib/l.so; rm -f {directory}/*"
    ));
    for (name, text) in files {
        let path = world.host.path(format!("{directory}/{name}"));
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// `run --rm OPTIONS busybox sh -c SCRIPT` with specs in /tmp/cdi and /tmp/cdi2, the second of higher precedence.
#[track_caller]
fn run(world: &World, options: &[&str], script: &str) -> Outcome {
    let net: &[&str] = if options.contains(&"--net") { &[] } else { &["--net", "none"] };
    let words: Vec<String> = [&["run", "--rm"], net, options, &[BUSYBOX, "sh", "-c"]]
        .concat()
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    world.host.sh(&format!(
        "DEVOXX_CDI_DIRS=/tmp/cdi:/tmp/cdi2 exec $C {} '{}'",
        words.join(" "),
        script.replace('\'', "'\\''")
    ))
}

#[test]
fn a_device_is_what_its_spec_says() {
    for world in [World::root(), World::cgroup2(), World::rootless()] {
        specs(&world, "/tmp/cdi", &[("vendor.yaml", VENDOR)]);
        let check = |options: &[&str], script: &str, expected: &str| {
            drop(run(&world, options, script).ok().prints(expected))
        };
        let zero = ["--device", "vendor.com/thing=0"];
        check(&zero, "echo $VENDOR $DEVICE $PATH_OF", "any zero second");
        check(
            &zero,
            "head -c 3 /dev/vendor0 | od -An -tx1 | tr -d ' '; cat /usr/lib/vendor/l.so; (echo x >/usr/lib/vendor/f) 2>/dev/null || echo no",
            "000000\nlibrary\nno",
        );
        check(
            &["--device", "vendor.com/thing=all", "-u", "1000:1000"],
            "echo $VENDOR $DEVICE; stat -c %t:%T /dev/vendor/full; id -G",
            "any all\n1:7\n1000 44 45",
        );
        // Several, one twice, beside one by its path; a spec's own edits are made once, before those of its devices.
        check(
            &[
                "--device",
                "vendor.com/thing=0",
                "--device",
                "vendor.com/thing=all",
                "--device",
                "vendor.com/thing=0",
                "--device",
                "/dev/zero:/dev/mine",
            ],
            "echo $DEVICE $PATH_OF; ls /dev/vendor0 /dev/vendor/full /dev/mine | wc -l",
            "all second\n3",
        );
        // What was typed does not stand against the device, and a volume at the place of a mount of it neither.
        check(
            &["--device", "vendor.com/thing=0", "-e", "DEVICE=typed", "--tmpfs", "/usr/lib/vendor"],
            "echo $DEVICE; ls /usr/lib/vendor",
            "zero\nl.so",
        );
        if !world.host.is_rootless() {
            check(&zero, "stat -c %a:%u:%g:%t:%T /dev/vendor0", "640:5:6:1:5");
            check(
                &["--device", "vendor.com/thing=0", "--hardened"],
                "head -c 1 /dev/vendor0 | wc -c; cat /usr/lib/vendor/l.so",
                "1\nlibrary",
            );
        }
        check(
            &["--device", "vendor.com/thing=0", "--userns", "auto"],
            "head -c 1 /dev/vendor0 | wc -c; cat /usr/lib/vendor/l.so",
            "1\nlibrary",
        );
    }
}

#[test]
fn an_interface_moves_in() {
    let world = World::root();
    let text = r#"{"cdiVersion": "1.1.0", "kind": "vendor.com/nic", "devices": [
        {"name": "0", "containerEdits": {"netDevices": [{"hostInterfaceName": "vendor0", "name": "fast0"}]}}]}"#;
    specs(&world, "/tmp/cdi", &[("nic.json", text)]);
    for (options, expected) in [(&[][..], "fast0\nlo"), (&["--net", "bridge"], "eth0\nfast0\nlo")] {
        // The one of before goes with its network namespace, after its container.
        world.host.admin(
            "ip link delete vendor1 2>/dev/null || :; ip link add vendor0 type veth peer name vendor1",
        );
        run(&world, &[&["--device", "vendor.com/nic=0"], options].concat(), "ls /sys/class/net")
            .ok()
            .prints(expected);
    }
    world.host.admin("ip link delete vendor1 2>/dev/null || :");
    run(&world, &["--device", "vendor.com/nic=0"], "true").refuses(125, &["vendor0"]);
    // An ordinary user has none of the host's to give away.
    let world = World::rootless();
    specs(&world, "/tmp/cdi", &[("nic.json", text)]);
    world.host.admin("ip link add vendor0 type veth peer name vendor1");
    run(&world, &["--device", "vendor.com/nic=0"], "true").refuses(125, &["vendor0", "only root"]);
    world.host.admin("ip link show vendor0");
}

#[test]
fn devices_outlive_a_restart_and_are_shown() {
    for world in World::both() {
        devices_outlive_a_restart_and_are_shown_of(&world);
    }
}

fn devices_outlive_a_restart_and_are_shown_of(world: &World) {
    specs(world, "/tmp/cdi", &[("vendor.yaml", VENDOR)]);
    world.host.sh(&format!("DEVOXX_CDI_DIRS=/tmp/cdi $C create --name web --net none --device vendor.com/thing=0 {BUSYBOX} sh -c 'echo $DEVICE'")).ok();
    // Where it was made is where its specs are; what they say is read again.
    world.host.run(["start", "-a", "web"]).ok().prints("zero");
    world.host.admin("sed -i s/DEVICE=zero/DEVICE=changed/ /tmp/cdi/vendor.yaml");
    world.host.run(["start", "-a", "web"]).ok().prints("changed");
    world.host.run(["inspect", "--format", "{{json .HostConfig.DeviceRequests}}", "web"]).ok().prints(
        r#"[{"Capabilities":null,"Count":0,"DeviceIDs":["vendor.com/thing=0"],"Driver":"cdi","Options":null}]"#,
    );
    world.host.admin("rm /tmp/cdi/vendor.yaml");
    world.host.run(["start", "-a", "web"]).refuses(FAILED, &["web", "vendor.com/thing=0", "/tmp/cdi"]);
    world.host.run(["rm", "web"]).ok();
}

#[test]
fn access_holds_where_there_is_a_filter() {
    let text = r#"{"cdiVersion": "0.5.0", "kind": "vendor.com/tun", "devices": [
        {"name": "r", "containerEdits": {"deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/net/tun", "permissions": "r", "fileMode": 438}]}},
        {"name": "rw", "containerEdits": {"deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/net/tun", "permissions": "rw", "fileMode": 438}]}},
        {"name": "none", "containerEdits": {"deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/net/tun", "permissions": "none", "fileMode": 438}]}}]}"#;
    let script =
        "(: </dev/mine) 2>/dev/null && echo reads; (: >>/dev/mine) 2>/dev/null && echo writes; echo done";
    for world in [World::root(), World::cgroup2()] {
        specs(&world, "/tmp/cdi", &[("tun.json", text)]);
        for (device, expected) in [("r", "reads\ndone"), ("rw", "reads\nwrites\ndone"), ("none", "done")] {
            run(&world, &["--device", &format!("vendor.com/tun={device}")], script).ok().prints(expected);
        }
    }
    let world = World::rootless();
    specs(&world, "/tmp/cdi", &[("tun.json", text)]);
    run(&world, &["--device", "vendor.com/tun=rw"], script).ok().prints("reads\nwrites\ndone");
    run(&world, &["--device", "vendor.com/tun=r"], script)
        .refuses(125, &["/dev/mine", "no filter for devices"]);
}

#[test]
fn hooks_run_at_their_time() {
    let hook = |name: &str, script: &str| {
        format!(
            r#"{{"hookName": "{name}", "path": "/bin/sh", "args": ["sh", "-c", "{script}"], "env": ["PATH=/usr/bin:/bin"], "timeout": 20}}"#
        )
    };
    let note = |name: &str| hook(name, &format!("cat >/dev/null; echo {name} >>/tmp/vendor/log"));
    // As vendors do it: what the bundle says is where the root is.
    let root = "root=$(python3 -c 'import json,sys; b=json.load(sys.stdin)[\\\"bundle\\\"]; print(json.load(open(b+\\\"/config.json\\\"))[\\\"root\\\"][\\\"path\\\"])') && echo hooked >$root/etc/hooked && echo createContainer >>/tmp/vendor/log";
    let text = format!(
        r#"{{"cdiVersion": "0.3.0", "kind": "vendor.com/hooks", "devices": [
            {{"name": "all", "containerEdits": {{"hooks": [{}, {}, {}, {}]}}}},
            {{"name": "fails", "containerEdits": {{"hooks": [{}]}}}},
            {{"name": "inside", "containerEdits": {{"hooks": [{{"hookName": "startContainer", "path": "/bin/touch", "args": ["touch", "/tmp/started"]}}]}}}}]}}"#,
        hook("createContainer", root),
        note("createRuntime"),
        note("poststart"),
        note("poststop"),
        hook("createRuntime", "echo broken >&2; exit 3"),
    );
    let orders = [
        (World::root(), &[][..]),
        (World::root(), &["--userns", "auto"]),
        (World::rootless(), &[]),
        (World::rootless(), &["--userns", "keep-id", "-u", "0"]),
    ];
    for (world, options) in orders {
        world.sh(&["--net", "none"], "true").ok();
        world.sh(&[&["--net", "none"], options].concat(), "true").ok();
        let before = Snapshot::take(&world.host);
        specs(&world, "/tmp/cdi", &[("hooks.json", &text)]);
        world.host.admin("rm -f /tmp/vendor/log; touch /tmp/vendor/log; chmod 666 /tmp/vendor/log");
        let with = |device: &'static str| [options, &["--device", device]].concat();
        run(&world, &with("vendor.com/hooks=all"), "cat /etc/hooked").ok().prints("hooked");
        let log = std::fs::read_to_string(world.host.path("/tmp/vendor/log")).expect("the log");
        assert_eq!(log, "createRuntime\ncreateContainer\npoststart\npoststop\n", "{options:?}");
        run(&world, &with("vendor.com/hooks=inside"), "ls /tmp/started").ok().prints("/tmp/started");
        run(&world, &with("vendor.com/hooks=fails"), "true").refuses(125, &["createRuntime", "broken"]);
        before.assert_same(&world.host, "hooks");
    }
}

#[test]
fn gpus() {
    let spec = |device: &str, more: &str| {
        format!(
            "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: {device}\n  containerEdits:\n    env: [\"GPU_{}=yes\"]\n{more}",
            device.to_uppercase().replace('-', "_")
        )
    };
    for world in World::both() {
        let mut devices = spec("\"0\"", "");
        for name in ["\"1\"", "all", "GPU-3f"] {
            let one = spec(name, "");
            devices += one.split_once("devices:\n").expect("devices").1;
        }
        let devices =
            devices.replace('"', "").replace("name: 0", "name: '0'").replace("name: 1", "name: '1'");
        specs(&world, "/tmp/cdi", &[("nvidia.yaml", &devices)]);
        let check = |option: &str, expected: &str| {
            run(&world, &["--gpus", option], "env | grep ^GPU_ | sort").ok().prints(expected);
        };
        check("all", "GPU_ALL=yes");
        check("2", "GPU_0=yes\nGPU_1=yes");
        check("device=0", "GPU_0=yes");
        check("\"device=0,GPU-3f\"", "GPU_0=yes\nGPU_GPU_3F=yes");
        check("all,capabilities=utility", "GPU_ALL=yes");
        run(&world, &["--gpus", "3"], "true")
            .refuses(125, &["nvidia.com/gpu=2", "/tmp/cdi and /tmp/cdi2", "0, 1, GPU-3f, all"]);
        run(&world, &["--gpus", "driver=amd,count=all"], "true")
            .refuses(125, &["amd.com/gpu=all", "nvidia.com/gpu"]);
        for (value, words) in [
            ("", &["--gpus", "write all"][..]),
            ("0", &["--gpus"]),
            ("none", &["--gpus"]),
            ("all,1", &["--gpus", "two numbers"]),
            ("device=", &["--gpus", "device"]),
            ("all,driver=mine", &["--gpus", "driver"]),
            ("all,capabilities=fly", &["--gpus", "fly"]),
        ] {
            run(&world, &["--gpus", value], "true").refuses(125, words);
        }
        // Without any spec it says where it looked, and how there comes to be one.
        world.run(&["--gpus", "all"], &["true"]).refuses(
            125,
            &["no CDI spec in /etc/cdi and /var/run/cdi has nvidia.com/gpu=all", "nvidia-ctk cdi generate"],
        );
    }
}

#[test]
fn which_spec_counts() {
    for world in World::both() {
        which_spec_counts_of(&world);
    }
}

fn which_spec_counts_of(world: &World) {
    let spec = |version: &str, value: &str| {
        format!(
            "{{\"cdiVersion\": \"{version}\", \"kind\": \"vendor.com/c\", \"devices\": [{{\"name\": \"d\", \"containerEdits\": {{\"env\": [\"V={value}\"]}}}}]}}"
        )
    };
    let (one, two) = (spec("0.3.0", "one"), spec("0.8.0", "two"));
    let says =
        |expected: &str| drop(run(world, &["--device", "vendor.com/c=d"], "echo $V").ok().prints(expected));
    // A later directory takes precedence; files of other names do not count.
    specs(world, "/tmp/cdi", &[("a.json", &one), ("b.txt", "{"), ("c.yml", "{")]);
    says("one");
    specs(world, "/tmp/cdi2", &[("a.yaml", &two)]);
    says("two");
    // In one directory they contradict each other.
    specs(world, "/tmp/cdi2", &[("a.json", &one), ("b.json", &two)]);
    run(world, &["--device", "vendor.com/c=d"], "true")
        .refuses(125, &["vendor.com/c=d", "/tmp/cdi2/a.json", "/tmp/cdi2/b.json"]);
    // What is broken does not keep others from being found, but is told where nothing is.
    specs(world, "/tmp/cdi2", &[("a.json", "{\"cdiVersion\": "), ("b.json", &two)]);
    says("two");
    run(world, &["--device", "vendor.com/c=e"], "true")
        .refuses(125, &["vendor.com/c=e", "/tmp/cdi2/a.json", "line 1"]);
    // Links, as packages have them.
    specs(world, "/tmp/cdi2", &[]);
    specs(world, "/tmp/cdi", &[]);
    std::fs::write(world.host.path("/tmp/vendor/real"), &one).expect("written");
    world.host.admin("ln -s /tmp/vendor/real /tmp/cdi/link.json");
    says("one");
    world
        .host
        .sh(&format!("DEVOXX_CDI_DIRS=relative $C run {BUSYBOX} true"))
        .refuses(125, &["relative", "absolute"]);
}

#[test]
fn bad_specs_and_names_are_refused() {
    for world in World::both() {
        bad_specs_and_names_are_refused_of(&world);
    }
}

fn bad_specs_and_names_are_refused_of(world: &World) {
    let spec = |version: &str, kind: &str, rest: &str| {
        format!("{{\"cdiVersion\": \"{version}\", \"kind\": \"{kind}\", {rest}}}")
    };
    let devices = |edits: &str| format!("\"devices\": [{{\"name\": \"d\", \"containerEdits\": {edits}}}]");
    let env = r#"{"env": ["A=1"]}"#;
    let refused = |text: &str, words: &[&str]| {
        specs(world, "/tmp/cdi", &[("bad.json", text)]);
        let options = ["--device", "vendor.com/c=d"];
        run(world, &options, "true")
            .refuses(125, &[&["vendor.com/c=d", "/tmp/cdi/bad.json"], words].concat());
    };
    for version in ["", "0", "0.3", "9.9.9", "0.3.1", "0.03.0", "1.1.0-rc", "latest"] {
        refused(&spec(version, "vendor.com/c", &devices(env)), &["cdiVersion", version]);
    }
    for kind in
        ["", "c", "vendor.com/", "/c", "vendor.com/c/d", "vendor.com/c-", "ven dor.com/c", "vendor.com/1c"]
    {
        refused(&spec("0.6.0", kind, &devices(env)), &[]);
    }
    for (version, kind, rest, words) in [
        ("0.3.0", "vendor.com/c", "\"devices\": []".to_owned(), &["devices"][..]),
        ("0.3.0", "vendor.com/c", "\"containerEdits\": {}".to_owned(), &["devices"]),
        ("0.3.0", "vendor.com/c", devices("{}"), &["containerEdits"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"env": ["A"]}"#), &["env", "A"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"env": ["=1"]}"#), &["env", "=1"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"envs": ["A=1"]}"#), &["unknown field", "envs"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"env": ["A=1"], "env": []}"#), &["env", "twice"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"env": "A=1"}"#), &["sequence"]),
        ("0.3.0", "vendor.com/c", format!("{}, \"more\": 1", devices(env)), &["unknown field", "more"]),
        ("0.3.0", "vendor.com/c", r#""devices": [{"name": "d e", "containerEdits": {"env": ["A=1"]}}]"#.to_owned(), &["d e"]),
        ("0.3.0", "vendor.com/c", r#""devices": [{"name": "d", "containerEdits": {"env": ["A=1"]}}, {"name": "d", "containerEdits": {"env": ["A=1"]}}]"#.to_owned(), &["twice"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "dev/x"}]}"#), &["path", "absolute"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/../x"}]}"#), &["path", ".."]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{}]}"#), &["path"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/x", "type": "z"}]}"#), &["type", "z"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/x", "major": -1}]}"#), &["-1"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/x", "permissions": "rx"}]}"#), &["permissions", "rx"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/x", "fileMode": 99999999}]}"#), &["fileMode"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/x", "uid": -1}]}"#), &["-1"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"mounts": [{"hostPath": "/x", "containerPath": "y"}]}"#), &["containerPath"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"mounts": [{"hostPath": "", "containerPath": "/y"}]}"#), &["hostPath"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"mounts": [{"hostPath": "/x", "containerPath": "/"}]}"#), &["root"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"hooks": [{"hookName": "later", "path": "/x"}]}"#), &["later"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"hooks": [{"hookName": "poststop", "path": "x"}]}"#), &["path", "absolute"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"hooks": [{"hookName": "poststop", "path": "/x", "timeout": 0}]}"#), &["timeout"]),
        ("0.3.0", "vendor.com/c", devices(r#"{"hooks": [{"hookName": "poststop", "path": "/x", "env": ["A"]}]}"#), &["env"]),
        ("0.7.0", "vendor.com/c", devices(r#"{"intelRdt": {"closID": "../x"}}"#), &["closID"]),
        ("0.7.0", "vendor.com/c", devices(r#"{"additionalGids": [-5]}"#), &["-5"]),
        ("1.1.0", "vendor.com/c", devices(r#"{"netDevices": [{"hostInterfaceName": "", "name": "x"}]}"#), &["netDevices"]),
        // Each field needs the version that brought it.
        ("0.3.0", "vendor.com/c", devices(r#"{"mounts": [{"hostPath": "/x", "containerPath": "/y", "type": "none"}]}"#), &["type", "0.4.0"]),
        ("0.4.0", "vendor.com/c", devices(r#"{"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/zero"}]}"#), &["hostPath", "0.5.0"]),
        ("0.5.0", "vendor.com/c", format!("{}, \"annotations\": {{\"a\": \"b\"}}", devices(env)), &["annotations", "0.6.0"]),
        ("0.6.0", "vendor.com/c", format!("{}, \"annotations\": {{\"a\": 1}}", devices(env)), &["string"]),
        ("0.6.0", "vendor.com/c", format!("{}, \"annotations\": {{\"\": \"b\"}}", devices(env)), &["annotations"]),
        ("0.6.0", "vendor.com/c", devices(r#"{"additionalGids": [5]}"#), &["additionalGids", "0.7.0"]),
        ("0.6.0", "vendor.com/c", devices(r#"{"intelRdt": {"closID": "x"}}"#), &["intelRdt", "0.7.0"]),
        ("1.0.0", "vendor.com/c", devices(r#"{"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}"#), &["netDevices", "1.1.0"]),
    ] {
        refused(&spec(version, kind, &rest), words);
    }
    for text in ["", "[]", "null", "{", "{}", "\u{0}", "a: b", &"[".repeat(10_000), &" ".repeat(5 << 20)] {
        refused(text, &[]);
    }
    // Found, but not to be had.
    let missing = |edits: &str, words: &[&str]| {
        specs(world, "/tmp/cdi", &[("bad.json", &spec("1.1.0", "vendor.com/c", &devices(edits)))]);
        run(world, &["--device", "vendor.com/c=d"], "true").refuses(125, words);
    };
    missing(r#"{"deviceNodes": [{"path": "/dev/no-such"}]}"#, &["/dev/no-such", "ENOENT"]);
    missing(
        r#"{"deviceNodes": [{"path": "/dev/x", "hostPath": "/etc/passwd"}]}"#,
        &["/etc/passwd", "not a device"],
    );
    missing(
        r#"{"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/zero", "type": "b"}]}"#,
        &["/dev/zero", "type c, not b"],
    );
    missing(r#"{"mounts": [{"hostPath": "/no/such", "containerPath": "/y"}]}"#, &["/no/such", "not there"]);
    missing(r#"{"hooks": [{"hookName": "createRuntime", "path": "/no/such"}]}"#, &["/no/such", "not there"]);
    missing(r#"{"intelRdt": {"closID": "none"}}"#, &["resctrl"]);
    missing(r#"{"netDevices": [{"hostInterfaceName": "none0", "name": "eth5"}]}"#, &["none0"]);
    // Names.
    for (name, words) in [
        ("vendor.com/c=", &["device", "vendor.com/c="][..]),
        ("vendor.com/=d", &["class"]),
        ("a b/c=d", &["vendor"]),
        ("vendor.com/c=d e", &["device"]),
        ("vendor.com/c", &["--device", "absolute"]),
        ("c=d", &["--device", "absolute"]),
        ("other.com/c=d", &["other.com/c=d", "/tmp/cdi"]),
    ] {
        run(world, &["--device", name], "true").refuses(125, words);
    }
    world.host.run(["ps", "-aq"]).ok().prints("");
}
