//! Kills at the stops of system calls: of each command of a runtime, beside the peers that are here, and of each command of the engine.
//! What one `delete --force`, or `rm -f`, makes of that is what is told.

mod runtime;

use crate::arguments::Arguments;
use crate::processors;
use crate::replay::tried;
use crate::report;
use runtime::{COMMANDS, Command, Runtime};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::engine_kills::{CASES, Case, Ground};
use testkit::{Host, Share, Tally};

/// What came of one command.
pub struct Swept {
    /// The program, and who calls it where that is not root.
    pub program: String,
    /// Whether its figures decide.
    pub is_ours: bool,
    /// The command.
    pub command: &'static str,
    /// What was found.
    pub tally: Tally,
}

impl Swept {
    /// For programs.
    pub fn json(&self) -> Value {
        let tally = &self.tally;
        json!({"program": self.program, "command": self.command, "stops": tally.stops, "moments": tally.moments, "turns": tally.turns,
            "kills": tally.kills, "hung": tally.hung, "left": tally.left, "unusable": tally.unusable, "seconds": tally.spent.as_secs()})
    }

    /// Takes what an earlier run has found of the same.
    fn take_over(&mut self, found: &Value) {
        let texts = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
        let number = |name: &str| found[name].as_u64().unwrap_or_default();
        self.tally = Tally {
            stops: number("stops"),
            moments: number("moments"),
            turns: number("turns"),
            kills: number("kills"),
            hung: texts(&found["hung"]),
            left: serde_json::from_value(found["left"].clone()).unwrap_or_default(),
            unusable: texts(&found["unusable"]),
            spent: Duration::from_secs(number("seconds")),
        };
    }
}

/// What is swept, and on what kind of host.
enum What {
    Runtime(PathBuf, &'static Command),
    Engine(PathBuf, &'static Case),
    EngineRootless(PathBuf, &'static Case),
}

/// One row of the table, and how often its command is killed.
struct Row {
    swept: Swept,
    what: What,
    most: Option<u64>,
    /// How many hosts share it.
    shares: usize,
    /// Whether it runs now; else it is what an earlier run has found.
    runs: bool,
}

/// How many kills are quick.
const QUICK: u64 = 12;
/// Of more kills than these, several hosts do a share each.
const SHARED: u64 = 100;
/// So many.
const SHARES: usize = 8;

/// What is killed for an ordinary user as well: what has to do with networks that a process of the user's holds.
const ROOTLESS: [&str; 9] = [
    "run --rm",
    "run -d",
    "start",
    "stop",
    "exec",
    "rm -f",
    "network rm",
    "network connect",
    "network disconnect",
];

/// What is swept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The commands of a runtime, ours and the peers'.
    Runtime,
    /// Those of them that are CRIU's work.
    WithCriu,
    /// The commands of the engine.
    Engine,
}

impl Group {
    /// The name of its part.
    pub fn part(self) -> &'static str {
        match self {
            Self::Runtime => "kills",
            Self::WithCriu => "checkpoints",
            Self::Engine => "engine-kills",
        }
    }
}

impl What {
    fn group(&self) -> Group {
        match self {
            Self::Runtime(_, command) if command.needs_criu => Group::WithCriu,
            Self::Runtime(..) => Group::Runtime,
            Self::Engine(..) | Self::EngineRootless(..) => Group::Engine,
        }
    }
}

/// All rows that are asked for, and those that an earlier run has found.
fn rows(arguments: &Arguments, kept: &[Value]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |program: &str, command: &'static str, is_ours: bool, most: Option<u64>, what: What| {
        let mut swept = Swept { program: program.to_owned(), is_ours, command, tally: Tally::default() };
        let runs = arguments.wants(&format!("{program} {command}"));
        let is_it = |one: &&Value| one["program"] == *program && one["command"] == *command;
        match kept.iter().find(is_it) {
            Some(found) if !runs => swept.take_over(found),
            None if !runs => return,
            _ => {}
        }
        let shares = if most.is_none_or(|most| most > SHARED) { SHARES } else { 1 };
        rows.push(Row { swept, what, most, shares, runs });
    };
    // For each change there is no time for more; the three victims take turns all the same.
    let kills = arguments.kills.or(arguments.quick.then_some(QUICK));
    let fewer = kills.map(|kills| if arguments.quick { kills.div_ceil(3) } else { kills });
    let ours = arguments.programs.join("devoxx-runtime");
    let peers = ["/usr/bin/runc", "/usr/sbin/runc", "/usr/bin/crun"].map(PathBuf::from);
    // One that is there by two ways is one.
    let mut names = Vec::new();
    for program in std::iter::once(&ours).chain(peers.iter().filter(|peer| peer.exists())) {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if names.contains(&name) {
            continue;
        }
        let is_ours = *program == ours;
        let most = if is_ours { kills } else { fewer };
        for command in COMMANDS {
            add(&name, command.name, is_ours, most, What::Runtime(program.clone(), command));
        }
        names.push(name);
    }
    let engine = arguments.programs.join("devoxx-container");
    for case in CASES {
        add("devoxx-container", case.name, true, fewer, What::Engine(engine.clone(), case));
    }
    for case in CASES.iter().filter(|case| ROOTLESS.contains(&case.name)) {
        let what = What::EngineRootless(engine.clone(), case);
        add("devoxx-container of a user", case.name, true, fewer, what);
    }
    rows
}

