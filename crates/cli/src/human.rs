//! Durations and sizes in the words and digits of docker.

use std::time::Duration;

/// `2 minutes`, `About an hour`, `3 weeks`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// Powers of a thousand with three digits: `7.81MB`.
pub fn size(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], 3)
}

/// Powers of 1024 with four digits: `15.62MiB`.
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

fn scaled(bytes: u64, base: f64, units: &[&str], digits: usize) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let before = format!("{}", value as u64).len();
    let number = format!("{value:.*}", digits.saturating_sub(before));
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number.as_str()
    };
    format!("{number}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_has_them() {
        let check =
            |seconds: u64, expected: &str| assert_eq!(duration(Duration::from_secs(seconds)), expected);
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(120, "2 minutes");
        check(3599, "59 minutes");
        check(3600, "About an hour");
        check(7200, "2 hours");
        check(86_400, "24 hours");
        check(3 * 86_400, "3 days");
        check(15 * 86_400, "2 weeks");
        check(90 * 86_400, "3 months");
        check(800 * 86_400, "2 years");
        let check = |bytes: u64, decimal: &str, binary: &str| {
            assert_eq!((size(bytes).as_str(), binary_size(bytes).as_str()), (decimal, binary), "{bytes}");
        };
        check(0, "0B", "0B");
        check(999, "999B", "999B");
        check(1000, "1kB", "1000B");
        check(7_812_345, "7.81MB", "7.45MiB");
        check(16 << 20, "16.8MB", "16MiB");
        check(u64::MAX, "18.4EB", "16EiB");
    }
}
