//! `update` and `events`: limits of a container that runs, and what it uses.

use super::arguments::Words;
use super::{Program, invalid, print};
use cgroup::Scarcity;
use runtime::error::Result;
use runtime::{events, update};
use serde_json::{Value, json};
use std::io::Read;
use std::time::Duration;
use sys::called;

/// More than any resources take, in bytes.
const LONGEST: u64 = 1 << 20;

/// A size as runc's callers write it: a number, perhaps with a fraction, and one of k, m, g, t, p for powers of 1024, in any
/// case, with `b` or `ib` behind it or not; -1 for none at all.
fn bytes(option: &str, text: &str) -> Result<i64> {
    let wrong = || invalid(&format!("--{option}: {text:?} is not a size"));
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let bare = bare.strip_suffix('i').filter(|rest| rest.len() + 2 == lower.len()).unwrap_or(bare);
    let unit = bare.chars().last().and_then(|last| "kmgtp".find(last));
    let (number, shift) = match unit {
        Some(unit) => (&bare[..bare.len() - 1], 10 * (unit + 1)),
        None => (bare, 0),
    };
    let number = number.strip_suffix(' ').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let factor = 1_i64 << shift;
    let whole = whole.parse::<i64>().ok().and_then(|whole| whole.checked_mul(factor)).ok_or_else(wrong)?;
    // Below one: it cannot overflow, and the bytes that it loses nobody means.
    let fraction = format!("0.{fraction}").parse::<f64>().map_err(|_| wrong())? * factor as f64;
    whole.checked_add(fraction as i64).ok_or_else(wrong)
}

fn integer(option: &str, text: &str) -> Result<i64> {
    text.parse().map_err(|_| invalid(&format!("--{option}: {text:?} is not a number")))
}

/// The options as `linux.resources` has them.
fn resources(words: &Words) -> Result<Value> {
    let mut all = json!({});
    let fields: [(&str, &str, bool); 15] = [
        ("blkio-weight", "/blockIO/weight", false),
        ("cpu-period", "/cpu/period", false),
        ("cpu-quota", "/cpu/quota", false),
        ("cpu-burst", "/cpu/burst", false),
        ("cpu-share", "/cpu/shares", false),
        ("cpu-rt-period", "/cpu/realtimePeriod", false),
        ("cpu-rt-runtime", "/cpu/realtimeRuntime", false),
        ("cpu-idle", "/cpu/idle", false),
        ("memory", "/memory/limit", true),
        ("memory-reservation", "/memory/reservation", true),
        ("memory-swap", "/memory/swap", true),
        ("kernel-memory", "/memory/kernel", true),
        ("kernel-memory-tcp", "/memory/kernelTCP", true),
        ("pids-limit", "/pids/limit", false),
        ("cpuset-cpus", "/cpu/cpus", false),
    ];
    for (option, pointer, size) in fields {
        let Some(text) = words.value(option).filter(|text| !text.is_empty()) else { continue };
        let value = match option {
            "cpuset-cpus" => json!(text),
            _ if size => json!(bytes(option, text)?),
            _ => json!(integer(option, text)?),
        };
        put(&mut all, pointer, value);
    }
    if let Some(text) = words.value("cpuset-mems").filter(|text| !text.is_empty()) {
        put(&mut all, "/cpu/mems", json!(text));
    }
    Ok(all)
}

fn put(all: &mut Value, pointer: &str, value: Value) {
    let mut parts = pointer.trim_start_matches('/').split('/');
    if let (Some(group), Some(field)) = (parts.next(), parts.next()) {
        all[group][field] = value;
    }
}

