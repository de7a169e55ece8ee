//! Each command: where everything is, one call of the engine, what is printed.

use crate::complain;
use crate::progress::Progress;
use crate::run_arguments::RunArguments;
use engine::user_namespace::{self, Ranges};
use engine::{Error, Host, Images, Kind, Paths, Result};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use sys::called;
use sys::clone3::{Namespaces, clone3};

/// Pull an image from a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container pull debian:12\n  devoxx-container pull --platform linux/arm64 --quiet alpine"
)]
pub struct Pull {
    /// Name of the image
    image: String,
    /// Platform, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Print the image's id alone
    #[arg(short, long)]
    quiet: bool,
}

/// Remove images
#[derive(Debug, clap::Args)]
pub struct RemoveImages {
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// Remove containers
#[derive(Debug, clap::Args)]
pub struct RemoveContainers {
    /// Also one that runs
    #[arg(short, long)]
    force: bool,
    /// With its volumes that have no name
    #[arg(short, long)]
    volumes: bool,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Stop containers
#[derive(Debug, clap::Args)]
#[command(after_help = "The signal is that of --stop-signal, else the image's, else SIGTERM.")]
pub struct StopContainers {
    /// Seconds to wait before SIGKILL
    #[arg(
        short,
        long = "timeout",
        visible_alias = "time",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    time: Option<i64>,
    /// Send this signal instead
    #[arg(short, long)]
    signal: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Check credentials at a registry and keep them
#[derive(Debug, clap::Args)]
pub struct Login {
    /// Host of the registry
    #[arg(default_value = "docker.io")]
    registry: String,
    /// User name
    #[arg(short, long)]
    username: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Password; visible to others on this machine
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
}

/// Forget credentials of a registry
#[derive(Debug, clap::Args)]
pub struct Logout {
    /// Host of the registry
    #[arg(default_value = "docker.io")]
    registry: String,
}

/// Everything that a command works on.
pub struct Place {
    pub paths: Paths,
    pub images: Images,
    pub rootless: Option<Ranges>,
    /// Set by a first SIGINT; where it is set already, that ends the program at once.
    pub interrupted: Arc<AtomicBool>,
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `$DOCKER_CONFIG/config.json`, or the one in the home directory.
fn credentials() -> PathBuf {
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
    let entered = if rootless {
        let pid = container.and_then(|container| engine::running(&paths, container));
        Some(user_namespace::enter_that_of(pid)?)
    } else {
        None
    };
    let interrupted = crate::interrupt::flag()?;
    let images = Images::open(&paths, rootless, credentials(), Arc::clone(&interrupted))?;
    Ok(Place { paths, images, rootless: entered, interrupted })
}

/// Does something with each container, also after one of them has failed; prints those with which it worked.
pub fn each(containers: &[String], act: impl Fn(&Place, &str) -> Result<()>) -> Result<i32> {
    let one = |container: &str| -> Result<()> {
        act(&open(Some(container))?, container)?;
        print(container)
    };
    let told = |container: &str| one(container).map_or_else(|error| crate::report(&error), |()| 0);
    let mut code = 0;
    for container in containers {
        let ended = if containers.len() > 1 && user_namespace::is_needed() {
            // Each may be in a user namespace of its own, and out of one there is no way back.
            let child = clone3(Namespaces::NONE, None, || told(container))?;
            engine::wait_for(&child)?
        } else {
            told(container)
        };
        code = if ended == 0 { code } else { ended };
    }
    Ok(code)
}

pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Who reads no more wants no more.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.map_err(called(|| "write(stdout)".to_owned()))?),
    }
}

/// `run`.
pub fn run(arguments: &RunArguments) -> Result<i32> {
    let wish = arguments.wish()?;
    engine::protect()?;
    // Whose network it has, its user namespace it has too.
    let place = match &wish.network {
        engine::Network::Container(other) => open(Some(other))?,
        _ => place()?,
    };
    let progress = Progress::new(arguments.quiet);
    let host = Host {
        paths: &place.paths,
        images: &place.images,
        rootless: place.rootless,
        progress: &|event| progress.hear(event),
        warn: &warn,
    };
    let keys = detach_keys(arguments.detach_keys.as_deref())?;
    let file = arguments.cidfile.as_deref().map(IdFile::make).transpose()?;
    let trace = engine::explain(arguments.explain, arguments.trace.as_deref())?;
    let told = |id: &str| file.as_ref().map_or(Ok(()), |file| file.write(id));
    if arguments.detach {
        let id = engine::run_detached(&host, &wish, &told, &trace)?;
        print(&id)?;
        return Ok(0);
    }
    engine::run(&host, &wish, arguments.attach(wish.interactive, keys), &told, &trace)
}

/// The file of `--cidfile`: made before the container is, and gone again when that does not come to be.
pub struct IdFile {
    path: PathBuf,
    file: std::fs::File,
    written: std::cell::Cell<bool>,
}

impl IdFile {
    /// Makes it.
    pub fn make(path: &Path) -> Result<Self> {
        let file = std::fs::File::create_new(path)
            .map_err(|error| Error::new(Kind::Failed, format!("--cidfile {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), file, written: std::cell::Cell::new(false) })
    }

    /// Writes the id into it.
    pub fn write(&self, id: &str) -> Result<()> {
        self.written.set(true);
        (&self.file).write_all(id.as_bytes()).map_err(called(|| format!("write({:?})", self.path)))?;
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if !self.written.get() {
            // Nobody reads what names no container.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// `--detach-keys`: letters, and `ctrl-` with a letter or one of `@[\\]^_`, parted by commas.
pub fn detach_keys(text: Option<&str>) -> Result<Vec<u8>> {
    let Some(text) = text else { return Ok(vec![16, 17]) };
    let wrong = || {
        Error::new(
            Kind::Usage,
            format!("invalid value {text:?} for --detach-keys: write a key or ctrl-KEY, parted by commas"),
        )
    };
    let key = |word: &str| -> Option<u8> {
        match (word.strip_prefix("ctrl-").map(str::as_bytes), word.as_bytes()) {
            (Some([letter @ b'a'..=b'z']), _) => Some(letter - b'a' + 1),
            (Some(b"@"), _) => Some(0),
            (Some([letter @ b'['..=b'_']), _) => Some(letter - b'[' + 27),
            (None, [key @ 0..=127]) => Some(*key),
            _ => None,
        }
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|word| key(word).ok_or_else(wrong)).collect()
}

/// What is told to a person while something goes on.
pub fn warn(text: &str) {
    complain(&format!("devoxx-container: warning: {text}"));
}

/// `pull`.
pub fn pull(arguments: &Pull) -> Result<i32> {
    engine::Reference::parse(&arguments.image).map_err(|error| error.recast(|_| Kind::Usage))?;
    let place = place()?;
    let progress = Progress::new(arguments.quiet);
    let image =
        place.images.pull(&arguments.image, arguments.platform.as_deref(), &|event| progress.hear(event))?;
    print(&image.id)?;
    Ok(0)
}

/// A size as docker shows it: powers of a thousand.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.1}{}", UNITS[unit]) }
}

/// `rmi`.
pub fn rmi(arguments: &RemoveImages) -> Result<i32> {
    let place = place()?;
    for name in &arguments.images {
        let removed = place.images.remove(&place.paths, name)?;
        for untagged in removed.untagged {
            print(&format!("Untagged: {untagged}"))?;
        }
        for deleted in removed.deleted {
            print(&format!("Deleted: {deleted}"))?;
        }
    }
    Ok(0)
}

/// `rm`.
pub fn rm(arguments: &RemoveContainers) -> Result<i32> {
    each(&arguments.containers, |place, name| {
        engine::remove(&place.paths, name, arguments.force, arguments.volumes).map(drop)
    })
}

/// `stop`.
pub fn stop(arguments: &StopContainers) -> Result<i32> {
    let patience = patience(arguments.time);
    each(&arguments.containers, |place, name| {
        engine::stop(&place.paths, name, arguments.signal.as_deref(), patience)
    })
}

/// Seconds to wait; below zero for as long as it takes.
pub fn patience(seconds: Option<i64>) -> Option<Duration> {
    seconds.map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
}

/// `login`.
pub fn login(arguments: &Login) -> Result<i32> {
    let password = match &arguments.password {
        Some(password) => password.clone(),
        None => {
            if std::io::stdin().is_terminal() {
                return Err(Error::new(Kind::Usage, "the password is read from standard input")
                    .with_hint("pipe it in, with --password-stdin"));
            }
            let mut text = String::new();
            std::io::stdin()
                .take(64 * 1024)
                .read_to_string(&mut text)
                .map_err(called(|| "read(stdin)".to_owned()))?;
            text.trim_end_matches(['\n', '\r']).to_owned()
        }
    };
    engine::login(&credentials(), &arguments.registry, &arguments.username, &password)?;
    print("Login Succeeded")?;
    Ok(0)
}

/// `logout`.
pub fn logout(arguments: &Logout) -> Result<i32> {
    let known = engine::logout(&credentials(), &arguments.registry)?;
    let text = if known { "Removed login credentials for" } else { "Not logged in to" };
    print(&format!("{text} {}", arguments.registry))?;
    Ok(0)
}
