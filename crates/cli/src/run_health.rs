//! The options of `run` for checks of a container's health.

use crate::run_arguments::usage;
use engine::Result;
use engine::health::HealthWish;
use std::time::Duration;

/// Checks of its health
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Health")]
pub struct RunHealth {
    /// Command that finds out how it is, for a shell
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Pause between two checks, such as 30s
    #[arg(long, value_name = "TIME")]
    health_interval: Option<String>,
    /// How long a check may take
    #[arg(long, value_name = "TIME")]
    health_timeout: Option<String>,
    /// How long it starts, when failures do not count
    #[arg(long, value_name = "TIME")]
    health_start_period: Option<String>,
    /// Pause between two checks meanwhile
    #[arg(long, value_name = "TIME")]
    health_start_interval: Option<String>,
    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u32>,
    /// Leave out the image's check
    #[arg(long, conflicts_with = "health_cmd")]
    no_healthcheck: bool,
}

impl RunHealth {
    /// What these words mean.
    pub fn wish(&self) -> Result<HealthWish> {
        let time = |option: &str, text: &Option<String>| {
            text.as_deref().map(|text| duration(option, text)).transpose()
        };
        if self.health_retries == Some(0) {
            return Err(usage("--health-retries", "0", "one or more"));
        }
        Ok(HealthWish {
            command: self.health_cmd.clone(),
            interval: time("--health-interval", &self.health_interval)?,
            timeout: time("--health-timeout", &self.health_timeout)?,
            start_period: time("--health-start-period", &self.health_start_period)?,
            start_interval: time("--health-start-interval", &self.health_start_interval)?,
            retries: self.health_retries,
            none: self.no_healthcheck,
        })
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `300ms`; at least a millisecond, as docker has it.
fn duration(option: &str, text: &str) -> Result<Duration> {
    let wrong = || usage(option, text, "write a time such as 30s, 1m30s or 500ms, at least 1ms");
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let units =
            [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(wrong)?;
        rest = &rest[unit.len()..];
        seconds += number * factor;
    }
    if !(1e-3..1e9).contains(&seconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            let found = duration("--x", text).ok().map(|time| time.as_millis());
            assert_eq!(found, expected.map(u128::from), "{text}");
        };
        check("30s", Some(30_000));
        check("1h30m", Some(5_400_000));
        check("1.5s", Some(1500));
        check("300ms", Some(300));
        for wrong in ["", "30", "s", "1x", "-1s", "0s", "1us", "1..2s", "9999999999h", "1s ", "NaNs", "1e3s"]
        {
            check(wrong, None);
        }
    }
}
