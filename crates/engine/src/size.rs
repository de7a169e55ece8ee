//! Sizes as docker writes them: `512m`, `1.5g`, `4096`.

use crate::error::{Error, Kind, Result};

/// A number of bytes from `N[.N][b|k|m|g|t]`, the letters in either case and with an optional `b` or `ib` after.
pub fn parse(option: &str, text: &str) -> Result<u64> {
    let wrong = || {
        Error::new(Kind::Usage, format!("invalid value {text:?} for {option}: not a size"))
            .with_hint("write a number with one of the units b, k, m, g, such as 512m")
    };
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(wrong);
    }
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = digits.parse::<f64>().map_err(|_| wrong())? * (1u64 << shift) as f64;
    if plain && value.is_finite() && value < 9e18 { Ok(value as u64) } else { Err(wrong()) }
}

/// Bytes in the largest binary unit that leaves at least one: `16MiB`, `1.5GiB`.
pub fn shown(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut name = "B";
    for unit in units {
        if value < 1024.0 {
            break;
        }
        (value, name) = (value / 1024.0, unit);
    }
    let text = format!("{value:.1}");
    format!("{}{name}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        fn check(text: &str, bytes: Option<u64>) {
            assert_eq!(parse("--memory", text).ok(), bytes, "{text}");
        }
        check("4096", Some(4096));
        check("512m", Some(512 << 20));
        check("1.5G", Some(3 << 29));
        check("2gib", Some(2 << 30));
        check("10kb", Some(10240));
        check("0", Some(0));
        check("", None);
        check("m", None);
        check("-1", None);
        check("1x", None);
        check("1e3", None);
        check("99999999999999999999", None);
        check("17179869184g", None);
    }

    #[test]
    fn sizes_as_text() {
        for (bytes, expected) in
            [(0, "0B"), (1023, "1023B"), (16 << 20, "16MiB"), (3 << 29, "1.5GiB"), (u64::MAX, "16EiB")]
        {
            assert_eq!(shown(bytes), expected);
        }
    }
}