/// `update ID`.
pub fn update(program: &mut Program, words: &Words) -> Result<i32> {
    let mut written: Value = match words.value("resources").filter(|file| !file.is_empty()) {
        Some(file) => {
            let reader: Box<dyn Read> = match file {
                "-" => Box::new(std::io::stdin()),
                path => Box::new(std::fs::File::open(path).map_err(called(|| format!("open({path:?})")))?),
            };
            let mut text = Vec::new();
            reader.take(LONGEST + 1).read_to_end(&mut text).map_err(called(|| format!("read({file:?})")))?;
            if text.len() as u64 > LONGEST {
                return Err(invalid(&format!("--resources {file}: longer than {LONGEST} bytes")));
            }
            let (written, warnings) = runtime::written::resources(&format!("--resources {file}"), &text)?;
            warnings.iter().for_each(|warning| program.log.warning(warning));
            written
        }
        None => resources(words)?,
    };
    // Unlimited memory with a limit of both together is no limit of memory.
    if written["memory"]["limit"] == -1 && written["memory"]["swap"].is_null() {
        put(&mut written, "/memory/swap", json!(-1));
    }
    for option in ["kernel-memory", "kernel-memory-tcp"] {
        if words.value(option).is_some() {
            program.log.warning(&format!("--{option} has no effect: the kernel does not take it any more"));
        }
    }
    let rdt = |name: &str| words.value(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let change = update::Change {
        resources: written,
        l3_cache_schema: rdt("l3-cache-schema"),
        mem_bw_schema: rdt("mem-bw-schema"),
    };
    update::update(&program.root, &words.arguments[0], &change)?.iter().for_each(|w| program.log.warning(w));
    Ok(0)
}

/// A duration as Go writes it (`1m30s`, `500ms`), or whole seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let units =
            [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, seconds) = units.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[digits + unit.len()..];
    }
    Some(total).filter(|_| !text.is_empty())
}

/// `events ID`.
pub fn events(program: &mut Program, words: &Words) -> Result<i32> {
    let id = &words.arguments[0];
    let written = words.value("interval").unwrap_or("5s");
    let interval = duration(written)
        .filter(|interval| !interval.is_zero())
        .ok_or_else(|| invalid(&format!("--interval: {written:?} is not a duration greater than zero")))?;
    let pressure = match words.value("memory-pressure") {
        None => None,
        Some("low") => Some(Scarcity::Low),
        Some("medium") => Some(Scarcity::Medium),
        Some("critical") => Some(Scarcity::Critical),
        Some(other) => {
            return Err(invalid(&format!("--memory-pressure: {other:?} is not low, medium or critical")));
        }
    };
    let mut tell = |kind: &str, data: Option<Value>| {
        let mut event = json!({"type": kind, "id": id});
        if let Some(data) = data {
            event["data"] = data;
        }
        print(&format!("{event}\n")).map(drop)
    };
    if words.is_set("stats") {
        let stats = events::stats(&program.root, id)?;
        return tell("stats", Some(stats)).map(|()| 0);
    }
    events::follow(&program.root, id, events::Wish { interval, pressure }, &mut tell).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        fn size(text: &str, expected: Option<i64>) {
            assert_eq!(bytes("memory", text).ok(), expected, "{text:?}");
        }
        size("0", Some(0));
        size("-1", Some(-1));
        size("64m", Some(64 << 20));
        size("1G", Some(1 << 30));
        size("2kb", Some(2048));
        size("1.5m", Some(3 << 19));
        size("1 MiB", Some(1 << 20));
        size("1kib", Some(1024));
        size("7b", Some(7));
        size("9223372036854775807", Some(i64::MAX));
        for wrong in ["", "-2", "m", "b", "ib", "1x", "9999999999g", "1.m", ".5m", "+1", "1e3", "1  m", "é"]
        {
            size(wrong, None);
        }
        fn time(text: &str, milliseconds: Option<u128>) {
            assert_eq!(duration(text).map(|time| time.as_millis()), milliseconds, "{text:?}");
        }
        time("5s", Some(5000));
        time("500ms", Some(500));
        time("1m30s", Some(90_000));
        time("1.5s", Some(1500));
        time("7", Some(7000));
        for wrong in ["", "s", "1x", "-1s", "1"] {
            time(wrong, if wrong == "1" { Some(1000) } else { None });
        }
    }
}
