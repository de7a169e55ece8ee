//! `linux.cgroupsPath`, `linux.resources` and `update`: what the files of the cgroups say, on v1 and on v2.

use crate::world::{cgroup2, mount, namespace, push, root, script, stays};
use serde_json::{Value, json};
use testkit::{Container, Oci};

/// The file of the container's cgroup in a hierarchy of v1, without the line break at its end.
fn v1(oci: &Oci, hierarchy: &str, file: &str) -> String {
    let name = format!("{hierarchy}/boxed");
    oci.host
        .cgroup_file(&name, file)
        .unwrap_or_else(|| panic!("{name}/{file} in {:?}", oci.host.cgroups()))
        .trim_end()
        .to_owned()
}

fn boxed<'a>(oci: &'a Oci, resources: Value) -> Container<'a> {
    let container = oci
        .bundle(|config| {
            stays(config);
            config["linux"]["cgroupsPath"] = json!("/boxed");
            config["linux"]["resources"] = resources;
        })
        .start(&[]);
    container.bundle.awaits("rootfs/up");
    container
}

/// Whether the machine has a hierarchy of v1.
fn has_v1(hierarchy: &str) -> bool {
    std::path::Path::new("/sys/fs/cgroup").join(hierarchy).join("cgroup.procs").exists()
        && !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// crun's `run.oci.delegate-cgroup`: the container is beneath the cgroup that has its limits, and can be executed in.
#[test]
fn a_cgroup_beneath_for_the_container() {
    let with = |config: &mut Value, name: &str| {
        stays(config);
        config["linux"]["cgroupsPath"] = json!("/boxed");
        config["annotations"] = json!({"run.oci.delegate-cgroup": name});
    };
    let oci = cgroup2();
    let container = oci.bundle(|config| with(config, "own")).start(&[]);
    let places = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroup");
    assert!(places.lines().any(|line| line.ends_with("/boxed/own")), "{places}");
    container.exec(&[], "echo in").ok().prints("in");
    container.end();
    container.call("delete", &[]).ok();
    for name in ["..", "a/../../b", "/own", "a//b"] {
        oci.bundle(|config| with(config, name)).try_create(&[]).refused(&["run.oci.delegate-cgroup"]);
    }
    oci.assert_empty("cgroups beneath");
    if has_v1("memory") {
        let hybrid = root();
        hybrid.bundle(|config| with(config, "own")).try_create(&[]).refused(&["needs cgroup v2 alone"]);
        hybrid.assert_empty("a cgroup beneath on v1");
    }
}

#[test]
fn the_path() {
    clause!(
        "config-linux.cgroupsPath",
        "config-linux.cgroupsPath.absolute",
        "config-linux.cgroupsPath.relative",
        "config-linux.cgroupsPath.consistent"
    );
    clause!("config-linux.cgroupsPath.default", "config-linux.cgroupsPath.invalid");
    for oci in [root(), cgroup2()] {
        let with = |path: &str| {
            oci.bundle(|config| {
                stays(config);
                config["linux"]["cgroupsPath"] = json!(path);
            })
        };
        for path in ["/boxed", "/deep/er/boxed", "/with space", "/with.dot-and_more"] {
            for _again in 0..2 {
                let container = with(path).start(&[]);
                let places =
                    std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroup");
                assert!(places.lines().any(|line| line.ends_with(path)), "{path} in {places}");
                drop(container);
            }
        }
        let relative = with("some/where").start(&[]);
        let places = std::fs::read_to_string(format!("/proc/{}/cgroup", relative.pid())).expect("cgroup");
        assert!(places.lines().any(|line| line.ends_with("/some/where")), "{places}");
        drop(relative);
        let unnamed = oci.bundle(stays).start(&[]);
        let places = std::fs::read_to_string(format!("/proc/{}/cgroup", unnamed.pid())).expect("cgroup");
        assert!(places.lines().any(|line| line.contains(unnamed.id())), "{places}");
        drop(unnamed);
        for path in ["/..", "/a/../../b", "../x", &format!("/{}", "x/".repeat(300))] {
            let refused = with(path).try_create(&[]);
            assert_ne!(refused.code, 0, "{path}: {refused}");
        }
        // Of what stood above it, what somebody else made stays.
        oci.host.admin("for d in /sys/fs/cgroup/pids /sys/fs/cgroup; do test -e $d/cgroup.procs && mkdir $d/others && break; done");
        drop(with("/others/boxed").start(&[]));
        assert!(oci.host.cgroups().iter().any(|name| name.ends_with("/others")), "{:?}", oci.host.cgroups());
    }
}

/// A cgroup with others' processes in it is not for a new container (config-linux.md, "Control groups").
#[test]
fn a_cgroup_that_is_not_fit() {
    clause!("config-linux.cgroups.fit");
    let oci = cgroup2();
    let first = boxed(&oci, json!({}));
    let second = oci.bundle(|config| config["linux"]["cgroupsPath"] = json!("/boxed"));
    second.try_create(&[]).refused(&["cgroup"]);
    assert_eq!(first.status(), "running", "the one that was there is as it was");
}

#[test]
fn memory_and_processes_of_v1() {
    clause!(
        "config-linux.memory.limit",
        "config-linux.memory.reservation",
        "config-linux.memory.swap",
        "config-linux.memory.swappiness"
    );
    clause!("config-linux.memory.disableOOMKiller", "config-linux.pids.limit",);
    if !has_v1("memory") {
        return;
    }
    let oci = root();
    let container = boxed(
        &oci,
        json!({
            "memory": {"limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728, "swappiness": 20},
            "pids": {"limit": 55},
        }),
    );
    let check = |hierarchy: &str, file: &str, expected: &str| {
        assert_eq!(v1(&oci, hierarchy, file), expected, "{file}")
    };
    check("memory", "memory.limit_in_bytes", "67108864");
    check("memory", "memory.soft_limit_in_bytes", "33554432");
    check("memory", "memory.memsw.limit_in_bytes", "134217728");
    check("memory", "memory.swappiness", "20");
    check("pids", "pids.max", "55");
    let update = |options: &[&str]| drop(container.with("update", options, &[]).ok().prints(""));
    update(&["--memory", "50331648", "--pids-limit", "66"]);
    check("memory", "memory.limit_in_bytes", "50331648");
    check("pids", "pids.max", "66");
    update(&["--memory-swap", "268435456"]);
    check("memory", "memory.memsw.limit_in_bytes", "268435456");
    // More than the old sum of memory and swap: in the right order.
    update(&["--memory", "536870912", "--memory-swap", "1073741824"]);
    check("memory", "memory.limit_in_bytes", "536870912");
    update(&["--memory", "32m", "--memory-swap", "64m", "--memory-reservation", "16M"]);
    check("memory", "memory.limit_in_bytes", "33554432");
    check("memory", "memory.memsw.limit_in_bytes", "67108864");
    check("memory", "memory.soft_limit_in_bytes", "16777216");
    update(&["--memory", "-1", "--pids-limit", "-1"]);
    check("pids", "pids.max", "max");
    assert!(v1(&oci, "memory", "memory.limit_in_bytes").len() > 15, "without a limit");
    assert!(v1(&oci, "memory", "memory.memsw.limit_in_bytes").len() > 15, "nor one of swap");
    let killer = boxed_other(&oci, json!({"memory": {"limit": 67_108_864, "disableOOMKiller": true}}));
    let control = oci.host.cgroup_file("memory/other", "memory.oom_control").expect("oom_control");
    assert!(control.contains("oom_kill_disable 1"), "{control}");
    drop(killer);
}

fn boxed_other<'a>(oci: &'a Oci, resources: Value) -> Container<'a> {
    oci.bundle(|config| {
        stays(config);
        config["linux"]["cgroupsPath"] = json!("/other");
        config["linux"]["resources"] = resources;
    })
    .start(&[])
}

