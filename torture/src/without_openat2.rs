//! All of it where openat2(2) fails: as on a kernel that is older than it, or under the filter of an outer container that is. What it
//! does cannot be done as well otherwise, so nothing may run then; and who runs already is not entered.

use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::replay::{Replay, tried};
use crate::replays;
use crate::report::Section;
use std::os::unix::process::CommandExt;
use std::process::Command;
use testkit::{Host, Outcome, Snapshot};

/// How it fails: as a call that is unknown, and as one that an old profile of docker refuses.
const ERRNOS: [(&str, u32); 2] = [("ENOSYS", 38), ("EPERM", 1)];

const OPTION: &str = "--without-openat2";

/// What stands before a command that is to have it fail in this way.
pub fn words(errno: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap_or_else(|error| panic!("the path of this program: {error}"));
    vec![own.to_string_lossy().into_owned(), OPTION.to_owned(), errno.to_owned()]
}

/// The errno and the command, if these words are such.
pub fn asked(words: &[String]) -> Option<(u32, &[String])> {
    let [option, errno, command @ ..] = words else { return None };
    let (_, number) = ERRNOS.iter().find(|(name, _)| *name == errno.as_str()).filter(|_| option == OPTION)?;
    Some((*number, command))
}

/// Executes a command that has it fail; returns what went wrong.
pub fn execute(errno: u32, command: &[String]) -> String {
    // Linux, include/uapi/linux/bpf_common.h and seccomp.h. openat2(2) has one number on every architecture.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    const OPENAT2: u32 = 437;
    let program = [
        (LOAD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, OPENAT2),
        (RETURN, 0, 0, ERRNO | errno),
        (RETURN, 0, 0, ALLOW),
    ];
    let [name, words @ ..] = command else { return "no command".to_owned() };
    match sys::seccomp::set_filter(&program, 0) {
        Ok(()) => format!("{name}: {}", Command::new(name).args(words).exec()),
        Err(error) => error.to_string(),
    }
}

/// What a benign container comes to, and one that runs.
fn benign(ground: &Ground) {
    let run = ground.runs("", |_| (), "echo it runs");
    is_refused(&run);
    let created = ground.oci.bundle(|_| ()).try_create(&[]);
    is_refused(&created);
    ground.is_intact();
}

/// The same of the engine.
fn engine(arguments: &Arguments, errno: &str) {
    let mut host = Host::root(&arguments.programs.join("devoxx-container"));
    host.admin("cp -a /tmp/fixtures/rootfs/busybox /tmp/tree");
    host.sh("$C run --rm --net none --rootfs /tmp/tree true").ok();
    let before = Snapshot::take(&host);
    host.start_by(words(errno));
    let run = host.sh("$C run --rm --net none --rootfs /tmp/tree echo it runs");
    run.refuses(125, &["openat2", "is needed"]);
    before.assert_same(&host, "a container that was refused");
}

/// A container that was started without the filter is not entered with it, and goes on.
fn entered(arguments: &Arguments, errno: &str) {
    let ground = Ground::new(&arguments.programs, None);
    let container = ground.sleeper();
    let exec = ground.oci.command(["exec", container.id(), "echo", "it runs"]);
    let words = words(errno);
    let mut filtered = Command::new(&words[0]);
    filtered.args(&words[1..]).arg(exec.get_program()).args(exec.get_args()).env_clear();
    filtered.envs(exec.get_envs().filter_map(|(key, value)| Some((key, value?))));
    is_refused(&ground.oci.to_its_end(&mut filtered));
    assert_eq!(container.status(), "running");
    container.exec(&[], "echo still").ok().prints("still");
    drop(container);
    ground.is_intact();
}

#[track_caller]
fn is_refused(outcome: &Outcome) {
    outcome.clone().refused(&["openat2"]);
    assert!(outcome.stderr.contains("is needed"), "no hint: {outcome}");
}

/// What an attack comes to: whether it ran or not, nothing is changed and nothing left.
fn attack(arguments: &Arguments, replay: &Replay, errno: &str) -> Result<&'static str, String> {
    let mut refusals = String::new();
    let changed = tried(|| {
        let ground = Ground::without_openat2(&arguments.programs, errno);
        refusals = tried(|| (replay.attack)(&ground)).unwrap_or_default();
        assert!(!refusals.contains("the secret is in"), "{refusals}");
        refusals += &ground.refusals();
        ground.is_intact();
    });
    match changed {
        Some(words) => Err(words),
        None if refusals.contains("openat2") => Ok("refused: openat2"),
        None => Ok("refused before"),
    }
}

/// What stands in a cell that was not tried.
const LEFT_OUT: &str = "not by --quick";

/// Benign containers and every replay of the runtime, for each errno.
pub fn part(arguments: &Arguments) -> Section {
    let mut rows = Vec::new();
    let (mut tried_so, mut wrong) = (0, Vec::new());
    let mut row = |name: &str, what: &str, cells: Vec<Result<&str, String>>| {
        tried_so += cells.iter().filter(|cell| **cell != Ok(LEFT_OUT)).count();
        let words = cells.iter().filter_map(|cell| cell.as_ref().err());
        wrong.extend(words.map(|words| format!("{name} {what}: {words}")));
        let shown =
            |cell: Result<&str, String>| cell.map_or_else(|words| format!("**{words}**"), str::to_owned);
        let cells = cells.into_iter().map(shown);
        rows.push([name, what].map(str::to_owned).into_iter().chain(cells).collect());
    };
    let or = |panic: Option<String>| panic.map_or(Ok("refused: openat2, with a hint"), Err);
    let cells =
        ERRNOS.map(|(errno, _)| or(tried(|| benign(&Ground::without_openat2(&arguments.programs, errno)))));
    row("", "a container that is nothing but itself", Vec::from(cells));
    let cells = ERRNOS.map(|(errno, _)| or(tried(|| entered(arguments, errno))));
    row("", "a command in one that runs", Vec::from(cells));
    let cells = ERRNOS.map(|(errno, _)| or(tried(|| engine(arguments, errno))));
    row("", "a container of the engine", Vec::from(cells));
    let wanted = |replay: &&Replay| replay.row.starts_with("rt_") && arguments.wants(replay.row);
    for replay in replays::ALL.iter().copied().flatten().filter(wanted) {
        let cells = ERRNOS.map(|(errno, _)| match arguments.quick && errno != "ENOSYS" {
            true => Ok(LEFT_OUT),
            false => attack(arguments, replay, errno),
        });
        row(replay.row, replay.what, Vec::from(cells));
    }
    Section {
        name: "openat2",
        title: "Where openat2(2) fails: nothing runs, nothing is changed and nothing left",
        columns: &["row", "what is tried", "ENOSYS", "EPERM"],
        rows,
        figures: format!(
            "{tried_so} attacks and starts without the call: {} of them did not fail as they have to.",
            wrong.len()
        ),
        notes: Vec::new(),
        wrong,
    }
}
