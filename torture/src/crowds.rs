//! Crowds: many commands at once, each about a container of its own, or all about one.

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use serde_json::json;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;
use testkit::bundle::ROOT;
use testkit::{Host, Oci, Registry, Running, Snapshot};

/// How many containers are made at once: by `--quick`, and otherwise.
const CREATES: (&[u32], &[u32]) = (&[100], &[200, 1000]);
/// The same for `run --rm` of the engine.
const RUNS: (u32, u32) = (20, 200);
/// How many commands are about one and the same thing.
const MANY: u32 = 50;
/// How long a crowd may take.
const LIMIT: Duration = Duration::from_secs(1200);

/// Many commands, which wait at a gate until all of them can begin: a fifo that has no writer yet. `$turn` is the number of each.
const SCRIPT: &str = r#"
rm -rf /tmp/crowd; mkdir /tmp/crowd; cd /tmp/crowd; mkfifo gate
for turn in $(seq MANY); do
    (: <gate; "$C" WORDS </dev/null >$turn.said 2>&1; echo $? >$turn.code) &
done
exec 3>gate
wait
"#;

/// How one of a crowd ended.
struct Answer {
    code: i32,
    said: String,
}

fn crowd(host: &Host, many: u32, words: &str) -> Vec<Answer> {
    let script = SCRIPT.replace("MANY", &many.to_string()).replace("WORDS", words);
    Running::start(&mut host.bash(&script)).wait_within(LIMIT).ok();
    let read = |turn: u32, what: &str| {
        std::fs::read_to_string(host.path(format!("/tmp/crowd/{turn}.{what}"))).unwrap_or_default()
    };
    let answer =
        |turn| Answer { code: read(turn, "code").trim().parse().unwrap_or(-1), said: read(turn, "said") };
    (1..=many).map(answer).collect()
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    /// What is not as it must be.
    wrong: Vec<String>,
}

impl Table {
    /// Of a crowd so many have to succeed; each of the others says `words` in one line, and nothing else.
    fn add(&mut self, what: &str, answers: &[Answer], succeed: RangeInclusive<usize>, words: &str) {
        let winners = answers.iter().filter(|one| one.code == 0).count();
        let losers = answers.iter().filter(|one| one.code != 0);
        let (told, other): (Vec<&Answer>, Vec<&Answer>) = losers.partition(|one| {
            !words.is_empty() && one.said.contains(words) && one.said.trim_end().lines().count() == 1
        });
        let first = other.first().map(|one| format!("{what}: {}: {}", one.code, one.said.trim_end()));
        self.wrong.extend(first);
        if !succeed.contains(&winners) {
            self.wrong.push(format!("{what}: {winners} succeed"));
        }
        let said = if told.is_empty() { String::new() } else { format!("{} say \"{words}\"", told.len()) };
        self.rows.push(vec![
            what.to_owned(),
            answers.len().to_string(),
            winners.to_string(),
            said,
            other.len().to_string(),
        ]);
    }
}

/// Of the runtime and of the engine.
pub fn part(arguments: &Arguments) -> Section {
    let mut table = Table::default();
    let try_all = |table: &mut Table, act: &dyn Fn(&mut Table)| {
        let panicked = tried(|| act(table));
        table.wrong.extend(panicked);
    };
    let creates = if arguments.quick { CREATES.0 } else { CREATES.1 };
    let runtime = arguments.programs.join("devoxx-runtime");
    for many in creates {
        try_all(&mut table, &|table| each_its_own(&runtime, *many, table));
    }
    try_all(&mut table, &|table| all_the_same(&runtime, table));
    let runs = if arguments.quick { RUNS.0 } else { RUNS.1 };
    try_all(&mut table, &|table| engine(&arguments.programs.join("devoxx-container"), runs, table));
    Section {
        name: "crowds",
        title: "Many at once",
        columns: &["command", "at once", "succeed", "are refused", "anything else"],
        figures: format!(
            "{} kinds of crowds; {} went wrong or left something.",
            table.rows.len(),
            table.wrong.len()
        ),
        rows: table.rows,
        notes: Vec::new(),
        wrong: table.wrong,
    }
}

fn each_its_own(program: &Path, many: u32, table: &mut Table) {
    let oci = Oci::new(Host::root_cgroup2_view(program));
    let bundle = oci.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    let all = many as usize;
    let create = format!("--root {ROOT} create --bundle {} box-$turn", bundle.directory);
    table.add("devoxx-runtime create", &crowd(&oci.host, many, &create), all..=all, "");
    let start = format!("--root {ROOT} start box-$turn");
    table.add("devoxx-runtime start", &crowd(&oci.host, many, &start), all..=all, "");
    let delete = format!("--root {ROOT} delete --force box-$turn");
    table.add("devoxx-runtime delete --force", &crowd(&oci.host, many, &delete), all..=all, "");
    oci.assert_empty("a crowd");
}

fn all_the_same(program: &Path, table: &mut Table) {
    let oci = Oci::new(Host::root_cgroup2_view(program));
    let bundle = oci.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    let mut one = |what: &str, words: &str, refused: &str| {
        let words = format!("--root {ROOT} {words}");
        table.add(&format!("devoxx-runtime {what}, of one"), &crowd(&oci.host, MANY, &words), 1..=1, refused);
    };
    one("create", &format!("create --bundle {} {}", bundle.directory, bundle.id), "already exists");
    one("start", &format!("start {}", bundle.id), "cannot start");
    let container = bundle.container();
    container.end();
    one("delete", &format!("delete {}", container.id()), "does not exist");
    oci.assert_empty("a crowd");
}

fn engine(program: &Path, runs: u32, table: &mut Table) {
    let host = Host::root(program);
    let registry = Registry::start(&host);
    let (busybox, other) = (registry.image("busybox"), registry.image("debian:12"));
    host.run(["pull", "-q", &busybox]).ok();
    host.run(["network", "create", "other"]).ok();
    host.run(["run", "--rm", "--network", "other", &busybox, "true"]).ok();
    host.run(["run", "--rm", &busybox, "true"]).ok();
    // There will be one at some time: so many commands have much to tell.
    host.sh("touch $DEVOXX_ROOT/events/log.1").ok();
    let before = Snapshot::take(&host);
    let mut at_once = |what: &str, many: u32, words: &str, succeed: RangeInclusive<usize>, refused: &str| {
        table.add(&format!("devoxx-container {what}"), &crowd(&host, many, words), succeed, refused);
    };
    let (many, one) = (MANY as usize, 1..=1);
    let all = runs as usize..=runs as usize;
    at_once("pull, of one", runs, &format!("pull -q {other}"), all.clone(), "");
    at_once("rmi, of one", runs, &format!("rmi {other}"), 1..=runs as usize, "no such image");
    at_once("run --rm", runs, &format!("run --rm {busybox} true"), all, "");
    let run = format!("run -d --name one {busybox} sleep 1000");
    at_once("run --name, of one", MANY, &run, one.clone(), "already taken");
    // Whoever finds it and comes too late has what was asked for.
    at_once("rm -f, of one", MANY, "rm -f one", 1..=many, "no such container");
    at_once("volume create, of one", MANY, "volume create one", many..=many, "");
    at_once("volume rm, of one", MANY, "volume rm one", 1..=many, "no such volume");
    at_once("network create, of one", MANY, "network create one", one.clone(), "already exists");
    at_once("network rm, of one", MANY, "network rm one", one, "not found");
    table.wrong.extend(before.settled(&host));
}
