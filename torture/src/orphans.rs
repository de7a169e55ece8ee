//! Orphans, each made by hand as a kill or a loss of power would leave it: `system doctor` names it once, `--fix` removes it, and the
//! container that runs beside it runs on.

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use testkit::{Host, Outcome, Registry, deadline};

const BUSYBOX: &str = "127.0.0.1:5000/busybox";
/// The id of a container that there is not.
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The id of another.
const NOBODY: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
/// The code of a command that found something.
const FOUND: i32 = 125;

/// One kind.
struct Orphan {
    what: &'static str,
    /// Makes it; as the host's user, or as root where only root has such.
    script: &'static str,
    root: bool,
    /// What is in its line.
    words: &'static str,
}

const fn file(what: &'static str, script: &'static str, words: &'static str) -> Orphan {
    Orphan { what, script, root: false, words }
}

const fn kernel(what: &'static str, script: &'static str, words: &'static str) -> Orphan {
    Orphan { what, script, root: true, words }
}

const ALL: &[Orphan] = &[
    file(
        "directory without a record",
        "d=containers/ID; mkdir $d; touch -d '1 hour ago' $d",
        "without a record, 0123456789ab",
    ),
    file(
        "beginning of a container",
        "mkdir containers/.new-ID",
        "the beginning of a container, 0123456789ab",
    ),
    file("rest of a container", "mkdir -p containers/.gone-ID/upper/x", "was being removed, 0123456789ab"),
    file("name", "ln -s NOBODY containers/by-name/ghost", "the name ghost, whose container is gone"),
    file(
        "draft of a record",
        "touch -d '1 hour ago' containers/$(readlink containers/by-name/stays)/container.json.new",
        "a draft, ",
    ),
    file("record of the runtime", "mkdir /tmp/run/containers/ID", "the runtime's record of 0123456789ab"),
    file(
        "torn record of the runtime",
        "d=/tmp/run/containers/$(printf f%.0s $(seq 64)); mkdir $d; echo '{' >$d/state.json",
        "the runtime's record of ffffffffffff",
    ),
    file(
        "lock of a supervisor",
        "d=/tmp/run/supervisors/ID; mkdir $d; touch $d/lock",
        "a supervisor of 0123456789ab",
    ),
    file(
        "unfinished container of devoxx-runtime",
        "mkdir -p OWN; mkdir OWN/half; echo '{\"id\":\"half\",\"phase\":\"creating\"}' >OWN/half/state.json; touch -d '1 hour ago' OWN/half",
        "container half of devoxx-runtime, whose maker died before it was done",
    ),
    file(
        "torn record of devoxx-runtime",
        "mkdir -p OWN/torn; echo '{' >OWN/torn/state.json; touch -d '1 hour ago' OWN/torn",
        "container torn of devoxx-runtime, whose record cannot be read",
    ),
    file("pid of a pasta", "echo 4194304 >/tmp/run/0123456789ab.pasta", "pasta of 0123456789ab"),
    file(
        "torn lease",
        "mkdir -p network/leases; touch -d '1 hour ago' network/leases/172.30.9.9",
        "leases/172.30.9.9",
    ),
    file(
        "draft of a lease",
        "mkdir -p network/leases; touch -d '1 hour ago' network/leases/.dvx0123456789ab-1-0",
        "leases/.dvx0123456789ab-1-0",
    ),
    file(
        "range of ids",
        "mkdir -p id-ranges; ln -s NOBODY id-ranges/700000",
        "from 700000 on, whose container is gone",
    ),
    file("torn network", "d=network/networks/torn; mkdir -p $d; touch -d '1 hour ago' $d", "networks/torn"),
    file(
        "beginning of a volume",
        "d=volumes/half; mkdir $d; touch -d '1 hour ago' $d",
        "the beginning of a volume",
    ),
    file(
        "layer half unpacked",
        "d=image/staging/gone.x; mkdir $d; touch -d '1 hour ago' $d",
        "image/staging/gone.x",
    ),
    file("draft of the images' records", "touch -d '1 hour ago' image/records.new.1", "image/records.new.1"),
    kernel("mount", "mount --bind image image", "a mount at /tmp/data/image"),
    kernel(
        "network namespace that is held",
        "touch /tmp/run/netns; unshare --net=/tmp/run/netns true",
        "a mount at /tmp/run/netns",
    ),
    kernel(
        "cgroups",
        "for top in /sys/fs/cgroup/*/devoxx; do mkdir $top/ID; touch -d '1 hour ago' $top/ID; done",
        "ID, which has no process and no container",
    ),
    kernel(
        "cgroups of a torn record",
        "for top in /sys/fs/cgroup/*/; do mkdir $top/torn; touch -d '1 hour ago' $top/torn; done",
        "/torn, which has no process and no container",
    ),
    kernel(
        "link of a container",
        "ip link add dvx0123456789ab type veth peer name dvxpeer",
        "link dvx0123456789ab, which leads to no container",
    ),
    kernel(
        "bridge",
        "ip link add dvb0123456789ab type bridge",
        "bridge dvb0123456789ab, which is of no network",
    ),
    kernel(
        "published port",
        "nft add element inet devoxx ports4 '{ tcp . 8099 comment \"dvxaaaaaaaaaaaa\" : 172.30.9.9 . 80 }'",
        "published ports of link dvxaaaaaaaaaaaa, which is gone",
    ),
    kernel(
        "rules of a network",
        "nft add element inet devoxx bridges '{ \"dvbaaaaaaaaaaaa\" }'",
        "rules for bridge dvbaaaaaaaaaaaa, which is gone",
    ),
    kernel(
        "rules of an internal network",
        "nft add element inet devoxx internal '{ \"dvbcccccccccccc\" }'",
        "rules for bridge dvbcccccccccccc, which is gone",
    ),
    kernel(
        "rules within a network",
        "nft add element inet devoxx within '{ \"dvbdddddddddddd\" . \"dvbdddddddddddd\" }'",
        "rules for bridge dvbdddddddddddd, which is gone",
    ),
    kernel(
        "place of an image's mount",
        "d=/tmp/run/images/ID; mkdir -p $d; touch -d '1 hour ago' $d",
        "an image that is not mounted, /tmp/run/images/",
    ),
];

