//! `--filter KEY=VALUE`: what is common to all lists.

use crate::error::{Error, Kind, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads filters; a key that a command does not know is an error that names those it knows.
pub fn parse(texts: &[String], known: &[&str]) -> Result<Vec<(String, String)>> {
    let read = |text: &String| {
        let wrong = |why: String| Error::new(Kind::Usage, format!("invalid filter {text:?}: {why}"));
        // Also `label!=`.
        let (key, value) = text.split_once('=').ok_or_else(|| wrong("write KEY=VALUE".to_owned()))?;
        if !known.contains(&key) {
            return Err(wrong(format!("the keys are {}", known.join(", "))));
        }
        if value.is_empty() {
            return Err(wrong("the value is empty".to_owned()));
        }
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(read).collect()
}

/// A value that is true or false.
pub fn truth(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::new(Kind::Usage, format!("invalid filter {key}={value}: write true or false"))),
    }
}

/// Whether labels fit every `label` (KEY or KEY=VALUE) and no `label!`.
pub fn labels(filters: &[(String, String)], labels: &[(String, String)]) -> bool {
    let has = |wanted: &str| match wanted.split_once('=') {
        Some((key, value)) => labels.iter().any(|(known, of)| known == key && of == value),
        None => labels.iter().any(|(known, _)| known == wanted),
    };
    filters.iter().all(|(key, value)| match key.as_str() {
        "label" => has(value),
        "label!" => !has(value),
        _ => true,
    })
}

/// `until`: a duration such as 24h or 10m30s back from now, a number of seconds since 1970, or a date; as RFC 3339 in UTC,
/// which sorts as it reads.
pub fn until(text: &str) -> Result<String> {
    let wrong = || {
        Error::new(Kind::Usage, format!("invalid filter until={text}"))
            .with_hint("write a duration such as 24h, a date such as 2026-11-25, or 2026-11-25T10:00:00Z")
    };
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(runtime::timestamp::at(seconds, 0));
    }
    if let Some(back) = duration(text) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let then = now.saturating_sub(back);
        return Ok(runtime::timestamp::at(then.as_secs(), then.subsec_nanos()));
    }
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let date = digits(0..4) && digits(5..7) && digits(8..10) && bytes[4] == b'-' && bytes[7] == b'-';
    let time = || {
        text.len() >= 19
            && bytes[10] == b'T'
            && digits(11..13)
            && digits(14..16)
            && digits(17..19)
            && bytes[13] == b':'
            && bytes[16] == b':'
    };
    match text.len() {
        10 if date => Ok(format!("{text}T00:00:00Z")),
        19 if date && time() => Ok(format!("{text}Z")),
        20.. if date && time() && text.ends_with('Z') => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

/// Numbers with units, as Go writes them: `1h30m`, `10s`, `500ms`, `1.5h`.
pub fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, 0.0_f64);
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * seconds;
        rest = next;
    }
    (sum.is_finite() && sum < 1e10).then(|| Duration::from_secs_f64(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        fn check(text: &str, good: bool) {
            assert_eq!(parse(&[text.to_owned()], &["label", "label!", "until"]).is_ok(), good, "{text}");
        }
        check("label=a", true);
        check("label=a=b", true);
        check("label!=a", true);
        check("label=", false);
        check("label", false);
        check("other=1", false);
        check("", false);
    }

    #[test]
    fn labels_fit() {
        fn check(key: &str, value: &str, fits: bool) {
            let of = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
            assert_eq!(labels(&[(key.to_owned(), value.to_owned())], &of), fits, "{key}={value}");
        }
        check("label", "a", true);
        check("label", "a=1", true);
        check("label", "a=2", false);
        check("label", "c", false);
        check("label!", "c", true);
        check("label!", "a=1", false);
        check("until", "1h", true);
    }

    #[test]
    fn points_of_time() {
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(until(text).ok().as_deref(), expected, "{text}");
        }
        check("2026-11-25", Some("2026-11-25T00:00:00Z"));
        check("2026-11-25T10:00:00", Some("2026-11-25T10:00:00Z"));
        check("2026-11-25T10:00:00.5Z", Some("2026-11-25T10:00:00.5Z"));
        check("0", Some("1970-01-01T00:00:00.000000000Z"));
        for bad in ["", "x", "1x", "2026", "2026-1-2", "h", "1.2.3h", "-1h", "2026-11-25 10:00:00"] {
            if bad != "2026" {
                check(bad, None);
            }
        }
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
    }
}
