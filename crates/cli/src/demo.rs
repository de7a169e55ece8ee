//! The demonstration that this project comes from: a parent starts itself again as a child in new namespaces.
//!
//! ```text
//! parent: PID, hostname -> clone3(new PID, UTS, mount) -> execve /proc/self/exe child ...
//! child:  PID 1, hostname of its own, /proc of its own -> prints both, or runs a command
//! parent: waits, prints the exit code as its last line, exits with it
//! ```

use engine::{Error, Kind, Result};
use std::ffi::CString;
use std::io::Write;
use sys::clone3::{Namespaces, clone3};
use sys::{CallError, Errno, called};

/// What the demonstration can be told.
#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Host name of the demonstration's container
    #[arg(long, value_name = "NAME", default_value = "devoxx-container")]
    hostname: String,
    /// Command to run in the demonstration's container
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What the parent passes to the child.
#[derive(Debug, clap::Args)]
pub struct ChildArguments {
    #[arg(long)]
    hostname: String,
    #[arg(last = true)]
    command: Vec<String>,
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(called(|| "write(stdout)".to_owned()))?;
    Ok(())
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A host name that the kernel takes: 1 to 64 bytes (sethostname(2)).
fn check_hostname(name: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::new(Kind::Usage, format!("invalid hostname {name:?}: {why}")));
    match name.len() {
        0 => wrong("it is empty"),
        1..=64 => Ok(()),
        length => wrong(&format!("{length} bytes, and the kernel takes 64")),
    }
}

/// Starts the child and waits for it.
pub fn parent(arguments: &DemoArguments) -> Result<i32> {
    check_hostname(&arguments.hostname)?;
    say(&format!("Parent: PID {}, hostname {}", std::process::id(), hostname()))?;
    let mut args = vec!["devoxx-container", "child", "--hostname", &arguments.hostname, "--"];
    args.extend(arguments.command.iter().map(String::as_str));
    let args = c_strings(&args)?;
    let env: Vec<String> = std::env::vars_os()
        .filter_map(|(key, value)| Some(format!("{}={}", key.to_str()?, value.to_str()?)))
        .collect();
    let env = c_strings(&env.iter().map(String::as_str).collect::<Vec<_>>())?;
    let rootless = engine::user_namespace::is_needed();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut namespaces = Namespaces::PID.and(Namespaces::UTS).and(Namespaces::MOUNT);
    if rootless {
        namespaces = namespaces.and(Namespaces::USER);
    }
    let child = clone3(namespaces, None, move || {
        // An ordinary user is root in a user namespace, which the child itself may map.
        if rootless && let Err(error) = engine::user_namespace::map_self(uid, gid) {
            return crate::report(&error);
        }
        let failed = sys::execve::execve(c"/proc/self/exe", &args, &env);
        crate::report(&Error::from(failed))
    })
    .map_err(|error| match error.errno {
        // More namespaces than this user may have (user_namespaces(7)).
        Errno::NOSPC | Errno::USERS => {
            Error::new(Kind::Failed, format!("permission denied: run with sudo: {error}"))
        }
        _ => denied(error),
    })?;
    let code = engine::wait_for(&child)?;
    say(&format!("Container exited with exit code {code}"))?;
    Ok(code)
}

fn c_strings(strings: &[&str]) -> Result<Vec<CString>> {
    let convert = |string: &&str| {
        CString::new(*string).map_err(|_| Error::new(Kind::Usage, "an argument has a NUL in it"))
    };
    strings.iter().map(convert).collect()
}

/// Some hosts grant the user namespace and then nothing in it (AppArmor's restriction on Ubuntu).
fn denied(error: CallError) -> Error {
    match error.errno {
        Errno::PERM | Errno::ACCESS => {
            Error::new(Kind::Failed, format!("permission denied: run with sudo: {error}"))
        }
        _ => error.into(),
    }
}

/// Runs in the new namespaces, as PID 1.
pub fn child(arguments: &ChildArguments) -> Result<i32> {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    // Private first: the mount of /proc must not reach the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(called::<Errno>(|| "mount(\"/\", MS_REC|MS_PRIVATE)".to_owned()))
        .map_err(denied)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    // Of the new PID namespace, so that ps sees this world only.
    mount("proc", "/proc", "proc", flags, None::<&std::ffi::CStr>)
        .map_err(called::<Errno>(|| "mount(proc, \"/proc\")".to_owned()))
        .map_err(denied)?;
    rustix::system::sethostname(arguments.hostname.as_bytes())
        .map_err(called::<Errno>(|| format!("sethostname({:?})", arguments.hostname)))
        .map_err(denied)?;
    let Some(command) = arguments.command.first() else {
        say(&format!("Child: PID {}, hostname {}", std::process::id(), hostname()))?;
        return Ok(0);
    };
    use std::os::unix::process::CommandExt;
    let error = std::process::Command::new(command).args(&arguments.command[1..]).exec();
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => Kind::CommandNotFound,
        _ => Kind::CommandNotExecutable,
    };
    Err(Error::new(kind, called(|| format!("execvp({command:?})"))(error).to_string()))
}
