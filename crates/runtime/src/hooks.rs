//! Programs that are run at points of a container's life (config.md, "POSIX-platform Hooks").
//!
//! ```text
//! create: prestart, createRuntime (here) -> createContainer (in the container's namespaces) -> pivot_root
//! start:  startContainer (inside) -> execve -> poststart (here)
//! delete: poststop (here), after everything is removed
//! ```

use crate::error::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use sys::{Context, Errno, called};

/// As much of what a hook says on standard error as goes into an error.
const HEARD: usize = 4096;

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The program, absolute.
    pub path: PathBuf,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
    /// Seconds until it is killed; none for ever.
    pub timeout: Option<u64>,
}

/// The hooks of a container, each list in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// In the runtime's namespaces, before createRuntime: deprecated, and used.
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, after the container's are made.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before its root is entered.
    pub create_container: Vec<Hook>,
    /// In the container, before its command.
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the command was started.
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container is removed.
    pub poststop: Vec<Hook>,
    /// Where the hooks' standard output goes (`run.oci.hooks.stdout`).
    pub stdout: Option<PathBuf>,
    /// Where their standard error goes (`run.oci.hooks.stderr`).
    pub stderr: Option<PathBuf>,
}

impl Hooks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let lists = [
            &self.prestart,
            &self.create_runtime,
            &self.create_container,
            &self.start_container,
            &self.poststart,
            &self.poststop,
        ];
        lists.iter().all(|list| list.is_empty())
    }

    /// Runs the hooks of one list in their order, each with `state` on its standard input; stops at the first that fails.
    pub fn run(&self, name: &str, list: &[Hook], state: &str) -> Result<()> {
        // What whoever started us left open is another program's business. Init has closed it before, but for what the container gets.
        if !list.is_empty() && !matches!(name, "createContainer" | "startContainer") {
            sys::close_range::cloexec_from(3)?;
        }
        for (index, hook) in list.iter().enumerate() {
            self.run_one(hook, state).within(|| format!("hook {name}[{index}] {}", hook.path.display()))?;
        }
        Ok(())
    }

    fn run_one(&self, hook: &Hook, state: &str) -> Result<()> {
        let mut command = Command::new(&hook.path);
        if let Some((name, rest)) = hook.args.split_first() {
            command.arg0(name).args(rest);
        }
        command.env_clear();
        for entry in &hook.env {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            command.env(key, value);
        }
        let output = memory("hook output")?;
        let said = || output.try_clone().map_err(called(|| "dup".to_owned()));
        let into = |path: &Option<PathBuf>| -> Result<Stdio> {
            let Some(path) = path else { return Ok(Stdio::from(said()?)) };
            let file = std::fs::File::options().create(true).append(true).open(path);
            Ok(Stdio::from(file.map_err(called(|| format!("open({path:?}, O_APPEND)")))?))
        };
        command.stdin(Stdio::from(input(state)?)).stdout(into(&self.stdout)?).stderr(into(&self.stderr)?);
        // A group of its own: its end takes all along that it started.
        command.process_group(0);
        let mut child = command.spawn().map_err(called(|| format!("execve({:?})", hook.path)))?;
        let limit = hook.timeout.map(Duration::from_secs);
        let ended = wait(&mut child, &output, limit);
        if ended.is_err() {
            end(&child);
        }
        let status = child.wait().map_err(called(|| "wait4".to_owned()))?;
        ended?;
        if status.success() {
            return Ok(());
        }
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, signal) => format!("killed by signal {}", signal.unwrap_or(0)),
        };
        let heard = heard(output);
        let heard = if heard.is_empty() { String::new() } else { format!(": {heard}") };
        Err(Error::new(Kind::Other, format!("{how}{heard}")))
    }
}

fn memory(name: &str) -> Result<std::fs::File> {
    let fd =
        memfd_create(name, MemfdFlags::CLOEXEC).map_err(called::<Errno>(|| "memfd_create".to_owned()))?;
    Ok(std::fs::File::from(fd))
}

