//! Resources that run out: each command with too little of one. The command either says in one line what failed, or has fully
//! done its work; what is left goes as with any other error ([`crate::errors`]).

mod engine;
mod runtime;

use crate::arguments::Arguments;
use crate::errors::verdict::{Swept, What, judge};
use crate::errors::{LIMIT, Make, SHOWN, Subject};
use crate::replay::tried;
use crate::report::Section;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use testkit::bundle::ROOT;
use testkit::deadline::poll;
use testkit::injector::Injected;

/// A resource. In each script `AMOUNT` is how much there is of it, and `PLACE` where the runtime keeps what it knows.
struct Resource {
    name: &'static str,
    /// Each amount that is tried, and with `--quick`.
    amounts: (&'static [u32], &'static [u32]),
    /// Done as root before anything is there.
    first: &'static str,
    /// As root before the command.
    before: &'static str,
    /// By who then becomes the command.
    by_itself: &'static str,
    /// As root after it.
    after: &'static str,
    /// As root when nothing is there any more.
    last: &'static str,
    /// Whether the kernel may kill for the lack of it.
    kills: bool,
}

/// What is as usual.
const NONE: Resource = Resource {
    name: "",
    amounts: (&[], &[]),
    first: "",
    before: "",
    by_itself: "",
    after: "",
    last: "",
    kills: false,
};

/// How often the kernel has killed for memory.
const KILLS: &str = "IN=memory; grep -h '^oom_kill ' $in/memory.oom_control $in/memory.events";

/// `IN=CONTROLLER`: a cgroup for the command alone; that of a container is another.
fn script(text: &str, amount: u32) -> String {
    let controller = if text.contains("IN=pids") { "pids" } else { "memory" };
    let top = "/sys/fs/cgroup";
    let place = format!("in={top}/small; [ ! -e {top}/{controller} ] || in={top}/{controller}/small");
    text.replace(&format!("IN={controller}"), &place)
        .replace("AMOUNT", &amount.to_string())
        .replace("PLACE", ROOT)
}

/// Every resource, with every command of the runtime.
pub fn part(arguments: &Arguments) -> Section {
    let section = Section::new("limits", "Resources that run out", COLUMNS);
    swept(arguments, section, &runtime::commands(), runtime::RESOURCES)
}

/// Every resource, with every command of the engine that has to do with containers, images and volumes.
pub fn part_of_engine(arguments: &Arguments) -> Section {
    let section = Section::new("engine-limits", "Resources that run out for the engine", COLUMNS);
    swept(arguments, section, engine::COMMANDS, engine::RESOURCES)
}

/// What is counted of each.
const COLUMNS: &[&str] = &[
    "too little of",
    "commands",
    "succeeded",
    "refused",
    "killed by the kernel for it",
    "hung",
    "panicked",
    "left something",
    "wrong",
];

#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
fn swept(
    arguments: &Arguments,
    mut section: Section,
    commands: &[(&str, Make)],
    resources: &[Resource],
) -> Section {
    let wanted: Vec<&Resource> = resources.iter().filter(|resource| arguments.wants(resource.name)).collect();
    let mut all: Vec<Tried> = wanted.iter().map(|_| Tried::default()).collect();
    for (command, make) in commands {
        let mut subject = None;
        for (resource, tried_so) in wanted.iter().zip(&mut all) {
            let amounts = if arguments.quick { resource.amounts.1 } else { resource.amounts.0 };
            for amount in amounts {
                let what = format!("{command} with {amount}");
                let before = tried_so.swept.findings().count();
                let panicked = tried(|| {
                    let subject = subject.get_or_insert_with(|| make(arguments));
                    once(tried_so, resource, &mut **subject, *amount, &what);
                });
                if let Some(words) = panicked {
                    tried_so.swept.find(What::Wrong, format!("{what}: {words}"));
                    subject = None;
                }
                for finding in tried_so.swept.findings().skip(before) {
                    eprintln!("{}, {finding}", resource.name);
                }
            }
        }
    }
    let (mut tries, mut found) = (0, 0);
    for (resource, Tried { swept, killed }) in wanted.iter().zip(&all) {
        let name = resource.name;
        // What there is or is not has one amount.
        if resource.amounts.1.len() > 1 && (swept.succeeded == 0 || swept.refused + killed == 0) {
            let (succeeded, refused) = (swept.succeeded, swept.refused);
            section.wrong.push(format!(
                "{name}: {succeeded} succeeded, {refused} were refused, {killed} killed: the amounts are too small, or too large"
            ));
        }
        section.wrong.extend(swept.findings().take(SHOWN).map(|finding| format!("{name}, {finding}")));
        tries += swept.succeeded + swept.refused + killed;
        found += swept.findings().count();
        let mut row = swept.row(name);
        // There are no calls that are counted, and an error has many names.
        row[5] = killed.to_string();
        row.remove(1);
        section.rows.push(row);
    }
    section.figures =
        format!("{tries} commands with too little; {found} panicked, hung, left something or were wrong.");
    section
}

