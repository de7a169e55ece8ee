//! `create` and `run`: from a bundle to a container that waits, or runs (runtime.md, "Create").

use crate::bundle::{self, Beyond, Written};
use crate::console;
use crate::container::{Created, Given, Stdio, launch};
use crate::error::{Error, Kind, Result};
use crate::place::{self, Manager};
use crate::plan::Plan;
use crate::{listener, notify, state};
use oci_spec::runtime::Spec;
use rustix::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use sys::{Context, called};

/// What a caller asks for beyond the bundle.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The file to read instead of the bundle's config.json.
    pub config: Option<PathBuf>,
    /// Where the master of the terminal goes.
    pub console_socket: Option<PathBuf>,
    /// Where the pidfd of init goes.
    pub pidfd_socket: Option<PathBuf>,
    /// The file that init's id is written to.
    pub pid_file: Option<PathBuf>,
    /// Enters the new root by moving it over the old one (for a root on a ramfs, which pivot_root(2) refuses).
    pub no_pivot: bool,
    /// Leaves the session keyring as it is.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 up pass through.
    pub preserve_fds: u32,
    /// Who makes its cgroup.
    pub manager: Manager,
    /// Whether there is nobody to take the terminal but the console socket.
    pub detached: bool,
    /// Whether who makes it starts it, as `run` does, and not another command.
    pub started_here: bool,
}

/// A container that waits, with what its maker should know.
#[derive(Debug)]
pub struct Made {
    /// The container.
    pub created: Created,
    /// Not wrong, and not as it was perhaps meant.
    pub warnings: Vec<String>,
    /// Whether its terminal was handed over.
    pub handed_over: bool,
}

/// Makes container `id` in `root`, up to where it waits for its start.
///
/// # Errors
/// Nothing is left of it then.
pub fn create(root: &Path, id: &str, options: &Options) -> Result<Made> {
    state::check_id(id)?;
    let bundle = absolute(&options.bundle)?;
    let path = options.config.clone().unwrap_or_else(|| bundle.join("config.json"));
    let written = bundle::read(&path)?;
    made(root, id, options, &bundle, written)
}

/// Out of line, as [`planned`]: while a configuration is read, nothing of what follows lies on the stack.
#[inline(never)]
fn made(root: &Path, id: &str, options: &Options, bundle: &Path, mut written: Written) -> Result<Made> {
    let mut plan = planned(id, &written.spec, bundle, options)?;
    console::check(plan.process.terminal.is_some(), options.detached, options.console_socket.as_deref())?;
    let socket = options.console_socket.as_deref().map(console::connect).transpose()?;
    // crun's annotation, or runc's option.
    let annotated = plan.annotations.get("run.oci.pidfd_receiver").map(Path::new);
    let pidfd_socket = options.pidfd_socket.as_deref().or(annotated).map(console::connect).transpose()?;
    make_root(root)?;
    let mut warnings = std::mem::take(&mut written.warnings);
    warnings.extend(plan.warnings.iter().cloned());
    let cgroup = place::decide(&plan, &options.manager, &mut warnings)?;
    let notify = notify::given().map(|_| notify::plan(&mut plan, &state::directory(root, id)));
    let given =
        Given { stdio: Stdio::default(), config: Some(&written.text), gate: !options.started_here, notify };
    let launch = launch(root, &plan, cgroup, given)?;
    // While init mounts: a profile of system calls is hundreds of names to give back.
    drop(written);
    let created = launch.ready()?;
    warnings.extend(created.warnings().iter().cloned());
    let listening = plan.listener.as_ref();
    match deliver(&created, options, socket, pidfd_socket).and_then(|done| {
        if let (Some(descriptor), Some(to)) = (&created.listener, listening) {
            let (record, pid) = (created.record(), created.pid());
            listener::hand_over(descriptor.as_fd(), to, record, state::Status::Creating, pid, pid)?;
        }
        Ok(done)
    }) {
        Ok(handed_over) => Ok(Made { created, warnings, handed_over }),
        Err(error) => Err(created.discard(error)),
    }
}

/// What a configuration means with these options. Out of line and boxed: a plan and what it is made of are kilobytes each, which would lie
/// on the stack below everything that follows.
#[inline(never)]
fn planned(id: &str, spec: &Spec, bundle: &Path, options: &Options) -> Result<Box<Plan>> {
    let (fds, listen) = passed_on(options.preserve_fds)?;
    let beyond = Beyond {
        preserved_fds: fds,
        make_cwd: true,
        no_pivot: options.no_pivot,
        seccomp_receiver: listener::of_environment(),
        new_keyring: !options.no_new_keyring,
        own_ids: (!rustix::process::geteuid().is_root()).then(crate::id_map::of_this_user),
        ..Beyond::default()
    };
    let mut plan = Box::new(bundle::plan(id, spec, bundle, beyond)?);
    plan.process.env.extend(listen);
    Ok(plan)
}

