//! The options of `run` for limits that few ask for.

use crate::run_arguments::usage;
use engine::{Limits, Result, Throttle, size};

/// Further limits
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct RunLimits {
    /// Memory that is left to it when the machine is short of it
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// How readily its memory is swapped out, 0 to 100; -1 for the host's (cgroup v1)
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    memory_swappiness: Option<i64>,
    /// Let it wait for memory instead of killing it (cgroup v1)
    #[arg(long)]
    oom_kill_disable: bool,
    /// Who is killed first when memory is short, -1000 to 1000
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    oom_score_adj: Option<i32>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "USEC")]
    cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds; -1 for no limit
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Memory nodes to use, such as 0-1
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Relative weight of block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Relative weight for one device
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    blkio_weight_device: Vec<String>,
    /// Bytes a second to read from a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_read_bps: Vec<String>,
    /// Bytes a second to write to a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_write_bps: Vec<String>,
    /// Reads a second from a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_read_iops: Vec<String>,
    /// Writes a second to a device
    #[arg(long, value_name = "DEVICE:RATE")]
    device_write_iops: Vec<String>,
    /// Allow devices by number
    #[arg(long, value_name = "TYPE MAJOR:MINOR ACCESS")]
    device_cgroup_rule: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// The cgroup that its own is made in
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

impl RunLimits {
    /// The limits that these words mean.
    pub fn limits(&self) -> Result<Limits> {
        let bytes = |option: &str, text: &Option<String>| {
            text.as_deref().map(|text| size::parse(option, text)).transpose()
        };
        if let Some(weight) = self.blkio_weight {
            check_weight("--blkio-weight", &weight.to_string(), weight)?;
        }
        let memory_swappiness = match self.memory_swappiness {
            None | Some(-1) => None,
            Some(percent @ 0..=100) => u64::try_from(percent).ok(),
            Some(other) => {
                return Err(usage("--memory-swappiness", &other.to_string(), "write 0 to 100, or -1"));
            }
        };
        if let Some(number) = self.oom_score_adj.filter(|number| !(-1000..=1000).contains(number)) {
            return Err(usage("--oom-score-adj", &number.to_string(), "write -1000 to 1000"));
        }
        if let Some(period) = self.cpu_period.filter(|period| !(1000..=1_000_000).contains(period)) {
            return Err(usage("--cpu-period", &period.to_string(), "write 1000 to 1000000"));
        }
        if let Some(quota) = self.cpu_quota.filter(|quota| *quota != -1 && *quota < 1000) {
            return Err(usage("--cpu-quota", &quota.to_string(), "write 1000 or more, or -1"));
        }
        if let Some(path) =
            self.cgroup_parent.as_ref().filter(|path| path.split('/').any(|part| part == ".."))
        {
            return Err(usage("--cgroup-parent", path, "it leads upwards"));
        }
        let mut throttles = Vec::new();
        for (option, list, texts, sized) in [
            ("--device-read-bps", "throttleReadBpsDevice", &self.device_read_bps, true),
            ("--device-write-bps", "throttleWriteBpsDevice", &self.device_write_bps, true),
            ("--device-read-iops", "throttleReadIOPSDevice", &self.device_read_iops, false),
            ("--device-write-iops", "throttleWriteIOPSDevice", &self.device_write_iops, false),
        ] {
            for text in texts {
                let (device, rate) = device_and(option, text)?;
                let rate = match sized {
                    true => size::parse(option, rate)?,
                    false => rate.parse().map_err(|_| usage(option, text, "the rate is no number"))?,
                };
                throttles.push(Throttle { list: list.to_owned(), device: device.into(), rate });
            }
        }
        let weight = |text: &String| {
            let option = "--blkio-weight-device";
            let (device, weight) = device_and(option, text)?;
            let weight = weight.parse().map_err(|_| usage(option, text, "the weight is no number"))?;
            check_weight(option, text, weight)?;
            Ok((device.into(), weight))
        };
        Ok(Limits {
            memory_reservation: bytes("--memory-reservation", &self.memory_reservation)?,
            memory_swappiness,
            oom_kill_disable: self.oom_kill_disable,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpuset_mems: self.cpuset_mems.clone(),
            blkio_weight: self.blkio_weight,
            blkio_weight_devices: self.blkio_weight_device.iter().map(weight).collect::<Result<_>>()?,
            throttles,
            oom_score_adj: self.oom_score_adj,
            shm_size: bytes("--shm-size", &self.shm_size)?,
            cgroup_parent: self.cgroup_parent.clone(),
            device_rules: self
                .device_cgroup_rule
                .iter()
                .map(|text| device_rule(text))
                .collect::<Result<_>>()?,
        })
    }
}

fn check_weight(option: &str, text: &str, weight: u16) -> Result<()> {
    if (10..=1000).contains(&weight) { Ok(()) } else { Err(usage(option, text, "a weight is 10 to 1000")) }
}

fn device_and<'a>(option: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    match text.rsplit_once(':') {
        Some((device, value)) if device.starts_with('/') => Ok((device, value)),
        _ => Err(usage(option, text, "write /dev/NAME:NUMBER")),
    }
}

fn device_rule(text: &str) -> Result<(char, Option<i64>, Option<i64>, String)> {
    let wrong = || usage("--device-cgroup-rule", text, "write such as 'c 189:* rwm'");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(wrong()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        _ => text.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| wrong()),
    };
    if access.is_empty() || !access.bytes().all(|letter| b"rwm".contains(&letter)) {
        return Err(wrong());
    }
    Ok((kind.chars().next().unwrap_or('a'), number(major)?, number(minor)?, access.to_owned()))
}