#[test]
fn processors_of_v1() {
    clause!(
        "config-linux.cpu.shares",
        "config-linux.cpu.quota",
        "config-linux.cpu.period",
        "config-linux.cpu.burst",
        "config-linux.cpu.cpus"
    );
    clause!("config-linux.cpu.mems", "config-linux.cpu.idle");
    if !has_v1("cpu") {
        return;
    }
    let oci = root();
    let container = boxed(
        &oci,
        json!({"cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "burst": 10_000, "cpus": "0", "mems": "0"}}),
    );
    let check = |hierarchy: &str, file: &str, expected: &str| {
        assert_eq!(v1(&oci, hierarchy, file), expected, "{file}")
    };
    check("cpu", "cpu.shares", "512");
    check("cpu", "cpu.cfs_quota_us", "50000");
    check("cpu", "cpu.cfs_period_us", "100000");
    check("cpu", "cpu.cfs_burst_us", "10000");
    check("cpuset", "cpuset.cpus", "0");
    check("cpuset", "cpuset.mems", "0");
    container.exec(&[], "sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status").ok().prints("0");
    let update = |options: &[&str]| drop(container.with("update", options, &[]).ok().prints(""));
    update(&["--cpu-share", "1024"]);
    check("cpu", "cpu.shares", "1024");
    update(&["--cpu-quota", "80000"]);
    check("cpu", "cpu.cfs_quota_us", "80000");
    check("cpu", "cpu.cfs_period_us", "100000");
    update(&["--cpu-period", "200000"]);
    check("cpu", "cpu.cfs_quota_us", "80000");
    check("cpu", "cpu.cfs_period_us", "200000");
    update(&["--cpu-burst", "5000"]);
    check("cpu", "cpu.cfs_burst_us", "5000");
    let cpus = std::fs::read_to_string("/sys/devices/system/cpu/online").expect("online");
    update(&["--cpuset-cpus", cpus.trim(), "--cpuset-mems", "0"]);
    check("cpuset", "cpuset.cpus", cpus.trim());
    update(&["--cpu-idle", "1"]);
    check("cpu", "cpu.idle", "1");
    update(&["--cpu-idle", "0"]);
    // As an engine does it, from a file and from standard input.
    container
        .bundle
        .write("resources.json", json!({"cpu": {"shares": 256}, "pids": {"limit": 77}}).to_string());
    update(&["--resources", &container.bundle.inside("resources.json")]);
    check("cpu", "cpu.shares", "256");
    check("pids", "pids.max", "77");
    let line = format!(
        "echo '{{\"cpu\": {{\"shares\": 333}}}}' | $C --root /tmp/run/oci update --resources - {}",
        container.id()
    );
    oci.host.sh(&line).ok().prints("");
    check("cpu", "cpu.shares", "333");
    check("pids", "pids.max", "77");
    for options in [
        &["--memory", "plenty"][..],
        &["--cpu-quota", "x"],
        &["--cpuset-cpus", "999"],
        &["--memory", "-2"],
        &["--blkio-weight", "5"],
    ] {
        let refused = container.with("update", options, &[]);
        assert_ne!(refused.code, 0, "{refused}");
    }
    container.bundle.write("resources.json", "{");
    assert_ne!(
        container.with("update", &["--resources", &container.bundle.inside("resources.json")], &[]).code,
        0
    );
    check("cpu", "cpu.shares", "333");
}

#[test]
fn input_and_output_of_v1() {
    clause!(
        "config-linux.blockIO.weight",
        "config-linux.blockIO.throttle",
        "config-linux.blockIO.throttleIOPS"
    );
    if !has_v1("blkio") {
        return;
    }
    let oci = root();
    // A disk of the machine: what stands for one is in /sys/block.
    let disk = std::fs::read_dir("/sys/block")
        .expect("/sys/block")
        .flatten()
        .find_map(|entry| std::fs::read_to_string(entry.path().join("dev")).ok());
    let Some((major, minor)) = disk.as_deref().and_then(|disk| disk.trim().split_once(':')) else { return };
    let device = |rate: u64| json!([{"major": major.parse::<i64>().expect("a number"), "minor": minor.parse::<i64>().expect("a number"), "rate": rate}]);
    let _container = boxed(
        &oci,
        json!({"blockIO": {
            "throttleReadBpsDevice": device(1_000_000), "throttleWriteBpsDevice": device(2_000_000),
            "throttleReadIOPSDevice": device(300), "throttleWriteIOPSDevice": device(400),
        }}),
    );
    for (file, rate) in
        [("read_bps", 1_000_000), ("write_bps", 2_000_000), ("read_iops", 300), ("write_iops", 400)]
    {
        assert_eq!(
            v1(&oci, "blkio", &format!("blkio.throttle.{file}_device")),
            format!("{major}:{minor} {rate}")
        );
    }
}

#[test]
fn limits_hold() {
    clause!("config-linux.memory.limit", "config-linux.pids.limit");
    if !has_v1("memory") {
        return;
    }
    let oci = root();
    let hungry = |limit: u64| {
        oci.run(
            |config| config["linux"]["resources"] = json!({"memory": {"limit": limit, "swap": limit}}),
            "head -c 60000000 /dev/zero | tail -c 60000000 | wc -c",
        )
    };
    hungry(256 << 20).ok().prints("60000000");
    assert_ne!(hungry(16 << 20).line(), "60000000");
    let forks = |limit: u64| {
        oci.run(|config| config["linux"]["resources"] = json!({"pids": {"limit": limit}}), "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done 2>/dev/null; ls -d /proc/[0-9]* | wc -l; kill -KILL -1")
    };
    let many: u32 = forks(100).line().parse().expect("a number");
    assert!(many > 10, "{many}");
    assert_ne!(forks(5).line(), many.to_string());
    oci.assert_empty("limits");
}

#[test]
fn allowed_devices() {
    clause!(
        "config-linux.resources.devices",
        "config-linux.resources.devices.order",
        "config-linux.resources.devices.access"
    );
    for oci in [root(), cgroup2()] {
        let check = |rules: Value, command: &str, expected: &str| {
            let edit = |config: &mut Value| {
                crate::world::capabilities(config, &["CAP_MKNOD"]);
                push(
                    config,
                    "/linux/devices",
                    json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}),
                );
                config["linux"]["resources"] = json!({"devices": rules});
            };
            oci.run(edit, command).ok().prints(expected);
        };
        // Opening the device of the loop control or of fuse says whether the cgroup lets it: EPERM, before the driver is asked.
        let fuse = "(exec 3<>/dev/fuse) 2>&1 | grep -c 'not permitted' || :";
        let deny = json!({"allow": false, "access": "rwm"});
        check(json!([deny]), fuse, "1");
        check(
            json!([deny, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]),
            fuse,
            "0",
        );
        check(json!([deny, {"allow": true, "type": "c", "major": 10, "access": "rw"}]), fuse, "0");
        check(
            json!([deny, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}]),
            fuse,
            "1",
        );
        check(
            json!([deny, {"allow": true, "type": "b", "major": 10, "minor": 229, "access": "rw"}]),
            fuse,
            "1",
        );
        check(
            json!([deny, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}, {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"}]),
            fuse,
            "1",
        );
        check(
            json!([deny]),
            "echo x >/dev/null && head -c 1 /dev/zero | wc -c; test -c /dev/tty && echo there",
            "1\nthere",
        );
    }
}

#[test]
fn files_of_v2() {
    clause!(
        "config-linux.unified",
        "config-linux.unified.controllers",
        "config-linux.unified.missing",
        "config-linux.hugepageLimits",
        "config-linux.unified.conversion"
    );
    let oci = cgroup2();
    let controllers =
        std::fs::read_to_string(oci.host.path("/sys/fs/cgroup/cgroup.controllers")).expect("controllers");
    let has = |name: &str| controllers.split_whitespace().any(|one| one == name);
    let file = |name: &str| {
        std::fs::read_to_string(oci.host.path(format!("/sys/fs/cgroup/boxed/{name}")))
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    };
    if has("hugetlb") && !file_sizes().is_empty() {
        let container = boxed(
            &oci,
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}], "unified": {"cgroup.max.descendants": "7"}}),
        );
        assert_eq!(file("hugetlb.2MB.max"), "4194304");
        assert_eq!(file("cgroup.max.descendants"), "7");
        drop(container);
        drop(boxed(&oci, json!({"unified": {"hugetlb.2MB.max": "2097152"}})));
    }
    for (controller, resources, expected) in [
        (
            "memory",
            json!({"memory": {"limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432}}),
            &[("memory.max", "67108864"), ("memory.swap.max", "67108864"), ("memory.low", "33554432")][..],
        ),
        ("pids", json!({"pids": {"limit": 55}}), &[("pids.max", "55")]),
        (
            "cpu",
            json!({"cpu": {"quota": 50_000, "period": 100_000, "burst": 10_000}}),
            &[("cpu.max", "50000 100000"), ("cpu.max.burst", "10000")],
        ),
        ("cpu", json!({"cpu": {"idle": 1}}), &[("cpu.idle", "1")]),
        ("cpuset", json!({"cpu": {"cpus": "0", "mems": "0"}}), &[("cpuset.cpus", "0"), ("cpuset.mems", "0")]),
        ("memory", json!({"unified": {"memory.high": "67108864"}}), &[("memory.high", "67108864")]),
    ] {
        let bundle = |resources: &Value| {
            oci.bundle(|config| {
                stays(config);
                config["linux"]["cgroupsPath"] = json!("/boxed");
                config["linux"]["resources"] = resources.clone();
            })
        };
        if has(controller) {
            let container = bundle(&resources).start(&[]);
            for (name, value) in expected {
                assert_eq!(file(name), *value, "{name} of {resources}");
            }
            drop(container);
        } else {
            // What cannot be had is an error, not silence.
            bundle(&resources).try_create(&[]).refused(&[controller]);
        }
        oci.assert_empty("resources of v2");
    }
    for key in ["../x", "cgroup.procs", "no.such.file", "a/b"] {
        let refused = oci
            .bundle(|config| config["linux"]["resources"] = json!({"unified": {key: "1"}}))
            .try_create(&[]);
        assert_ne!(refused.code, 0, "{key}: {refused}");
        oci.assert_empty("unified keys that are none");
    }
    oci.bundle(|config| {
        config["linux"]["resources"] = json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]})
    })
    .try_create(&[])
    .refused(&["3MB"]);
}

