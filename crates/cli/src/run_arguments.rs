//! The options of `run`, with docker's names, as a wish.

use crate::run_health::RunHealth;
use crate::run_limits::RunLimits;
use crate::run_network::NetworkArguments;
use crate::run_sharing::RunSharing;
use engine::{
    CdiName, Device, Error, Kind, PullPolicy, Restart, Result, RootfsWish, Source, Ulimit, Wish,
    cdi_directories, parse_gpus, parse_mount, parse_publish, parse_tmpfs, parse_volume, size,
};
use std::net::IpAddr;
use std::path::PathBuf;

/// Run a command in a new container
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  devoxx-container run --rm -it debian:12 bash\n  devoxx-container run --rm --rootfs /:O sh -c 'echo scratch > /etc/motd'"
)]
pub struct RunArguments {
    /// Image and command; with --rootfs the command alone
    #[arg(value_name = "IMAGE [COMMAND [ARG...]]", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
    /// Use a directory as the root; with :O changes are thrown away
    #[arg(long, value_name = "DIR[:O]")]
    rootfs: Option<String>,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Leave it alone when it has started, and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// Keys that end the visit and not the container
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Start it again when it ends: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: String,
    /// Where its log goes: json-file, local, journald, syslog, none, or passthrough for our own descriptors
    #[arg(long, value_name = "DRIVER", default_value = "json-file")]
    log_driver: String,
    /// Option of the log: max-size, max-file, tag, labels, env, mode, syslog-address and others
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
    /// Seconds that stop waits before SIGKILL
    #[arg(long, value_name = "SECONDS")]
    stop_timeout: Option<u64>,
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// Host name of the container
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Streams to share: stdin, stdout, stderr; all that there are if none is given
    #[arg(short, long, value_name = "STREAM", value_parser = ["stdin", "stdout", "stderr"])]
    attach: Vec<String>,
    /// A port that the container listens at, for --publish-all
    #[arg(long, value_name = "PORT[/udp]")]
    expose: Vec<String>,
    /// Publish every port that the image or --expose names, each to a free one
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Set an environment variable, or pass on ours
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// User, by name or id
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Replace the image's entrypoint
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Mount a directory of the host, or a volume
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:ro]")]
    volume: Vec<String>,
    /// Mount, with all there is to say
    #[arg(long, value_name = "type=...,source=...,target=...")]
    mount: Vec<String>,
    /// Mount a file system in memory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    tmpfs: Vec<String>,
    /// Make the root read-only
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    read_only: Option<bool>,
    /// Memory limit
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Number of CPUs, such as 1.5
    #[arg(long)]
    cpus: Option<String>,
    /// Relative weight of the CPU time
    #[arg(short, long)]
    cpu_shares: Option<u64>,
    /// CPUs to run on, such as 0-2,4
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Number of processes; -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Resource limit of processes
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// Kernel parameter of the container's namespaces
    #[arg(long, value_name = "KEY=VALUE")]
    sysctl: Vec<String>,
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAP")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAP")]
    cap_drop: Vec<String>,
    /// Give up the boundary: every capability and device
    #[arg(long)]
    privileged: bool,
    /// Give a device of the host, by its path or by the name of a CDI device
    #[arg(long, value_name = "HOST[:CONTAINER[:rwm]]|VENDOR/CLASS=NAME")]
    device: Vec<String>,
    /// Give GPUs by their CDI devices: all, a number, device=ID[,ID...]
    #[arg(long, value_name = "GPUS")]
    gpus: Vec<String>,
    /// no-new-privileges, seccomp=FILE, seccomp=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Run a small init that passes signals on and reaps
    #[arg(long)]
    init: bool,
    /// Signal that asks the container to end
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Label of the container
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    #[command(flatten)]
    network: NetworkArguments,
    /// Name server
    #[arg(long)]
    dns: Vec<IpAddr>,
    /// Further line of /etc/hosts
    #[arg(long, value_name = "NAME:IP")]
    add_host: Vec<String>,
    /// Publish a port
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER[/udp]")]
    publish: Vec<String>,
    /// When to pull the image
    #[arg(long, default_value = "missing", value_parser = ["missing", "always", "never"])]
    pull: String,
    /// Platform of the image, such as linux/arm64
    #[arg(long)]
    platform: Option<String>,
    /// Say nothing of a pull
    #[arg(short, long)]
    pub quiet: bool,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Write the container's id into a file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Pass signals on
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sig_proxy: bool,
    /// Show each step of the start: what is isolated, by which call, in what time
    #[arg(long)]
    pub explain: bool,
    /// Write the steps of the start for a viewer of traces, and a picture of them to FILE.svg
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Shut as far as it goes: ids of its own, no capabilities, no new privileges, a read-only root; what else is given holds
    #[arg(long)]
    hardened: bool,
    #[command(flatten)]
    limits: RunLimits,
    #[command(flatten)]
    sharing: RunSharing,
    #[command(flatten)]
    health: RunHealth,
}

