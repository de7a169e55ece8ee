//! What a person asks of `run`: parsed, not yet checked against any image or host.

use crate::mount::VolumeMount;
use network::PortMapping;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// Where the root comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// An image, by name or id.
    Image(String),
    /// A directory.
    Rootfs(RootfsWish),
}

/// `--rootfs DIR[:O]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsWish {
    /// The directory.
    pub directory: PathBuf,
    /// Whether changes are thrown away.
    pub overlay: bool,
}

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// A bridge of our own; rootless, pasta.
    #[default]
    Bridge,
    /// The host's.
    Host,
    /// Loopback alone.
    None,
}

/// `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PullPolicy {
    /// When the image is not here.
    #[default]
    Missing,
    /// Every time.
    Always,
    /// Not at all.
    Never,
}

/// `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// As in `RLIMIT_NOFILE`.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// `--device HOST[:CONTAINER[:rwm]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub host: PathBuf,
    /// In the container.
    pub container: PathBuf,
    /// Letters of `rwm`.
    pub access: String,
}

/// `--restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When it failed, at most so many times; without a number as often as it takes.
    OnFailure(Option<u32>),
    /// Whenever it ends, unless it is ended on purpose; after a reboot in any case.
    Always,
    /// Whenever it ends, unless it is ended on purpose.
    UnlessStopped,
}

/// `--log-driver` and `--log-opt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDriver {
    /// Nothing is kept.
    None,
    /// A file of ours, in docker's `json-file` form.
    JsonFile {
        /// Bytes of one file.
        max_size: u64,
        /// Files, the current one among them.
        max_file: u32,
    },
}

impl Default for LogDriver {
    fn default() -> Self {
        Self::JsonFile { max_size: 10 << 20, max_file: 3 }
    }
}

/// Everything that `run` was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wish {
    /// The root.
    pub source: Source,
    /// The command; empty takes the image's.
    pub command: Vec<String>,
    /// `--entrypoint`; an empty string means none.
    pub entrypoint: Option<String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `-i`.
    pub interactive: bool,
    /// `-t`.
    pub terminal: bool,
    /// `--rm`.
    pub remove: bool,
    /// `--restart`.
    pub restart: Restart,
    /// `--log-driver`.
    pub log: LogDriver,
    /// `--stop-timeout`, in seconds.
    pub stop_timeout: Option<u64>,
    /// `-e` and `--env-file`, in order.
    pub env: Vec<String>,
    /// `-w`.
    pub workdir: Option<PathBuf>,
    /// `-u`.
    pub user: Option<String>,
    /// `-v`, `--mount` and `--tmpfs`, in order.
    pub mounts: Vec<VolumeMount>,
    /// `--read-only`.
    pub read_only: bool,
    /// `-m`, in bytes.
    pub memory: Option<u64>,
    /// `--memory-swap`, in bytes; -1 for no limit.
    pub memory_swap: Option<i64>,
    /// `--cpus`, in thousandths.
    pub milli_cpus: Option<u64>,
    /// `--cpu-shares`.
    pub cpu_shares: Option<u64>,
    /// `--cpuset-cpus`.
    pub cpuset_cpus: Option<String>,
    /// `--pids-limit`; -1 for none.
    pub pids_limit: Option<i64>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--sysctl`.
    pub sysctls: Vec<(String, String)>,
    /// `--cap-add`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--privileged`.
    pub privileged: bool,
    /// `--device`.
    pub devices: Vec<Device>,
    /// `--security-opt`.
    pub security_opt: Vec<String>,
    /// `--init`.
    pub init: bool,
    /// `--stop-signal`.
    pub stop_signal: Option<String>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--network`.
    pub network: Network,
    /// `--dns`.
    pub dns: Vec<IpAddr>,
    /// `--add-host`.
    pub add_hosts: Vec<(String, String)>,
    /// `-p`.
    pub ports: Vec<PortMapping>,
    /// `--pull`.
    pub pull: PullPolicy,
    /// `--platform`.
    pub platform: Option<String>,
}
