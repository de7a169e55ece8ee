//! The commands for containers that there are already: their words, and one call of the engine for each.

use crate::moment;
use crate::place::{Place, apart, each, each_by, open, open_to_start, place, print, warn};
use crate::run::detach_keys;
use engine::{Attach, ExecWish, LogWish, Result};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Start containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  devoxx-container start web db\n  devoxx-container start -ai shell")]
pub struct Start {
    /// Share its output, and pass signals on
    #[arg(short, long)]
    attach: bool,
    /// Share its standard input
    #[arg(short, long)]
    interactive: bool,
    /// Keys that end the visit
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// How containers are ended.
#[derive(Debug, clap::Args)]
struct End {
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
}

/// Stop containers and start them again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container restart web\n  devoxx-container restart --time 2 web db"
)]
pub struct Restart {
    #[command(flatten)]
    end: End,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Stop containers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container stop web\n  devoxx-container stop --time 30 web db\n\nThe signal is that of --stop-signal, else the image's, else SIGTERM."
)]
pub struct StopContainers {
    #[command(flatten)]
    end: End,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Remove containers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container rm web\n  devoxx-container rm --force --volumes web db"
)]
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

/// Send a signal to containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  devoxx-container kill web\n  devoxx-container kill --signal HUP web")]
pub struct Kill {
    /// The signal
    #[arg(short, long, default_value = "SIGKILL")]
    signal: String,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Wait for containers to end, and print their exit codes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container wait job\n  devoxx-container wait one other\n  test $(devoxx-container wait job) = 0"
)]
pub struct Wait {
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Share the streams of a container that runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container attach shell\n  devoxx-container attach --no-stdin --sig-proxy=false web"
)]
pub struct AttachTo {
    /// Keys that end the visit
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Leave its standard input alone
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    /// Name or id
    container: String,
}

/// Run another command in a container
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container exec -it web sh\n  devoxx-container exec -u 0 -w /etc web cat hosts"
)]
pub struct Exec {
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Do not wait for it
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave its terminal, and not end it
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set an environment variable, or pass on ours
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// User, by name or id
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Give it every capability, and no filter of system calls
    #[arg(long)]
    privileged: bool,
    /// Name or id
    container: String,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Show what a container wrote
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container logs -f web\n  devoxx-container logs --since 10m --tail 20 -t web"
)]
pub struct Logs {
    /// Go on as long as it runs
    #[arg(short, long)]
    follow: bool,
    /// The last so many lines, or all
    #[arg(short = 'n', long, default_value = "all", allow_hyphen_values = true)]
    tail: String,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// What was written since then: 10m, a date, RFC 3339 or seconds since 1970
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// What was written until then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Show with each line what --log-opt tag, labels and env chose
    #[arg(long)]
    details: bool,
    /// Name or id
    container: String,
}

/// Freeze all processes of containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  devoxx-container pause web\n  devoxx-container pause web db")]
pub struct Pause {
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Let the processes of containers go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  devoxx-container unpause web\n  devoxx-container unpause web db")]
pub struct Unpause {
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Give a container another name
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container rename web www\n  devoxx-container rename 4c01db0b339c web"
)]
pub struct Rename {
    /// Name or id
    container: String,
    /// The new name
    name: String,
}

/// `start`.
pub fn start(arguments: &Start) -> Result<i32> {
    let keys = detach_keys(arguments.detach_keys.as_deref())?;
    let attached = arguments.attach || arguments.interactive;
    if attached && arguments.containers.len() > 1 {
        return Err(engine::Error::new(engine::Kind::Usage, "only one container can be attached to"));
    }
    engine::protect()?;
    if attached {
        let name = &arguments.containers[0];
        let attach =
            Attach { input: arguments.interactive, outputs: [true, true], signals: true, detach: keys };
        return start_one(&open_to_start(name)?, name, Some(attach));
    }
    each_by(&arguments.containers, &|name| start_one(&open_to_start(name)?, name, None))
}

fn start_one(place: &Place, name: &str, attach: Option<Attach>) -> Result<i32> {
    let host = place.host(&|_| ());
    engine::start_again(&host, name, attach)
}

/// `restart`.
pub fn restart(arguments: &Restart) -> Result<i32> {
    engine::protect()?;
    each_by(&arguments.containers, &|name| {
        // In its user namespace, which need not be that of its networks by now.
        let code = apart(&|| {
            let place = open(Some(name))?;
            engine::stop(&place.paths, name, arguments.end.signal.as_deref(), patience(arguments.end.time))
                .map(|()| 0)
        })?;
        if code != 0 {
            return Ok(code);
        }
        let place = &open_to_start(name)?;
        start_one(place, name, None)?;
        let restarted = engine::get(&place.paths, name)?.record;
        engine::events::of_container(&place.paths, &restarted, "restart", &[]);
        Ok(0)
    })
}

