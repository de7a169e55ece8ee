//! Bundles for an OCI runtime, and the containers that it makes of them in a host.
//!
//! A bundle is a small root of its own (busybox) and a config.json that each test edits. It knows the command line that
//! runc, crun and ours share, and nothing of what one of them does beyond.

use crate::deadline::{LIMIT, poll, wait_for};
use crate::fixture;
use crate::host::Host;
use crate::outcome::{Outcome, Running, run_into};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the runtime keeps what it knows, in the host.
pub const ROOT: &str = "/tmp/run/oci";

/// Longest time that what a runtime started may take to end behind it.
const SETTLES: std::time::Duration = std::time::Duration::from_secs(10);

/// A host with a runtime in it.
pub struct Oci {
    /// The host.
    pub host: Host,
    /// The user id that its bundles belong to.
    user: u32,
    /// Mounts of the host before any container.
    mounts: Vec<String>,
    next: AtomicU32,
}

/// A bundle in the host.
pub struct Bundle<'a> {
    oci: &'a Oci,
    /// Its directory, as a path of the host.
    pub directory: String,
    /// What config.json says.
    pub config: Value,
    /// The id that a container of it gets.
    pub id: String,
}

/// A container; deleted by force when a test drops it.
pub struct Container<'a> {
    /// Its bundle.
    pub bundle: Bundle<'a>,
    /// How its creation ended.
    pub made: Outcome,
}

impl Oci {
    /// Puts an empty directory for bundles and the files of their roots into a host.
    #[track_caller]
    pub fn new(host: Host) -> Self {
        let user = host.user();
        for directory in ["/tmp/bundles", "/tmp/template", "/tmp/output"] {
            fs::create_dir(host.path(directory)).expect("mkdir in a new host");
            chown(host.path(directory), Some(user), Some(user)).expect("chown in a new host");
        }
        let busybox = fixture::directory().join("rootfs/busybox/bin/busybox");
        fs::copy(&busybox, host.path("/tmp/template/busybox"))
            .unwrap_or_else(|error| panic!("copy {busybox:?}: {error}"));
        let mounts = mounts(&host);
        Self { host, user, mounts, next: AtomicU32::new(1) }
    }

    /// A bundle whose config.json `edit` has changed.
    #[track_caller]
    pub fn bundle(&self, edit: impl FnOnce(&mut Value)) -> Bundle<'_> {
        let id = format!("box-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let directory = format!("/tmp/bundles/{id}");
        self.make_root(&self.host.path(&directory));
        let mut config = config();
        if self.host.is_rootless() {
            map_ids(&mut config, self.user);
        }
        edit(&mut config);
        let bundle = Bundle { oci: self, directory, config, id };
        bundle.save();
        bundle
    }

    /// `run`s a script in a container whose config.json `edit` has changed, to its end.
    #[track_caller]
    pub fn run(&self, edit: impl FnOnce(&mut Value), script: &str) -> Outcome {
        let bundle = self.bundle(|config| {
            config["process"]["args"] = json!(["sh", "-c", script]);
            edit(config);
        });
        self.call(["run", "--bundle", &bundle.directory, &bundle.id])
    }