/// What came of a resource.
#[derive(Default)]
struct Tried {
    swept: Swept,
    killed: u64,
}

/// One command with an amount of a resource.
fn once(tried: &mut Tried, resource: &Resource, subject: &mut dyn Subject, amount: u32, what: &str) {
    let root = |subject: &dyn Subject, text: &str| {
        if !text.is_empty() {
            subject.host().admin(&script(text, amount));
        }
    };
    root(subject, resource.first);
    subject.begin();
    // It may be too little for what has to be there before the command.
    if subject.prepare().is_ok() {
        root(subject, resource.before);
        let kills =
            || if resource.kills { subject.host().sh(&script(KILLS, amount)).stdout } else { String::new() };
        let kills_before = kills();
        let injected = ended(subject, &script(resource.by_itself, amount));
        root(subject, resource.after);
        let told =
            |why: &str| format!("{what}: {why}: code {}, {:?}", injected.code, injected.stderr.trim_end());
        tried.swept.injections += 1;
        if resource.kills && (injected.code == 128 + 9 || kills() != kills_before) {
            // It need not be the command that was typed, which then has lost its supervisor, or its init.
            tried.killed += 1;
            subject.resume();
        } else {
            judge(&mut tried.swept, subject, &injected, None, &told);
        }
        let left = subject.cleaned();
        if !left.is_empty() {
            tried.swept.find(What::Left, told(&left.join("; ")));
        }
        if let Err(why) = subject.bystander() {
            tried.swept.find(What::Wrong, told(&why));
        }
    } else {
        subject.cleaned();
    }
    root(subject, resource.last);
}

/// Runs the command. Its errors go to a socket: a file would have the limit of files, and a pipe is not waited for while a container
/// that runs on has it.
fn ended(subject: &dyn Subject, by_itself: &str) -> Injected {
    let (out, _) = subject.output();
    let (ours, theirs) = UnixStream::pair().unwrap_or_else(|error| panic!("socketpair: {error}"));
    let file = std::fs::File::create(&out).unwrap_or_else(|error| panic!("{out:?}: {error}"));
    let mut command = subject.command(by_itself);
    let child = command.stdout(file).stderr(OwnedFd::from(theirs)).spawn();
    drop(command);
    let mut child = child.unwrap_or_else(|error| panic!("{error}"));
    let status = poll(LIMIT, || child.try_wait().ok().flatten());
    if status.is_none() {
        // It may have ended since.
        child.kill().ok();
        child.wait().ok();
    }
    let mut stderr = Vec::new();
    let mut ours = ours;
    // All that it said is there: what is not is not waited for.
    ours.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
    ours.read_to_end(&mut stderr).ok();
    let code = status.and_then(|status| status.code().or(status.signal().map(|signal| 128 + signal)));
    Injected {
        calls: 0,
        kinds: Vec::new(),
        met: None,
        code: code.unwrap_or(-1),
        hung: status.is_none(),
        stdout: std::fs::read_to_string(&out).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
