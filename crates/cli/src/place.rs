//! What every command works on: where everything is, the images, the user namespace; and the ways in which it speaks.

use crate::complain;
use engine::user_namespace::{self, Ranges};
use engine::{Error, Host, Images, Kind, Paths, Result};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use sys::called;
use sys::clone3::{Namespaces, clone3};

/// Everything that a command works on.
pub struct Place {
    pub paths: Paths,
    pub images: Images,
    pub rootless: Option<Ranges>,
    /// Set by a first SIGINT; where it is set already, that ends the program at once.
    pub interrupted: Arc<AtomicBool>,
}

impl Place {
    /// What the engine works on; `progress` hears of pulls.
    pub fn host<'a>(&'a self, progress: engine::Progress<'a>) -> Host<'a> {
        Host { paths: &self.paths, images: &self.images, rootless: self.rootless, progress, warn: &warn }
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `$DOCKER_CONFIG/config.json`, or the one in the home directory.
pub fn credentials() -> PathBuf {
    variable("DOCKER_CONFIG")
        .unwrap_or_else(|| variable("HOME").unwrap_or_else(|| "/root".into()).join(".docker"))
        .join("config.json")
}

/// Enters a user namespace where this is an ordinary user, and opens what is there.
pub fn place() -> Result<Place> {
    open(None)
}

/// Where everything that stays is, for whoever only looks.
pub fn data() -> Option<PathBuf> {
    variable("DEVOXX_ROOT").or_else(|| match user_namespace::is_needed() {
        true => {
            let home = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
            home.map(|home| home.join("devoxx-container"))
        }
        false => Some("/var/lib/devoxx-container".into()),
    })
}

/// As [`place`], in the user namespace of a container that runs.
pub fn open(container: Option<&str>) -> Result<Place> {
    enter(container, |_| false)
}

/// As [`open`], for a command that starts a container: on networks of an ordinary user it is in a namespace with others.
pub fn open_to_start(container: &str) -> Result<Place> {
    enter(Some(container), |paths| {
        engine::get(paths, container).is_ok_and(|listed| listed.record.has_neighbours())
    })
}

/// Opens it for a container that is on networks with others if `has_neighbours` says so.
pub fn enter(container: Option<&str>, has_neighbours: impl FnOnce(&Paths) -> bool) -> Result<Place> {
    let uid = rustix::process::getuid().as_raw();
    let rootless = user_namespace::is_needed();
    let (data, run) = if rootless {
        let home = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
        let data = home.ok_or_else(|| Error::new(Kind::Failed, "HOME is not set"))?;
        let run = variable("XDG_RUNTIME_DIR").map(|directory| directory.join("devoxx-container"));
        (data.join("devoxx-container"), run.unwrap_or_else(|| format!("/tmp/devoxx-container-{uid}").into()))
    } else {
        ("/var/lib/devoxx-container".into(), "/run/devoxx-container".into())
    };
    // The same user outside of the namespace and, as its root, inside: which container it is can be read before.
    let paths = Paths::make(variable("DEVOXX_ROOT").unwrap_or(data), variable("DEVOXX_RUN").unwrap_or(run))?;
    let entered = match rootless {
        true => Some(engine::enter(&paths, container, has_neighbours(&paths))?),
        false => None,
    };
    let interrupted = crate::interrupt::flag()?;
    let images = Images::open(&paths, rootless, credentials(), Arc::clone(&interrupted))?;
    Ok(Place { paths, images, rootless: entered, interrupted })
}

/// Does something with each container, also after one of them has failed; prints those with which it worked.
pub fn each(containers: &[String], act: impl Fn(&Place, &str) -> Result<()>) -> Result<i32> {
    each_by(containers, &|container| act(&open(Some(container))?, container).map(|()| 0))
}

/// As [`each`], for what opens the place by itself, and says with which code it ended.
pub fn each_by(containers: &[String], act: &dyn Fn(&str) -> Result<i32>) -> Result<i32> {
    let one = |container: &str| -> Result<i32> {
        let code = act(container)?;
        if code == 0 {
            print(container)?;
        }
        Ok(code)
    };
    let mut code = 0;
    for container in containers {
        let ended = match containers.len() {
            1 => told(one(container)),
            // Each may be in a user namespace of its own.
            _ => apart(&|| one(container))?,
        };
        code = if ended == 0 { code } else { ended };
    }
    Ok(code)
}

/// Does something, in a process of its own where this is an ordinary user: out of a user namespace there is no way back. What
/// fails is told there; returns the exit code.
pub fn apart(act: &dyn Fn() -> Result<i32>) -> Result<i32> {
    if !user_namespace::is_needed() {
        return Ok(told(act()));
    }
    let child = clone3(Namespaces::NONE, None, || told(act()))?;
    engine::wait_for(&child)
}

fn told(done: Result<i32>) -> i32 {
    done.unwrap_or_else(|error| crate::report(&error))
}

/// Prints a line; who reads no more wants no more.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.map_err(called(|| "write(stdout)".to_owned()))?),
    }
}

/// What is told to a person while something goes on.
pub fn warn(text: &str) {
    complain(&format!("devoxx-container: warning: {text}"));
}