/// `kill`.
pub fn kill(arguments: &Kill) -> Result<i32> {
    each(&arguments.containers, |place, name| engine::kill(&place.paths, name, &arguments.signal))
}

/// `wait`.
pub fn wait(arguments: &Wait) -> Result<i32> {
    let place = place()?;
    let mut code = 0;
    for container in &arguments.containers {
        match engine::wait(&place.paths, container) {
            Ok(ended) => print(&ended.to_string())?,
            Err(error) => code = crate::report(&error),
        }
    }
    Ok(code)
}

/// `attach`.
pub fn attach(arguments: &AttachTo) -> Result<i32> {
    let keys = detach_keys(arguments.detach_keys.as_deref())?;
    let place = place()?;
    engine::attach(&place.paths, &arguments.container, !arguments.no_stdin, arguments.sig_proxy, keys, &warn)
}

/// `exec`.
pub fn exec(arguments: &Exec) -> Result<i32> {
    let wish = ExecWish {
        command: arguments.command.clone(),
        interactive: arguments.interactive,
        terminal: arguments.tty,
        detached: arguments.detach,
        detach: detach_keys(arguments.detach_keys.as_deref())?,
        env: crate::run_arguments::environment(&arguments.env_file, &arguments.env)?,
        user: arguments.user.clone(),
        workdir: arguments.workdir.clone(),
        privileged: arguments.privileged,
    };
    engine::protect()?;
    let place = open(Some(&arguments.container))?;
    engine::exec(&place.paths, &arguments.container, &wish, &warn)
}

/// `logs`.
pub fn logs(arguments: &Logs) -> Result<i32> {
    let tail = match arguments.tail.as_str() {
        "all" => None,
        text => match text.parse::<i64>() {
            Ok(count) => usize::try_from(count).ok(),
            Err(_) => {
                let message = format!("invalid value {text:?} for --tail: write a number, or all");
                return Err(engine::Error::new(engine::Kind::Usage, message));
            }
        },
    };
    let time = |option: &str, typed: &Option<String>| {
        typed.as_ref().map(|text| moment::parse(option, text)).transpose()
    };
    let (since, until) = (time("--since", &arguments.since)?, time("--until", &arguments.until)?);
    let clock = |time: Option<jiff::Timestamp>| time.and_then(|time| SystemTime::try_from(time).ok());
    let wish = LogWish {
        follow: arguments.follow,
        tail,
        since: since.map(moment::text),
        since_time: clock(since),
        until: until.map(moment::text),
        until_time: clock(until),
    };
    let place = place()?;
    // There is nothing to be tidied up.
    place.interrupted.store(true, Ordering::Relaxed);
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    engine::logs(&place.paths, &arguments.container, &wish, &mut |entry| {
        let time = if arguments.timestamps { format!("{} ", entry.time) } else { String::new() };
        let details = if arguments.details { details(&entry.attrs) } else { String::new() };
        let text = format!("{time}{details}{}", entry.log);
        let written = match entry.stream.as_str() {
            "stderr" => err.write_all(text.as_bytes()).and_then(|()| err.flush()),
            _ => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
        };
        // Who reads no more wants no more.
        written.is_ok()
    })?;
    Ok(0)
}

/// As docker: `key=value,key=value` and a space, in an order; what has a meaning there is escaped.
fn details(attributes: &BTreeMap<String, String>) -> String {
    let escaped = |text: &str| -> String {
        let one = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(one).collect()
    };
    let all: Vec<String> =
        attributes.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value))).collect();
    format!("{} ", all.join(","))
}

/// `pause`.
pub fn pause(arguments: &Pause) -> Result<i32> {
    each(&arguments.containers, |place, name| engine::pause(&place.paths, name))
}

/// `unpause`.
pub fn unpause(arguments: &Unpause) -> Result<i32> {
    each(&arguments.containers, |place, name| engine::unpause(&place.paths, name))
}

/// `rename`.
pub fn rename(arguments: &Rename) -> Result<i32> {
    let place = place()?;
    engine::rename(&place.paths, &arguments.container, &arguments.name)?;
    Ok(0)
}

/// `stop`.
pub fn stop(arguments: &StopContainers) -> Result<i32> {
    let patience = patience(arguments.end.time);
    each(&arguments.containers, |place, name| {
        engine::stop(&place.paths, name, arguments.end.signal.as_deref(), patience)
    })
}

/// Seconds to wait; below zero for as long as it takes.
pub fn patience(seconds: Option<i64>) -> Option<Duration> {
    seconds.map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
}

/// `rm`.
pub fn rm(arguments: &RemoveContainers) -> Result<i32> {
    each(&arguments.containers, |place, name| {
        engine::remove(&place.paths, name, arguments.force, arguments.volumes).map(drop)
    })
}