/// Why there is no CRIU to work with, where it does not.
pub fn without_criu(arguments: &Arguments) -> Option<String> {
    let checked = Host::root(&arguments.programs.join("devoxx-runtime")).sh("criu check");
    (checked.code != 0).then(|| checked.stderr.lines().next().unwrap_or("criu check fails").to_owned())
}

/// Sweeps over a group, on all processors; and what is to be said of it.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn all(arguments: &Arguments, group: Group) -> (Vec<Swept>, Vec<String>) {
    let kept = report::kept(arguments, group.part()).and_then(|found| found.as_array().cloned());
    let rows = rows(arguments, &kept.unwrap_or_default());
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.what.group() == group).collect();
    let mut notes = Vec::new();
    let jobs: Vec<(usize, u64)> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.runs)
        .flat_map(|(at, row)| (0..row.shares as u64).map(move |first| (at, first)))
        .collect();
    let done = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Tally, bool)>> = Mutex::default();
    let begun = Instant::now();
    processors::share(&jobs, |(at, first)| {
        let row = &rows[*at];
        let (tally, works) = sweep(row, *first);
        let done = 1 + done.fetch_add(1, Ordering::Relaxed);
        let left = begun.elapsed().mul_f64((jobs.len() - done) as f64 / done as f64);
        eprintln!(
            "{} {}: {} kills, {} left something; {} to go",
            row.swept.program,
            row.swept.command,
            tally.kills,
            tally.left.len(),
            shown(left)
        );
        if let Ok(mut found) = found.lock() {
            found.push((*at, tally, works));
        }
    });
    let mut works = vec![true; rows.len()];
    let mut swept: Vec<Swept> = rows.into_iter().map(|row| row.swept).collect();
    for (at, tally, works_here) in found.into_inner().unwrap_or_default() {
        swept[at].tally.add(tally);
        works[at] &= works_here;
    }
    let mut kept = Vec::new();
    for (mut one, works) in swept.into_iter().zip(works) {
        if !works && !one.is_ours {
            let why = one.tally.left.last().map(|(what, _)| format!(": {what}")).unwrap_or_default();
            notes.push(format!("{} {} does not work on this machine{why}.", one.program, one.command));
            continue;
        }
        if !works && one.tally.left.is_empty() {
            one.tally.left.push(("it fails when nobody is killed".to_owned(), "its end".to_owned()));
        }
        kept.push(one);
    }
    notes.extend(full_form(&kept));
    (kept, notes)
}

/// A share of a row on a host of its own; and whether the command works at all.
fn sweep(row: &Row, first: u64) -> (Tally, bool) {
    let share = Share { most: row.most, first, step: row.shares };
    let mut tally = Tally::default();
    // Nor does one whose sweep ends by itself.
    let mut works = false;
    let panicked = tried(|| {
        works = match &row.what {
            What::Runtime(program, command) => Runtime::new(program, command).sweep(&mut tally, share),
            What::Engine(program, case) => Ground::root(program).sweep(&mut tally, case, share),
            What::EngineRootless(program, case) => Ground::rootless(program).sweep(&mut tally, case, share),
        };
    });
    tally.left.extend(panicked.map(|words| (words, "the sweep itself".to_owned())));
    (tally, works)
}

/// How long all kills of our own commands take, as far as those that were made tell.
fn full_form(swept: &[Swept]) -> Option<String> {
    let ours = swept.iter().filter(|one| one.is_ours);
    let (mut kills, mut time) = (0, Duration::ZERO);
    for (more, longer) in ours.filter_map(|one| one.tally.full_form()) {
        kills += more;
        time += longer;
    }
    let processors = processors::count();
    let made: u64 = swept.iter().filter(|one| one.is_ours).map(|one| one.tally.turns).sum();
    (kills > 0).then(|| {
        format!(
            "{made} kills of these commands of ours. Each of the three victims at each moment, after which what others can see is another than \
             before, is {kills}; they take about {} on {processors} processors like these.",
            shown(time / u32::try_from(processors).unwrap_or(1))
        )
    })
}

/// A time for people.
fn shown(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}