    /// The runtime with these words after `--root`.
    pub fn command<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let words: Vec<String> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.host.command(["--root", ROOT].into_iter().map(str::to_owned).chain(words))
    }

    /// Calls the runtime and waits for its end, not for what inherits its output.
    #[track_caller]
    pub fn call<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Outcome {
        self.to_its_end(&mut self.command(words))
    }

    /// As [`Oci::call`], with what a refusal may take and no more: 64 MiB of memory that is its own, 2 seconds of a
    /// processor; who takes more does not get it, and ends by a signal. Bounds hold on a busy machine too, as a measured
    /// time does not; and the kernel counts the memory of who starts a program into the peak that it tells of it.
    #[track_caller]
    pub fn call_bounded<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Outcome {
        let script = format!("ulimit -d 65536; ulimit -t 2; exec $C --root {ROOT} \"$@\"");
        let mut command = self.host.script(&script);
        command.arg("bounded").args(words.into_iter().map(|word| word.as_ref().to_owned()));
        self.to_its_end(&mut command)
    }

    /// As [`Oci::call`], for a command that a test has changed.
    #[track_caller]
    pub fn to_its_end(&self, command: &mut Command) -> Outcome {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.host.path(format!("/tmp/output/{number}.{kind}"));
        run_into(command, &file("out"), &file("err"))
    }

    /// Starts the runtime with its output caught, and goes on.
    #[track_caller]
    pub fn spawn<S: AsRef<str>>(&self, words: impl IntoIterator<Item = S>) -> Running {
        Running::start(&mut self.command(words))
    }

    /// What is there of containers now: processes, cgroups, mounts, records.
    pub fn leftovers(&self) -> Vec<String> {
        let named = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok();
        let processes = self.host.processes().into_iter().filter_map(|pid| {
            let words = named(pid)?;
            Some(format!("process {pid} {}", words.replace('\0', " ")))
        });
        let cgroups = self.host.cgroups().into_iter().map(|name| format!("cgroup {name}"));
        let mounts = mounts(&self.host);
        let mounts = mounts.iter().filter(|mount| !self.mounts.contains(mount));
        let records = fs::read_dir(self.host.path(ROOT)).into_iter().flatten().flatten();
        let records = records.map(|entry| format!("record {}", entry.file_name().to_string_lossy()));
        processes.chain(cgroups).chain(mounts.map(|mount| format!("mount {mount}"))).chain(records).collect()
    }

    /// Fails the test unless nothing of any container is left, soon.
    #[track_caller]
    pub fn assert_empty(&self, after_what: &str) {
        let mut left = Vec::new();
        let empty = poll(SETTLES, || {
            left = self.leftovers();
            left.is_empty().then_some(())
        });
        assert!(empty.is_some(), "left behind by {after_what}:\n{}", left.join("\n"));
    }

    /// Makes the files of a bundle: directories, busybox and links to it.
    fn make_root(&self, bundle: &Path) {
        let root = bundle.join("rootfs");
        let mut directories = vec![bundle.to_owned(), root.clone()];
        directories.extend(
            ["bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "root", "home", "tmp", "proc", "sys", "dev"]
                .map(|name| root.join(name)),
        );
        for directory in &directories {
            fs::create_dir(directory).unwrap_or_else(|error| panic!("mkdir {directory:?}: {error}"));
            chown(directory, Some(self.user), Some(self.user)).expect("chown in the host");
        }
        fs::hard_link(self.host.path("/tmp/template/busybox"), root.join("bin/busybox"))
            .expect("link busybox");
        for name in applets() {
            symlink("busybox", root.join("bin").join(name)).expect("symlink to busybox");
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
        )
        .expect("write passwd");
        fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\n").expect("write group");
    }
}

impl<'a> Bundle<'a> {
    /// Writes config.json as it is now.
    #[track_caller]
    pub fn save(&self) {
        self.write("config.json", serde_json::to_string_pretty(&self.config).expect("a value is JSON"));
    }

    /// Writes a file of the bundle.
    #[track_caller]
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("write {path:?}: {error}"));
        chown(&path, Some(self.oci.user), Some(self.oci.user)).expect("chown in the host");
    }

    /// A file of the bundle as the test reaches it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.oci.host.path(format!("{}/{name}", self.directory))
    }

    /// A file of the bundle as programs of the host reach it.
    pub fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// Reads a file of the bundle; empty when it is not there.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a file of the bundle ends with a line break, and gives what is before it.
    #[track_caller]
    pub fn awaits(&self, name: &str) -> String {
        wait_for(name, || Some(self.read(name)).filter(|text| text.ends_with('\n'))).trim_end().to_owned()
    }

    /// Calls `create` with these options, whatever comes of it.
    #[track_caller]
    pub fn try_create(&self, options: &[&str]) -> Outcome {
        self.oci.call([&["create", "--bundle", &self.directory], options, &[&self.id]].concat())
    }

    /// Calls `run` with these options, whatever comes of it.
    #[track_caller]
    pub fn try_run(&self, options: &[&str]) -> Outcome {
        self.oci.call([&["run", "--bundle", &self.directory], options, &[&self.id]].concat())
    }

    /// Makes a container of it; fails the test unless that succeeds.
    #[track_caller]
    pub fn create(self, options: &[&str]) -> Container<'a> {
        let made = self.try_create(options).ok();
        Container { bundle: self, made }
    }

    /// Makes a container of it and starts it.
    #[track_caller]
    pub fn start(self, options: &[&str]) -> Container<'a> {
        let container = self.create(options);
        container.call("start", &[]).ok();
        container
    }

    /// A container of this id that something else makes, or has made: for its removal.
    pub fn container(self) -> Container<'a> {
        let made = Outcome { command: String::new(), code: 0, stdout: String::new(), stderr: String::new() };
        Container { bundle: self, made }
    }
}

