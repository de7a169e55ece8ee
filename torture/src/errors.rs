//! Errors at system calls: each call of each command fails in each way, once. The command either says in one line what failed, or has fully
//! done its work; one `delete --force` cleans what is left, and the id can be used again.

mod chosen;
pub mod engine;
mod facts;
mod names;
pub mod runtime;
pub mod verdict;

use crate::arguments::Arguments;
use crate::processors;
use crate::replay::tried;
use crate::report::{self, Section};
use names::Names;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use testkit::Host;
use testkit::injector::{Errno, Injected, inject};
use verdict::{Swept, What, judge};

/// How many calls of each command fail with `--quick`: of the runtime, and of the engine, whose commands take longer.
const QUICK: u64 = 45;
const QUICK_OF_ENGINE: u64 = 8;

/// Longest time that a command may take, with all that waits in it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A command whose calls fail, and the host in which they do.
pub trait Subject {
    /// The program.
    fn program(&self) -> &'static str;
    /// Its host.
    fn host(&self) -> &Host;
    /// Takes what is there now, without what the command is about, for what has to be there at the end.
    fn begin(&mut self);
    /// Puts there what the command needs.
    fn prepare(&self) -> Result<(), String>;
    /// The command, executed by a shell after a script, if there is one.
    fn command(&self, before: &str) -> Command;
    /// How many outputs there have been.
    fn outputs(&self) -> &Cell<u32>;
    /// Where its output goes, and its errors: to new files each time.
    fn output(&self) -> (PathBuf, PathBuf) {
        let number = self.outputs().replace(self.outputs().get() + 1);
        let file = |kind: &str| self.host().path(format!("/tmp/output/turn-{number}.{kind}"));
        (file("out"), file("err"))
    }
    /// Whether it makes what a container is held by: then each of these calls fails once, however few of the others do.
    fn holds(&self) -> bool {
        false
    }
    /// How many lines say what failed, of those that it has printed.
    fn lines_of_error(&self, stderr: &str) -> usize {
        stderr.trim_end().lines().count()
    }
    /// Fails unless all is as after the command.
    fn has_succeeded(&self, injected: &Injected) -> Result<(), String>;
    /// Fails unless all is as before the command, or as after it.
    fn has_failed(&self, injected: &Injected) -> Result<(), String>;
    /// Uses what a command that was killed has left for the next of its kind.
    fn resume(&self) {}
    /// Cleans with one command; what is left then.
    fn cleaned(&self) -> Vec<String>;
    /// Fails unless another container runs as it did.
    fn bystander(&self) -> Result<(), String>;
}

/// How many findings of a command stand below the table.
pub const SHOWN: usize = 8;

/// What makes a subject.
pub type Make = fn(&Arguments) -> Box<dyn Subject>;

/// Every command of the runtime.
pub fn part(arguments: &Arguments) -> Section {
    let section = Section::new("errors", "Errors at system calls of the runtime", COLUMNS);
    swept(arguments, section, &runtime::commands(), QUICK)
}

/// Every command of the engine that has to do with containers, images and volumes.
pub fn part_of_engine(arguments: &Arguments) -> Section {
    let section = Section::new("engine-errors", "Errors at system calls of the engine", COLUMNS);
    swept(arguments, section, engine::COMMANDS, QUICK_OF_ENGINE)
}

/// What is counted of each.
const COLUMNS: &[&str] = &[
    "command",
    "calls",
    "injections",
    "succeeded",
    "refused",
    "of them without the errno",
    "hung",
    "panicked",
    "left something",
    "wrong",
];

/// Of more errors than these of one command, several hosts do a share each.
const SHARED: u64 = 200;
/// So many.
const SHARES: usize = 8;

/// A part of what one command meets.
struct Job<'a> {
    command: &'static str,
    make: Make,
    /// Which of the commands it is.
    turn: u64,
    /// How many errors the command meets in all shares together.
    most: Option<u64>,
    /// Which of them: from this one on, each so many.
    first: usize,
    step: usize,
    names: &'a Names,
}

