//! Cgroups of this host's kernel, and of a host that has cgroup v2 alone: a mount namespace that sees only it.
//! They need root, and say so where they are not run.

use devoxx_cgroup::{
    BlockIo, Cgroup, Cpu, DeviceRate, DeviceRule, HugepageLimit, Kind, Layout, Limits, Memory, Network,
    Notice, Scarcity, Scope, Version,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A cgroup that goes also when the test fails, with the processes that the test put into it.
struct Scratch {
    cgroup: Cgroup,
    children: Vec<Child>,
}

impl Scratch {
    fn plan() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("/devoxx-test-{}-{number}/one", std::process::id());
        let cgroup = Cgroup::plan(&Layout::detect().unwrap(), &name, &Scope::Root).unwrap();
        Self { cgroup, children: Vec::new() }
    }

    fn made() -> Self {
        let scratch = Self::plan();
        scratch.cgroup.create().unwrap();
        scratch
    }

    /// Starts a process and puts it into the cgroup before it runs `script`: it waits for its input.
    fn start(&mut self, script: &str) -> &mut Child {
        let wait_then = format!("read -r line; {script}");
        let child = Command::new("sh")
            .args(["-c", &wait_then])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.children.push(child);
        let child = self.children.last_mut().unwrap();
        self.cgroup.join(child.id()).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
        child
    }

    fn directories(&self) -> Vec<PathBuf> {
        let name = self.cgroup.name.trim_start_matches('/');
        self.cgroup.places.iter().map(|place| place.mount.join(name)).collect()
    }

    fn file(&self, controller: &str, file: &str) -> String {
        let place =
            self.cgroup.places.iter().find(|place| place.controllers.iter().any(|one| one == controller));
        let dir = place.unwrap().mount.join(self.cgroup.name.trim_start_matches('/'));
        fs::read_to_string(dir.join(file)).unwrap().trim().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let killed = self.cgroup.kill();
        for child in &mut self.children {
            // A child that never joined is not in the cgroup; one that is gone is no failure.
            drop(child.kill());
            drop(child.wait());
        }
        let removed = self.cgroup.remove();
        if !std::thread::panicking() {
            killed.unwrap();
            removed.unwrap();
        }
    }
}

fn memory(limit: i64) -> Limits {
    Limits { memory: Memory { limit: Some(limit), ..Memory::default() }, ..Limits::default() }
}

fn cpu(cpu: Cpu) -> Limits {
    Limits { cpu, ..Limits::default() }
}

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // The harness shows it for the test that was asked for alone.
        std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n").unwrap();
    }
    root
}

fn v1() -> bool {
    root() && matches!(Layout::detect().unwrap(), Layout::Legacy { .. })
}

fn signal_of(child: &mut Child) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    child.wait().unwrap().signal()
}

/// What holds on every host.
fn lifecycle() {
    let mut one = Scratch::plan();
    assert!(one.directories().iter().all(|dir| !dir.exists()), "a plan makes nothing");
    one.cgroup.create().unwrap();
    assert!(one.directories().iter().all(|dir| dir.is_dir()));

    // An empty leftover is made anew, with what was beneath it.
    let beneath = one.directories()[0].join("left/deep");
    fs::create_dir_all(&beneath).unwrap();
    one.cgroup.create().unwrap();
    assert!(!beneath.exists());

    // One that is in use is not, also when the process is in a cgroup beneath.
    one.start("exec sleep 1000");
    let error = one.cgroup.create().unwrap_err();
    assert_eq!(error.kind, Kind::InUse, "{error}");
    assert!(error.to_string().starts_with(&format!("create cgroup {}: ", one.cgroup.name)), "{error}");
    let pid = one.children[0].id().to_string();
    for dir in one.directories() {
        let nested = dir.join("nested");
        fs::create_dir(&nested).unwrap();
        if !dir.join("cpuset.cpus").exists() {
            fs::write(nested.join("cgroup.procs"), &pid).unwrap();
        }
    }
    assert_eq!(one.cgroup.create().unwrap_err().kind, Kind::InUse);

    one.cgroup.kill().unwrap();
    assert_eq!(signal_of(&mut one.children[0]), Some(9));
    one.cgroup.remove().unwrap();
    assert!(one.directories().iter().all(|dir| !dir.exists()));
    assert!(one.directories().iter().all(|dir| !dir.parent().unwrap().exists()), "our empty parent goes too");
    one.cgroup.remove().unwrap();
    one.cgroup.kill().unwrap();
    assert_eq!(one.cgroup.join(std::process::id()).unwrap_err().kind, Kind::Other);
}

