//! `--filter KEY=VALUE`, for every list and every prune: values of one key are alternatives, every key has to hold, and of labels
//! each.

mod pattern;

pub use pattern::Pattern;

use crate::error::{Error, Kind, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The filters of one command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Vec<(String, String)>);

impl Filters {
    /// Reads them; `keys` are those that the command knows.
    pub fn parse(typed: &[String], keys: &[&str]) -> Result<Self> {
        let one = |text: &String| {
            let wrong = |why: String| Error::new(Kind::Usage, format!("invalid filter {text:?}: {why}"));
            // Also `label!=`.
            let (key, value) = text.split_once('=').ok_or_else(|| wrong("write KEY=VALUE".to_owned()))?;
            let key = key.trim().to_lowercase();
            if !keys.contains(&key.as_str()) {
                let known: Vec<&str> = keys.iter().copied().filter(|key| !key.ends_with('!')).collect();
                return Err(wrong(format!("the keys are {}", known.join(", "))));
            }
            Ok((key, value.trim().to_owned()))
        };
        typed.iter().map(one).collect::<Result<_>>().map(Self)
    }

    /// As [`Filters::parse`], for what removes: a value that is empty is most likely a variable that was not set, and `label!=` of
    /// nothing would fit everything.
    pub fn parse_filled(typed: &[String], keys: &[&str]) -> Result<Self> {
        let filters = Self::parse(typed, keys)?;
        match filters.0.iter().find(|(_, value)| value.is_empty()) {
            None => Ok(filters),
            Some((key, _)) => {
                Err(Error::new(Kind::Usage, format!("invalid filter \"{key}=\": the value is empty")))
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a key.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Whether a key is asked for.
    pub fn has(&self, key: &str) -> bool {
        self.values(key).next().is_some()
    }

    /// Whether some value of a key fits, or it is not asked for.
    pub fn any(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).any(fits)
    }

    /// Whether labels fit: all of `label=KEY` and `label=KEY=VALUE`, and none of `label!=`.
    pub fn labels<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        let has = |wanted: &str| match wanted.split_once('=') {
            Some((name, value)) => value_of(name) == Some(value),
            None => value_of(wanted).is_some(),
        };
        self.values("label").all(has) && !self.values("label!").any(has)
    }

    /// As [`Filters::labels`], for labels in a list.
    pub fn fit_labels(&self, labels: &[(String, String)]) -> bool {
        self.labels(|key| labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str()))
    }

    /// Refuses a value of a key that is none of these.
    pub fn check(&self, key: &str, known: &[&str]) -> Result<()> {
        match self.values(key).find(|value| !known.contains(value)) {
            None => Ok(()),
            Some(value) => Err(Error::new(Kind::Usage, format!("invalid filter \"{key}={value}\""))
                .with_hint(format!("{key} is one of {}", known.join(", ")))),
        }
    }

    /// What a key that is true or false asks for; none where it is not there. The last one counts.
    pub fn truth(&self, key: &str) -> Result<Option<bool>> {
        self.values(key).try_fold(None, |_, value| match value {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(Error::new(Kind::Usage, format!("invalid filter {key}={value}: write true or false"))),
        })
    }

    /// The patterns of a key, read.
    pub fn patterns(&self, key: &str) -> Result<Vec<Pattern>> {
        let read = |value: &str| {
            Pattern::parse(value).ok_or_else(|| {
                Error::new(Kind::Usage, format!("invalid filter \"{key}={value}\": no pattern"))
                    .with_hint("letters, ^, $, ., \\ and after one of them *, + or ?")
            })
        };
        self.values(key).map(read).collect()
    }
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

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn filters_are_read() {
        fn check(text: &str, good: bool, filled: bool) {
            let keys = ["label", "label!", "until"];
            assert_eq!(Filters::parse(&texts(&[text]), &keys).is_ok(), good, "{text}");
            assert_eq!(Filters::parse_filled(&texts(&[text]), &keys).is_ok(), filled, "{text}");
        }
        check("label=a", true, true);
        check("label=a=b", true, true);
        check("label!=a", true, true);
        check(" LABEL = a ", true, true);
        check("label=", true, false);
        check("label!=", true, false);
        check("label= ", true, false);
        check("label", false, false);
        check("other=1", false, false);
        check("=a", false, false);
        check("", false, false);
    }

    #[test]
    fn labels_fit() {
        fn check(all: &[&str], fits: bool) {
            let of = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
            let filters = Filters::parse(&texts(all), &["label", "label!", "until"]).expect("filters");
            assert_eq!(filters.fit_labels(&of), fits, "{all:?}");
        }
        check(&[], true);
        check(&["label=a"], true);
        check(&["label=a=1"], true);
        check(&["label=a=2"], false);
        check(&["label=b"], true);
        check(&["label=b="], true);
        check(&["label=c"], false);
        check(&["label="], false);
        check(&["label=a", "label=c"], false);
        check(&["label!=c"], true);
        check(&["label!=a=1"], false);
        check(&["label=a", "label!=a=2"], true);
        check(&["until=1h"], true);
    }

    #[test]
    fn values_of_one_key_are_alternatives() {
        let filters = Filters::parse(&texts(&["x=1", "x=2", "t=0", "t=true"]), &["x", "t"]).expect("filters");
        assert!(filters.any("x", |value| value == "2") && !filters.any("x", |value| value == "3"));
        assert!(filters.any("y", |_| false), "nobody asks for it");
        assert_eq!((filters.truth("t").ok(), filters.truth("y").ok()), (Some(Some(true)), Some(None)));
        assert!(filters.truth("x").is_err() && filters.check("x", &["1"]).is_err());
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