/// Sweeps over all that are asked for, on all processors.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
fn swept(
    arguments: &Arguments,
    mut section: Section,
    commands: &[(&'static str, Make)],
    quick: u64,
) -> Section {
    let names = Names::read();
    let most = arguments.errors.or(arguments.quick.then_some(quick));
    let step = if most.is_none_or(|most| most > SHARED) { SHARES } else { 1 };
    let wanted = commands.iter().zip(0..).filter(|((command, _), _)| arguments.wants(command));
    let jobs: Vec<Job<'_>> = wanted
        .flat_map(|((command, make), turn)| {
            let names = &names;
            (0..step).map(move |first| Job { command, make: *make, turn, most, first, step, names })
        })
        .collect();
    let all: Mutex<BTreeMap<u64, (&str, Swept)>> = Mutex::default();
    processors::share(&jobs, |job| {
        let mut swept = Swept::default();
        let panicked = tried(|| sweep(&mut swept, &*(job.make)(arguments), job));
        let panicked = panicked.map(|words| (What::Wrong, format!("the sweep itself: {words}")));
        swept.found.extend(panicked);
        eprintln!("{}", swept.row(job.command).join(" "));
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(job.turn).or_insert_with(|| (job.command, Swept::default())).1.add(swept);
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let kept = report::kept(arguments, section.name);
    for (command, turn) in commands.iter().map(|(command, _)| command).zip(0..) {
        let Some((_, swept)) = all.remove(&turn) else {
            section.take_over(kept.as_ref(), command);
            continue;
        };
        if swept.injections == 0 {
            section.wrong.push(format!("{command}: met no error"));
        }
        section.wrong.extend(swept.findings().take(SHOWN).map(|finding| format!("{command}, {finding}")));
        section.rows.push(swept.row(command));
    }
    let sum = |columns: std::ops::Range<usize>| -> u64 {
        section
            .rows
            .iter()
            .flat_map(|row| &row[columns.clone()])
            .filter_map(|cell| cell.parse::<u64>().ok())
            .sum()
    };
    section.figures = format!(
        "{} commands, {} errors; {} panicked, hung, left something or were wrong.",
        section.rows.len(),
        sum(2..3),
        sum(6..10)
    );
    section
}

#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
fn sweep(swept: &mut Swept, subject: &dyn Subject, job: &Job<'_>) {
    let (names, turn) = (job.names, job.turn);
    let once = |wanted: Option<(u64, Errno)>| {
        let (out, err) = subject.output();
        inject(subject.command(""), subject.program(), (&out, &err), LIMIT, wanted)
    };
    subject.prepare().unwrap_or_else(|why| panic!("before the first: {why}"));
    let whole = once(None);
    assert!(whole.code == 0 && !whole.hung, "without an error: {whole:?}");
    subject.has_succeeded(&whole).unwrap_or_else(|why| panic!("without an error: {why}"));
    let left = subject.cleaned();
    assert!(left.is_empty(), "without an error: {left:?}");
    swept.calls = whole.calls;
    let mut chosen = chosen::spread(whole.calls, job.most, turn);
    if subject.holds() {
        let named = |(number, first): &(i64, u64)| (names.of(*number), *first);
        let calls: Vec<(String, u64)> = whole.kinds.iter().map(named).collect();
        chosen.extend(chosen::holding(&calls, turn));
    }
    chosen.sort_unstable_by_key(|(call, errno)| (*call, *errno as i32));
    chosen.dedup();
    for (call, errno) in chosen.into_iter().skip(job.first).step_by(job.step) {
        let at = |met: &str| format!("{errno:?} at call {call} {met}");
        if let Err(why) = subject.prepare() {
            // The turn before this one has left it so.
            swept.find(What::Left, format!("before {}: {why}", at("")));
            subject.cleaned();
            if subject.prepare().is_err() {
                return;
            }
        }
        let injected = once(Some((call, errno)));
        let met = injected.met.as_ref().map(|met| {
            let who = if met.by_first { "" } else { " of a child" };
            format!("{}({}){who}", names.of(met.number), met.arguments)
        });
        let Some(met) = met else {
            // Fewer calls than at first, or one that does not fail in this way.
            subject.cleaned();
            continue;
        };
        swept.injections += 1;
        let before = swept.findings().count();
        let told = |why: &str| {
            format!("{}: {why}: code {}, {:?}", at(&met), injected.code, injected.stderr.trim_end())
        };
        judge(swept, subject, &injected, Some(errno), &told);
        let left = subject.cleaned();
        if !left.is_empty() {
            swept.find(What::Left, told(&left.join("; ")));
        }
        let bystander = subject.bystander();
        if let Err(why) = &bystander {
            swept.find(What::Wrong, told(why));
        }
        for finding in swept.findings().skip(before) {
            eprintln!("{finding}");
        }
        if bystander.is_err() {
            return;
        }
    }
}