/// Directories of CDI specs, parted by colons, instead of /etc/cdi and /var/run/cdi.
const CDI_DIRECTORIES: &str = "DEVOXX_CDI_DIRS";

pub fn usage(option: &str, text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid value {text:?} for {option}: {why}"))
}

impl RunArguments {
    /// The wish that these words mean.
    pub fn wish(&self) -> Result<Wish> {
        if self.hardened && self.privileged {
            return Err(Error::new(Kind::Usage, "--hardened contradicts --privileged")
                .with_hint("give single capabilities with --cap-add"));
        }
        let (source, command) = self.source()?;
        let (network, attachments) = self.network.wish()?;
        let (log, log_options) = engine::log_driver::parse(&self.log_driver, &self.log_opt)?;
        let mounts = [
            (&self.volume, parse_volume as fn(&str) -> Result<engine::VolumeMount>),
            (&self.mount, parse_mount),
            (&self.tmpfs, parse_tmpfs),
        ];
        let mounts = mounts
            .iter()
            .flat_map(|(texts, parse)| texts.iter().map(move |text| parse(text)))
            .collect::<Result<Vec<_>>>()?;
        let size_of = |option: &str, text: &Option<String>| {
            text.as_deref().map(|text| size::parse(option, text)).transpose()
        };
        let mut ports = Vec::new();
        for text in &self.publish {
            ports.extend(parse_publish(text).map_err(|error| error.recast(|_| Kind::Usage))?);
        }
        Ok(Wish {
            source,
            command,
            entrypoint: self.entrypoint.clone(),
            name: self.name.clone(),
            hostname: self.hostname()?,
            interactive: self.interactive || self.attaches("stdin").unwrap_or(false),
            terminal: self.tty,
            remove: self.rm,
            restart: restart(&self.restart)?,
            log,
            log_options,
            stop_timeout: self.stop_timeout,
            env: environment(&self.env_file, &self.env)?,
            workdir: self.workdir.clone(),
            user: self.user.clone(),
            mounts,
            read_only: self.read_only.unwrap_or(self.hardened),
            memory: size_of("--memory", &self.memory)?,
            memory_swap: match self.memory_swap.as_deref() {
                Some("-1") => Some(-1),
                Some(text) => Some(size::parse("--memory-swap", text)? as i64),
                None => None,
            },
            milli_cpus: self.cpus.as_deref().map(milli_cpus).transpose()?,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            pids_limit: self.pids_limit,
            ulimits: self.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_>>()?,
            sysctls: pairs("--sysctl", &self.sysctl)?,
            cap_add: self.cap_add.clone(),
            cap_drop: match self.hardened {
                true => [vec!["ALL".to_owned()], self.cap_drop.clone()].concat(),
                false => self.cap_drop.clone(),
            },
            privileged: self.privileged,
            devices: self
                .device
                .iter()
                .filter(|text| !CdiName::is_meant(text))
                .map(|text| device(text))
                .collect::<Result<_>>()?,
            cdi: self.cdi()?,
            cdi_directories: cdi_directories(std::env::var(CDI_DIRECTORIES).ok().as_deref())?,
            security_opt: match self.hardened {
                true => [vec!["no-new-privileges".to_owned()], self.security_opt.clone()].concat(),
                false => self.security_opt.clone(),
            },
            init: self.init,
            stop_signal: self.stop_signal.clone(),
            labels: self.labels()?,
            network,
            attachments,
            dns: self.dns.clone(),
            add_hosts: self.add_host.iter().map(|text| add_host(text)).collect::<Result<_>>()?,
            ports,
            pull: match self.pull.as_str() {
                "always" => PullPolicy::Always,
                "never" => PullPolicy::Never,
                _ => PullPolicy::Missing,
            },
            platform: self.platform.clone(),
            exposed: exposed(&self.expose)?,
            publish_all: self.publish_all,
            limits: self.limits.limits()?,
            sharing: self.sharing.sharing(self.hardened)?,
            health: self.health.wish()?,
        })
    }

