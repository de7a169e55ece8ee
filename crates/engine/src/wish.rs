//! What a person asks of `run`: parsed, not yet checked against any image or host.

use crate::health::HealthWish;
use crate::mount::VolumeMount;
use network::PortMapping;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// One of its own, connected to what `attachments` has; rootless, by pasta.
    #[default]
    Bridge,
    /// The host's.
    Host,
    /// Loopback alone.
    None,
    /// That of another container.
    Container(String),
}

/// A network that a container is on, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// `--network-alias`: further names by which others find it there.
    pub aliases: Vec<String>,
    /// `--ip`.
    pub ipv4: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ipv6: Option<Ipv6Addr>,
    /// `--mac-address`.
    pub mac: Option<[u8; 6]>,
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
    /// The same, with room for more.
    Local {
        /// Bytes of one file.
        max_size: u64,
        /// Files, the current one among them.
        max_file: u32,
    },
    /// systemd's journal.
    Journald,
    /// A syslog server.
    Syslog,
    /// The container has the descriptors of the command that starts it.
    Passthrough,
}

impl LogDriver {
    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::JsonFile { .. } => "json-file",
            Self::Local { .. } => "local",
            Self::Journald => "journald",
            Self::Syslog => "syslog",
            Self::Passthrough => "passthrough",
        }
    }

    /// Whether there is a file of ours: the size of one, and how many.
    pub fn files(self) -> Option<(u64, u32)> {
        match self {
            Self::JsonFile { max_size, max_file } | Self::Local { max_size, max_file } => {
                Some((max_size, max_file))
            }
            _ => None,
        }
    }
}

impl Default for LogDriver {
    fn default() -> Self {
        Self::JsonFile { max_size: 10 << 20, max_file: 3 }
    }
}

/// Whose a namespace is: `--pid`, `--ipc`, `--uts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Namespace {
    /// The container's own.
    #[default]
    Own,
    /// The host's.
    Host,
    /// That of another container, by name or id.
    Container(String),
}

/// Whose ids a container has: `--userns`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum UserNamespace {
    /// Those of the engine: as root the host's, else the user's own.
    #[default]
    Usual,
    /// The same, asked for.
    Host,
    /// Its own, which no other container has.
    Auto {
        /// How many.
        size: Option<u32>,
    },
    /// A user's, with the user under the same number as outside.
    KeepId {
        /// The user's number inside, if it is another.
        uid: Option<u32>,
        /// That of the group.
        gid: Option<u32>,
    },
    /// That of another container, by name or id.
    Container(String),
}

/// A rate of a block device: `--device-read-bps` and its kin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// The list of the specification that it belongs to, such as `throttleReadBpsDevice`.
    pub list: String,
    /// The device on the host.
    pub device: PathBuf,
    /// Bytes or operations in a second.
    pub rate: u64,
}

/// Limits that few ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// `--memory-reservation`, in bytes.
    pub memory_reservation: Option<u64>,
    /// `--memory-swappiness`, in percent.
    pub memory_swappiness: Option<u64>,
    /// `--oom-kill-disable`.
    pub oom_kill_disable: bool,
    /// `--cpu-period` and `--cpu-quota`, in microseconds.
    pub cpu_period: Option<u64>,
    /// See above.
    pub cpu_quota: Option<i64>,
    /// `--cpuset-mems`.
    pub cpuset_mems: Option<String>,
    /// `--blkio-weight`.
    pub blkio_weight: Option<u16>,
    /// `--blkio-weight-device`.
    pub blkio_weight_devices: Vec<(PathBuf, u16)>,
    /// `--device-read-bps` and its kin.
    pub throttles: Vec<Throttle>,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
    /// `--shm-size`, in bytes.
    pub shm_size: Option<u64>,
    /// `--cgroup-parent`.
    pub cgroup_parent: Option<String>,
    /// `--device-cgroup-rule`: the letters `a`, `b` or `c`, the numbers (none for any), and the access.
    pub device_rules: Vec<(char, Option<i64>, Option<i64>, String)>,
}

/// How the container shares what is usually its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sharing {
    /// `--pid`.
    pub pid: Namespace,
    /// `--ipc`.
    pub ipc: Namespace,
    /// `--ipc shareable`.
    pub shareable: bool,
    /// `--uts`.
    pub uts: Namespace,
    /// `--userns`.
    pub userns: UserNamespace,
    /// `--cgroupns host`.
    pub host_cgroup: bool,
    /// `--domainname`.
    pub domainname: Option<String>,
    /// `--group-add`.
    pub groups: Vec<String>,
    /// `--annotation`.
    pub annotations: Vec<(String, String)>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_options: Vec<String>,
    /// `--volumes-from`: a container, and whether its volumes are read-only here.
    pub volumes_from: Vec<(String, bool)>,
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
    /// `--log-opt`: those that are checked and read at the start.
    #[serde(default)]
    pub log_options: Vec<(String, String)>,
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
    /// `--device` by CDI, and `--gpus`: whole names.
    #[serde(default)]
    pub cdi: Vec<String>,
    /// Where CDI specs are, if not where the specification has them.
    #[serde(default)]
    pub cdi_directories: Vec<PathBuf>,
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
    /// `--network` by name, in order.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
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
    /// `--expose`.
    #[serde(default)]
    pub exposed: Vec<String>,
    /// `--publish-all`.
    #[serde(default)]
    pub publish_all: bool,
    /// Further limits.
    #[serde(default)]
    pub limits: Limits,
    /// What is shared.
    #[serde(default)]
    pub sharing: Sharing,
    /// `--health-cmd` and its kin.
    #[serde(default)]
    pub health: HealthWish,
}

impl Wish {
    /// Whether it names a network that containers of an ordinary user share: `bridge` is none.
    pub fn has_neighbours(&self) -> bool {
        self.attachments.iter().any(|one| one.network != network::definition::DEFAULT)
    }

    /// A container of which it has a namespace, by name or id: as an ordinary user's, it has to be in one user namespace with it.
    pub fn joined(&self) -> Option<&str> {
        let Sharing { pid, ipc, uts, userns, .. } = &self.sharing;
        match (&self.network, userns) {
            (Network::Container(other), _) | (_, UserNamespace::Container(other)) => return Some(other),
            _ => {}
        }
        [pid, ipc, uts].into_iter().find_map(|one| match one {
            Namespace::Container(other) => Some(other.as_str()),
            _ => None,
        })
    }
}
