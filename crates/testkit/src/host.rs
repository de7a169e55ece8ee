//! A private host for one test: namespaces, a cgroup subtree and an empty /tmp on the real kernel.
//!
//! Its paths are the same in every host: /tmp/data and /tmp/run are the roots of the program under test, /tmp/home
//! its HOME, /tmp/fixtures what `tests/fixtures.sh` made. A holder process keeps the namespaces; all ends with it.

use crate::fixture;
use crate::host_cgroup::{HostCgroup, SESSION};
use crate::outcome::{Outcome, Running, run};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Stands before the words of a command that enters a host.
pub(crate) const ENTER: &str = "enter";

/// What the host is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    RootCgroup2,
    Rootless,
}

/// A host; dropping it ends every process in it and removes its cgroups.
pub struct Host {
    holder: Child,
    kind: Kind,
    cgroup: HostCgroup,
    /// The program under test, as a path inside: /tmp/bin/ and its own name.
    program: String,
    /// Further variables of its environment.
    environment: Vec<(String, String)>,
    /// Stands before each command of its user.
    before: Vec<String>,
}

impl Host {
    /// A host whose programs are root, with the cgroups that the machine has.
    #[track_caller]
    pub fn root(program: &Path) -> Self {
        Self::start(Kind::Root, program)
    }

    /// As [`Host::root`], but it sees cgroup v2 alone, mounted at /sys/fs/cgroup.
    #[track_caller]
    pub fn root_cgroup2_view(program: &Path) -> Self {
        Self::start(Kind::RootCgroup2, program)
    }

    /// A host whose programs are an ordinary user with ranges in /etc/subuid and /etc/subgid.
    #[track_caller]
    pub fn rootless(program: &Path) -> Self {
        Self::start(Kind::Rootless, program)
    }

    #[track_caller]
    fn start(kind: Kind, program: &Path) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "the tests need root: they make namespaces and cgroups"
        );
        let cgroup = HostCgroup::make();
        let program = std::fs::canonicalize(program).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        // The cgroup namespace takes its root from where the process is: the tops, then the session of v2.
        let join: String =
            cgroup.tops().map(|top| format!("echo $$ >{}/cgroup.procs\n", top.display())).collect();
        let unshare = "exec unshare --net --mount --uts --ipc --cgroup --propagation private sh -euc \"$1\"";
        let mut holder = Command::new("sh")
            .args(["-euc", &format!("{join}{unshare}"), "host"])
            .arg(setup(kind, &cgroup, &program))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("unshare: {error}"));
        let mut ready = String::new();
        let output = holder.stdout.take().expect("stdout is a pipe");
        BufReader::new(output).read_line(&mut ready).unwrap_or_else(|error| panic!("host: {error}"));
        let program = format!("/tmp/bin/{}", name(&program));
        let host = Self { holder, kind, cgroup, program, environment: Vec::new(), before: Vec::new() };
        assert_eq!(ready.trim(), "ready", "the test host did not start; its reason stands above");
        host.cgroup.give_controllers();
        host
    }

    /// Sets a variable for every program that is started in the host.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Has every command of the host's user started by a program with these words, such as one that takes a system call away. It is root's,
    /// and of the machine.
    pub fn start_by(&mut self, words: impl IntoIterator<Item = String>) {
        self.before = words.into_iter().collect();
    }

    /// Process id of the holder.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.holder.id()).expect("a process id is an i32")
    }

    /// The user id of the host's user.
    #[track_caller]
    pub fn user(&self) -> u32 {
        let id = self.sh("id -u").ok();
        id.line().parse().unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    /// Whether the host's user is not root.
    pub fn is_rootless(&self) -> bool {
        self.kind == Kind::Rootless
    }

    /// Every process of the host but the holder.
    pub fn processes(&self) -> Vec<i32> {
        self.cgroup.processes().into_iter().filter(|pid| *pid != self.pid()).collect()
    }

    /// The cgroups that were made in the host, as `hierarchy/path`.
    pub fn cgroups(&self) -> Vec<String> {
        self.cgroup.directories()
    }

    /// Reads a file of a cgroup that [`Host::cgroups`] named.
    pub fn cgroup_file(&self, cgroup: &str, file: &str) -> Option<String> {
        let (hierarchy, path) = cgroup.split_once('/')?;
        let top =
            self.cgroup.tops().find(|top| top.parent().is_some_and(|mount| mount.ends_with(hierarchy)))?;
        std::fs::read_to_string(top.join(path).join(file)).ok()
    }

    /// A path of the host, as the test reaches it.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        Path::new("/proc")
            .join(self.holder.id().to_string())
            .join("root")
            .join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// The program under test with these arguments, in the host, as the host's user.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.enter(&self.before, self.kind == Kind::Rootless);
        command.arg(&self.program).args(args);
        command
    }

    /// Runs the program under test to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        run(&mut self.command(args))
    }

    /// Starts the program under test.
    #[track_caller]
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(&mut self.command(args))
    }

    /// A script in the host, as the host's user; `$C` is the program under test.
    pub fn script(&self, script: &str) -> Command {
        let mut command = self.enter(&self.before, self.kind == Kind::Rootless);
        command.env("C", &self.program).args(["sh", "-c", script]);
        command
    }

    /// As [`Host::script`], for bash(1).
    pub fn bash(&self, script: &str) -> Command {
        let mut command = self.enter(&self.before, self.kind == Kind::Rootless);
        command.env("C", &self.program).args(["bash", "-c", script]);
        command
    }

    /// Kills one of [`Host::processes`]; that it is gone already is fine.
    pub fn kill(&self, pid: i32) {
        kill(pid);
    }

    /// Runs a script to its end, see [`Host::script`].
    #[track_caller]
    pub fn sh(&self, script: &str) -> Outcome {
        run(&mut self.script(script))
    }

    /// Runs a script in the host as root, whoever the host's user is; fails the test unless it succeeds.
    #[track_caller]
    pub fn admin(&self, script: &str) -> Outcome {
        run(self.enter(&[], false).args(["sh", "-euc", script])).ok()
    }

    /// As [`Host::script`], but as root, whoever the host's user is: another machine on its network, or its own servers.
    pub fn admin_script(&self, script: &str) -> Command {
        let mut command = self.enter(&[], false);
        command.args(["sh", "-c", script]);
        command
    }

    /// Starts some other program as root in the host.
    pub(crate) fn admin_command(&self) -> Command {
        self.enter(&[], false)
    }

    /// A command that joins the host's cgroups and namespaces and then runs its further arguments.
    fn enter(&self, before: &[String], as_user: bool) -> Command {
        let pid = self.holder.id().to_string();
        let join = self.cgroup.enter(as_user.then_some(fixture::USER));
        let script = format!("{join}exec nsenter -t {pid} -n -m -u -i -C -- \"$@\"");
        let mut words = before.iter().map(String::as_str).chain(["sh", "-ec", &script, ENTER]);
        let mut command = Command::new(words.next().unwrap_or("sh"));
        command
            .args(words)
            .stdin(Stdio::null())
            .env_clear()
            .envs([("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")])
            .envs([("DEVOXX_ROOT", "/tmp/data"), ("DEVOXX_RUN", "/tmp/run"), ("HOME", "/tmp/home")])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/");
        if as_user {
            command.envs([("XDG_RUNTIME_DIR", "/tmp/xdg"), ("USER", fixture::USER)]);
            command.args([
                "setpriv",
                "--reuid",
                fixture::USER,
                "--regid",
                fixture::USER,
                "--init-groups",
                "--",
            ]);
        }
        command
    }

    /// True when something in the host listens on this TCP port.
    pub fn listens(&self, port: u16) -> bool {
        ["tcp", "tcp6"].iter().any(|table| {
            let table = Path::new("/proc").join(self.holder.id().to_string()).join("net").join(table);
            let lines = std::fs::read_to_string(table).unwrap_or_default();
            lines.lines().any(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let local = fields.next().unwrap_or_default();
                // 0A is LISTEN (include/net/tcp_states.h).
                local.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some("0A")
            })
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The holder ends with its standard input; whatever else is left dies with the cgroups.
        self.holder.kill().ok();
        self.holder.wait().ok();
        if let Some(disk) = disk() {
            // Busy mounts are gone with the namespaces; what is left is a disk that is thrown away.
            std::fs::remove_dir_all(disk.join(self.holder.id().to_string())).ok();
        }
    }
}