/// The sizes of huge pages that the kernel has.
fn file_sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name == "hugepages-2048kB")
        .collect()
}

#[test]
fn mounts_of_cgroups() {
    clause!("config.mounts.type");
    let own = |config: &mut Value, options: &[&str]| {
        namespace(config, "cgroup", None);
        config["linux"]["cgroupsPath"] = json!("/boxed");
        mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", options);
    };
    let oci = cgroup2();
    oci.run(
        |config| own(config, &["nosuid", "ro"]),
        "cat /sys/fs/cgroup/cgroup.procs | head -n1; (mkdir /sys/fs/cgroup/x) 2>/dev/null || echo no",
    )
    .ok()
    .prints("1\nno");
    oci.run(
        |config| own(config, &["nosuid"]),
        "mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x && echo yes",
    )
    .ok()
    .prints("yes");
    oci.assert_empty("cgroup mounts of v2");
    let oci = root();
    if has_v1("pids") {
        oci.run(|config| own(config, &["nosuid", "ro"]), "ls /sys/fs/cgroup | grep -c -E '^(pids|memory|cpu|freezer|devices)$'; cat /sys/fs/cgroup/pids/cgroup.procs | head -n1").ok().prints("5\n1");
        oci.assert_empty("cgroup mounts of v1");
    }
}