    fn source(&self) -> Result<(Source, Vec<String>)> {
        if let Some(text) = &self.rootfs {
            let (directory, overlay) = match text.strip_suffix(":O") {
                Some(directory) => (directory, true),
                None => (text.as_str(), false),
            };
            return Ok((
                Source::Rootfs(RootfsWish { directory: directory.into(), overlay }),
                self.words.clone(),
            ));
        }
        match self.words.split_first() {
            Some((image, command)) => Ok((Source::Image(image.clone()), command.to_vec())),
            None => Err(Error::new(Kind::Usage, "run needs an image, or --rootfs DIR")
                .with_hint("devoxx-container run --help")),
        }
    }

    /// Names of CDI devices.
    fn cdi(&self) -> Result<Vec<String>> {
        let by_name =
            self.device.iter().filter(|text| CdiName::is_meant(text)).map(|text| CdiName::parse(text));
        let mut names = by_name.collect::<Result<Vec<_>>>()?;
        for text in &self.gpus {
            names.extend(parse_gpus(text)?);
        }
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// Whether a stream is among those of --attach; none where that is not given.
    fn attaches(&self, stream: &str) -> Option<bool> {
        (!self.attach.is_empty()).then(|| self.attach.iter().any(|one| one == stream))
    }

    /// How this process is attached to what it runs.
    pub fn attach(&self, input: bool, detach: Vec<u8>) -> engine::Attach {
        engine::Attach {
            input: self.attaches("stdin").unwrap_or(input),
            outputs: [self.attaches("stdout").unwrap_or(true), self.attaches("stderr").unwrap_or(true)],
            signals: self.sig_proxy,
            detach,
        }
    }

    /// Files first, then options, so that an option wins.
    fn labels(&self) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for path in &self.label_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::new(Kind::Failed, format!("--label-file {}: {error}", path.display()))
            })?;
            let lines =
                text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
            all.extend(lines.map(split_label));
        }
        all.extend(self.label.iter().map(|text| split_label(text)));
        let mut labels: Vec<(String, String)> = Vec::new();
        for (key, value) in all {
            labels.retain(|(earlier, _)| *earlier != key);
            labels.push((key, value));
        }
        Ok(labels)
    }

    fn hostname(&self) -> Result<Option<String>> {
        match &self.hostname {
            Some(name) if name.is_empty() || name.len() > 64 || name.contains(['/', '\n', '\0']) => {
                Err(usage("--hostname", name, "a host name has 1 to 64 bytes"))
            }
            other => Ok(other.clone()),
        }
    }
}