/// Where each host has a directory for its /tmp, if not in memory: before Linux 6.6 a tmpfs has no attributes of users,
/// which an image store of an ordinary user needs.
fn disk() -> Option<PathBuf> {
    std::env::var_os("DEVOXX_TESTKIT_DISK").map(PathBuf::from)
}

/// Kills one process of a host; that it is gone already is fine.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, Signal::KILL).ok();
    }
}

/// The script that makes the inside of the namespaces a host, then holds them until its standard input ends.
fn setup(kind: Kind, cgroup: &HostCgroup, program: &Path) -> String {
    let mut script = String::from("ip link set lo up\n");
    if kind == Kind::Rootless {
        // pasta copies the addresses of an interface that leads out; this one leads nowhere.
        script += "ip link add uplink type bridge; ip address add 198.51.100.2/24 dev uplink; ip link set uplink up\n";
        script += "ip route add default via 198.51.100.1\n";
        // As udev sets it up, without touching the machine's own node.
        script += "mount -t tmpfs -o mode=755 net /dev/net; mknod -m 666 /dev/net/tun c 10 200\n";
    }
    if let Some(top) = &cgroup.v2 {
        writeln!(script, "echo $$ >{}/{SESSION}/cgroup.procs", top.display()).expect("String");
    }
    // A new sysfs shows the links of this network namespace, new cgroup mounts the part of this cgroup namespace.
    script += "umount -R /sys; mount -t sysfs sysfs /sys\n";
    if kind == Kind::RootCgroup2 || cgroup.v1.is_empty() {
        script += "mount -t cgroup2 cgroup2 /sys/fs/cgroup\n";
    } else {
        script += "mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup\ncd /sys/fs/cgroup\n";
        for (options, directory) in &cgroup.v1 {
            let name = mount_name(directory);
            writeln!(script, "mkdir {name}; mount -t cgroup -o {options} cgroup {name}").expect("String");
        }
        if let Some(name) = cgroup.v2.as_deref().map(mount_name) {
            writeln!(script, "mkdir {name}; mount -t cgroup2 cgroup2 {name}").expect("String");
        }
    }
    let user = if kind == Kind::Rootless { fixture::USER } else { "root" };
    let (name, program, fixtures) = (name(program), program.display(), fixture::directory());
    let fixtures = fixtures.display();
    // Prepared beside and moved: the program and the fixtures may themselves be below /tmp.
    match disk() {
        None => script += "mount -t tmpfs -o mode=1777 tmp /mnt\n",
        Some(disk) => {
            let own = format!("{}/$$", disk.display());
            writeln!(script, "mkdir -m 1777 {own}; mount --bind {own} /mnt").expect("String");
        }
    }
    writeln!(
        script,
        "mount -t tmpfs -o mode=1777 shm /dev/shm; cd /mnt
mkdir -m 755 bin data run home fixtures; mkdir -m 700 xdg; touch bin/{name}
chown {user}: data run home xdg
mount --bind {program} bin/{name}; mount --bind {fixtures} fixtures
mount -o remount,bind,ro fixtures
echo 'nameserver 127.0.0.1' >resolv.conf; mount --bind resolv.conf \"$(realpath /etc/resolv.conf)\"
mount --move /mnt /tmp; cd /
echo ready; exec cat >/dev/null"
    )
    .expect("String");
    script
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn mount_name(directory: &Path) -> String {
    directory.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;
    use crate::snapshot::Snapshot;

    #[test]
    fn a_host_is_its_own() {
        fn check(host: &Host, script: &str, expected: &str) {
            host.sh(script).ok().prints(expected);
        }
        for host in [Host::root(Path::new("/bin/true")), Host::rootless(Path::new("/bin/true"))] {
            check(&host, "ls /sys/class/net | grep -v uplink", "lo");
            check(&host, "ls /tmp", "bin\ndata\nfixtures\nhome\nresolv.conf\nrun\nxdg");
            check(&host, "touch $DEVOXX_ROOT/x $DEVOXX_RUN/x $HOME/x && $C && echo done", "done");
            check(&host, "cat /proc/self/cgroup | grep -vE ':/(session|scope-[0-9-]+)?$' | wc -l", "0");
            let tops: Vec<_> = host.cgroup.tops().cloned().collect();
            let left = host.spawn(["ignored"]).wait().ok();
            assert_eq!(left.stdout, "");
            drop(host);
            assert!(tops.iter().all(|top| !top.exists()), "cgroups of the host are gone");
        }
        let v2 = Host::root_cgroup2_view(Path::new("/bin/true"));
        check(
            &v2,
            "stat -f -c %T /sys/fs/cgroup; cat /proc/mounts | grep -c ' cgroup ' || :",
            "cgroup2fs\n0",
        );
    }

    #[test]
    fn a_snapshot_sees_each_kind_of_leak() {
        fn check(kind: &str, leak: &str) {
            let host = Host::root(Path::new("/bin/true"));
            let before = Snapshot::take(&host);
            assert_eq!(
                before.difference(&Snapshot::take(&host)),
                Vec::<String>::new(),
                "nothing was leaked yet"
            );
            host.admin(leak);
            let difference = before.difference(&Snapshot::take(&host));
            assert!(
                difference.iter().any(|line| line.starts_with(&format!("+ {kind} "))),
                "{leak}: {difference:?}"
            );
        }
        check("mount", "mount -t tmpfs x /opt");
        check("link", "ip link add dvx0 type bridge");
        check("nft", "nft add table ip devoxx");
        check("file", "mkdir -p /tmp/data/containers/x");
        check("process", "sleep 60 >/dev/null 2>&1 &");
        check(
            "cgroup",
            "for d in /sys/fs/cgroup/*/ /sys/fs/cgroup/; do mkdir $d/devoxx-x && exit 0; done; exit 1",
        );
    }

    #[test]
    fn a_registry_serves_the_fixtures_to_its_host_alone() {
        let host = Host::root(Path::new("/bin/true"));
        let registry = Registry::start(&host);
        let list = host.admin("curl -sf http://127.0.0.1:5000/v2/_catalog").stdout;
        for name in
            ["busybox", "debian", "team/config", "team/zstd", "team/index", "team/docker", "team/evil-dotdot"]
        {
            assert!(list.contains(&format!("\"{name}\"")), "{name} in {list}");
        }
        let digest = registry.digest("debian", "12");
        assert_eq!(registry.manifest(&digest)["layers"].as_array().map(Vec::len), Some(4));
        let closed = Registry::settings(&host).port(5001).login().start();
        let status = |who: &str| {
            host.admin(&format!(
                "curl -s -o /dev/null -w '%{{http_code}}' {who} http://{}/v2/",
                closed.address
            ))
            .stdout
        };
        assert_eq!(status(""), "401");
        assert_eq!(status("-u 'tester:wrong'"), "401");
        assert_eq!(status("-u 'tester:open sesame'"), "200");
    }
}