/// The state as a file: a hook that does not read it stops nobody.
fn input(state: &str) -> Result<std::fs::File> {
    let mut file = memory("state")?;
    file.write_all(state.as_bytes()).map_err(called(|| "write(state)".to_owned()))?;
    file.rewind().map_err(called(|| "lseek(state)".to_owned()))?;
    Ok(file)
}

/// As much as a hook may write when nobody has asked for it.
const MOST_OUTPUT: u64 = 1 << 20;

/// Waits for the end of a hook, for its timeout, or until it has said too much.
fn wait(child: &mut Child, output: &std::fs::File, limit: Option<Duration>) -> Result<()> {
    let pid = Pid::from_child(child);
    let pidfd: OwnedFd =
        pidfd_open(pid, PidfdFlags::empty()).map_err(called::<Errno>(|| "pidfd_open(hook)".to_owned()))?;
    let end = limit.and_then(|limit| Instant::now().checked_add(limit));
    // Long enough to cost nothing, short enough to bound what is written meanwhile.
    let turn = Duration::from_millis(200);
    loop {
        let left = end.map_or(turn, |end| end.saturating_duration_since(Instant::now()).min(turn));
        let time = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(&pidfd.as_fd(), PollFlags::IN)], Some(&time)) {
            Ok(1..) => return Ok(()),
            Ok(0) | Err(Errno::INTR) => {}
            Err(errno) => return Err(called::<Errno>(|| "poll(hook)".to_owned())(errno).into()),
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            let seconds = limit.unwrap_or_default().as_secs();
            return Err(Error::new(Kind::Other, format!("did not end within its timeout of {seconds} s")));
        }
        if output.metadata().is_ok_and(|about| about.len() > MOST_OUTPUT) {
            return Err(Error::new(Kind::Other, format!("wrote more than {MOST_OUTPUT} bytes")));
        }
    }
}

/// Ends a hook with all that it started and that stayed in its group.
fn end(child: &Child) {
    // It may have ended by itself meanwhile; it is reaped by the caller.
    let _gone = kill_process_group(Pid::from_child(child), Signal::KILL);
}

fn heard(mut output: std::fs::File) -> String {
    let mut bytes = Vec::new();
    if output.rewind().is_err() || (&output).take(HEARD as u64).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).trim().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Option<u64>) -> Hook {
        Hook {
            path: PathBuf::from("/bin/sh"),
            args: vec!["hook".to_owned(), "-c".to_owned(), script.to_owned()],
            env: vec!["A=b".to_owned()],
            timeout,
        }
    }

    #[test]
    fn hooks_end_in_order_or_say_why() {
        fn check(scripts: &[(&str, Option<u64>)], expected: Option<&str>) {
            let hooks = Hooks {
                prestart: scripts.iter().map(|(script, timeout)| sh(script, *timeout)).collect(),
                ..Hooks::default()
            };
            let said = hooks.run("prestart", &hooks.prestart, "{\"id\":\"x\"}").err();
            assert_eq!(said.map(|error| error.to_string()).as_deref(), expected, "{scripts:?}");
        }
        check(&[], None);
        check(&[("read -r state; test \"$state\" = '{\"id\":\"x\"}' || test -n \"$state\"", None)], None);
        check(&[("test \"$A\" = b && test -z \"$HOME\"", None)], None);
        check(
            &[("true", None), ("echo why >&2; exit 3", None)],
            Some("hook prestart[1] /bin/sh: exit status 3: why"),
        );
        check(&[("kill -9 $$", None)], Some("hook prestart[0] /bin/sh: killed by signal 9"));
        check(
            &[("sleep 1000", Some(0))],
            Some("hook prestart[0] /bin/sh: did not end within its timeout of 0 s"),
        );
        check(
            &[(
                "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done",
                None,
            )],
            Some("hook prestart[0] /bin/sh: wrote more than 1048576 bytes"),
        );
    }
}