/// Freezing stops, thawing continues; a kill reaches the frozen.
fn freezing() {
    let state = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap().to_owned();
        (stat, state)
    };
    let mut one = Scratch::made();
    let pid = one.start("while :; do :; done").id();
    one.cgroup.freeze().unwrap();
    assert!(!state(pid).1.contains('R'), "{:?}", state(pid));
    one.cgroup.thaw().unwrap();
    one.cgroup.freeze().unwrap();
    one.cgroup.kill().unwrap();
    assert_eq!(signal_of(&mut one.children[0]), Some(9));
}

/// A process that forks as fast as it can does not outrun the kill.
fn fork_storm() {
    let mut one = Scratch::made();
    one.start(
        "f() { while :; do sleep 1000 & [ $((n += 1)) -lt 40 ] || wait; done; }; f & f & echo up; wait",
    );
    let mut up = [0; 3];
    std::io::Read::read_exact(one.children[0].stdout.as_mut().unwrap(), &mut up).unwrap();
    one.cgroup.kill().unwrap();
    assert_eq!(signal_of(&mut one.children[0]), Some(9));
    one.cgroup.remove().unwrap();
    assert!(one.directories().iter().all(|dir| !dir.exists()));
}

#[test]
fn it_is_made_used_and_removed() {
    if root() {
        lifecycle();
        freezing();
        fork_storm();
        prepared();
    }
}

#[test]
fn many_at_once_share_a_parent() {
    if !root() {
        return;
    }
    let layout = Layout::detect().unwrap();
    let parent = format!("/devoxx-test-{}-shared", std::process::id());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (layout, parent) = (&layout, &parent);
            scope.spawn(move || {
                for _ in 0..5 {
                    let one = Cgroup::plan(layout, &format!("{parent}/{number}"), &Scope::Root).unwrap();
                    let one = Scratch { cgroup: one, children: Vec::new() };
                    one.cgroup.create().unwrap();
                }
            });
        }
    });
}

