//! `update`: its words, as changes.

use crate::place::{each, warn};
use crate::run_arguments::{milli_cpus, restart, usage};
use engine::{Changes, Error, Kind, Result, size};

/// Change the limits and the restart policy of containers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container update --memory 256m --cpus 0.5 web\n  devoxx-container update --restart unless-stopped web db"
)]
pub struct Update {
    /// Memory limit
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Memory that is left to it when the machine is short of it
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Number of CPUs, such as 1.5
    #[arg(long)]
    cpus: Option<String>,
    /// Relative weight of the CPU time
    #[arg(short, long)]
    cpu_shares: Option<u64>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "USEC")]
    cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds; -1 for no limit
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// CPUs to run on, such as 0-2,4
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use, such as 0-1
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Relative weight of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Number of processes; -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Start it again when it ends: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// `update`.
pub fn update(arguments: &Update) -> Result<i32> {
    let bytes = |option: &str, text: &Option<String>| {
        text.as_deref().map(|text| size::parse(option, text)).transpose()
    };
    let weight = arguments.blkio_weight.filter(|weight| !(10..=1000).contains(weight));
    if let Some(weight) = weight {
        return Err(usage("--blkio-weight", &weight.to_string(), "a weight is 10 to 1000"));
    }
    let changes = Changes {
        memory: bytes("--memory", &arguments.memory)?,
        memory_swap: match arguments.memory_swap.as_deref() {
            Some("-1") => Some(-1),
            Some(text) => i64::try_from(size::parse("--memory-swap", text)?).ok(),
            None => None,
        },
        memory_reservation: bytes("--memory-reservation", &arguments.memory_reservation)?,
        milli_cpus: arguments.cpus.as_deref().map(milli_cpus).transpose()?,
        cpu_shares: arguments.cpu_shares,
        cpu_period: arguments.cpu_period,
        cpu_quota: arguments.cpu_quota,
        cpuset_cpus: arguments.cpuset_cpus.clone(),
        cpuset_mems: arguments.cpuset_mems.clone(),
        blkio_weight: arguments.blkio_weight,
        pids_limit: arguments.pids_limit,
        restart: arguments.restart.as_deref().map(restart).transpose()?,
    };
    if format!("{changes:?}") == format!("{:?}", Changes::default()) {
        return Err(Error::new(Kind::Usage, "update needs something to change").with_hint("--help"));
    }
    each(&arguments.containers, |place, name| {
        engine::update(&place.paths, name, &changes)?.iter().for_each(|warning| warn(warning));
        Ok(())
    })
}