impl Container<'_> {
    /// The id.
    pub fn id(&self) -> &str {
        &self.bundle.id
    }

    /// `VERB ID WORDS`.
    #[track_caller]
    pub fn call(&self, verb: &str, words: &[&str]) -> Outcome {
        self.bundle.oci.call([&[verb, self.id()], words].concat())
    }

    /// `VERB OPTIONS ID WORDS`.
    #[track_caller]
    pub fn with(&self, verb: &str, options: &[&str], words: &[&str]) -> Outcome {
        self.bundle.oci.call([&[verb], options, &[self.id()], words].concat())
    }

    /// Runs a script in it by `exec`.
    #[track_caller]
    pub fn exec(&self, options: &[&str], script: &str) -> Outcome {
        self.with("exec", options, &["sh", "-c", script])
    }

    /// What `state` says.
    #[track_caller]
    pub fn state(&self) -> Value {
        let outcome = self.call("state", &[]).ok();
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error} in {outcome}"))
    }

    /// Its status.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Process id of its init.
    #[track_caller]
    pub fn pid(&self) -> i64 {
        self.state()["pid"].as_i64().unwrap_or_default()
    }

    /// Waits until it has this status.
    #[track_caller]
    pub fn becomes(&self, status: &str) {
        let mut last = String::new();
        let reached = poll(LIMIT, || {
            last = self.status();
            (last == status).then_some(())
        });
        assert!(reached.is_some(), "{} never becomes {status}: it is {last}", self.id());
    }

    /// Kills it and waits for its end.
    #[track_caller]
    pub fn end(&self) {
        self.call("kill", &["KILL"]).ok();
        self.becomes("stopped");
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Its host goes as well, and a second panic would hide the first.
            return;
        }
        self.with("delete", &["--force"], &[]);
    }
}

/// A config.json that every runtime takes: a shell that says nothing, with the usual mounts and namespaces.
pub fn config() -> Value {
    let capabilities =
        ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"];
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
            ],
        },
    })
}

/// Gives a config a user namespace: its root is `user`, the rest comes from the ranges of the test user.
fn map_ids(config: &mut Value, user: u32) {
    for (file, field) in [("/etc/subuid", "uidMappings"), ("/etc/subgid", "gidMappings")] {
        let (start, count) = subordinate(file);
        config["linux"][field] = json!([
            {"containerID": 0, "hostID": user, "size": 1},
            {"containerID": 1, "hostID": start, "size": count},
        ]);
    }
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("the namespaces are an array");
    namespaces.push(json!({"type": "user"}));
}

/// The first range of the test user in a file of subuid(5).
#[track_caller]
pub fn subordinate(file: &str) -> (u32, u32) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let range = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?)).filter(|_| owner == fixture::USER)
    });
    range.unwrap_or_else(|| panic!("{file} has no range of {}: run tests/fixtures.sh", fixture::USER))
}

fn applets() -> Vec<String> {
    let links = fixture::directory().join("rootfs/busybox/bin");
    let entries = fs::read_dir(&links).unwrap_or_else(|error| panic!("{links:?}: {error}"));
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "busybox").collect()
}

fn mounts(host: &Host) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", host.pid())).unwrap_or_default();
    // Without its own id and its parent's: a mount of the same thing in the same place is the same.
    table.lines().map(|line| line.split(' ').skip(2).collect::<Vec<_>>().join(" ")).collect()
}