#[test]
fn limits_of_v1_reach_the_kernel() {
    if !v1() {
        return;
    }
    let one = Scratch::made();
    let first = Limits {
        memory: Memory {
            limit: Some(64 << 20),
            swap: Some(128 << 20),
            reservation: Some(32 << 20),
            ..Memory::default()
        },
        cpu: Cpu {
            quota: Some(50_000),
            period: Some(100_000),
            shares: Some(512),
            cpus: Some("0".into()),
            mems: Some("0".into()),
            ..Cpu::default()
        },
        pids: Some(20),
        ..Limits::default()
    };
    // Swap may not be accounted for on this kernel; the rest is checked without it then.
    let first = match one.cgroup.apply(&first) {
        Err(error) if error.kind == Kind::Unsupported && error.to_string().contains("swap") => {
            let first = Limits { memory: Memory { swap: None, ..first.memory }, ..first };
            one.cgroup.apply(&first).unwrap();
            first
        }
        other => {
            other.unwrap();
            first
        }
    };
    assert_eq!(one.file("memory", "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(one.file("cpu", "cpu.cfs_quota_us"), "50000");
    assert_eq!(one.file("cpu", "cpu.shares"), "512");
    assert_eq!(one.file("cpuset", "cpuset.cpus"), "0");
    assert_eq!(one.file("pids", "pids.max"), "20");

    // Up and down again: memory and memory+swap go in the order that the kernel takes.
    for size in [512_i64 << 20, 32 << 20] {
        let swap = first.memory.swap.map(|_| size);
        let memory = Memory { limit: Some(size), swap, ..Memory::default() };
        one.cgroup.update(&Limits { memory, ..Limits::default() }).unwrap();
        assert_eq!(one.file("memory", "memory.limit_in_bytes"), size.to_string());
    }

    let cpus = Cpu { cpus: Some("5000".into()), ..Cpu::default() };
    let error = one.cgroup.apply(&Limits { cpu: cpus, ..Limits::default() }).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.to_string().starts_with("set cpu.cpus: write \"5000\" to "), "{error}");
    assert!(error.to_string().contains("cpuset.cpus\": E"), "{error}");

    // A leftover's limits do not stay.
    one.cgroup.create().unwrap();
    assert_eq!(one.file("pids", "pids.max"), "max");
}

/// A block device of this machine, to limit.
fn block_device() -> Option<(i64, i64)> {
    let entries = fs::read_dir("/sys/block").ok()?;
    entries.flatten().find_map(|entry| {
        let text = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

/// Whether v2 hands a controller down here; says so where not.
fn v2_has(controller: &str) -> bool {
    let all = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let there = all.split_whitespace().any(|one| one == controller);
    if !there {
        let line = format!("skipped: cgroup v2 has no controller {controller} here\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    }
    there
}

impl Scratch {
    fn on_v2(&self, file: &str) -> String {
        fs::read_to_string(self.directories()[0].join(file)).unwrap().trim().to_owned()
    }

    fn update(&self, limits: &Limits) {
        assert_eq!(self.cgroup.update(limits).unwrap(), []);
    }
}

#[test]
fn limits_of_v1_change_in_place() {
    if !v1() {
        return;
    }
    let one = Scratch::made();
    let burst = Cpu { quota: Some(50_000), period: Some(100_000), burst: Some(20_000), ..Cpu::default() };
    one.update(&cpu(burst));
    assert_eq!(one.file("cpu", "cpu.cfs_burst_us"), "20000");
    // Less than the burst that stands there: first the burst, though it comes last.
    one.update(&cpu(Cpu { quota: Some(10_000), burst: Some(5_000), ..Cpu::default() }));
    assert_eq!(one.file("cpu", "cpu.cfs_quota_us"), "10000");
    one.update(&cpu(Cpu { period: Some(50_000), ..Cpu::default() }));
    assert_eq!(one.file("cpu", "cpu.cfs_quota_us"), "10000");
    one.update(&cpu(Cpu { idle: Some(1), ..Cpu::default() }));
    assert_eq!(one.file("cpu", "cpu.idle"), "1");
    one.update(&cpu(Cpu { idle: Some(0), shares: Some(300), ..Cpu::default() }));
    assert_eq!(one.file("cpu", "cpu.shares"), "300");

    let swap = |limit, swap| Memory { limit, swap, ..Memory::default() };
    one.update(&Limits { memory: swap(Some(64 << 20), Some(128 << 20)), ..Limits::default() });
    one.update(&memory(100 << 20));
    assert_eq!(one.file("memory", "memory.memsw.limit_in_bytes"), (128 << 20).to_string());
    let error = one.cgroup.update(&memory(256 << 20)).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.hint.unwrap().contains("change both together"));
    one.update(&memory(-1));
    let unlimited = one.file("memory", "memory.limit_in_bytes");
    assert_eq!(one.file("memory", "memory.memsw.limit_in_bytes"), unlimited);
    let more = Memory { swappiness: Some(10), disable_oom_killer: true, ..Memory::default() };
    one.update(&Limits { memory: more, ..Limits::default() });
    assert_eq!(one.file("memory", "memory.swappiness"), "10");
    assert!(one.file("memory", "memory.oom_control").starts_with("oom_kill_disable 1"));

    one.update(&Limits { pids: Some(30), ..Limits::default() });
    one.update(&Limits { pids: Some(-1), ..Limits::default() });
    assert_eq!(one.file("pids", "pids.max"), "max");
    if let Some((major, minor)) = block_device() {
        let rate = |rate| DeviceRate { major, minor, rate };
        let read_bps = vec![rate(1 << 20), rate(2 << 20)];
        let limit = BlockIo { read_bps, write_iops: vec![rate(100)], ..BlockIo::default() };
        one.update(&Limits { block_io: limit, ..Limits::default() });
        let expected = format!("{major}:{minor} {}", 2 << 20);
        assert_eq!(one.file("blkio", "blkio.throttle.read_bps_device"), expected);
        let none = BlockIo { read_bps: vec![rate(0)], ..BlockIo::default() };
        one.update(&Limits { block_io: none, ..Limits::default() });
        assert_eq!(one.file("blkio", "blkio.throttle.read_bps_device"), "");
    }
    let unified = BTreeMap::from([("memory.high".to_owned(), "1048576".to_owned())]);
    let error = one.cgroup.apply(&Limits { unified, ..Limits::default() }).unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
}

/// Of each controller that v2 has here.
fn limits_of_v2() {
    let one = Scratch::made();
    if v2_has("memory") {
        let limit =
            |limit, swap| Limits { memory: Memory { limit, swap, ..Memory::default() }, ..Limits::default() };
        one.cgroup.apply(&limit(Some(64 << 20), Some(96 << 20))).unwrap();
        assert_eq!(one.on_v2("memory.swap.max"), (32 << 20).to_string());
        // The limit of both together stays.
        one.update(&memory(80 << 20));
        assert_eq!(one.on_v2("memory.swap.max"), (16 << 20).to_string());
        assert_eq!(one.cgroup.update(&memory(100 << 20)).unwrap_err().kind, Kind::Refused);
        one.update(&limit(None, Some(120 << 20)));
        assert_eq!(one.on_v2("memory.swap.max"), (40 << 20).to_string());
        let careful = Memory { limit: Some(1), check_before_update: true, ..Memory::default() };
        let updated = one.cgroup.update(&Limits { memory: careful, ..Limits::default() });
        assert!(one.on_v2("memory.current") == "0" || updated.is_err());
        one.update(&memory(-1));
        assert_eq!((one.on_v2("memory.max"), one.on_v2("memory.swap.max")), ("max".into(), "max".into()));
        let unified = BTreeMap::from([("memory.high".to_owned(), "1048576".to_owned())]);
        one.update(&Limits { unified, ..Limits::default() });
        assert_eq!(one.on_v2("memory.high"), "1048576");
    }
    if v2_has("cpu") {
        one.update(&cpu(Cpu { quota: Some(50_000), period: Some(20_000), ..Cpu::default() }));
        one.update(&cpu(Cpu { quota: Some(70_000), ..Cpu::default() }));
        assert_eq!(one.on_v2("cpu.max"), "70000 20000");
        one.update(&cpu(Cpu { period: Some(30_000), burst: Some(9_000), ..Cpu::default() }));
        assert_eq!((one.on_v2("cpu.max"), one.on_v2("cpu.max.burst")), ("70000 30000".into(), "9000".into()));
        one.update(&cpu(Cpu { idle: Some(1), ..Cpu::default() }));
        one.update(&cpu(Cpu { idle: Some(0), shares: Some(512), ..Cpu::default() }));
        assert_eq!((one.on_v2("cpu.idle"), one.on_v2("cpu.weight")), ("0".into(), "59".into()));
    }
    if v2_has("pids") {
        one.update(&Limits { pids: Some(0), ..Limits::default() });
        assert_eq!(one.on_v2("pids.max"), "1");
    }
    if v2_has("io")
        && let Some((major, minor)) = block_device()
    {
        let rate = |rate| DeviceRate { major, minor, rate };
        let limit = BlockIo {
            weight: Some(500),
            read_bps: vec![rate(1 << 20)],
            write_iops: vec![rate(100)],
            ..BlockIo::default()
        };
        one.update(&Limits { block_io: limit, ..Limits::default() });
        let expected = format!("{major}:{minor} rbps={} wbps=max riops=max wiops=100", 1 << 20);
        assert_eq!(one.on_v2("io.max"), expected);
    }
    if v2_has("hugetlb") && one.directories()[0].join("hugetlb.2MB.max").exists() {
        let hugepages = vec![HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 }];
        one.update(&Limits { hugepages, ..Limits::default() });
        assert_eq!(one.on_v2("hugetlb.2MB.max"), (4 << 20).to_string());
        assert_eq!(one.on_v2("hugetlb.2MB.rsvd.max"), (4 << 20).to_string());
        let hugepages = vec![HugepageLimit { page_size: "4GB".into(), limit: 1 }];
        let error = one.cgroup.update(&Limits { hugepages, ..Limits::default() }).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{error}");
    }
    let network = Network { class_id: Some(1), ..Network::default() };
    let warnings = one.cgroup.apply(&Limits { network, ..Limits::default() }).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().starts_with("linux.resources.network.classID is ignored: "));
    let unified = BTreeMap::from([("nothing.max".to_owned(), "1".to_owned())]);
    let error = one.cgroup.apply(&Limits { unified, ..Limits::default() }).unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported, "{error}");
    if v2_has("memory") {
        memory_runs_out();
    } else {
        assert_eq!(one.cgroup.oom_events().unwrap_err().kind, Kind::Unsupported);
    }
}

/// One that somebody prepared is taken with its limits; one in use and one that is frozen are not.
fn prepared() {
    let mut one = Scratch::made();
    let beneath = one.directories()[0].join("beneath");
    fs::create_dir(&beneath).unwrap();
    one.cgroup.adopt().unwrap();
    assert!(beneath.is_dir());
    one.cgroup.freeze().unwrap();
    let error = one.cgroup.adopt().unwrap_err();
    assert_eq!(error.kind, Kind::InUse);
    assert!(error.to_string().ends_with("container's cgroup unexpectedly frozen"), "{error}");
    one.cgroup.thaw().unwrap();
    one.start("exec sleep 1000");
    let error = one.cgroup.adopt().unwrap_err();
    assert_eq!(error.kind, Kind::InUse);
    assert!(error.to_string().ends_with("cgroup is not empty: 1 process(es) found"), "{error}");
    assert!(one.directories().iter().all(|dir| dir.is_dir()), "what was there stays");
}

#[test]
fn a_memory_limit_holds() {
    if !v1() {
        return;
    }
    let mut one = Scratch::made();
    one.cgroup.apply(&memory(16 << 20)).unwrap();
    assert_eq!(one.cgroup.memory_events().unwrap(), 0);
    let child = one.start("exec tail /dev/zero");
    assert_eq!(signal_of(child), Some(9));
    assert!(one.cgroup.memory_events().unwrap() >= 1);
}

/// Waits until a notice wakes, and takes it.
#[track_caller]
fn taken(notice: &mut Notice) -> u64 {
    use rustix::event::{PollFd, Timespec, poll};
    let mut waiting = [PollFd::new(&notice.fd, notice.flags)];
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut waiting, Some(&patience)).unwrap(), 1, "nothing was told");
    notice.take().unwrap()
}

