//! Points of time: as they are typed for `--since` and `--until`, and as they are shown.

use engine::{Error, Kind, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A point of time that was typed for `option`: a time ago (`10m`, `1h30m`), RFC 3339 with or without its zone and its end, a
/// date, or seconds since 1970 with a fraction. Without a zone it is local time, as docker has it.
pub fn parse(option: &str, text: &str) -> Result<Timestamp> {
    parse_at(text, Timestamp::now(), &TimeZone::system()).ok_or_else(|| {
        Error::new(Kind::Usage, format!("invalid value {text:?} for {option}: no point of time"))
            .with_hint("write 10m, 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970")
    })
}

fn parse_at(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    seconds(text)
        .or_else(|| text.parse().ok())
        .or_else(|| short(text))
        .or_else(|| local(text, zone))
        .or_else(|| now.checked_sub(duration(text)?).ok())
}

/// `1136073845.000000001`.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

/// RFC 3339 without seconds, or without minutes, or a date with a zone: `2026-01-31T12:00Z`.
fn short(text: &str) -> Option<Timestamp> {
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, "Z"),
        // A sign of a zone is behind the date.
        None => {
            let sign = text.rfind(['+', '-']).filter(|sign| *sign >= 10)?;
            text.split_at(sign)
        }
    };
    if zone.len() > 6 {
        return None;
    }
    format!("{}{zone}", completed(text)?).parse().ok()
}

fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let time: DateTime = completed(text)?.parse().ok()?;
    zone.to_timestamp(time).ok()
}

/// With the minutes and seconds that were left out.
fn completed(text: &str) -> Option<String> {
    let end = match text.len() {
        10 => "T00:00:00",
        13 => ":00:00",
        16 => ":00",
        _ => "",
    };
    text.is_ascii().then(|| format!("{text}{end}"))
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `-10ms`.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanoseconds: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 20 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        total += whole.checked_mul(nanoseconds)?;
        total += part.checked_mul(nanoseconds)? / 10i128.checked_pow(fraction.len() as u32)?;
        rest = tail;
    }
    let total = if negative { -total } else { total };
    let nanoseconds = i64::try_from(total).ok()?;
    Some(SignedDuration::from_nanos(nanoseconds))
}

/// As records and logs have it: RFC 3339 in UTC with nine digits, so that texts compare as times. Before 1970 is 1970.
pub fn text(time: Timestamp) -> String {
    format!("{:.9}", time.max(Timestamp::UNIX_EPOCH))
}

/// As Go prints a time in the local zone: `2026-11-25 09:28:46 +0000 UTC`.
pub fn local_text(time: Timestamp) -> String {
    let zone = TimeZone::system();
    let name = zone.to_offset_info(time).abbreviation().to_owned();
    format!("{} {name}", time.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S %z"))
}

/// With nanoseconds and the zone's offset: `2026-11-25T09:28:46.123456789Z`.
pub fn exact_local_text(time: Timestamp) -> String {
    time.to_zoned_datetime(TimeZone::system())
        .strftime("%Y-%m-%dT%H:%M:%S.%9f%:z")
        .to_string()
        .replace("+00:00", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_of_time() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().expect("a time");
        let zone = TimeZone::fixed(jiff::tz::Offset::constant(2));
        let check = |typed: &str, expected: Option<&str>| {
            let read = parse_at(typed, now, &zone).map(text);
            assert_eq!(read.as_deref(), expected, "{typed}");
        };
        check("10m", Some("2026-11-25T11:50:00.000000000Z"));
        check("1h30m", Some("2026-11-25T10:30:00.000000000Z"));
        check("1.5h", Some("2026-11-25T10:30:00.000000000Z"));
        check("-10s", Some("2026-11-25T12:00:10.000000000Z"));
        check("500ms", Some("2026-11-25T11:59:59.500000000Z"));
        check("1136073845", Some("2006-01-01T00:04:05.000000000Z"));
        check("1136073845.000000001", Some("2006-01-01T00:04:05.000000001Z"));
        check("1136073845.5", Some("2006-01-01T00:04:05.500000000Z"));
        check("2026-01-31T12:00:00Z", Some("2026-01-31T12:00:00.000000000Z"));
        check("2026-01-31T12:00:00.123456789Z", Some("2026-01-31T12:00:00.123456789Z"));
        check("2026-01-31T12:00:00+02:00", Some("2026-01-31T10:00:00.000000000Z"));
        check("2026-01-31T12:00Z", Some("2026-01-31T12:00:00.000000000Z"));
        check("2026-01-31T12:00-01:00", Some("2026-01-31T13:00:00.000000000Z"));
        check("2026-01-31T12:00:00", Some("2026-01-31T10:00:00.000000000Z"));
        check("2026-01-31T12:00", Some("2026-01-31T10:00:00.000000000Z"));
        check("2026-01-31", Some("2026-01-30T22:00:00.000000000Z"));
        check("0", Some("1970-01-01T00:00:00.000000000Z"));
        for bad in [
            "",
            "m",
            "10x",
            "-",
            "h10",
            "1..5h",
            "yesterday",
            "2026-13-01",
            "2026-01-32",
            "99999999999999999999",
            "1136073845.0000000001",
            "1.2.3",
            "10m5",
            "é",
            "2026-01-31T12:00:00é",
            "9999999999999999h",
            "１０m",
        ] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(typed in prop_oneof!["[-+0-9.:TZhmsµn]{0,24}", "(?s).{0,12}"]) {
            let _either = parse_at(&typed, Timestamp::now(), &TimeZone::UTC);
        }
    }
}
