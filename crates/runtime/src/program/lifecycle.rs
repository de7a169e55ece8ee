//! What a container goes through: create, start, run, kill, delete, exec, pause, resume.

use super::arguments::Words;
use super::{Program, invalid, number};
use runtime::create::{self, Options};
use runtime::error::{Error, Kind, Result};
use runtime::place::Manager;
use runtime::run::Attendance;
use runtime::{delete, exec, kill, pause, start, state};
use std::path::PathBuf;

pub(super) fn path(words: &Words, name: &str) -> Option<PathBuf> {
    words.value(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn options(program: &Program, words: &Words) -> Result<Options> {
    let preserve = words.value("preserve-fds").map(|text| number("preserve-fds", text)).transpose()?;
    Ok(Options {
        bundle: path(words, "bundle").unwrap_or_else(|| PathBuf::from(".")),
        config: path(words, "config"),
        console_socket: path(words, "console-socket"),
        pidfd_socket: path(words, "pidfd-socket"),
        pid_file: path(words, "pid-file"),
        no_pivot: words.is_set("no-pivot"),
        no_new_keyring: words.is_set("no-new-keyring"),
        preserve_fds: preserve.unwrap_or(0),
        manager: manager(program)?,
        detached: true,
        started_here: false,
    })
}

pub(super) fn manager(program: &Program) -> Result<Manager> {
    let systemd = program.global.is_set("systemd-cgroup");
    match program.global.value("cgroup-manager") {
        None | Some("") if systemd => Ok(Manager::Systemd),
        None | Some("" | "cgroupfs") => Ok(Manager::Cgroupfs),
        Some("systemd") => Ok(Manager::Systemd),
        Some("disabled") => Ok(Manager::Disabled),
        Some(other) => Err(invalid(&format!("--cgroup-manager: unknown manager {other:?}"))),
    }
}

/// `create ID`.
pub fn create(program: &mut Program, words: &Words) -> Result<i32> {
    runtime::own_program::protect()?;
    let options = options(program, words)?;
    let made = create::create(&program.root, &words.arguments[0], &options)?;
    made.warnings.iter().for_each(|warning| program.log.warning(warning));
    made.created.commit()?;
    Ok(0)
}

/// `start ID`.
pub fn start(program: &mut Program, words: &Words) -> Result<i32> {
    start::start(&program.root, &words.arguments[0]).map(|()| 0)
}

/// `run ID`.
pub fn run(program: &mut Program, words: &Words) -> Result<i32> {
    runtime::own_program::protect()?;
    let options = options(program, words)?;
    let attendance = Attendance {
        detached: words.is_set("detach"),
        keep: words.is_set("keep"),
        subreaper: !words.is_set("no-subreaper"),
    };
    let log = &mut program.log;
    runtime::run::run(&program.root, &words.arguments[0], &options, attendance, &mut |warning| {
        log.warning(warning);
    })
}

/// The containers that an ID means: that one, or with `--regex` all that fit.
fn ids(program: &Program, words: &Words) -> Result<Vec<String>> {
    let id = &words.arguments[0];
    if !words.is_set("regex") {
        return Ok(vec![id.clone()]);
    }
    let pattern = regex_lite::Regex::new(id).map_err(|error| invalid(&format!("--regex {id:?}: {error}")))?;
    Ok(state::ids(&program.root)?.into_iter().filter(|id| pattern.is_match(id)).collect())
}

/// Does it for each, goes on after a failure, and tells the first.
fn each(ids: Vec<String>, mut one: impl FnMut(&str) -> Result<()>) -> Result<i32> {
    let mut failed = None;
    for id in ids {
        if let Err(error) = one(&id) {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(0), Err)
}

/// `kill ID [SIGNAL]`.
pub fn kill(program: &mut Program, words: &Words) -> Result<i32> {
    let written = words.arguments.get(1).map_or("TERM", String::as_str);
    let signal =
        sys::signals::by_name(written).ok_or_else(|| invalid(&format!("unknown signal {written:?}")))?;
    let all = words.is_set("all");
    each(ids(program, words)?, |id| match all {
        true => kill::kill_all(&program.root, id, signal),
        false => kill::kill(&program.root, id, signal),
    })
}

/// `delete ID`.
pub fn delete(program: &mut Program, words: &Words) -> Result<i32> {
    let force = words.is_set("force");
    let ids = ids(program, words)?;
    let (root, log) = (&program.root, &mut program.log);
    each(ids, |id| {
        delete::delete(root, id, force)?.iter().for_each(|warning| log.warning(warning));
        Ok(())
    })
}

/// `pause ID`.
pub fn pause(program: &mut Program, words: &Words) -> Result<i32> {
    pause::pause(&program.root, &words.arguments[0]).map(|()| 0)
}

/// `resume ID`.
pub fn resume(program: &mut Program, words: &Words) -> Result<i32> {
    pause::resume(&program.root, &words.arguments[0]).map(|()| 0)
}

/// `exec ID COMMAND`.
pub fn exec(program: &mut Program, words: &Words) -> Result<i32> {
    runtime::own_program::protect()?;
    let detached = words.is_set("detach");
    let mut options = exec_options(words)?;
    options.detached = detached;
    let terminal = options.tty || options.process.is_some();
    // Blocked before anything is executed: a signal that comes early is for the process.
    let foreground = match detached {
        true => None,
        false => Some(runtime::foreground::Foreground::inherit(terminal)?),
    };
    let executed = exec::exec(&program.root, &words.arguments[0], &options)?;
    executed.warnings.iter().for_each(|warning| program.log.warning(warning));
    match foreground {
        None => Ok(0),
        Some(foreground) => {
            let ended = foreground.attend_child(&executed.child, executed.terminal.as_ref())?;
            ended.whole(|warning| program.log.warning(warning))
        }
    }
}

fn exec_options(words: &Words) -> Result<exec::Options> {
    let mut options = exec::Options {
        process: path(words, "process"),
        args: words.arguments[1..].to_vec(),
        cwd: path(words, "cwd"),
        tty: words.is_set("tty"),
        capabilities: words.values("cap").map(str::to_owned).collect(),
        process_label: words.value("process-label").filter(|text| !text.is_empty()).map(str::to_owned),
        apparmor: words.value("apparmor").filter(|text| !text.is_empty()).map(str::to_owned),
        console_socket: path(words, "console-socket"),
        pidfd_socket: path(words, "pidfd-socket"),
        pid_file: path(words, "pid-file"),
        ignore_paused: words.is_set("ignore-paused"),
        ..exec::Options::default()
    };
    if words.value("no-new-privs").is_some() {
        options.no_new_privileges = Some(words.is_set("no-new-privs"));
    }
    if let Some(text) = words.value("preserve-fds") {
        options.preserve_fds = number("preserve-fds", text)?;
    }
    if options.cwd.as_ref().is_some_and(|cwd| !cwd.is_absolute()) {
        return Err(invalid("--cwd: Cwd must be an absolute path"));
    }
    for entry in words.values("env") {
        match entry.split_once('=') {
            Some((name, _)) if !name.is_empty() => options.env.push(entry.to_owned()),
            _ => return Err(invalid(&format!("--env: {entry:?} is not NAME=VALUE"))),
        }
    }
    options.user = words.value("user").map(user).transpose()?;
    for text in words.values("additional-gids") {
        options.additional_gids.push(id("additional-gids", text)?);
    }
    for text in words.values("cgroup") {
        options.cgroups.push(match text.split_once(':') {
            Some((controllers, path)) => {
                (controllers.split(',').map(str::to_owned).collect(), path.to_owned())
            }
            None => (Vec::new(), text.to_owned()),
        });
    }
    Ok(options)
}

/// `UID[:GID]` in digits and nothing else (CVE-2026-30892).
fn user(text: &str) -> Result<(u32, Option<u32>)> {
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id("user", uid)?, Some(id("user", gid)?))),
        None => Ok((id("user", text)?, None)),
    }
}

fn id(option: &str, text: &str) -> Result<u32> {
    if sys::mutant!("mutant_rt_20") {
        return Ok(text.trim_start_matches(':').parse().unwrap_or(0));
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|id| digits && *id != u32::MAX)
        .ok_or_else(|| Error::new(Kind::Invalid, format!("--{option}: {text:?} is not an id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_digits() {
        fn check(text: &str, expected: Option<(u32, Option<u32>)>) {
            assert_eq!(user(text).ok(), expected, "{text:?}");
        }
        check("0", Some((0, None)));
        check("1000:100", Some((1000, Some(100))));
        for wrong in
            ["", ":", "1:", ":1", "+0", "-1", " 1", "1 ", "0x1", "root", "4294967295", "4294967296", "1:2:3"]
        {
            check(wrong, None);
        }
    }
}