/// That memory ran out is told, and that the cgroup was removed.
fn memory_runs_out() {
    let mut one = Scratch::made();
    one.cgroup.apply(&memory(16 << 20)).unwrap();
    let mut events = one.cgroup.oom_events().unwrap();
    let mut scarce = one.cgroup.memory_pressure(Scarcity::Low).unwrap();
    assert_eq!(events.take().unwrap(), 0);
    let child = one.start("exec tail /dev/zero");
    assert_eq!(signal_of(child), Some(9));
    assert!(taken(&mut events) >= 1);
    assert_eq!(events.take().unwrap(), 0);
    // Of v2 it is an average over seconds, and the process is killed before.
    if scarce.flags == rustix::event::PollFlags::IN {
        assert!(taken(&mut scarce) >= 1);
    }
    one.cgroup.remove().unwrap();
    assert_eq!(taken(&mut events), 0);
}

#[test]
fn memory_that_runs_out_is_told() {
    if v1() {
        memory_runs_out();
    }
}

#[test]
fn a_limit_of_processes_holds() {
    if !v1() {
        return;
    }
    let mut one = Scratch::made();
    one.cgroup.apply(&Limits { pids: Some(1), ..Limits::default() }).unwrap();
    let child = one.start("/bin/true && echo forked");
    let mut said = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(said, "");
}

