//! Cycles: containers that come and go, again and again, and what grows meanwhile.

mod visits;

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::bundle::ROOT;
use testkit::deadline::poll;
use testkit::{Host, Oci, Registry, Running, Snapshot};

/// How many in one go, and how many goes, of the runtime, of the engine, and of visits: by `--quick`, and otherwise.
const QUICK: [(u32, u32); 3] = [(50, 2), (10, 2), (10, 2)];
const LONG: [(u32, u32); 3] = [(1000, 10), (200, 10), (1000, 10)];

/// How long a go may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// A cgroup that was removed lives on in the kernel until the last of what was counted for it is gone: so many may do so at any time.
const DYING: u64 = 100;

const SCRIPT: &str = r#"
for turn in $(seq TIMES); do
    { CYCLE; } </dev/null >/dev/null || { echo "turn $turn" >&2; exit 1; }
done
"#;

/// What there is now that could grow: cgroups that are dying, files of the program, the time of one cycle.
struct Look {
    dying: u64,
    files: u64,
    each: Duration,
}

/// One go; what is there after it.
fn go(host: &Host, times: u32, cycle: &str) -> Look {
    let script = SCRIPT.replace("TIMES", &times.to_string()).replace("CYCLE", cycle);
    let begun = Instant::now();
    let outcome = Running::start(&mut host.bash(&script)).wait_within(LIMIT);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome}");
    look(host, begun.elapsed() / times)
}

/// What is there now.
fn look(host: &Host, each: Duration) -> Look {
    let dying = || {
        let stat =
            host.sh("cat /sys/fs/cgroup/cgroup.stat /sys/fs/cgroup/unified/cgroup.stat 2>/dev/null").stdout;
        stat.lines().find_map(|line| line.strip_prefix("nr_dying_descendants ")?.parse().ok()).unwrap_or(0)
    };
    // The last ones are on their way.
    let mut now = dying();
    poll(Duration::from_secs(5), || {
        now = dying();
        (now == 0).then_some(())
    });
    let files = host.admin("find /tmp/run /tmp/data /tmp/output -xdev 2>/dev/null | wc -l || :").stdout;
    Look { dying: now, files: files.trim().parse().unwrap_or(0), each }
}

/// What came of all goes of one kind.
#[derive(Default)]
struct Told {
    looks: Vec<Look>,
    wrong: Vec<String>,
}

impl Told {
    fn row(&self, what: &str, times: u32) -> Vec<String> {
        let of = |pick: &dyn Fn(&Look) -> String| {
            let (first, last) = (self.looks.first().map(pick), self.looks.last().map(pick));
            format!("{}, {}", first.unwrap_or_default(), last.unwrap_or_default())
        };
        vec![
            what.to_owned(),
            (times as usize * self.looks.len()).to_string(),
            of(&|look| look.dying.to_string()),
            of(&|look| look.files.to_string()),
            of(&|look| format!("{:.1} ms", look.each.as_secs_f64() * 1000.0)),
            self.wrong.len().to_string(),
        ]
    }

    /// Takes in one go.
    fn add(&mut self, look: Look, left: Vec<String>) {
        self.wrong.extend(left);
        if look.dying > DYING {
            self.wrong.push(format!("{} cgroups are dying", look.dying));
        }
        if let Some(first) = self.looks.first()
            && look.files > first.files
        {
            self.wrong.push(format!("{} files, {} at first", look.files, first.files));
        }
        self.looks.push(look);
    }
}

/// Of the runtime and of the engine.
pub fn part(arguments: &Arguments) -> Section {
    let [of_runtime, of_engine, of_visits] = if arguments.quick { QUICK } else { LONG };
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut kind = |what: &str, times: u32, act: &dyn Fn(&mut Told)| {
        let mut told = Told::default();
        let panicked = tried(|| act(&mut told));
        told.wrong.extend(panicked);
        rows.push(told.row(what, times));
        wrong.extend(told.wrong.into_iter().take(5).map(|wrong| format!("{what}: {wrong}")));
    };
    let program = arguments.programs.join("devoxx-runtime");
    kind("devoxx-runtime create, start, delete", of_runtime.0, &|told| runtime(&program, of_runtime, told));
    let program = arguments.programs.join("devoxx-container");
    kind("devoxx-container run --rm", of_engine.0, &|told| engine(&program, of_engine, told));
    let what = "devoxx-container attach, typed to, resized, left";
    kind(what, of_visits.0, &|told| visits::many(&program, of_visits, told));
    Section {
        name: "cycles",
        title: "Again and again",
        columns: &[
            "cycle",
            "times",
            "cgroups dying, after the first part and the last",
            "files",
            "one cycle",
            "left something",
        ],
        figures: format!(
            "{} cycles of the runtime, {} of the engine, {} visits of one container; {} things left.",
            of_runtime.0 * of_runtime.1,
            of_engine.0 * of_engine.1,
            of_visits.0 * of_visits.1,
            wrong.len()
        ),
        rows,
        notes: Vec::new(),
        wrong,
    }
}

fn runtime(program: &Path, (times, goes): (u32, u32), told: &mut Told) {
    let oci = Oci::new(Host::root_cgroup2_view(program));
    let bundle = oci.bundle(|config| config["process"]["args"] = json!(["true"]));
    let cycle = format!(
        "\"$C\" --root {ROOT} create --bundle {} box && \"$C\" --root {ROOT} start box && \"$C\" --root {ROOT} delete --force box",
        bundle.directory
    );
    for _ in 0..goes {
        let look = go(&oci.host, times, &cycle);
        told.add(look, oci.leftovers());
    }
}

fn engine(program: &Path, (times, goes): (u32, u32), told: &mut Told) {
    let host = Host::root(program);
    let registry = Registry::start(&host);
    let image = registry.image("busybox");
    host.run(["pull", "-q", &image]).ok();
    host.run(["run", "--rm", &image, "true"]).ok();
    // There will be one at some time: so many commands have much to tell.
    host.sh("touch $DEVOXX_ROOT/events/log.1").ok();
    let before = Snapshot::take(&host);
    for _ in 0..goes {
        let look = go(&host, times, &format!("\"$C\" run --rm {image} true"));
        told.add(look, before.settled(&host));
    }
}