/// What decides about the owner of a cgroup.
struct Case<'a> {
    user_namespace: bool,
    uid: u32,
    cgroup_namespace: bool,
    /// Source, destination, options.
    mount: Option<(&'a str, &'a str, &'a [&'a str])>,
}

fn owned<'a>(oci: &'a Oci, case: &Case<'_>) -> testkit::Bundle<'a> {
    let edit = |config: &mut Value| {
        if case.user_namespace {
            let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            namespace(config, "user", None);
            config["linux"]["uidMappings"] = ids.clone();
            config["linux"]["gidMappings"] = ids;
        }
        if case.cgroup_namespace {
            namespace(config, "cgroup", None);
        }
        if let Some((source, destination, options)) = case.mount {
            mount(config, destination, "cgroup", source, options);
        }
        config["process"]["user"] = json!({"uid": case.uid, "gid": case.uid});
        config["linux"]["cgroupsPath"] = json!("/boxed");
        script(config, "sleep 1000");
    };
    oci.bundle(edit)
}

/// To whom a cgroup belongs: to the user of the process where it has its own writable mount of it, as the root of its own
/// cgroup namespace (config-linux.md, "Cgroup ownership").
#[test]
fn the_owner() {
    clause!(
        "config-linux.cgroups.ownership.condition",
        "config-linux.cgroups.ownership.v1",
        "config-linux.cgroups.ownership.change",
        "config-linux.cgroups.ownership.files"
    );
    let full = || Case {
        user_namespace: true,
        uid: 0,
        cgroup_namespace: true,
        mount: Some(("cgroup", "/sys/fs/cgroup", &["nosuid", "rw"])),
    };
    // All files of all hierarchies that do not belong to root, by their owner.
    let owners = |oci: &Oci| {
        let find = "find -L /sys/fs/cgroup -maxdepth 3 -path '*/boxed*' ! -uid 0 -printf '%U:%G %f\n' 2>/dev/null | sort";
        oci.host.sh(find).stdout
    };
    let oci = cgroup2();
    let check = |case: &Case<'_>, owner: Option<u32>| {
        let container = owned(&oci, case).start(&[]);
        let list = std::fs::read_to_string("/sys/kernel/cgroup/delegate").expect("this kernel has it");
        let here = oci.host.path("/sys/fs/cgroup/boxed");
        let mut expected: Vec<String> =
            list.lines().filter(|file| here.join(file).exists()).map(str::to_owned).collect();
        assert!(expected.len() >= 3, "{expected:?}");
        expected.push("boxed".to_owned());
        let mut expected: Vec<_> =
            owner.iter().flat_map(|uid| expected.iter().map(move |file| format!("{uid}:0 {file}"))).collect();
        expected.sort();
        let found = owners(&oci);
        let mut found: Vec<_> = found.lines().collect();
        found.sort_unstable();
        assert_eq!(found, expected);
        drop(container);
        oci.assert_empty("a cgroup of another owner");
    };
    check(&full(), Some(100_000));
    check(&Case { uid: 7, ..full() }, Some(100_007));
    check(&Case { user_namespace: false, uid: 7, ..full() }, Some(7));
    check(&Case { user_namespace: false, ..full() }, None);
    check(&Case { cgroup_namespace: false, ..full() }, None);
    check(&Case { mount: None, ..full() }, None);
    check(&Case { mount: Some(("cgroup", "/sys/fs/cgroup", &["nosuid", "ro"])), ..full() }, None);
    check(&Case { mount: Some(("cgroup", "/tmp", &[])), ..full() }, None);
    check(&Case { mount: Some(("cgroup2", "/sys/fs/cgroup", &[])), ..full() }, None);
    // What it is for: the container makes cgroups of its own, and cannot touch its limits.
    let container = owned(&oci, &full()).start(&[]);
    container
        .exec(
            &[],
            "mkdir /sys/fs/cgroup/mine && echo 0 >/sys/fs/cgroup/mine/cgroup.procs && grep ^0: /proc/self/cgroup
             (echo 1 >/sys/fs/cgroup/cgroup.max.depth) 2>/dev/null || echo no",
        )
        .ok()
        .prints("0::/mine\nno");
    container.end();
    container.call("delete", &["--force"]);
    drop(container);
    oci.assert_empty("a cgroup with others in it");
    if has_v1("pids") {
        let oci = root();
        let container = owned(&oci, &full()).start(&[]);
        assert_eq!(owners(&oci), "");
        assert!(!oci.host.cgroups().is_empty());
        drop(container);
    }
}