/// On v1 by the controller, on v2 by a program.
fn devices() {
    let mut one = Scratch::made();
    assert!(one.cgroup.enforces_devices());
    let rule = |allow, minor, access: &str| DeviceRule {
        allow,
        kind: 'c',
        major: Some(1),
        minor,
        access: access.to_owned(),
    };
    let mut check = |devices: &[DeviceRule], script: &str, expected: bool| {
        one.cgroup.apply(&Limits { devices: devices.to_vec(), ..Limits::default() }).unwrap();
        let ended = one.start(script).wait().unwrap();
        assert_eq!(ended.success(), expected, "{devices:?} {script}");
    };
    let (zero, urandom) = ("exec 3</dev/zero", "exec 3</dev/urandom");
    let (full, both) = ("exec 3>/dev/full", "exec 3<>/dev/full");
    let some = [rule(true, Some(5), "rw"), rule(true, Some(7), "r")];
    check(&some, zero, true);
    check(&some, urandom, false);
    check(&some, full, false);
    check(&some, both, false);
    // The rules of a later call take the place of the earlier ones.
    let others = [rule(true, None, "rwm"), rule(false, None, "w"), rule(true, Some(7), "w")];
    check(&others, urandom, true);
    check(&others, both, true);
    check(&others, "exec 3>/dev/zero", false);
    let all = DeviceRule { kind: 'a', major: None, ..rule(true, None, "rwm") };
    check(&[rule(false, Some(5), "r")], zero, false);
    check(&[all], zero, true);
}