/// What is left of a container whose records somebody has removed while it runs: the kind, what is in its line, and, where not everybody's
/// container has it, whether an ordinary user's has.
const REMOVED: [(&str, &str, Option<bool>); 7] = [
    ("what a container has that ended together with its supervisor", "what container ended still has", None),
    ("supervisor without a container", "the supervisor of ", None),
    ("process of a container that is gone", "a process of ", None),
    ("name of that", "the name victim", None),
    ("cgroups of that", ", which has no container", None),
    ("address of that", "which does not run", Some(false)),
    ("pasta of that", "pasta of ", Some(true)),
];

/// As root and as an ordinary user.
pub fn part(arguments: &Arguments) -> Section {
    let program = arguments.programs.join("devoxx-container");
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for rootless in [false, true] {
        let mut told = Vec::new();
        let broken = tried(|| {
            let host = if rootless { Host::rootless(&program) } else { Host::root(&program) };
            let _registry = Registry::start(&host);
            told = make_all(&host, &mut wrong);
        });
        wrong.extend(broken);
        for (what, lines) in told {
            let whose = if rootless { "a user's" } else { "root's" };
            rows.push(vec![whose.to_owned(), what, lines.to_string()]);
        }
    }
    let figures = format!(
        "{} kinds of orphans; {} not named, not removed, or in the way of what runs beside them.",
        rows.len(),
        wrong.len()
    );
    if rows.is_empty() {
        wrong.push("no orphan was made".to_owned());
    }
    Section {
        name: "orphans",
        title: "Orphans that `system doctor` names and removes",
        columns: &["engine", "orphan", "lines"],
        figures,
        rows,
        notes: Vec::new(),
        wrong,
    }
}

/// A pasta whose file is gone when its container is removed; the short id of that.
fn lost_pasta(host: &Host) -> String {
    host.run(["run", "-d", "--name", "lost", BUSYBOX, "sleep", "1000"]).ok();
    let id = host.run(["inspect", "--format", "{{.Id}}", "lost"]).ok().line()[..12].to_owned();
    host.sh(&format!("rm /tmp/run/{id}.pasta")).ok();
    host.run(["rm", "-f", "lost"]).ok();
    id
}

