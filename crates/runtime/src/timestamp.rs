//! Points of time as RFC 3339 has them, in UTC with nanoseconds: `2026-11-25T05:10:18.000000001Z`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    at(since.as_secs(), since.subsec_nanos())
}

/// A point of time in seconds and nanoseconds since 1970.
pub fn at(seconds: u64, nanoseconds: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
}

/// The date of a day since 1970 in the Gregorian calendar, by eras of 400 years that begin in March: so the leap day is the
/// last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    // 1 March of the year 0 is this many days before 1970.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        fn check(seconds: u64, expected: &str) {
            assert_eq!(at(seconds, 7), format!("{expected}.000000007Z"));
        }
        check(0, "1970-01-01T00:00:00");
        check(951_782_400, "2000-02-29T00:00:00");
        check(951_868_799, "2000-02-29T23:59:59");
        check(951_868_800, "2000-03-01T00:00:00");
        check(1_767_225_599, "2025-12-31T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
    }
}
