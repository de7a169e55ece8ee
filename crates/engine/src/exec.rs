//! `exec`: another process in a container that runs, a child of this process.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::events;
use crate::hold;
use crate::life::Status;
use crate::paths::Paths;
use crate::record;
use crate::security;
use runtime::exec::Options;
use runtime::foreground::Streams;
use supervisor::Foreground;

/// What is to be executed, and how.
#[derive(Debug, Clone, Default)]
pub struct ExecWish {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `-i`.
    pub interactive: bool,
    /// `-t`.
    pub terminal: bool,
    /// `-d`.
    pub detached: bool,
    /// `--detach-keys`: what is typed into its terminal to leave it.
    pub detach: Vec<u8>,
    /// `-e`.
    pub env: Vec<String>,
    /// `-u`; none for the container's own user.
    pub user: Option<String>,
    /// `-w`.
    pub workdir: Option<std::path::PathBuf>,
    /// `--privileged`.
    pub privileged: bool,
}

/// Executes a process in container `wanted`; returns its exit code, or 0 at once for one that is on its own.
pub fn exec(paths: &Paths, wanted: &str, wish: &ExecWish, warn: &dyn Fn(&str)) -> Result<i32> {
    let listed = record::get(paths, wanted)?;
    match listed.status {
        Status::Running => {}
        Status::Paused => {
            return Err(Error::new(Kind::Failed, format!("container {wanted} is paused"))
                .with_hint(format!("devoxx-container unpause {wanted}")));
        }
        other => {
            return Err(Error::new(
                Kind::Failed,
                format!("container {wanted} is not running: it is {other}"),
            ));
        }
    }
    let said =
        |action: &str, more: &[(&str, &str)]| events::of_container(paths, &listed.record, action, more);
    let typed = wish.command.join(" ");
    let user = wish.user.clone().or_else(|| listed.record.user.clone());
    let mut env = wish.env.clone();
    if wish.terminal {
        env.insert(0, "TERM=xterm".to_owned());
    }
    let options = Options {
        args: wish.command.clone(),
        cwd: wish.workdir.clone(),
        env,
        tty: wish.terminal,
        user_by_name: user,
        capabilities: if wish.privileged {
            crate::capabilities::all(crate::create::own_capabilities()?)
        } else {
            Vec::new()
        },
        // It is for what the container itself may not do, and the filter is made of what that may; one that somebody has given to the
        // container stays.
        unfiltered: wish.privileged && !security::chooses_filter(&listed.record.wish.security_opt),
        detached: false,
        ..Options::default()
    };
    let execute = |stdio: &runtime::Stdio| {
        said(&format!("exec_create: {typed}"), &[]);
        let executed = runtime::exec::exec_with(&paths.states(), &listed.record.id, &options, stdio)
            .map_err(of_runtime)
            .map_err(|error| error.within(format!("exec in {}", listed.record.name)))?;
        said(&format!("exec_start: {typed}"), &[]);
        Ok(executed)
    };
    let ended = |code: i32| said("exec_die", &[("exitCode", &code.to_string())]);
    if wish.detached {
        return hold::detached(&|| execute(&nothing()?), &ended, warn);
    }
    let streams = Streams { interactive: wish.interactive, terminal: wish.terminal };
    let (foreground, stdio) = Foreground::prepare(streams).map_err(of_runtime)?;
    let executed = execute(&stdio)?;
    executed.warnings.iter().for_each(|warning| warn(warning));
    // Its own copies would keep a pipe of the process open.
    drop(stdio);
    let left = foreground
        .attend_until_left(&executed.child, executed.terminal.as_ref(), &wish.detach)
        .map_err(of_runtime)?;
    match left {
        Some(process) => {
            ended(process.code);
            process.whole(warn).map_err(of_runtime)
        }
        None => {
            said("exec_detach", &[]);
            hold::left(&executed)?;
            Ok(0)
        }
    }
}

/// Streams that lead nowhere.
fn nothing() -> Result<runtime::Stdio> {
    use rustix::fs::{Mode, OFlags};
    let null =
        || {
            rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(sys::called::<sys::Errno>(|| "open(\"/dev/null\")".to_owned()))
        };
    Ok(runtime::Stdio { input: Some(null()?), output: Some(null()?), error: Some(null()?) })
}