/// Hands out what the caller asked for of a container that waits.
fn deliver(
    created: &Created,
    options: &Options,
    socket: Option<OwnedFd>,
    pidfd_socket: Option<OwnedFd>,
) -> Result<bool> {
    let handed_over = match (&created.terminal, socket) {
        (Some(master), Some(socket)) => {
            console::send(&socket, "/dev/ptmx", master.as_fd()).within(|| "hand over the terminal")?;
            true
        }
        _ => false,
    };
    if let Some(socket) = pidfd_socket {
        console::send(&socket, "pidfd", created.pidfd()).within(|| "hand over the pidfd")?;
    }
    if let Some(path) = &options.pid_file {
        write_pid_file(path, created.pid())?;
    }
    Ok(handed_over)
}

/// The directory of all containers, made when it is missing.
pub fn make_root(root: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(called(|| format!("mkdir({root:?})")))
        .within(|| "--root")?;
    let about =
        std::fs::symlink_metadata(root).map_err(called(|| format!("lstat({root:?})"))).within(|| "--root")?;
    let refused = |why: &str| Err(Error::new(Kind::Invalid, format!("--root {}: {why}", root.display())));
    if about.is_symlink() {
        return refused("a symbolic link, which somebody may turn elsewhere");
    }
    if !about.is_dir() {
        return refused("not a directory");
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return refused("belongs to another user");
    }
    // A sticky bit is how a runtime directory of a user is kept from being tidied away.
    if about.mode() & 0o022 != 0 {
        return refused("can be written to by others");
    }
    Ok(())
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::fs::canonicalize(path)
        .map_err(called(|| format!("realpath({path:?})")))
        .within(|| format!("bundle {}", path.display()))
}

/// Descriptors and environment of socket activation (sd_listen_fds(3)): those that were passed to this process pass on.
fn passed_on(preserve: u32) -> Result<(u32, Vec<String>)> {
    let own = std::process::id().to_string();
    let variable = |name: &str| std::env::var(name).ok();
    let ours = variable("LISTEN_PID").is_none_or(|pid| pid == own);
    let count =
        variable("LISTEN_FDS").and_then(|count| count.parse::<u32>().ok()).filter(|_| ours).unwrap_or(0);
    let total = preserve.checked_add(count).filter(|total| *total <= 1 << 20).ok_or_else(too_many)?;
    check_open(total)?;
    let mut env = Vec::new();
    if count > 0 {
        env.push(format!("LISTEN_FDS={count}"));
        env.push("LISTEN_PID=1".to_owned());
        env.extend(variable("LISTEN_FDNAMES").map(|names| format!("LISTEN_FDNAMES={names}")));
    }
    Ok((total, env))
}

/// Refuses unless so many descriptors from 3 up are open.
pub(crate) fn check_open(count: u32) -> Result<()> {
    if count > 1 << 20 {
        return Err(too_many());
    }
    for fd in 3..3 + count {
        // Looked at by name: it is the caller's, and a number is all there is of it.
        let path = format!("/proc/self/fd/{fd}");
        rustix::fs::readlink(&path, Vec::new())
            .map_err(called::<rustix::io::Errno>(|| format!("readlink({path:?})")))
            .within(|| format!("--preserve-fds: descriptor {fd} is not open"))?;
    }
    Ok(())
}

fn too_many() -> Error {
    Error::new(Kind::Invalid, "--preserve-fds: too many descriptors")
}

/// Writes an id as a file that is there whole or not at all, and never through a link that is in its place.
pub fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    use std::io::Write;
    let doing = || format!("write pid file {}", path.display());
    let name = path.file_name().ok_or_else(|| Error::new(Kind::Invalid, doing()))?;
    let beside = path.with_file_name(format!(".{}", name.to_string_lossy()));
    let made = std::fs::File::options().write(true).create_new(true).open(&beside);
    let mut file = made.map_err(called(|| format!("open({beside:?}, O_EXCL)"))).within(doing)?;
    let written =
        file.write_all(pid.to_string().as_bytes()).map_err(called(|| format!("write({beside:?})"))).and_then(
            |()| std::fs::rename(&beside, path).map_err(called(|| format!("rename({beside:?}, {path:?})"))),
        );
    if written.is_err() {
        std::fs::remove_file(&beside).map_err(called(|| format!("unlink({beside:?})"))).within(doing)?;
    }
    written.within(doing)
}

/// The plan of a container that is there, from the config.json that was kept.
pub fn kept_plan(root: &Path, id: &str) -> Result<Plan> {
    let written = bundle::read(&state::directory(root, id).join("config.json"))?;
    let record = state::read(root, id)?;
    bundle::plan(id, &written.spec, &record.bundle, Beyond::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_directory_of_all_containers_is_ours_alone() {
        fn check(root: &Path, expected: Option<&str>) {
            let said = make_root(root).err().map(|error| error.to_string());
            let expected = expected.map(|why| format!("--root {}: {why}", root.display()));
            assert_eq!(said, expected);
        }
        let scratch = tempfile::tempdir().expect("a directory");
        let at = |name: &str| scratch.path().join(name);
        check(&at("new/one"), None);
        check(&at("new/one"), None);
        symlink(at("new"), at("link")).expect("a link");
        check(&at("link"), Some("a symbolic link, which somebody may turn elsewhere"));
        std::fs::create_dir(at("open")).expect("a directory");
        std::fs::set_permissions(at("open"), std::fs::Permissions::from_mode(0o777)).expect("chmod");
        check(&at("open"), Some("can be written to by others"));
        std::fs::write(at("file"), "").expect("a file");
        assert!(make_root(&at("file")).is_err());
    }
}