#[test]
fn devices_are_denied_but_for_the_list() {
    if v1() {
        devices();
    }
}

/// A container of runc's that only sleeps, and its removal.
struct Runc {
    id: String,
    dir: PathBuf,
}

impl Runc {
    fn start() -> Self {
        let id = format!("devoxx-test-{}-runc", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        fs::create_dir_all(dir.join("rootfs")).unwrap();
        fs::copy("/bin/busybox", dir.join("rootfs/busybox")).unwrap();
        let config = serde_json::json!({
            "ociVersion": "1.0.2",
            "process": {"args": ["/busybox", "sleep", "1000"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"cgroupsPath": format!("/{id}"), "namespaces": [{"type": "pid"}, {"type": "mount"}]},
        });
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
        let one = Self { id, dir };
        let ran = one.run(&["run", "--detach", "--bundle", "."]).stdin(Stdio::null()).status();
        assert!(ran.unwrap().success());
        one
    }

    fn run(&self, words: &[&str]) -> Command {
        let mut command = Command::new("runc");
        command.current_dir(&self.dir).args(["--root", "state"]).args(words).arg(&self.id);
        command
    }

    fn events(&self) -> serde_json::Value {
        let said = self.run(&["events", "--stats"]).output().unwrap().stdout;
        serde_json::from_slice::<serde_json::Value>(&said).unwrap()["data"].take()
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let removed = self.run(&["delete", "--force"]).status();
        drop(fs::remove_dir_all(&self.dir));
        assert!(std::thread::panicking() || removed.unwrap().success());
    }
}

/// Numbers as one kind: runc writes 0 where we write 0.0.
fn plain(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) if number.as_f64() == Some(0.0) => 0.into(),
        serde_json::Value::Object(fields) => fields.into_iter().map(|(key, one)| (key, plain(one))).collect(),
        serde_json::Value::Array(all) => all.into_iter().map(plain).collect(),
        other => other,
    }
}