/// Files first, then options, so that an option wins.
pub fn environment(files: &[PathBuf], options: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::new(Kind::Failed, format!("--env-file {}: {error}", path.display())))?;
        let lines =
            text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(lines.map(str::to_owned));
    }
    all.extend(options.iter().cloned());
    let mut env = Vec::new();
    for entry in all {
        match entry.split_once('=') {
            Some(("", _)) => return Err(usage("--env", &entry, "the name is empty")),
            Some(_) => env.push(entry),
            // A name alone passes on ours, where there is one.
            None => env.extend(std::env::var(&entry).ok().map(|value| format!("{entry}={value}"))),
        }
    }
    Ok(env)
}

pub fn restart(text: &str) -> Result<Restart> {
    let wrong = || usage("--restart", text, "write no, on-failure[:N], always or unless-stopped");
    Ok(match text.split_once(':') {
        None => match text {
            "no" | "" => Restart::No,
            "on-failure" => Restart::OnFailure(None),
            "always" => Restart::Always,
            "unless-stopped" => Restart::UnlessStopped,
            _ => return Err(wrong()),
        },
        Some(("on-failure", count)) => Restart::OnFailure(Some(count.parse().map_err(|_| wrong())?)),
        Some(_) => return Err(wrong()),
    })
}

fn exposed(texts: &[String]) -> Result<Vec<String>> {
    for text in texts {
        let port = text.split('/').next().unwrap_or_default();
        let plain = port.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !plain || parse_publish(text).is_err() {
            return Err(usage("--expose", text, "write PORT, PORT-PORT, or either with /udp"));
        }
    }
    Ok(texts.to_vec())
}

fn split_label(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

pub fn pairs(option: &str, texts: &[String]) -> Result<Vec<(String, String)>> {
    let split = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(usage(option, text, "write KEY=VALUE")),
    };
    texts.iter().map(split).collect()
}

pub fn milli_cpus(text: &str) -> Result<u64> {
    let wrong = || usage("--cpus", text, "write a number such as 1.5, at least 0.01");
    let value: f64 = text.parse().map_err(|_| wrong())?;
    let most = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    if !(0.01..=most).contains(&value) {
        return Err(usage("--cpus", text, &format!("this machine has {most}, and the least is 0.01")));
    }
    Ok((value * 1000.0).round() as u64)
}

fn ulimit(text: &str) -> Result<Ulimit> {
    let wrong = |why: &str| usage("--ulimit", text, why);
    const NAMES: [&str; 15] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
    ];
    let (name, limits) = text.split_once('=').ok_or_else(|| wrong("write NAME=SOFT[:HARD]"))?;
    if !NAMES.contains(&name) && name != "stack" {
        return Err(wrong("there is no such limit"));
    }
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        _ => text.parse().map_err(|_| wrong("a limit is a number, -1 or unlimited")),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(wrong("the soft limit is above the hard one"));
    }
    Ok(Ulimit { name: format!("RLIMIT_{}", name.to_uppercase()), soft, hard })
}

fn device(text: &str) -> Result<Device> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_access = |text: &str| !text.is_empty() && text.bytes().all(|letter| b"rwm".contains(&letter));
    let (host, container, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, access] if is_access(access) => (*host, *host, *access),
        [host, container] => (*host, *container, "rwm"),
        [host, container, access] if is_access(access) => (*host, *container, *access),
        _ => return Err(usage("--device", text, "write HOST[:CONTAINER[:rwm]]")),
    };
    if !host.starts_with('/') || !container.starts_with('/') {
        return Err(usage("--device", text, "paths are absolute"));
    }
    Ok(Device { host: host.into(), container: container.into(), access: access.to_owned() })
}

fn add_host(text: &str) -> Result<(String, String)> {
    let (name, ip) = text.split_once([':', '=']).ok_or_else(|| usage("--add-host", text, "write NAME:IP"))?;
    let bare = ip.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || name.contains(char::is_whitespace) || bare.parse::<IpAddr>().is_err() {
        return Err(usage("--add-host", text, "write NAME:IP"));
    }
    Ok((name.to_owned(), bare.to_owned()))
}
