//! The command: where it is, what it starts with, and the execve itself.

use super::diagnosis;
use super::root::{Missing, resolve, target};
use super::user::Identity;
use crate::error::{Error, Kind, Result};
use crate::plan::Process;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::process::{Rlimit, setrlimit};
use std::ffi::CString;
use sys::{Context, Errno, called};

/// A command, ready to be executed.
pub struct Command {
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// Makes the working directory where the plan says so, while the root can be written.
pub fn make_working_directory(root: &OwnedFd, process: &Process) -> Result<()> {
    let cwd = &process.cwd;
    if !process.make_cwd || resolve(root.as_fd(), cwd, OFlags::PATH | OFlags::DIRECTORY).is_ok() {
        return Ok(());
    }
    target(root.as_fd(), cwd, Missing::Directory)
        .within(|| format!("make working directory {}", cwd.display()))?;
    Ok(())
}

/// A mutant: it is made by its path, while the host's files are in reach.
pub fn make_working_directory_by_path(new_root: &OwnedFd, process: &Process) {
    if sys::mutant!("mutant_en_18") && process.make_cwd {
        let below = process.cwd.strip_prefix("/").unwrap_or(&process.cwd);
        let path = std::path::Path::new(&format!("/proc/self/fd/{}", new_root.as_raw_fd())).join(below);
        drop(std::fs::create_dir_all(path));
    }
}

/// Refuses a working directory that is a link of the kernel's to what some process has open: of ours it would be what nobody promised
/// (CVE-2024-21626). That it is not there is said when it is entered, as the user.
pub fn check_working_directory(root: &OwnedFd, process: &Process) -> Result<()> {
    match resolve(root.as_fd(), &process.cwd, OFlags::PATH | OFlags::DIRECTORY) {
        // Not there, or not for us to see: what it is then is for the user to meet.
        Ok(_) => Ok(()),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(()),
        Err(_) if sys::mutant!("mutant_rt_13") => Ok(()),
        Err(error) => {
            Err(Error::from(error).within(format!("enter working directory {}", process.cwd.display())))
        }
    }
}

/// Gives the standard descriptors to the user, while a privilege to do so may be there: what is a pipe, a socket or a
/// terminal could otherwise not be opened again through /dev/stdout. Files and devices of the host stay as they are.
pub fn own_standard_descriptors(uid: u32) -> Result<()> {
    use rustix::fs::{FileType, Uid, fchown, fstat};
    if uid == 0 {
        return Ok(());
    }
    for fd in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = fstat(fd).map_err(called::<Errno>(|| "fstat".to_owned()))?;
        let stream = matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket);
        if !stream && !rustix::termios::isatty(fd) || stat.st_uid == uid {
            continue;
        }
        match fchown(fd, Some(Uid::from_raw(uid)), None) {
            // Not ours to give away, or of a user that has no id in here: it then works as far as it is open.
            Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("fchown({uid})"))(errno).into()),
        }
    }
    Ok(())
}

/// Sets resource limits (setrlimit(2)), while a privilege to raise them may be there.
pub fn set_limits(process: &Process) -> Result<()> {
    for (resource, soft, hard) in process.rlimits.iter().filter(|_| !sys::mutant!("mutant_at_limits")) {
        let value = |limit: u64| (limit != u64::MAX).then_some(limit);
        setrlimit(*resource, Rlimit { current: value(*soft), maximum: value(*hard) })
            .map_err(called::<Errno>(|| format!("setrlimit({resource:?}, {soft}, {hard})")))
            .map_err(|failed| match failed.errno {
                Errno::PERM => Error::from(failed).with_hint(
                    "a hard limit can be raised with CAP_SYS_RESOURCE alone, and RLIMIT_NOFILE to fs.nr_open",
                ),
                _ => failed.into(),
            })
            .within(|| "set resource limit")?;
    }
    Ok(())
}

/// Enters the working directory and settles what will be executed, as the user who will.
pub fn prepare(process: &Process, identity: &Identity) -> Result<Command> {
    rustix::process::chdir(&process.cwd)
        .map_err(called::<Errno>(|| format!("chdir({:?})", process.cwd)))
        .within(|| format!("enter working directory {}", process.cwd.display()))?;
    // A directory outside of the root shows here, whatever led to it (CVE-2024-21626).
    let here = rustix::process::getcwd(Vec::new()).map_err(called::<Errno>(|| "getcwd".to_owned()))?;
    if !here.to_bytes().starts_with(b"/") && !sys::mutant!("mutant_rt_13") {
        return Err(Error::new(
            Kind::Invalid,
            format!("working directory {:?} is outside the root", process.cwd),
        ));
    }
    let mut env = process.env.clone();
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={}", identity.home.as_deref().unwrap_or("/")));
    }
    let c_strings = |strings: &[String]| {
        strings
            .iter()
            .map(|string| {
                CString::new(string.as_str())
                    .map_err(|_| Error::new(Kind::Invalid, format!("{string:?} has a NUL in it")))
            })
            .collect::<Result<Vec<_>>>()
    };
    let candidates = c_strings(&candidates(&process.args[0], &env))?;
    find(&process.args[0], &candidates)?;
    Ok(Command { candidates, args: c_strings(&process.args)?, env: c_strings(&env)? })
}