/// Our statistics have the names and the numbers of runc's, of the same cgroup.
fn statistics_as_runc() {
    if Command::new("runc").arg("--version").stdout(Stdio::null()).status().is_err() {
        std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs runc\n").unwrap();
        return;
    }
    let runc = Runc::start();
    let name = format!("/{}", runc.id);
    let one = Cgroup::plan(&Layout::detect().unwrap(), &name, &Scope::Root).unwrap();
    // Numbers move until the process sleeps: what stands still between two looks of ours has to be what runc sees.
    let look = || plain(serde_json::to_value(one.stats().unwrap()).unwrap());
    for _ in 0..20 {
        let (before, its, after) = (look(), plain(runc.events()), look());
        if before != after {
            continue;
        }
        let (mut ours, mut its) = (before, its);
        // What runc itself maps of files is accounted for there too, while it looks.
        for value in [&mut ours, &mut its] {
            let raw = value["memory"]["raw"].as_object_mut();
            raw.and_then(|raw| raw.insert("file_mapped".into(), 0.into()));
        }
        if its["memory"]["usage"].get("max").is_none() {
            ours["memory"]["usage"].as_object_mut().unwrap().remove("max");
        }
        // No matter of a cgroup: devoxx-runtime adds them.
        for name in ["intel_rdt", "network_interfaces"] {
            its.as_object_mut().unwrap().remove(name);
        }
        // Names that runc has since 1.2, and what this runc does not look for on a hybrid host.
        for (part, name) in [("cpu", "psi"), ("memory", "psi"), ("blkio", "psi")] {
            if its[part].get(name).is_none() {
                ours[part].as_object_mut().unwrap().remove(name);
            }
        }
        if its["hugetlb"].as_object().is_some_and(serde_json::Map::is_empty) {
            ours["hugetlb"] = serde_json::json!({});
        }
        if its["hugetlb"].is_null() {
            its["hugetlb"] = ours["hugetlb"].clone();
        }
        assert_eq!(ours, its);
        return;
    }
    panic!("a process that sleeps never stood still");
}

#[test]
fn statistics_are_those_of_runc() {
    if v1() {
        statistics_as_runc();
    }
}

#[test]
fn a_process_takes_itself_in() {
    if !v1() {
        return;
    }
    let mut one = Scratch::made();
    let entry = one.cgroup.entry().unwrap();
    let mut script = String::new();
    for tasks in &entry.tasks {
        // What `Entry::enter` writes; here by a shell, for this process has more threads than one.
        rustix::io::fcntl_setfd(tasks, rustix::io::FdFlags::empty()).unwrap();
        script += &format!("echo 0 > /proc/self/fd/{}; ", tasks.as_raw_fd());
    }
    script += "cat /proc/self/cgroup; exec sleep 1000";
    let mut child = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    one.children.push(child);
    let suffix = format!(":{}", one.cgroup.name);
    for _ in &entry.tasks {
        let line = said.next().unwrap().unwrap();
        assert!(line.ends_with(&suffix), "{line}");
    }
    one.cgroup.kill().unwrap();
    assert_eq!(signal_of(&mut one.children[0]), Some(9));
}

#[test]
fn a_missing_hierarchy_is_named() {
    if !v1() {
        return;
    }
    let Layout::Legacy { mut hierarchies, .. } = Layout::detect().unwrap() else { return };
    hierarchies.retain(|one| !one.controllers.iter().any(|controller| controller == "memory"));
    let layout = Layout::Legacy { hierarchies, unified: None };
    let name = format!("/devoxx-test-{}-lacking/one", std::process::id());
    let one = Scratch { cgroup: Cgroup::plan(&layout, &name, &Scope::Root).unwrap(), children: Vec::new() };
    one.cgroup.create().unwrap();
    let error = one.cgroup.apply(&memory(1 << 20)).unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert_eq!(
        error.to_string(),
        "set memory.limit: the memory controller is not available in /sys/fs/cgroup"
    );
    assert_eq!(one.cgroup.memory_events().unwrap(), 0);
}