/// Makes each, has them named and removed; what was named, and in how many lines.
fn make_all(host: &Host, wrong: &mut Vec<String>) -> Vec<(String, usize)> {
    let rootless = host.is_rootless();
    let doctor = |words: &[&str]| host.run([&["system", "doctor"], words].concat());
    host.run(["pull", "-q", BUSYBOX]).ok();
    host.run(["network", "create", "app"]).ok();
    let stays =
        ["run", "-d", "--name", "stays", "-p", "8088:80", "--network", "app", BUSYBOX, "sleep", "1000"];
    host.run(stays).ok();
    host.run(["run", "-d", "--name", "victim", BUSYBOX, "sleep", "1000"]).ok();
    host.run(["run", "-d", "--name", "ended", "--net", "none", BUSYBOX, "sleep", "1000"]).ok();
    let victim = host.run(["inspect", "--format", "{{.Id}}", "victim"]).ok().line().to_owned();
    // Without root it may be that no limit holds here: that stays as it is.
    let own = if rootless { "/tmp/xdg/devoxx-runtime" } else { "/run/devoxx-runtime" };
    if !rootless {
        // What devoxx-runtime has on this machine is none of this.
        host.admin("mount -t tmpfs -o mode=755 run /run");
    }
    let sound = doctor(&[]);
    assert!(sound.stdout.lines().all(|line| !line.contains("--fix")), "{sound}");
    // Before the others: a command removes some of them by itself.
    let lost = rootless.then(|| lost_pasta(host));
    let kinds: Vec<&Orphan> = ALL.iter().filter(|one| !(one.root && rootless)).collect();
    for one in &kinds {
        let script = one.script.replace("NOBODY", NOBODY).replace("ID", ID).replace("OWN", own);
        let script = format!("set -eu; cd /tmp/data; {script}");
        if one.root {
            host.admin(&script)
        } else {
            host.sh(&script).ok()
        };
    }
    host.admin(&format!(
        "cd /tmp; rm -rf data/containers/{victim} run/containers/{victim} run/supervisors/{victim}"
    ));
    // The supervisor first, and it cannot see the end of the other.
    host.sh(
        "init=$($C inspect --format '{{.State.Pid}}' ended); kill -9 $(awk '/^PPid:/ { print $2 }' /proc/$init/status)
        kill -9 $init; while test -e /proc/$init; do :; done",
    )
    .ok();
    let found = doctor(&[]);
    if found.code != FOUND {
        wrong.push(format!("nothing is wrong: {found}"));
    }
    let removed = REMOVED.iter().filter(|(_, _, whose)| whose.is_none_or(|user| user == rootless));
    let expected = kinds.iter().map(|one| (one.what, one.words.replace("ID", ID)));
    let lost = lost.map(|id| ("pasta without its file", format!("a pasta of {id}, which is no container")));
    let expected: Vec<(&str, String)> =
        expected.chain(lost).chain(removed.map(|(what, words, _)| (*what, (*words).to_owned()))).collect();
    let mut told = Vec::new();
    let mut lines: Vec<&str> =
        found.stdout.lines().filter(|line| line.contains("--fix removes it")).collect();
    for (what, words) in expected {
        let own = lines.iter().filter(|line| line.contains(&words)).count();
        lines.retain(|line| !line.contains(&words));
        // One a hierarchy; and an ordinary user has them only where they are delegated.
        let many = what.starts_with("cgroups");
        if own != 1 && !(many && (own > 1 || rootless)) {
            wrong.push(format!("{what}: named in {own} lines: {words} in {found}"));
        }
        if own > 0 {
            told.push((what.to_owned(), own));
        }
    }
    if !lines.is_empty() {
        wrong.push(format!("named, and nobody knows why: {lines:?}"));
    }
    let mended = doctor(&["--fix"]);
    let removed = mended.stdout.matches("(removed)").count();
    let named = found.stdout.matches("--fix removes it").count();
    if removed != named {
        wrong.push(format!("{removed} of {named} are removed: {mended}"));
    }
    // What the kernel takes a moment for.
    let mut again: Option<Outcome> = None;
    let clean = deadline::poll(std::time::Duration::from_secs(5), || {
        let now = doctor(&[]);
        let same = now.stdout == sound.stdout && now.code == sound.code;
        again = Some(now);
        same.then_some(())
    });
    if let (None, Some(again)) = (clean, again) {
        wrong.push(format!("something is left: {again}"));
    }
    let runs = host.run(["exec", "stays", "ip", "link", "show", "eth0"]);
    if runs.code != 0 {
        wrong.push(format!("the other container: {runs}"));
    }
    host.run(["rm", "-f", "stays", "ended"]);
    if !rootless {
        table(host, wrong);
        told.push(("table of rules without a bridge".to_owned(), 1));
    }
    told
}

/// With the last bridge goes the table; one that is there all the same is for nobody.
fn table(host: &Host, wrong: &mut Vec<String>) {
    host.run(["network", "rm", "app"]).ok();
    host.admin("nft list table inet devoxx; ip link del devoxx0");
    let mended = host.run(["system", "doctor", "--fix"]);
    if !mended.stdout.contains("the table inet devoxx of nf_tables, for which there is no bridge") {
        wrong.push(format!("a table without a bridge: not named in {mended}"));
    }
    let tables = host.admin("nft list tables").stdout;
    if tables.contains("devoxx") {
        wrong.push(format!("a table without a bridge: {tables}"));
    }
}