/// The paths a command may be at: itself when it has a slash, otherwise one for each entry of PATH (execvp(3)).
fn candidates(command: &str, env: &[String]) -> Vec<String> {
    if command.contains('/') {
        return vec![command.to_owned()];
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or("/bin:/usr/bin");
    path.split(':')
        .map(
            |directory| {
                if directory.is_empty() { format!("./{command}") } else { format!("{directory}/{command}") }
            },
        )
        .collect()
}

/// Executes the command, after what comes last before it; returns only what failed.
pub fn execute(process: &Process, command: &Command, last: impl FnOnce() -> Result<()>) -> Error {
    if !sys::mutant!("mutant_rt_13")
        && let Err(failed) = sys::close_range::cloexec_from(3 + process.preserved_fds)
    {
        return failed.into();
    }
    sys::signals::reset_for_exec();
    if let Err(failed) = last() {
        return failed;
    }
    let name = &process.args[0];
    let searched = !name.contains('/');
    let (mut denied, mut missing) = (None, Vec::new());
    for path in &command.candidates {
        let failed = sys::execve::execve(path, &command.args, &command.env);
        match failed.errno {
            // The file, or what it needs: which of them is asked when nothing was found, since the filter may end who asks.
            Errno::NOENT | Errno::NOTDIR => missing.push((path, failed)),
            // execvp(3) goes on to the next entry of PATH and remembers that something was there.
            Errno::ACCESS if searched => denied = Some((path, failed)),
            _ => return not_executable(name, path, failed),
        }
    }
    let broken = missing.into_iter().find(|(path, _)| exists(path));
    match denied.or(broken) {
        Some((path, failed)) => not_executable(name, path, failed),
        None => not_found(name),
    }
}

fn not_found(name: &str) -> Error {
    let why = match name.contains('/') {
        false => "executable file not found in $PATH".to_owned(),
        true => format!("stat {name}: no such file or directory"),
    };
    Error::new(Kind::CommandNotFound, format!("exec: {name:?}: {why}"))
}

/// Looks for the command, as its user: what is not there is said when a container is created, not when it is started.
fn find(name: &str, candidates: &[CString]) -> Result<()> {
    if name.is_empty() {
        // Each directory of PATH would answer to it.
        return Err(not_found(name));
    }
    let mut denied = None;
    for path in candidates {
        let executable = rustix::fs::access(path.as_c_str(), rustix::fs::Access::EXEC_OK);
        let directory = || {
            rustix::fs::stat(path.as_c_str()).is_ok_and(|stat| {
                rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
            })
        };
        match executable {
            Ok(()) if !directory() => return Ok(()),
            // What execve(2) would say of a directory, in words that callers take for 126.
            Ok(()) | Err(Errno::ACCESS) => {
                let failed = sys::CallError { call: format!("execve({path:?})"), errno: Errno::ACCESS };
                denied = Some((path, failed));
            }
            // Not there, or something that execve(2) will tell of.
            Err(_) => {}
        }
    }
    match denied {
        Some((path, denied)) => Err(not_executable(name, path, denied)),
        None if candidates.iter().any(exists) => Ok(()),
        None => Err(not_found(name)),
    }
}

fn not_executable(name: &str, path: &CString, failed: sys::CallError) -> Error {
    let hint = diagnosis::of(path, failed.errno);
    let error = Error::new(Kind::CommandNotExecutable, failed.to_string()).within(format!("exec {name:?}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// ENOENT of a file that exists speaks of its interpreter.
fn exists(path: &CString) -> bool {
    rustix::fs::access(path.as_c_str(), rustix::fs::Access::EXISTS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_command_may_be() {
        fn check(command: &str, env: &[&str], expected: &[&str]) {
            let env: Vec<String> = env.iter().map(|entry| (*entry).to_owned()).collect();
            assert_eq!(candidates(command, &env), expected, "{command}");
        }
        check("/bin/sh", &["PATH=/x"], &["/bin/sh"]);
        check("./sh", &["PATH=/x"], &["./sh"]);
        check("sh", &["PATH=/x:/y"], &["/x/sh", "/y/sh"]);
        check("sh", &["PATH=/x", "PATH=/z"], &["/z/sh"]);
        check("sh", &["PATH=:/y"], &["./sh", "/y/sh"]);
        check("sh", &[], &["/bin/sh", "/usr/bin/sh"]);
    }
}
