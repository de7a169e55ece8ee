//! What a caller of the program sees: words, output, exit codes. What a container is stands in the library.

pub mod arguments;
mod features;
pub mod help;
mod image;
mod lifecycle;
mod limits;
mod listing;
pub mod log;
mod ordered;
mod spec;
mod verbs;

use arguments::{Invocation, Mistake, Words};
use log::Log;
use runtime::error::{Error, Kind, Result};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use sys::called;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the specification that it follows.
pub const SPEC: &str = "1.3.0";

/// The commit that it was built from, where `make` said it.
pub const COMMIT: &str = match option_env!("DEVOXX_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What every command has.
pub struct Program {
    /// Options before the command.
    pub global: Words,
    /// Where the state of containers is, absolute.
    pub root: PathBuf,
    /// Whether that was said.
    pub root_given: bool,
    /// Where errors and warnings go.
    pub log: Log,
}

/// What was written cannot be.
pub fn invalid(why: &str) -> Error {
    Error::new(Kind::Invalid, why)
}

/// A number in an option.
pub fn number(option: &str, text: &str) -> Result<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| invalid(&format!("--{option}: {text:?} is not a number")))
}

/// Writes to standard output. A reader that is gone is an error like any other.
pub fn print(text: &str) -> Result<i32> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(called(|| "write(standard output)".to_owned()))?;
    Ok(0)
}

/// As dockerd reads it.
fn version() -> String {
    format!("devoxx-runtime version {VERSION}\ncommit: {COMMIT}\nspec: {SPEC}\n")
}

/// Carries out a command line; the exit code.
pub fn main(args: &[String]) -> i32 {
    match arguments::parse(args) {
        Ok(Invocation::Help(of)) => say(&help::text(of)),
        Ok(Invocation::Version) => say(&version()),
        Ok(Invocation::Command { global, verb, words }) => command(global, verb, &words),
        Err(mistake) => wrong(&mistake),
    }
}

fn say(text: &str) -> i32 {
    print(text).unwrap_or_else(|error| {
        Log::plain().error(&error);
        1
    })
}

/// Help on standard output; the mistake in the log and as one line on standard error.
fn wrong(mistake: &Mistake) -> i32 {
    say(&help::text(mistake.verb));
    let of = mistake.verb.map(|verb| format!("{verb}: ")).unwrap_or_default();
    // What is wrong with the log comes second to what is wrong with the command.
    let mut log = Log::open(&mistake.global).unwrap_or_else(|_| Log::plain());
    log.error(&invalid(&format!("{of}{}", mistake.text)));
    1
}

/// The exit code of a failure: exec's own are those of the process, so it takes the last one.
fn failure(verb: &str) -> i32 {
    if verb == "exec" { 255 } else { 1 }
}

fn command(global: Words, verb: &'static str, words: &Words) -> i32 {
    let mut log = match Log::open(&global) {
        Ok(log) => log,
        Err(error) => {
            Log::plain().error(&error);
            return failure(verb);
        }
    };
    if global.value("criu").is_some() {
        log.warning("--criu has no effect: criu is looked for in PATH");
    }
    let (root, root_given) = match root(&global) {
        Ok(found) => found,
        Err(error) => {
            log.error(&error);
            return failure(verb);
        }
    };
    log.debug(&format!("{verb} in {}", root.display()));
    let mut program = Program { global, root, root_given, log };
    carry_out(&mut program, verb, words).unwrap_or_else(|error| {
        program.log.error(&error);
        failure(verb)
    })
}

fn carry_out(program: &mut Program, verb: &str, words: &Words) -> Result<i32> {
    match verb {
        "create" => lifecycle::create(program, words),
        "start" => lifecycle::start(program, words),
        "run" => lifecycle::run(program, words),
        "kill" => lifecycle::kill(program, words),
        "delete" => lifecycle::delete(program, words),
        "exec" => lifecycle::exec(program, words),
        "pause" => lifecycle::pause(program, words),
        "resume" => lifecycle::resume(program, words),
        "checkpoint" => image::checkpoint(program, words),
        "restore" => image::restore(program, words),
        "state" => listing::state(program, words),
        "list" => listing::list(program, words),
        "ps" => listing::ps(program, words),
        "update" => limits::update(program, words),
        "events" => limits::events(program, words),
        "mounts" => change_mounts(program, words),
        "spec" => spec::spec(program, words),
        "features" => features::features(program, words),
        "info" => features::info(program, words),
        "completion" => completion(words),
        "man" => man(words),
        _ => Err(Error::new(Kind::Unsupported, format!("{verb}: not supported by this version"))),
    }
}

fn change_mounts(program: &mut Program, words: &Words) -> Result<i32> {
    let [what, id, file] = &words.arguments[..] else { return Err(invalid("mounts: add|remove ID FILE")) };
    let file = Path::new(file);
    // It goes into the container (CVE-2019-5736).
    runtime::own_program::protect()?;
    match what.as_str() {
        "add" => {
            for warning in runtime::mounts::add(&program.root, id, file)? {
                program.log.warning(&warning);
            }
        }
        "remove" => runtime::mounts::remove(&program.root, id, file)?,
        other => return Err(invalid(&format!("mounts: {other:?} is neither add nor remove"))),
    }
    Ok(0)
}

fn completion(words: &Words) -> Result<i32> {
    let shell = &words.arguments[0];
    let script = help::completion(shell)
        .ok_or_else(|| invalid(&format!("completion: {shell:?} is not one of bash, zsh and fish")))?;
    print(&script)
}

fn man(words: &Words) -> Result<i32> {
    for (name, text) in help::man() {
        let path = PathBuf::from(&words.arguments[0]).join(name);
        std::fs::write(&path, text).map_err(called(|| format!("write({path:?})")))?;
    }
    Ok(0)
}

/// Where the state of containers is: as said, or below /run, or in the runtime directory of an ordinary user.
fn root(global: &Words) -> Result<(PathBuf, bool)> {
    let rootless = match global.value("rootless") {
        Some("true") => true,
        Some("false") => false,
        None | Some("auto" | "") => {
            let in_user_namespace =
                || std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_whole(&map));
            let root_of_it = std::env::var("USER").is_ok_and(|user| user == "root");
            !rustix::process::geteuid().is_root() || (in_user_namespace() && !root_of_it)
        }
        Some(other) => return Err(invalid(&format!("--rootless: {other:?} is not true, false or auto"))),
    };
    if let Some(given) = global.value("root").filter(|root| !root.is_empty()) {
        let root = std::path::absolute(given).map_err(called(|| format!("absolute path of {given:?}")))?;
        let root = clean(&root);
        if root.parent().is_none() {
            return Err(invalid("Option --root argument should not be set to /"));
        }
        return Ok((root, true));
    }
    Ok((runtime::state::default_root(rootless), false))
}

/// An absolute path without `.` and `..`, by its words alone, as Go's `filepath.Abs` has it.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Whether a map of ids is that of the first user namespace: all of them, each to itself.
fn is_whole(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_by_their_words() {
        fn check(path: &str, expected: &str) {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
        check("/", "/");
        check("/..", "/");
        check("/run/../..//.", "/");
        check("/run/./a/../b/", "/run/b");
    }

    #[test]
    fn maps_of_the_first_namespace() {
        fn check(map: &str, whole: bool) {
            assert_eq!(is_whole(map), whole, "{map}");
        }
        check("         0          0 4294967295\n", true);
        check("         0       1000          1\n", false);
        check("0 0 1000\n1000 1000 4294966295\n", false);
        check("", false);
    }
}