/// Runs one test of this program where `/sys/fs/cgroup` is cgroup v2.
#[test]
fn a_host_with_v2_alone() {
    if !root() {
        return;
    }
    let view = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let program = std::env::current_exe().unwrap();
    let ran = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", view, "sh"])
        .arg(program)
        .args(["--exact", "inside_v2", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by a_host_with_v2_alone, in its mount namespace"]
fn inside_v2() {
    assert_eq!(Layout::detect().unwrap(), Layout::Unified { mount: PathBuf::from("/sys/fs/cgroup") });
    lifecycle();
    freezing();
    fork_storm();
    prepared();
    limits_of_v2();

    let mut one = Scratch::made();
    assert!(one.cgroup.places.iter().all(|place| place.version == Version::V2));
    devices();
    statistics_as_runc();
    let dir = one.cgroup.entry().unwrap().unified.unwrap();
    let link = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap();
    assert_eq!(link, one.directories()[0]);
    one.start("exec sleep 1000");
    let own = fs::read_to_string(format!("/proc/{}/cgroup", one.children[0].id())).unwrap();
    assert!(own.lines().any(|line| line == format!("0::{}", one.cgroup.name)), "{own}");
    one.cgroup.apply(&Limits::default()).unwrap();

    // Where a kernel gives v2 the controllers, the limits hold; where v1 has them, the lack is named.
    let all = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let limits = [
        ("memory", memory(64 << 20), "memory.limit"),
        ("cpu", cpu(Cpu { shares: Some(512), ..Cpu::default() }), "cpu.shares"),
        ("cpuset", cpu(Cpu { cpus: Some("0".into()), ..Cpu::default() }), "cpu.cpus"),
        ("pids", Limits { pids: Some(9), ..Limits::default() }, "pids.limit"),
    ];
    for (controller, limit, what) in limits {
        let applied = one.cgroup.apply(&limit);
        if all.split_whitespace().any(|one| one == controller) {
            applied.unwrap();
            continue;
        }
        let error = applied.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        let expected = format!("set {what}: the {controller} controller is not available in /sys/fs/cgroup");
        assert_eq!(error.to_string(), expected);
    }
    let given = devoxx_cgroup::delegated(&Layout::detect().unwrap()).expect("root may write its own cgroup");
    assert!(Path::new("/sys/fs/cgroup").join(given.name.trim_start_matches('/')).is_dir());
    delegation();
}

/// Another user has cgroups where root gave it one, and nowhere else.
fn delegation() {
    const USER: u32 = 65534;
    // The program may be where that user cannot go: it is run by descriptor.
    let program = fs::File::open(std::env::current_exe().unwrap()).unwrap();
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty()).unwrap();
    for (test, given) in [("inside_a_delegation", true), ("outside_a_delegation", false)] {
        let mut one = Scratch::made();
        let dir = one.directories().remove(0);
        if given {
            for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
                std::os::unix::fs::chown(dir.join(file), Some(USER), Some(USER)).unwrap();
            }
        }
        let child = one.start(&format!(
            "exec setpriv --reuid {USER} --regid {USER} --clear-groups /proc/self/fd/{} --exact {test} --ignored 2>&1",
            program.as_raw_fd()
        ));
        let mut said = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert!(child.wait().unwrap().success() && said.contains("1 passed"), "{said}");
    }
}

#[test]
#[ignore = "run by inside_v2, as another user"]
fn inside_a_delegation() {
    let layout = Layout::detect().unwrap();
    let given = devoxx_cgroup::delegated(&layout).unwrap();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(own.lines().any(|line| line == format!("0::{}", given.name)), "{own}");
    let planned = Cgroup::plan(&layout, "/devoxx-test/one", &Scope::Delegated(given)).unwrap();
    let mut one = Scratch { cgroup: planned, children: Vec::new() };
    one.cgroup.create().unwrap();
    one.start("exec sleep 1000");
    one.cgroup.kill().unwrap();
    assert_eq!(signal_of(&mut one.children[0]), Some(9));
    one.cgroup.remove().unwrap();
    assert!(!one.directories()[0].parent().unwrap().exists());
}

#[test]
#[ignore = "run by inside_v2, as another user"]
fn outside_a_delegation() {
    let layout = Layout::detect().unwrap();
    assert_eq!(devoxx_cgroup::delegated(&layout), None);
    let one = Cgroup::plan(&layout, "/devoxx-test/one", &Scope::Root).unwrap();
    let error = one.create().unwrap_err();
    assert_eq!(error.kind, Kind::Permission, "{error}");
}
